# SPDX-License-Identifier: LGPL-2.1-or-later
"""Snapshots deleted from anywhere in the tree.

Whoever stays is proved by bytes: what each snapshot froze is read in full when it is made, and
again after each deletion, through the image that its own document names then.
"""

import itertools
import xml.etree.ElementTree as ElementTree

import pytest
from vmtest import images, world
from vmtest.images import MIB
from vmtest.world import names, refused, source

SIZE = 8 * MIB
TARGETS = ("vda", "vdb")


class Tree:
    """A domain whose every frozen state is known by its digest."""

    def __init__(self, vm, state):
        self.vm = vm
        self.state = state
        self.frozen = {}
        self.bytes = itertools.cycle(range(1, 256))
        self.guest = world.StandIn(vm).start() if state != "off" else None

    @property
    def live(self):
        return self.state != "off"

    def write(self, offset=None):
        """Something new on each disk: at a place of its own, and over what was there."""
        byte = next(self.bytes)
        for target in TARGETS:
            for at in (0, byte % 8 * MIB if offset is None else offset):
                if self.live:
                    self.guest.write(target, at, MIB // 2, byte)
                else:
                    images.write_pattern(source(self.vm, target), at, MIB // 2, f"{byte}")

    def present(self):
        return {target: images.digest(source(self.vm, target), live=self.live) for target in TARGETS}

    def snapshot(self, *made, words=()):
        for name in made:
            self.write()
            self.frozen[name] = self.present()
            self.vm.cli.run("snapshot-create-as", self.vm.name, name, "--disk-only", *words)
        self.write()
        return self

    def revert(self, name):
        end = ["--paused"] if self.live else []
        self.vm.cli.run("snapshot-revert", self.vm.name, name, *end)
        assert self.present() == self.frozen[name]
        self.write()
        return self

    def images_of(self, name):
        xml = self.vm.cli.run("snapshot-dumpxml", self.vm.name, name, "--security-info").data["xml"]
        domain = ElementTree.fromstring(xml).find("domain")
        return {disk.find("target").get("dev"): disk.find("source").get("file")
                for disk in domain.iter("disk")}

    def check(self, *left):
        assert sorted(names(self.vm)) == sorted(left)
        for name in left:
            now = {target: images.digest(path, live=self.live)
                   for target, path in self.images_of(name).items()}
            assert now == self.frozen[name], f"{name} is not what it was"

    def delete(self, name, *options, left, current=None):
        before = self.present()
        self.vm.cli.run("snapshot-delete", self.vm.name, name, *options)
        assert self.present() == before, "the present is not what it was"
        self.check(*left)
        if self.live:
            assert not self.vm.spy.execute("query-jobs")
        if current:
            assert self.vm.cli.text("snapshot-current", self.vm.name, "--name").strip() == current
        self.check_headers()

    def check_headers(self):
        """Every image is sound, and stands on what is there."""
        work = self.vm.disks[0].path.parent
        for path in work.glob("vm-vd*"):
            below = images.info(path, live=True).get("full-backing-filename")
            assert below is None or (below.startswith("/") and (work / below).exists()), (path, below)
            if not self.live:
                images.check(path)

    def layers(self, target="vda"):
        work = self.vm.disks[0].path.parent
        return sorted(path.name.removeprefix(f"vm-{target}.") for path in work.glob(f"vm-{target}.*"))

    def chain(self, target="vda"):
        return [path.name.removeprefix(f"vm-{target}.")
                for path in images.chain(source(self.vm, target), live=self.live)]


@pytest.fixture(params=["off", "paused"])
def tree(request, make_vm):
    return Tree(make_vm(size=SIZE).define(), request.param)


@pytest.fixture
def paused(make_vm):
    return Tree(make_vm(size=SIZE).define(), "paused")


def test_from_the_middle_the_bottom_and_the_top_of_a_chain(tree):
    tree.snapshot("s1", "s2", "s3", "s4")
    assert tree.chain() == ["s4", "s3", "s2", "s1", "qcow2"]
    tree.delete("s2", left=["s1", "s3", "s4"], current="s4")
    assert tree.chain() == ["s4", "s3", "s1", "qcow2"]
    assert tree.layers() == ["qcow2", "s1", "s3", "s4"]
    tree.delete("s1", left=["s3", "s4"], current="s4")
    assert tree.chain() == ["s4", "s3", "qcow2"]
    tree.delete("s4", left=["s3"], current="s3")
    assert tree.chain() == ["s3", "qcow2"]
    # What is left still serves: back to it, and on.
    tree.revert("s3").snapshot("s5")
    tree.delete("s3", left=["s5"])
    tree.delete("s5", left=[])
    assert tree.layers() == ["qcow2"]
    assert source(tree.vm).endswith("vm-vda.qcow2")


def test_branches_that_a_revert_left(tree):
    # s1 - s2 - s3, and from s2 on: s4 - s5, the present
    tree.snapshot("s1", "s2", "s3").revert("s2").snapshot("s4", "s5")
    tree.delete("s3", left=["s1", "s2", "s4", "s5"], current="s5")
    assert "s2" not in tree.layers(), "the leaf's own layer is nobody's"
    tree.revert("s4").snapshot("s6")
    # A leaf that is not current, a fork, and what is under it.
    tree.delete("s5", left=["s1", "s2", "s4", "s6"])
    tree.revert("s2").snapshot("s7")
    tree.delete("s2", left=["s1", "s4", "s6", "s7"])
    tree.delete("s1", left=["s4", "s6", "s7"])
    tree.delete("s4", left=["s6", "s7"])
    tree.delete("s6", left=["s7"], current="s7")
    tree.delete("s7", left=[])
    assert tree.layers() == ["qcow2"]


def test_a_layer_goes_with_the_last_that_names_it(tree, work):
    """Snapshots of one disk name what the other one wrote to, and need nothing of it."""
    tree.snapshot("s1")
    tree.write()
    for name in ("s2", "s3"):
        tree.vm.cli.run("snapshot-create-as", tree.vm.name, name, "--disk-only", "--diskspec",
                        "vdb,snapshot=no")
    layer = work / "vm-vdb.s1"
    tree.revert("s1")
    before = tree.present()
    tree.vm.cli.run("snapshot-delete", tree.vm.name, "s2")
    assert layer.exists(), "s3 names it"
    tree.vm.cli.run("snapshot-delete", tree.vm.name, "s3")
    assert not layer.exists()
    assert tree.present() == before
    tree.delete("s1", left=[])
    assert tree.vm.cli.run("fsck", tree.vm.name).data == []


def test_a_fork_keeps_its_image_until_one_branch_is_gone(tree):
    tree.snapshot("s1").revert("s1").snapshot("s2").revert("s1").snapshot("s3")
    # Both s2 and s3 stand on what s1 froze.
    tree.delete("s1", left=["s2", "s3"], current="s3")
    assert "qcow2" in tree.layers()
    tree.delete("s2", left=["s3"])
    assert len(tree.chain()) == 2, tree.chain()
    tree.delete("s3", left=[])
    assert tree.layers() == ["qcow2"] and len(tree.chain()) == 1


def test_inside_a_branch_that_is_not_the_present(tree):
    tree.snapshot("s1", "s2", "s3", "s4").revert("s1").snapshot("s5")
    tree.delete("s3", left=["s1", "s2", "s4", "s5"], current="s5")
    tree.delete("s2", left=["s1", "s4", "s5"], current="s5")
    tree.revert("s4")
    tree.delete("s1", left=["s4", "s5"], current="s4")
    tree.check("s4", "s5")


def test_a_fork_above_a_layer_that_goes(tree):
    # Three images stand on what s2 froze; it takes in what is below, and keeps its name.
    tree.snapshot("s1", "s2").revert("s2").snapshot("s3").revert("s2").snapshot("s4")
    tree.revert("s2")
    tree.delete("s1", left=["s2", "s3", "s4"], current="s2")
    for name in ("s3", "s4", "s2"):
        tree.revert(name)


def test_whole_subtrees(tree):
    tree.snapshot("s1", "s2", "s3").revert("s2").snapshot("s4").revert("s1").snapshot("s5", "s6")
    tree.delete("s2", "--children", left=["s1", "s5", "s6"], current="s6")
    tree.delete("s1", "--children-only", left=["s1"], current="s1")
    assert len(tree.chain()) == 2
    tree.snapshot("s7", "s8")
    tree.delete("s1", "--children", left=[])
    assert tree.layers() == ["qcow2"]


def test_bitmaps_go_where_the_data_goes(paused):
    tree = paused
    cli, vm = tree.vm.cli, tree.vm
    for n, name in enumerate(("s1", "s2", "s3"), start=1):
        cli.run("checkpoint-create-as", vm.name, f"c{n}")
        tree.snapshot(name)

    def sizes():
        return {f"c{n}": cli.run("checkpoint-dumpxml", vm.name, f"c{n}", "--size", "--xpath",
                                 "//disk[@name='vda']/@size").data for n in (1, 2, 3)}

    dirty = sizes()
    for name, left in (("s2", ["s1", "s3"]), ("s1", ["s3"]), ("s3", [])):
        tree.delete(name, left=left)
        assert sizes() == dirty, name
    cli.run("destroy", vm.name)
    found = images.bitmaps(source(vm))
    assert sorted(found) == ["c1", "c2", "c3"]
    assert not any("in-use" in bitmap["flags"] for bitmap in found.values())


def test_a_disk_that_was_made_larger(paused):
    tree = paused
    tree.snapshot("s1", "s2")
    (node,) = [row["inserted"]["node-name"] for row in tree.vm.spy.execute("query-block")
               if row.get("inserted", {}).get("file") == source(tree.vm)]
    tree.vm.spy.execute("block_resize", {"node-name": node, "size": 2 * SIZE})
    tree.write()
    tree.delete("s2", left=["s1"])
    tree.delete("s1", left=[])
    assert images.info(source(tree.vm), live=True)["virtual-size"] == 2 * SIZE


def test_files_of_others_stay(tree, work):
    overlays = {target: work / f"mine-{target}" for target in TARGETS}
    for target in TARGETS:
        images.create(overlays[target], SIZE, backing=work / f"vm-{target}.qcow2")
    tree.snapshot("s1", words=["--reuse-external"] + [
        word for target in TARGETS for word in ("--diskspec", f"{target},file={overlays[target]}")])
    tree.snapshot("s2")
    tree.delete("s1", left=["s2"])
    assert all(path.exists() for path in overlays.values()), "not ours to remove"
    tree.delete("s2", left=[])
    assert all(path.exists() for path in overlays.values())


def test_what_is_only_shown_changes_nothing(paused, work):
    tree = paused
    tree.snapshot("s1", "s2")
    before = world.look(tree.vm, work)
    plan = tree.vm.cli.run("snapshot-delete", tree.vm.name, "s1", "--dry-run").data
    assert [step["kind"] for step in plan["steps"]][:2] == ["start-merges", "finish-merges"], plan
    assert world.look(tree.vm, work) == before


def test_nothing_is_merged_where_a_leaf_goes(paused):
    tree = paused
    tree.snapshot("s1", "s2").revert("s1")
    plan = tree.vm.cli.run("snapshot-delete", tree.vm.name, "s2", "--dry-run").data
    assert plan["steps"] == []


def test_a_job_of_somebody_else_is_in_the_way(paused):
    tree = paused
    tree.snapshot("s1", "s2")
    nodes = tree.vm.spy.execute("query-block")
    root = next(row["inserted"]["node-name"] for row in nodes if row.get("inserted"))
    tree.vm.spy.execute("block-stream", {"job-id": "theirs", "device": root, "speed": 1})
    refused(tree.vm.cli, "snapshot-delete", tree.vm.name, "s1", status=5, says=("vm", "theirs"))
    tree.vm.spy.execute("job-cancel", {"id": "theirs"})
    tree.check("s1", "s2")


@pytest.mark.parametrize("fault", ["kill", "fail"])
def test_a_cut_in_the_middle_of_a_chain_costs_nobody_else_anything(paused, fault):
    tree, cli, name = paused, paused.vm.cli, paused.vm.name
    tree.snapshot("s1", "s2", "s3")
    before = tree.present()
    left = ["s1", "s2", "s3"]
    for n in itertools.count(1):
        cli.run("snapshot-delete", name, "s2", check=False, fault=f"{fault}@{n}")
        cli.run("recover", name)
        left = names(tree.vm)
        assert {"s1", "s3"} <= set(left), f"cut at {n}"
        tree.check(*left)
        assert tree.present() == before, f"cut at {n}"
        assert not tree.vm.spy.execute("query-jobs"), f"cut at {n}"
        for other in ("s1", "s3"):
            plan = cli.run("snapshot-revert", name, other, "--paused", "--dry-run").data
            assert plan["risks"] == [], f"cut at {n}"
        if "s2" not in left:
            break
    # Whether the layers were merged or not: the next one leaves no more of them than it needs.
    tree.delete("s1", left=["s3"])
    assert len(tree.chain()) == 2
    tree.delete("s3", left=[])
    assert tree.layers() == ["qcow2"]
