/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/sharing.h"

#include "point/redefine.h"
#include "test-point-fixture.h"

/* A snapshot @name below @parent (or NULL) whose overlays are /o/<overlay>-vda and -vdb. */
static void
take_in(Fixture *fixture, const char *name, const char *parent, const char *overlay)
{
    g_autofree char *domain = point_domain("/i/a.qcow2", "/i/b.qcow2", "");
    g_autofree char *below =
        parent ? g_strdup_printf("<parent><name>%s</name></parent>", parent) : g_strdup("");
    g_autofree char *xml = g_strdup_printf(
        "<domainsnapshot><name>%s</name><state>shutoff</state>%s<creationTime>1</creationTime>"
        "<disks><disk name='vda' snapshot='external'><source file='/o/%s-vda'/></disk>"
        "<disk name='vdb' snapshot='external'><source file='/o/%s-vdb'/></disk></disks>%s"
        "</domainsnapshot>",
        name, below, overlay, overlay, domain);
    g_autoptr(GError) error = NULL;
    G_GNUC_UNUSED g_autofree char *made = vmp_point_redefine_snapshot(
        fixture->machine, xml, VMP_SNAPSHOT_CREATE_REDEFINE, &error);

    g_assert_no_error(error);
}

static void
check(Fixture *fixture, const char *name, guint flags, const char *stays)
{
    g_autoptr(GError) error = NULL;
    gboolean free = vmp_sharing_check_delete(fixture->machine, name, flags, &error);

    if (!stays) {
        g_assert_no_error(error);
        g_assert_true(free);
        return;
    }
    g_assert_false(free);
    g_assert_error(error, VMP_ERROR, VMP_ERROR_BUSY);
    g_assert_nonnull(strstr(error->message, stays));
}

static void
layers_that_two_have_are_not_taken_away(Fixture *fixture, gconstpointer data)
{
    take_in(fixture, "a", NULL, "a");
    take_in(fixture, "b", "a", "b");
    take_in(fixture, "c", "b", "c");
    for (const char *name = "abc"; *name; name++)
        check(fixture, (const char[]){ *name, '\0' }, 0, NULL);

    take_in(fixture, "twin", "a", "b");
    check(fixture, "a", 0, NULL);
    check(fixture, "b", 0, "'twin'");
    check(fixture, "twin", 0, "'b'");
    check(fixture, "b", VMP_SNAPSHOT_DELETE_METADATA_ONLY, NULL);
    check(fixture, "b", VMP_SNAPSHOT_DELETE_CHILDREN, "'twin'");
    check(fixture, "b", VMP_SNAPSHOT_DELETE_CHILDREN_ONLY, NULL);
    /* No layer is merged twice either. */
    check(fixture, "a", VMP_SNAPSHOT_DELETE_CHILDREN, "same images");
    check(fixture, "a", VMP_SNAPSHOT_DELETE_CHILDREN_ONLY, "same images");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/point/sharing/layers-that-two-have-are-not-taken-away", Fixture, NULL,
               point_set_up, layers_that_two_have_are_not_taken_away, point_tear_down);
    return g_test_run();
}
