/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* start-commits   { "jobs": [ { "disk", "job", "root", "base" } ] }
 *     block-commit of the active layer on every disk; until all of them are pending.
 *     From then on QEMU holds the guest's writes back and both layers say the same.
 * finish-commits  { "jobs": [ the same, with "overlay": node, "base": node ] }
 *     carries bitmaps that only the upper layer has to the lower one, and pivots.
 *
 * The journal notes that finish-commits is entered: when QEMU is gone after that, the lower
 * image is complete, and the upper one must not be used any more.
 */

#include "base/error.h"
#include "point/steps.h"
#include "qmp/commands.h"
#include "qmp/transaction.h"
#include "storage/job.h"

static VmpJson *
jobs_of(const VmpStep *step)
{
    return vmp_json_get_array(step->args, "jobs");
}

static char **
job_ids(const VmpStep *step)
{
    g_autoptr(GStrvBuilder) ids = g_strv_builder_new();
    VmpJson *jobs = jobs_of(step);

    for (guint i = 0; i < vmp_json_length(jobs); i++)
        g_strv_builder_add(ids, vmp_json_get_string(vmp_json_at(jobs, i), "job"));
    return g_strv_builder_end(ids);
}

/* ---- start-commits ---- */

static VmpQmpCommand *
start_command(VmpJson *job)
{
    /* No top: the active layer, which takes no backing-file either. */
    return vmp_qmp_block_commit(vmp_json_get_string(job, "job"), vmp_json_get_string(job, "root"),
                                NULL, vmp_json_get_string(job, "base"), NULL);
}

/* Waits until all jobs are in @phase; one that ended by itself is the error. */
static gboolean
wait_phase(const VmpStep *step, VmpChange *change, VmpQmpClient *client, VmpJobPhase phase,
           GError **error)
{
    g_auto(GStrv) ids = job_ids(step);
    g_autoptr(GPtrArray) jobs = vmp_jobs_wait(client, (const char *const *)ids, phase,
                                              "merging layers", change->operation, error);

    for (guint i = 0; jobs && i < jobs->len; i++) {
        const VmpJob *job = g_ptr_array_index(jobs, i);
        if (job->phase == phase)
            continue;
        return vmp_fail(error, VMP_ERROR_REFUSED, "disk '%s': merging its layer failed: %s",
                        vmp_json_get_string(vmp_json_at(jobs_of(step), i), "disk"),
                        job->failure ? job->failure : "the job is gone");
    }
    return jobs != NULL;
}

static gboolean
start_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    g_autoptr(GPtrArray) start =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_qmp_command_unref);
    g_autoptr(GPtrArray) complete =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_qmp_command_unref);
    VmpQmpClient *client = vmp_change_get_client(change, error);
    VmpJson *jobs = jobs_of(step);

    for (guint i = 0; i < vmp_json_length(jobs); i++) {
        VmpJson *job = vmp_json_at(jobs, i);
        g_ptr_array_add(start, start_command(job));
        g_ptr_array_add(complete, vmp_qmp_job_complete(vmp_json_get_string(job, "job")));
    }
    return client && vmp_qmp_client_execute_all(client, start, NULL, NULL, error) &&
           wait_phase(step, change, client, VMP_JOB_READY, error) &&
           vmp_qmp_client_execute_all(client, complete, NULL, NULL, error) &&
           wait_phase(step, change, client, VMP_JOB_PENDING, error);
}

static const VmpJob *
find_job(const GPtrArray *jobs, const char *id)
{
    for (guint i = 0; i < jobs->len; i++) {
        const VmpJob *job = g_ptr_array_index(jobs, i);
        if (g_str_equal(job->id, id))
            return job;
    }
    return NULL;
}

/* Cancels what is left of the jobs and takes them out; the chain is then as before. */
static gboolean
start_undo(const VmpStep *step, VmpChange *change, GError **error)
{
    g_auto(GStrv) ids = job_ids(step);

    if (!change->session && !vmp_machine_is_on(change->machine))
        return TRUE; /* the daemon that had them is gone */

    VmpQmpClient *client = vmp_change_get_client(change, error);
    g_autoptr(GPtrArray) jobs = client ? vmp_jobs_query(client, NULL, error) : NULL;
    g_autoptr(GStrvBuilder) left = g_strv_builder_new();
    if (!jobs)
        return FALSE;

    for (char **id = ids; *id; id++) {
        const VmpJob *job = find_job(jobs, *id);
        if (!job)
            continue;
        g_strv_builder_add(left, *id);
        if (job->phase == VMP_JOB_CONCLUDED)
            continue;
        g_autoptr(VmpQmpCommand) cancel = vmp_qmp_job_cancel(*id);
        g_autoptr(VmpJson) reply = vmp_qmp_client_execute(client, cancel, NULL, error);
        if (!reply)
            return FALSE;
    }

    /* A cancelled job concludes with an error, which is what was wanted. */
    g_auto(GStrv) remaining = g_strv_builder_end(left);
    g_autoptr(GError) cancelled = NULL;
    if (remaining[0] && !vmp_jobs_finish(client, (const char *const *)remaining, NULL, &cancelled) &&
        !vmp_error_is(cancelled, VMP_ERROR_REFUSED)) {
        g_propagate_error(error, g_steal_pointer(&cancelled));
        return FALSE;
    }
    return TRUE;
}

static char *
start_describe(const VmpStep *step)
{
    VmpJson *jobs = jobs_of(step);
    GString *text = g_string_new("merge the newest layer down:");

    for (guint i = 0; i < vmp_json_length(jobs); i++)
        g_string_append_printf(text, "%s %s", i ? "," : "",
                               vmp_json_get_string(vmp_json_at(jobs, i), "disk"));
    return g_string_free(text, FALSE);
}

static void
start_commands(const VmpStep *step, GPtrArray *commands)
{
    VmpJson *jobs = jobs_of(step);

    for (guint i = 0; i < vmp_json_length(jobs); i++)
        g_ptr_array_add(commands, start_command(vmp_json_at(jobs, i)));
    for (guint i = 0; i < vmp_json_length(jobs); i++)
        g_ptr_array_add(commands, vmp_qmp_job_complete(
                                      vmp_json_get_string(vmp_json_at(jobs, i), "job")));
}

const VmpStepKind vmp_step_start_commits = {
    .name = "start-commits",
    .apply = start_apply,
    .undo = start_undo,
    .describe = start_describe,
    .commands = start_commands,
};

/* ---- finish-commits ---- */

/* Adds to @transaction what gives @base the bitmaps that only @overlay has. */
static guint
carry_bitmaps(VmpQmpTransaction *transaction, const VmpBlockNode *overlay,
              const VmpBlockNode *base)
{
    guint carried = 0;

    for (guint i = 0; i < overlay->bitmaps->len; i++) {
        const VmpBitmap *bitmap = g_ptr_array_index(overlay->bitmaps, i);
        if (!bitmap->persistent || bitmap->inconsistent || vmp_block_node_bitmap(base, bitmap->name))
            continue;
        vmp_qmp_transaction_bitmap_add(transaction, base->name, bitmap->name,
                                       VMP_BITMAP_PERSISTENT, bitmap->granularity);
        vmp_qmp_transaction_bitmap_merge(transaction, base->name, bitmap->name, overlay->name,
                                         bitmap->name);
        carried++;
    }
    return carried;
}

static gboolean
carry_all(const VmpStep *step, VmpChange *change, VmpQmpClient *client, GError **error)
{
    g_autoptr(VmpBlockGraph) graph = vmp_block_session_read_graph(change->session, error);
    g_autoptr(VmpQmpTransaction) transaction = vmp_qmp_transaction_new();
    VmpJson *jobs = jobs_of(step);
    guint carried = 0;

    for (guint i = 0; graph && i < vmp_json_length(jobs); i++) {
        VmpJson *job = vmp_json_at(jobs, i);
        const VmpBlockNode *overlay =
            vmp_block_graph_node(graph, vmp_json_get_string(job, "overlay"));
        const VmpBlockNode *base = vmp_block_graph_node(graph, vmp_json_get_string(job, "base"));
        if (overlay && base)
            carried += carry_bitmaps(transaction, overlay, base);
    }
    if (!graph || carried == 0)
        return graph != NULL;

    g_autoptr(VmpQmpCommand) command = vmp_qmp_transaction_to_command(transaction);
    g_autoptr(VmpJson) reply = vmp_qmp_client_execute(client, command, NULL, error);
    return reply != NULL;
}

static gboolean
finish_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpQmpClient *client = vmp_change_get_client(change, error);
    g_autoptr(GPtrArray) jobs = client ? vmp_jobs_query(client, NULL, error) : NULL;
    g_auto(GStrv) ids = job_ids(step);
    g_autoptr(GStrvBuilder) left = g_strv_builder_new();

    if (!jobs || !carry_all(step, change, client, error))
        return FALSE;
    /* Applied again after a crash, some may have pivoted and been dismissed already. */
    for (char **id = ids; *id; id++) {
        const VmpJob *job = find_job(jobs, *id);
        if (!job)
            continue;
        g_strv_builder_add(left, *id);
        if (job->phase != VMP_JOB_PENDING)
            continue;
        g_autoptr(VmpQmpCommand) finalize = vmp_qmp_job_finalize(*id);
        g_autoptr(VmpJson) reply = vmp_qmp_client_execute(client, finalize, NULL, error);
        if (!reply)
            return FALSE;
    }

    g_auto(GStrv) remaining = g_strv_builder_end(left);
    return !remaining[0] ||
           vmp_jobs_finish(client, (const char *const *)remaining, change->operation, error);
}

/* How many of the disks stand on their base now. */
static VmpProbe
probe_graph(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpBlockSession *session = vmp_change_get_session(change, error);
    g_autoptr(VmpBlockGraph) graph =
        session ? vmp_block_session_read_graph(session, error) : NULL;
    VmpJson *jobs = jobs_of(step);
    guint pivoted = 0;

    if (!graph)
        return VMP_PROBE_UNKNOWN;
    for (guint i = 0; i < vmp_json_length(jobs); i++) {
        VmpJson *job = vmp_json_at(jobs, i);
        const VmpBlockNode *image = vmp_block_session_image(
            session, graph, vmp_json_get_string(job, "disk"), NULL);
        if (image && g_str_equal(image->name, vmp_json_get_string(job, "base")))
            pivoted++;
    }
    if (pivoted == 0)
        return VMP_PROBE_NOT_DONE;
    return pivoted == vmp_json_length(jobs) ? VMP_PROBE_DONE : VMP_PROBE_BEGUN;
}

static VmpProbe
finish_probe(const VmpStep *step, VmpChange *change, GError **error)
{
    if (vmp_machine_is_on(change->machine))
        return probe_graph(step, change, error);
    /* Both layers said the same when the journal noted that pivoting begins; since then only
     * the lower one can have been written to. */
    return change->commit_begun ? VMP_PROBE_DONE : VMP_PROBE_NOT_DONE;
}

static char *
finish_describe(const VmpStep *step G_GNUC_UNUSED)
{
    return g_strdup("carry the bitmaps down and let the disks go on with the lower image");
}

static void
finish_commands(const VmpStep *step, GPtrArray *commands)
{
    VmpJson *jobs = jobs_of(step);

    for (guint i = 0; i < vmp_json_length(jobs); i++)
        g_ptr_array_add(commands, vmp_qmp_job_finalize(
                                      vmp_json_get_string(vmp_json_at(jobs, i), "job")));
}

const VmpStepKind vmp_step_finish_commits = {
    .name = "finish-commits",
    .apply = finish_apply,
    .probe = finish_probe,
    .describe = finish_describe,
    .commands = finish_commands,
};
