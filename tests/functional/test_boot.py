# SPDX-License-Identifier: LGPL-2.1-or-later
"""A restore point is tried out: its guest boots, or it is said why not, and nothing is left of that."""

import signal
import subprocess

import pytest
from vmtest.world import refused

UP = "[vm up]"


@pytest.fixture
def made(make_vm, work):
    """make(...): a domain that is off with a point of it."""

    def make(**how):
        vm = make_vm(disks=1, **how).define()
        vm.cli.run("backup-create", vm.name, work / "repo")
        return vm

    return make


def require_nothing_left(vm, work):
    assert [row["name"] for row in vm.cli.run("list", "--all").data] == [vm.name]
    assert not list((vm.cli.state_dir / "trials").iterdir())


def content(repo):
    return {path: path.read_bytes() for path in repo.glob("*/*")}


def test_a_guest_that_says_so_has_booted(made, work):
    vm = made()
    before = content(work / "repo")
    refused(vm.cli, "backup-verify", work / "repo", "--expect", UP, status=2)
    refused(vm.cli, "backup-verify", work / "repo", "--boot", "--boot-timeout", "soon", status=2)
    vm.cli.run("backup-verify", work / "repo", "--boot", "--expect", UP)
    require_nothing_left(vm, work)
    message = refused(vm.cli, "backup-verify", work / "repo", "--boot", "--expect", "no guest says so",
                      "--boot-timeout", "1", status=12, says=("does not boot", "'no guest says so'"))
    assert "the last that it said" in message
    require_nothing_left(vm, work)
    # There is no agent, and this guest has no login.
    refused(vm.cli, "backup-verify", work / "repo", "latest", "--boot", "--boot-timeout", "1", status=12,
            says=("'login:'",))
    require_nothing_left(vm, work)
    assert content(work / "repo") == before


def test_an_agent_that_answers_has_booted(made, work):
    vm = made(agent=True)
    vm.cli.run("backup-verify", work / "repo", "--boot")
    require_nothing_left(vm, work)


def test_what_a_killed_trial_left_is_taken_away(made, work):
    vm = made()
    left = set()
    for n in range(1, 30):
        result = vm.cli.run("backup-verify", work / "repo", "--boot", "--expect", UP, check=False,
                            fault=f"kill@{n}")
        if result.status == 0:
            break
        assert result.status == -9, result
        left |= {row["state"] for row in vm.cli.run("list", "--all").data if row["name"] != vm.name}
    else:
        raise AssertionError("the trial never gets through")
    assert left >= {"shutoff", "running"}, "a killed one had left something"
    require_nothing_left(vm, work)


def test_a_point_is_tried_by_one_at_a_time(made, work):
    vm = made()
    first = vm.cli.start("backup-verify", work / "repo", "--boot", "--expect", "never", json=False,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(vm.cli.run("list").data) < 1:
        assert first.poll() is None
    refused(vm.cli, "backup-verify", work / "repo", "--boot", "--expect", UP, status=5)
    refused(vm.cli, "backup-prune", work / "repo", "--keep-last", "1", status=5, says=(work / "repo",))
    first.send_signal(signal.SIGINT)
    assert first.wait(timeout=60) == 130
    require_nothing_left(vm, work)
