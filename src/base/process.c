/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/process.h"

#include <errno.h>
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

static char *
take_text(GBytes *bytes, gsize *length)
{
    gsize size = 0;
    const char *data = bytes ? g_bytes_get_data(bytes, &size) : NULL;

    if (length)
        *length = size;
    return g_strndup(data ? data : "", size);
}

gboolean
vmp_tool_run(const char *const *argv, VmpToolResult *result, GCancellable *cancellable,
             GError **error)
{
    g_autoptr(GSubprocess) tool =
        g_subprocess_newv(argv, G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE,
                          error);
    if (!tool) {
        if (error)
            (*error)->domain = VMP_ERROR, (*error)->code = VMP_ERROR_UNSUPPORTED;
        g_prefix_error(error, "cannot run %s: ", argv[0]);
        return FALSE;
    }

    g_autoptr(GBytes) out = NULL;
    g_autoptr(GBytes) err = NULL;
    if (!g_subprocess_communicate(tool, NULL, cancellable, &out, &err, error)) {
        g_subprocess_force_exit(tool);
        g_subprocess_wait(tool, NULL, NULL);
        vmp_error_adopt(error);
        return FALSE;
    }

    *result = (VmpToolResult){
        .exit_status = g_subprocess_get_if_exited(tool)
                           ? g_subprocess_get_exit_status(tool)
                           : 128 + g_subprocess_get_term_sig(tool),
    };
    result->out = take_text(out, &result->out_length);
    result->err = g_strchomp(take_text(err, NULL));
    return TRUE;
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
    /* A child of ours stays a zombie until it is reaped; others' children are not ours to reap. */
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
