/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The disks of a domain, one at a time: virsh's block commands.
 *
 * A disk is named by its target ("vda") or by the path of its image, if only one has it.
 */

#include <vmpoint/host.h>
#include <vmpoint/operation.h>

G_BEGIN_DECLS

typedef enum {
    VMP_BLOCK_RESIZE_CAPACITY = 1 << 1, /* a raw block device: as large as that is by now */
    VMP_BLOCK_RESIZE_EXTEND = 1 << 2,   /* INVALID if the disk would become smaller */
    VMP_BLOCK_RESIZE_FORCE = 1 << 16,   /* ours: make it smaller, whatever is lost */
} VmpBlockResizeFlags;

/* Gives @disk @size bytes (rounded up to whole sectors), of a running domain or one that is
 * off.  Snapshots keep the size that they have.  Checkpoints go on when the disk grows, unless
 * a snapshot was made since; then, and when it is made smaller, the next backup of that disk
 * is a full one.  VMP_ERROR_RISKY: it would become smaller, and FORCE is not said. */
VMP_PUBLIC gboolean vmp_block_resize(VmpHost *host, const char *domain, const char *disk,
                                     guint64 size, VmpBlockResizeFlags flags,
                                     VmpOperation *operation, GError **error);

G_END_DECLS
