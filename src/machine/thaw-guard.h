/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A process that thaws a guest's file systems if we do not.
 *
 * It shares our connection to the guest agent and waits: for our word that all is well, for
 * our end, or for a limit.  After the last two it sends the thaw, and takes the debt's file
 * away when the agent has answered.  It is made before the freeze, so that no kill of ours
 * leaves a guest frozen; that both of us are killed is what the debt's file is for.
 */

#include <glib.h>

typedef struct _VmpThawGuard VmpThawGuard;

/* @agent: the connection.  @debt: a file to unlink once the guest is thawed. */
VmpThawGuard *vmp_thaw_guard_new(int agent, const char *debt, int limit_ms, GError **error);
/* The guest is thawed: the guard ends without having done anything.  On return it has let go
 * of the connection. */
void vmp_thaw_guard_dismiss(VmpThawGuard *guard);
/* Leaves the thawing to it; it will go on by itself. */
void vmp_thaw_guard_leave(VmpThawGuard *guard);
