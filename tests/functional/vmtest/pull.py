# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pull backups as a client sees them: begun and ended by vmpoint, read by other programs."""

import nbd

from . import images, world
from .images import MIB

DISKS = ("vda", "vdb")


class Pull:
    """Begins and ends pull backups, and reads what they serve."""

    def __init__(self, vm, work):
        self.vm, self.work = vm, work
        self.socket = work / "nbd.sock"

    def document(self, since=None, server=None, disks=DISKS, more=None):
        server = server or f"<server transport='unix' socket='{self.socket}'/>"
        increment = f"<incremental>{since}</incremental>" if since else ""
        rows = "".join((more or {}).get(disk) or
                       f"<disk name='{disk}' backup='yes' type='file'>"
                       f"<scratch file='{self.work}/scratch-{disk}'/></disk>" for disk in disks)
        rows += "".join(f"<disk name='{disk}' backup='no'/>" for disk in DISKS if disk not in disks)
        path = self.work / "pull.xml"
        path.write_text(f"<domainbackup mode='pull'>{increment}{server}<disks>{rows}</disks>"
                        "</domainbackup>")
        return path

    def words(self, checkpoint=None, **how):
        words = ["backup-begin", self.vm.name, self.document(**how)]
        if checkpoint:
            path = self.work / "checkpoint.xml"
            path.write_text(f"<domaincheckpoint><name>{checkpoint}</name></domaincheckpoint>")
            words.append(path)
        return words

    def begin(self, *options, **how):
        return self.vm.cli.run(*self.words(**how), *options)

    def end(self):
        return self.vm.cli.run("domjobabort", self.vm.name)

    def uri(self, export):
        return f"nbd+unix:///{export}?socket={self.socket}"

    def copy(self, export, uri=None):
        """The whole of an export, by nbdcopy."""
        out = self.work / f"copy-{export}.raw"
        images.tool("nbdcopy", uri or self.uri(export), out)
        return out

    def dirty(self, export, bitmap=None):
        """What the bitmap says, by nbdinfo: ranges."""
        context = f"qemu:dirty-bitmap:{bitmap or f'backup-{export}'}"
        lines = images.tool("nbdinfo", f"--map={context}", self.uri(export)).stdout.splitlines()
        rows = [line.split() for line in lines]
        return [(int(row[0]), int(row[1])) for row in rows if row[3] == "dirty"]

    def apply_increment(self, export, base, bitmap=None):
        """Lay what is dirty, and nothing else, over a copy of an earlier state."""
        handle = nbd.NBD()
        handle.connect_uri(self.uri(export))
        ranges = self.dirty(export, bitmap)
        with open(base, "r+b") as file:
            for offset, length in ranges:
                for at in range(offset, offset + length, MIB):
                    part = handle.pread(min(MIB, offset + length - at), at)
                    file.seek(at)
                    file.write(part)
        handle.shutdown()
        return sum(length for _, length in ranges)

    def live(self, target):
        """The disk as it is now."""
        out = self.work / f"live-{target}.raw"
        out.write_bytes(images.read(world.source(self.vm, target), 0, None, live=True))
        return out


def same(one, two):
    return one.read_bytes() == two.read_bytes()


def info(vm, *options):
    return vm.cli.run("domjobinfo", vm.name, *options).data
