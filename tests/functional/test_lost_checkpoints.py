# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checkpoints that lost what they recorded: named, and never a silent miss.

Whatever happened, a backup since such a checkpoint holds every byte: the disk
that cannot tell what changed is copied whole, and the others are not.
"""

import dataclasses
import json
import subprocess

import pytest
from vmtest import images, world
from vmtest.domain import Disk
from vmtest.images import MIB
from vmtest.world import names, refused, source

SIZE = 16 * MIB


def kill_writer(path):
    """Has a QEMU of somebody else write to the image, and be killed."""
    image = f"driver=qcow2,node-name=disk,file.driver=file,file.filename={path}"
    with subprocess.Popen(["qemu-storage-daemon", "--blockdev", image, "--chardev", "stdio,id=monitor",
                           "--monitor", "chardev=monitor"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as writer:
        assert b"QMP" in writer.stdout.readline()
        writer.kill()


class Increments:
    """Takes backups, each with a checkpoint of its own, and has them judged."""

    def __init__(self, vm, work):
        self.vm, self.work = vm, work
        self.count = 0

    def words(self, since=None, disks="", checkpoint=None):
        """disks: rows of the document; without any, every disk is meant."""
        self.count += 1
        until = checkpoint or f"c{self.count}"
        backup, mark = self.work / "backup.xml", self.work / "checkpoint.xml"
        increment = f"<incremental>{since}</incremental>" if since else ""
        rows = f"<disks>{disks}</disks>" if disks else ""
        backup.write_text(f"<domainbackup>{increment}{rows}</domainbackup>")
        mark.write_text(f"<domaincheckpoint><name>{until}</name></domaincheckpoint>")
        return until, ["backup-begin", self.vm.name, backup, mark, "--wait"]

    def take(self, since=None, demoted=()):
        """What warnings say of each disk that became a full one; all else fails the test."""
        until, words = self.words(since)
        before = {disk.target: source(self.vm, disk.target) for disk in self.vm.disks}
        done = self.vm.cli.run(*words, check=False)
        warnings = [row["warning"] for row in map(json.loads, done.stderr.splitlines())
                    if "warning" in row]
        assert done.status == (14 if demoted else 0), done
        assert len(warnings) == len(demoted), warnings
        for disk, sentence in zip(demoted, warnings):
            assert f"'{disk}'" in sentence and f"'{since}'" in sentence and "full" in sentence, sentence
        for target, path in before.items():
            self.judge(target, path, f"{path}.{until}", full=not since or target in demoted)
        return until, warnings

    def judge(self, target, path, copy, full):
        """The backup is the disk; an increment rests on the one before, and holds less."""
        live = self.work / "instant.raw"
        live.write_bytes(images.read(path, 0, None, live=True,
                                     image_format=images.info(path, live=True)["format"]))
        assert images.tool("qemu-img", "compare", "-F", "raw", copy, live, allowed=(0, 1)).returncode == 0, \
            f"{target}: the backup is not what the disk was"
        assert len(images.chain(copy)) == 1 if full else len(images.chain(copy)) > 1, (target, copy)


def states(vm, name):
    """Which disks a checkpoint can still tell of, in both places that say it."""
    info = vm.cli.run("checkpoint-info", vm.name, name).data["disks"]
    listed = {row["name"]: row["disks"] for row in vm.cli.run("checkpoint-list", vm.name).data}
    assert listed[name] == info
    assert all(bool(disk["reason"]) == (disk["state"] != "tracked") for disk in info), info
    return {disk["disk"]: disk["state"] for disk in info}


def stop(vm):
    vm.cli.run("destroy", vm.name)
    vm.close()


def kill(vm):
    vm.kill()
    vm.close()


def bitmaps(vm):
    return {bitmap["name"] for node in vm.spy.execute("query-named-block-nodes", {"flat": True})
            for bitmap in node.get("dirty-bitmaps", [])}


@pytest.mark.parametrize("start_first", [True, False], ids=["running", "off"])
def test_writes_before_a_kill_are_in_the_next_increment(made, work, start_first):
    """The layer below has a clean bitmap; its twin above was in memory only."""
    vm, guest = made
    guest.write("vda", 0, 4 * MIB, 1)
    increments = Increments(vm, work)
    first, _ = increments.take()
    guest.write("vda", MIB, MIB, 2)
    vm.cli.run("snapshot-create-as", vm.name, "s1", "--disk-only", "--diskspec", "vdb,snapshot=no")
    guest.write("vda", 2 * MIB, MIB, 3)
    kill(vm)
    assert first in images.bitmaps(work / "vm-vda.qcow2"), "the lower image has it, clean"
    assert not images.bitmaps(work / "vm-vda.s1")

    if start_first:
        guest.start()
    assert states(vm, first) == {"vda": "broken", "vdb": "broken"}
    until, warnings = increments.take(first, demoted=("vda", "vdb"))
    assert "'" + str(work / "vm-vda.s1") + "'" in warnings[0]
    if not start_first:
        guest.start()
    guest.write("vda", 3 * MIB, MIB, 4)
    assert states(vm, until) == {"vda": "tracked", "vdb": "tracked"}
    increments.take(until)


def without(element):
    """The definition with a file that is not there."""
    return lambda domain: domain.xml().replace(f"<{element}>", f"<{element}>/nonexistent")


def with_a_wrong_device(domain):
    arguments = [*domain.arguments, "-device", "pci-serial,chardev=nonexistent"]
    return dataclasses.replace(domain, arguments=arguments).xml()


@pytest.mark.parametrize("break_it", [without("kernel"), without("initrd"), with_a_wrong_device],
                         ids=["kernel", "initrd", "device"])
def test_a_start_that_fails_loses_no_increment(made, work, break_it):
    vm, guest = made
    guest.write("vda", 0, MIB, 1)
    increments = Increments(vm, work)
    first, _ = increments.take()
    guest.write("vda", 2 * MIB, MIB, 2)
    guest.write("vdb", MIB, MIB, 3)
    stop(vm)
    # A mark that is there for a reason stays: somebody has written to vdb and not closed it.
    kill_writer(work / "vm-vdb.qcow2")

    sound = work / "vm.xml"
    sound.write_text(vm.domain.xml())
    (work / "broken.xml").write_text(break_it(vm.domain))
    vm.cli.run("define", work / "broken.xml")
    before = {path: path.read_bytes() for path in (work / "vm-vda.qcow2", work / "vm-vdb.qcow2")}
    for _ in range(2):
        failed = vm.cli.run("start", vm.name, check=False)
        assert failed.status != 0 and "did not start" in failed.stderr, failed
    for path, content in before.items():
        assert path.read_bytes() == content, path
    assert "in-use" not in images.bitmaps(work / "vm-vda.qcow2")[first]["flags"]
    assert "in-use" in images.bitmaps(work / "vm-vdb.qcow2")[first]["flags"]

    vm.cli.run("define", sound)
    guest.start()
    guest.write("vda", 4 * MIB, MIB, 4)
    increments.take(first, demoted=("vdb",))


def test_an_inconsistent_bitmap_is_cleared_away_and_only_its_disk_is_full(made, work):
    vm, guest = made
    guest.write("vda", 0, MIB, 1)
    increments = Increments(vm, work)
    first, _ = increments.take()
    stop(vm)
    guest.start()
    guest.write("vda", MIB, MIB, 2)
    # vdb goes into a new layer, which leaves the bitmap below in order; a guest that is reset to it
    # has lost nothing.
    vm.cli.run("snapshot-create-as", vm.name, "s1", "--disk-only", "--diskspec", "vda,snapshot=no")
    kill(vm)
    assert "in-use" in images.bitmaps(work / "vm-vda.qcow2")[first]["flags"]
    assert states(vm, first) == {"vda": "broken", "vdb": "broken"}
    said = vm.cli.text("checkpoint-info", vm.name, first)
    assert "vda is broken" in said and "not closed properly" in said, said

    guest.start()
    assert vm.cli.run("recover", vm.name).data == {"settled": []}
    about = {disk["disk"]: disk for disk in vm.cli.run("checkpoint-info", vm.name, first).data["disks"]}
    assert "was lost" in about["vda"]["reason"] and "vm-vda.qcow2" in about["vda"]["reason"]
    assert first not in {bitmap["name"] for node in
                         vm.spy.execute("query-named-block-nodes", {"flat": True})
                         if node["file"] == source(vm) for bitmap in node.get("dirty-bitmaps", [])}
    vm.cli.run("snapshot-revert", vm.name, "s1", "--paused", "--force")
    assert states(vm, first) == {"vda": "broken", "vdb": "tracked"}
    guest.write("vdb", MIB, MIB, 3)
    increments.take(first, demoted=("vda",))
    assert vm.cli.text("checkpoint-dumpxml", vm.name, first)
    # The layer of the revert stands on an image that QEMU had opened by itself.
    vm.cli.run("checkpoint-delete", vm.name, first)
    assert bitmaps(vm) == {"c2"}


def test_a_disk_that_insists_is_refused_instead(made, work):
    vm, guest = made
    increments = Increments(vm, work)
    first, _ = increments.take()
    guest.write("vda", MIB, MIB, 2)
    kill(vm)
    for insisting in ("backupmode='incremental'", f"incremental='{first}'"):
        before = world.look(vm, work)
        _, words = increments.words(first, disks=f"""
            <disk name='vda' type='file' {insisting}><target file='{work}/x-vda'/></disk>
            <disk name='vdb' type='file'><target file='{work}/x-vdb'/></disk>""")
        refused(vm.cli, *words, status=10, says=("vm", "'vda'", f"'{first}'"))
        assert world.look(vm, work) == before
        assert not list(work.glob("x-*"))
    assert names(vm, "checkpoint") == [first]


def test_a_resized_disk_is_a_full_one(made, work):
    vm, guest = made
    guest.write("vda", 0, SIZE, 1)
    increments = Increments(vm, work)
    first, _ = increments.take()
    node = {row["file"]: row["node-name"] for row in
            vm.spy.execute("query-named-block-nodes", {"flat": True}) if row["drv"] == "qcow2"}
    vm.spy.execute("block_resize", {"node-name": node[source(vm)], "size": 2 * SIZE})
    guest.write("vda", SIZE, MIB, 2)
    assert states(vm, first) == {"vda": "broken", "vdb": "tracked"}
    until, warnings = increments.take(first, demoted=("vda",))
    assert str(SIZE) in warnings[0] and str(2 * SIZE) in warnings[0]
    # Offline, and smaller than when the snapshot's layer was made.
    vm.cli.run("snapshot-create-as", vm.name, "s1", "--disk-only")
    stop(vm)
    images.tool("qemu-img", "resize", source(vm, "vdb"), 2 * SIZE)
    increments.take(until, demoted=("vdb",))


def test_disks_that_were_replaced_added_and_removed(make_vm, work):
    vm = make_vm(size=SIZE, disks=3).define()
    guest = world.StandIn(vm).start()
    for disk in ("vda", "vdb", "vdc"):
        guest.write(disk, 0, MIB, 1)
    increments = Increments(vm, work)
    first, _ = increments.take()
    guest.write("vda", MIB, MIB, 2)
    stop(vm)

    # vdb holds another image of the same name, vdc is gone, vdd is new.
    (work / "vm-vdb.qcow2").unlink()
    images.create(work / "vm-vdb.qcow2", SIZE)
    images.write_pattern(work / "vm-vdb.qcow2", 8 * MIB, MIB, "other")
    images.create(work / "new.qcow2", SIZE)
    images.write_pattern(work / "new.qcow2", 0, MIB, "new")
    vm.domain.disks[2] = Disk(work / "new.qcow2", "vdd")
    vm.define()
    for start in (False, True):
        if start:
            guest.start()
        assert states(vm, first) == {"vda": "tracked", "vdb": "broken", "vdc": "gone"}
        _, warnings = increments.take(first, demoted=("vdb", "vdd"))
        assert "not part of" in warnings[1], warnings
    # The image in which it began is not under the disk any more.
    stop(vm)
    images.tool("qemu-img", "convert", "-O", "qcow2", "--bitmaps", work / "vm-vda.qcow2", work / "moved.qcow2")
    vm.domain.disks[0] = Disk(work / "moved.qcow2", "vda")
    vm.define()
    assert states(vm, first)["vda"] == "broken"
    increments.take(first, demoted=("vda", "vdb", "vdd"))


def test_an_internal_revert_is_told(off, work):
    vm = off
    guest = world.StandIn(vm)
    images.write_pattern(work / "vm-vda.qcow2", 0, MIB, "past")
    vm.cli.run("snapshot-create-as", vm.name, "s1")
    increments = Increments(vm, work)
    first, _ = increments.take()
    images.write_pattern(work / "vm-vda.qcow2", MIB, MIB, "present")
    refused(vm.cli, "snapshot-revert", vm.name, "s1", status=11, says=(f"{first}",))
    vm.cli.run("snapshot-revert", vm.name, "s1", "--force", check=False)
    assert states(vm, first) == {"vda": "broken", "vdb": "broken"}
    until, _ = increments.take(first, demoted=("vda", "vdb"))
    guest.start()
    guest.write("vda", 2 * MIB, MIB, 3)
    increments.take(until)


def test_a_merged_layer_takes_the_beginning_along(made, work):
    vm, guest = made
    guest.write("vda", 0, MIB, 1)
    vm.cli.run("snapshot-create-as", vm.name, "s1", "--disk-only")
    increments = Increments(vm, work)
    first, _ = increments.take()
    guest.write("vda", MIB, MIB, 2)
    vm.cli.run("snapshot-delete", vm.name, "s1")
    assert states(vm, first) == {"vda": "tracked", "vdb": "tracked"}
    guest.write("vda", 2 * MIB, MIB, 3)
    increments.take(first)


@pytest.mark.parametrize("image_format, options", [("raw", ()), ("qcow2", ("compat=0.10",))],
                         ids=["raw", "qcow2-of-old"])
def test_what_keeps_no_bitmaps_is_tracked_until_qemu_ends(make_vm, work, image_format, options):
    vm = make_vm(size=SIZE)
    disk = Disk(images.create(work / "old.img", SIZE, image_format, options=options), "vdb",
                format=image_format)
    vm.domain.disks[1] = disk
    guest = world.StandIn(vm.define()).start()
    for target in ("vda", "vdb"):
        guest.write(target, 0, MIB, 1)
    increments = Increments(vm, work)
    first, _ = increments.take()
    assert states(vm, first) == {"vda": "tracked", "vdb": "tracked"}
    guest.write("vdb", MIB, MIB, 2)
    second, _ = increments.take(first)
    # An overlay keeps what is written to it; what was recorded below ends with QEMU all the same.
    vm.cli.run("snapshot-create-as", vm.name, "s1", "--disk-only")
    guest.write("vdb", 2 * MIB, MIB, 3)
    third, _ = increments.take(second)
    guest.write("vdb", 3 * MIB, MIB, 4)

    stop(vm)
    for start in (False, True):
        if start:
            guest.start()
        assert states(vm, second) == {"vda": "tracked", "vdb": "broken"}
        assert states(vm, third) == {"vda": "tracked", "vdb": "tracked"}
        reasons = [disk["reason"] for disk in
                   vm.cli.run("checkpoint-info", vm.name, second).data["disks"]]
        assert "keeps no bitmaps" in reasons[1] and "old.img" in reasons[1]
    increments.take(third)
    increments.take(second, demoted=("vdb",))
    for name in (first, second, third):
        vm.cli.run("checkpoint-delete", vm.name, name)
