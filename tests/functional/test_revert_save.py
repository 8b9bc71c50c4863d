# SPDX-License-Identifier: LGPL-2.1-or-later
"""snapshot-revert --save-current: the state that is left is made a snapshot, or nothing happens."""

import pytest
from vmtest import images
from vmtest.images import MIB
from vmtest.world import StandIn, names, refused
from test_memory import check, create, each_cut, files, settle, sources, state, write

EXISTS, RISKY, DAMAGED = 4, 11, 12


def parents(vm):
    return {row["name"]: row.get("parent") for row in vm.cli.run("snapshot-list", vm.name).data}


def test_there_and_back_again_with_ram(vm, work):
    write(vm, "past")
    vm.cli.run(*create(vm, work))
    write(vm, "present")
    plan = vm.cli.run("snapshot-revert", vm.name, "s", "--save-current", "now", "--dry-run").data
    kinds = [step["kind"] for step in plan["steps"]]
    assert kinds.index("save-memory") < kinds.index("load-memory")
    assert names(vm) == ["s"]

    vm.cli.run("snapshot-revert", vm.name, "s", "--save-current", "now")
    check(vm, "past")
    assert parents(vm) == {"s": None, "now": "s"}
    # What was left is frozen with its RAM beside it; what stood on it for the moment is gone.
    assert sorted(set(files(work))) == ["s.ram", "vm-vda.now.ram", "vm-vda.qcow2", "vm-vda.s",
                                        "vm-vda.s-1", "vm-vdb.qcow2", "vm-vdb.s", "vm-vdb.s-1"]
    vm.cli.run("snapshot-revert", vm.name, "now")
    check(vm, "present")
    assert state(vm) == "running"


def test_of_a_domain_that_is_off_the_disks_are_saved(make_vm, work):
    vm = make_vm().define()
    images.write_pattern(vm.disks[0].path, 0, MIB, "past")
    vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only")
    images.write_pattern(sources(vm)[0], 0, MIB, "present")
    refused(vm.cli, "snapshot-revert", vm.name, "s", "--save-current", "s", status=EXISTS,
            says=("'s'",))
    vm.cli.run("snapshot-revert", vm.name, "s", "--save-current", "now")
    images.require_pattern(sources(vm)[0], 0, MIB, "past")
    vm.cli.run("snapshot-revert", vm.name, "now")
    images.require_pattern(sources(vm)[0], 0, MIB, "present")
    assert parents(vm) == {"s": None, "now": "s"}


def test_beside_an_internal_snapshot_it_is_internal(make_vm):
    vm = make_vm(disks=1).define()
    guest = StandIn(vm).start()
    guest.write("vda", 0, MIB, 1)
    vm.cli.run("snapshot-create-as", vm.name, "s")
    guest.write("vda", 0, MIB, 2)
    vm.cli.run("snapshot-revert", vm.name, "s", "--save-current", "now")
    assert set(images.internal_snapshots(vm.disks[0].path, live=True)) == {"s", "now"}
    vm.cli.run("snapshot-revert", vm.name, "now")
    vm.cli.run("destroy", vm.name)
    assert images.read(vm.disks[0].path, 0, MIB) == bytes([2]) * MIB


def test_a_revert_that_is_refused_saves_nothing(make_vm, work):
    vm = make_vm(disks=1, elements=["<genid/>"])
    vm.domain.spy = None
    StandIn(vm.define()).start()
    vm.cli.run(*create(vm, work))
    before = (names(vm), sources(vm), files(work))
    refused(vm.cli, "snapshot-revert", vm.name, "s", "--save-current", "now", status=RISKY)
    assert (names(vm), sources(vm), files(work)) == before


@pytest.mark.parametrize("fault", ["kill", "fail"])
@pytest.mark.parametrize("running", [False, True], ids=["off", "active"])
def test_a_cut_one_ends_before_or_after(make_vm, work, fault, running):
    vm = make_vm(disks=1).define()
    if running:
        StandIn(vm).start()
        vm.cli.run(*create(vm, work))
    else:
        vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only")
    # The layer that is left has something in it, by which it is known again.
    if running:
        StandIn(vm).write("vda", 0, MIB, 7)
    else:
        images.tool("qemu-io", "-c", f"write -P 7 0 {MIB}", sources(vm)[0])

    def holds():
        return images.read(sources(vm)[0], 0, MIB, live=True) == bytes([7]) * MIB

    before = (names(vm), sources(vm), files(work))
    for n, result in each_cut(vm.cli, fault, "snapshot-revert", vm.name, "s", "--save-current",
                              "now"):
        settle(vm)
        assert state(vm) == ("paused" if running else "shut off"), f"cut at {n}"
        if names(vm) == ["s"]:
            assert result.status != 0
            assert (names(vm), sources(vm), files(work)) == before and holds(), f"cut at {n}"
            continue
        assert names(vm) == ["s", "now"] and not holds(), f"cut at {n}"
        if result.status != 0:
            vm.cli.run("snapshot-revert", vm.name, "now")
            vm.cli.run("snapshot-delete", vm.name, "now")
            before = (names(vm), sources(vm), files(work))
            assert holds()
