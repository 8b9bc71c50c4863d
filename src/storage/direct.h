/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpDirect: the bytes of an image's disk, read from the file of the image or of a backing
 * image.
 *
 * QEMU says once where they are; then no process is between the files and the reader.  What it
 * gives no place for (compressed or encrypted) is not held.  Nobody may write to the images
 * meanwhile.  Several threads may read from one.
 */

#include <gio/gio.h>

typedef struct _VmpDirect VmpDirect;

typedef struct {
    guint64 offset, length; /* bytes */
    gboolean zero;          /* reads as zeroes */
} VmpExtent;

VmpDirect *vmp_direct_open(const char *path, const char *format, GCancellable *cancellable,
                           GError **error);
/* The qcow2 image without its backing images: what they have is not held. */
VmpDirect *vmp_direct_open_alone(const char *path, GCancellable *cancellable, GError **error);
void vmp_direct_free(VmpDirect *direct);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpDirect, vmp_direct_free)

guint64 vmp_direct_get_size(const VmpDirect *direct); /* of the disk, bytes */
/* All that may be anything but zeroes, wherever it is: of VmpExtent, in order.
 * Free with g_array_unref(). */
GArray *vmp_direct_list_data(const VmpDirect *direct);
/* All that the image says itself, zeroes too: the same.  Of one that was opened alone. */
GArray *vmp_direct_list_own(const VmpDirect *direct);

/* Can the range be read here? */
gboolean vmp_direct_holds(const VmpDirect *direct, guint64 offset, gsize length);
/* Reads a range that is held. */
gboolean vmp_direct_read(const VmpDirect *direct, guint8 *buffer, guint64 offset, gsize length,
                         GError **error);
/* Writes a range that is held to the file or device @fd, at @to.  The kernel copies what it
 * can, and may share it where the file system does that. */
gboolean vmp_direct_copy(const VmpDirect *direct, guint64 offset, gsize length, int fd,
                         guint64 to, GError **error);
/* Is the range in the image's own file in one piece, from byte @host of the file on?  Where
 * QEMU sees zeroes the file must have them too, and not all of it may be such. */
gboolean vmp_direct_is_at(const VmpDirect *direct, guint64 offset, gsize length, guint64 host);
