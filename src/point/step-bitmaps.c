/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* start-bitmaps  { "bitmaps": [ { "disk": "vda", "node": "vda-format", "name": "c1",
 *                                "image": its path, "transient": bool,
 *                                "granularity": bytes, 0 = QEMU's default } ] }
 * remove-bitmaps { "bitmaps": the same (disk, node, name, image);
 *                             several images of one disk's chain may be named,
 *                  "reopen": see writable.h }
 *
 * Both are one transaction: on all disks or on none.
 */

#include "base/error.h"
#include "point/steps.h"
#include "point/writable.h"
#include "qmp/commands.h"
#include "qmp/transaction.h"

static VmpJson *
bitmaps_of(const VmpStep *step)
{
    return vmp_json_get_array(step->args, "bitmaps");
}

/* The node that has the bitmap's image; NULL = QEMU has it not open.  Another process has
 * other names, or the same for other images; the image stays. */
static const VmpBlockNode *
find_node(VmpJson *bitmap, const VmpBlockGraph *graph)
{
    const VmpBlockNode *named =
        vmp_block_graph_node(graph, vmp_json_get_string(bitmap, "node"));
    const char *image = vmp_json_get_string(bitmap, "image");

    return !image || (named && g_strcmp0(named->path, image) == 0)
               ? named
               : vmp_block_graph_node_of_path(graph, image);
}

const VmpBlockNode *
vmp_step_find_holder(VmpJson *bitmap, const VmpBlockGraph *graph)
{
    const VmpBlockNode *node = find_node(bitmap, graph);

    return node && vmp_block_node_bitmap(node, vmp_json_get_string(bitmap, "name")) ? node
                                                                                    : NULL;
}

/* How many of the step's bitmaps are there now; -1 if it cannot be told. */
static int
count_present(const VmpStep *step, VmpChange *change, GError **error)
{
    g_autoptr(VmpBlockGraph) graph = vmp_change_read_graph(change, error);
    VmpJson *bitmaps = bitmaps_of(step);
    int present = 0;

    for (guint i = 0; graph && i < vmp_json_length(bitmaps); i++)
        present += vmp_step_find_holder(vmp_json_at(bitmaps, i), graph) != NULL;
    return graph ? present : -1;
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
    return vmp_change_run(change, start_command(step), error);
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

static VmpJson *
reopen_of(const VmpStep *step)
{
    return vmp_json_get_array(step->args, "reopen");
}

/* What is left of them, where it is now. */
static gboolean
remove_rest(const VmpStep *step, VmpChange *change, GError **error)
{
    g_autoptr(VmpQmpTransaction) transaction = vmp_qmp_transaction_new();
    g_autoptr(VmpBlockGraph) graph = vmp_change_read_graph(change, error);
    VmpJson *bitmaps = bitmaps_of(step);

    for (guint i = 0; graph && i < vmp_json_length(bitmaps); i++) {
        VmpJson *bitmap = vmp_json_at(bitmaps, i);
        const VmpBlockNode *holder = vmp_step_find_holder(bitmap, graph);
        if (holder)
            vmp_qmp_transaction_bitmap_remove(transaction, holder->name,
                                              vmp_json_get_string(bitmap, "name"));
    }
    return graph && vmp_change_run(change, vmp_qmp_transaction_to_command(transaction), error);
}

static gboolean
remove_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    return vmp_writable_open(reopen_of(step), change, error) &&
           (change->recovering ? remove_rest(step, change, error)
                               : vmp_change_run(change, remove_command(step), error));
}

static gboolean
remove_undo(const VmpStep *step, VmpChange *change, GError **error)
{
    return vmp_writable_undo(reopen_of(step), change, error);
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
    vmp_writable_add_opening(reopen_of(step), commands);
    g_ptr_array_add(commands, remove_command(step));
}

const VmpStepKind vmp_step_remove_bitmaps = {
    .name = "remove-bitmaps",
    .apply = remove_apply,
    .undo = remove_undo,
    .probe = remove_probe,
    .describe = remove_describe,
    .commands = remove_commands,
    .writes_frozen = TRUE,
};
