/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpOthers: the images that the other domains of the store stand on.
 *
 * A linked clone has a frozen layer of its original in its chain.  Whoever would write into an
 * image, give it another backing image or unlink it looks here first.
 */

#include "machine/machine.h"

typedef struct _VmpOthers VmpOthers;

/* Reads what the disks of all other domains, and of their snapshots, stand on, down to the
 * lowest image.  A chain ends where an image is not there or is none; @error for one of which
 * nobody can say what it stands on. */
VmpOthers *vmp_others_look(VmpMachine *machine, GError **error);
/* The same for all domains. */
VmpOthers *vmp_others_look_at_all(VmpHost *host, GCancellable *cancellable, GError **error);
void vmp_others_free(VmpOthers *others);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpOthers, vmp_others_free)

/* A domain that stands on the image at @path, however that is spelt; NULL = none.  Borrowed.
 */
const char *vmp_others_find(const VmpOthers *others, const char *path);
/* All paths (char *, borrowed), as they are spelt; free the list with g_ptr_array_unref(). */
GPtrArray *vmp_others_paths(const VmpOthers *others);
