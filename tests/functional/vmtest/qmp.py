# SPDX-License-Identifier: LGPL-2.1-or-later
"""A QMP client of our own for the judge: small, synchronous, without vmpoint."""

import json
import select
import socket

from .waiting import Deadline

SECONDS = 60


class QmpRefusal(Exception):
    """QEMU said no; its own words."""

    def __init__(self, command, error):
        super().__init__(f"{command}: {error['desc']}")
        self.error_class = error["class"]
        self.description = error["desc"]


class QmpGone(Exception):
    """QEMU closed the monitor."""


class Qmp:
    """One monitor.  Every event that came is kept in `events`, in order."""

    def __init__(self, path, timeout=SECONDS):
        self.path = str(path)
        self.events = []
        self._unread = b""
        self._seen = 0
        self._id = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(self.path)
        self._socket.setblocking(False)
        self.greeting = self._receive(Deadline(timeout, f"the greeting of {path}"))["QMP"]
        self.execute("qmp_capabilities", timeout=timeout)

    def close(self):
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def execute(self, command, arguments=None, timeout=SECONDS):
        """Send a command; what it returned.  Events that come first are kept."""
        deadline = Deadline(timeout, f"the answer to {command}")
        self._id += 1
        message = {"execute": command, "id": self._id}
        if arguments:
            message["arguments"] = arguments
        self._send(json.dumps(message).encode() + b"\n", deadline)
        while (answer := self._receive(deadline)).get("id") != self._id:
            self._keep(answer)
        if "error" in answer:
            raise QmpRefusal(command, answer["error"])
        return answer["return"]

    def wait_event(self, name, timeout=SECONDS, **data):
        """The next event of that name, and data, which was not waited for yet."""
        deadline = Deadline(timeout, f"the event {name} {data or ''}")
        while True:
            while self._seen < len(self.events):
                event = self.events[self._seen]
                self._seen += 1
                if event["event"] == name and data.items() <= event.get("data", {}).items():
                    return event
            self._keep(self._receive(deadline))

    def drain_events(self):
        """Every event up to now; a round trip makes sure of "now"."""
        self.execute("query-status")
        self._seen = len(self.events)
        return self.events

    def status(self):
        return self.execute("query-status")["status"]

    def pauses(self):
        """How many seconds each pause of the guest took, by QEMU's own clock."""
        pauses, stopped = [], None
        for event in self.drain_events():
            stamp = event["timestamp"]
            at = stamp["seconds"] + stamp["microseconds"] / 1e6
            if event["event"] == "STOP":
                stopped = at
            elif event["event"] == "RESUME" and stopped is not None:
                pauses.append(at - stopped)
                stopped = None
        return pauses

    def _keep(self, message):
        if "event" not in message:
            raise ValueError(f"{self.path}: neither event nor answer: {message}")
        self.events.append(message)

    def _send(self, data, deadline):
        while data:
            deadline.wait_for(self._socket, select.POLLOUT)
            try:
                data = data[self._socket.send(data):]
            except (BrokenPipeError, ConnectionResetError) as error:
                raise QmpGone(f"{self.path}: {error}") from error

    def _receive(self, deadline):
        while b"\n" not in self._unread:
            deadline.wait_for(self._socket)
            try:
                data = self._socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                raise QmpGone(f"{self.path}: closed by QEMU")
            self._unread += data
        line, self._unread = self._unread.split(b"\n", 1)
        return json.loads(line)
