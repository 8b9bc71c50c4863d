# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guest agent: frozen for an instant, thawed in any case.

The judge is the guest itself: its kernel, and a process in it that writes to a mounted file
system and stands still while that is frozen.
"""

import itertools
import subprocess

import pytest
from vmtest import images
from vmtest.domain import Disk
from vmtest.images import MIB
from vmtest.pull import Pull

BUSY = 5
MOST = 40


@pytest.fixture
def vm(make_vm):
    """A machine with an agent whose second disk is a mounted file system."""
    machine = make_vm(agent=True)
    make_file_system(machine.disks[1].path)
    machine.define().start()
    machine.guest.check("mkdir -p /mnt && mount -t ext4 /dev/vdb /mnt")
    machine.guest.wait_until("pidof", "qemu-ga")
    return machine


def make_file_system(path):
    raw = path.with_suffix(".raw")
    with raw.open("wb") as file:
        file.truncate(64 * MIB)
    subprocess.run(["mkfs.ext4", "-q", raw], check=True, stdin=subprocess.DEVNULL)
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, path], check=True)
    raw.unlink()


def is_frozen(vm):
    """By the guest's own kernel, which freezes a file system only once."""
    return vm.guest.run("fsfreeze --freeze /mnt && fsfreeze --unfreeze /mnt").status != 0


def wait_thawed(vm):
    """A write that stood still goes on; returns when it has ended."""
    vm.guest.check("(echo x >/mnt/probe; sync /mnt/probe; : >/ram/probed) >/dev/null 2>&1 &")
    vm.guest.wait_until("test", "-e", "/ram/probed")
    vm.guest.check("rm /ram/probed")


def require_at_rest(raw, witness):
    """A file system without a journal to replay, and with what was in the guest's cache alone."""
    said = subprocess.run(["dumpe2fs", "-h", raw], check=True, capture_output=True, text=True).stdout
    assert "needs_recovery" not in said
    found = subprocess.run(["debugfs", "-R", "cat /witness", raw], check=True, capture_output=True,
                           text=True).stdout
    assert found == witness


def names(vm):
    return [row["name"] for row in vm.cli.run("snapshot-list", vm.name).data]


def debts(vm):
    return list(vm.cli.runtime_dir.glob("*.frozen"))


def test_freeze_thaw_and_info_speak_as_virsh_does(vm):
    assert vm.cli.text("domfsinfo", vm.name).split("\n")[0].split() == [
        "Mountpoint", "Name", "Type", "Target",
    ]
    found = vm.cli.run("domfsinfo", vm.name).data
    assert [(fs["mountpoint"], fs["type"], fs["targets"]) for fs in found] == [
        ("/mnt", "ext4", ["vdb"]),
    ]
    assert vm.cli.text("domfsfreeze", vm.name).strip() == "Froze 1 filesystem(s)"
    assert is_frozen(vm)
    again = vm.cli.run("domfsfreeze", vm.name, check=False)
    assert again.status == 7
    refused = vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only", "--quiesce", check=False)
    assert refused.status == 5 and "frozen already" in refused.error["error"]["message"]
    assert is_frozen(vm), "somebody else's freeze is not thawed"
    assert vm.cli.text("domfsthaw", vm.name).strip() == "Thawed 1 filesystem(s)"
    wait_thawed(vm)
    assert vm.cli.text("domfsthaw", vm.name).strip() == "Thawed 0 filesystem(s)"
    assert vm.cli.run("domfsfreeze", vm.name, "/mnt").data["filesystems"] == 1
    assert vm.cli.run("domfsthaw", vm.name).data["filesystems"] == 1
    assert vm.cli.run("domfsthaw", vm.name, "/mnt", check=False).status == 6
    vm.cli.run("domfstrim", vm.name)
    assert names(vm) == []


def test_a_quiesced_snapshot_holds_what_was_only_in_the_guests_cache(vm, work):
    vm.guest.check("echo cached >/mnt/witness")
    vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only", "--quiesce")
    assert not is_frozen(vm)
    assert not debts(vm)
    raw = work / "judge.raw"
    subprocess.run(["qemu-img", "convert", "-U", "-O", "raw", vm.disks[1].path, raw], check=True)
    require_at_rest(raw, "cached\n")

    vm.cli.run("checkpoint-create-as", vm.name, "c", "--quiesce")
    assert not is_frozen(vm)


def test_a_snapshot_that_qemu_refuses_leaves_the_guest_thawed(vm):
    reports = vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only", "--quiesce", "--dry-run")
    assert [step["kind"] for step in reports.data["steps"]] == [
        "create-images", "freeze-guest", "switch-to-overlays", "thaw-guest",
    ]
    assert not is_frozen(vm)

    vm.cli.run("suspend", vm.name)
    refused = vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only", "--quiesce", check=False)
    assert refused.status == 1 and "not running" in refused.error["error"]["message"]
    vm.cli.run("resume", vm.name)
    assert names(vm) == []


@pytest.mark.parametrize("fault", ["kill", "fail"])
def test_a_cut_quiesced_snapshot_never_leaves_the_guest_frozen(vm, fault):
    for n in itertools.count(1):
        assert n < MOST, "the operation never gets through"
        result = vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only", "--quiesce",
                            check=False, fault=f"{fault}@{n}")
        # Before anybody recovers anything: a thaw guard outlives the kill.
        wait_thawed(vm)
        vm.cli.run("recover", vm.name)
        assert vm.cli.run("recover", vm.name).data == {"settled": []}
        assert not debts(vm), f"cut at {n}"
        assert not is_frozen(vm), f"cut at {n}"
        if names(vm):
            vm.cli.run("snapshot-delete", vm.name, "s")
        else:
            assert result.status != 0
        if result.status == 0:
            break


@pytest.mark.parametrize("way", ["push", "fleece", "pull"])
def test_a_quiesced_backup_holds_what_was_only_in_the_guests_cache(vm, work, way):
    pull = Pull(vm, work)
    vm.guest.check("echo cached >/mnt/witness")
    if way == "pull":
        pull.begin("--quiesce", checkpoint="c")
    else:
        document = work / "push.xml"
        document.write_text(f"<domainbackup><disks><disk name='vdb' type='file'><target file='{work}/copy'/>"
                            "<driver type='raw'/></disk><disk name='vda' backup='no'/></disks></domainbackup>")
        vm.cli.run("backup-begin", vm.name, document, "--quiesce", "--wait",
                   *(["--fleece"] if way == "fleece" else []))
    assert not is_frozen(vm)
    assert not debts(vm)
    vm.guest.check("echo later >/mnt/witness && sync")
    require_at_rest(pull.copy("vdb") if way == "pull" else work / "copy", "cached\n")
    if way == "pull":
        pull.end()
    assert not is_frozen(vm)


def test_a_pull_backup_of_a_guest_that_cannot_be_frozen_is_refused(vm, work):
    pull = Pull(vm, work)
    vm.cli.run("suspend", vm.name)
    refused = vm.cli.run(*pull.words(), "--quiesce", check=False)
    assert refused.status == 1
    message = refused.error["error"]["message"]
    assert message == f"domain {vm.name}: not running but 'paused': its guest agent cannot answer"
    assert not list(work.glob("scratch-*")) and not pull.socket.exists()
    vm.cli.run("resume", vm.name)

    # Frozen by somebody else: theirs stays as it is.
    vm.cli.run("domfsfreeze", vm.name)
    refused = vm.cli.run(*pull.words(), "--quiesce", check=False)
    assert refused.status == BUSY and "frozen" in refused.error["error"]["message"], refused
    assert is_frozen(vm)
    vm.cli.run("domfsthaw", vm.name)


@pytest.mark.parametrize("fault", ["kill", "fail"])
def test_a_cut_quiesced_pull_backup_never_leaves_the_guest_frozen(vm, work, fault):
    pull = Pull(vm, work)
    for n in itertools.count(1):
        assert n < MOST, "the operation never gets through"
        result = vm.cli.run(*pull.words(), "--quiesce", check=False, fault=f"{fault}@{n}")
        # Cut while the guest stood for the instant, it stands until somebody recovers.
        if vm.state() == "running":
            wait_thawed(vm)
        vm.cli.run("recover", vm.name)
        wait_thawed(vm)
        assert not debts(vm), f"cut at {n}"
        assert not is_frozen(vm), f"cut at {n}"
        if vm.cli.run("domjobinfo", vm.name).data["state"] == "running":
            pull.end()
        else:
            assert result.status != 0
        assert not list(work.glob("scratch-*")), f"cut at {n}"
        if result.status == 0:
            break


def test_an_agent_that_is_not_there_is_said_before_anything_is_touched(vm):
    vm.guest.check("kill -STOP $(pidof qemu-ga)")
    before = vm.cli.run("domblklist", vm.name).data
    result = vm.cli.run("--timeout", "1", "snapshot-create-as", vm.name, "s", "--disk-only",
                        "--quiesce", check=False)
    assert result.status == 9 and "does not answer" in result.error["error"]["message"]
    assert vm.cli.run("domblklist", vm.name).data == before
    # What is left in the channel is no answer to whoever comes later.
    vm.guest.check("kill -CONT $(pidof qemu-ga)")
    assert vm.cli.run("domfsthaw", vm.name).data["filesystems"] == 0


def test_an_attached_machines_agent_is_asked_at_its_own_socket(bare, vmpoint, work):
    disk = images.create(work / "a.qcow2", 64 * MIB)
    make_file_system(disk)
    machine = bare([Disk(disk, "vda")], agent=work / "a.qga")
    machine.guest.wait_up()
    machine.guest.check("mkdir -p /mnt && mount -t ext4 /dev/vda /mnt")
    machine.qmp.close()
    vmpoint.run("attach", "a", "--qmp", machine.monitor, "--agent", work / "a.qga")
    found = vmpoint.run("domfsinfo", "a").data
    target = vmpoint.run("domblklist", "a").data[0]["target"]
    assert [(fs["mountpoint"], fs["targets"]) for fs in found] == [("/mnt", [target])]
    vmpoint.run("snapshot-create-as", "a", "s", "--disk-only", "--quiesce")
    assert vmpoint.run("domfsthaw", "a").data["filesystems"] == 0
