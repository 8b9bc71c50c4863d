/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* start-merges  { "merges": [ MERGE ], "points": [ name ], "forget": [ edit ] }
 *     copies on every disk what one layer lacks of the other, until all jobs are pending.
 *     From then on QEMU holds back what a guest would write to a present layer that goes.
 *     With "until" ("started" or "ready") no further than that: the jobs go on by themselves.
 * finish-merges { "merges": [ MERGE ], "detached": of jobs that go on by themselves }
 *     carries the bitmaps to the layers that are left, and lets QEMU go on with these.
 *
 * A commit writes into the lowest layer while all above it still reads the same.  But whoever
 * froze the lowest one loses it with the first byte.  Undoing therefore takes the jobs
 * back, but not the deletion: "points" are then gone from the store, "forget" is how, and the
 * layers are remembered as idle, to be merged another time.  A stream takes nothing from
 * anybody until its end; a plan of streams alone has nothing to forget.
 *
 * The journal notes that finish-merges is entered.  When QEMU is gone after that, an active
 * commit was complete and flushed, and since then only the lower image can have been written
 * to.  Other merges are then made again by qemu-img: whether QEMU had flushed them cannot
 * be seen, but all that they were made of is still there.
 *
 * MERGE is described in merge-job.h.
 */

#include "base/error.h"
#include "plan/stamp.h"
#include "point/merge-bitmaps.h"
#include "point/merge-job.h"
#include "point/record.h"
#include "point/steps.h"
#include "qmp/commands.h"
#include "storage/image.h"
#include "store/edit.h"

static VmpJson *
merges_of(const VmpStep *step)
{
    return vmp_json_get_array(step->args, "merges");
}

/* ---- start-merges ---- */

static gboolean
start_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpQmpClient *client = vmp_change_get_client(change, error);
    g_autoptr(GPtrArray) merges = g_ptr_array_new();

    for (guint i = 0; i < vmp_json_length(merges_of(step)); i++)
        g_ptr_array_add(merges, vmp_json_at(merges_of(step), i));
    return client && vmp_merge_jobs_start(merges, client, error) &&
           vmp_merge_jobs_bring_until(merges, vmp_json_get_string(step->args, "until"), change,
                                      client, error);
}

/* The points whose images were being written into are gone. */
static gboolean
forget(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpJson *points = vmp_json_get_array(step->args, "points");
    VmpJson *edits = vmp_json_get_array(step->args, "forget");
    gboolean exists = TRUE;

    if (vmp_json_length(edits) == 0)
        return TRUE;
    /* Undoing may be done again: the edits were applied together or not at all. */
    if (vmp_json_length(points) > 0 &&
        !vmp_record_exists(change->machine, VMP_POINT_SNAPSHOT,
                           json_object_get_string(vmp_json_at(points, 0)), &exists, error))
        return FALSE;
    return !exists ||
           vmp_store_apply_edits(vmp_machine_get_store(change->machine), edits, error);
}

/* What was copied into them is nothing that who stands on them can see. */
static gboolean
renew_stamps(const VmpStep *step, VmpMachine *machine, GError **error)
{
    VmpJson *merges = merges_of(step);

    for (guint i = 0; i < vmp_json_length(merges); i++) {
        VmpJson *merge = vmp_json_at(merges, i);
        if (vmp_merge_job_is_commit(merge) && vmp_json_get_bool(merge, "stamped", FALSE) &&
            !vmp_stamp_take(machine, vmp_merge_job_text(merge, "paths", 0), TRUE, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
start_undo(const VmpStep *step, VmpChange *change, GError **error)
{
    /* Whoever had the jobs is gone, and with it what they had begun to write: nobody knows. */
    if (!change->session && !vmp_machine_is_on(change->machine))
        return forget(step, change, error) && renew_stamps(step, change->machine, error);

    VmpQmpClient *client = vmp_change_get_client(change, error);
    g_autoptr(GPtrArray) jobs = client ? vmp_jobs_query(client, NULL, error) : NULL;
    gboolean begun = FALSE;
    for (guint i = 0; jobs && i < vmp_json_length(merges_of(step)); i++)
        begun |= vmp_merge_job_find(jobs, vmp_json_at(merges_of(step), i)) != NULL;

    /* Forgotten first: without jobs the next one who undoes this takes nothing for begun. */
    return jobs && (!begun || forget(step, change, error)) &&
           vmp_merge_jobs_cancel(merges_of(step), jobs, client, error) &&
           (!begun || renew_stamps(step, change->machine, error));
}

static char *
start_describe(const VmpStep *step)
{
    VmpJson *merges = merges_of(step);
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < vmp_json_length(merges); i++) {
        VmpJson *merge = vmp_json_at(merges, i);
        const char *top = vmp_merge_job_text(merge, "paths", G_MAXUINT);
        const char *bottom = vmp_merge_job_text(merge, "paths", 0);
        if (vmp_merge_job_is_copy(merge)) {
            g_string_append_printf(text, "%scopy disk %s to '%s'", i ? ", " : "",
                                   vmp_json_get_string(merge, "disk"), bottom);
            continue;
        }
        g_string_append_printf(text, "%smerge '%s' %s '%s'", i ? ", " : "",
                               vmp_merge_job_is_commit(merge) ? top : bottom,
                               vmp_merge_job_is_commit(merge) ? "down into" : "up into",
                               vmp_merge_job_is_commit(merge) ? bottom : top);
    }
    return g_string_free(text, FALSE);
}

static void
start_commands(const VmpStep *step, GPtrArray *commands)
{
    VmpJson *merges = merges_of(step);

    for (guint i = 0; i < vmp_json_length(merges); i++)
        g_ptr_array_add(commands, vmp_merge_job_command(vmp_json_at(merges, i)));
    for (guint i = 0; i < vmp_json_length(merges); i++)
        if (vmp_merge_job_is_pivot(vmp_json_at(merges, i)))
            g_ptr_array_add(commands, vmp_qmp_job_complete(
                                          vmp_json_get_string(vmp_json_at(merges, i), "job")));
}

const VmpStepKind vmp_step_start_merges = {
    .name = "start-merges",
    .apply = start_apply,
    .undo = start_undo,
    .describe = start_describe,
    .commands = start_commands,
    .writes_frozen = TRUE,
};

/* ---- finish-merges ---- */

/* Does the chain of the disk show that the merge is done?  A branch is seen by its job: only
 * one that has come to its end is dismissed. */
static gboolean
is_merged(VmpJson *merge, VmpBlockSession *session, const VmpBlockGraph *graph,
          const GPtrArray *jobs)
{
    const VmpJob *job = vmp_merge_job_find(jobs, merge);
    const char *gone =
        vmp_merge_job_text(merge, "nodes", vmp_merge_job_is_commit(merge) ? G_MAXUINT : 0);

    if (!vmp_json_get_bool(merge, "present", FALSE))
        return !job || (job->phase == VMP_JOB_CONCLUDED && !job->failure);
    for (const VmpBlockNode *node =
             vmp_block_session_image(session, graph, vmp_json_get_string(merge, "disk"), NULL);
         node; node = vmp_block_graph_backing(graph, node))
        if (g_str_equal(node->name, gone))
            return FALSE;
    return TRUE;
}

/* What is known of the merges at one moment. */
typedef struct {
    VmpBlockSession *session;
    VmpBlockGraph *graph;
    GPtrArray *jobs;
    GPtrArray *open; /* of VmpJson, borrowed: merges that are not done */
} Progress;

static void
progress_clear(Progress *progress)
{
    g_clear_pointer(&progress->graph, vmp_block_graph_free);
    g_clear_pointer(&progress->jobs, g_ptr_array_unref);
    g_clear_pointer(&progress->open, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Progress, progress_clear)

static gboolean
look(const VmpStep *step, VmpChange *change, Progress *progress, GError **error)
{
    progress_clear(progress);
    progress->session = vmp_change_get_session(change, error);
    progress->graph =
        progress->session ? vmp_block_session_read_graph(progress->session, error) : NULL;
    progress->jobs =
        progress->graph
            ? vmp_jobs_query(vmp_block_session_get_client(progress->session), NULL, error)
            : NULL;
    progress->open = g_ptr_array_new();
    for (guint i = 0; progress->jobs && i < vmp_json_length(merges_of(step)); i++) {
        VmpJson *merge = vmp_json_at(merges_of(step), i);
        if (!is_merged(merge, progress->session, progress->graph, progress->jobs))
            g_ptr_array_add(progress->open, merge);
    }
    return progress->jobs != NULL;
}

/* Applied again after a failure in the middle, some jobs may have failed or be gone. */
static gboolean
restart_jobs(const Progress *progress, VmpChange *change, VmpQmpClient *client, GError **error)
{
    g_autoptr(GPtrArray) dead = g_ptr_array_new();

    for (guint i = 0; i < progress->open->len; i++) {
        VmpJson *merge = g_ptr_array_index(progress->open, i);
        const VmpJob *job = vmp_merge_job_find(progress->jobs, merge);
        if (job && job->phase != VMP_JOB_CONCLUDED)
            continue;
        if (job && !vmp_qmp_client_run(client, vmp_qmp_job_dismiss(job->id), NULL, error))
            return FALSE;
        g_ptr_array_add(dead, merge);
    }
    return vmp_merge_jobs_start(dead, client, error) &&
           vmp_merge_jobs_bring(progress->open, change, client, error);
}

static gboolean
finalize_all(const VmpStep *step, VmpChange *change, const Progress *progress,
             VmpQmpClient *client, GError **error)
{
    g_autoptr(GPtrArray) left = g_ptr_array_new();
    g_autoptr(GPtrArray) finalize =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_qmp_command_unref);

    for (guint i = 0; i < vmp_json_length(merges_of(step)); i++) {
        VmpJson *merge = vmp_json_at(merges_of(step), i);
        const char *id = vmp_json_get_string(merge, "job");
        gboolean is_open = g_ptr_array_find(progress->open, merge, NULL);
        if (is_open)
            g_ptr_array_add(finalize, vmp_qmp_job_finalize(id));
        if (is_open || vmp_merge_job_find(progress->jobs, merge))
            g_ptr_array_add(left, (gpointer)id);
    }
    g_ptr_array_add(left, NULL);
    return (finalize->len == 0 ||
            vmp_qmp_client_execute_all(client, finalize, NULL, NULL, error)) &&
           (left->len == 1 || vmp_jobs_finish(client, (const char *const *)left->pdata,
                                              change->operation, error));
}

static gboolean
finish_in_qemu(const VmpStep *step, VmpChange *change, GError **error)
{
    g_auto(Progress) progress = { 0 };
    g_autoptr(GError) failure = NULL;

    if (!look(step, change, &progress, error))
        return FALSE;
    VmpQmpClient *client = vmp_block_session_get_client(progress.session);
    if (!restart_jobs(&progress, change, client, error) ||
        !vmp_merge_bitmaps_carry(progress.open, progress.graph, client, error))
        return FALSE;
    if (finalize_all(step, change, &progress, client, &failure))
        return TRUE;
    /* One may be done already: a refusal is no answer for all of them. */
    if (vmp_error_is(failure, VMP_ERROR_REFUSED))
        failure->code = VMP_ERROR_FAILED;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

/* Its QEMU is gone.  The layer that takes the data in has to be told again what it stood on:
 * QEMU may have written that it stands lower while the data was not yet written. */
static gboolean
merge_without_qemu(VmpJson *merge, GError **error)
{
    guint last = vmp_merge_job_count_layers(merge) - 1;
    const char *top = vmp_merge_job_text(merge, "paths", last);

    if (vmp_merge_job_is_pivot(merge))
        return TRUE;
    if (vmp_merge_job_is_commit(merge))
        return vmp_image_commit(top, vmp_merge_job_text(merge, "paths", 0), NULL, error);
    return vmp_image_set_backing(top, vmp_merge_job_text(merge, "paths", last - 1),
                                 vmp_merge_job_text(merge, "formats", last - 1), NULL,
                                 error) &&
           vmp_image_rebase(top, vmp_json_get_string(merge, "below"),
                            vmp_json_get_string(merge, "below-format"), NULL, error);
}

static gboolean
finish_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpJson *merges = merges_of(step);

    if (change->session || vmp_machine_is_on(change->machine))
        return finish_in_qemu(step, change, error);
    for (guint i = 0; i < vmp_json_length(merges); i++)
        if (!merge_without_qemu(vmp_json_at(merges, i), error))
            return FALSE;
    return TRUE;
}

/* Nobody let the jobs go, but they have nothing left to copy: then that is the shorter way,
 * and the end that was asked for. */
static gboolean
have_copied(const VmpStep *step, VmpChange *change)
{
    g_auto(Progress) progress = { 0 };

    if (!vmp_machine_is_on(change->machine) || !look(step, change, &progress, NULL))
        return FALSE;
    for (guint i = 0; i < vmp_json_length(merges_of(step)); i++) {
        const VmpJob *job = vmp_merge_job_find(progress.jobs, vmp_json_at(merges_of(step), i));
        if (!job || (job->phase != VMP_JOB_READY && job->phase != VMP_JOB_PENDING))
            return FALSE;
    }
    return TRUE;
}

/* A job that goes on by itself ends when it is told so, or, where no disk changes over, when
 * it has nothing left to copy. */
static VmpProbe
detached_probe(VmpJson *merge, const GPtrArray *jobs, VmpChange *change)
{
    const VmpJob *job = vmp_merge_job_find(jobs, merge);

    if (!job || job->phase == VMP_JOB_CONCLUDED || change->wish == VMP_WISH_STOP) {
        if (job && job->failure)
            vmp_operation_warn(change->operation, "disk '%s': %s",
                               vmp_json_get_string(merge, "disk"), job->failure);
        return VMP_PROBE_NOT_DONE;
    }
    if (job->phase == VMP_JOB_PENDING ||
        (job->phase == VMP_JOB_READY && change->wish == VMP_WISH_END))
        return VMP_PROBE_BEGUN;
    return VMP_PROBE_GOING;
}

static VmpProbe
probe_jobs(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpQmpClient *client = NULL;
    g_autoptr(GPtrArray) jobs = NULL;

    if (!vmp_json_get_bool(step->args, "detached", FALSE))
        return have_copied(step, change) ? VMP_PROBE_BEGUN : VMP_PROBE_NOT_DONE;
    if (!vmp_machine_is_on(change->machine))
        return VMP_PROBE_NOT_DONE;
    client = vmp_change_get_client(change, error);
    jobs = client ? vmp_jobs_query(client, NULL, error) : NULL;
    return jobs ? detached_probe(vmp_json_at(merges_of(step), 0), jobs, change)
                : VMP_PROBE_UNKNOWN;
}

static VmpProbe
finish_probe(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpJson *merges = merges_of(step);
    g_auto(Progress) progress = { 0 };
    guint pivots = 0;

    if (!change->commit_begun)
        return probe_jobs(step, change, error);
    if (vmp_machine_is_on(change->machine)) {
        if (!look(step, change, &progress, error))
            return VMP_PROBE_UNKNOWN;
        if (progress.open->len == 0)
            return VMP_PROBE_DONE;
        return progress.open->len == vmp_json_length(merges) ? VMP_PROBE_NOT_DONE
                                                             : VMP_PROBE_BEGUN;
    }
    /* Whoever had the disks is gone; what it had not finished is begun anew, see above. */
    if (change->session && !vmp_change_close_session(change, NULL))
        vmp_operation_note(change->operation, "the storage daemon did not end in good order");
    for (guint i = 0; i < vmp_json_length(merges); i++)
        pivots += vmp_merge_job_is_pivot(vmp_json_at(merges, i));
    return pivots == vmp_json_length(merges) ? VMP_PROBE_DONE : VMP_PROBE_BEGUN;
}

static char *
finish_describe(const VmpStep *step G_GNUC_UNUSED)
{
    return g_strdup("carry the bitmaps over and let the disks go on with the merged layers");
}

static void
finish_commands(const VmpStep *step, GPtrArray *commands)
{
    VmpJson *merges = merges_of(step);

    for (guint i = 0; i < vmp_json_length(merges); i++)
        g_ptr_array_add(commands, vmp_qmp_job_finalize(
                                      vmp_json_get_string(vmp_json_at(merges, i), "job")));
}

const VmpStepKind vmp_step_finish_merges = {
    .name = "finish-merges",
    .apply = finish_apply,
    .probe = finish_probe,
    .describe = finish_describe,
    .commands = finish_commands,
    .writes_frozen = TRUE,
};
