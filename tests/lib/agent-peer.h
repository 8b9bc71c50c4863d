/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* AgentPeer: a guest agent that says what the test tells it to, on a thread of its own.
 *
 * It listens on a unix socket, takes one client after the other, answers
 * guest-sync-delimited by itself as QEMU's agent does, and every other command with the text
 * that was set for it.  A command that nothing was set for fails the test.
 */

#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/json.h"

#define AGENT_PEER_HANG_UP "\x04"
#define AGENT_PEER_SILENT ""

typedef struct {
    char *dir, *path;
    int listener, stop[2];
    GThread *thread;
    GMutex lock;
    GHashTable *answers; /* command -> text */
    char *left;          /* sent when a client connects */
    char *late;          /* sent before the next sync's answer */
    GPtrArray *seen;     /* names of commands, but for syncs */
} AgentPeer;

static inline void
agent_peer_send(int fd, const char *text)
{
    g_assert_cmpint(send(fd, text, strlen(text), MSG_NOSIGNAL), ==, strlen(text));
}

/* FALSE: hang up. */
static inline gboolean
agent_peer_serve_line(AgentPeer *peer, int fd, const char *line)
{
    g_autoptr(VmpJson) message = vmp_json_parse(line, -1, NULL);
    const char *command = vmp_json_get_string(message, "execute");
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&peer->lock);
    const char *answer = NULL;

    g_assert_nonnull(command);
    gboolean known =
        g_hash_table_lookup_extended(peer->answers, command, NULL, (gpointer *)&answer);
    if (strcmp(command, "guest-sync-delimited") == 0) {
        gint64 id = vmp_json_get_int(vmp_json_get_object(message, "arguments"), "id", -1);
        g_autofree char *text = g_strdup_printf("%s\xff{\"return\": %" G_GINT64_FORMAT "}\n",
                                                peer->late ? peer->late : "", id);
        g_clear_pointer(&peer->late, g_free);
        if (!known)
            agent_peer_send(fd, text);
        return TRUE;
    }
    if (!known)
        g_error("nothing was set for '%s'", command);
    g_ptr_array_add(peer->seen, g_strdup(command));
    if (strcmp(answer, AGENT_PEER_HANG_UP) == 0)
        return FALSE;
    agent_peer_send(fd, answer);
    return TRUE;
}

static inline void
agent_peer_serve(AgentPeer *peer, int fd)
{
    g_autoptr(GString) line = g_string_new(NULL);

    agent_peer_send(fd, peer->left ? peer->left : "");
    while (TRUE) {
        GPollFD fds[2] = { { .fd = fd, .events = G_IO_IN },
                           { .fd = peer->stop[0], .events = G_IO_IN } };
        char byte;

        g_poll(fds, 2, -1);
        if (fds[0].revents == 0 && fds[1].revents != 0)
            return;
        if (recv(fd, &byte, 1, 0) != 1)
            return;
        if (byte == '\xff')
            g_string_truncate(line, 0);
        else if (byte != '\n')
            g_string_append_c(line, byte);
        else if (!agent_peer_serve_line(peer, fd, line->str))
            return;
        else
            g_string_truncate(line, 0);
    }
}

static inline gpointer
agent_peer_run(gpointer data)
{
    AgentPeer *peer = data;

    while (TRUE) {
        GPollFD fds[2] = { { .fd = peer->listener, .events = G_IO_IN },
                           { .fd = peer->stop[0], .events = G_IO_IN } };

        g_poll(fds, 2, -1);
        if (fds[0].revents == 0 && fds[1].revents != 0)
            return NULL;
        int fd = accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC);
        g_assert_cmpint(fd, >=, 0);
        agent_peer_serve(peer, fd);
        close(fd);
    }
}

static inline AgentPeer *
agent_peer_new(void)
{
    AgentPeer *peer = g_new0(AgentPeer, 1);
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    peer->dir = g_dir_make_tmp("agent-XXXXXX", NULL);
    peer->path = g_build_filename(peer->dir, "agent", NULL);
    peer->answers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    peer->seen = g_ptr_array_new_with_free_func(g_free);
    g_mutex_init(&peer->lock);
    g_strlcpy(address.sun_path, peer->path, sizeof address.sun_path);
    peer->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(peer->listener, (struct sockaddr *)&address, sizeof address), ==, 0);
    g_assert_cmpint(listen(peer->listener, 1), ==, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, peer->stop), ==, 0);
    peer->thread = g_thread_new("agent", agent_peer_run, peer);
    return peer;
}

static inline const char *
agent_peer_get_path(AgentPeer *peer)
{
    return peer->path;
}

/* What a client finds in the channel when it comes; before the first does. */
static inline void
agent_peer_leave(AgentPeer *peer, const char *text)
{
    peer->left = g_strdup(text);
}

/* @text: the whole line; NULL = silence. */
static inline void
agent_peer_answer(AgentPeer *peer, const char *command, const char *text)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&peer->lock);

    g_hash_table_insert(peer->answers, g_strdup(command),
                        g_strdup(text ? text : AGENT_PEER_SILENT));
}

/* Comes before the answer to the next sync. */
static inline void
agent_peer_say_late(AgentPeer *peer, const char *text)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&peer->lock);

    peer->late = g_strdup(text);
}

/* How often @command came. */
static inline guint
agent_peer_count(AgentPeer *peer, const char *command)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&peer->lock);
    guint count = 0;

    for (guint i = 0; i < peer->seen->len; i++)
        count += strcmp(g_ptr_array_index(peer->seen, i), command) == 0 ? 1 : 0;
    return count;
}

static inline void
agent_peer_finish(AgentPeer *peer)
{
    close(peer->stop[1]);
    g_thread_join(peer->thread);
    close(peer->stop[0]);
    close(peer->listener);
    g_unlink(peer->path);
    g_rmdir(peer->dir);
    g_hash_table_unref(peer->answers);
    g_ptr_array_unref(peer->seen);
    g_free(peer->left);
    g_free(peer->late);
    g_free(peer->path);
    g_free(peer->dir);
    g_free(peer);
}
