/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The file that holds the RAM of a snapshot.
 *
 *   offset  bytes  little endian
 *        0      8  "vmpRAM\r\n"
 *        8      4  version, 1
 *       12      4  where the stream begins, 4096
 *       16      4  1 once the file is complete, 2 if it never will be, else 0
 *       24      8  length of the stream; valid from before the mark
 *       32     16  XXH3-128 of the stream, canonical; valid with the mark
 *       48      8  a random number by which its maker knows the file again
 *     4096         QEMU's migration stream
 *
 * It is valid only with the mark, which is written last and after all of the rest is on
 * stable storage.  QEMU writes the stream into a descriptor that it was given, so that a
 * vmpoint that is killed meanwhile leaves a file without the mark.
 */

#include "base/file.h"

/* Makes it, with the mode 0600 and space for @reserve bytes (0 = none) set aside; the
 * descriptor stands where the stream begins.  EXISTS; -1 on failure, and nothing is left then.
 */
int vmp_ram_file_create(const char *path, guint64 mark, guint64 reserve, GError **error);
/* Opens one that was made and not sealed yet, at the stream's begin. */
int vmp_ram_file_reopen(const char *path, guint64 mark, GError **error);
/* Has anything of the stream been written? */
gboolean vmp_ram_file_is_begun(const char *path);
/* The stream has come to its end: what is still set aside is given back. */
gboolean vmp_ram_file_note_length(const char *path, GError **error);
/* Makes it durable and complete.  DAMAGED if it has lost its end since. */
gboolean vmp_ram_file_seal(const char *path, GError **error);
/* Checks all of it, then stands at the stream's begin; -1 with DAMAGED, NOT_FOUND. */
int vmp_ram_file_open(const char *path, GError **error);
/* The same for a file of which all was checked just before: only that it is complete and has
 * its length is looked at again. */
int vmp_ram_file_open_checked(const char *path, GError **error);
/* The stream's checksum as its header tells it, as text; NULL unless it is complete.  Free
 * with g_free(). */
char *vmp_ram_file_read_hash(const char *path);
/* Takes it out of use for good: what may still be written to it is not the RAM of one instant.
 * It is DAMAGED from now on.  One that is complete stays. */
gboolean vmp_ram_file_spoil(const char *path, GError **error);
/* Unlinks it if it has @mark or is empty; somebody else's stays, and that is no error. */
gboolean vmp_ram_file_remove(const char *path, guint64 mark, GError **error);
gboolean vmp_ram_file_is_complete(const char *path);
