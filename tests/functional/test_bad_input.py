# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is broken, hostile or in the way: one clear error, the documented status, nothing changed."""

import contextlib
import subprocess

import pytest
from vmtest import images, world
from vmtest.images import MIB
from vmtest.world import refused

SIZE = 8 * MIB
BOMB = ("<!DOCTYPE d [<!ENTITY a 'aaaaaaaaaa'>"
        + "".join(f"<!ENTITY {chr(98 + n)} '{('&' + chr(97 + n) + ';') * 10}'>" for n in range(9))
        + "]>")
DEEP = "<a>" * 100000
LONG = "n" * 10240


@contextlib.contextmanager
def unchanged(vm, work):
    before = world.look(vm, work)
    yield
    assert world.look(vm, work) == before
    assert not [process for process in vm.cli._processes.alive()
                if process.program() == "qemu-storage-daemon"]


# --- documents ---

COMMANDS = {
    "domain": ("define", "-"),
    "domainsnapshot": ("snapshot-create", "vm", "-", "--disk-only"),
    "domaincheckpoint": ("checkpoint-create", "vm", "-"),
    "domainbackup": ("backup-begin", "vm", "-"),
}


@pytest.mark.parametrize("kind", COMMANDS)
@pytest.mark.parametrize("document", [
    "", " ", "no xml at all", "<{kind}>", "<{kind}><name>x</{kind}>", "<{kind}/><{kind}/>",
    "<other/>", "<!DOCTYPE {kind} SYSTEM 'file:///etc/passwd'><{kind}/>",
    BOMB + "<{kind}><name>&j;</name></{kind}>", "<{kind}>" + DEEP,
    "<{kind}><name>" + "x" * (17 * MIB) + "</name></{kind}>", "<{kind}>\x01</{kind}>",
    "<?xml version='1.0' encoding='no-such'?><{kind}/>",
], ids=["empty", "blank", "no-xml", "unclosed", "crossed", "two-roots", "another-root",
        "doctype", "entity-bomb", "deep", "oversized", "control-character", "unknown-encoding"])
def test_a_document_that_is_none(off, work, kind, document):
    with unchanged(off, work):
        said = refused(off.cli, *COMMANDS[kind], stdin=document.replace("{kind}", kind), status=2,
                       timeout=60)
    assert len(said) < 2000, "and it is short"


@pytest.mark.parametrize("name", [
    "a/b", "/etc/passwd", "../up", ".hidden", "new\nline", "tab\there", "\x1b[31mred", LONG, "", " ",
], ids=["slash", "absolute", "upwards", "leading-dot", "newline", "tab", "escape", "10-kB", "empty",
        "blank"])
def test_a_name_that_is_none(off, work, name):
    with unchanged(off, work):
        for words in (["snapshot-create-as", "vm", "--name", name, "--disk-only"],
                      ["checkpoint-create-as", "vm", "--name", name]):
            if words[0].startswith("snapshot") and name == " ":
                continue  # libvirt has no objection
            said = refused(off.cli, *words, status=2)
            assert "\x1b" not in said and len(said) < 2000


@pytest.mark.parametrize("words, status, says", [
    (["snapshot-create-as", "vm", "s", "--disk-only", "--diskspec", "vdx"], 3, "vdx"),
    (["snapshot-create-as", "vm", "s", "--disk-only", "--diskspec", "vda,snapshot=sideways"], 2,
     "sideways"),
    (["snapshot-create-as", "vm", "s", "--disk-only", "--diskspec", "vda,file={work}/no/such/dir"],
     3, "/no/such/dir"),
    (["snapshot-create-as", "vm", "s", "--disk-only", "--diskspec", "vda,file={work}"], 4, "{work}"),
    (["snapshot-create-as", "vm", "s", "--disk-only", "--diskspec", "vda,file=relative"], 2, "relative"),
    (["snapshot-create-as", "vm", "s", "--disk-only", "--diskspec", "vda,file={work}/vm-vdb.qcow2"],
     4, "vm-vdb.qcow2"),
    (["snapshot-create-as", "vm", "s", "--disk-only", "--diskspec", "vda,file={work}/x", "--diskspec",
      "vdb,file={work}/x"], 2, "{work}/x"),
    (["snapshot-create-as", "vm", "s", "--disk-only", "--diskspec", "vda", "--diskspec", "vda"], 2, "vda"),
    (["snapshot-create-as", "vm", "s", "--disk-only", "--diskspec", "vda,driver=vmdk"], 6, "vmdk"),
    (["checkpoint-create-as", "vm", "c", "--diskspec", "vdx"], 3, "vdx"),
    (["checkpoint-create-as", "vm", "c", "--diskspec", "vda,checkpoint=no", "--diskspec",
      "vdb,checkpoint=no"], 2, "disk"),
    (["snapshot-revert", "vm", "nope"], 3, "'nope'"),
    (["snapshot-delete", "vm", "nope"], 3, "'nope'"),
    (["checkpoint-delete", "vm", "nope"], 3, "'nope'"),
    (["snapshot-dumpxml", "vm", "nope"], 3, "'nope'"),
    (["checkpoint-dumpxml", "vm", "nope", "--size"], 3, "'nope'"),
], ids=["unknown-disk", "unknown-kind", "no-such-folder", "a-folder", "relative-path",
        "another-disks-image", "one-file-for-two", "a-disk-twice", "a-format-that-is-no-overlay",
        "checkpoint-of-unknown-disk", "checkpoint-of-no-disk", "revert-to-nothing",
        "delete-of-nothing", "delete-of-no-checkpoint", "dump-of-nothing", "size-of-nothing"])
def test_a_request_that_cannot_be(off, work, words, status, says):
    with unchanged(off, work):
        refused(off.cli, *(word.format(work=work) for word in words), status=status,
                says=(says.format(work=work),))


# --- images ---


def missing(path):
    path.unlink()


def truncated(path):
    with path.open("r+b") as file:
        file.truncate(70000)


def no_header(path):
    path.write_bytes(b"\0" * MIB)


def cut_header(path):
    path.write_bytes(b"QFI\xfb\0\0\0\x03")


def newer(path):
    with path.open("r+b") as file:
        file.seek(4)
        file.write(b"\0\0\0\x63")


def folder(path):
    path.unlink()
    path.mkdir()


def no_backing(path):
    base = path.with_suffix(".base")
    path.unlink()
    images.create(base, SIZE)
    images.create(path, SIZE, backing=base)
    base.unlink()


@pytest.mark.parametrize("damage, statuses", [
    (missing, (3,)), (no_header, (12,)), (cut_header, (7, 12)), (newer, (6, 7, 12)),
    (folder, (2, 7, 12, 13)), (no_backing, (3,)),
], ids=["missing", "another-format", "cut-header", "a-version-of-the-future", "a-folder",
        "missing-backing"])
def test_an_image_that_is_not_what_it_should_be(off, work, damage, statuses):
    path = work / "vm-vdb.qcow2"
    damage(path)
    before = sorted(path.name for path in work.glob("vm-vd*"))
    for words in (["snapshot-create-as", "vm", "s", "--disk-only"], ["checkpoint-create-as", "vm", "c"],
                  ["backup-begin", "vm"], ["start", "vm", "--paused"]):
        result = off.cli.run(*words, check=False, json=False)
        assert result.status in statuses, (words, result)
        assert result.stderr.count("\n") == 1 and result.stderr.startswith("error: ")
        # A QEMU that does not start says which node it was, and not which file.
        for word in ("vm", "vdb", *([] if words[0] == "start" else [str(path)])):
            assert word in result.stderr, result
        assert "domain vm: domain vm" not in result.stderr
    assert world.names(off) == [] == world.names(off, "checkpoint")
    assert off.cli.run("domstate", "vm").data["state"] == "shutoff"
    assert sorted(path.name for path in work.glob("vm-vd*")) == before


@pytest.fixture
def small(work):
    """A file system with room for nearly nothing."""
    path = work / "small"
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "none", path],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount a small file system: {done.stderr.strip()}")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


@pytest.mark.parametrize("on", [False, True], ids=["off", "on"])
def test_no_room_for_the_overlays(off, work, small, on):
    if on:
        world.StandIn(off).start()
    with unchanged(off, work):
        refused(off.cli, "snapshot-create-as", "vm", "s", "--disk-only", "--diskspec",
                f"vda,file={work}/room", "--diskspec", f"vdb,file={small}/none", status=13,
                says=("vm", f"{small}/none", "No space left"))
        assert not list(small.iterdir()) and not (work / "room").exists()


def test_a_file_name_that_is_too_long_is_refused_and_forgotten(off, work):
    """What was never made can be taken back, and keeps nobody from the domain."""
    long = "n" * 250
    world.StandIn(off).start()
    with unchanged(off, work):
        for words in (["snapshot-create-as", "vm", long, "--disk-only"],
                      ["snapshot-create-as", "vm", "s", "--memspec", work / (long + long)],
                      ["blockcopy", "vm", "vda", "--dest", work / (long + long), "--finish"],
                      ["backup-begin", "vm", push_to(work, long + long), "--wait"]):
            refused(off.cli, *words, status=2, says=("vm", long, "File name too long"))
    off.cli.run("destroy", off.name)
    refused(off.cli, "snapshot-create-as", "vm", long, "--disk-only", status=2, says=("File name too long",))
    off.cli.run("snapshot-create-as", off.name, "s1", "--disk-only")


def push_to(work, name):
    path = work / "push.xml"
    path.write_text("<domainbackup><disks><disk name='vda' type='file'>"
                    f"<target file='{work}/{name}'/></disk></disks></domainbackup>")
    return path


def test_no_room_has_one_status_whatever_runs_out_of_it(off, work, small):
    guest = world.StandIn(off).start()
    guest.write("vda", 0, MIB, 1)
    with unchanged(off, work):
        for words in (["snapshot-create-as", "vm", "s", "--memspec", small / "ram"],
                      ["blockcopy", "vm", "vda", "--dest", small / "copy", "--wait", "--pivot"],
                      ["backup-create", "vm", small / "repo"]):
            refused(off.cli, *words, status=13, says=("vm", "No space left"))
        assert not list(small.iterdir())


def test_a_read_only_folder(off, work, small):
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    with unchanged(off, work):
        refused(off.cli, "snapshot-create-as", "vm", "s", "--disk-only", "--diskspec",
                f"vda,file={small}/x", status=13, says=("vm", f"{small}/x"))


def test_a_qemu_that_refuses_changes_nothing(off, work):
    """A bitmap of the overlay's name is in its way: QEMU says no to the whole transaction."""
    guest = world.StandIn(off).start()
    guest.write("vda", 0, MIB, 1)
    off.cli.run("checkpoint-create-as", "vm", "c1")
    for target in ("vda", "vdb"):
        images.create(work / f"mine-{target}", SIZE if target == "vda" else SIZE // 2)
    with unchanged(off, work):
        result = off.cli.run("snapshot-create-as", "vm", "s", "--disk-only", "--reuse-external",
                             "--diskspec", f"vda,file={work}/gone", "--diskspec",
                             f"vdb,file={work}/mine-vdb", check=False, json=False)
        assert result.status in (3, 7) and result.stderr.count("\n") == 1, result
        assert "vm" in result.stderr and "gone" in result.stderr
    guest.write("vda", 0, MIB, 2)
