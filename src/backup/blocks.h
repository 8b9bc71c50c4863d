/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The blocks that an image of a restore point holds, each with the digest of what a guest
 * reads there: what makes every read of a backup a proof.
 *
 * A block is 64 KiB of the disk, the unit in which QEMU copies: an increment's list is as long
 * as the increment, and needs nothing of its parents.  Lists laid over one another tell the
 * whole disk, and from that follows the disk's own digest, the same however the points that
 * tell it are cut.
 */

#include "base/digest.h"

#define VMP_BLOCK_SIZE 65536

/* One block, or with an empty digest @count of them that read as zeroes. */
typedef struct {
    guint64 first, count; /* in blocks; @count is 1 unless they are zeroes */
    VmpDigest digest;
} VmpBlock;

gboolean vmp_block_is_zero(const VmpBlock *block);

/* A list is a GArray of VmpBlock in order, none twice.  Free with g_array_unref(). */
GArray *vmp_blocks_new(void);
/* Appends @count blocks of zeroes, to the last ones if they are such too. */
void vmp_blocks_add_zeroes(GArray *blocks, guint64 first, guint64 count);

/* Writes a new file: @blocks of a disk of @size bytes, and @sums (of guint64) of each @piece
 * bytes of the image file.  Not synced: whoever enters it in a folder does that. */
gboolean vmp_blocks_write(const char *path, guint64 size, const GArray *blocks, guint32 piece,
                          const GArray *sums, GError **error);

typedef struct {
    guint64 size; /* of the disk, bytes */
    GArray *blocks;
    guint32 piece;
    GArray *sums; /* of guint64 */
} VmpBlockFile;

/* DAMAGED for what is no such list, NOT_FOUND, IO. */
VmpBlockFile *vmp_blocks_read(const char *path, GError **error);
void vmp_block_file_free(VmpBlockFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpBlockFile, vmp_block_file_free)

/* The list of what @layers (of GArray *, the newest first) hold together.  With @keep_zeroes
 * FALSE what reads as zeroes is left out, as in an image that stands on nothing. */
GArray *vmp_blocks_compose(GArray *const *layers, guint count, gboolean keep_zeroes);
/* The digest of a disk of @size bytes in which @blocks hold all that is not zero. */
void vmp_blocks_view(const GArray *blocks, guint64 size, VmpDigest *digest);
