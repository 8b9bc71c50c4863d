/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is asked for with a revert, to whatever kind of snapshot: may it be, what does the
 * domain become, and in which state.
 */

#include "machine/machine.h"

#include <vmpoint/snapshot-record.h>
#include <vmpoint/snapshot.h>

/* Does @snapshot hold RAM, in whatever place? */
gboolean vmp_revert_has_memory(const VmpSnapshot *snapshot);
/* INVALID or UNSUPPORTED for flags that exclude each other, or @snapshot. */
gboolean vmp_revert_check_request(VmpMachine *machine, const VmpSnapshot *snapshot,
                                  VmpSnapshotRevertFlags flags, GError **error);
/* SHUTOFF, RUNNING or PAUSED. */
VmpState vmp_revert_choose_end(const VmpSnapshot *snapshot, VmpSnapshotRevertFlags flags);
/* What the domain becomes, with the name that it has now, and the persistent half of it.  A
 * snapshot without <domain> gives copies of @present. */
gboolean vmp_revert_choose_definitions(VmpMachine *machine, const VmpSnapshot *snapshot,
                                       const VmpDomain *present, VmpDomain **definition,
                                       VmpDomain **inactive, GError **error);
