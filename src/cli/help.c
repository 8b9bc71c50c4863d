/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/help.h"

#include <string.h>

#define PAGE_WIDTH 79

static const char *
value_of(const VmpOption *option)
{
    return option->value ? option->value : "string";
}

/* "[--name <value>]", or less of it. */
static char *
format_usage(const VmpOption *option)
{
    gboolean required = option->use & VMP_OPTION_REQUIRED;
    gboolean positional = option->use & VMP_OPTION_POSITIONAL;
    const char *more = option->type == VMP_OPTION_LIST ? "..." : "";
    g_autofree char *text = NULL;

    if (positional)
        text = g_strdup_printf("<%s>", option->name);
    else if (option->type == VMP_OPTION_FLAG)
        text = g_strdup_printf("--%s", option->name);
    else if (option->type == VMP_OPTION_OPTIONAL)
        text = g_strdup_printf("--%s[=<%s>]", option->name, value_of(option));
    else
        text = g_strdup_printf("--%s <%s>", option->name, value_of(option));
    return required ? g_strconcat(text, more, NULL) : g_strdup_printf("[%s]%s", text, more);
}

/* "-q, --quiet", "[--domain] <name>", "--memspec <memspec>". */
static char *
format_label(const VmpOption *option)
{
    g_autofree char *letter =
        option->letter ? g_strdup_printf("-%c, ", option->letter) : g_strdup("");

    switch (option->type) {
    case VMP_OPTION_FLAG:
        break;
    case VMP_OPTION_OPTIONAL:
        return g_strdup_printf("%s--%s[=<%s>]", letter, option->name, value_of(option));
    case VMP_OPTION_STRING:
    case VMP_OPTION_LIST:
        return g_strdup_printf(option->use & VMP_OPTION_POSITIONAL ? "%s[--%s] <%s>"
                                                                   : "%s--%s <%s>",
                               letter, option->name, value_of(option));
    }
    return g_strdup_printf("%s--%s", letter, option->name);
}

/* Appends the words of @words with line breaks between them; each line starts with @indent. */
static void
append_wrapped(GString *text, char **words, const char *indent)
{
    gsize column = strlen(indent);

    g_string_append(text, indent);
    for (guint i = 0; words[i]; i++) {
        gsize length = strlen(words[i]);

        if (i > 0 && column + 1 + length > PAGE_WIDTH) {
            g_string_append_printf(text, "\n%s", indent);
            column = strlen(indent);
        } else if (i > 0) {
            g_string_append_c(text, ' ');
            column++;
        }
        g_string_append(text, words[i]);
        column += length;
    }
    g_string_append_c(text, '\n');
}

static void
append_paragraph(GString *text, const char *paragraph, const char *indent)
{
    g_auto(GStrv) words = g_strsplit(paragraph, " ", -1);

    append_wrapped(text, words, indent);
}

static void
append_options(GString *text, const VmpOption *options)
{
    for (; options->name; options++) {
        g_autofree char *label = format_label(options);
        g_string_append_printf(text, "    %-24s  %s\n", label, options->help);
    }
}

static void
append_synopsis(GString *text, const VmpCommand *command)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);

    g_ptr_array_add(words, g_strdup(command->name));
    for (const VmpOption *option = command->options; option->name; option++)
        g_ptr_array_add(words, format_usage(option));
    g_ptr_array_add(words, NULL);
    append_wrapped(text, (char **)words->pdata, "    ");
}

void
vmp_help_format_command(const VmpCommand *command, GString *text)
{
    g_string_append_printf(text, "  NAME\n    %s - %s\n\n  SYNOPSIS\n", command->name,
                           command->help);
    append_synopsis(text, command);
    g_string_append(text, "\n  DESCRIPTION\n");
    append_paragraph(text, command->description, "    ");
    if (command->options[0].name) {
        g_string_append(text, "\n  OPTIONS\n");
        append_options(text, command->options);
    }
}

void
vmp_help_format_group(const VmpCommandGroup *group, GString *text)
{
    g_string_append_printf(text, " %s (help keyword '%s'):\n", group->title, group->keyword);
    for (const VmpCommand *command = group->commands; command->name; command++) {
        if (!command->hidden)
            g_string_append_printf(text, "    %-24s  %s\n", command->name, command->help);
    }
}

void
vmp_help_format_all(const VmpCommandGroup *groups, const VmpOption *globals, GString *text)
{
    g_string_append(text, "Usage: vmpoint [OPTION]... COMMAND [ARGUMENT]...\n\n"
                          "Options for every command, before or after it:\n");
    append_options(text, globals);
    g_string_append_c(text, '\n');
    for (; groups->keyword; groups++) {
        vmp_help_format_group(groups, text);
        g_string_append_c(text, '\n');
    }
    g_string_append(text, "'vmpoint help COMMAND' says more about a command.\n");
}

static const char *
type_name(VmpOptionType type)
{
    switch (type) {
    case VMP_OPTION_FLAG:
        return "flag";
    case VMP_OPTION_STRING:
        return "string";
    case VMP_OPTION_LIST:
        return "list";
    case VMP_OPTION_OPTIONAL:
        return "optional";
    }
    return "flag";
}

static json_object *
options_to_json(const VmpOption *options)
{
    json_object *array = json_object_new_array();

    for (; options->name; options++) {
        json_object *object = json_object_new_object();
        gboolean positional = options->use & VMP_OPTION_POSITIONAL;
        gboolean required = options->use & VMP_OPTION_REQUIRED;

        json_object_object_add(object, "name", json_object_new_string(options->name));
        json_object_object_add(object, "type",
                               json_object_new_string(type_name(options->type)));
        json_object_object_add(object, "positional", json_object_new_boolean(positional));
        json_object_object_add(object, "required", json_object_new_boolean(required));
        json_object_object_add(object, "help", json_object_new_string(options->help));
        json_object_array_add(array, object);
    }
    return array;
}

static json_object *
command_to_json(const VmpCommand *command, const char *group)
{
    json_object *object = json_object_new_object();

    json_object_object_add(object, "name", json_object_new_string(command->name));
    json_object_object_add(object, "group", json_object_new_string(group));
    json_object_object_add(object, "help", json_object_new_string(command->help));
    json_object_object_add(object, "changes", json_object_new_boolean(command->changes));
    json_object_object_add(object, "options", options_to_json(command->options));
    return object;
}

json_object *
vmp_help_to_json(const VmpCommandGroup *groups, const VmpOption *globals, const char *about)
{
    json_object *object = json_object_new_object();
    json_object *commands = json_object_new_array();

    for (; groups->keyword; groups++) {
        gboolean all = !about || g_str_equal(groups->keyword, about);

        for (const VmpCommand *command = groups->commands; command->name; command++) {
            if (!command->hidden && (all || g_str_equal(command->name, about)))
                json_object_array_add(commands, command_to_json(command, groups->keyword));
        }
    }
    json_object_object_add(object, "options", options_to_json(globals));
    json_object_object_add(object, "commands", commands);
    return object;
}
