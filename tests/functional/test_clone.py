# SPDX-License-Identifier: LGPL-2.1-or-later
"""A clone is a whole snapshot: neither it nor its original needs the other."""

import itertools

import pytest
from vmtest import images, tpm, world
from vmtest.images import MIB
from vmtest.world import names, refused

SIZE = 16 * MIB
DAMAGED, WARNED = 12, 14
MOST = 60
TPM = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"


def clone(vm, monkeypatch, name, other, **how):
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"sed -i '0,/<name>{name}</s//<name>{other}</'")
    return vm.cli.run("snapshot-edit", vm.name, name, "--clone", **how)


def copies(work):
    folder = work / "state" / "parts"
    return sorted(folder.iterdir()) if folder.exists() else []


def findings(vm):
    return [row["code"] for row in vm.cli.run("fsck", vm.name, "--data", check=False).data]


def write(vm, seed):
    for target in ("vda", "vdb"):
        images.write_pattern(world.source(vm, target), 0, MIB, f"{seed}-{target}")


def reads_as(vm, seed):
    for target in ("vda", "vdb"):
        images.require_pattern(world.source(vm, target), 0, MIB, f"{seed}-{target}")


def three(vm, monkeypatch):
    """Snapshots a, b and c of three moments, and y, a clone of b."""
    for name in ("a", "b", "c"):
        write(vm, name)
        vm.cli.run("snapshot-create-as", vm.name, name, "--disk-only")
    write(vm, "present")
    clone(vm, monkeypatch, "b", "y")


@pytest.mark.parametrize("order", ["b", "y", "bc", "cb", "ac", "ca", "cy", "yca"])
def test_whatever_is_deleted_the_other_ones_are_what_they_were(make_vm, monkeypatch, order):
    vm = make_vm(size=SIZE).define()
    three(vm, monkeypatch)
    for name in order:
        vm.cli.run("snapshot-delete", vm.name, name)
        assert findings(vm) == []
    reads_as(vm, "present")
    left = set("abcy") - set(order)
    assert set(names(vm)) == left
    for name in sorted(left):
        vm.cli.run("snapshot-revert", vm.name, name)
        reads_as(vm, "b" if name == "y" else name)
        write(vm, "other")
    for name in sorted(left):
        vm.cli.run("snapshot-delete", vm.name, name)
    reads_as(vm, "other")
    assert names(vm) == [] and findings(vm) == []


def test_the_last_of_two_takes_their_layers_along(make_vm, monkeypatch, work):
    vm = make_vm(size=SIZE).define()
    write(vm, "s")
    vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only")
    clone(vm, monkeypatch, "s", "t")
    vm.cli.run("snapshot-delete", vm.name, "s")
    assert len(images.chain(world.source(vm))) == 2, "the clone stands on it"
    vm.cli.run("snapshot-delete", vm.name, "t")
    assert len(images.chain(world.source(vm))) == 1
    reads_as(vm, "s")


@pytest.mark.parametrize("first", ["s", "t"])
def test_both_have_the_ram(make_vm, monkeypatch, work, first):
    vm = make_vm(size=SIZE).define().start()
    vm.guest.hold("seed", "past")
    vm.cli.run("snapshot-create-as", vm.name, "s", "--memspec", f"file={work}/s.ram")
    clone(vm, monkeypatch, "s", "t")
    vm.guest.hold("seed", "present")
    vm.cli.run("snapshot-delete", vm.name, first)
    assert (work / "s.ram").exists() and findings(vm) == []

    (left,) = names(vm)
    vm.cli.run("snapshot-revert", vm.name, left)
    assert vm.guest.held("seed") == "past"
    vm.cli.run("snapshot-delete", vm.name, left)
    assert not (work / "s.ram").exists() and findings(vm) == []


def test_both_at_once_take_the_ram_along(make_vm, monkeypatch, work):
    vm = make_vm(size=SIZE).define()
    world.StandIn(vm).start()
    vm.cli.run("snapshot-create-as", vm.name, "r", "--disk-only")
    vm.cli.run("snapshot-create-as", vm.name, "s", "--memspec", f"file={work}/s.ram")
    clone(vm, monkeypatch, "s", "t")
    vm.cli.run("snapshot-delete", vm.name, "r", "--children-only")
    assert names(vm) == ["r"] and not (work / "s.ram").exists()


@pytest.fixture
def with_tpm(make_vm, work):
    vm = make_vm(disks=1, size=SIZE, devices=[TPM])
    vm.tpm_folder = work / "state" / "tpm" / vm.domain.uuid
    vm.domain.spy = None
    vm.define()
    tpm.put_value(vm.tpm_folder, "past")
    vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only")
    tpm.put_value(vm.tpm_folder, "present")
    return vm


def remembered(vm):
    return tpm.value_in(vm.tpm_folder / tpm.STATE)


@pytest.mark.parametrize("first", ["s", "t"])
def test_both_have_what_the_tpm_remembered(with_tpm, monkeypatch, work, first):
    vm = with_tpm
    clone(vm, monkeypatch, "s", "t")
    assert [vm.cli.run("snapshot-info", vm.name, name).data["parts"] for name in "st"] == [["tpm"]] * 2
    assert len(copies(work)) == 2 and all(copy.stat().st_mode & 0o777 == 0o600 for copy in copies(work))
    vm.cli.run("snapshot-delete", vm.name, first)
    assert len(copies(work)) == 1 and findings(vm) == []
    (left,) = names(vm)
    vm.cli.run("snapshot-revert", vm.name, left)
    assert remembered(vm) == "past"
    vm.cli.run("snapshot-delete", vm.name, left)
    assert copies(work) == [] and findings(vm) == []


def test_what_was_left_under_a_name_is_not_the_new_ones(with_tpm, monkeypatch, work):
    """A deletion of metadata alone leaves the copies of that name."""
    vm = with_tpm
    for how in ("--clone", "--rename"):
        tpm.put_value(vm.tpm_folder, "other")
        vm.cli.run("snapshot-create-as", vm.name, "t", "--disk-only")
        vm.cli.run("snapshot-delete", vm.name, "t", "--metadata")
        clone(vm, monkeypatch, "s", "t") if how == "--clone" else \
            vm.cli.run("snapshot-edit", vm.name, "s", how)
        tpm.put_value(vm.tpm_folder, "present")
        vm.cli.run("snapshot-revert", vm.name, "t")
        assert remembered(vm) == "past", how
        if how == "--clone":
            vm.cli.run("snapshot-delete", vm.name, "t", "--metadata")
    assert len(copies(work)) == 1


def test_a_damaged_copy_is_not_cloned(with_tpm, monkeypatch, work):
    vm = with_tpm
    (copy,) = copies(work)
    data = bytearray(copy.read_bytes())
    data[-1] ^= 1
    copy.write_bytes(data)
    assert clone(vm, monkeypatch, "s", "t", check=False).status == DAMAGED
    assert names(vm) == ["s"] and copies(work) == [copy]


@pytest.mark.parametrize("fault", ["kill", "fail"])
def test_a_cut_clone_is_whole_or_never_was(with_tpm, monkeypatch, work, fault):
    vm = with_tpm
    for n in itertools.count(1):
        assert n < MOST
        result = clone(vm, monkeypatch, "s", "t", check=False, fault=f"{fault}@{n}")
        assert vm.cli.run("recover", vm.name, check=False).status in (0, WARNED)
        assert vm.cli.run("recover", vm.name).data == {"settled": []}
        there = "t" in names(vm)
        assert there or result.status != 0, f"cut at {n}"
        assert len(copies(work)) == 1 + there and findings(vm) == [], f"cut at {n}"
        if there:
            tpm.put_value(vm.tpm_folder, "present")
            vm.cli.run("snapshot-revert", vm.name, "t")
            assert remembered(vm) == "past", f"cut at {n}"
            vm.cli.run("snapshot-delete", vm.name, "t")
        if result.status == 0:
            break
    assert n > 3, "a clone has points where it can be cut"


@pytest.mark.parametrize("fault", ["kill", "fail"])
def test_a_cut_deletion_of_one_leaves_the_other_whole(make_vm, monkeypatch, work, fault):
    vm = make_vm(size=SIZE).define()
    write(vm, "s")
    vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only")
    write(vm, "present")
    for n in itertools.count(1):
        assert n < MOST
        if names(vm) == ["s"]:
            clone(vm, monkeypatch, "s", "t")
        result = vm.cli.run("snapshot-delete", vm.name, "t", check=False, fault=f"{fault}@{n}")
        vm.cli.run("recover", vm.name)
        assert set(names(vm)) - {"t"} == {"s"} and findings(vm) == [], f"cut at {n}"
        reads_as(vm, "present")
        if result.status == 0:
            break
    vm.cli.run("snapshot-revert", vm.name, "s")
    reads_as(vm, "s")


def test_an_internal_one_is_known_by_its_name(make_vm, monkeypatch):
    vm = make_vm(size=SIZE).define()
    vm.cli.run("snapshot-create-as", vm.name, "s")
    monkeypatch.setenv("EDITOR", "sed -i '0,/<name>s</s//<name>t</'")
    refused(vm.cli, "snapshot-edit", vm.name, "s", "--clone", status=6, says=("internal",))
    assert names(vm) == ["s"]
