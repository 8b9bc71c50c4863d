/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The block job of one disk, as somebody beside the command that began it sees it: through the
 * second monitor, which does not wait for the domain's lock.
 *
 * vmpoint's jobs are called vmp-WORD-TARGET: vmp-merge-vda, vmp-backup-vda.  Those of others
 * are theirs.
 */

#include <vmpoint/block.h>

#include "base/json.h"
#include "machine/machine.h"
#include "plan/step.h"

VmpBlockJobInfo *vmp_point_block_job(VmpMachine *machine, const char *disk, GError **error);
/* NOT_FOUND if the disk has no job. */
gboolean vmp_point_set_block_job_bandwidth(VmpMachine *machine, const char *disk,
                                           guint64 bandwidth, GError **error);
gboolean vmp_point_abort_block_job(VmpMachine *machine, const char *disk,
                                   VmpBlockJobAbortFlags flags, GError **error);

/* ---- jobs that nobody waits for: with the lock ---- */

/* Is the job of @disk one that is in the journal and goes on by itself?  Without the lock. */
gboolean vmp_point_block_job_is_left(VmpMachine *machine, const char *disk, gboolean *left,
                                     GError **error);
/* The disk goes on with the copy, or with what its active layer was committed to. */
gboolean vmp_point_pivot_block_job(VmpMachine *machine, const char *disk,
                                   const VmpStepKind *const *kinds, GError **error);
/* It goes on as before; a copy that is ready is kept. */
gboolean vmp_point_stop_block_job(VmpMachine *machine, const char *disk,
                                  const VmpStepKind *const *kinds, GError **error);

/* From the answer to query-block-jobs; *@id (optional, borrowed) is NULL if the disk @target
 * has none.  For tests and for the above. */
VmpBlockJobInfo *vmp_block_job_read(VmpJson *jobs, const char *target, const char **id);
