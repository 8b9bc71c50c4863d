# SPDX-License-Identifier: LGPL-2.1-or-later
"""A hundred and fifty layers below a guest that runs."""

from vmtest import images
from vmtest.images import MIB
from vmtest.world import source

LAYERS = 150


def test_layers_below_a_guest_that_runs(make_vm):
    vm = make_vm(disks=1, size=16 * MIB).define()
    for n in range(LAYERS):
        if n % 15 == 0:
            images.write_pattern(source(vm), n // 15 * MIB, MIB, f"layer{n}")
        vm.cli.run("snapshot-create-as", vm.name, f"l{n}", "--disk-only")
    assert len(images.chain(source(vm))) == LAYERS + 1

    vm.start()

    def has_all():
        return all(vm.guest.has_pattern("/dev/vda", n // 15 * MIB, MIB, f"layer{n}")
                   for n in range(0, LAYERS, 15))

    assert has_all()
    vm.cli.run("snapshot-create-as", vm.name, "live", "--disk-only")
    vm.guest.write_pattern("/dev/vda", 12 * MIB, MIB, "live")
    for name in (f"l{LAYERS // 2}", f"l{LAYERS // 2 + 1}"):
        vm.cli.run("snapshot-delete", vm.name, name)
    assert has_all() and vm.guest.has_pattern("/dev/vda", 12 * MIB, MIB, "live")
    assert len(images.chain(source(vm), live=True)) == LAYERS
    vm.cli.run("snapshot-revert", vm.name, "live", "--running")
    vm.guest.wait_up()
    assert has_all() and not vm.guest.has_pattern("/dev/vda", 12 * MIB, MIB, "live")
