/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Images in somebody's NBD exports.
 *
 * An export is there before us and stays when we go: it can neither be made nor unlinked nor
 * renamed, and it does not grow.  One is free if it begins with zeroes; an image is made by
 * writing an empty one there, header first, and taken back by writing zeroes again, header
 * last.  So whatever cuts this leaves an export that is free, or one with our mark.
 */

#include "storage/overlay.h"

/* Is the export free?  IO if nobody is there or has it, TIMED_OUT if nothing is said. */
gboolean vmp_new_export_is_free(const char *uri, guint64 size, gboolean *is_free,
                                GError **error);
/* Writes the empty image; EXISTS if the export is not free. */
gboolean vmp_new_export_make(const VmpNewImage *image, GError **error);
/* Makes the export free if the image in it was made by vmpoint (@mark 0), with that @mark;
 * what is somebody else's stays, and that is no error. */
gboolean vmp_new_export_clear(const char *uri, guint64 mark, GError **error);
