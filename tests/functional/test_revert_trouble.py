# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU dies while its domain is reverted; reverts again and again; reverts in a large tree."""

import itertools
import os
import signal

import pytest
from test_revert_table import PAST, PRESENT, pid, require, set_state, sources, state, write
from vmtest import images
from vmtest.images import MIB

# More points than any operation has; the loop ends when one is not reached.
MOST = 60

RAM = ["--memspec", "file={work}/s.ram"]

# kind -> how the snapshot is made, how it is reverted to, from which state
HOW = {
    "disks": (["--disk-only"], ["--paused"], "paused"),
    "ram": (RAM, [], "paused"),
    "internal": ([], [], "paused"),
    "disks from off": (["--disk-only"], ["--paused"], "shut off"),
    "ram from off": (RAM, [], "shut off"),
    "internal from off": ([], [], "shut off"),
}


def stopped_at(vm, n, *command):
    """A command that stands at its Nth fault point; None if it came to its end."""
    process = vm.cli.start(*command, fault=f"stop@{n}")
    ended = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    if ended.si_code == os.CLD_STOPPED:
        return process
    assert process.wait() == 0
    return None


def kill_qemu(vm, processes, which):
    """All QEMUs of the domain; or the one that is its own, or the one that comes in its place."""
    own = pid(vm)
    for process in processes.alive():
        if process.program().startswith("qemu-system") and which in ("all", "own" if process.pid == own else "new"):
            process.kill()
    vm.close()


def past(vm, work, create):
    set_state(vm, "shut off")
    write(vm, PAST)
    set_state(vm, "paused")
    vm.cli.run("snapshot-create-as", vm.name, "s", *[word.format(work=work) for word in create])


def kill_at_each_moment(vm, processes, options, now, which="all"):
    """Yields after each; what is there then is the past or the present."""
    for n in itertools.count(1):
        assert n < MOST, "the operation never gets through"
        set_state(vm, "shut off")
        write(vm, PRESENT)
        set_state(vm, now)
        before = sources(vm)
        process = stopped_at(vm, n, "snapshot-revert", vm.name, "s", *options)
        if not process:
            return
        kill_qemu(vm, processes, which)
        os.kill(process.pid, signal.SIGCONT)
        process.wait(60)
        vm.cli.run("recover", vm.name, check=False)
        assert vm.cli.run("recover", vm.name).data == {"settled": []}, f"killed at {n}"

        assert state(vm) in ("shut off", "paused"), f"killed at {n}"
        content = [images.read(source, 0, MIB, live=True)[0] for source in sources(vm)]
        assert content in ([PAST, PAST], [PRESENT, PRESENT]), f"killed at {n}: {content}"
        if content[0] == PRESENT:
            assert sources(vm) == before, f"killed at {n}"
        yield n, content[0]


@pytest.mark.parametrize("kind", HOW)
def test_qemu_is_killed_at_each_moment_of_a_revert(make_vm, work, processes, kind):
    create, options, now = HOW[kind]
    vm = make_vm().define()
    past(vm, work, create)
    for n, content in kill_at_each_moment(vm, processes, options, now):
        assert content == PAST or state(vm) == "shut off", f"killed at {n}"
        # No layer is lost, and none is left over.
        assert len(list(work.glob("vm-vd*"))) == (4 if create else 2), f"killed at {n}"
    require(vm, PAST)


@pytest.mark.parametrize("which", ["own", "new", "all"])
def test_one_of_two_qemus_is_killed_at_each_moment_of_a_revert(make_vm, work, processes, which):
    """The RAM goes into another process beside the one that runs."""
    vm = make_vm(elements=["<genid/>"])
    vm.domain.spy = None
    vm.define()
    past(vm, work, RAM)
    for n, _ in kill_at_each_moment(vm, processes, ["--force"], "paused", which):
        running = [one for one in processes.alive() if one.program().startswith("qemu-system")]
        assert [one.pid for one in running] == [pid(vm)] * (state(vm) != "shut off"), f"killed at {n}"
        assert len(list(work.glob("vm-vd*"))) == 4, f"killed at {n}"
    require(vm, PAST)


def test_reverting_again_and_again_leaves_nothing_in_qemu(make_vm, work):
    vm = make_vm().define()
    set_state(vm, "paused")
    vm.cli.run("snapshot-create-as", vm.name, "s", "--memspec", f"file={work}/s.ram")
    process = pid(vm)

    def count():
        nodes = vm.spy.execute("query-named-block-nodes", {"flat": True})
        return len(nodes), len(os.listdir(f"/proc/{process}/fd")), len(list(work.iterdir()))

    def revert(times):
        for _ in range(times):
            vm.cli.run("snapshot-revert", vm.name, "s", "--running")

    revert(3)
    before = count()
    revert(12)
    assert pid(vm) == process and count() == before
