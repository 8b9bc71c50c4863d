/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpBulkDelta: how the definitions of a bulk document are told by each other.
 *
 * What is written is a function of the texts and their order alone, so that a document that
 * was taken back is dumped again to the same bytes, however the store keeps the texts.  The
 * store's own deltas only say where to begin to compare.
 *
 * Definitions of one kind (<domain>, <inactiveDomain>) are compared with the last whole ones
 * of that kind; the one that leaves the shortest middle is taken.  A middle that is more
 * than half of the text is not worth it: the text is then written as a whole.
 */

#include "store/store.h"

typedef struct {
    guint64 like; /* number of the definition that it is told by; 0 = none */
    gsize first, last;
    const char *middle; /* valid until the next call; ended by a NUL */
    gboolean masked;    /* something was left out */
} VmpBulkPart;

typedef struct _VmpBulkDelta VmpBulkDelta;

/* @secure: secrets are kept. */
VmpBulkDelta *vmp_bulk_delta_new(VmpStore *store, gboolean secure);
void vmp_bulk_delta_free(VmpBulkDelta *delta);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpBulkDelta, vmp_bulk_delta_free)

/* How to write definition @id, which becomes number @number of the document. */
gboolean vmp_bulk_delta_next(VmpBulkDelta *delta, gint64 id, guint64 number, VmpBulkPart *part,
                             GError **error);
