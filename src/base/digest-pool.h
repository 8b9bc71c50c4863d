/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpDigestPool: files digested as wholes beside other work, as many at a time as there are
 * processors.  The digest of one file cannot be shared between processors.
 */

#include "base/digest.h"

typedef struct {
    VmpDigest digest;
    guint64 size;
    GArray *sums; /* guint64, as of vmp_digest_file() */
} VmpFileDigest;

typedef struct _VmpDigestPool VmpDigestPool;

VmpDigestPool *vmp_digest_pool_new(void);
/* What is not waited for is given up. */
void vmp_digest_pool_free(VmpDigestPool *pool);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpDigestPool, vmp_digest_pool_free)

/* Begins with a file; nobody may write to it from now on. */
void vmp_digest_pool_add(VmpDigestPool *pool, const char *path, gsize piece);
/* Waits for that file, which was added.  Borrowed from the pool; NULL if it could not be read,
 * or INTERRUPTED. */
const VmpFileDigest *vmp_digest_pool_wait(VmpDigestPool *pool, const char *path,
                                          GCancellable *cancellable, GError **error);
