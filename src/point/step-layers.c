/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* open-layers  { "nodes": [ { "path", "format", "node", "file-node",
 *                             "backing-node": absent = opened from the header,
 *                             "read-only": bool } ] }                          lowest first
 * shut-layers  { "nodes": [ the same ] }
 *
 * Images of a branch that is not the present: opened for merging, beside the disks.
 */

#include "point/steps.h"
#include "qmp/commands.h"

static void
open_commands(const VmpStep *step, GPtrArray *commands)
{
    VmpJson *nodes = vmp_json_get_array(step->args, "nodes");

    for (guint i = 0; i < vmp_json_length(nodes); i++) {
        VmpJson *node = vmp_json_at(nodes, i);
        const char *file = vmp_json_get_string(node, "file-node");
        gboolean read_only = vmp_json_get_bool(node, "read-only", FALSE);
        g_ptr_array_add(commands,
                        vmp_qmp_blockdev_add(vmp_qmp_options_storage(
                            file, vmp_json_get_string(node, "path"), FALSE, read_only)));
        g_ptr_array_add(commands, vmp_qmp_blockdev_add(vmp_qmp_options_format(
                                      vmp_json_get_string(node, "node"),
                                      vmp_json_get_string(node, "format"), file,
                                      vmp_json_get_string(node, "backing-node"), read_only)));
    }
}

static gboolean
shut_node(VmpQmpClient *client, const VmpBlockGraph *graph, const char *name, GError **error)
{
    return !vmp_block_graph_node(graph, name) ||
           vmp_qmp_client_run(client, vmp_qmp_blockdev_del(name), NULL, error);
}

/* The highest first: what is below is in use by it.  Closing flushes. */
static gboolean
shut(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpJson *nodes = vmp_json_get_array(step->args, "nodes");

    /* They went with the daemon that had them, or go with it. */
    if (!vmp_machine_is_on(change->machine))
        return TRUE;

    VmpBlockSession *session = vmp_change_get_session(change, error);
    g_autoptr(VmpBlockGraph) graph =
        session ? vmp_block_session_read_graph(session, error) : NULL;
    for (guint i = vmp_json_length(nodes); graph && i > 0; i--) {
        VmpJson *node = vmp_json_at(nodes, i - 1);
        VmpQmpClient *client = vmp_block_session_get_client(session);
        if (!shut_node(client, graph, vmp_json_get_string(node, "node"), error) ||
            !shut_node(client, graph, vmp_json_get_string(node, "file-node"), error))
            return FALSE;
    }
    return graph != NULL;
}

static char *
open_describe(const VmpStep *step)
{
    VmpJson *nodes = vmp_json_get_array(step->args, "nodes");
    GString *text = g_string_new("open");

    for (guint i = 0; i < vmp_json_length(nodes); i++)
        g_string_append_printf(text, "%s '%s'", i ? "," : "",
                               vmp_json_get_string(vmp_json_at(nodes, i), "path"));
    return g_string_free(text, FALSE);
}

const VmpStepKind vmp_step_open_layers = {
    .name = "open-layers",
    .apply = vmp_step_send_commands,
    .undo = shut,
    .describe = open_describe,
    .commands = open_commands,
};

static char *
shut_describe(const VmpStep *step G_GNUC_UNUSED)
{
    return g_strdup("close the layers of the other branches");
}

static void
shut_commands(const VmpStep *step, GPtrArray *commands)
{
    VmpJson *nodes = vmp_json_get_array(step->args, "nodes");

    for (guint i = vmp_json_length(nodes); i > 0; i--) {
        VmpJson *node = vmp_json_at(nodes, i - 1);
        g_ptr_array_add(commands, vmp_qmp_blockdev_del(vmp_json_get_string(node, "node")));
        g_ptr_array_add(commands,
                        vmp_qmp_blockdev_del(vmp_json_get_string(node, "file-node")));
    }
}

const VmpStepKind vmp_step_shut_layers = {
    .name = "shut-layers",
    .apply = shut,
    .describe = shut_describe,
    .commands = shut_commands,
};
