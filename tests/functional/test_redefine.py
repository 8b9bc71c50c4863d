# SPDX-License-Identifier: LGPL-2.1-or-later
"""Dumping points and taking them back, one by one and all at once; no QEMU is needed."""

import xml.etree.ElementTree as ET

import pytest

UUID = "6695eb01-f6a4-8304-79aa-97f2502e1901"


def definition(image, more=""):
    return (f"<domain type='qemu'>\n  <name>vm</name>\n  <uuid>{UUID}</uuid>\n  <memory unit='MiB'>64</memory>\n"
            "  <os><type arch='x86_64' machine='q35'>hvm</type></os>\n  <devices>\n"
            f"    <disk type='file'><driver name='qemu' type='qcow2'/><source file='{image}'/>"
            f"<target dev='vda' bus='virtio'/></disk>\n{more}  </devices>\n</domain>")


def snapshot(number, more=""):
    parent = f"<parent><name>s{number - 1}</name></parent>" if number else ""
    return (f"<domainsnapshot><name>s{number}</name><state>shutoff</state>{parent}<creationTime>{number}</creationTime>"
            f"<disks><disk name='vda' snapshot='external'><source file='/i/vm.s{number}'/></disk></disks>"
            f"{definition(f'/i/vm.s{number - 1}', more)}</domainsnapshot>")


def checkpoint(number):
    parent = f"<parent><name>c{number - 1}</name></parent>" if number else ""
    return (f"<domaincheckpoint><name>c{number}</name>{parent}<creationTime>{number}</creationTime>"
            f"<disks><disk name='vda'/></disks>{definition('/i/vm.qcow2')}</domaincheckpoint>")


def dump(vmpoint, kind, *words):
    return vmpoint.run(f"{kind}-dumpxml", "vm", *words, json=False).stdout


@pytest.fixture(params=["snapshot", "checkpoint"])
def kind(request):
    return request.param


@pytest.fixture
def domain(vmpoint):
    vmpoint.run("define", "-", stdin=definition("/i/vm.qcow2"))


@pytest.fixture
def points(vmpoint, domain, kind):
    for number in range(5):
        document = snapshot(number) if kind == "snapshot" else checkpoint(number)
        vmpoint.run(f"{kind}-create", "vm", "-", "--redefine", stdin=document)
    return [f"{kind[0]}{number}" for number in range(5)]


def forget(vmpoint, kind, name):
    vmpoint.run(f"{kind}-delete", "vm", name, "--metadata", "--children")


def test_all_points_go_out_and_come_back_the_same(vmpoint, work, kind, points):
    single = [dump(vmpoint, kind, name) for name in points]
    document = dump(vmpoint, kind, "--all")
    (work / "all.xml").write_text(document)
    forget(vmpoint, kind, points[0])
    assert vmpoint.run(f"{kind}-create", "vm", work / "all.xml", "--redefine").data["count"] == 5
    assert [dump(vmpoint, kind, name) for name in points] == single
    assert dump(vmpoint, kind, "--all") == document


def test_a_dump_of_all_is_xml_to_others(vmpoint, kind, points):
    root = ET.fromstring(dump(vmpoint, kind, "--all"))
    assert root.tag == f"domain{kind}s"
    assert [point.findtext("name") for point in root.findall(f"domain{kind}")] == points
    texts = {}
    for element in root.findall("definition"):
        text = (element.text or "").encode()
        if element.get("like"):
            base = texts[element.get("like")]
            text = base[:int(element.get("first"))] + text + base[len(base) - int(element.get("last")):]
        texts[element.get("id")] = text
    for point in root.findall(f"domain{kind}"):
        own = ET.fromstring(dump(vmpoint, kind, point.findtext("name"))).find("domain")
        told = ET.fromstring(texts[point.find("domain").get("ref")])
        own.tail = told.tail
        assert ET.tostring(own) == ET.tostring(told)


def test_a_dry_run_takes_nothing_back(vmpoint, kind, points):
    document = dump(vmpoint, kind, "--all")
    forget(vmpoint, kind, points[0])
    vmpoint.run(f"{kind}-create", "vm", "-", "--redefine", "--dry-run", stdin=document)
    assert vmpoint.run(f"{kind}-list", "vm").data == []


def test_a_document_that_is_cut_off_is_refused_as_a_whole(vmpoint, kind, points):
    document = dump(vmpoint, kind, "--all").rstrip()
    forget(vmpoint, kind, points[0])
    result = vmpoint.run(f"{kind}-create", "vm", "-", "--redefine", stdin=document[:-5], check=False)
    assert result.status == 2
    assert vmpoint.run(f"{kind}-list", "vm").data == []


def test_a_dump_without_its_passwords_is_not_taken_back(vmpoint, domain):
    vmpoint.run("snapshot-create", "vm", "-", "--redefine",
                stdin=snapshot(0, "<graphics type='vnc' passwd='hush'/>"))
    masked = dump(vmpoint, "snapshot", "--all")
    assert "hush" not in masked
    result = vmpoint.run("snapshot-create", "vm", "-", "--redefine", stdin=masked, check=False)
    assert result.status == 2 and "--security-info" in result.error["error"]["message"]
    whole = dump(vmpoint, "snapshot", "--all", "--security-info")
    forget(vmpoint, "snapshot", "s0")
    vmpoint.run("snapshot-create", "vm", "-", "--redefine", stdin=whole)
    assert "hush" in dump(vmpoint, "snapshot", "s0", "--security-info")


def test_a_folder_of_single_dumps_is_taken_in_any_order(vmpoint, work, kind, points):
    folder = work / "points"
    folder.mkdir()
    single = {name: dump(vmpoint, kind, name) for name in points}
    for number, name in enumerate(reversed(points)):
        (folder / f"{number}.xml").write_text(f"<!--\nnot to be edited\n-->\n{single[name]}")
    forget(vmpoint, kind, points[0])
    assert vmpoint.run(f"{kind}-create", "vm", "--redefine", "--from-dir", folder).data["count"] == 5
    assert {name: dump(vmpoint, kind, name) for name in points} == single


@pytest.mark.parametrize("line", [
    "snapshot-dumpxml vm", "snapshot-dumpxml vm s0 --all", "snapshot-dumpxml vm --all --xpath //name",
    "checkpoint-dumpxml vm --all --size", "checkpoint-dumpxml vm --all --no-domain",
    "snapshot-create vm --from-dir /", "snapshot-create vm x.xml --redefine --from-dir /",
])
def test_what_does_not_go_together_is_refused(vmpoint, domain, line):
    assert vmpoint.run(*line.split(), check=False).status == 2


def test_a_snapshot_is_taken_back_only_if_the_images_bear_it_out(make_vm, vmpoint, work):
    vm = make_vm(disks=1).define()
    vmpoint.run("snapshot-create-as", vm.name, "s1", "--disk-only")
    document = dump(vmpoint, "snapshot", "s1", "--security-info")
    vmpoint.run("snapshot-delete", vm.name, "s1", "--metadata")
    vmpoint.run("snapshot-create", vm.name, "-", "--redefine", "--redefine-validate", stdin=document)

    overlay = work / "vm-vda.s1"
    overlay.rename(work / "elsewhere")
    before = vmpoint.run("snapshot-list", vm.name).data
    refused = vmpoint.run("snapshot-create", vm.name, "-", "--redefine", "--redefine-validate",
                          stdin=document, check=False)
    assert refused.status == 10
    assert str(overlay) in refused.error["error"]["message"]
    assert vmpoint.run("snapshot-list", vm.name).data == before
    # Without the flag nobody looks at the images, as with libvirt.
    vmpoint.run("snapshot-create", vm.name, "-", "--redefine", stdin=document)
