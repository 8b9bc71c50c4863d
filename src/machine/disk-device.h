/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which device of a running QEMU is which disk of the domain.
 *
 * In our own machines a disk's device has the target's name as its id.  Of an attached QEMU
 * the row remembers it ("devices" in its extra: target -> qdev id, qom path or drive id).
 */

#include "machine/machine.h"

/* Borrowed from @graph.  NOT_FOUND names the disk. */
const VmpBlockDevice *vmp_machine_disk_device(VmpMachine *machine, const VmpBlockGraph *graph,
                                              const char *target, GError **error);
