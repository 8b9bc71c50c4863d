# SPDX-License-Identifier: LGPL-2.1-or-later
"""A repository is damaged in every way that a medium or a hand can, and each is found and named."""

import json
import os
import shutil

import pytest
from vmtest import images, world
from vmtest.images import MIB
from vmtest.world import names, refused

SIZE = 16 * MIB
KINDS = ("vda.qcow2", "vda.blocks", "domain.xml", "checkpoint.xml", "nvram.fd", "manifest.json", "SHA256SUMS")
OVMF = "/usr/share/OVMF/OVMF_{}_4M.fd"


def take(vm, path, *options, status=0):
    result = vm.cli.run("backup-create", vm.name, path, *options, check=False)
    assert result.status == status, result
    return result.data["name"]


@pytest.fixture
def made(make_vm, work):
    """Two points of a domain that is off and has firmware variables, the second an increment."""
    vm = make_vm(size=SIZE, disks=1)
    write = vm.domain.xml
    shutil.copyfile(OVMF.format("VARS"), work / "vars")
    vm.domain.xml = lambda: write().replace("</os>", f"""
      <loader readonly='yes' type='pflash'>{OVMF.format("CODE")}</loader><nvram>{work}/vars</nvram></os>""")
    vm.define()
    images.write_pattern(work / "vm-vda.qcow2", 0, 4 * MIB, "one")
    full = take(vm, work / "repo")
    images.write_pattern(work / "vm-vda.qcow2", 2 * MIB, MIB, "two")
    return vm, work / "repo", full, take(vm, work / "repo")


def findings(cli, *words):
    result = cli.run("backup-verify", *words, check=False)
    if result.status == 0:
        assert result.data == {"findings": []}
        return []
    assert result.status == 12, result
    said = [json.loads(line) for line in result.stderr.splitlines()]
    return [line["warning"] for line in said if "warning" in line]


def state(path):
    """All there is, to the byte, and when it was written to."""
    return {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in path.rglob("*")
            if file.is_file() and not file.name.startswith(".")}


class Damage:
    """Changes one file of a point, and puts it back."""

    def __init__(self, path):
        self.path = path
        self.whole = path.read_bytes()

    def __enter__(self):
        os.chmod(self.path, 0o600)
        return self

    def __exit__(self, *failure):
        self.path.write_bytes(self.whole)
        os.chmod(self.path, 0o400)

    def flip(self, at):
        data = bytearray(self.whole)
        data[at] ^= 0x40
        self.path.write_bytes(data)


def test_what_is_whole_is_left_as_it_was(made):
    vm, repo, *_ = made
    before = state(repo)
    assert findings(vm.cli, repo) == []
    assert findings(vm.cli, repo, "latest") == []
    assert state(repo) == before


def test_each_file_damaged_in_each_way_is_found_by_name(made):
    vm, repo, *points = made
    for point in points:
        for kind in KINDS:
            with Damage(repo / point / kind) as damage:
                for way in ("flip first", "flip middle", "flip last", "cut", "longer", "empty"):
                    length = len(damage.whole)
                    if way.startswith("flip"):
                        damage.flip({"first": 0, "middle": length // 2, "last": length - 1}[way.split()[1]])
                    else:
                        damage.path.write_bytes({"cut": damage.whole[:-1], "longer": damage.whole + b"\n",
                                                 "empty": b""}[way])
                    found = findings(vm.cli, repo)
                    assert found and any(point in each for each in found), (point, kind, way, found)
                    if kind not in ("manifest.json", "SHA256SUMS"):
                        assert any(kind in each for each in found), (point, kind, way, found)
            aside = repo.parent / "aside"
            (repo / point / kind).rename(aside)
            found = findings(vm.cli, repo)
            assert any(point in each for each in found), (point, kind, "removed", found)
            aside.rename(repo / point / kind)
    assert findings(vm.cli, repo) == []


def test_damage_has_a_place_and_is_not_restored(made, work):
    vm, repo, full, one = made
    image = repo / full / "vda.qcow2"
    # Data of the guest: the pattern's own bytes, past the tables.
    place = image.read_bytes().index(images.read(image, 3 * MIB, 4096)) + 100
    with Damage(image) as damage:
        damage.flip(place)
        found = findings(vm.cli, repo)
        start = place // MIB * MIB
        assert [each for each in found if full in each and f"byte {start} and" in each], found
        message = refused(vm.cli, "backup-restore", repo, one, "--disk", "vda", "--to", work / "out",
                          status=12, says=(one, "'vda'"))
        assert f"byte {3 * MIB}" in message
        assert not list(work.glob("out*"))
    vm.cli.run("backup-restore", repo, one, "--disk", "vda", "--to", work / "out")
    images.require_pattern(work / "out", 2 * MIB, MIB, "two")


def test_swapped_files_strange_files_and_wrong_links(made, work):
    vm, repo, full, one = made
    (repo / full / "extra").write_text("x")
    assert any("'extra'" in each for each in findings(vm.cli, repo))
    (repo / full / "extra").unlink()
    (repo / "stray").write_text("x")
    assert any("'stray'" in each for each in findings(vm.cli, repo))
    (repo / "stray").unlink()

    (work / "vars").write_bytes(bytes(1024))
    one = take(vm, repo)
    for kind in ("vda.qcow2", "vda.blocks", "nvram.fd"):
        here, there, aside = repo / full / kind, repo / one / kind, work / "aside"
        for source, target in ((here, aside), (there, here), (aside, there)):
            source.rename(target)
        found = findings(vm.cli, repo)
        assert any(full in each and kind in each for each in found), found
        assert any(one in each and kind in each for each in found), found
        words = ("--over", vm.name, "--overwrite") if kind == "nvram.fd" else ("--to", work)
        refused(vm.cli, "backup-restore", repo, one, *words, status=12)
        for source, target in ((here, aside), (there, here), (aside, there)):
            source.rename(target)

    # qemu-img is content with this link, and so would be every reader of it.
    whole = images.create(work / "other.qcow2", SIZE)
    with Damage(repo / one / "vda.qcow2") as damage:
        images.tool("qemu-img", "rebase", "-u", "-b", whole, "-F", "qcow2", damage.path)
        assert any(one in each for each in findings(vm.cli, repo))
        refused(vm.cli, "backup-restore", repo, one, "--to", work, status=12)

    (repo / full).rename(repo / "20000101T000000Z")
    found = findings(vm.cli, repo)
    assert any(full in each for each in found) and any(one in each for each in found)
    (repo / "20000101T000000Z").rename(repo / full)
    shutil.rmtree(repo / full)
    assert any(one in each and full in each for each in findings(vm.cli, repo))
    refused(vm.cli, "backup-restore", repo, one, "--to", work, status=12, says=(full,))
    assert not list(work.glob("*.restoring"))


def test_a_manifest_that_somebody_edited_is_not_believed(made, work):
    vm, repo, full, one = made
    with Damage(repo / one / "manifest.json") as damage:
        damage.path.write_bytes(damage.whole.replace(b'"running"', b'"paused"').replace(b'"shutoff"', b'"paused"'))
        assert vm.cli.run("backup-list", repo).data["points"][1]["problem"]
        refused(vm.cli, "backup-restore", repo, one, "--to", work, status=12, says=(one,))
        newer = json.loads(damage.whole)
        newer["format"] = 99
        damage.path.write_text(json.dumps(newer))
        assert "newer" in vm.cli.run("backup-list", repo).data["points"][1]["problem"]
    about = repo / "repository.json"
    whole = json.loads(about.read_text())
    os.chmod(about, 0o600)
    about.write_text(json.dumps({**whole, "format": 99}))
    for words in (("backup-list", repo), ("backup-verify", repo), ("backup-create", vm.name, repo)):
        refused(vm.cli, *words, status=6, says=("newer",))
    about.write_text(json.dumps({**whole, "uuid": "00000000-0000-4000-8000-000000000000"}))
    refused(vm.cli, "backup-create", vm.name, repo, status=4, says=("uuid",))


def test_two_at_once_and_who_may_only_read(made, work):
    vm, repo, full, one = made
    with world_lock(repo):
        refused(vm.cli, "backup-create", vm.name, repo, status=5, says=(repo,))
        assert len(vm.cli.run("backup-list", repo).data["points"]) == 2
        assert findings(vm.cli, repo) == []
    (work / "full-of-others").mkdir()
    (work / "full-of-others" / "x").write_text("x")
    refused(vm.cli, "backup-create", vm.name, work / "full-of-others", status=4)
    refused(vm.cli, "backup-list", work / "none", status=3)
    assert names(vm, "checkpoint") == [one]


def world_lock(repo):
    """What another command that changes the repository holds."""
    import fcntl  # noqa: PLC0415

    file = (repo / ".lock").open("w")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


@pytest.mark.parametrize("fault", ["kill", "fail"])
def test_a_cut_creation_leaves_the_points_that_were_there(make_vm, work, fault):
    vm = make_vm(size=SIZE, disks=1).define()
    guest = world.StandIn(vm).start()
    repo = work / "repo"
    guest.write("vda", 0, MIB, 1)
    points = [take(vm, repo)]
    for n in range(1, 60):
        guest.write("vda", n % 15 * MIB, 64 * 1024, n)
        result = vm.cli.run("backup-create", vm.name, repo, check=False, fault=f"{fault}@{n}")
        listed = [point["name"] for point in vm.cli.run("backup-list", repo).data["points"]]
        assert listed[:len(points)] == points and len(listed) <= len(points) + 1
        assert result.status not in (0, 14) or len(listed) == len(points) + 1
        points = listed
        whole = take(vm, repo)
        points.append(whole)
        kinds = [point["kind"] for point in vm.cli.run("backup-list", repo).data["points"]]
        assert kinds[1:] == ["incremental"] * (len(points) - 1), "no dirty bit was lost"
        with (work / "now.raw").open("wb") as file:
            file.write(images.read(work / "vm-vda.qcow2", 0, SIZE, live=True))
        assert images.identical(repo / whole / "vda.qcow2", work / "now.raw"), f"cut at {n}"
        assert not list(repo.glob(".new-*")) and not list(repo.glob(".old-*"))
        assert names(vm, "checkpoint") == [whole]
        if result.status in (0, 14):
            break
    else:
        raise AssertionError("the creation never gets through")
    assert findings(vm.cli, repo) == []


def image_of(repo, name):
    return repo / name / "vda.qcow2"


@pytest.mark.parametrize("fault", ["kill", "fail"])
def test_a_cut_pruning_leaves_whole_points(make_vm, work, fault):
    vm = make_vm(size=SIZE, disks=1).define()
    guest = world.StandIn(vm).start()
    origin = work / "origin"
    points, raw = [], {}
    for n in range(6):
        guest.write("vda", n * MIB, MIB, n + 1)
        guest.write("vda", 8 * MIB, 64 * 1024, n + 1)
        guest.write("vda", 9 * MIB, 64 * 1024, n % 2)
        points.append(take(vm, origin, *(["--full"] if n == 3 else [])))
        raw[points[-1]] = images.to_raw(image_of(origin, points[-1]), work / f"{n}.raw")
    repo = work / "repo"
    for n in range(1, 60):
        shutil.rmtree(repo, ignore_errors=True)
        shutil.copytree(origin, repo)
        result = vm.cli.run("backup-prune", repo, "--keep-last", "1", check=False, fault=f"{fault}@{n}")
        listed = vm.cli.run("backup-list", repo).data["points"]
        assert findings(vm.cli, repo) == [], f"cut at {n}"
        for point in listed:
            assert images.identical(image_of(repo, point["name"]), raw[point["name"]]), f"cut at {n}"
        if result.status == 0:
            break
        vm.cli.run("backup-prune", repo, "--keep-last", "3")
        assert findings(vm.cli, repo) == []
        assert not list(repo.glob(".new-*")) and not list(repo.glob(".old-*"))
    else:
        raise AssertionError("the pruning never gets through")
    assert [point["name"] for point in listed] == points[5:]
    assert listed[0]["kind"] == "full" and listed[0]["parent"] is None
    # The chain goes on from what was merged.
    guest.write("vda", 10 * MIB, 64 * 1024, 77)
    last = take(vm, repo)
    assert vm.cli.run("backup-list", repo).data["points"][-1]["kind"] == "incremental"
    assert world.holds(image_of(repo, last), 10 * MIB, 64 * 1024, 77)


def test_what_is_kept_stays_the_same_disk_over_fewer_points(make_vm, work):
    vm = make_vm(size=SIZE, disks=2).define()
    guest = world.StandIn(vm).start()
    repo = work / "repo"
    points, raw = [], {}
    for n in range(5):
        guest.write("vda", n * MIB, MIB, n + 1)
        guest.write("vda", 8 * MIB, 64 * 1024, n % 2)
        points.append(take(vm, repo))
        raw[points[-1]] = images.to_raw(image_of(repo, points[-1]), work / f"{n}.raw")
    before = state(repo)
    decided = vm.cli.run("backup-prune", repo, "--keep-last", "2", "--dry-run").data
    assert [each["keep"] for each in decided] == [False, False, False, True, True]
    assert decided[3]["merged"] and decided[3]["copies"] == 4 * MIB + 64 * 1024
    assert not decided[4]["merged"] and all(each["why"] for each in decided)
    assert state(repo) == before
    vm.cli.run("backup-prune", repo, "--keep-last", "2")
    listed = vm.cli.run("backup-list", repo).data["points"]
    assert [(each["name"], each["kind"], each["parent"]) for each in listed] == [
        (points[3], "full", None), (points[4], "incremental", points[3])]
    assert findings(vm.cli, repo) == []
    for name in points[3:]:
        assert images.identical(image_of(repo, name), raw[name])
        images.check(image_of(repo, name))
        images.tool("sh", "-c", f"cd {repo / name} && sha256sum --quiet -c SHA256SUMS")
    refused(vm.cli, "backup-prune", repo, status=2)
    refused(vm.cli, "backup-prune", repo, "--keep-within", "soon", status=2, says=("soon",))
    # Nothing is merged from what is damaged, and nothing is removed.
    take(vm, repo)
    with Damage(image_of(repo, points[3])) as damage:
        damage.flip(damage.whole.index(bytes([4]) * 4096) + 5)
        refused(vm.cli, "backup-prune", repo, "--keep-last", "1", status=12, says=("'vda'", 3 * MIB))
        assert len(vm.cli.run("backup-list", repo).data["points"]) == 3
    assert findings(vm.cli, repo) == []
