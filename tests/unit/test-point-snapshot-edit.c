/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/redefine.h"
#include "point/snapshot.h"
#include "test-point-fixture.h"

/* A document of the fixture's domain; @more is <parent> and the like. */
static char *
document(const char *name, const char *location, const char *more)
{
    g_autofree char *domain = point_domain("/i/a.qcow2", "/i/b.qcow2", "");

    return g_strdup_printf("<domainsnapshot><name>%s</name><state>shutoff</state>%s"
                           "<creationTime>1700000000</creationTime><disks>"
                           "<disk name='vda' snapshot='%s'/><disk name='vdb' snapshot='%s'/>"
                           "</disks>%s</domainsnapshot>",
                           name, more, location, location, domain);
}

static void
take_in(Fixture *fixture, const char *name, const char *location, const char *more)
{
    g_autofree char *xml = document(name, location, more);
    g_autoptr(GError) error = NULL;
    G_GNUC_UNUSED g_autofree char *made = vmp_point_redefine_snapshot(
        fixture->machine, xml, VMP_SNAPSHOT_CREATE_REDEFINE | VMP_SNAPSHOT_CREATE_CURRENT,
        &error);

    g_assert_no_error(error);
}

#define BELOW(parent) "<parent><name>" parent "</name></parent>"

/* a - b - c, c current; i is internal and stands alone. */
static void
make_tree(Fixture *fixture)
{
    take_in(fixture, "i", "internal", "");
    take_in(fixture, "a", "external", "");
    take_in(fixture, "b", "external", BELOW("a"));
    take_in(fixture, "c", "external", BELOW("b"));
}

static gboolean
edit(Fixture *fixture, const char *name, const char *xml, VmpSnapshotEditFlags flags,
     GError **error)
{
    g_autofree char *result =
        vmp_point_edit_snapshot(fixture->machine, name, xml, flags, error);

    return result != NULL;
}

/* "name<parent" of each, the current one with a star. */
static char *
draw(Fixture *fixture)
{
    g_autoptr(GPtrArray) list = vmp_point_list_snapshots(fixture->machine, NULL, 0, NULL);
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < list->len; i++) {
        const VmpSnapshotInfo *info = g_ptr_array_index(list, i);
        g_string_append_printf(text, "%s%s%s<%s", i ? " " : "", info->name,
                               info->current ? "*" : "", info->parent ? info->parent : "");
    }
    return g_string_free(text, FALSE);
}

static void
check_tree(Fixture *fixture, const char *wanted)
{
    g_autofree char *tree = draw(fixture);

    g_assert_cmpstr(tree, ==, wanted);
}

static void
a_renamed_one_keeps_its_place(Fixture *fixture, gconstpointer data)
{
    g_autofree char *b = document("z", "external", BELOW("a"));
    g_autofree char *c = document("y", "external", BELOW("z"));
    g_autoptr(GError) error = NULL;

    make_tree(fixture);
    g_assert_true(edit(fixture, "b", b, VMP_SNAPSHOT_EDIT_RENAME, &error));
    check_tree(fixture, "a< c*<z i< z<a");
    g_assert_true(edit(fixture, "c", c, VMP_SNAPSHOT_EDIT_RENAME, &error));
    check_tree(fixture, "a< i< y*<z z<a");
    g_assert_no_error(error);
}

static void
a_clone_is_one_more(Fixture *fixture, gconstpointer data)
{
    g_autofree char *xml = document("z", "external", BELOW("a"));
    g_autoptr(GError) error = NULL;

    make_tree(fixture);
    g_assert_true(edit(fixture, "b", xml, VMP_SNAPSHOT_EDIT_CLONE, &error));
    check_tree(fixture, "a< b<a c*<b i< z<a");
    g_autofree char *other = document("x", "external", "");
    g_assert_true(edit(fixture, "b", other,
                       VMP_SNAPSHOT_EDIT_CLONE | VMP_SNAPSHOT_EDIT_CURRENT, &error));
    check_tree(fixture, "a< b<a c<b i< x*< z<a");
    g_assert_no_error(error);
}

static void
what_cannot_be_changes_nothing(Fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *from, *to, *location, *more;
        guint flags;
        VmpErrorCode code;
    } rows[] = {
        { "b", "z", "external", "", 0, VMP_ERROR_INVALID },
        { "b", "z", "external", "", VMP_SNAPSHOT_EDIT_RENAME | VMP_SNAPSHOT_EDIT_CLONE,
          VMP_ERROR_INVALID },
        { "b", "b", "external", "", VMP_SNAPSHOT_EDIT_CLONE, VMP_ERROR_INVALID },
        { "b", "a", "external", "", VMP_SNAPSHOT_EDIT_RENAME, VMP_ERROR_EXISTS },
        { "b", "a", "external", "", VMP_SNAPSHOT_EDIT_CLONE, VMP_ERROR_EXISTS },
        { "b", "z", "external", BELOW("nosuch"), VMP_SNAPSHOT_EDIT_RENAME, VMP_ERROR_INVALID },
        { "b", "z", "external", BELOW("c"), VMP_SNAPSHOT_EDIT_RENAME, VMP_ERROR_INVALID },
        { "b", "z", "external", BELOW("b"), VMP_SNAPSHOT_EDIT_RENAME, VMP_ERROR_INVALID },
        { "b", "a/b", "external", "", VMP_SNAPSHOT_EDIT_RENAME, VMP_ERROR_INVALID },
        { "i", "z", "internal", "", VMP_SNAPSHOT_EDIT_RENAME, VMP_ERROR_UNSUPPORTED },
        { "i", "z", "internal", "", VMP_SNAPSHOT_EDIT_CLONE, VMP_ERROR_UNSUPPORTED },
        { "n", "z", "external", "", VMP_SNAPSHOT_EDIT_RENAME, VMP_ERROR_NOT_FOUND },
    };

    make_tree(fixture);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *xml = document(rows[i].to, rows[i].location, rows[i].more);
        g_autoptr(GError) error = NULL;

        g_test_message("row %u", i);
        g_assert_false(edit(fixture, rows[i].from, xml, rows[i].flags, &error));
        g_assert_error(error, VMP_ERROR, (gint)rows[i].code);
        check_tree(fixture, "a< b<a c*<b i<");
    }
}

#define POINT_TEST(path, function) \
    g_test_add(path, Fixture, NULL, point_set_up, function, point_tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    POINT_TEST("/point/snapshot-edit/a-renamed-one-keeps-its-place",
               a_renamed_one_keeps_its_place);
    POINT_TEST("/point/snapshot-edit/a-clone-is-one-more", a_clone_is_one_more);
    POINT_TEST("/point/snapshot-edit/what-cannot-be-changes-nothing",
               what_cannot_be_changes_nothing);
    return g_test_run();
}
