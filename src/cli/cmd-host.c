/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Commands about vmpoint itself. */

#include "cli/commands.h"
#include "cli/complete.h"
#include "cli/help.h"
#include "cli/session.h"

static json_object *
strings_to_json(const GPtrArray *strings)
{
    json_object *array = json_object_new_array();

    for (guint i = 0; i < strings->len; i++)
        json_object_array_add(array, vmp_json_string(g_ptr_array_index(strings, i)));
    return array;
}

static gboolean
run_recover(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    VmpHost *host = vmp_session_open(session, error);
    if (!host)
        return FALSE;
    g_autoptr(GPtrArray) sentences =
        vmp_host_recover(host, vmp_arguments_get(arguments, "domain"),
                         vmp_session_get_operation(session), error);
    if (!sentences)
        return FALSE;

    json_object *result = json_object_new_object();
    json_object_object_add(result, "settled", strings_to_json(sentences));
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; i < sentences->len; i++)
        g_string_append_printf(text, "%s\n", (char *)g_ptr_array_index(sentences, i));
    vmp_session_finish(session, result, "%s", text->str);
    return TRUE;
}

static const VmpCommandGroup *
find_group(const char *keyword)
{
    for (const VmpCommandGroup *group = vmp_command_groups; group->keyword; group++) {
        if (g_str_equal(group->keyword, keyword))
            return group;
    }
    return NULL;
}

gboolean
vmp_run_help(VmpSession *session, const char *about, GError **error)
{
    VmpOutput *output = vmp_session_get_output(session);
    const VmpCommand *command = about ? vmp_command_find(vmp_command_groups, about) : NULL;
    const VmpCommandGroup *group = about ? find_group(about) : NULL;
    g_autoptr(GString) text = g_string_new(NULL);

    if (about && !command && !group) {
        g_set_error(error, VMP_ERROR, VMP_ERROR_INVALID,
                    "there is no command and no group of commands '%s'", about);
        return FALSE;
    }
    if (vmp_session_wants_json(session)) {
        vmp_output_take_json(output,
                             vmp_help_to_json(vmp_command_groups, vmp_session_options, about));
        return TRUE;
    }
    if (command)
        vmp_help_format_command(command, text);
    else if (group)
        vmp_help_format_group(group, text);
    else
        vmp_help_format_all(vmp_command_groups, vmp_session_options, text);
    vmp_output_print(output, "%s", text->str);
    return TRUE;
}

static gboolean
run_help(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    return vmp_run_help(session, vmp_arguments_get(arguments, "command"), error);
}

gboolean
vmp_run_version(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    VmpOutput *output = vmp_session_get_output(session);

    if (vmp_session_wants_json(session)) {
        json_object *object = json_object_new_object();
        json_object_object_add(object, "version", json_object_new_string(VMPOINT_VERSION));
        vmp_output_take_json(output, object);
    } else {
        vmp_output_print(output, "vmpoint %s\n", VMPOINT_VERSION);
    }
    return TRUE;
}

static gboolean
run_complete(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    g_autoptr(GPtrArray) found = vmp_complete(vmp_command_groups, vmp_session_options,
                                              vmp_arguments_get_list(arguments, "word"));
    VmpOutput *output = vmp_session_get_output(session);

    if (vmp_session_wants_json(session)) {
        vmp_output_take_json(output, strings_to_json(found));
        return TRUE;
    }
    for (guint i = 0; i < found->len; i++)
        vmp_output_print(output, "%s\n", (char *)g_ptr_array_index(found, i));
    return TRUE;
}

static const VmpOption recover_options[] = {
    VMP_POSITION("domain", 0, "name", VMP_COMPLETE_DOMAIN,
                 "domain name or uuid; all if not said"),
    VMP_OPTION_END,
};

static const VmpOption help_options[] = {
    VMP_POSITION("command", 0, "name", VMP_COMPLETE_COMMAND,
                 "a command, or a group of commands"),
    VMP_OPTION_END,
};

static const VmpOption no_options[] = { VMP_OPTION_END };

static const VmpOption complete_options[] = {
    { .name = "word",
      .type = VMP_OPTION_LIST,
      .use = VMP_OPTION_POSITIONAL | VMP_OPTION_REQUIRED | VMP_OPTION_MAY_BE_EMPTY,
      .help = "the words behind 'vmpoint', the last one cut off" },
    VMP_OPTION_END,
};

const VmpCommand vmp_host_commands[] = {
    { .name = "complete",
      .help = "what a shell may offer",
      .description = "Prints the words that may stand in place of the last one, one a line.",
      .options = complete_options,
      .hidden = TRUE,
      .run = run_complete },
    { .name = "help",
      .help = "print help",
      .description =
          "Lists all commands, or the commands of a group, or says how a command is used.",
      .options = help_options,
      .run = run_help },
    { .name = "recover",
      .help = "settle what interrupted commands left open",
      .description =
          "Finishes or undoes what commands have left open that were killed, and says what "
          "was done.  Each command that changes a domain does so for that domain first.",
      .options = recover_options,
      .changes = TRUE,
      .run = run_recover },
    { .name = "version",
      .help = "print the version",
      .description = "Prints the version of vmpoint.",
      .options = no_options,
      .run = vmp_run_version },
    { .name = NULL },
};
