# SPDX-License-Identifier: LGPL-2.1-or-later
"""vmpoint is killed at every point where an operation can be cut, one after the other.

After each kill the next command settles what is open; the world then is exactly as before
or as after the operation, and what the guest wrote is there in both.
"""

import pytest
from vmtest import images, world
from vmtest.cuts import each_cut, settle
from vmtest.images import MIB


class Cut:
    """Runs a command with a fault at its Nth point, for N = 1, 2, ... until it gets through."""

    def __init__(self, cli, fault):
        self.cli = cli
        self.fault = fault

    def each(self, *command):
        return each_cut(self.cli, self.fault, *command)


@pytest.fixture(params=["kill", "fail"])
def cut(request, vmpoint):
    return Cut(vmpoint, request.param)


def nodes(vm):
    """What QEMU has open, by node name."""
    return {node["node-name"] for node in vm.spy.execute("query-named-block-nodes", {"flat": True})}


def jobs(vm):
    return vm.spy.execute("query-jobs")


def names(vm, what="snapshot"):
    return [row["name"] for row in vm.cli.run(f"{what}-list", vm.name).data]


def sources(vm):
    return [row["source"] for row in vm.cli.run("domblklist", vm.name).data]


def files(work):
    return sorted(path.name for path in work.glob("vm-vd*"))


def test_a_cut_snapshot_is_there_or_not(cut, vm, work):
    for disk in vm.disks:
        vm.guest.write_pattern(disk.device, 0, MIB, "base")
    before = (names(vm), sources(vm), files(work), nodes(vm))

    for n, result in cut.each("snapshot-create-as", vm.name, "s", "--disk-only"):
        settle(vm)
        now = (names(vm), sources(vm), files(work), nodes(vm))
        if "s" not in names(vm):
            assert result.status != 0
            assert now == before, f"cut at {n}: neither before nor after"
            continue
        assert sources(vm) == [str(work / "vm-vda.s"), str(work / "vm-vdb.s")]
        assert files(work) == ["vm-vda.qcow2", "vm-vda.s", "vm-vdb.qcow2", "vm-vdb.s"]
        for disk in vm.disks:
            assert vm.guest.has_pattern(disk.device, 0, MIB, "base")
        assert vm.spy.status() == "running"
        vm.cli.run("snapshot-delete", vm.name, "s")
        assert (names(vm), sources(vm), files(work)) == before[:3]
    for disk in vm.disks:
        assert vm.guest.has_pattern(disk.device, 0, MIB, "base")


def test_a_cut_checkpoint_is_there_or_not(cut, vm):
    for n, result in cut.each("checkpoint-create-as", vm.name, "c"):
        settle(vm)
        found = {
            bitmap["name"]
            for node in vm.spy.execute("query-named-block-nodes", {"flat": True})
            for bitmap in node.get("dirty-bitmaps", [])
        }
        assert found == set(names(vm, "checkpoint")), f"cut at {n}"
        if found:
            vm.cli.run("checkpoint-delete", vm.name, "c")


def marks(vm):
    """Bitmaps by the image that has them, and which images could be written to."""
    found = vm.spy.execute("query-named-block-nodes", {"flat": True})
    return ({(node["file"], bitmap["name"]) for node in found if node["drv"] == "qcow2"
             for bitmap in node.get("dirty-bitmaps", [])},
            {node["file"] for node in found if node["drv"] == "qcow2" and not node["ro"]})


def test_a_cut_delete_leaves_all_bitmaps_of_a_checkpoint_or_none(cut, make_vm):
    """The layer stands on an image that QEMU had opened by itself for another layer."""
    vm = make_vm().define()
    guest = world.StandIn(vm)

    def arrange(snapshot):
        vm.cli.run("checkpoint-create-as", vm.name, "c")
        vm.cli.run("snapshot-create-as", vm.name, snapshot, "--disk-only")
        guest.start()
        # A command that was killed while it took a bitmap out of a frozen image has changed that.
        vm.cli.run("snapshot-revert", vm.name, snapshot, "--paused", "--force")
        assert len(marks(vm)[0]) == 4 and len(marks(vm)[1]) == 2
        return marks(vm)

    before = arrange("s")
    for n, result in cut.each("checkpoint-delete", vm.name, "c"):
        settle(vm)
        if "c" in names(vm, "checkpoint"):
            assert result.status != 0 and marks(vm) == before, f"cut at {n}"
            continue
        assert marks(vm) == (set(), before[1]), f"cut at {n}"
        vm.cli.run("destroy", vm.name)
        vm.close()
        before = arrange(f"s{n}")


def test_a_cut_delete_is_settled_after_the_end_of_its_qemu(cut, make_vm):
    """Other images have the names by then that those had which were to be opened again."""
    vm = make_vm().define()
    guest = world.StandIn(vm)

    def arrange(snapshot):
        guest.start()
        vm.cli.run("checkpoint-create-as", vm.name, "c")
        guest.write("vda", 0, MIB, 1)
        vm.cli.run("snapshot-create-as", vm.name, snapshot, "--disk-only")
        guest.write("vda", MIB, MIB, 2)

    arrange("s")
    for n, _result in cut.each("checkpoint-delete", vm.name, "c"):
        vm.kill()
        vm.close()
        assert not vm.cli.run("recover", vm.name).stderr, f"cut at {n}"
        assert vm.cli.run("recover", vm.name).data == {"settled": []}
        assert world.holds(world.source(vm), 0, MIB, 1) and world.holds(world.source(vm), MIB, MIB, 2)
        if "c" in names(vm, "checkpoint"):
            vm.cli.run("checkpoint-delete", vm.name, "c")
        arrange(f"s{n}")


def test_a_cut_start_clears_a_lost_bitmap_away_or_not(cut, make_vm, work):
    vm = make_vm().define()
    vm.cli.run("checkpoint-create-as", vm.name, "c")
    vm.cli.run("start", vm.name, "--paused")
    vm.kill()
    assert "in-use" in images.bitmaps(work / "vm-vda.qcow2")["c"]["flags"]

    for n, result in cut.each("start", vm.name, "--paused"):
        settle(vm)
        state = [disk["state"] for disk in vm.cli.run("checkpoint-info", vm.name, "c").data["disks"]]
        assert state == ["broken", "broken"], f"cut at {n}"
        if result.status and vm.cli.run("domstate", vm.name).data["state"] == "paused":
            vm.kill()
            vm.close()
    # A start that could not clear it away runs all the same; the next checkpoint does it.
    vm.cli.run("checkpoint-create-as", vm.name, "d")
    vm.cli.run("destroy", vm.name)
    assert list(images.bitmaps(work / "vm-vda.qcow2")) == ["d"]


def test_a_cut_revert_ends_before_or_after(cut, vm, work):
    for disk in vm.disks:
        vm.guest.write_pattern(disk.device, 0, MIB, "past")
    vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only")
    for disk in vm.disks:
        vm.guest.write_pattern(disk.device, 0, MIB, "present")

    for n, result in cut.each("snapshot-revert", vm.name, "s", "--running"):
        settle(vm)
        assert vm.cli.run("domstate", vm.name, json=False).stdout.strip() == "running", f"cut at {n}"
        reverted = sources(vm)[0] != str(work / "vm-vda.s")
        vm.resume_console()
        for disk in vm.disks:
            wanted = "past" if reverted else "present"
            assert vm.guest.has_pattern(disk.device, 0, MIB, wanted), f"cut at {n}: {disk.target}"
        assert len(files(work)) == 4, f"cut at {n}: {files(work)}"
        assert result.status == 0 or not jobs(vm)
        if reverted and result.status != 0:
            for disk in vm.disks:
                vm.guest.write_pattern(disk.device, 0, MIB, "present")
            # From now on "present" is what is in the newest layer; the next cut starts there.
            before = sources(vm)
            assert all(".s-" in source for source in before)
            return_to_present(vm, work)


def return_to_present(vm, work):
    """Make the present layer one that the test can tell from a reverted one."""
    vm.cli.run("snapshot-delete", vm.name, "s")
    vm.cli.run("destroy", vm.name)
    for disk in vm.disks:
        images.write_pattern(disk.path, 0, MIB, "past")
    vm.close()
    vm.start()
    vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only")
    for disk in vm.disks:
        vm.guest.write_pattern(disk.device, 0, MIB, "present")


def test_a_cut_delete_ends_before_or_after(cut, vm, work):
    n_made = 0
    base = ["vm-vda.qcow2", "vm-vdb.qcow2"]

    def make():
        nonlocal n_made
        n_made += 1
        for disk in vm.disks:
            vm.guest.write_pattern(disk.device, 0, MIB, f"below-{n_made}")
        vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only")
        for disk in vm.disks:
            vm.guest.write_pattern(disk.device, 0, MIB // 2, f"over-{n_made}")
            vm.guest.write_pattern(disk.device, 2 * MIB, MIB, f"above-{n_made}")

    make()
    for n, result in cut.each("snapshot-delete", vm.name, "s"):
        settle(vm)
        assert not jobs(vm), f"cut at {n}: {jobs(vm)}"
        for disk in vm.disks:
            for at, length, seed in ((MIB // 2, MIB // 2, "below"), (0, MIB // 2, "over"),
                                     (2 * MIB, MIB, "above")):
                assert vm.guest.has_pattern(disk.device, at, length, f"{seed}-{n_made}"), f"cut at {n}"
        if names(vm):
            # The snapshot is all that it was.
            assert len(files(work)) == 4, f"cut at {n}"
            for path in base:
                images.require_pattern(work / path, 0, MIB, f"below-{n_made}", live=True)
            continue
        if files(work) == base:
            assert sources(vm) == [str(disk.path) for disk in vm.disks]
        else:
            # It is gone, but merging had begun and was given up: the next one does it.
            assert result.status in (-9, 14), f"cut at {n}"
            assert sources(vm) == [str(work / "vm-vda.s"), str(work / "vm-vdb.s")]
            vm.cli.run("snapshot-create-as", vm.name, "t", "--disk-only")
            vm.cli.run("snapshot-delete", vm.name, "t")
            assert files(work) == base and sources(vm) == [str(disk.path) for disk in vm.disks]
        if result.status != 0:
            make()
    assert files(work) == base


def test_a_cut_backup_leaves_no_job_and_no_file_or_a_whole_backup(cut, vm, work):
    for disk in vm.disks:
        vm.guest.write_pattern(disk.device, 0, MIB, "data")
    backup = work / "backup.xml"
    backup.write_text(f"""<domainbackup><disks>
      <disk name='vda' type='file'><target file='{work}/b-vda.qcow2'/></disk>
      <disk name='vdb' type='file'><target file='{work}/b-vdb.qcow2'/></disk>
    </disks></domainbackup>""")
    checkpoint = work / "checkpoint.xml"
    checkpoint.write_text("<domaincheckpoint><name>c</name></domaincheckpoint>")

    for n, _ in cut.each("backup-begin", vm.name, backup, checkpoint, "--wait"):
        wait_for_backup(vm)
        settle(vm)
        made = sorted(path.name for path in work.glob("b-vd*"))
        if made:
            assert made == ["b-vda.qcow2", "b-vdb.qcow2"], f"cut at {n}"
            assert vm.cli.run("domjobinfo", vm.name, "--completed").data["state"] == "completed"
            for path in made:
                images.require_pattern(work / path, 0, MIB, "data")
                (work / path).unlink()
        assert not jobs(vm), f"cut at {n}"
        if names(vm, "checkpoint"):
            vm.cli.run("checkpoint-delete", vm.name, "c")
        targets = {name for name in nodes(vm) if "backup" in name or "target" in name}
        assert not targets, f"cut at {n}"


def test_a_cut_backup_leaves_no_bitmap_in_what_its_qemu_stored(cut, make_vm, work):
    vm = make_vm().define()
    guest = world.StandIn(vm)

    def arrange(snapshot):
        """The disks' images have names in QEMU that they will not have in another one."""
        guest.start()
        vm.cli.run("snapshot-create-as", vm.name, snapshot, "--disk-only")
        guest.write("vda", 0, MIB, 1)

    backup, checkpoint = work / "backup.xml", work / "checkpoint.xml"
    backup.write_text(f"""<domainbackup><disks>
      <disk name='vda' type='file'><target file='{work}/b-vda.qcow2'/></disk>
    </disks></domainbackup>""")
    checkpoint.write_text("<domaincheckpoint><name>c</name></domaincheckpoint>")

    arrange("s")
    for n, _result in cut.each("backup-begin", vm.name, backup, checkpoint, "--wait"):
        vm.spy.execute("quit")
        vm.close()
        settle(vm)
        for target in ("vda", "vdb"):
            found = list(images.bitmaps(world.source(vm, target)))
            assert found == names(vm, "checkpoint"), f"cut at {n}: {target}: {found}"
        if names(vm, "checkpoint"):
            vm.cli.run("checkpoint-delete", vm.name, "c")
        for path in work.glob("b-vd*"):
            path.unlink()
        arrange(f"s{n}")


def wait_for_backup(vm):
    """A job that was running when its command was cut goes on; settle it when it has ended."""
    vm.cli.run("recover", vm.name)
    while any(job["status"] != "concluded" for job in jobs(vm)):
        vm.spy.wait_event("JOB_STATUS_CHANGE", status="concluded")
    vm.cli.run("recover", vm.name)
