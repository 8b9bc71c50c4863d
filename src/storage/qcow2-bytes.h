/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What all who write or read qcow2 have in common.  docs/interop/qcow2.txt of QEMU is the
 * standard; all numbers are big-endian. */

#include <glib.h>

#define VMP_QCOW2_MAGIC 0x514649fbu /* "QFI\xfb" */
#define VMP_QCOW2_HEADER_LENGTH 112

/* The fields that differ between images of ours; all offsets in bytes. */
typedef struct {
    guint64 backing_offset;
    guint32 backing_length;
    guint32 cluster_bits;
    guint64 size;
    guint32 l1_entries;
    guint64 l1_offset;
    guint64 refcounts_offset;
    guint32 refcounts_clusters;
    guint32 snapshots;
    guint64 snapshots_offset;
    guint64 incompatible; /* features */
} VmpQcow2Header;

guint32 vmp_qcow2_get32(const guint8 *at);
guint64 vmp_qcow2_get64(const guint8 *at);
void vmp_qcow2_put32(GByteArray *bytes, guint32 value);
void vmp_qcow2_put64(GByteArray *bytes, guint64 value);
/* Version 3, 16-bit refcounts. */
void vmp_qcow2_put_header(GByteArray *bytes, const VmpQcow2Header *header);
gboolean vmp_qcow2_write_at(int fd, const void *data, gsize length, guint64 offset,
                            GError **error);
