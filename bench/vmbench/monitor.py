# SPDX-License-Identifier: LGPL-2.1-or-later
"""What bare QMP needs more than a client: jobs, nodes, images, writes."""

import os


def run_job(qmp, job, command, **arguments):
    """Start a job by `command` and return when it is done and dismissed."""
    qmp.execute(command, {"job-id": job, **arguments})
    finish_job(qmp, job)


def finish_job(qmp, job):
    qmp.wait_event("JOB_STATUS_CHANGE", id=job, status="concluded")
    failed = [entry["error"] for entry in qmp.execute("query-jobs")
              if entry["id"] == job and "error" in entry]
    qmp.execute("job-dismiss", {"id": job})
    if failed:
        raise RuntimeError(f"{job}: {failed[0]}")


def create_qcow2(qmp, node, path, size, file_options=None, create_options=None, **options):
    """A new image, open as `node`, made by QEMU as libvirt has it made."""
    file = f"{node}-file"
    run_job(qmp, "create", "blockdev-create",
            options={"driver": "file", "filename": os.fspath(path), "size": 0})
    add_file(qmp, file, path, **(file_options or {}))
    run_job(qmp, "create", "blockdev-create",
            options={"driver": "qcow2", "file": file, "size": size, **(create_options or {})})
    qmp.execute("blockdev-add", {"driver": "qcow2", "node-name": node, "file": file, **options})


def add_file(qmp, node, path, **options):
    qmp.execute("blockdev-add", {"driver": "file", "node-name": node,
                                 "filename": os.fspath(path), **options})


def delete_qcow2(qmp, node):
    qmp.execute("blockdev-del", {"node-name": node})
    qmp.execute("blockdev-del", {"node-name": f"{node}-file"})


def delete_if_there(qmp, *nodes):
    there = {node["node-name"] for node in qmp.execute("query-named-block-nodes", {"flat": True})}
    for node in nodes:
        if node in there:
            qmp.execute("blockdev-del", {"node-name": node})


def snapshot(node, overlay):
    """The action of a transaction that puts an overlay on a node."""
    return {"type": "blockdev-snapshot", "data": {"node": node, "overlay": overlay}}


def commit(qmp, overlay):
    """Take an overlay away again, its content down into what it rests on."""
    qmp.execute("block-commit", {"job-id": "commit", "device": overlay})
    qmp.wait_event("BLOCK_JOB_READY", device="commit")
    qmp.execute("job-complete", {"id": "commit"})
    qmp.wait_event("JOB_STATUS_CHANGE", id="commit", status="null")


def devices(qmp):
    """What stands in the machine's drives: qom path to the image on top."""
    return {block["qdev"]: block["inserted"] for block in qmp.execute("query-block")
            if "inserted" in block}


def is_open(qmp, path):
    nodes = qmp.execute("query-named-block-nodes", {"flat": True})
    return any(os.fspath(path) in node["file"] for node in nodes)


def write(qmp, device, offset, length, byte):
    """Write as the guest does, through its device."""
    qemu_io(qmp, device, f"write -P {byte} {offset} {length}")


def flush(qmp, device):
    """What was written can be read from the image by another program."""
    qemu_io(qmp, device, "flush")


def qemu_io(qmp, device, command):
    line = f'qemu-io -d {device} "{command}"'
    said = qmp.execute("human-monitor-command", {"command-line": line})
    if said:
        raise RuntimeError(f"{device}: {said}")
