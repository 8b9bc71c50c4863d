# SPDX-License-Identifier: LGPL-2.1-or-later
"""Targets that are full, gone or slow: the guest goes on, nothing half is left, no dirty bit is lost."""

import contextlib
import itertools
import os
import subprocess
import threading

import pytest
from vmtest import documents, images, world
from vmtest.images import MIB
from vmtest.qmp import QmpRefusal
from vmtest.world import refused

SIZE = 32 * MIB
DISKS = ("vda", "vdb")


class Push:
    """Writes the documents and judges what came of them."""

    def __init__(self, vm, work):
        self.vm, self.work = vm, work

    def target(self, name, disk, folder=None):
        return (folder or self.work) / f"{name}-{disk}"

    def words(self, name, since=None, checkpoint=None, folders=None, disks=DISKS, others=True):
        folders = folders or {}
        rows = "".join(f"<disk name='{disk}' type='file'>"
                       f"<target file='{self.target(name, disk, folders.get(disk))}'/></disk>"
                       for disk in disks)
        if others:
            rows += documents.left_out(set(DISKS) - set(disks))
        return documents.begin(self.vm, self.work / f"{name}.xml", rows, since, checkpoint)

    def take(self, name, *options, **how):
        return self.vm.cli.run(*self.words(name, **how), "--wait", *options)

    def instant(self, disk):
        """The disk as it is, copied by others."""
        out = self.work / f"instant-{disk}.raw"
        out.write_bytes(images.read(world.source(self.vm, disk), 0, SIZE, live=True))
        return out

    def is_exact(self, name, disk, instant=None):
        return images.identical(self.target(name, disk), instant or self.instant(disk))

    def left(self):
        """What a backup may have put into QEMU or beside the disks."""
        nodes = [node[0] for node in world.nodes(self.vm)
                 if any(word in node[0] for word in ("scratch", "filter", "instant", "backup"))]
        return nodes + self.vm.spy.execute("query-jobs") + list(self.work.rglob("*.scratch"))

    def last(self):
        return self.vm.cli.run("domjobinfo", self.vm.name, "--completed").data


@pytest.fixture
def push(make_vm, work):
    """A paused machine with two disks, and who writes in its guest's place."""
    vm = make_vm(size=SIZE).define()
    found = Push(vm, work)
    found.guest = world.StandIn(vm).start()
    return found


def test_a_push_behind_which_the_guest_writes_is_exact(push):
    """With scratch images beside the disks, in a folder, and through snapshots."""
    guest, vm = push.guest, push.vm
    for disk in DISKS:
        guest.write(disk, 0, 8 * MIB, 1)
    instants = {disk: push.instant(disk) for disk in DISKS}
    vm.cli.run(*push.words("full", checkpoint="c1"), "--fleece", "--bandwidth", "1")
    assert len(list(push.work.glob("vm-vd?.qcow2.c1.scratch"))) == 2
    for disk in DISKS:
        guest.write(disk, MIB, 6 * MIB, 2)
        guest.write(disk, 20 * MIB, MIB, 2)
    about = vm.cli.run("domjobinfo", vm.name).data
    assert about["state"] == "running" and about["scratch_used"] >= 6 * MIB, about
    speed(vm, 0)
    vm.cli.run("recover", vm.name)
    finish(vm)
    for disk, instant in instants.items():
        assert push.is_exact("full", disk, instant)
        assert not images.identical(push.target("full", disk), push.instant(disk))
    assert not push.left() and push.last()["state"] == "completed"

    vm.cli.run("snapshot-create-as", vm.name, "s1", "--disk-only")
    guest.write("vda", 30 * MIB, MIB, 3)
    (push.work / "aside").mkdir()
    push.take("one", f"--fleece={push.work}/aside", since="c1", checkpoint="c2")
    for disk in DISKS:
        assert push.is_exact("one", disk)
    assert images.info(push.target("one", "vda"))["actual-size"] < 10 * MIB, "not the whole disk"
    assert not push.left() and not list((push.work / "aside").iterdir())


def speed(vm, bytes_per_second):
    for job in vm.spy.execute("query-jobs"):
        if job["status"] == "running":
            # It may just have ended.
            with contextlib.suppress(QmpRefusal):
                vm.spy.execute("block-job-set-speed",
                               {"device": job["id"], "speed": bytes_per_second})


def finish(vm):
    """Wait until every job has ended, and have the next command settle that."""
    while any(job["status"] != "concluded" for job in vm.spy.execute("query-jobs")):
        vm.spy.wait_event("JOB_STATUS_CHANGE", status="concluded")
    vm.cli.run("recover", vm.name)


@pytest.mark.parametrize("full", ["target", "scratch"])
def test_space_that_ends_fails_the_backup_and_not_the_guest(vm, work, small, full):
    push = Push(vm, work)
    vm.guest.write_pattern("/dev/vda", 0, 8 * MIB, "old")
    push.take("base", checkpoint="c1")
    vm.guest.write_pattern("/dev/vda", 0, 8 * MIB, "older")

    words = push.words("one", since="c1", checkpoint="c2",
                       folders={"vda": small} if full == "target" else {})
    vm.cli.run(*words, f"--fleece={small}" if full == "scratch" else "--fleece", "--bandwidth", "1")
    # Still there, however slowly the guest writes.
    speed(vm, 64 * 1024)
    vm.spy.drain_events()
    vm.guest.write_pattern("/dev/vda", 0, 8 * MIB, "new")
    assert vm.guest.has_pattern("/dev/vda", 0, 8 * MIB, "new"), "each write has succeeded"
    speed(vm, 0)
    finish(vm)
    assert vm.state() == "running" and not vm.spy.pauses(), "and the guest was never stopped"
    about = push.last()
    assert about["state"] == "failed" and "'vda'" in about["error"], about
    assert "no space left" in about["error"].lower(), about
    assert not push.left() and not list(small.iterdir()) and not list(work.glob("one-v*"))
    # No dirty bit is lost: the next increment has it all, and rests on what was there before.
    push.take("two", since="c1")
    images.require_pattern(work / "two-vda", 0, 8 * MIB, "new")


def test_a_guest_that_a_full_target_has_stopped_goes_on(vm, work, small):
    """Without scratch images its write waits for the target; whatever comes next lets it go."""
    push = Push(vm, work)
    vm.guest.write_pattern("/dev/vda", 0, 8 * MIB, "old")
    vm.cli.run(*push.words("one", checkpoint="c1", folders={"vda": small}), "--bandwidth", "1")
    # What fills the target is the guest, not the job.
    speed(vm, 64 * 1024)
    vm.spy.drain_events()
    writes = threading.Thread(target=vm.guest.write_pattern, args=("/dev/vda", 0, 8 * MIB, "new"))
    writes.start()
    vm.spy.wait_event("STOP")
    vm.cli.run("domjobabort", vm.name)
    writes.join(120)
    assert not writes.is_alive() and vm.state() == "running"
    assert vm.guest.has_pattern("/dev/vda", 0, 8 * MIB, "new")
    assert not push.left() and not list(small.iterdir())
    push.take("two", since="c1")
    images.require_pattern(work / "two-vda", 0, 8 * MIB, "new")


def test_one_disk_that_fails_ends_all(push, small):
    push.take("base", checkpoint="c1")
    for disk in DISKS:
        push.guest.write(disk, 0, 16 * MIB, 1)
    said = push.vm.cli.run(*push.words("one", since="c1", checkpoint="c2", folders={"vdb": small}),
                           "--wait", "--fleece", check=False, json=False)
    assert said.status == 13 and "'vdb'" in said.stderr, said
    assert said.stderr.count("\n") == 1, said
    assert not push.left() and not list(small.iterdir()) and not list(push.work.glob("one-v*"))
    push.guest.write("vda", MIB, MIB, 2)
    push.take("two", since="c1")
    assert push.is_exact("two", "vda") and push.is_exact("two", "vdb")


def test_targets_that_cannot_be_are_refused_before_anything_is_done(push, small):
    before = world.look(push.vm, push.work)

    def is_refused(*words, status, says):
        refused(push.vm.cli, *words, status=status, says=says)
        for path in push.work.glob("one*.xml"):
            path.unlink()
        assert world.look(push.vm, push.work) == before

    (small / "one-vda").write_text("precious")
    is_refused(*push.words("one", folders={"vda": small}), "--fleece", status=4, says=("one-vda",))
    is_refused(*push.words("one"), f"--fleece={push.work}/none", status=3, says=("none",))
    if os.geteuid() == 0:
        subprocess.run(["mount", "-o", "remount,ro", small], check=True)
        is_refused(*push.words("one", folders={"vdb": small}), status=13, says=("Read-only",))
    document = push.work / "one.xml"
    document.write_text("<domainbackup><disks><disk name='vda' type='file'><driver type='raw'/>"
                        f"<target file='{push.work}/raw'/></disk></disks></domainbackup>")
    is_refused("backup-begin", push.vm.name, document, "--compress", status=2, says=("'vda'", "qcow2"))
    document.write_text("<domainbackup mode='pull'><server transport='unix' socket='/x'/></domainbackup>")
    for option in ("--fleece", "--compress", "--bandwidth=3"):
        document.write_text("<domainbackup mode='pull'><server transport='unix' socket='/x'/>"
                            "</domainbackup>")
        is_refused("backup-begin", push.vm.name, document, option, status=2, says=("pull",))
    is_refused(*push.words("one"), "--bandwidth=fast", status=2, says=("'fast'",))


def test_a_domain_that_is_off_has_no_guest_to_wait_for(make_vm, work):
    vm = make_vm(size=SIZE).define()
    push = Push(vm, work)
    images.write_pattern(vm.disks[0].path, 0, 2 * MIB, "off")
    push.take("full", "--fleece", "--compress")
    images.require_pattern(work / "full-vda", 0, 2 * MIB, "off")
    assert not list(work.rglob("*.scratch"))


def test_a_disk_with_a_thread_of_its_own_and_a_guest_that_writes(make_vm, work):
    vm = make_vm(disks=1, elements=["<iothreads>1</iothreads>"])
    vm.disks[0].driver["iothread"] = "1"
    vm.define().start()
    push = Push(vm, work)
    assert vm.spy.execute("query-iothreads")
    vm.guest.write_pattern("/dev/vda", 0, 8 * MIB, "old")
    vm.cli.run(*push.words("one", disks=("vda",), others=False), "--fleece", "--bandwidth", "1")
    speed(vm, 64 * 1024)
    vm.guest.write_pattern("/dev/vda", 0, 8 * MIB, "new")
    speed(vm, 0)
    finish(vm)
    assert push.last()["state"] == "completed" and not push.left()
    images.require_pattern(work / "one-vda", 0, 8 * MIB, "old")
    assert vm.guest.has_pattern("/dev/vda", 0, 8 * MIB, "new")
    vm.cli.run("backup-create", vm.name, work / "repo", "--fleece")
    (point,) = [path for path in (work / "repo").iterdir() if path.is_dir()]
    (copied,) = point.glob("*vda*.qcow2")
    images.require_pattern(copied, 0, 8 * MIB, "new")
    assert not push.left()


@pytest.mark.parametrize("fault", ["kill", "fail"])
def test_a_push_that_is_cut_is_gone_or_whole(push, fault):
    """Killed at every point, or failed; a target is there and exact, or nothing is."""
    push.guest.write("vda", 0, MIB, 1)
    push.take("base", checkpoint="c1")
    for n in itertools.count(1):
        push.guest.write("vda", n * 64 * 1024, 64 * 1024, n)
        instant = push.instant("vda")
        done = push.vm.cli.run(*push.words(f"b{n}", since="c1", checkpoint=f"k{n}", disks=("vda",)),
                               "--wait", "--fleece", check=False, fault=f"{fault}@{n}")
        # One that began runs on in QEMU, and is settled when it has ended.
        finish(push.vm)
        assert not push.left(), f"cut at {n}"
        if (push.work / f"b{n}-vda").exists():
            assert push.is_exact(f"b{n}", "vda", instant), f"cut at {n}"
        if done.status == 0:
            break
        if f"k{n}" in world.names(push.vm, "checkpoint"):
            push.vm.cli.run("checkpoint-delete", push.vm.name, f"k{n}")
    assert n > 8 and push.is_exact(f"b{n}", "vda", instant)
    marks = {bitmap for *_, bitmaps in world.nodes(push.vm) for bitmap in bitmaps}
    assert marks == {"c1", f"k{n}"}
