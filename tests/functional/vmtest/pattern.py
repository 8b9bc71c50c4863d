# SPDX-License-Identifier: LGPL-2.1-or-later
"""Disk content that guest and host both can compute.

Each sector of 512 bytes is one line of 64 bytes, eight times, that spells a
seed and the sector's own offset; `pattern` in tests/guest/commands.sh is the
guest's side of it.
"""

import re

SECTOR = 512


def require_seed(seed):
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,24}", seed):
        raise ValueError(f"not a seed: {seed!r}")


def content(seed, offset, length):
    """What belongs at offset of a disk that carries this seed."""
    require_seed(seed)
    if offset % SECTOR or length % SECTOR:
        raise ValueError(f"not whole sectors: {length} bytes at {offset}")
    return b"".join(sector(seed, at) for at in range(offset, offset + length, SECTOR))


def sector(seed, offset):
    return f"vmpoint {seed:<24} {offset:030d}\n".encode() * 8


def first_difference(found, seed, offset):
    """The offset on the disk of the first wrong sector, or None."""
    for at in range(0, len(found), SECTOR):
        if found[at:at + SECTOR] != sector(seed, offset + at):
            return offset + at
    return None
