# SPDX-License-Identifier: LGPL-2.1-or-later
"""The whole way of a machine through time, as scripts/demo shows it."""

from vmtest import images
from vmtest.story import PLACE, Story


def test_a_machine_is_snapshotted_backed_up_wrecked_reverted_and_restored(make_vm, work):
    vm = make_vm()
    story = Story(vm, work)
    story.play()

    # Nothing is left over: one chain of two images a disk, and no file beside what was asked for.
    for target in story.targets:
        (source,) = [row["source"] for row in vm.cli.run("domblklist", vm.name).data
                     if row["target"] == target]
        assert len(images.chain(source, live=True)) == 2
    overlays = sorted(path.name for path in work.glob("vm-vd*"))
    assert overlays == ["vm-vda.qcow2", "vm-vda.s1-1", "vm-vdb.qcow2", "vm-vdb.s1-1"]

    # And the story could have gone wrong: a foreign byte is noticed.
    restored = work / "restored-vda.qcow2"
    images.write_pattern(restored, PLACE["C"][0], 512, "intruder")
    assert not images.identical(restored, work / "instant-vda.raw")
