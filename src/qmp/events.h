/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpQmpEvents: who wants which event, and who has the current one already.
 *
 * A callback may call QEMU synchronously, and while that waits the next event may come
 * and this one must not be lost on the other subscribers.  So the place in their list
 * is kept here and not on the stack: whoever serves next goes on from there.  Every
 * subscriber gets each event once and in order.
 */

#include "qmp/client.h"

typedef struct _VmpQmpEvents VmpQmpEvents;

VmpQmpEvents *vmp_qmp_events_new(void);
void vmp_qmp_events_free(VmpQmpEvents *events);

/* As vmp_qmp_client_subscribe() and vmp_qmp_client_unsubscribe(). */
guint vmp_qmp_events_subscribe(VmpQmpEvents *events, const char *event, VmpQmpEventFunc func,
                               gpointer data);
void vmp_qmp_events_unsubscribe(VmpQmpEvents *events, guint id);

/* Makes @message, {"event": ...}, the current one: those who are subscribed now get it. */
void vmp_qmp_events_begin(VmpQmpEvents *events, VmpJson *message);
/* Is there a current event that is not served to its end? */
gboolean vmp_qmp_events_is_current(const VmpQmpEvents *events);
/* Calls the subscribers that do not have the current event yet, on behalf of @client. */
void vmp_qmp_events_serve(VmpQmpEvents *events, VmpQmpClient *client);
