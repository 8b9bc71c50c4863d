# SPDX-License-Identifier: LGPL-2.1-or-later
"""Disks with an iothread: all but serving them is done as with others."""

import nbd
import pytest
from vmtest import images, world
from vmtest.images import MIB
from vmtest.pull import Pull, same
from vmtest.world import refused

SIZE = 32 * MIB


@pytest.fixture
def vm(make_vm):
    vm = make_vm(size=SIZE, elements=("<iothreads>1</iothreads>",))
    for disk in vm.disks:
        disk.driver["iothread"] = "1"
    return vm.define().start()


@pytest.fixture
def pull(vm, work):
    return Pull(vm, work)


@pytest.fixture
def write(vm):
    def write(disk, at, seed):
        vm.guest.write_pattern(f"/dev/{disk}", at * MIB, MIB, seed)
        assert vm.guest.has_pattern(f"/dev/{disk}", at * MIB, MIB, seed)

    return write


def wakes(vm):
    """How often the iothread has had something to do."""
    pid = vm.cli.run("dominfo", vm.name).data["pid"]
    thread = vm.spy.execute("query-iothreads")[0]["thread-id"]
    with open(f"/proc/{pid}/task/{thread}/status", encoding="ascii") as status:
        return sum(int(line.split()[1]) for line in status if "ctxt_switches" in line)


def is_used(vm, write):
    before = wakes(vm)
    write("vda", 31, "used")
    return wakes(vm) - before > 10


def test_a_pull_of_such_a_disk_is_refused_by_name_and_the_others_are_served(make_vm, work):
    vm = make_vm(size=SIZE, elements=("<iothreads>1</iothreads>",))
    vm.disks[0].driver["iothread"] = "1"
    vm.define().start()
    pull = Pull(vm, work)
    before = world.nodes(vm)
    refused(vm.cli, *pull.words(), status=6, says=("'vda'", "iothread", "push"))
    assert world.nodes(vm) == before and not list(work.glob("scratch-*"))

    vm.guest.write_pattern("/dev/vdb", 0, MIB, "one")
    reference = pull.live("vdb").rename(work / "ref")
    pull.begin(disks=("vdb",))
    vm.guest.write_pattern("/dev/vdb", 0, MIB, "two")
    assert same(pull.copy("vdb"), reference)
    # One that just hangs up.
    nbd.NBD().connect_uri(pull.uri("vdb"))
    pull.end()
    assert vm.guest.has_pattern("/dev/vdb", 0, MIB, "two")


@pytest.mark.parametrize("options", [(), ("--fleece",)])
def test_pushes_full_and_incremental_are_exact(vm, pull, work, write, options):
    for number, since in enumerate((None, "c1")):
        write("vda", number, f"seed-{number}")
        reference = pull.live("vda").rename(work / f"ref-{number}")
        increment = f"<incremental>{since}</incremental>" if since else ""
        (work / "push.xml").write_text(
            f"<domainbackup>{increment}<disks><disk name='vda' type='file'>"
            f"<target file='{work}/push-{number}'/></disk><disk name='vdb' backup='no'/></disks>"
            "</domainbackup>")
        (work / "c.xml").write_text(
            f"<domaincheckpoint><name>c{number + 1}</name></domaincheckpoint>")
        vm.cli.run("backup-begin", vm.name, work / "push.xml", work / "c.xml", *options, "--wait")
        images.to_raw(work / f"push-{number}", work / f"copy-{number}")
        assert same(work / f"copy-{number}", reference)
    assert images.info(work / "push-1")["actual-size"] < 4 * MIB
    assert vm.spy.status() == "running" and is_used(vm, write)


def test_a_guest_that_is_reset_while_it_is_pushed_goes_on(vm, work, write):
    write("vda", 0, "one")
    (work / "push.xml").write_text(
        "<domainbackup><disks><disk name='vda' type='file'>"
        f"<target file='{work}/push'/></disk><disk name='vdb' backup='no'/></disks></domainbackup>")
    vm.cli.run("backup-begin", vm.name, work / "push.xml", "--fleece", "--bandwidth", "1")
    vm.cli.run("reset", vm.name)
    vm.resume_console()
    write("vda", 0, "two")
    vm.cli.run("domjobabort", vm.name)
    assert is_used(vm, write) and not (work / "push").exists()


def test_snapshots_are_made_merged_and_reverted_to(vm, write):
    write("vda", 0, "one")
    vm.cli.run("snapshot-create-as", vm.name, "s1")
    write("vda", 0, "two")
    vm.cli.run("snapshot-create-as", vm.name, "s2", "--disk-only")
    write("vda", 1, "three")
    vm.cli.run("snapshot-delete", vm.name, "s2")
    assert vm.guest.has_pattern("/dev/vda", 0, MIB, "two")
    vm.cli.run("snapshot-revert", vm.name, "s1")
    vm.resume_console()
    assert vm.guest.has_pattern("/dev/vda", 0, MIB, "one")
    assert is_used(vm, write)
    vm.cli.run("snapshot-delete", vm.name, "s1")
    assert world.names(vm) == [] and is_used(vm, write)


def test_a_scsi_controller_with_an_iothread_is_named_and_pushed(make_vm, work):
    vm = make_vm(size=SIZE, bus="scsi", disks=1, elements=("<iothreads>1</iothreads>",))
    controller = ("<controller type='scsi' index='0' model='virtio-scsi'>"
                  "<driver iothread='1'/></controller>")
    xml = vm.domain.xml().replace('<controller type="scsi" index="0" model="virtio-scsi" />',
                                  controller)
    assert controller in xml
    (work / "vm.xml").write_text(xml)
    vm.cli.run("define", work / "vm.xml")
    vm.start()
    (work / "pull.xml").write_text(
        f"<domainbackup mode='pull'><server transport='unix' socket='{work}/nbd.sock'/>"
        f"<disks><disk name='sda' type='file'><scratch file='{work}/scratch'/></disk></disks>"
        "</domainbackup>")
    before = world.nodes(vm)
    refused(vm.cli, "backup-begin", vm.name, work / "pull.xml", status=6,
            says=("'sda'", "iothread", "push"))
    assert world.nodes(vm) == before and not (work / "scratch").exists()

    (work / "push.xml").write_text("<domainbackup><disks><disk name='sda' type='file'>"
                                   f"<target file='{work}/push'/></disk></disks></domainbackup>")
    vm.guest.write_pattern(vm.disks[0].device, 0, MIB, "one")
    vm.cli.run("backup-begin", vm.name, work / "push.xml", "--fleece", "--wait")
    images.require_pattern(work / "push", 0, MIB, "one")
    assert vm.guest.has_pattern(vm.disks[0].device, 0, MIB, "one")
