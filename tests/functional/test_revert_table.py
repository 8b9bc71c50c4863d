# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a revert does, by what the snapshot has, what the domain is now, and what is asked for.

One machine goes through every row.  Its guest is never let run longer than a row takes, and what it
would write is written at its devices (see StandIn): the disks say which time they are of.  That RAM
comes back is proved with a guest, in test_memory.py and test_internal.py.
"""

import xml.etree.ElementTree as xml

import pytest
from vmtest import images
from vmtest.images import MIB
from vmtest.world import StandIn

INVALID, UNSUPPORTED, RISKY = 2, 6, 11
PAST, PRESENT = 1, 2


def state(vm):
    return vm.cli.run("domstate", vm.name, json=False).stdout.strip()


def pid(vm):
    return vm.cli.run("dominfo", vm.name).data["pid"] if state(vm) != "shut off" else None


def sources(vm):
    return [row["source"] for row in vm.cli.run("domblklist", vm.name).data]


def set_state(vm, wanted):
    """Whatever it is now."""
    now = state(vm)
    if now == "shut off" and wanted != "shut off":
        vm.cli.run("start", vm.name, "--paused")
        now = "paused"
    if wanted == "shut off" and now != wanted:
        vm.cli.run("destroy", vm.name)
        vm.close()
    elif now != wanted:
        vm.cli.run({"running": "resume", "paused": "suspend"}[wanted], vm.name)
    assert state(vm) == wanted


def write(vm, byte):
    if state(vm) == "shut off":
        for source in sources(vm):
            images.tool("qemu-io", "-c", f"write -P {byte} 0 {MIB}", source)
    else:
        for disk in vm.disks:
            StandIn(vm).write(disk.target, 0, MIB, byte)


def require(vm, byte):
    for source in sources(vm):
        assert images.read(source, 0, MIB, live=True) == bytes([byte]) * MIB, source


STATES = ("shut off", "paused", "running")

# snapshot -> (now, asked) -> (end, does the process stay?)
STAYS, ENDS = True, False


def ends(state_then, with_ram):
    """The rows of one kind of snapshot: see docs/design/revert.md."""
    rows = {}
    for now in STATES:
        for asked in (None, "--running", "--paused"):
            end = {None: state_then if with_ram else "shut off", "--running": "running",
                   "--paused": "paused"}[asked]
            rows[now, asked] = (end, now != "shut off" and end != "shut off")
    return rows


# How each is made, the state it is made in, and its rows.
KINDS = {
    "external-with-ram-running": ("running", True, ["--memspec", "file={work}/s.ram"]),
    "external-with-ram-paused": ("paused", True, ["--memspec", "file={work}/s.ram"]),
    "external-of-the-disks": ("running", False, ["--disk-only"]),
    "external-off": ("shut off", False, ["--disk-only"]),
    "internal-running": ("running", True, []),
    "internal-paused": ("paused", True, []),
    "internal-off": ("shut off", False, []),
}
# An internal snapshot of a domain that was off is taken back where no process has the images.
NEVER_STAYS = {"internal-off"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_of_the_table(make_vm, work, kind):
    made_in, with_ram, how = KINDS[kind]
    vm = make_vm().define()
    set_state(vm, "paused" if made_in == "running" else made_in)
    write(vm, PAST)
    set_state(vm, made_in)
    vm.cli.run("snapshot-create-as", vm.name, "s", *[word.format(work=work) for word in how])

    for (now, asked), (end, stays) in ends(made_in, with_ram).items():
        row = f"{kind}: now {now}, {asked or 'nothing asked'}"
        set_state(vm, "paused" if now == "running" else now)
        write(vm, PRESENT)
        set_state(vm, now)
        before = pid(vm)
        vm.cli.run("snapshot-revert", vm.name, "s", *([asked] if asked else []))
        assert state(vm) == end, row
        if stays and kind not in NEVER_STAYS:
            assert pid(vm) == before, row
        elif end != "shut off":
            assert pid(vm) not in (None, before), row
        if pid(vm) != before:
            vm.close()
        require(vm, PAST)
        assert vm.cli.text("snapshot-current", vm.name, "--name").strip() == "s", row
        # Layers that were left do not pile up.
        assert len(list(work.glob("vm-vd*"))) == (4 if kind.startswith("external") else 2), row


def refused(vm, status, *command):
    result = vm.cli.run(*command, check=False)
    assert result.status == status, result.stderr
    return result.stderr


def risks(vm, *options):
    report = vm.cli.run("snapshot-revert", vm.name, "s", *options, "--dry-run").data
    return {risk["code"] for risk in report["risks"]}


# --- risks: what each says, and what --force makes of it ----------------------------------------


def test_an_image_that_somebody_wrote_to_is_a_risk(make_vm, work):
    vm = make_vm().define()
    write(vm, PAST)
    vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only")
    vm.cli.run("snapshot-create-as", vm.name, "t", "--disk-only")
    assert risks(vm) == set()
    # What vmpoint itself does to frozen images is none of that.
    vm.cli.run("checkpoint-create-as", vm.name, "c")
    vm.cli.run("snapshot-create-as", vm.name, "u", "--disk-only")
    vm.cli.run("checkpoint-delete", vm.name, "c")
    vm.cli.run("snapshot-delete", vm.name, "u")
    vm.cli.run("snapshot-delete", vm.name, "t")
    assert risks(vm) == set()

    images.tool("qemu-io", "-c", f"write -P 9 {4 * MIB} 4096", vm.disks[1].path)
    assert risks(vm) == {"base-changed"}
    said = refused(vm, RISKY, "snapshot-revert", vm.name, "s")
    assert str(vm.disks[1].path) in said and str(vm.disks[0].path) not in said
    vm.cli.run("snapshot-revert", vm.name, "s", "--force")
    require(vm, PAST)
    assert images.read(sources(vm)[1], 4 * MIB, 4096) == bytes([9]) * 4096


def test_all_risks_are_listed_at_once(make_vm, work):
    """Another machine than the snapshot's, a disk that it does not have, an image that changed."""
    vm = make_vm()
    vm.domain.spy = None
    vm.define()
    vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only", "--diskspec", "vdb,snapshot=no")
    vm.domain.memory_mib += 64
    vm.domain.disks[0].path = sources(vm)[0]
    vm.define()
    images.tool("qemu-io", "-c", "write -P 9 0 4096", work / "vm-vda.qcow2")
    vm.cli.run("start", vm.name, "--paused")
    before = pid(vm)

    wanted = {"abi-change", "new-process", "uncovered-disk", "base-changed"}
    assert risks(vm, "--paused") == wanted
    said = refused(vm, RISKY, "snapshot-revert", vm.name, "s", "--paused")
    assert all(code in said for code in wanted)
    assert state(vm) == "paused" and pid(vm) == before
    # Whoever lets it go off loses no process.
    assert risks(vm) == {"uncovered-disk", "base-changed"}

    vm.cli.run("snapshot-revert", vm.name, "s", "--paused", "--force")
    assert state(vm) == "paused" and pid(vm) != before
    assert "256" in vm.cli.text("dumpxml", vm.name) or "262144" in vm.cli.text("dumpxml", vm.name)
    assert sources(vm)[1] == str(vm.disks[1].path)


def test_a_snapshot_without_a_domain_is_a_risk(make_vm, work):
    vm = make_vm().define()
    write(vm, PAST)
    vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only")
    # As releases of libvirt before definitions were captured have written it.
    tree = xml.fromstring(vm.cli.text("snapshot-dumpxml", vm.name, "s", "--security-info"))
    tree.remove(tree.find("domain"))
    document = work / "bare.xml"
    document.write_text(xml.tostring(tree, encoding="unicode"))
    vm.cli.run("snapshot-delete", vm.name, "s", "--metadata")
    vm.cli.run("snapshot-create", vm.name, document, "--redefine", "--current")

    assert risks(vm) == {"no-domain"}
    refused(vm, RISKY, "snapshot-revert", vm.name, "s")
    write(vm, PRESENT)
    vm.cli.run("snapshot-revert", vm.name, "s", "--force")
    require(vm, PAST)


# --- refused, forced or not ---------------------------------------------------------------------


def test_what_force_does_not_help(make_vm, work):
    vm = make_vm().define()
    write(vm, PAST)
    vm.cli.run("snapshot-create-as", vm.name, "s", "--disk-only")
    write(vm, PRESENT)

    def unchanged(status, *options):
        said = refused(vm, status, "snapshot-revert", vm.name, "s", "--force", *options)
        require(vm, PRESENT)
        return said

    unchanged(INVALID, "--running", "--paused")
    base = vm.disks[1].path
    base.rename(work / "elsewhere")
    assert str(base) in refused(vm, 3, "snapshot-revert", vm.name, "s", "--force")
    base.write_bytes(b"no image at all")
    assert str(base) in refused(vm, 12, "snapshot-revert", vm.name, "s", "--force")
    base.unlink()
    (work / "elsewhere").rename(base)
    require(vm, PRESENT)

    vm.cli.run("start", vm.name, "--paused")
    monitor = vm.spy
    node = next(row["inserted"]["node-name"] for row in monitor.execute("query-block")
                if "vda" in row["qdev"])
    monitor.execute("blockdev-add", {"driver": "null-co", "node-name": "sink", "size": 64 * MIB})
    monitor.execute("blockdev-backup", {"device": node, "target": "sink", "sync": "full",
                                        "job-id": "theirs", "speed": 1,
                                        "auto-dismiss": False})
    assert "theirs" in refused(vm, 5, "snapshot-revert", vm.name, "s", "--force")
    assert state(vm) == "paused"


def test_fresh_firmware_variables_go_with_a_boot_only(make_vm, work):
    vm = make_vm(disks=1).define()
    set_state(vm, "paused")
    vm.cli.run("snapshot-create-as", vm.name, "s", "--memspec", f"file={work}/s.ram")
    assert "firmware" in refused(vm, UNSUPPORTED, "snapshot-revert", vm.name, "s",
                                 "--reset-nvram", "--force")
