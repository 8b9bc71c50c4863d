/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The format of a qcow2 image before a guest writes to it: an empty one, as an overlay is when
 * it is made, or one with a place for all the data that is known to come.
 *
 * Version 3 (compat 1.1), 16-bit refcounts:
 *
 *   cluster 0              header, header extensions, name of the backing image
 *   then                   refcount table, refcount blocks, L1 table
 *   then                   L2 tables, and the clusters of data in the order of the disk
 *
 * Everything else about qcow2 is left to QEMU.  It is valid once it is written as a whole;
 * the header comes first, so that what a crash leaves behind is an empty file or one with
 * our mark.
 */

#include <glib.h>

typedef struct {
    guint64 size;         /* virtual, bytes; a multiple of 512 */
    guint64 cluster_size; /* 0 = 65536 */
    gboolean extended_l2;
    const char *backing;        /* for the header as it is; or NULL */
    const char *backing_format; /* or NULL */
    guint64 mark;               /* 0 = none */
    const guint64 *clusters;    /* of the disk, in order, that have a place in the file */
    guint64 n_clusters;         /* 0 = an empty image; not with extended L2 entries */
} VmpQcow2;

/* Lays the format down on @fd: an empty regular file, or a block device that is large enough.
 * VMP_ERROR_INVALID for what the format cannot hold, VMP_ERROR_IO; nothing is synced. */
gboolean vmp_qcow2_write(int fd, const VmpQcow2 *image, GError **error);
/* Where the first of the clusters is, in bytes of the file; the others follow without gaps. */
gboolean vmp_qcow2_get_data_offset(const VmpQcow2 *image, guint64 *offset, GError **error);

/* What the file of @image has when all of its disk is written, and @bitmaps bitmaps of that
 * granularity (a power of two) are stored in it: as "qemu-img measure" counts. */
gboolean vmp_qcow2_measure(const VmpQcow2 *image, guint bitmaps, guint64 granularity,
                           guint64 *bytes, GError **error);

/* The mark it was written with; 0 if it has none or is no qcow2 image. */
guint64 vmp_qcow2_read_mark(int fd);
/* The format that its backing image is said to have; NULL if that is not said.  Free with
 * g_free(). */
char *vmp_qcow2_read_backing_format(int fd);
/* The name of its backing image, as it is in the header; NULL if it has none or is no qcow2
 * image. Free with g_free(). */
char *vmp_qcow2_read_backing(int fd);

/* What the header says of an image that was closed in order: version 3, and no feature that
 * one must know to read it. */
typedef struct {
    guint64 size;         /* virtual, bytes */
    char *backing;        /* as it stands there; or NULL */
    char *backing_format; /* or NULL */
} VmpQcow2Head;

void vmp_qcow2_head_clear(VmpQcow2Head *head);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmpQcow2Head, vmp_qcow2_head_clear)
/* FALSE: it is no such image, or only QEMU can tell. */
gboolean vmp_qcow2_read_head(int fd, VmpQcow2Head *head);

/* The header extension of that @type if it has that @length, and the autoclear features. */
gboolean vmp_qcow2_read_extension(int fd, guint32 type, guint8 *data, gsize length,
                                  guint64 *autoclear);
