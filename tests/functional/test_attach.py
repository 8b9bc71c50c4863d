# SPDX-License-Identifier: LGPL-2.1-or-later
"""A QEMU that somebody else started, by hand and without XML, is adopted.

No guest is let run in it: what matters is whose names its nodes have.
"""

import contextlib
import socket
import subprocess
import threading
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from vmtest import images, world
from vmtest.bare import Listeners
from vmtest.domain import QEMU
from vmtest.images import MIB
from vmtest.qmp import Qmp
from vmtest.world import refused

SIZE = 16 * MIB


class ByHand:
    """A QEMU with two monitors: one for vmpoint, the other, `spy`, for us."""

    def __init__(self, processes, work, disks, cwd=None):
        self.monitor, self.spy_path = work / "hand.qmp", work / "hand.spy"
        argv = [QEMU, "-accel", "tcg", "-machine", "q35", "-m", "64", "-nodefaults", "-display",
                "none", "-S", *disks]
        for name, path in (("m", self.monitor), ("s", self.spy_path)):
            argv += ["-chardev", f"socket,id={name},server=on,wait=off,path={path}",
                     "-mon", f"chardev={name},mode=control"]
        with Listeners(argv) as sockets:
            self.process = processes.start(sockets.argv, pass_fds=sockets.fds, cwd=cwd,
                                           stderr=subprocess.PIPE)
        self.spy = Qmp(self.spy_path)

    def write(self, offset, length, byte):
        """As its guest would, on the first disk."""
        first = self.spy.execute("query-block")[0]["qdev"]
        for command in (f"write -P {byte} {offset} {length}", "flush"):
            said = self.spy.execute("human-monitor-command",
                                    {"command-line": f'qemu-io -d {first} "{command}"'})
            assert not said.strip(), said

    def source(self):
        return self.spy.execute("query-block")[0]["inserted"]["file"]


def drive(work):
    return ["-drive", f"file={work}/hand.qcow2,format=qcow2,if=virtio"]


def blockdev(work):
    return ["-blockdev", f"driver=file,node-name=store,filename={work}/hand.qcow2",
            "-blockdev", "driver=qcow2,node-name=fmt,file=store",
            "-device", "virtio-blk-pci,drive=fmt"]


def relative(work):
    return ["-drive", "file=hand.qcow2,format=qcow2,if=virtio"]


@pytest.fixture
def start(processes, work):
    images.create(work / "hand.qcow2", SIZE)
    started = []

    def begin(disks):
        started.append(ByHand(processes, work, disks(work), cwd=work))
        return started[-1]

    yield begin
    for machine in started:
        machine.spy.close()


@pytest.mark.parametrize("disks", [drive, blockdev, relative], ids=["drive", "blockdev", "relative"])
def test_a_machine_without_xml_has_points_in_time(vmpoint, work, start, disks):
    machine = start(disks)
    vmpoint.run("attach", "hand", "--qmp", machine.monitor)
    (disk,) = vmpoint.run("domblklist", "hand").data
    assert (disk["target"], disk["source"]) == ("vda", f"{work}/hand.qcow2")

    machine.write(0, MIB, 1)
    backup = work / "full.xml"
    backup.write_text(f"<domainbackup><disks><disk name='vda' type='file'>"
                      f"<target file='{work}/full'/></disk></disks></domainbackup>")
    checkpoint = work / "c1.xml"
    checkpoint.write_text("<domaincheckpoint><name>c1</name></domaincheckpoint>")
    vmpoint.run("backup-begin", "hand", backup, checkpoint, "--wait")
    assert world.holds(work / "full", 0, MIB, 1)

    vmpoint.run("snapshot-create-as", "hand", "s1", "--disk-only")
    assert vmpoint.run("domblklist", "hand").data[0]["source"] == f"{work}/hand.s1"
    assert f"{work}/hand.s1" in machine.source()
    machine.write(MIB, MIB, 2)
    backup.write_text(backup.read_text().replace("<disks>", "<incremental>c1</incremental><disks>")
                      .replace("/full", "/incr"))
    vmpoint.run("backup-begin", "hand", backup, "--wait")
    assert world.holds(work / "incr", 0, MIB, 1) and world.holds(work / "incr", MIB, MIB, 2)

    # There is no definition to be off with: only an end that is active.
    refused(vmpoint, "snapshot-revert", "hand", "s1", status=2, says=("hand", "transient"))
    vmpoint.run("snapshot-revert", "hand", "s1", "--paused")
    now = vmpoint.run("domblklist", "hand").data[0]["source"]
    assert now != f"{work}/hand.s1" and now in machine.source()
    assert world.holds(now, 0, MIB, 1, live=True) and world.holds(now, MIB, MIB, 0, live=True)
    assert machine.process.poll() is None, "in the same process"

    vmpoint.run("snapshot-delete", "hand", "s1")
    assert machine.source().endswith("hand.qcow2")
    vmpoint.run("checkpoint-delete", "hand", "c1")
    assert not [bitmap for node in machine.spy.execute("query-named-block-nodes", {"flat": True})
                for bitmap in node.get("dirty-bitmaps", [])]

    vmpoint.run("detach", "hand")
    assert machine.spy.status() in ("prelaunch", "paused")
    assert vmpoint.run("list", "--all").data == []


def test_a_busy_monitor_is_reported_and_not_waited_for(vmpoint, start):
    machine = start(blockdev)
    with Qmp(machine.monitor):
        began = time.monotonic()
        refused(vmpoint, "attach", "hand", "--qmp", machine.monitor, status=5,
                says=("hand", machine.monitor))
        assert time.monotonic() - began < 15
    vmpoint.run("attach", "hand", "--qmp", machine.monitor)
    with Qmp(machine.monitor):
        refused(vmpoint, "snapshot-create-as", "hand", "s1", "--disk-only", status=5, says=("hand",))
    vmpoint.run("snapshot-create-as", "hand", "s1", "--disk-only")


def test_a_socket_without_qemu(vmpoint, work, start):
    machine = start(blockdev)
    nobody = work / "nobody.qmp"
    refused(vmpoint, "attach", "x", "--qmp", nobody, status=8, says=(nobody,))
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(nobody))
    refused(vmpoint, "attach", "x", "--qmp", nobody, status=8, says=(nobody,))
    (work / "plain").write_text("")
    refused(vmpoint, "attach", "x", "--qmp", work / "plain", status=8, says=(work / "plain",))
    assert vmpoint.run("list", "--all").data == []

    # One that goes away later is noticed.
    vmpoint.run("attach", "hand", "--qmp", machine.monitor)
    machine.process.kill()
    machine.process.wait()
    result = vmpoint.run("snapshot-create-as", "hand", "s1", "--disk-only", check=False)
    assert result.status in (3, 6, 8), result
    assert not list(work.glob("hand.s1"))


@contextlib.contextmanager
def server(path, first, echo=False):
    """Something else that listens there, and what it says to whoever comes."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = listener.accept()
                    with peer, contextlib.suppress(OSError):
                        peer.sendall(first)
                        while echo and (data := peer.recv(4096)):
                            peer.sendall(data)

        threading.Thread(target=serve, daemon=True).start()
        yield
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("first", [
    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    b'{"hello": "world"}\r\n',
    b"\x00\xff\xfe\x80\n",
    b"[" * 100000 + b"\n",
], ids=["http", "other-json", "bytes", "deep-json"])
def test_a_socket_that_speaks_something_else(vmpoint, work, first):
    path = work / "other.sock"
    with server(path, first, echo=True):
        refused(vmpoint, "attach", "x", "--qmp", path, status=2, says=(path,))
    assert vmpoint.run("list", "--all").data == []


VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
FIRMWARE = VARIABLES.with_name("OVMF_CODE_4M.fd")


@contextlib.contextmanager
def in_the_background(processes, work, *disks):
    """QEMU's own -daemonize: it goes to "/", away from what its paths are relative to."""
    monitor, spy_path = work / "hand.qmp", work / "hand.spy"
    argv = [QEMU, "-accel", "tcg", "-machine", "q35", "-m", "64", "-nodefaults", "-display", "none",
            "-S", "-daemonize", *disks, "-qmp", f"unix:{monitor},server=on,wait=off",
            "-qmp", f"unix:{spy_path},server=on,wait=off"]
    assert processes.start(argv, cwd=work).wait() == 0
    spy = Qmp(spy_path)
    machine, = [one for one in processes.alive() if one.program().startswith("qemu-system-")]
    try:
        yield monitor, spy
    finally:
        spy.execute("quit")
        spy.close()
        assert machine.has_ended(20)


def test_a_machine_in_the_background_has_its_images_where_it_was_started(vmpoint, processes, work):
    images.create(work / "base.qcow2", SIZE)
    images.write_pattern(work / "base.qcow2", 0, MIB, "one")
    images.create(work / "ov er,lay%.qcow2", SIZE, backing="base.qcow2")
    with in_the_background(processes, work, "-drive",
                           "file=ov er,,lay%.qcow2,if=virtio") as (monitor, spy):
        vmpoint.run("attach", "hand", "--qmp", monitor)
        disk, = vmpoint.run("domblklist", "hand").data
        assert disk["source"] == f"{work}/ov er,lay%.qcow2"
        vmpoint.run("snapshot-create-as", "hand", "s1", "--disk-only", "--diskspec",
                    f"vda,file={work}/s1.qcow2")
        assert [image.name for image in images.chain(work / "s1.qcow2", live=True)] == [
            "s1.qcow2", "ov er,lay%.qcow2", "base.qcow2"]
        images.require_pattern(work / "s1.qcow2", 0, MIB, "one", live=True)
        vmpoint.run("snapshot-delete", "hand", "s1")
        assert spy.execute("query-block")[0]["inserted"]["file"].endswith("ov er,lay%.qcow2")


def test_firmware_is_no_disk(vmpoint, processes, work):
    images.create(work / "hand.qcow2", SIZE)
    (work / "vars.fd").write_bytes(VARIABLES.read_bytes())
    flash = ["-drive", f"if=pflash,format=raw,readonly=on,file={FIRMWARE}",
             "-drive", "if=pflash,format=raw,file=vars.fd"]
    with in_the_background(processes, work, *flash, *relative(work)) as (monitor, spy):
        vmpoint.run("attach", "hand", "--qmp", monitor)
        assert [(disk["target"], disk["source"]) for disk in vmpoint.run("domblklist", "hand").data] \
            == [("vda", f"{work}/hand.qcow2")]
        described = ElementTree.fromstring(vmpoint.text("dumpxml", "hand")).find("os")
        assert described.findtext("loader") == str(FIRMWARE)
        assert described.findtext("nvram") == f"{work}/vars.fd"

        # The variables belong to the snapshot.
        vmpoint.run("snapshot-create-as", "hand", "s1", "--disk-only")
        kept = list((work / "state").rglob("*.nvram"))
        assert len(kept) == 1
        vmpoint.run("snapshot-revert", "hand", "s1", "--paused")
        assert spy.status() in ("prelaunch", "paused")
        (work / "vars.fd").write_bytes(b"x" + VARIABLES.read_bytes()[1:])
        refused(vmpoint, "snapshot-revert", "hand", "s1", "--paused", status=11, says=("hand",))


def test_a_disk_that_forgets_is_left_out(vmpoint, processes, work):
    images.create(work / "hand.qcow2", SIZE)
    images.create(work / "forgets.qcow2", SIZE)
    lost = ["-drive", "file=forgets.qcow2,format=qcow2,if=virtio,snapshot=on"]
    with in_the_background(processes, work, *relative(work), *lost) as (monitor, _):
        vmpoint.run("attach", "hand", "--qmp", monitor)
        disks = ElementTree.fromstring(vmpoint.text("dumpxml", "hand")).findall("devices/disk")
        assert [disk.find("transient") is not None for disk in disks] == [False, True]
        vmpoint.run("snapshot-create-as", "hand", "s1", "--disk-only")
        sources = [disk["source"] for disk in vmpoint.run("domblklist", "hand").data]
        assert sources[0] == f"{work}/hand.s1"
        refused(vmpoint, "snapshot-create-as", "hand", "s2", "--disk-only", "--diskspec",
                "vdb,snapshot=external", status=6, says=("hand", "vdb", "transient"))
        assert [row["name"] for row in vmpoint.run("snapshot-list", "hand").data] == ["s1"]
