# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an emulated TPM remembers belongs to every snapshot, and comes back with it."""

import os
import shutil
import signal
from xml.etree import ElementTree

import pytest
from vmtest import tpm, world
from vmtest.cli import Vmpoint
from vmtest.cuts import each_cut
from vmtest.tpm import GuestTpm
from vmtest.waiting import Deadline

DAMAGED, RISKY, WARNED = 12, 11, 14
UNSUPPORTED = 6
TPM = "<tpm model='{}'><backend type='emulator' version='2.0'/></tpm>"


@pytest.fixture
def make_tpm_vm(make_vm, work):
    """make_tpm_vm(...) describes a machine with a TPM; see Vm.make."""

    def make(model="tpm-crb", **how):
        vm = make_vm(disks=1, devices=[TPM.format(model)], **how)
        vm.tpm = GuestTpm(vm)
        vm.tpm_folder = work / "state" / "tpm" / vm.domain.uuid
        # Its path could be had by one process only.
        vm.domain.spy = None
        return vm.define()

    return make


def in_folder(vm):
    return tpm.value_in(vm.tpm_folder / tpm.STATE)


def copies(work):
    """Files in vmpoint's own folder that keep parts of snapshots."""
    folder = work / "state" / "parts"
    return sorted(folder.iterdir()) if folder.exists() else []


def kept(copy):
    """What is in one of them: behind its header."""
    return copy.read_bytes()[4096:]


def folders(work):
    return sorted(path.name for path in (work / "state" / "tpm").iterdir())


def settle(vm):
    # What was loaded twice is in a process that has not what the first one was to close.
    assert vm.cli.run("recover", vm.name, check=False).status in (0, WARNED)
    assert vm.cli.run("recover", vm.name).data == {"settled": []}, "a second recovery finds nothing"


def pid(vm):
    return vm.cli.run("dominfo", vm.name).data["pid"]


@pytest.mark.parametrize("model", ["tpm-tis", "tpm-crb"])
def test_a_running_guest_gets_back_what_its_tpm_knew(make_tpm_vm, work, model):
    vm = make_tpm_vm(model).start()
    vm.tpm.write("past")
    vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only")
    (copy,) = copies(work)
    assert tpm.value_in(kept(copy)) == "past" and copy.stat().st_mode & 0o777 == 0o600
    assert vm.tpm_folder.stat().st_mode & 0o777 == 0o700

    # As long as nothing has changed the process may stay.
    plan = vm.cli.run("snapshot-revert", vm.name, "s", "--running", "--dry-run").data
    assert plan["risks"] == []
    vm.tpm.write("present")
    assert vm.tpm.read() == "present", "the guest runs on"
    assert in_folder(vm) == "present"

    # A TPM that runs reads its memory when it starts only.
    result = vm.cli.run("snapshot-revert", vm.name, "s", "--running", check=False)
    assert result.status == RISKY and "TPM" in result.stderr
    before = pid(vm)
    vm.cli.run("snapshot-revert", vm.name, "s", "--running", "--force")
    vm.resume_console()
    assert vm.tpm.read() == "past" and pid(vm) != before
    assert folders(work) == [vm.domain.uuid]

    vm.tpm.write("future")
    vm.cli.run("snapshot-revert", vm.name, "s", "--force")
    assert vm.cli.run("domstate", vm.name, json=False).stdout.strip() == "shut off"
    assert in_folder(vm) == "past"
    vm.cli.run("snapshot-delete", vm.name, "s")
    assert copies(work) == []


@pytest.mark.parametrize("how", ["file", "live", "internal", "elsewhere"])
def test_with_ram_it_comes_back_to_the_guest_that_runs_on(make_tpm_vm, work, how):
    vm = make_tpm_vm(elements=["<genid/>"] if how == "elsewhere" else [])
    vm.start()
    vm.tpm.write("past")
    vm.tpm.extend("past")
    pcr = vm.tpm.pcr()
    options = [] if how == "internal" else ["--memspec", f"file={work}/s.ram"]
    vm.cli.run("snapshot-create-as", vm.name, "s", *options, *(["--live"] if how == "live" else []))
    (copy,) = copies(work)
    assert tpm.value_in(kept(copy)) == "past"
    vm.tpm.write("present")
    vm.tpm.extend("present")
    assert vm.tpm.pcr() != pcr

    before = pid(vm)
    vm.cli.run("snapshot-revert", vm.name, "s", *(["--force"] if how == "elsewhere" else []))
    vm.resume_console()
    assert (pid(vm) == before) == (how != "elsewhere")
    assert vm.tpm.read() == "past" and vm.tpm.pcr() == pcr
    assert in_folder(vm) == "past" and folders(work) == [vm.domain.uuid]
    # What the guest says now is in the folder that bears the name.
    vm.tpm.write("future")
    assert in_folder(vm) == "future"

    # From off: another process.
    vm.cli.run("destroy", vm.name)
    vm.cli.run("snapshot-revert", vm.name, "s")
    vm.resume_console()
    assert vm.tpm.read() == "past" and vm.tpm.pcr() == pcr
    assert folders(work) == [vm.domain.uuid]


@pytest.mark.parametrize("kind", ["external", "internal"])
def test_a_domain_that_is_off_gets_its_tpm_back(make_tpm_vm, work, kind):
    vm = make_tpm_vm()
    options = ["--disk-only"] if kind == "external" else []
    # What was never there does not come to be.
    vm.cli.run("snapshot-create-as", vm.name, "never", *options)
    tpm.put_value(vm.tpm_folder, "past")
    vm.cli.run("snapshot-create-as", vm.name, "s", *options)
    tpm.put_value(vm.tpm_folder, "present")

    vm.cli.run("snapshot-revert", vm.name, "s")
    assert in_folder(vm) == "past"
    vm.cli.run("snapshot-revert", vm.name, "never")
    assert not (vm.tpm_folder / tpm.STATE).exists() and folders(work) == [vm.domain.uuid]
    vm.cli.run("snapshot-revert", vm.name, "s", "--paused")
    vm.cli.run("destroy", vm.name)
    assert in_folder(vm) == "past"
    for name in ("s", "never"):
        vm.cli.run("snapshot-delete", vm.name, name)
    assert copies(work) == []


def test_ram_that_cannot_be_loaded_leaves_disks_and_tpm_of_one_moment(make_tpm_vm, work):
    """The RAM of an internal snapshot is spoilt by a definition that does not fit it."""
    vm = make_tpm_vm()
    tpm.put_value(vm.tpm_folder, "past")
    world.StandIn(vm).start()
    vm.cli.run("snapshot-create-as", vm.name, "s")
    vm.cli.run("destroy", vm.name)
    tpm.put_value(vm.tpm_folder, "present")
    body = vm.cli.run("snapshot-dumpxml", vm.name, "s", "--security-info").data["xml"]
    document = work / "redefine.xml"
    document.write_text(body.replace("262144</memory>", "327680</memory>")
                        .replace(">256</memory>", ">320</memory>"))
    vm.cli.run("snapshot-delete", vm.name, "s", "--metadata")
    vm.cli.run("snapshot-create", vm.name, document, "--redefine", "--current")
    result = vm.cli.run("snapshot-revert", vm.name, "s", check=False)
    assert result.status == DAMAGED, result.stderr
    assert in_folder(vm) == "past"
    settle(vm)


def test_a_tpm_ends_with_its_machine_and_one_that_hangs_is_ended(make_tpm_vm, processes):
    vm = make_tpm_vm()
    vm.cli.run("start", vm.name, "--paused")
    (server,) = [process for process in processes.alive() if process.program() == "swtpm"]
    os.kill(server.pid, signal.SIGSTOP)
    vm.kill()
    assert not server.has_ended(0)
    vm.cli.run("recover", vm.name)
    assert server.has_ended(0)

    vm.cli.run("start", vm.name, "--paused")
    (server,) = [process for process in processes.alive() if process.program() == "swtpm"]
    vm.kill()
    assert server.has_ended(30)
    vm.cli.run("recover", vm.name)


def test_a_damaged_memory_is_no_start(make_tpm_vm, work):
    vm = make_tpm_vm()
    vm.tpm_folder.mkdir(parents=True)
    (vm.tpm_folder / tpm.STATE).write_bytes(b"nothing that swtpm would know")
    result = vm.cli.run("start", vm.name, check=False)
    assert result.status != 0 and "TPM" in result.stderr
    assert not list((work / "run").glob("*/*"))


def test_undefining_lets_go_of_it_unless_it_is_to_be_kept(make_tpm_vm, work):
    vm = make_tpm_vm()
    tpm.put_value(vm.tpm_folder, "value")
    vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only")
    vm.cli.run("undefine", vm.name, "--snapshots-metadata", "--keep-tpm")
    assert in_folder(vm) == "value"
    assert copies(work) == [], "nobody knows whose they are any more"
    vm.define()
    assert in_folder(vm) == "value"
    vm.cli.run("undefine", vm.name)
    assert folders(work) == []

    for keep, options in ((True, []), (False, ["--tpm"])):
        vm.domain.devices = [TPM.format("tpm-tis").replace("emulator'", "emulator' persistent_state='yes'")]
        vm.define()
        tpm.put_value(vm.tpm_folder, "value")
        vm.cli.run("undefine", vm.name, *options)
        assert folders(work) == ([vm.domain.uuid] if keep else [])


@pytest.mark.parametrize("options, keeps, goes", [
    ([], False, True), (["--keep-tpm"], False, False), ([], True, False), (["--tpm"], True, True)])
@pytest.mark.parametrize("end", ["destroyed", "by itself", "killed"])
def test_a_transient_domain_takes_it_along(make_tpm_vm, work, options, keeps, goes, end):
    """As in libvirt: unless persistent_state, or whoever undefined it, says otherwise."""
    vm = make_tpm_vm()
    if keeps:
        vm.domain.devices = [TPM.format("tpm-crb").replace("emulator'", "emulator' persistent_state='yes'")]
        vm.define()
    tpm.put_value(vm.tpm_folder, "value")
    world.StandIn(vm).start()
    vm.cli.run("undefine", vm.name, *options)
    assert in_folder(vm) == "value", "it runs on"
    if end == "destroyed":
        vm.cli.run("destroy", vm.name)
    else:
        process = os.pidfd_open(pid(vm))
        signal.pidfd_send_signal(process, signal.SIGTERM if end == "by itself" else signal.SIGKILL)
        Deadline(30, "the end of QEMU").wait_for(process)
        os.close(process)
        vm.cli.run("recover", vm.name, check=False)
    assert vm.cli.run("list", "--all").data == []
    assert folders(work) == ([] if goes else [vm.domain.uuid])


def test_one_that_is_defined_again_is_not_transient_any_more(make_tpm_vm, work):
    vm = make_tpm_vm()
    tpm.put_value(vm.tpm_folder, "value")
    world.StandIn(vm).start()
    vm.cli.run("undefine", vm.name, "--keep-tpm")
    vm.define()
    vm.cli.run("destroy", vm.name)
    assert in_folder(vm) == "value"
    vm.cli.run("undefine", vm.name)
    assert folders(work) == []


def test_a_transient_domain_with_snapshots_is_remembered_and_its_tpm_too(make_tpm_vm, work):
    vm = make_tpm_vm()
    tpm.put_value(vm.tpm_folder, "past")
    world.StandIn(vm).start()
    vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only")
    source = world.source(vm)
    vm.cli.run("undefine", vm.name)
    vm.cli.run("destroy", vm.name)
    assert in_folder(vm) == "past"
    # Defined again it has both.
    write = vm.domain.xml
    vm.domain.xml = lambda: write().replace(str(vm.disks[0].path), source)
    vm.define()
    tpm.put_value(vm.tpm_folder, "present")
    vm.cli.run("snapshot-revert", vm.name, "s")
    assert in_folder(vm) == "past"
    vm.cli.run("undefine", vm.name, "--snapshots-metadata")
    assert folders(work) == []


def test_what_is_not_supported_is_named(make_tpm_vm):
    vm = make_tpm_vm()
    vm.domain.devices = ["<tpm model='tpm-tis'><backend type='passthrough'>"
                         "<device path='/dev/tpm0'/></backend></tpm>"]
    vm.define()
    result = vm.cli.run("start", vm.name, check=False)
    assert result.status == UNSUPPORTED and "<backend type='passthrough'> in <tpm>" in result.stderr
    assert "passthrough" in vm.cli.run("dumpxml", vm.name).data["xml"]
    # A snapshot without it is no success.
    result = vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only", check=False)
    assert result.status == WARNED and "TPM" in result.stderr


def test_without_swtpm_nothing_is_let_go(make_tpm_vm, work, monkeypatch):
    vm = make_tpm_vm()
    vm.cli.run("start", vm.name, "--paused")
    vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only")
    vm.cli.run("destroy", vm.name)
    tpm.put_value(vm.tpm_folder, "present")
    vm.cli.run("start", vm.name, "--paused")
    before = pid(vm), world.source(vm)

    programs = work / "programs"
    programs.mkdir()
    for program in ("qemu-img", "qemu-storage-daemon"):
        (programs / program).symlink_to(shutil.which(program))
    monkeypatch.setenv("PATH", str(programs))
    result = vm.cli.run("snapshot-revert", vm.name, "s", "--paused", "--force", check=False)
    assert result.status == UNSUPPORTED and "swtpm" in result.stderr
    assert (pid(vm), world.source(vm)) == before
    vm.cli.run("destroy", vm.name)
    result = vm.cli.run("start", vm.name, check=False)
    assert result.status == UNSUPPORTED and "swtpm" in result.stderr


# --- cut ---------------------------------------------------------------------------------------


def cut(vm, fault, *command):
    for n, result in each_cut(vm.cli, fault, *command):
        settle(vm)
        yield n, result


FAULTS = pytest.mark.parametrize("fault", ["kill", "fail"])


@FAULTS
@pytest.mark.parametrize("kind", ["external", "internal"])
def test_a_cut_snapshot_and_a_cut_revert_end_before_or_after(make_tpm_vm, work, fault, kind):
    vm = make_tpm_vm()
    options = ["--disk-only"] if kind == "external" else []
    tpm.put_value(vm.tpm_folder, "past")
    for n, _ in cut(vm, fault, "snapshot-create-as", vm.name, "s", *options):
        there = bool(vm.cli.run("snapshot-list", vm.name).data)
        assert len(copies(work)) == there, f"cut at {n}"
        if there:
            vm.cli.run("snapshot-delete", vm.name, "s")
            assert copies(work) == []

    vm.cli.run("snapshot-create-as", vm.name, "s", *options)
    tpm.put_value(vm.tpm_folder, "present")
    source = world.source(vm)
    for n, result in cut(vm, fault, "snapshot-revert", vm.name, "s"):
        assert folders(work) == [vm.domain.uuid], f"cut at {n}"
        value = in_folder(vm)
        assert value == "past" or result.status != 0, f"cut at {n}"
        if kind == "external":
            assert value == ("past" if world.source(vm) != source else "present"), f"cut at {n}"
        if value == "past":
            tpm.put_value(vm.tpm_folder, "present")
            source = world.source(vm)


@FAULTS
@pytest.mark.parametrize("how", ["disks", "file", "internal"])
def test_a_cut_snapshot_of_a_guest_that_runs_has_it_or_never_was(make_tpm_vm, work, fault, how):
    options = {"disks": ["--disk-only"], "file": ["--memspec", f"file={work}/s.ram"], "internal": []}[how]
    vm = make_tpm_vm().start()
    vm.tpm.write("past")
    for n, _ in cut(vm, fault, "snapshot-create-as", vm.name, "s", *options):
        there = bool(vm.cli.run("snapshot-list", vm.name).data)
        assert [tpm.value_in(kept(copy)) for copy in copies(work)] == ["past"] * there, f"cut at {n}"
        assert vm.cli.run("domstate", vm.name).data["state"] == "running", f"cut at {n}"
        if there:
            vm.cli.run("snapshot-delete", vm.name, "s")
            assert copies(work) == [], f"cut at {n}"
    assert vm.tpm.read() == "past"


@FAULTS
@pytest.mark.parametrize("how", ["here", "elsewhere", "disks"])
def test_a_cut_revert_of_an_active_domain_ends_with_one_tpm(make_tpm_vm, work, processes, fault, how):
    """With RAM into the process, into another one, or without, which needs another one."""
    options = ["--disk-only"] if how == "disks" else ["--memspec", f"file={work}/s.ram"]
    vm = make_tpm_vm(elements=["<genid/>"] if how == "elsewhere" else [])
    tpm.put_value(vm.tpm_folder, "past")
    world.StandIn(vm).start()
    vm.cli.run("snapshot-create-as", vm.name, "s", *options)
    vm.cli.run("destroy", vm.name)
    tpm.put_value(vm.tpm_folder, "present")
    world.StandIn(vm).start()
    source = world.source(vm)

    for n, result in cut(vm, fault, "snapshot-revert", vm.name, "s", "--force", "--paused"):
        assert folders(work) == [vm.domain.uuid], f"cut at {n}"
        state = vm.cli.run("domstate", vm.name, json=False).stdout.strip()
        servers = [process for process in processes.alive() if process.program() == "swtpm"]
        assert len(servers) == (state == "paused"), f"cut at {n}: {state}"
        after = world.source(vm) != source
        assert after or result.status != 0
        assert in_folder(vm) == ("past" if after else "present"), f"cut at {n}"
        # What runs is the TPM of that folder, and not one of a folder that is gone.
        (folder,) = [os.readlink(f"/proc/{process.pid}/fd/{fd}") for process in servers
                     for fd in os.listdir(f"/proc/{process.pid}/fd")
                     if "/state/tpm" in os.readlink(f"/proc/{process.pid}/fd/{fd}")
                     and not os.readlink(f"/proc/{process.pid}/fd/{fd}").endswith(".lock")] or [None]
        assert folder in (None, str(vm.tpm_folder)), f"cut at {n}"
        if after or state != "paused":
            if state == "paused":
                vm.cli.run("destroy", vm.name)
            tpm.put_value(vm.tpm_folder, "present")
            world.StandIn(vm).start()
            source = world.source(vm)


# --- elsewhere ---------------------------------------------------------------------------------


def test_a_restore_point_has_it_and_brings_it_to_another_domain(make_tpm_vm, work):
    vm = make_tpm_vm()
    tpm.put_value(vm.tpm_folder, "first")
    repository = work / "repository"
    world.StandIn(vm).start()
    first = vm.cli.run("backup-create", vm.name, repository).data["name"]
    vm.cli.run("destroy", vm.name)
    tpm.put_value(vm.tpm_folder, "second")
    world.StandIn(vm).start()
    second = vm.cli.run("backup-create", vm.name, repository).data["name"]
    vm.cli.run("destroy", vm.name)
    # The first point is merged away; the second one keeps its own.
    for point, value in ((first, "first"), (second, "second")):
        assert tpm.value_in(repository / point / tpm.STATE) == value
    vm.cli.run("backup-prune", repository, "--keep-last", "1")
    vm.cli.run("backup-verify", repository)
    assert tpm.value_in(repository / second / tpm.STATE) == "second"

    before = set(folders(work))
    vm.cli.run("backup-restore", repository, second, "--define", "other", "--to", work)
    (new,) = set(folders(work)) - before
    assert tpm.value_in(work / "state" / "tpm" / new / tpm.STATE) == "second"
    vm.cli.run("backup-boot", repository, second, "--to", work, "--paused")
    assert len(folders(work)) == 3
    vm.cli.run("destroy", f"boot-{second}")

    # The domain itself returns to it.
    tpm.put_value(vm.tpm_folder, "third")
    vm.cli.run("backup-restore", repository, second, "--over", vm.name, "--overwrite")
    assert in_folder(vm) == "second" and len(folders(work)) == 3 and copies(work) == []

    # It is as well guarded as the disks are.
    state = repository / second / tpm.STATE
    data = bytearray(state.read_bytes())
    data[-1] ^= 1
    state.chmod(0o600)
    state.write_bytes(data)
    assert vm.cli.run("backup-verify", repository, check=False).status == DAMAGED
    result = vm.cli.run("backup-restore", repository, second, "--define", "third", "--to", work,
                        check=False)
    assert result.status == DAMAGED and len(folders(work)) == 3


def fsck(vm):
    """Codes of what is found."""
    return [row["code"] for row in vm.cli.run("fsck", vm.name, "--data", check=False).data]


def test_a_renamed_snapshot_has_it(make_tpm_vm, monkeypatch):
    vm = make_tpm_vm()
    tpm.put_value(vm.tpm_folder, "value")
    vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only")
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", "sed -i 's/<name>s</<name>t</'")
    vm.cli.run("snapshot-edit", vm.name, "s", "--rename")
    assert vm.cli.run("snapshot-info", vm.name, "t").data["parts"] == ["tpm"]


def test_a_snapshot_says_what_it_has(make_tpm_vm, work):
    vm = make_tpm_vm()
    tpm.put_value(vm.tpm_folder, "value")
    vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only")
    assert vm.cli.run("snapshot-info", vm.name, "s").data["parts"] == ["tpm"]
    # Its metadata may come back; so may what it had.
    document = vm.domain.console.with_suffix(".s.xml")
    document.write_text(vm.cli.run("snapshot-dumpxml", vm.name, "s", "--security-info").data["xml"])
    vm.cli.run("snapshot-delete", vm.name, "s", "--metadata")
    assert fsck(vm) == ["file-orphaned"]
    vm.cli.run("snapshot-create", vm.name, document, "--redefine")
    assert vm.cli.run("snapshot-info", vm.name, "s").data["parts"] == ["tpm"]

    assert fsck(vm) == []
    (copy,) = copies(work)
    data = bytearray(copy.read_bytes())
    data[-1] ^= 1
    copy.write_bytes(data)
    assert fsck(vm) == ["part-damaged"]
    assert vm.cli.run("snapshot-revert", vm.name, "s", check=False).status == DAMAGED
    copy.unlink()
    assert fsck(vm) == ["part-missing"]


def test_a_load_that_fails_leaves_disks_and_tpm_of_before(make_tpm_vm, work):
    """The RAM of a machine with a device more, whose state comes behind that of the TPM."""
    vm = make_tpm_vm()
    tpm.put_value(vm.tpm_folder, "past")
    world.StandIn(vm).start()
    vm.cli.run("snapshot-create-as", vm.name, "s", "--memspec", f"file={work}/s.ram")
    vm.cli.run("destroy", vm.name)
    tpm.put_value(vm.tpm_folder, "present")
    world.StandIn(vm).start()

    other = make_tpm_vm(name="other")
    other.domain.devices.append("<watchdog model='ib700' action='none'/>")
    other.define()
    tpm.put_value(other.tpm_folder, "other")
    world.StandIn(other).start()
    other.cli.run("snapshot-create-as", "other", "s", "--memspec", f"file={work}/other.ram")
    other.cli.run("destroy", "other")
    # One that was redefined: whose RAM it had is not known.
    document = work / "s.xml"
    document.write_text(vm.cli.run("snapshot-dumpxml", vm.name, "s", "--security-info", json=False)
                        .stdout.replace("s.ram", "s2.ram"), encoding="utf-8")
    (work / "s.ram").unlink()
    vm.cli.run("snapshot-create", vm.name, document, "--redefine", "--current")
    shutil.move(work / "other.ram", work / "s2.ram")
    other.cli.run("undefine", "other", "--snapshots-metadata")
    before = (world.source(vm), len(copies(work)))

    result = vm.cli.run("snapshot-revert", vm.name, "s", check=False)
    assert result.status == DAMAGED and "RAM" in result.stderr, result.stderr
    assert vm.cli.run("domstate", vm.name, json=False).stdout.strip() == "shut off"
    assert (world.source(vm), len(copies(work))) == before
    assert in_folder(vm) == "present" and folders(work) == [vm.domain.uuid]
    settle(vm)


def test_a_snapshot_that_nobody_remembers_says_that_it_lacks_it(make_tpm_vm):
    vm = make_tpm_vm()
    tpm.put_value(vm.tpm_folder, "value")
    result = vm.cli.run("snapshot-create-as", vm.name, "s", "--no-metadata", check=False)
    assert result.status == WARNED, result.stderr
    assert "what the TPM remembers is not part of the snapshot" in result.stderr
    assert vm.cli.run("snapshot-list", vm.name).data == []


def test_a_snapshot_of_a_foreign_machine_says_that_it_lacks_it(make_vm, vmpoint, processes, work):
    owner = make_vm(disks=1, devices=[TPM.format("tpm-crb")]).define()
    owner.cli.run("start", owner.name, "--paused")
    aside = work / "aside"
    aside.mkdir()
    other = Vmpoint(vmpoint.program, aside, processes)
    other.run("attach", "foreign", "--qmp", owner.domain.spy)
    described = ElementTree.fromstring(other.run("dumpxml", "foreign").data["xml"]).find("devices/tpm")
    assert (described.get("model"), described.find("backend").get("type")) == ("tpm-crb", "emulator")

    result = other.run("snapshot-create-as", "foreign", "s", "--disk-only", check=False)
    assert result.status == WARNED and "TPM" in result.stderr
    result = other.run("backup-create", "foreign", work / "repository", check=False)
    assert result.status == WARNED and "TPM" in result.stderr
    # The RAM has it.
    other.run("snapshot-create-as", "foreign", "t", "--memspec", f"file={work}/t.ram")
    other.run("detach", "foreign")
