/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which bitmaps together tell what changed since a checkpoint.
 *
 * As in libvirt: each checkpoint's bitmap records by itself "since that checkpoint",
 * and an overlay gets bitmaps of the same names.  The valid chain of B is: B in the top
 * image, then contiguous in the backing images without a gap; each recording, persistent
 * (or alive since it was made) and not inconsistent.
 */

#include "storage/block-graph.h"

typedef struct {
    GPtrArray *nodes;    /* of const VmpBlockNode * from the top down, all having the bitmap */
    guint32 granularity; /* of the topmost */
} VmpBitmapChain;

void
vmp_bitmap_chain_free(VmpBitmapChain *chain);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpBitmapChain, vmp_bitmap_chain_free)

/* @top is the active image.  VMP_ERROR_INCONSISTENT names node and reason; VMP_ERROR_NOT_FOUND if
 * no image has it. */
VmpBitmapChain *
vmp_bitmap_chain_find(const VmpBlockGraph *graph, const VmpBlockNode *top, const char *name,
                      GError **error);
