# SPDX-License-Identifier: LGPL-2.1-or-later
"""All that a command could change, to be compared before and after it.

A machine whose guest was never let run is written to through QEMU's own
qemu-io, at the device: what a guest would write, without the time to boot one.
"""

import hashlib

from . import images

KINDS = ("snapshot", "checkpoint")


class StandIn:
    """Takes the guest's place in a machine that is started paused."""

    def __init__(self, vm):
        self.vm = vm

    def start(self):
        self.vm.cli.run("start", self.vm.name, "--paused")
        return self

    def write(self, target, offset, length, byte):
        """Fill a range of the disk with a byte, and flush."""
        self.io(target, f"write -P {byte} {offset} {length}")
        self.io(target, "flush")

    def io(self, target, command):
        """A command of qemu-io.  QEMU says what went wrong, and of success nothing."""
        said = self.vm.spy.execute("human-monitor-command", {
            "command-line": f'qemu-io -d {device(self.vm.spy, target)} "{command}"',
        })
        assert not said.strip(), said


def device(monitor, target):
    """The qdev path of a disk that vmpoint has made."""
    found = [row["qdev"] for row in monitor.execute("query-block")
             if target in row.get("qdev", "").split("/")]
    assert len(found) == 1, f"{target}: {found}"
    return found[0]


def holds(path, offset, length, byte, **how):
    """Whether the guest's view of an image has nothing but this byte in the range."""
    return images.read(path, offset, length, **how) == bytes([byte]) * length


def source(vm, target="vda"):
    """Where the disk is now, by vmpoint's account."""
    return {row["target"]: row["source"] for row in vm.cli.run("domblklist", vm.name).data}[target]


def names(vm, kind="snapshot"):
    return [row["name"] for row in vm.cli.run(f"{kind}-list", vm.name, "--topological").data]


def points(vm):
    """Every point's document, by kind and name, and which one is current."""
    found = {}
    for kind in KINDS:
        for row in vm.cli.run(f"{kind}-list", vm.name).data:
            xml = vm.cli.run(f"{kind}-dumpxml", vm.name, row["name"], "--security-info").data["xml"]
            found[kind, row["name"]] = (row, xml)
    return found


def nodes(vm):
    """What QEMU has open: node, its image and what is below, its bitmaps."""
    return sorted(
        (node["node-name"], node["drv"], node["file"], node.get("backing_file"),
         tuple(sorted(bitmap.get("name", "") for bitmap in node.get("dirty-bitmaps", []))))
        for node in vm.spy.execute("query-named-block-nodes", {"flat": True})
    )


def files(work):
    """The images of a folder: what is in them for a guest, their bitmaps and backing images."""
    found = {}
    for path in sorted(work.iterdir()):
        if not path.is_file() or path.suffix in (".xml", ".log", ".stderr", ".con"):
            continue
        with path.open("rb") as file:
            if file.read(4) != b"QFI\xfb":
                found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
                continue
        about = images.info(path, live=True)
        marks = tuple(sorted(bitmap["name"] for bitmap in
                             about["format-specific"]["data"].get("bitmaps", [])))
        found[path.name] = (about["virtual-size"], about.get("full-backing-filename"), marks,
                            path.stat().st_ino)
    return found


def look(vm, work):
    """The world of one domain: equal before and after what changes nothing."""
    cli = vm.cli
    state = cli.run("domstate", vm.name).data
    return {
        "domains": cli.run("list", "--all").data,
        "definition": cli.run("dumpxml", vm.name, "--security-info").data,
        "inactive": cli.run("dumpxml", vm.name, "--security-info", "--inactive").data,
        "points": points(vm),
        "files": files(work),
        "nodes": nodes(vm) if state["state"] in ("running", "paused") else None,
    }


def refused(cli, *words, status, says=(), **how):
    """Run a command that must fail: with this status, and one clear line on stderr."""
    result = cli.run(*words, check=False, json=False, **how)
    assert result.status == status, result
    assert result.stdout == "", result
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1, result
    for word in says:
        assert str(word) in result.stderr, result
    return result.stderr
