/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* On real images: skipped where QEMU's tools are not installed. */

#include "storage/direct.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "storage/content.h"
#include "storage/image.h"

#define MIB (G_GUINT64_CONSTANT(1) << 20)

typedef struct {
    char *dir, *base, *top;
} Images;

static void
run(const char *tool, const char *one, const char *two, const char *three, const char *four,
    const char *five)
{
    g_autoptr(GError) error = NULL;
    const char *const argv[] = { tool, one, two, three, four, five, NULL };

    vmp_tool_check(argv, VMP_ERROR_IO, NULL, NULL, &error);
    g_assert_no_error(error);
}

static void
images_set_up(Images *images, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;

    images->dir = g_dir_make_tmp("vmp-direct-XXXXXX", NULL);
    images->base = g_build_filename(images->dir, "base", NULL);
    images->top = g_build_filename(images->dir, "top", NULL);
    const VmpImageSpec base = { .path = images->base, .size = 4 * MIB };
    const VmpImageSpec top = { .path = images->top,
                               .size = 4 * MIB,
                               .backing = images->base,
                               .backing_format = "qcow2" };
    g_assert_true(vmp_image_create(&base, NULL, &error));
    g_assert_true(vmp_image_create(&top, NULL, &error));
    run("qemu-io", "-c", "write -q -P 0x62 2M 64k", images->base, NULL, NULL);
    run("qemu-io", "-c", "write -q -P 0x74 1M 64k", images->top, NULL, NULL);
}

static void
images_tear_down(Images *images, gconstpointer unused)
{
    g_unlink(images->base);
    g_unlink(images->top);
    g_rmdir(images->dir);
    g_free(images->base);
    g_free(images->top);
    g_free(images->dir);
}

static VmpDirect *
open_direct(const char *path)
{
    g_autoptr(GError) error = NULL;
    VmpDirect *direct = vmp_direct_open(path, "qcow2", NULL, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(vmp_direct_get_size(direct), ==, 4 * MIB);
    return direct;
}

static void
what_the_file_has_is_read_from_it(Images *images, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpDirect) direct = open_direct(images->top);
    guint8 bytes[3 * 65536];

    memset(bytes, 'x', sizeof bytes);
    g_assert_true(vmp_direct_holds(direct, MIB - 65536, sizeof bytes));
    g_assert_true(vmp_direct_read(direct, bytes, MIB - 65536, sizeof bytes, &error));
    g_assert_cmpint(bytes[65535], ==, 0);
    g_assert_cmpint(bytes[65536], ==, 't');
    g_assert_cmpint(bytes[2 * 65536 - 1], ==, 't');
    g_assert_cmpint(bytes[2 * 65536], ==, 0);
    g_assert_true(vmp_direct_read(direct, bytes, MIB + 65535, 1, &error));
    g_assert_cmpint(bytes[0], ==, 't');
}

static void
what_a_backing_image_has_is_read_from_that(Images *images, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpDirect) direct = open_direct(images->top);
    g_autoptr(GArray) data = vmp_direct_list_data(direct);
    guint8 bytes[2] = "xx";

    g_assert_true(vmp_direct_holds(direct, 2 * MIB - 1, 2));
    g_assert_true(vmp_direct_read(direct, bytes, 2 * MIB - 1, 2, &error));
    g_assert_cmpint(bytes[0], ==, 0);
    g_assert_cmpint(bytes[1], ==, 'b');
    g_assert_false(vmp_direct_holds(direct, 4 * MIB - 1, 2));
    g_assert_cmpuint(data->len, ==, 2);
    g_assert_cmpuint(g_array_index(data, VmpExtent, 0).offset, ==, MIB);
    g_assert_cmpuint(g_array_index(data, VmpExtent, 1).offset, ==, 2 * MIB);
}

/* Also over zeroes, which are written as such. */
static void
a_copy_has_the_same_bytes(Images *images, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpDirect) direct = open_direct(images->top);
    g_autofree char *path = g_build_filename(images->dir, "copy", NULL);
    g_autofree char *old = g_strnfill(4 * MIB, 'o');
    g_autofree char *copy = NULL;
    g_auto(VmpFd) fd = -1;

    g_assert_true(g_file_set_contents(path, old, 4 * MIB, NULL));
    fd = open(path, O_RDWR | O_CLOEXEC);
    g_assert_true(vmp_direct_copy(direct, MIB - 10, MIB + 20, fd, 5, &error));
    g_assert_true(g_file_get_contents(path, &copy, NULL, NULL));
    for (gsize i = 0; i < 4 * MIB; i++) {
        guint64 disk = i + MIB - 15;
        char wanted = i < 5 || i >= MIB + 25                   ? 'o'
                      : disk >= MIB && disk < MIB + 65536      ? 't'
                      : disk >= 2 * MIB && disk < 2 * MIB + 10 ? 'b'
                                                               : 0;
        g_assert_cmpint(copy[i], ==, wanted);
    }
    g_unlink(path);
}

static void
a_place_is_told_from_others(Images *images, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpDirect) top = open_direct(images->top);
    g_autoptr(VmpDirect) base = open_direct(images->base);
    g_autoptr(GArray) map = vmp_image_map(images->base, "qcow2", NULL, &error);
    guint64 host = 0;

    g_assert_no_error(error);
    for (guint i = 0; i < map->len; i++)
        if (g_array_index(map, VmpMapping, i).place == VMP_MAPPING_FILE)
            host = g_array_index(map, VmpMapping, i).host;
    g_assert_cmpuint(host, >, 0);
    g_assert_true(vmp_direct_is_at(base, 2 * MIB, 65536, host));
    g_assert_true(vmp_direct_is_at(base, 2 * MIB + 512, 512, host + 512));
    g_assert_false(vmp_direct_is_at(base, 2 * MIB, 65536, host + 512));
    /* There are no zeroes, and behind the disk is nothing. */
    g_assert_false(vmp_direct_is_at(base, 0, 65536, host));
    g_assert_false(vmp_direct_is_at(base, 4 * MIB, 512, host));
    /* It is in the other file there. */
    g_assert_false(vmp_direct_is_at(top, 2 * MIB, 65536, host));
}

static void
assert_extent(const GArray *extents, guint index, guint64 offset, guint64 length,
              gboolean zero)
{
    const VmpExtent *extent = &g_array_index(extents, VmpExtent, index);

    g_assert_cmpuint(extent->offset, ==, offset);
    g_assert_cmpuint(extent->length, ==, length);
    g_assert_cmpint(extent->zero, ==, zero);
}

static void
what_an_image_says_itself_is_told_from_what_it_stands_on(Images *images, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;

    run("qemu-io", "-c", "write -q -z 2M 64k", "-c", "write -q -P 0x75 1088k 64k",
        images->top);
    g_autoptr(VmpDirect) direct = vmp_direct_open_alone(images->top, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(vmp_direct_get_size(direct), ==, 4 * MIB);
    g_autoptr(GArray) own = vmp_direct_list_own(direct);
    g_assert_cmpuint(own->len, ==, 2);
    assert_extent(own, 0, MIB, 131072, FALSE);
    assert_extent(own, 1, 2 * MIB, 65536, TRUE);

    guint8 bytes[2];
    g_assert_true(vmp_direct_holds(direct, MIB, 131072));
    g_assert_true(vmp_direct_read(direct, bytes, MIB + 65535, 2, &error));
    g_assert_cmpint(bytes[0], ==, 't');
    g_assert_cmpint(bytes[1], ==, 'u');
    /* What the base has may be anything. */
    g_assert_false(vmp_direct_holds(direct, 0, 1));
    g_assert_false(vmp_direct_holds(direct, MIB + 131071, 2));
}

/* Nor does it matter that what is below is not there. */
static void
one_alone_needs_no_backing_image(Images *images, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;

    g_unlink(images->base);
    g_autoptr(VmpDirect) direct = vmp_direct_open_alone(images->top, NULL, &error);
    g_assert_no_error(error);
    g_autoptr(GArray) own = vmp_direct_list_own(direct);
    g_assert_cmpuint(own->len, ==, 1);
    g_assert_null(vmp_direct_open(images->top, "qcow2", NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_NOT_FOUND);
}

static void
a_large_disk_is_told_in_few_extents(Images *images, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(images->dir, "large", NULL);
    const VmpImageSpec spec = { .path = path, .size = 4096 * MIB };

    g_assert_true(vmp_image_create(&spec, NULL, &error));
    run("qemu-io", "-c", "write -q 0 64k", "-c", "write -q -z 64k 2047M", path);
    g_autoptr(VmpDirect) direct = vmp_direct_open_alone(path, NULL, &error);
    g_assert_no_error(error);
    g_autoptr(GArray) own = vmp_direct_list_own(direct);
    g_assert_cmpuint(own->len, ==, 2);
    assert_extent(own, 0, 0, 65536, FALSE);
    assert_extent(own, 1, 65536, 2047 * MIB, TRUE);
    g_unlink(path);
}

/* Its bytes are in the file, but not as the guest sees them. */
static void
what_is_compressed_is_not_held(Images *images, gconstpointer unused)
{
    g_autofree char *path = g_build_filename(images->dir, "small", NULL);

    run("qemu-img", "convert", "-c", "-Oqcow2", images->base, path);
    g_autoptr(VmpDirect) direct = open_direct(path);
    g_autoptr(GArray) data = vmp_direct_list_data(direct);
    g_assert_cmpuint(data->len, ==, 1);
    g_assert_false(vmp_direct_holds(direct, 2 * MIB, 1));
    g_unlink(path);
}

static void
what_is_no_image_is_refused(Images *images, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(g_file_set_contents(images->base, "no image", -1, NULL));
    g_assert_null(vmp_direct_open(images->base, "qcow2", NULL, &error));
    g_assert_nonnull(strstr(error->message, images->base));
    g_clear_error(&error);
    g_assert_null(vmp_direct_open("/none", "qcow2", NULL, &error));
    g_assert_nonnull(strstr(error->message, "/none"));
}

int
main(int argc, char **argv)
{
    g_autofree char *tool = g_find_program_in_path("qemu-io");

    g_test_init(&argc, &argv, NULL);
    if (!tool) {
        g_print("1..0 # SKIP qemu-io is not installed\n");
        return 0;
    }
    g_test_add("/storage/direct/file", Images, NULL, images_set_up,
               what_the_file_has_is_read_from_it, images_tear_down);
    g_test_add("/storage/direct/backing", Images, NULL, images_set_up,
               what_a_backing_image_has_is_read_from_that, images_tear_down);
    g_test_add("/storage/direct/copy", Images, NULL, images_set_up, a_copy_has_the_same_bytes,
               images_tear_down);
    g_test_add("/storage/direct/place", Images, NULL, images_set_up,
               a_place_is_told_from_others, images_tear_down);
    g_test_add("/storage/direct/own", Images, NULL, images_set_up,
               what_an_image_says_itself_is_told_from_what_it_stands_on, images_tear_down);
    g_test_add("/storage/direct/alone", Images, NULL, images_set_up,
               one_alone_needs_no_backing_image, images_tear_down);
    g_test_add("/storage/direct/large", Images, NULL, images_set_up,
               a_large_disk_is_told_in_few_extents, images_tear_down);
    g_test_add("/storage/direct/compressed", Images, NULL, images_set_up,
               what_is_compressed_is_not_held, images_tear_down);
    g_test_add("/storage/direct/refused", Images, NULL, images_set_up,
               what_is_no_image_is_refused, images_tear_down);
    return g_test_run();
}
