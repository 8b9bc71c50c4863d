/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gstdio.h>
#include <string.h>

#include "base/digest.h"
#include "base/error.h"

/* FIPS 180-2, appendix B. */
#define OF_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void
a_digest_is_that_of_the_standard_whole_or_in_parts(void)
{
    g_autoptr(VmpDigester) digester = vmp_digester_new();
    VmpDigest whole, parts;

    vmp_digest_compute("abc", 3, &whole);
    vmp_digester_add(digester, "a", 1);
    vmp_digester_add(digester, "bc", 2);
    vmp_digester_end(digester, &parts);
    g_autofree char *text = vmp_digest_to_text(&whole);
    g_assert_cmpstr(text, ==, OF_ABC);
    g_assert_true(vmp_digest_equal(&whole, &parts));
    vmp_digest_compute("abd", 3, &parts);
    g_assert_false(vmp_digest_equal(&whole, &parts));
}

static void
a_file_has_a_digest_and_a_sum_for_each_piece(void)
{
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "vmp-digest-XXXXXX", NULL);
    g_autoptr(GArray) sums = g_array_new(FALSE, FALSE, sizeof(guint64));
    g_autoptr(GArray) changed = g_array_new(FALSE, FALSE, sizeof(guint64));
    g_autoptr(GError) error = NULL;
    VmpDigest digest;
    guint64 size = 0;

    g_close(g_mkstemp(path), NULL);
    g_assert_true(g_file_set_contents(path, "abcdefghij", -1, &error));
    g_assert_true(vmp_digest_file(path, 4, sums, &digest, &size, NULL, &error));
    g_assert_cmpuint(size, ==, 10);
    g_assert_cmpuint(sums->len, ==, 3);

    g_assert_true(g_file_set_contents(path, "abcdefgxij", -1, &error));
    g_assert_true(vmp_digest_file(path, 4, changed, &digest, &size, NULL, &error));
    g_assert_cmpuint(g_array_index(sums, guint64, 0), ==, g_array_index(changed, guint64, 0));
    g_assert_cmpuint(g_array_index(sums, guint64, 1), !=, g_array_index(changed, guint64, 1));
    g_assert_cmpuint(g_array_index(sums, guint64, 2), ==, g_array_index(changed, guint64, 2));

    g_assert_true(g_file_set_contents(path, "abc", -1, &error));
    g_assert_true(vmp_digest_file(path, 4, NULL, &digest, &size, NULL, &error));
    g_autofree char *text = vmp_digest_to_text(&digest);
    g_assert_cmpstr(text, ==, OF_ABC);
    g_unlink(path);
    g_assert_false(vmp_digest_file(path, 4, NULL, &digest, &size, NULL, &error));
    g_assert_true(vmp_error_is(error, VMP_ERROR_NOT_FOUND));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/digest/standard",
                    a_digest_is_that_of_the_standard_whole_or_in_parts);
    g_test_add_func("/base/digest/file", a_file_has_a_digest_and_a_sum_for_each_piece);
    return g_test_run();
}
