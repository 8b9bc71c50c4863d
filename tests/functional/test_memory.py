# SPDX-License-Identifier: LGPL-2.1-or-later
"""External snapshots with RAM: the guest's memory in a file, its disks in new layers."""

import ctypes
import shutil
import struct
from dataclasses import replace

import pytest
from vmtest import images
from vmtest.cuts import each_cut, settle
from vmtest.images import MIB

EXISTS, UNSUPPORTED, RISKY, DAMAGED = 4, 6, 11, 12


def names(vm):
    return [row["name"] for row in vm.cli.run("snapshot-list", vm.name).data]


def state(vm):
    return vm.cli.run("domstate", vm.name, json=False).stdout.strip()


def sources(vm):
    return [row["source"] for row in vm.cli.run("domblklist", vm.name).data]


def files(work):
    return sorted(path.name for path in [*work.glob("vm-vd*"), *work.glob("*.ram")])


def write(vm, seed):
    for disk in vm.disks:
        vm.guest.write_pattern(disk.device, 0, MIB, seed)
    vm.guest.hold("seed", seed)


def check(vm, seed):
    """RAM and both disks are of one time."""
    for disk in vm.disks:
        assert vm.guest.has_pattern(disk.device, 0, MIB, seed), disk.target
    assert vm.guest.held("seed") == seed


def create(vm, work, *options, name="s"):
    return ("snapshot-create-as", vm.name, name, "--memspec", f"file={work}/{name}.ram", *options)


@pytest.fixture
def alone(make_vm):
    """One whose RAM goes into a new process only, and beside which that one can stand: a monitor
    of the test's own would be in the way."""
    vm = make_vm(elements=["<genid/>"])
    vm.domain.spy = None
    return vm.define().start()


def pid(vm):
    return vm.cli.run("dominfo", vm.name).data["pid"]


LIVE = pytest.mark.parametrize("options", [(), ("--live",)], ids=["paused", "live"])


@LIVE
def test_a_running_guest_is_saved_at_one_instant(vm, work, options):
    vm.guest.writer_start(*[disk.device for disk in vm.disks], offset=8 * MIB)
    vm.guest.wait_generation(3)
    write(vm, "past")
    vm.spy.status()
    vm.cli.run(*create(vm, work, *options))
    pauses = vm.spy.pauses()
    assert len(pauses) == 1
    print(f"saving paused the guest for {pauses[0] * 1000:.1f} ms")
    assert state(vm) == "running"
    assert sources(vm) == [str(work / "vm-vda.s"), str(work / "vm-vdb.s")]
    assert (work / "s.ram").stat().st_size > MIB
    vm.guest.wait_generation(vm.guest.writer_state().generation + 2)
    vm.guest.writer_stop()
    assert vm.guest.writer_state().is_one_instant()
    write(vm, "present")
    vm.cli.run("destroy", vm.name)
    vm.close()

    vm.cli.run("snapshot-revert", vm.name, "s")
    assert state(vm) == "running"
    vm.resume_console()
    check(vm, "past")
    # The writer was under way: pages or disks of another instant would convict themselves.
    vm.guest.wait_generation(vm.guest.writer_state().generation + 2)
    vm.guest.writer_stop()
    assert vm.guest.writer_state().is_one_instant()


def test_the_past_comes_back_in_the_running_process(vm, work):
    write(vm, "past")
    boot, process = vm.guest.boot_id(), pid(vm)
    vm.cli.run(*create(vm, work))
    write(vm, "present")
    vm.spy.pauses()
    vm.cli.run("snapshot-revert", vm.name, "s")
    print(f"reverting paused the guest for {vm.spy.pauses()[-1] * 1000:.1f} ms")
    # The process stayed, and with it console and monitor.
    check(vm, "past")
    assert vm.spy.status() == "running" and vm.guest.boot_id() == boot and pid(vm) == process
    assert files(work) == ["s.ram", "vm-vda.qcow2", "vm-vda.s-1", "vm-vdb.qcow2", "vm-vdb.s-1"]

    write(vm, "other")
    vm.cli.run("snapshot-revert", vm.name, "s", "--paused")
    assert vm.spy.status() == "paused"
    vm.cli.run("resume", vm.name)
    check(vm, "past")
    assert pid(vm) == process

    vm.cli.run("snapshot-delete", vm.name, "s")
    assert files(work) == ["vm-vda.qcow2", "vm-vdb.qcow2"]
    check(vm, "past")


def test_the_present_guest_runs_until_the_past_one_is_loaded(alone, work):
    vm = alone
    write(vm, "past")
    boot, process = vm.guest.boot_id(), pid(vm)
    vm.cli.run(*create(vm, work))
    write(vm, "present")
    result = vm.cli.run("snapshot-revert", vm.name, "s", check=False)
    assert result.status == RISKY and "genid" in result.stderr and "new-process" in result.stderr
    check(vm, "present")

    vm.cli.run("snapshot-revert", vm.name, "s", "--force")
    vm.resume_console()
    assert state(vm) == "running" and vm.guest.boot_id() == boot and pid(vm) != process
    check(vm, "past")
    assert files(work) == ["s.ram", "vm-vda.qcow2", "vm-vda.s-1", "vm-vdb.qcow2", "vm-vdb.s-1"]

    vm.cli.run("snapshot-revert", vm.name, "s", "--paused", "--force")
    assert state(vm) == "paused"


def test_a_paused_guest_stays_paused(vm, work):
    write(vm, "past")
    vm.cli.run("suspend", vm.name)
    vm.cli.run(*create(vm, work))
    assert vm.spy.status() == "paused"
    # QEMU has taken its images back: the next snapshot has all that it needs.
    vm.cli.run("snapshot-create-as", vm.name, "t", "--disk-only")
    vm.cli.run("resume", vm.name)
    check(vm, "past")
    vm.cli.run("destroy", vm.name)
    vm.cli.run("snapshot-revert", vm.name, "s")
    assert state(vm) == "paused"


def test_checkpoints_go_on_counting(vm, work):
    vm.cli.run("checkpoint-create-as", vm.name, "c")
    write(vm, "past")
    vm.cli.run(*create(vm, work))
    write(vm, "present")
    found = [bitmap for node in vm.spy.execute("query-named-block-nodes", {"flat": True})
             for bitmap in node.get("dirty-bitmaps", []) if bitmap["name"] == "c"]
    # Of each disk below and above, each with what was written there.
    assert len(found) == 4
    assert all(bitmap["recording"] and not bitmap["busy"] for bitmap in found)
    assert all(bitmap["count"] >= MIB for bitmap in found)


def test_what_cannot_be_is_refused_before_anything_is_touched(vm, work):
    write(vm, "base")
    before = (names(vm), sources(vm), files(work))

    def refused(status, *command):
        result = vm.cli.run(*command, check=False)
        assert result.status == status, result.stderr
        return result.stderr

    (work / "s.ram").write_bytes(b"somebody else's")
    assert "s.ram" in refused(EXISTS, *create(vm, work))
    (work / "s.ram").unlink()
    assert (names(vm), sources(vm), files(work)) == before
    plan = vm.cli.run(*create(vm, work), "--dry-run").data
    assert "migrate" in str(plan)
    assert (names(vm), sources(vm), files(work)) == before

    vm.cli.run(*create(vm, work))
    vm.cli.run("destroy", vm.name)
    vm.close()
    # Another machine runs now: its place would have to be taken by a new one, and the test's own
    # monitor is at a path that two cannot have.
    vm.domain.memory_mib += 64
    vm.domain.disks = [replace(disk, path=source) for disk, source in zip(vm.disks, sources(vm))]
    vm.define()
    vm.cli.run("start", vm.name, "--paused")
    assert "commandline" in refused(UNSUPPORTED, "snapshot-revert", vm.name, "s", "--force")
    vm.cli.run("destroy", vm.name)
    damage(work / "s.ram")
    assert "s.ram" in refused(DAMAGED, "snapshot-revert", vm.name, "s")
    assert state(vm) == "shut off" and len(files(work)) == 5


def damage(path):
    """One bit of the stream."""
    with path.open("r+b") as file:
        file.seek(MIB)
        byte = file.read(1)[0]
        file.seek(MIB)
        file.write(bytes([byte ^ 1]))


@LIVE
@pytest.mark.parametrize("fault", ["kill", "fail"])
def test_a_cut_snapshot_is_there_or_not(vm, work, fault, options):
    write(vm, "base")
    before = (sources(vm), files(work))
    for n, result in each_cut(vm.cli, fault, *create(vm, work, *options)):
        settle(vm)
        assert vm.spy.status() == "running", f"cut at {n}"
        if not names(vm):
            assert result.status != 0
            assert (sources(vm), files(work)) == before, f"cut at {n}"
            continue
        assert files(work) == ["s.ram", "vm-vda.qcow2", "vm-vda.s", "vm-vdb.qcow2", "vm-vdb.s"]
        vm.cli.run("snapshot-delete", vm.name, "s")
        assert (sources(vm), files(work)) == before, f"cut at {n}"
    check(vm, "base")


@pytest.mark.parametrize("fault", ["kill", "fail"])
@pytest.mark.parametrize("how", ["in-process", "new-process"])
def test_a_cut_revert_ends_before_or_after(request, work, how, fault):
    vm = request.getfixturevalue("vm" if how == "in-process" else "alone")
    force = [] if how == "in-process" else ["--force"]
    write(vm, "past")
    vm.cli.run(*create(vm, work))
    write(vm, "present")
    for n, result in each_cut(vm.cli, fault, "snapshot-revert", vm.name, "s", *force):
        settle(vm)
        assert state(vm) == "running", f"cut at {n}"
        assert len(files(work)) == 5, f"cut at {n}: {files(work)}"
        vm.resume_console()
        seed = vm.guest.held("seed")
        assert seed in ("past", "present"), f"cut at {n}"
        check(vm, seed)
        assert seed == "past" or result.status != 0, f"cut at {n}"
        if seed == "past":
            write(vm, "present")
    assert images.chain(sources(vm)[0], live=True)[1] == work / "vm-vda.qcow2"


class Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def reseal(path):
    """Makes whatever the file has complete and sound, as far as it can tell of itself: its header has the
    length at 24 and the checksum at 32 (src/storage/ram-file.h)."""
    library = ctypes.CDLL("libxxhash.so.0")
    library.XXH3_128bits.restype = Hash128
    library.XXH3_128bits.argtypes = (ctypes.c_char_p, ctypes.c_size_t)
    content = path.read_bytes()
    stream = content[4096:]
    found = library.XXH3_128bits(stream, len(stream))
    header = struct.pack("<Q", len(stream)) + struct.pack(">QQ", found.high, found.low)
    path.write_bytes(content[:24] + header + content[48:])


def test_ram_that_is_sound_but_not_the_snapshots_is_refused(vm, work):
    write(vm, "past")
    vm.cli.run(*create(vm, work))
    write(vm, "middle")
    vm.cli.run(*create(vm, work, name="t"))
    write(vm, "present")
    before = (names(vm), sources(vm))
    saved = {name: (work / name).read_bytes() for name in ("s.ram", "t.ram")}

    def is_refused(name):
        result = vm.cli.run("snapshot-revert", vm.name, name, check=False)
        assert result.status == DAMAGED and f"{name}.ram" in result.stderr, result.stderr
        assert (names(vm), sources(vm)) == before and state(vm) == "running"
        check(vm, "present")

    # Sound as it was, its header says the same: this is how its seal is made.
    reseal(work / "s.ram")
    assert (work / "s.ram").read_bytes() == saved["s.ram"]
    # Another snapshot's, which would load.
    (work / "s.ram").write_bytes(saved["t.ram"])
    (work / "t.ram").write_bytes(saved["s.ram"])
    is_refused("s")
    is_refused("t")
    found = vm.cli.run("fsck", vm.name, "--data", check=False).data
    assert str(found).count("memory-damaged") == 2, found
    # Half of its own, as complete as can be.
    (work / "s.ram").write_bytes(saved["s.ram"][:len(saved["s.ram"]) // 2])
    reseal(work / "s.ram")
    is_refused("s")

    for name, content in saved.items():
        (work / name).write_bytes(content)
    vm.cli.run("snapshot-revert", vm.name, "s")
    check(vm, "past")


def test_ram_that_does_not_load_is_a_power_cut_at_worst(vm, make_vm, work):
    write(vm, "past")
    vm.cli.run(*create(vm, work))
    write(vm, "present")
    # The RAM of another machine, whole as a file: QEMU notices while it loads.
    other = make_vm(name="other", disks=1, memory_mib=320).define()
    vm.cli.run("start", "other", "--paused")
    vm.cli.run("snapshot-create-as", "other", "s", "--memspec", f"file={work}/other.ram")
    # One that was redefined: whose RAM it had is not known.
    document = work / "s.xml"
    document.write_text(vm.cli.run("snapshot-dumpxml", vm.name, "s", "--security-info", json=False)
                        .stdout.replace("s.ram", "s2.ram"), encoding="utf-8")
    shutil.move(work / "s.ram", work / "s2.ram")
    vm.cli.run("snapshot-create", vm.name, document, "--redefine", "--current")
    shutil.move(work / "other.ram", work / "s2.ram")
    before = (names(vm), sources(vm), sorted(files(work)))

    result = vm.cli.run("snapshot-revert", vm.name, "s", check=False)
    assert result.status == DAMAGED and "RAM" in result.stderr, result.stderr
    assert state(vm) == "shut off"
    # No disk is lost: all is as it would be had somebody pulled the plug.
    assert (names(vm), sources(vm), sorted(files(work))) == before
    settle(vm)
    for source in sources(vm):
        images.require_pattern(source, 0, MIB, "present")
