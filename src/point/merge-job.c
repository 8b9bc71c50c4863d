/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/merge-job.h"

#include "base/error.h"
#include "qmp/commands.h"

gboolean
vmp_merge_job_is_copy(VmpJson *merge)
{
    return g_strcmp0(vmp_json_get_string(merge, "way"), "copy") == 0;
}

gboolean
vmp_merge_job_is_commit(VmpJson *merge)
{
    return vmp_merge_job_is_copy(merge) ||
           g_strcmp0(vmp_json_get_string(merge, "way"), "commit") == 0;
}

gboolean
vmp_merge_job_is_pivot(VmpJson *merge)
{
    return vmp_merge_job_is_commit(merge) && vmp_json_get_bool(merge, "active", FALSE);
}

const char *
vmp_merge_job_text(VmpJson *merge, const char *key, guint index)
{
    VmpJson *array = vmp_json_get_array(merge, key);

    return json_object_get_string(vmp_json_at(array, MIN(index, vmp_json_length(array) - 1)));
}

guint
vmp_merge_job_count_layers(VmpJson *merge)
{
    return vmp_json_length(vmp_json_get_array(merge, "nodes"));
}

static VmpQmpCommand *
copy_command(VmpJson *merge)
{
    const VmpQmpMirror mirror = {
        .job_id = vmp_json_get_string(merge, "job"),
        .node = vmp_json_get_string(merge, "root"),
        .target = vmp_json_get_string(merge, "base"),
        .speed = (guint64)vmp_json_get_int(merge, "speed", 0),
        .granularity = (guint64)vmp_json_get_int(merge, "granularity", 0),
        .buffer = (guint64)vmp_json_get_int(merge, "buf-size", 0),
        .synchronous = vmp_json_get_bool(merge, "synchronous", FALSE),
    };

    return vmp_qmp_mirror(&mirror);
}

VmpQmpCommand *
vmp_merge_job_command(VmpJson *merge)
{
    const char *job = vmp_json_get_string(merge, "job");
    const char *base = vmp_json_get_string(merge, "base");
    const char *top = vmp_json_get_string(merge, "top");
    guint64 speed = (guint64)vmp_json_get_int(merge, "speed", 0);

    if (vmp_merge_job_is_copy(merge))
        return copy_command(merge);
    if (!vmp_merge_job_is_commit(merge))
        return vmp_qmp_block_stream(job, top, base, vmp_json_get_string(merge, "below"),
                                    speed);
    /* No top: the active layer, which takes no backing-file either. */
    return vmp_qmp_block_commit(job, vmp_json_get_string(merge, "root"),
                                vmp_merge_job_is_pivot(merge) ? NULL : top, base,
                                vmp_merge_job_text(merge, "paths", 0), speed);
}

const VmpJob *
vmp_merge_job_find(const GPtrArray *jobs, VmpJson *merge)
{
    const char *id = vmp_json_get_string(merge, "job");

    for (guint i = 0; i < jobs->len; i++) {
        const VmpJob *job = g_ptr_array_index(jobs, i);
        if (g_str_equal(job->id, id))
            return job;
    }
    return NULL;
}

/* Waits until the jobs of @merges (those that pivot, or the others) are in @phase or beyond
 * it; one that ended by itself is the error. */
static gboolean
wait_phase(const GPtrArray *merges, gboolean pivots, VmpChange *change, VmpQmpClient *client,
           VmpJobPhase phase, GError **error)
{
    g_autoptr(GPtrArray) ids = g_ptr_array_new();
    g_autoptr(GPtrArray) waited = g_ptr_array_new();

    for (guint i = 0; i < merges->len; i++) {
        VmpJson *merge = g_ptr_array_index(merges, i);
        if (vmp_merge_job_is_pivot(merge) != pivots)
            continue;
        g_ptr_array_add(waited, merge);
        g_ptr_array_add(ids, (gpointer)vmp_json_get_string(merge, "job"));
    }
    if (ids->len == 0)
        return TRUE;
    g_ptr_array_add(ids, NULL);

    g_autoptr(GPtrArray) jobs = vmp_jobs_wait(client, (const char *const *)ids->pdata, phase,
                                              "merging layers", change->operation, error);
    for (guint i = 0; jobs && i < jobs->len; i++) {
        const VmpJob *job = g_ptr_array_index(jobs, i);
        if (job->phase == phase || job->phase == VMP_JOB_PENDING)
            continue;
        return vmp_fail(error, VMP_ERROR_REFUSED, "disk '%s': %s failed: %s",
                        vmp_json_get_string(g_ptr_array_index(waited, i), "disk"),
                        vmp_merge_job_is_copy(g_ptr_array_index(waited, i))
                            ? "copying it"
                            : "merging its layers",
                        job->failure ? job->failure : "the job is gone");
    }
    return jobs != NULL;
}

/* Tells the jobs that are ready to come to their end. */
static gboolean
complete_jobs(const GPtrArray *merges, VmpQmpClient *client, GError **error)
{
    g_autoptr(GPtrArray) jobs = vmp_jobs_query(client, NULL, error);
    g_autoptr(GPtrArray) complete =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_qmp_command_unref);

    for (guint i = 0; jobs && i < merges->len; i++) {
        const VmpJob *job = vmp_merge_job_find(jobs, g_ptr_array_index(merges, i));
        if (job && job->phase == VMP_JOB_READY)
            g_ptr_array_add(complete, vmp_qmp_job_complete(job->id));
    }
    return jobs && (complete->len == 0 ||
                    vmp_qmp_client_execute_all(client, complete, NULL, NULL, error));
}

gboolean
vmp_merge_jobs_bring(const GPtrArray *merges, VmpChange *change, VmpQmpClient *client,
                     GError **error)
{
    return wait_phase(merges, FALSE, change, client, VMP_JOB_PENDING, error) &&
           wait_phase(merges, TRUE, change, client, VMP_JOB_READY, error) &&
           complete_jobs(merges, client, error) &&
           wait_phase(merges, TRUE, change, client, VMP_JOB_PENDING, error);
}

gboolean
vmp_merge_jobs_bring_until(const GPtrArray *merges, const char *until, VmpChange *change,
                           VmpQmpClient *client, GError **error)
{
    if (!until)
        return vmp_merge_jobs_bring(merges, change, client, error);
    return g_str_equal(until, "started") ||
           wait_phase(merges, TRUE, change, client, VMP_JOB_READY, error);
}

gboolean
vmp_merge_jobs_start(const GPtrArray *merges, VmpQmpClient *client, GError **error)
{
    g_autoptr(GPtrArray) commands =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_qmp_command_unref);

    for (guint i = 0; i < merges->len; i++)
        g_ptr_array_add(commands, vmp_merge_job_command(g_ptr_array_index(merges, i)));
    return commands->len == 0 ||
           vmp_qmp_client_execute_all(client, commands, NULL, NULL, error);
}

gboolean
vmp_merge_jobs_cancel(VmpJson *merges, const GPtrArray *known, VmpQmpClient *client,
                      GError **error)
{
    g_autoptr(GPtrArray) left = g_ptr_array_new();

    for (guint i = 0; i < vmp_json_length(merges); i++) {
        const VmpJob *job = vmp_merge_job_find(known, vmp_json_at(merges, i));
        if (!job)
            continue;
        g_ptr_array_add(left, job->id);
        if (job->phase == VMP_JOB_CONCLUDED)
            continue;
        if (!vmp_qmp_client_run(client, vmp_qmp_job_cancel(job->id), NULL, error))
            return FALSE;
    }
    if (left->len == 0)
        return TRUE;
    g_ptr_array_add(left, NULL);

    /* A cancelled job concludes with an error, which is what was wanted. */
    g_autoptr(GError) cancelled = NULL;
    if (!vmp_jobs_finish(client, (const char *const *)left->pdata, NULL, &cancelled) &&
        !vmp_error_is(cancelled, VMP_ERROR_REFUSED)) {
        g_propagate_error(error, g_steal_pointer(&cancelled));
        return FALSE;
    }
    return TRUE;
}
