# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures of the functional tests; the tools behind them are in vmtest."""

import contextlib
import os
import signal
import subprocess
import time

import pytest
from vmtest import images, workdir, world
from vmtest.bare import BareMachine
from vmtest.cli import Vmpoint
from vmtest.domain import GuestImage
from vmtest.network import ROOM, SIZE, NetworkDisk, Server
from vmtest.pids import LeftBehind, Processes
from vmtest.vm import Vm


def pytest_addoption(parser):
    parser.addoption(
        "--accel", choices=("tcg", "kvm"), default="tcg",
        help="what runs the guests; kvm only where you know that it works, nobody looks",
    )
    parser.addoption(
        "--minutes", type=float, default=float("inf"), metavar="N",
        help="begin no test after that time; the run then counts as interrupted",
    )


no_test_after = pytest.StashKey()


def pytest_configure(config):
    config.stash[no_test_after] = time.monotonic() + config.getoption("--minutes") * 60
    # Whoever ends us politely lets us end what we have started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A shell has its background jobs ignore it, and so would the programs that we start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    """Let no test begin that may not have the time to end in good order."""
    if time.monotonic() < item.config.stash[no_test_after]:
        return None
    item.session.shouldstop = f"the time is up before {item.nodeid}"
    return True


def pytest_unconfigure():
    """Clean up after a test that was interrupted while it did so itself."""
    for path in list(workdir.made):
        with contextlib.suppress(LeftBehind):
            Processes(path).finish()
        workdir.remove(path)


@pytest.fixture(scope="session")
def accel(request):
    return request.config.getoption("--accel")


@pytest.fixture(scope="session")
def guest_image():
    """The kernel and initramfs that nearly every test boots."""
    return GuestImage.build()


@pytest.fixture(scope="session")
def generic_image():
    """The same with Debian's generic kernel, which also knows SATA and USB."""
    return GuestImage.build("generic")


@pytest.fixture
def work():
    """A folder for this test, with a path short enough for sockets."""
    path = workdir.make()
    yield path
    workdir.remove(path)


@pytest.fixture
def small(work):
    """A folder with room for 4 MiB."""
    folder = work / "small"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", folder],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount a small file system: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    """Folders of certificates: of the server, of a client, of one whom nobody knows, and of one who
    knows another authority."""
    root = tmp_path_factory.mktemp("pki")

    def openssl(*words):
        images.tool("openssl", *words)

    def authority(name):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                f"/CN={name}", "-keyout", root / f"{name}.key", "-out", root / f"{name}.pem",
                "-addext", "basicConstraints=critical,CA:true",
                "-addext", "keyUsage=critical,keyCertSign")

    def holder(ca, folder, role):
        (root / folder).mkdir(exist_ok=True)
        key, ask, cert = (root / folder / f"{role}-{end}" for end in ("key.pem", "ask", "cert.pem"))
        extensions = root / f"{folder}.ext"
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n"
                              "keyUsage=digitalSignature,keyEncipherment\n"
                              f"extendedKeyUsage={role}Auth\n")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={role}", "-keyout", key,
                "-out", ask)
        openssl("x509", "-req", "-in", ask, "-CA", root / f"{ca}.pem", "-CAkey",
                root / f"{ca}.key", "-CAcreateserial", "-days", "2", "-extfile", extensions,
                "-out", cert)

    authority("ours")
    authority("other")
    holder("ours", "server", "server")
    holder("ours", "client", "client")
    holder("other", "stranger", "client")
    holder("ours", "misled", "client")
    (root / "misled" / "ca-cert.pem").write_bytes((root / "other.pem").read_bytes())
    for folder in ("server", "client", "stranger"):
        (root / folder / "ca-cert.pem").write_bytes((root / "ours.pem").read_bytes())
    return root


@pytest.fixture
def processes(work):
    """All processes of this test; it fails if one is left behind."""
    found = Processes(work)
    yield found
    found.finish()


@pytest.fixture
def vmpoint(work, processes):
    """The program, with a store, sockets and locks of this test alone."""
    program = os.environ.get("VMPOINT_PROGRAM")
    if not program:
        pytest.skip("VMPOINT_PROGRAM does not name the program to test (scripts/test sets it)")
    if not os.access(program, os.X_OK):
        pytest.fail(f"VMPOINT_PROGRAM={program}: not a program")
    return Vmpoint(program, work, processes)


@pytest.fixture
def make_vm(vmpoint, guest_image, work, accel):
    """make_vm(...) describes a domain, not yet defined; see Vm.make."""
    made = []

    def make(**how):
        vm = Vm.make(vmpoint, how.pop("image", guest_image), work, accel=accel, **how)
        made.append(vm)
        return vm

    yield make
    for vm in made:
        vm.close()


@pytest.fixture
def vm(make_vm):
    """A domain with two virtio disks, run by vmpoint, its guest up."""
    return make_vm().define().start()


@pytest.fixture
def off(make_vm, request):
    """A domain with two disks that is off; its test file says of what SIZE."""
    return make_vm(size=request.module.SIZE).define()


@pytest.fixture
def made(off):
    """The same, started paused, and who writes in its guest's place."""
    return off, world.StandIn(off).start()


@pytest.fixture
def bare(processes, guest_image, work, accel):
    """bare(disks, ...) boots the guest without vmpoint; see BareMachine."""
    made = []

    def boot(disks, **how):
        machine = BareMachine(processes, how.pop("image", guest_image), work, disks, accel=accel, **how)
        made.append(machine)
        return machine

    yield boot
    for machine in made:
        machine.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A failed test shows what guest, QEMU and vmpoint said."""
    outcome = yield
    report = outcome.get_result()
    path = getattr(item, "funcargs", {}).get("work")
    if report.failed and path and path.exists():
        for pattern in ("*.console.log", "*.stderr", "vmpoint.log", "run/**/*.log"):
            for log in sorted(path.glob(pattern)):
                text = log.read_text(encoding="utf-8", errors="replace")
                report.sections.append((log.name, text[-8000:]))


@pytest.fixture
def make_server(processes, work):
    made = []

    def make(tcp=False):
        made.append(Server(processes, work / f"peer{len(made) or ''}.sock", tcp))
        return made[-1]

    yield make
    for server in made:
        server.end()


@pytest.fixture
def make_network_vm(make_vm, make_server, work):
    """A domain, defined, with vda behind a server and vdb in a file."""

    def make(image_format="qcow2", tcp=False, room=ROOM, **how):
        vm = make_vm(size=SIZE, **how)
        path = images.create(work / f"served.{image_format}", SIZE, image_format)
        if image_format == "qcow2":
            with path.open("ab") as file:
                file.truncate(room)
        server = make_server(tcp).serve(path, "export")
        vm.domain.disks[0] = NetworkDisk(path, "vda", format=image_format, server=server)
        return vm.define()

    return make
