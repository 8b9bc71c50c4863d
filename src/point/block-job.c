/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/block-job.h"

#include <string.h>

#include "base/error.h"
#include "plan/executor.h"
#include "point/copy-disk.h"
#include "point/merge-plan.h"
#include "qmp/commands.h"
#include "storage/job.h"

void
vmp_block_job_info_free(VmpBlockJobInfo *info)
{
    if (!info)
        return;
    g_free(info->type);
    g_free(info);
}

/* ---- reading ---- */

static gboolean
is_of_disk(const char *id, const char *target)
{
    const char *word = g_str_has_prefix(id, "vmp-") ? id + strlen("vmp-") : NULL;
    const char *dash = word ? strchr(word, '-') : NULL;

    return dash && g_str_equal(dash + 1, target);
}

/* libvirt's words for QEMU's. */
static const char *
word_of(const char *type)
{
    if (g_strcmp0(type, "stream") == 0)
        return "pull";
    return g_strcmp0(type, "mirror") == 0 ? "copy" : type;
}

VmpBlockJobInfo *
vmp_block_job_read(VmpJson *jobs, const char *target, const char **id)
{
    VmpBlockJobInfo *info = g_new0(VmpBlockJobInfo, 1);

    if (id)
        *id = NULL;
    for (guint i = 0; i < vmp_json_length(jobs); i++) {
        VmpJson *job = vmp_json_at(jobs, i);
        const char *name = vmp_json_get_string(job, "device");
        if (!name || !is_of_disk(name, target))
            continue;
        info->type = g_strdup(word_of(vmp_json_get_string(job, "type")));
        info->bandwidth = (guint64)vmp_json_get_int(job, "speed", 0);
        info->current = (guint64)vmp_json_get_int(job, "offset", 0);
        info->total = (guint64)vmp_json_get_int(job, "len", 0);
        info->ready = vmp_json_get_bool(job, "ready", FALSE);
        info->pending = g_strcmp0(vmp_json_get_string(job, "status"), "pending") == 0;
        if (id)
            *id = name;
        break;
    }
    return info;
}

/* ---- asking ---- */

static VmpJson *
query(VmpMachine *machine, const char *name, const char **target, GError **error)
{
    const VmpDomain *definition = vmp_machine_get_definition(machine, error);
    const VmpDomainDisk *disk = definition ? vmp_domain_find_disk(definition, name) : NULL;

    if (definition && !disk)
        return vmp_fail_null(error, VMP_ERROR_NOT_FOUND, "domain %s has no disk '%s'",
                             vmp_machine_get_name(machine), name);
    VmpQmpClient *client = disk ? vmp_machine_get_monitor(machine, error) : NULL;
    if (!client)
        return NULL;

    g_autoptr(VmpQmpCommand) command = vmp_qmp_query_block_jobs();
    *target = disk->target;
    return vmp_qmp_client_execute(client, command, NULL, error);
}

VmpBlockJobInfo *
vmp_point_block_job(VmpMachine *machine, const char *disk, GError **error)
{
    const char *target = NULL;
    g_autoptr(VmpJson) jobs = query(machine, disk, &target, error);

    return jobs ? vmp_block_job_read(jobs, target, NULL) : NULL;
}

/* Its id; free with g_free().  NULL with @error if there is none. */
static char *
require_job(VmpMachine *machine, const char *disk, GError **error)
{
    const char *target = NULL;
    const char *id = NULL;
    g_autoptr(VmpJson) jobs = query(machine, disk, &target, error);
    g_autoptr(VmpBlockJobInfo) info = jobs ? vmp_block_job_read(jobs, target, &id) : NULL;

    if (info && !id)
        return vmp_fail_null(error, VMP_ERROR_NOT_FOUND,
                             "domain %s: disk '%s' has no block job",
                             vmp_machine_get_name(machine), target);
    return g_strdup(id);
}

/* ---- telling ---- */

static gboolean
run(VmpMachine *machine, VmpQmpCommand *command /* taken */, GError **error)
{
    return vmp_qmp_client_run(vmp_machine_get_monitor(machine, error), command, NULL, error);
}

gboolean
vmp_point_set_block_job_bandwidth(VmpMachine *machine, const char *disk, guint64 bandwidth,
                                  GError **error)
{
    g_autofree char *id = require_job(machine, disk, error);

    return id && run(machine, vmp_qmp_block_job_set_speed(id, bandwidth), error);
}

/* Who began it takes the rest back: it waits for the job, and sees that it ended early. */
gboolean
vmp_point_abort_block_job(VmpMachine *machine, const char *disk, VmpBlockJobAbortFlags flags,
                          GError **error)
{
    g_autofree char *id = require_job(machine, disk, error);
    const char *const ids[] = { id, NULL };

    if (!id || !run(machine, vmp_qmp_job_cancel(id), error))
        return FALSE;
    if (flags & VMP_BLOCK_JOB_ABORT_ASYNC)
        return TRUE;
    g_autoptr(GPtrArray) ended = vmp_jobs_wait(vmp_machine_get_monitor(machine, NULL), ids,
                                               VMP_JOB_CONCLUDED, "block job", NULL, error);
    return ended != NULL;
}

/* ---- jobs that nobody waits for ---- */

static const char *
target_of(VmpMachine *machine, const char *name, GError **error)
{
    const VmpDomain *definition = vmp_machine_get_definition(machine, error);
    const VmpDomainDisk *disk = definition ? vmp_domain_find_disk(definition, name) : NULL;

    if (definition && !disk)
        return vmp_fail_null(error, VMP_ERROR_NOT_FOUND, "domain %s has no disk '%s'",
                             vmp_machine_get_name(machine), name);
    return disk ? disk->target : NULL;
}

gboolean
vmp_point_block_job_is_left(VmpMachine *machine, const char *disk, gboolean *left,
                            GError **error)
{
    const char *target = target_of(machine, disk, error);

    return target && vmp_plan_has_detached(machine, target, left, error);
}

static gboolean
find_left(VmpMachine *machine, const char *disk, const VmpStepKind *const *kinds,
          VmpDetached *left, GError **error)
{
    const char *target = target_of(machine, disk, error);

    if (!target || !vmp_plan_find_detached(machine, target, kinds, left, error))
        return FALSE;
    return left->plan || vmp_fail(error, VMP_ERROR_NOT_FOUND,
                                  "domain %s: disk '%s' has no block job that goes on by "
                                  "itself",
                                  vmp_machine_get_name(machine), target);
}

/* Its plan, and what QEMU says of the job. */
static VmpBlockJobInfo *
look_at_left(VmpMachine *machine, const char *disk, const VmpStepKind *const *kinds,
             VmpDetached *left, GError **error)
{
    return find_left(machine, disk, kinds, left, error)
               ? vmp_point_block_job(machine, disk, error)
               : NULL;
}

gboolean
vmp_point_pivot_block_job(VmpMachine *machine, const char *disk,
                          const VmpStepKind *const *kinds, GError **error)
{
    g_auto(VmpDetached) left = { NULL };
    g_autoptr(VmpBlockJobInfo) info = look_at_left(machine, disk, kinds, &left, error);

    if (!info)
        return FALSE;
    if (!vmp_merges_pivot(left.plan))
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "domain %s: the %s of disk '%s' is neither a copy nor a commit of the "
                        "active layer",
                        vmp_machine_get_name(machine), left.plan->operation,
                        left.plan->subject);
    if (!info->ready)
        return vmp_fail(error, VMP_ERROR_BUSY,
                        "domain %s: the %s of disk '%s' is not ready for a pivot yet",
                        vmp_machine_get_name(machine), left.plan->operation,
                        left.plan->subject);
    return vmp_plan_end_detached(machine, &left, VMP_WISH_END, error);
}

gboolean
vmp_point_stop_block_job(VmpMachine *machine, const char *disk,
                         const VmpStepKind *const *kinds, GError **error)
{
    g_auto(VmpDetached) left = { NULL };
    g_autoptr(VmpBlockJobInfo) info = look_at_left(machine, disk, kinds, &left, error);

    if (!info)
        return FALSE;
    return info->ready && g_strcmp0(info->type, "copy") == 0
               ? vmp_point_keep_copy(machine, &left, error)
               : vmp_plan_end_detached(machine, &left, VMP_WISH_STOP, error);
}
