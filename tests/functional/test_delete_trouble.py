# SPDX-License-Identifier: LGPL-2.1-or-later
"""Deletions with somebody in the way: other domains, a QEMU that dies, a guest that writes."""

import itertools
import os
import signal

import pytest
from test_delete import SIZE, Tree
from test_revert_trouble import MOST, stopped_at
from vmtest import images, world
from vmtest.images import MIB
from vmtest.world import names, refused, source


class Clone:
    """Another domain, whose disk stands on an image of the first one's."""

    def __init__(self, make_vm, base):
        self.vm = make_vm(name="clone", disks=1, size=SIZE)
        self.path = self.vm.disks[0].path
        self.path.unlink()
        images.create(self.path, SIZE, backing=base)
        images.write_pattern(self.path, 3 * MIB, MIB, "clone")
        self.vm.define()
        self.bytes = images.digest(self.path)

    def check(self):
        images.check(self.path)
        assert images.digest(source(self.vm)) == self.bytes, "the clone is not what it was"


@pytest.fixture
def off(make_vm):
    return Tree(make_vm(size=SIZE).define(), "off")


def test_what_another_domain_stands_on_stays(off, make_vm, work):
    tree = off
    tree.snapshot("s1", "s2", "s3", "s4")
    clone = Clone(make_vm, work / "vm-vda.s1")
    tree.delete("s2", left=["s1", "s3", "s4"])
    clone.check()
    assert tree.chain("vda") == ["s4", "s3", "s2", "s1", "qcow2"]
    assert tree.chain("vdb") == ["s4", "s3", "s1", "qcow2"], "nobody stands on that one"
    # Above it, and below it; and where only a snapshot of the clone does.
    clone.vm.cli.run("snapshot-create-as", "clone", "c1", "--disk-only")
    tree.delete("s3", left=["s1", "s4"])
    told = tree.vm.cli.run("--verbose", "snapshot-delete", tree.vm.name, "s1", json=False)
    assert "vm-vda.qcow2' stays as it is: domain 'clone' stands on it" in told.stderr
    tree.check("s4")
    clone.check()
    assert tree.chain("vda") == ["s4", "s2", "s1", "qcow2"]
    # When the clone is gone they are merged after all.
    clone.vm.cli.run("undefine", "clone", "--snapshots-metadata")
    tree.delete("s4", left=[])
    assert tree.layers() == ["qcow2"]


def test_a_layer_that_is_left_stays_while_another_domain_stands_on_it(off, make_vm, work):
    tree = off
    tree.snapshot("s1", "s2")
    clone = Clone(make_vm, work / "vm-vda.s2")
    tree.revert("s2")
    clone.check()
    assert "s2" in tree.layers("vda") and "s2" not in tree.layers("vdb")
    tree.revert("s1")
    tree.delete("s2", left=["s1"])
    clone.check()
    assert "s1" in tree.layers("vda") and "s1" not in tree.layers("vdb")
    clone.vm.cli.run("undefine", "clone")
    tree.delete("s1", left=[])
    assert len(tree.layers("vda")) == 1, tree.layers("vda")


def test_an_internal_revert_under_a_clone_is_a_risk(off, make_vm, work):
    tree = off
    tree.snapshot("e").write()
    tree.vm.cli.run("snapshot-create-as", tree.vm.name, "s")
    revert = ["snapshot-revert", tree.vm.name, "s"]
    assert tree.vm.cli.run(*revert, "--dry-run").data["risks"] == []
    clone = Clone(make_vm, work / "vm-vda.e")
    refused(tree.vm.cli, *revert, status=11, says=["domain 'clone' stands on", work / "vm-vda.e"])
    clone.check()
    assert [risk["code"] for risk in tree.vm.cli.run(*revert, "--dry-run").data["risks"]] == ["other-domain"]
    tree.vm.cli.run(*revert, "--force")


@pytest.mark.parametrize("above", [[], ["s2"]], ids=["active", "middle"])
def test_a_raw_image_that_can_keep_no_bitmaps(make_vm, work, above):
    vm = make_vm(image_format="raw", disks=1, size=SIZE).define()
    guest = world.StandIn(vm).start()
    guest.write("vda", 0, MIB, 1)
    vm.cli.run("snapshot-create-as", vm.name, "s1", "--disk-only")
    vm.cli.run("checkpoint-create-as", vm.name, "c1")
    guest.write("vda", MIB, MIB, 2)
    for name in above:
        vm.cli.run("snapshot-create-as", vm.name, name, "--disk-only")
    guest.write("vda", 2 * MIB, MIB, 3)

    def dirty():
        return vm.cli.run("checkpoint-dumpxml", vm.name, "c1", "--size", "--xpath",
                          "//disk[@name='vda']/@size").data

    before = dirty()
    vm.cli.run("snapshot-delete", vm.name, "s1")
    # The layer that has them takes the data in; the user's own image is needed no more.
    layers = [work / f"vm-vda.{name}" for name in (*reversed(above), "s1")]
    assert images.chain(source(vm), live=True) == layers
    assert (work / "vm-vda.raw").exists()
    assert dirty() == before
    guest.write("vda", 3 * MIB, MIB, 4)
    vm.cli.run("destroy", vm.name)
    for n in range(4):
        assert world.holds(source(vm), n * MIB, MIB, n + 1)
    assert [*images.bitmaps(source(vm))] == ["c1"]


def test_a_guest_that_writes_all_the_while(vm):
    """Each generation that it has written and synced is there, and none that is older."""
    vm.guest.writer_start(*(disk.device for disk in vm.disks))
    for n, name in enumerate(("s1", "s2", "s3"), start=1):
        vm.guest.wait_generation(3 * n)
        vm.cli.run("snapshot-create-as", vm.name, name, "--disk-only")
    for name in ("s2", "s3", "s1"):
        then = vm.guest.writer_state().generation
        vm.cli.run("snapshot-delete", vm.name, name)
        vm.guest.wait_generation(then + 3)
    vm.guest.writer_stop()
    seen = [vm.guest.digest(disk.device, 0, 64 * MIB) for disk in vm.disks]
    vm.cli.run("destroy", vm.name)
    assert [len(images.chain(source(vm, disk.target))) for disk in vm.disks] == [1, 1]
    for disk, guests in zip(vm.disks, seen):
        images.check(source(vm, disk.target))
        assert images.digest(source(vm, disk.target)) == guests


@pytest.mark.parametrize("state", ["off", "paused"])
def test_fifty_layers(make_vm, state):
    vm = make_vm(disks=1, size=SIZE).define()
    guest = world.StandIn(vm).start() if state == "paused" else None
    live = bool(guest)
    made = [f"s{n}" for n in range(50)]
    for n, name in enumerate(made):
        if n % 10 == 0:
            if live:
                guest.write("vda", n // 10 * MIB, MIB, n + 1)
            else:
                images.write_pattern(source(vm), n // 10 * MIB, MIB, name)
        vm.cli.run("snapshot-create-as", vm.name, name, "--disk-only")
    before = images.digest(source(vm), live=live)
    for name in ("s25", "s49"):
        vm.cli.run("snapshot-delete", vm.name, name)
        made.remove(name)
        assert len(images.chain(source(vm), live=live)) == len(made) + 1
        assert images.digest(source(vm), live=live) == before
    vm.cli.run("snapshot-delete", vm.name, "s0", "--children")
    assert images.digest(source(vm), live=live) == before
    assert names(vm) == [] and len(images.chain(source(vm), live=live)) == 1


def is_copying(vm):
    jobs = vm.spy.execute("query-jobs")
    return any(job["status"] == "running" and job["current-progress"] < job["total-progress"]
               for job in jobs)


def settled(vm, tree, name, before, where):
    """After QEMU died while @name was deleted: nothing else is lost, and the rest can go."""
    vm.cli.run("recover", vm.name)
    assert vm.cli.run("recover", vm.name).data == {"settled": []}
    off = Tree(vm, "off")
    off.frozen = tree.frozen
    left = names(vm)
    assert {"s1", "s2", "s3"} - set(left) <= {name}, where
    assert off.present() == before, where
    off.check(*left)
    # Whatever is left of it goes with the others.
    off.delete("s1", "--children", left=[])
    assert off.layers() == ["qcow2"], where


@pytest.mark.parametrize("name", ["s2", "s3"], ids=["middle", "active"])
def test_qemu_is_killed_while_it_copies(make_vm, name):
    size = 128 * MIB
    vm = make_vm(size=size).define()
    for _ in range(10):
        tree = Tree(vm, "paused")
        tree.snapshot("s1", "s2")
        for target in ("vda", "vdb"):
            tree.guest.write(target, 8 * MIB, size - 8 * MIB, 7)
        tree.snapshot("s3")
        for target in ("vda", "vdb"):
            tree.guest.write(target, 8 * MIB, size - 8 * MIB, 9)
        before = tree.present()
        process = vm.cli.start("snapshot-delete", vm.name, name)
        while process.poll() is None and not is_copying(vm):
            pass
        cut = process.poll() is None
        vm.kill()
        vm.close()
        process.wait(60)
        if cut:
            settled(vm, tree, name, before, "killed while it copies")
            return
        vm.cli.run("snapshot-delete", vm.name, "s1", "--children")
    pytest.fail("never met while it copies")


@pytest.mark.parametrize("name", ["s2", "s3"], ids=["middle", "active"])
def test_qemu_is_killed_at_each_moment_of_a_deletion(make_vm, name):
    vm = make_vm(size=SIZE).define()
    tree = Tree(vm, "paused")
    for n in itertools.count(1):
        assert n < MOST, "the operation never gets through"
        tree.snapshot("s1", "s2", "s3")
        before = tree.present()
        process = stopped_at(vm, n, "snapshot-delete", vm.name, name)
        if not process:
            break
        vm.kill()
        vm.close()
        os.kill(process.pid, signal.SIGCONT)
        process.wait(60)
        settled(vm, tree, name, before, f"killed at {n}")
        tree = Tree(vm, "paused")
    tree.check(*({"s1", "s2", "s3"} - {name}))
