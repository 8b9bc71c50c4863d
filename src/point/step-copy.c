/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"
#include "point/copy-disk.h"
#include "point/merge-job.h"
#include "point/steps.h"
#include "qmp/commands.h"
#include "storage/overlay.h"

static VmpJson *
copy_of(const VmpStep *step)
{
    return vmp_json_at(vmp_json_get_array(step->args, "merges"), 0);
}

static gboolean
bring(VmpJson *copy, VmpChange *change, VmpQmpClient *client, VmpJobPhase phase,
      GError **error)
{
    const char *const ids[] = { vmp_json_get_string(copy, "job"), NULL };
    g_autoptr(GPtrArray) jobs =
        vmp_jobs_wait(client, ids, phase, "copying", change->operation, error);
    if (!jobs)
        return FALSE;

    const VmpJob *job = g_ptr_array_index(jobs, 0);
    return job->phase == phase ||
           vmp_fail(error, VMP_ERROR_REFUSED, "disk '%s': copying it failed: %s",
                    vmp_json_get_string(copy, "disk"),
                    job->failure ? job->failure : "the job is gone");
}

/* Brings the job to where copy and disk are the same, and ends it there. */
static gboolean
end_mirror(VmpJson *copy, VmpChange *change, VmpQmpClient *client, GError **error)
{
    const char *id = vmp_json_get_string(copy, "job");
    const char *const ids[] = { id, NULL };

    return bring(copy, change, client, VMP_JOB_READY, error) &&
           vmp_qmp_client_run(client, vmp_qmp_block_job_end(id), NULL, error) &&
           bring(copy, change, client, VMP_JOB_PENDING, error) &&
           vmp_qmp_client_run(client, vmp_qmp_job_finalize(id), NULL, error) &&
           vmp_jobs_finish(client, ids, NULL, error);
}

static GPtrArray *
read_images(VmpJson *json, GError **error)
{
    g_autoptr(GPtrArray) images =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_new_image_free);
    VmpNewImage *image = vmp_new_image_from_json(vmp_json_at(json, 0), error);

    if (!image)
        return NULL;
    g_ptr_array_add(images, image);
    return g_steal_pointer(&images);
}

gboolean
vmp_step_copy_end(VmpJson *merge, VmpJson *images, VmpChange *change, GError **error)
{
    VmpQmpClient *client = vmp_change_get_client(change, error);
    g_autoptr(GPtrArray) read = client ? read_images(images, error) : NULL;

    return read && end_mirror(merge, change, client, error) &&
           vmp_new_images_close(client, read, NULL, error) && vmp_new_images_sync(read, error);
}

static gboolean
apply(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpQmpClient *client = vmp_change_get_client(change, error);

    return client &&
           vmp_qmp_client_run(client, vmp_merge_job_command(copy_of(step)), NULL, error) &&
           vmp_step_copy_end(copy_of(step), vmp_json_get_array(step->args, "images"), change,
                             error);
}

static gboolean
undo(const VmpStep *step, VmpChange *change, GError **error)
{
    if (!vmp_machine_is_on(change->machine))
        return TRUE;

    VmpQmpClient *client = vmp_change_get_client(change, error);
    g_autoptr(GPtrArray) jobs = client ? vmp_jobs_query(client, NULL, error) : NULL;
    return jobs && vmp_merge_jobs_cancel(vmp_json_get_array(step->args, "merges"), jobs,
                                         client, error);
}

/* A copy that nobody was told of is none. */
static VmpProbe
probe(const VmpStep *step G_GNUC_UNUSED, VmpChange *change G_GNUC_UNUSED,
      GError **error G_GNUC_UNUSED)
{
    return VMP_PROBE_NOT_DONE;
}

static char *
describe(const VmpStep *step)
{
    return g_strdup_printf("copy disk %s, as it is when all is copied",
                           vmp_json_get_string(copy_of(step), "disk"));
}

static void
commands(const VmpStep *step, GPtrArray *list)
{
    g_ptr_array_add(list, vmp_merge_job_command(copy_of(step)));
    g_ptr_array_add(list, vmp_qmp_block_job_end(vmp_json_get_string(copy_of(step), "job")));
}

const VmpStepKind vmp_step_copy_once = {
    .name = "copy-once",
    .apply = apply,
    .undo = undo,
    .probe = probe,
    .describe = describe,
    .commands = commands,
};
