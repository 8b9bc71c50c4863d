/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpMark: what a checkpoint set on one disk, and whether it still tells everything.
 *
 * Beside the document, a checkpoint's row remembers in its extra JSON
 *
 *     "began": { "vda": { "image": path of the image that was active then, "size": bytes,
 *                         "transient": true if the image keeps no bitmaps } }
 *     "lost":  { "vda": why the bitmap was taken away }
 *
 * An image that has lost its bitmap looks like one that never had it: only "began" tells them
 * apart.  Rows of documents that were taken in may lack it; then the bitmaps themselves are
 * believed.  "lost" is only an explanation: when a revert brings the bitmap back, it counts.
 */

#include "plan/plan.h"
#include "storage/bitmap.h"

typedef struct {
    char *disk;         /* target */
    char *bitmap;       /* name of its bitmap */
    char *image;        /* path; or NULL */
    guint64 size;       /* bytes; 0 = not known */
    char *lost;         /* a sentence's end; or NULL */
    gboolean transient; /* the bitmap lives as long as the process */
} VmpMark;

/* Those of the disks that the checkpoint tracks; an array of VmpMark.  @row with its body. */
GPtrArray *vmp_marks_of_row(const VmpStorePoint *row, GError **error);
/* Borrowed; NULL if the checkpoint does not track @disk. */
const VmpMark *vmp_marks_find(const GPtrArray *marks, const char *disk);

/* Does its chain of bitmaps still say what was written since?  As vmp_bitmap_check_layers(),
 * but a bitmap that is not there is VMP_ERROR_INCONSISTENT too: the store knows of it. */
guint vmp_mark_check_layers(const VmpMark *mark, const VmpBitmapLayer *layers, guint count,
                            GError **error);
VmpBitmapChain *vmp_mark_find_chain(const VmpMark *mark, const VmpBlockGraph *graph,
                                    const VmpBlockNode *top, GError **error);

/* Notes in @row's extra where its bitmaps began: @bitmaps is [ { "disk", "image", "size" } ]
 * (elements without "image" are left out). */
void vmp_marks_note_began(VmpStorePoint *row, VmpJson *bitmaps);
/* Notes there why the bitmap of @disk is no more. */
void vmp_marks_note_lost(VmpStorePoint *row, const char *disk, const char *reason);

/* Layers are merged down: adds to @edits that what began in the upper image of @moves (paths,
 * upper to lower) began in the lower one. */
gboolean vmp_marks_move(VmpMachine *machine, GHashTable *moves, VmpJson *edits,
                        GError **error);
/* @disk has @size bytes now, and @image active: what began in that image goes on.  @cut: it
 * has fewer than before, and no checkpoint made until now tells everything any more. */
gboolean vmp_marks_resize(VmpMachine *machine, const char *disk, const char *image,
                          guint64 size, gboolean cut, VmpJson *edits, GError **error);
