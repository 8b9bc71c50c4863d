/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The ways to wait for an answer: by callback, for one, for many, for anything. */

#include "base/error.h"
#include "qmp/client-private.h"
#include "qmp/client.h"
#include "qmp/socket.h"

/* ---- by callback ---- */

static void
return_to_task(VmpJson *reply, GError *error, gpointer data)
{
    g_autoptr(GTask) task = data;

    if (error)
        g_task_return_error(task, error);
    else
        g_task_return_pointer(task, reply, vmp_qmp_drop_json);
}

void
vmp_qmp_client_execute_async(VmpQmpClient *client, VmpQmpCommand *command, int fd,
                             int timeout_ms, GCancellable *cancellable,
                             GAsyncReadyCallback callback, gpointer data)
{
    GTask *task = g_task_new(NULL, cancellable, callback, data);

    g_task_set_source_tag(task, vmp_qmp_client_execute_async);
    /* Ours tells an answer that came from one that did not. */
    g_task_set_check_cancellable(task, FALSE);
    vmp_qmp_client_submit(client, command, fd, timeout_ms, cancellable, return_to_task, task);
}

VmpJson *
vmp_qmp_client_execute_finish(VmpQmpClient *client, GAsyncResult *result, GError **error)
{
    /* The client may be gone: its last unref is what completed the command. */
    g_return_val_if_fail(g_async_result_is_tagged(result, vmp_qmp_client_execute_async), NULL);
    return g_task_propagate_pointer(G_TASK(result), error);
}

/* ---- synchronously ---- */

typedef struct {
    gboolean settled;
    VmpJson *reply;
    GError *error;
} Answer;

static void
take_answer(VmpJson *reply, GError *error, gpointer data)
{
    *(Answer *)data = (Answer){ TRUE, reply, error };
}

static void
answer_clear(Answer *answer)
{
    json_object_put(answer->reply);
    g_clear_error(&answer->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Answer, answer_clear)

/* Ends: a command is settled by its answer, its timeout, its cancellable or the end of
 * the conversation, and each of them is an event in the context. */
static void
iterate_until_settled(VmpQmpClient *client, const Answer *answer)
{
    while (!answer->settled)
        g_main_context_iteration(vmp_qmp_client_get_context(client), TRUE);
}

VmpJson *
vmp_qmp_client_execute_fd(VmpQmpClient *client, VmpQmpCommand *command, int fd,
                          GCancellable *cancellable, GError **error)
{
    /* A callback that runs meanwhile may drop the caller's reference. */
    g_autoptr(VmpQmpClient) self = vmp_qmp_client_ref(client);
    g_auto(Answer) answer = { 0 };

    vmp_qmp_client_submit(self, command, fd, vmp_qmp_client_get_timeout(self), cancellable,
                          take_answer, &answer);
    iterate_until_settled(self, &answer);
    if (answer.error)
        g_propagate_error(error, g_steal_pointer(&answer.error));
    return g_steal_pointer(&answer.reply);
}

VmpJson *
vmp_qmp_client_execute(VmpQmpClient *client, VmpQmpCommand *command, GCancellable *cancellable,
                       GError **error)
{
    return vmp_qmp_client_execute_fd(client, command, -1, cancellable, error);
}

gboolean
vmp_qmp_client_run(VmpQmpClient *client, VmpQmpCommand *command, GCancellable *cancellable,
                   GError **error)
{
    g_autoptr(VmpQmpCommand) owned = command;
    g_autoptr(VmpJson) reply =
        client ? vmp_qmp_client_execute(client, owned, cancellable, error) : NULL;

    return reply != NULL;
}

VmpQmpTimeout
vmp_qmp_timeout_begin(VmpQmpClient *client, int timeout_ms)
{
    VmpQmpTimeout timeout = { vmp_qmp_client_ref(client), vmp_qmp_client_get_timeout(client) };

    vmp_qmp_client_set_timeout(client, timeout_ms);
    return timeout;
}

void
vmp_qmp_timeout_end(VmpQmpTimeout *timeout)
{
    vmp_qmp_client_set_timeout(timeout->client, timeout->usual_ms);
    vmp_qmp_client_unref(timeout->client);
}

/* ---- many at once ---- */

static gboolean
is_refusal(const GError *error)
{
    return vmp_error_is(error, VMP_ERROR_REFUSED);
}

/* Which failure stands for all.  Silence outranks refusal: it leaves more in doubt. */
static const GError *
worst_error(const Answer *answers, guint count)
{
    const GError *worst = NULL;

    for (guint i = 0; i < count; i++) {
        const GError *error = answers[i].error;
        if (error && (!worst || (is_refusal(worst) && !is_refusal(error))))
            worst = error;
    }
    return worst;
}

static GPtrArray *
steal_replies(Answer *answers, guint count)
{
    GPtrArray *replies = g_ptr_array_new_full(count, vmp_qmp_drop_json);

    for (guint i = 0; i < count; i++)
        g_ptr_array_add(replies, g_steal_pointer(&answers[i].reply));
    return replies;
}

gboolean
vmp_qmp_client_execute_all(VmpQmpClient *client, GPtrArray *commands, GPtrArray **replies,
                           GCancellable *cancellable, GError **error)
{
    g_autoptr(VmpQmpClient) self = vmp_qmp_client_ref(client);
    const guint count = commands->len;
    g_autofree Answer *answers = g_new0(Answer, count);

    for (guint i = 0; i < count; i++)
        vmp_qmp_client_submit(self, g_ptr_array_index(commands, i), -1,
                              vmp_qmp_client_get_timeout(self), cancellable, take_answer,
                              &answers[i]);
    for (guint i = 0; i < count; i++)
        iterate_until_settled(self, &answers[i]);

    const GError *worst = worst_error(answers, count);
    if (worst)
        g_propagate_error(error, g_error_copy(worst));
    else if (replies)
        *replies = steal_replies(answers, count);

    const gboolean done = !worst;
    for (guint i = 0; i < count; i++)
        answer_clear(&answers[i]);
    return done;
}

/* ---- for anything ---- */

/* Keeps a source in @context as long as it is in scope; it only has to wake us. */
typedef GSource Waker;

static void
waker_free(Waker *waker)
{
    g_source_destroy(waker);
    g_source_unref(waker);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Waker, waker_free)

static gboolean
stay(gpointer data)
{
    return G_SOURCE_CONTINUE;
}

static gboolean
stop_watching(GCancellable *cancellable, gpointer data)
{
    return G_SOURCE_REMOVE;
}

static Waker *
wake_at(GMainContext *context, int timeout_ms)
{
    if (timeout_ms <= 0)
        return NULL;

    GSource *source = g_timeout_source_new((guint)timeout_ms);
    g_source_set_callback(source, stay, NULL, NULL);
    g_source_attach(source, context);
    return source;
}

static Waker *
wake_on_cancel(GMainContext *context, GCancellable *cancellable)
{
    if (!cancellable)
        return NULL;

    GSource *source = g_cancellable_source_new(cancellable);
    g_source_set_callback(source, G_SOURCE_FUNC(stop_watching), NULL, NULL);
    g_source_attach(source, context);
    return source;
}

/* NULL while it is right to wait on. */
static GError *
reason_to_give_up(VmpQmpClient *client, gint64 deadline, int timeout_ms,
                  GCancellable *cancellable)
{
    if (vmp_qmp_client_get_state(client) == VMP_QMP_DEAD)
        return vmp_qmp_client_error(client, VMP_ERROR_DISCONNECTED, "%s",
                                    vmp_qmp_client_get_end(client)->message);
    if (g_cancellable_is_cancelled(cancellable))
        return vmp_qmp_client_error(client, VMP_ERROR_INTERRUPTED,
                                    "cancelled while waiting for QEMU");
    if (g_get_monotonic_time() >= deadline)
        return vmp_qmp_client_error(client, VMP_ERROR_TIMED_OUT,
                                    "gave up waiting for QEMU after %d ms", timeout_ms);
    return NULL;
}

gboolean
vmp_qmp_client_wait(VmpQmpClient *client, VmpQmpDoneFunc done, gpointer data, int timeout_ms,
                    GCancellable *cancellable, GError **error)
{
    g_autoptr(VmpQmpClient) self = vmp_qmp_client_ref(client);
    GMainContext *context = vmp_qmp_client_get_context(self);
    const gint64 deadline = vmp_qmp_deadline_after(timeout_ms);
    G_GNUC_UNUSED g_autoptr(Waker) alarm = wake_at(context, timeout_ms);
    G_GNUC_UNUSED g_autoptr(Waker) cancelled = wake_on_cancel(context, cancellable);

    while (!done(data)) {
        GError *reason = reason_to_give_up(self, deadline, timeout_ms, cancellable);
        if (reason) {
            g_propagate_error(error, reason);
            return FALSE;
        }
        g_main_context_iteration(context, TRUE);
    }
    return TRUE;
}

gboolean
vmp_qmp_client_execute_removal(VmpQmpClient *client, VmpQmpCommand *command, GError **error)
{
    g_autoptr(VmpQmpCommand) owned = command;
    g_autoptr(GError) failure = NULL;
    g_autoptr(VmpJson) reply = vmp_qmp_client_execute(client, owned, NULL, &failure);

    if (reply || vmp_error_is(failure, VMP_ERROR_REFUSED))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}
