# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirt's own QEMU driver understands what vmpoint dumps, and vmpoint what libvirt dumps.

No guest is booted: domains are off, or their machines are started paused.
"""

import xml.etree.ElementTree as etree
from pathlib import Path

import pytest
from vmtest import images, world
from vmtest.images import MIB
from vmtest.libvirtd import Libvirtd
from vmtest.world import names, refused, source

SIZE = 16 * MIB
SCHEMAS = Path("/usr/share/libvirt/schemas")
PASSWORD = "<graphics type='vnc' passwd='hush'><listen type='none'/></graphics>"


@pytest.fixture
def libvirtd(processes, work):
    """A libvirtd that nobody but this test can see."""
    if why := Libvirtd.why_not():
        pytest.skip(why)
    daemon = Libvirtd(processes, work)
    try:
        yield daemon.start()
    finally:
        daemon.stop()


@pytest.fixture
def make_off(make_vm):
    """make_off(...) describes a domain for TCG, whatever else may run guests here."""
    def make(**how):
        vm = make_vm(size=SIZE, **how)
        vm.domain.type = "qemu"
        return vm
    return make


def facts(document):
    """What a point says of itself, and which images its domain had."""
    point = etree.fromstring(document)
    kind = point.tag.removeprefix("domain")
    # libvirt writes out what is the default here.
    default = {"checkpoint": "bitmap"}.get(kind)
    memory = point.find("memory")
    return {
        "kind": kind,
        **{tag: point.findtext(tag) for tag in ("name", "description", "state", "creationTime")},
        "parent": point.findtext("parent/name"),
        "memory": None if memory is None else memory.attrib,
        "disks": [(disk.get("name"), disk.get(kind, default), disk.get("bitmap"), file_of(disk))
                  for disk in point.findall("disks/disk")],
        "uuid": point.findtext("domain/uuid"),
        "images": [(disk.find("target").get("dev"), file_of(disk))
                   for disk in point.findall("domain/devices/disk")],
    }


def file_of(disk):
    found = disk.find("source")
    return None if found is None else found.get("file")


def hand_to_libvirt(libvirtd, vm, kind, work):
    """Redefine every point of vmpoint's in libvirt; the documents by name."""
    documents = {}
    for name in names(vm, kind):
        path = work / f"{kind}-{name}.xml"
        path.write_text(vm.cli.text(f"{kind}-dumpxml", vm.name, name, "--security-info"))
        require_valid(kind, path, work)
        libvirtd.virsh(f"{kind}-create", vm.name, path, "--redefine")
        documents[name] = path.read_text()
    return documents


def require_valid(kind, path, work):
    """Hold a document against the schema of the libvirt that is installed."""
    schema = SCHEMAS / f"domain{kind}.rng"
    tree = etree.parse(path)
    later = tree.getroot().findall("revertDisks")
    # libvirt has had this since 9.9, and an older one passes over it.
    if later and "revertDisks" not in schema.read_text():
        for element in later:
            tree.getroot().remove(element)
        path = work / "without-later-words.xml"
        tree.write(path)
    images.tool("xmllint", "--noout", "--relaxng", schema, path)


def require_libvirt_agrees(libvirtd, vm, kind, documents):
    # Siblings stand in no order that libvirt would promise.
    assert sorted(libvirtd.virsh(f"{kind}-list", vm.name, "--name").split()) == sorted(documents)
    for name, document in documents.items():
        told = libvirtd.virsh(f"{kind}-dumpxml", vm.name, name, "--security-info")
        assert facts(told) == facts(document)


def test_libvirt_takes_our_snapshots(libvirtd, make_off, work):
    vm = make_off().define()
    cli = vm.cli
    libvirtd.virsh("define", work / "vm.xml")
    cli.run("snapshot-create-as", vm.name, "off", "before & after <it>", "--disk-only")
    cli.run("start", vm.name, "--paused")
    cli.run("snapshot-create-as", vm.name, "on", "--disk-only")
    cli.run("snapshot-create-as", vm.name, "one-disk", "--disk-only", "--diskspec", "vdb,snapshot=no")
    cli.run("destroy", vm.name)
    cli.run("snapshot-revert", vm.name, "on")
    cli.run("snapshot-create-as", vm.name, "branch", "--disk-only")

    documents = hand_to_libvirt(libvirtd, vm, "snapshot", work)
    require_libvirt_agrees(libvirtd, vm, "snapshot", documents)
    told = {name: facts(document) for name, document in documents.items()}
    assert {name: (fact["state"], fact["parent"]) for name, fact in told.items()} == {
        "off": ("shutoff", None), "on": ("disk-snapshot", "off"),
        "one-disk": ("disk-snapshot", "on"), "branch": ("shutoff", "on"),
    }
    assert told["off"]["description"] == "before & after <it>"
    assert ("vdb", "no", None, None) in told["one-disk"]["disks"]


def test_libvirt_takes_our_checkpoints(libvirtd, make_off, work):
    vm = make_off().define()
    cli = vm.cli
    libvirtd.virsh("define", work / "vm.xml")
    cli.run("checkpoint-create-as", vm.name, "off", "before & after <it>")
    cli.run("start", vm.name, "--paused")
    cli.run("checkpoint-create-as", vm.name, "on")
    cli.run("checkpoint-create-as", vm.name, "one-disk", "--diskspec", "vda")
    cli.run("destroy", vm.name)

    documents = hand_to_libvirt(libvirtd, vm, "checkpoint", work)
    require_libvirt_agrees(libvirtd, vm, "checkpoint", documents)
    assert facts(documents["one-disk"])["disks"] == [
        ("vda", "bitmap", "one-disk", None), ("vdb", "no", None, None)]
    # libvirt finds in the images what the documents promise.
    libvirtd.virsh("start", vm.name, "--paused")
    for name in documents:
        libvirtd.virsh("checkpoint-create", vm.name, work / f"checkpoint-{name}.xml",
                       "--redefine", "--redefine-validate")


def virsh_source(libvirtd, vm, target):
    """Where the disk is now, by libvirt's account."""
    rows = [line.split() for line in libvirtd.virsh("domblklist", vm.name).splitlines() if line.strip()]
    return {target: path for target, path in rows}[target]


def put(libvirtd, vm, seed):
    """Write to all disks as the guest would if it ran."""
    for disk in vm.disks:
        images.write_pattern(virsh_source(libvirtd, vm, disk.target), 0, MIB, f"{seed}-{disk.target}")


def snapshot_by_libvirt(libvirtd, vm, name, *, how):
    """Make one: internal, external, or external of a domain that runs."""
    if how == "running":
        libvirtd.virsh("start", vm.name, "--paused")
    words = [] if how == "internal" else ["--disk-only"]
    libvirtd.virsh("snapshot-create-as", vm.name, name, "made & told", *words)
    if how == "running":
        libvirtd.virsh("destroy", vm.name)


def two_snapshots(libvirtd, vm, work, how):
    """Contents one, two and three, with snapshots l1 and l2 between them, all by libvirt."""
    libvirtd.virsh("define", vm.domain.write(work / "vm.xml"))
    put(libvirtd, vm, "one")
    snapshot_by_libvirt(libvirtd, vm, "l1", how=how)
    put(libvirtd, vm, "two")
    snapshot_by_libvirt(libvirtd, vm, "l2", how=how)
    put(libvirtd, vm, "three")


def disks_of(document, name):
    """The list of disks of a point, without its name."""
    disks = etree.fromstring(document).find("disks")
    etree.indent(disks)
    return etree.tostring(disks, encoding="unicode").strip().replace(name, "POINT")


def test_what_is_said_of_disks_is_what_libvirt_says(libvirtd, make_off, work):
    """Also what nobody has asked for: overlays' formats, the kind of a checkpoint."""
    vm = make_off()
    libvirtd.virsh("define", vm.domain.write(work / "vm.xml"))
    libvirtd.virsh("snapshot-create-as", vm.name, "theirs", "--disk-only")
    libvirtd.virsh("start", vm.name, "--paused")
    libvirtd.virsh("checkpoint-create-as", vm.name, "theirs", "--diskspec", "vdb")
    libvirtd.virsh("destroy", vm.name)
    define_as_libvirt_has_it(libvirtd, vm, work)
    vm.cli.run("snapshot-create-as", vm.name, "ours", "--disk-only")
    vm.cli.run("checkpoint-create-as", vm.name, "ours", "--diskspec", "vdb")
    for kind in ("snapshot", "checkpoint"):
        assert (disks_of(vm.cli.text(f"{kind}-dumpxml", vm.name, "ours"), "ours")
                == disks_of(libvirtd.virsh(f"{kind}-dumpxml", vm.name, "theirs"), "theirs"))


def define_as_libvirt_has_it(libvirtd, vm, work):
    path = work / "from-libvirt.xml"
    path.write_text(libvirtd.virsh("dumpxml", vm.name, "--inactive", "--security-info"))
    vm.cli.run("define", path)
    for disk in vm.disks:
        assert source(vm, disk.target) == virsh_source(libvirtd, vm, disk.target)


def require_content(vm, seed):
    for disk in vm.disks:
        images.require_pattern(source(vm, disk.target), 0, MIB, f"{seed}-{disk.target}")


def require_reverts(vm):
    require_content(vm, "three")
    for name, seed in (("l1", "one"), ("l2", "two"), ("l1", "one"), ("l1", "one")):
        vm.cli.run("snapshot-revert", vm.name, name)
        require_content(vm, seed)
        assert vm.cli.run("domstate", vm.name).data["state"] == "shutoff"
        assert vm.cli.text("snapshot-current", vm.name, "--name").strip() == name
        for disk in vm.disks:
            images.write_pattern(source(vm, disk.target), 0, MIB, "lost")
    for disk in vm.disks:
        images.check(source(vm, disk.target))


@pytest.mark.parametrize("how", ["internal", "external", "running"])
def test_we_revert_to_snapshots_that_libvirt_made(libvirtd, make_off, work, how):
    vm = make_off(devices=[PASSWORD])
    two_snapshots(libvirtd, vm, work, how)
    define_as_libvirt_has_it(libvirtd, vm, work)
    for name in ("l1", "l2"):
        document = libvirtd.virsh("snapshot-dumpxml", vm.name, name, "--security-info")
        vm.cli.run("snapshot-create", vm.name, "-", "--redefine", stdin=document)
        # Nothing of it was lost or changed on the way, secrets included.
        ours = vm.cli.text("snapshot-dumpxml", vm.name, name, "--security-info")
        assert ours.strip() == document.strip()
        assert "hush" in ours and "hush" not in vm.cli.text("snapshot-dumpxml", vm.name, name)
        # So libvirt takes it back as the same.
        (work / "back.xml").write_text(ours)
        libvirtd.virsh("snapshot-create", vm.name, work / "back.xml", "--redefine")
        assert libvirtd.virsh("snapshot-dumpxml", vm.name, name, "--security-info") == document

    told = facts(vm.cli.text("snapshot-dumpxml", vm.name, "l2"))
    assert (told["parent"], told["description"]) == ("l1", "made & told")
    assert told["state"] == ("disk-snapshot" if how == "running" else "shutoff")
    kind = "internal" if how == "internal" else "external"
    assert [(target, found) for target, found, *_ in told["disks"]] == [("vda", kind), ("vdb", kind)]
    require_reverts(vm)
    assert "hush" in vm.cli.text("dumpxml", vm.name, "--security-info")


def snapshot_with_memory(libvirtd, vm, work, *words):
    """A paused machine and content one in a snapshot of libvirt's, content two after it."""
    libvirtd.virsh("define", vm.domain.write(work / "vm.xml"))
    put(libvirtd, vm, "one")
    libvirtd.virsh("start", vm.name, "--paused")
    libvirtd.virsh("snapshot-create-as", vm.name, "l1", *words)
    libvirtd.virsh("destroy", vm.name)
    put(libvirtd, vm, "two")
    define_as_libvirt_has_it(libvirtd, vm, work)
    document = libvirtd.virsh("snapshot-dumpxml", vm.name, "l1", "--security-info")
    vm.cli.run("snapshot-create", vm.name, "-", "--redefine", stdin=document)
    assert vm.cli.text("snapshot-dumpxml", vm.name, "l1", "--security-info").strip() == document.strip()


def test_we_load_the_memory_that_libvirt_has_put_into_an_image(libvirtd, make_off, work):
    vm = make_off()
    snapshot_with_memory(libvirtd, vm, work)
    # QEMU loads it only into a machine whose devices are where they were in libvirt's.
    vm.cli.run("snapshot-revert", vm.name, "l1")
    assert vm.cli.run("domstate", vm.name).data["state"] == "paused"
    vm.cli.run("destroy", vm.name)
    require_content(vm, "one")


def test_a_memory_file_of_libvirts_is_refused_before_anything_changes(libvirtd, make_off, work):
    vm = make_off()
    snapshot_with_memory(libvirtd, vm, work, "--memspec", work / "vm.mem")
    memory = images.tool("sha256sum", work / "vm.mem").stdout
    before = world.look(vm, work)
    refused(vm.cli, "snapshot-revert", vm.name, "l1", status=12, says=(vm.name, work / "vm.mem"))
    assert world.look(vm, work) == before
    assert images.tool("sha256sum", work / "vm.mem").stdout == memory
    require_content(vm, "two")


def test_we_count_from_checkpoints_that_libvirt_made(libvirtd, make_off, work):
    vm = make_off()
    libvirtd.virsh("define", vm.domain.write(work / "vm.xml"))
    libvirtd.virsh("start", vm.name, "--paused")
    libvirtd.virsh("checkpoint-create-as", vm.name, "c1")
    libvirtd.virsh("checkpoint-create-as", vm.name, "c2", "--diskspec", "vda")
    libvirtd.virsh("destroy", vm.name)
    put(libvirtd, vm, "one")
    define_as_libvirt_has_it(libvirtd, vm, work)

    for name, disks in (("c1", {"vda": MIB, "vdb": MIB}), ("c2", {"vda": MIB})):
        document = libvirtd.virsh("checkpoint-dumpxml", vm.name, name, "--security-info")
        words = ("checkpoint-create", vm.name, "-", "--redefine", "--redefine-validate")
        vm.cli.run(*words, stdin=document)
        assert facts(vm.cli.text("checkpoint-dumpxml", vm.name, name)) == facts(document)
        sized = vm.cli.text("checkpoint-dumpxml", vm.name, name, "--size", "--no-domain")
        assert {disk.get("name"): int(disk.get("size"))
                for disk in etree.fromstring(sized).iter("disk") if disk.get("size")} == disks
        # An image without the bitmap is found out.
        wrong = document.replace(f"<name>{name}</name>", "<name>none</name>", 1).replace(
            f"bitmap='{name}'", "bitmap='none'")
        refused(vm.cli, *words, status=10, says=(vm.name, "vda", "none"), stdin=wrong)


def folder_of(libvirtd, vm, kind):
    """Where libvirt keeps what it knows: the folder above it is another one for root."""
    found = list(libvirtd.root.rglob(f"qemu/{kind}/{vm.name}"))
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("how", ["internal", "external"])
def test_we_take_libvirts_own_folder_of_snapshots(libvirtd, make_off, work, how):
    vm = make_off()
    two_snapshots(libvirtd, vm, work, how)
    # Current is what libvirt says, not what was made last.
    libvirtd.virsh("snapshot-create-as", vm.name, "l3", *([] if how == "internal" else ["--disk-only"]))
    document = libvirtd.virsh("snapshot-dumpxml", vm.name, "l2", "--security-info")
    (work / "l2.xml").write_text(document)
    libvirtd.virsh("snapshot-create", vm.name, work / "l2.xml", "--redefine", "--current")
    define_as_libvirt_has_it(libvirtd, vm, work)

    folder = folder_of(libvirtd, vm, "snapshot")
    assert {path.name for path in folder.iterdir()} == {"l1.xml", "l2.xml", "l3.xml"}
    taken = vm.cli.run("snapshot-create", vm.name, "--redefine", "--from-dir", folder).data
    assert taken["count"] == 3
    assert names(vm) == ["l1", "l2", "l3"]
    assert vm.cli.text("snapshot-current", vm.name, "--name").strip() == "l2"
    for name in names(vm):
        told = libvirtd.virsh("snapshot-dumpxml", vm.name, name, "--security-info")
        assert vm.cli.text("snapshot-dumpxml", vm.name, name, "--security-info").strip() == told.strip()
    require_reverts(vm)


def test_we_take_libvirts_own_folder_of_checkpoints(libvirtd, make_off, work):
    vm = make_off()
    libvirtd.virsh("define", vm.domain.write(work / "vm.xml"))
    libvirtd.virsh("start", vm.name, "--paused")
    for name in ("z-first", "a-second", "m-third"):
        libvirtd.virsh("checkpoint-create-as", vm.name, name)
    libvirtd.virsh("destroy", vm.name)
    define_as_libvirt_has_it(libvirtd, vm, work)

    folder = folder_of(libvirtd, vm, "checkpoint")
    vm.cli.run("checkpoint-create", vm.name, "--redefine", "--redefine-validate", "--from-dir", folder)
    assert names(vm, "checkpoint") == ["z-first", "a-second", "m-third"]
    for name in names(vm, "checkpoint"):
        told = libvirtd.virsh("checkpoint-dumpxml", vm.name, name, "--security-info")
        assert facts(vm.cli.text("checkpoint-dumpxml", vm.name, name)) == facts(told)
