/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the ways to wait for an answer (execute.c) need of the client. */

#include "base/error.h"
#include "qmp/client.h"

/* json_object_put() as a GDestroyNotify. */
static inline void
vmp_qmp_drop_json(gpointer json)
{
    json_object_put(json);
}

/* Takes @reply or @error, of which the other is NULL. */
typedef void (*VmpQmpReplyFunc)(VmpJson *reply, GError *error, gpointer data);

/* Sends @command.  @func is called exactly once: from the client's context, from the
 * last unref, or, if nothing can be sent, from within this very call. */
void vmp_qmp_client_submit(VmpQmpClient *client, VmpQmpCommand *command, int fd,
                           int timeout_ms, GCancellable *cancellable, VmpQmpReplyFunc func,
                           gpointer data);

/* The context of the thread that the client was made in.  Borrowed. */
GMainContext *vmp_qmp_client_get_context(VmpQmpClient *client);

/* A new error that begins with the client's label. */
GError *vmp_qmp_client_error(VmpQmpClient *client, VmpErrorCode code, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* Why the client is DEAD; owned by it. */
const GError *vmp_qmp_client_get_end(VmpQmpClient *client);
