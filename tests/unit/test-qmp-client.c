/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "qmp-peer.h"
#include "qmp/client.h"
#include "qmp/commands.h"

#define GREETING                                                                      \
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 2, \"minor\": 1, \"major\": 9}, " \
    "\"package\": \"\"}, \"capabilities\": [\"oob\"]}}\r\n"
#define MIB ((gsize)1024 * 1024)

/* ---- helpers ---- */

/* What became of a command: settled how often, and how. */
typedef struct {
    guint settled;
    VmpJson *reply;
    GError *error;
} Outcome;

static void
outcome_clear(Outcome *outcome)
{
    json_object_put(outcome->reply);
    g_clear_error(&outcome->error);
    *outcome = (Outcome){ 0 };
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Outcome, outcome_clear)

static void
on_settled(GObject *source, GAsyncResult *result, gpointer data)
{
    Outcome *outcome = data;

    g_assert_cmpuint(outcome->settled++, ==, 0);
    outcome->reply = vmp_qmp_client_execute_finish(NULL, result, &outcome->error);
    g_assert_true(!outcome->reply != !outcome->error);
}

static gboolean
is_settled(gpointer data)
{
    return ((Outcome *)data)->settled > 0;
}

/* As QEMU's command, whatever it is called; no arguments. */
static void
start(VmpQmpClient *client, const char *name, int timeout_ms, GCancellable *cancellable,
      Outcome *outcome)
{
    g_autoptr(VmpQmpCommand) command = vmp_qmp_command_new(name, NULL);

    vmp_qmp_client_execute_async(client, command, -1, timeout_ms, cancellable, on_settled,
                                 outcome);
}

/* Not vmp_qmp_client_wait(): that gives up when the client is DEAD. */
static void
iterate_until(VmpQmpDoneFunc done, gpointer data)
{
    while (!done(data))
        g_main_context_iteration(NULL, TRUE);
}

static VmpJson *
execute(VmpQmpClient *client, const char *name, GError **error)
{
    g_autoptr(VmpQmpCommand) command = vmp_qmp_command_new(name, NULL);

    return vmp_qmp_client_execute(client, command, NULL, error);
}

static void
assert_executes(VmpQmpClient *client, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpJson) reply = execute(client, name, &error);

    g_assert_no_error(error);
    g_assert_nonnull(reply);
}

static void
assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        g_error("'%s' does not contain '%s'", text, part);
}

static void
assert_connect_fails(const char *path, int timeout_ms, VmpErrorCode code, const char *words)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(vmp_qmp_client_connect(path, timeout_ms, NULL, &error));
    g_assert_error(error, VMP_ERROR, (int)code);
    assert_contains(error->message, path);
    assert_contains(error->message, words);
}

/* A socket at a path of its own that listens, or only exists (@backlog < 0). */
typedef struct {
    char *folder, *path;
    int fd;
} Listener;

static void
listener_init(Listener *listener, int backlog)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    listener->folder = g_dir_make_tmp("vmpoint-qmp-XXXXXX", NULL);
    listener->path = g_build_filename(listener->folder, "s", NULL);
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_strlcpy(address.sun_path, listener->path, sizeof(address.sun_path));
    g_assert_no_errno(bind(listener->fd, (const struct sockaddr *)&address, sizeof(address)));
    if (backlog >= 0)
        g_assert_no_errno(listen(listener->fd, backlog));
}

static void
listener_clear(Listener *listener)
{
    close(listener->fd);
    g_unlink(listener->path);
    g_rmdir(listener->folder);
    g_free(listener->path);
    g_free(listener->folder);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Listener, listener_clear)

/* ---- the state machine ---- */

static void
test_states(void)
{
    static const char *const may_follow[] = {
        /* to:              C G N R D */
        [VMP_QMP_CONNECTING] = ".x..x",  [VMP_QMP_GREETING] = "..x.x",
        [VMP_QMP_NEGOTIATING] = "...xx", [VMP_QMP_READY] = "....x",
        [VMP_QMP_DEAD] = ".....",
    };

    for (VmpQmpState from = VMP_QMP_CONNECTING; from <= VMP_QMP_DEAD; from++)
        for (VmpQmpState to = VMP_QMP_CONNECTING; to <= VMP_QMP_DEAD; to++)
            g_assert_cmpint(vmp_qmp_state_may_follow(from, to), ==,
                            may_follow[from][to] == 'x');
}

/* ---- connecting ---- */

static void
test_ready(void)
{
    QmpPeer *peer = qmp_peer_new_raw();
    g_autoptr(GError) error = NULL;

    qmp_peer_raw(peer, GREETING, -1);
    qmp_peer_serve(peer, "qmp_capabilities", "{}", "{}");

    g_autoptr(VmpQmpClient) client =
        vmp_qmp_client_connect(qmp_peer_get_path(peer), 10000, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(vmp_qmp_client_get_state(client), ==, VMP_QMP_READY);
    g_assert_cmpstr(vmp_qmp_client_get_version(client), ==, "9.1.2");
    g_assert_cmpint(vmp_qmp_client_get_timeout(client), ==, 60000);
    qmp_peer_finish(peer);
}

static void
test_without_limit(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpQmpClient) client =
        vmp_qmp_client_connect(qmp_peer_get_path(peer), 0, NULL, &error);

    g_assert_no_error(error);
    g_assert_nonnull(client);
    qmp_peer_finish(peer);
}

static void
test_nobody_there(void)
{
    g_auto(Listener) dead = { 0 };
    listener_init(&dead, -1);
    g_autofree char *file = g_build_filename(dead.folder, "file", NULL);
    g_autofree char *absent = g_build_filename(dead.folder, "absent", NULL);

    g_assert_true(g_file_set_contents(file, "", 0, NULL));
    assert_connect_fails(absent, 1000, VMP_ERROR_DISCONNECTED, "No such file or directory");
    assert_connect_fails(dead.path, 1000, VMP_ERROR_DISCONNECTED, "Connection refused");
    assert_connect_fails(file, 1000, VMP_ERROR_DISCONNECTED, "Connection refused");
    g_unlink(file);
}

static void
test_another_kind_of_socket(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    g_autofree char *folder = g_dir_make_tmp("vmpoint-qmp-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "s", NULL);
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    g_assert_no_errno(bind(fd, (const struct sockaddr *)&address, sizeof(address)));
    assert_connect_fails(path, 1000, VMP_ERROR_IO, "Protocol wrong type for socket");
    close(fd);
    g_unlink(path);
    g_rmdir(folder);
}

/* With a backlog of 0 Linux takes one connection that nobody accepts. */
static void
test_full_backlog(void)
{
    g_auto(Listener) listener = { 0 };
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int others[8];
    guint count = 0;

    listener_init(&listener, 0);
    g_strlcpy(address.sun_path, listener.path, sizeof(address.sun_path));
    for (; count < G_N_ELEMENTS(others); count++) {
        others[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (connect(others[count], (const struct sockaddr *)&address, sizeof(address)) != 0)
            break;
    }
    g_assert_cmpuint(count, <, G_N_ELEMENTS(others));

    const gint64 begin = g_get_monotonic_time();
    assert_connect_fails(listener.path, 120, VMP_ERROR_BUSY, "waiting there already");
    const gint64 took_ms = (g_get_monotonic_time() - begin) / 1000;
    g_assert_cmpint(took_ms, >=, 115);
    g_assert_cmpint(took_ms, <, 5000);

    for (guint i = 0; i <= count; i++)
        close(others[i]);
}

static gpointer
accept_and_greet(gpointer data)
{
    Listener *listener = data;
    char bytes[4096];

    /* Makes room for the client; the connection that filled the backlog comes first. */
    close(accept(listener->fd, NULL, NULL));
    const int fd = accept(listener->fd, NULL, NULL);
    g_assert_cmpint(write(fd, GREETING, strlen(GREETING)), >, 0);
    const gssize got = read(fd, bytes, sizeof(bytes));
    g_assert_cmpint(got, >, 0);

    g_autoptr(VmpJson) command = vmp_json_parse(bytes, got, NULL);
    g_autoptr(VmpJson) reply = vmp_json_build("o:return", json_object_new_object(), "s:id",
                                              vmp_json_get_string(command, "id"), NULL);
    g_autofree char *text = vmp_json_to_text(reply);
    g_assert_cmpint(write(fd, text, strlen(text)), >, 0);
    return GINT_TO_POINTER(fd);
}

static void
test_backlog_gets_room(void)
{
    g_auto(Listener) listener = { 0 };
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    g_autoptr(GError) error = NULL;

    listener_init(&listener, 0);
    g_strlcpy(address.sun_path, listener.path, sizeof(address.sun_path));
    const int other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_no_errno(connect(other, (const struct sockaddr *)&address, sizeof(address)));

    GThread *thread = g_thread_new("accept", accept_and_greet, &listener);
    g_autoptr(VmpQmpClient) client =
        vmp_qmp_client_connect(listener.path, 10000, NULL, &error);
    g_assert_no_error(error);
    g_assert_nonnull(client);
    close(GPOINTER_TO_INT(g_thread_join(thread)));
    close(other);
}

static void
test_held_by_another(void)
{
    QmpPeer *peer = qmp_peer_new();
    VmpQmpClient *first = qmp_peer_connect(peer);

    assert_connect_fails(qmp_peer_get_path(peer), 60, VMP_ERROR_BUSY, "another client");

    vmp_qmp_client_unref(first);
    g_autoptr(VmpQmpClient) second = qmp_peer_connect(peer);
    g_assert_cmpint(vmp_qmp_client_get_state(second), ==, VMP_QMP_READY);
    qmp_peer_finish(peer);
}

static void
test_not_qmp(void)
{
    static const struct {
        const char *bytes, *words;
    } speakers[] = {
        { "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
          "HTTP/1.1 400 Bad Request" },
        { "QEMU 7.2.22 monitor - type 'help' for more information\r\n(qemu) ", "type 'help'" },
        { "{\"hello\": \"world\"}\r\n", "no QMP greeting" },
        { "{\"QMP\": 7}\r\n", "no QMP greeting" },
        { "{\"return\": {}}\r\n", "no QMP greeting" },
        { "{\"event\": \"STOP\"}\r\n", "no QMP greeting" },
        { "\xff{\"return\": 1}\r\n", "not a QMP message" },
    };

    for (guint i = 0; i < G_N_ELEMENTS(speakers); i++) {
        QmpPeer *peer = qmp_peer_new_raw();
        qmp_peer_raw(peer, speakers[i].bytes, -1);
        assert_connect_fails(qmp_peer_get_path(peer), 10000, VMP_ERROR_INVALID,
                             speakers[i].words);
        qmp_peer_finish(peer);
    }
}

/* QEMU does so when a client is accepted while the monitor is still being set up. */
static void
test_second_greeting(void)
{
    QmpPeer *peer = qmp_peer_new_raw();
    g_autoptr(GError) error = NULL;

    qmp_peer_raw(peer, GREETING, -1);
    qmp_peer_raw(peer, GREETING, -1);
    qmp_peer_serve(peer, "qmp_capabilities", "{}", "{}");
    qmp_peer_expect(peer, "qmp_capabilities", "{}");
    qmp_peer_refuse(peer, "Capabilities negotiation is already complete, command ignored");
    qmp_peer_serve(peer, "query-status", "{}", "{}");

    g_autoptr(VmpQmpClient) client =
        vmp_qmp_client_connect(qmp_peer_get_path(peer), 10000, NULL, &error);
    g_assert_no_error(error);
    g_autoptr(VmpQmpCommand) command = vmp_qmp_command_new("query-status", NULL);
    g_autoptr(VmpJson) reply = vmp_qmp_client_execute(client, command, NULL, &error);
    g_assert_no_error(error);
    g_assert_nonnull(reply);
    g_clear_pointer(&client, vmp_qmp_client_unref);
    qmp_peer_finish(peer);
}

static void
test_hangup_before_greeting(void)
{
    QmpPeer *peer = qmp_peer_new_raw();

    qmp_peer_hang_up(peer);
    assert_connect_fails(qmp_peer_get_path(peer), 10000, VMP_ERROR_DISCONNECTED,
                         "without a greeting");
    qmp_peer_finish(peer);
}

static void
test_hangup_inside_greeting(void)
{
    QmpPeer *peer = qmp_peer_new_raw();

    qmp_peer_raw(peer, GREETING, 20);
    qmp_peer_hang_up(peer);
    assert_connect_fails(qmp_peer_get_path(peer), 10000, VMP_ERROR_DISCONNECTED,
                         "in the middle of a message");
    qmp_peer_finish(peer);
}

static void
test_half_a_greeting(void)
{
    QmpPeer *peer = qmp_peer_new_raw();

    qmp_peer_raw(peer, GREETING, 20);
    assert_connect_fails(qmp_peer_get_path(peer), 50, VMP_ERROR_BUSY, "no greeting");
    qmp_peer_finish(peer);
}

static void
test_silence_after_greeting(void)
{
    QmpPeer *peer = qmp_peer_new_raw();

    qmp_peer_raw(peer, GREETING, -1);
    qmp_peer_expect(peer, "qmp_capabilities", NULL);
    assert_connect_fails(qmp_peer_get_path(peer), 60, VMP_ERROR_TIMED_OUT, "no answer");
    qmp_peer_finish(peer);
}

static void
test_refused_negotiation(void)
{
    QmpPeer *peer = qmp_peer_new_raw();

    qmp_peer_raw(peer, GREETING, -1);
    qmp_peer_expect(peer, "qmp_capabilities", NULL);
    qmp_peer_refuse(peer, "not today");
    assert_connect_fails(qmp_peer_get_path(peer), 10000, VMP_ERROR_INVALID,
                         "QEMU refused qmp_capabilities: not today");
    qmp_peer_finish(peer);
}

static void
test_hangup_while_negotiating(void)
{
    QmpPeer *peer = qmp_peer_new_raw();

    qmp_peer_raw(peer, GREETING, -1);
    qmp_peer_expect(peer, "qmp_capabilities", NULL);
    qmp_peer_hang_up(peer);
    assert_connect_fails(qmp_peer_get_path(peer), 10000, VMP_ERROR_DISCONNECTED,
                         "QEMU closed the connection");
    qmp_peer_finish(peer);
}

static void
test_long_path(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autofree char *folder = g_dir_make_tmp("vmpoint-qmp-XXXXXX", NULL);
    g_autofree char *name = g_strnfill(120, 'n');
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autofree char *absent = g_strconcat(path, "-absent", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_no_errno(symlink(qmp_peer_get_path(peer), path));
    g_autoptr(VmpQmpClient) client = vmp_qmp_client_connect(path, 10000, NULL, &error);
    g_assert_no_error(error);
    g_assert_nonnull(client);
    assert_connect_fails(absent, 1000, VMP_ERROR_DISCONNECTED, "No such file or directory");

    qmp_peer_finish(peer);
    g_unlink(path);
    g_rmdir(folder);
}

static void
test_from_fd(void)
{
    int pair[2];
    g_autoptr(GError) error = NULL;

    g_assert_no_errno(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    g_assert_cmpint(write(pair[1], "nonsense", 8), ==, 8);
    g_assert_null(vmp_qmp_client_from_fd(pair[0], 10000, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);

    /* It was taken, and is closed now. */
    char byte;
    g_assert_cmpint(read(pair[1], &byte, 1), ==, 0);
    close(pair[1]);
}

static gpointer
cancel_soon(gpointer cancellable)
{
    g_usleep(20000);
    g_cancellable_cancel(cancellable);
    return NULL;
}

static void
test_cancelled_connect(void)
{
    QmpPeer *peer = qmp_peer_new_raw();
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    g_autoptr(GError) error = NULL;

    GThread *thread = g_thread_new("cancel", cancel_soon, cancellable);
    g_assert_null(vmp_qmp_client_connect(qmp_peer_get_path(peer), 0, cancellable, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INTERRUPTED);
    g_thread_join(thread);

    g_clear_error(&error);
    g_assert_null(vmp_qmp_client_connect(qmp_peer_get_path(peer), 0, cancellable, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INTERRUPTED);
    qmp_peer_finish(peer);
}

static gboolean
count_call(gpointer data)
{
    ++*(guint *)data;
    return G_SOURCE_REMOVE;
}

static void
test_connect_dispatches_nothing(void)
{
    QmpPeer *peer = qmp_peer_new();
    guint calls = 0;

    g_idle_add(count_call, &calls);
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_assert_nonnull(client);
    g_assert_cmpuint(calls, ==, 0);
    while (calls == 0)
        g_main_context_iteration(NULL, TRUE);
    qmp_peer_finish(peer);
}

/* ---- answers ---- */

static void
test_refusal(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(GError) error = NULL;

    qmp_peer_expect(peer, "cont", NULL);
    qmp_peer_refuse(peer, "Node 'nope' not found: 100% \"odd\" \xe2\x82\xac");
    g_assert_null(execute(client, "cont", &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_REFUSED);
    g_assert_cmpstr(error->message, ==,
                    "domain vm1: QEMU refused cont: Node 'nope' not found: 100% \"odd\" "
                    "\xe2\x82\xac");

    vmp_qmp_client_set_label(client, NULL);
    g_clear_error(&error);
    qmp_peer_expect(peer, "cont", NULL);
    qmp_peer_refuse(peer, "no");
    g_assert_null(execute(client, "cont", &error));
    g_assert_cmpstr(error->message, ==, "QEMU refused cont: no");
    g_assert_cmpint(vmp_qmp_client_get_state(client), ==, VMP_QMP_READY);
    qmp_peer_finish(peer);
}

static void
test_any_order(void)
{
    static const char *const names[] = { "query-status", "query-jobs", "query-block" };
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    Outcome outcomes[3] = { 0 };

    for (guint i = 0; i < 3; i++)
        qmp_peer_expect(peer, names[i], NULL);
    qmp_peer_reply_to(peer, names[2], "[2]");
    qmp_peer_reply_to(peer, names[1], "[1]");
    qmp_peer_reply_to(peer, names[0], "[0]");

    for (guint i = 0; i < 3; i++)
        start(client, names[i], 0, NULL, &outcomes[i]);
    iterate_until(is_settled, &outcomes[0]);
    for (guint i = 0; i < 3; i++) {
        g_assert_cmpint(json_object_get_int(vmp_json_at(outcomes[i].reply, 0)), ==, i);
        outcome_clear(&outcomes[i]);
    }
    qmp_peer_finish(peer);
}

/* Writes down what it is told, in one string. */
static void
log_event(VmpQmpClient *client, const char *event, VmpJson *data, gint64 timestamp_us,
          gpointer user_data)
{
    g_string_append_printf(user_data, "%s ", event);
}

static void
log_settled(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(VmpJson) reply = vmp_qmp_client_execute_finish(NULL, result, NULL);

    g_string_append_printf(data, "%s ", json_object_get_string(reply));
}

static gboolean
log_is_complete(gpointer data)
{
    return strstr(((GString *)data)->str, "END") != NULL;
}

static void
test_event_order(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(VmpQmpCommand) command = vmp_qmp_query_jobs();
    g_autoptr(GString) log = g_string_new(NULL);

    vmp_qmp_client_subscribe(client, NULL, log_event, log);
    for (guint i = 0; i < 3; i++) {
        qmp_peer_expect(peer, "query-jobs", NULL);
        vmp_qmp_client_execute_async(client, command, -1, 0, NULL, log_settled, log);
    }
    qmp_peer_event(peer, "STOP", NULL);
    qmp_peer_reply(peer, "[1]");
    qmp_peer_event(peer, "RESUME", NULL);
    qmp_peer_event(peer, "STOP", NULL);
    qmp_peer_reply(peer, "[2]");
    qmp_peer_reply(peer, "[3]");
    qmp_peer_event(peer, "END", NULL);

    iterate_until(log_is_complete, log);
    g_assert_cmpstr(log->str, ==, "STOP [ 1 ] RESUME STOP [ 2 ] [ 3 ] END ");
    qmp_peer_finish(peer);
}

static void
take_event(VmpQmpClient *client, const char *event, VmpJson *data, gint64 timestamp_us,
           gpointer user_data)
{
    g_assert_cmpstr(event, ==, "JOB_STATUS_CHANGE");
    g_assert_cmpstr(vmp_json_get_string(data, "id"), ==, "j");
    g_assert_cmpint(timestamp_us, ==, 1001 * G_USEC_PER_SEC + 5);
    ++*(guint *)user_data;
}

static void
test_event_content(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    guint events = 0;

    vmp_qmp_client_subscribe(client, "JOB_STATUS_CHANGE", take_event, &events);
    qmp_peer_expect(peer, "cont", NULL);
    qmp_peer_event(peer, "STOP", NULL);
    qmp_peer_event(peer, "JOB_STATUS_CHANGE", "{'id': 'j', 'status': 'running'}");
    qmp_peer_reply(peer, "{}");
    assert_executes(client, "cont");
    g_assert_cmpuint(events, ==, 1);
    qmp_peer_finish(peer);
}

static void
test_byte_by_byte(void)
{
    QmpPeer *peer = qmp_peer_new_raw();
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) log = g_string_new(NULL);

    qmp_peer_drip(peer, 1);
    qmp_peer_raw(peer, GREETING, -1);
    qmp_peer_serve(peer, "qmp_capabilities", NULL, "{}");
    g_autoptr(VmpQmpClient) client =
        vmp_qmp_client_connect(qmp_peer_get_path(peer), 10000, NULL, &error);
    g_assert_no_error(error);

    vmp_qmp_client_subscribe(client, NULL, log_event, log);
    qmp_peer_expect(peer, "query-name", NULL);
    qmp_peer_event(peer, "STOP", NULL);
    qmp_peer_reply(peer, "{'name': 'd\xc3\xa9j\xc3\xa0 \xf0\x9f\x98\x80'}");
    g_autoptr(VmpJson) reply = execute(client, "query-name", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(vmp_json_get_string(reply, "name"), ==,
                    "d\xc3\xa9j\xc3\xa0 \xf0\x9f\x98\x80");
    g_assert_cmpstr(log->str, ==, "STOP ");
    qmp_peer_finish(peer);
}

static void
test_huge_reply(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autofree char *filler = g_strnfill(20 * MIB, 'x');
    g_autofree char *value = g_strdup_printf("{'name': '%s'}", filler);
    g_autoptr(GError) error = NULL;

    qmp_peer_serve(peer, "query-name", NULL, value);
    g_autoptr(VmpJson) reply = execute(client, "query-name", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(vmp_json_get_string(reply, "name"), ==, filler);
    qmp_peer_finish(peer);
}

static void
test_endless_reply(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autofree char *filler = g_strnfill(65 * MIB, 'x');
    g_autoptr(GError) error = NULL;

    qmp_peer_expect(peer, "query-name", NULL);
    qmp_peer_raw(peer, "{\"return\": \"", -1);
    qmp_peer_raw(peer, filler, -1);
    g_assert_null(execute(client, "query-name", &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_DISCONNECTED);
    assert_contains(error->message, "longer than 67108864 bytes");
    g_assert_cmpint(vmp_qmp_client_get_state(client), ==, VMP_QMP_DEAD);
    qmp_peer_finish(peer);
}

static void
test_large_command(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autofree char *name = g_strnfill(8 * MIB, 'n');
    g_autoptr(VmpQmpCommand) large = vmp_qmp_blockdev_del(name);
    Outcome outcomes[2] = { 0 };

    qmp_peer_hold(peer);
    qmp_peer_await_hold(peer);
    vmp_qmp_client_execute_async(client, large, -1, 0, NULL, on_settled, &outcomes[0]);
    start(client, "cont", 0, NULL, &outcomes[1]);

    qmp_peer_serve(peer, "blockdev-del", NULL, "{}");
    qmp_peer_serve(peer, "cont", NULL, "{}");
    qmp_peer_release(peer);
    iterate_until(is_settled, &outcomes[1]);
    g_assert_no_error(outcomes[0].error);
    g_assert_no_error(outcomes[1].error);

    g_autoptr(VmpJson) seen = qmp_peer_get_command(peer, 0);
    g_assert_cmpstr(vmp_json_get_string(vmp_json_get(seen, "arguments"), "node-name"), ==,
                    name);
    outcome_clear(&outcomes[0]);
    outcome_clear(&outcomes[1]);
    qmp_peer_finish(peer);
}

static void
assert_writes_to(int writer, int reader)
{
    char byte = 0;

    g_assert_cmpint(write(writer, "x", 1), ==, 1);
    g_assert_cmpint(read(reader, &byte, 1), ==, 1);
    g_assert_cmpint(byte, ==, 'x');
}

static void
test_fd(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(VmpQmpCommand) getfd = vmp_qmp_getfd("f");
    g_autoptr(GError) error = NULL;
    int ends[2];

    g_assert_no_errno(pipe(ends));
    qmp_peer_serve(peer, "getfd", "{'fdname': 'f'}", "{}");
    g_autoptr(VmpJson) reply = vmp_qmp_client_execute_fd(client, getfd, ends[1], NULL, &error);
    g_assert_no_error(error);
    g_assert_nonnull(reply);

    const int passed = qmp_peer_take_fd(peer);
    g_assert_cmpint(passed, >=, 0);
    assert_writes_to(passed, ends[0]);
    /* Ours is ours still. */
    assert_writes_to(ends[1], ends[0]);
    g_assert_cmpint(qmp_peer_take_fd(peer), ==, -1);

    close(passed);
    close(ends[0]);
    close(ends[1]);
    qmp_peer_finish(peer);
}

static void
test_fds_behind_a_large_command(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autofree char *name = g_strnfill(2 * MIB, 'n');
    g_autoptr(VmpQmpCommand) large = vmp_qmp_blockdev_del(name);
    Outcome outcomes[3] = { 0 };
    int ends[2][2];

    qmp_peer_hold(peer);
    qmp_peer_await_hold(peer);
    vmp_qmp_client_execute_async(client, large, -1, 0, NULL, on_settled, &outcomes[2]);
    for (guint i = 0; i < 2; i++) {
        g_autoptr(VmpQmpCommand) getfd = vmp_qmp_getfd(i == 0 ? "a" : "b");
        g_assert_no_errno(pipe(ends[i]));
        vmp_qmp_client_execute_async(client, getfd, ends[i][1], 0, NULL, on_settled,
                                     &outcomes[i]);
        close(ends[i][1]);
    }
    qmp_peer_serve(peer, "blockdev-del", NULL, "{}");
    qmp_peer_serve(peer, "getfd", "{'fdname': 'a'}", "{}");
    qmp_peer_serve(peer, "getfd", "{'fdname': 'b'}", "{}");
    qmp_peer_release(peer);
    iterate_until(is_settled, &outcomes[1]);

    for (guint i = 0; i < 3; i++) {
        g_assert_no_error(outcomes[i].error);
        outcome_clear(&outcomes[i]);
    }
    for (guint i = 0; i < 2; i++) {
        const int passed = qmp_peer_take_fd(peer);
        assert_writes_to(passed, ends[i][0]);
        close(passed);
        close(ends[i][0]);
    }
    qmp_peer_finish(peer);
}

static void
test_bad_fd(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(VmpQmpCommand) getfd = vmp_qmp_getfd("f");
    g_autoptr(GError) error = NULL;

    g_assert_null(vmp_qmp_client_execute_fd(client, getfd, 999999, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_IO);
    qmp_peer_serve(peer, "cont", NULL, "{}");
    assert_executes(client, "cont");
    qmp_peer_finish(peer);
}

static void
test_null_is_an_object(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(GError) error = NULL;

    qmp_peer_serve(peer, "cont", NULL, "null");
    g_autoptr(VmpJson) reply = execute(client, "cont", &error);
    g_assert_no_error(error);
    g_assert_true(json_object_is_type(reply, json_type_object));
    qmp_peer_finish(peer);
}

/* ---- silence ---- */

static void
test_cancelled(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    g_auto(Outcome) outcome = { 0 };

    qmp_peer_expect(peer, "stop", NULL);
    qmp_peer_hold(peer);
    qmp_peer_reply(peer, "{'late': true}");
    qmp_peer_serve(peer, "cont", NULL, "{'in': 'time'}");

    start(client, "stop", 0, cancellable, &outcome);
    qmp_peer_await_hold(peer);
    g_cancellable_cancel(cancellable);
    iterate_until(is_settled, &outcome);
    g_assert_error(outcome.error, VMP_ERROR, VMP_ERROR_INTERRUPTED);
    g_assert_cmpstr(outcome.error->message, ==,
                    "domain vm1: cancelled while waiting for the answer to stop");

    qmp_peer_release(peer);
    assert_executes(client, "cont");
    g_assert_cmpuint(outcome.settled, ==, 1);
    g_assert_cmpint(vmp_qmp_client_get_state(client), ==, VMP_QMP_READY);
    qmp_peer_finish(peer);
}

static void
test_cancelled_before(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    g_autoptr(VmpQmpCommand) stop = vmp_qmp_stop();
    g_autoptr(GError) error = NULL;

    g_cancellable_cancel(cancellable);
    g_assert_null(vmp_qmp_client_execute(client, stop, cancellable, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INTERRUPTED);
    qmp_peer_serve(peer, "cont", NULL, "{}");
    assert_executes(client, "cont");
    g_assert_cmpuint(qmp_peer_count(peer, "stop"), ==, 0);
    qmp_peer_finish(peer);
}

static void
test_timeout(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    Outcome outcomes[3] = { 0 };

    qmp_peer_expect(peer, "stop", NULL);
    qmp_peer_expect(peer, "cont", NULL);
    qmp_peer_expect(peer, "query-jobs", NULL);
    start(client, "stop", 0, NULL, &outcomes[0]);
    start(client, "cont", 30, NULL, &outcomes[1]);
    start(client, "query-jobs", 60000, NULL, &outcomes[2]);
    for (guint i = 0; i < 3; i++)
        iterate_until(is_settled, &outcomes[i]);

    g_assert_error(outcomes[1].error, VMP_ERROR, VMP_ERROR_TIMED_OUT);
    g_assert_cmpstr(outcomes[1].error->message, ==,
                    "domain vm1: no answer to cont within 30 ms");
    g_assert_error(outcomes[0].error, VMP_ERROR, VMP_ERROR_DISCONNECTED);
    g_assert_cmpstr(outcomes[0].error->message, ==,
                    "domain vm1: no answer to stop: QEMU stalled");
    g_assert_error(outcomes[2].error, VMP_ERROR, VMP_ERROR_DISCONNECTED);
    g_assert_cmpint(vmp_qmp_client_get_state(client), ==, VMP_QMP_DEAD);
    for (guint i = 0; i < 3; i++)
        outcome_clear(&outcomes[i]);
    qmp_peer_finish(peer);
}

/* An answer that is there already is no late answer, however late we look. */
static void
test_late_look(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_auto(Outcome) outcome = { 0 };

    qmp_peer_serve(peer, "cont", NULL, "{}");
    qmp_peer_hold(peer);
    start(client, "cont", 10, NULL, &outcome);
    qmp_peer_await_hold(peer);
    g_usleep(30000);
    iterate_until(is_settled, &outcome);
    g_assert_no_error(outcome.error);
    qmp_peer_finish(peer);
}

static void
test_default_timeout(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(GError) error = NULL;

    vmp_qmp_client_set_timeout(client, 20);
    g_assert_cmpint(vmp_qmp_client_get_timeout(client), ==, 20);
    qmp_peer_expect(peer, "cont", NULL);
    g_assert_null(execute(client, "cont", &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_TIMED_OUT);
    qmp_peer_finish(peer);
}

static void
test_death_with_three_pending(void)
{
    static const char *const names[] = { "stop", "query-jobs", "cont" };
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    Outcome outcomes[3] = { 0 };

    for (guint i = 0; i < 3; i++)
        qmp_peer_expect(peer, names[i], NULL);
    qmp_peer_hang_up(peer);
    for (guint i = 0; i < 3; i++)
        start(client, names[i], 0, NULL, &outcomes[i]);
    for (guint i = 0; i < 3; i++)
        iterate_until(is_settled, &outcomes[i]);
    while (g_main_context_iteration(NULL, FALSE))
        continue;

    for (guint i = 0; i < 3; i++) {
        g_autofree char *words = g_strdup_printf(
            "domain vm1: no answer to %s: QEMU closed the connection", names[i]);
        g_assert_cmpuint(outcomes[i].settled, ==, 1);
        g_assert_error(outcomes[i].error, VMP_ERROR, VMP_ERROR_DISCONNECTED);
        g_assert_cmpstr(outcomes[i].error->message, ==, words);
        outcome_clear(&outcomes[i]);
    }
    qmp_peer_finish(peer);
}

static void
test_dead_stays_dead(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(GError) error = NULL;
    g_auto(Outcome) outcome = { 0 };

    qmp_peer_expect(peer, "stop", NULL);
    qmp_peer_hang_up(peer);
    g_assert_null(execute(client, "stop", &error));
    g_assert_cmpint(vmp_qmp_client_get_state(client), ==, VMP_QMP_DEAD);

    g_clear_error(&error);
    g_assert_null(execute(client, "cont", &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_DISCONNECTED);
    g_assert_cmpstr(error->message, ==,
                    "domain vm1: cannot send cont: QEMU closed the connection");
    start(client, "cont", 0, NULL, &outcome);
    g_assert_cmpuint(outcome.settled, ==, 0);
    iterate_until(is_settled, &outcome);
    g_assert_error(outcome.error, VMP_ERROR, VMP_ERROR_DISCONNECTED);
    g_assert_cmpint(vmp_qmp_client_get_state(client), ==, VMP_QMP_DEAD);
    qmp_peer_finish(peer);
}

static void
test_last_words_count(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(GString) log = g_string_new(NULL);
    Outcome outcomes[2] = { 0 };

    vmp_qmp_client_subscribe(client, NULL, log_event, log);
    qmp_peer_expect(peer, "quit", NULL);
    qmp_peer_reply(peer, "{}");
    qmp_peer_event(peer, "SHUTDOWN", NULL);
    qmp_peer_hang_up(peer);
    start(client, "quit", 0, NULL, &outcomes[0]);
    iterate_until(is_settled, &outcomes[0]);
    g_assert_no_error(outcomes[0].error);

    /* It may be refused or broken off, depending on what is noticed first. */
    start(client, "cont", 0, NULL, &outcomes[1]);
    iterate_until(is_settled, &outcomes[1]);
    g_assert_error(outcomes[1].error, VMP_ERROR, VMP_ERROR_DISCONNECTED);
    g_assert_cmpstr(log->str, ==, "SHUTDOWN ");
    outcome_clear(&outcomes[0]);
    outcome_clear(&outcomes[1]);
    qmp_peer_finish(peer);
}

/* Commands are sent into a closed socket, whose answers nevertheless wait to be read. */
static void
test_answers_before_a_broken_pipe(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    Outcome outcomes[2] = { 0 };

    qmp_peer_expect(peer, "stop", NULL);
    qmp_peer_reply(peer, "{}");
    qmp_peer_hang_up(peer);
    start(client, "stop", 0, NULL, &outcomes[0]);
    /* The next client is served, so the hang-up is done. */
    g_autoptr(VmpQmpClient) next = qmp_peer_connect(peer);
    g_assert_nonnull(next);
    start(client, "cont", 0, NULL, &outcomes[1]);

    iterate_until(is_settled, &outcomes[0]);
    iterate_until(is_settled, &outcomes[1]);
    g_assert_no_error(outcomes[0].error);
    g_assert_error(outcomes[1].error, VMP_ERROR, VMP_ERROR_DISCONNECTED);
    outcome_clear(&outcomes[0]);
    outcome_clear(&outcomes[1]);
    qmp_peer_finish(peer);
}

/* Linux says "connection reset" where the peer had not read all when it hung up. */
static void
test_reset(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_auto(Outcome) outcome = { 0 };

    qmp_peer_hold(peer);
    qmp_peer_hang_up(peer);
    qmp_peer_await_hold(peer);
    start(client, "stop", 0, NULL, &outcome);
    qmp_peer_release(peer);
    iterate_until(is_settled, &outcome);
    g_assert_error(outcome.error, VMP_ERROR, VMP_ERROR_DISCONNECTED);
    g_assert_cmpstr(outcome.error->message, ==,
                    "domain vm1: no answer to stop: QEMU closed the connection");
    qmp_peer_finish(peer);
}

/* ---- lies ---- */

static void
test_lies(void)
{
    static const struct {
        const char *bytes, *words;
    } lies[] = {
        { "qemu: fatal error\n", "not a QMP message" },
        { "{\"return\": {}}\n", "answered what nobody asked" },
        { "{\"error\": {\"class\": \"GenericError\", \"desc\": \"Invalid JSON\"}}\n",
          "answered what nobody asked: Invalid JSON" },
        { "{\"error\": \"words\"}\n", "neither reply nor event" },
        { "{\"event\": 7}\n", "neither reply nor event" },
        { "{}\n", "neither reply nor event" },
        { GREETING, "neither reply nor event" },
    };

    for (guint i = 0; i < G_N_ELEMENTS(lies); i++) {
        QmpPeer *peer = qmp_peer_new();
        g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
        g_autoptr(GError) error = NULL;

        qmp_peer_expect(peer, "cont", NULL);
        qmp_peer_raw(peer, lies[i].bytes, -1);
        g_assert_null(execute(client, "cont", &error));
        g_assert_error(error, VMP_ERROR, VMP_ERROR_DISCONNECTED);
        assert_contains(error->message, lies[i].words);
        g_assert_cmpint(vmp_qmp_client_get_state(client), ==, VMP_QMP_DEAD);
        qmp_peer_finish(peer);
    }
}

static void
test_answered_twice(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(GError) error = NULL;

    qmp_peer_serve(peer, "cont", NULL, "{}");
    assert_executes(client, "cont");

    g_autoptr(VmpJson) seen = qmp_peer_get_command(peer, 0);
    g_autofree char *again =
        g_strdup_printf("{\"return\": {}, \"id\": \"%s\"}\n", vmp_json_get_string(seen, "id"));
    qmp_peer_expect(peer, "stop", NULL);
    qmp_peer_raw(peer, again, -1);
    g_assert_null(execute(client, "stop", &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_DISCONNECTED);
    qmp_peer_finish(peer);
}

static void
test_foreign_answers(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);

    qmp_peer_expect(peer, "cont", NULL);
    qmp_peer_raw(peer, "{\"return\": {}, \"id\": \"libvirt-17\"}\n", -1);
    qmp_peer_raw(peer, "{\"error\": {\"desc\": \"x\"}, \"id\": 3}\n", -1);
    qmp_peer_raw(peer, "{\"return\": {}, \"id\": null}\n", -1);
    qmp_peer_raw(peer, "{\"return\": {}, \"id\": \"vmpoint-0000000g-1\"}\n", -1);
    qmp_peer_reply(peer, "{}");
    assert_executes(client, "cont");
    g_assert_cmpint(vmp_qmp_client_get_state(client), ==, VMP_QMP_READY);
    qmp_peer_finish(peer);
}

static void
test_refusal_without_words(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_auto(Outcome) outcome = { 0 };

    qmp_peer_expect(peer, "cont", NULL);
    qmp_peer_hold(peer);
    start(client, "cont", 0, NULL, &outcome);
    qmp_peer_await_hold(peer);

    g_autoptr(VmpJson) seen = qmp_peer_get_command(peer, 0);
    g_autofree char *wordless =
        g_strdup_printf("{\"error\": {}, \"id\": \"%s\"}\n", vmp_json_get_string(seen, "id"));
    qmp_peer_raw(peer, wordless, -1);
    qmp_peer_release(peer);
    iterate_until(is_settled, &outcome);
    g_assert_error(outcome.error, VMP_ERROR, VMP_ERROR_REFUSED);
    qmp_peer_finish(peer);
}

/* ---- ownership ---- */

static void
test_last_unref(void)
{
    QmpPeer *peer = qmp_peer_new();
    VmpQmpClient *client = qmp_peer_connect(peer);
    Outcome outcomes[2] = { 0 };

    qmp_peer_expect(peer, "stop", NULL);
    qmp_peer_expect(peer, "cont", NULL);
    start(client, "stop", 0, NULL, &outcomes[0]);
    start(client, "cont", 1000, NULL, &outcomes[1]);
    vmp_qmp_client_unref(client);
    for (guint i = 0; i < 2; i++) {
        iterate_until(is_settled, &outcomes[i]);
        g_assert_error(outcomes[i].error, VMP_ERROR, VMP_ERROR_DISCONNECTED);
        outcome_clear(&outcomes[i]);
    }
    qmp_peer_finish(peer);
}

static void
drop_client(VmpQmpClient *client, const char *event, VmpJson *data, gint64 timestamp_us,
            gpointer user_data)
{
    g_clear_pointer((VmpQmpClient **)user_data, vmp_qmp_client_unref);
}

static void
test_unref_in_callback(void)
{
    QmpPeer *peer = qmp_peer_new();
    VmpQmpClient *client = qmp_peer_connect(peer);
    g_auto(Outcome) outcome = { 0 };
    guint id;

    id = vmp_qmp_client_subscribe(client, "STOP", drop_client, &client);
    g_assert_cmpuint(id, >, 0);
    qmp_peer_expect(peer, "stop", NULL);
    qmp_peer_event(peer, "STOP", NULL);
    start(client, "stop", 0, NULL, &outcome);
    iterate_until(is_settled, &outcome);
    g_assert_null(client);
    g_assert_error(outcome.error, VMP_ERROR, VMP_ERROR_DISCONNECTED);
    qmp_peer_finish(peer);
}

/* The client that is dropped, and what the command came to. */
typedef struct {
    VmpQmpClient *client;
    Outcome outcome;
} Drop;

static void
drop_when_settled(GObject *source, GAsyncResult *result, gpointer data)
{
    Drop *drop = data;

    on_settled(source, result, &drop->outcome);
    g_clear_pointer(&drop->client, vmp_qmp_client_unref);
}

static gboolean
is_dropped(gpointer data)
{
    return ((Drop *)data)->client == NULL;
}

static void
test_unref_when_settled(void)
{
    static const char *const endings[] = { "answer", "hang-up", "cancel" };

    for (guint i = 0; i < G_N_ELEMENTS(endings); i++) {
        QmpPeer *peer = qmp_peer_new();
        g_autoptr(VmpQmpCommand) stop = vmp_qmp_stop();
        g_autoptr(GCancellable) cancellable = g_cancellable_new();
        Drop drop = { .client = qmp_peer_connect(peer) };

        qmp_peer_expect(peer, "stop", NULL);
        if (i == 0)
            qmp_peer_reply(peer, "{}");
        if (i == 1)
            qmp_peer_hang_up(peer);
        vmp_qmp_client_execute_async(drop.client, stop, -1, 0, cancellable, drop_when_settled,
                                     &drop);
        if (i == 2)
            g_cancellable_cancel(cancellable);
        iterate_until(is_dropped, &drop);
        g_assert_cmpuint(drop.outcome.settled, ==, 1);
        outcome_clear(&drop.outcome);
        qmp_peer_finish(peer);
    }
}

static void
test_unref_in_synchronous_call(void)
{
    QmpPeer *peer = qmp_peer_new();
    VmpQmpClient *client = qmp_peer_connect(peer);
    VmpQmpClient *borrowed = client;
    g_autoptr(VmpQmpCommand) stop = vmp_qmp_stop();
    g_autoptr(GError) error = NULL;

    vmp_qmp_client_subscribe(client, "STOP", drop_client, &client);
    qmp_peer_expect(peer, "stop", NULL);
    qmp_peer_event(peer, "STOP", NULL);
    qmp_peer_reply(peer, "{}");
    g_autoptr(VmpJson) reply = vmp_qmp_client_execute(borrowed, stop, NULL, &error);
    g_assert_no_error(error);
    g_assert_nonnull(reply);
    g_assert_null(client);
    qmp_peer_finish(peer);
}

/* ---- subscriptions ---- */

typedef struct {
    VmpQmpClient *client;
    guint ids[3];
    GString *log;
} Subscribers;

static void
log_a(VmpQmpClient *client, const char *event, VmpJson *data, gint64 timestamp_us,
      gpointer user)
{
    g_string_append_printf(((Subscribers *)user)->log, "a:%s ", event);
}

static void
log_c(VmpQmpClient *client, const char *event, VmpJson *data, gint64 timestamp_us,
      gpointer user)
{
    g_string_append_printf(((Subscribers *)user)->log, "c:%s ", event);
}

/* Of three, the middle one drops all. */
static void
unsubscribe_all(VmpQmpClient *client, const char *event, VmpJson *data, gint64 timestamp_us,
                gpointer user)
{
    Subscribers *all = user;

    g_string_append_printf(all->log, "b:%s ", event);
    for (guint i = 0; i < 3; i++)
        vmp_qmp_client_unsubscribe(client, all->ids[i]);
}

static void
test_unsubscribe_in_callback(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(GString) log = g_string_new(NULL);
    Subscribers all = { .log = log };

    all.ids[0] = vmp_qmp_client_subscribe(client, NULL, log_a, &all);
    all.ids[1] = vmp_qmp_client_subscribe(client, NULL, unsubscribe_all, &all);
    all.ids[2] = vmp_qmp_client_subscribe(client, NULL, log_c, &all);
    qmp_peer_expect(peer, "stop", NULL);
    qmp_peer_event(peer, "STOP", NULL);
    qmp_peer_event(peer, "RESUME", NULL);
    qmp_peer_reply(peer, "{}");
    assert_executes(client, "stop");
    g_assert_cmpstr(log->str, ==, "a:STOP b:STOP ");

    vmp_qmp_client_unsubscribe(client, all.ids[0]);
    vmp_qmp_client_unsubscribe(client, 0);
    qmp_peer_finish(peer);
}

static void
subscribe_more(VmpQmpClient *client, const char *event, VmpJson *data, gint64 timestamp_us,
               gpointer user)
{
    Subscribers *all = user;

    g_string_append_printf(all->log, "b:%s ", event);
    if (all->ids[2] == 0)
        all->ids[2] = vmp_qmp_client_subscribe(client, NULL, log_c, all);
}

static void
test_subscribe_in_callback(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(GString) log = g_string_new(NULL);
    Subscribers all = { .log = log };

    vmp_qmp_client_subscribe(client, NULL, subscribe_more, &all);
    qmp_peer_expect(peer, "stop", NULL);
    qmp_peer_event(peer, "STOP", NULL);
    qmp_peer_event(peer, "RESUME", NULL);
    qmp_peer_reply(peer, "{}");
    assert_executes(client, "stop");
    g_assert_cmpstr(log->str, ==, "b:STOP b:RESUME c:RESUME ");
    qmp_peer_finish(peer);
}

/* On STOP, asks QEMU, whose answer comes behind further events. */
static void
ask_back(VmpQmpClient *client, const char *event, VmpJson *data, gint64 timestamp_us,
         gpointer user)
{
    Subscribers *all = user;

    g_string_append_printf(all->log, "b:%s ", event);
    if (!g_str_equal(event, "STOP"))
        return;
    assert_executes(client, "query-jobs");
    /* The event is ours until we return. */
    g_assert_cmpstr(event, ==, "STOP");
    g_assert_cmpstr(vmp_json_get_string(data, "of"), ==, "stop");
    g_string_append(all->log, "answer ");
}

static void
test_call_in_callback(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(GString) log = g_string_new(NULL);
    Subscribers all = { .log = log };

    vmp_qmp_client_subscribe(client, NULL, log_a, &all);
    vmp_qmp_client_subscribe(client, NULL, ask_back, &all);
    vmp_qmp_client_subscribe(client, NULL, log_c, &all);
    qmp_peer_expect(peer, "stop", NULL);
    qmp_peer_event(peer, "STOP", "{'of': 'stop'}");
    qmp_peer_event(peer, "RESUME", NULL);
    qmp_peer_reply(peer, "{}");
    qmp_peer_expect(peer, "query-jobs", NULL);
    qmp_peer_event(peer, "RESET", NULL);
    qmp_peer_reply(peer, "[]");
    assert_executes(client, "stop");
    /* Each subscriber has seen all three, in order, and all before the answer. */
    g_assert_cmpstr(log->str, ==,
                    "a:STOP b:STOP c:STOP a:RESUME b:RESUME c:RESUME a:RESET b:RESET c:RESET "
                    "answer ");
    qmp_peer_finish(peer);
}

static void
execute_in_callback(GObject *source, GAsyncResult *result, gpointer data)
{
    Subscribers *all = data;
    g_autoptr(VmpJson) reply = vmp_qmp_client_execute_finish(all->client, result, NULL);

    g_string_append_printf(all->log, "%s ", json_object_get_string(reply));
    assert_executes(all->client, "cont");
    g_string_append(all->log, "END");
}

static void
test_call_in_reply_callback(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(VmpQmpCommand) stop = vmp_qmp_stop();
    g_autoptr(GString) log = g_string_new(NULL);
    Subscribers all = { .client = client, .log = log };

    qmp_peer_serve(peer, "stop", NULL, "[0]");
    qmp_peer_serve(peer, "cont", NULL, "{}");
    vmp_qmp_client_execute_async(client, stop, -1, 0, NULL, execute_in_callback, &all);
    iterate_until(log_is_complete, log);
    g_assert_cmpstr(log->str, ==, "[ 0 ] END");
    qmp_peer_finish(peer);
}

/* ---- trace ---- */

static void
log_trace(gboolean sent, const char *text, gpointer data)
{
    g_string_append_printf(data, "%s%s\n", sent ? "> " : "< ", text);
}

static void
test_trace(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(VmpQmpCommand) secret = vmp_qmp_command_new(
        "object-add", vmp_json_build("s:qom-type", "secret", "s:id", "s0", "s:data", "hunter2",
                                     "s:format", "raw", NULL));
    g_autoptr(GString) log = g_string_new(NULL);
    g_autoptr(GError) error = NULL;

    vmp_qmp_client_set_trace(client, log_trace, log);
    qmp_peer_expect(peer, "object-add", NULL);
    qmp_peer_event(peer, "STOP", NULL);
    qmp_peer_reply(peer, "{'password': 'hunter2'}");
    g_autoptr(VmpJson) reply = vmp_qmp_client_execute(client, secret, NULL, &error);
    g_assert_no_error(error);

    g_auto(GStrv) lines = g_strsplit(log->str, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 4);
    assert_contains(lines[0], "> {\"execute\":\"object-add\"");
    assert_contains(lines[0], "\"id\":\"s0\",\"data\":\"***\"");
    assert_contains(lines[1], "< {\"event\":\"STOP\"");
    assert_contains(lines[2], "< {\"return\":{\"password\":\"***\"}");
    g_assert_null(strstr(log->str, "hunter2"));

    /* What was sent and what came is not masked. */
    g_autoptr(VmpJson) seen = qmp_peer_get_command(peer, 0);
    g_assert_cmpstr(vmp_json_get_string(vmp_json_get(seen, "arguments"), "data"), ==,
                    "hunter2");
    g_assert_cmpstr(vmp_json_get_string(reply, "password"), ==, "hunter2");
    qmp_peer_finish(peer);
}

#define TEST(name, func) g_test_add_func("/qmp/client/" name, func)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST("only-the-listed-states-may-follow-each-other", test_states);

    TEST("greeting-and-negotiation-make-it-ready", test_ready);
    TEST("connecting-may-have-no-time-limit", test_without_limit);
    TEST("nobody-listening-is-disconnected", test_nobody_there);
    TEST("a-socket-of-another-kind-is-an-io-error", test_another_kind_of_socket);
    TEST("a-backlog-that-stays-full-is-busy", test_full_backlog);
    TEST("a-full-backlog-is-waited-for", test_backlog_gets_room);
    TEST("a-monitor-that-another-client-holds-is-busy", test_held_by_another);
    TEST("whoever-speaks-something-else-is-invalid", test_not_qmp);
    TEST("a-second-greeting-negotiates-again", test_second_greeting);
    TEST("hanging-up-before-the-greeting-is-disconnected", test_hangup_before_greeting);
    TEST("hanging-up-inside-the-greeting-is-disconnected", test_hangup_inside_greeting);
    TEST("half-a-greeting-is-busy", test_half_a_greeting);
    TEST("silence-after-the-greeting-is-timed-out", test_silence_after_greeting);
    TEST("a-refused-negotiation-is-invalid", test_refused_negotiation);
    TEST("hanging-up-while-negotiating-is-disconnected", test_hangup_while_negotiating);
    TEST("a-socket-path-may-be-long", test_long_path);
    TEST("a-descriptor-given-is-taken-even-on-failure", test_from_fd);
    TEST("connecting-can-be-cancelled", test_cancelled_connect);
    TEST("connecting-dispatches-nothing-else", test_connect_dispatches_nothing);

    TEST("a-refusal-is-an-answer", test_refusal);
    TEST("answers-may-come-in-any-order", test_any_order);
    TEST("events-come-in-order-and-before-later-answers", test_event_order);
    TEST("a-subscriber-gets-data-and-time-of-its-event", test_event_content);
    TEST("messages-may-come-byte-by-byte", test_byte_by_byte);
    TEST("a-reply-of-20-mib-arrives-whole", test_huge_reply);
    TEST("a-reply-without-end-is-fatal", test_endless_reply);
    TEST("a-command-may-be-larger-than-the-socket-takes", test_large_command);
    TEST("a-descriptor-arrives", test_fd);
    TEST("descriptors-wait-behind-a-large-command", test_fds_behind_a_large_command);
    TEST("what-is-no-descriptor-is-not-sent", test_bad_fd);
    TEST("a-null-answer-is-an-answer", test_null_is_an_object);

    TEST("a-cancelled-commands-late-answer-is-swallowed", test_cancelled);
    TEST("a-command-cancelled-beforehand-is-not-sent", test_cancelled_before);
    TEST("no-answer-in-time-is-the-end", test_timeout);
    TEST("an-answer-that-is-there-is-in-time", test_late_look);
    TEST("synchronous-calls-have-a-default-timeout", test_default_timeout);
    TEST("death-completes-each-pending-command-once", test_death_with_three_pending);
    TEST("dead-stays-dead", test_dead_stays_dead);
    TEST("last-words-count", test_last_words_count);
    TEST("answers-before-a-broken-pipe-count", test_answers_before_a_broken_pipe);
    TEST("a-connection-reset-is-a-hangup", test_reset);

    TEST("a-lie-is-the-end", test_lies);
    TEST("a-second-answer-is-a-lie", test_answered_twice);
    TEST("answers-to-earlier-clients-are-ignored", test_foreign_answers);
    TEST("a-refusal-without-words-is-a-refusal", test_refusal_without_words);

    TEST("the-last-unref-completes-what-is-pending", test_last_unref);
    TEST("a-callback-may-drop-the-last-reference", test_unref_in_callback);
    TEST("who-gets-an-outcome-may-drop-the-last-reference", test_unref_when_settled);
    TEST("a-synchronous-call-keeps-the-client", test_unref_in_synchronous_call);

    TEST("a-callback-may-unsubscribe-anyone", test_unsubscribe_in_callback);
    TEST("a-new-subscriber-gets-later-events-only", test_subscribe_in_callback);
    TEST("an-event-callback-may-call-synchronously", test_call_in_callback);
    TEST("a-reply-callback-may-call-synchronously", test_call_in_reply_callback);

    TEST("the-trace-hides-secrets", test_trace);
    return g_test_run();
}
