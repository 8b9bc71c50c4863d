/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/parser.h"

#include <vmpoint/error.h>

enum { FORCE = 1 << 0, SLOW = 1 << 1, FAST = 1 << 2 };

static const VmpOption globals[] = {
    { .name = "json", .type = VMP_OPTION_FLAG },
    { .name = "quiet", .type = VMP_OPTION_FLAG, .letter = 'q' },
    { .name = "state-dir", .type = VMP_OPTION_STRING },
    { .name = "progress", .type = VMP_OPTION_OPTIONAL },
    { .name = "help", .type = VMP_OPTION_FLAG },
    VMP_OPTION_END,
};

static const VmpOption make_options[] = {
    { .name = "domain",
      .type = VMP_OPTION_STRING,
      .use = VMP_OPTION_POSITIONAL | VMP_OPTION_REQUIRED },
    { .name = "name", .type = VMP_OPTION_STRING, .use = VMP_OPTION_POSITIONAL },
    { .name = "force", .type = VMP_OPTION_FLAG, .bit = FORCE },
    { .name = "slow", .type = VMP_OPTION_FLAG, .bit = SLOW },
    { .name = "fast", .type = VMP_OPTION_FLAG, .bit = FAST },
    { .name = "memory", .type = VMP_OPTION_STRING, .value = "file" },
    { .name = "disk", .type = VMP_OPTION_LIST, .use = VMP_OPTION_POSITIONAL },
    VMP_OPTION_END,
};

static const VmpRule make_rules[] = {
    { VMP_RULE_AT_MOST_ONE, "slow fast" },
    { VMP_RULE_FIRST_NEEDS, "force slow fast" },
    { VMP_RULE_NONE, NULL },
};

static const VmpOption take_options[] = {
    { .name = "name", .type = VMP_OPTION_STRING },
    { .name = "current", .type = VMP_OPTION_FLAG },
    { .name = "tree", .type = VMP_OPTION_FLAG },
    { .name = "leaves", .type = VMP_OPTION_FLAG },
    { .name = "roots", .type = VMP_OPTION_FLAG },
    /* The program has one of the same name, which is a flag. */
    { .name = "quiet", .type = VMP_OPTION_STRING },
    { .name = "file", .type = VMP_OPTION_STRING, .use = VMP_OPTION_REQUIRED },
    VMP_OPTION_END,
};

static const VmpRule take_rules[] = {
    { VMP_RULE_EXACTLY_ONE, "name current" },
    { VMP_RULE_FIRST_EXCLUDES, "tree leaves roots" },
    { VMP_RULE_NONE, NULL },
};

static const VmpCommand commands[] = {
    { .name = "make", .options = make_options, .rules = make_rules },
    { .name = "take", .options = take_options, .rules = take_rules },
    { .name = NULL },
};

static const VmpCommandGroup groups[] = { { "all", "All", commands }, { NULL, NULL, NULL } };

/* Splits @text at spaces; `''` is an empty word.  Values borrow from the words, so these are
 * interned. */
static VmpCommandLine *
parse(const char *text, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, " ", -1);
    g_autoptr(GPtrArray) words = g_ptr_array_new_null_terminated(8, NULL, TRUE);

    for (guint i = 0; parts[i]; i++) {
        const char *word = g_str_equal(parts[i], "''") ? "" : parts[i];
        g_ptr_array_add(words, (gpointer)g_intern_string(word));
    }
    return vmp_command_line_parse(globals, groups, (const char *const *)words->pdata, error);
}

static void
assert_says(const char *text, const char *memory, const char *name, const char *disks)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpCommandLine) line = parse(text, &error);
    g_assert_no_error(error);

    g_autofree char *list =
        g_strjoinv(",", (char **)vmp_arguments_get_list(line->arguments, "disk"));
    g_assert_cmpstr(line->command->name, ==, "make");
    g_assert_cmpstr(vmp_arguments_get(line->arguments, "domain"), ==, "vm");
    g_assert_cmpstr(vmp_arguments_get(line->arguments, "memory"), ==, memory);
    g_assert_cmpstr(vmp_arguments_get(line->arguments, "name"), ==, name);
    g_assert_cmpstr(list, ==, disks);
}

static void
assert_refused(const char *text, const char *message)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpCommandLine) line = parse(text, &error);

    g_assert_null(line);
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
    g_assert_cmpstr(error->message, ==, message);
}

static void
options_may_stand_anywhere(void)
{
    assert_says("make vm s1 --memory m", "m", "s1", "");
    assert_says("make --memory m vm s1", "m", "s1", "");
    assert_says("make vm --memory=m s1", "m", "s1", "");
    assert_says("make s1 --domain vm", NULL, "s1", "");
    assert_says("make vm --name s1 --memory m a b", "m", "s1", "a,b");
}

static void
a_list_keeps_the_order_of_the_line(void)
{
    assert_says("make vm s1 a --disk b c --disk=d", NULL, "s1", "a,b,c,d");
    assert_says("make --disk a --disk b vm", NULL, NULL, "a,b");
    /* A word behind --disk is not its second value. */
    assert_says("make vm --disk a s1", NULL, "s1", "a");
}

static void
only_a_letter_behind_two_dashes_makes_an_option(void)
{
    assert_says("make vm -", NULL, "-", "");
    assert_says("make vm -x", NULL, "-x", "");
    assert_says("make vm ---", NULL, "---", "");
    assert_says("make -- vm --force", NULL, "--force", "");
    assert_says("make vm --memory --force", "--force", NULL, "");
    assert_says("make vm --memory=--force", "--force", NULL, "");
    assert_says("make vm --memory=a=b", "a=b", NULL, "");
}

static void
the_programs_options_go_with_every_command(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpCommandLine) line =
        parse("--json make vm --state-dir /s -q --progress=3", &error);

    g_assert_no_error(error);
    g_assert_true(vmp_arguments_has(line->globals, "json"));
    g_assert_true(vmp_arguments_has(line->globals, "quiet"));
    g_assert_cmpstr(vmp_arguments_get(line->globals, "state-dir"), ==, "/s");
    g_assert_cmpstr(vmp_arguments_get(line->globals, "progress"), ==, "3");
    g_assert_null(vmp_arguments_get(line->arguments, "name"));
}

static void
an_optional_value_has_to_be_attached(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpCommandLine) line = parse("make vm --progress 3", &error);

    g_assert_no_error(error);
    g_assert_true(vmp_arguments_has(line->globals, "progress"));
    g_assert_null(vmp_arguments_get(line->globals, "progress"));
    g_assert_cmpstr(vmp_arguments_get(line->arguments, "name"), ==, "3");
}

static void
a_commands_own_option_wins(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpCommandLine) line =
        parse("--quiet take --quiet word --current --file f", &error);

    g_assert_no_error(error);
    g_assert_true(vmp_arguments_has(line->globals, "quiet"));
    g_assert_cmpstr(vmp_arguments_get(line->arguments, "quiet"), ==, "word");
}

static void
flags_give_their_bits(void)
{
    g_autoptr(VmpCommandLine) line = parse("make vm --force --fast", NULL);

    g_assert_cmpuint(vmp_arguments_get_bits(line->arguments), ==, FORCE | FAST);
    g_assert_true(vmp_arguments_has(line->arguments, "fast"));
    g_assert_false(vmp_arguments_has(line->arguments, "slow"));
}

static void
no_command_is_for_the_caller_to_judge(void)
{
    g_autoptr(VmpCommandLine) line = parse("--json", NULL);

    g_assert_nonnull(line);
    g_assert_null(line->command);
}

static void
help_is_for_lines_that_are_not_complete(void)
{
    g_autoptr(VmpCommandLine) line = parse("make --fast --slow --help", NULL);

    g_assert_nonnull(line);
    g_assert_cmpstr(line->command->name, ==, "make");
    g_assert_true(vmp_arguments_has(line->globals, "help"));
}

static void
what_is_unknown_is_refused_with_the_nearest_name(void)
{
    assert_refused("maek vm", "unknown command 'maek'; did you mean 'make'?");
    assert_refused("obliterate vm", "unknown command 'obliterate'; 'vmpoint help' lists all");
    assert_refused("make vm --forse", "'make' has no option --forse; did you mean --force?");
    assert_refused("make vm --jsno", "'make' has no option --jsno; did you mean --json?");
    assert_refused("make vm --colour", "'make' has no option --colour");
    assert_refused("--qiuet make", "vmpoint has no option --qiuet; did you mean --quiet?");
    assert_refused("-z make", "vmpoint has no option '-z'");
}

static void
what_is_missing_is_refused(void)
{
    assert_refused("make", "'make' needs <domain>");
    assert_refused("take --current", "'take' needs --file <string>");
    assert_refused("make vm --memory", "option --memory needs a value: --memory <file>");
    assert_refused("make vm --memory=", "option --memory has an empty value");
    assert_refused("make vm ''", "argument <name> of 'make' is empty");
}

static void
what_is_too_much_is_refused(void)
{
    assert_refused("make vm --force=1", "option --force takes no value");
    assert_refused("make vm --memory a --memory b", "option --memory was given twice");
    assert_refused("make vm --fast --fast", "option --fast was given twice");
    assert_refused("--json make vm --json", "option --json was given twice");
    assert_refused("take word --current --file f", "'take' does not take the argument 'word'");
}

static void
what_goes_against_the_rules_is_refused(void)
{
    assert_refused("make vm --slow --fast",
                   "options --slow and --fast are mutually exclusive");
    assert_refused("make vm --force", "option --force needs --slow or --fast");
    assert_refused("take --file f", "'take' needs --name or --current");
    assert_refused("take --file f --name a --current",
                   "options --name and --current are mutually exclusive");
    assert_refused("take --file f --current --roots --tree",
                   "options --tree and --roots are mutually exclusive");

    g_autoptr(VmpCommandLine) both = parse("take --file f --current --roots --leaves", NULL);
    g_assert_nonnull(both);
}

static void
an_incomplete_line_says_what_it_awaits(void)
{
    static const char *const words[] = { "--nonsense", "make", "vm", "--memory", NULL };
    g_autoptr(VmpCommandLine) line = vmp_command_line_parse_incomplete(globals, groups, words);

    g_assert_cmpstr(line->command->name, ==, "make");
    g_assert_cmpstr(line->awaiting->name, ==, "memory");
    g_assert_cmpstr(vmp_arguments_get(line->arguments, "domain"), ==, "vm");
    g_assert_cmpstr(vmp_arguments_next_positional(line->arguments)->name, ==, "name");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/parser/options-may-stand-anywhere", options_may_stand_anywhere);
    g_test_add_func("/cli/parser/a-list-keeps-the-order-of-the-line",
                    a_list_keeps_the_order_of_the_line);
    g_test_add_func("/cli/parser/only-a-letter-behind-two-dashes-makes-an-option",
                    only_a_letter_behind_two_dashes_makes_an_option);
    g_test_add_func("/cli/parser/the-programs-options-go-with-every-command",
                    the_programs_options_go_with_every_command);
    g_test_add_func("/cli/parser/an-optional-value-has-to-be-attached",
                    an_optional_value_has_to_be_attached);
    g_test_add_func("/cli/parser/a-commands-own-option-wins", a_commands_own_option_wins);
    g_test_add_func("/cli/parser/flags-give-their-bits", flags_give_their_bits);
    g_test_add_func("/cli/parser/no-command-is-for-the-caller-to-judge",
                    no_command_is_for_the_caller_to_judge);
    g_test_add_func("/cli/parser/help-is-for-lines-that-are-not-complete",
                    help_is_for_lines_that_are_not_complete);
    g_test_add_func("/cli/parser/what-is-unknown-is-refused-with-the-nearest-name",
                    what_is_unknown_is_refused_with_the_nearest_name);
    g_test_add_func("/cli/parser/what-is-missing-is-refused", what_is_missing_is_refused);
    g_test_add_func("/cli/parser/what-is-too-much-is-refused", what_is_too_much_is_refused);
    g_test_add_func("/cli/parser/what-goes-against-the-rules-is-refused",
                    what_goes_against_the_rules_is_refused);
    g_test_add_func("/cli/parser/an-incomplete-line-says-what-it-awaits",
                    an_incomplete_line_says_what_it_awaits);
    return g_test_run();
}
