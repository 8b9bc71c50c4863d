/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "storage/state-file.h"

#define MARK 0x1234567890abcdefULL
#define CONTENT_OFFSET 4096

typedef struct {
    char *dir, *from, *copy;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    fixture->dir = g_dir_make_tmp("vmp-state-XXXXXX", NULL);
    g_assert_nonnull(fixture->dir);
    fixture->from = g_build_filename(fixture->dir, "vars.fd", NULL);
    fixture->copy = g_build_filename(fixture->dir, "vars.kept", NULL);
}

static void
tear_down(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_unlink(fixture->from);
    g_unlink(fixture->copy);
    g_assert_cmpint(g_rmdir(fixture->dir), ==, 0);
    g_free(fixture->from);
    g_free(fixture->copy);
    g_free(fixture->dir);
}

static void
keep(const Fixture *fixture, const char *text, gssize length)
{
    g_autoptr(GError) error = NULL;

    g_unlink(fixture->copy);
    g_assert_true(!text || g_file_set_contents(fixture->from, text, length, NULL));
    g_assert_true(vmp_state_file_keep(fixture->from, fixture->copy, MARK, &error));
    g_assert_no_error(error);
}

static void
what_was_there_comes_back(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    static const char text[] = "variables\0and more";
    g_autoptr(GError) error = NULL;
    g_autofree char *content = NULL;
    gsize length = 0;

    keep(fixture, text, sizeof text);
    g_assert_true(vmp_state_file_seal(fixture->copy, &error));
    g_assert_true(vmp_state_file_read(fixture->copy, &content, &length, &error));
    g_assert_no_error(error);
    g_assert_cmpmem(content, length, text, sizeof text);
}

static void
an_empty_file_is_not_an_absent_one(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *content = NULL;
    gsize length = 7;

    keep(fixture, NULL, 0);
    g_assert_true(vmp_state_file_read(fixture->copy, &content, &length, &error));
    g_assert_null(content);
    g_assert_cmpuint(length, ==, 0);

    keep(fixture, "", 0);
    g_assert_true(vmp_state_file_read(fixture->copy, &content, &length, &error));
    g_assert_cmpstr(content, ==, "");
    g_assert_cmpuint(length, ==, 0);
}

static void
assert_damaged(const Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *content = NULL;
    gsize length = 0;

    g_assert_false(vmp_state_file_read(fixture->copy, &content, &length, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_DAMAGED);
    g_assert_nonnull(strstr(error->message, fixture->copy));
    g_clear_error(&error);
    g_assert_false(vmp_state_file_seal(fixture->copy, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_DAMAGED);
}

static void
each_flipped_bit_and_each_lost_end_is_found(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autofree char *whole = NULL;
    gsize size = 0;

    keep(fixture, "variables", -1);
    g_assert_true(g_file_get_contents(fixture->copy, &whole, &size, NULL));
    g_assert_cmpuint(size, ==, CONTENT_OFFSET + 9);
    for (gsize at = CONTENT_OFFSET; at < size; at++) {
        whole[at] ^= 4;
        g_assert_true(g_file_set_contents(fixture->copy, whole, (gssize)size, NULL));
        assert_damaged(fixture);
        whole[at] ^= 4;
    }
    for (gsize end = 0; end < size; end += 1 + end / 3) {
        g_assert_true(g_file_set_contents(fixture->copy, whole, (gssize)end, NULL));
        assert_damaged(fixture);
    }
}

static void
only_its_maker_removes_it(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;

    keep(fixture, "variables", -1);
    g_assert_false(vmp_state_file_keep(fixture->from, fixture->copy, MARK, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_EXISTS);
    g_clear_error(&error);

    g_assert_true(vmp_state_file_remove(fixture->copy, MARK + 1, &error));
    g_assert_true(g_file_test(fixture->copy, G_FILE_TEST_EXISTS));
    g_assert_true(vmp_state_file_remove(fixture->copy, MARK, &error));
    g_assert_false(g_file_test(fixture->copy, G_FILE_TEST_EXISTS));
    g_assert_true(vmp_state_file_remove(fixture->copy, MARK, &error));
    g_assert_no_error(error);
}

static void
a_clone_keeps_the_same_and_is_its_makers(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    static const char *const texts[] = { "variables", "", NULL };
    g_autofree char *clone = g_strconcat(fixture->copy, ".clone", NULL);

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *content = NULL;
        gsize length = 0;

        g_unlink(fixture->from);
        keep(fixture, texts[i], -1);
        g_assert_true(vmp_state_file_clone(fixture->copy, clone, MARK + 1, &error));
        g_assert_true(vmp_state_file_read(clone, &content, &length, &error));
        g_assert_cmpstr(content, ==, texts[i]);
        g_assert_true(vmp_state_file_remove(clone, MARK, &error));
        g_assert_true(g_file_test(clone, G_FILE_TEST_EXISTS));
        g_assert_true(vmp_state_file_remove(clone, MARK + 1, &error));
        g_assert_false(g_file_test(clone, G_FILE_TEST_EXISTS));
    }

    g_autoptr(GError) error = NULL;
    g_assert_true(g_file_set_contents(fixture->copy, "damaged", -1, NULL));
    g_assert_false(vmp_state_file_clone(fixture->copy, clone, MARK, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_DAMAGED);
    g_assert_false(g_file_test(clone, G_FILE_TEST_EXISTS));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add("/state-file/" #name, Fixture, NULL, set_up, name, tear_down)
    ADD(what_was_there_comes_back);
    ADD(an_empty_file_is_not_an_absent_one);
    ADD(each_flipped_bit_and_each_lost_end_is_found);
    ADD(only_its_maker_removes_it);
    ADD(a_clone_keeps_the_same_and_is_its_makers);
    return g_test_run();
}
