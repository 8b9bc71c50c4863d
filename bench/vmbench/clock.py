# SPDX-License-Identifier: LGPL-2.1-or-later
"""Wall time of a whole process, from before it exists until it has been reaped."""

import os
import shlex
import tempfile
import time
from dataclasses import dataclass


class Failed(Exception):
    """A program that had to succeed did not."""


@dataclass(frozen=True)
class Sample:
    """seconds: wall time.  cpu: the program's own, None if there was no program.
    extra: further times of the same try, by name.
    """

    seconds: float
    cpu: float = None
    output: str = ""
    extra: dict = None


def run(argv, environment):
    """Run a program as a shell would, its output to files; never our terminal."""
    argv = [os.fspath(word) for word in argv]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        files = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, out.fileno(), 1),
            (os.POSIX_SPAWN_DUP2, err.fileno(), 2),
        ]
        start = time.perf_counter()
        pid = os.posix_spawnp(argv[0], argv, environment, file_actions=files)
        _, status, used = os.wait4(pid, 0)
        seconds = time.perf_counter() - start
        if status:
            code = os.waitstatus_to_exitcode(status)
            raise Failed(f"{shlex.join(argv)}: status {code}: {content(err).strip()}")
        return Sample(seconds, used.ru_utime + used.ru_stime, content(out))


def call(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return Sample(time.perf_counter() - start)


def content(file):
    file.seek(0)
    return file.read().decode(errors="replace")
