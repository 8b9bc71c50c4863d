# SPDX-License-Identifier: LGPL-2.1-or-later
"""The test guest, through its serial console.

tests/guest/init says how guest and host speak, tests/guest/commands.sh what
the guest can be asked.
"""

import re
import select
import shlex
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path

from . import pattern
from .waiting import Deadline

UP = re.compile(rb"^\[vm up\] after ([0-9.]+) s", re.MULTILINE)

# Generous: the time is for a machine under load, a good one needs two seconds.
BOOT_SECONDS = 180
COMMAND_SECONDS = 120


class GuestError(Exception):
    """A command in the guest failed."""


class GuestGone(Exception):
    """The console was closed: the machine is no more."""


@dataclass(frozen=True)
class Answer:
    status: int
    output: str


@dataclass(frozen=True)
class WriterState:
    """See writer_start in the guest's commands."""

    generation: int
    oldest: int
    newest: int
    torn: int
    why: str

    def is_one_instant(self):
        return self.torn == 0 and self.newest - self.oldest in (0, 1)


class Guest:
    """A remote hand on the console that QEMU serves at a unix socket."""

    def __init__(self, console, log=None):
        self.console = Path(console)
        self._log = Path(log) if log else None
        self._socket = None
        self._unread = b""

    # --- The console ---------------------------------------------------------

    def connect(self):
        """Take the console up, for the first time or again after a revert."""
        self.close()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(self.console))
        self._socket.setblocking(False)
        return self

    def close(self):
        if self._socket:
            self._socket.close()
        self._socket = None
        self._unread = b""

    def wait_up(self, timeout=BOOT_SECONDS):
        """Return when the guest does what it is told.

        One that is still booting says so by itself; one that was up before we
        came answers.
        """
        deadline = Deadline(timeout, "the guest coming up")
        answered = self._ask(":", deadline)
        self._read_until(re.compile(UP.pattern + b"|" + answered.pattern, answered.flags), deadline)
        return self

    def wait_boot(self, timeout=BOOT_SECONDS):
        """Return when the guest has booted once more; the seconds it says it took."""
        found = self._read_until(UP, Deadline(timeout, "the guest booting"))
        return float(found[1])

    def wait_gone(self, timeout=COMMAND_SECONDS):
        """Return when the machine has closed the console."""
        try:
            self._read_until(re.compile(rb"(?!)"), Deadline(timeout, "the guest going away"))
        except GuestGone:
            self.close()

    def run(self, command, timeout=COMMAND_SECONDS):
        """Run one line of shell in the guest."""
        deadline = Deadline(timeout, f"the guest's answer to {command!r}")
        found = self._read_until(self._ask(command, deadline), deadline)
        return Answer(int(found["status"]), found["output"].decode(errors="replace"))

    def check(self, command, timeout=COMMAND_SECONDS):
        """Run a command that must succeed; what it printed."""
        answer = self.run(command, timeout)
        if answer.status:
            raise GuestError(f"{command!r} in the guest: status {answer.status}: {answer.output}")
        return answer.output

    def call(self, function, *arguments, timeout=COMMAND_SECONDS):
        """Call one of the guest's commands, its arguments quoted."""
        return self.check(shlex.join([function, *map(str, arguments)]), timeout).strip()

    def wait_until(self, *command, timeout=COMMAND_SECONDS):
        """Return when a command in the guest says yes."""
        self.call("wait_until", *command, timeout=timeout)

    def poweroff(self, timeout=COMMAND_SECONDS):
        """Switch the machine off from inside; return when it has gone."""
        self._ask("sync; poweroff -f", Deadline(timeout, "asking the guest to power off"))
        self.wait_gone(timeout)

    # --- Disks ---------------------------------------------------------------

    def write_pattern(self, device, offset, length, seed):
        pattern.require_seed(seed)
        self.call("write_pattern", device, offset, length, seed)

    def check_pattern(self, device, offset, length, seed):
        """The sha256 of the range, which must hold the pattern of this seed."""
        return self.call("check_pattern", device, offset, length, seed)

    def has_pattern(self, device, offset, length, seed):
        command = shlex.join(["check_pattern", device, str(offset), str(length), seed])
        return self.run(command).status == 0

    def wreck(self, device, offset, length):
        self.call("wreck", device, offset, length)

    def digest(self, device, offset, length):
        return self.call("digest", device, offset, length)

    def disk_size(self, device):
        return int(self.call("blockdev", "--getsize64", device))

    # --- Witnesses in RAM ----------------------------------------------------

    def hold(self, name, value):
        self.call("hold", name, value)

    def held(self, name):
        """The value in RAM, or None where this past does not know it."""
        answer = self.run(shlex.join(["held", name]))
        return answer.output if answer.status == 0 else None

    def heartbeat(self):
        return int(self.call("heartbeat"))

    def wait_heartbeat(self, count, timeout=COMMAND_SECONDS):
        self.wait_until("heartbeat_reached", count, timeout=timeout)

    def boot_id(self):
        """The same for as long as the guest has not booted again."""
        return self.call("cat", "/proc/sys/kernel/random/boot_id")

    # --- One instant ---------------------------------------------------------

    def writer_start(self, *devices, files=200, offset=0):
        self.call("writer_start", files, offset, *devices)

    def wait_generation(self, generation, timeout=COMMAND_SECONDS):
        self.wait_until("writer_reached", generation, timeout=timeout)

    def writer_stop(self):
        self.call("writer_stop")

    def writer_state(self):
        first, _, why = self.call("writer_state").partition("\n")
        words = first.split()
        numbers = dict(zip(words[::2], map(int, words[1::2])))
        return WriterState(why=why, **numbers)

    # -------------------------------------------------------------------------

    def _ask(self, command, deadline):
        """Send a command; the expression that finds its answer."""
        if "\n" in command or len(command) > 4000:
            raise ValueError("a command is one line that fits the guest's terminal")
        marker = uuid.uuid4().hex[:8]
        # Whatever half line may wait there, ours begins on a new one.
        self._send(f"\n@{marker} {command}\n".encode(), deadline)
        name = marker.encode()
        return re.compile(
            rb"^\[vm " + name + rb" begin\]\n(?P<output>.*?)\n\[vm " + name + rb" end (?P<status>\d+)\]\n",
            re.MULTILINE | re.DOTALL,
        )

    def _send(self, data, deadline):
        while data:
            deadline.wait_for(self._socket, select.POLLOUT)
            try:
                data = data[self._socket.send(data):]
            except (BrokenPipeError, ConnectionResetError) as error:
                raise GuestGone(f"{self.console}: {error}") from error

    def _read_until(self, expression, deadline):
        """The first match; what stood before it is dropped."""
        while not (found := expression.search(self._unread)):
            deadline.wait_for(self._socket)
            try:
                data = self._socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                raise GuestGone(f"{self.console}: closed by QEMU")
            if self._log:
                with self._log.open("ab") as log:
                    log.write(data)
            # The kernel speaks with CR LF, the guest's shell without.
            self._unread += data.replace(b"\r\n", b"\n")
        self._unread = self._unread[found.end():]
        return found
