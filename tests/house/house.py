#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rules of the house that a compiler or a linker can check, as TAP.

    house.py SOURCE_DIR BUILD_DIR COMPILER...
"""

import re
import subprocess
import sys
from pathlib import Path

ORDER = ["base", "qmp", "xml", "store", "storage", "machine", "plan", "point", "backup", "api", "cli"]
# These three do not know each other.
STRANGERS = {"qmp", "xml", "store"}

source, build = Path(sys.argv[1]), Path(sys.argv[2])
compiler = sys.argv[3:]
flags = subprocess.run(["pkg-config", "--cflags", "gio-unix-2.0", "json-c", "libxml-2.0", "sqlite3"],
                       capture_output=True, text=True, check=True).stdout.split()


def compiles(text, *arguments):
    done = subprocess.run([*compiler, "-x", "c", "-fsyntax-only", "-D_GNU_SOURCE", *arguments, *flags, "-"],
                          input=text, capture_output=True, text=True, check=False)
    return done.returncode == 0


def includes(layer, other):
    """Whether a file of @layer may include the first header of @other."""
    header = sorted((source / "src" / other).glob("*.h"))[0]
    return compiles(f'#include "{other}/{header.name}"\n', f"-I{build}/src/{layer}/see",
                    f"-I{source}/include")


def sees_what_is_below_and_nothing_above():
    wrong = []
    for at, layer in enumerate(ORDER):
        for other in ORDER:
            if not list((source / "src" / other).glob("*.h")):
                continue
            below = ORDER.index(other) <= at and not ({layer, other} <= STRANGERS and layer != other)
            if layer == "cli":
                below = other == "cli"
            if includes(layer, other) != below:
                wrong.append(f"{layer} {'does not see' if below else 'sees'} {other}")
    return wrong


def declared():
    names = set()
    for header in (source / "include" / "vmpoint").glob("*.h"):
        text = header.read_text(encoding="utf-8")
        names |= set(re.findall(r"^VMP_PUBLIC[^;]*?\b(vmp_\w+)\(", text, re.MULTILINE | re.DOTALL))
    return names


def mapped():
    text = (source / "src" / "libvmpoint.map").read_text(encoding="utf-8")
    return set(re.findall(r"^\s+(vmp_\w+);", text, re.MULTILINE))


def exported():
    library = (build / "src" / "libvmpoint.so").resolve()
    lines = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True,
                           check=True).stdout.splitlines()
    return {line.split()[2].split("@")[0] for line in lines if line.split()[1] in "TDBR"}


def difference(one, other, what):
    return [f"{name}: {what[0]}" for name in sorted(one - other)] + \
           [f"{name}: {what[1]}" for name in sorted(other - one)]


def symbols_are_those_of_the_headers():
    return difference(declared(), mapped(), ("declared public, not in the map", "in the map, not declared"))


def library_exports_the_map_and_nothing_else():
    return difference(mapped(), exported(), ("in the map, not exported", "exported, not in the map"))


def public_headers_stand_alone():
    return [header.name for header in sorted((source / "include" / "vmpoint").glob("*.h"))
            if not compiles(f"#include <vmpoint/{header.name}>\nint x;\n", f"-I{source}/include",
                            "-std=c99", "-Wall", "-Wextra", "-Werror", "-Wpedantic")]


def public_headers_are_all_installed():
    listed = set(re.findall(r"vmpoint/([\w-]+\.h)", (source / "include" / "meson.build").read_text()))
    there = {header.name for header in (source / "include" / "vmpoint").glob("*.h")}
    return sorted(listed ^ there)


def no_file_names_the_place_of_this_checkout():
    """What holds the path of the tree it lies in works on one machine only."""
    files = subprocess.run(["git", "-C", source, "ls-files"], capture_output=True, text=True, check=False)
    here = str(source.resolve()).encode() + b"/"
    return [name for name in files.stdout.splitlines()
            if (source / name).is_file() and here in (source / name).read_bytes()]


# Of the libraries that GLib itself, the store and the monitors need, each; further ones cost each command.
AT_ONCE = {"libvmpoint", "libglib-2.0", "libjson-c", "libsqlite3", "libxxhash", "libc"}


def only_a_few_libraries_are_loaded_at_once():
    """src/*/lazy-*.c: a program that begins with libxml2 or GIO begins late."""
    wrong = []
    for binary in (build / "src" / "libvmpoint.so", build / "src" / "cli" / "vmpoint"):
        dynamic = subprocess.run(["readelf", "-d", binary], capture_output=True, text=True,
                                 check=True).stdout
        needed = {name.split(".so")[0] for name in re.findall(r"NEEDED.*\[(.*)\]", dynamic)}
        # Sanitizers have their own.
        further = {name for name in needed - AT_ONCE if not re.match(r"lib(asan|ubsan|clang_rt|gcc|m$|dl|rt|pthread)", name)}
        if "libglib-2.0" not in needed or further:
            wrong.append(f"{binary.name} needs {', '.join(sorted(needed))}")
    return wrong


def every_kind_of_step_is_known_to_recovery():
    """A journal with a step that recovery does not know is refused, not skipped."""
    kinds = {name for header in (source / "src").rglob("*.h") if "see" not in header.parts
             for name in re.findall(r"^extern const VmpStepKind (\w+);", header.read_text(), re.MULTILINE)}
    known = set(re.findall(r"&(vmp_step_\w+)", (source / "src" / "api" / "open.c").read_text()))
    return difference(kinds, known, ("declared, not in the table", "in the table, not declared"))


RULES = [
    sees_what_is_below_and_nothing_above,
    symbols_are_those_of_the_headers,
    library_exports_the_map_and_nothing_else,
    public_headers_stand_alone,
    public_headers_are_all_installed,
    no_file_names_the_place_of_this_checkout,
    only_a_few_libraries_are_loaded_at_once,
    every_kind_of_step_is_known_to_recovery,
]

print(f"1..{len(RULES)}")
for number, rule in enumerate(RULES, 1):
    found = rule()
    for line in found:
        print(f"# {line}")
    print(f"{'not ok' if found else 'ok'} {number} {rule.__name__.replace('_', ' ')}")
