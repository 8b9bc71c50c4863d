# SPDX-License-Identifier: LGPL-2.1-or-later
"""Snapshots of a machine that runs: made, listed, gone back to, deleted.

Where the guest itself is no witness it is never let run, and QEMU's qemu-io
writes in its place.
"""

import stat
import subprocess

import pytest
from vmtest import images, world
from vmtest.images import MIB
from vmtest.world import holds, names, refused, source

SIZE = 16 * MIB


@pytest.fixture
def made(make_vm):
    """A paused machine with two disks, and who writes in its guest's place."""
    vm = make_vm(size=SIZE).define()
    return vm, world.StandIn(vm).start()


def snapshot(vm, name, *words):
    vm.cli.run("snapshot-create-as", vm.name, name, "--disk-only", *words)


def pid(vm):
    return vm.cli.run("dominfo", vm.name).data["pid"]


def state(vm):
    return vm.cli.run("domstate", vm.name).data["state"]


def test_all_disks_are_frozen_at_one_instant_while_the_guest_writes(vm, work):
    vm.guest.writer_start(*(disk.device for disk in vm.disks))
    vm.guest.wait_generation(5)
    snapshot(vm, "s1")
    vm.guest.wait_generation(vm.guest.writer_state().generation + 3)
    snapshot(vm, "s2")
    vm.guest.wait_generation(vm.guest.writer_state().generation + 3)
    vm.guest.writer_stop()

    assert vm.guest.writer_state().is_one_instant(), "the guest itself saw nothing amiss"
    for layer in ("qcow2", "s1"):
        # The writer gives a generation to one disk and then to the other.
        vda, vdb = (images.newest_generation(work / f"vm-{t}.{layer}", live=True)
                    for t in ("vda", "vdb"))
        assert vda - vdb in (0, 1), (layer, vda, vdb)
    assert images.newest_generation(work / "vm-vda.s1", live=True) > \
        images.newest_generation(work / "vm-vda.qcow2", live=True)
    assert not [event for event in vm.spy.drain_events() if event["event"] == "RESET"]

    # In-process revert: the same process, the same console, the older generation.
    before = pid(vm)
    frozen = images.newest_generation(work / "vm-vda.qcow2", live=True)
    vm.cli.run("snapshot-revert", vm.name, "s1", "--running")
    vm.resume_console()
    assert pid(vm) == before
    assert vm.guest.digest("/dev/vda", 0, MIB) == images.digest(work / "vm-vda.qcow2", 0, MIB, live=True)
    assert frozen is not None


def test_a_chain_of_three_is_listed_and_described(made, work):
    vm, guest = made
    for byte, name in enumerate(("s1", "s2", "s3"), start=1):
        guest.write("vda", 0, MIB, byte)
        vm.cli.run("snapshot-create-as", vm.name, name, f"the {name} & more", "--disk-only")
    guest.write("vda", 0, MIB, 9)

    assert names(vm) == ["s1", "s2", "s3"]
    assert images.chain(source(vm), live=True) == [
        work / f"vm-vda.{layer}" for layer in ("s3", "s2", "s1", "qcow2")]
    for byte, layer in ((1, "qcow2"), (2, "s1"), (3, "s2"), (9, "s3")):
        assert holds(work / f"vm-vda.{layer}", 0, MIB, byte, live=True), layer

    tree = vm.cli.text("snapshot-list", vm.name, "--tree")
    assert [line.strip(" +-|") for line in tree.splitlines() if line.strip(" +-|")] == ["s1", "s2", "s3"]
    info = vm.cli.run("snapshot-info", vm.name, "s1").data
    assert (info["parent"], info["children"], info["descendants"]) == (None, 1, 2)
    assert not info["current"] and info["state"] == "disk-snapshot"
    assert vm.cli.text("snapshot-parent", vm.name, "s3").strip() == "s2"
    assert vm.cli.text("snapshot-current", vm.name, "--name").strip() == "s3"
    xml = vm.cli.run("snapshot-dumpxml", vm.name, "s2").data["xml"]
    assert "<description>the s2 &amp; more</description>" in xml
    assert f"<source file='{work}/vm-vda.s2'/>" in xml
    refused(vm.cli, "snapshot-create-as", vm.name, "s2", "--disk-only", status=4, says=("vm", "'s2'"))


def test_an_overlay_has_the_clusters_of_the_image_below_and_is_nobody_elses(make_vm, work):
    vm = make_vm(disks=1, size=SIZE)
    path = work / "vm-vda.qcow2"
    path.unlink()
    images.create(path, SIZE, options=("cluster_size=128k", "extended_l2=on"))
    path.chmod(0o640)
    world.StandIn(vm.define()).start()
    snapshot(vm, "s1")

    overlay = work / "vm-vda.s1"
    about = images.info(overlay, live=True)
    assert about["cluster-size"] == 128 * 1024
    assert about["format-specific"]["data"]["extended-l2"]
    assert about["backing-filename-format"] == "qcow2"
    assert not overlay.stat().st_mode & stat.S_IRWXO


def test_an_overlay_is_opened_as_the_image_it_replaces(make_vm):
    vm = make_vm(disks=1, size=SIZE)
    vm.disks[0].driver.update(cache="none", io="native", discard="unmap", detect_zeroes="unmap")
    guest = world.StandIn(vm.define()).start()

    def how():
        (block,) = [row["inserted"] for row in vm.spy.execute("query-block") if row.get("inserted")]
        return block["cache"]["direct"], block["detect_zeroes"]

    def discards():
        """Whether what a guest discards goes out of the file."""
        guest.write("vda", 0, 4 * MIB, 1)
        before = images.info(source(vm), live=True)["actual-size"]
        guest.io("vda", f"discard 0 {4 * MIB}")
        guest.io("vda", "flush")
        return images.info(source(vm), live=True)["actual-size"] < before - 3 * MIB

    assert how() == (True, "unmap") and discards()
    snapshot(vm, "s1")
    assert how() == (True, "unmap") and discards()
    vm.cli.run("snapshot-revert", vm.name, "s1", "--paused")
    assert how() == (True, "unmap") and discards()


def test_only_the_disks_that_were_asked_for(made, work):
    vm, guest = made
    elsewhere = work / "elsewhere.img"
    snapshot(vm, "s1", "--diskspec", f"vda,snapshot=external,file={elsewhere}",
             "--diskspec", "vdb,snapshot=no")
    assert source(vm, "vda") == str(elsewhere)
    assert source(vm, "vdb") == str(work / "vm-vdb.qcow2")
    guest.write("vda", 0, MIB, 7)
    assert holds(elsewhere, 0, MIB, 7, live=True)

    # Going back would leave vdb what it is: that is for the user to say.
    before = world.look(vm, work)
    for options in ([], ["--running"], ["--paused"]):
        said = refused(vm.cli, "snapshot-revert", vm.name, "s1", *options, status=11,
                       says=("vm", "'vdb'"))
        assert "vda" not in said
    assert world.look(vm, work) == before
    vm.cli.run("snapshot-revert", vm.name, "s1", "--paused", "--force")
    assert source(vm, "vdb") == str(work / "vm-vdb.qcow2")
    assert holds(source(vm), 0, MIB, 0, live=True)


def test_without_metadata_nothing_is_remembered_but_the_disks_go_on(made, work):
    vm, guest = made
    snapshot(vm, "s1", "--no-metadata")
    assert names(vm) == []
    assert source(vm) == str(work / "vm-vda.s1")
    guest.write("vda", 0, MIB, 3)
    assert holds(work / "vm-vda.s1", 0, MIB, 3, live=True)
    assert holds(work / "vm-vda.qcow2", 0, MIB, 0, live=True)


def test_overlays_that_were_prepared_are_used_and_never_removed(made, work):
    vm, guest = made
    for target in ("vda", "vdb"):
        images.create(work / f"mine-{target}", SIZE, backing=work / f"vm-{target}.qcow2",
                      options=("cluster_size=4k",))
    specs = [word for target in ("vda", "vdb")
             for word in ("--diskspec", f"{target},file={work}/mine-{target}")]
    refused(vm.cli, "snapshot-create-as", vm.name, "s1", "--disk-only", *specs, status=4,
            says=("vm", "mine-vda"))
    snapshot(vm, "s1", "--reuse-external", *specs)
    guest.write("vda", 0, MIB, 5)
    assert holds(work / "mine-vda", 0, MIB, 5, live=True)
    assert images.info(work / "mine-vda", live=True)["cluster-size"] == 4096

    vm.cli.run("snapshot-revert", vm.name, "s1", "--paused")
    assert holds(source(vm), 0, MIB, 0, live=True)
    assert holds(work / "mine-vda", 0, MIB, 5, live=True), "not ours to remove"


def test_halt_leaves_the_domain_off_at_the_instant_of_the_snapshot(made, work):
    vm, guest = made
    guest.write("vda", 0, MIB, 1)
    snapshot(vm, "s1", "--halt")
    assert state(vm) == "shutoff"
    assert source(vm) == str(work / "vm-vda.s1")
    assert holds(work / "vm-vda.s1", 0, MIB, 1)


def test_back_and_forth_between_branches(made, work):
    vm, guest = made
    began = pid(vm)
    for byte, name in ((1, "s1"), (2, "s2")):
        guest.write("vda", 0, MIB, byte)
        guest.write("vdb", 0, MIB, byte)
        snapshot(vm, name)
    guest.write("vda", 0, MIB, 3)

    for name, byte in (("s1", 1), ("s2", 2), ("s1", 1), ("s1", 1), ("s2", 2)):
        vm.cli.run("snapshot-revert", vm.name, name, "--paused")
        assert pid(vm) == began, "the same process"
        for target in ("vda", "vdb"):
            assert holds(source(vm, target), 0, MIB, byte, live=True), (name, target)
        assert vm.cli.text("snapshot-current", vm.name, "--name").strip() == name
        guest.write("vda", 0, MIB, 77)  # what is lost with the next revert
    assert holds(work / "vm-vda.qcow2", 0, MIB, 1, live=True)
    assert holds(work / "vm-vda.s1", 0, MIB, 2, live=True)

    # A branch of its own on s1, and back again.
    vm.cli.run("snapshot-revert", vm.name, "s1", "--paused")
    guest.write("vda", MIB, MIB, 8)
    snapshot(vm, "s1b")
    assert vm.cli.text("snapshot-parent", vm.name, "s1b").strip() == "s1"
    vm.cli.run("snapshot-revert", vm.name, "s2", "--paused")
    assert holds(source(vm), MIB, MIB, 0, live=True)
    vm.cli.run("snapshot-revert", vm.name, "s1b", "--paused")
    assert holds(source(vm), MIB, MIB, 8, live=True)
    # Three images that snapshots froze, and one layer that lives.
    assert len(list(work.glob("vm-vda.*"))) == 4, sorted(work.glob("vm-vda.*"))


def test_a_revert_that_is_only_shown_changes_nothing(made, work):
    vm, guest = made
    guest.write("vda", 0, MIB, 1)
    snapshot(vm, "s1")
    guest.write("vda", 0, MIB, 2)
    before = world.look(vm, work)
    for options in ([], ["--paused"], ["--running"]):
        plan = vm.cli.run("snapshot-revert", vm.name, "s1", *options, "--dry-run").data
        assert plan["steps"] and plan["risks"] == []
    for words in (["snapshot-create-as", vm.name, "s2", "--disk-only"],
                  ["snapshot-delete", vm.name, "s1"],
                  ["checkpoint-create-as", vm.name, "c1"],
                  ["backup-begin", vm.name]):
        assert vm.cli.run(*words, "--dry-run").data["steps"]
    assert world.look(vm, work) == before


def test_a_running_domain_reverts_to_off_by_default(made, work):
    vm, guest = made
    guest.write("vda", 0, MIB, 1)
    snapshot(vm, "s1")
    guest.write("vda", 0, MIB, 2)
    vm.cli.run("snapshot-revert", vm.name, "s1")
    assert state(vm) == "shutoff"
    assert holds(source(vm), 0, MIB, 1)
    assert not (work / "vm-vda.s1").exists(), "the layer that was left is gone"
    # And on again, to another end.
    vm.close()
    vm.cli.run("snapshot-revert", vm.name, "s1", "--paused")
    assert state(vm) == "paused"
    guest.write("vda", 0, MIB, 4)
    vm.cli.run("snapshot-revert", vm.name, "s1", "--running")
    assert state(vm) == "running"
    assert holds(source(vm), 0, MIB, 1, live=True)


def test_another_machine_for_the_guest_is_a_risk(make_vm, work):
    vm = make_vm(size=SIZE).define()
    guest = world.StandIn(vm).start()
    guest.write("vda", 0, MIB, 1)
    snapshot(vm, "s1")
    vm.cli.run("destroy", vm.name)
    vm.close()
    xml = vm.cli.run("dumpxml", vm.name, "--security-info").data["xml"]
    vm.cli.run("define", "-", stdin=xml.replace(">256<", ">320<"))
    guest.start()
    guest.write("vda", 0, MIB, 2)

    before = world.look(vm, work)
    # What differs is named as QEMU would have been told it.
    risks = {risk["code"] for risk in
             vm.cli.run("snapshot-revert", vm.name, "s1", "--paused", "--dry-run").data["risks"]}
    assert {"abi-change", "new-process"} <= risks
    refused(vm.cli, "snapshot-revert", vm.name, "s1", "--paused", status=11, says=("vm", "327680k", "-m"))
    assert world.look(vm, work) == before
    old = pid(vm)
    vm.close()
    vm.cli.run("snapshot-revert", vm.name, "s1", "--paused", "--force")
    assert pid(vm) != old and state(vm) == "paused"
    assert holds(source(vm), 0, MIB, 1, live=True)
    assert vm.cli.run("dominfo", vm.name).data["max_memory"] == 256 * MIB


@pytest.mark.parametrize("end", ["running", "paused", "off"])
def test_the_newest_is_deleted_and_its_data_stays(made, work, end):
    vm, guest = made
    guest.write("vda", 0, MIB, 1)
    vm.cli.run("checkpoint-create-as", vm.name, "c1")
    snapshot(vm, "s1")
    guest.write("vda", MIB, MIB, 2)
    if end == "running":
        vm.cli.run("resume", vm.name)
    elif end == "off":
        vm.cli.run("destroy", vm.name)
        vm.close()
    vm.cli.run("snapshot-delete", vm.name, "s1")

    assert names(vm) == []
    assert source(vm) == str(work / "vm-vda.qcow2")
    assert not list(work.glob("vm-vd?.s1"))
    if end != "off":
        vm.cli.run("destroy", vm.name)
    path = work / "vm-vda.qcow2"
    assert holds(path, 0, MIB, 1) and holds(path, MIB, MIB, 2)
    images.check(path)
    assert "in-use" not in images.bitmaps(path)["c1"]["flags"]
    size = vm.cli.text("checkpoint-dumpxml", vm.name, "c1", "--size", "--xpath",
                       "//disk[@name='vda']/@size")
    assert f'"{MIB}"' in size, size


def test_only_the_memory_of_a_snapshot_is_deleted(made, work):
    vm, guest = made
    guest.write("vda", 0, MIB, 1)
    for name in ("s1", "s2", "s3"):
        snapshot(vm, name)
    before = world.files(work)
    refused(vm.cli, "snapshot-delete", vm.name, "nope", status=3, says=("vm", "'nope'"))
    vm.cli.run("snapshot-delete", vm.name, "s2", "--metadata")
    assert names(vm) == ["s1", "s3"]
    assert vm.cli.text("snapshot-parent", vm.name, "s3").strip() == "s1"
    vm.cli.run("snapshot-delete", vm.name, "s1", "--metadata", "--children-only")
    assert names(vm) == ["s1"]
    assert world.files(work) == before


def test_a_revert_needs_the_image_that_was_frozen(made, work):
    vm, guest = made
    snapshot(vm, "s1")
    snapshot(vm, "s2")
    base = work / "vm-vda.qcow2"
    for damage in (lambda: base.rename(work / "moved"), lambda: subprocess.run(
            ["truncate", "-s", "100", base], check=True)):
        damage()
        before = {path.name: path.stat().st_ino for path in work.glob("vm-vd*")}
        said = vm.cli.run("snapshot-revert", vm.name, "s1", "--paused", check=False, json=False)
        assert said.status in (3, 12), said
        assert "vda" in said.stderr and str(base) in said.stderr and said.stderr.count("\n") == 1
        assert {path.name: path.stat().st_ino for path in work.glob("vm-vd*")} == before
        if (work / "moved").exists():
            (work / "moved").rename(base)
    assert state(vm) == "paused"
