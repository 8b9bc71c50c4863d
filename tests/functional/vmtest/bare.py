# SPDX-License-Identifier: LGPL-2.1-or-later
"""The test guest under a QEMU that vmpoint never hears of."""

import socket

from .domain import CMDLINE, QEMU
from .guest import Guest
from .qmp import Qmp


class BareMachine:
    """A QEMU of ours, with its console and its monitor."""

    def __init__(self, processes, image, work, disks, *, name="bare", accel="tcg",
                 machine="q35", memory_mib=256, agent=None, arguments=()):
        self.disks = disks
        self.monitor = work / f"{name}.qmp"
        self.console = work / f"{name}.con"
        self._stderr = work / f"{name}.stderr"
        initrd = image.initrd_agent if agent else image.initrd
        argv = [
            QEMU, "-accel", accel, "-machine", machine, "-m", memory_mib, "-nodefaults",
            "-display", "none", "-no-user-config",
            "-kernel", image.kernel, "-initrd", initrd, "-append", CMDLINE,
            *served(self.monitor, "monitor"), "-mon", "chardev=monitor,mode=control",
            *served(self.console, "console"), "-serial", "chardev:console",
            *disk_arguments(disks), *arguments,
        ]
        if agent:
            argv += [
                "-device", "virtio-serial-pci", *served(agent, "agent"),
                "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
            ]
        with self._stderr.open("wb") as stderr, Listeners(argv) as sockets:
            self.process = processes.start(
                sockets.argv, stdout=stderr, stderr=stderr, pass_fds=sockets.fds,
            )
        # The sockets listened before QEMU began: it will come to answer them.
        self.guest = Guest(self.console, work / f"{name}.console.log").connect()
        try:
            self.qmp = Qmp(self.monitor)
        except Exception as error:
            raise RuntimeError(f"QEMU did not start: {self.stderr()}") from error

    def stderr(self):
        return self._stderr.read_text(encoding="utf-8", errors="replace")

    def wait(self, timeout=60):
        """QEMU's exit status, when it has ended."""
        return self.process.wait(timeout)

    def close(self):
        """Let go of console and monitor."""
        self.guest.close()
        self.qmp.close()

    def quit(self):
        """End QEMU in good order, which closes the images."""
        self.qmp.execute("quit")
        self.close()
        return self.wait()


def served(path, name):
    """A chardev at a socket that Listeners opens in QEMU's place."""
    return ["-chardev", f"socket,id={name},server=on,wait=off,path={path}"]


class Listeners:
    """Binds the sockets of a command line before the program is started.

    Whoever connects then need not wait for the program to have come so far.
    """

    def __init__(self, argv):
        self._sockets = []
        self.argv = [self._open(word) if ",server=on" in str(word) else word for word in argv]

    @property
    def fds(self):
        return [listener.fileno() for listener in self._sockets]

    def _open(self, word):
        options, path = word.split(",path=")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sockets.append(listener)
        listener.bind(path)
        listener.listen(1)
        return f"{options},fd={listener.fileno()}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for listener in self._sockets:
            listener.close()


# The device of each bus; SATA has a port for each disk, IDE for two.
DEVICE = {
    "virtio": "virtio-blk-pci",
    "scsi": "scsi-hd,bus=scsi.0",
    "usb": "usb-storage,bus=usb.0",
    "ide": "ide-hd,bus=ide.{port},unit={unit}",
    "sata": "ide-hd,bus=ide.{index}",
}
CONTROLLER = {
    "scsi": ["-device", "virtio-scsi-pci,id=scsi"],
    "usb": ["-device", "qemu-xhci,id=usb"],
}


def disk_arguments(disks):
    argv = []
    for bus in dict.fromkeys(disk.bus for disk in disks):
        argv += CONTROLLER.get(bus, [])
    for index, disk in enumerate(disks):
        device = DEVICE[disk.bus].format(index=index, port=index // 2, unit=index % 2)
        argv += [
            "-blockdev", f"driver=file,node-name={disk.target}-file,filename={disk.path}",
            "-blockdev", f"driver={disk.format},node-name={disk.target},file={disk.target}-file",
            "-device", f"{device},drive={disk.target},id=disk-{disk.target}",
        ]
    return argv
