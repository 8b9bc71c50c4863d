# SPDX-License-Identifier: LGPL-2.1-or-later
"""Domains whose disks are behind somebody's NBD server: qemu-nbd plays it."""

import os
import select
import xml.etree.ElementTree as xml

import pytest
from vmtest import images, world
from vmtest.images import MIB
from vmtest.network import SIZE
from vmtest.world import refused


def switch_off(vm):
    """From inside; return when QEMU has closed its images, which is later than the guest's end."""
    ended = os.pidfd_open(vm.cli.run("dominfo", vm.name).data["pid"])
    try:
        vm.guest.poweroff()
        assert select.select([ended], [], [], 60)[0]
    finally:
        os.close(ended)


# --- Off ---


def test_a_bitmap_that_finds_no_room_is_said(make_network_vm, work):
    """QEMU says so in its log alone, when it closes the image, and ends as if all were well."""
    vm = make_network_vm(room=MIB // 2)
    for n in range(8):
        result = vm.cli.run("backup-create", vm.name, work / f"repo-{n}", check=False)
        points = [point["name"] for point in vm.cli.run("checkpoint-list", vm.name).data]
        disks = [disk for name in points for disk in vm.cli.run("checkpoint-info", vm.name, name).data["disks"]]
        lost = [disk["disk"] for disk in disks if disk["state"] != "tracked"]
        assert len(points) == n + 1
        if lost:
            assert result.status == 14 and "bitmap" in result.stderr, result
            break
        assert result.status == 0, result
    assert lost and set(lost) == {"vda"} and n > 0


# --- Running ---


@pytest.mark.parametrize(("image_format", "tcp"), [("raw", False), ("qcow2", True)],
                         ids=["raw-unix", "qcow2-tcp"])
def test_a_guest_has_a_disk_that_is_an_export(make_network_vm, image_format, tcp):
    vm = make_network_vm(image_format, tcp)
    disk = vm.disks[0]
    vm.start()
    assert vm.guest.disk_size("/dev/vda") == SIZE
    vm.guest.write_pattern("/dev/vda", MIB, 2 * MIB, "over-the-net")

    # As virsh tells it: by the name there.
    row = vm.cli.run("domblklist", vm.name, "--details").data[0]
    assert (row["type"], row["source"], row["uri"]) == ("network", "export", disk.uri)
    text = vm.cli.text("domblklist", vm.name)
    assert text.splitlines()[2].split() == ["vda", "export"]
    assert vm.cli.run("domblkinfo", vm.name, "vda").data["capacity"] == SIZE

    switch_off(vm)
    assert vm.cli.run("domblklist", vm.name).data[0]["source"] == "export"
    disk.server.end()
    assert disk.wrong(MIB, 2 * MIB, "over-the-net") is None


def test_a_server_that_is_not_there_is_told_at_the_start(make_network_vm):
    vm = make_network_vm("raw")
    disk = vm.disks[0]
    disk.server.end()
    refused(vm.cli, "start", vm.name, status=13,
            says=(vm.name, "vda", disk.server.place, "No such file or directory"))
    assert vm.cli.run("domstate", vm.name).data["state"] == "shutoff"
    # What is listed does not need it.
    assert vm.cli.run("domblklist", vm.name).data[0]["source"] == "export"

    disk.server.serve(disk.path, "export")
    vm.start()


def test_an_export_that_the_server_does_not_have_is_told(make_network_vm):
    vm = make_network_vm("raw", tcp=True)
    disk = vm.disks[0]
    disk.server.end()
    disk.server.serve(disk.path, "another")
    refused(vm.cli, "start", vm.name, status=13, says=(vm.name, "vda", disk.uri, "no export named"))


@pytest.mark.parametrize("source", [
    "<source protocol='rbd' name='pool/image'><host name='h'/></source>",
    "<source protocol='nbd' name='export' tls='yes'><host name='h'/></source>",
], ids=["rbd", "tls"])
def test_other_network_storage_is_defined_and_not_started(make_vm, work, source):
    vm = make_vm()
    document = work / "other.xml"
    (word,) = [part for part in vm.domain.xml().splitlines() if f"{vm.disks[0].path}" in part]
    document.write_text(vm.domain.xml().replace(word, source, 1)
                        .replace('<disk type="file"', '<disk type="network"', 1))
    vm.cli.run("define", document)
    refused(vm.cli, "start", vm.name, status=6, says=(vm.name, "source"))
    name = "export" if "export" in source else "pool/image"
    assert vm.cli.run("domblklist", vm.name).data[0]["source"] == name


def test_a_machine_of_somebody_else_has_such_a_disk(vmpoint, bare, make_server, work):
    path = images.create(work / "served.raw", SIZE, "raw")
    server = make_server().serve(path, "export")
    machine = bare([], arguments=[
        "-blockdev", f"driver=nbd,node-name=far,export=export,server.type=unix,server.path={server.place}",
        "-blockdev", "driver=raw,node-name=disk,file=far", "-device", "virtio-blk-pci,drive=disk,id=disk",
    ])
    machine.close()  # a monitor has one client
    vmpoint.run("attach", "hand", "--qmp", machine.monitor)
    (row,) = vmpoint.run("domblklist", "hand").data
    assert (row["target"], row["type"], row["source"], row["uri"]) == (
        "vda", "network", "export", server.uri("export"))
    vmpoint.run("detach", "hand")


# --- Points in time ---


def snapshot(vm, name, work, *options):
    """A snapshot of all disks, with an overlay on this host for the network disk."""
    vm.cli.run("snapshot-create-as", vm.name, name, *(options or ["--disk-only"]),
               "--diskspec", f"vda,file={work}/vda.{name}")


def document(vm):
    return xml.fromstring(vm.cli.run("dumpxml", vm.name).data["xml"]).find("devices/disk")


@pytest.mark.parametrize(("image_format", "tcp"), [("raw", True), ("qcow2", False)],
                         ids=["raw-tcp", "qcow2-unix"])
def test_a_snapshot_of_a_network_disk_is_reverted_to_and_merged(make_network_vm, work, image_format, tcp):
    vm = make_network_vm(image_format, tcp).start()
    disk, guest = vm.disks[0], vm.guest
    guest.write_pattern("/dev/vda", 0, MIB, "before")
    snapshot(vm, "s1", work)
    assert world.source(vm) == f"{work}/vda.s1"
    guest.write_pattern("/dev/vda", 0, MIB, "after")
    guest.write_pattern("/dev/vda", 4 * MIB, MIB, "after-too")

    # The header says where the image below is and what it is.
    header = images.info(f"{work}/vda.s1", live=True)
    assert (header["backing-filename"], header["backing-filename-format"]) == (disk.uri, image_format)
    (listed,) = vm.cli.run("snapshot-list", vm.name).data
    assert listed["name"] == "s1"
    assert vm.cli.run("snapshot-info", vm.name, "s1").data["location"] == "external"
    past = xml.fromstring(vm.cli.run("snapshot-dumpxml", vm.name, "s1").data["xml"])
    assert past.find("domain/devices/disk/source").get("protocol") == "nbd"
    assert vm.cli.run("fsck").data == []

    # Back, in the same process: an overlay of its own over the same export.
    vm.cli.run("snapshot-revert", vm.name, "s1", "--running")
    vm.resume_console()
    guest.check_pattern("/dev/vda", 0, MIB, "before")
    assert not guest.has_pattern("/dev/vda", 4 * MIB, MIB, "after-too")
    assert document(vm).get("type") == "file"
    guest.write_pattern("/dev/vda", 8 * MIB, MIB, "branch")
    assert vm.cli.run("fsck").data == []

    # Merged, the disk is the export again, and has all.
    vm.cli.run("snapshot-delete", vm.name, "s1")
    found = document(vm)
    assert (found.get("type"), found.find("source").get("protocol"), found.find("driver").get("type")) == (
        "network", "nbd", image_format)
    assert world.source(vm) == "export"
    assert not list(work.glob("vda.*"))
    guest.write_pattern("/dev/vda", 12 * MIB, MIB, "merged")
    assert vm.cli.run("fsck").data == []
    switch_off(vm)
    disk.server.end()
    for at, seed in (0, "before"), (8, "branch"), (12, "merged"):
        assert disk.wrong(at * MIB, MIB, seed) is None


def test_a_snapshot_with_ram_of_a_network_disk(make_network_vm, work):
    vm = make_network_vm("raw").start()
    guest = vm.guest
    guest.write_pattern("/dev/vda", 0, MIB, "before")
    guest.hold("word", "kept")
    snapshot(vm, "s1", work, "--memspec", work / "ram")
    guest.write_pattern("/dev/vda", 0, MIB, "after")
    guest.hold("word", "lost")
    vm.cli.run("snapshot-revert", vm.name, "s1")
    vm.resume_console()
    assert guest.held("word") == "kept"
    guest.check_pattern("/dev/vda", 0, MIB, "before")
    vm.cli.run("snapshot-delete", vm.name, "s1")
    assert world.source(vm) == "export"
    guest.check_pattern("/dev/vda", 0, MIB, "before")


@pytest.mark.parametrize("image_format", ["raw", "qcow2"])
def test_points_of_a_domain_that_is_off(make_network_vm, work, image_format):
    vm = make_network_vm(image_format)
    disk, guest = vm.disks[0], vm.guest
    snapshot(vm, "s1", work)
    assert images.info(f"{work}/vda.s1")["backing-filename"] == disk.uri
    vm.start()
    guest.write_pattern("/dev/vda", 0, MIB, "first")
    switch_off(vm)
    snapshot(vm, "s2", work)
    vm.start()
    guest.write_pattern("/dev/vda", MIB, MIB, "second")
    switch_off(vm)

    vm.cli.run("snapshot-revert", vm.name, "s2")
    vm.start()
    guest.check_pattern("/dev/vda", 0, MIB, "first")
    assert not guest.has_pattern("/dev/vda", MIB, MIB, "second")
    guest.write_pattern("/dev/vda", 2 * MIB, MIB, "third")
    switch_off(vm)
    assert vm.cli.run("fsck").data == []

    vm.cli.run("snapshot-delete", vm.name, "s1")
    vm.cli.run("snapshot-delete", vm.name, "s2")
    assert world.source(vm) == "export"
    assert not list(work.glob("vda.*"))
    assert vm.cli.run("fsck").data == []
    disk.server.end()
    assert disk.wrong(0, MIB, "first") is None
    assert disk.wrong(2 * MIB, MIB, "third") is None


def test_a_server_that_is_gone_loses_no_point(make_network_vm, work):
    vm = make_network_vm("raw", tcp=True)
    disk, place = vm.disks[0], world.StandIn(vm).start()
    place.write("vda", 0, MIB, 1)
    snapshot(vm, "s1", work)
    place.write("vda", 0, MIB, 2)
    vm.cli.run("destroy", vm.name)
    disk.server.end()

    # It is not the file that is missing.
    found = vm.cli.run("fsck", check=False).data
    assert found and all("missing" not in row["code"] for row in found)
    before = world.points(vm), world.files(work)
    for words in (["snapshot-delete", vm.name, "s1"], ["snapshot-revert", vm.name, "s1"],
                  ["start", vm.name]):
        refused(vm.cli, *words, status=13, says=(vm.name, "vda", f"127.0.0.1:{disk.server.port}", "Connection refused"))
    assert (world.points(vm), world.files(work)) == before

    disk.server.serve(disk.path, "export")
    assert vm.cli.run("fsck").data == []
    vm.cli.run("snapshot-delete", vm.name, "s1")
    disk.server.end()
    assert world.holds(disk.path, 0, MIB, 2, image_format="raw")


def test_a_server_that_keeps_silent_is_not_waited_for(make_network_vm, work):
    vm = make_network_vm("raw")
    disk = vm.disks[0]
    disk.server.stall()
    refused(vm.cli, "start", vm.name, status=9, says=(vm.name, "vda", disk.uri, "no answer"))
    disk.server.end()

    # Nor where the header of a layer names it, and not the definition.
    disk.server.serve(disk.path, "export")
    snapshot(vm, "s1", work)
    disk.server.stall()
    before = world.files(work)
    for words in ("start", vm.name), ("snapshot-create-as", vm.name, "s2", "--disk-only"):
        refused(vm.cli, *words, status=9, timeout=40,
                says=(vm.name, "vda", f"below '{work}/vda.s1'", disk.uri, "no answer"))
    assert vm.cli.run("domstate", vm.name).data["state"] == "shutoff"
    found = vm.cli.run("fsck", check=False).data
    assert [row["code"] for row in found] == ["image-unreadable"]
    refused(vm.cli, "snapshot-delete", vm.name, "s1", status=13,
            says=(vm.name, "vda", disk.uri, "cancelled by timeout"))
    assert world.files(work) == before
    assert world.names(vm) == ["s1"]


def test_an_increment_of_a_network_disk(make_network_vm, work):
    vm = make_network_vm("qcow2")
    place = world.StandIn(vm).start()
    place.write("vda", 0, MIB, 1)
    document = work / "backup.xml"

    def back_up(name, since, *options):
        document.write_text(f"<domainbackup>{since}<disks><disk name='vda' type='file'>"
                            f"<target file='{work}/{name}'/></disk></disks></domainbackup>")
        vm.cli.run("backup-begin", vm.name, document, *options, "--wait")

    point = work / "c1.xml"
    point.write_text("<domaincheckpoint><name>c1</name><disks><disk name='vda'/></disks></domaincheckpoint>")
    back_up("full", "", point)
    place.write("vda", MIB, MIB, 2)
    snapshot(vm, "s1", work)
    place.write("vda", 2 * MIB, MIB, 3)
    back_up("increment", "<incremental>c1</incremental>")
    assert world.holds(work / "full", 0, MIB, 1) and world.holds(work / "full", MIB, 2 * MIB, 0)
    for at, byte in enumerate((1, 2, 3)):
        assert world.holds(work / "increment", at * MIB, MIB, byte)
    vm.cli.run("snapshot-delete", vm.name, "s1")
    vm.cli.run("checkpoint-delete", vm.name, "c1")
    assert vm.cli.run("fsck").data == []


def test_what_cannot_be_is_refused_before_anything_is_touched(make_network_vm, work):
    vm = make_network_vm("raw")
    world.StandIn(vm).start()
    before = world.look(vm, work)
    refused(vm.cli, "snapshot-create-as", vm.name, "s1", status=6, says=("vda", "raw"))
    refused(vm.cli, "snapshot-create-as", vm.name, "s1", "--disk-only", status=6,
            says=("vda", "name the overlay"))
    document = work / "backup.xml"
    document.write_text("<domainbackup/>")
    refused(vm.cli, "backup-begin", vm.name, document, status=6, says=("vda", "name the target"))
    document.unlink()
    assert world.look(vm, work) == before
