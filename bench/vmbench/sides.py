# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who does the same thing: vmpoint, libvirt, bare QMP, and qemu-img beside them.

vmpoint and virsh share their words, so that one list of words is run by both.
"""

import os
import re
import shutil

from vmtest.bare import BareMachine
from vmtest.domain import SOURCE_DIR, Domain
from vmtest.guest import Guest
from vmtest.libvirtd import Libvirtd
from vmtest.qmp import Qmp

from . import clock


class Program:
    """A side that is a program of many commands."""

    def __init__(self, processes, work, image):
        self.work = work / self.name
        self.work.mkdir()
        self.image = image
        self._processes = processes

    def environment(self):
        return {**self._processes.environment(), "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}

    def time(self, *words):
        return clock.run(self.argv(*words), self.environment())

    def run(self, *words):
        """The same where nobody asks for the time."""
        return self.time(*words).output

    def describe(self, name, disks, **how):
        domain = Domain(name, self.image, self.work / f"{name}.con", disks,
                        spy=self.work / f"{name}.spy", **how)
        self.run("define", domain.write(self.work / f"{name}.xml"))
        return domain

    def boot(self, name, disks, **how):
        return DefinedMachine(self, self.describe(name, disks, **how))

    def close(self):
        pass


class Vmpoint(Program):
    name = "vmpoint"

    @staticmethod
    def program():
        return os.environ.get("VMPOINT_PROGRAM") or SOURCE_DIR / "build/src/cli/vmpoint"

    @classmethod
    def why_not(cls):
        if os.access(cls.program(), os.X_OK):
            return None
        return f"{cls.program()} is not a program: build vmpoint, or set VMPOINT_PROGRAM"

    def version(self):
        return self.run("--version").split()[-1]

    def environment(self):
        return {
            **super().environment(),
            "VMPOINT_STATE_DIR": str(self.work / "state"),
            "VMPOINT_RUNTIME_DIR": str(self.work / "run"),
        }

    def argv(self, *words):
        return [self.program(), *words]

    def backup(self, domain, document):
        return self.time("backup-begin", domain, document, "--wait")


class Libvirt(Program):
    name = "libvirt"
    why_not = staticmethod(Libvirtd.why_not)

    def __init__(self, processes, work, image):
        super().__init__(processes, work, image)
        self._libvirtd = Libvirtd(processes, self.work).start()

    def version(self):
        return re.search(r"API: QEMU (.*)", self.run("version"))[1]

    def argv(self, *words):
        return ["virsh", "--connect", self._libvirtd.uri, *words]

    def backup(self, domain, document):
        # virsh's backup-begin does not wait.  One virsh that goes on to wait for
        # the event is the least that a libvirt user can do: no second process,
        # no polling.  A backup that ends before the event is asked for would be
        # missed; then virsh fails at the timeout, and the try does not count.
        return self.time(f"backup-begin {domain} {document}; "
                         f"event {domain} --event job-completed --timeout 60")

    def close(self):
        self._libvirtd.stop()


class BareQmp:
    """A Python client on a monitor that it keeps open: what QEMU itself costs."""

    name = "qmp"

    def __init__(self, processes, work, image):
        self.work = work / self.name
        self.work.mkdir()
        self.image = image
        self._processes = processes

    @staticmethod
    def why_not():
        return None if shutil.which("qemu-system-x86_64") else "QEMU is not installed"

    def version(self):
        argv = ["qemu-system-x86_64", "--version"]
        return clock.run(argv, os.environ).output.splitlines()[0].split("version ")[1]

    def boot(self, name, disks, **how):
        machine = BareMachine(self._processes, self.image, self.work, disks, name=name, **how)
        return BootedMachine(name, disks, machine)

    def close(self):
        pass


class QemuImg:
    """What the same takes where no machine is in the way."""

    name = "qemu-img"

    def __init__(self, _processes, work, _image):
        self.work = work / self.name
        self.work.mkdir()

    @staticmethod
    def why_not():
        return None if shutil.which("qemu-img") else "qemu-img is not installed"

    def version(self):
        return clock.run(["qemu-img", "--version"], os.environ).output.split()[2]

    def time(self, *words):
        return clock.run(["qemu-img", *words], os.environ)

    def close(self):
        pass


class DefinedMachine:
    """A domain that a program runs; `qmp` is a second monitor, for the judge."""

    def __init__(self, side, domain):
        self.name = domain.name
        self.disks = domain.disks
        self._side = side
        side.run("start", self.name)
        guest = Guest(domain.console).connect()
        guest.wait_up()
        guest.close()
        self.qmp = Qmp(domain.spy)

    def end(self):
        self.qmp.close()
        self._side.run("destroy", self.name)
        self._side.run("undefine", self.name, "--snapshots-metadata", "--checkpoints-metadata")


class BootedMachine:
    """The same for a QEMU of our own."""

    def __init__(self, name, disks, machine):
        self.name = name
        self.disks = disks
        self.qmp = machine.qmp
        self._machine = machine
        machine.guest.wait_up()

    def end(self):
        self._machine.quit()


ALL = {side.name: side for side in (Vmpoint, Libvirt, BareQmp, QemuImg)}
