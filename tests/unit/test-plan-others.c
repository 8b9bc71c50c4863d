/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/others.h"

#include <unistd.h>

#include "storage/image.h"
#include "test-point-fixture.h"

static char *
in_dir(const Fixture *fixture, const char *name)
{
    return g_build_filename(fixture->dir, name, NULL);
}

static void
make(const Fixture *fixture, const char *name, const char *below)
{
    g_autofree char *path = in_dir(fixture, name);
    g_autofree char *backing = below ? in_dir(fixture, below) : NULL;
    const VmpImageSpec spec = { .path = path,
                                .size = 65536,
                                .backing = backing,
                                .backing_format = backing ? "qcow2" : NULL };
    g_autoptr(GError) error = NULL;

    vmp_image_create(&spec, NULL, &error);
    g_assert_no_error(error);
}

/* A domain @name whose only disk is @image. */
static char *
domain_on(const Fixture *fixture, const char *name, const char *image)
{
    g_autofree char *path = in_dir(fixture, image);

    return g_strdup_printf(
        "<domain type='qemu'><name>%s</name><memory unit='MiB'>64</memory>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os><devices>"
        "<disk type='file'><driver name='qemu' type='qcow2'/><source file='%s'/>"
        "<target dev='vda' bus='virtio'/></disk></devices></domain>",
        name, path);
}

static void
define(const Fixture *fixture, const char *name, const char *image)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = domain_on(fixture, name, image);
    g_autofree char *defined = vmp_machine_define(fixture->host, xml, -1, NULL, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(defined, ==, name);
}

/* A snapshot of @domain that froze @image. */
static void
freeze(const Fixture *fixture, const char *domain, const char *image)
{
    VmpStore *store = vmp_machine_get_store(fixture->machine);
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpStoreDomain) row = vmp_store_find_domain(store, domain, &error);
    g_assert_no_error(error);
    g_autofree char *xml = domain_on(fixture, domain, image);
    VmpStorePoint point = {
        .domain = row->id,
        .kind = VMP_POINT_SNAPSHOT,
        .name = (char *)"s",
        .state = (char *)"shutoff",
        .creation_time = 1,
        .body = (char *)"<domainsnapshot><name>s</name><state>shutoff</state>"
                        "<creationTime>1</creationTime></domainsnapshot>",
        .definition = vmp_store_put_definition(store, xml, -1, 0, &error),
    };

    g_assert_no_error(error);
    g_assert_true(vmp_store_put_point(store, &point, &error));
}

/* "e" or NULL. */
static void
check(const Fixture *fixture, const VmpOthers *others, const char *image, const char *domain)
{
    g_autofree char *path = in_dir(fixture, image);

    g_assert_cmpstr(vmp_others_find(others, path), ==, domain);
}

static void
whole_chains(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    make(fixture, "base", NULL);
    make(fixture, "layer", "base");
    make(fixture, "clone", "layer");
    make(fixture, "mine", "layer");
    make(fixture, "frozen", "base");
    define(fixture, "e", "clone");

    g_autoptr(GError) error = NULL;
    g_autoptr(VmpOthers) others = vmp_others_look(fixture->machine, &error);
    g_assert_no_error(error);
    check(fixture, others, "clone", "e");
    check(fixture, others, "layer", "e");
    check(fixture, others, "base", "e");
    check(fixture, others, "mine", NULL);
    check(fixture, others, "frozen", NULL);
    /* The domain's own disks are no others'. */
    g_assert_null(vmp_others_find(others, "/i/a.qcow2"));
    g_autoptr(GPtrArray) paths = vmp_others_paths(others);
    g_assert_cmpuint(paths->len, ==, 3);

    freeze(fixture, "e", "frozen");
    g_autoptr(VmpOthers) more = vmp_others_look(fixture->machine, &error);
    g_assert_no_error(error);
    check(fixture, more, "frozen", "e");
    check(fixture, more, "mine", NULL);
}

static void
by_another_name(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autofree char *link = in_dir(fixture, "link");

    make(fixture, "base", NULL);
    g_assert_cmpint(symlink("base", link), ==, 0);
    make(fixture, "clone", "link");
    define(fixture, "e", "clone");

    g_autoptr(GError) error = NULL;
    g_autoptr(VmpOthers) others = vmp_others_look(fixture->machine, &error);
    g_assert_no_error(error);
    check(fixture, others, "base", "e");
    check(fixture, others, "link", "e");
}

/* As far as there is a chain. */
static void
broken_chains(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autofree char *base = in_dir(fixture, "base");

    make(fixture, "base", NULL);
    make(fixture, "layer", "base");
    make(fixture, "clone", "layer");
    define(fixture, "e", "clone");
    define(fixture, "f", "never-there");
    g_assert_cmpint(g_remove(base), ==, 0);

    g_autoptr(GError) error = NULL;
    g_autoptr(VmpOthers) others = vmp_others_look(fixture->machine, &error);
    g_assert_no_error(error);
    check(fixture, others, "layer", "e");
    check(fixture, others, "never-there", "f");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name, function) \
    g_test_add("/plan/others/" name, Fixture, NULL, point_set_up, function, point_tear_down)
    TEST("whole-chains", whole_chains);
    TEST("by-another-name", by_another_name);
    TEST("broken-chains", broken_chains);
    return g_test_run();
}
