/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpAgent: one conversation with the guest agent of one guest.
 *
 * The agent is a program inside the guest: it may be absent, dead or slow, and what it says
 * is a stranger's word.  Nobody greets, nobody tells when it comes or goes, and its channel
 * still holds what was left of conversations that were cut off.  So each conversation begins
 * with a sync: a byte that no JSON has makes the agent forget what it was reading, and an
 * answer that begins with that byte and has our own number is the first that is meant for us.
 *
 * One command at a time.  One that has no answer in time leaves the agent at work on it:
 * after another sync, which waits for the end of that, the conversation can go on.
 *
 * QEMU serves the channel to one client at a time: while another one (libvirt, say) has it,
 * we are connected but not heard.
 */

#include <gio/gio.h>

#include "base/json.h"
#include "qmp/command.h"

typedef struct _VmpAgent VmpAgent;

/* Connects to the channel's unix socket and syncs, within @timeout_ms.  DISCONNECTED if nobody
 * listens there, TIMED_OUT if no agent answers. */
VmpAgent *vmp_agent_connect(const char *path, int timeout_ms, GCancellable *cancellable,
                            GError **error);
void vmp_agent_free(VmpAgent *agent);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpAgent, vmp_agent_free)

/* Waits until the agent is done with all that it was told before, and forgets the answers. */
gboolean vmp_agent_sync(VmpAgent *agent, int timeout_ms, GCancellable *cancellable,
                        GError **error);
/* The "return" member; a new reference.  REFUSED has the agent's own words. */
VmpJson *vmp_agent_execute(VmpAgent *agent, VmpQmpCommand *command, int timeout_ms,
                           GCancellable *cancellable, GError **error);
/* TRUE after a command that had no answer: only a sync helps. */
gboolean vmp_agent_is_behind(const VmpAgent *agent);
/* The connection; borrowed. */
int vmp_agent_get_fd(const VmpAgent *agent);
