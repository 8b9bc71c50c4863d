# SPDX-License-Identifier: LGPL-2.1-or-later
"""A folder for one test: short, because the path of a unix socket may have no
more than 107 bytes, and on a real file system, because images on a tmpfs can
neither be opened past the cache nor survive anything."""

import os
import shutil
import tempfile
from pathlib import Path

NOT_REAL = ("tmpfs", "ramfs")

# Those that were not removed yet.
made = set()


def file_system(path):
    """The type of the file system that holds path."""
    best, kind = "", ""
    real = os.path.realpath(path)
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            _, point, this = line.split()[:3]
            inside = real == point or real.startswith(point.rstrip("/") + "/")
            # The last of several mounts on one point is the one in sight.
            if inside and len(point) >= len(best):
                best, kind = point, this
    return kind


def parent():
    """The first of $VMPOINT_TEST_TMPDIR, /tmp and /var/tmp that is real."""
    candidates = [os.environ.get("VMPOINT_TEST_TMPDIR"), "/tmp", "/var/tmp"]
    for path in filter(None, candidates):
        if os.access(path, os.W_OK) and file_system(path) not in NOT_REAL:
            return path
    raise RuntimeError("no folder on a real file system: set VMPOINT_TEST_TMPDIR to one")


def make():
    path = Path(tempfile.mkdtemp(prefix="vmp-", dir=parent()))
    made.add(path)
    return path


def remove(path):
    made.discard(path)
    if os.environ.get("VMPOINT_TEST_KEEP"):
        print(f"kept: {path}")
    else:
        shutil.rmtree(path)
