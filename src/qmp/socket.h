/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Getting hold of a monitor's unix socket, and waiting on it without a main loop. */

#include <gio/gio.h>

/* On g_get_monotonic_time()'s clock; what never comes is G_MAXINT64. */
gint64 vmp_qmp_deadline_after(int timeout_ms /* <= 0: never */);

/* Connects to @path, however long it is; a full backlog is waited for.  Returns the
 * socket (close-on-exec), or -1:
 *   VMP_ERROR_DISCONNECTED  nobody listens there
 *   VMP_ERROR_BUSY          the backlog was full until @deadline
 */
int vmp_qmp_socket_connect(const char *path, gint64 deadline, GCancellable *cancellable,
                           GError **error);

/* Waits for @events (G_IO_IN...; errors and hang-ups always count).  FALSE with
 * VMP_ERROR_TIMED_OUT at @deadline, with VMP_ERROR_INTERRUPTED when cancelled. */
gboolean vmp_qmp_socket_wait(int socket, GIOCondition events, gint64 deadline,
                             GCancellable *cancellable, GError **error);
