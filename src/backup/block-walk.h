/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reading the blocks of a list from an image, by several readers at once. */

#include <vmpoint/operation.h>

#include "backup/blocks.h"

/* What the guest sees in @count blocks that follow one another; the last one of a disk may be
 * short.  Called by several threads at once, for different blocks.  FALSE ends the walk. */
typedef gboolean (*VmpBlockFunc)(VmpBlock *blocks, guint count, const guint8 *data,
                                 gsize length, gpointer user_data, GError **error);

/* Calls @func for all @blocks that are not zeroes.  @path is a qcow2 image with its backing
 * images, and @size what its disk must have (DAMAGED).  Progress is reported as @what. */
gboolean vmp_block_walk(const char *path, guint64 size, GArray *blocks, VmpBlockFunc func,
                        gpointer user_data, const char *what, VmpOperation *operation,
                        GError **error);

/* Where blocks go: into a file or device, in the order of the list from @start on without
 * gaps, or each where it is on the disk. */
typedef struct {
    int fd;
    gboolean packed;
    guint64 start; /* if they are packed, bytes */
} VmpBlockTarget;

/* The byte of the file at which blocks[@index] is. */
guint64 vmp_block_target_place(const VmpBlockTarget *target, const GArray *blocks,
                               guint index);

/* Copies all @blocks, which are not zeroes, of the disk in the qcow2 image @path to @target,
 * and reads them from there again: what is compared with the list is what was written. DAMAGED
 * names the first byte of the disk that is not what the list says. */
gboolean vmp_block_lay(const char *path, guint64 size, GArray *blocks,
                       const VmpBlockTarget *target, const char *what, VmpOperation *operation,
                       GError **error);
/* Does the image @path, made so, show these blocks of the disk and otherwise zeroes?  QEMU is
 * asked where they are, and that must be where they were compared.  DAMAGED. */
gboolean vmp_block_check_laid(const char *path, const char *format, guint64 size,
                              const GArray *blocks, const VmpBlockTarget *target,
                              GCancellable *cancellable, GError **error);

/* The list of what the qcow2 image @path holds itself, with digests. */
GArray *vmp_block_scan(const char *path, const char *what, VmpOperation *operation,
                       guint64 *size, GError **error);
/* Are these the blocks of the list?  Else the first that is not, in bytes of the disk. */
gboolean vmp_block_check(const VmpBlock *blocks, guint count, const guint8 *data, gsize length,
                         guint64 *wrong);
gboolean vmp_block_data_is_zero(const guint8 *data, gsize length);
