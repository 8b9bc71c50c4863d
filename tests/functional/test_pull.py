# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pull backups: what other people's NBD clients get, and what is left when it is over."""

import itertools
import socket
import subprocess
import xml.etree.ElementTree as xml

import nbd
import pytest
from vmtest import images, world
from vmtest.images import MIB
from vmtest.pull import DISKS, Pull, info, same
from vmtest.world import refused

SIZE = 32 * MIB


@pytest.fixture
def pull(off, work):
    return Pull(off, work)


def left_in_qemu(vm):
    """What a backup may have put into QEMU."""
    found = [node for node in world.nodes(vm)
             if any(word in node[0] for word in ("scratch", "filter", "instant", "target"))]
    return found + vm.spy.execute("query-jobs") + vm.spy.execute("query-block-exports")


def test_a_pull_serves_one_instant_and_its_increments_are_exact(made, work, pull):
    vm, guest = made
    guest.write("vda", 0, 4 * MIB, 1)
    guest.write("vdb", 0, MIB, 2)
    reference = {disk: pull.live(disk).rename(work / f"ref-{disk}") for disk in DISKS}
    pull.begin(checkpoint="c1")
    guest.write("vda", MIB, 2 * MIB, 3)
    guest.write("vdb", 8 * MIB, MIB, 4)
    copies = {disk: pull.copy(disk) for disk in DISKS}
    for disk in DISKS:
        assert same(copies[disk], reference[disk]), "what is written meanwhile is not seen"
    # 3 MiB were first touched: that much is kept, and not much more.
    about = info(vm)
    assert about["state"] == "running" and 2 * MIB <= about["scratch_used"] < 6 * MIB, about
    assert about["scratch_total"] == 2 * SIZE
    pull.end()
    assert info(vm, "--completed")["state"] == "completed"
    assert not list(work.glob("scratch-*")) and not pull.socket.exists()
    assert not left_in_qemu(vm)

    guest.write("vda", 20 * MIB, MIB, 5)
    reference = {disk: pull.live(disk).rename(work / f"ref-{disk}") for disk in DISKS}
    pull.begin(since="c1", checkpoint="c2")
    guest.write("vda", 21 * MIB, MIB, 6)
    assert pull.dirty("vda") == [(MIB, 2 * MIB), (20 * MIB, MIB)], "not what came later"
    assert pull.apply_increment("vda", copies["vda"]) == 3 * MIB
    assert pull.apply_increment("vdb", copies["vdb"]) == MIB
    for disk in DISKS:
        assert same(copies[disk], reference[disk])
    pull.end()

    pull.begin(since="c2")
    assert pull.dirty("vda") == [(21 * MIB, MIB)]
    assert pull.dirty("vdb") == []
    pull.end()
    assert world.names(vm, "checkpoint") == ["c1", "c2"]
    assert not left_in_qemu(vm)


def test_four_standard_clients_at_once(made, work, pull):
    vm, guest = made
    guest.write("vda", 0, 8 * MIB, 7)
    reference = pull.live("vda").rename(work / "ref")
    pull.begin(disks=("vda",))
    guest.write("vda", 0, 8 * MIB, 8)
    uri = pull.uri("vda")
    clients = [
        ["nbdcopy", uri, work / "1.raw"],
        ["nbdcopy", "--synchronous", uri, work / "2.raw"],
        ["qemu-img", "convert", "-O", "raw", uri, work / "3.raw"],
        ["qemu-img", "convert", "-W", "-O", "raw", uri, work / "4.raw"],
    ]
    running = [subprocess.Popen([str(word) for word in argv]) for argv in clients]
    assert [process.wait(120) for process in running] == [0] * 4
    for n in range(1, 5):
        assert same(work / f"{n}.raw", reference), f"client {n}"
    # It can only be read.
    handle = nbd.NBD()
    handle.connect_uri(uri)
    assert handle.is_read_only()
    # Who is connected does not keep it from ending.
    pull.end()
    assert not left_in_qemu(vm)


def test_names_modes_and_a_free_port(made, work, pull):
    vm, guest = made
    guest.write("vda", 0, MIB, 1)
    vm.cli.run("checkpoint-create-as", vm.name, "c1")
    guest.write("vda", 2 * MIB, MIB, 2)
    for name in ("mine", "mine-too"):
        images.create(work / name, SIZE)
    pull.begin("--reuse-external", server="<server name='127.0.0.1'/>", more={
        "vda": "<disk name='vda' backup='yes' type='file' backupmode='incremental' "
               "incremental='c1' exportname='left' exportbitmap='since'>"
               f"<scratch file='{work}/mine'/></disk>",
        "vdb": "<disk name='vdb' backup='yes' type='file' backupmode='full'>"
               f"<scratch file='{work}/mine-too'/></disk>",
    })
    document = xml.fromstring(vm.cli.run("backup-dumpxml", vm.name).data["xml"])
    port = document.find("server").get("port")
    assert document.find("disks/disk[@name='vda']").get("exportname") == "left"
    base = f"nbd://127.0.0.1:{port}"
    found = images.tool("nbdinfo", "--map=qemu:dirty-bitmap:since", f"{base}/left").stdout
    assert "2097152     1048576    1  dirty" in found
    assert "backup-" not in images.tool("nbdinfo", f"{base}/vdb").stdout, "a full one has no bitmap"
    pull.end()
    assert (work / "mine").exists() and (work / "mine-too").exists(), "they are the caller's"
    assert not left_in_qemu(vm)


def test_what_cannot_be_served_is_refused_with_nothing_changed(made, work, pull):
    vm, _ = made
    before = world.look(vm, work)

    def look():
        now = world.look(vm, work)
        now["files"].pop(pull.socket.name, None)
        return now

    def still(*words, **how):
        refused(vm.cli, *words, **how)
        (work / "pull.xml").unlink()
        assert look() == before and not list(work.glob("scratch-*"))

    still(*pull.words(since="c9"), status=3, says=("vm", "'vda'", "'c9'"))
    still(*pull.words(), "--wait", status=2, says=("domjobabort",))
    # Somebody else is at that address, or keeps something there.
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(pull.socket))
        listener.listen()
        still(*pull.words(), status=5, says=(pull.socket, "listens"))
    pull.socket.unlink()
    pull.socket.write_text("precious")
    still(*pull.words(), status=4, says=(pull.socket, "not a socket"))
    assert pull.socket.read_text() == "precious"
    pull.socket.unlink()
    # QEMU's one server is somebody else's.
    other = work / "other.sock"
    vm.spy.execute("nbd-server-start", {"addr": {"type": "unix", "data": {"path": str(other)}}})
    still(*pull.words(), status=5, says=("somebody else uses it",))
    assert images.tool("nbdinfo", "--list", f"nbd+unix:///?socket={other}")
    vm.spy.execute("nbd-server-stop")
    # And one backup at a time.
    pull.begin()
    refused(vm.cli, *pull.words(), status=5, says=("running already",))
    pull.end()
    assert world.look(vm, work)["nodes"] == before["nodes"]
    refused(vm.cli, "domjobabort", vm.name, status=3)


def test_a_snapshot_beneath_a_pull_stays_where_it_is(made, work, pull):
    vm, guest = made
    guest.write("vda", 0, MIB, 1)
    reference = pull.live("vda").rename(work / "ref")
    pull.begin()
    guest.write("vda", MIB, MIB, 2)
    vm.cli.run("snapshot-create-as", vm.name, "s1", "--disk-only")
    guest.write("vda", 0, MIB, 3)
    assert same(pull.copy("vda"), reference)
    # What is below must stay as it is.
    for words in (("snapshot-revert", vm.name, "s1", "--paused"),
                  ("snapshot-delete", vm.name, "s1")):
        refused(vm.cli, *words, status=5, says=("pull backup", "domjobabort"))
    assert same(pull.copy("vda"), reference)
    pull.end()
    assert world.source(vm) == str(work / "vm-vda.s1")
    guest.write("vda", 2 * MIB, MIB, 4)
    for offset, byte in ((0, 3), (MIB, 2), (2 * MIB, 4)):
        assert world.holds(work / "vm-vda.s1", offset, MIB, byte, live=True)
    assert not left_in_qemu(vm)


def test_ram_is_saved_beneath_a_pull_while_the_guest_runs_or_not_at_all(made, work, pull):
    """QEMU finds out at the very end of a save that it cannot; nobody is to wait for that."""
    vm, guest = made
    pull.begin()
    before = world.look(vm, work)
    refused(vm.cli, "snapshot-create-as", vm.name, "s1", "--memspec", work / "ram", status=5,
            says=(vm.name, "pull backup", "domjobabort", "--live"))
    assert world.look(vm, work) == before and not (work / "ram").exists()
    vm.cli.run("resume", vm.name)
    vm.cli.run("snapshot-create-as", vm.name, "s2", "--live", "--memspec", work / "ram")
    assert vm.cli.run("domstate", vm.name).data["state"] == "running"
    vm.cli.run("suspend", vm.name)
    assert pull.copy("vda")
    pull.end()
    vm.cli.run("snapshot-create-as", vm.name, "s3", "--memspec", work / "ram3")


def test_qemu_that_goes_takes_the_backup_with_it_and_no_dirty_bit(made, work, pull):
    vm, guest = made
    pull.begin(checkpoint="c1")
    guest.write("vda", MIB, MIB, 1)
    vm.spy.execute("quit")
    vm.close()
    vm.cli.run("recover", vm.name)
    about = info(vm, "--completed")
    assert about["state"] == "failed" and "process ended" in about["error"], about
    assert not list(work.glob("scratch-*")) and not pull.socket.exists()
    # The checkpoint was made, and has recorded since.
    assert world.names(vm, "checkpoint") == ["c1"]
    vm.cli.run("start", vm.name, "--paused")
    pull.begin(since="c1")
    assert pull.dirty("vda") == [(MIB, MIB)]
    pull.end()


def test_a_server_or_export_that_others_stop_ends_it_as_failed(made, work, pull):
    vm, _ = made
    pull.begin()
    vm.spy.execute("nbd-server-stop")
    result = vm.cli.run("domjobabort", vm.name, check=False)
    about = info(vm, "--completed")
    assert about["state"] == "failed" and "exports" in about["error"], (about, result)
    assert not left_in_qemu(vm) and not list(work.glob("scratch-*"))


# More points than any operation has; the loop ends when one is not reached.
MOST = 60


@pytest.mark.parametrize("fault", ["kill", "fail"])
def test_a_cut_pull_runs_or_never_was_and_a_cut_end_is_an_end(made, work, pull, fault):
    vm, guest = made
    vm.cli.run("resume", vm.name)  # the firmware looks for something to boot; that is enough
    guest.write("vda", 0, MIB, 1)
    reference = pull.live("vda").rename(work / "ref")
    before = (world.nodes(vm), world.names(vm, "checkpoint"))

    def cut(n, words):
        return vm.cli.run(*words, check=False, fault=f"{fault}@{n}")

    for n in itertools.count(1):
        assert n < MOST, "the operation never gets through"
        result = cut(n, pull.words(checkpoint="c"))
        vm.cli.run("recover", vm.name)
        assert vm.cli.run("recover", vm.name).data == {"settled": []}
        assert vm.spy.status() == "running", f"cut at {n}"
        if info(vm)["state"] == "none":
            assert result.status != 0
            assert (world.nodes(vm), world.names(vm, "checkpoint")) == before, f"cut at {n}"
            assert not list(work.glob("scratch-*")) and not pull.socket.exists(), f"cut at {n}"
            continue
        assert same(pull.copy("vda"), reference), f"cut at {n}"
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
            assert same(pull.copy("vda"), reference), f"cut at {n}: never torn"
            pull.end()
        assert info(vm, "--completed")["state"] == "completed", f"cut at {n}"
        assert not left_in_qemu(vm) and not list(work.glob("scratch-*")), f"cut at {n}"
        if result.status == 0:
            break
