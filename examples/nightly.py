#!/usr/bin/python3
# SPDX-License-Identifier: 0BSD
"""One backup a run into a folder: the first is full, each later one an increment.

    nightly.py DOMAIN FOLDER

Needs nothing but the vmpoint program; every command's --json is what it reads.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.sax.saxutils import quoteattr

VMPOINT = os.environ.get("VMPOINT_PROGRAM", "vmpoint")


def vmpoint(*arguments):
    done = subprocess.run([VMPOINT, "--json", *map(str, arguments)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)
    if done.returncode:
        error = json.loads(done.stderr.splitlines()[-1])["error"]
        sys.exit(f"{error['message']} ({error['code']})")
    return json.loads(done.stdout) if done.stdout.strip() else None


def main(domain, folder):
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    checkpoints = [point["name"] for point in vmpoint("checkpoint-list", domain, "--topological")
                   if point["name"].startswith("night-")]
    name = f"night-{len(checkpoints) + 1:05d}"

    disks = "".join(
        f"<disk name={quoteattr(disk['target'])} type='file'>"
        f"<target file={quoteattr(str(folder / (name + '-' + disk['target'] + '.qcow2')))}/></disk>"
        for disk in vmpoint("domblklist", domain) if disk["device"] == "disk"
    )
    since = f"<incremental>{checkpoints[-1]}</incremental>" if checkpoints else ""

    with tempfile.TemporaryDirectory() as scratch:
        backup, checkpoint = Path(scratch, "backup.xml"), Path(scratch, "checkpoint.xml")
        backup.write_text(f"<domainbackup>{since}<disks>{disks}</disks></domainbackup>")
        checkpoint.write_text(f"<domaincheckpoint><name>{name}</name></domaincheckpoint>")
        vmpoint("backup-begin", domain, backup, checkpoint, "--wait")
    print(f"{name}: {'increment' if since else 'full'} in {folder}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
