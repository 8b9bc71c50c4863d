/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/tree.h"

#include <string.h>

#include "base/error.h"

VmpStorePoint *
vmp_tree_find(const GPtrArray *rows, const char *name)
{
    for (guint i = 0; i < rows->len; i++) {
        VmpStorePoint *row = g_ptr_array_index(rows, i);
        if (g_str_equal(row->name, name))
            return row;
    }
    return NULL;
}

GPtrArray *
vmp_tree_descendants(const GPtrArray *rows, const char *name)
{
    g_autoptr(GHashTable) inside = g_hash_table_new(g_str_hash, g_str_equal);
    GPtrArray *below = g_ptr_array_new();

    /* One pass is enough: parents come first. */
    g_hash_table_add(inside, (gpointer)name);
    for (guint i = 0; i < rows->len; i++) {
        VmpStorePoint *row = g_ptr_array_index(rows, i);
        if (!row->parent || !g_hash_table_contains(inside, row->parent))
            continue;
        g_hash_table_add(inside, row->name);
        g_ptr_array_add(below, row);
    }
    return below;
}

GPtrArray *
vmp_tree_select(const GPtrArray *rows, const char *from, gboolean deep, GError **error)
{
    if (from && !vmp_tree_find(rows, from))
        return vmp_fail_null(error, VMP_ERROR_NOT_FOUND, "there is no '%s' to list from",
                             from);
    if (from && deep)
        return vmp_tree_descendants(rows, from);

    GPtrArray *selected = g_ptr_array_new();
    for (guint i = 0; i < rows->len; i++) {
        VmpStorePoint *row = g_ptr_array_index(rows, i);
        gboolean wanted = from ? g_strcmp0(row->parent, from) == 0 : !deep || !row->parent;
        if (wanted)
            g_ptr_array_add(selected, row);
    }
    return selected;
}

gboolean
vmp_tree_check_parent(const GPtrArray *rows, const char *name, const char *parent,
                      GError **error)
{
    if (!parent)
        return TRUE;
    if (strcmp(parent, name) == 0)
        return vmp_fail(error, VMP_ERROR_INVALID, "'%s' cannot be its own parent", name);
    if (!vmp_tree_find(rows, parent))
        return vmp_fail(error, VMP_ERROR_INVALID, "the parent '%s' of '%s' is not there",
                        parent, name);

    g_autoptr(GPtrArray) below = vmp_tree_descendants(rows, name);
    if (vmp_tree_find(below, parent))
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "the parent '%s' is itself below '%s': a cycle", parent, name);
    return TRUE;
}

GPtrArray *
vmp_tree_names_to_delete(const GPtrArray *rows, const char *name, gboolean below,
                         gboolean itself)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) descendants = vmp_tree_descendants(rows, name);

    for (guint i = descendants->len; below && i > 0; i--) {
        const VmpStorePoint *row = g_ptr_array_index(descendants, i - 1);
        g_ptr_array_add(names, g_strdup(row->name));
    }
    if (itself)
        g_ptr_array_add(names, g_strdup(name));
    return names;
}
