/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpTree: the points of a list, in an order in which no child stands before its parent. */

#include "store/store.h"

typedef struct _VmpTree VmpTree;

VmpTree *vmp_tree_new(void);
void vmp_tree_free(VmpTree *tree);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpTree, vmp_tree_free)

/* Takes @point, whose parent has the id @parent (0 = a root).  Points are added in the order
 * in which they should stand. */
void vmp_tree_add(VmpTree *tree, VmpStorePoint *point, gint64 parent);

/* All points, with parent and children filled in.  The order is that of adding, except that
 * a parent which was added behind its child is moved before it.  NULL if this is no
 * tree: a parent is missing, or points descend from themselves. */
GPtrArray *vmp_tree_flatten(VmpTree *tree);
