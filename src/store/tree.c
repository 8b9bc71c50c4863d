/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/tree.h"

typedef struct {
    VmpStorePoint *point; /* NULL once it is in the flat list */
    gint64 parent;
} Node;

struct _VmpTree {
    GArray *nodes;     /* of Node */
    GHashTable *by_id; /* id -> index + 1 */
};

static void
clear_node(gpointer data)
{
    Node *node = data;

    vmp_store_point_free(node->point);
}

VmpTree *
vmp_tree_new(void)
{
    VmpTree *tree = g_new0(VmpTree, 1);

    tree->nodes = g_array_new(FALSE, FALSE, sizeof(Node));
    g_array_set_clear_func(tree->nodes, clear_node);
    tree->by_id = g_hash_table_new(g_int64_hash, g_int64_equal);
    return tree;
}

void
vmp_tree_free(VmpTree *tree)
{
    if (!tree)
        return;
    g_hash_table_unref(tree->by_id);
    g_array_unref(tree->nodes);
    g_free(tree);
}

void
vmp_tree_add(VmpTree *tree, VmpStorePoint *point, gint64 parent)
{
    Node node = { point, parent };

    g_array_append_val(tree->nodes, node);
    g_hash_table_insert(tree->by_id, &point->id, GUINT_TO_POINTER(tree->nodes->len));
}

static Node *
node_of(VmpTree *tree, gint64 id)
{
    guint place = GPOINTER_TO_UINT(g_hash_table_lookup(tree->by_id, &id));

    return place > 0 ? &g_array_index(tree->nodes, Node, place - 1) : NULL;
}

static gboolean
link_parents(VmpTree *tree)
{
    for (guint i = 0; i < tree->nodes->len; i++) {
        Node *node = &g_array_index(tree->nodes, Node, i);
        if (node->parent == 0)
            continue;

        Node *parent = node_of(tree, node->parent);
        if (!parent)
            return FALSE;
        node->point->parent = g_strdup(parent->point->name);
        parent->point->children++;
    }
    return TRUE;
}

/* Places @node behind its ancestors.  FALSE if it is its own ancestor. */
static gboolean
place(VmpTree *tree, Node *node, GPtrArray *line, GPtrArray *flat)
{
    g_ptr_array_set_size(line, 0);
    for (; node && node->point; node = node_of(tree, node->parent)) {
        if (line->len == tree->nodes->len)
            return FALSE;
        g_ptr_array_add(line, node);
    }

    for (guint i = line->len; i > 0; i--) {
        Node *next = g_ptr_array_index(line, i - 1);
        g_ptr_array_add(flat, g_steal_pointer(&next->point));
    }
    return TRUE;
}

GPtrArray *
vmp_tree_flatten(VmpTree *tree)
{
    if (!link_parents(tree))
        return NULL;

    g_autoptr(GPtrArray) flat =
        g_ptr_array_new_full(tree->nodes->len, (GDestroyNotify)vmp_store_point_free);
    g_autoptr(GPtrArray) line = g_ptr_array_new();
    for (guint i = 0; i < tree->nodes->len; i++)
        if (!place(tree, &g_array_index(tree->nodes, Node, i), line, flat))
            return NULL;
    return g_steal_pointer(&flat);
}
