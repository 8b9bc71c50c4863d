# SPDX-License-Identifier: LGPL-2.1-or-later
"""The main job, told once: scripts/demo shows it, a test asserts it.

A real guest is snapshotted, backed up incrementally, wrecked, reverted and
restored; after each act somebody else's program checks every byte.
"""

from . import images
from .images import MIB

FULL = """<domainbackup>
  <disks>
    <disk name='vda' type='file'><target file='{dir}/full-vda.qcow2'/></disk>
    <disk name='vdb' type='file'><target file='{dir}/full-vdb.qcow2'/></disk>
  </disks>
</domainbackup>
"""
INCREMENT = """<domainbackup>
  <incremental>c1</incremental>
  <disks>
    <disk name='vda' type='file'><target file='{dir}/incr-vda.qcow2'/></disk>
    <disk name='vdb' type='file'><target file='{dir}/incr-vdb.qcow2'/></disk>
  </disks>
</domainbackup>
"""

# Three acts of writing: where on each disk, and how much.
PLACE = {"A": (0, 4 * MIB), "B": (8 * MIB, 3 * MIB), "C": (1 * MIB, 2 * MIB)}


class Story:
    """Each method is one act; `tell` gets a sentence before it happens."""

    def __init__(self, vm, work, tell=lambda sentence: None):
        self.vm = vm
        self.cli = vm.cli
        self.work = work
        self.tell = tell
        self.targets = ("vda", "vdb")

    def play(self):
        self.begin()
        self.write("A")
        self.back_up_fully()
        self.write("B")
        self.take_snapshot()
        self.write("C")
        self.back_up_increment()
        self.wreck()
        self.revert()
        self.restore()
        self.where_we_are()

    def run(self, *arguments):
        """A command as the user types it; its output is shown."""
        self.tell("$ vmpoint " + " ".join(map(str, arguments)))
        text = self.cli.text(*arguments)
        for line in text.splitlines():
            self.tell("  " + line)
        return text

    # --- the acts ---

    def begin(self):
        self.tell("A machine with two qcow2 disks is defined and started.")
        self.run("define", self.vm.domain.write(self.work / "vm.xml"))
        self.run("start", self.vm.name)
        self.vm.guest.connect().wait_up()

    def write(self, name):
        offset, length = PLACE[name]
        self.tell(f"The guest writes {name}: {length // MIB} MiB at {offset // MIB} MiB of each disk.")
        for disk in self.vm.disks:
            self.vm.guest.write_pattern(disk.device, offset, length, self.seed(name, disk))

    def back_up_fully(self):
        self.tell("A full backup of both disks, with checkpoint c1 at the same instant.")
        backup = self.put("full.xml", FULL.format(dir=self.work))
        checkpoint = self.put("c1.xml", "<domaincheckpoint><name>c1</name></domaincheckpoint>\n")
        self.run("backup-begin", self.vm.name, backup, checkpoint, "--wait")
        for target in self.targets:
            images.require_pattern(self.work / f"full-{target}.qcow2", *PLACE["A"],
                                   self.seed("A", target))

    def take_snapshot(self):
        self.tell("Snapshot s1: both disks at one instant; each goes on in an overlay.")
        self.run("snapshot-create-as", self.vm.name, "s1", "--disk-only")

    def back_up_increment(self):
        self.tell("An increment since c1; an independent copy is taken at the same instant.")
        backup = self.put("increment.xml", INCREMENT.format(dir=self.work))
        # The guest rests, so its disks now are its disks at the instant of the backup.
        for target in self.targets:
            self.copy_live(target, self.work / f"instant-{target}.raw")
        self.run("backup-begin", self.vm.name, backup, "--wait")
        self.run("domjobinfo", self.vm.name, "--completed")

    def wreck(self):
        self.tell("The guest wrecks its disks.")
        for disk in self.vm.disks:
            self.vm.guest.wreck(disk.device, 0, 12 * MIB)
            assert not self.guest_has(disk, "A"), "the wreck must be seen"

    def revert(self):
        self.tell("Back to s1: A and B are there, C and the wreck are not.")
        self.run("snapshot-revert", self.vm.name, "s1", "--running")
        self.vm.resume_console()
        for disk in self.vm.disks:
            # C was written into A's range, after the snapshot.
            assert self.guest_has(disk, "A"), f"{disk.target}: A after the revert"
            assert self.guest_has(disk, "B"), f"{disk.target}: B after the revert"
            assert not self.guest_has(disk, "C"), f"{disk.target}: no C after the revert"

    def restore(self):
        self.tell("Full backup and increment are restored elsewhere, byte for byte.")
        for target in self.targets:
            out = self.work / f"restored-{target}.qcow2"
            self.run("backup-restore", "--chain", self.work / f"full-{target}.qcow2",
                     self.work / f"incr-{target}.qcow2", "--to", out)
            assert images.identical(out, self.work / f"instant-{target}.raw"), target
            images.require_pattern(out, *PLACE["B"], self.seed("B", target))
            images.require_pattern(out, *PLACE["C"], self.seed("C", target))
            images.require_pattern(out, 0, MIB, self.seed("A", target))

    def where_we_are(self):
        self.tell("Where we are:")
        tree = self.run("snapshot-list", self.vm.name, "--tree")
        assert "s1" in tree
        self.run("domblklist", self.vm.name)

    # --- tools ---

    def seed(self, name, disk):
        return f"{name}-{getattr(disk, 'target', disk)}"

    def put(self, name, text):
        path = self.work / name
        path.write_text(text, encoding="utf-8")
        return path

    def guest_has(self, disk, name):
        return self.vm.guest.has_pattern(disk.device, *PLACE[name], self.seed(name, disk))

    def copy_live(self, target, out):
        """The whole disk as a guest would see it, read by others beside the running machine."""
        blocks = {row["target"]: row for row in self.cli.run("domblklist", self.vm.name).data}
        handle = images.opened(blocks[target]["source"], live=True)
        try:
            with open(out, "wb") as file:
                for data in images.chunks(handle, 0, None):
                    file.write(data)
        finally:
            handle.shutdown()
