# SPDX-License-Identifier: LGPL-2.1-or-later
"""Random lives of a domain, against a model that keeps the whole content of every point.

After each step every snapshot that is listed must give exactly its bytes, read by qemu-nbd from
the images that its own document names, the tree must be the model's, and so must be the present
disks. A step that is refused must have changed nothing. Now and then the program is killed at a
random moment of a step: the next command settles it, and the world is as before or as after.

The seed is printed. VMPOINT_MODEL_SEED repeats a run, VMPOINT_MODEL_STEPS makes it longer,
VMPOINT_MODEL_RUNS makes more of them.
"""

import collections
import hashlib
import os
import random
import signal
import xml.etree.ElementTree as xml

import pytest
from vmtest import images
from vmtest.world import StandIn, source

MIB = 1 << 20
SIZE = MIB
CLUSTER = 64 << 10
TARGETS = ("vda", "vdb")

STEPS = int(os.environ.get("VMPOINT_MODEL_STEPS", "45"))
RUNS = int(os.environ.get("VMPOINT_MODEL_RUNS", "2"))
SEED = os.environ.get("VMPOINT_MODEL_SEED")

# How often a step is cut, and the latest moment (see fault.h) at which it is.
CUT = 0.12
LAST = 14

# What the program may refuse: a merge of nothing, or of what a snapshot froze; unsupported here,
# refused by QEMU, risky.
REFUSALS = (2, 5, 6, 7, 11)


def digest(data):
    return hashlib.sha256(data).hexdigest()


class Model:
    """What must be true of the domain."""

    def __init__(self):
        self.disks = {target: bytearray(SIZE) for target in TARGETS}
        self.on = False
        self.points = {}  # name -> {target: digest}
        self.contents = {}  # name -> {target: bytes}
        self.parents = {}  # name -> name or None, in the order of making
        self.current = None
        self.checkpoints = []

    def snapshot(self, name, targets=TARGETS):
        self.contents[name] = {target: bytes(self.disks[target]) for target in targets}
        self.points[name] = {target: digest(data) for target, data in self.contents[name].items()}
        self.parents[name] = self.current
        self.current = name

    def revert(self, name):
        """Disks that are not part of it stay."""
        self.disks |= {target: bytearray(data) for target, data in self.contents[name].items()}
        self.current = name

    def rename(self, name, new):
        for table in (self.points, self.contents):
            table[new] = table.pop(name)
        self.parents = {new if child == name else child: new if parent == name else parent
                        for child, parent in self.parents.items()}
        if self.current == name:
            self.current = new

    def below(self, name):
        return [child for child, parent in self.parents.items() if parent == name]

    def descendants(self, name):
        found = []
        for child in self.below(name):
            found += [child, *self.descendants(child)]
        return found

    def delete(self, name):
        parent = self.parents.pop(name)
        for child in [other for other, above in self.parents.items() if above == name]:
            self.parents[child] = parent
        if self.current == name:
            self.current = parent
        del self.points[name], self.contents[name]


class Life:
    """One domain, its model, and the steps that both take."""

    def __init__(self, vm, chance):
        self.vm = vm
        self.chance = chance
        self.model = Model()
        self.count = 0
        self.done = collections.Counter()
        self.refused = collections.Counter()
        self.cut = collections.Counter()
        self.killed = False
        self.left = set()  # layers that may stay as files, for fsck to tell

    def name(self, kind):
        self.count += 1
        return f"{kind}{self.count}"

    def run(self, kind, *words, is_done=None):
        """Whether it was done; what is not must have been refused for a reason that we know.

        is_done tells it when the program was killed; without that it is not.
        """
        cut = is_done and self.chance.random() < CUT
        fault = f"kill@{self.chance.randint(1, LAST)}" if cut else None
        result = self.vm.cli.run(*words, check=False, fault=fault)
        self.killed = result.status == -signal.SIGKILL
        if self.killed:
            self.vm.cli.run("recover", self.vm.name)
            self.cut[kind] += 1
            return is_done()
        if result.status in (0, 14):
            self.done[kind] += 1
            return True
        assert result.status in REFUSALS, f"{result.command}: {result.status}: {result.stderr}"
        self.refused[kind] += 1
        return False

    def names(self, what="snapshot"):
        return {row["name"] for row in self.vm.cli.run(f"{what}-list", self.vm.name).data}

    def is_reverted(self, name):
        row = next(row for row in self.vm.cli.run("snapshot-list", self.vm.name).data if row["name"] == name)
        return row["current"] and all(
            images.digest(source(self.vm, target), live=True) == wanted
            for target, wanted in self.model.points[name].items())

    # ---- steps ----

    def write(self):
        target = self.chance.choice(TARGETS)
        length = CLUSTER * self.chance.randint(1, 4)
        offset = CLUSTER * self.chance.randrange((SIZE - length) // CLUSTER + 1)
        byte = self.chance.randrange(256)
        if self.model.on:
            StandIn(self.vm).write(target, offset, length, byte)
        else:
            handle = images.opened(source(self.vm, target), writable=True)
            handle.pwrite(bytes([byte]) * length, offset)
            handle.flush()
            handle.shutdown()
        self.model.disks[target][offset:offset + length] = bytes([byte]) * length
        self.done["write"] += 1

    def snapshot(self, kind, name, *words, targets=TARGETS):
        if self.run(kind, "snapshot-create-as", self.vm.name, name, *words,
                    is_done=lambda: name in self.names()):
            self.model.snapshot(name, targets)

    def external(self):
        self.snapshot("external", self.name("e"), "--disk-only")

    def one_disk(self):
        target, other = self.chance.sample(TARGETS, 2)
        self.snapshot("one disk", self.name("o"), "--disk-only", "--diskspec", f"{other},snapshot=no",
                      targets=(target,))

    def internal(self):
        self.snapshot("internal", self.name("i"))

    def memory(self):
        if self.model.on:
            name = self.name("m")
            self.snapshot("memory", name, "--memspec", f"file={self.vm.disks[0].path.parent}/vm.{name}.ram")

    def revert(self):
        if not self.model.points:
            return
        name = self.chance.choice(list(self.model.points))
        words = self.chance.choice(([], ["--paused"]))
        if self.run("revert", "snapshot-revert", self.vm.name, name, "--force", *words,
                    is_done=lambda: self.is_reverted(name)):
            self.model.revert(name)
        self.look_for_process()

    def look_for_process(self):
        self.vm.close()
        self.model.on = self.vm.cli.run("dominfo", self.vm.name).data["pid"] not in (0, None)

    def save_and_revert(self):
        """Both or neither."""
        if not self.model.points:
            return
        name, saved = self.chance.choice(list(self.model.points)), self.name("s")
        if self.run("save and revert", "snapshot-revert", self.vm.name, name, "--force", "--save-current",
                    saved, is_done=lambda: saved in self.names()):
            self.model.snapshot(saved)
            self.model.revert(name)
        self.look_for_process()

    def rename(self):
        if not self.model.points:
            return
        name, new = self.chance.choice(list(self.model.points)), self.name("r")
        os.environ["VISUAL"] = f"sed -i 's,<name>{name}</name>,<name>{new}</name>,'"
        if self.run("rename", "snapshot-edit", self.vm.name, name, "--rename",
                    is_done=lambda: new in self.names()):
            self.model.rename(name, new)

    def merge(self):
        """What a guest reads stays, and so does what snapshots stand on."""
        target = self.chance.choice(TARGETS)
        words = self.chance.choice((["blockpull", "--wait"],
                                    ["blockcommit", "--active", "--pivot", "--delete", "--wait"]))
        if words[0] == "blockpull":
            # It leaves the layers alone, also when nobody needs them any more.
            self.left |= {str(path) for path in images.chain(source(self.vm, target), live=True)}
        self.run(words[0], words[0], self.vm.name, target, *words[1:], is_done=lambda: True)

    def power_cut(self):
        if self.model.on:
            self.vm.kill()
            self.vm.close()
            self.model.on = False
            self.done["power cut"] += 1

    def delete(self):
        if not self.model.points:
            return
        name = self.chance.choice(list(self.model.points))
        how = self.chance.choices(("", "--children", "--children-only"), (6, 1, 1))[0]
        wanted = list(reversed(self.model.descendants(name))) if how else []
        if how != "--children-only":
            wanted.append(name)
        # One that is cut may have come to some of them.
        if self.run(f"delete{how}", "snapshot-delete", self.vm.name, name, *([how] if how else []),
                    is_done=lambda: True):
            left = self.names() if self.killed else set()
            for gone in wanted:
                if gone not in left:
                    self.model.delete(gone)

    def checkpoint(self):
        name = self.name("c")
        if self.run("checkpoint", "checkpoint-create-as", self.vm.name, name,
                    is_done=lambda: name in self.names("checkpoint")):
            self.model.checkpoints.append(name)

    def drop_checkpoint(self):
        if self.model.checkpoints:
            name = self.chance.choice(self.model.checkpoints)
            if self.run("checkpoint-delete", "checkpoint-delete", self.vm.name, name,
                        is_done=lambda: name not in self.names("checkpoint")):
                self.model.checkpoints.remove(name)

    def start(self):
        if not self.model.on:
            StandIn(self.vm).start()
            self.model.on = True
            self.done["start"] += 1

    def stop(self):
        if self.model.on:
            self.vm.close()
            self.vm.cli.run("destroy", self.vm.name)
            self.model.on = False
            self.done["stop"] += 1

    STEPS = ((write, 8), (external, 4), (one_disk, 1), (internal, 2), (memory, 1), (revert, 3), (save_and_revert, 1),
             (delete, 4), (rename, 1), (merge, 1), (checkpoint, 1), (drop_checkpoint, 1), (start, 2), (stop, 1),
             (power_cut, 1))

    def step(self):
        steps, weights = zip(*self.STEPS)
        step = self.chance.choices(steps, weights)[0]
        step(self)
        return step.__name__

    # ---- what must be true ----

    def check(self):
        rows = self.vm.cli.run("snapshot-list", self.vm.name).data
        assert {row["name"]: row["parent"] for row in rows} == self.model.parents
        assert [row["name"] for row in rows if row["current"]] == (
            [self.model.current] if self.model.current else [])
        for target in TARGETS:
            path = source(self.vm, target)
            assert images.digest(path, live=self.model.on) == digest(self.model.disks[target]), target
        for row in rows:
            self.check_point(row["name"], row["location"])

    def check_point(self, name, location):
        document = self.vm.cli.run("snapshot-dumpxml", self.vm.name, name).data["xml"]
        for disk in xml.fromstring(document).findall("domain/devices/disk"):
            target = disk.find("target").get("dev")
            if target not in self.model.points[name]:
                continue  # what it has of this disk is what the disk is now
            path = disk.find("source").get("file")
            tag = name if location == "internal" else None
            found = images.digest(path, snapshot=tag, live=self.model.on)
            assert found == self.model.points[name][target], f"{name}: {target}: {path}"


def orphans(vm, work):
    """Image files that neither the domain nor any of its snapshots rests on."""
    needed = set()
    tops = [row["source"] for row in vm.cli.run("domblklist", vm.name).data]
    for row in vm.cli.run("snapshot-list", vm.name).data:
        document = vm.cli.run("snapshot-dumpxml", vm.name, row["name"]).data["xml"]
        tops += [node.get("file") for node in xml.fromstring(document).findall("domain/devices/disk/source")]
        needed |= {node.get("file") for node in xml.fromstring(document).findall("memory")}
    # What a snapshot only names, for a disk that it is not of, may be gone.
    for top in filter(os.path.exists, tops):
        needed |= {str(path) for path in images.chain(top, live=True)}
    return {str(path) for pattern in ("vm-vd*", "*.ram*") for path in work.glob(pattern)} - needed


@pytest.mark.parametrize("run", range(RUNS))
def test_random_lives(make_vm, work, run):
    seed = int(SEED) + run if SEED else random.SystemRandom().randrange(1 << 32)
    print(f"VMPOINT_MODEL_SEED={seed}")
    vm = make_vm(size=SIZE, memory_mib=64).define()
    life = Life(vm, random.Random(seed))
    told = []
    for number in range(STEPS):
        told.append(life.step())
        try:
            life.check()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, step {number} of {told}: {error}") from error
    life.stop()
    assert orphans(vm, work) <= life.left, f"seed {seed}: {told}"
    findings = vm.cli.run("fsck", vm.name, "--data", check=False).data
    assert [finding for finding in findings if not finding["code"].startswith("bitmap-")
            and not (finding["code"] == "file-orphaned" and finding["path"] in life.left)] == [], f"seed {seed}"
    print(f"done {dict(life.done)}, refused {dict(life.refused)}, cut {dict(life.cut)}")
    # Not all was refused: each kind of step was really taken, given enough of them.
    assert life.done["write"] and life.done["external"] + life.done["one disk"] + life.done["memory"]
    if STEPS >= 200:
        assert all(life.done[kind] for kind in ("internal", "memory", "revert", "delete", "checkpoint", "start", "stop"))
