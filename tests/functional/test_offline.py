# SPDX-License-Identifier: LGPL-2.1-or-later
"""The same for a domain that is off: no machine runs, and the images are the only witness."""

import pytest
from vmtest import images, world
from vmtest.images import MIB
from vmtest.world import holds, names, refused, source

SIZE = 16 * MIB


def snapshot(vm, name, *words):
    vm.cli.run("snapshot-create-as", vm.name, name, "--disk-only", *words)


def put(vm, offset, seed, target="vda"):
    """Write as the guest would if it ran."""
    images.write_pattern(source(vm, target), offset, MIB, seed)


def has(vm, offset, seed, target="vda"):
    return images.wrong_at(source(vm, target), offset, MIB, seed) is None


def no_process(vm):
    """Neither a machine nor a storage daemon is left."""
    return not [process for process in vm.cli._processes.alive() if process.program() in ("qemu-storage-daemon", "qemu-system-x86_64")]


def test_snapshots_of_a_domain_that_is_off(off, work):
    vm = off
    put(vm, 0, "one")
    vm.cli.run("snapshot-create-as", vm.name, "s1", "when it was off", "--disk-only")
    assert vm.cli.run("snapshot-info", vm.name, "s1").data["state"] == "shutoff"
    put(vm, 0, "two")
    snapshot(vm, "s2")
    put(vm, 0, "three")
    assert names(vm) == ["s1", "s2"]
    assert images.chain(source(vm)) == [work / f"vm-vda.{layer}" for layer in ("s2", "s1", "qcow2")]
    for layer, seed in (("qcow2", "one"), ("s1", "two"), ("s2", "three")):
        images.require_pattern(work / f"vm-vda.{layer}", 0, MIB, seed)
    assert no_process(vm)
    for path in work.glob("vm-vd*"):
        images.check(path)


def test_back_and_forth_without_a_process(off, work):
    vm = off
    put(vm, 0, "one")
    snapshot(vm, "s1")
    put(vm, 0, "two")
    snapshot(vm, "s2")
    put(vm, 0, "three")
    for name, seed in (("s1", "one"), ("s2", "two"), ("s1", "one"), ("s1", "one"), ("s2", "two")):
        vm.cli.run("snapshot-revert", vm.name, name)
        assert has(vm, 0, seed), name
        assert vm.cli.run("domstate", vm.name).data["state"] == "shutoff"
        assert vm.cli.text("snapshot-current", vm.name, "--name").strip() == name
        put(vm, 0, "lost")
    assert no_process(vm)
    images.require_pattern(work / "vm-vda.qcow2", 0, MIB, "one")
    images.require_pattern(work / "vm-vda.s1", 0, MIB, "two")
    assert len(list(work.glob("vm-vda.*"))) == 3, sorted(work.glob("vm-vda.*"))


@pytest.mark.parametrize("option, state", [("--running", "running"), ("--paused", "paused")])
def test_a_revert_may_start_it(off, work, option, state):
    vm = off
    put(vm, 0, "one")
    snapshot(vm, "s1")
    put(vm, 0, "two")
    vm.cli.run("snapshot-revert", vm.name, "s1", option)
    assert vm.cli.run("domstate", vm.name).data["state"] == state
    assert images.wrong_at(source(vm), 0, MIB, "one", live=True) is None
    assert vm.state() in (state, "prelaunch")


def test_a_dry_run_changes_nothing(off, work):
    vm = off
    put(vm, 0, "one")
    snapshot(vm, "s1")
    vm.cli.run("checkpoint-create-as", vm.name, "c1")
    store = {path.name: path.read_bytes() for path in vm.cli.state_dir.iterdir() if path.suffix == ".db"}
    before = world.look(vm, work)
    for words in (["snapshot-create-as", vm.name, "s2", "--disk-only"],
                  ["snapshot-revert", vm.name, "s1"],
                  ["snapshot-revert", vm.name, "s1", "--running"],
                  ["snapshot-delete", vm.name, "s1"],
                  ["checkpoint-create-as", vm.name, "c2"],
                  ["checkpoint-delete", vm.name, "c1"],
                  ["backup-begin", vm.name]):
        plan = vm.cli.run(*words, "--dry-run").data
        assert plan["domain"] == vm.name and "steps" in plan, words
        assert plan["steps"] or words[0] == "checkpoint-delete"
    assert world.look(vm, work) == before
    assert {path.name: path.read_bytes() for path in vm.cli.state_dir.iterdir()
            if path.suffix == ".db"} == store
    assert no_process(vm)


def test_the_newest_is_merged_down(off, work):
    vm = off
    put(vm, 0, "one")
    vm.cli.run("checkpoint-create-as", vm.name, "c1")
    snapshot(vm, "s1")
    put(vm, MIB, "two")
    vm.cli.run("snapshot-delete", vm.name, "s1")
    assert names(vm) == [] and source(vm) == str(work / "vm-vda.qcow2")
    assert has(vm, 0, "one") and has(vm, MIB, "two")
    assert not list(work.glob("vm-vd?.s1"))
    images.check(source(vm))
    size = vm.cli.text("checkpoint-dumpxml", vm.name, "c1", "--size", "--xpath",
                       "//disk[@name='vda']/@size")
    assert f'"{MIB}"' in size, size


def test_an_image_that_somebody_else_has_open_is_busy(off, work):
    vm = off
    handle = images.opened(work / "vm-vda.qcow2", writable=True)
    before = names(vm)
    try:
        for words in (["snapshot-create-as", vm.name, "s1", "--disk-only"],
                      ["checkpoint-create-as", vm.name, "c1"], ["backup-begin", vm.name],
                      ["start", vm.name]):
            refused(vm.cli, *words, status=5, says=(vm.name, "vda", "lock"))
            assert no_process(vm)
    finally:
        handle.shutdown()
    assert names(vm) == before == []
    assert sorted(path.name for path in work.glob("vm-vd*")) == ["vm-vda.qcow2", "vm-vdb.qcow2"]
    snapshot(vm, "s1")
    assert names(vm) == ["s1"]


def test_a_raw_disk_gets_an_overlay_that_says_so(make_vm, work):
    vm = make_vm(size=SIZE, image_format="raw").define()
    images.write_pattern(work / "vm-vda.raw", 0, MIB, "raw", image_format="raw")
    snapshot(vm, "s1")
    assert images.info(source(vm))["backing-filename-format"] == "raw"
    assert has(vm, 0, "raw")
    put(vm, 0, "new")
    vm.cli.run("snapshot-revert", vm.name, "s1")
    assert images.info(source(vm))["backing-filename-format"] == "raw"
    assert has(vm, 0, "raw")
    assert holds(source(vm), 8 * MIB, MIB, 0)
