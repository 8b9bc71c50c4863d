# SPDX-License-Identifier: LGPL-2.1-or-later
"""A domain that vmpoint runs, with its guest at hand."""

import os
import select
import signal

from . import images
from .domain import Disk, Domain, targets
from .guest import Guest
from .qmp import Qmp


class Vm:
    """One domain of one test: defined, started and spoken to.

    The guest's console is taken up anew by `resume_console` whenever vmpoint
    has put another QEMU in place of the one before.
    """

    def __init__(self, cli, domain, work):
        self.cli = cli
        self.domain = domain
        self.guest = Guest(domain.console, work / f"{domain.name}.console.log")
        self._spy = None

    @classmethod
    def make(cls, cli, image, work, *, name="vm", disks=2, size=64 * images.MIB, bus="virtio",
             image_format="qcow2", agent=False, accel="tcg", **how):
        """Create empty disks and describe the machine; nothing is defined yet."""
        found = []
        for target in targets(bus, disks):
            path = images.create(work / f"{name}-{target}.{image_format}", size, image_format)
            found.append(Disk(path, target, bus, image_format))
        domain = Domain(
            name, image, work / f"{name}.con", found, spy=work / f"{name}.spy",
            agent=work / f"{name}.qga" if agent else None,
            type={"tcg": "qemu", "kvm": "kvm"}[accel], **how,
        )
        return cls(cli, domain, work)

    @property
    def name(self):
        return self.domain.name

    @property
    def disks(self):
        return self.domain.disks

    @property
    def spy(self):
        """A QMP monitor beside vmpoint's, connected at the first use."""
        if self._spy is None:
            self._spy = Qmp(self.domain.spy)
        return self._spy

    def define(self):
        self.cli.run("define", self.domain.write(self.domain.console.with_suffix(".xml")))
        return self

    def start(self, *options):
        """Start it by vmpoint and wait until the guest does what it is told."""
        self.cli.run("start", self.name, *options)
        self.guest.connect().wait_up()
        return self

    def resume_console(self):
        """Meet the guest again after a revert."""
        self.close()
        self.guest.connect().wait_up()

    def state(self):
        return self.spy.status()

    def kill(self, timeout=30):
        """End QEMU as a power cut does; return when it has gone."""
        pid = self.cli.run("dominfo", self.name).data["pid"]
        ended = os.pidfd_open(pid)
        try:
            os.kill(pid, signal.SIGKILL)
            if not select.select([ended], [], [], timeout)[0]:
                raise AssertionError(f"{pid} does not die")
        finally:
            os.close(ended)

    def close(self):
        """Let go of console and monitor; the machine stays."""
        self.guest.close()
        if self._spy:
            self._spy.close()
        self._spy = None
