# SPDX-License-Identifier: LGPL-2.1-or-later
"""snapshot-edit, checkpoint-edit, and what a list lets through: no QEMU is needed."""

import os
import stat

import pytest
from vmtest import world
from vmtest.world import names, refused

SIZE = 16 << 20


@pytest.fixture
def off(make_vm):
    """A domain that is off, with three snapshots in a row, the last one current."""
    vm = make_vm(size=SIZE).define()
    for name in ("a", "b", "c"):
        vm.cli.run("snapshot-create-as", vm.name, name, "--disk-only")
    return vm


@pytest.fixture
def editor(work):
    """editor(SCRIPT) makes sed with this script the user's editor."""
    before = {name: os.environ.pop(name, None) for name in ("VISUAL", "EDITOR")}
    folder = work / "editor"
    folder.mkdir()

    def choose(script):
        program = folder / "an editor"
        program.write_text(f"#!/bin/sh\n[ \"$1\" = -x ] || exit 9\nstat -c %a \"$2\" >'{folder}/mode'\n"
                           f"echo \"$2\" >'{folder}/path'\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        os.environ["EDITOR"] = f"'{program}' -x"

    yield choose
    os.environ.pop("EDITOR", None)
    for name, value in before.items():
        if value is not None:
            os.environ[name] = value


def parents(vm):
    return {row["name"]: row["parent"] for row in vm.cli.run("snapshot-list", vm.name).data}


def current(vm):
    return vm.cli.text("snapshot-current", vm.name, "--name").strip()


def test_what_is_edited_is_taken_in(off, editor, work):
    vm = off
    editor("sed -i '0,/<\\/name>/s||</name><description>edited</description>|' \"$2\"")
    assert vm.cli.text("snapshot-edit", vm.name, "b").strip() == "Snapshot b edited."
    assert "<description>edited</description>" in vm.cli.text("snapshot-dumpxml", vm.name, "b")
    assert (work / "editor" / "mode").read_text().strip() == "600"
    assert not os.path.exists((work / "editor" / "path").read_text().strip())
    assert current(vm) == "c" and parents(vm) == {"a": None, "b": "a", "c": "b"}

    editor("true")
    assert vm.cli.text("snapshot-edit", vm.name, "b").strip() == \
        "Snapshot b XML configuration not changed."
    vm.cli.run("snapshot-edit", vm.name, "b", "--current")
    assert current(vm) == "b"
    vm.cli.run("snapshot-current", vm.name, "c")
    assert vm.cli.run("snapshot-edit", vm.name, "--current").data["name"] == "c"


def test_a_renamed_snapshot_keeps_its_children_and_its_images(off, editor, work):
    vm = off
    before = world.look(vm, work)
    editor("sed -i '0,/<name>b</s//<name>z</' \"$2\"")
    refused(vm.cli, "snapshot-edit", vm.name, "b", status=2, says=("--rename or --clone",))
    refused(vm.cli, "snapshot-edit", vm.name, "b", "--rename", "--clone", status=2)
    refused(vm.cli, "snapshot-edit", vm.name, status=2)
    refused(vm.cli, "snapshot-edit", vm.name, "nosuch", status=3)
    assert world.look(vm, work) == before

    assert vm.cli.text("snapshot-edit", vm.name, "b", "--rename").strip() == \
        "Snapshot b renamed to z."
    assert parents(vm) == {"a": None, "z": "a", "c": "z"} and current(vm) == "c"
    editor("sed -i '0,/<name>z</s//<name>a</' \"$2\"")
    refused(vm.cli, "snapshot-edit", vm.name, "z", "--rename", status=4, says=("'a'",))
    # Its images followed it: it is deleted with them.
    vm.cli.run("snapshot-delete", vm.name, "c")
    vm.cli.run("snapshot-delete", vm.name, "z")
    assert names(vm) == ["a"] and not (work / "vm-vda.b").exists()


def test_a_clone_is_another_snapshot(off, editor):
    vm = off
    editor("sed -i '0,/<name>b</s//<name>y</' \"$2\"")
    assert vm.cli.text("snapshot-edit", vm.name, "b", "--clone").strip() == "Snapshot b cloned to y."
    assert parents(vm) == {"a": None, "b": "a", "c": "b", "y": "a"} and current(vm) == "c"
    vm.cli.run("snapshot-current", vm.name, "b")
    editor("echo >>\"$2\"")
    refused(vm.cli, "snapshot-edit", vm.name, "b", "--clone", status=2, says=("another name",))


def test_what_redefining_refuses_editing_refuses_too(off, editor, work):
    vm = off
    before = world.look(vm, work)
    for script, status in (
        ("sed -i 's/shutoff/running/' \"$2\"", 2),
        ("sed -i '0,/<name>a</s//<name>nosuch</' \"$2\"", 2),
        ("sed -i '0,/<name>a</s//<name>c</' \"$2\"", 2),
        ("echo '<' >>\"$2\"", 2),
        ("exit 1", 1),
    ):
        editor(script)
        refused(vm.cli, "snapshot-edit", vm.name, "b", status=status)
    assert world.look(vm, work) == before


def test_an_internal_snapshot_keeps_its_name(make_vm, editor):
    vm = make_vm(size=SIZE).define()
    vm.cli.run("snapshot-create-as", vm.name, "i")
    editor("sed -i '0,/<name>i</s//<name>j</' \"$2\"")
    refused(vm.cli, "snapshot-edit", vm.name, "i", "--rename", status=6, says=("'i'",))
    refused(vm.cli, "snapshot-edit", vm.name, "i", "--clone", status=6)


def test_a_checkpoint_is_edited_but_keeps_its_name(make_vm, editor):
    vm = make_vm(size=SIZE).define()
    vm.cli.run("checkpoint-create-as", vm.name, "c")
    editor("sed -i '0,/<\\/name>/s||</name><description>edited</description>|' \"$2\"")
    assert vm.cli.text("checkpoint-edit", vm.name, "c").strip() == "Checkpoint c edited."
    assert "edited" in vm.cli.text("checkpoint-dumpxml", vm.name, "c")
    editor("true")
    assert vm.cli.text("checkpoint-edit", vm.name, "c").strip() == \
        "Checkpoint c XML configuration not changed."
    editor("sed -i '0,/<name>c</s//<name>d</' \"$2\"")
    refused(vm.cli, "checkpoint-edit", vm.name, "c", status=2, says=("Cannot rename",))


def test_a_password_is_in_the_document_only_when_asked_for(make_vm, editor, work):
    vm = make_vm(disks=1, size=SIZE, devices=["<graphics type='vnc' port='-1' passwd='geheim'/>"])
    vm.define()
    vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only")
    assert "geheim" not in vm.cli.text("snapshot-dumpxml", vm.name, "s")
    assert "geheim" in vm.cli.text("snapshot-dumpxml", vm.name, "s", "--security-info")
    assert "geheim" in vm.cli.text("snapshot-current", vm.name, "--security-info")
    # An edit does not lose it.
    editor("sed -i '0,/<\\/name>/s||</name><description>edited</description>|' \"$2\"")
    vm.cli.run("snapshot-edit", vm.name, "s")
    assert "geheim" in vm.cli.text("snapshot-dumpxml", vm.name, "s", "--security-info")


# name, state, where, parent
TREE = (
    ("off", "shutoff", "internal", None), ("run", "running", "internal", "off"),
    ("pause", "paused", "external", "run"), ("disk", "disk-snapshot", "external", "run"),
    ("leaf", "shutoff", "external", "disk"),
)


@pytest.mark.parametrize(("words", "wanted"), [
    ((), "off run pause disk leaf"),
    (("--roots",), "off"),
    (("--leaves",), "pause leaf"),
    (("--no-leaves",), "off run disk"),
    (("--leaves", "--no-leaves"), "off run pause disk leaf"),
    (("--metadata",), "off run pause disk leaf"),
    (("--no-metadata",), ""),
    (("--inactive",), "off leaf"),
    (("--active",), "run pause"),
    (("--disk-only",), "disk"),
    (("--inactive", "--active"), "off run pause leaf"),
    (("--internal",), "off run"),
    (("--external",), "pause disk leaf"),
    (("--external", "--inactive"), "leaf"),
    (("--from", "run"), "pause disk"),
    (("--from", "off", "--descendants"), "run pause disk leaf"),
    (("--from", "off", "--descendants", "--leaves"), "pause leaf"),
    (("--current",), "pause disk"),
    (("--current", "--descendants"), "pause disk leaf"),
])
def test_a_list_lets_through_what_was_asked_for(tree, words, wanted):
    found = {row["name"] for row in tree.cli.run("snapshot-list", tree.name, *words).data}
    assert found == set(wanted.split())


@pytest.fixture(scope="module")
def tree(request, tmp_path_factory):
    """A tree of every kind, taken in from documents; made once."""
    from vmtest import workdir
    from vmtest.cli import Vmpoint
    from vmtest.domain import GuestImage
    from vmtest.pids import Processes
    from vmtest.vm import Vm

    program = os.environ.get("VMPOINT_PROGRAM") or pytest.skip("VMPOINT_PROGRAM is not set")
    work = workdir.make()
    processes = Processes(work)
    vm = Vm.make(Vmpoint(program, work, processes), GuestImage.build(), work, disks=1,
                 size=SIZE).define()
    domain = vm.cli.run("dumpxml", vm.name).data["xml"]
    for name, state, where, parent in TREE:
        up = f"<parent><name>{parent}</name></parent>" if parent else ""
        memory = {"run": "<memory snapshot='internal'/>",
                  "pause": f"<memory snapshot='external' file='{work}/m'/>"}.get(name, "")
        document = work / f"{name}.xml"
        document.write_text(
            f"<domainsnapshot><name>{name}</name><state>{state}</state>{up}"
            f"<creationTime>1700000000</creationTime>{memory}<disks><disk name='vda' "
            f"snapshot='{where}'/></disks>{domain}</domainsnapshot>")
        vm.cli.run("snapshot-create", vm.name, document, "--redefine",
                   *(["--current"] if name == "run" else []))
    yield vm
    processes.finish()
    workdir.remove(work)
