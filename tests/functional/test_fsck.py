# SPDX-License-Identifier: LGPL-2.1-or-later
"""What fsck sees: every kind of difference is made by hand, named, and mended where that is safe."""

import shutil
import subprocess
from pathlib import Path

from vmtest import images
from vmtest.images import MIB
from vmtest.world import names, source

SIZE = 16 * MIB


def fsck(vm, *options, status=None):
    """The findings; 14 is the status whenever something is left."""
    result = vm.cli.run("fsck", vm.name, *options, check=False)
    left = [finding for finding in result.data if not finding["cured"]]
    assert result.status == (status if status is not None else (14 if left else 0)), result.stderr
    return result.data


def codes(findings):
    return sorted((finding["code"], finding["disk"] or finding["point"]) for finding in findings)


def snapshot(vm, name, *words):
    vm.cli.run("snapshot-create-as", vm.name, name, "--disk-only", *words)


def write(vm, seed, target="vda"):
    images.write_pattern(source(vm, target), 0, MIB, seed)


def test_nothing_differs_in_a_sound_domain(off):
    vm = off
    write(vm, "one")
    snapshot(vm, "s1")
    write(vm, "two")
    vm.cli.run("snapshot-create-as", vm.name, "s2")
    vm.cli.run("checkpoint-create-as", vm.name, "c1")
    snapshot(vm, "s3")
    vm.cli.run("snapshot-revert", vm.name, "s1")
    assert fsck(vm, "--data") == []
    assert "Nothing differs" in vm.cli.text("fsck", vm.name)
    assert "Nothing differs" in vm.cli.text("fsck")


def test_a_domain_of_which_points_alone_are_left_keeps_nobody_from_the_others(off, make_vm, work):
    other = make_vm(name="other", size=SIZE).define()
    off.cli.run("start", off.name, "--paused")
    snapshot(off, "s1")
    off.cli.run("undefine", off.name)
    off.cli.run("destroy", off.name)
    Path(source(other)).write_bytes(b"")
    result = off.cli.run("fsck", check=False)
    assert result.status == 14, result
    assert {(row["domain"], row["code"]) for row in result.data} == {
        ("vm", "no-definition"), ("other", "image-unreadable")}
    for option in ("--repair", "--adopt"):
        assert [row["code"] for row in fsck(off, option)] == ["no-definition"]
    off.cli.run("undefine", off.name, "--snapshots-metadata")
    assert [row["domain"] for row in off.cli.run("fsck", check=False).data] == ["other"]


def test_a_clone_of_a_template_is_no_snapshot(make_vm, work):
    vm = make_vm(size=SIZE, disks=1)
    template = images.create(work / "template.qcow2", SIZE)
    vm.disks[0].path.unlink()
    images.create(vm.disks[0].path, SIZE, backing=template)
    vm.define()
    assert fsck(vm) == []


def test_images_that_are_missing_or_no_images_any_more(off, work):
    vm = off
    snapshot(vm, "s1")
    snapshot(vm, "s2")
    (work / "vm-vda.s1").unlink()
    (work / "vm-vdb.qcow2").write_bytes(b"\0" * 65536)
    found = codes(fsck(vm))
    assert ("image-missing", "vda") in found
    assert ("image-unreadable", "vdb") in found
    # The overlay of s2 names what is gone, and nothing can be put in its place.
    lost = [finding for finding in fsck(vm, "--repair") if finding["code"] == "backing-lost"]
    assert [finding["path"] for finding in lost] == [str(work / "vm-vda.s2")]
    assert not lost[0]["cured"]


def test_damage_inside_is_found_by_reading_the_data(off, work):
    vm = off
    write(vm, "one")
    snapshot(vm, "s1")
    path = work / "vm-vda.qcow2"
    assert images.is_clean(path)
    # The first L2 table: its first entry leads past the end of the file.
    with path.open("r+b") as file:
        file.seek(40)
        l1 = int.from_bytes(file.read(8), "big")
        file.seek(l1)
        l2 = int.from_bytes(file.read(8), "big") & 0x00FFFFFFFFFFFE00
        file.seek(l2)
        file.write((0x8000000000000000 | 1 << 40).to_bytes(8, "big"))
    assert not images.is_clean(path)
    assert fsck(vm) == []
    found = fsck(vm, "--data")
    assert [(finding["code"], finding["path"]) for finding in found] == [("image-damaged", str(path))]


def test_an_overlay_whose_base_was_renamed_back_gets_its_link_mended(off, work):
    """Somebody moved the images and let the header name another place."""
    vm = off
    write(vm, "one")
    snapshot(vm, "s1")
    write(vm, "two")
    before = images.to_raw(source(vm), work / "before.raw")
    images.tool("qemu-img", "rebase", "-u", "-f", "qcow2", "-b", work / "elsewhere.qcow2", "-F", "qcow2",
                work / "vm-vda.s1")
    found = fsck(vm)
    assert ("backing-lost", None) in [(finding["code"], finding["disk"]) for finding in found]
    plan = vm.cli.run("fsck", vm.name, "--repair", "--dry-run", check=False).data
    assert plan["steps"][0]["kind"] == "set-backing"
    assert images.info(work / "vm-vda.s1")["backing-filename"].endswith("elsewhere.qcow2")

    found = fsck(vm, "--repair")
    assert all(finding["cured"] for finding in found if finding["code"] == "backing-lost")
    assert fsck(vm) == []
    assert images.identical(source(vm), work / "before.raw")
    vm.cli.run("snapshot-revert", vm.name, "s1")
    assert images.wrong_at(source(vm), 0, MIB, "one") is None


def test_a_link_to_a_wrong_image_is_told_and_never_guessed(off, work):
    vm = off
    snapshot(vm, "s1")
    snapshot(vm, "s2")
    images.create(work / "other.qcow2", SIZE)
    images.tool("qemu-img", "rebase", "-u", "-f", "qcow2", "-b", work / "other.qcow2", "-F", "qcow2",
                work / "vm-vda.s1")
    found = fsck(vm, "--repair")
    assert ("tree-differs", "vda") in codes(found)
    assert not any(finding["cured"] for finding in found)
    assert images.info(work / "vm-vda.s1")["backing-filename"] == str(work / "other.qcow2")


def test_internal_snapshots_and_bitmaps_that_are_gone(off):
    vm = off
    vm.cli.run("snapshot-create-as", vm.name, "s1")
    vm.cli.run("checkpoint-create-as", vm.name, "c1")
    images.tool("qemu-img", "snapshot", "-d", "s1", source(vm))
    for target in ("vda", "vdb"):
        images.tool("qemu-img", "bitmap", "--remove", source(vm, target), "c1")
    assert codes(fsck(vm)) == [("bitmap-missing", "vda"), ("bitmap-missing", "vdb"), ("internal-missing", "vda")]


def test_files_of_ours_that_nothing_needs(off, work):
    vm = off
    snapshot(vm, "s1")
    snapshot(vm, "s2")
    write(vm, "two")
    # Forgetting leaves the data: it can be redefined, so fsck tells of it and lets it be.
    vm.cli.run("snapshot-revert", vm.name, "s1")
    vm.cli.run("snapshot-delete", vm.name, "s2", "--metadata")
    orphans = [finding for finding in fsck(vm, "--repair") if finding["code"] == "file-orphaned"]
    assert [finding["path"] for finding in orphans] == [str(work / f"vm-vd{x}.s1") for x in "ab"]
    assert (work / "vm-vda.s1").exists()
    (work / "vm-vda.s1").unlink()
    assert ("file-forgotten", None) in [(f["code"], f["disk"]) for f in fsck(vm)]
    fsck(vm, "--repair")
    assert "file-forgotten" not in [finding["code"] for finding in fsck(vm)]


def test_adopting_what_another_program_made(off, work):
    """Layers, internal snapshots and bitmaps that qemu-img made become points that work."""
    vm = off
    for target in ("vda", "vdb"):
        write(vm, f"one-{target}", target)
        base = work / f"vm-{target}.qcow2"
        images.create(work / f"vm-{target}.monday", SIZE, backing=base)
        images.write_pattern(work / f"vm-{target}.monday", MIB, MIB, f"two-{target}")
        images.create(work / f"vm-{target}.tuesday", SIZE, backing=work / f"vm-{target}.monday")
        images.write_pattern(work / f"vm-{target}.tuesday", 2 * MIB, MIB, f"three-{target}")
        images.tool("qemu-img", "snapshot", "-c", "inside", work / f"vm-{target}.tuesday")
        images.tool("qemu-img", "bitmap", "--add", work / f"vm-{target}.tuesday", "cp1")
    for disk in vm.disks:
        disk.path = disk.path.with_suffix(".tuesday")
    vm.define()

    found = fsck(vm)
    assert {finding["code"] for finding in found} == {"chain-unknown", "internal-unknown", "bitmap-unknown"}
    assert {finding["cure"] for finding in found} == {"adopt"}
    assert names(vm) == []
    assert all(finding["cured"] for finding in fsck(vm, "--adopt"))
    assert fsck(vm) == []

    infos = {info["name"]: info for info in vm.cli.run("snapshot-list", vm.name).data}
    assert {name: info["parent"] for name, info in infos.items()} == {
        "monday": None, "tuesday": "monday", "inside": "tuesday"}
    assert infos["monday"]["state"] == "disk-snapshot" and infos["inside"]["state"] == "shutoff"
    assert [point["name"] for point in vm.cli.run("checkpoint-list", vm.name).data] == ["cp1"]

    vm.cli.run("backup-begin", vm.name, write_xml(work, "<incremental>cp1</incremental>"))
    vm.cli.run("snapshot-revert", vm.name, "inside", "--force", check=False)
    vm.cli.run("snapshot-revert", vm.name, "monday")
    assert images.wrong_at(source(vm), 0, MIB, "one-vda") is None
    assert images.wrong_at(source(vm), MIB, MIB, "two-vda") is not None
    vm.cli.run("snapshot-revert", vm.name, "tuesday")
    assert images.wrong_at(source(vm, "vdb"), MIB, MIB, "two-vdb") is None


def write_xml(work, inside):
    path = work / "backup.xml"
    path.write_text(f"<domainbackup>{inside}</domainbackup>", encoding="utf-8")
    return path


def test_a_tag_on_one_disk_alone_is_told_and_not_adopted(off):
    vm = off
    images.tool("qemu-img", "snapshot", "-c", "half", source(vm))
    found = fsck(vm, "--adopt")
    assert codes(found) == [("internal-unknown", "half")]
    assert found[0]["cure"] == "none" and names(vm) == []


def test_what_qemu_writes_to_is_the_truth(vm, work):
    """Another program switched the running QEMU to an overlay of its own."""
    images.create(work / "foreign.qcow2", 64 * MIB, backing=work / "vm-vda.qcow2")
    node = [node for node in vm.spy.execute("query-named-block-nodes", {"flat": True})
            if node["file"] == str(work / "vm-vda.qcow2") and node["drv"] == "qcow2"][0]["node-name"]
    vm.spy.execute("blockdev-add", {
        "driver": "qcow2", "node-name": "x", "backing": None,
        "file": {"driver": "file", "filename": str(work / "foreign.qcow2")}})
    vm.spy.execute("blockdev-snapshot", {"node": node, "overlay": "x"})
    found = fsck(vm)
    assert codes(found) == [("definition-differs", "vda")]
    assert all(finding["cured"] for finding in fsck(vm, "--repair"))
    assert source(vm) == str(work / "foreign.qcow2")
    assert fsck(vm) == []
    snapshot(vm, "s1")
    assert images.chain(source(vm), live=True)[1] == work / "foreign.qcow2"


def test_ram_files(vm, work):
    ram = work / "ram"
    vm.cli.run("snapshot-create-as", vm.name, "s1", "--memspec", f"file={ram}")
    assert fsck(vm, "--data") == []
    whole = work / "whole"
    shutil.copy(ram, whole)
    with ram.open("r+b") as file:
        file.seek(1 << 20)
        byte = file.read(1)
        file.seek(1 << 20)
        file.write(bytes([byte[0] ^ 1]))
    assert fsck(vm) == []
    assert codes(fsck(vm, "--data")) == [("memory-damaged", "s1")]
    with ram.open("r+b") as file:
        file.seek(16)
        file.write(b"\0\0\0\0")
    assert codes(fsck(vm)) == [("memory-incomplete", "s1")]
    ram.unlink()
    assert codes(fsck(vm)) == [("memory-missing", "s1")]
    shutil.move(whole, ram)
    assert fsck(vm, "--data") == []


def test_a_damaged_store_is_said_first(off):
    vm = off
    snapshot(vm, "s1")
    done = subprocess.run(
        ["sqlite3", vm.cli.state_dir / "vmpoint.db", "UPDATE points SET creation_time = 1 WHERE name = 's1'"],
        check=True, capture_output=True, text=True)
    assert done.stderr == ""
    refused = vm.cli.run("fsck", check=False)
    assert refused.status == 12
    assert refused.error["error"]["code"] == "damaged", refused.stderr
