/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Random changes, made to the store and to a model of it in memory, which has to agree.
 *
 * The model is as simple as can be: arrays that are searched from end to end.
 */

#include <string.h>

#include "test-store-fixture.h"

#define DOMAINS 3
#define NAMES 12
#define CHANGES 3000

typedef struct {
    gboolean used;
    int parent; /* -1: a root */
    int time;
    int order; /* of making */
    gboolean current;
    int body; /* -1: none */
    int text; /* number of its definition; -1: none */
} ModelPoint;

typedef struct {
    gint64 ids[DOMAINS];
    ModelPoint points[DOMAINS][2][NAMES];
    int order;
} Model;

static char *
number_text(int number)
{
    return number < 0 ? NULL
                      : g_strdup_printf("<text number='%d'>%0*d</text>", number,
                                        100 + number % 7 * 500, number);
}

static char *
number_name(int number)
{
    return number < 0 ? NULL : g_strdup_printf("n%d", number);
}

static gboolean
descends(ModelPoint *tree, int from, int ancestor)
{
    for (; from >= 0; from = tree[from].parent)
        if (from == ancestor)
            return TRUE;
    return FALSE;
}

static void
clear_current(ModelPoint *tree)
{
    for (int i = 0; i < NAMES; i++)
        tree[i].current = FALSE;
}

/* ---- the changes: each is made to both; both succeed or fail with the same code ---- */

static void
assert_outcome(gboolean worked, const GError *error, int code)
{
    if (code == 0) {
        g_assert_no_error(error);
        g_assert_true(worked);
    } else {
        g_assert_error(error, VMP_ERROR, code);
        g_assert_false(worked);
    }
}

static int
model_put(Model *model, ModelPoint *tree, int name, ModelPoint put)
{
    if (put.parent >= 0 && !tree[put.parent].used)
        return VMP_ERROR_NOT_FOUND;
    if (tree[name].used && put.parent != tree[name].parent && descends(tree, put.parent, name))
        return VMP_ERROR_INVALID;
    if (put.current)
        clear_current(tree);
    put.used = TRUE;
    put.order = tree[name].used ? tree[name].order : model->order++;
    tree[name] = put;
    return 0;
}

static void
change_put(VmpStore *store, Model *model, int domain, VmpPointKind kind)
{
    int name = g_test_rand_int_range(0, NAMES);
    ModelPoint put = {
        .parent = g_test_rand_int_range(-1, NAMES),
        .time = g_test_rand_int_range(0, 5),
        .current = g_test_rand_bit(),
        .body = g_test_rand_int_range(-1, 5),
        .text = g_test_rand_int_range(-1, 20),
    };
    g_autofree char *point_name = number_name(name);
    g_autofree char *parent = number_name(put.parent);
    g_autofree char *body = number_text(put.body);
    g_autofree char *text = number_text(put.text);
    VmpStorePoint point = point_of(model->ids[domain], point_name, parent);
    g_autoptr(GError) error = NULL;

    point.kind = kind;
    point.creation_time = put.time;
    point.current = put.current;
    point.body = body;
    point.definition = text ? put_definition(store, text, g_test_rand_int_range(0, 30)) : 0;
    gboolean worked = vmp_store_put_point(store, &point, &error);
    assert_outcome(worked, error, model_put(model, model->points[domain][kind], name, put));
}

static void
change_remove(VmpStore *store, Model *model, int domain, VmpPointKind kind)
{
    int name = g_test_rand_int_range(0, NAMES);
    ModelPoint *tree = model->points[domain][kind], *gone = &tree[name];
    g_autofree char *point_name = number_name(name);
    g_autoptr(GError) error = NULL;

    gboolean worked =
        vmp_store_remove_point(store, model->ids[domain], kind, point_name, &error);
    assert_outcome(worked, error, gone->used ? 0 : VMP_ERROR_NOT_FOUND);
    if (!gone->used)
        return;
    for (int i = 0; i < NAMES; i++)
        if (tree[i].used && tree[i].parent == name)
            tree[i].parent = gone->parent;
    if (gone->current && gone->parent >= 0)
        tree[gone->parent].current = TRUE;
    *gone = (ModelPoint){ 0 };
}

static void
change_current(VmpStore *store, Model *model, int domain, VmpPointKind kind)
{
    int name = g_test_rand_int_range(-1, NAMES);
    ModelPoint *tree = model->points[domain][kind];
    g_autofree char *point_name = number_name(name);
    g_autoptr(GError) error = NULL;
    gboolean possible = name < 0 || tree[name].used;

    gboolean worked =
        vmp_store_set_current_point(store, model->ids[domain], kind, point_name, &error);
    assert_outcome(worked, error, possible ? 0 : VMP_ERROR_NOT_FOUND);
    if (!possible)
        return;
    clear_current(tree);
    if (name >= 0)
        tree[name].current = TRUE;
}

static void
change_name(VmpStore *store, Model *model, int domain, VmpPointKind kind)
{
    int from = g_test_rand_int_range(0, NAMES), to = g_test_rand_int_range(0, NAMES);
    ModelPoint *tree = model->points[domain][kind];
    g_autofree char *from_name = number_name(from);
    g_autofree char *to_name = number_name(to);
    g_autoptr(GError) error = NULL;
    int code = !tree[from].used              ? VMP_ERROR_NOT_FOUND
               : from != to && tree[to].used ? VMP_ERROR_EXISTS
                                             : 0;

    gboolean worked =
        vmp_store_rename_point(store, model->ids[domain], kind, from_name, to_name, &error);
    assert_outcome(worked, error, code);
    if (code != 0 || from == to)
        return;
    for (int i = 0; i < NAMES; i++)
        if (tree[i].used && tree[i].parent == from)
            tree[i].parent = to;
    tree[to] = tree[from];
    tree[from] = (ModelPoint){ 0 };
}

static void
change_domain(VmpStore *store, Model *model, int domain, VmpPointKind kind)
{
    g_autofree char *name = number_name(domain);

    if (!g_test_rand_bit())
        return; /* seldom enough for trees to grow */
    assert_works(vmp_store_remove_domain(store, model->ids[domain], error));
    memset(model->points[domain], 0, sizeof model->points[domain]);
    model->ids[domain] = add_domain(store, name);
}

static void
change_collect(VmpStore *store, Model *model, int domain, VmpPointKind kind)
{
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(vmp_store_collect_definitions(store, &error), >=, 0);
    g_assert_no_error(error);
}

/* ---- comparing ---- */

static void
assert_point(VmpStore *store, const VmpStorePoint *point, ModelPoint *tree, int name)
{
    g_autofree char *parent = number_name(tree[name].parent);
    g_autofree char *body = number_text(tree[name].body);
    g_autofree char *text = number_text(tree[name].text);
    guint children = 0;

    for (int i = 0; i < NAMES; i++)
        children += tree[i].used && tree[i].parent == name;
    g_assert_cmpstr(point->parent, ==, parent);
    g_assert_cmpint(point->creation_time, ==, tree[name].time);
    g_assert_cmpint(point->current, ==, tree[name].current);
    g_assert_cmpuint(point->children, ==, children);
    g_assert_cmpstr(point->body, ==, body);
    g_assert_cmpint(point->definition != 0, ==, text != NULL);
    if (text) {
        g_autofree char *definition =
            vmp_store_get_definition(store, point->definition, NULL, NULL);
        g_assert_cmpstr(definition, ==, text);
    }
}

/* The one that comes next: the earliest that is not placed yet, or its first such ancestor. */
static int
next_in_order(ModelPoint *tree, const gboolean *placed)
{
    int next = -1;

    for (int i = 0; i < NAMES; i++) {
        if (!tree[i].used || placed[i])
            continue;
        if (next < 0 || tree[i].time < tree[next].time ||
            (tree[i].time == tree[next].time && tree[i].order < tree[next].order))
            next = i;
    }
    while (next >= 0 && tree[next].parent >= 0 && !placed[tree[next].parent])
        next = tree[next].parent;
    return next;
}

static void
assert_tree(VmpStore *store, Model *model, int domain, VmpPointKind kind)
{
    ModelPoint *tree = model->points[domain][kind];
    g_autoptr(GPtrArray) points =
        vmp_store_list_points(store, model->ids[domain], kind, TRUE, NULL);
    gboolean placed[NAMES] = { FALSE };
    guint count = 0;

    for (int name; (name = next_in_order(tree, placed)) >= 0; count++) {
        g_autofree char *expected = number_name(name);
        g_assert_cmpuint(count, <, points->len);
        VmpStorePoint *point = g_ptr_array_index(points, count);
        g_assert_cmpstr(point->name, ==, expected);
        assert_point(store, point, tree, name);
        g_autoptr(VmpStorePoint) found =
            vmp_store_find_point(store, model->ids[domain], kind, expected, NULL);
        assert_point(store, found, tree, name);
        placed[name] = TRUE;
    }
    g_assert_cmpuint(points->len, ==, count);
}

static void
test_model(Fixture *fixture, gconstpointer data)
{
    static void (*const changes[])(VmpStore *, Model *, int, VmpPointKind) = {
        change_put,    change_put,    change_put,     change_put,     change_put,
        change_put,    change_put,    change_put,     change_put,     change_remove,
        change_remove, change_remove, change_current, change_current, change_name,
        change_name,   change_name,   change_collect,
    };
    Model *model = g_new0(Model, 1);

    for (int i = 0; i < DOMAINS; i++) {
        g_autofree char *name = number_name(i);
        model->ids[i] = add_domain(fixture->store, name);
    }
    for (int i = 0; i < CHANGES; i++) {
        int domain = g_test_rand_int_range(0, DOMAINS);
        VmpPointKind kind = g_test_rand_bit() ? VMP_POINT_SNAPSHOT : VMP_POINT_CHECKPOINT;
        VmpStoreTransaction transaction;

        /* Within a transaction for speed only; now and then it is a process of its own. */
        if (i % 50 == 0) {
            fixture_reopen(fixture);
            assert_works(vmp_store_begin(fixture->store, &transaction, error));
        }
        if (i % 400 == 399)
            change_domain(fixture->store, model, domain, kind);
        else
            changes[g_test_rand_int_range(0, G_N_ELEMENTS(changes))](fixture->store, model,
                                                                     domain, kind);
        assert_tree(fixture->store, model, domain, kind);
        if (i % 50 == 49)
            assert_works(vmp_store_commit(&transaction, error));
    }

    for (int domain = 0; domain < DOMAINS; domain++)
        for (int kind = 0; kind < 2; kind++)
            assert_tree(fixture->store, model, domain, (VmpPointKind)kind);
    assert_works(vmp_store_verify(fixture->store, error));
    g_free(model);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_test("/store/model/the-store-does-what-a-simple-model-does", test_model);
    return g_test_run();
}
