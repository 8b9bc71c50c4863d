# SPDX-License-Identifier: LGPL-2.1-or-later
"""Snapshots inside the images: with the RAM of a running domain, and of one that is off."""

from pathlib import Path

import pytest
from vmtest import images
from vmtest.cuts import each_cut, settle
from vmtest.images import MIB

EXISTS, UNSUPPORTED, RISKY, DAMAGED = 4, 6, 11, 12


def names(vm):
    return [row["name"] for row in vm.cli.run("snapshot-list", vm.name).data]


def state(vm):
    return vm.cli.run("domstate", vm.name, json=False).stdout.strip()


def current(vm):
    return vm.cli.run("snapshot-current", vm.name, "--name", json=False).stdout.strip()


def tags(vm):
    """Of each disk, as qemu-img sees them."""
    return [set(images.internal_snapshots(disk.path, live=True)) for disk in vm.disks]


def refused(vm, status, *command):
    result = vm.cli.run(*command, check=False)
    assert result.status == status, result.stderr
    return result.stderr


def write(vm, seed):
    for disk in vm.disks:
        vm.guest.write_pattern(disk.device, 0, MIB, seed)
    vm.guest.hold("seed", seed)


def check(vm, seed):
    """RAM and both disks are of one time."""
    for disk in vm.disks:
        assert vm.guest.has_pattern(disk.device, 0, MIB, seed), disk.target
    assert vm.guest.held("seed") == seed


# --- a running domain -------------------------------------------------------------------------


def test_a_running_domain_goes_back_with_its_ram(vm):
    write(vm, "past")
    boot = vm.guest.boot_id()
    vm.spy.status()  # connected before the pause
    vm.cli.run("snapshot-create-as", vm.name, "s")
    pauses = vm.spy.pauses()
    assert len(pauses) == 1
    print(f"saving paused the guest for {pauses[0] * 1000:.1f} ms")
    assert tags(vm) == [{"s"}, {"s"}]
    assert images.internal_snapshots(vm.disks[0].path, live=True)["s"]["vm-state-size"] > MIB
    assert images.internal_snapshots(vm.disks[1].path, live=True)["s"]["vm-state-size"] == 0
    assert state(vm) == "running"

    write(vm, "present")
    vm.cli.run("snapshot-revert", vm.name, "s")
    assert state(vm) == "running"
    # The process stayed: so did both connections.
    check(vm, "past")
    assert vm.guest.boot_id() == boot
    print(f"reverting paused the guest for {vm.spy.pauses()[-1] * 1000:.1f} ms")

    write(vm, "other")
    vm.cli.run("snapshot-revert", vm.name, "s", "--paused")
    assert state(vm) == "paused"
    vm.cli.run("resume", vm.name)
    check(vm, "past")

    vm.cli.run("snapshot-delete", vm.name, "s")
    assert tags(vm) == [set(), set()]
    assert names(vm) == []
    check(vm, "past")
    vm.cli.run("destroy", vm.name)
    for disk in vm.disks:
        images.check(disk.path)


def test_a_paused_snapshot_ends_paused_and_a_domain_that_is_off_gets_its_ram_back(vm):
    write(vm, "past")
    vm.cli.run("suspend", vm.name)
    vm.cli.run("snapshot-create-as", vm.name, "s")
    assert state(vm) == "paused"
    vm.cli.run("resume", vm.name)
    write(vm, "present")
    vm.cli.run("destroy", vm.name)
    vm.close()

    vm.cli.run("snapshot-revert", vm.name, "s")
    assert state(vm) == "paused"
    vm.cli.run("resume", vm.name)
    vm.resume_console()
    check(vm, "past")

    write(vm, "present")
    vm.cli.run("destroy", vm.name)
    vm.cli.run("snapshot-revert", vm.name, "s", "--running")
    assert state(vm) == "running"
    vm.resume_console()
    check(vm, "past")


def test_checkpoints_are_a_risk_and_force_removes_their_bitmaps(vm):
    write(vm, "past")
    vm.cli.run("snapshot-create-as", vm.name, "s")
    vm.cli.run("checkpoint-create-as", vm.name, "c")
    write(vm, "present")

    said = refused(vm, RISKY, "snapshot-revert", vm.name, "s")
    assert "checkpoints" in said and "c" in said
    check(vm, "present")
    assert state(vm) == "running"

    vm.cli.run("snapshot-revert", vm.name, "s", "--force")
    check(vm, "past")
    assert [row["name"] for row in vm.cli.run("checkpoint-list", vm.name).data] == ["c"]
    found = [bitmap for node in vm.spy.execute("query-named-block-nodes", {"flat": True})
             for bitmap in node.get("dirty-bitmaps", [])]
    assert found == []


def test_what_cannot_be_is_refused_before_anything_is_touched(vm, work):
    write(vm, "base")
    vm.cli.run("snapshot-create-as", vm.name, "s")
    before = tags(vm)
    # QEMU could take a small number for that of another one.
    refused(vm, UNSUPPORTED, "snapshot-create-as", vm.name, "1")
    # The name is free in the store and taken in the images.
    vm.cli.run("snapshot-delete", vm.name, "s", "--metadata")
    said = refused(vm, EXISTS, "snapshot-create-as", vm.name, "s")
    assert "vda" in said
    assert tags(vm) == before and names(vm) == []

    vm.cli.run("snapshot-create-as", vm.name, "t")
    plan = vm.cli.run("snapshot-revert", vm.name, "t", "--dry-run").data
    assert "snapshot-load" in str(plan)
    check(vm, "base")


def test_a_raw_disk_is_named(make_vm):
    vm = make_vm(image_format="raw").define()
    said = refused(vm, UNSUPPORTED, "snapshot-create-as", vm.name, "s")
    assert "vda" in said and "qcow2" in said


def test_children_go_with_their_parent_or_are_taken_over(vm):
    for name in "abcd":
        vm.cli.run("snapshot-create-as", vm.name, name)
    vm.cli.run("snapshot-delete", vm.name, "b")
    assert names(vm) == ["a", "c", "d"]
    assert vm.cli.run("snapshot-parent", vm.name, "c", json=False).stdout.strip() == "a"
    assert tags(vm) == [{"a", "c", "d"}] * 2
    vm.cli.run("snapshot-delete", vm.name, "c", "--children-only")
    assert names(vm) == ["a", "c"] and current(vm) == "c"
    vm.cli.run("snapshot-delete", vm.name, "a", "--children")
    assert names(vm) == [] and tags(vm) == [set(), set()]


# --- a domain that is off ---------------------------------------------------------------------


def test_a_domain_that_is_off_keeps_snapshots_in_its_images(make_vm):
    vm = make_vm().define()
    for disk in vm.disks:
        images.write_pattern(disk.path, 0, MIB, "past")
    vm.cli.run("snapshot-create-as", vm.name, "s")
    assert tags(vm) == [{"s"}, {"s"}]
    for disk in vm.disks:
        images.write_pattern(disk.path, 0, MIB, "present")
    vm.cli.run("checkpoint-create-as", vm.name, "c")
    refused(vm, RISKY, "snapshot-revert", vm.name, "s")

    vm.cli.run("snapshot-revert", vm.name, "s", "--force")
    assert state(vm) == "shut off"
    for disk in vm.disks:
        images.require_pattern(disk.path, 0, MIB, "past")
        images.write_pattern(disk.path, 0, MIB, "present")

    # From a running domain it ends off, unless asked otherwise.
    vm.start()
    vm.cli.run("snapshot-revert", vm.name, "s", "--running")
    assert state(vm) == "running"
    vm.resume_console()
    for disk in vm.disks:
        assert vm.guest.has_pattern(disk.device, 0, MIB, "past")
    vm.cli.run("snapshot-revert", vm.name, "s")
    assert state(vm) == "shut off"

    vm.cli.run("snapshot-delete", vm.name, "s")
    assert tags(vm) == [set(), set()] and names(vm) == []
    for disk in vm.disks:
        images.check(disk.path)


# --- cut anywhere -----------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["kill", "fail"])
def test_a_cut_snapshot_is_there_or_not(vm, fault):
    write(vm, "base")
    for n, result in each_cut(vm.cli, fault, "snapshot-create-as", vm.name, "s"):
        settle(vm)
        made = names(vm) == ["s"]
        assert tags(vm) == [{"s"} if made else set()] * 2, f"cut at {n}"
        assert made or result.status != 0
        assert state(vm) == "running", f"cut at {n}"
        assert vm.spy.execute("query-jobs") == [], f"cut at {n}"
        if made:
            vm.cli.run("snapshot-delete", vm.name, "s")
    check(vm, "base")


@pytest.mark.parametrize("fault", ["kill", "fail"])
def test_a_cut_revert_ends_before_or_after(vm, fault):
    write(vm, "past")
    vm.cli.run("snapshot-create-as", vm.name, "s")
    write(vm, "present")
    for n, result in each_cut(vm.cli, fault, "snapshot-revert", vm.name, "s"):
        settle(vm)
        assert state(vm) == "running", f"cut at {n}"
        seed = vm.guest.held("seed")
        assert seed in ("past", "present"), f"cut at {n}"
        check(vm, seed)
        assert seed == "past" or result.status != 0, f"cut at {n}"
        if seed == "past":
            write(vm, "present")


@pytest.mark.parametrize("fault", ["kill", "fail"])
def test_a_cut_revert_of_a_domain_that_is_off_ends_before_or_after(vm, fault):
    write(vm, "past")
    vm.cli.run("snapshot-create-as", vm.name, "s")
    write(vm, "present")
    vm.cli.run("destroy", vm.name)
    vm.close()
    for n, result in each_cut(vm.cli, fault, "snapshot-revert", vm.name, "s"):
        settle(vm)
        reverted = state(vm) == "running"
        assert reverted or (result.status != 0 and state(vm) == "shut off"), f"cut at {n}"
        if reverted:
            vm.resume_console()
            check(vm, "past")
            write(vm, "present")
            vm.cli.run("destroy", vm.name)
            vm.close()
        else:
            for disk in vm.disks:
                images.require_pattern(disk.path, 0, MIB, "present")


@pytest.mark.parametrize("fault", ["kill", "fail"])
def test_a_cut_delete_ends_before_or_after(vm, fault):
    write(vm, "base")
    vm.cli.run("snapshot-create-as", vm.name, "a")
    for n, result in each_cut(vm.cli, fault, "snapshot-delete", vm.name, "a", "--children"):
        settle(vm)
        left = set(names(vm))
        assert left in (set(), {"a"}), f"cut at {n}"
        assert tags(vm) == [left] * 2, f"cut at {n}"
        assert not left or result.status != 0
        if not left and result.status != 0:
            vm.cli.run("snapshot-create-as", vm.name, "a")
    check(vm, "base")


@pytest.mark.parametrize("fault", ["kill", "fail"])
def test_a_cut_change_of_a_domain_that_is_off_ends_before_or_after(make_vm, fault):
    vm = make_vm().define()

    def fill(seed):
        for disk in vm.disks:
            images.write_pattern(disk.path, 0, MIB, seed)

    fill("past")
    for n, _ in each_cut(vm.cli, fault, "snapshot-create-as", vm.name, "s"):
        settle(vm)
        assert tags(vm) == [set(names(vm))] * 2, f"cut at {n}"
        if names(vm):
            vm.cli.run("snapshot-delete", vm.name, "s")
    vm.cli.run("snapshot-create-as", vm.name, "s")
    fill("present")
    for n, result in each_cut(vm.cli, fault, "snapshot-revert", vm.name, "s"):
        settle(vm)
        wrong = [images.wrong_at(disk.path, 0, MIB, "past") is not None for disk in vm.disks]
        assert wrong in ([True, True], [False, False]), f"cut at {n}"
        assert not any(wrong) or result.status != 0, f"cut at {n}"
        fill("present")


# --- RAM that does not load -------------------------------------------------------------------


def test_ram_that_cannot_be_loaded_leaves_the_disks_of_the_snapshot(vm):
    write(vm, "past")
    vm.cli.run("snapshot-create-as", vm.name, "s")
    write(vm, "present")
    vm.cli.run("destroy", vm.name)
    vm.close()
    # Another machine's RAM under the same name: QEMU notices while it loads.
    body = vm.cli.run("snapshot-dumpxml", vm.name, "s", "--security-info", json=False).stdout
    smaller = body.replace(">256</memory>", ">320</memory>")
    assert smaller != body
    document = vm.domain.console.with_suffix(".redefine.xml")
    document.write_text(smaller)
    vm.cli.run("snapshot-delete", vm.name, "s", "--metadata")
    vm.cli.run("snapshot-create", vm.name, document, "--redefine", "--current")

    result = vm.cli.run("snapshot-revert", vm.name, "s", check=False)
    assert result.status == DAMAGED and "RAM" in result.stderr, result.stderr
    assert state(vm) == "shut off"
    for disk in vm.disks:
        images.require_pattern(disk.path, 0, MIB, "past")
    settle(vm)


# --- firmware ---------------------------------------------------------------------------------

OVMF = Path("/usr/share/OVMF")


@pytest.mark.skipif(not OVMF.exists(), reason="no OVMF: apt-get install ovmf")
def test_the_firmwares_variables_are_part_of_it(make_vm, work):
    nvram = work / "vars.qcow2"
    images.tool("qemu-img", "convert", "-O", "qcow2", OVMF / "OVMF_VARS_4M.fd", nvram)
    vm = make_vm(disks=1)
    document = work / "uefi.xml"
    document.write_text(vm.domain.xml().replace("</os>", f"""
      <loader readonly='yes' type='pflash'>{OVMF}/OVMF_CODE_4M.fd</loader>
      <nvram format='qcow2'>{nvram}</nvram></os>"""))
    vm.cli.run("define", document)
    vm.cli.run("start", vm.name)

    vm.cli.run("snapshot-create-as", vm.name, "s")
    found = images.internal_snapshots(nvram, live=True)
    assert set(found) == {"s"} and found["s"]["vm-state-size"] == 0
    assert tags(vm) == [{"s"}]
    vm.cli.run("snapshot-revert", vm.name, "s", "--paused")
    assert state(vm) == "paused"

    # Off, the images are the same three words: there, taken back, gone.
    vm.cli.run("destroy", vm.name)
    vm.cli.run("snapshot-create-as", vm.name, "off")
    assert set(images.internal_snapshots(nvram)) == {"s", "off"}
    vm.cli.run("snapshot-revert", vm.name, "off")
    vm.cli.run("snapshot-delete", vm.name, "off")
    vm.cli.run("snapshot-delete", vm.name, "s")
    assert images.internal_snapshots(nvram) == {} and tags(vm) == [set()]
    images.check(nvram)
