# SPDX-License-Identifier: LGPL-2.1-or-later
"""Documents of backups, in the words of libvirt."""


def left_out(disks):
    """Rows of disks that no backup is made of."""
    return "".join(f"<disk name='{disk}' backup='no'/>" for disk in disks)


def begin(vm, document, rows, since=None, checkpoint=None):
    """Writes the documents that begin a backup; the words of the command.

    document: where the <domainbackup> is written, and beside it that of the checkpoint.
    rows: its disks.
    """
    increment = f"<incremental>{since}</incremental>" if since else ""
    document.write_text(f"<domainbackup>{increment}<disks>{rows}</disks></domainbackup>")
    words = ["backup-begin", vm.name, document]
    if checkpoint:
        mark = document.parent / f"{checkpoint}.xml"
        mark.write_text(f"<domaincheckpoint><name>{checkpoint}</name></domaincheckpoint>")
        words.append(mark)
    return words
