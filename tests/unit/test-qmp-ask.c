/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp-peer.h"
#include "qmp/ask.h"
#include "qmp/commands.h"

static void
each_answer_stands_at_the_place_of_its_monitor(void)
{
    QmpPeer *running = qmp_peer_new();
    QmpPeer *refusing = qmp_peer_new();
    g_autoptr(VmpQmpCommand) command = vmp_qmp_query_status();
    g_autoptr(VmpQmpAsk) ask = vmp_qmp_ask_new(command);

    qmp_peer_expect(running, "query-status", "{}");
    qmp_peer_reply(running, "{'status': 'running', 'running': true, 'singlestep': false}");
    qmp_peer_expect(refusing, "query-status", "{}");
    qmp_peer_refuse(refusing, "not now");

    vmp_qmp_ask_add(ask, "/nonexistent/monitor");
    vmp_qmp_ask_add(ask, qmp_peer_get_path(running));
    vmp_qmp_ask_add(ask, qmp_peer_get_path(refusing));
    g_autoptr(GPtrArray) replies = vmp_qmp_ask_wait(ask, 10000);

    g_assert_cmpuint(replies->len, ==, 3);
    g_assert_null(g_ptr_array_index(replies, 0));
    g_assert_cmpstr(vmp_qmp_read_status(g_ptr_array_index(replies, 1), NULL), ==, "running");
    g_assert_null(g_ptr_array_index(replies, 2));
    qmp_peer_finish(running);
    qmp_peer_finish(refusing);
}

static void
nobody_to_ask_is_no_wait(void)
{
    g_autoptr(VmpQmpCommand) command = vmp_qmp_query_status();
    g_autoptr(VmpQmpAsk) ask = vmp_qmp_ask_new(command);
    g_autoptr(GPtrArray) replies = vmp_qmp_ask_wait(ask, 60000);

    g_assert_cmpuint(replies->len, ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qmp/ask/each-answer-stands-at-the-place-of-its-monitor",
                    each_answer_stands_at_the_place_of_its_monitor);
    g_test_add_func("/qmp/ask/nobody-to-ask-is-no-wait", nobody_to_ask_is_no_wait);
    return g_test_run();
}
