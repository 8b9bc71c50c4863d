# SPDX-License-Identifier: LGPL-2.1-or-later
"""Snapshots whose overlays are in exports of somebody's NBD server."""

import itertools
import os
import select
import xml.etree.ElementTree as xml

import pytest
from vmtest import images, world
from vmtest.images import MIB
from vmtest.network import ROOM, SIZE
from vmtest.world import refused


class Export:
    """A file that a server of its own serves; the overlay comes into it."""

    def __init__(self, server, path, room=ROOM, *options):
        self.server = server
        self.path = path
        self.options = options
        with path.open("wb") as file:
            file.truncate(room)
        self.serve()

    def serve(self):
        self.server.serve(self.path, self.path.name, *self.options)

    @property
    def uri(self):
        return self.server.uri(self.path.name)

    def is_free(self):
        return not any(self.path.open("rb").read(MIB))

    def info(self):
        """What qemu-img sees in the file."""
        return images.info(self.path, live=True)

    def holds(self, offset, length, byte):
        return images.read(self.path, offset, length, live=True) == bytes([byte]) * length


@pytest.fixture
def make_export(make_server, work):
    def make(name, room=ROOM, tcp=False, options=()):
        return Export(make_server(tcp), work / name, room, *options)

    return make


def document(work, name, **exports):
    """A snapshot of all disks; those that are named get an overlay in an export."""
    root = xml.Element("domainsnapshot")
    xml.SubElement(root, "name").text = name
    disks = xml.SubElement(root, "disks")
    for target, export in exports.items():
        disk = xml.SubElement(disks, "disk", name=target, snapshot="external", type="network")
        source = xml.SubElement(disk, "source", protocol="nbd", name=export.path.name)
        xml.SubElement(source, "host", export.server.host())
    path = work / f"{name}.xml"
    path.write_text(xml.tostring(root, encoding="unicode"))
    return path


def snapshot(vm, work, name, *options, **exports):
    return vm.cli.run("snapshot-create", vm.name, document(work, name, **exports), "--disk-only", *options)


def disk_element(vm, target="vda"):
    root = xml.fromstring(vm.cli.run("dumpxml", vm.name).data["xml"])
    (found,) = [disk for disk in root.findall("devices/disk") if disk.find("target").get("dev") == target]
    return found


def clean(vm):
    return vm.cli.run("fsck", vm.name).data == []


@pytest.mark.parametrize("live", [True, False], ids=["running", "off"])
def test_an_overlay_is_made_in_an_export(make_vm, make_export, work, live):
    """vda gets its overlay in an export, vdb in a file; both are one snapshot."""
    vm = make_vm(size=SIZE).define()
    export, place = make_export("s1", tcp=live), world.StandIn(vm)
    place.start()
    place.write("vda", 0, MIB, 1)
    place.write("vdb", 0, MIB, 1)
    if not live:
        vm.cli.run("destroy", vm.name)
    snapshot(vm, work, "s1", vda=export)

    header = export.info()
    assert (header["format"], header["full-backing-filename"], header["virtual-size"]) == (
        "qcow2", str(work / "vm-vda.qcow2"), SIZE)
    assert world.source(vm) == "s1" and world.source(vm, "vdb") == str(work / "vm-vdb.s1")
    found = disk_element(vm)
    assert (found.get("type"), found.find("source").get("name")) == ("network", "s1")
    dump = xml.fromstring(vm.cli.run("snapshot-dumpxml", vm.name, "s1").data["xml"])
    listed = dump.find("disks/disk[@name='vda']")
    assert listed.get("type") == "network" and listed.find("source").get("protocol") == "nbd"
    assert clean(vm)

    if not live:
        vm.close()
        place.start()
    place.write("vda", MIB, MIB, 2)
    vm.cli.run("destroy", vm.name)
    assert world.holds(work / "vm-vda.qcow2", 0, MIB, 1)
    assert world.holds(work / "vm-vda.qcow2", MIB, MIB, 0), "the frozen image has what came later"
    assert clean(vm)
    # By a program that knows no vmpoint.
    assert export.holds(MIB, MIB, 2) and export.holds(0, MIB, 1)

    # Merged down, the disk is the file again, and the export is free.
    vm.cli.run("snapshot-delete", vm.name, "s1")
    assert world.source(vm) == str(work / "vm-vda.qcow2")
    assert world.holds(work / "vm-vda.qcow2", MIB, MIB, 2)
    assert export.is_free() and not (work / "vm-vdb.s1").exists()
    assert clean(vm)


def test_chains_of_exports_lose_any_of_them(make_network_vm, make_export, work):
    """Base, three overlays, all behind servers; the middle one goes, then the first, then the last."""
    vm = make_network_vm("raw")
    place = world.StandIn(vm).start()
    exports = [make_export(f"s{n}") for n in range(3)]
    for n, export in enumerate(exports):
        place.write("vda", n * MIB, MIB, n + 1)
        snapshot(vm, work, f"s{n}", vda=export)
    place.write("vda", 3 * MIB, MIB, 4)
    assert exports[2].info()["backing-filename"] == exports[1].uri
    assert exports[0].info()["backing-filename"] == vm.disks[0].uri
    assert clean(vm)
    for n in (1, 0, 2):
        vm.cli.run("snapshot-delete", vm.name, f"s{n}")
        assert clean(vm)
        for at in range(4):
            place.io("vda", f"read -P {at + 1} {at * MIB} {MIB}")
    assert world.source(vm) == "export"
    assert [export.is_free() for export in exports] == [True] * 3
    vm.cli.run("destroy", vm.name)
    vm.disks[0].server.end()
    for at in range(4):
        assert world.holds(vm.disks[0].path, at * MIB, MIB, at + 1, image_format="raw")


def test_a_prepared_overlay_is_taken_and_never_cleared(make_network_vm, make_export, work):
    vm = make_network_vm("raw", tcp=True)
    place, base = world.StandIn(vm).start(), vm.disks[0]
    place.write("vda", 0, MIB, 1)
    export = make_export("mine")
    before = world.look(vm, work)
    refused(vm.cli, "snapshot-create", vm.name, document(work, "s1", vda=export), "--disk-only",
            "--reuse-external", status=2, says=("vda", export.uri, "raw", "qcow2"))
    assert world.look(vm, work) == before

    images.tool("qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", base.uri, "-F", "raw",
                export.uri, SIZE)
    doc = xml.fromstring(document(work, "s1", vda=export).read_text())
    (work / "vm-vdb.mine").touch()
    xml.SubElement(doc.find("disks"), "disk", name="vdb", snapshot="no")
    (work / "s1.xml").write_text(xml.tostring(doc, encoding="unicode"))
    vm.cli.run("snapshot-create", vm.name, work / "s1.xml", "--disk-only", "--reuse-external")
    place.write("vda", MIB, MIB, 2)
    assert clean(vm)
    vm.cli.run("snapshot-delete", vm.name, "s1")
    assert world.source(vm) == "export"
    # It was not made by us.
    assert export.info()["format"] == "qcow2"
    place.io("vda", f"read -P 2 {MIB} {MIB}")
    assert clean(vm)


def test_what_no_overlay_can_be_in_is_refused(make_vm, make_export, make_server, work):
    vm = make_vm(size=SIZE).define()
    world.StandIn(vm).start()
    silent = make_export("silent")
    silent.server.stall()
    gone = make_export("gone", tcp=True)
    gone.server.end()
    used = make_export("used")
    used.path.write_bytes(b"\x55" * MIB + used.path.read_bytes()[MIB:])
    own = make_export("own")
    for export, status, says in [
        (make_export("small", room=SIZE), 13, ("cannot outgrow", str(SIZE))),
        (make_export("fixed", options=("--read-only",)), 13, ("read-only",)),
        (used, 4, ("something in", "--reuse-external")),
        (gone, 13, ("Connection refused",)),
        (silent, 9, ("no answer",)),
    ]:
        before = world.look(vm, work) if export not in (silent, gone) else None
        refused(vm.cli, "snapshot-create", vm.name, document(work, "s1", vda=export), "--disk-only",
                status=status, says=(vm.name, "vda", export.uri, *says))
        if before:
            assert world.look(vm, work) == before
    refused(vm.cli, "snapshot-create", vm.name, document(work, "s1", vda=own, vdb=own), "--disk-only",
            status=2, says=("share the overlay", own.uri))
    assert world.names(vm) == [] and own.is_free()


def test_an_export_that_another_domain_stands_on_is_refused(make_vm, make_network_vm, make_export, work):
    """Its disk is all zeroes yet, as a free export is."""
    other = make_network_vm("raw")
    vm = make_vm(size=SIZE, name="second").define()
    doc = document(work, "s1")
    root = xml.fromstring(doc.read_text())
    disk = xml.SubElement(root.find("disks"), "disk", name="vda", type="network")
    source = xml.SubElement(disk, "source", protocol="nbd", name="export")
    xml.SubElement(source, "host", other.disks[0].server.host())
    doc.write_text(xml.tostring(root, encoding="unicode"))
    with other.disks[0].path.open("ab") as file:
        file.truncate(ROOM)
    other.disks[0].server.end()
    other.disks[0].server.serve(other.disks[0].path, "export")
    refused(vm.cli, "snapshot-create", vm.name, doc, "--disk-only", status=4,
            says=("vda", other.disks[0].uri, other.name))


def test_checkpoints_go_on_in_an_export(make_vm, make_export, work):
    vm = make_vm(size=SIZE).define()
    place, export = world.StandIn(vm).start(), make_export("s1")
    place.write("vda", 0, MIB, 1)
    vm.cli.run("checkpoint-create-as", vm.name, "c1")
    place.write("vda", MIB, MIB, 2)
    snapshot(vm, work, "s1", vda=export)
    place.write("vda", 2 * MIB, MIB, 3)
    text = work / "backup.xml"
    text.write_text("<domainbackup><incremental>c1</incremental><disks><disk name='vda' type='file'>"
                    f"<target file='{work}/increment'/></disk></disks></domainbackup>")
    vm.cli.run("backup-begin", vm.name, text, "--wait")
    assert world.holds(work / "increment", 0, MIB, 0)
    assert world.holds(work / "increment", MIB, MIB, 2) and world.holds(work / "increment", 2 * MIB, MIB, 3)

    # Off and on again: the bitmap is in the export.
    vm.cli.run("destroy", vm.name)
    assert [bitmap["name"] for bitmap in export.info()["format-specific"]["data"]["bitmaps"]] == ["c1"]
    assert clean(vm)
    vm.cli.run("snapshot-delete", vm.name, "s1")
    assert "c1" in images.bitmaps(work / "vm-vda.qcow2") and export.is_free()
    vm.cli.run("backup-create", vm.name, work / "repo")
    assert clean(vm)


# --- reverts ---


@pytest.mark.parametrize("live", [True, False], ids=["in-process", "off"])
def test_a_revert_leaves_an_export_and_frees_it(make_vm, make_export, work, live):
    vm = make_vm(size=SIZE).define()
    place, export = world.StandIn(vm).start(), make_export("s1")
    place.write("vda", 0, MIB, 1)
    snapshot(vm, work, "s1", vda=export)
    place.write("vda", 0, MIB, 2)
    if not live:
        vm.cli.run("destroy", vm.name)
        vm.close()
    vm.cli.run("snapshot-revert", vm.name, "s1", *(["--paused"] if live else []))
    # Beside the image that was frozen, and no more in the export.
    assert world.source(vm) == str(work / "vm-vda.s1-1")
    dump = xml.fromstring(vm.cli.run("snapshot-dumpxml", vm.name, "s1").data["xml"])
    listed = dump.find("disks/disk[@name='vda']")
    assert (listed.get("type"), listed.find("source").attrib) == ("file", {"file": str(work / "vm-vda.s1-1")})
    assert export.is_free() and clean(vm)
    if not live:
        place.start()
    place.io("vda", f"read -P 1 0 {MIB}")
    # The export is as good as new.
    snapshot(vm, work, "s2", vda=export)
    place.write("vda", MIB, MIB, 3)
    vm.cli.run("snapshot-delete", vm.name, "s2")
    place.io("vda", f"read -P 3 {MIB} {MIB}")
    assert export.is_free() and clean(vm)


def test_a_revert_that_has_no_place_for_a_layer_is_refused(make_network_vm, make_export, work):
    """Image and layer are in exports, and none can be made."""
    vm = make_network_vm("raw")
    place, export = world.StandIn(vm).start(), make_export("s1")
    snapshot(vm, work, "s1", vda=export)
    place.write("vda", 0, MIB, 2)
    before = world.look(vm, work)
    refused(vm.cli, "snapshot-revert", vm.name, "s1", "--paused", status=6,
            says=("vda", "s1", vm.disks[0].uri, "no place for a new layer"))
    assert world.look(vm, work) == before
    place.io("vda", f"read -P 2 0 {MIB}")


# --- cut everywhere ---


def each_cut(vm, fault, *command):
    """The command with a fault at its Nth point, settled, for N = 1, 2, ... until it gets through."""
    for n in itertools.count(1):
        assert n < 60, "the operation never gets through"
        os.environ["VMPOINT_FAULT"] = f"{fault}@{n}"
        try:
            result = vm.cli.run(*command, check=False)
        finally:
            del os.environ["VMPOINT_FAULT"]
        vm.cli.run("recover", vm.name)
        assert vm.cli.run("recover", vm.name).data == {"settled": []}, f"cut at {n}"
        yield n, result
        if result.status == 0:
            return


@pytest.mark.parametrize("fault", ["kill", "fail"])
@pytest.mark.parametrize("live", [True, False], ids=["running", "off"])
def test_a_cut_snapshot_in_an_export_is_there_or_not(make_vm, make_export, work, live, fault):
    vm = make_vm(size=SIZE).define()
    export, place = make_export("s1"), world.StandIn(vm)
    if live:
        place.start()
        place.write("vda", 0, MIB, 1)
    before = world.look(vm, work)
    doc = document(work, "s1", vda=export)
    for n, result in each_cut(vm, fault, "snapshot-create", vm.name, doc, "--disk-only"):
        if world.names(vm) == []:
            assert result.status != 0
            assert export.is_free(), f"cut at {n}"
            assert world.look(vm, work) == before, f"cut at {n}"
            continue
        assert world.source(vm) == "s1" and clean(vm), f"cut at {n}"
        vm.cli.run("snapshot-delete", vm.name, "s1")
        assert export.is_free(), f"cut at {n}"
        assert world.source(vm) == str(work / "vm-vda.qcow2")
    if live:
        place.io("vda", f"read -P 1 0 {MIB}")


@pytest.mark.parametrize("fault", ["kill", "fail"])
@pytest.mark.parametrize("live", [True, False], ids=["running", "off"])
def test_a_cut_delete_of_an_export_loses_nothing(make_network_vm, make_export, work, live, fault):
    """Leaf and root of two overlays in exports over a third one: each goes wherever it is cut."""
    vm = make_network_vm("raw")
    place = world.StandIn(vm).start()
    exports = {name: make_export(name) for name in ("s1", "s2")}

    def arrange():
        for at, (name, export) in enumerate(exports.items()):
            if name not in world.names(vm):
                assert export.is_free()
                place.write("vda", at * MIB, MIB, at + 1)
                snapshot(vm, work, name, vda=export)
        place.write("vda", 2 * MIB, MIB, 3)

    def check(n):
        assert clean(vm), f"cut at {n}"
        if live:
            for at in range(3):
                place.io("vda", f"read -P {at + 1} {at * MIB} {MIB}")
            return
        top = next((export.path for name, export in reversed(exports.items())
                    if world.source(vm) == name), vm.disks[0].path)
        kind = "raw" if top == vm.disks[0].path else "qcow2"
        for at in range(3):
            found = images.read(top, at * MIB, MIB, image_format=kind, live=True)
            assert found == bytes([at + 1]) * MIB, f"cut at {n}"

    for name in ("s2", "s1"):
        arrange()
        if not live:
            vm.cli.run("destroy", vm.name)
        for n, result in each_cut(vm, fault, "snapshot-delete", vm.name, name):
            check(n)
            if name in world.names(vm):
                assert result.status != 0
                continue
            if result.status == 0:
                continue
            # Done all the same, perhaps with layers that wait: again, from the beginning.
            if not live:
                vm.close()
                place.start()
            for other in world.names(vm):
                vm.cli.run("snapshot-delete", vm.name, other)
            assert world.source(vm) == "export"
            arrange()
            if not live:
                vm.cli.run("destroy", vm.name)
        if not live:
            vm.close()
            place.start()
    vm.cli.run("destroy", vm.name)


# --- servers in trouble ---


def end_qemu(vm):
    """QEMU ends by itself, as if vmpoint were not there."""
    ended = os.pidfd_open(vm.cli.run("dominfo", vm.name).data["pid"])
    try:
        vm.spy.execute("quit")
        assert select.select([ended], [], [], 60)[0]
    finally:
        os.close(ended)
    vm.close()


def test_a_server_that_is_gone_settles_nothing_wrongly(make_vm, make_export, work):
    """vmpoint is killed, QEMU ends, and nobody can be asked what the guest has written since."""
    vm = make_vm(size=SIZE).define()
    export, place = make_export("s1"), world.StandIn(vm)
    doubts = 0
    for n in itertools.count(1):
        assert n < 60
        place.start()
        os.environ["VMPOINT_FAULT"] = f"kill@{n}"
        try:
            result = vm.cli.run("snapshot-create", vm.name, document(work, "s1", vda=export),
                                "--disk-only", check=False)
        finally:
            del os.environ["VMPOINT_FAULT"]
        place.write("vda", 0, MIB, n)
        end_qemu(vm)
        export.server.end()
        settled = vm.cli.run("recover", vm.name, check=False)
        if settled.status:
            doubts += 1
            assert "Failed to connect" in settled.stderr or "export" in settled.stderr, settled
        export.serve()
        vm.cli.run("recover", vm.name)
        assert clean(vm), f"cut at {n}"
        place.start()
        place.io("vda", f"read -P {n} 0 {MIB}")
        if world.names(vm):
            assert world.source(vm) == "s1"
            vm.cli.run("snapshot-delete", vm.name, "s1")
        vm.cli.run("destroy", vm.name)
        vm.close()
        if not export.is_free():
            # Said, and left where nobody could be asked: an empty one.
            assert settled.status == 14 and export.uri in settled.stderr, (n, settled)
            export.path.write_bytes(bytes(ROOM))
        if result.status == 0:
            break
    assert doubts


class Flaky(Export):
    """nbdkit with a filter: it makes errors of one kind while a file is there."""

    def __init__(self, server, path, kind, *options):
        self.trigger = path.with_suffix(".trigger")
        self.filter = [f"--filter={kind}", *(["error-file=" + str(self.trigger)] if kind == "error" else [])]
        super().__init__(server, path, ROOM, *options)

    def serve(self):
        filters = [word for word in self.filter if word.startswith("--")]
        self.server.run("nbdkit", "--foreground", *filters, "file", str(self.path),
                        *[word for word in self.filter if not word.startswith("--")], *self.options)


@pytest.fixture
def make_flaky(make_server, work):
    def make(kind, *options):
        return Flaky(make_server(), work / "s1", kind, *options)

    return make


def test_an_export_that_takes_no_write_is_refused(make_vm, make_flaky, work):
    vm = make_vm(size=SIZE).define()
    place = world.StandIn(vm).start()
    place.write("vda", 0, MIB, 1)
    export = make_flaky("error", "error-pwrite=EIO", "error-pwrite-rate=100%")
    export.trigger.touch()
    before = world.look(vm, work)
    refused(vm.cli, "snapshot-create", vm.name, document(work, "s1", vda=export), "--disk-only", status=13,
            says=(vm.name, export.uri, "Input/output error"))
    assert world.look(vm, work) == before and export.is_free()
    export.trigger.unlink()
    snapshot(vm, work, "s1", vda=export)
    place.io("vda", f"read -P 1 0 {MIB}")


def test_an_export_that_fails_midway_is_free_again(make_vm, make_flaky, work):
    """Some writes fail, each time others: the snapshot is there, or nothing of it is."""
    vm = make_vm(size=SIZE).define()
    place = world.StandIn(vm).start()
    place.write("vda", 0, MIB, 1)
    export = make_flaky("error", "error-pwrite=ENOSPC", "error-pwrite-rate=20%")
    made = failed = 0
    for _ in range(60):
        export.trigger.touch()
        result = vm.cli.run("snapshot-create", vm.name, document(work, "s1", vda=export), "--disk-only", check=False)
        export.trigger.unlink()
        vm.cli.run("recover", vm.name)
        assert clean(vm)
        place.io("vda", f"read -P 1 0 {MIB}")
        if result.status == 0:
            made += 1
            assert world.source(vm) == "s1"
            vm.cli.run("snapshot-delete", vm.name, "s1")
        else:
            failed += 1
            assert world.names(vm) == []
        if not export.is_free():
            # Its clearing failed as well, and that was said.
            assert export.uri in result.stderr
            export.path.write_bytes(bytes(ROOM))
        if made and failed:
            break
    assert made and failed


def test_an_export_that_cannot_be_read_loses_nothing_of_a_merge(make_vm, make_flaky, work):
    vm = make_vm(size=SIZE).define()
    place = world.StandIn(vm).start()
    place.write("vda", 0, MIB, 1)
    export = make_flaky("error", "error-pread=EIO", "error-pread-rate=100%")
    snapshot(vm, work, "s1", vda=export)
    place.write("vda", MIB, MIB, 2)
    export.trigger.touch()
    result = vm.cli.run("snapshot-delete", vm.name, "s1", check=False)
    assert result.status != 0
    export.trigger.unlink()
    vm.cli.run("recover", vm.name)
    # What is not merged is still there, and stays in use.
    assert world.source(vm) == "s1" and clean(vm)
    place.io("vda", f"read -P 1 0 {MIB}")
    place.io("vda", f"read -P 2 {MIB} {MIB}")
    assert not export.is_free()
    vm.cli.run("destroy", vm.name)
    assert export.holds(0, MIB, 1) and export.holds(MIB, MIB, 2)


def test_a_slow_export_is_waited_for(make_vm, make_flaky, work):
    vm = make_vm(size=SIZE).define()
    place = world.StandIn(vm).start()
    export = make_flaky("delay", "wdelay=500ms", "rdelay=100ms")
    snapshot(vm, work, "s1", vda=export)
    place.write("vda", 0, MIB, 1)
    vm.cli.run("snapshot-delete", vm.name, "s1")
    assert export.is_free() and clean(vm)
    place.io("vda", f"read -P 1 0 {MIB}")


def test_a_server_that_dies_under_a_guest_takes_nothing_along(make_vm, make_export, work):
    vm = make_vm(size=SIZE).define()
    place, export = world.StandIn(vm).start(), make_export("s1", tcp=True)
    place.write("vda", 0, MIB, 1)
    snapshot(vm, work, "s1", vda=export)
    place.write("vda", MIB, MIB, 2)
    export.server.end()
    before = world.points(vm)
    refused(vm.cli, "snapshot-delete", vm.name, "s1", status=13,
            says=(vm.name, "vda", export.uri, "Connection refused"))
    assert world.points(vm) == before
    vm.cli.run("destroy", vm.name)
    vm.close()
    refused(vm.cli, "start", vm.name, status=13, says=(vm.name, "vda", export.uri, "Connection refused"))
    assert world.holds(work / "vm-vda.qcow2", 0, MIB, 1)
    export.serve()
    place.start()
    place.io("vda", f"read -P 2 {MIB} {MIB}")
    vm.cli.run("snapshot-delete", vm.name, "s1")
    assert export.is_free() and clean(vm)
    place.io("vda", f"read -P 2 {MIB} {MIB}")
