/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/table.h"

static void
assert_table(const VmpTable *table, gboolean header, const char *expected)
{
    g_autoptr(GString) text = g_string_new(NULL);

    vmp_table_format(table, header, text);
    g_assert_cmpstr(text->str, ==, expected);
}

static void
columns_are_as_wide_as_their_widest_cell(void)
{
    g_autoptr(VmpTable) table = vmp_table_new("Id", "Name", "State", NULL);

    vmp_table_add_row(table, "1", "a-longer-name", "running", NULL);
    vmp_table_add_row(table, "-", "b", "shut off", NULL);
    assert_table(table, TRUE,
                 " Id   Name            State\n"
                 "--------------------------------\n"
                 " 1    a-longer-name   running\n"
                 " -    b               shut off\n");
}

static void
an_empty_table_has_a_header(void)
{
    g_autoptr(VmpTable) table = vmp_table_new("Target", "Source", NULL);

    assert_table(table, TRUE, " Target   Source\n------------------\n");
    assert_table(table, FALSE, "");
}

static void
without_its_header_a_table_is_narrower(void)
{
    g_autoptr(VmpTable) table = vmp_table_new("Target", "Source", NULL);

    vmp_table_add_row(table, "vda", "/a", NULL);
    assert_table(table, FALSE, " vda   /a\n");
}

static void
an_empty_cell_at_the_end_leaves_its_gap(void)
{
    g_autoptr(VmpTable) table = vmp_table_new("Name", NULL);

    vmp_table_add_column(table, "Parent");
    vmp_table_add_row(table, "s1", NULL);
    vmp_table_append_cell(table, "");
    assert_table(table, TRUE, " Name   Parent\n----------------\n s1     \n");
}

static void
width_is_that_of_the_terminal(void)
{
    g_autoptr(VmpTable) table = vmp_table_new("Name", "X", NULL);

    vmp_table_add_row(table, "漢字", "1", NULL);
    vmp_table_add_row(table, "ünï", "2", NULL);
    vmp_table_add_row(table, "e\xcc\x81", "3", NULL); /* e and an accent to be put on it */
    assert_table(table, TRUE,
                 " Name   X\n"
                 "-----------\n"
                 " 漢字   1\n"
                 " ünï    2\n"
                 " e\xcc\x81      3\n");
}

static void
what_a_terminal_would_obey_is_shown(void)
{
    static const struct {
        const char *text, *safe;
    } cases[] = {
        { "plain \\ text", "plain \\ text" },
        { "a\tb\n", "a\\x09b\\x0a" },
        { "\033[2J", "\\x1b[2J" },
        { "caf\xe9", "caf\\xe9" },
        { "\xc2\x9b", "\\xc2\\x9b" }, /* CSI in one character */
        { "\xe2\x80\xae"
          "abc",
          "\\xe2\\x80\\xae"
          "abc" }, /* right to left from here on */
        { "cut \xe6\xbc", "cut \\xe6\\xbc" },
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *safe = vmp_text_make_safe(cases[i].text);
        g_assert_cmpstr(safe, ==, cases[i].safe);
        g_assert_true(g_utf8_validate(safe, -1, NULL));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/table/columns-are-as-wide-as-their-widest-cell",
                    columns_are_as_wide_as_their_widest_cell);
    g_test_add_func("/cli/table/an-empty-table-has-a-header", an_empty_table_has_a_header);
    g_test_add_func("/cli/table/without-its-header-a-table-is-narrower",
                    without_its_header_a_table_is_narrower);
    g_test_add_func("/cli/table/an-empty-cell-at-the-end-leaves-its-gap",
                    an_empty_cell_at_the_end_leaves_its_gap);
    g_test_add_func("/cli/table/width-is-that-of-the-terminal", width_is_that_of_the_terminal);
    g_test_add_func("/cli/table/what-a-terminal-would-obey-is-shown",
                    what_a_terminal_would_obey_is_shown);
    return g_test_run();
}
