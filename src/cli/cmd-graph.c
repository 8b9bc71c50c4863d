/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* graph: a domain's disks, images and points in time as a picture. */

#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/graph-text.h"
#include "cli/session.h"

/* Graphviz reads a file: a pipe that it does not read to its end could block. */
static char *
draw_file(const char *path, GError **error)
{
    const char *const argv[] = { "dot", "-Tsvg", path, NULL };
    g_autofree char *svg = NULL, *words = NULL;
    g_autoptr(GError) failure = NULL;
    int status = 0;

    if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &svg, &words,
                      &status, &failure)) {
        g_set_error(error, VMP_ERROR, VMP_ERROR_UNSUPPORTED,
                    "cannot run Graphviz's dot, which draws (%s): --dot prints what it would "
                    "draw",
                    failure->message);
        return NULL;
    }
    if (g_spawn_check_wait_status(status, &failure))
        return g_steal_pointer(&svg);
    g_set_error(error, VMP_ERROR, VMP_ERROR_FAILED, "Graphviz's dot failed: %s: %s",
                failure->message, g_strstrip(words));
    return NULL;
}

static char *
draw(const char *dot, GError **error)
{
    g_autofree char *path = NULL;
    g_autoptr(GError) failure = NULL;
    int fd = g_file_open_tmp("vmpoint-XXXXXX.dot", &path, &failure);
    char *svg = NULL;

    if (fd >= 0) {
        g_close(fd, NULL);
        if (g_file_set_contents_full(path, dot, -1, G_FILE_SET_CONTENTS_NONE, 0600, &failure))
            svg = draw_file(path, error);
        g_unlink(path);
    }
    if (failure)
        g_set_error(error, VMP_ERROR, VMP_ERROR_IO, "cannot write a file for Graphviz: %s",
                    failure->message);
    return svg;
}

static gboolean
run_graph(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    VmpHost *host = vmp_session_open(session, error);
    if (!host)
        return FALSE;
    g_autoptr(VmpGraph) graph = vmp_domain_graph(host, vmp_arguments_get(arguments, "domain"),
                                                 vmp_session_get_operation(session), error);
    if (!graph)
        return FALSE;

    VmpOutput *output = vmp_session_get_output(session);
    g_autoptr(GString) text = g_string_new(NULL);
    if (vmp_session_wants_json(session)) {
        vmp_output_take_json(output, vmp_graph_to_json(graph));
        return TRUE;
    }
    if (!vmp_arguments_has(arguments, "dot") && !vmp_arguments_has(arguments, "svg")) {
        vmp_graph_format_text(graph, text);
        vmp_output_print(output, "%s", text->str);
        return TRUE;
    }
    vmp_graph_format_dot(graph, text);
    g_autofree char *svg = vmp_arguments_has(arguments, "svg") ? draw(text->str, error) : NULL;
    if (vmp_arguments_has(arguments, "svg") && !svg)
        return FALSE;
    vmp_output_print(output, "%s", svg ? svg : text->str);
    return TRUE;
}

static const VmpOption graph_options[] = {
    VMP_DOMAIN_OPTION,
    VMP_FLAG("dot", "in Graphviz's language"),
    VMP_FLAG("svg", "as a picture, which Graphviz's dot draws"),
    VMP_OPTION_END,
};

static const VmpRule graph_rules[] = {
    { VMP_RULE_AT_MOST_ONE, "dot svg" },
    { VMP_RULE_NONE, NULL },
};

const VmpCommand vmp_graph_commands[] = {
    { .name = "graph",
      .help = "what stands on what: disks, images, points",
      .description =
          "Shows the images of a domain as trees, each below the one that it stands on, with "
          "the disks that write to them (<-), their size and format, the snapshots and "
          "bitmaps "
          "that are in them and QEMU's names for them; then its snapshots and checkpoints.  "
          "With --json the same as data, with where each point has each disk.",
      .options = graph_options,
      .rules = graph_rules,
      .run = run_graph },
    { .name = NULL },
};
