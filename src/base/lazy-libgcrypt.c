/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libgcrypt, loaded when it is first needed: only backups in a repository have digests.
 * See base/lazy.h.
 */

#include <gcrypt.h>

#define LAZY_LIBRARY "libgcrypt.so.20"

#include "base/lazy.h"

FUNCTION(const char *, gcry_check_version, (const char *version), (version))
FUNCTION(gcry_error_t, gcry_md_open, (gcry_md_hd_t * handle, int algorithm, unsigned flags),
         (handle, algorithm, flags))
PROCEDURE(gcry_md_close, (gcry_md_hd_t handle), (handle))
PROCEDURE(gcry_md_write, (gcry_md_hd_t handle, const void *data, size_t length),
          (handle, data, length))
FUNCTION(unsigned char *, gcry_md_read, (gcry_md_hd_t handle, int algorithm),
         (handle, algorithm))
PROCEDURE(gcry_md_hash_buffer, (int algorithm, void *digest, const void *data, size_t length),
          (algorithm, digest, data, length))
