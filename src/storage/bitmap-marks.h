/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The "in use" marks of the bitmaps in qcow2 images.
 *
 * A QEMU that opens an image to write to it marks its persistent bitmaps as in use, and takes
 * the marks away when it closes the image.  One that ends while it still makes its devices
 * never does, and the bitmaps then are good for nothing, though no guest has run that could
 * have written anything.  Whoever knows that may have the marks as they were.
 *
 * A bitmap itself is only written when the image is closed, so with its mark away it is what
 * it was.  Put back are the marks alone, and only if nothing else of the image's list of
 * bitmaps has changed and nobody has the image open.
 */

#include <glib.h>

typedef struct _VmpBitmapMarks VmpBitmapMarks;

/* Takes them down before QEMU gets @paths (of char *): qcow2 images.  One that has no bitmaps,
 * or cannot be read, is left out. */
VmpBitmapMarks *vmp_bitmap_marks_new(const GPtrArray *paths);
void vmp_bitmap_marks_free(VmpBitmapMarks *marks);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpBitmapMarks, vmp_bitmap_marks_free)

/* Puts them back; the QEMU must have ended, and its guest never have run.  What cannot be put
 * back stays, as after a crash. */
void vmp_bitmap_marks_restore(const VmpBitmapMarks *marks);
