/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Waiting for QEMU's background jobs, by their events.
 *
 * Jobs are made with auto-dismiss off: a job that ended stays as "concluded" until it is
 * dismissed, so its outcome cannot be missed, also not by a process that connects later.
 */

#include "qmp/client.h"
#include <vmpoint/operation.h>

typedef enum {
    VMP_JOB_GONE,   /* QEMU does not know it (any more) */
    VMP_JOB_ACTIVE, /* created, running, paused, waiting, aborting */
    VMP_JOB_READY,
    VMP_JOB_PENDING,
    VMP_JOB_CONCLUDED,
} VmpJobPhase;

typedef struct {
    char *id, *type;
    VmpJobPhase phase;
    char *status;           /* QEMU's word */
    char *failure;          /* QEMU's words if it concluded with an error; else NULL */
    guint64 current, total; /* bytes */
} VmpJob;

void vmp_job_free(VmpJob *job);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpJob, vmp_job_free)

/* All jobs; an array of VmpJob. */
GPtrArray *vmp_jobs_query(VmpQmpClient *client, GCancellable *cancellable, GError **error);

/* Waits until every job of @ids is in @phase (or concluded, or gone).  Reports the sum of
 * their progress to @operation at most some times a second.  An array of VmpJob in the order
 * of @ids; a failed job is not an error here: see ->failure. */
GPtrArray *vmp_jobs_wait(VmpQmpClient *client, const char *const *ids, VmpJobPhase phase,
                         const char *what, VmpOperation *operation, GError **error);

/* Waits until all of @ids have concluded, or one of them has ended badly: then others may
 * still run.  Otherwise as vmp_jobs_wait(). */
GPtrArray *vmp_jobs_wait_for_failure(VmpQmpClient *client, const char *const *ids,
                                     const char *what, VmpOperation *operation,
                                     GError **error);

/* Waits until all of @ids have concluded, @patience_ms at most: TIMED_OUT. */
GPtrArray *vmp_jobs_wait_at_most(VmpQmpClient *client, const char *const *ids, int patience_ms,
                                 const char *what, VmpOperation *operation, GError **error);

/* Waits for @ids to conclude, dismisses all; the first failure is the error (REFUSED, with
 * QEMU's words). */
gboolean vmp_jobs_finish(VmpQmpClient *client, const char *const *ids, VmpOperation *operation,
                         GError **error);
