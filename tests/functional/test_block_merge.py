# SPDX-License-Identifier: LGPL-2.1-or-later
"""blockcommit and blockpull: bytes, bitmaps, and what must stay as it is."""

import itertools
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from vmtest import images, world
from vmtest.images import MIB
from vmtest.pull import Pull
from vmtest.world import refused, source

SIZE = 32 * MIB


class Off:
    """Writes to the disks of a domain that is off, as world.StandIn does to those of one that runs."""

    def __init__(self, vm):
        self.vm = vm

    def start(self):
        return self

    def write(self, target, offset, length, byte):
        images.tool("qemu-io", "-f", "qcow2", "-c", f"write -P {byte} {offset} {length}",
                    source(self.vm, target))


@pytest.fixture(params=["on", "off"])
def guest(request, off):
    return (world.StandIn if request.param == "on" else Off)(off).start()


def snapshot(vm, name, *options):
    vm.cli.run("snapshot-create-as", vm.name, name, "--disk-only", *options)


def layers(vm, *names, target="vda"):
    """Three layers: vm-vda.qcow2, and one for each name that no snapshot holds any more."""
    for name in names:
        snapshot(vm, name)
    return [vm.domain.console.parent / f"vm-{target}.{end}" for end in ("qcow2", *names)]


def content(vm, target="vda"):
    return images.read(source(vm, target), 0, SIZE, live=True)


def stack(vm, guest):
    """Layers a, b, c over the base, with something of each, and checkpoints in between."""
    guest.write("vda", 0, MIB, 1)
    vm.cli.run("checkpoint-create-as", vm.name, "c1")
    guest.write("vda", 2 * MIB, MIB, 2)
    for n, name in enumerate("abc"):
        snapshot(vm, name)
        guest.write("vda", (4 + 2 * n) * MIB, MIB, 3 + n)
        guest.write("vda", n * MIB // 2, MIB // 2, 9 + n)
        if name == "b":
            vm.cli.run("checkpoint-create-as", vm.name, "c2")
            guest.write("vda", 12 * MIB, MIB, 8)
    return [vm.domain.console.parent / f"vm-vda.{end}" for end in ("qcow2", *"abc")]


def forget(vm, *names):
    for name in names:
        vm.cli.run("snapshot-delete", vm.name, name, "--metadata")


def dirty(vm, work, since):
    pull = Pull(vm, work)
    pull.begin(since=since, disks=("vda",))
    found = pull.dirty("vda")
    pull.end()
    return found


C1 = [(0, MIB + MIB // 2), (2 * MIB, MIB), (4 * MIB, MIB), (6 * MIB, MIB), (8 * MIB, MIB), (12 * MIB, MIB)]
C2 = [(MIB, MIB // 2), (8 * MIB, MIB), (12 * MIB, MIB)]


def test_a_middle_layer_goes_down_and_the_bitmaps_with_it(off, guest, work):
    vm = off
    base, a, b, c = stack(vm, guest)
    before = content(vm)
    assert dirty(vm, work, "c1") == C1 and dirty(vm, work, "c2") == C2
    # What a snapshot froze is not written to, and does not go.
    look = world.look(vm, work)
    for words in (("--top", a), ("--top", b, "--shallow"), ("--top", b, "--base", a),
                  ("--active", "--pivot"), ("--pivot", "--base", b)):
        refused(vm.cli, "blockcommit", vm.name, "vda", *words, status=5, says=("snapshot '", "vda"))
    assert world.look(vm, work) == look
    forget(vm, "a", "b")
    refused(vm.cli, "blockcommit", vm.name, "vda", "--top", b, status=5, says=("snapshot 'c'", b))
    forget(vm, "c")
    said = vm.cli.run("blockcommit", vm.name, "vda", "--top", b, "--base", a, "--wait", "--verbose",
                      "--delete", json=False)
    assert said.stdout == "\nCommit complete\n", said
    assert images.chain(source(vm), live=True) == [c, a, base] and not b.exists()
    assert content(vm) == before
    assert dirty(vm, work, "c1") == C1 and dirty(vm, work, "c2") == C2
    # The rest of it, the active layer too.
    said = vm.cli.run("blockcommit", vm.name, "vda", "--active", "--pivot", json=False)
    assert said.stdout == "\nSuccessfully pivoted\n", said
    assert source(vm) == str(base) and images.chain(base, live=True) == [base]
    assert a.exists() and c.exists(), "nobody said --delete"
    assert content(vm) == before
    assert dirty(vm, work, "c1") == C1 and dirty(vm, work, "c2") == C2
    guest.write("vda", 20 * MIB, MIB, 7)
    assert dirty(vm, work, "c2") == [*C2, (20 * MIB, MIB)]
    assert vm.cli.run("dumpxml", vm.name, "--inactive").data["xml"].count(str(base)) == 1


def test_a_pull_leaves_what_snapshots_have(off, guest, work):
    vm = off
    base, a, b, c = stack(vm, guest)
    before = content(vm)
    frozen = {path: images.digest(path, live=True) for path in (base, a, b)}
    said = vm.cli.run("blockpull", vm.name, "vda", "--wait", "--base", a, json=False)
    assert said.stdout == "\nPull complete\n", said
    assert images.chain(c, live=True) == [c, a, base]
    assert content(vm) == before
    assert dirty(vm, work, "c1") == C1 and dirty(vm, work, "c2") == C2
    vm.cli.run("blockpull", vm.name, c, "--wait")
    assert images.chain(c, live=True) == [c] and content(vm) == before
    assert dirty(vm, work, "c1") == C1 and dirty(vm, work, "c2") == C2
    assert {path: images.digest(path, live=True) for path in frozen} == frozen
    refused(vm.cli, "blockpull", vm.name, "vda", status=2, says=("nothing to pull",))
    assert vm.cli.run("fsck", vm.name, check=False).status == 0
    # Each snapshot is one that can be gone back to, and deleted.
    if isinstance(guest, Off):
        for name in "cab":
            vm.cli.run("snapshot-revert", vm.name, name)
            below = images.chain(source(vm))[1]
            assert images.digest(below) == frozen[below]
    for name in "cba":
        vm.cli.run("snapshot-delete", vm.name, name)
    images.check(source(vm)) if isinstance(guest, Off) else None


def test_who_stands_on_a_layer_keeps_it(off, vmpoint, make_vm, work):
    vm = off
    guest = Off(vm)
    base, a, b, c = stack(vm, guest)
    forget(vm, "a", "b", "c")
    other = make_vm(name="other", size=SIZE)
    other.disks[0].path.unlink()
    images.create(other.disks[0].path, SIZE, backing=a)
    other.define()
    before = world.look(vm, work)
    refused(vm.cli, "blockcommit", vm.name, "vda", "--top", b, status=5, says=("'other'", a))
    refused(vm.cli, "blockcommit", vm.name, "vda", "--top", b, "--base", a, status=5, says=("'other'",))
    # A branch of its own that nobody knows but a snapshot.
    vm.cli.run("undefine", "other")
    snapshot(vm, "d")
    vm.cli.run("snapshot-revert", vm.name, "d")
    now = source(vm)
    refused(vm.cli, "blockcommit", vm.name, "vda", "--pivot", status=5, says=("snapshot 'd'",))
    vm.cli.run("blockcommit", vm.name, "vda", "--top", b, "--base", a)
    assert images.chain(now) == [work / now, c, a, base]
    assert before["points"] != world.look(vm, work)["points"]
    images.check(c)


def test_what_is_no_range_is_said(off, work):
    vm = off
    base, a, b, c = stack(vm, Off(vm))
    forget(vm, "a", "b", "c")
    before = world.look(vm, work)
    for words, status in (
            ((), 2), (("--top", base), 2), (("--top", a, "--base", b), 2), (("--top", b, "--base", b), 2),
            (("--top", b, "--base", base, "--shallow"), 2), (("--top", work / "vm-vdb.qcow2"), 3),
            (("--active",), 1), (("--keep-overlay",), 1), (("--keep-overlay", "--pivot"), 2), (("--top", b, "--keep-relative"), 6),
            (("--top", b, "--bandwidth", "x"), 2), (("--top", b, "--timeout", "x"), 2)):
        refused(vm.cli, "blockcommit", vm.name, "vda", *words, status=status)
    for words, status in ((("--base", c), 2), (("--base", b), 2), (("--base", work / "x"), 3)):
        refused(vm.cli, "blockpull", vm.name, "vda", *words, status=status)
    refused(vm.cli, "blockpull", vm.name, "vdz", status=3)
    plan = vm.cli.run("blockcommit", vm.name, "vda", "--pivot", "--dry-run").data
    assert plan["operation"] == "blockcommit" and len(plan["steps"]) >= 2, plan
    assert world.look(vm, work) == before


def test_patience_ends_and_the_layers_are_as_before(off, work):
    vm = off
    guest = world.StandIn(vm).start()
    layers(vm, "a")
    guest.write("vda", 0, 24 * MIB, 1)
    layers(vm, "b")
    guest.write("vda", 24 * MIB, MIB, 2)
    forget(vm, "a", "b")
    before = world.look(vm, work)
    refused(vm.cli, "blockpull", vm.name, "vda", "--bandwidth", "1", "--bytes", "--timeout", "1",
            status=9, says=("1 seconds",))
    refused(vm.cli, "blockcommit", vm.name, "vda", "--pivot", "--bandwidth", "1", "--bytes", "--timeout",
            "1", status=9, says=("1 seconds",))
    assert world.look(vm, work) == before
    assert not vm.spy.execute("query-jobs")
    vm.cli.run("blockcommit", vm.name, "vda", "--pivot", "--bandwidth", "100")


def test_a_job_is_looked_at_slowed_down_and_ended_from_beside(off, work):
    vm = off
    guest = world.StandIn(vm).start()
    layers(vm, "a")
    guest.write("vda", 0, 24 * MIB, 1)
    layers(vm, "b")
    job = ("blockjob", vm.name, "vda")
    assert vm.cli.run(*job, json=False).stdout == "No current block job for vda\n\n"
    refused(vm.cli, *job, "--abort", status=3)
    refused(vm.cli, *job, "--pivot", status=3)
    before = world.look(vm, work)
    vm.spy.drain_events()
    pull = vm.cli.start("blockpull", vm.name, "vda", "--wait", "--bandwidth", "1", "--bytes",
                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    vm.spy.wait_event("JOB_STATUS_CHANGE", status="running")
    about = vm.cli.run(*job).data
    assert (about["type"], about["bandwidth"], about["ready"]) == ("pull", 1, False), about
    said = vm.cli.run(*job, "--info", json=False).stdout
    assert said.startswith("Block Pull: [ ") and "Bandwidth limit: 1 bytes/s (1.000 B/s)" in said
    assert " type=Block Pull\n bandwidth=1\n cur=" in vm.cli.run(*job, "--raw", json=False).stdout
    vm.cli.run(*job, "--bandwidth", "2", "--bytes")
    assert vm.cli.run(*job).data["bandwidth"] == 2
    vm.cli.run(*job, "--abort")
    assert pull.wait(120) == 7
    assert b"vda" in pull.stderr.read()
    assert vm.cli.run(*job).data["type"] is None
    assert world.look(vm, work) == before and not vm.spy.execute("query-jobs")
    vm.cli.run("blockpull", vm.name, "vda", "--wait")


def test_sizes_that_differ_break_bitmaps_and_nothing_else(off, guest, work):
    vm = off
    guest.write("vda", 0, MIB, 1)
    vm.cli.run("checkpoint-create-as", vm.name, "c1")
    base, a = layers(vm, "a")
    vm.cli.run("blockresize", vm.name, "vda", "48M")
    vm.cli.run("checkpoint-create-as", vm.name, "c2")
    guest.write("vda", 40 * MIB, MIB, 2)
    before = images.read(source(vm), 0, 48 * MIB, live=True)
    vm.cli.run("blockpull", vm.name, "vda", "--wait")
    assert images.read(a, 0, 48 * MIB, live=True) == before
    assert dirty(vm, work, "c2") == [(40 * MIB, MIB)]
    result = vm.cli.run(*Pull(vm, work).words(since="c1"), check=False, json=False)
    assert result.status == 14 and "c1" in result.stderr, result
    vm.cli.run("domjobabort", vm.name)


# More points than any operation has; the loop ends when one is not reached.
MOST = 60


@pytest.mark.parametrize("fault", ["kill", "fail"])
@pytest.mark.parametrize("words", [("blockcommit", "--pivot", "--delete"), ("blockpull", "--wait")])
def test_cut_anywhere_it_is_before_or_after(off, guest, work, words, fault):
    vm = off
    command, *options = words
    for n in itertools.count(1):
        assert n < MOST, "the operation never gets through"
        base = source(vm)
        guest.write("vda", 0, MIB, n)
        vm.cli.run("checkpoint-create-as", vm.name, f"c{n}")
        snapshot(vm, f"s{n}")
        forget(vm, f"s{n}")
        top = source(vm)
        guest.write("vda", MIB, MIB, n)
        before = content(vm)
        result = vm.cli.run(command, vm.name, "vda", *options, check=False, fault=f"{fault}@{n}")
        vm.cli.run("recover", vm.name)
        assert vm.cli.run("recover", vm.name).data == {"settled": []}
        assert content(vm) == before, f"cut at {n}"
        now = images.chain(source(vm), live=True)
        assert [str(path) for path in now][:1] in ([base], [top])
        assert result.status != 0 or len(now) == 1
        found = dirty(vm, work, f"c{n}")
        assert found == [(MIB, MIB)], f"cut at {n}: {found}"
        vm.cli.run("checkpoint-delete", vm.name, f"c{n}")
        if result.status == 0:
            break
        if len(now) > 1:
            vm.cli.run(command, vm.name, "vda", *options)
    assert n > 3


def test_a_daemon_that_outlives_its_command_is_ended_before_the_disks_are_touched(off, processes):
    vm = off
    Off(vm).write("vda", 0, SIZE // 2, 1)
    layers(vm, "top")
    forget(vm, "top")
    before, top = content(vm), Path(source(vm))
    pulling = vm.cli.start("--progress", "blockpull", vm.name, "vda", "--bandwidth", "1",
                           stderr=subprocess.PIPE, text=True)
    next(line for line in pulling.stderr if json.loads(line)["progress"]["done"] > MIB)
    (daemon,) = [one for one in processes.alive() if one.program() == "qemu-storage-daemon"]
    os.kill(daemon.pid, signal.SIGSTOP)
    pulling.kill()
    pulling.wait()
    assert not daemon.has_ended(0)
    assert len(vm.cli.run("recover", vm.name).data["settled"]) == 1
    assert daemon.has_ended(0)
    assert vm.cli.run("recover", vm.name).data == {"settled": []}
    images.check(top)
    assert content(vm) == before


# --- copies ---


class Copies:
    """Copies of vda, and what there is before and after them."""

    def __init__(self, vm, work):
        self.vm, self.work, self.count = vm, work, 0

    def take(self, *options, check=True, **how):
        self.count += 1
        path = self.work / f"copy-{self.count}"
        return path, self.vm.cli.run("blockcopy", self.vm.name, "vda", path, *options, check=check, **how)


def test_a_copy_is_the_disk_and_a_pivot_takes_the_bitmaps_along(off, work):
    vm = off
    guest = world.StandIn(vm).start()
    base, a, b, c = stack(vm, guest)
    copies = Copies(vm, work)
    before = content(vm)
    path, said = copies.take("--wait", "--verbose", "--finish", json=False)
    assert said.stdout == "\nSuccessfully copied\n", said
    assert images.read(path, 0, SIZE) == before and images.chain(path) == [path]
    images.check(path)
    assert source(vm) == str(c)
    raw, _ = copies.take("--finish", "--format", "raw", "--synchronous-writes", "--granularity", "64k",
                         "--buf-size", "4M")
    assert raw.read_bytes() == before
    frozen = {layer: images.digest(layer, live=True) for layer in (base, a, b)}
    path, said = copies.take("--pivot", "--transient-job", json=False)
    assert said.stdout == "\nSuccessfully pivoted\n", said
    assert source(vm) == str(path) and images.chain(path, live=True) == [path]
    assert content(vm) == before
    assert dirty(vm, work, "c1") == C1 and dirty(vm, work, "c2") == C2
    guest.write("vda", 20 * MIB, MIB, 7)
    assert dirty(vm, work, "c2") == [*C2, (20 * MIB, MIB)]
    assert not [node for node in world.nodes(vm) if node[0] in ("vda-format", "vda-storage")]
    # The layer that nobody has any more stays, and is known as such.
    assert [row["path"] for row in vm.cli.run("fsck", vm.name, check=False).data] == [str(c)]
    # What was written since is in the copy alone, and the snapshots have what they had.
    assert {layer: images.digest(layer) for layer in frozen} == frozen
    vm.cli.run("destroy", vm.name)
    vm.close()
    images.check(path)
    assert dirty(vm, work, "c2") == [*C2, (20 * MIB, MIB)]
    vm.cli.run("snapshot-revert", vm.name, "b")
    assert images.chain(source(vm))[1:] == [a, base]


def test_what_cannot_be_copied_is_said(off, work):
    vm = off
    copies = Copies(vm, work)
    assert copies.take("--finish", check=False)[1].status == 1, "it is off"
    world.StandIn(vm).start()
    (work / "copy-9").write_text("precious")
    before = world.look(vm, work)
    for words, status in (((work / "copy-9", "--finish"), 4), (("copy", "--finish"), 2), ((), 2),
                          ((work / "x", "--finish", "--shallow"), 6),
                          ((work / "x", "--finish", "--pivot"), 2), (("--xml", work / "x", "--pivot"), 6),
                          ((work / "x", "--pivot", "--blockdev"), 6),
                          ((work / "none" / "x", "--pivot"), 3)):
        refused(vm.cli, "blockcopy", vm.name, "vda", *words, status=status)
    plan = vm.cli.run("blockcopy", vm.name, "vda", work / "x", "--pivot", "--dry-run").data
    assert "copy disk vda" in plan["steps"][1]["describe"], plan
    assert world.look(vm, work) == before
    assert (work / "copy-9").read_text() == "precious"


@pytest.mark.parametrize("fault", ["kill", "fail"])
@pytest.mark.parametrize("end", ["--pivot", "--finish"])
def test_a_copy_that_is_cut_is_none_or_whole(off, work, end, fault):
    vm = off
    guest = world.StandIn(vm).start()
    guest.write("vda", 0, 4 * MIB, 1)
    vm.cli.run("checkpoint-create-as", vm.name, "c1")
    guest.write("vda", MIB, MIB, 2)
    before = content(vm)
    copies = Copies(vm, work)
    for n in itertools.count(1):
        assert n < MOST, "the operation never gets through"
        was, nodes = source(vm), world.nodes(vm)
        path, result = copies.take(end, check=False, fault=f"{fault}@{n}")
        vm.cli.run("recover", vm.name)
        assert vm.cli.run("recover", vm.name).data == {"settled": []}
        assert source(vm) in (was, str(path)) and not vm.spy.execute("query-jobs"), f"cut at {n}"
        assert content(vm) == before and dirty(vm, work, "c1") == [(MIB, MIB)], f"cut at {n}"
        if source(vm) == was and not (end == "--finish" and result.status == 0):
            assert result.status != 0 and not path.exists() and world.nodes(vm) == nodes, f"cut at {n}"
        if result.status == 0:
            break
    assert n > 3


@pytest.mark.parametrize("command", ["blockcopy", "blockcommit", "blockpull"])
def test_qemu_that_dies_in_the_middle_leaves_all_as_it_was(off, work, command):
    vm = off
    guest = world.StandIn(vm).start()
    base, a = layers(vm, "a")
    guest.write("vda", 0, 24 * MIB, 1)
    b = layers(vm, "b")[-1]
    forget(vm, "a", "b")
    before = content(vm)
    words = {"blockcopy": (work / "copy", "--pivot"), "blockcommit": ("--pivot",), "blockpull": ("--wait",)}
    vm.spy.drain_events()
    running = vm.cli.start(command, vm.name, "vda", *words[command], "--bandwidth", "1", "--bytes",
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    vm.spy.wait_event("JOB_STATUS_CHANGE", status="running")
    vm.kill()
    assert running.wait(120) != 0
    vm.cli.run("recover", vm.name)
    assert vm.cli.run("recover", vm.name).data == {"settled": []}
    assert source(vm) == str(b) and images.chain(b) == [b, a, base]
    assert content(vm) == before and not (work / "copy").exists()
    vm.close()
    vm.cli.run("start", vm.name, "--paused")
    vm.cli.run(command, vm.name, "vda", *words[command])
    assert content(vm) == before


def test_what_an_internal_snapshot_reads_through_to_is_not_pulled_away(off, work):
    images.write_pattern(world.source(off), 0, MIB, "below")
    off.cli.run("snapshot-create-as", off.name, "e1", "--disk-only")
    off.cli.run("snapshot-create-as", off.name, "i1")
    before = world.look(off, work)
    refused(off.cli, "blockpull", off.name, "vda", "--wait", status=5,
            says=(off.name, "'vda'", "internal"))
    assert world.look(off, work) == before
    off.cli.run("snapshot-delete", off.name, "i1")
    off.cli.run("blockpull", off.name, "vda", "--wait")
    images.require_pattern(world.source(off), 0, MIB, "below")
