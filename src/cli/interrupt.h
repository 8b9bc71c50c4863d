/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Ctrl-C and SIGTERM ask the running operation to undo itself. */

#include <gio/gio.h>

/* From now on SIGINT, SIGTERM or SIGHUP cancels the result (borrowed, lives for ever; the
 * same one at each call).  The second signal of a kind kills the program at once: what
 * is left open then is settled by the next command.
 *
 * A signal handler may not cancel, since that takes locks, and the operation blocks the
 * only other thread, so a thread waits for news from the handler.  Signals are not
 * blocked meanwhile: programs that the library starts would inherit that. */
GCancellable *vmp_interrupt_watch(void);
/* The same in @seconds from now, as if somebody had lost patience then. */
void vmp_interrupt_after(guint seconds);
gboolean vmp_interrupt_has_come(void);
