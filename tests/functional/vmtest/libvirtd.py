# SPDX-License-Identifier: LGPL-2.1-or-later
"""A libvirtd of our own: another implementation of the same words.

It can not meet one that the machine may run.  As root it lives in a mount
namespace where all that libvirt knows by a fixed path is a folder of ours; as
anybody else it is that user's session daemon with XDG folders of ours.  It
loads libvirt's QEMU driver alone: nothing touches network or firewall.

Needs no more than Python itself: the benchmark uses it, too.
"""

import glob
import os
import select
import shlex
import shutil
import socket
import subprocess
from pathlib import Path

START_SECONDS = 60
COMMAND_SECONDS = 600
PACKAGES = ("libvirt-daemon-system", "libvirt-clients")

# What is switched off would only cost libvirt time.
QEMU_CONF = """\
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
"""
AS_ROOT = """\
user = "root"
group = "root"
"""

LIBVIRTD_CONF = """\
auth_unix_rw = "none"
unix_sock_rw_perms = "0700"
host_uuid_source = "machine-id"
log_outputs = "3:file:{log}"
"""

# To ask what a QEMU can do, libvirt starts it with KVM wherever it may write to
# /dev/kvm.  A file on a mount without leave to write is out of even root's reach.
PRIVATE = """\
cd "$1"
if [ -e /dev/kvm ]; then
    : >no-kvm
    mount --bind no-kvm /dev/kvm
    mount -o remount,bind,ro /dev/kvm
fi
mount --bind etc /etc/libvirt
mount --bind lib /var/lib/libvirt
mount --bind log /var/log/libvirt
mount --bind cache /var/cache/libvirt
mount --bind run /run
shift
exec "$@"
"""


DRIVERS = [
    Path(path) for folder in ("/usr/lib/*", "/usr/lib64", "/usr/lib")
    for path in glob.glob(f"{folder}/libvirt/connection-driver/libvirt_driver_qemu.so")
]


class VirshError(Exception):
    """A command of virsh that had to succeed did not."""


class Libvirtd:
    """start() to stop(); between them virsh() and, by other means, `uri`."""

    def __init__(self, processes, work):
        self.root = Path(work) / "libvirt"
        self.log = self.root / "libvirtd.log"
        self._processes = processes
        self._process = None

    @staticmethod
    def why_not():
        """Why there can be none on this machine; None if there can."""
        if not daemon() or not shutil.which("virsh"):
            return f"no libvirt here ({', '.join(PACKAGES)}): scripts/setup installs it"
        if is_root() and not may_mount():
            return "root may not make a mount namespace here, so libvirtd would not be private"
        return None

    @property
    def uri(self):
        kind = "system" if is_root() else "session"
        return f"qemu+unix:///{kind}?socket={self.root}/run/libvirt/libvirt-sock"

    def start(self):
        """Return when it answers."""
        for name in ("etc/libvirt", "lib", "log", "cache", "run", "drivers"):
            (self.root / name).mkdir(parents=True)
        for driver in DRIVERS:
            (self.root / "drivers" / driver.name).symlink_to(driver)
        # Root's etc is in the place of /etc/libvirt, a session's in that of ~/.config.
        if is_root():
            (self.root / "etc/qemu.conf").write_text(QEMU_CONF + AS_ROOT, encoding="utf-8")
        else:
            (self.root / "etc/libvirt/qemu.conf").write_text(QEMU_CONF, encoding="utf-8")
        config = self.root / "libvirtd.conf"
        config.write_text(LIBVIRTD_CONF.format(log=self.log), encoding="utf-8")

        with Readiness(self.root / "ready") as ready:
            with (self.root / "libvirtd.stderr").open("wb") as stderr:
                self._process = self._processes.start(
                    [*self._prefix(), daemon(), "--config", config],
                    env=self._environment(ready.path), stdout=stderr, stderr=stderr,
                )
            if not ready.wait(self._process.pid):
                raise RuntimeError(f"libvirtd did not start: {self.said()}")
        # It was ready to listen; it serves when its driver is up, or never.
        try:
            self.virsh("uri")
        except VirshError as error:
            raise RuntimeError(f"libvirtd ended: {self.said()}") from error
        return self

    def virsh(self, *arguments, check=True):
        """What virsh printed; its own words as VirshError if it failed."""
        argv = ["virsh", "--quiet", "--connect", self.uri, *map(str, arguments)]
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=COMMAND_SECONDS, env={**self._processes.environment(), "LC_ALL": "C.UTF-8"},
        )
        if check and done.returncode:
            raise VirshError(f"virsh {shlex.join(argv[4:])}: {done.stderr.strip()}")
        return done.stdout

    def said(self):
        """Its log, for who has to tell why something failed."""
        paths = [self.root / "libvirtd.stderr", self.log]
        return "".join(path.read_text(errors="replace") for path in paths if path.exists())

    def stop(self):
        """End the machines that it runs, then the daemon itself."""
        if self._process is None:
            return
        if self._process.poll() is None:
            for name in self.virsh("list", "--name").split():
                self.virsh("destroy", name)
            self._process.terminate()
        self._process.wait(START_SECONDS)
        self._process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def _prefix(self):
        if not is_root():
            return []
        return ["unshare", "--mount", "--propagation", "private",
                "sh", "-euc", PRIVATE, "sh", self.root]

    def _environment(self, ready):
        environment = {"NOTIFY_SOCKET": ready}
        if DRIVERS:
            environment["LIBVIRT_DRIVER_DIR"] = self.root / "drivers"
        if not is_root():
            environment.update(
                XDG_CONFIG_HOME=self.root / "etc", XDG_DATA_HOME=self.root / "lib",
                XDG_CACHE_HOME=self.root / "cache", XDG_RUNTIME_DIR=self.root / "run",
            )
        return {name: str(value) for name, value in environment.items()}


class Readiness:
    """Where a daemon says that it is ready, as it would say to systemd."""

    def __init__(self, path):
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))

    def wait(self, pid):
        """False if the process ends without having said so."""
        ended = os.pidfd_open(pid)
        try:
            while True:
                ready, _, _ = select.select([self._socket, ended], [], [], START_SECONDS)
                if self._socket not in ready:
                    return False
                if b"READY=1" in self._socket.recv(4096).split(b"\n"):
                    return True
        finally:
            os.close(ended)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()


def is_root():
    return os.geteuid() == 0


def daemon():
    # Not in an ordinary user's PATH.
    return shutil.which("libvirtd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def may_mount():
    done = subprocess.run(["unshare", "--mount", "--propagation", "private", "true"],
                          stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return done.returncode == 0
