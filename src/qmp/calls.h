/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpQmpCalls: the commands that QEMU has not answered, in the order of sending.
 *
 * Each is settled exactly once: by its answer, by its cancellable, or when the
 * conversation ends.  One that was cancelled stays on the list, so that its answer,
 * should it come after all, is known and swallowed.
 */

#include "qmp/client-private.h"

typedef struct _VmpQmpCalls VmpQmpCalls;

/* @client makes the errors; it owns the calls, so no reference is taken. */
VmpQmpCalls *vmp_qmp_calls_new(VmpQmpClient *client);
/* All must be settled. */
void vmp_qmp_calls_free(VmpQmpCalls *calls);

/* An id for the next command; free with g_free(). */
char *vmp_qmp_calls_make_id(VmpQmpCalls *calls);
/* @func will be called with the outcome of @command, which was sent with @id. */
void vmp_qmp_calls_add(VmpQmpCalls *calls, const char *id, const char *command, int timeout_ms,
                       GCancellable *cancellable, VmpQmpReplyFunc func, gpointer data);

/* Settles the command that @message, {"return" or "error": ...}, answers.  FALSE if
 * nobody asked for it. */
gboolean vmp_qmp_calls_answer(VmpQmpCalls *calls, VmpJson *message);
/* When the first of them runs out of time; G_MAXINT64 if none ever does. */
gint64 vmp_qmp_calls_get_deadline(const VmpQmpCalls *calls);
/* Settles all, since @end leaves no hope: those that are out of time with TIMED_OUT if
 * this is what @end is, the others with DISCONNECTED. */
void vmp_qmp_calls_give_up(VmpQmpCalls *calls, const GError *end);
