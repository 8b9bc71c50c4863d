/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Internal snapshots: those that live inside the domain's qcow2 images, the RAM of a running
 * domain with them.
 *
 * There is one place for the disks' content, so that a revert cannot be prepared beside
 * the present state: all that can be checked is checked before.
 */

#include "point/snapshot.h"

#include <vmpoint/snapshot-record.h>

/* Is any part of it inside of an image? */
gboolean vmp_internal_is(const VmpSnapshot *snapshot);

/* @snapshot is aligned and complete. */
gboolean vmp_point_create_internal(VmpMachine *machine, const VmpSnapshot *snapshot,
                                   VmpSnapshotCreateFlags flags, GError **error);
gboolean vmp_point_revert_internal(VmpMachine *machine, const VmpSnapshot *snapshot,
                                   VmpSnapshotRevertFlags flags, gboolean rehearse,
                                   GError **error);
/* Whether all of @names could be deleted, before anything is. */
gboolean vmp_point_check_delete_internal(VmpMachine *machine, const GPtrArray *names,
                                         GError **error);
/* Deletes those of @names (char *; children before parents), which all are internal. */
gboolean vmp_point_delete_internal(VmpMachine *machine, const GPtrArray *names,
                                   const char *subject, GError **error);
