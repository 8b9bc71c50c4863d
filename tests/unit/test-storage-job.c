/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/job.h"

#include "base/error.h"
#include "qmp-peer.h"
#include "qmp/client.h"

#define JOB(id, status)                                     \
    "{'id': '" id "', 'type': 'commit', 'status': '" status \
    "', 'current-progress': 3, 'total-progress': 10}"
#define FAILED_JOB(id, words)                                    \
    "{'id': '" id "', 'type': 'commit', 'status': 'concluded', " \
    "'current-progress': 3, 'total-progress': 10, 'error': '" words "'}"

static const char *const one[] = { "j", NULL };
static const char *const two[] = { "j", "k", NULL };

static void
tell(QmpPeer *peer, const char *id, const char *status)
{
    g_autofree char *data = g_strdup_printf("{'id': '%s', 'status': '%s'}", id, status);

    qmp_peer_event(peer, "JOB_STATUS_CHANGE", data);
}

static void
end(QmpPeer *peer, VmpQmpClient *client)
{
    vmp_qmp_client_unref(client);
    qmp_peer_finish(peer);
}

/* ---- asking ---- */

static void
test_query(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(GError) error = NULL;

    qmp_peer_serve(peer, "query-jobs", "{}",
                   "[" JOB("j", "running") "," FAILED_JOB("k", "No space left on device") "]");
    VmpQmpClient *client = qmp_peer_connect(peer);
    g_autoptr(GPtrArray) jobs = vmp_jobs_query(client, NULL, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(jobs->len, ==, 2);
    const VmpJob *running = g_ptr_array_index(jobs, 0);
    const VmpJob *failed = g_ptr_array_index(jobs, 1);
    g_assert_cmpstr(running->id, ==, "j");
    g_assert_cmpstr(running->type, ==, "commit");
    g_assert_cmpstr(running->status, ==, "running");
    g_assert_cmpint(running->phase, ==, VMP_JOB_ACTIVE);
    g_assert_null(running->failure);
    g_assert_cmpuint(running->current, ==, 3);
    g_assert_cmpuint(running->total, ==, 10);
    g_assert_cmpint(failed->phase, ==, VMP_JOB_CONCLUDED);
    g_assert_cmpstr(failed->failure, ==, "No space left on device");
    end(peer, client);
}

static void
test_phases(void)
{
    static const struct {
        const char *status;
        VmpJobPhase phase;
    } table[] = {
        { "undefined", VMP_JOB_GONE },  { "created", VMP_JOB_ACTIVE },
        { "running", VMP_JOB_ACTIVE },  { "paused", VMP_JOB_ACTIVE },
        { "ready", VMP_JOB_READY },     { "standby", VMP_JOB_READY },
        { "waiting", VMP_JOB_ACTIVE },  { "pending", VMP_JOB_PENDING },
        { "aborting", VMP_JOB_ACTIVE }, { "concluded", VMP_JOB_CONCLUDED },
        { "null", VMP_JOB_GONE },       { "what-9.9-added", VMP_JOB_ACTIVE },
    };
    QmpPeer *peer = qmp_peer_new();
    VmpQmpClient *client = qmp_peer_connect(peer);

    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autofree char *reply = g_strdup_printf(
            "[{'id': 'j', 'type': 'create', 'status': '%s'}]", table[i].status);
        qmp_peer_serve(peer, "query-jobs", "{}", reply);
        g_autoptr(GPtrArray) jobs = vmp_jobs_query(client, NULL, NULL);
        const VmpJob *job = g_ptr_array_index(jobs, 0);
        g_assert_cmpint(job->phase, ==, table[i].phase);
        g_assert_cmpstr(job->status, ==, table[i].status);
    }
    end(peer, client);
}

/* ---- waiting ---- */

static GPtrArray *
wait_for(VmpQmpClient *client, const char *const *ids, VmpJobPhase phase)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *jobs = vmp_jobs_wait(client, ids, phase, "commit", NULL, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(jobs->len, ==, g_strv_length((char **)ids));
    return jobs;
}

/* All events were sent before anybody asked: another client started the job. */
static void
test_wait_after_the_end(void)
{
    QmpPeer *peer = qmp_peer_new();

    qmp_peer_serve(peer, "query-jobs", "{}", "[" JOB("j", "concluded") "]");
    VmpQmpClient *client = qmp_peer_connect(peer);
    g_autoptr(GPtrArray) jobs = wait_for(client, one, VMP_JOB_CONCLUDED);

    g_assert_cmpint(((VmpJob *)jobs->pdata[0])->phase, ==, VMP_JOB_CONCLUDED);
    end(peer, client);
}

/* The event overtakes the answer that still says "running". */
static void
test_wait_event_during_the_first_look(void)
{
    QmpPeer *peer = qmp_peer_new();

    qmp_peer_expect(peer, "query-jobs", "{}");
    qmp_peer_reply(peer, "[" JOB("j", "running") "]");
    tell(peer, "j", "waiting");
    tell(peer, "j", "pending");
    qmp_peer_serve(peer, "query-jobs", "{}", "[" JOB("j", "pending") "]");
    VmpQmpClient *client = qmp_peer_connect(peer);
    g_autoptr(GPtrArray) jobs = wait_for(client, one, VMP_JOB_PENDING);

    g_assert_cmpint(((VmpJob *)jobs->pdata[0])->phase, ==, VMP_JOB_PENDING);
    end(peer, client);
}

static void
test_wait_for_all(void)
{
    QmpPeer *peer = qmp_peer_new();

    qmp_peer_serve(
        peer, "query-jobs", "{}",
        "[" JOB("k", "running") "," JOB("j", "running") "," JOB("x", "running") "]");
    tell(peer, "j", "ready");
    tell(peer, "x", "ready");
    tell(peer, "k", "ready");
    qmp_peer_serve(peer, "query-jobs", "{}",
                   "[" JOB("k", "ready") "," JOB("j", "ready") "," JOB("x", "ready") "]");
    VmpQmpClient *client = qmp_peer_connect(peer);
    g_autoptr(GPtrArray) jobs = wait_for(client, two, VMP_JOB_READY);

    /* In the order of the ids, not of the answer. */
    g_assert_cmpstr(((VmpJob *)jobs->pdata[0])->id, ==, "j");
    g_assert_cmpstr(((VmpJob *)jobs->pdata[1])->id, ==, "k");
    g_assert_cmpuint(qmp_peer_count(peer, "query-jobs"), ==, 2);
    end(peer, client);
}

/* A job that failed, or went past the phase, is waited for no longer. */
static void
test_wait_beyond(void)
{
    QmpPeer *peer = qmp_peer_new();

    qmp_peer_serve(peer, "query-jobs", "{}",
                   "[" FAILED_JOB("j", "Input/output error") "," JOB("k", "pending") "]");
    VmpQmpClient *client = qmp_peer_connect(peer);
    g_autoptr(GPtrArray) jobs = wait_for(client, two, VMP_JOB_READY);

    g_assert_cmpstr(((VmpJob *)jobs->pdata[0])->failure, ==, "Input/output error");
    g_assert_cmpint(((VmpJob *)jobs->pdata[1])->phase, ==, VMP_JOB_PENDING);
    end(peer, client);
}

static void
test_wait_vanished(void)
{
    QmpPeer *peer = qmp_peer_new();

    qmp_peer_serve(peer, "query-jobs", "{}", "[" JOB("j", "running") "]");
    tell(peer, "j", "concluded");
    tell(peer, "j", "null");
    qmp_peer_serve(peer, "query-jobs", "{}", "[]");
    VmpQmpClient *client = qmp_peer_connect(peer);
    g_autoptr(GPtrArray) jobs = wait_for(client, one, VMP_JOB_CONCLUDED);
    const VmpJob *job = jobs->pdata[0];

    g_assert_cmpint(job->phase, ==, VMP_JOB_GONE);
    g_assert_cmpstr(job->status, ==, "null");
    g_assert_cmpstr(job->id, ==, "j");
    end(peer, client);
}

static void
test_wait_without_events(void)
{
    QmpPeer *peer = qmp_peer_new();

    /* No event says that it ended: only the look that comes by itself. */
    qmp_peer_serve(peer, "query-jobs", "{}", "[" JOB("j", "running") "]");
    qmp_peer_serve(peer, "query-jobs", "{}", "[" JOB("j", "concluded") "]");
    VmpQmpClient *client = qmp_peer_connect(peer);
    g_autoptr(GPtrArray) jobs = wait_for(client, one, VMP_JOB_CONCLUDED);

    g_assert_cmpint(((VmpJob *)jobs->pdata[0])->phase, ==, VMP_JOB_CONCLUDED);
    end(peer, client);
}

static void
test_wait_death(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(GError) error = NULL;

    qmp_peer_serve(peer, "query-jobs", "{}", "[" JOB("j", "running") "]");
    qmp_peer_hang_up(peer);
    VmpQmpClient *client = qmp_peer_connect(peer);

    g_assert_null(vmp_jobs_wait(client, one, VMP_JOB_CONCLUDED, "commit", NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_DISCONNECTED);
    end(peer, client);
}

static void
cancel_on_progress(const char *what, guint64 done, guint64 total, gpointer data)
{
    g_cancellable_cancel(data);
}

static void
test_wait_cancelled(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    g_autoptr(VmpOperation) operation = vmp_operation_new();

    vmp_operation_set_cancellable(operation, cancellable);
    vmp_operation_set_progress(operation, cancel_on_progress, cancellable);
    qmp_peer_serve(peer, "query-jobs", "{}", "[" JOB("j", "running") "]");
    VmpQmpClient *client = qmp_peer_connect(peer);

    g_assert_null(vmp_jobs_wait(client, one, VMP_JOB_CONCLUDED, "commit", operation, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INTERRUPTED);
    end(peer, client);
}

typedef struct {
    char *what;
    guint64 done, total;
    guint calls;
} Progress;

static void
note_progress(const char *what, guint64 done, guint64 total, gpointer data)
{
    Progress *progress = data;

    g_free(progress->what);
    *progress = (Progress){ g_strdup(what), done, total, progress->calls + 1 };
}

static void
test_wait_progress(void)
{
    QmpPeer *peer = qmp_peer_new();
    Progress progress = { 0 };
    g_autoptr(VmpOperation) operation = vmp_operation_new();
    g_autoptr(GError) error = NULL;

    vmp_operation_set_progress(operation, note_progress, &progress);
    qmp_peer_serve(peer, "query-jobs", "{}",
                   "[" JOB("j", "concluded") "," JOB("k", "concluded") "]");
    VmpQmpClient *client = qmp_peer_connect(peer);
    G_GNUC_UNUSED g_autoptr(GPtrArray) jobs =
        vmp_jobs_wait(client, two, VMP_JOB_CONCLUDED, "commit", operation, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(progress.calls, ==, 1);
    g_assert_cmpstr(progress.what, ==, "commit");
    g_assert_cmpuint(progress.done, ==, 6);
    g_assert_cmpuint(progress.total, ==, 20);
    g_free(progress.what);
    end(peer, client);
}

/* ---- finishing ---- */

static void
test_finish(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(GError) error = NULL;

    qmp_peer_serve(peer, "query-jobs", "{}",
                   "[" JOB("j", "running") "," JOB("k", "concluded") "]");
    tell(peer, "j", "concluded");
    qmp_peer_serve(peer, "query-jobs", "{}",
                   "[" JOB("j", "concluded") "," JOB("k", "concluded") "]");
    /* Both go out before the first answer. */
    qmp_peer_expect(peer, "job-dismiss", "{'id': 'j'}");
    qmp_peer_expect(peer, "job-dismiss", "{'id': 'k'}");
    qmp_peer_reply(peer, "{}");
    qmp_peer_reply(peer, "{}");
    VmpQmpClient *client = qmp_peer_connect(peer);

    g_assert_true(vmp_jobs_finish(client, two, NULL, &error));
    g_assert_no_error(error);
    end(peer, client);
}

static void
test_finish_failed(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(GError) error = NULL;

    qmp_peer_serve(
        peer, "query-jobs", "{}",
        "[" JOB("j", "concluded") "," FAILED_JOB("k", "No space left on device") "]");
    qmp_peer_serve(peer, "job-dismiss", "{'id': 'j'}", "{}");
    qmp_peer_serve(peer, "job-dismiss", "{'id': 'k'}", "{}");
    VmpQmpClient *client = qmp_peer_connect(peer);

    g_assert_false(vmp_jobs_finish(client, two, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_REFUSED);
    g_assert_nonnull(strstr(error->message, "'k'"));
    g_assert_nonnull(strstr(error->message, "No space left on device"));
    end(peer, client);
}

static void
test_finish_dismissed_by_others(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(GError) error = NULL;

    qmp_peer_serve(peer, "query-jobs", "{}", "[" JOB("j", "concluded") "]");
    qmp_peer_expect(peer, "job-dismiss", "{'id': 'j'}");
    qmp_peer_refuse(peer, "Job not found");
    VmpQmpClient *client = qmp_peer_connect(peer);

    g_assert_true(vmp_jobs_finish(client, one, NULL, &error));
    g_assert_no_error(error);
    end(peer, client);
}

static void
test_finish_gone(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(GError) error = NULL;

    /* The other one is dismissed all the same. */
    qmp_peer_serve(peer, "query-jobs", "{}", "[" JOB("k", "concluded") "]");
    qmp_peer_serve(peer, "job-dismiss", "{'id': 'k'}", "{}");
    VmpQmpClient *client = qmp_peer_connect(peer);

    g_assert_false(vmp_jobs_finish(client, two, NULL, &error));
    /* Neither success nor refusal: nobody knows. */
    g_assert_error(error, VMP_ERROR, VMP_ERROR_FAILED);
    g_assert_nonnull(strstr(error->message, "'j'"));
    end(peer, client);
}

/* The others may run on for hours. */
static void
test_wait_for_failure(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(GError) error = NULL;

    qmp_peer_serve(peer, "query-jobs", "{}",
                   "[" JOB("j", "running") "," FAILED_JOB("k", "No space left on device") "]");
    VmpQmpClient *client = qmp_peer_connect(peer);
    g_autoptr(GPtrArray) jobs = vmp_jobs_wait_for_failure(client, two, "backup", NULL, &error);

    g_assert_no_error(error);
    g_assert_cmpint(((VmpJob *)jobs->pdata[0])->phase, ==, VMP_JOB_ACTIVE);
    g_assert_cmpstr(((VmpJob *)jobs->pdata[1])->failure, ==, "No space left on device");
    end(peer, client);
}

static void
test_wait_at_most(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(GError) error = NULL;

    qmp_peer_serve(peer, "query-jobs", "{}", "[" JOB("j", "running") "]");
    qmp_peer_serve(peer, "query-jobs", "{}", "[" JOB("j", "running") "]");
    VmpQmpClient *client = qmp_peer_connect(peer);

    g_assert_null(vmp_jobs_wait_at_most(client, one, 1, "backup", NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_TIMED_OUT);
    end(peer, client);
}

static void
test_finish_death(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(GError) error = NULL;

    qmp_peer_serve(peer, "query-jobs", "{}", "[" JOB("j", "concluded") "]");
    qmp_peer_expect(peer, "job-dismiss", "{'id': 'j'}");
    qmp_peer_hang_up(peer);
    VmpQmpClient *client = qmp_peer_connect(peer);

    g_assert_false(vmp_jobs_finish(client, one, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_DISCONNECTED);
    end(peer, client);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, func) g_test_add_func("/storage/job/" name, func)
    ADD("jobs-are-what-query-jobs-says", test_query);
    ADD("each-status-has-a-phase", test_phases);
    ADD("a-job-that-ended-before-is-not-waited-for", test_wait_after_the_end);
    ADD("an-event-right-after-the-first-look-is-seen", test_wait_event_during_the_first_look);
    ADD("all-jobs-are-waited-for", test_wait_for_all);
    ADD("a-job-beyond-the-phase-has-reached-it", test_wait_beyond);
    ADD("a-job-that-vanishes-is-gone", test_wait_vanished);
    ADD("a-lost-event-only-costs-time", test_wait_without_events);
    ADD("a-dead-qemu-ends-the-wait", test_wait_death);
    ADD("cancelling-ends-the-wait", test_wait_cancelled);
    ADD("progress-is-the-sum", test_wait_progress);
    ADD("one-that-fails-ends-the-wait-for-it", test_wait_for_failure);
    ADD("patience-has-an-end", test_wait_at_most);
    ADD("finished-jobs-are-dismissed-at-once", test_finish);
    ADD("the-failure-of-one-is-the-error-and-all-are-dismissed", test_finish_failed);
    ADD("that-somebody-else-dismissed-it-is-fine", test_finish_dismissed_by_others);
    ADD("a-job-that-is-gone-has-no-outcome", test_finish_gone);
    ADD("a-qemu-that-dies-at-the-end-leaves-doubt", test_finish_death);
    return g_test_run();
}
