# SPDX-License-Identifier: LGPL-2.1-or-later
"""Deletions with somebody in the way: other domains, a QEMU that dies, a guest that writes."""

import pytest
from test_delete import SIZE, Tree
from vmtest import images
from vmtest.images import MIB
from vmtest.world import source


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
