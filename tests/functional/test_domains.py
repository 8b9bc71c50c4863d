# SPDX-License-Identifier: LGPL-2.1-or-later
"""The life of a domain, and two commands that meet at one."""

import os
import shutil
import signal
import subprocess
import xml.etree.ElementTree as etree

import pytest
from vmtest import images, world
from vmtest.images import MIB
from vmtest.world import refused

SIZE = 16 * MIB


def state(vm):
    return vm.cli.run("domstate", vm.name).data["state"]


def canonical(text):
    return etree.canonicalize(text, strip_text=True)


def test_a_life(make_vm, work):
    vm = make_vm(disks=1, size=SIZE)
    refused(vm.cli, "start", vm.name, status=3, says=(f"'{vm.name}'",))
    vm.define()
    assert state(vm) == "shutoff"
    vm.start()
    assert state(vm) == "running" == vm.state()
    refused(vm.cli, "start", vm.name, status=1, says=(vm.name, "active"))

    vm.cli.run("suspend", vm.name)
    assert state(vm) == "paused" == vm.state()
    beats = vm.guest
    vm.cli.run("resume", vm.name)
    assert beats.heartbeat() >= 0
    before = beats.boot_id()
    vm.cli.run("reset", vm.name)
    beats.wait_boot()
    assert beats.boot_id() != before

    # The guest powers itself off: noticed without being told.
    vm.guest.poweroff()
    vm.close()
    assert state(vm) == "shutoff"
    assert [row["state"] for row in vm.cli.run("list", "--all").data] == ["shutoff"]
    assert vm.cli.run("list").data == []
    assert vm.cli.run("dominfo", vm.name).data["pid"] is None
    for command in ("suspend", "resume", "reset", "shutdown", "destroy"):
        refused(vm.cli, command, vm.name, status=1, says=(vm.name, "not running"))
    vm.cli.run("undefine", vm.name)
    assert vm.cli.run("list", "--all").data == []
    assert (work / "vm-vda.qcow2").exists(), "disks are the user's"


def test_a_process_that_was_killed_is_noticed(off):
    vm = off
    world.StandIn(vm).start()
    vm.kill()
    assert state(vm) in ("crashed", "shutoff")
    (row,) = vm.cli.run("list", "--all").data
    assert row["state"] == state(vm)
    world.StandIn(vm).start()
    assert state(vm) == "paused"
    vm.cli.run("destroy", vm.name)
    assert state(vm) == "shutoff"


def test_what_was_defined_is_what_is_dumped(make_vm, work):
    vm = make_vm(size=SIZE)
    xml = vm.domain.xml().replace(
        "<devices>", "<metadata xmlns:a='urn:a'><a:note kind='&amp;'>ünïcode  two  spaces</a:note>"
        "</metadata>\n<!-- kept --><devices>", 1)
    (work / "vm.xml").write_text(xml, encoding="utf-8")
    vm.cli.run("define", work / "vm.xml")
    dumped = vm.cli.run("dumpxml", vm.name, "--security-info").data["xml"]
    assert canonical(dumped) == canonical(xml)
    assert "<!-- kept -->" in dumped
    # What comes out goes in again and is the same.
    vm.cli.run("define", "-", stdin=dumped)
    assert vm.cli.run("dumpxml", vm.name, "--security-info").data["xml"] == dumped
    world.StandIn(vm).start()
    assert canonical(vm.cli.run("dumpxml", vm.name, "--inactive", "--security-info").data["xml"]) \
        == canonical(xml)


def test_undefine_asks_before_it_forgets(off, work):
    vm = off
    vm.cli.run("snapshot-create-as", vm.name, "s1", "--disk-only")
    vm.cli.run("checkpoint-create-as", vm.name, "c1")
    before = world.look(vm, work)
    refused(vm.cli, "undefine", vm.name, status=5, says=(vm.name, "snapshot"))
    refused(vm.cli, "undefine", vm.name, "--snapshots-metadata", status=5,
            says=(vm.name, "checkpoint"))
    assert world.look(vm, work) == before
    vm.cli.run("undefine", vm.name, "--snapshots-metadata", "--checkpoints-metadata")
    assert vm.cli.run("list", "--all").data == []
    assert world.files(work) == before["files"]
    vm.define()
    assert world.names(vm) == []


def test_a_domain_that_is_undefined_while_it_runs_goes_on(off):
    vm = off
    world.StandIn(vm).start()
    vm.cli.run("undefine", vm.name)
    assert state(vm) == "paused"
    assert not vm.cli.run("dominfo", vm.name).data["persistent"]
    refused(vm.cli, "snapshot-create-as", vm.name, "s1", "--disk-only", "--halt", status=2,
            says=(vm.name, "transient"))
    vm.cli.run("destroy", vm.name)
    assert vm.cli.run("list", "--all").data == []


def test_its_disks(off, work):
    vm = off
    images.write_pattern(work / "vm-vda.qcow2", 0, 2 * MIB, "data")
    for step in ("off", "on"):
        if step == "on":
            world.StandIn(vm).start()
        rows = vm.cli.run("domblklist", vm.name).data
        assert [(row["target"], row["source"], row["format"]) for row in rows] == [
            (target, str(work / f"vm-{target}.qcow2"), "qcow2") for target in ("vda", "vdb")]
        info = vm.cli.run("domblkinfo", vm.name, "vda").data
        about = images.info(work / "vm-vda.qcow2", live=True)
        assert info["capacity"] == SIZE == about["virtual-size"]
        assert info["allocation"] >= 2 * MIB
    refused(vm.cli, "domblkinfo", vm.name, "vdz", status=3, says=(vm.name, "vdz"))


def test_a_name_or_uuid_is_given_once(off, make_vm, work):
    vm = off
    before = vm.cli.run("dumpxml", vm.name).data
    other = vm.domain.xml().replace(vm.domain.uuid, "11111111-2222-3333-4444-555555555555")
    refused(vm.cli, "define", "-", stdin=other, status=4, says=(vm.name,))
    refused(vm.cli, "define", "-", stdin=vm.domain.xml().replace(">vm<", ">other<"), status=4,
            says=(f"'{vm.name}'", vm.domain.uuid))
    assert vm.cli.run("dumpxml", vm.name).data == before


def test_the_second_command_waits_or_names_the_first(off):
    """The first is stopped with the lock in its hand; the second finds it out."""
    vm = off
    first = vm.cli.start("snapshot-create-as", vm.name, "s1", "--disk-only",
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, fault="stop@1")
    os.waitid(os.P_PID, first.pid, os.WSTOPPED | os.WNOWAIT | os.WEXITED)
    if first.poll() is not None:
        pytest.skip("the program has no fault of the kind 'stop'")

    said = refused(vm.cli, "checkpoint-create-as", vm.name, "c1", "--timeout", "1", status=5,
                   says=(f"'{vm.name}'", str(first.pid)))
    assert "snapshot-create-as" in said or "vmpoint" in said
    # Looking never waits.
    assert state(vm) == "shutoff"
    assert world.names(vm) == []

    second = vm.cli.start("checkpoint-create-as", vm.name, "c1",
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    first.send_signal(signal.SIGCONT)
    assert first.wait(60) == 0
    assert second.wait(60) == 0
    assert world.names(vm) == ["s1"] and world.names(vm, "checkpoint") == ["c1"]
    assert "c1" in images.bitmaps(world.source(vm))


def test_another_environment_meets_the_same_machine_and_lock(off, work):
    """As a job of cron does, which has no $XDG_RUNTIME_DIR."""
    vm = off
    world.StandIn(vm).start()
    pid = vm.cli.run("dominfo", vm.name).data["pid"]
    first, vm.cli.runtime_dir = vm.cli.runtime_dir, work / "elsewhere"
    assert vm.cli.run("dominfo", vm.name).data["pid"] == pid
    vm.cli.run("snapshot-create-as", vm.name, "s1", "--disk-only")
    assert vm.cli.run("snapshot-info", vm.name, "s1").data["state"] == "disk-snapshot"
    vm.cli.runtime_dir = first
    vm.cli.run("snapshot-create-as", vm.name, "s2", "--disk-only")
    assert vm.cli.run("dominfo", vm.name).data["pid"] == pid
    assert not (work / "elsewhere").exists()


@pytest.mark.parametrize("next_command, status", [
    (["snapshot-create-as", "vm", "s1", "--disk-only"], 14), (["start", "vm"], 1), (["destroy", "vm"], 14),
], ids=["snapshot", "start", "destroy"])
def test_a_guest_that_an_older_store_does_not_know_of_runs_on(off, work, next_command, status):
    vm = off
    older = work / "older"
    shutil.copytree(vm.cli.state_dir, older)
    vm.cli.run("start", vm.name)
    pid = vm.cli.run("dominfo", vm.name).data["pid"]
    shutil.rmtree(vm.cli.state_dir)
    older.rename(vm.cli.state_dir)
    result = vm.cli.run(*next_command, check=False)
    assert result.status == status and str(pid) in result.stderr, result
    if next_command[0] == "destroy":
        assert state(vm) == "shutoff"
    else:
        assert vm.cli.run("dominfo", vm.name).data["pid"] == pid and state(vm) == "running"
