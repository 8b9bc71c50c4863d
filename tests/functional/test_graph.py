# SPDX-License-Identifier: LGPL-2.1-or-later
"""The picture of a domain: held against qemu-img and QMP, and drawn by Graphviz."""

import subprocess
import xml.etree.ElementTree as ET

from vmtest import images
from vmtest.images import MIB
from vmtest.world import StandIn

SIZE = 16 * MIB


def graph(vm):
    return vm.cli.run("graph", vm.name).data


def by_path(found):
    return {image["path"]: image for image in found["images"]}


def make_tree(vm):
    """c1, s1, s2 and s3 with the RAM, then back to s1: vda has two branches."""
    vm.cli.run("checkpoint-create-as", vm.name, "c1")
    vm.cli.run("snapshot-create-as", vm.name, "s1", "--disk-only")
    vm.cli.run("snapshot-create-as", vm.name, "s2", "--disk-only")
    vm.cli.run("snapshot-revert", vm.name, "s1", "--force")


def assert_as_on_storage(found):
    """Backing links and sizes as qemu-img reads them from the files."""
    for image in found["images"]:
        info = images.info(image["path"], live=True)
        assert image["format"] == info["format"]
        assert image["backing"] == info.get("full-backing-filename")
        assert image["virtual-size"] == info["virtual-size"]
        if image["node"] is None:
            stored = info.get("format-specific", {}).get("data", {}).get("bitmaps", [])
            assert [b["name"] for b in image["bitmaps"]] == [b["name"] for b in stored]


def test_a_domain_that_is_off(make_vm, work):
    vm = make_vm(size=SIZE).define()
    vm.cli.run("snapshot-create-as", vm.name, "i1")
    make_tree(vm)
    found = graph(vm)
    assert not found["active"]
    assert_as_on_storage(found)
    seen = by_path(found)
    base, layer = str(work / "vm-vda.qcow2"), str(work / "vm-vda.s1")
    assert seen[base]["internal-snapshots"] == ["i1"]
    assert seen[layer]["backing"] == base
    writers = {path: image["disks"] for path, image in seen.items() if image["disks"]}
    assert sorted(disk for disks in writers.values() for disk in disks) == ["vda", "vdb"]
    assert base not in writers and layer not in writers

    points = {point["name"]: point for point in found["snapshots"]}
    assert points["s1"]["current"] and points["s2"]["parent"] == "s1"
    assert {"disk": "vda", "path": base, "internal": True} in points["i1"]["places"]
    assert {"disk": "vda", "path": base, "internal": False} in points["s1"]["places"]
    assert {"disk": "vda", "path": layer, "internal": False} in points["s2"]["places"]
    places = found["checkpoints"][0]["places"]
    assert {place["disk"] for place in places} == {"vda", "vdb"}
    for place in places:
        assert "c1" in [bitmap["checkpoint"] for bitmap in seen[place["path"]]["bitmaps"]]


def test_a_running_domain_has_the_nodes_of_qemu(make_vm, work):
    vm = make_vm(size=SIZE, disks=1).define()
    StandIn(vm).start()
    vm.cli.run("checkpoint-create-as", vm.name, "c1")
    ram = work / "s1.ram"
    vm.cli.run("snapshot-create-as", vm.name, "s1", "--memspec", str(ram))
    found = graph(vm)
    assert found["active"]
    assert_as_on_storage(found)
    nodes = {node["node-name"]: node for node in vm.spy.execute("query-named-block-nodes")}
    assert len(found["images"]) == 2
    for image in found["images"]:
        assert nodes[image["node"]]["file"] == image["path"]
    top = next(image for image in found["images"] if image["disks"] == ["vda"])
    bitmap, = top["bitmaps"]
    assert bitmap == {"name": "c1", "checkpoint": "c1", "recording": True, "inconsistent": False}
    assert found["snapshots"][0]["memory-file"] == str(ram)


def test_what_cannot_be_read_is_shown(make_vm, work):
    vm = make_vm(size=SIZE, disks=1).define()
    vm.cli.run("snapshot-create-as", vm.name, "s1", "--disk-only")
    (work / "vm-vda.qcow2").unlink()
    seen = by_path(graph(vm))
    assert "vm-vda.qcow2" in seen[str(work / "vm-vda.qcow2")]["failure"]
    assert seen[str(work / "vm-vda.s1")]["failure"] is None


def test_the_text_is_a_tree(make_vm, work):
    vm = make_vm(size=SIZE, disks=1).define()
    make_tree(vm)
    lines = vm.cli.text("graph", vm.name).splitlines()
    assert lines[0] == "Images:"
    assert lines[1].startswith(f"{work}/vm-vda.qcow2  [qcow2, ")
    assert "; snapshot s1" in lines[1]
    below = [line for line in lines if line.startswith("  +- ")]
    assert f"  +- {work}/vm-vda.s1  [" in "\n".join(below)
    assert sum(" <- vda" in line for line in lines) == 1
    assert lines.index("Snapshots:") < lines.index("s1") < lines.index("Checkpoints:")


def test_graphviz_draws_it(make_vm, work):
    """Names that its language could trip over are in the picture as they are."""
    vm = make_vm(size=SIZE, disks=1).define()
    make_tree(vm)
    name = 'a "b" \\n {c} <d> é'
    vm.cli.run("snapshot-create-as", vm.name, name, "--disk-only", "--diskspec",
               f"vda,file={work}/odd.qcow2")
    svg = ET.fromstring(vm.cli.text("graph", vm.name, "--svg").encode())
    nodes = {}
    for group in svg.iter("{http://www.w3.org/2000/svg}g"):
        kinds = group.get("class", "").split()
        if kinds and kinds[0] == "node":
            label = "".join(text.text for text in group.iter("{http://www.w3.org/2000/svg}text"))
            nodes.setdefault(kinds[1], []).append(label)
    assert sorted(nodes["snapshot"]) == sorted(["s1", "s2", f"{name} (current)"])
    assert nodes["checkpoint"] == ["c1 (current)"]
    assert nodes["disk"] == ["vda"]
    assert len(nodes["image"]) == len(graph(vm)["images"])

    dot = vm.cli.text("graph", vm.name, "--dot")
    plain = subprocess.run(["dot", "-Tplain"], input=dot, capture_output=True, text=True,
                           check=True).stdout
    edges = [line for line in plain.splitlines() if line.startswith("edge ")]
    assert sum("stands on" in line for line in edges) == len(nodes["image"]) - 1


def test_without_graphviz_it_is_said(make_vm, monkeypatch):
    vm = make_vm(size=SIZE, disks=1).define()
    monkeypatch.setenv("PATH", "/nowhere")
    result = vm.cli.run("graph", vm.name, "--svg", json=False, check=False)
    assert result.status == 6
    assert "Graphviz" in result.stderr and "--dot" in result.stderr
