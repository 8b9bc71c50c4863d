/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gstdio.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

static char *
make_dir(void)
{
    char *dir = g_dir_make_tmp("vmp-file-XXXXXX", NULL);

    g_assert_nonnull(dir);
    return dir;
}

static void
a_replaced_file_has_the_new_content_and_mode_and_leaves_nothing_beside(void)
{
    g_autofree char *dir = make_dir();
    g_autofree char *path = g_build_filename(dir, "x", NULL);
    g_autoptr(GError) error = NULL;
    struct stat info;
    gsize length = 0;

    g_assert_true(vmp_file_replace(path, "old", -1, 0600, &error));
    g_assert_true(vmp_file_replace(path, "n\0w", 3, 0600, &error));
    g_autofree char *content = vmp_file_read(path, 100, &length, &error);
    g_assert_no_error(error);
    g_assert_cmpmem(content, length, "n\0w", 3);
    g_assert_cmpint(stat(path, &info), ==, 0);
    g_assert_cmpint(info.st_mode & 0777, ==, 0600);

    g_assert_true(vmp_file_remove(path, &error));
    g_assert_true(vmp_file_remove(path, &error)); /* gone already is fine */
    g_assert_cmpint(g_rmdir(dir), ==, 0);         /* nothing was left beside it */
}

static void
reading_stops_at_its_limit(void)
{
    g_autofree char *dir = make_dir();
    g_autofree char *path = g_build_filename(dir, "x", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_true(vmp_file_replace(path, "123456", -1, 0600, &error));
    g_assert_null(vmp_file_read(path, 5, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
    g_clear_error(&error);
    g_assert_null(vmp_file_read("/dev/zero", 1 << 20, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
    g_clear_error(&error);
    g_assert_null(vmp_file_read(dir, 100, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);

    g_assert_true(vmp_file_remove(path, NULL));
    g_rmdir(dir);
}

static void
a_missing_folder_is_an_error_that_names_the_file(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(vmp_file_replace("/nonexistent/x", "y", -1, 0600, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_NOT_FOUND);
    g_assert_nonnull(g_strrstr(error->message, "/nonexistent/x"));
}

static void
a_folder_goes_with_its_files_and_not_with_folders(void)
{
    g_autofree char *dir = make_dir();
    g_autofree char *file = g_build_filename(dir, ".x", NULL);
    g_autofree char *inner = g_build_filename(dir, "inner", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_true(vmp_file_replace(file, "x", -1, 0600, &error));
    g_assert_cmpint(g_mkdir(inner, 0700), ==, 0);
    g_assert_false(vmp_dir_remove(dir, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    g_assert_cmpint(g_rmdir(inner), ==, 0);
    g_assert_true(vmp_dir_remove(dir, &error));
    g_assert_true(vmp_dir_remove(dir, &error)); /* gone already is fine */
    g_assert_no_error(error);
    g_assert_false(g_file_test(dir, G_FILE_TEST_EXISTS));
}

static void
what_can_never_have_been_there_is_gone(void)
{
    g_autofree char *dir = make_dir();
    g_autofree char *file = g_build_filename(dir, "x", NULL);
    g_autofree char *below = g_build_filename(file, "y", NULL);
    g_autofree char *name = g_strnfill(300, 'n');
    g_autofree char *too_long = g_build_filename(dir, name, NULL);
    g_autoptr(GError) error = NULL;

    g_assert_true(vmp_file_replace(file, "", 0, 0600, &error));
    g_assert_true(vmp_file_remove(below, &error));
    g_assert_true(vmp_file_remove(too_long, &error));
    g_assert_false(vmp_file_remove(dir, &error));
    g_assert_nonnull(error);
    g_assert_true(vmp_file_remove(file, NULL));
    g_rmdir(dir);
}

static void
what_keeps_us_out_has_nothing_of_ours(void)
{
    static const int none[] = { ENOENT, ENOTDIR, ENAMETOOLONG, ELOOP, EACCES };
    static const int unknown[] = { EIO, ESTALE, EMFILE, ENOMEM, EINTR };

    for (guint i = 0; i < G_N_ELEMENTS(none); i++)
        g_assert_true(vmp_file_is_none_of_ours(none[i]));
    for (guint i = 0; i < G_N_ELEMENTS(unknown); i++)
        g_assert_false(vmp_file_is_none_of_ours(unknown[i]));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/file/a-replaced-file-has-the-new-content-and-leaves-nothing-beside",
                    a_replaced_file_has_the_new_content_and_mode_and_leaves_nothing_beside);
    g_test_add_func("/base/file/reading-stops-at-its-limit", reading_stops_at_its_limit);
    g_test_add_func("/base/file/what-can-never-have-been-there-is-gone",
                    what_can_never_have_been_there_is_gone);
    g_test_add_func("/base/file/what-keeps-us-out-has-nothing-of-ours",
                    what_keeps_us_out_has_nothing_of_ours);
    g_test_add_func("/base/file/a-missing-folder-is-an-error-that-names-the-file",
                    a_missing_folder_is_an_error_that_names_the_file);
    g_test_add_func("/base/file/a-folder-goes-with-its-files-and-not-with-folders",
                    a_folder_goes_with_its_files_and_not_with_folders);
    return g_test_run();
}
