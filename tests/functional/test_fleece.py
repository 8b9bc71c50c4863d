# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guest comes first: its writes go on whatever becomes of a backup's scratch space."""

import xml.etree.ElementTree as xml

import nbd
import pytest
from vmtest import images, world
from vmtest.images import MIB
from vmtest.world import refused

SIZE = 32 * MIB


def document(work, targets, scratch=None, server=None):
    server = server or f"<server transport='unix' socket='{work}/nbd.sock'/>"
    rows = "".join(f"<disk name='{target}' backup='yes' type='file'>"
                   f"<scratch file='{scratch or work}/scratch-{target}'/></disk>"
                   for target in targets)
    path = work / "pull.xml"
    path.write_text(f"<domainbackup mode='pull'>{server}<disks>{rows}</disks></domainbackup>")
    return path


def test_scratch_space_that_is_full_ends_the_backup_and_not_the_guest(vm, work, small):
    disk = vm.disks[0]
    vm.guest.write_pattern(disk.device, 0, 16 * MIB, "old")
    checkpoint = work / "checkpoint.xml"
    checkpoint.write_text("<domaincheckpoint><name>c1</name></domaincheckpoint>")
    vm.cli.run("backup-begin", vm.name, document(work, ["vda"], small), checkpoint)

    vm.guest.write_pattern(disk.device, 0, 16 * MIB, "new")
    assert vm.guest.has_pattern(disk.device, 0, 16 * MIB, "new"), "each write has succeeded"
    assert vm.spy.status() == "running"
    # Who reads is told, and never gets what was written since.
    handle = nbd.NBD()
    handle.connect_uri(f"nbd+unix:///vda?socket={work}/nbd.sock")
    with pytest.raises(nbd.Error):
        handle.pread(MIB, 0)

    refused(vm.cli, "domjobabort", vm.name, status=3)
    about = vm.cli.run("domjobinfo", vm.name, "--completed").data
    assert about["state"] == "failed"
    for word in ("'vda'", "no space", str(small)):
        assert word in about["error"], about
    assert not list(small.iterdir()) and not (work / "nbd.sock").exists()
    assert not [row for row in world.nodes(vm) if "filter" in row[0] or "scratch" in row[0]]
    # No dirty bit is lost: an increment since then has it all.
    vm.cli.run("backup-begin", vm.name, increment(work), "--wait")
    assert images.info(work / "incr-vda")["actual-size"] >= 16 * MIB


@pytest.mark.parametrize("kept, written", [(MIB, (16 * MIB, 2 * MIB)), (0, (0, 3 * MIB))],
                         ids=["the-guest-finds-none", "scratch-finds-none"])
def test_a_guest_that_shares_the_space_with_scratch_goes_on_without(vm, work, small, kept, written):
    """The disk grows beside the scratch image, and one of them takes the last of the room."""
    disk = vm.disks[0]
    vm.guest.write_pattern(disk.device, 0, 4 * MIB, "old")
    vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only", "--diskspec", f"vda,file={small}/vda.s",
               "--diskspec", "vdb,snapshot=no")
    vm.cli.run("backup-begin", vm.name, document(work, ["vda"], small))
    if kept:
        vm.guest.write_pattern(disk.device, 0, kept, "new")
    # There is room for this, but not for this and what is kept.
    vm.guest.check(f"(write_pattern {disk.device} {written[0]} {written[1]} more; : >/ram/done) >/dev/null 2>&1 &")
    vm.spy.wait_event("STOP")
    assert vm.spy.status() == "io-error"

    vm.cli.run("recover", vm.name)
    assert vm.spy.status() == "running"
    about = vm.cli.run("domjobinfo", vm.name, "--completed").data
    assert about["state"] == "failed" and "space" in about["error"] and "'vda'" in about["error"], about
    assert [path.name for path in small.iterdir()] == ["vda.s"]
    vm.guest.wait_until("test", "-e", "/ram/done")
    assert vm.guest.has_pattern(disk.device, *written, "more")


def increment(work):
    path = work / "incr.xml"
    path.write_text("<domainbackup><incremental>c1</incremental><disks><disk name='vda' type='file'>"
                    f"<target file='{work}/incr-vda'/></disk></disks></domainbackup>")
    return path


@pytest.mark.parametrize("bus", ["scsi", "sata", "usb", "ide"])
def test_a_disk_of_any_bus_is_served_and_given_back(make_vm, work, bus):
    vm = make_vm(size=SIZE, bus=bus, machine="pc" if bus == "ide" else "q35").define()
    guest = world.StandIn(vm).start()
    targets = [disk.target for disk in vm.disks]
    for target in targets:
        guest.write(target, 0, MIB, 1)
    before = world.nodes(vm)
    vm.cli.run("backup-begin", vm.name, document(work, targets))
    for target in targets:
        guest.write(target, 0, MIB, 2)
        handle = nbd.NBD()
        handle.connect_uri(f"nbd+unix:///{target}?socket={work}/nbd.sock")
        assert handle.pread(MIB, 0) == b"\1" * MIB
    vm.cli.run("domjobabort", vm.name)
    assert world.nodes(vm) == before
    for target, disk in zip(targets, vm.disks):
        guest.write(target, MIB, MIB, 3)
        assert world.holds(disk.path, 0, MIB, 2, live=True)
        assert world.holds(disk.path, MIB, MIB, 3, live=True)


# ---- TLS ----


@pytest.mark.parametrize("transport, is_on", [("tcp", True), ("unix", True), ("unix", False)])
def test_tls_lets_those_in_who_show_a_certificate(make_vm, work, pki, monkeypatch, transport, is_on):
    vm = make_vm(size=SIZE).define()
    images.tool("qemu-io", "-f", "qcow2", "-c", f"write -P 7 0 {MIB}", vm.disks[0].path)
    if is_on:
        world.StandIn(vm).start()
    where = "name='127.0.0.1'" if transport == "tcp" else f"socket='{work}/nbd.sock'"
    words = ("backup-begin", vm.name,
             document(work, ["vda"], server=f"<server transport='{transport}' tls='yes' {where}/>"))
    before = world.look(vm, work)
    monkeypatch.setenv("VMPOINT_TLS_DIR", str(work))
    refused(vm.cli, *words, status=3, says=("ca-cert.pem", "VMPOINT_TLS_DIR"))
    monkeypatch.setenv("VMPOINT_TLS_DIR", str(pki / "server"))
    vm.cli.run(*words)

    found = xml.fromstring(vm.cli.run("backup-dumpxml", vm.name).data["xml"])
    number = found.find("server").get("port")
    plain = f"nbd://127.0.0.1:{number}/vda" if number else f"nbd+unix:///vda?socket={work}/nbd.sock"

    def client(folder):
        handle = nbd.NBD()
        handle.set_export_name("vda")
        handle.set_tls(nbd.TLS_REQUIRE)
        handle.set_tls_certificates(str(pki / folder))
        handle.set_tls_verify_peer(transport == "tcp")
        if number:
            handle.connect_tcp("127.0.0.1", number)
        else:
            handle.connect_unix(str(work / "nbd.sock"))
        return handle.pread(MIB, 0)

    assert client("client") == b"\7" * MIB
    with pytest.raises(nbd.Error):
        client("stranger")
    with pytest.raises(nbd.Error):
        nbd.NBD().connect_uri(plain)
    vm.cli.run("domjobabort", vm.name)
    assert world.look(vm, work) == before
    vm.cli.run(*words)
    vm.cli.run("domjobabort", vm.name)
