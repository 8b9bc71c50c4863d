/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/suggest.h"

static void
distance_counts_slips_of_the_keyboard(void)
{
    static const struct {
        const char *a, *b;
        guint distance;
    } cases[] = {
        { "", "", 0 },         { "list", "list", 0 }, { "", "abc", 3 },
        { "list", "lits", 1 }, { "list", "lst", 1 },  { "list", "liist", 1 },
        { "list", "lisp", 1 }, { "abcd", "badc", 2 }, { "ca", "abc", 3 },
        { "tree", "name", 3 },
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpuint(vmp_edit_distance(cases[i].a, cases[i].b), ==, cases[i].distance);
        g_assert_cmpuint(vmp_edit_distance(cases[i].b, cases[i].a), ==, cases[i].distance);
    }
}

static const char *
suggest(const char *written)
{
    static const char *const known[] = { "snapshot-list", "snapshot-info", "list",
                                         "domstate" };
    g_autoptr(VmpSuggester) suggester = vmp_suggester_new(written);

    for (guint i = 0; i < G_N_ELEMENTS(known); i++)
        vmp_suggester_offer(suggester, known[i]);
    return vmp_suggester_get(suggester);
}

static void
the_nearest_word_is_suggested(void)
{
    g_assert_cmpstr(suggest("snapshot-lits"), ==, "snapshot-list");
    g_assert_cmpstr(suggest("snapshots-list"), ==, "snapshot-list");
    g_assert_cmpstr(suggest("snapshot-inf"), ==, "snapshot-info");
    g_assert_cmpstr(suggest("lis"), ==, "list");
}

static void
another_word_is_not_suggested(void)
{
    g_assert_null(suggest("migrate"));
    g_assert_null(suggest("ls-all"));
    g_assert_null(suggest(""));
    g_autoptr(VmpSuggester) nothing = vmp_suggester_new("list");
    g_assert_null(vmp_suggester_get(nothing));
}

static void
a_word_without_end_is_no_slip(void)
{
    g_autofree char *word = g_strnfill(100000, 'x');

    g_assert_null(suggest(word));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/suggest/distance-counts-slips-of-the-keyboard",
                    distance_counts_slips_of_the_keyboard);
    g_test_add_func("/cli/suggest/the-nearest-word-is-suggested",
                    the_nearest_word_is_suggested);
    g_test_add_func("/cli/suggest/another-word-is-not-suggested",
                    another_word_is_not_suggested);
    g_test_add_func("/cli/suggest/a-word-without-end-is-no-slip",
                    a_word_without_end_is_no_slip);
    return g_test_run();
}
