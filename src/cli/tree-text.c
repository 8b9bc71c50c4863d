/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/tree-text.h"

#include "cli/table.h"

typedef struct {
    char *name;
    char *parent;
} Node;

struct _VmpTreeText {
    GPtrArray *nodes;     /* of Node */
    GHashTable *names;    /* name: itself */
    GHashTable *children; /* name: GPtrArray of Node, borrowed */
};

static void
node_free(gpointer data)
{
    Node *node = data;

    g_free(node->name);
    g_free(node->parent);
    g_free(node);
}

VmpTreeText *
vmp_tree_text_new(void)
{
    VmpTreeText *tree = g_new0(VmpTreeText, 1);

    tree->nodes = g_ptr_array_new_with_free_func(node_free);
    tree->names = g_hash_table_new(g_str_hash, g_str_equal);
    tree->children = g_hash_table_new_full(g_str_hash, g_str_equal, NULL,
                                           (GDestroyNotify)g_ptr_array_unref);
    return tree;
}

void
vmp_tree_text_free(VmpTreeText *tree)
{
    if (!tree)
        return;
    g_hash_table_unref(tree->children);
    g_hash_table_unref(tree->names);
    g_ptr_array_unref(tree->nodes);
    g_free(tree);
}

void
vmp_tree_text_add(VmpTreeText *tree, const char *name, const char *parent)
{
    Node *node = g_new0(Node, 1);

    node->name = g_strdup(name);
    node->parent = g_strdup(parent);
    g_ptr_array_add(tree->nodes, node);
    g_hash_table_add(tree->names, node->name);
    if (!parent)
        return;

    GPtrArray *siblings = g_hash_table_lookup(tree->children, parent);
    if (!siblings) {
        siblings = g_ptr_array_new();
        g_hash_table_insert(tree->children, node->parent, siblings);
    }
    g_ptr_array_add(siblings, node);
}

static void
format_name(const char *name, const char *before, const GString *indent, GString *text)
{
    g_autofree char *safe = vmp_text_make_safe(name);

    g_string_append_printf(text, "%s%s%s\n", indent->str, before, safe);
}

/* @indent is what stands left of the node's own "+- "; it is left as it was found. */
static void
format_below(const VmpTreeText *tree, const char *name, gboolean last, GString *indent,
             GString *text)
{
    const GPtrArray *children = g_hash_table_lookup(tree->children, name);
    gsize length = indent->len;

    if (children)
        g_string_append_printf(text, "%s  |\n", indent->str);
    g_string_append(indent, "  ");
    for (guint i = 0; children && i < children->len; i++) {
        const Node *child = g_ptr_array_index(children, i);
        gboolean last_child = i + 1 == children->len;

        format_name(child->name, "+- ", indent, text);
        g_string_append(indent, last_child ? "  " : "| ");
        format_below(tree, child->name, last_child, indent, text);
        g_string_truncate(indent, length + 2);
    }
    g_string_truncate(indent, length);
    if (!children && last)
        g_string_append_printf(text, "%s\n", indent->str);
}

static void
format_root(const VmpTreeText *tree, const char *name, GString *text)
{
    g_autoptr(GString) indent = g_string_new(NULL);

    format_name(name, "", indent, text);
    format_below(tree, name, TRUE, indent, text);
}

void
vmp_tree_text_format(const VmpTreeText *tree, const char *from, GString *text)
{
    if (from) {
        format_root(tree, from, text);
        return;
    }
    for (guint i = 0; i < tree->nodes->len; i++) {
        const Node *node = g_ptr_array_index(tree->nodes, i);

        if (!node->parent || !g_hash_table_contains(tree->names, node->parent))
            format_root(tree, node->name, text);
    }
}
