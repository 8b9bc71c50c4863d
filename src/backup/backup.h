/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Backup jobs of one machine; see include/vmpoint/backup.h for the promises.
 *
 * A job outlives the command that began it: it runs in QEMU, and the store has a row of
 * what it is made of.  Settling looks what became of it, takes its nodes and temporary
 * bitmaps out of QEMU, and closes the row:
 *
 *   running -> completed   all disks' jobs ended well: the targets stay
 *           -> failed      one did not (the others are cancelled), or QEMU has gone:
 *                          targets that were made for it are removed, dirty bits are kept
 *           -> cancelled   the same, by request
 *
 * A pull backup runs until it is asked to end, which is its completion; it fails when QEMU has
 * gone, or when the scratch space did not take what the guest overwrote.
 */

#include <vmpoint/backup.h>

#include "plan/step.h"
#include "qmp/transaction.h"

/* For whoever makes a backup as a part of something larger. */
typedef struct {
    /* One that is open, or NULL.  Success leaves it open: an offline one has not stored its
     * bitmaps then.  A failure ends it. */
    VmpBlockSession *session;
    /* By disk, the name of what its increment is laid over, as it is to stand in the image:
     * relative to that.  NULL = the absolute path, where it is known. */
    GHashTable *links;
    /* In place of syncing the targets, which are closed: the backup is complete when this is
     * done, and has failed if it fails. */
    gboolean (*finish)(gpointer data, GError **error);
    gpointer data;
} VmpBackupPart;

gboolean vmp_backup_begin_on(VmpMachine *machine, VmpBackupPart *part, const char *backup_xml,
                             const char *checkpoint_xml, VmpBackupBeginFlags flags,
                             const VmpBackupTuning *tuning, GError **error);

typedef enum {
    VMP_SETTLE_LOOK,   /* settle what has ended; leave alone what runs */
    VMP_SETTLE_WAIT,   /* wait for the end */
    VMP_SETTLE_CANCEL, /* cancel, then settle */
} VmpSettleMode;

/* @state (optional): what became of it (NONE if there was no running job).  A backup that
 * failed is an error only for WAIT. */
gboolean vmp_backup_settle(VmpChange *change, VmpSettleMode mode, VmpJobState *state,
                           GError **error);

/* WAIT for what was begun as @part. */
gboolean vmp_backup_finish(VmpChange *change, const VmpBackupPart *part, GError **error);

/* QEMU does not end while a job of it waits for a server that has fallen silent: before it is
 * told to end, a backup over the network is cut off.  Nothing is settled. */
gboolean vmp_backup_cut_off(VmpMachine *machine, GError **error);

/* QEMU waits for what its jobs wait for when the guest is stopped.  BUSY if that is a server
 * that does not answer. */
gboolean vmp_backup_check_servers(VmpMachine *machine, GError **error);

/* BUSY while a pull backup runs: layers that its snapshots stand on must stay. */
gboolean vmp_backup_check_no_pull(VmpMachine *machine, GError **error);

/* The job that runs, or with @completed the last one that ended; see include/vmpoint/backup.h.
 */
VmpJobInfo *vmp_backup_info(VmpMachine *machine, gboolean completed, GError **error);
/* The document of the one that runs; free with g_free(). */
char *vmp_backup_xml(VmpMachine *machine, GError **error);

/* Adds the temporary bitmap of a disk as in start-backup, if it has one. */
void vmp_step_backup_bitmap(VmpQmpTransaction *transaction, VmpJson *disk);

/* Step kinds of this layer, for the journal. */
extern const VmpStepKind vmp_step_start_backup; /* commit of a push backup */
extern const VmpStepKind vmp_step_start_copies; /* commit of one that fleeces */
extern const VmpStepKind vmp_step_start_server;
extern const VmpStepKind vmp_step_add_exports; /* commit of a pull backup */
