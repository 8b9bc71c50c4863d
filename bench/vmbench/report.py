# SPDX-License-Identifier: LGPL-2.1-or-later
"""The table, and the same for machines."""

import os
import platform
import statistics
from pathlib import Path

from vmtest import workdir

TITLES = {"vmpoint": "vmpoint", "libvirt": "libvirt", "qmp": "bare QMP", "qemu-img": "qemu-img"}


class Series:
    """The times of one operation on one side, in seconds."""

    def __init__(self, seconds, cpu=()):
        self.seconds = list(seconds)
        self.cpu = list(cpu)

    @property
    def median(self):
        return statistics.median(self.seconds)

    def data(self):
        ms = [round(1000 * seconds, 3) for seconds in self.seconds]
        found = {"median": statistics.median(ms), "min": min(ms), "max": max(ms), "all": ms}
        if self.cpu:
            found["cpu"] = round(1000 * statistics.median(self.cpu), 3)
        return found

    def __str__(self):
        low, high = 1000 * min(self.seconds), 1000 * max(self.seconds)
        return f"{milliseconds(1000 * self.median)} ({milliseconds(low)} .. {milliseconds(high)})"


def milliseconds(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratio(row):
    if "libvirt" in row and "vmpoint" in row:
        return row["libvirt"].median / row["vmpoint"].median
    return None


def table(rows, sides):
    """rows: (title, {side: Series}); the lines of a table."""
    head = ["milliseconds: median (min .. max)", *(TITLES[side] for side in sides), "libvirt/vmpoint"]
    cells = [head]
    for title, row in rows:
        times = ratio(row)
        cells.append([title, *(str(row[side]) if side in row else "-" for side in sides),
                      f"{times:.1f} x" if times else "-"])
    widths = [max(map(len, column)) for column in zip(*cells)]
    for line in cells:
        first, *others = [cell.ljust(width) if i == 0 else cell.rjust(width)
                          for i, (cell, width) in enumerate(zip(line, widths))]
        yield "  ".join([first, *others]).rstrip()


def machine(folder):
    """Where it ran."""
    return {
        "cpu": first_value("/proc/cpuinfo", "model name"),
        "cpus": len(os.sched_getaffinity(0)),
        "memory": first_value("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "system": first_value("/etc/os-release", "PRETTY_NAME", "=").strip('"'),
        "file system": f"{workdir.file_system(folder)}, in {Path(folder).parent}",
        "load at the start": os.getloadavg()[0],
    }


def first_value(path, key, separator=":"):
    with open(path, encoding="utf-8") as file:
        for line in file:
            name, _, value = line.partition(separator)
            if name.strip() == key:
                return value.strip()
    return "unknown"
