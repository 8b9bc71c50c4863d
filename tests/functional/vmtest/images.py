# SPDX-License-Identifier: LGPL-2.1-or-later
"""The judge of images: other people's programs, never vmpoint.

Bytes are read in two ways that share little: `read` asks qemu-nbd through
libnbd, `to_raw` has qemu-img write the whole disk out.
"""

import hashlib
import json
import subprocess
from pathlib import Path

import nbd

from . import pattern

MIB = 1 << 20
CHUNK = 8 * MIB


def tool(*argv, allowed=(0,)):
    """Run a program to its end; what it printed.  Its own words if it fails."""
    argv = [str(word) for word in argv]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode not in allowed:
        raise AssertionError(f"{' '.join(argv)}: status {done.returncode}: {done.stdout}{done.stderr}")
    return done


def create(path, size, image_format="qcow2", backing=None, backing_format="qcow2", options=()):
    argv = ["qemu-img", "create", "-q", "-f", image_format]
    if backing:
        argv += ["-b", backing, "-F", backing_format]
    for option in options:
        argv += ["-o", option]
    tool(*argv, path, size)
    return Path(path)


def info(path, live=False):
    share = ["--force-share"] if live else []
    return json.loads(tool("qemu-img", "info", "--output=json", *share, path).stdout)


def chain(path, live=False):
    """The paths of an image and all that it rests on, top first."""
    share = ["--force-share"] if live else []
    images = tool("qemu-img", "info", "--output=json", "--backing-chain", *share, path).stdout
    return [Path(image["filename"]) for image in json.loads(images)]


def bitmaps(path, live=False):
    """The bitmaps in the file, by name."""
    data = info(path, live)["format-specific"]["data"]
    return {bitmap["name"]: bitmap for bitmap in data.get("bitmaps", [])}


def internal_snapshots(path, live=False):
    """The internal snapshots in the file, by tag."""
    return {snapshot["name"]: snapshot for snapshot in info(path, live).get("snapshots", [])}


def check(path, image_format="qcow2"):
    """Fail unless qemu-img finds neither error nor leak."""
    tool("qemu-img", "check", "-q", "-f", image_format, path)


def is_clean(path, image_format="qcow2"):
    """qemu-img check: 2 is corrupt, 3 is leaked."""
    return tool("qemu-img", "check", "-q", "-f", image_format, path, allowed=(0, 2, 3)).returncode == 0


def identical(one, other):
    """Whether a guest would see the same disk, whatever the formats."""
    return tool("qemu-img", "compare", "-q", one, other, allowed=(0, 1)).returncode == 0


def to_raw(path, target, snapshot=None):
    """Write the disk that a guest would see, or an internal snapshot of it, as raw."""
    which = ["-l", f"snapshot.name={snapshot}"] if snapshot else []
    tool("qemu-img", "convert", *which, "-O", "raw", path, target)
    return Path(target)


def copy(source, target):
    """Copy the disk behind an NBD URI to a raw file by libnbd's own program."""
    tool("nbdcopy", source, target)
    return Path(target)


def opened(path, image_format="qcow2", snapshot=None, live=False, writable=False):
    """The disk as a libnbd handle to a qemu-nbd that lives as long as the handle.

    live: read an image that a QEMU has open for writing, as it is just now.
    """
    argv = ["qemu-nbd"]
    if not writable:
        argv.append("--read-only")
    if snapshot:
        argv.append(f"--load-snapshot=snapshot.name={snapshot}")
    if live:
        options = f"driver={image_format},force-share=on,file.driver=file,file.filename={path}"
        argv += ["--image-opts", options]
    else:
        argv += [f"--format={image_format}", str(path)]
    handle = nbd.NBD()
    handle.connect_systemd_socket_activation(argv)
    return handle


def chunks(handle, offset, length):
    end = handle.get_size() if length is None else offset + length
    while offset < end:
        size = min(CHUNK, end - offset)
        yield bytes(handle.pread(size, offset))
        offset += size


def read(path, offset, length, **how):
    """Bytes of the disk that a guest would see; `how` is as for opened()."""
    handle = opened(path, **how)
    try:
        return b"".join(chunks(handle, offset, length))
    finally:
        handle.shutdown()


def digest(path, offset=0, length=None, **how):
    """The sha256 of a range, as the guest's `digest` prints it."""
    handle = opened(path, **how)
    try:
        sha256 = hashlib.sha256()
        for data in chunks(handle, offset, length):
            sha256.update(data)
        return sha256.hexdigest()
    finally:
        handle.shutdown()


def write_pattern(path, offset, length, seed, **how):
    """Put the pattern into an image that no machine has open."""
    handle = opened(path, writable=True, **how)
    try:
        for at in range(offset, offset + length, CHUNK):
            handle.pwrite(pattern.content(seed, at, min(CHUNK, offset + length - at)), at)
        handle.flush()
    finally:
        handle.shutdown()


def wrong_at(path, offset, length, seed, **how):
    """The offset of the first sector that is not the seed's, or None."""
    handle = opened(path, **how)
    try:
        for data in chunks(handle, offset, length):
            if (wrong := pattern.first_difference(data, seed, offset)) is not None:
                return wrong
            offset += len(data)
        return None
    finally:
        handle.shutdown()


def newest_generation(path, offset=0, **how):
    """The last generation that the guest's writer has put on this disk."""
    lines = read(path, offset, 64 * 512, **how).decode().splitlines()
    numbers = [int(line.split()[1]) for line in lines if line.startswith("generation ")]
    return max(numbers, default=None)


def require_pattern(path, offset, length, seed, **how):
    """Fail, and say where, unless the range holds the pattern of this seed."""
    wrong = wrong_at(path, offset, length, seed, **how)
    assert wrong is None, f"{path}: not the content of {seed!r} at {wrong}"
