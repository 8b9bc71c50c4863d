/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpWriteback: has the kernel write files out while somebody else still fills them.
 *
 * The sync at the end of a copy waits for all that is dirty then; a disk that has been busy
 * meanwhile has little left to do.  It promises nothing: vmp_new_images_sync() does.
 */

#include <glib.h>

typedef struct _VmpWriteback VmpWriteback;

/* Begins for the files of @images (of VmpNewImage); block devices are left alone. */
VmpWriteback *vmp_writeback_begin(const GPtrArray *images);
/* Ends it and returns when it has ended. */
void vmp_writeback_end(VmpWriteback *writeback);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpWriteback, vmp_writeback_end)
