# SPDX-License-Identifier: LGPL-2.1-or-later
"""RAM saved while the guest runs: one instant, and a save that fails harms nobody."""

import random
import signal
import subprocess
import threading

import pytest
from vmtest.images import MIB
from vmtest.qmp import Qmp

WARNED, INTERRUPTED = 14, 130


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


def save_and_leave(vm, work, how):
    """Again, if the save was quicker; exit status and what was said."""
    for _ in range(5):
        with Qmp(vm.domain.spy) as other:
            saving = vm.cli.start(*create(vm, work), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            other.wait_event("MIGRATION", status="active", timeout=300)
            other.execute("migrate-set-parameters", {"max-bandwidth": MIB})
            saving.send_signal(how)
            out, err = saving.communicate(timeout=300)
            other.execute("migrate-set-parameters", {"max-bandwidth": 4096 * MIB})
        if saving.returncode != 0:
            break
        vm.cli.run("snapshot-delete", vm.name, "s")
    return saving.returncode, (out + err).decode()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_qemu_goes_on_without_whoever_waits_for_it(large, work, how):
    vm = large
    vm.guest.write_pattern("/dev/vda", 0, MIB, "past")
    vm.guest.hold("time", "past")
    status, said = save_and_leave(vm, work, how)
    assert status == (INTERRUPTED if how == signal.SIGINT else -how), said
    assert how == signal.SIGKILL or "goes on" in said
    # The guest goes on, too; whoever comes next waits for QEMU.
    vm.guest.hold("time", "present")
    vm.guest.write_pattern("/dev/vda", 0, MIB, "present")
    assert len(vm.cli.run("recover", vm.name).data["settled"]) == 1
    assert vm.cli.run("recover", vm.name).data == {"settled": []}
    assert "<memory snapshot='external'" in vm.cli.run("snapshot-dumpxml", vm.name, "s", json=False).stdout
    vm.cli.run("snapshot-revert", vm.name, "s")
    assert vm.guest.held("time") == "past"
    assert vm.guest.has_pattern("/dev/vda", 0, MIB, "past")


def test_thousands_of_files_in_ram_are_of_one_instant(vm, work):
    """Whoever bumps a generation over them, and on the disks, finds it so in each state that comes back."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    vm.guest.writer_start(*[disk.device for disk in vm.disks], files=2000, offset=8 * MIB)
    rounds = [f"r{n}" for n in range(3)]
    for name in rounds:
        vm.guest.wait_generation(vm.guest.writer_state().generation + chance.randrange(1, 3), timeout=600)
        vm.cli.run(*create(vm, work, name))
    for name in chance.sample(rounds, len(rounds)):
        vm.cli.run("snapshot-revert", vm.name, name)
        # What does not fit convicts itself within two generations.
        vm.guest.wait_generation(vm.guest.writer_state().generation + 2, timeout=600)
        found = vm.guest.writer_state()
        assert found.torn == 0 and found.newest - found.oldest in (0, 1, 2), found
    vm.guest.writer_stop()
    assert vm.guest.writer_state().is_one_instant()
