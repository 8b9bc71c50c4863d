# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every restore point is all disks at one instant, whatever went on around it.

A writer hammers both disks while points are made and pruned and snapshots taken; in between they
are merged and reverted to, QEMU is restarted or killed, and vmpoint is killed or fails wherever it
can. The writes are done one after the other and noted in that order. So a point is right if, read
by qemu-img or nbdcopy from the repository alone, it is what the first so many of those writes made,
on both disks the same number of them, and not fewer than were done before the command nor more
than were begun when it ended. And it stays that, to the last byte, and is what backup-restore
writes.

VMPOINT_ORACLE_POINTS=300 makes it longer, VMPOINT_ORACLE_SEED=7 repeats the choices of a run (a failed one
says its seed; where the writer was at each of them is new every time).
"""

import hashlib
import os
import random
import subprocess
import threading

import pytest
from vmtest import images, world
from vmtest.images import MIB
from vmtest.qmp import QmpGone
from vmtest.world import device, names, source

SIZE = 12 * MIB
WINDOW = MIB
DISKS = ("vda", "vdb")
POINTS = int(os.environ.get("VMPOINT_ORACLE_POINTS", "16"))
SEED = int(os.environ.get("VMPOINT_ORACLE_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)

# Of the fault points of one command, one of so many is met.
FAULTS = 25


def digest(data):
    return hashlib.sha256(data).hexdigest()


class Instant:
    """What the disks may have been at a moment somewhere in a stretch of the writer's log."""

    def __init__(self, base, log, first, last):
        self.base, self.log = {disk: bytes(data) for disk, data in base.items()}, list(log[:last])
        self.first, self.last = first, last

    def states(self):
        """The disks after each number of writes that is possible."""
        disks = {disk: bytearray(data) for disk, data in self.base.items()}
        apply(disks, self.log[:self.first])
        yield self.first, disks
        for count in range(self.first, self.last):
            apply(disks, self.log[count:count + 1])
            yield count + 1, disks

    def number_of(self, found):
        """How many writes @found has seen on all of its disks; None if there is no such number."""
        for count, disks in self.states():
            if all(disks[disk] == data for disk, data in found.items()):
                return count
        return None


def apply(disks, writes):
    for disk, offset, length, byte in writes:
        disks[disk][offset:offset + length] = bytes([byte]) * length


class Writer:
    """Writes through QEMU's own qemu-io at the devices, one write after the other, until it is stopped."""

    def __init__(self, vm, chance):
        self.vm, self.chance = vm, chance
        self.disks = {disk: bytearray(SIZE) for disk in DISKS}  # where the log begins
        self.log, self.done = [], 0
        self.thread = None

    def go(self):
        self.stopping = threading.Event()
        self.failure = None
        monitor = self.vm.spy
        places = {disk: device(monitor, disk) for disk in DISKS}
        windows = {disk: 512 * self.chance.randrange((SIZE - WINDOW) // 512) for disk in DISKS}
        random_of_its_own = random.Random(self.chance.random())
        self.thread = threading.Thread(target=self.hammer, args=(monitor, places, windows, random_of_its_own))
        self.thread.start()

    def hammer(self, monitor, places, windows, chance):
        try:
            while not self.stopping.wait(0.002):
                disk = chance.choice(DISKS)
                length = 512 * chance.randint(1, 64)
                offset = windows[disk] + 512 * chance.randrange((WINDOW - length) // 512)
                byte = chance.choice((0, *range(256)))
                self.log.append((disk, offset, length, byte))
                how = "-z" if byte == 0 else f"-P {byte}"
                said = monitor.execute("human-monitor-command", {
                    "command-line": f'qemu-io -d {places[disk]} "write -q {how} {offset} {length}"'})
                assert not said.strip(), said
                self.done += 1
        except (QmpGone, OSError):
            pass  # whoever looks next sees that QEMU has gone
        except Exception as failure:  # noqa: BLE001
            self.failure = failure

    def rest(self):
        """Stops; the disks are then what the log says, if QEMU was there all the time."""
        if self.thread:
            self.stopping.set()
            self.thread.join()
            self.thread = None
            if self.failure:
                raise self.failure
        apply(self.disks, self.log[:self.done])
        self.log, self.done = [], 0

    def around(self, action):
        """What @action returned, and the stretch of the log in which it was done."""
        first = self.done
        returned = action()
        return returned, Instant(self.disks, self.log, first, len(self.log))


class History:
    """One machine, its repository, and what must be true of both; all that is chosen follows from the seed."""

    def __init__(self, vm, work, chance):
        self.vm, self.work, self.chance = vm, work, chance
        self.repo = work / "repo"
        self.guest = world.StandIn(vm)
        self.writer = Writer(vm, chance)
        self.on = True
        self.points = {}  # name -> disk -> digest
        self.snapshots = {}  # name -> Instant
        self.lost = set()  # disks whose changes since the last point nobody has counted
        self.count = 0
        self.increments = 0
        self.said = []

    # ---- running commands ----

    def run(self, *words, may_be_cut=True):
        """The result of a command that may be killed, or fail, at one of its fault points."""
        fault = self.chance.choices((None, "kill", "fail"), (8, 2, 1))[0] if may_be_cut else None
        if not fault:
            return self.vm.cli.run(*words, check=False)
        fault = f"{fault}@{self.chance.randrange(1, FAULTS)}"
        self.said.append(fault)
        return self.vm.cli.run(*words, check=False, fault=fault)

    def state(self):
        return self.vm.cli.run("domstate", self.vm.name).data["state"]

    def settle(self):
        """After what may have been cut: QEMU runs, and the writer has its monitor."""
        self.vm.cli.run("recover", self.vm.name)
        self.vm.close()
        self.on = True
        if self.state() == "shutoff":
            self.guest.start()

    def look(self):
        """The disks as others read them while nobody writes."""
        live = self.state() != "shutoff"
        if live:
            for disk in DISKS:
                self.guest.io(disk, "flush")
        return {disk: images.read(source(self.vm, disk), 0, SIZE, live=live) for disk in DISKS}

    def learn(self):
        """What the disks are now is where the log begins."""
        self.writer.rest()
        self.writer.disks = {disk: bytearray(data) for disk, data in self.look().items()}

    # ---- what may happen ----

    def external(self):
        self.count += 1
        name = f"e{self.count}"
        _, instant = self.writer.around(
            lambda: self.run("snapshot-create-as", self.vm.name, name, "--disk-only"))
        self.vm.cli.run("recover", self.vm.name)
        if name in names(self.vm):
            self.snapshots[name] = instant

    def internal(self):
        self.count += 1
        name = f"i{self.count}"
        _, instant = self.writer.around(lambda: self.run("snapshot-create-as", self.vm.name, name))
        self.vm.cli.run("recover", self.vm.name)
        if name in names(self.vm):
            self.snapshots[name] = instant

    def revert(self):
        if not self.snapshots:
            return
        name = self.chance.choice(list(self.snapshots))
        self.writer.rest()
        before = Instant(self.writer.disks, [], 0, 0)
        self.vm.close()
        result = self.run("snapshot-revert", self.vm.name, name, "--paused", "--force")
        self.settle()
        found = self.look()
        reverted = self.snapshots[name].number_of(found) is not None
        if result.status in (0, 14):
            assert reverted, f"{name} is not what it was: {self.story()}"
        else:
            assert reverted or before.number_of(found) == 0, f"neither before nor after: {self.story()}"
        self.lost |= set(DISKS)
        self.learn()

    def delete(self):
        """The writer rests: a job that QEMU is told to complete within one of its writes hangs it.  (The
        writes of a guest are not like that.)"""
        if not self.snapshots:
            return
        name = self.chance.choice(list(self.snapshots))
        self.writer.rest()
        self.run("snapshot-delete", self.vm.name, name)
        self.vm.cli.run("recover", self.vm.name)
        if name not in names(self.vm):
            del self.snapshots[name]

    def stop(self):
        self.writer.rest()
        self.vm.close()
        self.vm.cli.run("destroy", self.vm.name)
        self.on = False

    def restart(self):
        self.stop()
        self.guest.start()
        self.on = True

    def kill(self):
        """What QEMU had not flushed may be gone, and with it the order of the writes."""
        self.vm.kill()
        self.come_back()

    def come_back(self):
        self.writer.rest()
        self.vm.close()
        self.guest.start()
        self.learn()
        self.lost |= set(DISKS)

    def lose_one(self):
        """Somebody takes the counting of one disk away."""
        if not self.points:
            return
        self.stop()
        disk = self.chance.choice(DISKS)
        for path in images.chain(source(self.vm, disk)):
            if list(self.points)[-1] in images.bitmaps(path):
                images.tool("qemu-img", "bitmap", "--remove", path, list(self.points)[-1])
        self.lost.add(disk)
        self.guest.start()
        self.on = True

    def kill_in_backup(self):
        creation = self.vm.cli.start("backup-create", self.vm.name, self.repo, "--bandwidth", "2",
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            creation.wait(timeout=self.chance.uniform(0.05, 0.6))
        except subprocess.TimeoutExpired:
            pass
        self.vm.kill()
        creation.wait(timeout=60)
        # It may have been complete by then, and is one that was not looked at.
        for name in self.listed():
            self.points.setdefault(name, None)
        self.come_back()

    def prune(self):
        self.run("backup-prune", self.repo, "--keep-last", str(self.chance.randint(1, 4)))
        newest = list(self.points)[-1:]
        left = self.listed()
        assert left[-1:] == newest, self.story()
        self.points = {name: self.points[name] for name in left}
        self.check_all()

    EVENTS = ((external, 6), (internal, 2), (revert, 3), (delete, 4), (restart, 2), (kill, 2), (lose_one, 1),
              (kill_in_backup, 1), (prune, 3))

    # ---- points and their judges ----

    def listed(self):
        return [point["name"] for point in self.vm.cli.run("backup-list", self.repo).data["points"]]

    def point(self):
        options = self.chance.choices(((), ("--full",), ("--compress",)), (10, 1, 1))[0]
        if self.chance.random() < 0.12:
            self.stop()
        result, instant = self.writer.around(
            lambda: self.run("backup-create", self.vm.name, self.repo, *options))
        new = [name for name in self.listed() if name not in self.points] if self.repo.exists() else []
        assert len(new) <= 1 and (new or result.status not in (0, 14)), (result, self.story())
        for name in new:
            self.judge(name, instant)
            self.require_kinds(name, options)
            self.lost = set()
        if not self.on:
            self.guest.start()
            self.on = True

    def judge(self, name, instant):
        found = {disk: self.read(name, disk) for disk in DISKS}
        number = instant.number_of(found)
        if number is None:
            alone = {disk: instant.number_of({disk: data}) for disk, data in found.items()}
            raise AssertionError(f"{name}: no instant between {instant.first} and {instant.last}: each alone "
                                 f"{alone}: {self.story()}")
        self.points[name] = {disk: digest(data) for disk, data in found.items()}
        self.restore(name)

    def read(self, name, disk):
        """The point by another program, from the repository's files alone."""
        image, out = self.repo / name / f"{disk}.qcow2", self.work / "seen.raw"
        if self.chance.random() < 0.5:
            images.to_raw(image, out)
        else:
            images.tool("nbdcopy", "--", "[", "qemu-nbd", "-r", "-f", "qcow2", image, "]", out)
        data = out.read_bytes()
        out.unlink()
        return data

    def restore(self, name):
        form = self.chance.choice(("raw", "qcow2"))
        back = self.work / "back"
        back.mkdir()
        self.vm.cli.run("backup-restore", self.repo, name, "--to", back, "--format", form)
        for disk in DISKS:
            path = back / f"{disk}.{form}"
            assert images.digest(path, image_format=form) == self.points[name][disk], (name, disk, self.story())
            path.unlink()
        back.rmdir()

    def require_kinds(self, name, options):
        """An increment is what everything is that nothing stands against."""
        point, = [point for point in self.vm.cli.run("backup-list", self.repo).data["points"]
                  if point["name"] == name]
        kinds = {disk["disk"]: disk["kind"] for disk in point["disks"]}
        self.increments += list(kinds.values()).count("incremental")
        if "--full" in options or len(self.points) == 1:
            return
        for disk in set(DISKS) - self.lost:
            assert kinds[disk] == "incremental", (name, point["disks"], self.story())

    def check_all(self):
        for name, disks in self.points.items():
            for disk, wanted in (disks or {}).items():
                found = images.digest(self.repo / name / f"{disk}.qcow2")
                assert found == wanted, f"{name}: {disk} is not what it was: {self.story()}"
        self.vm.cli.run("backup-verify", self.repo)

    def story(self):
        return f"VMPOINT_ORACLE_SEED={SEED} VMPOINT_ORACLE_POINTS={POINTS}: {' '.join(self.said)}"

    def go_on(self):
        events, weights = zip(*self.EVENTS)
        for _ in range(self.chance.choice((0, 1, 1, 2))):
            if not self.points:
                break
            event = self.chance.choices(events, weights)[0]
            self.said.append(event.__name__)
            event(self)
            if not self.writer.thread:
                self.writer.go()
        self.said.append("point")
        self.point()
        if not self.writer.thread:
            self.writer.go()


@pytest.fixture
def history(make_vm, work):
    vm = make_vm(size=SIZE, memory_mib=64).define()
    history = History(vm, work, random.Random(SEED))
    history.guest.start()
    yield history
    history.writer.stopping.set()


def test_every_point_is_all_disks_at_one_instant(history):
    print(f"VMPOINT_ORACLE_SEED={SEED}")
    history.writer.go()
    for _ in range(POINTS):
        history.go_on()
    history.stop()
    history.check_all()
    # Neither all of them full ones in disguise, nor all cut.
    assert history.increments >= POINTS // 3, history.story()


RING = 32 * 1024


def ring(repo, name, target):
    """The last generations that a guest's writer has put on the disk of a point, in order."""
    lines = images.read(repo / name / f"{target}.qcow2", 0, RING).decode().splitlines()
    return sorted(int(line.split()[1]) for line in lines if line.startswith("generation "))


def test_a_guest_that_writes_all_the_time_finds_one_instant(vm, work):
    """Its writer goes on to the other disk only when the first has what it wrote."""
    repo = work / "repo"
    vm.guest.writer_start(*[disk.device for disk in vm.disks], files=1)

    def point():
        reached = vm.guest.writer_state().generation
        name = vm.cli.run("backup-create", vm.name, repo).data["name"]
        one, two = (ring(repo, name, disk.target) for disk in vm.disks)
        assert one[-1] >= reached and one[-1] - two[-1] in (0, 1), (one, two)
        for numbers in (one, two):
            assert numbers == list(range(numbers[0], numbers[-1] + 1)), "none is missing"
            assert len(numbers) == min(64, numbers[-1] + 1)
        vm.guest.wait_generation(reached + 1)
        return name

    points = [point()]
    vm.cli.run("snapshot-create-as", vm.name, "s1", "--disk-only")
    points.append(point())
    vm.cli.run("snapshot-create-as", vm.name, "s2", "--disk-only", "--diskspec", "vdb,snapshot=no")
    points.append(point())
    for name in ("s1", "s2"):
        vm.cli.run("snapshot-delete", vm.name, name)
        points.append(point())
    assert vm.guest.writer_state().is_one_instant()
    kinds = [disk["kind"] for each in vm.cli.run("backup-list", repo).data["points"] for disk in each["disks"]]
    assert kinds == ["full"] * 2 + ["incremental"] * 8
    before = {name: ring(repo, name, "vdb") for name in points}
    vm.cli.run("backup-prune", repo, "--keep-last", "2")
    assert {name: ring(repo, name, "vdb") for name in points[-2:]} == {name: before[name] for name in points[-2:]}
    vm.cli.run("backup-verify", repo)


def test_the_judge_sees_a_write_that_is_missing(history):
    history.writer.go()
    while not history.points:  # the first ones may be cut
        history.point()
    history.writer.rest()
    name, = history.points
    base = Instant(history.writer.disks, [("vda", 0, 512, 1), ("vdb", 0, 512, 1)], 2, 2)
    with pytest.raises(AssertionError, match="no instant between 2 and 2"):
        history.judge(name, base)
