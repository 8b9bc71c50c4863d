/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp/agent.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/file.h"
#include "qmp/agent-commands.h"
#include "qmp/socket.h"
#include "qmp/wire.h"

/* Not in any JSON text, nor in any UTF-8. */
#define DELIMITER '\xff'
/* What a guest may make us keep: the list of some thousand file systems is far below. */
#define MESSAGE_LIMIT ((gsize)4 * 1024 * 1024)

struct _VmpAgent {
    VmpFd fd;
    VmpQmpWire *wire; /* NULL: what comes is not for us, up to the next delimiter */
    GQueue messages;  /* of VmpJson */
    gboolean behind;
    gboolean gone; /* hung up */
};

static void
drop_message(gpointer message)
{
    json_object_put(message);
}

void
vmp_agent_free(VmpAgent *agent)
{
    if (!agent)
        return;
    vmp_fd_clear(&agent->fd);
    g_clear_pointer(&agent->wire, vmp_qmp_wire_free);
    g_queue_clear_full(&agent->messages, drop_message);
    g_free(agent);
}

gboolean
vmp_agent_is_behind(const VmpAgent *agent)
{
    return agent->behind;
}

int
vmp_agent_get_fd(const VmpAgent *agent)
{
    return agent->fd;
}

/* ---- what comes ---- */

/* All that has come before is somebody else's. */
static void
begin_anew(VmpAgent *agent)
{
    g_clear_pointer(&agent->wire, vmp_qmp_wire_free);
    g_queue_clear_full(&agent->messages, drop_message);
}

/* Bytes between two delimiters. */
static gboolean
take_stretch(VmpAgent *agent, const char *bytes, gsize length, GError **error)
{
    return !agent->wire || length == 0 ||
           vmp_qmp_wire_feed(agent->wire, bytes, length, &agent->messages, error);
}

static gboolean
take_bytes(VmpAgent *agent, const char *bytes, gsize length, GError **error)
{
    const char *end = bytes + length;

    for (const char *mark = memchr(bytes, DELIMITER, length); mark;
         mark = memchr(bytes, DELIMITER, (gsize)(end - bytes))) {
        begin_anew(agent);
        agent->wire = vmp_qmp_wire_new(MESSAGE_LIMIT);
        bytes = mark + 1;
    }
    return take_stretch(agent, bytes, (gsize)(end - bytes), error);
}

static gboolean
receive(VmpAgent *agent, gint64 deadline, GCancellable *cancellable, GError **error)
{
    char bytes[16384];

    if (!vmp_qmp_socket_wait(agent->fd, G_IO_IN, deadline, cancellable, error))
        return FALSE;
    gssize length = TEMP_FAILURE_RETRY(recv(agent->fd, bytes, sizeof bytes, MSG_DONTWAIT));
    if (length < 0 && errno == EAGAIN)
        return TRUE;
    if (length <= 0) {
        agent->gone = TRUE;
        return vmp_fail(error, VMP_ERROR_DISCONNECTED, "the guest agent's channel was closed");
    }
    if (take_bytes(agent, bytes, (gsize)length, error))
        return TRUE;
    /* Before the sync's answer anything may come; after it, only a stranger talks like this.
     */
    begin_anew(agent);
    g_prefix_error(error, "the guest agent does not speak as one: ");
    return FALSE;
}

/* The next message; a new reference. */
static VmpJson *
next_message(VmpAgent *agent, gint64 deadline, GCancellable *cancellable, GError **error)
{
    while (g_queue_is_empty(&agent->messages))
        if (!receive(agent, deadline, cancellable, error))
            return NULL;
    return g_queue_pop_head(&agent->messages);
}

/* ---- what goes ---- */

static gboolean
send_command(VmpAgent *agent, const char *prefix, VmpQmpCommand *command, GError **error)
{
    g_autoptr(VmpJson) json = vmp_qmp_command_to_json(command);
    g_autofree char *body = vmp_json_to_text(json);
    g_autofree char *text = g_strconcat(prefix, body, "\n", NULL);
    gsize length = strlen(text);
    gssize sent =
        TEMP_FAILURE_RETRY(send(agent->fd, text, length, MSG_NOSIGNAL | MSG_DONTWAIT));

    if (sent == (gssize)length)
        return TRUE;
    /* A channel that is full is one that nobody reads. */
    if (sent >= 0 || errno == EAGAIN)
        return vmp_fail(error, VMP_ERROR_TIMED_OUT, "nobody reads the guest agent's channel");
    agent->gone = TRUE;
    return vmp_fail(error, VMP_ERROR_DISCONNECTED, "the guest agent's channel was closed: %s",
                    g_strerror(errno));
}

/* ---- sync ---- */

static gboolean
await_number(VmpAgent *agent, gint64 number, gint64 deadline, GCancellable *cancellable,
             GError **error)
{
    while (TRUE) {
        g_autoptr(GError) failure = NULL;
        g_autoptr(VmpJson) message = next_message(agent, deadline, cancellable, &failure);

        if (message && vmp_json_get_int(message, "return", -1) == number)
            return TRUE;
        if (vmp_error_is(failure, VMP_ERROR_TIMED_OUT))
            return vmp_fail(
                error, VMP_ERROR_TIMED_OUT,
                "the guest agent does not answer: it may not run, or somebody else "
                "is talking to it");
        if (!message && !vmp_error_is(failure, VMP_ERROR_INVALID)) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return FALSE;
        }
    }
}

gboolean
vmp_agent_sync(VmpAgent *agent, int timeout_ms, GCancellable *cancellable, GError **error)
{
    const gint64 deadline = vmp_qmp_deadline_after(timeout_ms);
    const gint64 number = 1 + (gint64)g_random_int_range(0, G_MAXINT32 - 1);
    g_autoptr(VmpQmpCommand) command = vmp_agent_guest_sync_delimited(number);

    begin_anew(agent);
    agent->behind = TRUE;
    if (!send_command(agent, "\xff", command, error) ||
        !await_number(agent, number, deadline, cancellable, error))
        return FALSE;
    agent->behind = FALSE;
    return TRUE;
}

VmpAgent *
vmp_agent_connect(const char *path, int timeout_ms, GCancellable *cancellable, GError **error)
{
    VMP_ERROR_CONTEXT(error, "guest agent at '%s'", path);

    g_autoptr(VmpAgent) agent = g_new0(VmpAgent, 1);
    g_queue_init(&agent->messages);
    agent->fd =
        vmp_qmp_socket_connect(path, vmp_qmp_deadline_after(timeout_ms), cancellable, error);
    if (agent->fd < 0 || !vmp_agent_sync(agent, timeout_ms, cancellable, error))
        return NULL;
    return g_steal_pointer(&agent);
}

/* ---- commands ---- */

static VmpJson *
read_answer(VmpJson *message, const char *command, GError **error)
{
    VmpJson *value = NULL;
    VmpJson *refusal = vmp_json_get_object(message, "error");

    if (refusal) {
        const char *words = vmp_json_get_string(refusal, "desc");
        return vmp_fail_null(error, VMP_ERROR_REFUSED, "the guest agent refused '%s': %s",
                             command, words ? words : "it does not say why");
    }
    if (!json_object_object_get_ex(message, "return", &value))
        return vmp_fail_null(error, VMP_ERROR_INVALID,
                             "the guest agent's answer to '%s' is none", command);
    return value ? json_object_get(value) : json_object_new_object();
}

VmpJson *
vmp_agent_execute(VmpAgent *agent, VmpQmpCommand *command, int timeout_ms,
                  GCancellable *cancellable, GError **error)
{
    const char *name = vmp_qmp_command_get_name(command);
    const gint64 deadline = vmp_qmp_deadline_after(timeout_ms);

    if (agent->gone)
        return vmp_fail_null(error, VMP_ERROR_DISCONNECTED,
                             "the guest agent's channel was closed");
    if (agent->behind)
        return vmp_fail_null(error, VMP_ERROR_BUSY,
                             "the guest agent is still at work on an earlier command");

    agent->behind = TRUE;
    g_autoptr(VmpJson) message = send_command(agent, "", command, error)
                                     ? next_message(agent, deadline, cancellable, error)
                                     : NULL;
    if (!message) {
        g_prefix_error(error, "guest agent, '%s': ", name);
        return NULL;
    }
    agent->behind = FALSE;
    return read_answer(message, name, error);
}
