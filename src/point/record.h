/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Records (what a document says) to rows of the store and back.
 *
 * A row's body is the document without its domains; those are definitions of their own, each
 * stored once.
 */

#include <vmpoint/checkpoint-record.h>
#include <vmpoint/snapshot-record.h>

#include "machine/machine.h"
#include "store/store.h"

/* The whole record of that snapshot, domains included. */
VmpSnapshot *vmp_record_load_snapshot(VmpMachine *machine, const char *name, GError **error);
/* The same of a row that was read; its parent is the row's. */
VmpSnapshot *vmp_record_from_snapshot_row(VmpStore *store, const VmpStorePoint *row,
                                          GError **error);
/* A row for @snapshot; its domains are put into the store now (they are harmless there until
 * something refers to them). */
VmpStorePoint *vmp_record_to_snapshot_row(VmpMachine *machine, const VmpSnapshot *snapshot,
                                          gboolean current, GError **error);

/* The same for checkpoints. */
VmpCheckpoint *vmp_record_load_checkpoint(VmpMachine *machine, const char *name,
                                          GError **error);
VmpCheckpoint *vmp_record_from_checkpoint_row(VmpStore *store, const VmpStorePoint *row,
                                              GError **error);
VmpStorePoint *vmp_record_to_checkpoint_row(VmpMachine *machine,
                                            const VmpCheckpoint *checkpoint, gboolean current,
                                            GError **error);

/* INVALID if a document says that it is of another domain; @uuid NULL: it does not say. */
gboolean vmp_record_check_uuid(VmpMachine *machine, const char *uuid, GError **error);
/* Is there a point of that name? */
gboolean vmp_record_exists(VmpMachine *machine, VmpPointKind kind, const char *name,
                           gboolean *exists, GError **error);
/* Name of the current point, NULL if there is none; free with g_free(). */
gboolean vmp_record_current_name(VmpMachine *machine, VmpPointKind kind, char **name,
                                 GError **error);
