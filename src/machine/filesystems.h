/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is mounted inside the guest, and on which disks of the domain.
 *
 * The agent says at which PCI address the guest found a disk; QEMU says which device has that
 * address; and a device of ours is named for its target.  A disk behind a controller of
 * several stays unnamed.
 */

#include <vmpoint/filesystem.h>

#include "base/json.h"
#include "machine/machine.h"

/* Array of VmpFilesystem. */
GPtrArray *vmp_machine_list_filesystems(VmpMachine *machine, GError **error);

/* From the agent's answer; @pci is that of query-pci or NULL, @targets has targets by device
 * id.  For tests and for the above. */
GPtrArray *vmp_filesystems_read(VmpJson *answer, VmpJson *pci, GHashTable *targets);
