/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* On real images: skipped where QEMU's tools are not installed. */

#include "storage/content.h"

#include <glib/gstdio.h>
#include <string.h>

#include "base/error.h"
#include "storage/image.h"

#define MIB (G_GUINT64_CONSTANT(1) << 20)

typedef struct {
    char *dir, *base, *top;
} Images;

static void
images_set_up(Images *images, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;

    images->dir = g_dir_make_tmp("vmp-content-XXXXXX", NULL);
    images->base = g_build_filename(images->dir, "base", NULL);
    images->top = g_build_filename(images->dir, "top", NULL);
    const VmpImageSpec base = { .path = images->base, .size = 4 * MIB };
    const VmpImageSpec top = { .path = images->top,
                               .size = 4 * MIB,
                               .backing = images->base,
                               .backing_format = "qcow2" };
    g_assert_true(vmp_image_create(&base, NULL, &error));
    g_assert_true(vmp_image_create(&top, NULL, &error));
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

static VmpContent *
open_content(const char *path, VmpContentAccess access)
{
    g_autoptr(GError) error = NULL;
    VmpContent *content = vmp_content_open(path, "qcow2", access, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(vmp_content_get_size(content), ==, 4 * MIB);
    return content;
}

static void
fill(const char *path, char byte, guint64 offset, gsize length)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *data = g_malloc(length);
    VmpContent *content = open_content(path, VMP_CONTENT_WRITE);

    memset(data, byte, length);
    g_assert_true(vmp_content_write(content, data, offset, length, &error));
    g_assert_true(vmp_content_close(content, &error));
}

static void
the_disk_is_what_a_guest_would_see(Images *images, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;

    fill(images->base, 'b', 0, 2 * MIB);
    fill(images->top, 't', MIB, 65536);
    VmpContent *writer = open_content(images->top, VMP_CONTENT_WRITE);
    g_assert_true(vmp_content_zero(writer, 65536, 65536, &error));
    g_assert_true(vmp_content_close(writer, &error));

    g_autoptr(VmpContent) content = open_content(images->top, VMP_CONTENT_READ);
    char bytes[3 * 65536];
    g_assert_true(vmp_content_read(content, bytes, 0, sizeof bytes, &error));
    g_assert_cmpint(bytes[0], ==, 'b');
    g_assert_cmpint(bytes[65536], ==, 0);
    g_assert_cmpint(bytes[2 * 65536], ==, 'b');
    g_assert_true(vmp_content_read(content, bytes, MIB, 1, &error));
    g_assert_cmpint(bytes[0], ==, 't');
}

static void
what_cannot_be_opened_or_written_says_so(Images *images, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpContent) content = open_content(images->base, VMP_CONTENT_READ);

    g_assert_false(vmp_content_write(content, "x", 0, 1, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_IO);
    g_clear_error(&error);
    g_assert_null(vmp_content_open("/none", "qcow2", VMP_CONTENT_READ, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_NOT_FOUND);
    g_assert_nonnull(strstr(error->message, "/none"));
}

/* stderr belongs to the program: it may be one JSON object a line. */
static void
what_cannot_be_opened_writes_nothing_to_stderr(Images *images, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;

    if (g_test_subprocess()) {
        g_assert_true(g_file_set_contents(images->base, "no image", -1, NULL));
        g_assert_null(vmp_content_open(images->base, "qcow2", VMP_CONTENT_READ, &error));
        g_assert_nonnull(strstr(error->message, "not in qcow2 format"));
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("");
}

int
main(int argc, char **argv)
{
    g_autofree char *tool = g_find_program_in_path("qemu-nbd");

    g_test_init(&argc, &argv, NULL);
    if (!tool) {
        g_print("1..0 # SKIP qemu-nbd is not installed\n");
        return 0;
    }
    g_test_add("/storage/content/bytes", Images, NULL, images_set_up,
               the_disk_is_what_a_guest_would_see, images_tear_down);
    g_test_add("/storage/content/refused", Images, NULL, images_set_up,
               what_cannot_be_opened_or_written_says_so, images_tear_down);
    g_test_add("/storage/content/quiet", Images, NULL, images_set_up,
               what_cannot_be_opened_writes_nothing_to_stderr, images_tear_down);
    return g_test_run();
}
