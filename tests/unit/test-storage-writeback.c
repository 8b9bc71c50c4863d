/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gstdio.h>

#include "storage/overlay.h"
#include "storage/writeback.h"

static void
it_ends_when_it_is_told_and_leaves_the_file_as_it_is(void)
{
    g_autofree char *dir = g_dir_make_tmp("vmp-wb-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "x", NULL);
    g_autofree char *content = g_strnfill(1 << 20, 'x');
    g_autofree char *after = NULL;
    g_autoptr(GPtrArray) images =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_new_image_free);
    VmpNewImage *image = g_new0(VmpNewImage, 1);
    VmpNewImage *missing = g_new0(VmpNewImage, 1);

    g_assert_true(g_file_set_contents(path, content, 1 << 20, NULL));
    image->path = g_strdup(path);
    missing->path = g_build_filename(dir, "missing", NULL);
    g_ptr_array_add(images, image);
    g_ptr_array_add(images, missing);

    for (int i = 0; i < 50; i++) {
        g_autoptr(VmpWriteback) writeback = vmp_writeback_begin(images);
        g_assert_nonnull(writeback);
    }
    g_assert_true(g_file_get_contents(path, &after, NULL, NULL));
    g_assert_cmpstr(after, ==, content);
    g_assert_cmpint(g_unlink(path), ==, 0);
    g_assert_cmpint(g_rmdir(dir), ==, 0); /* nothing was made */
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/storage/writeback/it-ends-when-told-and-leaves-the-file-as-it-is",
                    it_ends_when_it_is_told_and_leaves_the_file_as_it_is);
    return g_test_run();
}
