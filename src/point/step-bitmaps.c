/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* start-bitmaps  { "bitmaps": [ { "disk": "vda", "node": "vda-format", "name": "c1",
 *                                "image": its path, "transient": bool,
 *                                "granularity": bytes, 0 = QEMU's default } ] }
 * remove-bitmaps { "bitmaps": the same (disk, node, name, image);
 *                             several images of one disk's chain may be named,
 *                  "reopen": [ { "node", "file", "backing", "driver",
 *                                "read-only", "touched", "direct", "unmap", "detect-zeroes",
 *                                "below": [ { "name", "driver", "storage", "path", "under",
 *                                             "direct", "touched" } ] } ] }
 *
 * Both are one transaction: on all disks or on none.
 *
 * QEMU cannot remove a bitmap from a read-only image; images below the active one are
 * reopened writable for the transaction and back afterwards.  QEMU cannot reopen what it has
 * opened by itself, for a backing image that nobody named: those ("below", from "node" down) are
 * opened once more under a name, and put in the place of the nameless ones, for good.
 */

#include "base/error.h"
#include "point/steps.h"
#include "qmp/commands.h"
#include "qmp/transaction.h"

static VmpJson *
bitmaps_of(const VmpStep *step)
{
    return vmp_json_get_array(step->args, "bitmaps");
}

/* How many of the step's bitmaps are there now; -1 if it cannot be told. */
static int
count_present(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpBlockSession *session = vmp_change_get_session(change, error);
    g_autoptr(VmpBlockGraph) graph =
        session ? vmp_block_session_read_graph(session, error) : NULL;
    VmpJson *bitmaps = bitmaps_of(step);
    int present = 0;

    if (!graph)
        return -1;
    for (guint i = 0; i < vmp_json_length(bitmaps); i++) {
        VmpJson *bitmap = vmp_json_at(bitmaps, i);
        const char *image = vmp_json_get_string(bitmap, "image");
        const VmpBlockNode *node =
            vmp_block_graph_node(graph, vmp_json_get_string(bitmap, "node"));
        /* Another process, or before it was named: the image is the same. */
        if (!node && image)
            node = vmp_block_graph_node_of_path(graph, image);
        if (node && vmp_block_node_bitmap(node, vmp_json_get_string(bitmap, "name")))
            present++;
    }
    return present;
}

static gboolean
run_transaction(const VmpStep *step, VmpChange *change,
                VmpQmpCommand *(*command_of)(const VmpStep *step), GError **error)
{
    VmpQmpClient *client = vmp_change_get_client(change, error);
    g_autoptr(VmpQmpCommand) command = command_of(step);
    g_autoptr(VmpJson) reply =
        client ? vmp_qmp_client_execute(client, command, NULL, error) : NULL;

    return reply != NULL;
}

static char *
describe_bitmaps(const VmpStep *step, const char *verb)
{
    VmpJson *bitmaps = bitmaps_of(step);
    GString *text = g_string_new(verb);

    for (guint i = 0; i < vmp_json_length(bitmaps); i++) {
        VmpJson *bitmap = vmp_json_at(bitmaps, i);
        g_string_append_printf(text, "%s '%s' on %s", i ? "," : "",
                               vmp_json_get_string(bitmap, "name"),
                               vmp_json_get_string(bitmap, "disk"));
    }
    return g_string_free(text, FALSE);
}

/* ---- start-bitmaps ---- */

void
vmp_step_start_bitmap(VmpQmpTransaction *transaction, VmpJson *bitmap)
{
    gboolean transient = vmp_json_get_bool(bitmap, "transient", FALSE);

    vmp_qmp_transaction_bitmap_add(transaction, vmp_json_get_string(bitmap, "node"),
                                   vmp_json_get_string(bitmap, "name"),
                                   transient ? 0 : VMP_BITMAP_PERSISTENT,
                                   (guint32)vmp_json_get_int(bitmap, "granularity", 0));
}

static VmpQmpCommand *
start_command(const VmpStep *step)
{
    g_autoptr(VmpQmpTransaction) transaction = vmp_qmp_transaction_new();
    VmpJson *bitmaps = bitmaps_of(step);

    for (guint i = 0; i < vmp_json_length(bitmaps); i++)
        vmp_step_start_bitmap(transaction, vmp_json_at(bitmaps, i));
    return vmp_qmp_transaction_to_command(transaction);
}

static gboolean
start_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    return run_transaction(step, change, start_command, error);
}

static VmpProbe
start_probe(const VmpStep *step, VmpChange *change, GError **error)
{
    int present = count_present(step, change, error);

    if (present < 0)
        return VMP_PROBE_UNKNOWN;
    /* One transaction: all or none.  A process that was killed since has none of them. */
    return present == (int)vmp_json_length(bitmaps_of(step)) ? VMP_PROBE_DONE
                                                             : VMP_PROBE_NOT_DONE;
}

static char *
start_describe(const VmpStep *step)
{
    return describe_bitmaps(step, "start at one instant bitmap");
}

static void
start_commands(const VmpStep *step, GPtrArray *commands)
{
    g_ptr_array_add(commands, start_command(step));
}

const VmpStepKind vmp_step_start_bitmaps = {
    .name = "start-bitmaps",
    .apply = start_apply,
    .probe = start_probe,
    .describe = start_describe,
    .commands = start_commands,
};

/* ---- remove-bitmaps ---- */

static VmpQmpCommand *
remove_command(const VmpStep *step)
{
    g_autoptr(VmpQmpTransaction) transaction = vmp_qmp_transaction_new();
    VmpJson *bitmaps = bitmaps_of(step);

    for (guint i = 0; i < vmp_json_length(bitmaps); i++) {
        VmpJson *bitmap = vmp_json_at(bitmaps, i);
        vmp_qmp_transaction_bitmap_remove(transaction, vmp_json_get_string(bitmap, "node"),
                                          vmp_json_get_string(bitmap, "name"));
    }
    return vmp_qmp_transaction_to_command(transaction);
}

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
    vmp_json_add(vmp_json_get_object(options, "file"), "b:read-only", FALSE, "b:auto-read-only",
                 TRUE, NULL);
    vmp_json_add(options, "s:node-name", vmp_json_get_string(layer, "name"), "S:backing", under,
                 "O:cache", direct ? vmp_json_build("b:direct", TRUE, NULL) : NULL, NULL);
    if (!under)
        vmp_json_add(options, "n:backing", NULL);
    return options;
}

/* A reopen forgets every option that is not said again. */
static VmpQmpCommand *
reopen_command(VmpJson *node, gboolean for_removal)
{
    gboolean writable = for_removal && vmp_json_get_bool(node, "touched", TRUE);
    gboolean read_only = vmp_json_get_bool(node, "read-only", TRUE) && !writable;
    VmpJson *below = vmp_json_get_array(node, "below");
    const char *backing = vmp_json_length(below) > 0
                              ? vmp_json_get_string(vmp_json_at(below, 0), "name")
                              : vmp_json_get_string(node, "backing");
    VmpJson *options = vmp_qmp_options_format(
        vmp_json_get_string(node, "node"), vmp_json_get_string(node, "driver"),
        vmp_json_get_string(node, "file"), backing ? backing : "", read_only);
    gboolean direct = vmp_json_get_bool(node, "direct", FALSE);

    /* A file that was opened together with the node is as writable as that says, and stays as it
     * was if it says nothing. */
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
add_reopening(VmpJson *node, gboolean for_removal, GPtrArray *commands)
{
    VmpJson *below = vmp_json_get_array(node, "below");

    if (vmp_json_get_bool(node, "touched", TRUE))
        g_ptr_array_add(commands, reopen_command(node, for_removal));
    for (guint i = 0; i < vmp_json_length(below); i++)
        if (vmp_json_get_bool(vmp_json_at(below, i), "touched", FALSE))
            g_ptr_array_add(commands, vmp_qmp_blockdev_reopen(
                                          layer_options(below, i, !for_removal)));
}

static void
add_preparation(const VmpStep *step, GPtrArray *commands)
{
    VmpJson *nodes = vmp_json_get_array(step->args, "reopen");

    for (guint i = 0; i < vmp_json_length(nodes); i++)
        add_naming(vmp_json_at(nodes, i), commands);
    for (guint i = 0; i < vmp_json_length(nodes); i++)
        add_reopening(vmp_json_at(nodes, i), TRUE, commands);
}

static void
add_closing(const VmpStep *step, GPtrArray *commands)
{
    VmpJson *nodes = vmp_json_get_array(step->args, "reopen");

    for (guint i = 0; i < vmp_json_length(nodes); i++)
        add_reopening(vmp_json_at(nodes, i), FALSE, commands);
}

static gboolean
run_all(const VmpStep *step, VmpChange *change,
        void (*add)(const VmpStep *step, GPtrArray *commands), GError **error)
{
    g_autoptr(GPtrArray) commands =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_qmp_command_unref);
    VmpQmpClient *client = vmp_change_get_client(change, error);

    if (!client)
        return FALSE;
    add(step, commands);
    for (guint i = 0; i < commands->len; i++) {
        g_autoptr(VmpJson) reply =
            vmp_qmp_client_execute(client, g_ptr_array_index(commands, i), NULL, error);
        if (!reply)
            return FALSE;
    }
    return TRUE;
}

static gboolean
remove_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    g_autoptr(GError) back = NULL;
    gboolean removed = run_all(step, change, add_preparation, error) &&
                       run_transaction(step, change, remove_command, error);

    /* Read-only again in any case; a node left writable is untidy, not wrong. */
    if (!run_all(step, change, add_closing, &back))
        vmp_operation_note(change->operation, "%s", back->message);
    return removed;
}

/* Layers that got a name and no place would keep their images from being written to. */
static gboolean
remove_undo(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpJson *nodes = vmp_json_get_array(step->args, "reopen");
    if (!change->session && !vmp_machine_is_on(change->machine))
        return TRUE;

    VmpQmpClient *client = vmp_change_get_client(change, error);
    for (guint i = 0; client && i < vmp_json_length(nodes); i++) {
        VmpJson *below = vmp_json_get_array(vmp_json_at(nodes, i), "below");
        for (guint j = 0; j < vmp_json_length(below); j++) {
            g_autoptr(VmpQmpCommand) command =
                vmp_qmp_blockdev_del(vmp_json_get_string(vmp_json_at(below, j), "name"));
            g_autoptr(GError) failure = NULL;
            g_autoptr(VmpJson) reply = vmp_qmp_client_execute(client, command, NULL, &failure);
            /* Refused: it is not there, or it has its place. */
            if (!reply && !vmp_error_is(failure, VMP_ERROR_REFUSED)) {
                g_propagate_error(error, g_steal_pointer(&failure));
                return FALSE;
            }
        }
    }
    return client != NULL;
}

static VmpProbe
remove_probe(const VmpStep *step, VmpChange *change, GError **error)
{
    int present = count_present(step, change, error);

    if (present < 0)
        return VMP_PROBE_UNKNOWN;
    return present == 0 ? VMP_PROBE_DONE : VMP_PROBE_NOT_DONE;
}

static char *
remove_describe(const VmpStep *step)
{
    return describe_bitmaps(step, "remove bitmap");
}

static void
remove_commands(const VmpStep *step, GPtrArray *commands)
{
    add_preparation(step, commands);
    g_ptr_array_add(commands, remove_command(step));
    add_closing(step, commands);
}

const VmpStepKind vmp_step_remove_bitmaps = {
    .name = "remove-bitmaps",
    .apply = remove_apply,
    .undo = remove_undo,
    .probe = remove_probe,
    .describe = remove_describe,
    .commands = remove_commands,
};
