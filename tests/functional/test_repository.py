# SPDX-License-Identifier: LGPL-2.1-or-later
"""Repositories of restore points, judged byte by byte by qemu-img, libnbd and sha256sum."""

import datetime
import json
import subprocess

import pytest
from vmtest import images, world
from vmtest.images import MIB
from vmtest.world import names, refused, source

SIZE = 32 * MIB


class Repository:
    """The points of one domain, and what its disks were at each of them."""

    def __init__(self, vm, work):
        self.vm, self.work, self.path = vm, work, work / "repo"
        self.instants = {}

    def create(self, *options, status=0):
        """A point, and copies of the disks of the same instant made by others."""
        result = self.vm.cli.run("backup-create", self.vm.name, self.path, *options, check=False)
        assert result.status == status, result
        name = result.data["name"]
        self.instants[name] = {target: self.copy(name, target) for target in ("vda", "vdb")}
        return name

    def copy(self, name, target):
        out = self.work / f"instant-{name}-{target}.raw"
        live = self.vm.cli.run("domstate", self.vm.name).data["state"] != "shutoff"
        with out.open("wb") as file:
            file.write(images.read(source(self.vm, target), 0, SIZE, live=live))
        return out

    def image(self, name, target="vda"):
        return self.path / name / f"{target}.qcow2"

    def points(self):
        return self.vm.cli.run("backup-list", self.path).data["points"]

    def kinds(self, name):
        point, = [point for point in self.points() if point["name"] == name]
        return {disk["disk"]: disk["kind"] for disk in point["disks"]}

    def require_exact(self, name, targets=("vda", "vdb")):
        for target in targets:
            assert images.identical(self.image(name, target), self.instants[name][target]), (name, target)

    def require_sums(self, name):
        """Anybody can check a point without vmpoint."""
        subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=self.path / name, check=True)


@pytest.fixture
def repo(off, work):
    return Repository(off, work)


def test_a_name_that_a_checkpoint_has_is_not_taken(repo, off):
    """Another repository of the domain may have made a point within the same second."""
    now = datetime.datetime.now(datetime.timezone.utc)
    taken = [f"{now + datetime.timedelta(seconds=later):%Y%m%dT%H%M%SZ}" for later in range(5)]
    for name in taken:
        off.cli.run("checkpoint-create-as", off.name, name)
    assert repo.create() not in taken
    assert set(taken) < set(names(off, "checkpoint"))


def test_a_refusal_names_the_domain_once(repo, off, work):
    document = work / "pull.xml"
    document.write_text(f"<domainbackup mode='pull'><server transport='unix' socket='{work}/nbd'/></domainbackup>")
    wrong = refused(off.cli, "backup-create", off.name, repo.path, "--disk", "vdz", status=3, says=("'vdz'",))
    world.StandIn(off).start()
    off.cli.run("backup-begin", off.name, document)
    busy = refused(off.cli, "backup-create", off.name, repo.path, status=5)
    for message in (wrong, busy):
        assert message.startswith("error: domain vm: ") and message.count("domain vm") == 1


@pytest.mark.parametrize("place", ["nothing", "an empty folder", "a repository"])
def test_a_refusal_leaves_the_place_as_it_was(repo, off, work, place):
    if place == "an empty folder":
        repo.path.mkdir()
    if place == "a repository":
        repo.create()
    before = world.files(work)
    # No such disk; no agent to ask; and one that the backup itself is refused for.
    refused(off.cli, "backup-create", off.name, repo.path, "--disk", "vdz", status=3)
    assert world.files(work) == before
    world.StandIn(off).start()
    refused(off.cli, "backup-create", off.name, repo.path, "--quiesce=require", status=1)
    document = work / "pull.xml"
    document.write_text(f"<domainbackup mode='pull'><server transport='unix' socket='{work}/nbd'/></domainbackup>")
    off.cli.run("backup-begin", off.name, document)
    refused(off.cli, "backup-create", off.name, repo.path, status=5)
    off.cli.run("domjobabort", off.name)
    document.unlink()
    if place == "nothing":
        assert not repo.path.exists()
    else:
        assert {path.name for path in repo.path.iterdir()} == {
            "an empty folder": set(), "a repository": {"repository.json", ".lock"} | set(repo.instants)}[place]


def test_a_refused_point_does_not_end_the_backup_that_runs(made, work, repo):
    vm, guest = made
    guest.write("vda", 0, 8 * MIB, 1)
    document = work / "push.xml"
    document.write_text("<domainbackup><disks><disk name='vda' type='file'>"
                        f"<target file='{work}/push'/></disk></disks></domainbackup>")
    vm.cli.run("backup-begin", vm.name, document, "--bandwidth", "1")
    refused(vm.cli, "backup-create", vm.name, repo.path, status=5)
    assert vm.cli.run("domjobinfo", vm.name).data["state"] == "running"
    assert not repo.path.exists()
    vm.cli.run("domjobabort", vm.name)


def findings(cli, *words):
    result = cli.run("backup-verify", *words, check=False)
    if result.status == 0:
        return []
    assert result.status == 12, result
    return [json.loads(line)["warning"] for line in result.stderr.splitlines() if "warning" in json.loads(line)]


def test_increments_stand_on_each_other_and_open_by_themselves(made, work, repo):
    vm, guest = made
    guest.write("vda", 0, 4 * MIB, 1)
    guest.write("vdb", 0, MIB, 1)
    full = repo.create()
    guest.write("vda", 5 * MIB, MIB, 2)
    guest.write("vda", 0, MIB, 0)
    one = repo.create()
    guest.write("vdb", 9 * MIB, 64 * 1024, 3)
    two = repo.create()

    assert repo.kinds(full) == {"vda": "full", "vdb": "full"}
    assert repo.kinds(one) == repo.kinds(two) == {"vda": "incremental", "vdb": "incremental"}
    assert [point["parent"] for point in repo.points()] == [None, full, one]
    assert names(vm, "checkpoint") == [two], "only the one that the next increment needs"
    for name in (full, one, two):
        repo.require_exact(name)
        repo.require_sums(name)
    assert images.info(repo.image(one))["backing-filename"] == f"../{full}/vda.qcow2"
    held = {disk["disk"]: disk["held"] for disk in repo.points()[2]["disks"]}
    assert held == {"vda": 0, "vdb": 64 * 1024}
    assert not findings(vm.cli, repo.path)

    # A repository may be moved as a whole.
    moved = work / "moved"
    repo.path.rename(moved)
    repo.path = moved
    repo.require_exact(two)
    guest.write("vda", 7 * MIB, MIB, 4)
    three = repo.create()
    assert repo.kinds(three)["vda"] == "incremental"
    repo.require_exact(three)
    for path in moved.rglob("*"):
        if path.is_file() and path.parent != moved:
            assert path.stat().st_mode & 0o777 == 0o400, path


def test_what_cannot_be_an_increment_is_full_and_says_why(made, work, repo):
    vm, guest = made
    guest.write("vda", 0, MIB, 1)
    first = repo.create()
    vm.cli.run("snapshot-create-as", vm.name, "s1", "--disk-only")
    guest.write("vda", MIB, MIB, 2)
    across = repo.create()
    assert repo.kinds(across)["vda"] == "incremental", "a snapshot does not break the chain"
    repo.require_exact(across)

    vm.cli.run("snapshot-revert", vm.name, "s1", "--paused")
    guest.write("vda", 2 * MIB, MIB, 3)
    refused(vm.cli, "backup-create", vm.name, repo.path, "--incremental", status=6, says=("vm", "'vda'"))
    reverted = repo.create(status=14)
    assert repo.kinds(reverted) == {"vda": "full", "vdb": "full"}
    assert all(across in disk["why_full"] for disk in repo.points()[2]["disks"])
    repo.require_exact(reverted)

    guest.write("vda", 3 * MIB, MIB, 4)
    after = repo.create()
    assert repo.kinds(after)["vda"] == "incremental"
    damaged = repo.image(after, "vdb")
    damaged.unlink()
    demoted = repo.create(status=14)
    assert repo.kinds(demoted) == {"vda": "incremental", "vdb": "full"}
    repo.require_exact(demoted)
    assert repo.kinds(first)


def test_a_domain_that_is_off_and_one_that_was_killed(off, work, repo):
    images.write_pattern(work / "vm-vda.qcow2", 0, 2 * MIB, "off")
    full = repo.create()
    images.write_pattern(work / "vm-vda.qcow2", 4 * MIB, MIB, "more")
    one = repo.create()
    assert repo.kinds(one) == {"vda": "incremental", "vdb": "incremental"}
    off.cli.run("start", off.name, "--paused")
    two = repo.create()
    assert repo.kinds(two)["vda"] == "incremental"
    off.kill()
    off.close()
    three = repo.create(status=14)
    assert repo.kinds(three) == {"vda": "full", "vdb": "full"}
    for name in (full, one, two, three):
        repo.require_exact(name)
    assert not findings(off.cli, repo.path)


def test_every_point_is_restored_as_it_was(made, work, repo):
    vm, guest = made
    for byte in (1, 2, 3):
        guest.write("vda", byte * MIB, MIB, byte)
        guest.write("vdb", 0, 64 * 1024, byte)
        repo.create()
    for name, instants in repo.instants.items():
        folder = work / f"back-{name}"
        folder.mkdir()
        vm.cli.run("backup-restore", repo.path, name, "--to", folder)
        assert sorted(path.name for path in folder.iterdir()) == ["vda.qcow2", "vdb.qcow2"]
        for target, instant in instants.items():
            assert images.identical(folder / f"{target}.qcow2", instant)
            assert images.info(folder / f"{target}.qcow2").get("backing-filename") is None

    raw = work / "one.raw"
    vm.cli.run("backup-restore", repo.path, "latest", "--disk", "vda", "--to", raw, "--format", "raw")
    name = repo.points()[-1]["name"]
    assert raw.read_bytes() == repo.instants[name]["vda"].read_bytes()
    assert raw.stat().st_blocks * 512 < 8 * MIB, "it is sparse"
    refused(vm.cli, "backup-restore", repo.path, name, "--disk", "vda", "--to", raw, status=4, says=(raw,))
    vm.cli.run("backup-restore", repo.path, name, "--disk", "vdb", "--to", raw, "--format", "raw", "--overwrite")
    assert raw.read_bytes() == repo.instants[name]["vdb"].read_bytes()
    refused(vm.cli, "backup-restore", repo.path, "nope", "--to", work, status=3, says=("nope",))
    assert not list(work.glob("*.restoring"))


def test_a_target_without_space_gets_nothing(off, work, repo):
    images.write_pattern(work / "vm-vda.qcow2", 0, 8 * MIB, "large")
    name = repo.create()
    small = work / "small"
    small.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", small], check=False)
    if done.returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    try:
        for form in ("qcow2", "raw"):
            refused(off.cli, "backup-restore", repo.path, name, "--to", small, "--format", form, status=13,
                    says=(name, "'vda'", "No space left"))
            assert not list(small.iterdir())
    finally:
        subprocess.run(["umount", small], check=True)
    assert not findings(off.cli, repo.path)


@pytest.mark.parametrize("form", ["raw", "qcow2"])
def test_a_device_is_written_as_a_whole(off, work, repo, form):
    images.write_pattern(work / "vm-vda.qcow2", MIB, 2 * MIB, "disk")
    name = repo.create()
    medium = work / "medium"
    medium.write_bytes(b"\xaa" * (SIZE + 8 * MIB))
    done = subprocess.run(["losetup", "--show", "-f", medium], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no loop device here: {done.stderr}")
    device = done.stdout.strip()
    words = ("backup-restore", repo.path, name, "--disk", "vda", "--to", device, "--format", form)
    try:
        refused(off.cli, *words, status=11, says=(device,))
        off.cli.run(*words, "--overwrite")
        if form == "raw":
            with open(device, "rb") as file:
                assert file.read(SIZE) == repo.instants[name]["vda"].read_bytes()
                assert file.read(MIB) == b"\xaa" * MIB, "nothing behind the disk is touched"
        else:
            assert images.identical(device, repo.instants[name]["vda"])
    finally:
        subprocess.run(["losetup", "-d", device], check=True)


def test_what_is_compressed_is_smaller_and_the_same(off, work, repo):
    images.write_pattern(work / "vm-vda.qcow2", 0, 8 * MIB, "again")
    plain = repo.create("--full")
    small = repo.create("--full", "--compress")
    assert repo.image(small).stat().st_size < repo.image(plain).stat().st_size
    repo.require_exact(small)
    assert not findings(off.cli, repo.path)
    off.cli.run("backup-restore", repo.path, small, "--disk", "vda", "--to", work / "back.qcow2")
    assert images.identical(work / "back.qcow2", repo.instants[small]["vda"])


def test_qemu_that_is_killed_in_the_middle_leaves_what_was_there(made, work, repo):
    vm, guest = made
    guest.write("vda", 0, MIB, 1)
    full = repo.create()
    guest.write("vda", 0, 16 * MIB, 2)
    before = {path: path.read_bytes() for path in (repo.path / full).iterdir()}
    vm.spy.drain_events()
    creation = vm.cli.start("backup-create", vm.name, repo.path, "--bandwidth", "1", json=False,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    vm.spy.wait_event("JOB_STATUS_CHANGE", status="running")
    vm.kill()
    said = creation.communicate(timeout=60)[1]
    assert creation.returncode == 8 and vm.name in said, said

    assert [point["name"] for point in repo.points()] == [full]
    assert {path: path.read_bytes() for path in (repo.path / full).iterdir()} == before
    vm.close()
    again = repo.create(status=14)
    assert repo.kinds(again)["vda"] == "full", "QEMU took what it had counted along"
    repo.require_exact(again)
    assert not list(repo.path.glob(".new-*")) and not findings(vm.cli, repo.path)


def test_a_point_becomes_another_domain(made, work, repo):
    vm, guest = made
    guest.write("vda", MIB, MIB, 7)
    name = repo.create()
    guest.write("vda", MIB, MIB, 8)
    before = {path: path.read_bytes() for path in repo.path.rglob("*.qcow2")}

    (work / "new").mkdir()
    result = vm.cli.run("backup-restore", repo.path, name, "--to", work / "new", "--define", "twin", check=False)
    assert result.status == 14, result
    assert images.identical(work / "new" / "twin-vda.qcow2", repo.instants[name]["vda"])
    assert vm.cli.run("dominfo", "twin").data["uuid"] != vm.domain.uuid
    vm.cli.run("start", "twin", "--paused")
    assert vm.cli.run("domstate", vm.name).data["state"] == "paused", "the first one goes on"
    vm.cli.run("destroy", "twin")
    refused(vm.cli, "backup-restore", repo.path, name, "--to", work / "new", "--define", "twin", status=4)

    result = vm.cli.run("backup-boot", repo.path, "latest", "--name", "boot", "--to", work / "new", "--paused",
                        check=False)
    assert result.status == 14, result
    assert images.chain(work / "new" / "boot-vda.qcow2", live=True)[1] == repo.image(name)
    assert vm.cli.run("domstate", "boot").data["state"] == "paused"
    vm.cli.run("destroy", "boot")
    assert images.identical(work / "new" / "boot-vda.qcow2", repo.instants[name]["vda"])
    assert {path: path.read_bytes() for path in repo.path.rglob("*.qcow2")} == before
    refused(vm.cli, "backup-boot", repo.path, name, "--name", "other", "--to", work / "none", status=3)
    assert not list((work / "new").glob("other*"))


def test_what_a_booted_domain_stands_on_is_not_pruned(off, work, repo):
    points = []
    for byte in range(3):
        images.write_pattern(source(off, "vda"), byte * MIB, MIB, f"{byte}")
        points.append(repo.create())
    off.cli.run("backup-boot", repo.path, points[1], "--name", "b", "--to", work, "--paused", check=False)
    for state in ("running", "off"):
        for options in ((), ("--dry-run",)):
            refused(off.cli, "backup-prune", repo.path, "--keep-last", "1", *options, status=5,
                    says=("domain 'b'", points[0]))
        assert [point["name"] for point in repo.points()] == points, state
        if state == "running":
            off.cli.run("destroy", "b")
    off.cli.run("undefine", "b")
    off.cli.run("backup-prune", repo.path, "--keep-last", "1")
    assert [point["name"] for point in repo.points()] == points[2:]
    repo.require_exact(points[2])


def test_a_medium_that_cannot_be_written_is_read(off, work, repo):
    images.write_pattern(source(off, "vda"), 0, MIB, "one")
    repo.create()
    images.write_pattern(source(off, "vda"), MIB, MIB, "two")
    name = repo.create()
    medium = work / "medium"
    medium.mkdir()
    done = subprocess.run(["mount", "--bind", repo.path, medium], check=False)
    if done.returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", medium], check=True)
        for lock in (repo.path / ".use", repo.path / ".lock"):
            lock.unlink(missing_ok=True)
        assert [point["name"] for point in off.cli.run("backup-list", medium).data["points"]] == list(repo.instants)
        assert not findings(off.cli, medium)
        off.cli.run("backup-restore", medium, name, "--disk", "vda", "--to", work / "back.qcow2")
        assert images.identical(work / "back.qcow2", repo.instants[name]["vda"])
        off.cli.run("backup-boot", medium, name, "--name", "b", "--to", work, "--paused", check=False)
        assert off.cli.run("domstate", "b").data["state"] == "paused"
        off.cli.run("destroy", "b")
        assert images.identical(work / "b-vda.qcow2", repo.instants[name]["vda"])
        off.cli.run("backup-restore", medium, name, "--over", off.name, "--overwrite")
        assert images.identical(source(off, "vda"), repo.instants[name]["vda"])
        for words in (("backup-create", off.name, medium), ("backup-prune", medium, "--keep-last", "1")):
            refused(off.cli, *words, status=13, says=(medium,))
    finally:
        subprocess.run(["umount", medium], check=True)


def test_a_guest_that_can_be_quiesced_is(make_vm, work):
    vm = make_vm(size=SIZE, disks=1, agent=True).define()
    repo = Repository(vm, work)
    vm.cli.run("backup-create", vm.name, repo.path, "--quiesce", "require")
    assert repo.points()[-1]["quiesced"] is False, "one that is off is at rest by itself"
    vm.start()
    vm.guest.wait_until("pidof", "qemu-ga")
    vm.cli.run("backup-create", vm.name, repo.path, "--quiesce", "require")
    assert repo.points()[-1]["quiesced"] is True
    assert vm.guest.run("true").status == 0
    vm.guest.check("kill -STOP $(pidof qemu-ga)")
    before = repo.points()
    message = refused(vm.cli, "--timeout", "1", "backup-create", vm.name, repo.path, "--quiesce", "require",
                      status=9)
    assert message.count("domain vm") == 1 and repo.points() == before
    result = vm.cli.run("--timeout", "1", "backup-create", vm.name, repo.path, "--quiesce", "try", check=False)
    assert result.status == 14 and "not quiesced" in result.stderr
    assert repo.points()[-1]["quiesced"] is False
    refused(vm.cli, "backup-create", vm.name, repo.path, "--quiesce", "maybe", status=2, says=("maybe",))


def test_a_bandwidth_is_what_qemu_is_told(made, repo):
    vm, guest = made
    guest.write("vda", 0, 8 * MIB, 1)
    vm.spy.drain_events()
    creation = vm.cli.start("backup-create", vm.name, repo.path, "--bandwidth", "3", json=False,
                            stdout=subprocess.DEVNULL)
    vm.spy.wait_event("JOB_STATUS_CHANGE", status="running")
    assert {job["speed"] for job in vm.spy.execute("query-block-jobs")} <= {3 * MIB}
    assert creation.wait(timeout=120) == 0
    refused(vm.cli, "backup-create", vm.name, repo.path, "--bandwidth", "fast", status=2, says=("fast",))
