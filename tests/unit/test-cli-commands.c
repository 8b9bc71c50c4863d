/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The tables of commands against themselves: what the parser takes for granted. */

#include "cli/commands.h"

#include <string.h>

#include "cli/session.h"

typedef void (*Check)(const VmpCommand *command);

static void
for_each_command(Check check)
{
    guint count = 0;

    for (const VmpCommandGroup *group = vmp_command_groups; group->keyword; group++) {
        for (const VmpCommand *command = group->commands; command->name; command++) {
            check(command);
            count++;
        }
    }
    g_assert_cmpuint(count, >, 0);
}

static void
check_complete(const VmpCommand *command)
{
    g_assert_nonnull(command->options);
    g_assert_nonnull(command->run);
    g_assert_nonnull(command->help);
    g_assert_true(g_str_has_suffix(command->description, "."));
    for (const VmpOption *option = command->options; option->name; option++)
        g_assert_nonnull(option->help);
}

static void
every_row_says_what_it_has_to(void)
{
    for_each_command(check_complete);
}

static void
check_rules(const VmpCommand *command)
{
    for (const VmpRule *rule = command->rules; rule && rule->kind != VMP_RULE_NONE; rule++) {
        g_auto(GStrv) names = g_strsplit(rule->options, " ", -1);

        g_assert_cmpuint(g_strv_length(names), >=, 2);
        for (guint i = 0; names[i]; i++)
            g_assert_nonnull(vmp_option_find(command->options, names[i]));
    }
}

static void
rules_are_about_options_that_exist(void)
{
    for_each_command(check_rules);
}

static void
check_options(const VmpCommand *command)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    gboolean list = FALSE, optional = FALSE;

    for (const VmpOption *option = command->options; option->name; option++) {
        gboolean positional = option->use & VMP_OPTION_POSITIONAL;
        gboolean required = option->use & VMP_OPTION_REQUIRED;

        g_assert_true(g_hash_table_add(names, (gpointer)option->name));
        if (option->bit)
            g_assert_cmpint(option->type, ==, VMP_OPTION_FLAG);
        if (!positional)
            continue;
        /* A list takes every word, and what is required cannot come after what is not. */
        g_assert_false(list);
        g_assert_false(required && optional);
        list = option->type == VMP_OPTION_LIST;
        optional = !required;
    }
}

static void
positional_words_are_never_ambiguous(void)
{
    for_each_command(check_options);
}

static void
check_found(const VmpCommand *command)
{
    g_assert_true(vmp_command_find(vmp_command_groups, command->name) == command);
}

static void
every_name_is_given_once(void)
{
    for_each_command(check_found);
}

/* Words that virsh gives its block jobs, where they mean something of their own. */
static gboolean
is_habit(const VmpCommand *command, const char *option)
{
    static const char *const commands[] = { "blockcommit", "blockcopy", "blockpull", NULL };
    static const char *const options[] = { "timeout", "verbose", NULL };

    return g_strv_contains(commands, command->name) && g_strv_contains(options, option);
}

static void
check_globals(const VmpCommand *command)
{
    /* --json, --dry-run and their like mean the same with every command. */
    for (const VmpOption *option = vmp_session_options; option->name; option++)
        g_assert_true(is_habit(command, option->name) ==
                      (vmp_option_find(command->options, option->name) != NULL));
}

static void
no_command_hides_an_option_of_the_program(void)
{
    for_each_command(check_globals);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/commands/every-row-says-what-it-has-to",
                    every_row_says_what_it_has_to);
    g_test_add_func("/cli/commands/rules-are-about-options-that-exist",
                    rules_are_about_options_that_exist);
    g_test_add_func("/cli/commands/positional-words-are-never-ambiguous",
                    positional_words_are_never_ambiguous);
    g_test_add_func("/cli/commands/every-name-is-given-once", every_name_is_given_once);
    g_test_add_func("/cli/commands/no-command-hides-an-option-of-the-program",
                    no_command_hides_an_option_of_the_program);
    return g_test_run();
}
