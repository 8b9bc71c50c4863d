# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pull backups of a domain that is off: a process of its own serves the images until it is told."""

import itertools
import xml.etree.ElementTree as xml

import nbd
import pytest
from vmtest import images, world
from vmtest.images import MIB
from vmtest.pull import DISKS, Pull, info, same
from vmtest.world import refused

SIZE = 16 * MIB
SERVER = "qemu-storage-daemon"


@pytest.fixture
def pull(off, work):
    return Pull(off, work)


def put(vm, offset, length, byte, target="vda"):
    """Write as the guest would if it ran."""
    images.tool("qemu-io", "-f", "qcow2", "-c", f"write -P {byte} {offset} {length}",
                world.source(vm, target))


def servers(vm):
    return [process for process in vm.cli._processes.alive() if process.program() == SERVER]


def reference(pull, work):
    return {disk: pull.live(disk).rename(work / f"ref-{disk}") for disk in DISKS}


def test_it_is_served_as_a_running_one_is(off, work, pull):
    vm = off
    put(vm, 0, 4 * MIB, 1)
    put(vm, 0, MIB, 2, "vdb")
    before = world.look(vm, work)
    full = reference(pull, work)
    assert pull.begin(checkpoint="c1").status == 0
    assert len(servers(vm)) == 1, "it outlives the command"
    about = info(vm)
    assert about["state"] == "running" and about["operation"] == "Backup", about
    document = xml.fromstring(vm.cli.run("backup-dumpxml", vm.name).data["xml"])
    assert document.get("mode") == "pull" and document.find("server").get("socket") == str(pull.socket)
    copies = {disk: pull.copy(disk) for disk in DISKS}
    images.tool("qemu-img", "convert", "-O", "raw", pull.uri("vda"), work / "converted.raw")
    assert same(work / "converted.raw", full["vda"])
    for disk in DISKS:
        assert same(copies[disk], full[disk])
    handle = nbd.NBD()
    handle.connect_uri(pull.uri("vda"))
    assert handle.is_read_only()
    # Who is connected does not keep it from ending.
    pull.end()
    assert info(vm, "--completed")["state"] == "completed"
    assert not servers(vm) and not pull.socket.exists() and not list(work.glob("scratch-*"))
    assert world.names(vm, "checkpoint") == ["c1"]

    # The next increment, over a snapshot that was made meanwhile.
    put(vm, MIB, MIB, 3)
    vm.cli.run("snapshot-create-as", vm.name, "s1", "--disk-only")
    put(vm, 8 * MIB, MIB, 4)
    now = reference(pull, work)
    pull.begin(since="c1", checkpoint="c2")
    assert pull.dirty("vda") == [(MIB, MIB), (8 * MIB, MIB)]
    assert pull.dirty("vdb") == []
    assert pull.apply_increment("vda", copies["vda"]) == 2 * MIB
    assert same(copies["vda"], now["vda"])
    pull.end()
    put(vm, 9 * MIB, MIB, 5)
    # A machine goes on where the served images were: nothing of it is lost.
    guest = world.StandIn(vm).start()
    guest.write("vda", 10 * MIB, MIB, 6)
    pull.begin(since="c2")
    assert pull.dirty("vda") == [(9 * MIB, 2 * MIB)]
    pull.end()
    vm.cli.run("destroy", vm.name)
    vm.close()
    vm.cli.run("checkpoint-delete", vm.name, "c1")
    vm.cli.run("checkpoint-delete", vm.name, "c2")
    vm.cli.run("snapshot-delete", vm.name, "s1")
    assert world.look(vm, work)["definition"] == before["definition"]
    images.check(world.source(vm))


def test_names_modes_and_a_free_port(off, work, pull):
    vm = off
    vm.cli.run("checkpoint-create-as", vm.name, "c1")
    put(vm, 2 * MIB, MIB, 2)
    # The client's name for its bitmap is that of one which the image has.
    pull.begin(server="<server name='127.0.0.1'/>", more={
        "vda": "<disk name='vda' backup='yes' type='file' backupmode='incremental' "
               "incremental='c1' exportname='left' exportbitmap='c1'/>",
        "vdb": "<disk name='vdb' backup='yes' type='file' backupmode='full'/>",
    })
    document = xml.fromstring(vm.cli.run("backup-dumpxml", vm.name).data["xml"])
    base = f"nbd://127.0.0.1:{document.find('server').get('port')}"
    found = images.tool("nbdinfo", "--map=qemu:dirty-bitmap:c1", f"{base}/left").stdout
    assert "2097152     1048576    1  dirty" in found
    assert "dirty-bitmap" not in images.tool("nbdinfo", f"{base}/vdb").stdout
    pull.end()


def test_nothing_changes_while_it_is_served(off, work, pull):
    vm = off
    vm.cli.run("checkpoint-create-as", vm.name, "c1")
    vm.cli.run("snapshot-create-as", vm.name, "s1", "--disk-only")
    pull.begin()
    before = world.look(vm, work)
    for words in (("start", vm.name), ("undefine", vm.name),
                  ("snapshot-create-as", vm.name, "s2", "--disk-only"),
                  ("snapshot-create-as", vm.name, "s2"),
                  ("snapshot-revert", vm.name, "s1"), ("snapshot-delete", vm.name, "s1"),
                  ("checkpoint-create-as", vm.name, "c2"), ("checkpoint-delete", vm.name, "c1"),
                  ("backup-begin", vm.name), pull.words(),
                  ("backup-create", vm.name, work / "repository"), ("fsck", vm.name, "--repair")):
        refused(vm.cli, *words, status=5, says=(vm.name, "pull backup", "domjobabort"))
        refused(vm.cli, *words, "--dry-run", status=5, says=("domjobabort",))
    # Looking is for everybody.
    for words in (("fsck", vm.name), ("domblkinfo", vm.name, "--all"), ("domstate", vm.name),
                  ("snapshot-list", vm.name), ("checkpoint-info", vm.name, "c1")):
        vm.cli.run(*words)
    assert vm.cli.run("recover", vm.name).data == {"settled": []}
    assert world.look(vm, work) == before
    refused(vm.cli, "backup-begin", vm.name, pull.document(), "--wait", status=5)
    assert same(pull.copy("vda"), pull.live("vda"))
    pull.end()
    refused(vm.cli, "domjobabort", vm.name, status=3)
    vm.cli.run("snapshot-delete", vm.name, "s1")


def test_what_cannot_be_served_is_refused_with_nothing_changed(off, work, pull):
    vm = off
    before = world.look(vm, work)

    def still(*words, **how):
        refused(vm.cli, *words, **how)
        assert not servers(vm)
        (work / "pull.xml").unlink()
        assert world.look(vm, work) == before

    still(*pull.words(since="c9"), status=3, says=("vm", "'vda'", "'c9'"))
    still(*pull.words(), "--wait", status=2, says=("domjobabort",))
    # Somebody else has an image open, or is at that address.
    handle = images.opened(work / "vm-vdb.qcow2", writable=True)
    still(*pull.words(), status=5, says=("vdb", "lock"))
    handle.shutdown()
    plan = vm.cli.run(*pull.words(checkpoint="c1"), "--dry-run").data
    said = [step["describe"] for step in plan["steps"]]
    assert len(said) == 2 and "bitmaps" in said[0] and str(pull.socket) in said[1], plan
    assert world.names(vm, "checkpoint") == [] and not servers(vm)


def test_a_server_that_is_killed_ends_it_as_failed_with_all_bits(off, work, pull):
    vm = off
    pull.begin(checkpoint="c1")
    server = servers(vm)[0]
    server.kill()
    assert server.has_ended(60)
    said = vm.cli.run("recover", vm.name).data["settled"]
    assert len(said) == 1 and "failed" in said[0], said
    about = info(vm, "--completed")
    assert about["state"] == "failed" and "storage daemon" in about["error"], about
    assert not pull.socket.exists()
    put(vm, MIB, MIB, 1)
    pull.begin(since="c1")
    assert pull.dirty("vda") == [(MIB, MIB)]
    pull.end()
    images.check(world.source(vm))


# More points than any operation has; the loop ends when one is not reached.
MOST = 60


@pytest.mark.parametrize("fault", ["kill", "fail"])
def test_a_cut_beginning_serves_or_never_was_and_a_cut_end_is_an_end(off, work, pull, fault):
    vm = off
    put(vm, 0, MIB, 1)
    full = reference(pull, work)

    def look():
        now = world.look(vm, work)
        now["files"].pop("copy-vda.raw", None)
        return now

    before = look()

    def cut(n, words):
        return vm.cli.run(*words, check=False, fault=f"{fault}@{n}")

    for n in itertools.count(1):
        assert n < MOST, "the operation never gets through"
        result = cut(n, pull.words(checkpoint="c"))
        (work / "checkpoint.xml").unlink()
        vm.cli.run("recover", vm.name)
        assert vm.cli.run("recover", vm.name).data == {"settled": []}
        if info(vm)["state"] == "none":
            assert result.status != 0
            assert look() == before and not servers(vm), f"cut at {n}"
            assert not pull.socket.exists(), f"cut at {n}"
            continue
        assert same(pull.copy("vda"), full["vda"]), f"cut at {n}"
        pull.end()
        vm.cli.run("checkpoint-delete", vm.name, "c")
        if result.status == 0:
            break

    for n in itertools.count(1):
        assert n < MOST, "the operation never gets through"
        pull.begin()
        result = cut(n, ["domjobabort", vm.name])
        vm.cli.run("recover", vm.name)
        if info(vm)["state"] == "running":
            assert result.status != 0
            assert same(pull.copy("vda"), full["vda"]), f"cut at {n}"
            pull.end()
        assert info(vm, "--completed")["state"] == "completed", f"cut at {n}"
        assert not servers(vm) and not pull.socket.exists(), f"cut at {n}"
        if result.status == 0:
            break
    assert look() == before
