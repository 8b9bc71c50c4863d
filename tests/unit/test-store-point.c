/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Points are a part of store.h. */

#include <string.h>

#include "test-store-fixture.h"

static VmpStorePoint *
find(VmpStore *store, gint64 domain, const char *name)
{
    g_autoptr(GError) error = NULL;
    VmpStorePoint *point =
        vmp_store_find_point(store, domain, VMP_POINT_SNAPSHOT, name, &error);

    g_assert_no_error(error);
    return point;
}

/* "a b(a) c(b)*": the names in order, their parents, and which is current. */
static void
assert_list(VmpStore *store, gint64 domain, VmpPointKind kind, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) points = vmp_store_list_points(store, domain, kind, FALSE, &error);
    g_autoptr(GString) actual = g_string_new("");

    g_assert_no_error(error);
    for (guint i = 0; i < points->len; i++) {
        VmpStorePoint *point = g_ptr_array_index(points, i);
        guint children = 0;
        g_string_append_printf(actual, "%s%s", i > 0 ? " " : "", point->name);
        if (point->parent)
            g_string_append_printf(actual, "(%s)", point->parent);
        if (point->current)
            g_string_append_c(actual, '*');
        for (guint j = 0; j < points->len; j++) {
            VmpStorePoint *other = g_ptr_array_index(points, j);
            children += g_strcmp0(other->parent, point->name) == 0;
        }
        g_assert_cmpuint(point->children, ==, children);
        g_assert_null(point->body);
    }
    g_assert_cmpstr(actual->str, ==, expected);
    g_assert_cmpint(vmp_store_count_points(store, domain, kind, &error), ==, points->len);
    g_assert_no_error(error);
}

#define assert_tree(domain, expected) \
    assert_list(fixture->store, domain, VMP_POINT_SNAPSHOT, expected)

static void
assert_same(const VmpStorePoint *a, const VmpStorePoint *b)
{
    g_assert_cmpint(a->id, ==, b->id);
    g_assert_cmpint(a->domain, ==, b->domain);
    g_assert_cmpint(a->kind, ==, b->kind);
    g_assert_cmpstr(a->name, ==, b->name);
    g_assert_cmpstr(a->parent, ==, b->parent);
    g_assert_cmpint(a->creation_time, ==, b->creation_time);
    g_assert_cmpstr(a->state, ==, b->state);
    g_assert_cmpint(a->location, ==, b->location);
    g_assert_cmpint(a->current, ==, b->current);
    g_assert_cmpuint(a->children, ==, b->children);
    g_assert_cmpstr(a->body, ==, b->body);
    g_assert_cmpint(a->definition, ==, b->definition);
    g_assert_cmpint(a->inactive_definition, ==, b->inactive_definition);
    g_assert_cmpstr(a->extra, ==, b->extra);
}

static void
test_every_field(Fixture *fixture, gconstpointer data)
{
    gint64 domain = add_domain(fixture->store, "d");
    VmpStorePoint point = {
        .domain = domain,
        .kind = VMP_POINT_CHECKPOINT,
        .name = (char *)"child",
        .parent = (char *)"root",
        .creation_time = 1700000000,
        .state = (char *)"running",
        .location = 3,
        .current = TRUE,
        .children = 0,
        .body = (char *)"<domaincheckpoint/>",
        .definition = put_definition(fixture->store, "<domain/>", 0),
        .inactive_definition = put_definition(fixture->store, "<inactiveDomain/>", 0),
        .extra = (char *)"{}",
    };
    VmpStorePoint root = { .domain = domain, .kind = point.kind, .name = point.parent };

    assert_works(vmp_store_put_point(fixture->store, &root, error));
    assert_works(vmp_store_put_point(fixture->store, &point, error));
    g_assert_cmpint(point.id, >, root.id);
    fixture_reopen(fixture);
    root.children = 1;

    g_autoptr(VmpStorePoint) found =
        vmp_store_find_point(fixture->store, domain, point.kind, "child", NULL);
    assert_same(found, &point);
    g_autoptr(VmpStorePoint) found_root =
        vmp_store_find_point(fixture->store, domain, point.kind, "root", NULL);
    assert_same(found_root, &root);
    g_autoptr(VmpStorePoint) current =
        vmp_store_find_current_point(fixture->store, domain, point.kind, NULL);
    assert_same(current, &point);

    g_autoptr(GPtrArray) full =
        vmp_store_list_points(fixture->store, domain, point.kind, TRUE, NULL);
    g_assert_cmpuint(full->len, ==, 2);
    assert_same(g_ptr_array_index(full, 0), &root);
    assert_same(g_ptr_array_index(full, 1), &point);
    g_autoptr(GPtrArray) brief =
        vmp_store_list_points(fixture->store, domain, point.kind, FALSE, NULL);
    point.body = NULL;
    assert_same(g_ptr_array_index(brief, 1), &point);
}

static void
test_replace(Fixture *fixture, gconstpointer data)
{
    gint64 domain = add_domain(fixture->store, "d");
    VmpStorePoint point = point_of(domain, "a", NULL);

    point.body = (char *)"before";
    point.extra = (char *)"{}";
    point.current = TRUE;
    assert_works(vmp_store_put_point(fixture->store, &point, error));
    gint64 id = point.id;
    add_point(fixture->store, domain, "b", "a");

    VmpStorePoint changed = point_of(domain, "a", NULL);
    changed.state = (char *)"shutoff";
    changed.body = (char *)"after";
    assert_works(vmp_store_put_point(fixture->store, &changed, error));
    g_assert_cmpint(changed.id, ==, id);
    changed.children = 1;
    g_autoptr(VmpStorePoint) found = find(fixture->store, domain, "a");
    assert_same(found, &changed);
    assert_tree(domain, "a b(a)");

    changed.body = NULL;
    assert_works(vmp_store_put_point(fixture->store, &changed, error));
    g_autoptr(VmpStorePoint) bare = find(fixture->store, domain, "a");
    g_assert_null(bare->body);
}

static void
test_kinds_apart(Fixture *fixture, gconstpointer data)
{
    gint64 one = add_domain(fixture->store, "1"), two = add_domain(fixture->store, "2");
    const struct {
        gint64 domain;
        VmpPointKind kind;
    } trees[] = { { one, VMP_POINT_SNAPSHOT },
                  { one, VMP_POINT_CHECKPOINT },
                  { two, VMP_POINT_SNAPSHOT } };

    for (gsize i = 0; i < G_N_ELEMENTS(trees); i++) {
        VmpStorePoint point = { .domain = trees[i].domain,
                                .kind = trees[i].kind,
                                .name = (char *)"a",
                                .current = TRUE };
        VmpStorePoint child = { .domain = trees[i].domain,
                                .kind = trees[i].kind,
                                .name = (char *)"b",
                                .parent = (char *)"a" };
        assert_works(vmp_store_put_point(fixture->store, &point, error));
        assert_works(vmp_store_put_point(fixture->store, &child, error));
    }
    assert_works(vmp_store_remove_point(fixture->store, one, VMP_POINT_SNAPSHOT, "b", error));
    assert_works(
        vmp_store_rename_point(fixture->store, one, VMP_POINT_SNAPSHOT, "a", "z", error));
    assert_works(
        vmp_store_set_current_point(fixture->store, one, VMP_POINT_SNAPSHOT, NULL, error));
    assert_list(fixture->store, one, VMP_POINT_SNAPSHOT, "z");
    assert_list(fixture->store, one, VMP_POINT_CHECKPOINT, "a* b(a)");
    assert_list(fixture->store, two, VMP_POINT_SNAPSHOT, "a* b(a)");
    assert_list(fixture->store, two, VMP_POINT_CHECKPOINT, "");
}

static void
test_parents(Fixture *fixture, gconstpointer data)
{
    gint64 domain = add_domain(fixture->store, "d"), other = add_domain(fixture->store, "e");
    VmpStorePoint orphan = point_of(domain, "b", "a");

    add_point(fixture->store, other, "a", NULL); /* of another domain: no parent for ours */
    assert_fails(vmp_store_put_point(fixture->store, &orphan, error), VMP_ERROR_NOT_FOUND);
    VmpStorePoint checkpoint = point_of(domain, "a", NULL);
    checkpoint.kind = VMP_POINT_CHECKPOINT;
    assert_works(vmp_store_put_point(fixture->store, &checkpoint, error));
    assert_fails(vmp_store_put_point(fixture->store, &orphan, error), VMP_ERROR_NOT_FOUND);
    assert_tree(domain, "");

    VmpStorePoint own = point_of(domain, "s", "s");
    assert_fails(vmp_store_put_point(fixture->store, &own, error), VMP_ERROR_NOT_FOUND);
}

static void
test_cycles(Fixture *fixture, gconstpointer data)
{
    gint64 domain = add_domain(fixture->store, "d");
    static const char *const under[] = { "a", "b", "c" };

    add_point(fixture->store, domain, "a", NULL);
    add_point(fixture->store, domain, "b", "a");
    add_point(fixture->store, domain, "c", "b");
    for (gsize i = 0; i < G_N_ELEMENTS(under); i++) {
        VmpStorePoint point = point_of(domain, "a", under[i]);
        assert_fails(vmp_store_put_point(fixture->store, &point, error), VMP_ERROR_INVALID);
    }
    assert_tree(domain, "a b(a) c(b)");

    add_point(fixture->store, domain, "c", "a"); /* moved */
    add_point(fixture->store, domain, "b", "c");
    assert_tree(domain, "a c(a) b(c)");
}

static void
test_refused(Fixture *fixture, gconstpointer data)
{
    gint64 domain = add_domain(fixture->store, "d");
    VmpStorePoint stray = point_of(domain + 1, "a", NULL);
    VmpStorePoint nameless = point_of(domain, NULL, NULL);

    assert_fails(vmp_store_put_point(fixture->store, &stray, error), VMP_ERROR_NOT_FOUND);
    assert_fails(vmp_store_put_point(fixture->store, &nameless, error), VMP_ERROR_INVALID);
    assert_tree(domain, "");
}

static void
test_current(Fixture *fixture, gconstpointer data)
{
    VmpStore *store = fixture->store;
    gint64 domain = add_domain(store, "d");
    VmpStorePoint point = point_of(domain, "a", NULL);

    assert_absent(vmp_store_find_current_point(store, domain, VMP_POINT_SNAPSHOT, error));
    point.current = TRUE;
    assert_works(vmp_store_put_point(store, &point, error));
    assert_tree(domain, "a*");
    point.name = (char *)"b";
    assert_works(vmp_store_put_point(store, &point, error));
    assert_tree(domain, "a b*");
    point.name = (char *)"a";
    assert_works(vmp_store_put_point(store, &point, error));
    assert_tree(domain, "a* b");
    add_point(store, domain, "a", NULL); /* replaced, and not current now */
    assert_tree(domain, "a b");

    assert_works(vmp_store_set_current_point(store, domain, VMP_POINT_SNAPSHOT, "b", error));
    assert_works(vmp_store_set_current_point(store, domain, VMP_POINT_SNAPSHOT, "b", error));
    assert_tree(domain, "a b*");
    assert_fails(vmp_store_set_current_point(store, domain, VMP_POINT_SNAPSHOT, "c", error),
                 VMP_ERROR_NOT_FOUND);
    assert_tree(domain, "a b*");
    assert_works(vmp_store_set_current_point(store, domain, VMP_POINT_SNAPSHOT, NULL, error));
    assert_works(vmp_store_set_current_point(store, domain, VMP_POINT_SNAPSHOT, NULL, error));
    assert_tree(domain, "a b");
}

static void
remove_point(VmpStore *store, gint64 domain, const char *name)
{
    assert_works(vmp_store_remove_point(store, domain, VMP_POINT_SNAPSHOT, name, error));
}

static void
test_remove(Fixture *fixture, gconstpointer data)
{
    VmpStore *store = fixture->store;
    gint64 domain = add_domain(store, "d");
    VmpStorePoint current = point_of(domain, "c", "b");

    add_point(store, domain, "a", NULL);
    add_point(store, domain, "b", "a");
    current.current = TRUE;
    current.body = (char *)"body";
    assert_works(vmp_store_put_point(store, &current, error));
    add_point(store, domain, "d", "c");
    add_point(store, domain, "e", "c");

    remove_point(store, domain, "c");
    assert_tree(domain, "a b(a)* d(b) e(b)");
    g_assert_cmpint(count_rows(store, "point_bodies"), ==, 0);
    remove_point(store, domain, "a");
    assert_tree(domain, "b* d(b) e(b)");
    remove_point(store, domain, "e");
    assert_tree(domain, "b* d(b)");
    remove_point(store, domain, "b"); /* current, and has no parent */
    assert_tree(domain, "d");
    assert_fails(vmp_store_remove_point(store, domain, VMP_POINT_SNAPSHOT, "b", error),
                 VMP_ERROR_NOT_FOUND);
    remove_point(store, domain, "d");
    assert_tree(domain, "");
}

static void
test_rename(Fixture *fixture, gconstpointer data)
{
    VmpStore *store = fixture->store;
    gint64 domain = add_domain(store, "d");
    VmpStoreFile file = { .path = (char *)"/images/vda.b",
                          .domain = domain,
                          .role = (char *)"overlay",
                          .point = (char *)"b" };

    add_point(store, domain, "a", NULL);
    add_point(store, domain, "b", "a");
    add_point(store, domain, "c", "b");
    assert_works(vmp_store_put_file(store, &file, error));

#define rename_b(to) vmp_store_rename_point(store, domain, VMP_POINT_SNAPSHOT, "b", to, error)
    assert_fails(rename_b("a"), VMP_ERROR_EXISTS);
    assert_works(rename_b("b"));
    assert_works(rename_b("x"));
    assert_fails(rename_b("y"), VMP_ERROR_NOT_FOUND);
#undef rename_b
    assert_tree(domain, "a x(a) c(x)");
    g_autoptr(VmpStoreFile) found = vmp_store_find_file(store, file.path, NULL);
    g_assert_cmpstr(found->point, ==, "x");

    /* Files are made for snapshots: a checkpoint that shares the name does not take them. */
    VmpStorePoint checkpoint = point_of(domain, "x", NULL);
    checkpoint.kind = VMP_POINT_CHECKPOINT;
    assert_works(vmp_store_put_point(store, &checkpoint, error));
    assert_works(
        vmp_store_rename_point(store, domain, VMP_POINT_CHECKPOINT, "x", "other", error));
    g_autoptr(VmpStoreFile) same = vmp_store_find_file(store, file.path, NULL);
    g_assert_cmpstr(same->point, ==, "x");
}

static void
test_not_found_names(Fixture *fixture, gconstpointer data)
{
    gint64 domain = add_domain(fixture->store, "d");
    g_autoptr(GError) snapshot = NULL;
    g_autoptr(GError) checkpoint = NULL;

    g_assert_null(
        vmp_store_find_point(fixture->store, domain, VMP_POINT_SNAPSHOT, "noon", &snapshot));
    g_assert_error(snapshot, VMP_ERROR, VMP_ERROR_NOT_FOUND);
    g_assert_nonnull(strstr(snapshot->message, "snapshot 'noon'"));
    g_assert_null(vmp_store_find_point(fixture->store, domain, VMP_POINT_CHECKPOINT, "noon",
                                       &checkpoint));
    g_assert_nonnull(strstr(checkpoint->message, "checkpoint 'noon'"));
}

static void
test_order(Fixture *fixture, gconstpointer data)
{
    gint64 domain = add_domain(fixture->store, "d");
    static const struct {
        const char *name, *parent;
        gint64 time;
    } points[] = {
        { "late", NULL, 30 },         { "early", NULL, 10 },  { "same1", NULL, 20 },
        { "same2", NULL, 20 },        { "child", "late", 5 }, /* a clock that was put back */
        { "grandchild", "child", 1 },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(points); i++) {
        VmpStorePoint point = point_of(domain, points[i].name, points[i].parent);
        point.creation_time = points[i].time;
        assert_works(vmp_store_put_point(fixture->store, &point, error));
    }
    assert_tree(domain, "late child(late) grandchild(child) early same1 same2");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    vmp_store_point_free(NULL);
    add_test("/store/point/every-field-comes-back", test_every_field);
    add_test("/store/point/is-replaced-by-name-and-keeps-its-children", test_replace);
    add_test("/store/point/kinds-and-domains-are-apart", test_kinds_apart);
    add_test("/store/point/an-unknown-parent-is-not-found", test_parents);
    add_test("/store/point/never-descends-from-itself", test_cycles);
    add_test("/store/point/what-makes-no-sense-is-refused", test_refused);
    add_test("/store/point/at-most-one-is-current", test_current);
    add_test("/store/point/children-move-up-when-it-is-removed", test_remove);
    add_test("/store/point/is-renamed-with-its-files", test_rename);
    add_test("/store/point/one-that-is-not-there-is-named", test_not_found_names);
    add_test("/store/point/parents-stand-before-children-otherwise-by-time", test_order);
    return g_test_run();
}
