/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpBlockSession: who serves QMP for a domain's disks: the running QEMU, or a
 * qemu-storage-daemon that is started for a domain that is off.
 *
 * Everything above does not know which.  Closing an offline session ends the daemon
 * gracefully, so that bitmaps are in the images when close returns, and verifies that it did;
 * a daemon whose vmpoint was killed ends with it (parent death signal), and one left over
 * all the same is ended by the next session.
 */

#include "machine/machine.h"

typedef struct _VmpBlockSession VmpBlockSession;

/* Opens all disks of the definition that have an image (those that are writable rw). */
VmpBlockSession *vmp_block_session_open(VmpMachine *machine, GError **error);
/* Ends it; an error here means that bitmaps may not be stored. */
gboolean vmp_block_session_close(VmpBlockSession *session, GError **error);
void vmp_block_session_free(VmpBlockSession *session); /* close; an error is a warning */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpBlockSession, vmp_block_session_free)

/* What its process can do, by its schema; the answer is kept, so that asking is cheap. */
gboolean vmp_block_session_has(VmpBlockSession *session, const char *command, const char *path,
                               gboolean *has, GError **error);
gboolean vmp_block_session_is_offline(const VmpBlockSession *session);
VmpQmpClient *vmp_block_session_get_client(VmpBlockSession *session);
VmpMachine *vmp_block_session_get_machine(VmpBlockSession *session);
VmpBlockGraph *vmp_block_session_read_graph(VmpBlockSession *session, GError **error);
/* Name of the node that is the root of the disk @target in @graph (a filter may stand on the
 * image); NULL with NOT_FOUND.  Borrowed from @graph. */
const char *vmp_block_session_root(VmpBlockSession *session, const VmpBlockGraph *graph,
                                   const char *target, GError **error);
/* The active image of that disk: below filters. */
const VmpBlockNode *vmp_block_session_image(VmpBlockSession *session,
                                            const VmpBlockGraph *graph, const char *target,
                                            GError **error);
