# SPDX-License-Identifier: LGPL-2.1-or-later
"""The vmpoint program as a user runs it, with a store and sockets of its own."""

import json as json_format
import shlex
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

SECONDS = 300


class VmpointError(Exception):
    """A command that had to succeed did not; `result` says how."""

    def __init__(self, result):
        super().__init__(f"{result.command}: status {result.status}: {result.stderr.strip()}")
        self.result = result
        self.status = result.status


@dataclass(frozen=True)
class Result:
    """What a command printed and how it ended; a negative status is a signal."""

    command: str
    status: int
    stdout: str
    stderr: str
    json: bool

    @cached_property
    def data(self):
        """What a --json command said on stdout; None if it said nothing."""
        if not self.json:
            raise ValueError(f"{self.command}: was not asked for JSON")
        return json_format.loads(self.stdout) if self.stdout.strip() else None

    @property
    def error(self):
        """The one JSON object that a failed --json command leaves on stderr.

        Progress may stand before it, one object a line.
        """
        return json_format.loads(self.stderr.strip().splitlines()[-1])


class Vmpoint:
    """Runs the program given by VMPOINT_PROGRAM; each call goes to a log."""

    def __init__(self, program, work, processes):
        self.program = Path(program)
        self.state_dir = Path(work) / "state"
        self.runtime_dir = Path(work) / "run"
        self._log = Path(work) / "vmpoint.log"
        self._processes = processes

    def environment(self, fault=None):
        return {
            **self._processes.environment(),
            **({"VMPOINT_FAULT": fault} if fault else {}),
            "VMPOINT_STATE_DIR": str(self.state_dir),
            "VMPOINT_RUNTIME_DIR": str(self.runtime_dir),
            "LC_ALL": "C.UTF-8",
            "NO_COLOR": "1",
        }

    def run(self, *arguments, check=True, json=True, stdin=None, timeout=SECONDS, fault=None):
        """Run a command to its end.

        check: anything but status 0 raises VmpointError.
        json: ask for --json and parse it; else stdout stays text.
        stdin: text for the program; nothing else, and never our terminal.
        fault: what befalls it, as src/base/fault.h has it: "kill@3".
        """
        argv = [str(self.program), *(["--json"] if json else []), *map(str, arguments)]
        done = subprocess.run(
            argv, env=self.environment(fault), capture_output=True, text=True, timeout=timeout,
            check=False, **({"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}),
        )
        result = Result(
            shlex.join(["vmpoint", *argv[1:]]), done.returncode, done.stdout, done.stderr, json,
        )
        self._note(result)
        if check and result.status:
            raise VmpointError(result)
        return result

    def text(self, *arguments, **how):
        """What a user reads on stdout."""
        return self.run(*arguments, json=False, **how).stdout

    def start(self, *arguments, json=True, fault=None, **how):
        """Start a command and return at once, to watch it or to kill it."""
        argv = [self.program, *(["--json"] if json else []), *arguments]
        return self._processes.start(argv, env=self.environment(fault), **how)

    def _note(self, result):
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"$ {result.command}\n{result.stdout}{result.stderr}[status {result.status}]\n")
