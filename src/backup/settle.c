/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/backup.h"
#include "base/error.h"
#include "qmp/commands.h"
#include "storage/job.h"
#include "storage/overlay.h"
#include "storage/writeback.h"

/* A job's row, taken apart. */
typedef struct {
    VmpStoreBackup *row;
    VmpJson *detail;
    GPtrArray *images; /* of VmpNewImage: the targets */
    char **ids;        /* of the jobs */
} Running;

static void
running_clear(Running *running)
{
    g_clear_pointer(&running->row, vmp_store_backup_free);
    g_clear_pointer(&running->detail, json_object_put);
    g_clear_pointer(&running->images, g_ptr_array_unref);
    g_clear_pointer(&running->ids, g_strfreev);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Running, running_clear)

static gboolean
take_apart(Running *running, GError **error)
{
    g_autoptr(GStrvBuilder) ids = g_strv_builder_new();

    running->detail = vmp_json_parse(running->row->detail, -1, error);
    if (!running->detail)
        return FALSE;
    running->images = g_ptr_array_new_with_free_func((GDestroyNotify)vmp_new_image_free);

    VmpJson *images = vmp_json_get_array(running->detail, "images");
    for (guint i = 0; i < vmp_json_length(images); i++) {
        VmpNewImage *image = vmp_new_image_from_json(vmp_json_at(images, i), error);
        if (!image)
            return FALSE;
        g_ptr_array_add(running->images, image);
    }
    VmpJson *disks = vmp_json_get_array(running->detail, "disks");
    for (guint i = 0; i < vmp_json_length(disks); i++)
        g_strv_builder_add(ids, vmp_json_get_string(vmp_json_at(disks, i), "job"));
    running->ids = g_strv_builder_end(ids);
    return TRUE;
}

/* FALSE with @error, or TRUE with ->row NULL when no backup runs. */
static gboolean
find_running(VmpMachine *machine, Running *running, GError **error)
{
    g_autoptr(GError) failure = NULL;

    running->row =
        vmp_store_find_backup(vmp_machine_get_store(machine), vmp_machine_get_row(machine)->id,
                              "running", &failure);
    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    return !running->row || take_apart(running, error);
}

/* ---- what became of the jobs ---- */

/* The first failure among @jobs as a sentence with the disk's name; NULL if all went well. */
static char *
find_failure(const Running *running, const GPtrArray *jobs)
{
    VmpJson *disks = vmp_json_get_array(running->detail, "disks");

    for (guint i = 0; i < jobs->len; i++) {
        const VmpJob *job = g_ptr_array_index(jobs, i);
        const char *disk = vmp_json_get_string(vmp_json_at(disks, i), "disk");

        if (job->phase == VMP_JOB_GONE)
            return g_strdup_printf("disk '%s': the job is gone", disk);
        if (job->phase == VMP_JOB_CONCLUDED && job->failure)
            return g_strdup_printf("disk '%s': %s", disk, job->failure);
    }
    return NULL;
}

static gboolean
all_ended(const GPtrArray *jobs)
{
    for (guint i = 0; i < jobs->len; i++) {
        VmpJobPhase phase = ((const VmpJob *)g_ptr_array_index(jobs, i))->phase;
        if (phase != VMP_JOB_CONCLUDED && phase != VMP_JOB_GONE)
            return FALSE;
    }
    return TRUE;
}

/* The jobs of @running in order, also those that QEMU does not know (GONE). */
static GPtrArray *
look_at_jobs(const Running *running, VmpQmpClient *client, GError **error)
{
    g_autoptr(GPtrArray) all = vmp_jobs_query(client, NULL, error);
    g_autoptr(GPtrArray) ours = g_ptr_array_new_with_free_func((GDestroyNotify)vmp_job_free);

    if (!all)
        return NULL;
    for (char **id = running->ids; *id; id++) {
        VmpJob *found = NULL;
        for (guint i = 0; i < all->len && !found; i++)
            if (g_str_equal(((VmpJob *)g_ptr_array_index(all, i))->id, *id))
                found = g_ptr_array_steal_index(all, i);
        if (!found) {
            found = g_new0(VmpJob, 1);
            found->id = g_strdup(*id);
            found->phase = VMP_JOB_GONE;
        }
        g_ptr_array_add(ours, found);
    }
    return g_steal_pointer(&ours);
}

static gboolean
cancel_jobs(const GPtrArray *jobs, VmpQmpClient *client, GError **error)
{
    for (guint i = 0; i < jobs->len; i++) {
        const VmpJob *job = g_ptr_array_index(jobs, i);
        if (job->phase == VMP_JOB_CONCLUDED || job->phase == VMP_JOB_GONE)
            continue;

        g_autoptr(GError) failure = NULL;
        g_autoptr(VmpQmpCommand) cancel = vmp_qmp_job_cancel(job->id);
        g_autoptr(VmpJson) reply = vmp_qmp_client_execute(client, cancel, NULL, &failure);
        /* Refused: it has just ended by itself. */
        if (!reply && !vmp_error_is(failure, VMP_ERROR_REFUSED)) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return FALSE;
        }
    }
    return TRUE;
}

/* ---- cleaning up after the jobs ---- */

/* Runs @command; a refusal means that what was to go has gone. */
static gboolean
run_tolerant(VmpQmpClient *client, VmpQmpCommand *command, GError **error)
{
    g_autoptr(VmpQmpCommand) owned = command;
    g_autoptr(GError) failure = NULL;
    g_autoptr(VmpJson) reply = vmp_qmp_client_execute(client, owned, NULL, &failure);

    if (reply || vmp_error_is(failure, VMP_ERROR_REFUSED))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

/* Takes jobs, target nodes and temporary bitmaps out of QEMU. */
static gboolean
clean_up(const Running *running, VmpQmpClient *client, GError **error)
{
    VmpJson *disks = vmp_json_get_array(running->detail, "disks");

    for (char **id = running->ids; *id; id++)
        if (!run_tolerant(client, vmp_qmp_job_dismiss(*id), error))
            return FALSE;
    for (guint i = 0; i < vmp_json_length(disks); i++) {
        VmpJson *disk = vmp_json_at(disks, i);
        const char *bitmap = vmp_json_get_string(disk, "bitmap");
        if (bitmap && !run_tolerant(client, vmp_qmp_bitmap_remove(
                                                vmp_json_get_string(disk, "node"), bitmap),
                                    error))
            return FALSE;
    }
    return vmp_new_images_close(client, running->images, NULL, error);
}

/* Notes at the checkpoint where this backup put each disk: the next increment is laid over it. */
static gboolean
remember_targets(const Running *running, VmpMachine *machine, GError **error)
{
    const char *checkpoint = vmp_json_get_string(running->detail, "checkpoint");
    VmpJson *disks = vmp_json_get_array(running->detail, "disks");
    if (!checkpoint)
        return TRUE;

    g_autoptr(VmpStorePoint) point = vmp_store_find_point(
        vmp_machine_get_store(machine), vmp_machine_get_row(machine)->id, VMP_POINT_CHECKPOINT,
        checkpoint, NULL);
    if (!point)
        return TRUE; /* deleted while the backup ran */

    g_autoptr(VmpJson) extra =
        point->extra ? vmp_json_parse(point->extra, -1, NULL) : json_object_new_object();
    VmpJson *targets = json_object_new_object();
    for (guint i = 0; i < running->images->len; i++) {
        const VmpNewImage *image = g_ptr_array_index(running->images, i);
        json_object_object_add(targets, vmp_json_get_string(vmp_json_at(disks, i), "disk"),
                               json_object_new_string(image->path));
    }
    vmp_json_add(extra, "o:targets", targets, NULL);
    g_free(point->extra);
    point->extra = vmp_json_to_text(extra);
    return vmp_store_put_point(vmp_machine_get_store(machine), point, error);
}

static void
add_totals(VmpJson *detail, const GPtrArray *jobs)
{
    guint64 total = 0, processed = 0;

    for (guint i = 0; jobs && i < jobs->len; i++) {
        const VmpJob *job = g_ptr_array_index(jobs, i);
        total += job->total;
        processed += job->current;
    }
    vmp_json_add(detail, "i:total", (gint64)total, "i:processed", (gint64)processed, NULL);
}

/* Closes the row as @state; @failure for failed ones. */
static gboolean
close_row(Running *running, VmpMachine *machine, const char *state, const char *failure,
          GError **error)
{
    if (g_str_equal(state, "completed")) {
        if (!remember_targets(running, machine, error))
            return FALSE;
    } else if (!vmp_new_images_remove(running->images, error)) {
        return FALSE;
    }

    vmp_json_add(running->detail, "S:error", failure, NULL);
    g_free(running->row->state);
    running->row->state = g_strdup(state);
    running->row->ended = g_get_real_time() / 1000;
    g_free(running->row->detail);
    running->row->detail = vmp_json_to_text(running->detail);
    return vmp_store_put_backup(vmp_machine_get_store(machine), running->row, error);
}

/* All jobs have ended. */
static gboolean
settle_ended(Running *running, VmpChange *change, VmpQmpClient *client, const GPtrArray *jobs,
             gboolean cancelled, VmpJobState *state, GError **error)
{
    g_autofree char *failure = cancelled ? NULL : find_failure(running, jobs);
    g_autoptr(GError) unsynced = NULL;

    add_totals(running->detail, jobs);
    if (!clean_up(running, client, error))
        return FALSE;
    if (!cancelled && !failure && !vmp_new_images_sync(running->images, &unsynced))
        failure = g_strdup(unsynced->message);

    const char *word = cancelled ? "cancelled" : failure ? "failed" : "completed";
    if (!close_row(running, change->machine, word, failure, error))
        return FALSE;
    *state = cancelled ? VMP_JOB_CANCELLED : failure ? VMP_JOB_FAILED : VMP_JOB_COMPLETED;
    return TRUE;
}

static gboolean
settle_without_process(Running *running, VmpChange *change, VmpJobState *state, GError **error)
{
    *state = VMP_JOB_FAILED;
    return close_row(running, change->machine, "failed",
                     "the process ended before the backup was complete", error);
}

static gboolean
settle_running(Running *running, VmpChange *change, VmpSettleMode mode, VmpJobState *state,
               GError **error)
{
    VmpQmpClient *client = vmp_change_get_client(change, error);
    g_autoptr(GPtrArray) jobs = client ? look_at_jobs(running, client, error) : NULL;
    if (!jobs)
        return FALSE;

    g_autofree char *failure = find_failure(running, jobs);
    *state = VMP_JOB_RUNNING;
    if (!all_ended(jobs) && mode == VMP_SETTLE_LOOK && !failure)
        return TRUE;
    /* One failing disk ends all of them: half a backup is none. */
    if ((failure || mode == VMP_SETTLE_CANCEL) && !cancel_jobs(jobs, client, error))
        return FALSE;
    if (!all_ended(jobs)) {
        VmpWriteback *writeback = vmp_writeback_begin(running->images);
        g_autoptr(GPtrArray) ended =
            vmp_jobs_wait(client, (const char *const *)running->ids, VMP_JOB_CONCLUDED, "backup",
                          change->operation, error);
        vmp_writeback_end(writeback);
        if (!ended)
            return FALSE;
        g_clear_pointer(&jobs, g_ptr_array_unref);
        jobs = g_steal_pointer(&ended);
    }
    return settle_ended(running, change, client, jobs, mode == VMP_SETTLE_CANCEL && !failure,
                        state, error);
}

gboolean
vmp_backup_settle(VmpChange *change, VmpSettleMode mode, VmpJobState *state, GError **error)
{
    g_auto(Running) running = { 0 };
    VmpJobState outcome = VMP_JOB_NONE;

    if (!find_running(change->machine, &running, error))
        return FALSE;
    if (running.row) {
        gboolean has_process = change->session || vmp_machine_is_on(change->machine);
        gboolean settled = has_process
                               ? settle_running(&running, change, mode, &outcome, error)
                               : settle_without_process(&running, change, &outcome, error);
        if (!settled)
            return FALSE;
    }
    if (state)
        *state = outcome;
    if (mode == VMP_SETTLE_WAIT && outcome == VMP_JOB_FAILED)
        return vmp_fail(error, VMP_ERROR_FAILED, "the backup failed: %s",
                        vmp_json_get_string(running.detail, "error"));
    return TRUE;
}
