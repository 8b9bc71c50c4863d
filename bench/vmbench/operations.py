# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is done, what proves that it was done, and how it is undone again.

A trial is one operation on one side: set_up() once, then again and again
prepare(), do(), check() and undo(), and tear_down() once.  Only do() is timed.
check() asks QEMU and qemu-img, never the side itself: a fast wrong answer is no
answer.
"""

import json
import mmap
import os
import shutil
import subprocess
import time
from pathlib import Path

from vmtest.domain import Disk, targets
from vmtest.qmp import Qmp

from . import clock, monitor

MIB = 1 << 20
GIB = 1 << 30


class Wrong(Exception):
    """A side did not do what it was asked for."""


class Trial:
    """name: how it is asked for.  title: what the report calls it.
    sides: who can do it at all.  further: what else is timed, and its title.
    """

    name = title = None
    further = {}
    sides = ("vmpoint", "libvirt", "qmp")
    disks = 1
    size = GIB

    def __init__(self, side):
        self.side = side
        self.work = side.work / self.name
        self.machine = None

    def set_up(self):
        self.work.mkdir()
        self.machine = self.side.boot(self.name, self.make_disks())

    def make_disks(self):
        made = [Disk(self.work / f"{target}.qcow2", target)
                for target in targets("virtio", self.disks)]
        for disk in made:
            qemu_img("create", "-q", "-f", "qcow2", disk.path, self.size)
        return made

    def prepare(self, turn):
        """Bring about what the operation begins with."""

    def do(self, turn):
        """The operation; a clock.Sample."""
        if self.side.name == "qmp":
            return clock.call(self.bare, turn)
        return self.program(turn)

    def program(self, turn):
        raise NotImplementedError

    def bare(self, turn):
        raise NotImplementedError

    def check(self, turn, sample):
        raise NotImplementedError

    def undo(self, turn):
        """As if the turn had never been."""

    def tear_down(self):
        if self.machine:
            self.machine.end()
        shutil.rmtree(self.work)


class Checkpoint(Trial):
    name = "checkpoint"
    title = "checkpoint-create, 1 disk"

    def program(self, turn):
        return self.side.time("checkpoint-create-as", self.name, f"c{turn}")

    def bare(self, turn):
        self.machine.qmp.execute("transaction", {"actions": [bitmap_add("vda", f"c{turn}")]})

    def check(self, turn, _sample):
        names = [bitmap["name"] for bitmap in self._bitmaps()
                 if bitmap["persistent"] and bitmap["recording"]]
        require(names == [f"c{turn}"], f"the disk's bitmaps are {names}")

    def undo(self, turn):
        if self.side.name == "qmp":
            self.machine.qmp.execute("block-dirty-bitmap-remove", {"node": "vda", "name": f"c{turn}"})
        else:
            self.side.run("checkpoint-delete", self.name, f"c{turn}")
        require(not self._bitmaps(), "a bitmap is left")

    def _bitmaps(self):
        [disk] = monitor.devices(self.machine.qmp).values()
        return disk.get("dirty-bitmaps", [])


class Snapshot(Trial):
    name = "snapshot1"
    title = "snapshot-create --disk-only, 1 disk"
    # What the snapshot is called, and by libvirt's rule the suffix of its files.
    snapshot = "s"

    def overlay(self, disk):
        return disk.path.with_suffix(f".{self.snapshot}")

    def program(self, turn):
        return self.side.time("snapshot-create-as", self.name, self.snapshot, "--disk-only")

    def bare(self, turn):
        qmp = self.machine.qmp
        for disk in self.machine.disks:
            monitor.create_qcow2(
                qmp, f"{disk.target}-s", self.overlay(disk), self.size, backing=None,
                create_options={"backing-file": str(disk.path), "backing-fmt": "qcow2"},
            )
        qmp.execute("transaction", {"actions": [
            monitor.snapshot(disk.target, f"{disk.target}-s") for disk in self.machine.disks
        ]})

    def check(self, turn, _sample):
        tops = self._tops()
        for disk in self.machine.disks:
            overlay = self.overlay(disk)
            require(overlay in tops, f"no drive writes to {overlay}: {tops}")
            chain = qemu_img_json("info", "-U", "--backing-chain", overlay)
            require([image["filename"] for image in chain] == [str(overlay), str(disk.path)],
                    f"{overlay} has the wrong chain")
            require(chain[0]["virtual-size"] == self.size, f"{overlay} has the wrong size")
            require(chain[0].get("backing-filename-format") == "qcow2",
                    f"{overlay} does not say what it rests on")

    def undo(self, turn):
        if self.side.name == "qmp":
            self._commit()
        else:
            self.side.run("snapshot-delete", self.name, self.snapshot)
        originals = {disk.path for disk in self.machine.disks}
        require(set(self._tops()) == originals, "the disks are not as before")
        require(not any(map(os.path.exists, map(self.overlay, self.machine.disks))),
                "an overlay is left")

    def _commit(self):
        qmp = self.machine.qmp
        for disk in self.machine.disks:
            monitor.commit(qmp, f"{disk.target}-s")
            monitor.delete_qcow2(qmp, f"{disk.target}-s")
            self.overlay(disk).unlink()

    def _tops(self):
        drives = monitor.devices(self.machine.qmp).values()
        return [Path(drive["image"]["filename"]) for drive in drives]


class Snapshot8(Snapshot):
    name = "snapshot8"
    title = "snapshot-create --disk-only, 8 disks"
    disks = 8


class Push(Trial):
    """A full backup.  It is timed until the program says that it is complete;
    beside that, until QEMU has closed the copy and all of it is on the disk.
    """

    name = "push"
    title = "full push backup of 1 GiB"
    sides = ("vmpoint", "libvirt", "qmp", "qemu-img")
    further = {"durable": "... closed and on stable storage"}
    copied = GIB

    def set_up(self):
        if self.side.name == "qemu-img":
            self.work.mkdir()
            self.make_disks()
        else:
            super().set_up()
        self.target = self.work / "backup.qcow2"
        self.document = self.work / "backup.xml"
        self.document.write_text(self.describe(), encoding="utf-8")

    def make_disks(self):
        self.source = self.work / "vda.qcow2"
        make_filled(self.source, self.size, self.size)
        return [Disk(self.source)]

    def describe(self):
        return f"""\
<domainbackup mode='push'>
  <disks>
    <disk name='vda' backup='yes' type='file'>
      <target file='{self.target}'/>
      <driver type='qcow2'/>
    </disk>
  </disks>
</domainbackup>
"""

    def prepare(self, turn):
        # What former turns have left to be written would be paid for by this one.
        os.sync()
        warm_memory(2 * self.copied)

    def do(self, turn):
        begin = time.perf_counter()
        sample = super().do(turn)
        if self.side.name == "qmp":
            monitor.delete_qcow2(self.machine.qmp, "backup")
        elif self.machine:
            while monitor.is_open(self.machine.qmp, self.target):
                pass
        sync_file(self.target)
        durable = time.perf_counter() - begin
        return clock.Sample(sample.seconds, sample.cpu, sample.output, {"durable": durable})

    def program(self, turn):
        if self.side.name == "qemu-img":
            return self.side.time("convert", "-f", "qcow2", "-O", "qcow2", "-W", "-m", "16",
                                  self.source, self.target)
        return self.side.backup(self.name, self.document)

    def bare(self, turn):
        monitor.create_qcow2(self.machine.qmp, "backup", self.target, self.size)
        monitor.run_job(self.machine.qmp, "backup", "blockdev-backup", device="vda",
                        target="backup", sync="full", **{"auto-dismiss": False})

    def check(self, turn, sample):
        require_event(self.side, sample)
        require_same(self.target, self.source)

    def undo(self, turn):
        self.target.unlink()


class Incremental(Push):
    """64 MiB in 256 places, written after a checkpoint that stays."""

    name = "incremental"
    title = "incremental push of 64 MiB in a 4 GiB disk"
    sides = ("vmpoint", "libvirt", "qmp")
    size = 4 * GIB
    places = 256
    piece = 256 * 1024
    copied = places * piece

    def set_up(self):
        super().set_up()
        qmp = self.machine.qmp
        if self.side.name == "qmp":
            qmp.execute("transaction", {"actions": [bitmap_add("vda", "base")]})
        else:
            self.side.run("checkpoint-create-as", self.name, "base")
        [(device, _)] = monitor.devices(qmp).items()
        for i in range(self.places):
            monitor.write(qmp, device, i * (self.size // self.places), self.piece, 1 + i % 255)
        monitor.flush(qmp, device)
        [disk] = monitor.devices(qmp).values()
        counts = {bitmap["name"]: bitmap["count"] for bitmap in disk["dirty-bitmaps"]}
        require(counts == {"base": self.copied}, f"the dirty bitmaps are {counts}")

    def make_disks(self):
        self.source = self.work / "vda.qcow2"
        make_filled(self.source, 64 * MIB, self.size)
        # To the judge, this is what the increment rests on.
        self.before = self.work / "before.qcow2"
        shutil.copyfile(self.source, self.before)
        return [Disk(self.source)]

    def describe(self):
        return super().describe().replace("<disks>", "<incremental>base</incremental>\n  <disks>")

    def bare(self, turn):
        qmp = self.machine.qmp
        monitor.create_qcow2(qmp, "backup", self.target, self.size)
        qmp.execute("transaction", {"actions": [
            {"type": "block-dirty-bitmap-add", "data": {"node": "vda", "name": "job", "disabled": True}},
            {"type": "block-dirty-bitmap-merge",
             "data": {"node": "vda", "target": "job", "bitmaps": ["base"]}},
            {"type": "blockdev-backup", "data": {
                "job-id": "backup", "device": "vda", "target": "backup", "sync": "incremental",
                "bitmap": "job", "auto-dismiss": False}},
        ]})
        monitor.finish_job(qmp, "backup")
        qmp.execute("block-dirty-bitmap-remove", {"node": "vda", "name": "job"})

    def check(self, turn, sample):
        require_event(self.side, sample)
        # A full copy would be right, but not what was asked for.
        size = qemu_img_json("info", self.target)["actual-size"]
        require(size < 2 * self.copied, f"the increment takes {size} bytes")
        qemu_img("rebase", "-u", "-f", "qcow2", "-b", self.before, "-F", "qcow2", self.target)
        require_same(self.target, self.source)


class List(Trial):
    name = "list"
    title = "list of 10 domains, 3 of them running"
    size = 64 * MIB
    running = 3
    stopped = 7

    def set_up(self):
        self.work.mkdir()
        self.machines = []
        for i in range(self.running + self.stopped):
            name = f"list{i}"
            disk = Disk(self.work / f"{name}.qcow2")
            qemu_img("create", "-q", "-f", "qcow2", disk.path, self.size)
            if i < self.running:
                self.machines.append(self.side.boot(name, [disk]))
            elif self.side.name != "qmp":
                self.side.describe(name, [disk])

    def program(self, turn):
        return self.side.time("list", "--all")

    def bare(self, turn):
        for machine in self.machines:
            machine.qmp.execute("query-status")

    def check(self, turn, sample):
        if self.side.name == "qmp":
            return
        lines = [line.split(maxsplit=2) for line in sample.output.splitlines()]
        states = {line[1]: line[2].strip() for line in lines if line[1:] and "list" in line[1]}
        wanted = {f"list{i}": "running" if i < self.running else "shut off"
                  for i in range(self.running + self.stopped)}
        require(states == wanted, f"the list says {states}")

    def tear_down(self):
        for machine in self.machines:
            machine.end()
        if self.side.name != "qmp":
            for i in range(self.running, self.running + self.stopped):
                self.side.run("undefine", f"list{i}")
        shutil.rmtree(self.work)


class SnapshotList(Trial):
    """Internal snapshots of a domain that is off: nothing but what is remembered."""

    name = "snapshot-list"
    title = "snapshot-list of 300 snapshots"
    sides = ("vmpoint", "libvirt", "qemu-img")
    size = 64 * MIB
    count = 300

    def set_up(self):
        self.work.mkdir()
        [self.disk] = self.make_disks()
        names = self._names()
        if self.side.name == "qemu-img":
            for name in names:
                qemu_img("snapshot", "-c", name, self.disk.path)
        else:
            self.side.describe(self.name, [self.disk])
            for name in names:
                self.side.run("snapshot-create-as", self.name, name)
        found = [entry["name"] for entry in qemu_img_json("info", self.disk.path)["snapshots"]]
        require(found == names, f"the image has {len(found)} snapshots")

    def _names(self):
        return [f"snap{i:03}" for i in range(self.count)]

    def program(self, turn):
        if self.side.name == "qemu-img":
            return self.side.time("snapshot", "-l", self.disk.path)
        return self.side.time("snapshot-list", self.name)

    def check(self, turn, sample):
        words = [word for line in sample.output.splitlines() for word in line.split()[:2]
                 if word.startswith("snap")]
        require(words == self._names(), f"the list has {len(words)} names")

    def tear_down(self):
        if self.side.name != "qemu-img":
            self.side.run("undefine", self.name, "--snapshots-metadata")
        shutil.rmtree(self.work)


class Revert(Trial):
    """A running guest of 256 MiB goes back to a moment a little earlier, its RAM with it."""

    name = "revert"
    title = "snapshot-revert, internal, 256 MiB running"
    sides = ("vmpoint", "libvirt")

    def set_up(self):
        super().set_up()
        self.side.run("snapshot-create-as", self.name, "s", *self.options())

    def options(self):
        return ()

    def prepare(self, turn):
        # libvirt starts a new QEMU, which has a new monitor.
        self.machine.qmp.close()

    def program(self, turn):
        return self.side.time("snapshot-revert", self.name, "s")

    def check(self, turn, _sample):
        self.machine.qmp = Qmp(self.machine.qmp.path)
        status = self.machine.qmp.execute("query-status")
        require(status["status"] == "running", f"the guest is {status['status']}")


class RevertExternal(Revert):
    """libvirt 9.0 has no such revert."""

    name = "revertram"
    title = "snapshot-revert, external with RAM, 256 MiB running"
    sides = ("vmpoint",)

    def options(self):
        return ("--memspec", f"file={self.work}/s.ram")


ALL = {trial.name: trial for trial in
       (Checkpoint, Snapshot, Snapshot8, Push, Incremental, List, SnapshotList, Revert,
        RevertExternal)}


def require(fact, otherwise):
    if not fact:
        raise Wrong(otherwise)


def require_same(copy, source):
    """Whether a guest would see the same disk; the machine still has the source."""
    done = subprocess.run(
        ["qemu-img", "compare", "-q", "-U", "-f", "qcow2", "-F", "qcow2", copy, source],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )
    require(done.returncode == 0, f"{copy} differs from {source} {done.stderr}")


def require_event(side, sample):
    if side.name == "libvirt":
        require("job-completed" in sample.output, f"virsh missed the end: {sample.output}")


def bitmap_add(node, name):
    return {"type": "block-dirty-bitmap-add",
            "data": {"node": node, "name": name, "persistent": True}}


def qemu_img(*arguments):
    subprocess.run(["qemu-img", *map(str, arguments)], stdin=subprocess.DEVNULL, check=True)


def qemu_img_json(command, *arguments):
    argv = ["qemu-img", command, "--output=json", *map(str, arguments)]
    return json.loads(subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     check=True).stdout)


def make_filled(path, length, size):
    """An image of that size that begins with random content."""
    raw = path.with_suffix(".random")
    with raw.open("wb") as file:
        for _ in range(length // MIB):
            file.write(os.urandom(MIB))
        file.truncate(size)
    qemu_img("convert", "-f", "raw", "-O", "qcow2", raw, path)
    raw.unlink()


def warm_memory(size):
    """Let free memory be memory that was in use just now.

    Where the machine is itself a virtual one, its host may take free memory away,
    and to have it again costs several times what copying does.  Whose turn it is
    to pay would be chance.
    """
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    mmap.mmap(-1, size, flags=flags).close()


def sync_file(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
