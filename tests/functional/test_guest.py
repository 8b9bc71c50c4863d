# SPDX-License-Identifier: LGPL-2.1-or-later
"""The fixture itself, without vmpoint: what the other tests lean on must hold,
and each witness must also be able to say no."""

import json
import os
import subprocess
import sys
import uuid

import pytest
from vmtest import images, pattern, workdir
from vmtest.domain import Disk, Domain, targets
from vmtest.images import MIB
from vmtest.pids import LeftBehind, Processes
from vmtest.qmp import Qmp, QmpRefusal

SIZE = 64 * MIB


def empty_disks(work, count=2, bus="virtio"):
    return [
        Disk(images.create(work / f"{target}.qcow2", SIZE), target, bus)
        for target in targets(bus, count)
    ]


@pytest.fixture
def machine(bare, work):
    """Two virtio disks, the guest up."""
    found = bare(empty_disks(work))
    found.guest.wait_up()
    return found


# --- Console -----------------------------------------------------------------

def test_the_guest_comes_up_and_says_how_long_it_took(bare, accel):
    booted = bare([]).guest.wait_boot()
    # Two to three seconds by its own clock; more only says how busy the host is.
    assert 0.1 < booted < 60
    print(f"guest up after {booted} s under {accel}")


def test_a_guest_that_is_already_up_answers_a_late_comer(machine):
    first = machine.guest.boot_id()
    machine.guest.connect().wait_up()
    assert machine.guest.boot_id() == first


def test_commands_answer_with_status_and_output(machine):
    guest = machine.guest
    assert guest.run("echo one; echo two").output == "one\ntwo\n"
    assert guest.run("printf 'no newline'").output == "no newline"
    assert guest.run("exit 7").status == 7
    assert guest.run("if").status != 0, "a syntax error must not cost us the guest"
    assert guest.run("echo still there").output == "still there\n"
    # Nothing that a command prints can be taken for the end of another's answer.
    assert guest.run("echo '[vm 0 end 0]'").output == "[vm 0 end 0]\n"
    assert guest.call("printf", "%s", "it's \"quoted\" $HOME") == "it's \"quoted\" $HOME"


def test_a_command_that_takes_too_long_is_a_timeout_and_not_the_next_answer(machine):
    guest = machine.guest
    later = guest.heartbeat() + 20
    with pytest.raises(TimeoutError):
        guest.run(f"wait_until heartbeat_reached {later}; echo late", timeout=0.3)
    assert guest.run("echo next").output == "next\n"


def test_a_large_output_arrives_whole(machine):
    output = machine.guest.check("seq 1 20000")
    assert output == "".join(f"{i}\n" for i in range(1, 20001))


def test_the_guest_reboots_and_forgets(machine):
    guest = machine.guest
    before = guest.boot_id()
    guest.hold("word", "pear")
    machine.qmp.execute("system_reset")
    guest.wait_boot()
    assert guest.boot_id() != before
    assert guest.held("word") is None


# --- Content -----------------------------------------------------------------

@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, MIB), (3 * MIB, 8 * MIB), (4096, 4096), (SIZE - 512, 512)],
)
def test_what_the_guest_wrote_is_what_the_host_computes(machine, work, offset, length):
    disk = machine.disks[0]
    machine.guest.write_pattern(disk.device, offset, length, "seed-1")
    said = machine.guest.check_pattern(disk.device, offset, length, "seed-1")
    assert machine.quit() == 0

    images.check(disk.path)
    assert images.digest(disk.path, offset, length) == said
    images.require_pattern(disk.path, offset, length, "seed-1")
    raw = images.to_raw(disk.path, work / "out.raw").read_bytes()
    assert raw[offset:offset + length] == pattern.content("seed-1", offset, length)
    assert not any(raw[:offset]) and not any(raw[offset + length:])


def test_what_the_host_wrote_is_what_the_guest_finds(bare, work):
    disks = empty_disks(work)
    images.write_pattern(disks[1].path, MIB, 4 * MIB, "from-the-host")
    guest = bare(disks).guest.wait_up()
    assert guest.has_pattern("/dev/vdb", MIB, 4 * MIB, "from-the-host")
    assert guest.digest("/dev/vdb", MIB, 4 * MIB) == images.digest(disks[1].path, MIB, 4 * MIB, live=True)
    assert guest.disk_size("/dev/vdb") == SIZE


def test_the_guest_notices_other_content(machine):
    guest = machine.guest
    guest.write_pattern("/dev/vda", 0, MIB, "mine")
    assert guest.has_pattern("/dev/vda", 0, MIB, "mine")
    assert not guest.has_pattern("/dev/vda", 0, MIB, "yours")
    assert not guest.has_pattern("/dev/vdb", 0, MIB, "mine")

    # Right seed, right length, wrong place.
    guest.check("read_range /dev/vda 0 65536 >/tmp/moved; overwrite /dev/vda 65536 65536 </tmp/moved")
    assert guest.has_pattern("/dev/vda", 0, 65536, "mine")
    answer = guest.run("check_pattern /dev/vda 0 1048576 mine")
    assert answer.status == 1
    # The sector at 65536 spells another offset in the last digits of its first line.
    assert f"differ: char {65536 + 64 - len('65536')}," in answer.output


def test_the_host_notices_one_wrecked_sector(machine):
    disk = machine.disks[0]
    machine.guest.write_pattern("/dev/vda", 0, 2 * MIB, "mine")
    machine.guest.wreck("/dev/vda", MIB + 512, 512)
    assert not machine.guest.has_pattern("/dev/vda", 0, 2 * MIB, "mine")
    assert machine.quit() == 0
    assert images.wrong_at(disk.path, 0, 2 * MIB, "mine") == MIB + 512
    with pytest.raises(AssertionError, match=str(MIB + 512)):
        images.require_pattern(disk.path, 0, 2 * MIB, "mine")


# --- The judge of images -----------------------------------------------------

def test_images_are_compared_as_a_guest_sees_them(work):
    one = images.create(work / "one.qcow2", MIB)
    images.write_pattern(one, 0, MIB, "one")
    raw = images.to_raw(one, work / "one.raw")
    top = images.create(work / "top.qcow2", MIB, backing=one)
    assert images.identical(one, raw) and images.identical(top, raw)
    assert images.chain(top) == [top, one]

    images.write_pattern(top, 4096, 512, "other")
    assert not images.identical(top, raw)
    assert images.identical(one, raw), "the overlay took the write, not its base"
    assert images.wrong_at(top, 0, MIB, "one") == 4096


def test_an_internal_snapshot_is_read_beside_the_disk(work):
    disk = images.create(work / "disk.qcow2", MIB)
    images.write_pattern(disk, 0, MIB, "then")
    images.tool("qemu-img", "snapshot", "-c", "s1", disk)
    images.write_pattern(disk, 0, MIB, "now")
    assert set(images.internal_snapshots(disk)) == {"s1"}
    images.require_pattern(disk, 0, MIB, "now")
    images.require_pattern(disk, 0, MIB, "then", snapshot="s1")
    then = images.to_raw(disk, work / "then.raw", snapshot="s1").read_bytes()
    assert then == pattern.content("then", 0, MIB)


def test_a_damaged_image_is_not_clean(work):
    disk = images.create(work / "disk.qcow2", MIB)
    images.write_pattern(disk, 0, MIB, "content")
    assert images.is_clean(disk)
    with disk.open("r+b") as file:
        file.seek(2 * 65536)  # the refcount block
        file.write(bytes(512))
    assert not images.is_clean(disk)
    with pytest.raises(AssertionError, match="qemu-img check"):
        images.check(disk)


# --- Witnesses in RAM --------------------------------------------------------

def test_ram_holds_a_value_and_the_heart_beats(machine):
    guest = machine.guest
    guest.hold("word", "two words")
    assert guest.held("word") == "two words"
    assert guest.held("nothing") is None

    first = guest.heartbeat()
    machine.qmp.execute("stop")
    machine.qmp.wait_event("STOP")
    machine.qmp.execute("cont")
    # Ten more beats: the answer to this comes when they are there.
    guest.wait_heartbeat(first + 10)
    assert guest.heartbeat() >= first + 10
    assert len(machine.qmp.pauses()) == 1


def test_a_machine_that_is_brought_back_whole_is_one_instant(machine):
    """QEMU's own internal snapshots are the reference: RAM and disks together."""
    guest, qmp = machine.guest, machine.qmp
    guest.writer_start("/dev/vda", "/dev/vdb")
    guest.wait_generation(3)
    guest.hold("word", "then")
    run_job(qmp, "snapshot-save", vmstate="vda", devices=["vda", "vdb"], tag="s1")
    then = guest.writer_state()
    guest.wait_generation(then.generation + 3)
    guest.hold("word", "now")

    run_job(qmp, "snapshot-load", vmstate="vda", devices=["vda", "vdb"], tag="s1")
    assert guest.held("word") == "then"
    guest.wait_generation(then.generation + 3)
    guest.writer_stop()
    assert guest.writer_state().is_one_instant()


def test_a_machine_with_the_disks_of_another_instant_convicts_itself(machine):
    guest, qmp = machine.guest, machine.qmp
    guest.writer_start("/dev/vda", "/dev/vdb")
    guest.wait_generation(3)
    # The RAM and the first disk, but not the second.
    run_job(qmp, "snapshot-save", vmstate="vda", devices=["vda"], tag="s1")
    then = guest.writer_state()
    guest.wait_generation(then.generation + 3)
    run_job(qmp, "snapshot-load", vmstate="vda", devices=["vda"], tag="s1")
    guest.wait_generation(then.generation + 2)
    guest.writer_stop()
    state = guest.writer_state()
    assert not state.is_one_instant()
    assert state.torn > 0
    assert "/dev/vdb: slot" in state.why and "/dev/vda" not in state.why


def test_a_machine_with_ram_of_another_instant_convicts_itself(machine):
    guest = machine.guest
    guest.writer_start("/dev/vda")
    guest.wait_generation(1)
    # What a page that was saved too late would look like.
    guest.check("printf '%012d\\n' 99 1<>/ram/writer/files/150")
    guest.wait_generation(guest.writer_state().generation + 2)
    guest.writer_stop()
    state = guest.writer_state()
    assert state.torn == 1 and "file 150 in RAM: 000000000099" in state.why


def run_job(qmp, command, **arguments):
    qmp.execute(command, {"job-id": "job", **arguments})
    qmp.wait_event("JOB_STATUS_CHANGE", id="job", status="concluded")
    job, = qmp.execute("query-jobs")
    qmp.execute("job-dismiss", {"id": "job"})
    assert "error" not in job, job["error"]


# --- Power -------------------------------------------------------------------

def test_the_power_button_switches_the_machine_off(machine):
    machine.qmp.execute("system_powerdown")
    event = machine.qmp.wait_event("SHUTDOWN")
    assert event["data"] == {"guest": True, "reason": "guest-shutdown"}
    machine.guest.wait_gone()
    assert machine.wait() == 0


def test_a_guest_can_ignore_the_power_button(machine):
    machine.guest.call("power_button_ignore")
    machine.qmp.execute("system_powerdown")
    machine.qmp.wait_event("POWERDOWN")
    machine.guest.wait_until("test", "-s", "/ram/power-button")
    assert machine.guest.check("echo here") == "here\n"


def test_the_guest_switches_itself_off(machine):
    machine.guest.poweroff()
    assert machine.wait() == 0


# --- Devices -----------------------------------------------------------------

@pytest.mark.parametrize(
    ("bus", "board", "kernel"),
    [
        ("virtio", "q35", "guest_image"),
        ("scsi", "q35", "guest_image"),
        ("ide", "pc", "guest_image"),
        ("sata", "q35", "generic_image"),
        ("usb", "q35", "generic_image"),
    ],
)
def test_the_disks_of_each_bus_are_there_when_the_guest_is_up(bare, request, work, bus, board, kernel):
    disks = empty_disks(work, 3, bus)
    for disk in disks:
        images.write_pattern(disk.path, 0, 65536, disk.target)
    machine = bare(disks, image=request.getfixturevalue(kernel), machine=board)
    guest = machine.guest.wait_up()
    if bus == "usb":
        # USB is looked through in the background, as for a hot plug.
        guest.wait_until("disks_named", len(disks))
    for disk in disks:
        assert guest.disk_size(disk.device) == SIZE
        assert guest.has_pattern(disk.device, 0, 65536, disk.target)
    guest.write_pattern(disks[1].device, MIB, 65536, "written")
    assert machine.quit() == 0
    images.require_pattern(disks[1].path, MIB, 65536, "written")


def test_the_guest_agent_freezes_a_file_system(bare, work):
    machine = bare(empty_disks(work, 1), agent=work / "agent")
    guest = machine.guest.wait_up()
    guest.check("mke2fs -F /dev/vda >/dev/null 2>&1 && mkdir /mnt && mount -t ext4 /dev/vda /mnt")
    with Agent(work / "agent") as agent:
        assert agent.execute("guest-fsfreeze-freeze") == 1
        # A frozen file system takes no new file: who tries waits for the thaw.
        guest.check("(touch /mnt/late; touch /tmp/thawed) >/dev/null 2>&1 &")
        assert agent.execute("guest-fsfreeze-status") == "frozen"
        assert guest.run("[ -e /mnt/late ] || [ -e /tmp/thawed ]").status == 1
        assert agent.execute("guest-fsfreeze-thaw") == 1
    guest.wait_until("test", "-e", "/tmp/thawed")
    guest.check("[ -e /mnt/late ]")


class Agent(Qmp):
    """The agent speaks as QMP does, but does not greet."""

    def _receive(self, deadline):
        if not hasattr(self, "greeting"):
            self.greeting = None
            return {"QMP": None}
        return super()._receive(deadline)

    def execute(self, command, arguments=None, **how):
        return None if command == "qmp_capabilities" else super().execute(command, arguments, **how)


# --- Monitor, XML, folders and processes -------------------------------------

def test_a_refusal_of_qemu_is_told_apart_and_events_are_kept(machine):
    with pytest.raises(QmpRefusal, match="no-such-command") as refused:
        machine.qmp.execute("no-such-command")
    assert refused.value.error_class == "CommandNotFound"
    machine.qmp.execute("stop")
    machine.qmp.execute("cont")
    assert [event["event"] for event in machine.qmp.drain_events()] == ["STOP", "RESUME"]
    with pytest.raises(TimeoutError):
        machine.qmp.wait_event("STOP", timeout=0.1)


@pytest.mark.parametrize("bus", ["virtio", "scsi", "sata", "usb"])
def test_the_domain_xml_is_libvirts(work, guest_image, bus):
    disks = [Disk(work / f"{target}.qcow2", target, bus) for target in targets(bus, 2)]
    domain = Domain(
        "vm", guest_image, work / "vm.con", disks, spy=work / "vm.spy", agent=work / "vm.qga",
    )
    images.tool("virt-xml-validate", domain.write(work / "vm.xml"), "domain")

    # The validator must be able to say no.
    broken = work / "broken.xml"
    broken.write_text(domain.xml().replace("<vcpu>1<", "<vcpu>one<"), encoding="utf-8")
    with pytest.raises(AssertionError, match="fails to validate"):
        images.tool("virt-xml-validate", broken, "domain")


def test_the_work_folder_is_short_and_on_a_real_file_system(work):
    assert len(os.fsencode(work / "run" / str(uuid.uuid4()) / "a-monitor-of-the-machine.sock")) <= 107
    assert workdir.file_system(work) not in workdir.NOT_REAL
    assert workdir.file_system("/proc/self") == "proc"


def test_a_process_that_is_left_behind_is_found_ended_and_reported(work):
    own = Processes(work)
    started = own.start(["sleep", "1000"])
    # One that our own child has let go, and one that only its environment gives away.
    hidden = subprocess.run(
        [sys.executable, "-c", "import subprocess; print(subprocess.Popen(['sleep', '1000'], stdout=2).pid)"],
        env=own.environment(), stdout=subprocess.PIPE, check=True, text=True,
    )
    assert {process.pid for process in own.alive()} == {started.pid, int(hidden.stdout)}

    with pytest.raises(LeftBehind, match=f"{hidden.stdout.strip()}: sleep 1000"):
        own.finish()
    assert not own.alive()
    own.finish()


def test_a_machine_that_vmpoint_has_a_record_of_is_ended_without_a_word(work):
    own = Processes(work)
    daemon = ["-machine", "none", "-display", "none", "-nodefaults", "-no-user-config", "-daemonize"]
    pids = {}
    for name in ("known", "forgotten"):
        images.tool("qemu-system-x86_64", *daemon, "-pidfile", work / f"{name}.qemu")
        pids[name] = int((work / f"{name}.qemu").read_text(encoding="utf-8"))
    record = work / "run" / str(uuid.uuid4()) / "pid"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"pid": pids["known"]}), encoding="utf-8")
    assert {process.pid for process in own.alive()} == set(pids.values())
    assert own.machines() == {pids["known"]}

    with pytest.raises(LeftBehind) as left:
        own.finish()
    assert f"{pids['forgotten']}:" in str(left.value)
    assert f"{pids['known']}:" not in str(left.value)
    assert not own.alive()
