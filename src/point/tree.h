/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Walking the tree of points as the store lists it (parents before children). */

#include "store/store.h"

/* Rows (of VmpStorePoint) of the machine's points without bodies. */
/* Those below @name, at any depth; an array of borrowed rows. */
GPtrArray *vmp_tree_descendants(const GPtrArray *rows, const char *name);
/* The row called @name; NULL if there is none.  Borrowed. */
VmpStorePoint *vmp_tree_find(const GPtrArray *rows, const char *name);
/* The part of @rows that a listing starts from: children of @from (all descendants with
 * @deep), or all rows (only roots with @deep) when @from is NULL.  NOT_FOUND for an unknown
 * @from. */
GPtrArray *vmp_tree_select(const GPtrArray *rows, const char *from, gboolean deep,
                           GError **error);
/* May @name have that @parent?  VMP_ERROR_INVALID if the parent is not there, is the point
 * itself, or is below it. */
gboolean vmp_tree_check_parent(const GPtrArray *rows, const char *name, const char *parent,
                               GError **error);
/* What deleting @name means, children before parents: those @below it, and it @itself.  An
 * array of char *. */
GPtrArray *vmp_tree_names_to_delete(const GPtrArray *rows, const char *name, gboolean below,
                                    gboolean itself);
