# SPDX-License-Identifier: LGPL-2.1-or-later
"""Disks behind somebody's NBD server: qemu-nbd plays it."""

import socket
import xml.etree.ElementTree as xml
from dataclasses import dataclass

from . import images
from .domain import Disk
from .images import MIB

SIZE = 32 * MIB
# A qcow2 image cannot grow over NBD: its export has room for all of it.
ROOM = 64 * MIB


class Server:
    """qemu-nbd with a file as its export, for as many clients as come."""

    def __init__(self, processes, place, tcp):
        self.processes = processes
        self.place = place
        self.tcp = tcp
        self.process = self.listener = self.port = None

    def serve(self, path, name, *options):
        return self.run("qemu-nbd", "--format=raw", "--persistent", "--shared=16", *options,
                        f"--export-name={name}", path)

    def run(self, *argv):
        # It gets the socket from us: connecting waits until it is up, and never fails.
        self.listener = socket.socket(socket.AF_INET if self.tcp else socket.AF_UNIX)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port or 0) if self.tcp else str(self.place))
        self.listener.listen()
        self.port = self.listener.getsockname()[1] if self.tcp else None
        fd = self.listener.fileno()
        script = f'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@" 3<&{fd}'
        self.process = self.processes.start(["bash", "-c", script, "bash", *argv], pass_fds=(fd,))
        return self

    def host(self):
        return ({"name": "127.0.0.1", "port": str(self.port)} if self.tcp
                else {"transport": "unix", "socket": str(self.place)})

    def uri(self, name):
        return (f"nbd://127.0.0.1:{self.port}/{name}" if self.tcp
                else f"nbd+unix:///{name}?socket={self.place}")

    def stall(self):
        """As one that takes connections and says nothing."""
        self.end()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.place))
        self.listener.listen()

    def end(self):
        """As a host that goes away: nobody takes its connections any more."""
        if self.process:
            self.process.kill()
            self.process.wait()
        if self.listener:
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
