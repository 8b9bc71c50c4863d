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

HOW = {
    "disks": (["--disk-only"], ["--paused"]),
    "ram": (["--memspec", "file={work}/s.ram"], []),
    "internal": ([], []),
}


def stopped_at(vm, n, *command):
    """A command that stands at its Nth fault point; None if it came to its end."""
    os.environ["VMPOINT_FAULT"] = f"stop@{n}"
    try:
        process = vm.cli.start(*command)
    finally:
        del os.environ["VMPOINT_FAULT"]
    ended = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    if ended.si_code == os.CLD_STOPPED:
        return process
    assert process.wait() == 0
    return None


@pytest.mark.parametrize("kind", HOW)
def test_qemu_is_killed_at_each_moment_of_a_revert(make_vm, work, kind):
    create, options = HOW[kind]
    vm = make_vm().define()
    set_state(vm, "paused")
    write(vm, PAST)
    vm.cli.run("snapshot-create-as", vm.name, "s", *[word.format(work=work) for word in create])

    for n in itertools.count(1):
        assert n < MOST, "the operation never gets through"
        set_state(vm, "shut off")
        set_state(vm, "paused")
        write(vm, PRESENT)
        before = sources(vm)
        process = stopped_at(vm, n, "snapshot-revert", vm.name, "s", *options)
        if not process:
            break
        if pid(vm):
            vm.kill()
        vm.close()
        os.kill(process.pid, signal.SIGCONT)
        process.wait(60)
        vm.cli.run("recover", vm.name)
        assert vm.cli.run("recover", vm.name).data == {"settled": []}

        assert state(vm) in ("shut off", "paused"), f"killed at {n}"
        content = [images.read(source, 0, MIB, live=True)[0] for source in sources(vm)]
        assert content in ([PAST, PAST], [PRESENT, PRESENT]), f"killed at {n}: {content}"
        if content[0] == PRESENT:
            assert sources(vm) == before and state(vm) == "shut off", f"killed at {n}"
        # No layer is lost, and none is left over.
        assert len(list(work.glob("vm-vd*"))) == (2 if kind == "internal" else 4), f"killed at {n}"
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
