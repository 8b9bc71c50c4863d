/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/backup.h"
#include "backup/fleece.h"
#include "backup/relief.h"
#include "backup/running.h"
#include "base/error.h"
#include "machine/server.h"
#include "machine/words.h"
#include "qmp/commands.h"
#include "storage/job.h"
#include "storage/nbd-peer.h"
#include "storage/overlay.h"
#include "storage/writeback.h"

/* How long a job may take to end when it is told to: a server that is there answers what it
 * was asked. */
#define END_PATIENCE_MS 30000

/* ---- what became of the jobs ---- */

/* The first failure among @jobs as a sentence with the disk's name; NULL if all went well. */
static char *
find_failure(const VmpRunning *running, const GPtrArray *jobs)
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
look_at_jobs(const VmpRunning *running, VmpQmpClient *client, GError **error)
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

/* What ends the job of @image.  One that is told to end waits for what its server has not
 * answered yet, and QEMU waits for it when the guest is reset, say: where there is a server,
 * the connection to it is cut instead, which fails the job.  A storage daemon cannot do that
 * and has no guest: then there is no @graph. */
static VmpQmpCommand *
command_to_end(const VmpJob *job, const VmpNewImage *image, const VmpBlockGraph *graph)
{
    const VmpBlockNode *node =
        graph && image->network ? vmp_block_graph_node(graph, image->node) : NULL;

    return node && node->file ? vmp_qmp_yank_node(node->file) : vmp_qmp_job_cancel(job->id);
}

static gboolean
cancel_jobs(const VmpRunning *running, const GPtrArray *jobs, VmpMachine *machine,
            VmpQmpClient *client, GError **error)
{
    gboolean has_guest = vmp_machine_is_on(machine);
    g_autoptr(VmpBlockGraph) graph =
        has_guest ? vmp_block_graph_read(client, NULL, error) : NULL;
    if (has_guest && !graph)
        return FALSE;

    for (guint i = 0; i < jobs->len; i++) {
        const VmpJob *job = g_ptr_array_index(jobs, i);
        if (job->phase == VMP_JOB_CONCLUDED || job->phase == VMP_JOB_GONE)
            continue;

        g_autoptr(GError) failure = NULL;
        g_autoptr(VmpQmpCommand) command =
            command_to_end(job, g_ptr_array_index(running->images, i), graph);
        g_autoptr(VmpJson) reply = vmp_qmp_client_execute(client, command, NULL, &failure);
        /* Refused: it has just ended by itself. */
        if (!reply && !vmp_error_is(failure, VMP_ERROR_REFUSED)) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return FALSE;
        }
    }
    return TRUE;
}

/* ---- cleaning up after the jobs ---- */

/* Takes jobs, target nodes and temporary bitmaps out of QEMU. */
static gboolean
clean_up(const VmpRunning *running, VmpChange *change, VmpQmpClient *client, GError **error)
{
    VmpJson *fleece = vmp_json_get_array(running->detail, "fleece");
    VmpJson *disks = vmp_json_get_array(running->detail, "disks");

    for (char **id = running->ids; *id; id++)
        if (!vmp_qmp_client_execute_removal(client, vmp_qmp_job_dismiss(*id), error))
            return FALSE;
    for (guint i = 0; i < vmp_json_length(disks); i++) {
        VmpJson *disk = vmp_json_at(disks, i);
        const char *bitmap = vmp_json_get_string(disk, "bitmap");
        if (bitmap &&
            !vmp_qmp_client_execute_removal(
                client, vmp_qmp_bitmap_remove(vmp_json_get_string(disk, "node"), bitmap),
                error))
            return FALSE;
    }
    return (vmp_json_length(fleece) == 0 || vmp_fleece_remove(change, fleece, error)) &&
           vmp_new_images_close(client, running->images, NULL, error) &&
           vmp_new_images_close(client, running->scratch, NULL, error);
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

/* What a job says of a snapshot that is broken is not what broke it.  If QEMU cannot be asked
 * for that now, the job's words are the best there is. */
static char *
explain_failure(const VmpRunning *running, VmpQmpClient *client, const GPtrArray *jobs)
{
    VmpJson *fleece = vmp_json_get_array(running->detail, "fleece");
    char *failure = find_failure(running, jobs);
    char *broken = failure && vmp_json_length(fleece) > 0
                       ? vmp_fleece_find_break(client, fleece, NULL)
                       : NULL;

    if (!broken)
        return failure;
    g_free(failure);
    return broken;
}

static gboolean
finish_targets(const VmpRunning *running, const VmpBackupPart *part, GError **error)
{
    return part && part->finish ? part->finish(part->data, error)
                                : vmp_new_images_sync(running->images, error);
}

/* All jobs have ended. */
static gboolean
settle_ended(VmpRunning *running, VmpChange *change, VmpQmpClient *client,
             const GPtrArray *jobs, gboolean cancelled, const VmpBackupPart *part,
             VmpJobState *state, GError **error)
{
    g_autofree char *failure = cancelled ? NULL : explain_failure(running, client, jobs);
    g_autoptr(GError) unfinished = NULL;

    add_totals(running->detail, jobs);
    if (!clean_up(running, change, client, error) ||
        ((cancelled || failure) && vmp_machine_is_on(change->machine) &&
         !vmp_relief_give(client, running->scratch, error)))
        return FALSE;
    if (!cancelled && !failure && !finish_targets(running, part, &unfinished))
        failure = g_strdup(unfinished->message);

    const char *word = cancelled ? "cancelled" : failure ? "failed" : "completed";
    if (!vmp_running_close(running, change->machine, word, failure, error))
        return FALSE;
    *state = cancelled ? VMP_JOB_CANCELLED : failure ? VMP_JOB_FAILED : VMP_JOB_COMPLETED;
    return TRUE;
}

static gboolean
settle_without_process(VmpRunning *running, VmpChange *change, VmpJobState *state,
                       GError **error)
{
    *state = VMP_JOB_FAILED;
    return vmp_running_close(running, change->machine, "failed",
                             "the process ended before the backup was complete", error);
}

static gboolean
take_jobs(GPtrArray **jobs, GPtrArray *found)
{
    if (!found)
        return FALSE;
    g_ptr_array_unref(*jobs);
    *jobs = found;
    return TRUE;
}

/* Until all have ended, or one of them badly. */
static gboolean
wait_for_jobs(const VmpRunning *running, VmpChange *change, VmpQmpClient *client,
              GPtrArray **jobs, GError **error)
{
    VmpWriteback *writeback = vmp_writeback_begin(running->images);
    GPtrArray *ended = vmp_jobs_wait_for_failure(client, (const char *const *)running->ids,
                                                 "backup", change->operation, error);

    vmp_writeback_end(writeback);
    return take_jobs(jobs, ended);
}

/* A server that takes nothing more is the one thing that can keep a job. */
static gboolean
end_jobs(const VmpRunning *running, VmpChange *change, VmpQmpClient *client, GPtrArray **jobs,
         GError **error)
{
    return cancel_jobs(running, *jobs, change->machine, client, error) &&
           take_jobs(jobs, vmp_jobs_wait_at_most(client, (const char *const *)running->ids,
                                                 END_PATIENCE_MS, "backup", change->operation,
                                                 error));
}

static gboolean
settle_running(VmpRunning *running, VmpChange *change, VmpSettleMode mode,
               const VmpBackupPart *part, VmpJobState *state, GError **error)
{
    VmpQmpClient *client = vmp_change_get_client(change, error);
    g_autoptr(GPtrArray) jobs = client ? look_at_jobs(running, client, error) : NULL;
    if (!jobs)
        return FALSE;

    g_autofree char *failure = find_failure(running, jobs);
    gboolean cancels = mode == VMP_SETTLE_CANCEL && !failure;
    *state = VMP_JOB_RUNNING;
    if (!all_ended(jobs) && mode == VMP_SETTLE_LOOK && !failure)
        return TRUE;
    if (mode == VMP_SETTLE_WAIT && !failure &&
        !wait_for_jobs(running, change, client, &jobs, error))
        return FALSE;
    /* One failing disk ends all of them: half a backup is none. */
    g_autoptr(GError) kept = NULL;
    if (!all_ended(jobs) && !end_jobs(running, change, client, &jobs, &kept)) {
        /* It will end with its server; other commands need not wait for that. */
        if (mode == VMP_SETTLE_LOOK && vmp_error_is(kept, VMP_ERROR_TIMED_OUT))
            return TRUE;
        g_propagate_error(error, g_steal_pointer(&kept));
        return FALSE;
    }
    return settle_ended(running, change, client, jobs, cancels, part, state, error);
}

static gboolean
has_network_image(const VmpRunning *running)
{
    for (guint i = 0; i < running->images->len; i++)
        if (((const VmpNewImage *)g_ptr_array_index(running->images, i))->network)
            return TRUE;
    return FALSE;
}

gboolean
vmp_backup_cut_off(VmpMachine *machine, GError **error)
{
    g_auto(VmpRunning) running = { 0 };

    if (!vmp_running_find(machine, &running, error))
        return FALSE;
    if (!running.row || !has_network_image(&running) || !vmp_machine_is_on(machine))
        return TRUE;
    VmpQmpClient *client = vmp_machine_get_monitor(machine, error);
    g_autoptr(GPtrArray) jobs = client ? look_at_jobs(&running, client, error) : NULL;
    return jobs && cancel_jobs(&running, jobs, machine, client, error);
}

gboolean
vmp_backup_check_servers(VmpMachine *machine, GError **error)
{
    g_auto(VmpRunning) running = { 0 };

    if (!vmp_running_find(machine, &running, error))
        return FALSE;
    for (guint i = 0; running.row && i < running.images->len; i++) {
        const VmpNewImage *image = g_ptr_array_index(running.images, i);
        g_autoptr(GError) failure = NULL;
        VmpNbdExport found = { 0 };
        if (image->network &&
            !vmp_nbd_peer_look(image->path, image->tls_dir, &found, &failure))
            return vmp_fail(
                error, VMP_ERROR_BUSY,
                "domain %s: a backup waits for a server, and QEMU would with it: %s; "
                "end it with domjobabort first",
                vmp_machine_get_name(machine), failure->message);
    }
    return TRUE;
}

/* In QEMU's words, of which those about full disks mean something to a program. */
static gboolean
fail_backup(const char *words, GError **error)
{
    return vmp_fail(error, vmp_words_code(words, VMP_ERROR_FAILED), "the backup failed: %s",
                    words);
}

static gboolean
settle(VmpChange *change, VmpSettleMode mode, const VmpBackupPart *part, VmpJobState *state,
       GError **error)
{
    g_auto(VmpRunning) running = { 0 };
    VmpJobState outcome = VMP_JOB_NONE;

    if (!vmp_running_find(change->machine, &running, error))
        return FALSE;
    /* One that no backup knows keeps the disks from everybody for nothing. */
    if (!running.row && !vmp_machine_end_server(change->machine, error))
        return FALSE;
    if (running.row && vmp_running_is_pull(&running)) {
        if (!vmp_pull_settle(&running, change, mode, &outcome, error))
            return FALSE;
    } else if (running.row) {
        gboolean has_process = change->session || vmp_machine_is_on(change->machine);
        gboolean settled = has_process
                               ? settle_running(&running, change, mode, part, &outcome, error)
                               : settle_without_process(&running, change, &outcome, error);
        if (!settled)
            return FALSE;
    }
    if (state)
        *state = outcome;
    /* Whoever ends a pull backup believes to have it. */
    if (outcome == VMP_JOB_FAILED &&
        (mode == VMP_SETTLE_WAIT ||
         (mode == VMP_SETTLE_CANCEL && vmp_running_is_pull(&running))))
        return fail_backup(vmp_json_get_string(running.detail, "error"), error);
    return TRUE;
}

gboolean
vmp_backup_settle(VmpChange *change, VmpSettleMode mode, VmpJobState *state, GError **error)
{
    return settle(change, mode, NULL, state, error);
}

gboolean
vmp_backup_finish(VmpChange *change, const VmpBackupPart *part, GError **error)
{
    return settle(change, VMP_SETTLE_WAIT, part, NULL, error);
}
