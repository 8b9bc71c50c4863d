/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Blocks go from an image to another one, each compared with its digest on the way. */

#include "backup/block-walk.h"
#include "storage/content.h"

/* Copies @blocks of the disk in @path (see vmp_block_walk()) to @content.  Zeroes in the list
 * are written as such, what is not in it is not touched.  DAMAGED names the first byte of the
 * disk that is not what the list says. */
gboolean vmp_block_copy(const char *path, guint64 size, GArray *blocks, VmpContent *content,
                        const char *what, VmpOperation *operation, GError **error);
