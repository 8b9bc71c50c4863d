/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The format of an empty qcow2 image, as an overlay is one when it is made.
 *
 * Version 3 (compat 1.1), 16-bit refcounts, nothing allocated but the tables:
 *
 *   cluster 0              header, header extensions, name of the backing image
 *   then                   refcount table, refcount blocks, L1 table (all empty)
 *
 * Everything else about qcow2 is left to QEMU.  It is valid once it is written as a whole;
 * the header comes first, so that what a crash leaves behind is an empty file or one with
 * our mark.
 */

#include <glib.h>

typedef struct {
    guint64 size;                /* virtual, bytes; a multiple of 512 */
    guint64 cluster_size;        /* 0 = 65536 */
    gboolean extended_l2;
    const char *backing;         /* for the header as it is; or NULL */
    const char *backing_format;  /* or NULL */
    guint64 mark;                /* 0 = none */
} VmpQcow2;

/* Lays the format down on @fd: an empty regular file, or a block device that is large enough.
 * VMP_ERROR_INVALID for what the format cannot hold, VMP_ERROR_IO; nothing is synced. */
gboolean
vmp_qcow2_write(int fd, const VmpQcow2 *image, GError **error);

/* The mark it was written with; 0 if it has none or is no qcow2 image. */
guint64
vmp_qcow2_read_mark(int fd);
