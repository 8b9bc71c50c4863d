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

/* The list of what the qcow2 image @path holds itself, with digests. */
GArray *vmp_block_scan(const char *path, const char *what, VmpOperation *operation,
                       guint64 *size, GError **error);
/* The list of all blocks of the disk in the image @path that are not zeroes, wherever they
 * are: what an image that stands on nothing tells of a disk. */
GArray *vmp_block_scan_all(const char *path, const char *format, const char *what,
                           VmpOperation *operation, guint64 *size, GError **error);
/* Are these the blocks of the list?  Else the first that is not, in bytes of the disk. */
gboolean vmp_block_check(const VmpBlock *blocks, guint count, const guint8 *data, gsize length,
                         guint64 *wrong);
gboolean vmp_block_data_is_zero(const guint8 *data, gsize length);
