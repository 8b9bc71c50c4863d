# SPDX-License-Identifier: LGPL-2.1-or-later
"""Domains whose disks are behind somebody's NBD server: qemu-nbd plays it."""

import os
import select
import socket
import xml.etree.ElementTree as xml
from dataclasses import dataclass

import pytest
from vmtest import images, world
from vmtest.domain import Disk
from vmtest.images import MIB
from vmtest.world import refused

SIZE = 32 * MIB
# A qcow2 image cannot grow over NBD: its export has room for all of it.
ROOM = 64 * MIB


class Server:
    """qemu-nbd with a file as its export, for as many clients as come."""

    def __init__(self, processes, work, tcp):
        self.processes = processes
        self.place = work / "peer.sock"
        self.tcp = tcp
        self.process = self.listener = self.port = None

    def serve(self, path, name):
        # It gets the socket from us: connecting waits until it is up, and never fails.
        self.listener = socket.socket(socket.AF_INET if self.tcp else socket.AF_UNIX)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port or 0) if self.tcp else str(self.place))
        self.listener.listen()
        self.port = self.listener.getsockname()[1] if self.tcp else None
        fd = self.listener.fileno()
        script = f'export LISTEN_PID=$$ LISTEN_FDS=1; exec qemu-nbd "$@" 3<&{fd}'
        self.process = self.processes.start(
            ["bash", "-c", script, "bash", "--format=raw", "--persistent", "--shared=16",
             f"--export-name={name}", path], pass_fds=(fd,))
        return self

    def host(self):
        return ({"name": "127.0.0.1", "port": str(self.port)} if self.tcp
                else {"transport": "unix", "socket": str(self.place)})

    def uri(self, name):
        return (f"nbd://127.0.0.1:{self.port}/{name}" if self.tcp
                else f"nbd+unix:///{name}?socket={self.place}")

    def end(self):
        """As a host that goes away: nobody takes its connections any more."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.listener.close()
            self.place.unlink(missing_ok=True)
        self.process = self.listener = None


@dataclass
class NetworkDisk(Disk):
    """`path` is the file that the server serves; in it is an image of `format`."""

    server: Server = None

    def element(self):
        disk = super().element()
        disk.set("type", "network")
        source = disk.find("source")
        source.attrib.clear()
        source.attrib.update(protocol="nbd", name="export")
        xml.SubElement(source, "host", self.server.host())
        return disk

    @property
    def uri(self):
        return self.server.uri("export")

    def wrong(self, offset, length, seed):
        """What a server that is down has in its file, by qemu-nbd's account of it."""
        return images.wrong_at(self.path, offset, length, seed, image_format=self.format)


@pytest.fixture
def make_server(processes, work):
    made = []

    def make(tcp=False):
        made.append(Server(processes, work, tcp))
        return made[-1]

    yield make
    for server in made:
        server.end()


@pytest.fixture
def make_network_vm(make_vm, make_server, work):
    """A domain, defined, with vda behind a server and vdb in a file."""

    def make(image_format="qcow2", tcp=False, **how):
        vm = make_vm(size=SIZE, **how)
        path = images.create(work / f"served.{image_format}", SIZE, image_format)
        if image_format == "qcow2":
            with path.open("ab") as file:
                file.truncate(ROOM)
        server = make_server(tcp).serve(path, "export")
        vm.domain.disks[0] = NetworkDisk(path, "vda", format=image_format, server=server)
        return vm.define()

    return make


def switch_off(vm):
    """From inside; return when QEMU has closed its images, which is later than the guest's end."""
    ended = os.pidfd_open(vm.cli.run("dominfo", vm.name).data["pid"])
    try:
        vm.guest.poweroff()
        assert select.select([ended], [], [], 60)[0]
    finally:
        os.close(ended)


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
    refused(vm.cli, "start", vm.name, status=7, says=(vm.name, "vda", "127.0.0.1", "export"))


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
