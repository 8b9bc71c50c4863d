# SPDX-License-Identifier: LGPL-2.1-or-later
"""Waiting for a file descriptor, never longer than until a deadline."""

import select
import time


class Deadline:
    """A moment in the future; what it is for is in the words of its error."""

    def __init__(self, seconds, what):
        self.seconds = seconds
        self.what = what
        self._end = time.monotonic() + seconds

    def wait_for(self, fd, events=select.POLLIN):
        """Return when fd is ready; raise TimeoutError at the deadline."""
        poll = select.poll()
        poll.register(fd, events)
        left = self._end - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise TimeoutError(f"{self.what}: not within {self.seconds} s")
