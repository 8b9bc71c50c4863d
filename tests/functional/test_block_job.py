# SPDX-License-Identifier: LGPL-2.1-or-later
"""Block jobs that outlive the command that began them, as virsh's do."""

import itertools

import pytest
from test_block_merge import C1, C2, MOST, SIZE, content, dirty, forget, layers, snapshot, stack
from vmtest import images, world
from vmtest.images import MIB
from vmtest.world import refused, source

BUSY = 5


@pytest.fixture
def vm(make_vm):
    return make_vm(size=SIZE).define()


@pytest.fixture
def guest(vm):
    return world.StandIn(vm).start()


def job(vm, *words, **how):
    return vm.cli.run("blockjob", vm.name, "vda", *words, **how)


def wait_ready(vm):
    if not job(vm).data["ready"]:
        vm.spy.wait_event("BLOCK_JOB_READY")
    assert job(vm).data["ready"]


def wait_status(vm, status):
    """Until QEMU says so, or has said so."""
    if not any(row["status"] == status for row in vm.spy.execute("query-jobs")):
        vm.spy.wait_event("JOB_STATUS_CHANGE", status=status)


def written(before, at, byte):
    """What a disk reads as after a MiB of this byte.  While QEMU commits nobody else can look."""
    return before[:at * MIB] + bytes([byte]) * MIB + before[(at + 1) * MIB:]


def quiet(vm):
    assert not vm.spy.execute("query-jobs")
    assert vm.cli.run("recover", vm.name).data == {"settled": []}


@pytest.mark.parametrize("wait", [[], ["--wait"]])
def test_an_active_commit_is_pivoted_by_a_later_command(vm, guest, work, wait):
    base, _, _, _ = stack(vm, guest)
    forget(vm, "a", "b", "c")
    before = content(vm)
    vm.spy.drain_events()
    said = vm.cli.run("blockcommit", vm.name, "vda", "--active", *wait, json=False).stdout
    assert said == ("\nNow in synchronized phase\n" if wait else "Active Block Commit started\n"), said
    wait_ready(vm)
    assert vm.cli.run("fsck", vm.name).data == [], "it goes on, and was not cut short"
    about = job(vm).data
    assert (about["type"], about["ready"]) == ("commit", True)
    assert job(vm, json=False).stdout.startswith("Active Block Commit: [100 %]")
    # The guest goes on, on both sides of whatever anybody asks.
    guest.write("vda", 20 * MIB, MIB, 7)
    assert vm.cli.run("recover", vm.name).data == {"settled": []}
    assert job(vm).data["ready"]
    now = written(before, 20, 7)
    vm.cli.run("blockjob", vm.name, "vda", "--pivot")
    assert source(vm) == str(base) and images.chain(base, live=True) == [base]
    assert content(vm) == now
    assert dirty(vm, work, "c1") == [*C1, (20 * MIB, MIB)] and dirty(vm, work, "c2") == [*C2, (20 * MIB, MIB)]
    assert job(vm).data["type"] is None
    quiet(vm)
    assert str(base) in vm.cli.run("dumpxml", vm.name, "--inactive").data["xml"]
    refused(vm.cli, "blockjob", vm.name, "vda", "--pivot", status=3)


def test_a_job_with_nothing_to_do_has_done_it(vm, guest):
    snapshot(vm, "a")
    forget(vm, "a")
    vm.spy.drain_events()
    vm.cli.run("blockcommit", vm.name, "vda", "--active")
    wait_ready(vm)
    assert job(vm).data["total"] == 0
    assert job(vm, json=False).stdout.startswith("Active Block Commit: [100 %]")
    job(vm, "--pivot")
    quiet(vm)


def test_an_active_commit_that_is_aborted_leaves_the_layers(vm, guest, work):
    base, a, b, c = stack(vm, guest)
    forget(vm, "a", "b", "c")
    before, nodes = content(vm), world.nodes(vm)
    vm.cli.run("blockcommit", vm.name, "vda", "--active", "--bandwidth", "1", "--bytes")
    assert job(vm).data["bandwidth"] == 1 and not job(vm).data["ready"]
    refused(vm.cli, "blockjob", vm.name, "vda", "--pivot", status=BUSY, says=("not ready",))
    job(vm, "--abort")
    assert world.nodes(vm) == nodes and content(vm) == before
    quiet(vm)
    # Once it is ready, too: base has it all then, and so have the layers.
    vm.cli.run("blockcommit", vm.name, "vda", "--active", "--wait")
    guest.write("vda", 21 * MIB, MIB, 9)
    before = written(before, 21, 9)
    job(vm, "--abort")
    assert images.chain(source(vm), live=True) == [c, b, a, base] and content(vm) == before
    said = vm.cli.run("blockcommit", vm.name, "vda", "--keep-overlay", json=False).stdout
    assert said == "\nCommit complete, overlay image kept\n"
    assert images.chain(source(vm), live=True) == [c, b, a, base] and content(vm) == before
    assert dirty(vm, work, "c1") == [*C1, (21 * MIB, MIB)]
    quiet(vm)
    vm.cli.run("blockcommit", vm.name, "vda", "--active", "--pivot")
    assert content(vm) == before


@pytest.mark.parametrize("command, words, said, left", [
    ("blockpull", ["--base", "a"], "Block Pull started\n", "ca"),
    ("blockcommit", ["--top", "b", "--base", "a", "--delete"], "Block Commit started\n", "ca")])
def test_what_ends_by_itself_is_settled_by_whoever_comes_next(vm, guest, work, command, words, said, left):
    paths = dict(zip(("qcow2", "a", "b", "c"), stack(vm, guest)))
    forget(vm, "a", "b", "c")
    before = content(vm)
    vm.spy.drain_events()
    words = [paths.get(word, word) for word in words]
    assert vm.cli.run(command, vm.name, "vda", *words, json=False).stdout == said
    wait_status(vm, "pending")
    assert job(vm, "--info").data["type"] is None, "the look has settled it"
    assert images.chain(source(vm), live=True) == [*[paths[end] for end in left], paths["qcow2"]]
    assert paths["b"].exists() == (command == "blockpull")
    assert content(vm) == before
    assert dirty(vm, work, "c1") == C1 and dirty(vm, work, "c2") == C2
    quiet(vm)


def test_while_one_is_there_the_disks_stay_as_they_are(vm, guest, work):
    stack(vm, guest)
    forget(vm, "a", "b", "c")
    vm.cli.run("blockcommit", vm.name, "vda", "--active", "--wait")
    before = world.look(vm, work)
    for words in (["snapshot-create-as", vm.name, "s", "--disk-only"], ["checkpoint-create-as", vm.name, "c3"],
                  ["blockcommit", vm.name, "vda", "--active"], ["blockpull", vm.name, "vdb"],
                  ["checkpoint-delete", vm.name, "c1"], ["backup-begin", vm.name]):
        refused(vm.cli, *words, status=BUSY, says=("vda", "blockcommit"))
    assert world.look(vm, work) == before
    # The guest's life goes on beside it.
    vm.cli.run("resume", vm.name)
    vm.cli.run("suspend", vm.name)
    job(vm, "--pivot")
    quiet(vm)


def test_a_definition_that_was_changed_meanwhile_is_not_overwritten(vm, guest, work):
    stack(vm, guest)
    forget(vm, "a", "b", "c")
    before = content(vm)
    vm.cli.run("blockcommit", vm.name, "vda", "--active", "--wait")
    text = vm.cli.run("dumpxml", vm.name, "--inactive", "--security-info").data["xml"]
    (work / "other.xml").write_text(text.replace(">1</vcpu>", ">2</vcpu>"))
    vm.cli.run("define", work / "other.xml")
    refused(vm.cli, "blockjob", vm.name, "vda", "--pivot", status=10, says=("definition",))
    assert job(vm).data["ready"]
    job(vm, "--abort")
    assert content(vm) == before
    assert ">2</vcpu>" in vm.cli.run("dumpxml", vm.name, "--inactive").data["xml"]
    vm.cli.run("blockcommit", vm.name, "vda", "--pivot")
    assert ">2</vcpu>" in vm.cli.run("dumpxml", vm.name, "--inactive").data["xml"]


@pytest.mark.parametrize("ready", [False, True])
@pytest.mark.parametrize("command", ["blockcommit", "blockpull", "blockcopy"])
def test_a_qemu_that_dies_takes_it_along(vm, guest, work, command, ready):
    base, a, b, c = stack(vm, guest)
    forget(vm, "a", "b", "c")
    before = content(vm)
    slow = [] if ready else ["--bandwidth", "1", "--bytes"]
    words = {"blockcommit": ["--active"], "blockpull": [], "blockcopy": [work / "copy"]}[command]
    vm.spy.drain_events()
    vm.cli.run(command, vm.name, "vda", *words, *slow)
    if ready:
        wait_status(vm, "pending" if command == "blockpull" else "ready")
    vm.kill()
    vm.close()
    assert vm.cli.run("recover", vm.name).data["settled"] != []
    assert vm.cli.run("recover", vm.name).data == {"settled": []}
    assert source(vm) == str(c) and images.chain(c) == [c, b, a, base]
    assert content(vm) == before and not (work / "copy").exists()
    vm.cli.run("start", vm.name, "--paused")
    vm.cli.run("blockcommit", vm.name, "vda", "--pivot")
    assert content(vm) == before


def test_a_copy_ends_as_one_says_later(vm, guest, work):
    stack(vm, guest)
    vm.spy.drain_events()
    # Given up before it is whole, it is none.
    vm.cli.run("blockcopy", vm.name, "vda", work / "none", "--bandwidth", "1", "--bytes")
    job(vm, "--abort")
    assert not (work / "none").exists()
    quiet(vm)

    assert vm.cli.run("blockcopy", vm.name, "vda", work / "kept", json=False).stdout == "Block Copy started\n"
    wait_ready(vm)
    before, was = content(vm), source(vm)
    job(vm, "--abort")
    assert source(vm) == was and images.read(work / "kept", 0, SIZE) == before
    assert images.chain(work / "kept") == [work / "kept"]
    quiet(vm)

    said = vm.cli.run("blockcopy", vm.name, "vda", work / "next", "--wait", json=False).stdout
    assert said == "\nNow in mirroring phase\n"
    guest.write("vda", 22 * MIB, MIB, 3)
    before = content(vm)
    job(vm, "--pivot")
    assert source(vm) == str(work / "next") and content(vm) == before
    assert dirty(vm, work, "c2") == [*C2, (22 * MIB, MIB)]
    quiet(vm)


def test_a_job_that_somebody_else_ended_is_taken_back(vm, guest):
    stack(vm, guest)
    forget(vm, "a", "b", "c")
    before, nodes = content(vm), world.nodes(vm)
    vm.cli.run("blockcommit", vm.name, "vda", "--active", "--wait")
    vm.spy.drain_events()
    vm.spy.execute("job-cancel", {"id": "vmp-merge-vda"})
    wait_status(vm, "concluded")
    assert len(vm.cli.run("recover", vm.name, check=False).data["settled"]) == 1
    assert content(vm) == before and world.nodes(vm) == nodes
    quiet(vm)


@pytest.mark.parametrize("fault", ["kill", "fail"])
@pytest.mark.parametrize("end", ["--pivot", "--abort"])
@pytest.mark.parametrize("command", ["blockcommit", "blockcopy"])
def test_cut_anywhere_it_is_before_or_after(vm, guest, work, monkeypatch, command, end, fault):
    """Both the command that begins it and the one that ends it."""
    for part in ("begin", "end"):
        for n in itertools.count(1):
            assert n < MOST, "the operation never gets through"
            guest.write("vda", 0, MIB, n)
            vm.cli.run("checkpoint-create-as", vm.name, "c")
            layer = f"{part}{n}"
            snapshot(vm, layer)
            forget(vm, layer)
            top = source(vm)
            guest.write("vda", MIB, MIB, n)
            before = content(vm)
            target = work / f"copy-{layer}"
            words = ["--active"] if command == "blockcommit" else [target]

            def run(*argv, cut):
                if cut:
                    monkeypatch.setenv("VMPOINT_FAULT", f"{fault}@{n}")
                result = vm.cli.run(*argv, check=False)
                monkeypatch.delenv("VMPOINT_FAULT", raising=False)
                return result

            result = begun = run(command, vm.name, "vda", *words, "--wait", cut=part == "begin")
            vm.cli.run("recover", vm.name)
            if job(vm).data["type"]:
                result = run("blockjob", vm.name, "vda", end, cut=part == "end")
                vm.cli.run("recover", vm.name, check=False)
            if job(vm).data["type"]:
                job(vm, "--abort")
            assert vm.cli.run("recover", vm.name).data == {"settled": []}
            assert content(vm) == before, f"cut at {n}"
            assert not vm.spy.execute("query-jobs"), f"cut at {n}"
            after = {"blockcommit": str(vm.disks[0].path), "blockcopy": str(target)}[command]
            assert source(vm) in (top, after), f"cut at {n}"
            if end == "--pivot":
                assert result.status != 0 or source(vm) == after, f"cut at {n}"
            else:
                assert source(vm) == top, f"cut at {n}"
            found = dirty(vm, work, "c")
            assert found == [(MIB, MIB)], f"cut at {n}: {found}"
            vm.cli.run("checkpoint-delete", vm.name, "c")
            # What could not be closed after all was done is in the way of the next layers.
            if result.status == 14:
                vm.cli.run("destroy", vm.name)
                vm.close()
                vm.cli.run("start", vm.name, "--paused")
            if (begun if part == "begin" else result).status == 0:
                break
        # Taking back has no points of its own, keeping a copy has one.
        assert n >= {("end", "blockcommit", "--abort"): 1, ("end", "blockcopy", "--abort"): 2}.get(
            (part, command, end), 3), part
