/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp-peer.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_FDS 8

typedef enum {
    STEP_EXPECT,
    STEP_REPLY,
    STEP_REFUSE,
    STEP_SEND,
    STEP_DRIP,
    STEP_HOLD,
    STEP_HANG_UP,
} StepKind;

typedef struct {
    StepKind kind;
    char *command;  /* EXPECT; REPLY: to which, or NULL for the oldest */
    VmpJson *value; /* EXPECT: arguments or NULL; REPLY: the value */
    char *text;     /* REFUSE: the words; SEND: the bytes */
    gsize size;     /* SEND: how many; DRIP: in pieces of what */
    gboolean check; /* EXPECT: against the schema */
} Step;

typedef struct {
    VmpJson *value; /* unless @func */
    QmpPeerFunc func;
    gpointer data;
} Standing;

struct _QmpPeer {
    char *folder;
    char *path;
    gboolean raw;
    GThread *thread;
    int wake; /* eventfd: the script or @finishing has changed */

    /* Under the lock: */
    GMutex lock;
    GCond changed;
    GQueue script;
    GHashTable *standing; /* command -> Standing */
    GPtrArray *seen;      /* VmpJson */
    GArray *fds;
    const VmpQmpSchema *schema;
    guint holds_reached, holds_released;
    guint events;
    gboolean finishing;
    gboolean broken; /* the test has failed: nothing is served any more */

    /* The thread's own: */
    int listener;
    int connection;   /* -1 if there is none */
    gboolean talking; /* greeting and negotiation are behind us, or are the script's */
    GString *input;
    GQueue unanswered; /* VmpJson */
    gsize drip;
};

/* ---- helpers ---- */

/* Double quotes for single ones: test JSON would be unreadable with its own escaped. */
static VmpJson *
parse_json(const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *quoted = g_strdup(text);
    VmpJson *json = vmp_json_parse(g_strdelimit(quoted, "'", '"'), -1, &error);

    g_assert_no_error(error);
    return json;
}

static void
drop_json(gpointer json)
{
    json_object_put(json);
}

static void
step_free(Step *step)
{
    g_free(step->command);
    json_object_put(step->value);
    g_free(step->text);
    g_free(step);
}

static void
standing_free(Standing *standing)
{
    json_object_put(standing->value);
    g_free(standing);
}

const VmpQmpSchema *
qmp_peer_load_schema(const char *name)
{
    static GMutex lock;
    static GHashTable *loaded;
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&lock);

    if (!loaded)
        loaded = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                       (GDestroyNotify)vmp_qmp_schema_unref);
    VmpQmpSchema *schema = g_hash_table_lookup(loaded, name);
    if (schema)
        return schema;

    g_autoptr(GError) error = NULL;
    const char *data = g_getenv("VMPOINT_TEST_DATA");
    if (!data)
        g_error("VMPOINT_TEST_DATA has to say where tests/data is");
    g_autofree char *path = g_strdup_printf("%s/schema/%s.json", data, name);
    g_autofree char *text = NULL;
    gsize length = 0;
    g_file_get_contents(path, &text, &length, &error);
    g_assert_no_error(error);

    g_autoptr(VmpJson) reply = vmp_json_parse(text, (gssize)length, &error);
    g_assert_no_error(error);
    schema = vmp_qmp_schema_new(reply, &error);
    g_assert_no_error(error);
    g_hash_table_insert(loaded, g_strdup(name), schema);
    return schema;
}

/* The test has failed.  Said at once, since the code under test may now fail in a way
 * that hides the cause; and hanging up keeps it from waiting for ever. */
static void complain(QmpPeer *peer, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void
complain(QmpPeer *peer, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_printerr("# scripted QEMU: %s\n", text);
    g_test_fail();
    g_mutex_lock(&peer->lock);
    peer->broken = TRUE;
    g_mutex_unlock(&peer->lock);
}

/* ---- the thread: sending ---- */

static void
hang_up(QmpPeer *peer)
{
    if (peer->connection >= 0)
        close(peer->connection);
    peer->connection = -1;
    peer->talking = FALSE;
    g_string_truncate(peer->input, 0);
    g_queue_clear_full(&peer->unanswered, drop_json);
}

/* Blocks while the client does not read; a client that is gone is no fault of ours. */
static void
send_bytes(QmpPeer *peer, const char *bytes, gsize length)
{
    while (length > 0 && peer->connection >= 0) {
        const gsize piece = peer->drip ? MIN(peer->drip, length) : length;
        const gssize sent = send(peer->connection, bytes, piece, MSG_NOSIGNAL);

        if (sent > 0) {
            bytes += sent;
            length -= (gsize)sent;
        } else if (errno != EINTR) {
            return;
        }
    }
}

/* Ends with CR LF, as QEMU's messages do. */
static void
send_json(QmpPeer *peer, VmpJson *message)
{
    g_autofree char *text = vmp_json_to_text(message);
    g_autofree char *line = g_strconcat(text, "\r\n", NULL);

    send_bytes(peer, line, strlen(line));
}

/* Takes the oldest unanswered command, or the oldest called @name. */
static VmpJson *
take_unanswered(QmpPeer *peer, const char *name)
{
    for (GList *link = peer->unanswered.head; link; link = link->next) {
        VmpJson *command = link->data;
        if (!name || g_str_equal(vmp_json_get_string(command, "execute"), name)) {
            g_queue_delete_link(&peer->unanswered, link);
            return command;
        }
    }
    return NULL;
}

/* @value is consumed; with @words it is a refusal instead. */
static void
answer(QmpPeer *peer, VmpJson *command, VmpJson *value, const char *words)
{
    g_autoptr(VmpJson) message = json_object_new_object();
    VmpJson *id = NULL;

    if (words)
        vmp_json_add(message, "o:error",
                     vmp_json_build("s:class", "GenericError", "s:desc", words, NULL), NULL);
    else
        vmp_json_add(message, "o:return", value, NULL);
    if (json_object_object_get_ex(command, "id", &id))
        vmp_json_add(message, "o:id", json_object_get(id), NULL);
    send_json(peer, message);
}

static void
answer_pending(QmpPeer *peer, const Step *step)
{
    g_autoptr(VmpJson) command = take_unanswered(peer, step->command);

    if (!command)
        complain(peer, "the script answers %s, which is not waiting for an answer",
                 step->command ? step->command : "a command");
    else
        answer(peer, command, json_object_get(step->value), step->text);
}

static void
greet(QmpPeer *peer)
{
    static const char greeting[] =
        "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, "
        "\"package\": \"scripted\"}, \"capabilities\": [\"oob\"]}}\r\n";

    send_bytes(peer, greeting, strlen(greeting));
}

/* ---- the thread: receiving ---- */

static void
keep_fds(QmpPeer *peer, struct msghdr *message)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part;
         part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        const guint count = (guint)((part->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        int fds[MAX_FDS];
        memcpy(fds, CMSG_DATA(part), count * sizeof(int));
        g_mutex_lock(&peer->lock);
        g_array_append_vals(peer->fds, fds, count);
        g_mutex_unlock(&peer->lock);
    }
}

/* Reads what is there; FALSE if the client is gone. */
static gboolean
read_input(QmpPeer *peer)
{
    char bytes[4096];
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(MAX_FDS * sizeof(int))];
    } control;
    struct iovec part = { bytes, sizeof(bytes) };
    struct msghdr message = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    const gssize got = recvmsg(peer->connection, &message, MSG_CMSG_CLOEXEC);

    if (got < 0 && errno == EINTR)
        return TRUE;
    if (got <= 0)
        return FALSE;
    keep_fds(peer, &message);
    g_string_append_len(peer->input, bytes, got);
    return TRUE;
}

/* The first whole line of the input, or NULL. */
static char *
take_line(QmpPeer *peer)
{
    const char *end = memchr(peer->input->str, '\n', peer->input->len);

    if (!end)
        return NULL;
    const gssize length = end - peer->input->str;
    char *line = g_strndup(peer->input->str, (gsize)length);
    g_string_erase(peer->input, 0, length + 1);
    return line;
}

static gboolean
is_well_formed(VmpJson *message)
{
    if (!vmp_json_get_string(message, "execute"))
        return FALSE;
    json_object_object_foreach(message, member, value)
    {
        if (!g_str_equal(member, "execute") && !g_str_equal(member, "id") &&
            !(g_str_equal(member, "arguments") &&
              json_object_is_type(value, json_type_object)))
            return FALSE;
    }
    return TRUE;
}

static void
check_schema(QmpPeer *peer, VmpJson *message)
{
    VmpJson *arguments = vmp_json_get_object(message, "arguments");
    g_autoptr(VmpQmpCommand) command =
        vmp_qmp_command_new(vmp_json_get_string(message, "execute"),
                            arguments ? json_object_get(arguments) : NULL);
    g_autoptr(GError) error = NULL;

    if (!vmp_qmp_schema_check(peer->schema, command, &error)) {
        complain(peer, "not valid by the schema: %s", error->message);
        return;
    }
    g_autofree char *deprecated = vmp_qmp_schema_find_deprecated(peer->schema, command);
    if (deprecated)
        complain(peer, "deprecated by the schema: %s", deprecated);
}

static void
check_arguments(QmpPeer *peer, const Step *step, VmpJson *message)
{
    g_autoptr(VmpJson) none = json_object_new_object();
    VmpJson *given = vmp_json_get_object(message, "arguments");

    if (!step->value || json_object_equal(step->value, given ? given : none))
        return;
    g_autofree char *wanted = vmp_json_to_text(step->value);
    g_autofree char *got = vmp_json_to_text(given ? given : none);
    complain(peer, "%s: expected %s\n#   but got %s", step->command, wanted, got);
}

static gboolean
answer_standing(QmpPeer *peer, const char *name, VmpJson *message)
{
    Standing copy = { 0 };

    g_mutex_lock(&peer->lock);
    Standing *standing = g_hash_table_lookup(peer->standing, name);
    if (standing)
        /* A deep copy: json-c's reference counts are not for two threads. */
        copy = (Standing){ NULL, standing->func, standing->data };
    if (standing && standing->value)
        json_object_deep_copy(standing->value, &copy.value, NULL);
    g_mutex_unlock(&peer->lock);

    if (!standing)
        return FALSE;
    if (copy.func)
        copy.value = copy.func(vmp_json_get_object(message, "arguments"), copy.data);
    answer(peer, message, copy.value, NULL);
    return TRUE;
}

/* @step is the one that waits for a command, or NULL.  TRUE if it was this one. */
static gboolean
handle_command(QmpPeer *peer, const Step *step, VmpJson *message)
{
    const char *name = vmp_json_get_string(message, "execute");

    if (!peer->raw && g_str_equal(name, "qmp_capabilities")) {
        answer(peer, message, json_object_new_object(), NULL);
        peer->talking = TRUE;
        return FALSE;
    }
    g_mutex_lock(&peer->lock);
    g_ptr_array_add(peer->seen, json_object_get(message));
    g_mutex_unlock(&peer->lock);

    const gboolean expected = step && g_str_equal(step->command, name);
    if (!expected || step->check)
        check_schema(peer, message);
    if (expected) {
        check_arguments(peer, step, message);
        g_queue_push_tail(&peer->unanswered, json_object_get(message));
    } else if (!answer_standing(peer, name, message)) {
        complain(peer, "unexpected command %s%s%s", name, step ? "; expected " : "",
                 step ? step->command : "");
    }
    return expected;
}

/* TRUE if the line was the command that @step waits for. */
static gboolean
handle_line(QmpPeer *peer, const Step *step, const char *line)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpJson) message = vmp_json_parse(line, -1, &error);

    if (message && is_well_formed(message))
        return handle_command(peer, step, message);
    complain(peer, "not a QMP command: %s", line);
    return FALSE;
}

/* ---- the thread: the script ---- */

/* Waits for the client, for a client, or for a change of the script.  FALSE when there
 * is nothing to read and nothing more to wait for. */
static gboolean
await_input(QmpPeer *peer, gboolean finishing)
{
    const gboolean connected = peer->connection >= 0;
    struct pollfd fds[] = {
        { .fd = connected ? peer->connection : peer->listener, .events = POLLIN },
        { .fd = peer->wake, .events = POLLIN },
    };
    guint64 count;

    if (poll(fds, 2, finishing ? 0 : -1) < 0)
        return TRUE;
    if (fds[1].revents && read(peer->wake, &count, sizeof(count)) > 0 && !fds[0].revents)
        return TRUE;
    if (!fds[0].revents)
        return FALSE;
    if (connected && !read_input(peer))
        hang_up(peer);
    if (!connected) {
        peer->connection = accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC);
        peer->talking = peer->raw;
        if (!peer->raw)
            greet(peer);
    }
    return TRUE;
}

/* Until @step's command has come, or (NULL) until the script goes on.  FALSE if it will not.
 */
static gboolean
await_command(QmpPeer *peer, const Step *step)
{
    for (;;) {
        g_mutex_lock(&peer->lock);
        const gboolean finishing = peer->finishing;
        const gboolean broken = peer->broken;
        const gboolean more = peer->script.length > 0;
        g_mutex_unlock(&peer->lock);

        if (broken)
            return FALSE;
        if (!step && more && peer->talking)
            return TRUE;

        g_autofree char *line = take_line(peer);
        if (line ? handle_line(peer, step, line) : !await_input(peer, finishing))
            return line != NULL;
    }
}

static void
pass_hold(QmpPeer *peer)
{
    g_mutex_lock(&peer->lock);
    peer->holds_reached++;
    g_cond_broadcast(&peer->changed);
    while (peer->holds_released < peer->holds_reached && !peer->finishing)
        g_cond_wait(&peer->changed, &peer->lock);
    g_mutex_unlock(&peer->lock);
}

static gboolean
run_step(QmpPeer *peer, const Step *step)
{
    switch (step->kind) {
    case STEP_EXPECT:
        if (await_command(peer, step))
            return TRUE;
        if (!peer->broken)
            complain(peer, "expected %s, which never came", step->command);
        return FALSE;
    case STEP_REPLY:
    case STEP_REFUSE:
        answer_pending(peer, step);
        return TRUE;
    case STEP_SEND:
        send_bytes(peer, step->text, step->size);
        return TRUE;
    case STEP_DRIP:
        peer->drip = step->size;
        return TRUE;
    case STEP_HOLD:
        pass_hold(peer);
        return TRUE;
    case STEP_HANG_UP:
        hang_up(peer);
        return TRUE;
    }
    return FALSE;
}

static Step *
next_step(QmpPeer *peer)
{
    g_mutex_lock(&peer->lock);
    Step *step = peer->broken ? NULL : g_queue_pop_head(&peer->script);
    g_mutex_unlock(&peer->lock);
    return step;
}

/* Every step needs a client that is ready for it. */
static gpointer
run(gpointer data)
{
    QmpPeer *peer = data;

    while (await_command(peer, NULL)) {
        Step *step = next_step(peer);
        if (!step)
            continue;
        const gboolean done = run_step(peer, step);
        step_free(step);
        if (!done)
            break;
    }
    hang_up(peer);
    close(peer->listener);
    return NULL;
}

/* ---- the test's side ---- */

static void
listen_at(QmpPeer *peer)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    g_strlcpy(address.sun_path, peer->path, sizeof(address.sun_path));
    peer->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(peer->listener, >=, 0);
    g_assert_no_errno(
        bind(peer->listener, (const struct sockaddr *)&address, sizeof(address)));
    g_assert_no_errno(listen(peer->listener, 1));
}

static QmpPeer *
peer_new(gboolean raw)
{
    QmpPeer *peer = g_new0(QmpPeer, 1);
    g_autoptr(GError) error = NULL;

    peer->folder = g_dir_make_tmp("qmp-peer-XXXXXX", &error);
    g_assert_no_error(error);
    peer->path = g_build_filename(peer->folder, "qmp", NULL);
    peer->raw = raw;
    peer->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    g_mutex_init(&peer->lock);
    g_cond_init(&peer->changed);
    peer->standing =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)standing_free);
    peer->seen = g_ptr_array_new_with_free_func(drop_json);
    peer->fds = g_array_new(FALSE, FALSE, sizeof(int));
    peer->schema = qmp_peer_load_schema("qemu-7.2");
    peer->connection = -1;
    peer->input = g_string_new(NULL);
    listen_at(peer);
    peer->thread = g_thread_new("qmp-peer", run, peer);
    return peer;
}

QmpPeer *
qmp_peer_new(void)
{
    return peer_new(FALSE);
}

QmpPeer *
qmp_peer_new_raw(void)
{
    return peer_new(TRUE);
}

/* The caller has changed something under the lock. */
static void
wake_thread(QmpPeer *peer)
{
    const guint64 one = 1;

    g_assert_cmpint(write(peer->wake, &one, sizeof(one)), ==, sizeof(one));
    g_cond_broadcast(&peer->changed);
}

void
qmp_peer_finish(QmpPeer *peer)
{
    g_mutex_lock(&peer->lock);
    peer->finishing = TRUE;
    wake_thread(peer);
    g_mutex_unlock(&peer->lock);
    g_thread_join(peer->thread);

    if (!peer->broken && peer->script.length > 0)
        complain(peer, "%u steps of the script were never reached", peer->script.length);

    for (int fd; (fd = qmp_peer_take_fd(peer)) >= 0;)
        close(fd);
    g_queue_clear_full(&peer->script, (GDestroyNotify)step_free);
    g_hash_table_unref(peer->standing);
    g_ptr_array_unref(peer->seen);
    g_array_unref(peer->fds);
    g_string_free(peer->input, TRUE);
    g_mutex_clear(&peer->lock);
    g_cond_clear(&peer->changed);
    close(peer->wake);
    g_unlink(peer->path);
    g_rmdir(peer->folder);
    g_free(peer->path);
    g_free(peer->folder);
    g_free(peer);
}

const char *
qmp_peer_get_path(QmpPeer *peer)
{
    return peer->path;
}

VmpQmpClient *
qmp_peer_connect(QmpPeer *peer)
{
    g_autoptr(GError) error = NULL;
    VmpQmpClient *client = vmp_qmp_client_connect(peer->path, 10000, NULL, &error);

    g_assert_no_error(error);
    vmp_qmp_client_set_label(client, "domain vm1");
    return client;
}

void
qmp_peer_use_schema(QmpPeer *peer, const char *name)
{
    g_mutex_lock(&peer->lock);
    peer->schema = qmp_peer_load_schema(name);
    g_mutex_unlock(&peer->lock);
}

static void
add_step(QmpPeer *peer, Step step)
{
    g_mutex_lock(&peer->lock);
    g_queue_push_tail(&peer->script, g_memdup2(&step, sizeof(step)));
    wake_thread(peer);
    g_mutex_unlock(&peer->lock);
}

static void
add_expectation(QmpPeer *peer, const char *command, const char *arguments, gboolean check)
{
    add_step(peer, (Step){ .kind = STEP_EXPECT,
                           .command = g_strdup(command),
                           .value = arguments ? parse_json(arguments) : NULL,
                           .check = check });
}

void
qmp_peer_expect(QmpPeer *peer, const char *command, const char *arguments)
{
    add_expectation(peer, command, arguments, TRUE);
}

void
qmp_peer_expect_invalid(QmpPeer *peer, const char *command, const char *arguments)
{
    add_expectation(peer, command, arguments, FALSE);
}

void
qmp_peer_reply(QmpPeer *peer, const char *value)
{
    qmp_peer_reply_to(peer, NULL, value);
}

void
qmp_peer_reply_to(QmpPeer *peer, const char *command, const char *value)
{
    add_step(peer, (Step){ .kind = STEP_REPLY,
                           .command = g_strdup(command),
                           .value = parse_json(value) });
}

void
qmp_peer_refuse(QmpPeer *peer, const char *words)
{
    add_step(peer, (Step){ .kind = STEP_REFUSE, .text = g_strdup(words) });
}

void
qmp_peer_event(QmpPeer *peer, const char *event, const char *data)
{
    g_mutex_lock(&peer->lock);
    const gint64 seconds = 1000 + peer->events++;
    g_mutex_unlock(&peer->lock);

    g_autoptr(VmpJson) message = vmp_json_build(
        "s:event", event, "O:data", data ? parse_json(data) : NULL, "o:timestamp",
        vmp_json_build("i:seconds", seconds, "i:microseconds", (gint64)5, NULL), NULL);
    g_autofree char *text = vmp_json_to_text(message);
    g_autofree char *line = g_strconcat(text, "\r\n", NULL);
    qmp_peer_raw(peer, line, -1);
}

void
qmp_peer_raw(QmpPeer *peer, const char *bytes, gssize length)
{
    const gsize size = length < 0 ? strlen(bytes) : (gsize)length;

    add_step(peer, (Step){ .kind = STEP_SEND, .text = g_memdup2(bytes, size), .size = size });
}

void
qmp_peer_drip(QmpPeer *peer, gsize size)
{
    add_step(peer, (Step){ .kind = STEP_DRIP, .size = size });
}

void
qmp_peer_hang_up(QmpPeer *peer)
{
    add_step(peer, (Step){ .kind = STEP_HANG_UP });
}

void
qmp_peer_hold(QmpPeer *peer)
{
    add_step(peer, (Step){ .kind = STEP_HOLD });
}

void
qmp_peer_await_hold(QmpPeer *peer)
{
    g_mutex_lock(&peer->lock);
    while (peer->holds_reached == peer->holds_released && !peer->broken)
        g_cond_wait(&peer->changed, &peer->lock);
    g_mutex_unlock(&peer->lock);
}

void
qmp_peer_release(QmpPeer *peer)
{
    qmp_peer_await_hold(peer);
    g_mutex_lock(&peer->lock);
    peer->holds_released++;
    g_cond_broadcast(&peer->changed);
    g_mutex_unlock(&peer->lock);
}

void
qmp_peer_serve(QmpPeer *peer, const char *command, const char *arguments, const char *value)
{
    qmp_peer_expect(peer, command, arguments);
    qmp_peer_reply_to(peer, command, value);
}

static void
add_standing(QmpPeer *peer, const char *command, Standing standing)
{
    g_mutex_lock(&peer->lock);
    g_hash_table_replace(peer->standing, g_strdup(command),
                         g_memdup2(&standing, sizeof(standing)));
    g_mutex_unlock(&peer->lock);
}

void
qmp_peer_answer(QmpPeer *peer, const char *command, const char *value)
{
    add_standing(peer, command, (Standing){ .value = parse_json(value) });
}

void
qmp_peer_answer_with(QmpPeer *peer, const char *command, QmpPeerFunc func, gpointer data)
{
    add_standing(peer, command, (Standing){ .func = func, .data = data });
}

guint
qmp_peer_count(QmpPeer *peer, const char *command)
{
    guint count = 0;

    g_mutex_lock(&peer->lock);
    for (guint i = 0; i < peer->seen->len; i++)
        if (!command ||
            g_str_equal(vmp_json_get_string(g_ptr_array_index(peer->seen, i), "execute"),
                        command))
            count++;
    g_mutex_unlock(&peer->lock);
    return count;
}

VmpJson *
qmp_peer_get_command(QmpPeer *peer, guint nth)
{
    g_autofree char *text = NULL;

    /* A copy: json-c's reference counts are not for two threads. */
    g_mutex_lock(&peer->lock);
    if (nth < peer->seen->len)
        text = vmp_json_to_text(g_ptr_array_index(peer->seen, nth));
    g_mutex_unlock(&peer->lock);
    return text ? vmp_json_parse(text, -1, NULL) : NULL;
}

int
qmp_peer_take_fd(QmpPeer *peer)
{
    int fd = -1;

    g_mutex_lock(&peer->lock);
    if (peer->fds->len > 0) {
        fd = g_array_index(peer->fds, int, 0);
        g_array_remove_index(peer->fds, 0);
    }
    g_mutex_unlock(&peer->lock);
    return fd;
}
