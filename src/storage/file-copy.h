/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A file copied as it is, whatever is in it: an image with the internal snapshots that
 * qemu-img would leave behind.
 *
 * Where the file system can, both share their blocks; elsewhere what is a hole stays one.
 */

#include <gio/gio.h>

/* Copies @from, which nobody writes to, into the empty file @fd.  IO, INTERRUPTED. */
gboolean vmp_file_copy(const char *from, int fd, GCancellable *cancellable, GError **error);
