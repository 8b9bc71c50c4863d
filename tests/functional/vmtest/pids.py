# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every process of a test, ended by its pid.

A test's work folder has a name like no other, and everything that a test
starts, or that vmpoint starts for it, carries this name in its command line
or its environment.  So nothing can hide, and nobody else's process is hit.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
from pathlib import Path

# A process that is on its way out may take this long before it counts as left behind.
GRACE_SECONDS = 2
KILL_SECONDS = 30


class LeftBehind(AssertionError):
    """A test's process that nobody ended."""


class Process:
    """A process that may have any parent; its pid can not come to mean another."""

    def __init__(self, pid, mark):
        self.pid = pid
        self._fd = -1
        self._fd = os.pidfd_open(pid)
        # Read with the pidfd open: what is signalled is what was looked at.
        self.command = read_proc(pid, "cmdline")
        if mark not in self.command and mark not in read_proc(pid, "environ"):
            raise ProcessLookupError(pid)

    def __del__(self):
        if self._fd >= 0:
            os.close(self._fd)

    def program(self):
        return os.path.basename(self.command.split(b"\0")[0]).decode(errors="replace")

    def has_ended(self, seconds):
        """Whether it ends within that time."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def kill(self):
        try:
            signal.pidfd_send_signal(self._fd, signal.SIGKILL)
        except ProcessLookupError:
            pass
        if not self.has_ended(KILL_SECONDS):
            raise LeftBehind(f"{self}: does not die")

    def __str__(self):
        words = self.command.replace(b"\0", b" ").decode(errors="replace")
        return f"{self.pid}: {words.strip()[:300]}"


class Processes:
    """The processes of one work folder."""

    def __init__(self, work):
        self._mark = os.fsencode(work)
        self._work = Path(work)
        self._started = []

    def environment(self):
        """What a program must be started with to be found again."""
        return {**os.environ, "VMPOINT_TEST_DIR": str(self._work)}

    def start(self, argv, **how):
        """Start a program that is ended with the test at the latest."""
        process = subprocess.Popen(
            [str(word) for word in argv], stdin=subprocess.DEVNULL,
            env={**self.environment(), **how.pop("env", {})}, **how,
        )
        self._started.append(process)
        return process

    def alive(self):
        """Every process of this folder, whoever started it."""
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) == os.getpid():
                continue
            try:
                found.append(Process(int(entry), self._mark))
            except (ProcessLookupError, FileNotFoundError, PermissionError):
                pass  # another's, or no more
        return found

    def machines(self):
        """The pids of the machines that vmpoint has a record of."""
        pids = set()
        for path in self._work.glob("**/pid"):
            with contextlib.suppress(ValueError, KeyError, OSError):
                pids.add(json.loads(path.read_text(encoding="utf-8"))["pid"])
        return pids

    def finish(self):
        """End everything.  Fail if there was more than the test answers for.

        It answers for what it started itself and for machines that vmpoint
        runs; a storage daemon, a tool or a machine that vmpoint has forgotten
        should not be there any more.
        """
        for process in self._started:
            process.kill()
            process.wait(KILL_SECONDS)
            for pipe in (process.stdout, process.stderr):
                if pipe:
                    pipe.close()
        self._started.clear()

        pids = self.machines()
        left = []
        machines, others = [], []
        for process in self.alive():
            known = process.pid in pids and process.program().startswith("qemu-system-")
            (machines if known else others).append(process)
        for process in machines:
            process.kill()
        # What serves a machine, its TPM, goes with it.
        for process in others:
            if not process.has_ended(GRACE_SECONDS):
                left.append(str(process))
                process.kill()
        if left:
            raise LeftBehind("left behind by the test: " + "; ".join(left))


def read_proc(pid, name):
    with open(f"/proc/{pid}/{name}", "rb") as file:
        return file.read()
