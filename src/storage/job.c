/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/job.h"

#include <string.h>

#include "base/error.h"
#include "qmp/commands.h"

/* How often a wait looks by itself: for progress, and to notice a QEMU that has stopped
 * answering.  What happens is told by events. */
#define LOOK_INTERVAL_MS 500

void
vmp_job_free(VmpJob *job)
{
    if (!job)
        return;
    g_free(job->id);
    g_free(job->type);
    g_free(job->status);
    g_free(job->failure);
    g_free(job);
}

static VmpJobPhase
phase_of_status(const char *status)
{
    static const struct {
        const char *status;
        VmpJobPhase phase;
    } table[] = {
        { "undefined", VMP_JOB_GONE },  { "null", VMP_JOB_GONE },
        { "ready", VMP_JOB_READY },     { "standby", VMP_JOB_READY },
        { "pending", VMP_JOB_PENDING }, { "concluded", VMP_JOB_CONCLUDED },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(table); i++)
        if (g_strcmp0(status, table[i].status) == 0)
            return table[i].phase;
    /* created, running, paused, waiting, aborting, and what a newer QEMU may add */
    return VMP_JOB_ACTIVE;
}

static VmpJob *
job_new(VmpJson *reply, const char *id)
{
    VmpJob *job = g_new0(VmpJob, 1);
    VmpQmpJob found;

    job->id = g_strdup(id);
    if (!vmp_qmp_read_job(reply, id, &found)) {
        job->status = g_strdup("null");
        return job;
    }
    job->type = g_strdup(found.type);
    job->status = g_strdup(found.status);
    job->phase = phase_of_status(found.status);
    job->failure = g_strdup(found.error);
    job->current = found.current;
    job->total = found.total;
    return job;
}

static GPtrArray *
job_array_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)vmp_job_free);
}

GPtrArray *
vmp_jobs_query(VmpQmpClient *client, GCancellable *cancellable, GError **error)
{
    g_autoptr(VmpQmpCommand) command = vmp_qmp_query_jobs();
    g_autoptr(VmpJson) reply = vmp_qmp_client_execute(client, command, cancellable, error);
    if (!reply)
        return NULL;

    GPtrArray *jobs = job_array_new();
    for (guint i = 0; i < vmp_json_length(reply); i++) {
        const char *id = vmp_json_get_string(vmp_json_at(reply, i), "id");
        if (id)
            g_ptr_array_add(jobs, job_new(reply, id));
    }
    return jobs;
}

/* ---- waiting ---- */

/* What is known of the jobs that somebody waits for.  The subscription is older than the
 * first look, so that nothing falls between the two. */
typedef struct {
    VmpQmpClient *client;
    guint subscription;
    const char *const *ids;
    VmpJobPhase wanted;
    VmpJobPhase *phases; /* as many as ids */
} Watch;

static gboolean
is_reached(VmpJobPhase phase, VmpJobPhase wanted)
{
    return phase == VMP_JOB_GONE || phase >= wanted;
}

static void
note_phase(Watch *watch, const char *id, VmpJobPhase phase)
{
    for (guint i = 0; watch->ids[i]; i++)
        if (g_strcmp0(watch->ids[i], id) == 0)
            watch->phases[i] = phase;
}

static void
on_job_event(VmpQmpClient *client, const char *event, VmpJson *data, gint64 timestamp_us,
             gpointer user_data)
{
    note_phase(user_data, vmp_json_get_string(data, "id"),
               phase_of_status(vmp_json_get_string(data, "status")));
}

static gboolean
all_reached(gpointer data)
{
    const Watch *watch = data;

    for (guint i = 0; watch->ids[i]; i++)
        if (!is_reached(watch->phases[i], watch->wanted))
            return FALSE;
    return TRUE;
}

static void
watch_start(Watch *watch)
{
    watch->phases = g_new0(VmpJobPhase, g_strv_length((char **)watch->ids) + 1);
    watch->subscription =
        vmp_qmp_client_subscribe(watch->client, "JOB_STATUS_CHANGE", on_job_event, watch);
}

static void
watch_clear(Watch *watch)
{
    if (watch->subscription)
        vmp_qmp_client_unsubscribe(watch->client, watch->subscription);
    g_free(watch->phases);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Watch, watch_clear)

/* The jobs of the watch as query-jobs has them now: newer than any event that came before
 * the reply. */
static GPtrArray *
look(Watch *watch, GCancellable *cancellable, GError **error)
{
    g_autoptr(VmpQmpCommand) command = vmp_qmp_query_jobs();
    g_autoptr(VmpJson) reply =
        vmp_qmp_client_execute(watch->client, command, cancellable, error);
    if (!reply)
        return NULL;

    GPtrArray *jobs = job_array_new();
    for (guint i = 0; watch->ids[i]; i++) {
        VmpJob *job = job_new(reply, watch->ids[i]);
        watch->phases[i] = job->phase;
        g_ptr_array_add(jobs, job);
    }
    return jobs;
}

static void
report(const GPtrArray *jobs, const char *what, VmpOperation *operation)
{
    guint64 current = 0;
    guint64 total = 0;

    for (guint i = 0; i < jobs->len; i++) {
        const VmpJob *job = g_ptr_array_index(jobs, i);
        current += job->current;
        total += job->total;
    }
    vmp_operation_report_progress(operation, what, current, total);
}

/* TRUE as well when it is only time for another look. */
static gboolean
wait_for_news(Watch *watch, GCancellable *cancellable, GError **error)
{
    g_autoptr(GError) failure = NULL;

    if (vmp_qmp_client_wait(watch->client, all_reached, watch, LOOK_INTERVAL_MS, cancellable,
                            &failure) ||
        vmp_error_is(failure, VMP_ERROR_TIMED_OUT))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

static gboolean
has_failed(const GPtrArray *jobs)
{
    for (guint i = 0; i < jobs->len; i++) {
        const VmpJob *job = g_ptr_array_index(jobs, i);
        if (job->phase == VMP_JOB_GONE || (job->phase == VMP_JOB_CONCLUDED && job->failure))
            return TRUE;
    }
    return FALSE;
}

typedef struct {
    VmpJobPhase phase;
    gboolean until_failure; /* found by the looks that come while nothing else does */
    int patience_ms;        /* the same; 0 = for ever */
} Wish;

static GPtrArray *
wait_for(VmpQmpClient *client, const char *const *ids, const Wish *wish, const char *what,
         VmpOperation *operation, GError **error)
{
    g_auto(Watch) watch = { .client = client, .ids = ids, .wanted = wish->phase };
    GCancellable *cancellable = vmp_operation_get_cancellable(operation);
    gint64 end = g_get_monotonic_time() + wish->patience_ms * G_TIME_SPAN_MILLISECOND;

    watch_start(&watch);
    for (;;) {
        g_autoptr(GPtrArray) jobs = look(&watch, cancellable, error);
        if (!jobs)
            return NULL;
        report(jobs, what, operation);
        if (all_reached(&watch) || (wish->until_failure && has_failed(jobs)))
            return g_steal_pointer(&jobs);
        if (wish->patience_ms > 0 && g_get_monotonic_time() >= end)
            return vmp_fail_null(error, VMP_ERROR_TIMED_OUT,
                                 "the %s has not ended within %d seconds", what,
                                 wish->patience_ms / 1000);
        if (!wait_for_news(&watch, cancellable, error))
            return NULL;
    }
}

GPtrArray *
vmp_jobs_wait(VmpQmpClient *client, const char *const *ids, VmpJobPhase phase,
              const char *what, VmpOperation *operation, GError **error)
{
    const Wish wish = { .phase = phase };

    return wait_for(client, ids, &wish, what, operation, error);
}

GPtrArray *
vmp_jobs_wait_for_failure(VmpQmpClient *client, const char *const *ids, const char *what,
                          VmpOperation *operation, GError **error)
{
    const Wish wish = { .phase = VMP_JOB_CONCLUDED, .until_failure = TRUE };

    return wait_for(client, ids, &wish, what, operation, error);
}

GPtrArray *
vmp_jobs_wait_at_most(VmpQmpClient *client, const char *const *ids, int patience_ms,
                      const char *what, VmpOperation *operation, GError **error)
{
    const Wish wish = { .phase = VMP_JOB_CONCLUDED, .patience_ms = patience_ms };

    return wait_for(client, ids, &wish, what, operation, error);
}

/* ---- finishing ---- */

static gboolean
dismiss(VmpQmpClient *client, const GPtrArray *jobs, GCancellable *cancellable, GError **error)
{
    g_autoptr(GPtrArray) commands =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_qmp_command_unref);
    g_autoptr(GError) failure = NULL;

    for (guint i = 0; i < jobs->len; i++) {
        const VmpJob *job = g_ptr_array_index(jobs, i);
        if (job->phase == VMP_JOB_CONCLUDED)
            g_ptr_array_add(commands, vmp_qmp_job_dismiss(job->id));
    }
    if (commands->len == 0 ||
        vmp_qmp_client_execute_all(client, commands, NULL, cancellable, &failure))
        return TRUE;
    /* A concluded job refuses this only if somebody else has dismissed it: it is gone. */
    if (vmp_error_is(failure, VMP_ERROR_REFUSED))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

static gboolean
check_outcome(const VmpJob *job, GError **error)
{
    if (job->failure)
        return vmp_fail(error, VMP_ERROR_REFUSED, "job '%s' failed: %s", job->id,
                        job->failure);
    if (job->phase == VMP_JOB_GONE)
        return vmp_fail(error, VMP_ERROR_FAILED,
                        "job '%s' is not there any more: somebody else dismissed it, and its "
                        "outcome is not known",
                        job->id);
    return TRUE;
}

gboolean
vmp_jobs_finish(VmpQmpClient *client, const char *const *ids, VmpOperation *operation,
                GError **error)
{
    g_autoptr(GPtrArray) jobs =
        vmp_jobs_wait(client, ids, VMP_JOB_CONCLUDED, "job", operation, error);

    if (!jobs || !dismiss(client, jobs, vmp_operation_get_cancellable(operation), error))
        return FALSE;
    for (guint i = 0; i < jobs->len; i++)
        if (!check_outcome(g_ptr_array_index(jobs, i), error))
            return FALSE;
    return TRUE;
}
