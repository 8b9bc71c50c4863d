/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A backup that runs, as its row in the store tells of it.
 *
 * Its detail is a JSON object:
 *   "images"             the targets (VmpNewImage); none of a pull backup
 *   "scratch"            what keeps what the guest overwrites (VmpNewImage); or absent
 *   "disks"              of start-backup (step-backup.c), or of serve-disks (serve.h)
 *   "checkpoint"         name of the one that was made with it; or absent
 *   "fleece"             see fleece.h; or absent
 *   "server", "exports"  of a pull backup: see storage/export.h
 *   "offline"            of a pull backup: the domain is off, and another process serves
 *   "ending"             what it is being brought to, when its end was begun; or absent
 *   "error", "total", "processed"  once it has ended
 */

#include "backup/backup.h"
#include "store/store.h"

typedef struct {
    VmpStoreBackup *row;
    VmpJson *detail;
    GPtrArray *images, *scratch; /* of VmpNewImage */
    char **ids;                  /* of the jobs */
} VmpRunning;

void vmp_running_clear(VmpRunning *running);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmpRunning, vmp_running_clear)

/* FALSE with @error, or TRUE with ->row NULL when no backup runs. */
gboolean vmp_running_find(VmpMachine *machine, VmpRunning *running, GError **error);
gboolean vmp_running_is_pull(const VmpRunning *running);
/* A pull backup of a domain that is off: see serve.h. */
gboolean vmp_running_is_offline(const VmpRunning *running);
/* Notes durably that it is being brought to @state. */
gboolean vmp_running_note_end(VmpRunning *running, VmpMachine *machine, const char *state,
                              const char *failure, GError **error);
/* Nothing of it is left in QEMU: removes the files that are not to stay and closes the row as
 * @state, with @failure for a failed one. */
gboolean vmp_running_close(VmpRunning *running, VmpMachine *machine, const char *state,
                           const char *failure, GError **error);

/* pull.c: what has become of a pull backup. */
gboolean vmp_pull_settle(VmpRunning *running, VmpChange *change, VmpSettleMode mode,
                         VmpJobState *state, GError **error);
/* The server that @backup asks for; a free port is chosen when none is said and put into
 * @backup too. */
VmpJson *vmp_pull_server(VmpBackup *backup, GError **error);
