/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Snapshots that speak of the same overlays: a clone and its original, or documents that were
 * taken in twice.  Deleting one merges layers that the other needs.
 */

#include <vmpoint/snapshot.h>

#include "machine/machine.h"

/* BUSY if deleting @name (with what @flags say) would take layers away that another snapshot
 * has too; only forgetting one never does. */
gboolean vmp_sharing_check_delete(VmpMachine *machine, const char *name,
                                  VmpSnapshotDeleteFlags flags, GError **error);
