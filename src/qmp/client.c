/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp/client.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/file.h"
#include "qmp/calls.h"
#include "qmp/client-private.h"
#include "qmp/events.h"
#include "qmp/mask.h"
#include "qmp/outbox.h"
#include "qmp/socket.h"
#include "qmp/wire.h"

/* How messages travel:
 *
 *   socket -> read_more() -> wire -> inbox -> deliver_one() -> events, calls
 *   commands -> vmp_qmp_client_submit() -> outbox -> flush() -> socket
 *
 * Until READY a loop of our own drives it, so that connecting dispatches nothing
 * else; from then on one GSource does, a message a dispatch.
 *
 * A callback may call synchronously and thus iterate the context, which dispatches
 * this source again.  Therefore nothing that says how far we are lives on the stack:
 * whoever dispatches next goes on from there.
 */

#define DEFAULT_TIMEOUT_MS 60000
#define READ_SIZE ((gsize)64 * 1024)

/* A peer that sends without pause is given this much longer, since the answer may
 * be on its way behind the rest. */
#define GRACE_US (1 * G_TIME_SPAN_SECOND)

struct _VmpQmpClient {
    gatomicrefcount references;
    VmpQmpState state;
    GMainContext *context;
    GSource *source; /* from READY to DEAD */
    gpointer tag;    /* of the socket in the source */
    VmpFd socket;    /* -1 when DEAD */
    VmpQmpWire *wire;
    VmpQmpOutbox *outbox;
    GQueue inbox;       /* messages that are read and not delivered */
    GError *send_error; /* the peer reads no more; what it has sent still counts */
    GError *end;        /* why there will be no more messages, or why it is DEAD */
    gboolean greeted_again;
    char *buffer; /* READ_SIZE bytes */

    VmpQmpCalls *calls;
    VmpQmpEvents *events;

    char *label;
    char *version;
    int timeout_ms;
    VmpQmpTraceFunc trace;
    gpointer trace_data;
};

typedef struct {
    GSource source;
    VmpQmpClient *client; /* not a reference: the client owns us */
} ClientSource;

static void kill_client(VmpQmpClient *client);

/* ---- the state machine ---- */

gboolean
vmp_qmp_state_may_follow(VmpQmpState from, VmpQmpState to)
{
    static const gboolean table[VMP_QMP_DEAD + 1][VMP_QMP_DEAD + 1] = {
        [VMP_QMP_CONNECTING] = { [VMP_QMP_GREETING] = TRUE, [VMP_QMP_DEAD] = TRUE },
        [VMP_QMP_GREETING] = { [VMP_QMP_NEGOTIATING] = TRUE, [VMP_QMP_DEAD] = TRUE },
        [VMP_QMP_NEGOTIATING] = { [VMP_QMP_READY] = TRUE, [VMP_QMP_DEAD] = TRUE },
        [VMP_QMP_READY] = { [VMP_QMP_DEAD] = TRUE },
    };

    return table[from][to];
}

static void
set_state(VmpQmpClient *client, VmpQmpState state)
{
    g_assert(vmp_qmp_state_may_follow(client->state, state));
    client->state = state;
}

/* ---- sending ---- */

static void
trace(VmpQmpClient *client, gboolean sent, VmpJson *message)
{
    if (!client->trace)
        return;
    g_autofree char *text = vmp_qmp_masked_text(message);
    client->trace(sent, text, client->trace_data);
}

/* Tells the source what to wait for. */
static void
update_source(VmpQmpClient *client)
{
    if (!client->source)
        return;

    const gint64 deadline = vmp_qmp_calls_get_deadline(client->calls);
    const GIOCondition out =
        vmp_qmp_outbox_is_empty(client->outbox) ? (GIOCondition)0 : G_IO_OUT;

    g_source_modify_unix_fd(client->source, client->tag, G_IO_IN | out);
    g_source_set_ready_time(client->source, deadline == G_MAXINT64 ? -1 : deadline);
}

/* A peer that hung up may have answered before: what can still be read is read
 * first, and only then is it the end. */
static void
flush(VmpQmpClient *client)
{
    if (client->send_error || client->socket < 0)
        return;
    if (!vmp_qmp_outbox_flush(client->outbox, client->socket, &client->send_error))
        vmp_qmp_outbox_clear(client->outbox);
}

static gboolean
post(VmpQmpClient *client, VmpQmpCommand *command, const char *id, int fd, GError **error)
{
    g_autoptr(VmpJson) message = vmp_qmp_command_to_json(command);
    vmp_json_add(message, "s:id", id, NULL);

    g_autofree char *text = vmp_json_to_text(message);
    g_autofree char *line = g_strconcat(text, "\n", NULL);
    if (!vmp_qmp_outbox_add(client->outbox, line, strlen(line), fd, error))
        return FALSE;
    trace(client, TRUE, message);
    return TRUE;
}

/* What speaks against sending anything at all; NULL if nothing does. */
static GError *
find_objection(VmpQmpClient *client, const char *name, GCancellable *cancellable)
{
    if (client->state == VMP_QMP_DEAD)
        return vmp_qmp_client_error(client, VMP_ERROR_DISCONNECTED, "cannot send %s: %s", name,
                                    client->end->message);
    if (g_cancellable_is_cancelled(cancellable))
        return vmp_qmp_client_error(client, VMP_ERROR_INTERRUPTED,
                                    "cancelled before sending %s", name);
    return NULL;
}

void
vmp_qmp_client_submit(VmpQmpClient *client, VmpQmpCommand *command, int fd, int timeout_ms,
                      GCancellable *cancellable, VmpQmpReplyFunc func, gpointer data)
{
    const char *name = vmp_qmp_command_get_name(command);
    g_autofree char *id = vmp_qmp_calls_make_id(client->calls);
    GError *error = find_objection(client, name, cancellable);

    if (error || !post(client, command, id, fd, &error)) {
        func(NULL, error, data);
        return;
    }

    vmp_qmp_calls_add(client->calls, id, name, timeout_ms, cancellable, func, data);
    flush(client);
    update_source(client);
}

/* ---- receiving ---- */

static void end_conversation(VmpQmpClient *client, VmpErrorCode code, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* No more messages will come; those in the inbox still count.  The first reason stays. */
static void
end_conversation(VmpQmpClient *client, VmpErrorCode code, const char *format, ...)
{
    va_list args;

    if (client->end)
        return;
    va_start(args, format);
    client->end = g_error_new_valist(VMP_ERROR, (int)code, format, args);
    va_end(args);
}

static void
end_by_hangup(VmpQmpClient *client)
{
    if (vmp_qmp_wire_is_inside_message(client->wire))
        end_conversation(client, VMP_ERROR_DISCONNECTED,
                         "QEMU closed the connection in the middle of a message");
    else
        end_conversation(client, VMP_ERROR_DISCONNECTED, "QEMU closed the connection%s",
                         client->state == VMP_QMP_GREETING ? " without a greeting" : "");
}

static void
end_by_errno(VmpQmpClient *client, int errnum)
{
    if (errnum == ECONNRESET)
        end_by_hangup(client);
    else
        end_conversation(client, VMP_ERROR_DISCONNECTED, "cannot receive: %s",
                         g_strerror(errnum));
}

/* Reads until there is a message, the end, or nothing more for now. */
static void
read_more(VmpQmpClient *client)
{
    while (client->inbox.length == 0 && !client->end) {
        const gssize got = recv(client->socket, client->buffer, READ_SIZE, MSG_DONTWAIT);

        if (got > 0) {
            vmp_qmp_wire_feed(client->wire, client->buffer, (gsize)got, &client->inbox,
                              &client->end);
        } else if (got == 0) {
            end_by_hangup(client);
        } else if (errno == EAGAIN) {
            client->end = g_steal_pointer(&client->send_error);
            return;
        } else if (errno != EINTR) {
            end_by_errno(client, errno);
        }
    }
}

static void
handle_reply(VmpQmpClient *client, VmpJson *message)
{
    if (vmp_qmp_calls_answer(client->calls, message))
        return;

    /* QEMU has no id to give where it did not understand us at all. */
    const char *words = vmp_json_get_string(vmp_json_get_object(message, "error"), "desc");
    end_conversation(client, VMP_ERROR_INVALID, "QEMU answered what nobody asked%s%s",
                     words ? ": " : "", words ? words : "");
    kill_client(client);
}

static void
on_negotiated(VmpJson *reply, GError *error, gpointer data)
{
    VmpQmpClient *client = data;

    if (error)
        end_conversation(client, VMP_ERROR_INVALID, "%s", error->message);
    else
        set_state(client, VMP_QMP_READY);
    json_object_put(reply);
    g_clear_error(&error);
}

static char *
read_version(VmpJson *greeting)
{
    VmpJson *qemu = vmp_json_get_object(vmp_json_get_object(greeting, "version"), "qemu");

    return g_strdup_printf("%" G_GINT64_FORMAT ".%" G_GINT64_FORMAT ".%" G_GINT64_FORMAT,
                           vmp_json_get_int(qemu, "major", 0),
                           vmp_json_get_int(qemu, "minor", 0),
                           vmp_json_get_int(qemu, "micro", 0));
}

static void
handle_greeting(VmpQmpClient *client, VmpJson *message)
{
    VmpJson *greeting = vmp_json_get_object(message, "QMP");

    if (!greeting) {
        end_conversation(client, VMP_ERROR_INVALID, "it speaks JSON but sent no QMP greeting");
        kill_client(client);
        return;
    }
    client->version = read_version(greeting);
    set_state(client, VMP_QMP_NEGOTIATING);

    g_autoptr(VmpQmpCommand) capabilities = vmp_qmp_command_new("qmp_capabilities", NULL);
    vmp_qmp_client_submit(client, capabilities, -1, 0, NULL, on_negotiated, client);
}

/* That negotiation was complete already is as good. */
static void
on_negotiated_again(VmpJson *reply, GError *error, gpointer data G_GNUC_UNUSED)
{
    json_object_put(reply);
    g_clear_error(&error);
}

/* A connection that is accepted while QEMU still sets its monitor up in another thread can be
 * greeted twice.  The second greeting starts negotiation anew, on QEMU's side too. */
static void
handle_repeated_greeting(VmpQmpClient *client)
{
    g_autoptr(VmpQmpCommand) capabilities = vmp_qmp_command_new("qmp_capabilities", NULL);

    client->greeted_again = TRUE;
    vmp_qmp_client_submit(client, capabilities, -1, 0, NULL, on_negotiated_again, client);
}

static void
handle_message(VmpQmpClient *client, VmpJson *message)
{
    trace(client, FALSE, message);

    if (client->state == VMP_QMP_GREETING) {
        handle_greeting(client, message);
    } else if (client->state == VMP_QMP_NEGOTIATING && !client->greeted_again &&
               vmp_json_get_object(message, "QMP")) {
        handle_repeated_greeting(client);
    } else if (vmp_json_get_string(message, "event")) {
        vmp_qmp_events_begin(client->events, message);
        vmp_qmp_events_serve(client->events, client);
    } else if (json_object_object_get_ex(message, "return", NULL) ||
               vmp_json_get_object(message, "error")) {
        handle_reply(client, message);
    } else {
        end_conversation(client, VMP_ERROR_INVALID,
                         "QEMU sent a message that is neither reply nor event");
        kill_client(client);
    }
}

/* FALSE if there is nothing to deliver. */
static gboolean
deliver_one(VmpQmpClient *client)
{
    if (vmp_qmp_events_is_current(client->events)) {
        vmp_qmp_events_serve(client->events, client);
    } else if (client->inbox.length > 0) {
        g_autoptr(VmpJson) message = g_queue_pop_head(&client->inbox);
        handle_message(client, message);
    } else if (client->end && client->state != VMP_QMP_DEAD) {
        kill_client(client);
    } else {
        return FALSE;
    }
    return TRUE;
}

/* ---- time ---- */

/* A command without an answer in time is a verdict on QEMU, not on the command: what
 * was sent after it can have no answer either. */
static void
expire(VmpQmpClient *client, gint64 now)
{
    if (vmp_qmp_calls_get_deadline(client->calls) > now)
        return;
    end_conversation(client, VMP_ERROR_TIMED_OUT, "QEMU stalled");
    kill_client(client);
}

/* ---- the main loop's side ---- */

static gboolean
source_prepare(GSource *source, int *timeout)
{
    VmpQmpClient *client = ((ClientSource *)source)->client;

    *timeout = -1;
    return vmp_qmp_events_is_current(client->events) || client->inbox.length > 0 ||
           client->end || client->send_error;
}

static gboolean
source_check(GSource *source)
{
    VmpQmpClient *client = ((ClientSource *)source)->client;
    int timeout;

    return g_source_query_unix_fd(source, client->tag) != 0 ||
           source_prepare(source, &timeout);
}

static gboolean
source_dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    g_autoptr(VmpQmpClient) client = vmp_qmp_client_ref(((ClientSource *)source)->client);

    flush(client);
    gboolean delivered = deliver_one(client);
    if (!delivered) {
        read_more(client);
        delivered = deliver_one(client);
    }
    if (client->state != VMP_QMP_DEAD)
        expire(client, g_get_monotonic_time() - (delivered ? GRACE_US : 0));
    update_source(client);
    return G_SOURCE_CONTINUE;
}

static void
attach_source(VmpQmpClient *client)
{
    static GSourceFuncs funcs = {
        .prepare = source_prepare,
        .check = source_check,
        .dispatch = source_dispatch,
    };

    client->source = g_source_new(&funcs, sizeof(ClientSource));
    ((ClientSource *)client->source)->client = client;
    client->tag = g_source_add_unix_fd(client->source, client->socket, G_IO_IN);
    g_source_set_static_name(client->source, "QMP");
    /* So that a callback may call synchronously. */
    g_source_set_can_recurse(client->source, TRUE);
    g_source_attach(client->source, client->context);
}

/* ---- life ---- */

static VmpQmpClient *
client_new(void)
{
    VmpQmpClient *client = g_new0(VmpQmpClient, 1);

    g_atomic_ref_count_init(&client->references);
    client->state = VMP_QMP_CONNECTING;
    client->context = g_main_context_ref_thread_default();
    client->socket = -1;
    client->wire = vmp_qmp_wire_new(VMP_QMP_MESSAGE_LIMIT);
    client->outbox = vmp_qmp_outbox_new();
    client->buffer = g_malloc(READ_SIZE);
    client->calls = vmp_qmp_calls_new(client);
    client->events = vmp_qmp_events_new();
    client->timeout_ms = DEFAULT_TIMEOUT_MS;
    return client;
}

static void
close_everything(VmpQmpClient *client)
{
    if (client->source) {
        g_source_destroy(client->source);
        g_clear_pointer(&client->source, g_source_unref);
    }
    vmp_fd_clear(&client->socket);
    vmp_qmp_outbox_clear(client->outbox);
    g_queue_clear_full(&client->inbox, vmp_qmp_drop_json);
}

/* The state is DEAD before anyone is told, so that nobody can send from a callback and
 * wait for ever.  The caller holds a reference, or is the last unref. */
static void
kill_client(VmpQmpClient *client)
{
    if (client->state == VMP_QMP_DEAD)
        return;
    set_state(client, VMP_QMP_DEAD);
    close_everything(client);
    vmp_qmp_calls_give_up(client->calls, client->end);
}

static void
client_free(VmpQmpClient *client)
{
    end_conversation(client, VMP_ERROR_DISCONNECTED, "the conversation was closed");
    kill_client(client);
    vmp_qmp_wire_free(client->wire);
    vmp_qmp_outbox_free(client->outbox);
    g_clear_error(&client->send_error);
    g_clear_error(&client->end);
    vmp_qmp_calls_free(client->calls);
    vmp_qmp_events_free(client->events);
    g_main_context_unref(client->context);
    g_free(client->buffer);
    g_free(client->label);
    g_free(client->version);
    g_free(client);
}

VmpQmpClient *
vmp_qmp_client_ref(VmpQmpClient *client)
{
    g_atomic_ref_count_inc(&client->references);
    return client;
}

void
vmp_qmp_client_unref(VmpQmpClient *client)
{
    if (g_atomic_ref_count_dec(&client->references))
        client_free(client);
}

/* ---- connecting ---- */

/* Silence has two meanings: before the greeting somebody else has the monitor's ear;
 * after it QEMU was there and does not answer. */
static gboolean
wait_for_peer(VmpQmpClient *client, gint64 deadline, GCancellable *cancellable, GError **error)
{
    const GIOCondition out =
        vmp_qmp_outbox_is_empty(client->outbox) ? (GIOCondition)0 : G_IO_OUT;
    g_autoptr(GError) failure = NULL;

    if (vmp_qmp_socket_wait(client->socket, G_IO_IN | out, deadline, cancellable, &failure))
        return TRUE;
    if (client->state == VMP_QMP_GREETING && vmp_error_is(failure, VMP_ERROR_TIMED_OUT))
        return vmp_fail(error, VMP_ERROR_BUSY,
                        "no greeting: another client holds the monitor, or QEMU is stuck");
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

static gboolean
shake_hands(VmpQmpClient *client, gint64 deadline, GCancellable *cancellable, GError **error)
{
    while (client->state != VMP_QMP_READY && client->state != VMP_QMP_DEAD) {
        if (deliver_one(client))
            continue;
        if (!wait_for_peer(client, deadline, cancellable, error))
            return FALSE;
        flush(client);
        read_more(client);
    }
    if (client->state == VMP_QMP_READY)
        return TRUE;
    g_propagate_error(error, g_error_copy(client->end));
    return FALSE;
}

/* Takes @fd. */
static VmpQmpClient *
converse(int fd, gint64 deadline, GCancellable *cancellable, GError **error)
{
    g_autoptr(VmpQmpClient) client = client_new();

    client->socket = fd;
    set_state(client, VMP_QMP_GREETING);
    if (!shake_hands(client, deadline, cancellable, error))
        return NULL;
    attach_source(client);
    return g_steal_pointer(&client);
}

VmpQmpClient *
vmp_qmp_client_connect(const char *path, int timeout_ms, GCancellable *cancellable,
                       GError **error)
{
    VMP_ERROR_CONTEXT(error, "QMP monitor %s", path);

    const gint64 deadline = vmp_qmp_deadline_after(timeout_ms);
    const int fd = vmp_qmp_socket_connect(path, deadline, cancellable, error);

    return fd >= 0 ? converse(fd, deadline, cancellable, error) : NULL;
}

VmpQmpClient *
vmp_qmp_client_from_fd(int fd, int timeout_ms, GCancellable *cancellable, GError **error)
{
    return converse(fd, vmp_qmp_deadline_after(timeout_ms), cancellable, error);
}

/* ---- properties ---- */

VmpQmpState
vmp_qmp_client_get_state(VmpQmpClient *client)
{
    return client->state;
}

const char *
vmp_qmp_client_get_version(VmpQmpClient *client)
{
    return client->version;
}

GPid
vmp_qmp_client_get_peer(VmpQmpClient *client)
{
    struct ucred peer = { 0 };
    socklen_t length = sizeof peer;

    if (getsockopt(client->socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
        return 0;
    return peer.pid;
}

void
vmp_qmp_client_set_label(VmpQmpClient *client, const char *label)
{
    g_free(client->label);
    client->label = g_strdup(label);
}

void
vmp_qmp_client_set_trace(VmpQmpClient *client, VmpQmpTraceFunc func, gpointer data)
{
    client->trace = func;
    client->trace_data = data;
}

void
vmp_qmp_client_set_timeout(VmpQmpClient *client, int timeout_ms)
{
    client->timeout_ms = timeout_ms;
}

int
vmp_qmp_client_get_timeout(VmpQmpClient *client)
{
    return client->timeout_ms;
}

guint
vmp_qmp_client_subscribe(VmpQmpClient *client, const char *event, VmpQmpEventFunc func,
                         gpointer data)
{
    return vmp_qmp_events_subscribe(client->events, event, func, data);
}

void
vmp_qmp_client_unsubscribe(VmpQmpClient *client, guint id)
{
    vmp_qmp_events_unsubscribe(client->events, id);
}

/* ---- for execute.c ---- */

GMainContext *
vmp_qmp_client_get_context(VmpQmpClient *client)
{
    return client->context;
}

const GError *
vmp_qmp_client_get_end(VmpQmpClient *client)
{
    return client->end;
}

GError *
vmp_qmp_client_error(VmpQmpClient *client, VmpErrorCode code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    GError *error = g_error_new_valist(VMP_ERROR, (int)code, format, args);
    va_end(args);
    if (client->label)
        g_prefix_error(&error, "%s: ", client->label);
    return error;
}
