# SPDX-License-Identifier: LGPL-2.1-or-later
"""blockresize: what the guest sees, and what becomes of points that were made before."""

import itertools

import pytest
from vmtest import documents, images, world
from vmtest.images import MIB
from vmtest.world import refused, source

SIZE = 16 * MIB


def put(vm, offset, byte, target="vda"):
    images.tool("qemu-io", "-f", "qcow2", "-c", f"write -P {byte} {offset} {MIB}", source(vm, target))


def size_of(vm, target="vda"):
    return images.info(source(vm, target), live=True)["virtual-size"]


class Backups:
    """Pushes of vda, each judged against the disk."""

    def __init__(self, vm, work):
        self.vm, self.work = vm, work

    def take(self, name, since=None, checkpoint=None):
        rows = f"<disk name='vda' type='file'><target file='{self.work}/{name}'/></disk>"
        words = documents.begin(self.vm, self.work / f"{name}.xml", rows + documents.left_out(["vdb"]),
                                since, checkpoint)
        result = self.vm.cli.run(*words, "--wait", check=False, json=False)
        made = self.work / name
        live = self.work / "live.raw"
        live.write_bytes(images.read(source(self.vm), 0, None, live=True))
        assert images.identical(made, live), name
        assert images.info(made)["virtual-size"] == live.stat().st_size
        return result.status, len(images.chain(made))


def test_the_guest_sees_it_and_increments_go_on(vm, work):
    backups = Backups(vm, work)
    disk = vm.disks[0]
    before = vm.guest.disk_size(disk.device)
    vm.guest.write_pattern(disk.device, 0, MIB, "one")
    assert backups.take("full", checkpoint="c1") == (0, 1)
    larger = before + 16 * MIB
    said = vm.cli.run("blockresize", vm.name, "vda", f"{larger // 1024}", json=False)
    assert said.stdout == "Block device 'vda' is resized\n\n", said
    assert vm.guest.disk_size(disk.device) == larger == size_of(vm)
    vm.guest.write_pattern(disk.device, before + MIB, MIB, "behind")
    assert backups.take("one", since="c1", checkpoint="c2") == (0, 2)
    assert images.info(work / "one")["actual-size"] < 3 * MIB
    vm.guest.write_pattern(disk.device, 2 * MIB, MIB, "two")
    assert backups.take("two", since="c2") == (0, 3)
    assert vm.cli.run("fsck", vm.name, check=False).status == 0
    # Its path is as good a name, and the same size is none to change to.
    vm.cli.run("blockresize", vm.name, source(vm), f"{larger}b")


def test_of_a_domain_that_is_off_and_over_snapshots(off, work):
    vm = off
    backups = Backups(vm, work)
    put(vm, 0, 1)
    assert backups.take("full", checkpoint="c1") == (0, 1)
    vm.cli.run("snapshot-create-as", vm.name, "s1", "--disk-only")
    put(vm, MIB, 2)
    vm.cli.run("blockresize", vm.name, "--path", "vda", "--size", "32MiB", "--extend")
    assert size_of(vm) == 32 * MIB
    assert images.info(work / "vm-vda.qcow2")["virtual-size"] == SIZE
    assert images.read(source(vm), SIZE, SIZE) == bytes(SIZE)
    # Bitmaps of two lengths are not put together: all of it is saved, and it is said.
    assert backups.take("one", since="c1", checkpoint="c2") == (14, 1)
    put(vm, 20 * MIB, 3)
    assert backups.take("two", since="c2") == (0, 2)
    vm.cli.run("snapshot-revert", vm.name, "s1")
    assert size_of(vm) == SIZE
    put(vm, 2 * MIB, 4)
    assert backups.take("three", since="c1") == (0, 2)
    for path in work.glob("vm-vda.*"):
        images.check(path)


def test_smaller_only_by_force_and_no_checkpoint_survives_it(off, work):
    vm = off
    backups = Backups(vm, work)
    put(vm, 10 * MIB, 1)
    assert backups.take("full", checkpoint="c1") == (0, 1)
    before = world.look(vm, work)
    refused(vm.cli, "blockresize", vm.name, "vda", "8M", status=11, says=("vm", "'vda'", "lost"))
    refused(vm.cli, "blockresize", vm.name, "vda", "8M", "--extend", status=2, says=("larger",))
    plan = vm.cli.run("blockresize", vm.name, "vda", "8M", "--dry-run").data
    assert plan["risks"][0]["code"] == "cut-disk" and "smaller" in plan["steps"][0]["describe"]
    assert world.look(vm, work) == before
    vm.cli.run("blockresize", vm.name, "vda", "8M", "--force")
    assert size_of(vm) == 8 * MIB
    assert backups.take("cut", since="c1") == (14, 1)
    # What was there once is not there again, and the bitmap does not know.
    vm.cli.run("blockresize", vm.name, "vda", str(SIZE // 1024))
    assert images.read(source(vm), 10 * MIB, MIB) == bytes(MIB)
    assert backups.take("again", since="c1", checkpoint="c2") == (14, 1)
    put(vm, 11 * MIB, 2)
    assert backups.take("later", since="c2") == (0, 2)


def test_what_it_refuses(off, work):
    vm = off
    before = world.look(vm, work)
    for words, status in ((("vda", "lots"), 2), (("vda", "0"), 2), (("vda",), 2), (("vdz", "32M"), 3),
                          (("vda", "32M", "--capacity"), 2), (("vda", "--capacity"), 2),
                          (("vda", "32M", "--extend", "--force"), 2)):
        refused(vm.cli, "blockresize", vm.name, *words, status=status)
    assert world.look(vm, work) == before


def test_a_raw_disk_that_runs(make_vm, work):
    vm = make_vm(size=SIZE, image_format="raw").define()
    world.StandIn(vm).start()
    vm.cli.run("blockresize", vm.name, "vda", "32M")
    assert (work / "vm-vda.raw").stat().st_size == 32 * MIB


@pytest.mark.parametrize("fault", ["kill", "fail"])
@pytest.mark.parametrize("is_on", [True, False])
def test_cut_anywhere_it_is_before_or_after(off, work, fault, is_on):
    vm = off
    if is_on:
        world.StandIn(vm).start()
    backups = Backups(vm, work)
    assert backups.take("full", checkpoint="c1") == (0, 1)
    size = SIZE
    for n in itertools.count(1):
        assert n < 30, "the operation never gets through"
        result = vm.cli.run("blockresize", vm.name, "vda", f"{size + MIB}b", check=False,
                            fault=f"{fault}@{n}")
        vm.cli.run("recover", vm.name)
        assert size_of(vm) in (size, size + MIB), f"cut at {n}"
        assert size_of(vm) == size + MIB or result.status != 0
        size = size_of(vm)
        assert backups.take(f"cut-{n}", since="c1") == (0, 2), f"cut at {n}: the checkpoint goes on"
        if result.status == 0:
            break
    assert n > 1
