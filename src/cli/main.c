/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <signal.h>
#include <vmpoint/error.h>

#include "cli/commands.h"
#include "cli/session.h"

/* Complaints about the command line are JSON as well, wherever --json stands on it. */
static gboolean
has_word(const char *const *words, const char *word)
{
    for (; *words && !g_str_equal(*words, "--"); words++) {
        if (g_str_equal(*words, word))
            return TRUE;
    }
    return FALSE;
}

static gboolean
run(VmpSession *session, const VmpCommandLine *line, GError **error)
{
    if (vmp_arguments_has(line->globals, "version"))
        return vmp_run_version(session, NULL, error);
    if (vmp_arguments_has(line->globals, "help"))
        return vmp_run_help(session, line->command ? line->command->name : NULL, error);
    if (!line->command) {
        g_set_error(error, VMP_ERROR, VMP_ERROR_INVALID,
                    "no command was given; 'vmpoint help' lists all");
        return FALSE;
    }
    return line->command->run(session, line->arguments, error);
}

static int
complain(VmpOutput *output, const GError *failure)
{
    int status = vmp_error_status(failure);

    vmp_output_error(output, failure, status, NULL);
    return status;
}

int
main(int argc, char **argv)
{
    const char *const *words = (const char *const *)argv + MIN(argc, 1);
    g_autoptr(VmpOutput) output = vmp_output_new();
    g_autoptr(GError) failure = NULL;

    vmp_output_set_style(output, has_word(words, "--json"), FALSE);
    /* A reader of ours that leaves is an error of write(), not the end of a change. */
    signal(SIGPIPE, SIG_IGN);

    g_autoptr(VmpCommandLine) line =
        vmp_command_line_parse(vmp_session_options, vmp_command_groups, words, &failure);
    if (!line)
        return complain(output, failure);
    g_autoptr(VmpSession) session = vmp_session_new(line->globals, output, &failure);
    if (!session)
        return complain(output, failure);

    run(session, line, &failure);
    return vmp_session_end(session, failure);
}
