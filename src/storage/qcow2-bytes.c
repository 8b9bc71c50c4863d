/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/qcow2-bytes.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

#define REFCOUNT_ORDER 4 /* 2^4 bits */

guint32
vmp_qcow2_get32(const guint8 *at)
{
    guint32 big;

    memcpy(&big, at, sizeof big);
    return GUINT32_FROM_BE(big);
}

guint64
vmp_qcow2_get64(const guint8 *at)
{
    guint64 big;

    memcpy(&big, at, sizeof big);
    return GUINT64_FROM_BE(big);
}

void
vmp_qcow2_put32(GByteArray *bytes, guint32 value)
{
    guint32 big = GUINT32_TO_BE(value);
    g_byte_array_append(bytes, (const guint8 *)&big, sizeof big);
}

void
vmp_qcow2_put64(GByteArray *bytes, guint64 value)
{
    guint64 big = GUINT64_TO_BE(value);
    g_byte_array_append(bytes, (const guint8 *)&big, sizeof big);
}

void
vmp_qcow2_put_header(GByteArray *bytes, const VmpQcow2Header *header)
{
    const guint start = bytes->len;

    vmp_qcow2_put32(bytes, VMP_QCOW2_MAGIC);
    vmp_qcow2_put32(bytes, 3); /* version */
    vmp_qcow2_put64(bytes, header->backing_offset);
    vmp_qcow2_put32(bytes, header->backing_length);
    vmp_qcow2_put32(bytes, header->cluster_bits);
    vmp_qcow2_put64(bytes, header->size);
    vmp_qcow2_put32(bytes, 0); /* no encryption */
    vmp_qcow2_put32(bytes, header->l1_entries);
    vmp_qcow2_put64(bytes, header->l1_offset);
    vmp_qcow2_put64(bytes, header->refcounts_offset);
    vmp_qcow2_put32(bytes, header->refcounts_clusters);
    vmp_qcow2_put32(bytes, header->snapshots);
    vmp_qcow2_put64(bytes, header->snapshots_offset);
    vmp_qcow2_put64(bytes, header->incompatible);
    vmp_qcow2_put64(bytes, 0); /* compatible features */
    vmp_qcow2_put64(bytes, 0); /* features that are cleared by those who do not know them */
    vmp_qcow2_put32(bytes, REFCOUNT_ORDER);
    vmp_qcow2_put32(bytes, VMP_QCOW2_HEADER_LENGTH);
    vmp_qcow2_put64(bytes, 0); /* compression type zlib, and padding */
    g_assert(bytes->len - start == VMP_QCOW2_HEADER_LENGTH);
}

gboolean
vmp_qcow2_write_at(int fd, const void *data, gsize length, guint64 offset, GError **error)
{
    const char *bytes = data;

    while (length > 0) {
        gssize written = TEMP_FAILURE_RETRY(pwrite(fd, bytes, length, (off_t)offset));
        if (written <= 0)
            return vmp_fail_errno(error, written < 0 ? errno : ENOSPC, "cannot write");
        bytes += written;
        offset += (guint64)written;
        length -= (gsize)written;
    }
    return TRUE;
}
