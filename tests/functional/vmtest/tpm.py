# SPDX-License-Identifier: LGPL-2.1-or-later
"""A TPM 2.0 by its raw commands: the guest's, and one that judges a folder of swtpm's.

The value that tests write is in an NV index, which outlives a reset; a PCR, which does not, tells
what only the RAM of a snapshot can bring back.
"""

import shutil
import socket
import struct
import subprocess
import tempfile
from pathlib import Path

STATE = "tpm2-00.permall"

OWNER, INDEX, SIZE = 0x40000001, 0x01500001, 8
SHA256 = 0x000B
# A session that is an empty password.
PASSWORD = struct.pack(">IIHBH", 9, 0x40000009, 0, 0, 0)
# Written and read by the owner, and by whoever has the (empty) password; no lockout.
ATTRIBUTES = 1 << 1 | 1 << 2 | 1 << 17 | 1 << 18 | 1 << 25


def command(code, body, sessions=True):
    return struct.pack(">HII", 0x8002 if sessions else 0x8001, 10 + len(body), code) + body


def sized(data):
    return struct.pack(">H", len(data)) + data


def define():
    public = struct.pack(">IHI", INDEX, SHA256, ATTRIBUTES) + sized(b"") + struct.pack(">H", SIZE)
    return command(0x12A, struct.pack(">I", OWNER) + PASSWORD + sized(b"") + sized(public))


def write(value):
    data = value.encode().ljust(SIZE, b"\0")
    return command(0x137, struct.pack(">II", OWNER, INDEX) + PASSWORD + sized(data) + b"\0\0")


def read():
    return command(0x14E, struct.pack(">II", OWNER, INDEX) + PASSWORD + struct.pack(">HH", SIZE, 0))


def value_of(answer):
    """The value in the answer to read(); None if there is no such index."""
    status, body = answer
    if status in (0x18B, 0x28B):
        return None
    assert status == 0, hex(status)
    return body[6:6 + SIZE].rstrip(b"\0").decode()


def extend(pcr, word):
    digest = word.encode().ljust(32, b"\0")
    return command(0x182, struct.pack(">I", pcr) + PASSWORD + struct.pack(">IH", 1, SHA256) + digest)


def read_pcr(pcr):
    chosen = bytearray(3)
    chosen[pcr // 8] |= 1 << pcr % 8
    return command(0x17E, struct.pack(">IHB", 1, SHA256, 3) + bytes(chosen), sessions=False)


def parse(answer):
    length, status = struct.unpack(">II", answer[2:10])
    assert len(answer) == length, answer
    return status, answer[10:]


class GuestTpm:
    """The TPM that the guest's kernel has found."""

    PCR = 16

    def __init__(self, vm):
        self.vm = vm

    def ask(self, words):
        octal = "".join(f"\\{byte:03o}" for byte in words)
        answer = self.vm.guest.check(
            f"printf '{octal}' >/tmp/ask; exec 3<>/dev/tpmrm0; dd if=/tmp/ask bs=4096 status=none >&3; "
            "dd bs=4096 count=1 status=none <&3 | hexdump -v -e '1/1 \"%02x\"'")
        return parse(bytes.fromhex(answer.strip()))

    def write(self, value):
        if self.read() is None:
            assert self.ask(define())[0] == 0
        assert self.ask(write(value))[0] == 0

    def read(self):
        return value_of(self.ask(read()))

    def extend(self, word):
        assert self.ask(extend(self.PCR, word))[0] == 0

    def pcr(self):
        status, body = self.ask(read_pcr(self.PCR))
        assert status == 0
        # Behind the counter of updates.
        return body[4:]


class FolderTpm:
    """A swtpm of the test's own on a folder that no other has; by with."""

    def __init__(self, folder):
        self.folder = folder

    def __enter__(self):
        self._socket, other = socket.socketpair()
        self._process = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.folder},mode=0600",
             "--server", f"type=tcp,fd={other.fileno()}", "--flags", "not-need-init,startup-clear",
             "--terminate"],
            pass_fds=[other.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        other.close()
        self._socket.settimeout(60)
        return self

    def __exit__(self, *_):
        self._socket.close()
        self._process.wait(60)

    def ask(self, words):
        self._socket.sendall(words)
        return parse(self._socket.recv(4096))


def value_in(state):
    """The value that a state file (its path or bytes) keeps; None if there is none.

    swtpm judges a copy: starting changes what it is started with.
    """
    data = state if isinstance(state, bytes) else Path(state).read_bytes()
    folder = Path(tempfile.mkdtemp(prefix="vmtpm-"))
    try:
        (folder / STATE).write_bytes(data)
        with FolderTpm(folder) as judge:
            return value_of(judge.ask(read()))
    finally:
        shutil.rmtree(folder)


def put_value(folder, value):
    """Have the TPM of a domain that is off remember a value."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with FolderTpm(folder) as owner:
        if value_of(owner.ask(read())) is None:
            assert owner.ask(define())[0] == 0
        assert owner.ask(write(value))[0] == 0
