/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which bitmaps together tell what changed since a checkpoint.
 *
 * As in libvirt: each checkpoint's bitmap records by itself "since that checkpoint",
 * and an overlay gets bitmaps of the same names.  The valid chain of B is: B in the top
 * image, then contiguous in the backing images without a gap; each recording, persistent
 * (or alive since it was made) and not inconsistent.
 *
 * That alone does not say where the chain has to end: an image that lost its bitmap looks like
 * one that never had it.  So the chain must reach down to the image in which the bitmap began,
 * where that is known; what lies deeper was written before and does not count.
 */

#include "storage/block-graph.h"

typedef struct {
    GPtrArray *nodes;    /* of const VmpBlockNode * from the top down, all having the bitmap */
    guint32 granularity; /* of the topmost */
} VmpBitmapChain;

void vmp_bitmap_chain_free(VmpBitmapChain *chain);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpBitmapChain, vmp_bitmap_chain_free)

/* Where a bitmap began. */
typedef struct {
    const char *image; /* path of the image that was active then; NULL = not known */
    guint64 size;      /* bytes that the disk had then; 0 = not known */
} VmpBitmapOrigin;

/* One image of a disk. */
typedef struct {
    const char *image; /* its path, or the name of its node */
    guint64 size;
    const GPtrArray *bitmaps; /* of VmpBitmap */
} VmpBitmapLayer;

/* How many of @layers (the active one first) make up the valid chain of @name; 0 with @error:
 * VMP_ERROR_INCONSISTENT names image and reason, VMP_ERROR_NOT_FOUND if none has it.  @origin
 * may be NULL. */
guint vmp_bitmap_check_layers(const VmpBitmapLayer *layers, guint count, const char *name,
                              const VmpBitmapOrigin *origin, GError **error);

/* The same in a graph; @top is the active image. */
VmpBitmapChain *vmp_bitmap_chain_find(const VmpBlockGraph *graph, const VmpBlockNode *top,
                                      const char *name, const VmpBitmapOrigin *origin,
                                      GError **error);
