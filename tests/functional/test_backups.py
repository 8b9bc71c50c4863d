# SPDX-License-Identifier: LGPL-2.1-or-later
"""Backups: full ones and increments, judged byte by byte by qemu-img and libnbd."""

import contextlib
import subprocess

import pytest
from vmtest import documents, images, world
from vmtest.images import MIB
from vmtest.qmp import QmpRefusal
from vmtest.world import holds, names, refused, source

SIZE = 32 * MIB


class Backups:
    """Writes the documents, in the words of libvirt."""

    def __init__(self, vm, work):
        self.vm, self.work = vm, work

    def target(self, name, disk, folder=None):
        return (folder or self.work) / f"{name}-{disk}"

    def words(self, name, since=None, checkpoint=None, disks=("vda", "vdb"), image_format="qcow2",
              folder=None):
        rows = "".join(
            f"<disk name='{disk}' type='file'><driver type='{image_format}'/>"
            f"<target file='{self.target(name, disk, folder)}'/></disk>" for disk in disks)
        rows += documents.left_out({"vda", "vdb"} - set(disks))
        return documents.begin(self.vm, self.work / f"{name}.xml", rows, since, checkpoint)

    def take(self, name, *options, **how):
        return self.vm.cli.run(*self.words(name, **how), "--wait", *options)

    def instant(self, target):
        """The disk as it is, copied by others."""
        out = self.work / f"instant-{target}.raw"
        with out.open("wb") as file:
            file.write(images.read(source(self.vm, target), 0, SIZE, live=True))
        return out


@pytest.fixture
def backups(off, work):
    return Backups(off, work)


def info(vm, *options):
    return vm.cli.run("domjobinfo", vm.name, *options).data


def jobs(vm):
    return vm.spy.execute("query-jobs")


def test_increments_are_whole_across_snapshot_and_revert(made, work, backups):
    vm, guest = made
    guest.write("vda", 0, 4 * MIB, 1)
    guest.write("vdb", 0, MIB, 1)
    backups.take("full", checkpoint="c1")
    guest.write("vda", MIB, MIB, 2)
    vm.cli.run("snapshot-create-as", vm.name, "s1", "--disk-only")
    guest.write("vda", 2 * MIB, MIB, 3)
    backups.take("one", since="c1", checkpoint="c2")
    assert images.identical(work / "one-vda", backups.instant("vda")), "it opens by itself, whole"
    assert images.chain(work / "one-vda") == [work / "one-vda", work / "full-vda"]
    assert images.identical(work / "one-vdb", backups.instant("vdb"))

    vm.cli.run("snapshot-revert", vm.name, "s1", "--paused")
    guest.write("vda", 8 * MIB, MIB, 4)
    backups.take("two", since="c1")
    assert images.identical(work / "two-vda", backups.instant("vda"))
    # c2 began in the branch that was left: what it was the beginning of is copied whole.
    said = vm.cli.run(*backups.words("three", since="c2"), "--wait", check=False, json=False)
    assert said.status == 14 and "'vda'" in said.stderr and "'c2'" in said.stderr, said
    assert images.identical(work / "three-vda", backups.instant("vda"))
    assert images.chain(work / "three-vda") == [work / "three-vda"]

    allocated = int(images.tool("qemu-img", "map", "--output=json", work / "two-vda")
                    .stdout.count('"depth": 0'))
    assert allocated, "an increment holds something itself"
    assert images.info(work / "two-vda")["actual-size"] < 3 * MIB, "and not the whole disk"
    assert world.names(vm, "checkpoint") == ["c1", "c2"]
    assert not jobs(vm)
    assert info(vm, "--completed")["state"] == "completed"
    # What one backup needed does not stay in QEMU.
    assert {bitmap for *_, bitmaps in world.nodes(vm) for bitmap in bitmaps} <= {"c1", "c2"}
    assert not [node for node in world.nodes(vm) if "two" in node[2] or "full" in node[2]]


def test_a_domain_that_is_off_is_backed_up_as_well(off, work, backups):
    images.write_pattern(work / "vm-vda.qcow2", 0, 2 * MIB, "off")
    backups.take("full", checkpoint="c1")
    images.require_pattern(work / "full-vda", 0, 2 * MIB, "off")
    images.write_pattern(work / "vm-vda.qcow2", 4 * MIB, MIB, "more")
    backups.take("incr", since="c1")
    assert images.identical(work / "incr-vda", work / "vm-vda.qcow2")
    assert images.info(work / "incr-vda")["actual-size"] < 2 * MIB
    images.check(work / "vm-vda.qcow2")
    assert set(images.bitmaps(work / "vm-vda.qcow2")) == {"c1"}


def test_raw_targets_chosen_disks_and_prepared_files(made, work, backups):
    vm, guest = made
    guest.write("vda", MIB, MIB, 5)
    guest.write("vdb", MIB, MIB, 6)
    backups.take("raw", image_format="raw", disks=("vda",))
    assert (work / "raw-vda").stat().st_size == SIZE
    assert images.tool("qemu-img", "compare", "-f", "raw", "-F", "raw", work / "raw-vda",
                       backups.instant("vda"))
    assert not (work / "raw-vdb").exists()

    images.create(work / "mine-vdb", SIZE, options=("cluster_size=2M",))
    backups.take("mine", "--reuse-external", disks=("vdb",))
    assert images.info(work / "mine-vdb")["cluster-size"] == 2 * MIB
    assert holds(work / "mine-vdb", MIB, MIB, 6)


def test_a_target_that_exists_is_never_written_to(made, work, backups):
    vm, guest = made
    (work / "full-vdb").write_text("precious")
    before = world.look(vm, work)
    refused(vm.cli, *backups.words("full", checkpoint="c1"), "--wait", status=4,
            says=("vm", "full-vdb"))
    (work / "full.xml").unlink()
    assert world.look(vm, work) == before
    assert (work / "full-vdb").read_text() == "precious"


def start_and_hold(vm, backups, name, **how):
    """Begin a backup that stands nearly still: its jobs are throttled from beside vmpoint.

    The kernel copies quickly: a job that got away is cleaned up after, and another one begun.
    """
    for _ in range(20):
        vm.spy.drain_events()
        command = vm.cli.start(*backups.words(name, **how), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
        for _ in vm.disks:
            job = vm.spy.wait_event("JOB_STATUS_CHANGE", status="running")["data"]["id"]
            with contextlib.suppress(QmpRefusal):
                vm.spy.execute("block-job-set-speed", {"device": job, "speed": 64 * 1024})
        assert command.wait(60) == 0
        # What is in flight still gets through: half of it must be left.
        if all(job["status"] == "running" and job["current-progress"] * 2 < job["total-progress"]
               for job in jobs(vm)):
            return
        for job in jobs(vm):
            if job["status"] == "running":
                vm.spy.execute("block-job-set-speed", {"device": job["id"], "speed": 0})
        while any(job["status"] != "concluded" for job in jobs(vm)):
            vm.spy.wait_event("JOB_STATUS_CHANGE", status="concluded")
        vm.cli.run("recover", vm.name)
        for path in backups.work.glob(f"{name}-v*"):
            path.unlink()
        if "checkpoint" in how:
            vm.cli.run("checkpoint-delete", vm.name, how["checkpoint"])
    pytest.fail("twenty backups were done before they could be throttled")


@pytest.fixture
def large(make_vm):
    """A paused machine whose disks have enough in them for a backup to take a while."""
    vm = make_vm(size=512 * MIB).define()
    guest = world.StandIn(vm).start()
    for disk in ("vda", "vdb"):
        guest.write(disk, 0, 416 * MIB, 1)
    return vm, guest


def test_an_abort_leaves_no_target_and_keeps_what_is_dirty(large, work):
    vm, guest = large
    backups = Backups(vm, work)
    backups.take("full", checkpoint="c1")
    for disk in ("vda", "vdb"):
        guest.write(disk, 0, 384 * MIB, 2)
    start_and_hold(vm, backups, "incr", since="c1", checkpoint="c2")

    running = info(vm)
    assert (running["state"], running["operation"]) == ("running", "Backup")
    assert 0 <= running["processed"] < running["total"]
    assert "incr-vda" in vm.cli.run("backup-dumpxml", vm.name).data["xml"]
    refused(vm.cli, *backups.words("second"), status=5, says=("vm", "backup"))
    refused(vm.cli, "snapshot-revert", vm.name, "none", status=3, says=("'none'",))
    assert not list(work.glob("second-v*"))

    vm.cli.run("domjobabort", vm.name)
    assert not jobs(vm)
    assert info(vm, "--completed")["state"] == "cancelled" and info(vm)["state"] == "none"
    assert not list(work.glob("incr-v*"))
    refused(vm.cli, "domjobabort", vm.name, status=3, says=("vm", "no job"))

    guest.write("vda", 450 * MIB, MIB, 3)
    backups.take("again", since="c1")
    for target in ("vda", "vdb"):
        assert holds(work / f"again-{target}", 0, 384 * MIB, 2), "dirty bits were kept"
        assert holds(work / f"again-{target}", 384 * MIB, 32 * MIB, 1)
    assert holds(work / "again-vda", 450 * MIB, MIB, 3)


def test_a_backup_fails_with_its_process(large, work):
    vm, _ = large
    backups = Backups(vm, work)
    start_and_hold(vm, backups, "dead", checkpoint="c1")
    assert (work / "dead-vda").exists()
    vm.kill()
    vm.close()
    vm.cli.run("recover", vm.name)
    ended = info(vm, "--completed")
    assert ended["state"] == "failed" and "process" in ended["error"], ended
    assert not list(work.glob("dead-v*"))


def test_a_full_target_fails_the_backup_of_a_domain_that_is_off(off, work, small, backups):
    images.write_pattern(work / "vm-vda.qcow2", 0, 16 * MIB, "data")
    said = refused(off.cli, *backups.words("full", checkpoint="c1", folder=small), status=13,
                   says=("vm", "vda", "No space left"))
    assert "backup failed" in said
    assert not list(small.iterdir())
    assert info(off, "--completed")["state"] == "failed"
    images.check(work / "vm-vda.qcow2")
    backups.take("again", checkpoint="c2")
    images.require_pattern(work / "again-vda", 0, 16 * MIB, "data")


def test_a_full_target_fails_the_backup_and_leaves_nothing(made, work, small, backups):
    vm, guest = made
    guest.write("vda", 0, 16 * MIB, 1)
    said = vm.cli.run(*backups.words("full", checkpoint="c1", folder=small), "--wait",
                      check=False, json=False)
    assert said.status == 13, said
    assert "vda" in said.stderr and "No space left" in said.stderr
    assert said.stderr.count("\n") == 1, said
    assert not list(small.iterdir())
    assert not jobs(vm)
    assert info(vm, "--completed")["state"] == "failed"
    assert vm.cli.run("domstate", vm.name).data["state"] == "paused"
    guest.write("vda", 0, MIB, 2)
    backups.take("again", checkpoint="c2")
    assert images.identical(work / "again-vda", backups.instant("vda"))


def test_restore_names_and_full_disks(off, work, small, backups, vmpoint, monkeypatch):
    images.write_pattern(work / "vm-vda.qcow2", 0, 8 * MIB, "data")
    backups.take("full")
    # None of these names is an option, a protocol or a list of options.
    folder = work / "names"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("nbd:x", "-x", "json:{}", "a,b=c"):
        (folder / name).write_bytes((work / "full-vda").read_bytes())
        vmpoint.run("backup-restore", "--chain", "--format", "raw", f"--to={name}.out", "--", name)
        images.require_pattern(folder / f"{name}.out", 0, 8 * MIB, "data", image_format="raw")
    refused(vmpoint, "backup-restore", "--chain", work / "full-vda", "--to", small / "out",
            status=13, says=(small / "out", "No space left"))
    assert not list(small.iterdir())
    refused(vmpoint, "backup-restore", "--chain", work / "full-vda", "--to", work / "vm-vda.qcow2",
            status=4, says=("vm-vda.qcow2",))
    refused(vmpoint, "backup-restore", "--chain", work / "none", "--to", work / "new", status=3,
            says=(work / "none",))
    (work / "cut").write_bytes((work / "full-vda").read_bytes()[:5000])
    refused(vmpoint, "backup-restore", "--chain", work / "cut", "--to", work / "new", status=12,
            says=(work / "cut",))
    assert not (work / "new").exists() and not list(work.glob("*.restoring"))


@pytest.mark.parametrize("document, status, says", [
    ("<domainbackup><incremental>none</incremental></domainbackup>", 3, "'none'"),
    ("<domainbackup><disks><disk name='vdx' type='file'/></disks></domainbackup>", 3, "vdx"),
    ("<domainbackup><disks><disk name='vda' type='file'/><disk name='vda' type='file'/></disks></domainbackup>", 2, "vda"),
    ("<domainbackup mode='sideways'/>", 2, "sideways"),
    ("<domainsnapshot/>", 2, "domainbackup"),
], ids=["unknown-checkpoint", "unknown-disk", "a-disk-twice", "unknown-mode", "another-document"])
def test_a_backup_that_cannot_be_is_refused(off, work, vmpoint, document, status, says):
    before = world.look(off, work)
    refused(vmpoint, "backup-begin", off.name, "-", stdin=document, status=status,
            says=(says,))
    assert world.look(off, work) == before
    assert names(off, "checkpoint") == []


def test_what_else_may_be_done_while_a_backup_runs(large, work):
    vm, guest = large
    backups = Backups(vm, work)
    vm.cli.run("snapshot-create-as", vm.name, "s1", "--disk-only")
    guest.write("vda", 0, MIB, 2)
    start_and_hold(vm, backups, "held", checkpoint="c1")
    before = (names(vm), source(vm), sorted(path.name for path in work.glob("vm-vd*")))
    for words in (["snapshot-revert", vm.name, "s1", "--paused"], ["snapshot-revert", vm.name, "s1"],
                  ["snapshot-create-as", vm.name, "s2", "--disk-only"],
                  ["snapshot-delete", vm.name, "s1"]):
        refused(vm.cli, *words, status=5, says=("vm", "backup"))
    assert (names(vm), source(vm), sorted(path.name for path in work.glob("vm-vd*"))) == before
    assert len([job for job in jobs(vm) if job["status"] == "running"]) == 2

    # What the guest writes meanwhile is in the increment, not in this backup.
    guest.write("vda", 0, MIB, 3)
    vm.cli.run("checkpoint-create-as", vm.name, "c2")
    for job in jobs(vm):
        vm.spy.execute("block-job-set-speed", {"device": job["id"], "speed": 0})
    while any(job["status"] != "concluded" for job in jobs(vm)):
        vm.spy.wait_event("JOB_STATUS_CHANGE", status="concluded")
    vm.cli.run("checkpoint-delete", vm.name, "c2")
    assert info(vm, "--completed")["state"] == "completed"
    assert holds(work / "held-vda", 0, MIB, 2)
    backups.take("incr", since="c1")
    assert holds(work / "incr-vda", 0, MIB, 3) and holds(work / "incr-vda", MIB, MIB, 1)
