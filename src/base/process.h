/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Running a tool, and knowing a process again.
 *
 * Tools get an argument vector, never a shell; their output is captured and bounded.
 */

#include <gio/gio.h>

typedef struct {
    int exit_status; /* 0..255, or 128 + signal */
    char *out;       /* NUL-terminated; never NULL */
    gsize out_length;
    char *err; /* the same for stderr, without trailing newline */
} VmpToolResult;

void vmp_tool_result_clear(VmpToolResult *result);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmpToolResult, vmp_tool_result_clear)

/* Runs @argv to its end.  Cancelling kills it.  FALSE only if it could not be run
 * (VMP_ERROR_UNSUPPORTED: not installed) or was cancelled; a non-zero exit is in @result. */
gboolean vmp_tool_run(const char *const *argv, VmpToolResult *result,
                      GCancellable *cancellable, GError **error);

/* From now on every tool has the lock @fd (of flock()) as well: should we be killed, it is
 * there until the last tool has ended, which may still write.  Who takes it back must unlock
 * it, not only close it. */
void vmp_tool_lend_lock(int fd);
void vmp_tool_take_back_lock(int fd);

/* vmp_tool_run(), where anything but exit 0 is an error: @code with the tool's own last words.
 */
gboolean vmp_tool_check(const char *const *argv, int code, char **out,
                        GCancellable *cancellable, GError **error);

/* A pid alone is no identity: it is one together with the time the process started
 * (field 22 of /proc/PID/stat, clock ticks since boot).  0 if there is no such process or
 * it is a zombie. */
guint64 vmp_process_start_time(GPid pid);
/* Is @pid still the process that had @start_time? */
gboolean vmp_process_is_alive(GPid pid, guint64 start_time);
/* Waits for it to end (pidfd; no polling), at most @timeout_ms.  TRUE if it is gone. */
gboolean vmp_process_wait_gone(GPid pid, guint64 start_time, int timeout_ms);
/* Sends @signal if it is still that process. */
gboolean vmp_process_kill(GPid pid, guint64 start_time, int signal);
