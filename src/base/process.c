/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/process.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

void
vmp_tool_result_clear(VmpToolResult *result)
{
    g_clear_pointer(&result->out, g_free);
    g_clear_pointer(&result->err, g_free);
}

/* ---- locks that are lent ---- */

G_LOCK_DEFINE_STATIC(lent);
static GArray *lent; /* of int */

void
vmp_tool_lend_lock(int fd)
{
    G_LOCK(lent);
    if (!lent)
        lent = g_array_new(FALSE, FALSE, sizeof(int));
    g_array_append_val(lent, fd);
    G_UNLOCK(lent);
}

void
vmp_tool_take_back_lock(int fd)
{
    G_LOCK(lent);
    for (guint i = 0; i < lent->len; i++) {
        if (g_array_index(lent, int, i) == fd) {
            g_array_remove_index_fast(lent, i);
            break;
        }
    }
    G_UNLOCK(lent);
}

/* Starts @argv with pipes at its ends, and with what is lent under the same numbers. */
static gboolean
start_tool(const char *const *argv, GPid *pid, int *out, int *err, GError **error)
{
    GSpawnFlags flags =
        G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_CLOEXEC_PIPES;

    /* Held until the tool has them: they could be closed and mean other files. */
    G_LOCK(lent);
    const int *fds = lent ? (const int *)(gpointer)lent->data : NULL;
    gboolean started = g_spawn_async_with_pipes_and_fds(
        NULL, argv, NULL, flags, NULL, NULL, -1, -1, -1, fds, fds, lent ? lent->len : 0, pid,
        NULL, out, err, error);
    G_UNLOCK(lent);
    return started;
}

/* ---- running ---- */

/* What a tool says on one of its ends. */
typedef struct {
    int fd; /* -1 once it has ended */
    GByteArray *text;
} Stream;

static void
read_some(Stream *stream)
{
    guint8 buffer[65536];
    gssize got = TEMP_FAILURE_RETRY(read(stream->fd, buffer, sizeof buffer));

    if (got > 0) {
        g_byte_array_append(stream->text, buffer, (guint)got);
        return;
    }
    g_close(stream->fd, NULL);
    stream->fd = -1;
}

/* Until both have ended; FALSE if it was cancelled first. */
static gboolean
listen_to(Stream *out, Stream *err, GCancellable *cancellable)
{
    GPollFD cancelled = { .fd = -1 };
    gboolean can_be = g_cancellable_make_pollfd(cancellable, &cancelled);

    while (!g_cancellable_is_cancelled(cancellable) && (out->fd >= 0 || err->fd >= 0)) {
        struct pollfd ends[] = { { .fd = out->fd, .events = POLLIN },
                                 { .fd = err->fd, .events = POLLIN },
                                 { .fd = can_be ? cancelled.fd : -1, .events = POLLIN } };
        if (poll(ends, G_N_ELEMENTS(ends), -1) < 0)
            continue;
        if (ends[0].revents)
            read_some(out);
        if (ends[1].revents)
            read_some(err);
    }
    if (can_be)
        g_cancellable_release_fd(cancellable);
    return out->fd < 0 && err->fd < 0;
}

static char *
take_text(GByteArray *text /* taken */, gsize *length)
{
    if (length)
        *length = text->len;
    g_byte_array_append(text, (const guint8 *)"", 1);
    return (char *)g_byte_array_free(text, FALSE);
}

/* Reaps it. */
static int
wait_for_exit(GPid pid)
{
    int status = 0;

    if (TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)) < 0)
        return 127;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Not by GSubprocess: it reads in threads of GLib's, and in a command with many tools one of
 * them let go of an event source after the context of the call was gone (GLib 2.74), which
 * destroys the heap. */
gboolean
vmp_tool_run(const char *const *argv, VmpToolResult *result, GCancellable *cancellable,
             GError **error)
{
    Stream out = { .fd = -1 }, err = { .fd = -1 };
    GPid pid = 0;

    if (!start_tool(argv, &pid, &out.fd, &err.fd, error)) {
        if (error)
            (*error)->domain = VMP_ERROR, (*error)->code = VMP_ERROR_UNSUPPORTED;
        g_prefix_error(error, "cannot run %s: ", argv[0]);
        return FALSE;
    }

    out.text = g_byte_array_new();
    err.text = g_byte_array_new();
    gboolean ended = listen_to(&out, &err, cancellable);
    if (!ended)
        kill(pid, SIGKILL);
    if (out.fd >= 0)
        g_close(out.fd, NULL);
    if (err.fd >= 0)
        g_close(err.fd, NULL);
    *result = (VmpToolResult){ .exit_status = wait_for_exit(pid) };
    result->out = take_text(out.text, &result->out_length);
    result->err = g_strchomp(take_text(err.text, NULL));
    if (ended)
        return TRUE;
    vmp_tool_result_clear(result);
    return vmp_fail(error, VMP_ERROR_INTERRUPTED, "interrupted");
}

gboolean
vmp_tool_check(const char *const *argv, int code, char **out, GCancellable *cancellable,
               GError **error)
{
    g_auto(VmpToolResult) result = { 0 };

    if (!vmp_tool_run(argv, &result, cancellable, error))
        return FALSE;
    if (result.exit_status != 0) {
        /* The first line is the cause; a tool that goes on has only more of the same. */
        result.err[strcspn(result.err, "\n")] = '\0';
        return vmp_fail(error, code, "%s",
                        *result.err ? result.err : "the tool failed without a word");
    }
    if (out)
        *out = g_steal_pointer(&result.out);
    return TRUE;
}

/* ---- knowing one again ---- */

guint64
vmp_process_start_time(GPid pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
    g_autofree char *stat = vmp_file_read(path, 4096, NULL, NULL);
    /* The command name is in parentheses and may hold anything, parentheses too. */
    const char *rest = stat ? strrchr(stat, ')') : NULL;

    if (pid <= 0 || !rest)
        return 0;

    g_auto(GStrv) fields = g_strsplit(rest + 2, " ", 22);
    if (g_strv_length(fields) < 21 || fields[0][0] == 'Z' || fields[0][0] == 'X')
        return 0;
    return g_ascii_strtoull(fields[19], NULL, 10);
}

gboolean
vmp_process_is_alive(GPid pid, guint64 start_time)
{
    return start_time != 0 && vmp_process_start_time(pid) == start_time;
}

gboolean
vmp_process_wait_gone(GPid pid, guint64 start_time, int timeout_ms)
{
    g_auto(VmpFd) fd = (int)syscall(SYS_pidfd_open, pid, 0);

    /* Asked after opening: from here on the descriptor cannot mean another process. */
    if (!vmp_process_is_alive(pid, start_time))
        return TRUE;
    if (fd < 0)
        return FALSE;

    struct pollfd wait = { .fd = fd, .events = POLLIN };
    if (TEMP_FAILURE_RETRY(poll(&wait, 1, timeout_ms)) <= 0)
        return FALSE;
    /* A child of ours stays a zombie until it is reaped; others' children are not ours to
     * reap. */
    waitpid(pid, NULL, WNOHANG);
    return TRUE;
}

gboolean
vmp_process_kill(GPid pid, guint64 start_time, int signal)
{
    g_auto(VmpFd) fd = (int)syscall(SYS_pidfd_open, pid, 0);

    if (fd < 0 || !vmp_process_is_alive(pid, start_time))
        return FALSE;
    return syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) == 0;
}
