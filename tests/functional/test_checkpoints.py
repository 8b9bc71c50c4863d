# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checkpoints: what was written since, on every disk, across whatever happens meanwhile."""

import os
import xml.etree.ElementTree as etree

from vmtest import images, world
from vmtest.images import MIB
from vmtest.world import names, refused, source

SIZE = 16 * MIB
GRAIN = 64 * 1024


def checkpoint(vm, name, *specs):
    vm.cli.run("checkpoint-create-as", vm.name, name, *specs)


def sizes(vm, name):
    """Bytes written since, by disk, as vmpoint counts them."""
    xml = vm.cli.run("checkpoint-dumpxml", vm.name, name, "--size", "--no-domain").data["xml"]
    return {disk.get("name"): int(disk.get("size"))
            for disk in etree.fromstring(xml).iter("disk") if disk.get("size")}


def bitmaps(vm):
    """By QEMU's account: node's file, bitmap."""
    return {(os.path.basename(node["file"]), bitmap["name"])
            for node in vm.spy.execute("query-named-block-nodes", {"flat": True})
            if node["drv"] == "qcow2" for bitmap in node.get("dirty-bitmaps", [])}


def stop(vm):
    vm.cli.run("destroy", vm.name)
    vm.close()


def test_each_counts_from_its_own_instant(made):
    vm, guest = made
    checkpoint(vm, "c1")
    guest.write("vda", 0, GRAIN, 1)
    checkpoint(vm, "c2")
    guest.write("vda", MIB, 3 * GRAIN, 2)
    guest.write("vdb", 512, 512, 2)

    assert sizes(vm, "c1") == {"vda": 4 * GRAIN, "vdb": GRAIN}
    assert sizes(vm, "c2") == {"vda": 3 * GRAIN, "vdb": GRAIN}
    assert names(vm, "checkpoint") == ["c1", "c2"]
    assert vm.cli.text("checkpoint-parent", vm.name, "c2").strip() == "c1"
    info = vm.cli.run("checkpoint-info", vm.name, "c1").data
    assert (info["children"], info["current"]) == (1, False)
    refused(vm.cli, "checkpoint-create-as", vm.name, "c1", status=4, says=("vm", "'c1'"))


def test_what_was_written_in_two_layers_counts_once(made):
    vm, guest = made
    checkpoint(vm, "c1")
    guest.write("vda", 0, 4 * GRAIN, 1)
    vm.cli.run("snapshot-create-as", vm.name, "s1", "--disk-only")
    guest.write("vda", 2 * GRAIN, 4 * GRAIN, 2)
    vm.cli.run("snapshot-create-as", vm.name, "s2", "--disk-only")
    guest.write("vda", 0, GRAIN, 3)
    guest.write("vda", 8 * GRAIN, GRAIN, 3)

    assert sizes(vm, "c1") == {"vda": 7 * GRAIN, "vdb": 0}
    # What counted is gone, also what one that was killed has left.
    present = bitmaps(vm)
    assert {name for _, name in present} == {"c1"}
    node = {row["file"]: row["node-name"] for row in
            vm.spy.execute("query-named-block-nodes", {"flat": True}) if row["drv"] == "qcow2"}
    vm.spy.execute("block-dirty-bitmap-add", {"node": node[source(vm)], "name": ".vmpoint-size"})
    assert sizes(vm, "c1")["vda"] == 7 * GRAIN
    assert bitmaps(vm) == present
    stop(vm)
    assert sizes(vm, "c1") == {"vda": 7 * GRAIN, "vdb": 0}, "and the same when it is off"
    assert set(images.bitmaps(source(vm))) == {"c1"}


def test_delete_takes_the_bitmap_out_of_every_layer(made, work):
    vm, guest = made
    for n in (1, 2, 3):
        checkpoint(vm, f"c{n}")
        vm.cli.run("snapshot-create-as", vm.name, f"s{n}", "--disk-only")
        guest.write("vda", n * MIB, GRAIN, n)
    assert ("vm-vda.qcow2", "c1") in bitmaps(vm) and ("vm-vda.s3", "c1") in bitmaps(vm)

    vm.cli.run("checkpoint-delete", vm.name, "c1")
    assert "c1" not in {name for _, name in bitmaps(vm)}
    assert names(vm, "checkpoint") == ["c2", "c3"]
    assert vm.cli.run("checkpoint-info", vm.name, "c2").data["parent"] is None
    assert sizes(vm, "c2")["vda"] == 2 * GRAIN, "the others are what they were"
    assert sizes(vm, "c3")["vda"] == GRAIN

    forgotten = vm.cli.text("checkpoint-dumpxml", vm.name, "c2", "--security-info")
    vm.cli.run("checkpoint-delete", vm.name, "c2", "--metadata")
    refused(vm.cli, "checkpoint-create-as", vm.name, "c2", status=4,
            says=("vm", "'c2'", "no checkpoint here knows", "qemu-img bitmap --remove"))
    assert "c2" in {name for _, name in bitmaps(vm)}
    assert names(vm, "checkpoint") == ["c3"]

    # When it is off, nobody has given names to the images below; nor after a start.
    stop(vm)
    checkpoint(vm, "c4")
    vm.cli.run("checkpoint-delete", vm.name, "c3")
    guest.start()
    vm.cli.run("snapshot-create-as", vm.name, "s4", "--disk-only")
    checkpoint(vm, "c5")
    vm.cli.run("snapshot-create-as", vm.name, "s5", "--disk-only")
    stop(vm)
    guest.start()
    guest.write("vda", 0, GRAIN, 7)
    vm.cli.run("checkpoint-delete", vm.name, "c4")
    guest.write("vda", GRAIN, GRAIN, 8)
    assert sizes(vm, "c5")["vda"] == 2 * GRAIN
    assert {name for _, name in bitmaps(vm)} == {"c2", "c5"}
    # Once more, now that the layers have got names.
    vm.cli.run("checkpoint-create", vm.name, "-", "--redefine", stdin=forgotten)
    vm.cli.run("checkpoint-delete", vm.name, "c2")
    assert {name for _, name in bitmaps(vm)} == {"c5"}
    for node in vm.spy.execute("query-named-block-nodes", {"flat": True}):
        if node["drv"] != "qcow2":
            continue  # a file follows its image
        assert node["ro"] == (node["file"] not in (source(vm, "vda"), source(vm, "vdb"))), node["file"]
    stop(vm)
    assert world.holds(source(vm), 0, GRAIN, 7) and world.holds(source(vm), GRAIN, GRAIN, 8)
    for layer in ("qcow2", "s1", "s2", "s3"):
        assert "c3" not in images.bitmaps(work / f"vm-vda.{layer}"), layer
        images.check(work / f"vm-vda.{layer}")


def test_a_machine_that_is_off_has_checkpoints_as_well(off, work):
    vm = off
    checkpoint(vm, "c1")
    assert set(images.bitmaps(work / "vm-vda.qcow2")) == {"c1"}
    guest = world.StandIn(vm).start()
    guest.write("vda", 0, 2 * GRAIN, 1)
    assert sizes(vm, "c1") == {"vda": 2 * GRAIN, "vdb": 0}
    stop(vm)
    checkpoint(vm, "c2")
    assert sizes(vm, "c1")["vda"] == 2 * GRAIN and sizes(vm, "c2")["vda"] == 0
    vm.cli.run("checkpoint-delete", vm.name, "c1", "--children")
    assert names(vm, "checkpoint") == []
    assert images.bitmaps(work / "vm-vda.qcow2") == {} == images.bitmaps(work / "vm-vdb.qcow2")


def test_only_the_disks_that_were_asked_for(made):
    vm, guest = made
    checkpoint(vm, "c1", "--diskspec", "vda,checkpoint=bitmap", "--diskspec", "vdb,checkpoint=no")
    guest.write("vda", 0, GRAIN, 1)
    guest.write("vdb", 0, GRAIN, 1)
    assert bitmaps(vm) == {("vm-vda.qcow2", "c1")}
    assert sizes(vm, "c1") == {"vda": GRAIN}
    vm.cli.run("checkpoint-delete", vm.name, "c1")
    assert bitmaps(vm) == set()


def test_finer_and_coarser_ones_count_by_their_own_measure(made):
    vm, guest = made
    for name, how, status in (("c1", "4k", 0), ("c2", "1M", 0), ("c3", "3000", 2), ("c4", "256", 2),
                              ("c5", "4294967296", 2), ("c6", "4kb", 2), ("c7", "", 2)):
        said = vm.cli.run("checkpoint-create-as", vm.name, name, "--granularity", how, check=False)
        assert said.status == status, said
    assert names(vm, "checkpoint") == ["c1", "c2"]
    guest.write("vda", 0, 512, 1)
    # An overlay goes on with the same measure.
    vm.cli.run("snapshot-create-as", vm.name, "s1", "--disk-only")
    guest.write("vda", 8 * MIB, 512, 1)
    assert sizes(vm, "c1") == {"vda": 8192, "vdb": 0}
    assert sizes(vm, "c2") == {"vda": 2 * MIB, "vdb": 0}


def test_they_survive_snapshot_revert_and_restart(made):
    vm, guest = made
    checkpoint(vm, "c1")
    guest.write("vda", 0, GRAIN, 1)
    vm.cli.run("snapshot-create-as", vm.name, "s1", "--disk-only")
    guest.write("vda", MIB, GRAIN, 2)
    checkpoint(vm, "c2")
    assert sizes(vm, "c1")["vda"] == 2 * GRAIN

    # Back to s1: c1 knows what was written before it, and counts on.
    vm.cli.run("snapshot-revert", vm.name, "s1", "--paused")
    assert sizes(vm, "c1")["vda"] == GRAIN
    guest.write("vda", 2 * MIB, GRAIN, 3)
    assert sizes(vm, "c1")["vda"] == 2 * GRAIN

    for _ in range(2):
        stop(vm)
        guest.start()
    assert sizes(vm, "c1")["vda"] == 2 * GRAIN
    # c2 began in a layer that is no more.
    said = vm.cli.run("checkpoint-dumpxml", vm.name, "c2", "--size", check=False, json=False)
    assert said.status == 10 and "'c2'" in said.stderr and "vda" in said.stderr, said
    vm.cli.run("checkpoint-delete", vm.name, "c2")
    assert names(vm, "checkpoint") == ["c1"]


def test_after_qemu_was_killed_its_size_is_not_known(made, work):
    vm, guest = made
    checkpoint(vm, "c1")
    guest.write("vda", 0, GRAIN, 1)
    stop(vm)
    guest.start()  # from now on the images say that their bitmaps are in use
    guest.write("vda", 0, GRAIN, 1)
    vm.kill()
    vm.close()

    assert vm.cli.run("domstate", vm.name).data["state"] in ("crashed", "shutoff")
    for start in (False, True):
        if start:
            guest.start()
        before = world.look(vm, work)
        refused(vm.cli, "checkpoint-dumpxml", vm.name, "c1", "--size", status=10,
                says=("vm", "vda", "'c1'"))
        assert world.look(vm, work) == before

    # The way on: forget it, and begin anew.
    vm.cli.run("checkpoint-delete", vm.name, "c1")
    assert not bitmaps(vm)
    checkpoint(vm, "c3")
    guest.write("vda", 0, GRAIN, 1)
    assert sizes(vm, "c3")["vda"] == GRAIN


def test_an_image_that_keeps_no_bitmap_is_tracked_while_it_runs(make_vm, work):
    vm = make_vm(size=SIZE)
    (work / "vm-vdb.qcow2").unlink()
    images.create(work / "vm-vdb.qcow2", SIZE, options=("compat=0.10",))
    guest = world.StandIn(vm.define())
    before = world.look(vm, work)
    refused(vm.cli, "checkpoint-create-as", vm.name, "c1", status=6, says=("vm", "'vdb'", "0.10"))
    assert world.look(vm, work) == before
    guest.start()
    checkpoint(vm, "c1")
    guest.write("vdb", 0, GRAIN, 1)
    assert sizes(vm, "c1") == {"vda": 0, "vdb": GRAIN}
    vm.cli.run("checkpoint-delete", vm.name, "c1")
    assert bitmaps(vm) == set()


def test_a_bitmap_of_that_name_from_somebody_else_is_left_alone(off, work):
    vm = off
    images.tool("qemu-img", "bitmap", "--add", work / "vm-vdb.qcow2", "c1")
    before = world.look(vm, work)
    refused(vm.cli, "checkpoint-create-as", vm.name, "c1", status=4, says=("vm", "'vdb'", "'c1'"))
    assert world.look(vm, work) == before
