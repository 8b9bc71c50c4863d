/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Whatever a monitor may send.  For any bytes:
 *
 *   the wire says the same whether they come in one piece or in many;
 *   no schema that can be made of a message harms those who ask it;
 *   a client ends every command exactly once, and in time.
 *
 * The first byte says in pieces of what size; "$ID" stands for the id of the command
 * before, so that mutants can answer and not only shout.
 */

#include "fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "qmp/client.h"
#include "qmp/commands.h"
#include "qmp/mask.h"
#include "qmp/schema.h"
#include "qmp/wire.h"

#define FUZZ_MAX_SIZE ((size_t)32 * 1024)
#define WIRE_LIMIT ((gsize)8 * 1024)

#define GREETING \
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 0, \"major\": 9}}}}\n"

const char *const fuzz_seeds[] = {
    "\3{\"return\": {\"a\": [1, -2.5e3, true, null, \"\xc3\xa9\\u00e9\"]}, \"id\": "
    "\"$ID\"}\r\n"
    "{\"event\": \"STOP\", \"timestamp\": {\"seconds\": 1, \"microseconds\": 2}}\r\n",
    "\1{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}, \"id\": \"$ID\"}\n",
    "\7{\"event\": \"JOB_STATUS_CHANGE\", \"data\": {\"id\": \"j\"}}{\"event\": \"STOP\"}",
    "\40HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
    "\20{\"return\": [{\"name\": \"stop\", \"meta-type\": \"command\", \"arg-type\": \"0\"}, "
    "{\"name\": \"0\", \"meta-type\": \"object\", \"tag\": \"t\", \"members\": [{\"name\": "
    "\"t\", "
    "\"type\": \"1\"}, {\"name\": \"a\", \"type\": \"[2]\", \"default\": null}], "
    "\"variants\": "
    "[{\"case\": \"x\", \"type\": \"0\"}]}, {\"name\": \"1\", \"meta-type\": \"enum\", "
    "\"values\": "
    "[\"x\"]}, {\"name\": \"[2]\", \"meta-type\": \"array\", \"element-type\": \"2\"}, "
    "{\"name\": \"2\", \"meta-type\": \"alternate\", \"members\": [{\"type\": \"0\"}, "
    "{\"type\": \"2\"}]}], \"id\": \"$ID\"}\n",
    NULL,
};

static void
drop_message(gpointer message)
{
    json_object_put(message);
}

/* ---- the wire ---- */

static gboolean
feed_in_pieces(const char *bytes, gsize length, gsize size, GQueue *messages)
{
    g_autoptr(VmpQmpWire) wire = vmp_qmp_wire_new(WIRE_LIMIT);
    gboolean fed = TRUE;

    for (gsize at = 0; fed && at < length; at += size) {
        g_autoptr(GError) error = NULL;
        fed = vmp_qmp_wire_feed(wire, bytes + at, MIN(size, length - at), messages, &error);
        g_assert_true(fed || error);
    }
    return fed;
}

/* A cut inside of a broken character may put off the verdict, no more. */
static void
try_wire(const char *bytes, gsize length, gsize size, GQueue *messages)
{
    GQueue pieced = G_QUEUE_INIT;

    feed_in_pieces(bytes, length, length, messages);
    feed_in_pieces(bytes, length, size, &pieced);

    g_assert_cmpuint(pieced.length, ==, messages->length);
    for (GList *a = messages->head, *b = pieced.head; a; a = a->next, b = b->next) {
        g_autofree char *text = vmp_qmp_masked_text(a->data);
        g_autofree char *pieced_text = vmp_qmp_masked_text(b->data);
        g_assert_true(g_utf8_validate(text, -1, NULL));
        g_assert_cmpstr(text, ==, pieced_text);
    }
    g_queue_clear_full(&pieced, drop_message);
}

/* ---- the schema ---- */

static void
ask_schema(const VmpQmpSchema *schema)
{
    static const char *const paths[] = {
        "t", "+x/t", "a/t", "a/+x/a/t", "t/+x", "a/+x/+x/+x"
    };

    for (guint i = 0; i < G_N_ELEMENTS(paths); i++) {
        vmp_qmp_schema_has(schema, "stop", paths[i]);
        vmp_qmp_schema_is_deprecated(schema, "stop", paths[i]);
    }
}

static void
check_with_schema(const VmpQmpSchema *schema, VmpJson *arguments)
{
    g_autoptr(VmpQmpCommand) command =
        vmp_qmp_command_new("stop", arguments ? json_object_get(arguments) : NULL);
    g_autoptr(GError) error = NULL;

    g_free(vmp_qmp_schema_find_deprecated(schema, command));
    g_assert_true(vmp_qmp_schema_check(schema, command, &error) || error);
}

/* Every message is taken for a schema, and every other for arguments. */
static void
try_schema(GQueue *messages)
{
    g_autoptr(VmpJson) sample =
        vmp_json_build("s:t", "x", "o:a", vmp_json_build("s:t", "x", NULL), NULL);

    for (GList *link = messages->head; link; link = link->next) {
        VmpJson *message = link->data;
        g_autoptr(VmpQmpSchema) schema =
            vmp_qmp_schema_new(vmp_json_get(message, "return"), NULL);
        if (!schema)
            continue;
        ask_schema(schema);
        check_with_schema(schema, sample);
        for (GList *other = messages->head; other; other = other->next)
            check_with_schema(schema, other->data);
    }
}

/* ---- the client ---- */

typedef struct {
    int socket;
    const char *bytes;
    gsize length;
} Monitor;

static gboolean
write_all(int socket, const char *bytes, gsize length)
{
    while (length > 0) {
        const gssize sent = send(socket, bytes, length, MSG_NOSIGNAL);
        if (sent <= 0)
            return FALSE;
        bytes += sent;
        length -= (gsize)sent;
    }
    return TRUE;
}

/* The id of the next command; NULL if none comes. */
static char *
read_id(int socket)
{
    g_autoptr(GString) line = g_string_new(NULL);

    while (!strchr(line->str, '\n')) {
        char bytes[1024];
        const gssize got = recv(socket, bytes, sizeof(bytes), 0);
        if (got <= 0)
            return NULL;
        g_string_append_len(line, bytes, got);
    }
    g_autoptr(VmpJson) command = vmp_json_parse(line->str, (gssize)line->len, NULL);
    return g_strdup(vmp_json_get_string(command, "id"));
}

/* Negotiates, then says what the input is, and hangs up. */
static gpointer
be_monitor(gpointer data)
{
    Monitor *monitor = data;
    g_autofree char *first = NULL;
    g_autofree char *second = NULL;

    write_all(monitor->socket, GREETING, strlen(GREETING));
    if ((first = read_id(monitor->socket))) {
        g_autofree char *reply = g_strdup_printf("{\"return\": {}, \"id\": \"%s\"}\n", first);
        write_all(monitor->socket, reply, strlen(reply));
        second = read_id(monitor->socket);
    }
    if (second) {
        g_autoptr(GString) text = g_string_new_len(monitor->bytes, (gssize)monitor->length);
        g_string_replace(text, "$ID", second, 0);
        write_all(monitor->socket, text->str, text->len);
    }
    close(monitor->socket);
    return NULL;
}

static void
count_event(VmpQmpClient *client, const char *event, VmpJson *data, gint64 timestamp_us,
            gpointer user_data)
{
    g_assert_nonnull(event);
    ++*(guint *)user_data;
}

static void
converse(int socket)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpQmpClient) client = vmp_qmp_client_from_fd(socket, 10000, NULL, &error);
    g_assert_no_error(error);

    guint events = 0;
    g_autoptr(VmpQmpCommand) stop = vmp_qmp_stop();
    vmp_qmp_client_subscribe(client, NULL, count_event, &events);
    vmp_qmp_client_set_timeout(client, 10000);
    for (guint i = 0; i < 2; i++) {
        g_autoptr(GError) refusal = NULL;
        g_autoptr(VmpJson) reply = vmp_qmp_client_execute(client, stop, NULL, &refusal);
        g_assert_true(!reply != !refusal);
        g_assert_false(vmp_error_is(refusal, VMP_ERROR_TIMED_OUT));
    }
    /* It hung up after the first: the second cannot have had an answer. */
    g_assert_cmpint(vmp_qmp_client_get_state(client), ==, VMP_QMP_DEAD);
}

static void
try_client(const char *bytes, gsize length)
{
    int pair[2];

    g_assert_no_errno(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    Monitor monitor = { pair[1], bytes, length };
    GThread *thread = g_thread_new("monitor", be_monitor, &monitor);
    converse(pair[0]);
    g_thread_join(thread);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > FUZZ_MAX_SIZE)
        return 0;

    const char *bytes = (const char *)data + 1;
    GQueue messages = G_QUEUE_INIT;

    try_wire(bytes, size - 1, MAX(data[0], 1), &messages);
    try_schema(&messages);
    try_client(bytes, size - 1);
    g_queue_clear_full(&messages, drop_message);
    return 0;
}
