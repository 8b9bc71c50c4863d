/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One block job that makes layers of a disk one, as data of a step, and what is done with the
 * jobs of several disks at once.
 *
 * MERGE: { "disk": "vda" | the top's path, "present": bool, "job", "way": "commit" | "stream",
 *          "root": node of the disk, "top": node, "base": node that the job stops at,
 *          "active": bool: the top is the root itself,
 *          "nodes": [ node ], "paths": [ path ], "formats": [ ... ]   lowest layer first
 *          "stamped": bool: the lowest one was as it had been frozen (see plan/stamp.h),
 *          "below": path of what the lowest one stands on, "below-format",
 *          "speed": bytes per second at most; or absent,
 *          "granularity", "buf-size", "synchronous": of a copy; or absent }
 *
 * "way" may also be "copy": "base", the lowest of "nodes", is not in the disk's chain but
 * another image that gets all of it (copy-disk.c).  It ends as a commit of the active layer
 * does.
 */

#include "plan/step.h"
#include "qmp/client.h"
#include "qmp/command.h"
#include "storage/job.h"

gboolean vmp_merge_job_is_copy(VmpJson *merge);
/* The lowest layer is the one that is left. */
gboolean vmp_merge_job_is_commit(VmpJson *merge);
/* The guest's own layer goes: its disk changes over to the lower image. */
gboolean vmp_merge_job_is_pivot(VmpJson *merge);
guint vmp_merge_job_count_layers(VmpJson *merge);
/* Element @index of its array @key of strings, the last one for G_MAXUINT; the merge's own. */
const char *vmp_merge_job_text(VmpJson *merge, const char *key, guint index);

/* The command that starts the job; unref with vmp_qmp_command_unref(). */
VmpQmpCommand *vmp_merge_job_command(VmpJson *merge);
/* Its job among @jobs (of VmpJob, borrowed), or NULL. */
const VmpJob *vmp_merge_job_find(const GPtrArray *jobs, VmpJson *merge);

/* Starts the jobs of @merges (of VmpJson). */
gboolean vmp_merge_jobs_start(const GPtrArray *merges, VmpQmpClient *client, GError **error);
/* Waits until only the change is left of them.  Those that pivot come last, for they hold the
 * guest's writes back from then on.  REFUSED if a job ended by itself. */
gboolean vmp_merge_jobs_bring(const GPtrArray *merges, VmpChange *change, VmpQmpClient *client,
                              GError **error);
/* Those of a detached plan no further than that they are there (@until "started"), or that the
 * two sides of those that pivot are the same ("ready"); NULL: as above. */
gboolean vmp_merge_jobs_bring_until(const GPtrArray *merges, const char *until,
                                    VmpChange *change, VmpQmpClient *client, GError **error);
/* Takes out what is left of the jobs of @merges (a JSON array) in @known; the chain is then as
 * before. */
gboolean vmp_merge_jobs_cancel(VmpJson *merges, const GPtrArray *known, VmpQmpClient *client,
                               GError **error);
