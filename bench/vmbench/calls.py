# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two calls of the kernel that Python has not."""

import ctypes
import os

FALLOC_FL_KEEP_SIZE = 1
SYNC_FILE_RANGE_WRITE = 2

libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
libc.sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def reserve(path, length):
    """Space for a file that is going to grow to that length."""
    fd = os.open(path, os.O_RDWR)
    try:
        require(libc.fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, length))
    finally:
        os.close(fd)


def start_writeback(fd):
    """Have what is dirty written, and do not wait for it."""
    require(libc.sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE))


def require(result):
    if result:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
