/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/name.h"

#include "test-xml-fixture.h"

typedef struct {
    const char *title;
    const char *name;
    const char *snapshot;   /* part of the refusal; NULL = allowed */
    const char *checkpoint; /* the same */
} Case;

static const Case cases[] = {
    { "a-letter", "a", NULL, NULL },
    { "seconds-since-the-epoch", "1525889631", NULL, NULL },
    { "dash-underscore-dot", "-_x.y", NULL, NULL },
    { "underscore", "_", NULL, NULL },
    { "dots", "..", "begins with '.'", "begins with '.'" },
    { "a-leading-dot", ".hidden", "begins with '.'", "begins with '.'" },
    { "nothing", "", "is empty", "is empty" },
    { "a-blank", "a b", NULL, "letters, digits" },
    { "a-colon", "a:b", NULL, "letters, digits" },
    { "letters-beyond-ascii", "\xc3\xa9t\xc3\xa9", NULL, "letters, digits" },
    { "a-slash", "a/b", "contains '/'", "letters, digits" },
    { "a-path-upwards", "../../etc/passwd", "begins with '.'", "begins with '.'" },
    { "a-line-end", "a\nb", "contains a control character", "letters, digits" },
    { "delete", "a\x7f", "contains a control character", "letters, digits" },
    { "a-c1-control", "a\xc2\x85", "contains a control character", "letters, digits" },
    { "broken-utf-8", "a\xff", "is not UTF-8", "letters, digits" },
    { "a-quote", "a'b", NULL, "letters, digits" },
    { "a-format", "%s%n", NULL, "letters, digits" },
};

static void
check(gboolean (*run)(const char *name, GError **error), const char *name, const char *refusal)
{
    g_autoptr(GError) error = NULL;

    if (run(name, &error)) {
        g_assert_no_error(error);
        g_assert_null(refusal);
    } else {
        g_assert_nonnull(refusal);
        assert_invalid(error, refusal);
    }
}

static void
test_case(gconstpointer data)
{
    const Case *test = data;

    check(vmp_snapshot_name_check, test->name, test->snapshot);
    check(vmp_checkpoint_name_check, test->name, test->checkpoint);
}

static void
test_length(void)
{
    g_autofree char *fits = repeat("n", 255);
    g_autofree char *long_name = repeat("n", 256);
    g_autofree char *huge = repeat("\xc3\xa9", 5000);

    check(vmp_snapshot_name_check, fits, NULL);
    check(vmp_checkpoint_name_check, fits, NULL);
    check(vmp_snapshot_name_check, long_name, "has 256 bytes, at most 255");
    check(vmp_checkpoint_name_check, long_name, "has 256 bytes, at most 255");
    check(vmp_snapshot_name_check, huge, "has 10000 bytes");
    check(vmp_checkpoint_name_check, huge, "has 10000 bytes");
}

static void
test_quote(void)
{
    g_autofree char *plain = vmp_name_quote("a b");
    g_autofree char *control = vmp_name_quote("a\nb\x1b[31m");
    g_autofree char *text = repeat("\xc3\xa9", 200);
    g_autofree char *cut = vmp_name_quote(text);
    g_autofree char *broken = vmp_name_quote("\xff\xfe");

    g_assert_cmpstr(plain, ==, "'a b'");
    g_assert_cmpstr(control, ==, "'a\\x0ab\\x1b[31m'");
    g_assert_true(g_str_has_suffix(cut, "\xc3\xa9...'"));
    g_assert_cmpuint(strlen(cut), ==, 2 * 80 + 5);
    g_assert_true(g_utf8_validate(broken, -1, NULL));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/xml/name/rules/", cases[i].title, NULL);
        g_test_add_data_func(path, &cases[i], test_case);
    }
    g_test_add_func("/xml/name/at-most-255-bytes", test_length);
    g_test_add_func("/xml/name/quotes-whatever-it-is-fit-for-a-message", test_quote);
    return g_test_run();
}
