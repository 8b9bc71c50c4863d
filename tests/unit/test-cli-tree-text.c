/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/tree-text.h"

/* Nodes are "name" or "name<parent". */
static VmpTreeText *
tree_of(const char *nodes)
{
    g_auto(GStrv) words = g_strsplit(nodes, " ", -1);
    VmpTreeText *tree = vmp_tree_text_new();

    for (guint i = 0; words[i] && *words[i]; i++) {
        g_auto(GStrv) parts = g_strsplit(words[i], "<", 2);
        vmp_tree_text_add(tree, parts[0], parts[1]);
    }
    return tree;
}

static void
assert_drawn(const char *nodes, const char *from, const char *expected)
{
    g_autoptr(VmpTreeText) tree = tree_of(nodes);
    g_autoptr(GString) text = g_string_new(NULL);

    vmp_tree_text_format(tree, from, text);
    g_assert_cmpstr(text->str, ==, expected);
}

/* What virsh 9.0 prints for these, space by space. */
static const char virsh_nodes[] = "a b<a c<b d<b e<a f g<f h";
static const char virsh_text[] = "a\n"
                                 "  |\n"
                                 "  +- b\n"
                                 "  |   |\n"
                                 "  |   +- c\n"
                                 "  |   +- d\n"
                                 "  |     \n"
                                 "  +- e\n"
                                 "    \n"
                                 "f\n"
                                 "  |\n"
                                 "  +- g\n"
                                 "    \n"
                                 "h\n"
                                 "\n";

static void
a_tree_is_drawn_as_virsh_draws_it(void)
{
    assert_drawn(virsh_nodes, NULL, virsh_text);
    assert_drawn("", NULL, "");
}

static void
a_part_is_drawn_from_its_root(void)
{
    assert_drawn("c<b d<b", "b", "b\n  |\n  +- c\n  +- d\n    \n");
    assert_drawn("", "d", "d\n\n");
}

static void
a_node_whose_parent_is_missing_is_not_hidden(void)
{
    assert_drawn("b<gone c<b", NULL, "b\n  |\n  +- c\n    \n");
}

static void
a_child_may_come_before_its_parent(void)
{
    assert_drawn("c<b b<a a", NULL, "a\n  |\n  +- b\n      |\n      +- c\n        \n");
}

static void
a_name_cannot_leave_its_line(void)
{
    assert_drawn("a\033[2J", NULL, "a\\x1b[2J\n\n");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/tree-text/a-tree-is-drawn-as-virsh-draws-it",
                    a_tree_is_drawn_as_virsh_draws_it);
    g_test_add_func("/cli/tree-text/a-part-is-drawn-from-its-root",
                    a_part_is_drawn_from_its_root);
    g_test_add_func("/cli/tree-text/a-node-whose-parent-is-missing-is-not-hidden",
                    a_node_whose_parent_is_missing_is_not_hidden);
    g_test_add_func("/cli/tree-text/a-child-may-come-before-its-parent",
                    a_child_may_come_before_its_parent);
    g_test_add_func("/cli/tree-text/a-name-cannot-leave-its-line",
                    a_name_cannot_leave_its_line);
    return g_test_run();
}
