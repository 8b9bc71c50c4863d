/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp/calls.h"

#include "qmp/socket.h"

typedef struct {
    VmpQmpClient *client; /* for errors; not a reference */
    char *id;
    char *command; /* its name, for messages */
    int timeout_ms;
    gint64 deadline;      /* G_MAXINT64 if there is none */
    GSource *cancelled;   /* or NULL */
    VmpQmpReplyFunc func; /* NULL when nobody waits any more: the answer is swallowed */
    gpointer data;
} Call;

struct _VmpQmpCalls {
    VmpQmpClient *client;
    GQueue calls;
    char *id_prefix;
    guint64 last_id;
};

VmpQmpCalls *
vmp_qmp_calls_new(VmpQmpClient *client)
{
    VmpQmpCalls *calls = g_new0(VmpQmpCalls, 1);

    calls->client = client;
    /* Short, for QEMU reads its monitor byte by byte; and not the one of the client before us.
     */
    calls->id_prefix = g_strdup_printf("%04x-", g_random_int() & 0xffff);
    return calls;
}

void
vmp_qmp_calls_free(VmpQmpCalls *calls)
{
    g_assert(calls->calls.length == 0);
    g_free(calls->id_prefix);
    g_free(calls);
}

static void
call_free(Call *call)
{
    if (call->cancelled) {
        g_source_destroy(call->cancelled);
        g_source_unref(call->cancelled);
    }
    g_free(call->id);
    g_free(call->command);
    g_free(call);
}

/* Hands over the outcome; nobody waits afterwards.  @reply and @error are consumed. */
static void
settle(Call *call, VmpJson *reply, GError *error)
{
    VmpQmpReplyFunc func = g_steal_pointer(&call->func);

    call->deadline = G_MAXINT64;
    if (func) {
        func(reply, error, call->data);
    } else {
        json_object_put(reply);
        g_clear_error(&error);
    }
}

/* Cancelling stops waiting, not QEMU: the entry stays, to know the answer by. */
static gboolean
on_cancelled(GCancellable *cancellable, gpointer data)
{
    Call *call = data;

    settle(call, NULL,
           vmp_qmp_client_error(call->client, VMP_ERROR_INTERRUPTED,
                                "cancelled while waiting for the answer to %s",
                                call->command));
    return G_SOURCE_REMOVE;
}

static void
watch_cancellable(Call *call, GCancellable *cancellable)
{
    if (!cancellable)
        return;
    call->cancelled = g_cancellable_source_new(cancellable);
    g_source_set_callback(call->cancelled, G_SOURCE_FUNC(on_cancelled), call, NULL);
    g_source_attach(call->cancelled, vmp_qmp_client_get_context(call->client));
}

char *
vmp_qmp_calls_make_id(VmpQmpCalls *calls)
{
    return g_strdup_printf("%s%" G_GUINT64_FORMAT, calls->id_prefix, ++calls->last_id);
}

void
vmp_qmp_calls_add(VmpQmpCalls *calls, const char *id, const char *command, int timeout_ms,
                  GCancellable *cancellable, VmpQmpReplyFunc func, gpointer data)
{
    Call *call = g_new0(Call, 1);

    *call = (Call){
        .client = calls->client,
        .id = g_strdup(id),
        .command = g_strdup(command),
        .timeout_ms = timeout_ms,
        .deadline = vmp_qmp_deadline_after(timeout_ms),
        .func = func,
        .data = data,
    };
    watch_cancellable(call, cancellable);
    g_queue_push_tail(&calls->calls, call);
}

/* A monitor outlives its clients, and a slow command of an earlier one may be answered
 * to us.  Therefore ids are ours alone, and what has a foreign one is not for us. */
static gboolean
is_foreign(const VmpQmpCalls *calls, VmpJson *message)
{
    const char *id = vmp_json_get_string(message, "id");

    if (id)
        return !g_str_has_prefix(id, calls->id_prefix);
    return json_object_object_get_ex(message, "id", NULL);
}

static Call *
take_call(VmpQmpCalls *calls, const char *id)
{
    for (GList *link = calls->calls.head; link; link = link->next) {
        Call *call = link->data;
        if (g_strcmp0(call->id, id) == 0) {
            g_queue_delete_link(&calls->calls, link);
            return call;
        }
    }
    return NULL;
}

static GError *
refusal(const Call *call, VmpJson *error)
{
    const char *words = vmp_json_get_string(error, "desc");

    return vmp_qmp_client_error(call->client, VMP_ERROR_REFUSED, "QEMU refused %s: %s",
                                call->command, words ? words : "no reason given");
}

/* Never NULL, so that NULL always means failure. */
static VmpJson *
read_return(VmpJson *message)
{
    VmpJson *value = vmp_json_get(message, "return");

    return value ? json_object_get(value) : json_object_new_object();
}

gboolean
vmp_qmp_calls_answer(VmpQmpCalls *calls, VmpJson *message)
{
    if (is_foreign(calls, message))
        return TRUE;

    Call *call = take_call(calls, vmp_json_get_string(message, "id"));
    if (!call)
        return FALSE;

    VmpJson *error = vmp_json_get_object(message, "error");
    if (error)
        settle(call, NULL, refusal(call, error));
    else
        settle(call, read_return(message), NULL);
    call_free(call);
    return TRUE;
}

gint64
vmp_qmp_calls_get_deadline(const VmpQmpCalls *calls)
{
    gint64 earliest = G_MAXINT64;

    for (const GList *link = calls->calls.head; link; link = link->next)
        earliest = MIN(earliest, ((const Call *)link->data)->deadline);
    return earliest;
}

static GError *
silence(const Call *call, const GError *end, gint64 now)
{
    if (end->code == VMP_ERROR_TIMED_OUT && call->deadline <= now)
        return vmp_qmp_client_error(call->client, VMP_ERROR_TIMED_OUT,
                                    "no answer to %s within %d ms", call->command,
                                    call->timeout_ms);
    return vmp_qmp_client_error(call->client, VMP_ERROR_DISCONNECTED, "no answer to %s: %s",
                                call->command, end->message);
}

void
vmp_qmp_calls_give_up(VmpQmpCalls *calls, const GError *end)
{
    const gint64 now = g_get_monotonic_time();
    Call *call;

    while ((call = g_queue_pop_head(&calls->calls))) {
        settle(call, NULL, silence(call, end, now));
        call_free(call);
    }
}
