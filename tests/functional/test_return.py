# SPDX-License-Identifier: LGPL-2.1-or-later
"""A domain becomes again what it was at a restore point, wholly or not at all."""

import pytest
from vmtest import images
from vmtest.images import MIB
from vmtest.world import names, refused, source

SIZE = 16 * MIB
OVMF = "/usr/share/OVMF/OVMF_{}_4M.fd"
DISKS = ("vda", "vdb")


@pytest.fixture
def off(make_vm, work):
    """A domain that is off, with a snapshot and firmware variables of its own."""
    vm = make_vm(size=SIZE)
    write = vm.domain.xml
    images.tool("cp", OVMF.format("VARS"), work / "vars")
    vm.domain.xml = lambda: write().replace("</os>", f"""
      <loader readonly='yes' type='pflash'>{OVMF.format("CODE")}</loader>
      <nvram>{work}/vars</nvram></os>""")
    vm.domain.spy = None
    vm.define()
    fill(vm, "base")
    vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only")
    return vm


def fill(vm, what):
    for disk in DISKS:
        images.write_pattern(source(vm, disk), 0, MIB, f"{what}-{disk}")


def has(vm, what, path=None):
    for disk in DISKS:
        images.require_pattern(path or source(vm, disk), 0, MIB, f"{what}-{disk}")


def variables(work, mark=None):
    """The firmware's variables, told apart by their last bytes."""
    data = bytearray((work / "vars").read_bytes())
    if mark:
        data[-16:] = mark.encode().ljust(16, b"\0")
        (work / "vars").write_bytes(data)
    return bytes(data[-16:]).rstrip(b"\0").decode()


def sources(vm):
    return [source(vm, disk) for disk in DISKS]


def take(vm, work, **how):
    """A point of which everything is different afterwards."""
    fill(vm, "past")
    variables(work, "past")
    name = vm.cli.run("backup-create", vm.name, work / "repo", **how).data["name"]
    fill(vm, "present")
    variables(work, "present")
    return name


def images_of(work):
    return {path.name for path in work.glob("vm-vd*")}


def test_the_past_takes_the_place_of_the_present(off, make_vm, work):
    vm, repo = off, work / "repo"
    name = take(vm, work)
    over = ("backup-restore", repo, name, "--over", vm.name)
    refused(vm.cli, *over, status=11, says=("domain vm", name))
    refused(vm.cli, *over, "--overwrite", "--to", work / "none", status=3, says=(work / "none",))
    refused(vm.cli, *over, "--overwrite", "--disk", "vda", status=2)
    other = make_vm(name="other", size=SIZE).define()
    refused(vm.cli, "backup-restore", repo, name, "--over", other.name, "--overwrite", status=2,
            says=(vm.domain.uuid,))
    vm.cli.run("start", vm.name, "--paused")
    refused(vm.cli, *over, "--overwrite", status=5, says=("off",))
    vm.cli.run("destroy", vm.name)
    before = sources(vm), images_of(work)
    plan = vm.cli.run(*over, "--overwrite", "--dry-run").data
    assert "restore-disks" in str(plan) and (sources(vm), images_of(work)) == before

    vm.cli.run(*over, "--overwrite")
    has(vm, "past")
    assert variables(work) == "past"
    assert sources(vm) == [f"{work}/vm-{disk}.{name}.qcow2" for disk in DISKS]
    assert images_of(work) == {"vm-vda.qcow2", "vm-vdb.qcow2", f"vm-vda.{name}.qcow2", f"vm-vdb.{name}.qcow2"}
    assert not [path for path in work.rglob("*") if ".vmp-" in path.name]
    assert len(list((work / "state" / "parts").iterdir())) == 1, "the snapshot's own"
    findings = vm.cli.run("fsck", vm.name, check=False).data
    assert [finding for finding in findings if not finding["code"].startswith("bitmap-")] == []

    # The next point is a full one, and says why; then they are increments again.
    for status, kind in ((14, "full"), (0, "incremental")):
        result = vm.cli.run("backup-create", vm.name, repo, check=False)
        assert result.status == status, result
        assert {disk["kind"] for disk in vm.cli.run("backup-list", repo).data["points"][-1]["disks"]} == {kind}
    has(vm, "past", None)
    # What was a snapshot is one; a second return needs other names.
    assert names(vm) == ["s"]
    assert [row["current"] for row in vm.cli.run("snapshot-list", vm.name).data] == [False]
    vm.cli.run(*over, "--overwrite")
    has(vm, "past")
    assert len(images_of(work)) == 4, "the images of the first return are not needed any more"
    vm.cli.run("snapshot-revert", vm.name, "s")
    has(vm, "base")
    vm.cli.run(*over, "--overwrite", "--to", work / "state")
    has(vm, "past")
    assert sources(vm)[0].startswith(str(work / "state"))


def test_what_is_damaged_takes_nothing_away(off, work):
    vm, repo = off, work / "repo"
    name = take(vm, work)
    before = sources(vm), images_of(work)
    for kind in ("vda.blocks", "vdb.qcow2", "domain.xml", "nvram.fd"):
        path = repo / name / kind
        whole = path.read_bytes()
        path.chmod(0o600)
        place = whole.index(images.read(path, 512 * 100, 512)) if kind.endswith("qcow2") else len(whole) // 2
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1:])
        refused(vm.cli, "backup-restore", repo, name, "--over", vm.name, "--overwrite", status=12)
        assert (sources(vm), images_of(work)) == before
        assert variables(work) == "present"
        path.write_bytes(whole)
    has(vm, "present")


@pytest.mark.parametrize("fault", ["kill", "fail"])
def test_a_cut_return_is_whole_or_has_not_been(off, work, fault):
    vm, repo = off, work / "repo"
    name = take(vm, work)
    before = sources(vm), images_of(work)
    for n in range(1, 60):
        result = vm.cli.run("backup-restore", repo, name, "--over", vm.name, "--overwrite", check=False,
                            fault=f"{fault}@{n}")
        vm.cli.run("recover", vm.name)
        if sources(vm) == before[0]:
            assert result.status != 0 and images_of(work) == before[1], f"cut at {n}"
            has(vm, "present")
            assert variables(work) == "present", f"cut at {n}"
        else:
            has(vm, "past")
            assert variables(work) == "past", f"cut at {n}"
            assert len(images_of(work)) == 4, f"cut at {n}"
            if result.status == 0:
                break
            vm.cli.run("snapshot-revert", vm.name, "s")
            fill(vm, "present")
            variables(work, "present")
            before = sources(vm), images_of(work)
        assert not [path for path in work.rglob("*") if ".vmp-" in path.name or path.suffix == ".restoring"]
    else:
        raise AssertionError("the return never gets through")
    images.check(sources(vm)[0])
