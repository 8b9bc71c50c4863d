# SPDX-License-Identifier: LGPL-2.1-or-later
"""RAM saved while the guest runs: one instant, and a save that fails harms nobody."""

import threading

import pytest
from vmtest.images import MIB
from vmtest.qmp import Qmp

WARNED = 14


@pytest.fixture
def large(make_vm):
    """A guest whose RAM takes a while to be saved."""
    vm = make_vm(disks=1, memory_mib=512).define().start()
    vm.guest.check("yes vmpoint | head -c 150m >/ram/ballast", timeout=300)
    return vm


def create(vm, work, name="s"):
    return ("snapshot-create-as", vm.name, name, "--live", "--memspec", f"file={work}/{name}.ram")


def cancel_when_active(vm):
    """As another monitor's user can do any time: which 7.2 does not survive by itself."""
    with Qmp(vm.domain.spy) as other:
        other.wait_event("MIGRATION", status="active", timeout=300)
        other.execute("migrate_cancel")


def save_and_cancel(vm, work):
    """Again, if the save was quicker."""
    for _ in range(5):
        other = threading.Thread(target=cancel_when_active, args=(vm,))
        other.start()
        result = vm.cli.run(*create(vm, work), check=False)
        other.join()
        if result.status != 0:
            break
        vm.cli.run("snapshot-delete", vm.name, "s")
    assert result.status == WARNED, result.stderr
    return result


def is_disk_only(vm, work):
    info = vm.cli.run("snapshot-dumpxml", vm.name, "s", json=False).stdout
    return "<memory snapshot='no'/>" in info and "disk-snapshot" in info \
        and not (work / "s.ram").exists()


def test_a_save_that_is_cancelled_leaves_a_guest_that_lives(large, work):
    vm = large
    vm.guest.write_pattern("/dev/vda", 0, MIB, "past")
    result = save_and_cancel(vm, work)
    assert "RAM could not be saved" in result.stderr
    beats = vm.guest.heartbeat()
    vm.guest.wait_heartbeat(beats + 5)
    vm.guest.check("dd if=/dev/zero of=/ram/again bs=1M count=64 status=none", timeout=300)
    # It says what it is, and works as such.
    assert is_disk_only(vm, work)
    vm.guest.write_pattern("/dev/vda", 0, MIB, "present")
    vm.cli.run(*create(vm, work, "t"))
    vm.cli.run("snapshot-delete", vm.name, "t")
    vm.cli.run("snapshot-revert", vm.name, "s", "--running")
    vm.guest.wait_up()
    assert vm.guest.has_pattern("/dev/vda", 0, MIB, "past")


def test_a_guest_that_hangs_is_freed_by_whoever_comes_next(large, work):
    vm = large
    with Qmp(vm.domain.spy) as other:
        saving = vm.cli.start(*create(vm, work))
        other.wait_event("MIGRATION", status="active", timeout=300)
        saving.kill()
        saving.wait()
        other.execute("migrate_cancel")
    vm.cli.run("recover", vm.name, check=False)
    beats = vm.guest.heartbeat()
    vm.guest.wait_heartbeat(beats + 5)
    assert is_disk_only(vm, work)
    assert vm.cli.run("recover", vm.name).data == {"settled": []}
