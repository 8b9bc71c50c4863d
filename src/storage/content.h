/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpContent: the disk in an image, as a guest would see it.
 *
 * A qemu-nbd of our own serves it, over a pipe that ends with us: what QEMU calls a qcow2
 * image is left to QEMU.  One content serves one thread at a time; several on one image may be
 * read at once.
 */

#include <glib.h>

typedef struct _VmpContent VmpContent;

typedef enum {
    VMP_CONTENT_READ, /* other readers may have the image open, writers not */
    VMP_CONTENT_WRITE,
} VmpContentAccess;

/* @path is absolute.  Its backing images are opened as its header names them. */
VmpContent *vmp_content_open(const char *path, const char *format, VmpContentAccess access,
                             GError **error);
/* Flushes what was written, and ends the server. */
gboolean vmp_content_close(VmpContent *content, GError **error);
/* The same, whatever comes of it. */
void vmp_content_free(VmpContent *content);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpContent, vmp_content_free)

guint64 vmp_content_get_size(const VmpContent *content); /* bytes */

gboolean vmp_content_read(VmpContent *content, void *buffer, guint64 offset, gsize length,
                          GError **error);
gboolean vmp_content_write(VmpContent *content, const void *buffer, guint64 offset,
                           gsize length, GError **error);
/* The range reads as zeroes afterwards, whatever the backing images hold. */
gboolean vmp_content_zero(VmpContent *content, guint64 offset, guint64 length, GError **error);
