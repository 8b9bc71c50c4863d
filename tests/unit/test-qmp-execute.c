/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "qmp-peer.h"
#include "qmp/client.h"
#include "qmp/commands.h"

static GPtrArray *
make_commands(const char *const *names)
{
    GPtrArray *commands =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_qmp_command_unref);

    for (; *names; names++)
        g_ptr_array_add(commands, vmp_qmp_command_new(*names, NULL));
    return commands;
}

static const char *const three[] = { "query-status", "query-jobs", "query-block", NULL };

/* ---- run ---- */

static void
test_run(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(GError) error = NULL;

    qmp_peer_serve(peer, "stop", NULL, "{}");
    qmp_peer_expect(peer, "cont", NULL);
    qmp_peer_refuse(peer, "not now");
    g_assert_true(vmp_qmp_client_run(client, vmp_qmp_stop(), NULL, &error));
    g_assert_no_error(error);
    g_assert_false(vmp_qmp_client_run(client, vmp_qmp_cont(), NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_REFUSED);
    qmp_peer_finish(peer);
}

/* The error of whoever got no client stays as it is. */
static void
test_run_without_client(void)
{
    g_autoptr(GError) error = NULL;

    vmp_fail(&error, VMP_ERROR_BUSY, "no monitor");
    g_assert_false(vmp_qmp_client_run(NULL, vmp_qmp_stop(), NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_BUSY);
}

static void
test_timeout_of_a_scope(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);

    vmp_qmp_client_set_timeout(client, 7000);
    {
        G_GNUC_UNUSED g_auto(VmpQmpTimeout) timeout = vmp_qmp_timeout_begin(client, 20);
        g_assert_cmpint(vmp_qmp_client_get_timeout(client), ==, 20);
    }
    g_assert_cmpint(vmp_qmp_client_get_timeout(client), ==, 7000);
    qmp_peer_finish(peer);
}

/* ---- execute_all ---- */

static void
test_all(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(GPtrArray) commands = make_commands(three);
    g_autoptr(GPtrArray) replies = NULL;
    g_autoptr(GError) error = NULL;

    /* All are there before the first is answered. */
    for (guint i = 0; i < 3; i++)
        qmp_peer_expect(peer, three[i], NULL);
    qmp_peer_reply_to(peer, three[2], "[2]");
    qmp_peer_reply_to(peer, three[0], "[0]");
    qmp_peer_reply_to(peer, three[1], "[1]");

    g_assert_true(vmp_qmp_client_execute_all(client, commands, &replies, NULL, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(replies->len, ==, 3);
    for (guint i = 0; i < 3; i++)
        g_assert_cmpint(json_object_get_int(vmp_json_at(replies->pdata[i], 0)), ==, i);
    qmp_peer_finish(peer);
}

static void
test_all_of_none(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(GPtrArray) commands = g_ptr_array_new();
    g_autoptr(GPtrArray) replies = NULL;

    g_assert_true(vmp_qmp_client_execute_all(client, commands, &replies, NULL, NULL));
    g_assert_cmpuint(replies->len, ==, 0);
    g_assert_true(vmp_qmp_client_execute_all(client, commands, NULL, NULL, NULL));
    qmp_peer_finish(peer);
}

static void
test_all_with_refusals(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(GPtrArray) commands = make_commands(three);
    GPtrArray *replies = NULL;
    g_autoptr(GError) error = NULL;

    qmp_peer_serve(peer, three[0], NULL, "{}");
    qmp_peer_expect(peer, three[1], NULL);
    qmp_peer_refuse(peer, "first");
    qmp_peer_expect(peer, three[2], NULL);
    qmp_peer_refuse(peer, "second");
    g_assert_false(vmp_qmp_client_execute_all(client, commands, &replies, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_REFUSED);
    g_assert_cmpstr(error->message, ==, "domain vm1: QEMU refused query-jobs: first");
    g_assert_null(replies);
    /* All answers have come: the script is at its end. */
    qmp_peer_finish(peer);
}

static void
test_all_with_silence(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(GPtrArray) commands = make_commands(three);
    g_autoptr(GError) error = NULL;

    qmp_peer_expect(peer, three[0], NULL);
    qmp_peer_refuse(peer, "no");
    qmp_peer_serve(peer, three[1], NULL, "{}");
    qmp_peer_expect(peer, three[2], NULL);
    qmp_peer_hang_up(peer);
    g_assert_false(vmp_qmp_client_execute_all(client, commands, NULL, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_DISCONNECTED);
    qmp_peer_finish(peer);
}

static void
test_hundreds(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(GPtrArray) commands =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_qmp_command_unref);
    g_autoptr(GPtrArray) replies = NULL;
    g_autoptr(GError) error = NULL;

    qmp_peer_answer(peer, "blockdev-del", "{}");
    for (guint i = 0; i < 500; i++)
        g_ptr_array_add(commands, vmp_qmp_blockdev_del("node"));
    vmp_qmp_client_execute_all(client, commands, &replies, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(replies->len, ==, 500);
    g_assert_cmpuint(qmp_peer_count(peer, "blockdev-del"), ==, 500);
    qmp_peer_finish(peer);
}

/* ---- wait ---- */

static void
count_event(VmpQmpClient *client, const char *event, VmpJson *data, gint64 timestamp_us,
            gpointer user_data)
{
    ++*(guint *)user_data;
}

static gboolean
are_two(gpointer data)
{
    return *(guint *)data == 2;
}

static gboolean
is_never(gpointer data)
{
    return FALSE;
}

static gboolean
is_at_once(gpointer data)
{
    return TRUE;
}

static void
test_wait(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(GError) error = NULL;
    guint events = 0;

    /* Three events in one piece: after the second it is enough. */
    vmp_qmp_client_subscribe(client, "STOP", count_event, &events);
    qmp_peer_raw(peer, "{\"event\":\"STOP\"}{\"event\":\"STOP\"}{\"event\":\"STOP\"}\n", -1);
    vmp_qmp_client_wait(client, are_two, &events, 10000, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(events, ==, 2);

    g_assert_true(vmp_qmp_client_wait(client, is_at_once, NULL, 0, NULL, NULL));
    qmp_peer_finish(peer);
}

static void
test_wait_in_vain(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(GError) error = NULL;

    g_assert_false(vmp_qmp_client_wait(client, is_never, NULL, 20, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_TIMED_OUT);
    g_assert_cmpstr(error->message, ==, "domain vm1: gave up waiting for QEMU after 20 ms");
    /* It was nobody's duty to send anything: the conversation goes on. */
    g_assert_cmpint(vmp_qmp_client_get_state(client), ==, VMP_QMP_READY);
    qmp_peer_finish(peer);
}

static void
test_wait_until_dead(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(GError) error = NULL;

    qmp_peer_hang_up(peer);
    for (guint i = 0; i < 2; i++) {
        g_assert_false(vmp_qmp_client_wait(client, is_never, NULL, 10000, NULL, &error));
        g_assert_error(error, VMP_ERROR, VMP_ERROR_DISCONNECTED);
        g_assert_cmpstr(error->message, ==, "domain vm1: QEMU closed the connection");
        g_clear_error(&error);
    }
    /* What is done is done, dead or not. */
    g_assert_true(vmp_qmp_client_wait(client, is_at_once, NULL, 0, NULL, NULL));
    qmp_peer_finish(peer);
}

static gpointer
cancel_soon(gpointer cancellable)
{
    g_usleep(20000);
    g_cancellable_cancel(cancellable);
    return NULL;
}

static void
test_wait_cancelled(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    g_autoptr(GError) error = NULL;

    GThread *thread = g_thread_new("cancel", cancel_soon, cancellable);
    g_assert_false(vmp_qmp_client_wait(client, is_never, NULL, 0, cancellable, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INTERRUPTED);
    g_thread_join(thread);
    qmp_peer_finish(peer);
}

static gboolean
count_up(gpointer data)
{
    ++*(guint *)data;
    return G_SOURCE_CONTINUE;
}

static void
test_wait_serves_others(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    guint ticks = 0;
    const guint source = g_timeout_add(1, count_up, &ticks);

    g_assert_true(vmp_qmp_client_wait(client, are_two, &ticks, 10000, NULL, NULL));
    g_source_remove(source);
    qmp_peer_finish(peer);
}

/* ---- contexts ---- */

/* A client belongs to the context that was the thread's default when it was made. */
static gpointer
converse_in_thread(gpointer data)
{
    QmpPeer *peer = data;
    g_autoptr(GMainContext) context = g_main_context_new();

    g_main_context_push_thread_default(context);
    {
        g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
        g_autoptr(VmpQmpCommand) command = vmp_qmp_query_status();
        g_autoptr(GError) error = NULL;
        g_autoptr(VmpJson) reply = vmp_qmp_client_execute(client, command, NULL, &error);
        gboolean running = FALSE;

        g_assert_no_error(error);
        g_assert_cmpstr(vmp_qmp_read_status(reply, &running), ==, "running");
        g_assert_true(running);
    }
    g_main_context_pop_thread_default(context);
    return NULL;
}

static void
test_own_context(void)
{
    QmpPeer *peer = qmp_peer_new();

    qmp_peer_serve(peer, "query-status", "{}",
                   "{'status': 'running', 'running': true, 'singlestep': false}");
    g_thread_join(g_thread_new("conversation", converse_in_thread, peer));
    qmp_peer_finish(peer);
}

static void
test_synchronous_cancel(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(VmpQmpCommand) stop = vmp_qmp_stop();
    g_autoptr(VmpQmpCommand) cont = vmp_qmp_cont();
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    g_autoptr(GError) error = NULL;

    qmp_peer_expect(peer, "stop", NULL);
    qmp_peer_expect(peer, "cont", NULL);
    qmp_peer_reply_to(peer, "stop", "{}");
    qmp_peer_reply_to(peer, "cont", "{}");
    GThread *thread = g_thread_new("cancel", cancel_soon, cancellable);
    g_assert_null(vmp_qmp_client_execute(client, stop, cancellable, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INTERRUPTED);
    g_thread_join(thread);

    g_clear_error(&error);
    g_autoptr(VmpJson) reply = vmp_qmp_client_execute(client, cont, NULL, &error);
    g_assert_no_error(error);
    g_assert_nonnull(reply);
    qmp_peer_finish(peer);
}

#define TEST(name, func) g_test_add_func("/qmp/execute/" name, func)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST("a-run-says-whether-it-was-done", test_run);
    TEST("a-run-without-a-client-keeps-the-error", test_run_without_client);
    TEST("a-timeout-of-a-scope-ends-with-it", test_timeout_of_a_scope);
    TEST("many-commands-go-out-before-the-first-answer", test_all);
    TEST("no-commands-need-no-answer", test_all_of_none);
    TEST("the-first-refusal-is-reported-after-all-answers", test_all_with_refusals);
    TEST("silence-outranks-refusal", test_all_with_silence);
    TEST("hundreds-of-commands-may-overlap", test_hundreds);
    TEST("waiting-ends-with-the-event-that-is-enough", test_wait);
    TEST("waiting-in-vain-leaves-the-conversation-alive", test_wait_in_vain);
    TEST("waiting-ends-when-the-client-is-dead", test_wait_until_dead);
    TEST("waiting-can-be-cancelled", test_wait_cancelled);
    TEST("waiting-serves-other-sources", test_wait_serves_others);
    TEST("a-synchronous-call-can-be-cancelled", test_synchronous_cancel);
    TEST("a-client-belongs-to-its-threads-context", test_own_context);
    return g_test_run();
}
