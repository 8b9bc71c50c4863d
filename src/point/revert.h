/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the ways to revert share. */

#include <vmpoint/snapshot.h>

#include "plan/plan.h"
#include "xml/domain.h"

#include <vmpoint/snapshot-record.h>

/* Reverts.  @rehearse: all is looked at and planned, and risks are weighed, but nothing
 * happens. */
gboolean vmp_revert_carry_out(VmpMachine *machine, const char *name,
                              VmpSnapshotRevertFlags flags, gboolean rehearse, GError **error);
/* The same, after snapshot @save was made of the state that is left: both or neither. */
gboolean vmp_revert_save_first(VmpMachine *machine, const char *name,
                               VmpSnapshotRevertFlags flags, const char *save, GError **error);
/* Where a new image for @snapshot goes: "<image minus extension>.<snapshot>-<n>", the first
 * that is neither there nor known.  Free with g_free(). */
char *vmp_revert_new_path(VmpMachine *machine, const char *image, const char *snapshot,
                          GError **error);
/* Has @snapshot a part of @target's disk? */
gboolean vmp_revert_covers(const VmpSnapshot *snapshot, const char *target);
/* Disks that @snapshot does not cover keep in @domain what they have in @present. */
gboolean vmp_revert_keep_uncovered(VmpDomain *domain, const VmpSnapshot *snapshot,
                                   const VmpDomain *present, GError **error);
