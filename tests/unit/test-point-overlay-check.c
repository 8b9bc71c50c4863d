/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/overlay-check.h"

#include "storage/image.h"
#include "test-point-fixture.h"

#define SIZE ((guint64)1 << 20)

static char *
path_of(const Fixture *fixture, const char *name)
{
    return g_build_filename(fixture->dir, name, NULL);
}

/* An image at <dir>/<name>, on <dir>/<backing> if that is given. */
static void
make_image(const Fixture *fixture, const char *name, const char *format, guint64 size,
           const char *backing)
{
    g_autofree char *path = path_of(fixture, name);
    g_autofree char *below = backing ? path_of(fixture, backing) : NULL;
    g_autoptr(GError) error = NULL;
    VmpImageSpec spec = { .path = path,
                          .format = format,
                          .size = size,
                          .backing = below,
                          .backing_format = below ? "qcow2" : NULL };

    g_assert_true(vmp_image_create(&spec, NULL, &error));
    g_assert_no_error(error);
}

static gboolean
check(const Fixture *fixture, const char *name, gboolean reuse, GError **error)
{
    g_autoptr(VmpSnapshotDisk) disk = vmp_snapshot_disk_new("vda");
    g_autofree char *base = path_of(fixture, "base");
    VmpBlockNode below = { .path = base, .driver = (char *)"qcow2", .size = SIZE };

    disk->type = VMP_STORAGE_FILE;
    disk->source = path_of(fixture, name);
    return vmp_overlay_check(fixture->machine, disk, &below, reuse, error);
}

static void
check_fails(const Fixture *fixture, const char *name, gboolean reuse, VmpErrorCode code,
            const char *says)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(check(fixture, name, reuse, &error));
    g_assert_error(error, VMP_ERROR, (gint)code);
    g_assert_nonnull(strstr(error->message, "'vda'"));
    g_assert_nonnull(strstr(error->message, says));
}

static void
write_file(const Fixture *fixture, const char *name, const char *text)
{
    g_autofree char *path = path_of(fixture, name);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void
a_new_one_needs_a_name_that_is_free(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(check(fixture, "new", FALSE, &error));
    write_file(fixture, "empty", "");
    g_assert_true(check(fixture, "empty", FALSE, &error));
    g_assert_no_error(error);
    write_file(fixture, "taken", "mine");
    check_fails(fixture, "taken", FALSE, VMP_ERROR_EXISTS, "taken");
    check_fails(fixture, "no/such", FALSE, VMP_ERROR_NOT_FOUND, "no/such");
    check_fails(fixture, ".", FALSE, VMP_ERROR_EXISTS, "exists already");
}

static void
a_name_of_another_domains_file_is_not_free(Fixture *fixture, gconstpointer data)
{
    VmpStore *store = vmp_machine_get_store(fixture->machine);
    g_autofree char *path = path_of(fixture, "new");
    g_autoptr(GError) error = NULL;
    VmpStoreDomain other = { .name = (char *)"other", .persistent = TRUE };

    g_assert_true(vmp_store_put_domain(store, &other, &error));
    VmpStoreFile file = { path, other.id, (char *)"overlay", NULL };
    g_assert_true(vmp_store_put_file(store, &file, &error));
    check_fails(fixture, "new", FALSE, VMP_ERROR_EXISTS, "another domain");

    g_assert_true(vmp_store_remove_file(store, path, &error));
    file.domain = vmp_machine_get_row(fixture->machine)->id;
    g_assert_true(vmp_store_put_file(store, &file, &error));
    g_assert_true(check(fixture, "new", FALSE, &error));
    g_assert_no_error(error);
}

static void
a_prepared_one_must_be_an_overlay_here(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    make_image(fixture, "base", "qcow2", SIZE, NULL);
    make_image(fixture, "other", "qcow2", SIZE, NULL);
    make_image(fixture, "good", "qcow2", SIZE, "base");
    make_image(fixture, "large", "qcow2", 2 * SIZE, "base");
    make_image(fixture, "small", "qcow2", SIZE / 2, "base");
    make_image(fixture, "alone", "qcow2", SIZE, NULL);
    make_image(fixture, "astray", "qcow2", SIZE, "other");
    make_image(fixture, "raw", "raw", SIZE, NULL);

    g_assert_true(check(fixture, "good", TRUE, &error));
    g_assert_true(check(fixture, "large", TRUE, &error));
    g_assert_no_error(error);
    check_fails(fixture, "none", TRUE, VMP_ERROR_NOT_FOUND, "none");
    check_fails(fixture, "small", TRUE, VMP_ERROR_INVALID, "bytes");
    check_fails(fixture, "alone", TRUE, VMP_ERROR_INVALID, "nothing");
    check_fails(fixture, "astray", TRUE, VMP_ERROR_INVALID, "other");
    check_fails(fixture, "raw", TRUE, VMP_ERROR_INVALID, "'raw'");
}

static void
a_base_by_another_name_is_the_same_base(Fixture *fixture, gconstpointer data)
{
    g_autofree char *link = path_of(fixture, "link");
    g_autoptr(GError) error = NULL;

    make_image(fixture, "base", "qcow2", SIZE, NULL);
    g_assert_cmpint(symlink("base", link), ==, 0);
    make_image(fixture, "good", "qcow2", SIZE, "link");
    g_assert_true(check(fixture, "good", TRUE, &error));
    g_assert_no_error(error);
}

#define POINT_TEST(path, function) \
    g_test_add(path, Fixture, NULL, point_set_up, function, point_tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    POINT_TEST("/point/overlay-check/a-new-one-needs-a-name-that-is-free",
               a_new_one_needs_a_name_that_is_free);
    POINT_TEST("/point/overlay-check/a-name-of-another-domains-file-is-not-free",
               a_name_of_another_domains_file_is_not_free);
    POINT_TEST("/point/overlay-check/a-prepared-one-must-be-an-overlay-here",
               a_prepared_one_must_be_an_overlay_here);
    POINT_TEST("/point/overlay-check/a-base-by-another-name-is-the-same-base",
               a_base_by_another_name_is_the_same_base);
    return g_test_run();
}
