/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* start-merges  { "merges": [ MERGE ], "points": [ name ], "forget": [ edit ] }
 *     copies on every disk what one layer lacks of the other, until all jobs are pending.
 *     From then on QEMU holds back what a guest would write to a present layer that goes.
 * finish-merges { "merges": [ MERGE ] }
 *     carries the bitmaps to the layers that are left, and lets QEMU go on with these.
 * move-backings { "images": [ { "path", "backing", "format" } ] }
 *     what the headers of all that stood on a layer that went name from now on.
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
 */

#include "base/error.h"
#include "plan/stamp.h"
#include "point/record.h"
#include "point/steps.h"
#include "qmp/commands.h"
#include "qmp/transaction.h"
#include "storage/image.h"
#include "storage/job.h"
#include "store/edit.h"

static VmpJson *
merges_of(const VmpStep *step)
{
    return vmp_json_get_array(step->args, "merges");
}

static gboolean
is_copy(VmpJson *merge)
{
    return g_strcmp0(vmp_json_get_string(merge, "way"), "copy") == 0;
}

/* The lowest layer is the one that is left. */
static gboolean
is_commit(VmpJson *merge)
{
    return is_copy(merge) || g_strcmp0(vmp_json_get_string(merge, "way"), "commit") == 0;
}

/* The guest's own layer goes: its disk changes over to the lower image. */
static gboolean
is_pivot(VmpJson *merge)
{
    return is_commit(merge) && vmp_json_get_bool(merge, "active", FALSE);
}

/* Element @index of an array of strings, the last one for G_MAXUINT. */
static const char *
text_at(VmpJson *merge, const char *key, guint index)
{
    VmpJson *array = vmp_json_get_array(merge, key);

    return json_object_get_string(vmp_json_at(array, MIN(index, vmp_json_length(array) - 1)));
}

static guint
count_layers(VmpJson *merge)
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
vmp_step_merge_command(VmpJson *merge)
{
    const char *job = vmp_json_get_string(merge, "job");
    const char *base = vmp_json_get_string(merge, "base");
    const char *top = vmp_json_get_string(merge, "top");
    guint64 speed = (guint64)vmp_json_get_int(merge, "speed", 0);

    if (is_copy(merge))
        return copy_command(merge);
    if (!is_commit(merge))
        return vmp_qmp_block_stream(job, top, base, vmp_json_get_string(merge, "below"),
                                    speed);
    /* No top: the active layer, which takes no backing-file either. */
    return vmp_qmp_block_commit(job, vmp_json_get_string(merge, "root"),
                                is_pivot(merge) ? NULL : top, base, text_at(merge, "paths", 0),
                                speed);
}

static const VmpJob *
find_job(const GPtrArray *jobs, VmpJson *merge)
{
    const char *id = vmp_json_get_string(merge, "job");

    for (guint i = 0; i < jobs->len; i++) {
        const VmpJob *job = g_ptr_array_index(jobs, i);
        if (g_str_equal(job->id, id))
            return job;
    }
    return NULL;
}

/* ---- bringing jobs to the point at which all are ready ---- */

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
        if (is_pivot(merge) != pivots)
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
                        is_copy(g_ptr_array_index(waited, i)) ? "copying it"
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
        const VmpJob *job = find_job(jobs, g_ptr_array_index(merges, i));
        if (job && job->phase == VMP_JOB_READY)
            g_ptr_array_add(complete, vmp_qmp_job_complete(job->id));
    }
    return jobs && (complete->len == 0 ||
                    vmp_qmp_client_execute_all(client, complete, NULL, NULL, error));
}

/* Brings the jobs to where only the change is left.  Those that pivot come last, for they hold
 * the guest's writes back from then on. */
static gboolean
bring_jobs(const GPtrArray *merges, VmpChange *change, VmpQmpClient *client, GError **error)
{
    return wait_phase(merges, FALSE, change, client, VMP_JOB_PENDING, error) &&
           wait_phase(merges, TRUE, change, client, VMP_JOB_READY, error) &&
           complete_jobs(merges, client, error) &&
           wait_phase(merges, TRUE, change, client, VMP_JOB_PENDING, error);
}

static gboolean
start_jobs(const GPtrArray *merges, VmpQmpClient *client, GError **error)
{
    g_autoptr(GPtrArray) commands =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_qmp_command_unref);

    for (guint i = 0; i < merges->len; i++)
        g_ptr_array_add(commands, vmp_step_merge_command(g_ptr_array_index(merges, i)));
    return commands->len == 0 ||
           vmp_qmp_client_execute_all(client, commands, NULL, NULL, error);
}

/* ---- start-merges ---- */

static gboolean
start_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpQmpClient *client = vmp_change_get_client(change, error);
    g_autoptr(GPtrArray) merges = g_ptr_array_new();

    for (guint i = 0; i < vmp_json_length(merges_of(step)); i++)
        g_ptr_array_add(merges, vmp_json_at(merges_of(step), i));
    return client && start_jobs(merges, client, error) &&
           bring_jobs(merges, change, client, error);
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

/* Takes out what is left of the jobs in @known; the chain is then as before. */
static gboolean
cancel_jobs(const VmpStep *step, const GPtrArray *known, VmpQmpClient *client, GError **error)
{
    VmpJson *merges = merges_of(step);
    g_autoptr(GPtrArray) left = g_ptr_array_new();

    for (guint i = 0; i < vmp_json_length(merges); i++) {
        const VmpJob *job = find_job(known, vmp_json_at(merges, i));
        if (!job)
            continue;
        g_ptr_array_add(left, job->id);
        if (job->phase == VMP_JOB_CONCLUDED)
            continue;
        g_autoptr(VmpQmpCommand) cancel = vmp_qmp_job_cancel(job->id);
        g_autoptr(VmpJson) reply = vmp_qmp_client_execute(client, cancel, NULL, error);
        if (!reply)
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

gboolean
vmp_step_merges_cancel(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpQmpClient *client = vmp_change_get_client(change, error);
    g_autoptr(GPtrArray) jobs = client ? vmp_jobs_query(client, NULL, error) : NULL;

    return jobs && cancel_jobs(step, jobs, client, error);
}

/* What was copied into them is nothing that who stands on them can see. */
static gboolean
renew_stamps(const VmpStep *step, VmpMachine *machine, GError **error)
{
    VmpJson *merges = merges_of(step);

    for (guint i = 0; i < vmp_json_length(merges); i++) {
        VmpJson *merge = vmp_json_at(merges, i);
        if (is_commit(merge) && vmp_json_get_bool(merge, "stamped", FALSE) &&
            !vmp_stamp_take(machine, text_at(merge, "paths", 0), TRUE, error))
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
        begun |= find_job(jobs, vmp_json_at(merges_of(step), i)) != NULL;

    /* Forgotten first: without jobs the next one who undoes this takes nothing for begun. */
    return jobs && (!begun || forget(step, change, error)) &&
           cancel_jobs(step, jobs, client, error) &&
           (!begun || renew_stamps(step, change->machine, error));
}

static char *
start_describe(const VmpStep *step)
{
    VmpJson *merges = merges_of(step);
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < vmp_json_length(merges); i++) {
        VmpJson *merge = vmp_json_at(merges, i);
        const char *top = text_at(merge, "paths", G_MAXUINT);
        const char *bottom = text_at(merge, "paths", 0);
        if (is_copy(merge)) {
            g_string_append_printf(text, "%scopy disk %s to '%s'", i ? ", " : "",
                                   vmp_json_get_string(merge, "disk"), bottom);
            continue;
        }
        g_string_append_printf(
            text, "%smerge '%s' %s '%s'", i ? ", " : "", is_commit(merge) ? top : bottom,
            is_commit(merge) ? "down into" : "up into", is_commit(merge) ? bottom : top);
    }
    return g_string_free(text, FALSE);
}

static void
start_commands(const VmpStep *step, GPtrArray *commands)
{
    VmpJson *merges = merges_of(step);

    for (guint i = 0; i < vmp_json_length(merges); i++)
        g_ptr_array_add(commands, vmp_step_merge_command(vmp_json_at(merges, i)));
    for (guint i = 0; i < vmp_json_length(merges); i++)
        if (is_pivot(vmp_json_at(merges, i)))
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

/* ---- bitmaps ---- */

/* Adds to @transaction what gives @to the bitmaps of @from.  A commit makes those that @to
 * lacks; a stream does not: what was never recorded above has a gap in it anyway. */
static guint
carry_bitmaps(VmpQmpTransaction *transaction, const VmpBlockNode *from, const VmpBlockNode *to,
              GHashTable *made, GHashTable *broken)
{
    guint carried = 0;

    for (guint i = 0; i < from->bitmaps->len; i++) {
        const VmpBitmap *bitmap = g_ptr_array_index(from->bitmaps, i);
        const VmpBitmap *there = vmp_block_node_bitmap(to, bitmap->name);
        if (g_hash_table_contains(broken, bitmap->name))
            continue;
        if (!bitmap->persistent || bitmap->inconsistent || (there && there->inconsistent) ||
            (!there && !made))
            continue;
        if (!there && g_hash_table_add(made, g_strdup(bitmap->name)))
            vmp_qmp_transaction_bitmap_add(transaction, to->name, bitmap->name,
                                           VMP_BITMAP_PERSISTENT, bitmap->granularity);
        vmp_qmp_transaction_bitmap_merge(transaction, to->name, bitmap->name, from->name,
                                         bitmap->name);
        carried++;
    }
    return carried;
}

/* QEMU does not put bitmaps of different lengths together: of a disk that was resized between
 * the layers, what began below does not tell everything any more. */
static guint
break_bitmaps(VmpQmpTransaction *transaction, const VmpBlockNode *from, const VmpBlockNode *to,
              GHashTable *broken)
{
    guint removed = 0;

    for (guint i = 0; from->size != to->size && i < from->bitmaps->len; i++) {
        const VmpBitmap *bitmap = g_ptr_array_index(from->bitmaps, i);
        if (!g_hash_table_add(broken, g_strdup(bitmap->name)) ||
            !vmp_block_node_bitmap(to, bitmap->name))
            continue;
        vmp_qmp_transaction_bitmap_remove(transaction, to->name, bitmap->name);
        removed++;
    }
    return removed;
}

static guint
carry_merge(VmpQmpTransaction *transaction, const VmpBlockGraph *graph, VmpJson *merge)
{
    guint last = count_layers(merge) - 1;
    const VmpBlockNode *to =
        vmp_block_graph_node(graph, text_at(merge, "nodes", is_commit(merge) ? 0 : last));
    g_autoptr(GHashTable) made = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) broken =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    guint carried = 0;

    if (!to || !to->can_persist_bitmaps)
        return 0;
    for (guint i = 0; i <= last; i++) {
        const VmpBlockNode *from = vmp_block_graph_node(graph, text_at(merge, "nodes", i));
        if (from)
            carried += break_bitmaps(transaction, from, to, broken);
    }
    for (guint i = 0; i <= last; i++) {
        const VmpBlockNode *from = vmp_block_graph_node(graph, text_at(merge, "nodes", i));
        if (from && from != to)
            carried +=
                carry_bitmaps(transaction, from, to, is_commit(merge) ? made : NULL, broken);
    }
    return carried;
}

static gboolean
carry_all(const GPtrArray *merges, const VmpBlockGraph *graph, VmpQmpClient *client,
          GError **error)
{
    g_autoptr(VmpQmpTransaction) transaction = vmp_qmp_transaction_new();
    guint carried = 0;

    for (guint i = 0; i < merges->len; i++)
        carried += carry_merge(transaction, graph, g_ptr_array_index(merges, i));
    if (carried == 0)
        return TRUE;

    g_autoptr(VmpQmpCommand) command = vmp_qmp_transaction_to_command(transaction);
    g_autoptr(VmpJson) reply = vmp_qmp_client_execute(client, command, NULL, error);
    return reply != NULL;
}

/* ---- finish-merges ---- */

/* Does the chain of the disk show that the merge is done?  A branch is seen by its job: only
 * one that has come to its end is dismissed. */
static gboolean
is_merged(VmpJson *merge, VmpBlockSession *session, const VmpBlockGraph *graph,
          const GPtrArray *jobs)
{
    const VmpJob *job = find_job(jobs, merge);
    const char *gone = text_at(merge, "nodes", is_commit(merge) ? G_MAXUINT : 0);

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
        const VmpJob *job = find_job(progress->jobs, merge);
        if (job && job->phase != VMP_JOB_CONCLUDED)
            continue;
        if (job) {
            g_autoptr(VmpQmpCommand) dismiss = vmp_qmp_job_dismiss(job->id);
            g_autoptr(VmpJson) reply = vmp_qmp_client_execute(client, dismiss, NULL, error);
            if (!reply)
                return FALSE;
        }
        g_ptr_array_add(dead, merge);
    }
    return start_jobs(dead, client, error) &&
           bring_jobs(progress->open, change, client, error);
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
        if (is_open || find_job(progress->jobs, merge))
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
        !carry_all(progress.open, progress.graph, client, error))
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
    guint last = count_layers(merge) - 1;
    const char *top = text_at(merge, "paths", last);

    if (is_pivot(merge))
        return TRUE;
    if (is_commit(merge))
        return vmp_image_commit(top, text_at(merge, "paths", 0), NULL, error);
    return vmp_image_set_backing(top, text_at(merge, "paths", last - 1),
                                 text_at(merge, "formats", last - 1), NULL, error) &&
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
        const VmpJob *job = find_job(progress.jobs, vmp_json_at(merges_of(step), i));
        if (!job || (job->phase != VMP_JOB_READY && job->phase != VMP_JOB_PENDING))
            return FALSE;
    }
    return TRUE;
}

static VmpProbe
finish_probe(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpJson *merges = merges_of(step);
    g_auto(Progress) progress = { 0 };
    guint pivots = 0;

    if (!change->commit_begun)
        return have_copied(step, change) ? VMP_PROBE_BEGUN : VMP_PROBE_NOT_DONE;
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
        pivots += is_pivot(vmp_json_at(merges, i));
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

/* ---- move-backings ---- */

/* QEMU has done it for the images that it has open. */
static gboolean
set_backing(VmpJson *entry, GError **error)
{
    const char *path = vmp_json_get_string(entry, "path");
    const char *backing = vmp_json_get_string(entry, "backing");
    g_autoptr(VmpImage) image = vmp_image_read(path, "qcow2", NULL, error);

    if (!image)
        return FALSE;
    return g_strcmp0(image->backing_string, backing) == 0 ||
           vmp_image_set_backing(path, backing, vmp_json_get_string(entry, "format"), NULL,
                                 error);
}

static gboolean
move_apply(const VmpStep *step, VmpChange *change G_GNUC_UNUSED, GError **error)
{
    VmpJson *images = vmp_json_get_array(step->args, "images");

    for (guint i = 0; i < vmp_json_length(images); i++)
        if (!set_backing(vmp_json_at(images, i), error))
            return FALSE;
    return TRUE;
}

static char *
move_describe(const VmpStep *step)
{
    VmpJson *images = vmp_json_get_array(step->args, "images");
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < vmp_json_length(images); i++)
        g_string_append_printf(text, "%slet '%s' stand on '%s'", i ? ", " : "",
                               vmp_json_get_string(vmp_json_at(images, i), "path"),
                               vmp_json_get_string(vmp_json_at(images, i), "backing"));
    return g_string_free(text, FALSE);
}

const VmpStepKind vmp_step_move_backings = {
    .name = "move-backings",
    .apply = move_apply,
    .describe = move_describe,
    .writes_frozen = TRUE,
};
