/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A judge that lets everything pass would make every test above it worthless.  So each
 * thing that the scripted QEMU has to catch is done to it, in a subprocess whose
 * failing is what is expected here. */

#include "base/error.h"
#include "qmp-peer.h"
#include "qmp/client.h"
#include "qmp/commands.h"

/* Sends @consumed; the outcome is not what matters here. */
static void
send(VmpQmpClient *client, VmpQmpCommand *consumed)
{
    g_autoptr(VmpQmpCommand) command = consumed;

    json_object_put(vmp_qmp_client_execute(client, command, NULL, NULL));
}

static void
unexpected_command(QmpPeer *peer, VmpQmpClient *client)
{
    send(client, vmp_qmp_cont());
}

static void
another_command(QmpPeer *peer, VmpQmpClient *client)
{
    qmp_peer_expect(peer, "stop", NULL);
    send(client, vmp_qmp_cont());
}

static void
other_arguments(QmpPeer *peer, VmpQmpClient *client)
{
    qmp_peer_serve(peer, "blockdev-del", "{'node-name': 'a'}", "{}");
    send(client, vmp_qmp_blockdev_del("b"));
}

static void
arguments_missing(QmpPeer *peer, VmpQmpClient *client)
{
    qmp_peer_serve(peer, "set-action", "{'shutdown': 'pause'}", "{}");
    send(client, vmp_qmp_set_action(NULL, NULL));
}

static void
invalid_by_schema(QmpPeer *peer, VmpQmpClient *client)
{
    qmp_peer_serve(peer, "set-action", NULL, "{}");
    send(client, vmp_qmp_set_action("explode", NULL));
}

static void
invalid_standing(QmpPeer *peer, VmpQmpClient *client)
{
    qmp_peer_answer(peer, "set-action", "{}");
    send(client, vmp_qmp_set_action("explode", NULL));
}

static void
invalid_for_the_daemon(QmpPeer *peer, VmpQmpClient *client)
{
    qmp_peer_use_schema(peer, "storage-daemon-7.2");
    qmp_peer_serve(peer, "cont", NULL, "{}");
    send(client, vmp_qmp_cont());
}

static void
deprecated_by_schema(QmpPeer *peer, VmpQmpClient *client)
{
    qmp_peer_serve(peer, "nbd-server-remove", NULL, "{}");
    send(client,
         vmp_qmp_command_new("nbd-server-remove", vmp_json_build("s:name", "n", NULL)));
}

static void
script_not_at_its_end(QmpPeer *peer, VmpQmpClient *client)
{
    qmp_peer_serve(peer, "stop", NULL, "{}");
    qmp_peer_serve(peer, "cont", NULL, "{}");
    send(client, vmp_qmp_stop());
}

static void
answer_to_nothing(QmpPeer *peer, VmpQmpClient *client)
{
    qmp_peer_serve(peer, "stop", NULL, "{}");
    qmp_peer_reply(peer, "{}");
    send(client, vmp_qmp_stop());
}

static void
nothing_wrong(QmpPeer *peer, VmpQmpClient *client)
{
    qmp_peer_serve(peer, "stop", "{}", "{}");
    qmp_peer_expect_invalid(peer, "set-action", "{'shutdown': 'explode'}");
    qmp_peer_refuse(peer, "no");
    qmp_peer_answer(peer, "query-jobs", "[]");
    send(client, vmp_qmp_query_jobs());
    send(client, vmp_qmp_stop());
    send(client, vmp_qmp_query_jobs());
    send(client, vmp_qmp_set_action("explode", NULL));
}

typedef struct {
    const char *name;
    void (*func)(QmpPeer *peer, VmpQmpClient *client);
    const char *complaint; /* glob on stderr */
} Case;

static const Case cases[] = {
    { "an-unexpected-command-fails-the-test", unexpected_command,
      "*unexpected command cont*" },
    { "another-command-fails-the-test", another_command,
      "*unexpected command cont; expected stop*" },
    { "other-arguments-fail-the-test", other_arguments,
      "*expected {\"node-name\":\"a\"}*got {\"node-name\":\"b\"}*" },
    { "missing-arguments-fail-the-test", arguments_missing, "*got {}*" },
    { "what-the-schema-does-not-take-fails-the-test", invalid_by_schema,
      "*not valid by the schema: set-action: shutdown: 'explode'*" },
    { "standing-answers-are-checked-too", invalid_standing,
      "*not valid by the schema: set-action*" },
    { "another-schema-is-another-judge", invalid_for_the_daemon,
      "*this QEMU has no command 'cont'*" },
    { "what-is-deprecated-fails-the-test", deprecated_by_schema,
      "*deprecated by the schema: nbd-server-remove*" },
    { "a-script-that-is-not-at-its-end-fails-the-test", script_not_at_its_end,
      "*expected cont, which never came*" },
    { "an-answer-to-nothing-fails-the-test", answer_to_nothing,
      "*not waiting for an answer*" },
    { "what-is-right-passes", nothing_wrong, NULL },
};

static void
run_case(const Case *scenario)
{
    QmpPeer *peer = qmp_peer_new();
    VmpQmpClient *client = qmp_peer_connect(peer);

    scenario->func(peer, client);
    vmp_qmp_client_unref(client);
    qmp_peer_finish(peer);
}

static void
test_case(gconstpointer data)
{
    const Case *scenario = data;

    if (g_test_subprocess()) {
        run_case(scenario);
        return;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
    if (scenario->complaint) {
        g_test_trap_assert_failed();
        g_test_trap_assert_stderr(scenario->complaint);
    } else {
        g_test_trap_assert_passed();
    }
}

/* ---- what it offers to the layers above ---- */

static VmpJson *
count_up(VmpJson *arguments, gpointer data)
{
    return vmp_json_build("s:of", vmp_json_get_string(arguments, "path"), "i:count",
                          (gint64)++ * (guint *)data, NULL);
}

static void
test_answers(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(VmpQmpCommand) list = vmp_qmp_qom_list("/machine");
    guint calls = 0;

    qmp_peer_answer_with(peer, "qom-list", count_up, &calls);
    for (gint64 i = 1; i <= 3; i++) {
        g_autoptr(VmpJson) reply = vmp_qmp_client_execute(client, list, NULL, NULL);
        g_assert_cmpstr(vmp_json_get_string(reply, "of"), ==, "/machine");
        g_assert_cmpint(vmp_json_get_int(reply, "count", 0), ==, i);
    }
    qmp_peer_answer(peer, "qom-list", "[]");
    g_autoptr(VmpJson) reply = vmp_qmp_client_execute(client, list, NULL, NULL);
    g_assert_true(json_object_is_type(reply, json_type_array));
    g_assert_cmpuint(qmp_peer_count(peer, "qom-list"), ==, 4);
    g_assert_cmpuint(qmp_peer_count(peer, NULL), ==, 4);
    qmp_peer_finish(peer);
}

static void
test_next_client(void)
{
    QmpPeer *peer = qmp_peer_new();

    qmp_peer_serve(peer, "stop", NULL, "{}");
    qmp_peer_serve(peer, "cont", NULL, "{}");
    for (guint i = 0; i < 2; i++) {
        g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
        send(client, i == 0 ? vmp_qmp_stop() : vmp_qmp_cont());
    }
    qmp_peer_finish(peer);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/qmp/peer/", cases[i].name, NULL);
        g_test_add_data_func(path, &cases[i], test_case);
    }
    g_test_add_func("/qmp/peer/standing-answers-are-given-as-often-as-asked", test_answers);
    g_test_add_func("/qmp/peer/the-script-goes-on-with-the-next-client", test_next_client);
    return g_test_run();
}
