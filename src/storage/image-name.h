/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What images are called in the headers of others, and whom that leads to.
 *
 * Read by ourselves: qemu-img, and QEMU, open at once what a header names, and of a server
 * that keeps silent they wait for ever.
 */

#include <glib.h>

/* The place of an image that QEMU calls @name; NULL for what is no place of ours: neither a
 * local file nor an NBD export.  Free with g_free(). */
char *vmp_image_place_of_name(const char *name);
/* The place that the qcow2 header at @place names, resolved as QEMU does it, and of which
 * @format it is said to be (may be NULL).  NULL where there is none, and where it cannot be
 * read: with @error if that is for a server.  Free with g_free(). */
char *vmp_image_peek_backing(const char *place, char **format, GError **error);
/* Do all servers answer that the image at @place, of @format (NULL = not said), rests on?  IO,
 * TIMED_OUT. */
gboolean vmp_image_look_at_servers(const char *place, const char *format, GError **error);
