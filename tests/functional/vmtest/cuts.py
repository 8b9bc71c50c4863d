# SPDX-License-Identifier: LGPL-2.1-or-later
"""Commands that are cut off at each of their fault points in turn (src/base/fault.h)."""

# More points than any operation has: a loop over them ends when one is not reached.
MOST = 100


def each_cut(cli, fault, *command):
    """Runs a command with a fault at its Nth point, for N = 1, 2, ... until it gets through."""
    for n in range(1, MOST):
        result = cli.run(*command, check=False, fault=f"{fault}@{n}")
        yield n, result
        if result.status == 0:
            return
    raise AssertionError("the operation never gets through")


def settle(vm):
    """What was cut is finished or undone, once and for all."""
    vm.cli.run("recover", vm.name)
    assert vm.cli.run("recover", vm.name).data == {"settled": []}, "a second recovery finds nothing"
