# SPDX-License-Identifier: LGPL-2.1-or-later
"""A hundred points with branches, and a hundred and fifty layers below a guest that runs."""

import random
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from vmtest import images
from vmtest.images import MIB
from vmtest.world import names, source

POINTS, LAYERS = 100, 150
PIECE = 65536


def content(path):
    """All of a disk, as qemu-img sees it."""
    target = Path(path).parent / "content.raw"
    images.tool("qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, target)
    return target.read_bytes()


class Grown:
    """A domain that is off, its points made at random, each one's disk known to the byte."""

    def __init__(self, vm, chance):
        self.vm, self.chance = vm, chance
        self.frozen, self.parents = {}, {}
        self.current = None

    def write(self):
        at = self.chance.randrange(MIB // PIECE) * PIECE
        images.tool("qemu-io", "-f", "qcow2", "-c",
                    f"write -P {self.chance.randrange(1, 256)} {at} {PIECE}", source(self.vm))

    def present(self):
        return content(source(self.vm))

    def snapshot(self, name):
        self.write()
        self.frozen[name] = self.present()
        self.parents[name] = self.current
        self.vm.cli.run("snapshot-create-as", self.vm.name, name, "--disk-only")
        self.current = name

    def revert(self, name):
        self.vm.cli.run("snapshot-revert", self.vm.name, name)
        self.current = name
        assert self.present() == self.frozen[name], name

    def frozen_image(self, name):
        xml = self.vm.cli.run("snapshot-dumpxml", self.vm.name, name, "--security-info").data["xml"]
        return ElementTree.fromstring(xml).find("domain/devices/disk/source").get("file")

    def subtree(self, name):
        found = [name]
        for one in found:
            found += [child for child, parent in self.parents.items() if parent == one]
        return found

    def delete(self, name, *options):
        gone = self.subtree(name) if "--children" in options else [name]
        before = self.present()
        self.vm.cli.run("snapshot-delete", self.vm.name, name, *options)
        for one in gone:
            heir = self.parents.pop(one)
            del self.frozen[one]
            for child, parent in self.parents.items():
                if parent == one:
                    self.parents[child] = heir
        assert self.present() == before, f"the present, after {name} went"
        assert sorted(names(self.vm)) == sorted(self.frozen)

    def check(self, some):
        for name in some:
            assert content(self.frozen_image(name)) == self.frozen[name], name

    def check_parents(self):
        rows = self.vm.cli.run("snapshot-list", self.vm.name).data
        assert {row["name"]: row.get("parent") for row in rows} == self.parents
        tree = self.vm.cli.text("snapshot-list", self.vm.name, "--tree")
        assert all(tree.count(f"{name}\n") == 1 for name in self.frozen)


def test_a_hundred_points_with_branches(make_vm, work):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    tree = Grown(make_vm(disks=1, size=MIB).define(), chance)
    for n in range(POINTS):
        if n and chance.random() < 0.3:
            tree.revert(chance.choice(sorted(tree.frozen)))
        tree.snapshot(f"p{n:03d}")
    tree.check_parents()
    tree.check(tree.frozen)

    branch = min(tree.frozen, key=lambda name: abs(len(tree.subtree(name)) - POINTS // 5))
    tree.delete(branch, "--children")
    tree.check(tree.frozen)
    for turn, name in enumerate(chance.sample(sorted(tree.frozen), len(tree.frozen))):
        tree.delete(name)
        left = sorted(tree.frozen)
        tree.check(left if turn % 16 == 0 else chance.sample(left, min(2, len(left))))
        if turn % 16 == 0:
            tree.check_parents()
    assert [path.name for path in work.glob("vm-vda*")] == [Path(source(tree.vm)).name]


def test_layers_below_a_guest_that_runs(make_vm):
    vm = make_vm(disks=1, size=16 * MIB).define()
    for n in range(LAYERS):
        if n % 15 == 0:
            images.write_pattern(source(vm), n // 15 * MIB, MIB, f"layer{n}")
        vm.cli.run("snapshot-create-as", vm.name, f"l{n}", "--disk-only")
    assert len(images.chain(source(vm))) == LAYERS + 1

    vm.start()

    def has_all():
        return all(vm.guest.has_pattern("/dev/vda", n // 15 * MIB, MIB, f"layer{n}")
                   for n in range(0, LAYERS, 15))

    assert has_all()
    vm.cli.run("snapshot-create-as", vm.name, "live", "--disk-only")
    vm.guest.write_pattern("/dev/vda", 12 * MIB, MIB, "live")
    for name in (f"l{LAYERS // 2}", f"l{LAYERS // 2 + 1}"):
        vm.cli.run("snapshot-delete", vm.name, name)
    assert has_all() and vm.guest.has_pattern("/dev/vda", 12 * MIB, MIB, "live")
    assert len(images.chain(source(vm), live=True)) == LAYERS
    vm.cli.run("snapshot-revert", vm.name, "live", "--running")
    vm.guest.wait_up()
    assert has_all() and not vm.guest.has_pattern("/dev/vda", 12 * MIB, MIB, "live")
