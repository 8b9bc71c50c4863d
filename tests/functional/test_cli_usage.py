# SPDX-License-Identifier: LGPL-2.1-or-later
"""How the program is spoken to, and how it answers: no QEMU is needed for that."""

import json
import os
import pty
import re
import shlex
import signal
import socket
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
MANUAL = TOP / "docs" / "man" / "vmpoint.1"

DOMAIN = """<domain type='qemu'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='MiB'>64</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='{dir}/{name}-vda.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
  </devices>
</domain>
"""
UUID = "6695eb01-f6a4-8304-79aa-97f2502e19{:02x}"


@pytest.fixture
def table(vmpoint):
    """The commands and options that the program knows, by its own account."""
    return vmpoint.run("help").data


@pytest.fixture
def domain(vmpoint, work):
    """The name of a domain that is defined and off; its disk is empty."""
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", work / "vm-vda.qcow2", "16M"], check=True)
    xml = DOMAIN.format(name="vm", uuid=UUID.format(1), dir=work)
    vmpoint.run("define", "-", stdin=xml)
    return "vm"


def refused(vmpoint, line, *, status=2, code="invalid"):
    """Run a line that must fail, both ways; returns its message."""
    text = vmpoint.run(*shlex.split(line), check=False, json=False)
    assert text.status == status, text
    assert text.stdout == ""
    assert text.stderr.startswith("error: ") and text.stderr.count("\n") == 1

    result = vmpoint.run(*shlex.split(line), check=False)
    assert result.status == status
    assert result.stdout == ""
    assert set(result.error) == {"error"}
    error = result.error["error"]
    assert error["code"] == code and error["exit"] == status
    assert text.stderr == f"error: {error['message']}\n"
    return error["message"]


# --- what is written on the command line ---


@pytest.mark.parametrize("line, near", [
    ("snapshot-lsit vm", "'snapshot-list'"),
    ("domblklst vm", "'domblklist'"),
    ("snapshot-list vm --tre", "--tree"),
    ("snapshot-create-as vm --disk-olny", "--disk-only"),
    ("list --al", "--all"),
    ("--dry-urn list", "--dry-run"),
])
def test_a_slip_is_answered_with_the_nearest_name(vmpoint, line, near):
    assert f"did you mean {near}?" in refused(vmpoint, line)


@pytest.mark.parametrize("line", [
    "",
    "frobnicate",
    "list surplus",
    "list --name=yes",
    "list --all --all",
    "list --timeout",
    "--timeout 0 list",
    "--timeout 5s list",
    "--progress=77 list",
    "--progress --no-progress list",
    "-c qemu:///system list",
    "dominfo",
    "dominfo ''",
    "attach vm",
    "snapshot-list",
    "snapshot-dumpxml vm",
    "snapshot-create-as vm --memspec",
    "checkpoint-info vm",
    "backup-restore --chain full.qcow2",
    "backup-restore full.qcow2 --to out.qcow2",
    "help no-such-thing",
])
def test_a_line_that_makes_no_sense_is_refused(vmpoint, line):
    refused(vmpoint, line)


@pytest.mark.parametrize("line, first, second", [
    ("list --table --name", "table", "name"),
    ("domblkinfo vm vda --all", "all", "device"),
    ("undefine vm --nvram --keep-nvram", "nvram", "keep-nvram"),
    ("snapshot-list vm --tree --name", "tree", "name"),
    ("snapshot-list vm --parent --roots", "parent", "roots"),
    ("snapshot-list vm --tree --parent", "parent", "tree"),
    ("snapshot-list vm --tree --roots", "roots", "tree"),
    ("snapshot-list vm --roots --from s", "roots", "from"),
    ("snapshot-list vm --roots --current", "roots", "current"),
    ("snapshot-list vm s --current", "from", "current"),
    ("snapshot-list vm --tree --leaves", "tree", "leaves"),
    ("snapshot-list vm --external --tree", "tree", "external"),
    ("snapshot-create-as vm --disk-only --memspec m", "memspec", "disk-only"),
    ("snapshot-info vm s --current", "snapshotname", "current"),
    ("snapshot-current vm s --name", "name", "snapshotname"),
    ("snapshot-revert vm s --running --paused", "running", "paused"),
    ("snapshot-delete vm s --children --children-only", "children", "children-only"),
    ("checkpoint-list vm --tree --parent", "parent", "tree"),
    ("checkpoint-list vm c --roots", "roots", "from"),
    ("checkpoint-create vm --redefine --quiesce", "redefine", "quiesce"),
    ("checkpoint-delete vm c --children-only --children", "children", "children-only"),
])
def test_options_that_exclude_each_other(vmpoint, line, first, second):
    assert f"options --{first} and --{second} are mutually exclusive" == refused(vmpoint, line)


@pytest.mark.parametrize("line, needs", [
    ("snapshot-list vm --descendants", "--from or --current"),
    ("checkpoint-list vm --descendants", "--from"),
    ("checkpoint-create vm --redefine-validate", "--redefine"),
    ("domjobinfo vm --keep-completed", "--completed"),
    ("domblkinfo vm", "--all or --device"),
    ("snapshot-info vm", "--snapshotname or --current"),
    ("snapshot-parent vm", "--snapshotname or --current"),
    ("snapshot-revert vm", "--snapshotname or --current"),
    ("snapshot-delete vm --metadata", "--snapshotname or --current"),
])
def test_options_that_need_each_other(vmpoint, line, needs):
    assert refused(vmpoint, line).endswith(f"needs {needs}")


@pytest.mark.parametrize("line", [
    "dominfo {0}",
    "dominfo --domain {0}",
    "dominfo --domain={0}",
    "--json dominfo {0}",
    "dominfo {0} --json",
    "dominfo --json {0}",
    "dominfo -- {0}",
    "-- dominfo {0}",
])
def test_options_stand_before_or_after_the_words(vmpoint, domain, line):
    # The fixture's own --json would be the second one.
    result = vmpoint.run(*line.format(domain).split(), json=False)
    if "--json" in line:
        assert json.loads(result.stdout)["name"] == domain
    else:
        assert f"Name:           {domain}\n" in result.stdout


def test_a_domain_is_also_known_by_its_uuid(vmpoint, domain):
    assert vmpoint.run("dominfo", UUID.format(1)).data["name"] == domain


# --- documents ---


@pytest.mark.parametrize("line, kind", [
    ("snapshot-create-as vm s1 'a & b' --memspec /m,,1,snapshot=external "
     "--diskspec vda,snapshot=external,file=/path/to,,new vdb,snapshot=no", "snapshot"),
    ("checkpoint-create-as vm c1 'a & b' vda,checkpoint=bitmap,bitmap=m vdb", "checkpoint"),
])
def test_print_xml_shows_the_document_and_does_nothing(vmpoint, line, kind):
    text = vmpoint.text(*shlex.split(line), "--print-xml")
    assert text.startswith(f"<domain{kind}>\n") and text.endswith(f"</domain{kind}>\n\n\n")
    assert "<description>a &amp; b</description>" in text
    assert vmpoint.run(*shlex.split(line), "--print-xml").data == {"xml": text[:-2]}
    assert not vmpoint.state_dir.exists()


@pytest.mark.parametrize("spec", [
    "--diskspec vda,frob=1", "--diskspec ,file=/x", "--diskspec vda,stype=network", "--memspec a,b",
])
def test_a_spec_that_does_not_parse_is_refused(vmpoint, spec):
    assert "unable to parse" in refused(vmpoint, f"snapshot-create-as vm --print-xml {spec}")


def test_a_document_that_is_not_there_is_not_found(vmpoint, work):
    for command in ("define", "snapshot-create vm", "checkpoint-create vm", "backup-begin vm"):
        message = refused(vmpoint, f"{command} {work}/none.xml", status=3, code="not-found")
        assert f"{work}/none.xml" in message


def test_a_document_is_no_folder_and_no_endless_file(vmpoint, work):
    refused(vmpoint, f"define {work}")
    assert "64 MiB" in refused(vmpoint, "define /dev/zero")


def test_a_document_with_a_nul_byte_is_refused(vmpoint, domain):
    result = vmpoint.run("snapshot-create", domain, "-", check=False, stdin="<domainsnapshot/>\0")
    assert result.status == 2
    assert "NUL" in result.error["error"]["message"]


def test_a_document_may_come_from_standard_input(vmpoint, work):
    for i, path in enumerate(["-", "/dev/stdin"]):
        name = f"vm{i}"
        xml = DOMAIN.format(name=name, uuid=UUID.format(i), dir=work)
        assert vmpoint.run("define", path, stdin=xml).data == {"domain": name}
    assert [row["name"] for row in vmpoint.run("list", "--all").data] == ["vm0", "vm1"]


# --- what is printed, and where ---


def test_an_error_of_the_library_keeps_its_code(vmpoint):
    refused(vmpoint, "dominfo nobody", status=3, code="not-found")
    refused(vmpoint, "snapshot-list nobody", status=3, code="not-found")
    refused(vmpoint, "start nobody", status=3, code="not-found")
    refused(vmpoint, "snapshot-create-as nobody s1", status=3, code="not-found")
    refused(vmpoint, "backup-begin nobody", status=3, code="not-found")


def test_what_there_is_no_way_to_do_is_unsupported(vmpoint, domain):
    refused(vmpoint, f"shutdown {domain} --mode agent", status=6, code="unsupported")
    refused(vmpoint, f"domjobabort {domain} --postcopy", status=6, code="unsupported")


def test_quiet_leaves_only_data(vmpoint, domain, work):
    xml = DOMAIN.format(name="other", uuid=UUID.format(2), dir=work)
    assert vmpoint.text("-q", "define", "-", stdin=xml) == ""
    assert vmpoint.text("-q", "list", "--all") == " -   other   shut off\n -   vm      shut off\n"
    assert vmpoint.text("list", "--all", "--quiet", "--name") == "other\nvm\n"
    assert vmpoint.text("-q", "domstate", domain) == "shut off\n"


def test_the_xml_of_a_domain_is_printed_whole_or_in_part(vmpoint, domain):
    xml = vmpoint.run("dumpxml", domain).data["xml"].rstrip("\n")
    assert xml.startswith("<domain ") and xml.endswith("</domain>")
    assert vmpoint.text("dumpxml", domain) == xml + "\n\n"
    assert vmpoint.text("-q", "dumpxml", domain) == xml + "\n"
    assert vmpoint.text("dumpxml", domain, "--xpath", "/domain/name") == "<name>vm</name>\n\n"
    assert vmpoint.text("-q", "dumpxml", domain, "--xpath", "//nothing") == ""
    refused(vmpoint, f"dumpxml {domain} --xpath '//['")


def test_each_disk_is_listed(vmpoint, domain, work):
    (disk,) = vmpoint.run("domblklist", domain).data
    assert (disk["target"], disk["type"], disk["device"]) == ("vda", "file", "disk")
    assert disk["source"] == f"{work}/vm-vda.qcow2"
    (sizes,) = vmpoint.run("domblkinfo", domain, "--all").data
    assert sizes["capacity"] == 16 * 1024 * 1024
    assert vmpoint.run("domblkinfo", domain, "vda").data == sizes
    assert vmpoint.run("domblkinfo", domain, disk["source"]).data == sizes
    assert vmpoint.text("domblkinfo", domain, "vda", "--human").startswith("Capacity:       16.000 MiB\n")
    refused(vmpoint, f"domblkinfo {domain} vdx", status=3, code="not-found")


def test_full_standard_output_is_an_error(vmpoint, domain):
    for arguments in (["list"], ["--json", "list"], ["help"]):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([vmpoint.program, *arguments], env=vmpoint.environment(), stdout=full,
                                  stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 13
        assert "No space left on device" in done.stderr


def test_a_reader_that_leaves_is_not_talked_about(vmpoint):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        done = subprocess.run([vmpoint.program, "help"], env=vmpoint.environment(), stdout=pipe,
                              stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (13, "")


def on_a_terminal(vmpoint, *arguments, **variables):
    """What the program writes to standard error if that is a terminal."""
    terminal, end = pty.openpty()
    environment = {**vmpoint.environment(), "TERM": "xterm", **variables}
    if variables.get("NO_COLOR") is None:
        environment.pop("NO_COLOR", None)
    subprocess.run([vmpoint.program, *arguments], env=environment, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=end, check=False)
    os.close(end)
    text = os.read(terminal, 65536).decode()
    os.close(terminal)
    return text


def test_colour_is_for_terminals_of_those_who_want_it(vmpoint):
    assert on_a_terminal(vmpoint, "frob").startswith("\033[1;31merror:\033[0m unknown command")
    assert "\033" not in on_a_terminal(vmpoint, "frob", NO_COLOR="1")
    assert "\033" not in on_a_terminal(vmpoint, "frob", TERM="dumb")
    assert "\033" not in vmpoint.run("frob", check=False, json=False).stderr


def test_the_store_is_where_the_option_says(vmpoint, work, domain):
    assert vmpoint.run("--state-dir", work / "elsewhere", "list", "--all").data == []
    assert vmpoint.run("list", "--all", f"--state-dir={vmpoint.state_dir}").data[0]["name"] == domain


def test_a_dry_run_changes_nothing(vmpoint, domain, work):
    def world():
        files = {path: path.stat().st_mtime_ns for path in work.glob("*.qcow2")}
        return vmpoint.run("list", "--all").data, vmpoint.run("snapshot-list", domain).data, files

    before = world()
    for line in ("undefine {}", "start {}", "snapshot-create-as {} s1 --disk-only"):
        words = line.format(domain).split()
        plan = vmpoint.run("--dry-run", *words).data
        assert plan["domain"] == domain and plan["steps"]
        text = vmpoint.text(*words, "--dry-run")
        assert text.startswith(f"Plan of {plan['operation']} for domain '{domain}'")
        for number, step in enumerate(plan["steps"], 1):
            assert f"{number:3}. {step['describe']}" in text
        assert world() == before


def test_there_is_nothing_to_recover_in_an_empty_store(vmpoint):
    assert vmpoint.run("recover").data == {"settled": []}
    assert vmpoint.text("recover") == "\n"


# --- waiting ---


@pytest.fixture
def mute(work):
    """A socket where somebody listens and says nothing, as a QEMU does that hangs."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(work / "mute"))
    listener.listen()
    listener.settimeout(60)
    yield listener
    listener.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_signal_interrupts_in_good_order(vmpoint, mute, number, as_json):
    # Whoever runs the tests in the background may ignore the signal, and we would inherit it.
    process = vmpoint.start("attach", "vm", "--qmp", mute.getsockname(), json=as_json,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
    connection, _ = mute.accept()
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    connection.close()
    assert (process.returncode, stdout) == (130, "")
    if as_json:
        assert json.loads(stderr)["error"]["code"] == "interrupted"
    else:
        assert stderr.startswith("error: ")
    assert vmpoint.run("list", "--all").data == []


def test_what_the_parent_ignores_stays_ignored(vmpoint, mute):
    process = vmpoint.start("--timeout", "2", "attach", "vm", "--qmp", mute.getsockname(), json=False,
                            stderr=subprocess.PIPE, text=True,
                            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    connection, _ = mute.accept()
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    connection.close()
    # It waited for its time instead.
    assert process.returncode in (5, 9)


def test_verbose_shows_what_is_said(vmpoint, domain):
    text = vmpoint.run("-v", "snapshot-create-as", domain, "s1", "--disk-only", json=False)
    assert text.stdout == "Domain snapshot s1 created\n"
    sent = [json.loads(line.split(" -> ", 1)[1]) for line in text.stderr.splitlines() if " -> " in line]
    received = [json.loads(line.split(" <- ", 1)[1]) for line in text.stderr.splitlines() if " <- " in line]
    assert "transaction" in {message["execute"] for message in sent}
    assert {message["id"] for message in sent} == {message["id"] for message in received}

    result = vmpoint.run("snapshot-create-as", domain, "s2", "--disk-only", "--verbose")
    assert result.data == {"domain": domain, "name": "s2"}
    messages = [json.loads(line)["qmp"] for line in result.stderr.splitlines() if '{"qmp":' in line]
    assert all(message["domain"] == domain for message in messages)
    assert [message["sent"]["execute"] for message in messages if "sent" in message] == \
        [message["execute"] for message in sent]


# --- help ---


def test_help_needs_no_store(vmpoint):
    for line in (["help"], ["--help"], ["-h"], ["version"], ["--version"], ["-V"]):
        assert vmpoint.run(*line, json=False).stderr == ""
    assert not vmpoint.state_dir.exists()


def test_help_lists_every_command(vmpoint, table):
    text = vmpoint.text("help")
    for command in table["commands"]:
        assert re.search(rf"^    {command['name']} +\S", text, re.MULTILINE), command["name"]
    for option in table["options"]:
        assert f"--{option['name']}" in text


def test_help_of_a_group_lists_its_commands(vmpoint, table):
    for keyword in {command["group"] for command in table["commands"]}:
        listed = set(re.findall(r"^    (\S+) ", vmpoint.text("help", keyword), re.MULTILINE))
        assert listed == {each["name"] for each in table["commands"] if each["group"] == keyword}


def test_help_of_a_command_names_every_option(vmpoint, table):
    for command in table["commands"]:
        text = vmpoint.text("help", command["name"])
        assert f"    {command['name']} - {command['help']}\n" in text
        for option in command["options"]:
            assert f"--{option['name']}" in text
        assert vmpoint.text(command["name"], "--help") == text


def test_the_version_is_a_version(vmpoint):
    version = vmpoint.run("version").data["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert vmpoint.text("version") == f"vmpoint {version}\n\n"


# --- the manual page ---


def manual_text():
    """The page as man would show it, hyphens and all."""
    source = MANUAL.read_text(encoding="utf-8")
    return re.sub(r"\\f[BIRP]", "", source.replace(r"\-", "-").replace(r"\&", ""))


def manual_part(name):
    """What the manual says of one command."""
    found = re.search(rf"^\.SS {re.escape(name)}\n(.*?)(?=^\.S[SH] |\Z)", manual_text(),
                      re.MULTILINE | re.DOTALL)
    assert found, f"{MANUAL.name} has no part about {name}"
    return found.group(1)


def test_the_manual_has_every_command_and_every_option(table):
    for command in table["commands"]:
        part = manual_part(command["name"])
        for option in command["options"]:
            assert re.search(rf"(?<![-\w])--{option['name']}(?![-\w])", part), \
                f"{MANUAL.name}: {command['name']}: --{option['name']}"


def test_the_manual_has_no_option_that_is_not(table):
    everywhere = {option["name"] for option in table["options"]}
    for command in table["commands"]:
        known = everywhere | {option["name"] for option in command["options"]}
        for word in re.findall(r"(?<![-\w])--([a-z][-a-z]*)", manual_part(command["name"])):
            assert word in known, f"{MANUAL.name}: {command['name']}: --{word}"


def test_the_manual_has_no_command_that_is_not(table):
    known = {command["name"] for command in table["commands"]}
    commands = manual_text().split(".SH COMMANDS")[1].split("\n.SH ")[0]
    assert set(re.findall(r"^\.SS (\S+)$", commands, re.MULTILINE)) == known


def test_the_manual_has_every_option_of_the_program(table):
    part = manual_text().split("\n.SH OPTIONS\n")[1].split("\n.SH ")[0]
    assert set(re.findall(r"(?<![-\w])--([a-z][-a-z]*)", part)) == {each["name"] for each in table["options"]}


def test_the_manual_is_good_roff():
    done = subprocess.run(["man", "--warnings=all", "-E", "UTF-8", "-l", "-Tutf8", "-Z", MANUAL],
                          env={**os.environ, "LC_ALL": "C.UTF-8", "MANROFFSEQ": ""},
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# --- completion ---

COMPLETION = TOP / "completions" / "vmpoint"


def complete(vmpoint, *words):
    return vmpoint.run("complete", "--", *words).data


@pytest.fixture
def points(vmpoint, domain):
    """The domain with three snapshots and three checkpoints."""
    for name in ("daily-1", "daily-2", "weekly"):
        vmpoint.run("snapshot-create-as", domain, f"s-{name}", "--disk-only")
        vmpoint.run("checkpoint-create-as", domain, f"c-{name}")
    return domain


def test_commands_and_options_are_completed(vmpoint, table):
    assert complete(vmpoint, "") == [command["name"] for command in table["commands"]]
    assert complete(vmpoint, "snapshot-p") == ["snapshot-parent"]
    assert complete(vmpoint, "--js") == ["--json"]
    assert complete(vmpoint, "help", "checkpoint-p") == ["checkpoint-parent"]
    assert complete(vmpoint, "snapshot-list", "vm", "--t") == ["--tree", "--topological", "--timeout"]
    assert complete(vmpoint, "snapshot-list", "--tree", "--tr") == []
    assert complete(vmpoint, "list", "--", "--a") == []


def test_names_are_completed(vmpoint, points):
    assert complete(vmpoint, "dominfo", "") == ["vm"]
    assert complete(vmpoint, "snapshot-info", "--domain", "v") == ["vm"]
    assert complete(vmpoint, "snapshot-info", "vm", "s-daily") == ["s-daily-1", "s-daily-2"]
    assert complete(vmpoint, "snapshot-info", "--domain=vm", "--snapshotname", "s-w") == ["s-weekly"]
    assert complete(vmpoint, "snapshot-info", "vm", "--snapshotname=s-w") == ["--snapshotname=s-weekly"]
    assert complete(vmpoint, "checkpoint-delete", "--children", "vm", "") == \
        ["c-daily-1", "c-daily-2", "c-weekly"]
    assert complete(vmpoint, "domblkinfo", "vm", "") == ["vda"]


def test_where_nothing_is_known_nothing_is_offered(vmpoint, domain, work):
    assert complete(vmpoint, "define", "") == []
    assert complete(vmpoint, "snapshot-info", "nobody", "") == []
    assert complete(vmpoint, "no-such-command", "") == []
    assert complete(vmpoint, "--state-dir", work / "elsewhere", "dominfo", "") == []


def shell_completes(vmpoint, line):
    """What bash offers for a line with the cursor at its end, cut into words as bash does it."""
    words = [word for part in re.split(r" +", line) for word in re.split(r"([=:]+)", part)
             if word or not part]
    script = f"""
        PATH={shlex.quote(str(Path(vmpoint.program).parent))}:$PATH
        source {shlex.quote(str(COMPLETION))}
        COMP_WORDS=({shlex.join(words)})
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        _vmpoint vmpoint "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD - 1]}}"
        [[ ${{#COMPREPLY[@]}} == 0 ]] || printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], env=vmpoint.environment(), capture_output=True,
                          text=True, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_bash_offers_what_the_program_says(vmpoint, points):
    assert shell_completes(vmpoint, "vmpoint snapshot-pa") == ["snapshot-parent"]
    assert shell_completes(vmpoint, "vmpoint snapshot-delete vm s-d") == ["s-daily-1", "s-daily-2"]
    assert shell_completes(vmpoint, "vmpoint snapshot-revert vm --sn") == ["--snapshotname"]
    assert shell_completes(vmpoint, "vmpoint define ") == []


def test_bash_sees_only_the_part_behind_its_cut(vmpoint, points):
    assert shell_completes(vmpoint, "vmpoint snapshot-info vm --snapshotname=s-w") == ["s-weekly"]
    assert shell_completes(vmpoint, "vmpoint snapshot-info --domain=vm s-w") == ["s-weekly"]
