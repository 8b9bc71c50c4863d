/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A tree as virsh draws it: children below their parent, one name a line. */

#include <glib.h>

typedef struct _VmpTreeText VmpTreeText;

VmpTreeText *vmp_tree_text_new(void);
void vmp_tree_text_free(VmpTreeText *tree);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpTreeText, vmp_tree_text_free)

/* @parent NULL = a root.  Siblings are drawn in the order in which they are added. */
void vmp_tree_text_add(VmpTreeText *tree, const char *name, const char *parent);

/* Appends the drawing to @text: all roots, where a node whose parent was not added is one
 * as well, or only what is at and below @from. */
void vmp_tree_text_format(const VmpTreeText *tree, const char *from, GString *text);
