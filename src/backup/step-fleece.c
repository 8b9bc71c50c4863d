/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/fleece.h"
#include "base/error.h"
#include "qmp/commands.h"

/* ---- the plan ---- */

VmpJson *
vmp_fleece_plan(VmpMachine *machine, const VmpBlockGraph *graph, GHashTable *taken,
                const char *disk, const char *target, const char *scratch, GError **error)
{
    g_autofree char *qom = vmp_machine_disk_qom_path(machine, graph, disk, error);
    const VmpBlockDevice *device = qom ? vmp_block_graph_device(graph, disk) : NULL;
    g_autofree char *filter_stem = g_strdup_printf("%s-filter", disk);
    g_autofree char *snapshot_stem = g_strdup_printf("%s-instant", disk);

    if (!qom)
        return NULL;
    if (!device || !device->node)
        return vmp_fail_null(error, VMP_ERROR_UNSUPPORTED,
                             "disk '%s': QEMU does not say what its device stands on", disk);

    g_autofree char *filter = vmp_block_graph_new_name(graph, filter_stem, taken);
    g_autofree char *snapshot = vmp_block_graph_new_name(graph, snapshot_stem, taken);
    return vmp_json_build("s:disk", disk, "s:qom", qom, "s:below", device->node, "s:filter",
                          filter, "s:snapshot", snapshot, "s:target", target, "s:scratch",
                          scratch, NULL);
}

/* ---- in QEMU ---- */

static VmpQmpCommand *
filter_command(VmpJson *disk)
{
    return vmp_qmp_blockdev_add(vmp_qmp_options_copy_before_write(
        vmp_json_get_string(disk, "filter"), vmp_json_get_string(disk, "below"),
        vmp_json_get_string(disk, "target"), VMP_FLEECE_PATIENCE_S));
}

static VmpQmpCommand *
insert_command(VmpJson *disk, const char *root)
{
    return vmp_qmp_qom_set(vmp_json_get_string(disk, "qom"), "drive",
                           json_object_new_string(root));
}

static VmpQmpCommand *
snapshot_command(VmpJson *disk)
{
    return vmp_qmp_blockdev_add(vmp_qmp_options_snapshot_access(
        vmp_json_get_string(disk, "snapshot"), vmp_json_get_string(disk, "filter")));
}

static gboolean
close_node(VmpQmpClient *client, const VmpBlockGraph *graph, const char *node, GError **error)
{
    return !vmp_block_graph_node(graph, node) ||
           vmp_qmp_client_run(client, vmp_qmp_blockdev_del(node), NULL, error);
}

/* The snapshot first: while it is there, nobody but the filter may write below.  Then the
 * device gets what is below the filter now, which is not what was below it once if a snapshot
 * was made meanwhile.  A device that has something else by now was given it by others. */
static gboolean
remove_disk(VmpQmpClient *client, const VmpBlockGraph *graph, VmpJson *disk, GError **error)
{
    const char *name = vmp_json_get_string(disk, "filter");
    const VmpBlockNode *filter = vmp_block_graph_node(graph, name);
    const VmpBlockDevice *device =
        vmp_block_graph_device(graph, vmp_json_get_string(disk, "disk"));

    if (!close_node(client, graph, vmp_json_get_string(disk, "snapshot"), error))
        return FALSE;
    if (filter && device && g_strcmp0(device->node, name) == 0 &&
        !vmp_qmp_client_run(client, insert_command(disk, filter->file), NULL, error))
        return FALSE;
    return close_node(client, graph, name, error);
}

gboolean
vmp_fleece_remove(VmpChange *change, VmpJson *disks, GError **error)
{
    VmpQmpClient *client = vmp_change_get_client(change, error);
    g_autoptr(VmpBlockGraph) graph = NULL;

    /* A command that was cut may have left a look at one of the snapshots behind. */
    if (client && vmp_fleece_clear_probe(client, error))
        graph = vmp_change_read_graph(change, error);
    for (guint i = 0; graph && i < vmp_json_length(disks); i++) {
        VmpJson *disk = vmp_json_at(disks, i);
        if (remove_disk(client, graph, disk, error))
            continue;
        g_prefix_error(error, "disk '%s': ", vmp_json_get_string(disk, "disk"));
        return FALSE;
    }
    return graph != NULL;
}

/* ---- the steps ---- */

static VmpJson *
disks_of(const VmpStep *step)
{
    return vmp_json_get_array(step->args, "disks");
}

/* With the process all of this has gone. */
static gboolean
undo(const VmpStep *step, VmpChange *change, GError **error)
{
    return !vmp_machine_is_on(change->machine) ||
           vmp_fleece_remove(change, disks_of(step), error);
}

static gboolean
open_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpQmpClient *client = vmp_change_get_client(change, error);
    VmpJson *disks = disks_of(step);

    for (guint i = 0; client && i < vmp_json_length(disks); i++)
        if (!vmp_qmp_client_run(client, filter_command(vmp_json_at(disks, i)), NULL, error))
            return FALSE;
    return client != NULL;
}

static char *
open_describe(const VmpStep *step G_GNUC_UNUSED)
{
    return g_strdup("prepare to keep what the guest overwrites");
}

static void
open_commands(const VmpStep *step, GPtrArray *commands)
{
    VmpJson *disks = disks_of(step);

    for (guint i = 0; i < vmp_json_length(disks); i++)
        g_ptr_array_add(commands, filter_command(vmp_json_at(disks, i)));
}

const VmpStepKind vmp_step_open_filters = {
    .name = "open-filters",
    .apply = open_apply,
    .undo = undo,
    .describe = open_describe,
    .commands = open_commands,
};

static void
insert_commands(const VmpStep *step, GPtrArray *commands)
{
    VmpJson *disks = disks_of(step);

    for (guint i = 0; i < vmp_json_length(disks); i++) {
        VmpJson *disk = vmp_json_at(disks, i);
        g_ptr_array_add(commands, insert_command(disk, vmp_json_get_string(disk, "filter")));
        g_ptr_array_add(commands, snapshot_command(disk));
    }
}

static gboolean
insert_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    g_autoptr(GPtrArray) commands =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_qmp_command_unref);
    VmpQmpClient *client = vmp_change_get_client(change, error);

    insert_commands(step, commands);
    return client && vmp_qmp_client_execute_all(client, commands, NULL, NULL, error);
}

static char *
insert_describe(const VmpStep *step)
{
    VmpJson *disks = disks_of(step);
    GString *text = g_string_new("keep from now on what the guest overwrites of");

    for (guint i = 0; i < vmp_json_length(disks); i++)
        g_string_append_printf(text, "%s %s", i ? "," : "",
                               vmp_json_get_string(vmp_json_at(disks, i), "disk"));
    return g_string_free(text, FALSE);
}

const VmpStepKind vmp_step_insert_filters = {
    .name = "insert-filters",
    .apply = insert_apply,
    .undo = undo,
    .describe = insert_describe,
    .commands = insert_commands,
};
