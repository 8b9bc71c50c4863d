# SPDX-License-Identifier: LGPL-2.1-or-later
"""The examples build against what is installed, and do what they say."""

import os
import shlex
import subprocess

import pytest
from vmtest import images
from vmtest.domain import SOURCE_DIR
from vmtest.images import MIB

EXAMPLES = SOURCE_DIR / "examples"


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """The library as `ninja install` puts it, outside of the source tree."""
    program = os.environ.get("VMPOINT_PROGRAM")
    if not program:
        pytest.skip("VMPOINT_PROGRAM does not name the program to test (scripts/test sets it)")
    build = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(program))))
    root = tmp_path_factory.mktemp("installed")
    images.tool("meson", "install", "-C", build, "--no-rebuild", "--destdir", root, "--quiet")
    return root


@pytest.fixture(scope="session")
def build_example(installed, tmp_path_factory):
    (pc,) = installed.glob("**/vmpoint.pc")
    out = tmp_path_factory.mktemp("examples")
    environment = {**os.environ, "PKG_CONFIG_SYSROOT_DIR": str(installed),
                   "PKG_CONFIG_PATH": f"{pc.parent}:{os.environ.get('PKG_CONFIG_PATH', '')}"}

    def flags(*what):
        done = subprocess.run(["pkg-config", *what, "vmpoint"], env=environment, text=True,
                              capture_output=True, check=True)
        # A sysroot is put before the paths of the system's own libraries, too.
        words = [word.replace(f"{installed}/usr/include", "/usr/include")
                 .replace(f"{installed}/usr/lib/x86_64", "/usr/lib/x86_64")
                 for word in shlex.split(done.stdout)]
        return words

    def build(name):
        (library,) = installed.glob("**/libvmpoint.so.0")
        (headers,) = installed.glob("**/include/vmpoint/vmpoint.h")
        program = out / name
        images.tool("cc", "-Wall", "-Wextra", "-Werror", EXAMPLES / f"{name}.c",
                    f"-I{headers.parents[1]}", *flags("--cflags"),
                    f"-L{library.parent}", f"-Wl,-rpath,{library.parent}", *flags("--libs"),
                    "-o", program)
        return program

    return build


def run(program, *arguments, cli):
    return subprocess.run([program, *arguments], env={**cli.environment(),
                          "VMPOINT_PROGRAM": str(cli.program)},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def test_the_c_examples_list_and_take_a_checkpoint(build_example, make_vm, vmpoint):
    vm = make_vm(disks=1).define()
    vmpoint.run("snapshot-create-as", vm.name, "s1", "--disk-only")

    listed = run(build_example("list"), cli=vmpoint)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert listed.stdout == "vm: shutoff\n  s1 * (shutoff)\n"

    checkpoint = build_example("checkpoint")
    made = run(checkpoint, vm.name, cli=vmpoint)
    assert made.returncode == 0, made.stderr
    (row,) = vmpoint.run("checkpoint-list", vm.name).data
    assert row["name"] == made.stdout.strip()

    missing = run(checkpoint, "nobody", cli=vmpoint)
    assert missing.returncode == 3
    assert "nobody" in missing.stderr


def test_the_nightly_example_makes_increments_that_open_by_themselves(make_vm, vmpoint, work):
    vm = make_vm(disks=1).define()
    disk = vm.disks[0].path
    folder = work / "backups"

    for night in (1, 2, 3):
        images.write_pattern(disk, night * MIB, MIB, f"night-{night}")
        done = run(EXAMPLES / "nightly.py", vm.name, folder, cli=vmpoint)
        assert done.returncode == 0, done.stderr
    for night in (1, 2, 3):
        point = folder / f"night-{night:05d}-vda.qcow2"
        assert len(images.chain(point)) == night
        for earlier in range(1, night + 1):
            images.require_pattern(point, earlier * MIB, MIB, f"night-{earlier}")
    assert images.identical(folder / "night-00003-vda.qcow2", disk)
