# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reverts to internal snapshots in images that the disks do not write to any more.

Whatever was frozen since is read in full after each of them, and the images themselves say which
internal snapshots are in them.
"""

import itertools

import pytest
from test_delete import SIZE
from test_delete_mixed import Mixed
from vmtest import images, world
from vmtest.images import MIB
from vmtest.world import names, refused

DAMAGED, INCONSISTENT, WARNED = 12, 10, 14
MOST = 90


class Below(Mixed):
    def back(self, name, *options):
        self.vm.cli.run("snapshot-revert", self.vm.name, name, *options)
        assert self.present() == self.frozen[name], f"this is not {name}"
        assert self.vm.cli.text("snapshot-current", self.vm.name, "--name").strip() == name
        self.write()
        self.check(*names(self.vm))
        self.check_headers()
        assert findings(self.vm) == []
        return self


def findings(vm):
    return [row["code"] for row in vm.cli.run("fsck", vm.name, check=False).data]


def state(vm):
    return vm.cli.run("domstate", vm.name).data["state"]


@pytest.fixture(params=["off", "paused"])
def tree(request, make_vm):
    return Below(make_vm(size=SIZE).define(), request.param)


@pytest.fixture
def off(make_vm):
    return Below(make_vm(size=SIZE).define(), "off")


@pytest.fixture
def paused(make_vm):
    return Below(make_vm(size=SIZE).define(), "paused")


def test_below_an_overlay(tree):
    tree.internal("i1", "i2").snapshot("e1", "e2")
    tree.back("i1")
    assert tree.tags("qcow2") == ["i1", "i2"] and tree.tags("i1-1") == []
    assert tree.layers() == ["e1", "i1-1", "qcow2"] and tree.chain() == ["i1-1"]
    # And from there to wherever one likes, and to the same again.
    tree.revert("e2")
    tree.back("i2").back("i1").revert("e1")
    assert tree.tags("qcow2") == ["i1", "i2"]
    assert tree.layers() == ["e1", "e1-1", "qcow2"], "what was left is gone"


def test_in_a_branch_that_was_left(tree):
    tree.snapshot("e1").internal("i1")
    tree.revert("e1").snapshot("e2")
    tree.back("i1")
    assert tree.chain() == ["i1-1", "qcow2"] and tree.tags("e1") == ["i1"]
    tree.internal("i2").snapshot("e3").back("i2").back("i1")
    assert tree.tags("i1-1") == ["i2"]


def test_each_can_be_deleted_afterwards(tree):
    tree.internal("i1", "i2").snapshot("e1", "e2").back("i2")
    tree.snapshot("e3")
    tree.delete("i1", left=["i2", "e1", "e2", "e3"])
    tree.delete("e1", left=["i2", "e2", "e3"])
    tree.delete("i2", left=["e2", "e3"])
    tree.delete("e2", left=["e3"])
    tree.delete("e3", left=[])
    assert tree.chain() == ["i2-1"]


def test_a_running_guest_goes_on_in_its_process(vm):
    boot, pid = vm.guest.boot_id(), vm.cli.run("dominfo", vm.name).data["pid"]
    for name in ("past", "present"):
        for disk in vm.disks:
            vm.guest.write_pattern(disk.device, 0, MIB, name)
        vm.guest.hold("seed", name)
        if name == "past":
            vm.cli.run("snapshot-create-as", vm.name, "i")
            vm.cli.run("snapshot-create-as", vm.name, "e", "--disk-only")
    plan = vm.cli.run("snapshot-revert", vm.name, "i", "--dry-run").data
    assert plan["risks"] == [] and plan["space"] > 0 and "snapshot-load" in str(plan)
    vm.cli.run("snapshot-revert", vm.name, "i")
    assert state(vm) == "running"
    assert vm.guest.held("seed") == "past" and vm.guest.boot_id() == boot
    for disk in vm.disks:
        assert vm.guest.has_pattern(disk.device, 0, MIB, "past")
    assert vm.cli.run("dominfo", vm.name).data["pid"] == pid
    opened = {node["file"] for node in vm.spy.execute("query-named-block-nodes", {"flat": True})
              if node["drv"] == "qcow2"}
    assert opened == {world.source(vm, "vda"), world.source(vm, "vdb")}, "what was left is closed"
    vm.guest.write_pattern(vm.disks[0].device, 0, MIB, "on")
    vm.cli.run("destroy", vm.name)
    vm.close()
    images.require_pattern(world.source(vm), 0, MIB, "on")
    images.check(world.source(vm))

    # Once more, from off: the RAM is in the image below.
    vm.cli.run("snapshot-revert", vm.name, "i")
    assert state(vm) == "running"
    vm.resume_console()
    assert vm.guest.held("seed") == "past" and vm.guest.boot_id() == boot
    # What e froze reads as it did.
    vm.cli.run("snapshot-revert", vm.name, "e")
    assert state(vm) == "shutoff"
    images.require_pattern(world.source(vm), 0, MIB, "past")


def test_a_new_process_gets_the_ram(make_vm):
    vm = make_vm(size=SIZE, elements=["<genid/>"])
    vm.domain.spy = None
    tree = Below(vm.define(), "off")
    tree.write()
    vm.cli.run("start", vm.name, "--paused")
    vm.cli.run("snapshot-create-as", vm.name, "i")
    vm.cli.run("snapshot-create-as", vm.name, "e", "--disk-only")
    result = vm.cli.run("snapshot-revert", vm.name, "i", check=False)
    assert result.status == 11 and "generation" in result.stderr
    pid = vm.cli.run("dominfo", vm.name).data["pid"]
    vm.cli.run("snapshot-revert", vm.name, "i", "--force")
    assert state(vm) == "paused" and vm.cli.run("dominfo", vm.name).data["pid"] != pid
    assert world.source(vm).endswith("vm-vda.i-1")
    vm.cli.run("destroy", vm.name)
    assert tree.tags("i-1") == [] and tree.tags("qcow2") == ["i"]


def test_one_of_a_domain_that_was_off_ends_the_one_that_runs(make_vm):
    tree = Below(make_vm(size=SIZE).define(), "off")
    tree.internal("i").snapshot("e")
    world.StandIn(tree.vm).start()
    tree.vm.cli.run("snapshot-revert", tree.vm.name, "i")
    assert state(tree.vm) == "shutoff" and tree.present() == tree.frozen["i"]
    tree.vm.cli.run("snapshot-revert", tree.vm.name, "e")
    world.StandIn(tree.vm).start()
    tree.vm.cli.run("snapshot-revert", tree.vm.name, "i", "--paused")
    assert state(tree.vm) == "paused"
    tree.vm.close()
    tree.vm.cli.run("destroy", tree.vm.name)
    assert tree.present() == tree.frozen["i"]


def test_a_disk_that_has_its_image_goes_back_in_place(tree):
    """Only one of the disks has an overlay since."""
    tree.internal("i")
    tree.vm.cli.run("snapshot-create-as", tree.vm.name, "e", "--disk-only",
                    "--diskspec", "vdb,snapshot=no")
    tree.write()
    tree.vm.cli.run("snapshot-revert", tree.vm.name, "i")
    assert tree.present() == tree.frozen["i"]
    assert tree.chain("vda") == ["i-1"] and tree.chain("vdb") == ["qcow2"]


def test_bitmaps_do_not_pass_for_those_of_another_moment(tree, work):
    vm = tree.vm
    vm.cli.run("checkpoint-create-as", vm.name, "c")
    tree.write()
    if tree.live:
        tree.frozen["i"] = tree.present()
        vm.cli.run("checkpoint-delete", vm.name, "c")
        vm.cli.run("snapshot-create-as", vm.name, "i")
        vm.cli.run("checkpoint-create-as", vm.name, "c")
    else:
        tree.internal("i")
    tree.snapshot("e")
    vm.cli.run("snapshot-revert", vm.name, "i")
    assert tree.present() == tree.frozen["i"]
    assert images.bitmaps(world.source(vm), live=True) == {}
    tree.write()
    if not tree.live:
        world.StandIn(vm).start()
    (work / "backup.xml").write_text(f"""<domainbackup><incremental>c</incremental><disks>
      <disk name='vda' type='file'><target file='{work}/vda.inc'/></disk>
      <disk name='vdb' backup='no'/></disks></domainbackup>""")
    result = vm.cli.run("backup-begin", vm.name, work / "backup.xml", "--wait", check=False)
    # A full one, or none: never an increment of something else.
    if result.status in (0, WARNED):
        assert images.digest(work / "vda.inc") == images.digest(world.source(vm), live=True)
    else:
        assert result.status == INCONSISTENT, result


def test_an_image_that_is_not_there_is_named(tree, work):
    tree.internal("i").snapshot("e")
    (work / "vm-vda.qcow2").rename(work / "away")
    before = tree.layers()
    said = refused(tree.vm.cli, "snapshot-revert", tree.vm.name, "i", status=3)
    assert "vm-vda.qcow2" in said and tree.layers() == before
    (work / "away").rename(work / "vm-vda.qcow2")
    tree.back("i")


def test_without_the_snapshot_in_it_nothing_is_touched(off):
    off.internal("i").snapshot("e")
    base = off.vm.disks[0].path
    images.tool("qemu-img", "snapshot", "-d", "i", base)
    layers = off.layers()
    refused(off.vm.cli, "snapshot-revert", off.vm.name, "i", status=INCONSISTENT,
            says=("'i'", base))
    assert off.layers() == layers


@pytest.mark.parametrize("fault", ["kill", "fail"])
@pytest.mark.parametrize("how", ["off", "paused", "ends"])
def test_a_cut_revert_ends_before_or_after(make_vm, monkeypatch, fault, how):
    """Off, with RAM in the process, and from running to off."""
    tree = Below(make_vm(disks=2, size=SIZE).define(), "paused" if how == "paused" else "off")
    vm = tree.vm
    tree.internal("i").snapshot("e")
    for n in itertools.count(1):
        assert n < MOST
        if how == "ends" and state(vm) == "shutoff":
            world.StandIn(vm).start()
        left = world.source(vm)
        monkeypatch.setenv("VMPOINT_FAULT", f"{fault}@{n}")
        result = vm.cli.run("snapshot-revert", vm.name, "i", check=False)
        monkeypatch.delenv("VMPOINT_FAULT")
        vm.cli.run("recover", vm.name)
        assert vm.cli.run("recover", vm.name).data == {"settled": []}
        after = world.source(vm) != left
        assert after or result.status != 0, f"cut at {n}"
        assert state(vm) in {"off": ["shutoff"], "paused": ["paused"],
                             "ends": ["shutoff"] if after else ["paused"]}[how], f"cut at {n}"
        if after:
            assert tree.present() == tree.frozen["i"], f"cut at {n}"
        assert len(tree.layers()) == 2, f"cut at {n}: {tree.layers()}"
        if state(vm) == "shutoff":
            tree.check("i", "e")
        if result.status == 0:
            break
        if after:
            vm.cli.run("snapshot-revert", vm.name, "e", *(["--paused"] if how == "paused" else []))
    assert n > 5


def test_ram_that_cannot_be_loaded_leaves_the_disks_of_the_snapshot(make_vm, work):
    tree = Below(make_vm(size=SIZE).define(), "paused")
    vm = tree.vm
    tree.internal("i").snapshot("e")
    spoil_ram(work / "vm-vda.qcow2")
    result = vm.cli.run("snapshot-revert", vm.name, "i", check=False)
    assert result.status == DAMAGED, result
    assert state(vm) == "shutoff"
    tree.state = "off"
    vm.close()
    assert tree.present() == tree.frozen["i"]
    tree.check("i", "e")


def spoil_ram(path):
    """Every stream of QEMU's begins with QEVM."""
    data = path.read_bytes()
    at = data.index(b"QEVM\x00\x00\x00\x03")
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"XXXX")
