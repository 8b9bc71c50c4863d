/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp/ask.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "qmp/socket.h"
#include "qmp/wire.h"

#define ID "ask"
/* For one whose backlog is full, which others must not wait for. */
#define CONNECT_TIMEOUT_MS 100

typedef struct {
    int socket; /* -1 when it is over */
    VmpQmpWire *wire;
    VmpJson *reply;
} Talk;

struct _VmpQmpAsk {
    char *request;
    GArray *talks; /* of Talk */
};

static char *
make_request(VmpQmpCommand *command)
{
    g_autoptr(VmpJson) question = vmp_qmp_command_to_json(command);
    vmp_json_add(question, "s:id", ID, NULL);
    g_autofree char *text = vmp_json_to_text(question);

    return g_strconcat("{\"execute\":\"qmp_capabilities\",\"id\":\"c\"}\n", text, "\n", NULL);
}

static void
talk_end(Talk *talk)
{
    if (talk->socket >= 0)
        close(talk->socket);
    talk->socket = -1;
}

static void
talk_clear(gpointer data)
{
    Talk *talk = data;

    talk_end(talk);
    vmp_qmp_wire_free(talk->wire);
    json_object_put(talk->reply);
}

static void
talk_begin(Talk *talk, const char *path, const char *request)
{
    const gsize length = strlen(request);

    talk->wire = vmp_qmp_wire_new(VMP_QMP_MESSAGE_LIMIT);
    talk->socket =
        vmp_qmp_socket_connect(path, vmp_qmp_deadline_after(CONNECT_TIMEOUT_MS), NULL, NULL);
    if (talk->socket >= 0 &&
        send(talk->socket, request, length, MSG_NOSIGNAL) != (gssize)length)
        talk_end(talk);
}

/* Takes what has come; the answer to our question ends the talk. */
static void
talk_receive(Talk *talk)
{
    char bytes[16384];
    gssize length = TEMP_FAILURE_RETRY(recv(talk->socket, bytes, sizeof(bytes), MSG_DONTWAIT));
    GQueue messages = G_QUEUE_INIT;

    if (length <= 0 || !vmp_qmp_wire_feed(talk->wire, bytes, (gsize)length, &messages, NULL))
        talk_end(talk);
    for (VmpJson *message = g_queue_pop_head(&messages); message;
         message = g_queue_pop_head(&messages)) {
        if (g_strcmp0(vmp_json_get_string(message, "id"), ID) == 0) {
            talk->reply = json_object_get(vmp_json_get_object(message, "return"));
            talk_end(talk);
        }
        json_object_put(message);
    }
}

/* FALSE when there is nobody left to listen to, or no time. */
static gboolean
listen_once(Talk *talks, guint count, gint64 deadline)
{
    g_autofree struct pollfd *polled = g_new0(struct pollfd, count);
    const gint64 left = deadline - g_get_monotonic_time();
    guint open = 0;

    for (guint i = 0; i < count; i++) {
        polled[i] = (struct pollfd){ .fd = talks[i].socket, .events = POLLIN };
        open += talks[i].socket >= 0 ? 1 : 0;
    }
    if (open == 0 || left <= 0)
        return FALSE;
    TEMP_FAILURE_RETRY(poll(polled, count, (int)(left / G_TIME_SPAN_MILLISECOND) + 1));
    for (guint i = 0; i < count; i++)
        if (talks[i].socket >= 0 && polled[i].revents)
            talk_receive(&talks[i]);
    return TRUE;
}

static void
drop_json(gpointer json)
{
    json_object_put(json);
}

VmpQmpAsk *
vmp_qmp_ask_new(VmpQmpCommand *command)
{
    VmpQmpAsk *ask = g_new0(VmpQmpAsk, 1);

    ask->request = make_request(command);
    ask->talks = g_array_new(FALSE, TRUE, sizeof(Talk));
    g_array_set_clear_func(ask->talks, talk_clear);
    return ask;
}

void
vmp_qmp_ask_free(VmpQmpAsk *ask)
{
    g_array_unref(ask->talks);
    g_free(ask->request);
    g_free(ask);
}

void
vmp_qmp_ask_add(VmpQmpAsk *ask, const char *path)
{
    g_array_set_size(ask->talks, ask->talks->len + 1);
    talk_begin(&g_array_index(ask->talks, Talk, ask->talks->len - 1), path, ask->request);
}

GPtrArray *
vmp_qmp_ask_wait(VmpQmpAsk *ask, int timeout_ms)
{
    Talk *talks = (Talk *)(gpointer)ask->talks->data;
    GPtrArray *replies = g_ptr_array_new_with_free_func(drop_json);
    const gint64 deadline = vmp_qmp_deadline_after(timeout_ms);

    while (listen_once(talks, ask->talks->len, deadline))
        ;
    for (guint i = 0; i < ask->talks->len; i++)
        g_ptr_array_add(replies, g_steal_pointer(&talks[i].reply));
    return replies;
}
