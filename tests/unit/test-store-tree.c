/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/tree.h"

static void
add(VmpTree *tree, gint64 id, gint64 parent)
{
    VmpStorePoint *point = g_new0(VmpStorePoint, 1);

    point->id = id;
    point->name = g_strdup_printf("p%d", (int)id);
    vmp_tree_add(tree, point, parent);
}

static void
assert_order(GPtrArray *points, const gint64 *ids, guint count)
{
    g_assert_nonnull(points);
    g_assert_cmpuint(points->len, ==, count);
    for (guint i = 0; i < count; i++) {
        VmpStorePoint *point = g_ptr_array_index(points, i);
        g_assert_cmpint(point->id, ==, ids[i]);
    }
}

static void
test_empty(void)
{
    g_autoptr(VmpTree) tree = vmp_tree_new();
    g_autoptr(GPtrArray) points = vmp_tree_flatten(tree);

    assert_order(points, NULL, 0);
    vmp_tree_free(NULL);
}

static void
test_kept(void)
{
    static const gint64 order[] = { 5, 3, 9, 1 };
    g_autoptr(VmpTree) tree = vmp_tree_new();

    add(tree, 5, 0);
    add(tree, 3, 5);
    add(tree, 9, 0);
    add(tree, 1, 3);
    g_autoptr(GPtrArray) points = vmp_tree_flatten(tree);
    assert_order(points, order, G_N_ELEMENTS(order));

    VmpStorePoint *first = g_ptr_array_index(points, 0),
                  *second = g_ptr_array_index(points, 1);
    g_assert_cmpuint(first->children, ==, 1);
    g_assert_null(first->parent);
    g_assert_cmpstr(second->parent, ==, "p5");
}

static void
test_moved(void)
{
    static const gint64 order[] = { 7, 3, 1, 2, 4 };
    g_autoptr(VmpTree) tree = vmp_tree_new();

    add(tree, 1, 3);
    add(tree, 2, 7);
    add(tree, 3, 7);
    add(tree, 4, 0);
    add(tree, 7, 0);
    g_autoptr(GPtrArray) points = vmp_tree_flatten(tree);
    assert_order(points, order, G_N_ELEMENTS(order));
}

static void
test_deep(void)
{
    enum { DEPTH = 100000 };
    g_autoptr(VmpTree) tree = vmp_tree_new();

    for (gint64 id = DEPTH; id > 0; id--) /* the youngest first: all have to be moved */
        add(tree, id, id - 1);
    g_autoptr(GPtrArray) points = vmp_tree_flatten(tree);
    g_assert_cmpuint(points->len, ==, DEPTH);
    for (guint i = 0; i < DEPTH; i++)
        g_assert_cmpint(((VmpStorePoint *)g_ptr_array_index(points, i))->id, ==, i + 1);
}

static void
test_no_tree(void)
{
    static const gint64 shapes[][3] = {
        { 1, 0, 0 }, /* its own parent */
        { 9, 1, 2 }, /* a parent that is not there */
        { 2, 3, 1 }, /* a circle */
        { 0, 3, 2 }, /* a circle beside a root */
        { 2, 1, 1 }, /* a circle with a branch */
    };

    for (gsize i = 0; i < G_N_ELEMENTS(shapes); i++) {
        g_autoptr(VmpTree) tree = vmp_tree_new();
        for (gint64 id = 1; id <= 3; id++)
            add(tree, id, shapes[i][id - 1]);
        g_assert_null(vmp_tree_flatten(tree));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store/tree/nothing-makes-an-empty-list", test_empty);
    g_test_add_func("/store/tree/the-order-of-adding-is-kept", test_kept);
    g_test_add_func("/store/tree/a-parent-is-moved-before-its-children", test_moved);
    g_test_add_func("/store/tree/a-line-of-100000-is-no-burden", test_deep);
    g_test_add_func("/store/tree/what-is-no-tree-is-refused", test_no_tree);
    return g_test_run();
}
