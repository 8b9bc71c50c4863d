/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the ways to revert share. */

#include <vmpoint/snapshot.h>

#include "plan/plan.h"

/* Reverts.  @rehearse: all is looked at and planned, and risks are weighed, but nothing
 * happens. */
gboolean vmp_revert_carry_out(VmpMachine *machine, const char *name,
                              VmpSnapshotRevertFlags flags, gboolean rehearse, GError **error);
/* The same, after snapshot @save was made of the state that is left: both or neither. */
gboolean vmp_revert_save_first(VmpMachine *machine, const char *name,
                               VmpSnapshotRevertFlags flags, const char *save, GError **error);
