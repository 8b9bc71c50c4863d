# SPDX-License-Identifier: LGPL-2.1-or-later
"""virsh is the judge: the same line, with the other word in front, prints the same bytes.

virsh needs no daemon for this: libvirt's test driver keeps domains and points in memory.  What
vmpoint has made for real is told to it as XML, and then both are asked.
"""

import re
import shlex
import shutil
import subprocess
import xml.etree.ElementTree as etree

import pytest

UUIDS = {"vm": "6695eb01-f6a4-8304-79aa-97f2502e193f", "Other": "6695eb01-f6a4-8304-79aa-97f2502e1930"}
DOMAIN = """<domain type='qemu'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='KiB'>262144</memory>
  <currentMemory unit='KiB'>131072</currentMemory>
  <vcpu>2</vcpu>
  <os><type arch='x86_64'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='{dir}/{name}-vda.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='file' device='cdrom'>
      <target dev='hda' bus='ide'/>
    </disk>
  </devices>
</domain>
"""

# A snapshot and its parent; names that sort and measure in different ways.
SNAPSHOTS = [
    ("base", None), ("B-two", "base"), ("a1", "B-two"), ("a10", "B-two"), ("a2", "base"),
    ("ünïcode", "a2"), ("漢字", "base"), ("Zz", "漢字"), ("a longer name", "Zz"),
]
CHECKPOINTS = ["c1", "C2", "c10", "a-longer-name"]


class Virsh:
    """virsh with the test driver; it forgets everything after each run."""

    def __init__(self, program, config):
        self._argv = [program, "-c", f"test://{config}"]
        self.prelude = []
        self._said = {}

    def run(self, *words, quiet=False):
        """The line's own output behind the prelude, and whether it succeeded."""
        argv = [self._argv[0], *(["-q"] if quiet else []), *self._argv[1:]]
        before = self._stdout(argv, "; ".join(self.prelude))
        done = subprocess.run([*argv, "; ".join([*self.prelude, shlex.join(words)])],
                              env={"LC_ALL": "C.UTF-8"}, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)
        if done.returncode and not done.stdout:
            return "", False  # not even parsed, and so nothing before it was run
        assert done.stdout.startswith(before)
        return done.stdout[len(before):], done.returncode == 0

    def _stdout(self, argv, commands):
        if not commands:
            return ""
        if (commands, *argv) not in self._said:
            done = subprocess.run([*argv, commands], env={"LC_ALL": "C.UTF-8"}, stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, check=True)
            assert done.stderr == ""
            self._said[commands, *argv] = done.stdout
        return self._said[commands, *argv]


@pytest.fixture
def domains(vmpoint, work):
    """Two domains that are off."""
    for name, uuid in UUIDS.items():
        disk = work / f"{name}-vda.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "16M"], check=True)
        vmpoint.run("define", "-", stdin=DOMAIN.format(name=name, uuid=uuid, dir=work))
    return list(UUIDS)


@pytest.fixture
def virsh(work, domains):
    """The same two domains, off as well, as virsh sees them."""
    program = shutil.which("virsh")
    if not program:
        pytest.skip("virsh (package libvirt-clients) is not installed")
    node = "".join(DOMAIN.format(name=name, uuid=uuid, dir=work) for name, uuid in UUIDS.items())
    config = work / "node.xml"
    config.write_text(f"<node>{node}</node>".replace("type='qemu'>\n  <name>", "type='test'>\n  <name>"),
                      encoding="utf-8")
    found = Virsh(program, config)
    found.prelude = [f"destroy {name}" for name in domains]
    return found


def same(vmpoint, virsh, line, quiet=False):
    """Both say the same, byte for byte, or both refuse."""
    words = shlex.split(line)
    expected, succeeds = virsh.run(*words, quiet=quiet)
    ours = vmpoint.run(*(["-q"] if quiet else []), *words, json=False, check=False)
    assert (ours.status == 0) == succeeds, (line, ours)
    if not succeeds:
        assert ours.stdout == ""
        return
    # virsh -q leaves some last lines open.
    if quiet and expected and not expected.endswith("\n"):
        expected += "\n"
    assert ours.stdout == expected, line


def redefinition(kind, row, domain_xml, extra):
    """What virsh reads to know a point that vmpoint has made."""
    root = etree.Element(f"domain{kind}")
    etree.SubElement(root, "name").text = row["name"]
    if "state" in row:
        etree.SubElement(root, "state").text = row["state"]
    if row["parent"]:
        etree.SubElement(etree.SubElement(root, "parent"), "name").text = row["parent"]
    etree.SubElement(root, "creationTime").text = str(row["creation_time"])
    root.append(etree.fromstring(f"<disks>{extra}</disks>"))
    domain = etree.fromstring(domain_xml)
    domain.set("type", "test")
    root.append(domain)
    return etree.tostring(root, encoding="unicode")


def tell(virsh, vmpoint, work, kind, extra):
    """Let virsh know all points of that kind that vmpoint has."""
    xml = DOMAIN.format(name="vm", uuid=UUIDS["vm"], dir=work)
    for i, row in enumerate(vmpoint.run(f"{kind}-list", "vm", "--topological").data):
        path = work / f"{kind}-{i}.xml"
        path.write_text(redefinition(kind, row, xml, extra), encoding="utf-8")
        current = " --current" if kind == "snapshot" and row["current"] else ""
        virsh.prelude.append(f"{kind}-create vm {path} --redefine{current}")


@pytest.fixture
def snapshots(vmpoint, virsh, work):
    """Their names; both programs know them, as a tree with several branches."""
    for name, parent in SNAPSHOTS:
        if parent:
            vmpoint.run("snapshot-current", "vm", parent)
        vmpoint.run("snapshot-create-as", "vm", name, "--disk-only")
    vmpoint.run("snapshot-current", "vm", "base")
    tell(virsh, vmpoint, work, "snapshot",
         "<disk name='vda' snapshot='external' type='file'><source file='/overlay'/></disk>"
         "<disk name='hda' snapshot='no'/>")
    return [name for name, _ in SNAPSHOTS]


@pytest.fixture
def checkpoints(vmpoint, virsh, work):
    for name in CHECKPOINTS:
        vmpoint.run("checkpoint-create-as", "vm", name)
    virsh.prelude = []  # the test driver has checkpoints of running domains only
    tell(virsh, vmpoint, work, "checkpoint",
         "<disk name='vda' checkpoint='bitmap' bitmap='b'/><disk name='hda' checkpoint='no'/>")
    return CHECKPOINTS


def test_domains(vmpoint, virsh):
    for options in ("", "--all", "--inactive", "--name", "--all --name", "--all --uuid", "--all --id",
                    "--all --id --name --uuid", "--all --table", "--state-shutoff", "--state-running",
                    "--all --with-snapshot", "--all --without-snapshot --name", "--all --persistent",
                    "--all --transient", "--all --with-checkpoint --without-checkpoint",
                    "--table --name"):
        for quiet in (False, True):
            same(vmpoint, virsh, f"list {options}", quiet)


def test_one_domain(vmpoint, virsh):
    for line in ("domstate vm", "domblklist vm", "domblklist vm --details", "domblklist vm --inactive",
                 "domblklist --domain vm", f"domblklist {UUIDS['Other']}", "domblkinfo vm vdx",
                 "domblkinfo vm", "domblkinfo vm vda --all", "domstate nobody"):
        for quiet in (False, True):
            same(vmpoint, virsh, line, quiet)


def test_facts_about_a_domain(vmpoint, virsh):
    # The test driver makes up a processor time, a security model and an odd type.
    made_up = ("OS Type:", "CPU time:", "Security ")
    expected = [line for line in virsh.run("dominfo", "vm")[0].splitlines() if not line.startswith(made_up)]
    ours = [line for line in vmpoint.text("dominfo", "vm").splitlines() if not line.startswith(made_up)]
    assert ours == expected


def test_sizes_of_disks(vmpoint, virsh):
    # The test driver makes up the numbers as well.
    for options in ("vda", "vda --human"):
        expected = virsh.run("domblkinfo", "vm", *options.split())[0]
        ours = vmpoint.text("domblkinfo", "vm", *options.split())
        number, unit = r"\d[.\d]*", r" [KMGT]?i?B\b"
        assert re.sub(unit, " U", re.sub(number, "N", ours)) == \
            re.sub(unit, " U", re.sub(number, "N", expected))
    expected = virsh.run("domblkinfo", "vm", "--all")[0].splitlines()
    ours = vmpoint.text("domblkinfo", "vm", "--all").splitlines()
    assert ours[0].split() == expected[0].split()
    assert ours[3].split() == expected[3].split() == ["hda", "-", "-", "-"]


@pytest.mark.parametrize("expression", [
    "//name", "//uuid", "//disk/target", "//disk[1]/target/@dev", "//name/text()", "//nothing",
    "//disk/target/@bus|//name", "//[", "count(//disk)",
])
def test_parts_of_a_document(vmpoint, virsh, expression):
    for wrap in ("", " --wrap"):
        line = f"dumpxml vm --xpath {shlex.quote(expression)}{wrap}"
        # For an expression that does not parse virsh prints nothing and is content.
        if expression != "//[":
            same(vmpoint, virsh, line)
        else:
            assert vmpoint.run(*shlex.split(line), check=False).status == 2


def test_snapshots(vmpoint, virsh, snapshots):
    for options in ("", "--parent", "--roots", "--tree", "--name", "--leaves", "--no-leaves",
                    "--inactive", "--active", "--disk-only", "--internal", "--external", "--metadata",
                    "--no-metadata", "--from base", "base", "--from base --descendants",
                    "--from base --descendants --parent", "--from base --descendants --tree",
                    "--from Zz --name", "--from a1", "--current", "--current --descendants",
                    "--current --name", "--from nobody", "--tree --metadata",
                    "--tree --name", "--roots --from base", "--roots --current", "--tree --leaves",
                    "--descendants", "base --current", "--parent --roots", "--external --tree"):
        for quiet in (False, True):
            same(vmpoint, virsh, f"snapshot-list vm {options}", quiet)


def test_one_snapshot(vmpoint, virsh, snapshots):
    for name in [*map(shlex.quote, snapshots), "nobody", "--current", "", "base --current"]:
        for command in ("snapshot-info", "snapshot-parent"):
            for quiet in (False, True):
                same(vmpoint, virsh, f"{command} vm {name}", quiet)
    for line in ("snapshot-current vm --name", "snapshot-current vm a1", "snapshot-current vm nobody",
                 "snapshot-current vm a1 --name", "snapshot-current Other --name",
                 "snapshot-dumpxml vm base --xpath //domainsnapshot/name", "snapshot-dumpxml vm",
                 "snapshot-dumpxml vm nobody", "snapshot-revert vm", "snapshot-delete vm"):
        same(vmpoint, virsh, line)


def test_checkpoints(vmpoint, virsh, checkpoints):
    for options in ("", "--parent", "--roots", "--tree", "--name", "--leaves", "--no-leaves",
                    "--from c1", "c1", "--from c1 --descendants", "--from c1 --descendants --parent",
                    "--from c1 --descendants --tree", "--from nobody", "--tree --name", "--tree --parent",
                    "--roots --from c1", "--descendants", "--tree --leaves"):
        for quiet in (False, True):
            same(vmpoint, virsh, f"checkpoint-list vm {options}", quiet)


def test_one_checkpoint(vmpoint, virsh, checkpoints):
    for name in [*checkpoints, "nobody", ""]:
        for command in ("checkpoint-info", "checkpoint-parent"):
            for quiet in (False, True):
                same(vmpoint, virsh, f"{command} vm {name}", quiet)
    for line in ("checkpoint-dumpxml vm c1 --xpath //domaincheckpoint/name", "checkpoint-dumpxml vm",
                 "checkpoint-delete vm", "checkpoint-delete vm nobody"):
        same(vmpoint, virsh, line)


def test_lists_of_nothing(vmpoint, virsh):
    for kind in ("snapshot", "checkpoint"):
        for options in ("", "--parent", "--name", "--tree"):
            for quiet in (False, True):
                same(vmpoint, virsh, f"{kind}-list vm {options}", quiet)


@pytest.mark.parametrize("line", [
    "snapshot-create-as vm s1 'a description'",
    "snapshot-create-as vm s1 --halt",
    "snapshot-create-as vm",
    "snapshot-create vm --current",
    "snapshot-create vm /no/such/file",
    "start nobody",
    "resume vm",
    "undefine vm",
    "undefine vm --snapshots-metadata --checkpoints-metadata",
    "snapshot-create-as vm s1 --frob",
    "list --all --all",
])
def test_what_was_done(vmpoint, virsh, line):
    """Here only the form of a name that was made up may differ."""
    words = shlex.split(line)
    expected, succeeds = virsh.run(*words)
    done = vmpoint.run(*words, *(["--disk-only"] if "snapshot-create-as" in line else []), json=False,
                       check=False)
    assert (done.status == 0) == succeeds, done
    if succeeds:
        assert re.sub(r"\d{10,}", "N", done.stdout) == re.sub(r"\d{10,}", "N", expected)


def test_a_checkpoint_was_made(vmpoint, virsh):
    virsh.prelude = []
    same(vmpoint, virsh, "checkpoint-create-as vm c1")


def test_a_file_is_named_where_it_was_used(vmpoint, virsh, work):
    new = work / "new.xml"
    text = DOMAIN.format(name="new", uuid="6695eb01-f6a4-8304-79aa-97f2502e1900", dir=work)
    new.write_text(text.replace("'qemu'>\n  <name>", "'test'>\n  <name>"), encoding="utf-8")
    expected, _ = virsh.run("define", str(new))
    new.write_text(text, encoding="utf-8")
    assert vmpoint.text("define", new) == expected

    point = work / "point.xml"
    point.write_text("<domainsnapshot><name>s</name></domainsnapshot>", encoding="utf-8")
    expected, _ = virsh.run("snapshot-create", "vm", str(point))
    assert vmpoint.text("snapshot-create", "vm", point, "--disk-only") == expected
    point.write_text("<domaincheckpoint><name>c</name></domaincheckpoint>", encoding="utf-8")
    virsh.prelude = []
    expected, _ = virsh.run("checkpoint-create", "Other", str(point))
    assert vmpoint.text("checkpoint-create", "Other", point) == expected


@pytest.mark.parametrize("arguments", [
    "",
    "s1",
    "s1 'a description'",
    "--name s1 --description 'x < y & z'",
    "\"n<a>&'\\\"\"",
    "s1 --memspec /m",
    "s1 --memspec file=/m,,1,snapshot=external",
    "s1 --memspec snapshot=no",
    "s1 --diskspec vda",
    "s1 --diskspec vda,snapshot=external,file=/path/to,,new",
    "s1 --diskspec vda,stype=block,file=/dev/x,driver=qcow2 --diskspec vd,,b,snapshot=no",
    "s1 text vda,file=/a vdb,driver=raw",
    "s1 --diskspec vda vdb",
    "--diskspec vda s1 --diskspec vdb text vdc",
    "s1 --memspec a,b=c",
    "s1 --memspec file=a,file=b",
    "s1 --memspec a,snapshot=no,c",
    "s1 --diskspec vda,frob=1",
    "s1 --diskspec vda,driver=a,driver=b",
    "s1 --diskspec vda,stype=network",
    "s1 --memspec",
    "''",
])
def test_documents_put_together(vmpoint, virsh, arguments):
    same(vmpoint, virsh, f"snapshot-create-as vm --print-xml {arguments}")
    if "spec" not in arguments:
        same(vmpoint, virsh, f"checkpoint-create-as vm --print-xml {arguments}")


@pytest.mark.parametrize("arguments", [
    "c1 --diskspec vda,checkpoint=bitmap,bitmap=m,,n vdb",
    "c1 text vda,checkpoint=no vdb,bitmap=b",
    "c1 --diskspec vda,bitmap=a,bitmap=b",
    "c1 --diskspec vda,snapshot=no",
])
def test_checkpoint_documents_put_together(vmpoint, virsh, arguments):
    same(vmpoint, virsh, f"checkpoint-create-as vm --print-xml {arguments}")
