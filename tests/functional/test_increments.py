# SPDX-License-Identifier: LGPL-2.1-or-later
"""Increments are exact, whatever happens between them.

A random history of writes, snapshots, reverts, merges, restarts and kills, with a
backup after each part of it.  Every backup, put together by qemu-img from its
files alone, is the disk as libnbd read it at that instant.

VMPOINT_POINTS=300 makes it longer, VMPOINT_SEED=7 repeats one (a failed run says its seed).
"""

import hashlib
import json
import os
import random

import pytest
from vmtest import images, world
from vmtest.images import MIB
from vmtest.world import names, source

SIZE = 32 * MIB
GRAIN = 64 * 1024
DISKS = ("vda", "vdb")
POINTS = int(os.environ.get("VMPOINT_POINTS", "20"))
SEED = int(os.environ.get("VMPOINT_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)


def digest(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class History:
    """One machine and what has become of it; everything random comes from the seed."""

    def __init__(self, vm, work, chance):
        self.vm, self.work, self.chance = vm, work, chance
        self.guest = world.StandIn(vm)
        self.targets = {}  # checkpoint -> disk -> its file
        self.count = 0
        self.increments, self.copied = 0, 0
        self.said = []

    # ---- what may happen ----

    def write(self, times=12):
        for _ in range(times):
            disk = self.chance.choice(DISKS)
            length = 512 * self.chance.randint(1, 64)
            offset = 512 * self.chance.randrange((SIZE - length) // 512)
            kind = self.chance.choices(("write", "zero", "discard"), (18, 1, 1))[0]
            command = {"write": f"write -P {self.chance.randrange(256)}", "zero": "write -z",
                       "discard": "discard"}[kind]
            self.guest.io(disk, f"{command} {offset} {length}")
        for disk in DISKS:
            self.guest.io(disk, "flush")

    def snapshot(self):
        self.count += 1
        left_out = self.chance.choice((None, None, *DISKS))
        specs = ["--diskspec", f"{left_out},snapshot=no"] if left_out else []
        self.vm.cli.run("snapshot-create-as", self.vm.name, f"s{self.count}", "--disk-only", *specs)

    def revert(self):
        if known := names(self.vm):
            name = self.chance.choice(known)
            self.vm.cli.run("snapshot-revert", self.vm.name, name, "--paused", "--force")
            self.vm.close()

    def merge(self):
        """Not every snapshot can be merged; one that cannot is refused, and nothing is changed."""
        if known := names(self.vm):
            self.vm.cli.run("snapshot-delete", self.vm.name, known[-1], check=False)

    def restart(self):
        self.stop()
        self.guest.start()

    def kill(self):
        self.vm.kill()
        self.vm.close()
        self.guest.start()

    def forget(self):
        """Not the newest checkpoint: the next increment is since that one."""
        if len(self.targets) > 2:
            name = self.chance.choice(list(self.targets)[:-1])
            self.vm.cli.run("checkpoint-delete", self.vm.name, name)
            del self.targets[name]

    def stop(self):
        self.vm.cli.run("destroy", self.vm.name)
        self.vm.close()

    # ---- a backup and its judge ----

    def backup(self, off=False):
        self.count += 1
        name = f"c{self.count}"
        since = self.pick_since()
        if off:
            self.stop()
        before = {disk: images.digest(source(self.vm, disk), live=True) for disk in DISKS}
        demoted = self.take(name, since, race=not off and self.chance.random() < 0.5)
        for disk in DISKS:
            target = self.targets[name][disk]
            self.judge(disk, target, before[disk], since)
            if since and disk not in demoted:
                self.increments += 1
                self.copied += self.held(target)
                assert images.chain(target)[1] == self.targets[since][disk]
            else:
                assert images.chain(target) == [target], "a full one rests on nothing"
        if off:
            self.guest.start()

    def pick_since(self):
        if not self.targets or self.chance.random() < 0.04:
            return None
        known = list(self.targets)
        return known[-1] if self.chance.random() < 0.75 else self.chance.choice(known)

    def take(self, name, since, race):
        """With the race the guest writes while the jobs run.  The disks that became full ones."""
        backup, mark = self.work / "backup.xml", self.work / "checkpoint.xml"
        self.targets[name] = {disk: self.work / f"{name}-{disk}" for disk in DISKS}
        rows = "".join(f"<disk name='{disk}' type='file'><target file='{path}'/></disk>"
                       for disk, path in self.targets[name].items())
        backup.write_text("<domainbackup>" + (f"<incremental>{since}</incremental>" if since else "") +
                          f"<disks>{rows}</disks></domainbackup>")
        mark.write_text(f"<domaincheckpoint><name>{name}</name></domaincheckpoint>")
        words = ["backup-begin", self.vm.name, backup, mark] + ([] if race else ["--wait"])
        done = self.vm.cli.run(*words, check=False)
        if race:
            self.write(4)
            while any(job["status"] != "concluded" for job in self.vm.spy.execute("query-jobs")):
                self.vm.spy.wait_event("JOB_STATUS_CHANGE", status="concluded")
            self.vm.cli.run("recover", self.vm.name)
        warnings = [row["warning"] for row in map(json.loads, done.stderr.splitlines())
                    if "warning" in row]
        assert done.status == (14 if warnings else 0), done
        return {disk for disk in DISKS for sentence in warnings if f"disk '{disk}'" in sentence}

    def judge(self, disk, target, wanted, since):
        copy = images.to_raw(target, self.work / "restored.raw")
        found = digest(copy)
        copy.unlink()
        assert found == wanted, f"{target.name}: {disk} since {since} is not what it was: {self.story()}"

    def held(self, target):
        """Bytes that the file holds itself."""
        ranges = json.loads(images.tool("qemu-img", "map", "--output=json", target).stdout)
        return sum(part["length"] for part in ranges if part["depth"] == 0)

    def story(self):
        return f"VMPOINT_SEED={SEED} VMPOINT_POINTS={POINTS}: {' '.join(self.said)}"

    def go_on(self):
        """A part of the history and the backup that ends it."""
        self.write()
        for _ in range(self.chance.choice((0, 1, 1, 2))):
            what = self.chance.choices(
                (self.snapshot, self.revert, self.merge, self.restart, self.kill, self.forget),
                (6, 2, 2, 3, 2, 2))[0]
            self.said.append(what.__name__)
            what()
            self.write()
        self.said.append("backup")
        self.backup(off=self.chance.random() < 0.1)


@pytest.fixture
def history(make_vm, work):
    vm = make_vm(size=SIZE).define()
    history = History(vm, work, random.Random(SEED))
    history.guest.start()
    return history


def test_every_increment_of_a_random_history_is_exact(history):
    print(f"VMPOINT_SEED={SEED}")
    for _ in range(POINTS):
        history.go_on()
    # Neither all full ones in disguise, nor all of them demoted.
    assert history.increments >= POINTS // 2, history.story()
    assert history.copied < history.increments * SIZE // 2, (history.copied, history.story())


def test_the_judge_sees_an_increment_that_missed_something(history):
    history.backup()
    history.write()
    node = {row["file"]: row["node-name"] for row in
            history.vm.spy.execute("query-named-block-nodes", {"flat": True}) if row["drv"] == "qcow2"}
    byte = images.read(source(history.vm), 0, 1, live=True)[0] ^ 0xff
    history.guest.write("vda", 0, GRAIN, byte)
    history.vm.spy.execute("block-dirty-bitmap-clear", {"node": node[source(history.vm)], "name": "c1"})
    with pytest.raises(AssertionError, match="vda since c1 is not what it was"):
        history.backup()
