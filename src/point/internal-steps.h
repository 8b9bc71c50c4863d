/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the steps of internal snapshots share. */

#include "plan/step.h"
#include "point/internal-disks.h"
#include "storage/image.h"

/* Runs @command, which starts the job @id, to its end.  Not cancellable: QEMU answers when
 * it is done.  A failed job is REFUSED, with QEMU's words. */
gboolean vmp_internal_run_job(VmpChange *change, VmpQmpCommand *command, const char *id,
                              GError **error);

/* Has a load that failed with @failure left RAM and disks as they were?  QEMU checks first,
 * then takes the disks back one by one, then loads the RAM. */
gboolean vmp_internal_is_untouched(const GError *failure);
/* Ends the domain's process if there is one. */
gboolean vmp_internal_end_process(VmpChange *change, GError **error);

/* The nodes that @entries (see step-internal.c) mean; as planned when @disks is NULL.  Free
 * with g_strfreev(). */
char **vmp_internal_nodes(VmpJson *entries, const GPtrArray *disks);

/* Of a domain that is off: does it to each image that needs it. */
gboolean vmp_internal_each_image(VmpJson *entries, const GPtrArray *disks,
                                 VmpImageSnapshotVerb verb, const char *tag, GError **error);
