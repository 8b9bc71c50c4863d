/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/input.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>
#include <vmpoint/error.h>

typedef struct {
    char *folder;
    char *path;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    fixture->folder = g_dir_make_tmp("vmpoint-XXXXXX", NULL);
    fixture->path = g_build_filename(fixture->folder, "document.xml", NULL);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    g_unlink(fixture->path);
    g_rmdir(fixture->folder);
    g_free(fixture->path);
    g_free(fixture->folder);
}

static void
a_file_is_read_whole(Fixture *fixture, gconstpointer data)
{
    g_autofree char *content = g_strnfill(200000, 'x');
    g_autoptr(GError) error = NULL;
    gsize length = 0;

    g_assert_true(g_file_set_contents(fixture->path, content, -1, &error));
    g_autofree char *got = vmp_input_read(fixture->path, &length, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(length, ==, 200000);
    g_assert_cmpstr(got, ==, content);
}

static void
an_empty_file_is_an_empty_document(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(g_file_set_contents(fixture->path, "", 0, &error));
    g_autofree char *got = vmp_input_read_text(fixture->path, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(got, ==, "");
}

static void
a_nul_byte_is_data_but_no_text(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    gsize length = 0;

    g_assert_true(g_file_set_contents(fixture->path, "a\0b", 3, &error));
    g_autofree char *got = vmp_input_read(fixture->path, &length, &error);
    g_assert_no_error(error);
    g_assert_cmpmem(got, length, "a\0b", 3);
    g_assert_null(vmp_input_read_text(fixture->path, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
}

static void
the_limit_is_kept(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    gsize length = 0;

    /* Holes: nothing is written for them. */
    g_assert_true(g_file_set_contents(fixture->path, "", 0, &error));
    g_assert_cmpint(truncate(fixture->path, VMP_INPUT_LIMIT), ==, 0);
    g_autofree char *got = vmp_input_read(fixture->path, &length, &error);
    g_assert_no_error(error);
    g_assert_nonnull(got);
    g_assert_cmpuint(length, ==, VMP_INPUT_LIMIT);

    g_assert_cmpint(truncate(fixture->path, VMP_INPUT_LIMIT + 1), ==, 0);
    g_assert_null(vmp_input_read(fixture->path, &length, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
}

static void
what_cannot_be_read_says_why(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) missing = NULL;
    g_autoptr(GError) folder = NULL;
    gsize length = 0;

    g_assert_null(vmp_input_read(fixture->path, &length, &missing));
    g_assert_error(missing, VMP_ERROR, VMP_ERROR_NOT_FOUND);
    g_assert_nonnull(strstr(missing->message, fixture->path));
    g_assert_null(vmp_input_read(fixture->folder, &length, &folder));
    g_assert_error(folder, VMP_ERROR, VMP_ERROR_INVALID);
}

#define ADD(name, function) \
    g_test_add("/cli/input/" name, Fixture, NULL, set_up, function, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("a-file-is-read-whole", a_file_is_read_whole);
    ADD("an-empty-file-is-an-empty-document", an_empty_file_is_an_empty_document);
    ADD("a-nul-byte-is-data-but-no-text", a_nul_byte_is_data_but_no_text);
    ADD("the-limit-is-kept", the_limit_is_kept);
    ADD("what-cannot-be-read-says-why", what_cannot_be_read_says_why);
    return g_test_run();
}
