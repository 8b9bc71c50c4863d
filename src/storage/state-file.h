/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The file that keeps a small part of a machine's state which is neither disk nor RAM: the
 * firmware's variables, a TPM's memory.
 *
 *   offset  bytes  little endian
 *        0      8  "vmpPART\n"
 *        8      4  version, 1
 *       12      4  where the content begins, 4096
 *       16      4  1 = the content of a file; 0 = there was no such file
 *       24      8  length of the content
 *       32     16  XXH3-128 of the content, canonical
 *       48      8  a random number by which its maker knows the file again
 *     4096         the content
 *
 * A copy is made while a guest stands still, and so is not synced there and then; the hash
 * tells one that a power cut has left incomplete.
 */

#include "base/file.h"

/* The largest that is kept. */
#define VMP_STATE_FILE_MAX ((gsize)64 << 20)

/* Keeps what @from has now, or that it is not there, in a new file @to (mode 0600; EXISTS).
 * On failure nothing is left. */
gboolean vmp_state_file_keep(const char *from, const char *to, guint64 mark, GError **error);
/* The same with what the state file @from keeps (DAMAGED, NOT_FOUND). */
gboolean vmp_state_file_clone(const char *from, const char *to, guint64 mark, GError **error);
/* Makes it durable.  DAMAGED if it is not what was written. */
gboolean vmp_state_file_seal(const char *path, GError **error);
/* What it keeps; *content NULL if there was no such file.  DAMAGED, NOT_FOUND.  Free with
 * g_free(). */
gboolean vmp_state_file_read(const char *path, char **content, gsize *length, GError **error);
/* Unlinks it if it has @mark or is empty; somebody else's stays, and that is no error. */
gboolean vmp_state_file_remove(const char *path, guint64 mark, GError **error);
