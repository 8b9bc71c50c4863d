/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Images that do not stand on what their snapshot froze: because somebody said so, or because
 * they are copies of it.  Whoever compares the tree of snapshots with that of the images has
 * to know of them.
 */

#include "machine/machine.h"

/* Adds to @edits that the image at @path is one from then on. */
void vmp_pulled_edit(VmpMachine *machine, const char *path, VmpJson *edits);
/* A set of paths; free with g_hash_table_unref(). */
GHashTable *vmp_pulled_list(VmpMachine *machine, GError **error);
