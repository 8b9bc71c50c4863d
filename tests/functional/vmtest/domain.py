# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirt <domain> XML for a machine that runs the test guest."""

import subprocess
import uuid
import xml.etree.ElementTree as xml
from dataclasses import dataclass, field
from pathlib import Path

QEMU = "/usr/bin/qemu-system-x86_64"
QEMU_NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0"
CMDLINE = "console=ttyS0 quiet panic=-1"
SOURCE_DIR = Path(__file__).resolve().parents[3]

# Disk names by bus, as both libvirt and the guest count them.
PREFIX = {"virtio": "vd", "scsi": "sd", "sata": "sd", "usb": "sd", "ide": "hd"}

xml.register_namespace("qemu", QEMU_NAMESPACE)


@dataclass(frozen=True)
class GuestImage:
    """What scripts/build-guest made."""

    kernel: Path
    initrd: Path
    initrd_agent: Path

    @classmethod
    def build(cls, kind="cloud"):
        """Only the generic kernel knows SATA and USB."""
        done = subprocess.run(
            [SOURCE_DIR / "scripts" / "build-guest", "--kernel", kind],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True,
        )
        out = Path(done.stdout.strip())
        return cls(out / "vmlinuz", out / "initrd.gz", out / "initrd-agent.gz")


@dataclass
class Disk:
    path: Path
    target: str = "vda"
    bus: str = "virtio"
    format: str = "qcow2"
    readonly: bool = False
    # Further children of <driver>'s and <disk>'s attributes where a test needs them.
    driver: dict = field(default_factory=dict)

    @property
    def device(self):
        """Its path in the guest, if all disks of the machine are on one bus."""
        if self.bus == "virtio":
            return "/dev/" + self.target
        # The guest has names of its own where Linux names as it comes.
        return f"/dev/disk/{ord(self.target[-1]) - ord('a')}"

    def element(self):
        disk = xml.Element("disk", type="file", device="disk")
        xml.SubElement(disk, "driver", name="qemu", type=self.format, **self.driver)
        xml.SubElement(disk, "source", file=str(self.path))
        xml.SubElement(disk, "target", dev=self.target, bus=self.bus)
        if self.readonly:
            xml.SubElement(disk, "readonly")
        return disk


def targets(bus, count):
    return [PREFIX[bus] + chr(ord("a") + i) for i in range(count)]


@dataclass
class Domain:
    """One machine: `xml()` is what a user would write.

    console: the unix socket where QEMU serves the serial console.
    spy: one for a second QMP monitor of our own, beside vmpoint's.
    agent: one for the guest agent's channel; the guest then runs the agent.
    """

    name: str
    image: GuestImage
    console: Path
    disks: list
    spy: Path = None
    agent: Path = None
    type: str = "qemu"
    machine: str = "q35"
    memory_mib: int = 256
    vcpus: int = 1
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    # Further elements of <devices>, as XML text.
    devices: list = field(default_factory=list)
    arguments: list = field(default_factory=list)
    # Further elements of <domain>, as XML text.
    elements: list = field(default_factory=list)

    def xml(self):
        domain = xml.Element("domain", type=self.type)
        leaf(domain, "name", self.name)
        leaf(domain, "uuid", self.uuid)
        leaf(domain, "memory", self.memory_mib, unit="MiB")
        leaf(domain, "vcpu", self.vcpus)
        system = xml.SubElement(domain, "os")
        leaf(system, "type", "hvm", arch="x86_64", machine=self.machine)
        leaf(system, "kernel", self.image.kernel)
        leaf(system, "initrd", self.image.initrd_agent if self.agent else self.image.initrd)
        leaf(system, "cmdline", CMDLINE)
        xml.SubElement(xml.SubElement(domain, "features"), "acpi")
        xml.SubElement(domain, "clock", offset="utc")
        domain.extend(xml.fromstring(text) for text in self.elements)

        devices = xml.SubElement(domain, "devices")
        leaf(devices, "emulator", QEMU)
        devices.extend(disk.element() for disk in self.disks)
        if any(disk.bus == "scsi" for disk in self.disks):
            xml.SubElement(devices, "controller", type="scsi", index="0", model="virtio-scsi")
        if any(disk.bus == "usb" for disk in self.disks):
            xml.SubElement(devices, "controller", type="usb", index="0", model="qemu-xhci")
        devices.append(channel("serial", self.console))
        if self.agent:
            port = channel("channel", self.agent)
            xml.SubElement(port, "target", type="virtio", name="org.qemu.guest_agent.0")
            devices.append(port)
        xml.SubElement(devices, "memballoon", model="none")
        devices.extend(xml.fromstring(text) for text in self.devices)

        self._add_arguments(domain)
        xml.indent(domain)
        return xml.tostring(domain, encoding="unicode") + "\n"

    def write(self, path):
        Path(path).write_text(self.xml(), encoding="utf-8")
        return Path(path)

    def _add_arguments(self, domain):
        arguments = list(self.arguments)
        if self.spy:
            arguments += ["-qmp", f"unix:{self.spy},server=on,wait=off"]
        if arguments:
            line = xml.SubElement(domain, f"{{{QEMU_NAMESPACE}}}commandline")
            for argument in arguments:
                xml.SubElement(line, f"{{{QEMU_NAMESPACE}}}arg", value=argument)


def leaf(parent, tag, text, **attributes):
    element = xml.SubElement(parent, tag, **attributes)
    element.text = str(text)
    return element


def channel(tag, socket):
    """A character device that QEMU serves at a unix socket."""
    element = xml.Element(tag, type="unix")
    xml.SubElement(element, "source", mode="bind", path=str(socket))
    return element
