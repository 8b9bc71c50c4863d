/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/writable.h"

#include "base/error.h"
#include "point/layer.h"
#include "qmp/commands.h"

struct _VmpWritable {
    const VmpBlockGraph *graph;
    const VmpDomain *definition;
    VmpJson *reopen;
    GHashTable *reopened; /* name of a node -> its element of @reopen, borrowed */
    GHashTable *taken;    /* names given to nodes */
};

VmpWritable *
vmp_writable_new(const VmpBlockGraph *graph, const VmpDomain *definition)
{
    VmpWritable *writable = g_new0(VmpWritable, 1);

    writable->graph = graph;
    writable->definition = definition;
    writable->reopen = json_object_new_array();
    writable->reopened = g_hash_table_new(g_str_hash, g_str_equal);
    writable->taken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return writable;
}

void
vmp_writable_free(VmpWritable *writable)
{
    if (!writable)
        return;
    json_object_put(writable->reopen);
    g_hash_table_unref(writable->reopened);
    g_hash_table_unref(writable->taken);
    g_free(writable);
}

VmpJson *
vmp_writable_to_json(const VmpWritable *writable)
{
    return json_object_get(writable->reopen);
}

/* ---- planning ---- */

/* The element for @node, which has a name to reopen it by. */
static VmpJson *
get_reopen(VmpWritable *writable, const VmpBlockNode *node, const char *target)
{
    VmpJson *entry = g_hash_table_lookup(writable->reopened, node->name);
    if (entry)
        return entry;

    const VmpDomainDisk *disk = vmp_domain_find_disk(writable->definition, target);
    const VmpLayerOptions options = vmp_layer_options_of(disk, node);
    entry = vmp_json_build("s:node", node->name, "S:path", node->path, "s:driver",
                           node->driver, "s:file", node->file, "S:backing", node->backing,
                           "b:read-only", node->read_only, "b:touched", FALSE, "B:direct",
                           options.direct, "B:unmap", options.unmap, "S:detect-zeroes",
                           options.detect_zeroes, "o:below", json_object_new_array(), NULL);
    json_object_array_add(writable->reopen, entry);
    g_hash_table_insert(writable->reopened, node->name, entry);
    return entry;
}

/* Gives @node, the next one below those of @below that have no name, a name. */
static VmpJson *
add_below(VmpWritable *writable, VmpJson *below, const VmpBlockNode *node, const char *target)
{
    const VmpBlockNode *storage = vmp_block_graph_node(writable->graph, node->file);
    g_autofree char *stem = g_strdup_printf("%s-format", target);
    g_autofree char *name = vmp_block_graph_new_name(writable->graph, stem, writable->taken);
    VmpJson *layer =
        vmp_json_build("s:name", name, "s:driver", node->driver, "s:storage",
                       storage ? storage->driver : "file", "s:path", node->path, "S:under",
                       node->backing, "B:direct", node->direct, "b:touched", FALSE, NULL);

    json_object_array_add(below, layer);
    return layer;
}

/* The nearest one from @node upwards that has a name to reopen it by. */
static const VmpBlockNode *
named_above(const VmpBlockGraph *graph, const VmpBlockNode *top, const VmpBlockNode *node)
{
    const VmpBlockNode *named = NULL;

    for (const VmpBlockNode *at = top; at; at = vmp_block_graph_backing(graph, at)) {
        if (at->name[0] != '#')
            named = at;
        if (at == node)
            break;
    }
    return named;
}

const char *
vmp_writable_add(VmpWritable *writable, const VmpBlockNode *top, const VmpBlockNode *node,
                 const char *target, GError **error)
{
    /* A commit that was cancelled leaves its base so. */
    if (!node->read_only)
        return node->name;

    const VmpBlockNode *named = named_above(writable->graph, top, node);
    if (!named)
        return vmp_fail_null(
            error, VMP_ERROR_UNSUPPORTED,
            "disk '%s': QEMU has its images open under names of its own making "
            "and cannot make '%s' writable; do it when the domain is off",
            target, node->path);

    VmpJson *entry = get_reopen(writable, named, target);
    VmpJson *below = vmp_json_get_array(entry, "below");
    VmpJson *touched = entry;
    guint depth = 0;
    for (const VmpBlockNode *at = named; at != node; depth++) {
        at = vmp_block_graph_backing(writable->graph, at);
        touched = depth < vmp_json_length(below) ? vmp_json_at(below, depth)
                                                 : add_below(writable, below, at, target);
    }
    vmp_json_add(touched, "b:touched", TRUE, NULL);
    return depth == 0 ? node->name : vmp_json_get_string(touched, "name");
}

/* ---- in a step ---- */

/* below[index] over what is under it. */
static VmpJson *
layer_options(VmpJson *below, guint index, gboolean read_only)
{
    VmpJson *layer = vmp_json_at(below, index);
    const char *under = index + 1 < vmp_json_length(below)
                            ? vmp_json_get_string(vmp_json_at(below, index + 1), "name")
                            : vmp_json_get_string(layer, "under");
    gboolean direct = vmp_json_get_bool(layer, "direct", FALSE);
    VmpJson *options = vmp_qmp_options_unnamed(
        vmp_json_get_string(layer, "driver"), vmp_json_get_string(layer, "storage"),
        vmp_json_get_string(layer, "path"), read_only, NULL);

    /* Next time the layer is reopened by its name alone, and the file has to follow. */
    vmp_json_add(vmp_json_get_object(options, "file"), "b:read-only", FALSE,
                 "b:auto-read-only", TRUE, NULL);
    vmp_json_add(options, "s:node-name", vmp_json_get_string(layer, "name"), "S:backing",
                 under, "O:cache", direct ? vmp_json_build("b:direct", TRUE, NULL) : NULL,
                 NULL);
    if (!under)
        vmp_json_add(options, "n:backing", NULL);
    return options;
}

/* A reopen forgets every option that is not said again. */
static VmpQmpCommand *
reopen_command(VmpJson *node, gboolean open)
{
    gboolean writable = open && vmp_json_get_bool(node, "touched", TRUE);
    gboolean read_only = vmp_json_get_bool(node, "read-only", TRUE) && !writable;
    VmpJson *below = vmp_json_get_array(node, "below");
    const char *backing = vmp_json_length(below) > 0
                              ? vmp_json_get_string(vmp_json_at(below, 0), "name")
                              : vmp_json_get_string(node, "backing");
    VmpJson *options = vmp_qmp_options_format(
        vmp_json_get_string(node, "node"), vmp_json_get_string(node, "driver"),
        vmp_json_get_string(node, "file"), backing ? backing : "", read_only);
    gboolean direct = vmp_json_get_bool(node, "direct", FALSE);

    /* A file that was opened together with the node is as writable as that says, and stays as
     * it was if it says nothing. */
    vmp_json_add(options, "b:read-only", read_only, "O:cache",
                 direct ? vmp_json_build("b:direct", TRUE, NULL) : NULL, "S:discard",
                 vmp_json_get_bool(node, "unmap", FALSE) ? "unmap" : NULL, "S:detect-zeroes",
                 vmp_json_get_string(node, "detect-zeroes"), NULL);
    return vmp_qmp_blockdev_reopen(options);
}

/* Puts layers with names in the place of those without, the lowest first. */
static void
add_naming(VmpJson *node, GPtrArray *commands)
{
    VmpJson *below = vmp_json_get_array(node, "below");

    for (guint i = vmp_json_length(below); i > 0; i--)
        g_ptr_array_add(commands, vmp_qmp_blockdev_add(layer_options(below, i - 1, TRUE)));
    if (vmp_json_length(below) > 0)
        g_ptr_array_add(commands, reopen_command(node, FALSE));
}

static void
add_reopening(VmpJson *node, gboolean open, GPtrArray *commands)
{
    VmpJson *below = vmp_json_get_array(node, "below");

    if (vmp_json_get_bool(node, "touched", TRUE))
        g_ptr_array_add(commands, reopen_command(node, open));
    for (guint i = 0; i < vmp_json_length(below); i++)
        if (vmp_json_get_bool(vmp_json_at(below, i), "touched", FALSE))
            g_ptr_array_add(commands, vmp_qmp_blockdev_reopen(layer_options(below, i, !open)));
}

/* Another process, that came after, may have another image under that name. */
static gboolean
is_same(VmpJson *node, const VmpBlockGraph *graph)
{
    const VmpBlockNode *now = vmp_block_graph_node(graph, vmp_json_get_string(node, "node"));

    return now && g_strcmp0(now->path, vmp_json_get_string(node, "path")) == 0 &&
           g_strcmp0(now->file, vmp_json_get_string(node, "file")) == 0;
}

/* A cut attempt may have given @node's layers their names and places already. */
static gboolean
is_named(VmpJson *node, const VmpBlockGraph *graph)
{
    VmpJson *below = vmp_json_get_array(node, "below");

    return vmp_json_length(below) > 0 &&
           vmp_block_graph_node(graph, vmp_json_get_string(vmp_json_at(below, 0), "name"));
}

/* @graph: NULL at the first attempt, which knows what is open. */
static void
add_opening(VmpJson *reopen, const VmpBlockGraph *graph, GPtrArray *commands)
{
    for (guint i = 0; i < vmp_json_length(reopen); i++) {
        VmpJson *node = vmp_json_at(reopen, i);
        if (!graph || (is_same(node, graph) && !is_named(node, graph)))
            add_naming(node, commands);
    }
    for (guint i = 0; i < vmp_json_length(reopen); i++)
        if (!graph || is_same(vmp_json_at(reopen, i), graph))
            add_reopening(vmp_json_at(reopen, i), TRUE, commands);
}

void
vmp_writable_add_opening(VmpJson *reopen, GPtrArray *commands)
{
    add_opening(reopen, NULL, commands);
}

static gboolean
run_all(const GPtrArray *commands, VmpChange *change, GError **error)
{
    VmpQmpClient *client = vmp_change_get_client(change, error);
    if (!client)
        return FALSE;

    for (guint i = 0; i < commands->len; i++) {
        g_autoptr(VmpJson) reply =
            vmp_qmp_client_execute(client, g_ptr_array_index(commands, i), NULL, error);
        if (!reply)
            return FALSE;
    }
    return TRUE;
}

gboolean
vmp_writable_open(VmpJson *reopen, VmpChange *change, GError **error)
{
    g_autoptr(GPtrArray) commands =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_qmp_command_unref);
    g_autoptr(VmpBlockGraph) graph = NULL;

    if (vmp_json_length(reopen) == 0)
        return TRUE;
    if (change->recovering) {
        VmpBlockSession *session = vmp_change_get_session(change, error);
        if (!session || !vmp_writable_undo(reopen, change, error))
            return FALSE;
        graph = vmp_block_session_read_graph(session, error);
        if (!graph)
            return FALSE;
    }
    add_opening(reopen, graph, commands);
    return run_all(commands, change, error);
}

/* Refused: it is not there, or it has its place. */
static gboolean
drop_unplaced(VmpJson *node, VmpQmpClient *client, GError **error)
{
    VmpJson *below = vmp_json_get_array(node, "below");

    for (guint i = 0; i < vmp_json_length(below); i++) {
        g_autoptr(VmpQmpCommand) command =
            vmp_qmp_blockdev_del(vmp_json_get_string(vmp_json_at(below, i), "name"));
        g_autoptr(GError) failure = NULL;
        g_autoptr(VmpJson) reply = vmp_qmp_client_execute(client, command, NULL, &failure);
        if (!reply && !vmp_error_is(failure, VMP_ERROR_REFUSED)) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return FALSE;
        }
    }
    return TRUE;
}

/* Read-only again is what is there of it. */
static void
add_closing_of_rest(VmpJson *reopen, const VmpBlockGraph *graph, GPtrArray *commands)
{
    for (guint i = 0; i < vmp_json_length(reopen); i++) {
        VmpJson *node = vmp_json_at(reopen, i);
        gboolean nameless = vmp_json_length(vmp_json_get_array(node, "below")) > 0;
        if (is_same(node, graph) && (!nameless || is_named(node, graph)))
            add_reopening(node, FALSE, commands);
    }
}

static gboolean
is_nothing_open(VmpJson *reopen, VmpChange *change)
{
    return vmp_json_length(reopen) == 0 ||
           (!change->session && !vmp_machine_is_on(change->machine));
}

static gboolean
close_rest(VmpJson *reopen, VmpChange *change, GError **error)
{
    g_autoptr(GPtrArray) commands =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_qmp_command_unref);
    g_autoptr(VmpBlockGraph) graph = vmp_change_read_graph(change, error);

    if (!graph)
        return FALSE;
    add_closing_of_rest(reopen, graph, commands);
    return run_all(commands, change, error);
}

gboolean
vmp_writable_undo(VmpJson *reopen, VmpChange *change, GError **error)
{
    if (is_nothing_open(reopen, change))
        return TRUE;

    VmpQmpClient *client = vmp_change_get_client(change, error);
    for (guint i = 0; client && i < vmp_json_length(reopen); i++)
        if (!drop_unplaced(vmp_json_at(reopen, i), client, error))
            return FALSE;
    return client && close_rest(reopen, change, error);
}

/* ---- close-writable ---- */

static gboolean
close_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpJson *reopen = vmp_json_get_array(step->args, "reopen");

    return is_nothing_open(reopen, change) || close_rest(reopen, change, error);
}

static char *
close_describe(const VmpStep *step G_GNUC_UNUSED)
{
    return g_strdup("open what was opened writable read-only again");
}

static void
close_commands(const VmpStep *step, GPtrArray *commands)
{
    VmpJson *reopen = vmp_json_get_array(step->args, "reopen");

    for (guint i = 0; i < vmp_json_length(reopen); i++)
        add_reopening(vmp_json_at(reopen, i), FALSE, commands);
}

const VmpStepKind vmp_step_close_writable = {
    .name = "close-writable",
    .apply = close_apply,
    .describe = close_describe,
    .commands = close_commands,
};

void
vmp_writable_plan_closing(const VmpWritable *writable, VmpPlan *plan)
{
    if (vmp_json_length(writable->reopen) > 0)
        vmp_plan_add_cleanup(plan, &vmp_step_close_writable,
                             vmp_json_build("o:reopen", vmp_writable_to_json(writable), NULL));
}
