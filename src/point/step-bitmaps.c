/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* start-bitmaps  { "bitmaps": [ { "disk": "vda", "node": "vda-format", "name": "c1",
 *                                "transient": bool, "granularity": bytes, 0 = QEMU's default } ] }
 * remove-bitmaps { "bitmaps": the same (disk, node, name); several images of one disk's chain may be named,
 *                  "reopen": [ { "node", "file", "backing", "driver",
 *                                "read-only", "touched", "direct", "unmap", "detect-zeroes",
 *                                "below": [ { "driver", "storage", "path", "touched" } ] } ] }
 *
 * Both are one transaction: on all disks or on none.
 *
 * QEMU cannot remove a bitmap from a read-only image; images below the active one are
 * reopened writable for the transaction and back afterwards.  QEMU cannot reopen by itself
 * what it has opened by itself, for a backing image that nobody named; but it reopens it
 * together with the node above it that has a name ("below" is what stands under that).
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
        const VmpBlockNode *node =
            vmp_block_graph_node(graph, vmp_json_get_string(bitmap, "node"));
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

/* Nameless images under a named node, as nested options; NULL if there are none. */
static VmpJson *
options_below(VmpJson *below, gboolean for_removal)
{
    VmpJson *options = NULL;

    for (guint i = vmp_json_length(below); i > 0; i--) {
        VmpJson *layer = vmp_json_at(below, i - 1);
        gboolean writable = for_removal && vmp_json_get_bool(layer, "touched", FALSE);
        options = vmp_qmp_options_unnamed(
            vmp_json_get_string(layer, "driver"), vmp_json_get_string(layer, "storage"),
            vmp_json_get_string(layer, "path"), !writable, options);
    }
    return options;
}

/* A reopen forgets every option that is not said again. */
static VmpQmpCommand *
reopen_command(VmpJson *node, gboolean for_removal)
{
    gboolean writable = for_removal && vmp_json_get_bool(node, "touched", TRUE);
    gboolean read_only = vmp_json_get_bool(node, "read-only", TRUE) && !writable;
    VmpJson *below = options_below(vmp_json_get_array(node, "below"), for_removal);
    const char *backing = vmp_json_get_string(node, "backing");
    VmpJson *options = vmp_qmp_options_format(
        vmp_json_get_string(node, "node"), vmp_json_get_string(node, "driver"),
        vmp_json_get_string(node, "file"), below ? NULL : backing ? backing : "", read_only);
    gboolean direct = vmp_json_get_bool(node, "direct", FALSE);

    vmp_json_add(options, "O:backing", below, "O:cache",
                 direct ? vmp_json_build("b:direct", TRUE, NULL) : NULL, "S:discard",
                 vmp_json_get_bool(node, "unmap", FALSE) ? "unmap" : NULL, "S:detect-zeroes",
                 vmp_json_get_string(node, "detect-zeroes"), NULL);
    return vmp_qmp_blockdev_reopen(options);
}

static gboolean
reopen_all(const VmpStep *step, VmpChange *change, gboolean for_removal, GError **error)
{
    VmpJson *nodes = vmp_json_get_array(step->args, "reopen");
    VmpQmpClient *client = vmp_change_get_client(change, error);

    if (!client)
        return FALSE;
    for (guint i = 0; i < vmp_json_length(nodes); i++) {
        g_autoptr(VmpQmpCommand) command = reopen_command(vmp_json_at(nodes, i), for_removal);
        g_autoptr(VmpJson) reply = vmp_qmp_client_execute(client, command, NULL, error);
        if (!reply)
            return FALSE;
    }
    return TRUE;
}

static gboolean
remove_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    g_autoptr(GError) back = NULL;
    gboolean removed = reopen_all(step, change, TRUE, error) &&
                       run_transaction(step, change, remove_command, error);

    /* Read-only again in any case; a node left writable is untidy, not wrong. */
    if (!reopen_all(step, change, FALSE, &back))
        vmp_operation_note(change->operation, "%s", back->message);
    return removed;
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
    VmpJson *nodes = vmp_json_get_array(step->args, "reopen");

    for (guint i = 0; i < vmp_json_length(nodes); i++)
        g_ptr_array_add(commands, reopen_command(vmp_json_at(nodes, i), TRUE));
    g_ptr_array_add(commands, remove_command(step));
    for (guint i = 0; i < vmp_json_length(nodes); i++)
        g_ptr_array_add(commands, reopen_command(vmp_json_at(nodes, i), FALSE));
}

const VmpStepKind vmp_step_remove_bitmaps = {
    .name = "remove-bitmaps",
    .apply = remove_apply,
    .probe = remove_probe,
    .describe = remove_describe,
    .commands = remove_commands,
};
