# SPDX-License-Identifier: LGPL-2.1-or-later
"""Commands that reach for one repository at the same moment.

Each is a real process.  Whoever is refused is told that it is busy and has changed nothing; what
the others made is whole, by the eyes of backup-verify, sha256sum and qemu-img.
"""

import collections
import subprocess

import pytest
from vmtest import images, world
from vmtest.images import MIB
from vmtest.world import names, source

SIZE = 16 * MIB
ROUNDS = 6
BUSY = 5
EXISTS = 4


@pytest.fixture
def off(make_vm):
    return make_vm(size=SIZE).define()


def write(vm, guest, turn):
    """Something that no point has yet."""
    if guest:
        guest.write("vda", turn * MIB, MIB, turn + 1)
    else:
        images.tool("qemu-io", "-c", f"write -P {turn + 1} {turn * MIB} {MIB}", source(vm))


def together(vm, *commands):
    """Starts all, and then waits: their statuses."""
    running = [vm.cli.start(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
               for command in commands]
    for process in running:
        process.communicate(timeout=120)
    return [process.returncode for process in running]


def require_whole(vm, repo):
    points = sorted(path.name for path in repo.glob("2*"))
    assert [point["name"] for point in vm.cli.run("backup-list", repo).data["points"]] == points
    assert not list(repo.glob(".new-*")) and not list(repo.glob(".old-*"))
    vm.cli.run("backup-verify", repo)
    for point in points:
        subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=repo / point, check=True)
    return points


def require_last_is_the_disk(vm, repo, points, work):
    live = work / "instant.raw"
    live.write_bytes(images.read(source(vm), 0, SIZE, live=True))
    assert images.identical(repo / points[-1] / "vda.qcow2", live)
    assert names(vm, "checkpoint") == [points[-1]], "the others have gone with their points"


@pytest.mark.parametrize("running", [False, True], ids=["off", "running"])
def test_points_made_at_the_same_moment(off, work, running):
    """One after the other, or refused; the first time the repository is not there yet."""
    guest = world.StandIn(off).start() if running else None
    repo = work / "repo"
    made = 0
    for turn in range(ROUNDS):
        write(off, guest, turn)
        statuses = together(off, *[("backup-create", off.name, repo)] * 3)
        assert 0 in statuses and set(statuses) <= {0, BUSY}, statuses
        made += statuses.count(0)
        points = require_whole(off, repo)
        assert len(points) == made
        require_last_is_the_disk(off, repo, points, work)
    kinds = [disk["kind"] for point in off.cli.run("backup-list", repo).data["points"][1:]
             for disk in point["disks"]]
    assert set(kinds) == {"incremental"}, "no increment was lost in the rush"


def test_points_made_while_others_are_pruned(off, work):
    repo = work / "repo"
    off.cli.run("backup-create", off.name, repo)
    for turn in range(ROUNDS):
        write(off, None, turn)
        create, *others = together(off, ("backup-create", off.name, repo),
                                   ("backup-prune", repo, "--keep-last", "2"),
                                   ("backup-verify", repo))
        assert {create, *others} <= {0, BUSY}, (create, others)
        if create == BUSY:
            off.cli.run("backup-create", off.name, repo)
        require_last_is_the_disk(off, repo, require_whole(off, repo), work)


def test_two_domains_never_share_a_repository(off, make_vm, work):
    """Whichever comes first has it; to the other it is as if it had come later."""
    other = make_vm(name="other", size=SIZE).define()
    won = collections.Counter()
    for turn in range(ROUNDS):
        repo = work / f"repo-{turn}"
        statuses = together(off, ("backup-create", off.name, repo), ("backup-create", other.name, repo))
        assert statuses.count(0) == 1 and set(statuses) <= {0, BUSY, EXISTS}, statuses
        winner, loser = (off, other) if statuses[0] == 0 else (other, off)
        points = require_whole(winner, repo)
        assert winner.cli.run("backup-list", repo).data["domain"] == winner.name
        won[winner.name] += 1
        assert points[-1] in names(winner, "checkpoint")
        assert [len(names(vm, "checkpoint")) for vm in (winner, loser)] == [
            won[winner.name], won[loser.name]], "the other has nothing left of it"
