/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/complete.h"

#include <string.h>
#include <vmpoint/vmpoint.h>

typedef struct {
    const VmpCommandGroup *groups;
    const VmpCommandLine *line; /* all but the last word */
    const char *prefix;         /* what is written of the last word, or of its value */
    const char *before;         /* "--name=" if that stands before the value, else "" */
    GPtrArray *found;
} Completion;

static void
offer(Completion *completion, const char *candidate)
{
    if (candidate && g_str_has_prefix(candidate, completion->prefix))
        g_ptr_array_add(completion->found, g_strconcat(completion->before, candidate, NULL));
}

static void
offer_commands(Completion *completion)
{
    for (const VmpCommandGroup *group = completion->groups; group->keyword; group++) {
        for (const VmpCommand *command = group->commands; command->name; command++) {
            if (!command->hidden)
                offer(completion, command->name);
        }
    }
}

static void
offer_options(Completion *completion, const VmpOption *options, const VmpArguments *given)
{
    for (; options->name; options++) {
        g_autofree char *name = g_strconcat("--", options->name, NULL);

        if (!vmp_arguments_has(given, options->name) || options->type == VMP_OPTION_LIST)
            offer(completion, name);
    }
}

/* All kinds of infos start with their name, and nothing else of them is read here. */
G_STATIC_ASSERT(G_STRUCT_OFFSET(VmpDomainInfo, name) == 0);
G_STATIC_ASSERT(G_STRUCT_OFFSET(VmpSnapshotInfo, name) == 0);
G_STATIC_ASSERT(G_STRUCT_OFFSET(VmpCheckpointInfo, name) == 0);
G_STATIC_ASSERT(G_STRUCT_OFFSET(VmpDomainBlock, target) == 0);

static void
offer_names(Completion *completion, GPtrArray *infos)
{
    for (guint i = 0; infos && i < infos->len; i++)
        offer(completion, *(char *const *)g_ptr_array_index(infos, i));
    if (infos)
        g_ptr_array_unref(infos);
}

static void
offer_stored(Completion *completion, VmpCompletion kind)
{
    const VmpCommandLine *line = completion->line;
    gboolean of_domain = line->command && vmp_option_find(line->command->options, "domain");
    const char *domain = of_domain ? vmp_arguments_get(line->arguments, "domain") : NULL;
    g_autoptr(VmpHost) host =
        vmp_host_open(vmp_arguments_get(line->globals, "state-dir"), NULL, NULL);

    if (!host)
        return;
    if (kind == VMP_COMPLETE_DOMAIN)
        offer_names(completion, vmp_domain_list(host, 0, NULL));
    else if (kind == VMP_COMPLETE_SNAPSHOT && domain)
        offer_names(completion, vmp_snapshot_list(host, domain, NULL, 0, NULL));
    else if (kind == VMP_COMPLETE_CHECKPOINT && domain)
        offer_names(completion, vmp_checkpoint_list(host, domain, NULL, 0, NULL));
    else if (kind == VMP_COMPLETE_DISK && domain)
        offer_names(completion, vmp_domain_list_blocks(host, domain, FALSE, FALSE, NULL));
}

static void
offer_values(Completion *completion, const VmpOption *option)
{
    switch (option->completes) {
    case VMP_COMPLETE_NOTHING:
    case VMP_COMPLETE_FILE:
        break;
    case VMP_COMPLETE_COMMAND:
        offer_commands(completion);
        break;
    case VMP_COMPLETE_DOMAIN:
    case VMP_COMPLETE_SNAPSHOT:
    case VMP_COMPLETE_CHECKPOINT:
    case VMP_COMPLETE_DISK:
        offer_stored(completion, option->completes);
        break;
    }
}

/* "--name=pre": the values of one option. */
static void
offer_attached(Completion *completion, const VmpOption *globals, const char *word,
               const char *equals)
{
    const VmpCommand *command = completion->line->command;
    g_autofree char *name = g_strndup(word + 2, (gsize)(equals - word - 2));
    g_autofree char *before = g_strndup(word, (gsize)(equals - word + 1));
    const VmpOption *option = command ? vmp_option_find(command->options, name) : NULL;

    if (!option)
        option = vmp_option_find(globals, name);
    if (!option)
        return;
    completion->before = before;
    completion->prefix = equals + 1;
    offer_values(completion, option);
    completion->before = "";
}

static void
offer_word(Completion *completion, const VmpOption *globals)
{
    const VmpCommandLine *line = completion->line;

    if (g_str_has_prefix(completion->prefix, "-") && !line->only_words) {
        if (line->command)
            offer_options(completion, line->command->options, line->arguments);
        offer_options(completion, globals, line->globals);
        return;
    }
    if (!line->command) {
        if (!line->unknown_command)
            offer_commands(completion);
        return;
    }
    const VmpOption *option = vmp_arguments_next_positional(line->arguments);
    if (option)
        offer_values(completion, option);
}

GPtrArray *
vmp_complete(const VmpCommandGroup *groups, const VmpOption *globals, const char *const *words)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
    g_autofree const char **complete_words =
        g_new0(const char *, g_strv_length((char **)words) + 1);
    guint count = 0;

    for (; words[count + 1]; count++)
        complete_words[count] = words[count];
    g_autoptr(VmpCommandLine) line =
        vmp_command_line_parse_incomplete(globals, groups, complete_words);
    const char *last = words[count];
    const char *equals = strchr(last, '=');
    Completion completion = { groups, line, last, "", found };

    if (line->awaiting)
        offer_values(&completion, line->awaiting);
    else if (g_str_has_prefix(last, "--") && equals && !line->only_words)
        offer_attached(&completion, globals, last, equals);
    else
        offer_word(&completion, globals);
    return g_steal_pointer(&found);
}
