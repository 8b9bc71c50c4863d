/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpQmpTransaction: actions collected, then sent once.
 *
 * Always in individual completion mode: a grouped one is refused with bitmap
 * actions, and in QEMU 7.2 can hang the monitor for ever when it fails.
 * Grouping of jobs is vmpoint's own work.
 */

#include <glib.h>

#include "qmp/client.h"

typedef struct _VmpQmpTransaction VmpQmpTransaction;

VmpQmpTransaction *vmp_qmp_transaction_new(void);
void vmp_qmp_transaction_free(VmpQmpTransaction *transaction);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpQmpTransaction, vmp_qmp_transaction_free)

/* How many actions it has. */
guint vmp_qmp_transaction_get_length(const VmpQmpTransaction *transaction);

/* @overlay, a node without backing, becomes the layer above @node. */
void vmp_qmp_transaction_snapshot(VmpQmpTransaction *transaction, const char *node,
                                  const char *overlay);

typedef enum {
    VMP_BITMAP_PERSISTENT = 1 << 0,
    VMP_BITMAP_DISABLED = 1 << 1,
} VmpBitmapFlags;

/* @granularity in bytes; 0 = QEMU's default. */
void vmp_qmp_transaction_bitmap_add(VmpQmpTransaction *transaction, const char *node,
                                    const char *name, VmpBitmapFlags flags,
                                    guint32 granularity);
void vmp_qmp_transaction_bitmap_remove(VmpQmpTransaction *transaction, const char *node,
                                       const char *name);
void vmp_qmp_transaction_bitmap_clear(VmpQmpTransaction *transaction, const char *node,
                                      const char *name);
void vmp_qmp_transaction_bitmap_enable(VmpQmpTransaction *transaction, const char *node,
                                       const char *name);
void vmp_qmp_transaction_bitmap_disable(VmpQmpTransaction *transaction, const char *node,
                                        const char *name);
/* Adds what @source_name on @source_node has to @target_name on @target_node. */
void vmp_qmp_transaction_bitmap_merge(VmpQmpTransaction *transaction, const char *target_node,
                                      const char *target_name, const char *source_node,
                                      const char *source_name);

/* Starts a backup job; the arguments are those of blockdev-backup, see qmp/commands.h. */
struct _VmpQmpBackup;
void vmp_qmp_transaction_backup(VmpQmpTransaction *transaction,
                                const struct _VmpQmpBackup *backup);

/* The whole as one command; a new reference. */
VmpQmpCommand *vmp_qmp_transaction_to_command(const VmpQmpTransaction *transaction);
/* Sends it and waits; nothing collected is done already. */
gboolean vmp_qmp_transaction_run(const VmpQmpTransaction *transaction, VmpQmpClient *client,
                                 GError **error);
