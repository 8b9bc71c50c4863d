# SPDX-License-Identifier: LGPL-2.1-or-later
"""Backups to somebody's NBD server, and servers that stall, err or go away: nbdkit plays them."""

import itertools
import signal
import socket

import pytest
from vmtest import documents, images, world
from vmtest.images import MIB
from vmtest.world import refused

SIZE = 32 * MIB
DISKS = ("vda", "vdb")


class Server:
    """nbdkit with the files of a folder as its exports."""

    def __init__(self, processes, work):
        self.processes, self.work = processes, work
        self.folder = work / "served"
        self.folder.mkdir()
        self.socket = work / "peer.sock"
        self.trigger = work / "trigger"
        self.process = self.listener = self.port = None

    def serve(self, *options, filters=(), parameters=(), sizes=(SIZE, SIZE), tcp=False):
        for disk, size in zip(DISKS, sizes):
            with (self.folder / disk).open("ab") as file:
                file.truncate(size)
        # It gets the socket from us: connecting waits until it is up, and never fails.
        if self.listener:
            self.listener.close()
            self.socket.unlink(missing_ok=True)
        self.listener = socket.socket(socket.AF_INET if tcp else socket.AF_UNIX)
        self.listener.bind(("127.0.0.1", 0) if tcp else str(self.socket))
        self.listener.listen()
        self.port = self.listener.getsockname()[1] if tcp else None
        fd = self.listener.fileno()
        script = f'export LISTEN_PID=$$ LISTEN_FDS=1; exec nbdkit -f "$@" 3<&{fd}'
        self.process = self.processes.start(
            ["bash", "-c", script, "bash", *options, *(f"--filter={name}" for name in filters), "file",
             f"dir={self.folder}", *parameters], pass_fds=(fd,))
        return self

    def place(self, disk):
        """<target>, as a user writes it."""
        host = (f"<host name='127.0.0.1' port='{self.port}'/>" if self.port
                else f"<host transport='unix' socket='{self.socket}'/>")
        return f"<target protocol='nbd' name='{disk}'>{host}</target>"

    def uri(self, disk):
        return (f"nbd://127.0.0.1:{self.port}/{disk}" if self.port
                else f"nbd+unix:///{disk}?socket={self.socket}")

    def end(self):
        """As a host that goes away: nobody takes its connections any more."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.listener.close()
            self.socket.unlink(missing_ok=True)
        self.process = self.listener = None


@pytest.fixture
def server(processes, work):
    found = Server(processes, work)
    yield found
    found.end()


class Push:
    def __init__(self, vm, work, server):
        self.vm, self.work, self.server = vm, work, server
        self.guest = world.StandIn(vm).start()

    def words(self, since=None, checkpoint=None, places=None, driver=None):
        driver = f"<driver type='{driver}'/>" if driver else ""
        places = places or {disk: self.server.place(disk) for disk in DISKS}
        rows = "".join(f"<disk name='{disk}' type='network'>{driver}{place}</disk>"
                       for disk, place in places.items())
        rows += documents.left_out(set(DISKS) - set(places))
        return documents.begin(self.vm, self.work / "push.xml", rows, since, checkpoint)

    def live(self, disk):
        return images.read(world.source(self.vm, disk), 0, SIZE, live=True)

    def served(self, disk):
        """What others get from that server."""
        out = images.copy(self.server.uri(disk), self.work / f"copy-{disk}.raw")
        return out.read_bytes()[:SIZE]

    def left(self):
        nodes = [node[0] for node in world.nodes(self.vm)
                 if any(word in node[0] for word in ("scratch", "filter", "instant", "backup"))]
        return nodes + self.vm.spy.execute("query-jobs") + list(self.work.rglob("*.scratch"))

    def increment_is_whole(self, since):
        """No dirty bit is lost: an increment to files of our own has all."""
        document = self.work / "local.xml"
        rows = "".join(f"<disk name='{disk}' type='file'><target file='{self.work}/local-{disk}'/></disk>"
                       for disk in DISKS)
        document.write_text(f"<domainbackup><incremental>{since}</incremental><disks>{rows}</disks>"
                            "</domainbackup>")
        self.vm.cli.run("backup-begin", self.vm.name, document, "--wait")
        return document


@pytest.fixture
def push(make_vm, work, server):
    return Push(make_vm(size=SIZE).define(), work, server)


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_full_and_increment_are_exact_at_the_server(push, transport):
    vm, guest, server = push.vm, push.guest, push.server
    server.serve(tcp=transport == "tcp", sizes=(SIZE, SIZE + 5 * MIB))
    before = world.nodes(vm)
    for disk in DISKS:
        guest.write(disk, 0, 4 * MIB, 1)
    vm.cli.run(*push.words(checkpoint="c1"), "--wait")
    for disk in DISKS:
        assert push.served(disk) == push.live(disk)

    guest.write("vda", MIB, MIB, 2)
    vm.cli.run("snapshot-create-as", vm.name, "s1", "--disk-only")
    guest.write("vda", 20 * MIB, MIB, 3)
    # What the increment does not copy stays as it is at the server.
    (server.folder / "vda").open("r+b").write(b"mark")
    vm.cli.run(*push.words(since="c1", checkpoint="c2"), "--wait")
    assert push.served("vda")[:4] == b"mark"
    assert push.served("vda")[4:] == push.live("vda")[4:]
    assert push.served("vdb") == push.live("vdb")
    assert not push.left() and len(world.nodes(vm)) == len(before) + 4

    text = vm.cli.run("domjobinfo", vm.name, "--completed").data
    assert text["state"] == "completed", text


def test_a_qcow2_image_in_an_export(push):
    server = push.server.serve(sizes=(2 * SIZE, 2 * SIZE))
    for disk in DISKS:
        push.guest.write(disk, MIB, 4 * MIB, 1)
        images.tool("qemu-img", "create", "-q", "-f", "qcow2", server.uri(disk), SIZE)
    push.vm.cli.run(*push.words(driver="qcow2"), "--wait", "--compress")
    for disk in DISKS:
        copy = push.work / f"{disk}.raw"
        images.tool("qemu-img", "convert", "-f", "qcow2", "-O", "raw", server.uri(disk), copy)
        assert copy.read_bytes() == push.live(disk)
    assert not push.left()


def test_servers_that_cannot_be_used_are_refused(push):
    vm, server = push.vm, push.server
    vm.cli.run("checkpoint-create-as", vm.name, "c0")
    before = world.look(vm, push.work)

    def is_refused(words, status, *says):
        refused(vm.cli, *words, status=status, says=says)
        for name in ("push.xml", "c1.xml"):
            (push.work / name).unlink(missing_ok=True)
        assert world.look(vm, push.work) == before

    is_refused(push.words(checkpoint="c1"), 13, "vda", "peer.sock")
    server.serve(sizes=(SIZE, SIZE - 512))
    is_refused(push.words(checkpoint="c1"), 13, "'vdb'", str(SIZE), str(SIZE - 512))
    is_refused(push.words(places={"vda": server.place("none")}), 13, "'vda'", "none")
    is_refused(push.words(places={"vda": server.place("vda"), "vdb": server.place("vda")}), 2, "share")
    server.end()
    server.serve("-r")
    is_refused(push.words(checkpoint="c1"), 13, "'vda'", "read-only")
    server.end()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(server.socket))
        silent.listen()
        is_refused(push.words(checkpoint="c1"), 9, "'vda'", "no answer")
    server.socket.unlink()


# ---- TLS ----


def serve_tls(server, pki, tcp):
    return server.serve("--tls=require", f"--tls-certificates={pki / 'server'}", "--tls-verify-peer",
                        tcp=tcp)


def secret(server):
    return {disk: server.place(disk).replace("protocol='nbd'", "protocol='nbd' tls='yes'")
            for disk in DISKS}


def has_arrived(push):
    return all((push.server.folder / disk).read_bytes() == push.live(disk) for disk in DISKS)


@pytest.mark.parametrize("tcp", [True, False])
def test_tls_keeps_what_is_pushed_between_the_two(push, pki, monkeypatch, tcp):
    vm, server = push.vm, serve_tls(push.server, pki, tcp)
    monkeypatch.setenv("VMPOINT_TLS_DIR", str(pki / "client"))
    push.guest.write("vda", 0, 4 * MIB, 1)
    vm.cli.run(*push.words(checkpoint="c1", places=secret(server)), "--wait")
    assert has_arrived(push)
    push.guest.write("vda", 2 * MIB, 4 * MIB, 2)
    assert not has_arrived(push)
    vm.cli.run(*push.words(since="c1", places=secret(server)), "--wait")
    assert has_arrived(push)
    assert not push.left()
    assert not [row for row in vm.spy.execute("qom-list", {"path": "/objects"}) if "tls" in row["name"]]


def test_tls_of_a_domain_that_is_off(make_vm, work, server, pki, monkeypatch):
    vm = make_vm(size=SIZE).define()
    serve_tls(server, pki, True)
    monkeypatch.setenv("VMPOINT_TLS_DIR", str(pki / "client"))
    images.write_pattern(vm.disks[0].path, 0, MIB, "off")
    document = work / "push.xml"
    rows = "".join(f"<disk name='{disk}' type='network'>{place}</disk>"
                   for disk, place in secret(server).items())
    document.write_text(f"<domainbackup><disks>{rows}</disks></domainbackup>")
    vm.cli.run("backup-begin", vm.name, document)
    images.require_pattern(server.folder / "vda", 0, MIB, "off", image_format="raw")


def test_whom_tls_does_not_trust_gets_nothing(push, pki, work, monkeypatch):
    vm, server = push.vm, serve_tls(push.server, pki, True)
    before = world.look(vm, work)

    def is_refused(places, status, *says):
        refused(vm.cli, *push.words(places=places), status=status, says=("'vda'", *says))
        (work / "push.xml").unlink()
        assert world.look(vm, work) == before

    monkeypatch.setenv("VMPOINT_TLS_DIR", str(work))
    is_refused(secret(server), 3, "ca-cert.pem", "VMPOINT_TLS_DIR")
    monkeypatch.setenv("VMPOINT_TLS_DIR", str(pki / "misled"))
    is_refused(secret(server), 13, "nbds://", "certificate")
    monkeypatch.setenv("VMPOINT_TLS_DIR", str(pki / "stranger"))
    is_refused(secret(server), 13, "nbds://")
    is_refused({disk: server.place(disk) for disk in DISKS}, 13, "nbd://", "TLS")
    assert not any((server.folder / disk).read_bytes().strip(b"\0") for disk in DISKS)


# ---- trouble in the middle ----


def begin_slowly(push, **how):
    push.vm.cli.run(*push.words(**how), "--bandwidth", "1")
    assert push.vm.cli.run("domjobinfo", push.vm.name).data["state"] == "running"


def concluded(vm, job):
    while not [row for row in vm.spy.execute("query-jobs")
               if row["id"] == job and row["status"] == "concluded"]:
        vm.spy.wait_event("JOB_STATUS_CHANGE", id=job, status="concluded")


@pytest.mark.parametrize("trouble", ["error", "gone"])
def test_a_server_that_fails_in_the_middle_fails_the_backup_alone(push, trouble):
    vm, guest, server = push.vm, push.guest, push.server
    server.serve(filters=["error"], parameters=[
        "error-pwrite=ENOSPC", "error-pwrite-rate=100%", f"error-file={server.trigger}"])
    for disk in DISKS:
        guest.write(disk, 0, 16 * MIB, 1)
    vm.cli.run(*push.words(checkpoint="c1"), "--wait")
    for disk in DISKS:
        guest.write(disk, 0, 16 * MIB, 2)
    begin_slowly(push, since="c1", checkpoint="c2")
    server.end() if trouble == "gone" else server.trigger.touch()
    concluded(vm, "vmp-backup-vda")
    for disk in DISKS:
        guest.write(disk, 0, 8 * MIB, 3)
    vm.cli.run("recover", vm.name)
    about = vm.cli.run("domjobinfo", vm.name, "--completed").data
    assert about["state"] == "failed", about
    assert ("No space left" if trouble == "error" else "Input/output error") in about["error"], about
    assert not push.left()
    push.increment_is_whole("c1")
    for disk in DISKS:
        assert world.holds(push.work / f"local-{disk}", 0, 8 * MIB, 3)
        assert world.holds(push.work / f"local-{disk}", 8 * MIB, 8 * MIB, 2)


def test_a_server_that_stalls_does_not_hold_the_guest(push):
    vm, guest, server = push.vm, push.guest, push.server
    for disk in DISKS:
        guest.write(disk, 0, 16 * MIB, 1)
    server.serve(filters=["delay"], parameters=["wdelay=3600"])
    vm.cli.run(*push.words(checkpoint="c1"))
    # Every write of the job waits for an hour; those of the guest do not.
    for disk in DISKS:
        guest.write(disk, 0, 16 * MIB, 2)
    about = vm.cli.run("domjobinfo", vm.name).data
    assert about["state"] == "running" and about["scratch_used"] >= 32 * MIB, about
    # Paused, QEMU would wait with the job: not for a server of which nothing is heard.
    server.process.send_signal(signal.SIGSTOP)
    refused(vm.cli, "suspend", vm.name, status=5, says=("domjobabort",))
    server.process.send_signal(signal.SIGCONT)
    vm.cli.run("domjobabort", vm.name)
    assert vm.cli.run("domjobinfo", vm.name, "--completed").data["state"] == "cancelled"
    assert not push.left()
    for disk in DISKS:
        guest.write(disk, 0, 16 * MIB, 3)


def test_a_machine_whose_backup_stalls_can_be_ended(push):
    vm, server = push.vm, push.server
    push.guest.write("vda", 0, 16 * MIB, 1)
    server.serve(filters=["delay"], parameters=["wdelay=3600"])
    vm.cli.run(*push.words(checkpoint="c1"))
    vm.close()
    vm.cli.run("destroy", vm.name)
    about = vm.cli.run("domjobinfo", vm.name, "--completed").data
    assert about["state"] == "failed" and "process" in about["error"], about
    assert not list(push.work.rglob("*.scratch"))
    images.check(vm.disks[0].path)
    assert "in-use" not in images.bitmaps(vm.disks[0].path)["c1"]["flags"], "QEMU ended by itself"


@pytest.mark.parametrize("fault", ["kill", "fail"])
def test_a_push_over_the_network_that_is_cut_leaves_nothing_and_loses_nothing(push, fault):
    vm, guest, server = push.vm, push.guest, push.server
    server.serve()
    guest.write("vda", 0, MIB, 1)
    vm.cli.run(*push.words(checkpoint="c1"), "--wait")
    for n in itertools.count(1):
        guest.write("vda", n * 64 * 1024, 64 * 1024, n)
        done = vm.cli.run(*push.words(since="c1", checkpoint=f"k{n}"), "--wait", check=False,
                          fault=f"{fault}@{n}")
        # One that began runs on in QEMU, and is settled when it has ended.
        while any(job["status"] != "concluded" for job in vm.spy.execute("query-jobs")):
            vm.spy.wait_event("JOB_STATUS_CHANGE", status="concluded")
        vm.cli.run("recover", vm.name)
        assert not push.left(), f"cut at {n}"
        if done.status == 0:
            break
        if f"k{n}" in world.names(vm, "checkpoint"):
            vm.cli.run("checkpoint-delete", vm.name, f"k{n}")
    assert n > 8
    for disk in DISKS:
        assert push.served(disk) == push.live(disk)


def test_a_domain_that_is_off_is_pushed_as_well(make_vm, work, server):
    vm = make_vm(size=SIZE).define()
    images.write_pattern(vm.disks[0].path, 0, 2 * MIB, "off")
    server.serve()
    rows = "".join(f"<disk name='{disk}' type='network'>{server.place(disk)}</disk>" for disk in DISKS)
    document = work / "push.xml"
    document.write_text(f"<domainbackup><disks>{rows}</disks></domainbackup>")
    vm.cli.run("backup-begin", vm.name, document, "--wait")
    copy = images.copy(server.uri("vda"), work / "copy.raw")
    images.require_pattern(copy, 0, 2 * MIB, "off", image_format="raw")
    assert not list(work.rglob("*.scratch"))


def test_a_domain_that_is_off_loses_one_disk_and_ends_all(make_vm, work, server, small):
    vm = make_vm(size=SIZE).define()
    for disk in vm.disks:
        images.write_pattern(disk.path, 0, 16 * MIB, "off")
    server.serve()
    document = work / "push.xml"
    document.write_text("<domainbackup><disks><disk name='vda' type='file'>"
                        f"<target file='{small}/full'/></disk><disk name='vdb' type='network'>"
                        f"{server.place('vdb')}</disk></disks></domainbackup>")
    said = refused(vm.cli, "backup-begin", vm.name, document, "--wait", "--bandwidth", "2", status=13,
                   says=("'vda'", "No space left"))
    assert "vdb" not in said and not list(small.iterdir())
    assert vm.cli.run("domjobinfo", vm.name, "--completed").data["state"] == "failed"
