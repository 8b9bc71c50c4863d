/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent-peer.h"
#include "base/error.h"
#include "qmp/agent-commands.h"
#include "qmp/agent.h"

#define PATIENT_MS 60000

static gint64
execute_thaw(VmpAgent *agent, int timeout_ms, GError **error)
{
    g_autoptr(VmpQmpCommand) command = vmp_agent_guest_fsfreeze_thaw();
    g_autoptr(VmpJson) answer = vmp_agent_execute(agent, command, timeout_ms, NULL, error);

    return answer ? json_object_get_int64(answer) : -1;
}

/* ---- sync ---- */

static void
what_lies_in_the_channel_is_not_for_us(void)
{
    static const char *const garbage[] = {
        "",
        "{\"return\": {}}\n",
        "{\"return\": \"cut o",
        "[1, 2",
        "\xff{\"return\": 12345}\n",
        "\xff{\"return\": 12345}\n{\"return\": {}}\n}}}}",
        "{\"error\": {\"class\": \"GenericError\", \"desc\": \"Invalid JSON syntax\"}}\n",
        "\xff\xff\xff",
        "\xff not JSON at all \xfe\n",
        "\x01\x02\xc3\x28",
    };

    for (guint i = 0; i < G_N_ELEMENTS(garbage); i++) {
        AgentPeer *peer = agent_peer_new();
        g_autoptr(GError) error = NULL;

        agent_peer_leave(peer, garbage[i]);
        agent_peer_answer(peer, "guest-fsfreeze-thaw", "{\"return\": 3}\n");
        g_autoptr(VmpAgent) agent =
            vmp_agent_connect(agent_peer_get_path(peer), PATIENT_MS, NULL, &error);
        g_assert_no_error(error);
        g_assert_cmpint(execute_thaw(agent, PATIENT_MS, &error), ==, 3);
        g_assert_no_error(error);
        g_clear_pointer(&agent, vmp_agent_free);
        agent_peer_finish(peer);
    }
}

static void
an_absent_agent_is_not_waited_for_for_ever(void)
{
    AgentPeer *peer = agent_peer_new();
    g_autoptr(GError) error = NULL;

    agent_peer_answer(peer, "guest-sync-delimited", NULL);
    g_assert_null(vmp_agent_connect(agent_peer_get_path(peer), 50, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_TIMED_OUT);
    g_assert_nonnull(strstr(error->message, "does not answer"));
    agent_peer_finish(peer);
}

static void
nobody_at_the_socket_is_said(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(vmp_agent_connect("/nonexistent/agent", 50, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_DISCONNECTED);
}

static void
waiting_for_an_agent_can_be_cancelled(void)
{
    AgentPeer *peer = agent_peer_new();
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    g_autoptr(GError) error = NULL;

    agent_peer_answer(peer, "guest-sync-delimited", NULL);
    g_cancellable_cancel(cancellable);
    g_assert_null(
        vmp_agent_connect(agent_peer_get_path(peer), PATIENT_MS, cancellable, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INTERRUPTED);
    agent_peer_finish(peer);
}

/* ---- commands ---- */

static void
a_refusal_has_the_agents_words(void)
{
    AgentPeer *peer = agent_peer_new();
    g_autoptr(GError) error = NULL;

    agent_peer_answer(
        peer, "guest-fsfreeze-thaw",
        "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no such luck\"}}\n");
    g_autoptr(VmpAgent) agent =
        vmp_agent_connect(agent_peer_get_path(peer), PATIENT_MS, NULL, &error);
    g_assert_cmpint(execute_thaw(agent, PATIENT_MS, &error), ==, -1);
    g_assert_error(error, VMP_ERROR, VMP_ERROR_REFUSED);
    g_assert_nonnull(strstr(error->message, "no such luck"));
    g_assert_false(vmp_agent_is_behind(agent));
    g_clear_pointer(&agent, vmp_agent_free);
    agent_peer_finish(peer);
}

static void
after_a_silence_only_a_sync_helps(void)
{
    AgentPeer *peer = agent_peer_new();
    g_autoptr(GError) error = NULL;

    agent_peer_answer(peer, "guest-fsfreeze-thaw", NULL);
    g_autoptr(VmpAgent) agent =
        vmp_agent_connect(agent_peer_get_path(peer), PATIENT_MS, NULL, &error);
    g_assert_cmpint(execute_thaw(agent, 50, &error), ==, -1);
    g_assert_error(error, VMP_ERROR, VMP_ERROR_TIMED_OUT);
    g_clear_error(&error);
    g_assert_true(vmp_agent_is_behind(agent));
    g_assert_cmpint(execute_thaw(agent, 50, &error), ==, -1);
    g_assert_error(error, VMP_ERROR, VMP_ERROR_BUSY);
    g_clear_error(&error);

    /* The late answer comes before that of the sync, and is nobody's. */
    agent_peer_say_late(peer, "{\"return\": 77}\n");
    agent_peer_answer(peer, "guest-fsfreeze-thaw", "{\"return\": 1}\n");
    g_assert_true(vmp_agent_sync(agent, PATIENT_MS, NULL, &error));
    g_assert_cmpint(execute_thaw(agent, PATIENT_MS, &error), ==, 1);
    g_assert_no_error(error);
    g_clear_pointer(&agent, vmp_agent_free);
    agent_peer_finish(peer);
}

static void
nonsense_for_an_answer_is_a_failure(void)
{
    static const char *const answers[] = { "{\"neither\": 1}\n", "][\n",
                                           "{\"return\": \xc3\x28}\n" };

    for (guint i = 0; i < G_N_ELEMENTS(answers); i++) {
        AgentPeer *peer = agent_peer_new();
        g_autoptr(GError) error = NULL;

        agent_peer_answer(peer, "guest-fsfreeze-thaw", answers[i]);
        g_autoptr(VmpAgent) agent =
            vmp_agent_connect(agent_peer_get_path(peer), PATIENT_MS, NULL, &error);
        g_assert_cmpint(execute_thaw(agent, PATIENT_MS, &error), ==, -1);
        g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
        g_clear_pointer(&agent, vmp_agent_free);
        agent_peer_finish(peer);
    }
}

static void
an_agent_that_hangs_up_is_gone(void)
{
    AgentPeer *peer = agent_peer_new();
    g_autoptr(GError) error = NULL;

    agent_peer_answer(peer, "guest-fsfreeze-thaw", AGENT_PEER_HANG_UP);
    g_autoptr(VmpAgent) agent =
        vmp_agent_connect(agent_peer_get_path(peer), PATIENT_MS, NULL, &error);
    g_assert_cmpint(execute_thaw(agent, PATIENT_MS, &error), ==, -1);
    g_assert_error(error, VMP_ERROR, VMP_ERROR_DISCONNECTED);
    g_clear_pointer(&agent, vmp_agent_free);
    agent_peer_finish(peer);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qmp/agent/what-lies-in-the-channel-is-not-for-us",
                    what_lies_in_the_channel_is_not_for_us);
    g_test_add_func("/qmp/agent/an-absent-agent-is-not-waited-for-for-ever",
                    an_absent_agent_is_not_waited_for_for_ever);
    g_test_add_func("/qmp/agent/nobody-at-the-socket-is-said", nobody_at_the_socket_is_said);
    g_test_add_func("/qmp/agent/waiting-for-an-agent-can-be-cancelled",
                    waiting_for_an_agent_can_be_cancelled);
    g_test_add_func("/qmp/agent/a-refusal-has-the-agents-words",
                    a_refusal_has_the_agents_words);
    g_test_add_func("/qmp/agent/after-a-silence-only-a-sync-helps",
                    after_a_silence_only_a_sync_helps);
    g_test_add_func("/qmp/agent/nonsense-for-an-answer-is-a-failure",
                    nonsense_for_an_answer_is_a_failure);
    g_test_add_func("/qmp/agent/an-agent-that-hangs-up-is-gone",
                    an_agent_that_hangs_up_is_gone);
    return g_test_run();
}
