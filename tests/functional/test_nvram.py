# SPDX-License-Identifier: LGPL-2.1-or-later
"""The firmware's variables belong to every snapshot, and come back with it."""

import itertools
import os
import re
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest
from vmtest import images
from vmtest.cuts import each_cut

DAMAGED, RISKY, WARNED = 12, 11, 14
OVMF = "/usr/share/OVMF/OVMF_{}_4M.fd"
MOST = 80

FORMATS = pytest.mark.parametrize("nvram_format", ["raw", "qcow2"])


@pytest.fixture
def make_uefi(make_vm, work):
    """make_uefi(format) describes a machine with UEFI and variables in a file of its own."""

    def make(nvram_format="raw", more=""):
        vm = make_vm(disks=1)
        vm.nvram = work / "vars"
        images.tool("qemu-img", "convert", "-O", nvram_format, OVMF.format("VARS"), vm.nvram)
        write = vm.domain.xml
        vm.domain.xml = lambda: write().replace("<os>", more + "<os>").replace("</os>", f"""
          <loader readonly='yes' type='pflash'>{OVMF.format("CODE")}</loader>
          <nvram format='{nvram_format}'>{vm.nvram}</nvram></os>""")
        # Its path could be had by one process only.
        vm.domain.spy = None
        return vm.define()

    return make


def content(vm):
    return vm.nvram.read_bytes()


def change(vm, mark):
    """While the domain is off: other variables, told apart by their last bytes."""
    data = bytearray(content(vm))
    data[-16:] = mark.encode().ljust(16, b"\0")
    vm.nvram.write_bytes(data)
    return bytes(data)


def copies(work):
    """Files in vmpoint's own folder that keep parts of snapshots."""
    folder = work / "state" / "parts"
    return sorted(folder.iterdir()) if folder.exists() else []


def leftovers(work):
    return [path.name for path in work.iterdir() if ".vmp-" in path.name]


def variables(vm, new=None):
    """Names of the variables that the guest has given its firmware; and a new one.

    The kernel lets nobody change a variable that it does not know, but everybody make one.
    """
    vm.guest.check("[ -d /efi ] || { mkdir /efi; mount -t efivarfs efivarfs /efi; }")
    if new is not None:
        vm.guest.check("printf '\\007\\000\\000\\000x' >/tmp/value; dd if=/tmp/value bs=1k "
                       f"of=/efi/Test{new}-cfc8fc79-be2e-4ddc-97f0-9f98bfe302a0 status=none")
    return set(re.findall("Test(.*?)-", vm.guest.check("ls /efi")))


@pytest.mark.parametrize("end", ["off", "paused"])
def test_a_snapshot_of_a_domain_that_is_off_brings_them_back(make_uefi, work, end):
    vm = make_uefi()
    past = change(vm, "past")
    vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only")
    assert len(copies(work)) == 1
    vm.nvram.write_bytes(bytes(len(past)))
    os.chmod(vm.nvram, 0o640)

    vm.cli.run("snapshot-revert", vm.name, "s", *(["--paused"] if end == "paused" else []))
    if end == "paused":
        vm.cli.run("destroy", vm.name)
    assert content(vm) == past
    assert vm.nvram.stat().st_mode & 0o777 == 0o640
    assert leftovers(work) == []

    vm.cli.run("snapshot-delete", vm.name, "s")
    assert copies(work) == []


@FORMATS
def test_a_restore_point_brings_them_to_another_domain(make_uefi, work, nvram_format):
    vm = make_uefi(nvram_format).start()
    variables(vm, "past")
    point = vm.cli.run("backup-create", vm.name, work / "repo").data["name"]
    past = images.read(vm.nvram, 0, None, image_format=nvram_format, live=True)
    variables(vm, "present")
    vm.cli.run("destroy", vm.name)
    here = content(vm)

    (work / "new").mkdir()
    vm.cli.run("backup-restore", work / "repo", point, "--define", "other", "--to", work / "new")
    nvram = xml.fromstring(vm.cli.run("dumpxml", "other").data["xml"]).find("os/nvram")
    assert nvram.get("format", "raw") == nvram_format
    assert nvram.text != str(vm.nvram) and content(vm) == here
    assert images.read(nvram.text, 0, None, image_format=nvram_format) == past
    vm.cli.run("start", "other", "--paused")
    vm.cli.run("destroy", "other")


@pytest.mark.parametrize("fault", ["kill", "fail"])
def test_a_cut_definition_has_them_or_never_was(make_uefi, work, fault):
    vm = make_uefi()
    past = change(vm, "past")
    point = vm.cli.run("backup-create", vm.name, work / "repo").data["name"]
    for n in itertools.count(1):
        assert n < MOST, "the operation never gets through"
        folder = work / f"new-{n}"
        folder.mkdir()
        result = vm.cli.run("backup-restore", work / "repo", point, "--define", f"other-{n}",
                            "--to", folder, check=False, fault=f"{fault}@{n}")
        if f"other-{n}" in names_of_domains(vm):
            nvram = xml.fromstring(vm.cli.run("dumpxml", f"other-{n}").data["xml"]).find("os/nvram")
            assert Path(nvram.text).read_bytes() == past, f"cut at {n}"
        else:
            assert result.status != 0
        if fault == "fail" and result.status:
            assert not list(folder.iterdir()), f"cut at {n}"
        if result.status == 0:
            break


def names_of_domains(vm):
    return {row["name"] for row in vm.cli.run("list", "--all").data}


@FORMATS
def test_a_running_guest_gets_back_what_it_had_at_that_instant(make_uefi, work, nvram_format):
    vm = make_uefi(nvram_format).start()
    variables(vm, "past")
    vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only")
    assert variables(vm, "present") == {"past", "present"}, "the guest runs on"

    # The firmware in a running process has its variables in memory.
    assert vm.cli.run("snapshot-revert", vm.name, "s", "--running", check=False).status == RISKY
    vm.cli.run("snapshot-revert", vm.name, "s", "--running", "--force")
    vm.resume_console()
    assert variables(vm) == {"past"}

    # While they are as they were, the process stays.
    vm.cli.run("snapshot-delete", vm.name, "s")
    vm.cli.run("snapshot-create-as", vm.name, "t", "--disk-only")
    pid = vm.cli.run("dominfo", vm.name).data["pid"]
    vm.cli.run("snapshot-revert", vm.name, "t", "--running")
    assert vm.cli.run("dominfo", vm.name).data["pid"] == pid
    vm.cli.run("snapshot-revert", vm.name, "t", "--force")
    assert vm.cli.run("domstate", vm.name, json=False).stdout.strip() == "shut off"


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_with_ram_they_come_back_to_the_guest_that_runs_on(make_uefi, work, where):
    # A generation id can only be changed by a new process.
    vm = make_uefi("raw", "<genid/>" if where == "elsewhere" else "").start()
    variables(vm, "past")
    vm.cli.run("snapshot-create-as", vm.name, "s", "--memspec", f"file={work}/s.ram")
    variables(vm, "present")
    present = content(vm)
    vm.cli.run("snapshot-revert", vm.name, "s", "--force")
    vm.resume_console()
    assert variables(vm) == {"past"}
    assert content(vm) != present and leftovers(work) == []
    # What the guest says now is in the file that bears the name.
    before = content(vm)
    variables(vm, "future")
    assert content(vm) != before
    vm.cli.run("destroy", vm.name)
    vm.cli.run("snapshot-revert", vm.name, "s")
    vm.resume_console()
    assert variables(vm) == {"past"}


def test_a_snapshot_that_nobody_remembers_says_that_it_lacks_them(make_uefi, work):
    vm = make_uefi()
    result = vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only", "--no-metadata", check=False)
    assert result.status == WARNED
    assert "the firmware's variables are not part of the snapshot" in result.stderr
    assert not copies(work) and vm.cli.run("snapshot-list", vm.name).data == []


def test_a_damaged_copy_is_refused_and_a_lost_one_is_no_success(make_uefi, work):
    vm = make_uefi()
    change(vm, "past")
    vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only")
    present = change(vm, "present")
    (copy,) = copies(work)
    damaged = bytearray(copy.read_bytes())
    damaged[-9] ^= 1
    copy.write_bytes(damaged)
    result = vm.cli.run("snapshot-revert", vm.name, "s", check=False)
    assert result.status == DAMAGED and str(copy) in result.stderr
    assert content(vm) == present

    # Fresh ones need no copy.
    vm.cli.run("snapshot-revert", vm.name, "s", "--paused", "--reset-nvram")
    vm.cli.run("destroy", vm.name)
    assert content(vm) == Path(OVMF.format("VARS")).read_bytes()

    # A file that is none cannot be copied: the snapshot is made, and not called a success.
    vm.nvram.unlink()
    vm.nvram.mkdir()
    result = vm.cli.run("snapshot-create-as", vm.name, "t", "--disk-only", check=False)
    assert result.status == WARNED and "variables" in result.stderr
    vm.nvram.rmdir()
    vm.nvram.write_bytes(present)
    result = vm.cli.run("snapshot-revert", vm.name, "t", check=False)
    assert result.status == WARNED and "variables" in result.stderr
    assert content(vm) == present


@pytest.mark.parametrize("fault", ["kill", "fail"])
def test_a_cut_snapshot_and_a_cut_revert_end_before_or_after(make_uefi, work, fault):
    vm = make_uefi()
    past = change(vm, "past")
    for n, _ in cut(vm, fault, "snapshot-create-as", vm.name, "s", "--disk-only"):
        there = bool(vm.cli.run("snapshot-list", vm.name).data)
        assert len(copies(work)) == there, f"cut at {n}"
        if there:
            vm.cli.run("snapshot-delete", vm.name, "s")
            assert copies(work) == []

    vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only")
    present = change(vm, "present")
    for n, result in cut(vm, fault, "snapshot-revert", vm.name, "s"):
        assert leftovers(work) == [], f"cut at {n}"
        source = vm.cli.run("domblklist", vm.name).data[0]["source"]
        new = source != str(work / "vm-vda.s")
        assert content(vm) == (past if new else present), f"cut at {n}"
        assert new or result.status != 0
        if new:
            break


def cut(vm, fault, *command):
    for n, result in each_cut(vm.cli, fault, *command):
        vm.cli.run("recover", vm.name)
        yield n, result
