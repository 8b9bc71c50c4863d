# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a snapshot may be made of: overlays that others prepared, disks that others copy,
memory without disks, a checkpoint of the same instant.

No guest is let run but where one is needed: QEMU's qemu-io writes in its place.
"""

import itertools

import pytest
from vmtest import images, world
from vmtest.images import MIB
from vmtest.world import holds, names, refused, source

SIZE = 16 * MIB
MOST = 40


def snapshot(vm, name, *words, **how):
    return vm.cli.run("snapshot-create-as", vm.name, name, "--disk-only", *words, **how)


def dirty(vm, checkpoint):
    """Bytes by disk that the checkpoint's document tells of."""
    size = vm.cli.run("checkpoint-dumpxml", vm.name, checkpoint, "--size", "--xpath",
                      "//disks/disk/@size").data["xml"]
    return [int(word.split('"')[1]) for word in size.split() if word.startswith("size=")]


# --- a checkpoint of the same instant ----------------------------------------


def test_a_checkpoint_of_the_same_instant_counts_what_comes_after(made, work):
    vm, guest = made
    guest.write("vda", 0, MIB, 1)
    assert snapshot(vm, "s", "--checkpoint", "c").data == {
        "domain": "vm", "name": "s", "checkpoint": "c",
    }
    assert names(vm) == ["s"] and names(vm, "checkpoint") == ["c"]
    assert dirty(vm, "c") == [0, 0]
    guest.write("vda", 4 * MIB, MIB, 2)
    assert dirty(vm, "c") == [MIB, 0]
    # The bitmap is in the overlay alone, and there when QEMU has ended.
    vm.cli.run("destroy", vm.name)
    assert set(images.bitmaps(work / "vm-vda.s")) == {"c"}
    assert set(images.bitmaps(work / "vm-vda.qcow2")) == set()

    # The layers merge, and it goes on counting.
    guest.start()
    vm.close()
    vm.cli.run("snapshot-delete", vm.name, "s")
    assert dirty(vm, "c") == [MIB, 0]
    assert holds(source(vm), 4 * MIB, MIB, 2, live=True)


def test_a_checkpoint_document_goes_along_and_offline_is_no_different(make_vm, work):
    vm = make_vm(size=SIZE).define()
    document = work / "c.xml"
    document.write_text("<domaincheckpoint><name>mine</name><disks><disk name='vdb'/></disks>"
                        "</domaincheckpoint>")
    snapshot(vm, "s", "--checkpointxml", document)
    assert set(images.bitmaps(work / "vm-vdb.s")) == {"mine"}
    assert set(images.bitmaps(work / "vm-vda.s")) == set()


def test_a_checkpoint_that_cannot_be_leaves_no_snapshot(made, work):
    vm, _ = made
    vm.cli.run("checkpoint-create-as", vm.name, "c")
    before = world.look(vm, work)
    refused(vm.cli, "snapshot-create-as", vm.name, "s", "--disk-only", "--checkpoint", "c", status=4,
            says=("'c'",))
    refused(vm.cli, "snapshot-create-as", vm.name, "s", "--disk-only", "--checkpoint", "a/b", status=2)
    refused(vm.cli, "snapshot-create-as", vm.name, "s", "--checkpoint", "d", status=6,
            says=("external",))
    assert world.look(vm, work) == before


@pytest.mark.parametrize("fault", ["kill", "fail"])
def test_a_cut_leaves_both_or_none(made, work, fault):
    vm, _ = made
    for n in itertools.count(1):
        assert n < MOST
        result = snapshot(vm, "s", "--checkpoint", "c", check=False, fault=f"{fault}@{n}")
        vm.cli.run("recover", vm.name)
        both = names(vm), names(vm, "checkpoint")
        assert both in ((["s"], ["c"]), ([], [])), f"cut at {n}"
        found = {bitmap["name"] for node in
                 vm.spy.execute("query-named-block-nodes", {"flat": True})
                 for bitmap in node.get("dirty-bitmaps", [])}
        assert found == set(both[1]), f"cut at {n}"
        if both[0]:
            vm.cli.run("snapshot-delete", vm.name, "s")
            vm.cli.run("checkpoint-delete", vm.name, "c")
        if result.status == 0:
            break


# --- overlays that somebody prepared -----------------------------------------


def prepared(work, target, **how):
    how = {"size": SIZE, "backing": work / f"vm-{target}.qcow2", **how}
    return images.create(work / f"mine-{target}", how.pop("size"), **how)


def test_a_prepared_overlay_that_is_none_is_named_before_anything_is_touched(made, work):
    vm, _ = made
    specs = [word for target in ("vda", "vdb")
             for word in ("--diskspec", f"{target},file={work}/mine-{target}")]
    words = ("snapshot-create-as", vm.name, "s", "--disk-only", "--reuse-external", *specs)

    prepared(work, "vda")
    refused(vm.cli, *words, status=3, says=("'vdb'", "mine-vdb"))
    for wrong, says in (
        ({"size": SIZE // 2}, ("bytes",)),
        ({"backing": None}, ("nothing",)),
        ({"backing": work / "vm-vda.qcow2"}, ("vm-vda.qcow2",)),
        ({"image_format": "raw", "backing": None}, ("'raw'",)),
    ):
        prepared(work, "vdb", **wrong)
        before = world.look(vm, work)
        refused(vm.cli, *words, status=2, says=("'vdb'", "mine-vdb", *says))
        assert world.look(vm, work) == before
    refused(vm.cli, *words, "--dry-run", status=2)

    # A larger one, and one with a name of the base that is relative, will do.
    images.create(work / "mine-vdb", 2 * SIZE, backing="vm-vdb.qcow2")
    vm.cli.run(*words)
    assert source(vm, "vdb") == str(work / "mine-vdb")


def test_an_overlay_that_cannot_be_made_is_named_before_anything_is_touched(made, make_vm, work):
    vm, _ = made
    (work / "taken").write_text("mine")
    (work / "a link").symlink_to(work / "nowhere")
    before = world.look(vm, work)
    for path, status in ((work / "taken", 4), (work / "a link", 4), (work / "no" / "such", 3)):
        refused(vm.cli, "snapshot-create-as", vm.name, "s", "--disk-only", "--diskspec",
                f"vdb,file={path}", "--dry-run", status=status, says=("'vdb'", path))
        refused(vm.cli, "snapshot-create-as", vm.name, "s", "--disk-only", "--diskspec",
                f"vdb,file={path}", status=status, says=("'vdb'", path))
    assert world.look(vm, work) == before

    # The name is in the ledger for another domain, though the file is not there.
    other = make_vm(name="other", disks=1, size=SIZE).define()
    snapshot(other, "o")
    (work / "other-vda.o").unlink()
    refused(vm.cli, "snapshot-create-as", vm.name, "s", "--disk-only", "--diskspec",
            f"vda,file={work}/other-vda.o", status=4, says=("another domain",))


# --- disks that are left to others, or out -----------------------------------


def test_a_disk_that_is_left_to_others_leaves_the_guest_paused(vm, work):
    vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only", "--diskspec", "vdb,snapshot=manual")
    assert vm.state() == "paused"
    assert source(vm, "vda") == str(work / "vm-vda.s")
    assert source(vm, "vdb") == str(work / "vm-vdb.qcow2")
    xml = vm.cli.run("snapshot-dumpxml", vm.name, "s").data["xml"]
    assert 'snapshot="manual"' in xml or "snapshot='manual'" in xml
    vm.cli.run("resume", vm.name)

    # All of them: nothing but to stand still.
    vm.cli.run("snapshot-create-as", vm.name, "t", "--disk-only", "--diskspec",
               "vda,snapshot=manual", "--diskspec", "vdb,snapshot=manual")
    assert vm.state() == "paused" and names(vm) == ["s", "t"]
    assert source(vm, "vda") == str(work / "vm-vda.s")
    vm.cli.run("resume", vm.name)
    refused(vm.cli, "snapshot-create-as", vm.name, "u", "--disk-only", "--quiesce", "--diskspec",
            "vda,snapshot=manual", status=6)
    assert vm.state() == "running"

    # One that fails lets it run on.
    for n in range(1, MOST):
        result = vm.cli.run("snapshot-create-as", vm.name, "v", "--disk-only", "--diskspec",
                            "vdb,snapshot=manual", check=False, fault=f"kill@{n}")
        vm.cli.run("recover", vm.name)
        made = "v" in names(vm)
        assert vm.state() == ("paused" if made else "running"), f"cut at {n}"
        if made:
            break
    assert result.status != 0 or n > 1


def test_nothing_at_all_is_refused(made):
    vm, _ = made
    refused(vm.cli, "snapshot-create-as", vm.name, "s", "--disk-only", "--diskspec",
            "vda,snapshot=no", "--diskspec", "vdb,snapshot=no", status=6, says=("nothing",))


@pytest.mark.parametrize("fault", ["kill", "fail"])
def test_memory_alone_is_saved_and_no_disk_is_touched(made, work, fault):
    vm, _ = made
    words = ("snapshot-create-as", vm.name, "s", "--memspec", f"file={work}/s.ram", "--diskspec",
             "vda,snapshot=no", "--diskspec", "vdb,snapshot=no")
    before = world.nodes(vm)
    for n in itertools.count(1):
        assert n < MOST
        result = vm.cli.run(*words, check=False, fault=f"{fault}@{n}")
        vm.cli.run("recover", vm.name)
        assert world.nodes(vm) == before, f"cut at {n}"
        assert vm.state() in ("paused", "prelaunch")
        assert (work / "s.ram").exists() == bool(names(vm)), f"cut at {n}"
        if result.status == 0:
            break
        if names(vm):
            vm.cli.run("snapshot-delete", vm.name, "s")
            assert not (work / "s.ram").exists()
    # The disks have no state of that time: going back would leave them what they are.
    vm.cli.run("destroy", vm.name)
    refused(vm.cli, "snapshot-revert", vm.name, "s", status=11, says=("'vda'", "'vdb'"))


def test_validate_asks_the_schema(made, work):
    vm, _ = made
    document = work / "s.xml"
    document.write_text("<domainsnapshot><name>s</name><nonsense/></domainsnapshot>")
    refused(vm.cli, "snapshot-create", vm.name, document, "--disk-only", "--validate", status=2)
    assert names(vm) == []
    vm.cli.run("snapshot-create", vm.name, document, "--disk-only", "--atomic")
    assert names(vm) == ["s"]
