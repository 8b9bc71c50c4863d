# SPDX-License-Identifier: LGPL-2.1-or-later
"""What scripts/demo runs: the story, told on the terminal."""

import os
import sys
import time

from . import workdir
from .cli import Vmpoint
from .domain import GuestImage
from .pids import Processes
from .story import Story
from .vm import Vm


def main():
    keep = "--keep" in sys.argv[1:]
    work = workdir.make()
    processes = Processes(work)
    began = time.monotonic()

    def tell(sentence):
        print(f"[{time.monotonic() - began:5.1f} s] {sentence}", flush=True)

    vm = Vm.make(Vmpoint(os.environ["VMPOINT_PROGRAM"], work, processes), GuestImage.build(), work,
                 name="demo")
    try:
        Story(vm, work, tell).play()
        vm.cli.run("destroy", vm.name)
        tell("Done: every byte was where it had to be.")
    finally:
        vm.close()
        processes.finish()
        if keep:
            tell(f"Everything is in {work}.")
        else:
            workdir.remove(work)


if __name__ == "__main__":
    main()
