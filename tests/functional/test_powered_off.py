# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest that switches itself off in the middle of a backup: what there is of points stays right."""

import signal
import socket

from vmtest import images, world
from vmtest.images import MIB
from vmtest.pull import Pull, info, same

# More than a job has in flight at once.
SIZE = 128 * MIB


class Slow:
    """Content below a disk, from a server that can be made to keep everybody waiting."""

    def __init__(self, processes, path, socket_path):
        path.write_bytes(b"\7" * SIZE)
        self.uri = f"nbd+unix:///?socket={socket_path}"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(socket_path))
            listener.listen()
            # It serves a socket that is there already: nobody has to wait for it.
            self.process = processes.start(
                ["bash", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec qemu-nbd -r -t -e 0 -f raw "$0" '
                 f"3<&{listener.fileno()}", path], pass_fds=(listener.fileno(),))

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)


def power_off(vm):
    """The guest's own decision; return when QEMU has heard of it."""
    vm.guest.run("sync")
    vm.guest.call("sh", "-c", "(sleep 1; poweroff -f) > /dev/null 2>&1 &")
    event = vm.spy.wait_event("SHUTDOWN")
    assert event["data"]["guest"], event


def start(vm):
    vm.close()
    vm.start()


def test_neither_a_pull_nor_a_push_takes_a_bit_with_it(make_vm, work, processes):
    vm = make_vm(size=SIZE)
    slow = Slow(processes, work / "below.raw", work / "below.sock")
    disk = vm.disks[0]
    disk.path.unlink()
    images.create(disk.path, SIZE, backing=slow.uri, backing_format="raw")
    pull = Pull(vm, work)

    def write(offset, seed):
        vm.guest.write_pattern(disk.device, offset, MIB, seed)

    vm.define().start()
    write(MIB, "before")
    pull.begin(checkpoint="c1")
    base = pull.copy("vda").rename(work / "base.raw")
    write(2 * MIB, "served")
    power_off(vm)
    vm.guest.wait_gone()
    vm.cli.run("recover", vm.name)
    about = info(vm, "--completed")
    assert about["state"] == "failed" and "process ended" in about["error"], about
    assert not list(work.glob("scratch-*")) and not pull.socket.exists()
    assert vm.cli.run("domstate", vm.name).data == {"state": "shutoff", "reason": "shutdown"}
    pull.begin(since="c1")
    assert pull.dirty("vda") == [(2 * MIB, MIB)]
    pull.end()

    start(vm)
    write(4 * MIB, "between")
    push = work / "push.xml"
    push.write_text("<domainbackup><disks>"
                    f"<disk name='vda' type='file'><target file='{work}/full-vda'/></disk>"
                    f"<disk name='vdb' type='file'><target file='{work}/full-vdb'/></disk>"
                    "</disks></domainbackup>")
    checkpoint = work / "c2.xml"
    checkpoint.write_text("<domaincheckpoint><name>c2</name></domaincheckpoint>")
    slow.stop()
    vm.cli.run("backup-begin", vm.name, push, checkpoint)
    # What is in flight gets through, and the rest takes an hour.
    vm.spy.execute("block-job-set-speed", {"device": "vmp-backup-vda", "speed": 1})
    slow.go_on()
    write(6 * MIB, "pushed")
    assert info(vm)["state"] == "running"
    power_off(vm)
    vm.guest.wait_gone()
    vm.cli.run("recover", vm.name)
    about = info(vm, "--completed")
    assert about["state"] == "failed" and "process ended" in about["error"], about
    assert not list(work.glob("full-*"))
    # Both checkpoints count on, each from where it began.
    assert world.names(vm, "checkpoint") == ["c1", "c2"]
    pull.begin(since="c2")
    assert pull.dirty("vda") == [(6 * MIB, MIB)]
    pull.end()
    pull.begin(since="c1")
    assert pull.dirty("vda") == [(offset * MIB, MIB) for offset in (2, 4, 6)]
    assert pull.apply_increment("vda", base) == 3 * MIB
    assert same(base, pull.live("vda"))
    pull.end()
    images.check(disk.path)
