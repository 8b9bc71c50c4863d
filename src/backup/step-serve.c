/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/backup.h"
#include "backup/serve.h"
#include "base/error.h"
#include "base/fault.h"
#include "machine/server.h"
#include "qmp/commands.h"
#include "qmp/transaction.h"
#include "storage/export.h"

/* ---- the plan ---- */

static VmpJson *
plan_layer(const VmpBlockGraph *graph, const char *disk, guint index,
           const VmpBlockNode *image, GError **error)
{
    const VmpBlockNode *file = image->file ? vmp_block_graph_node(graph, image->file) : NULL;
    g_autofree char *node = g_strdup_printf("%s-layer-%u", disk, index);
    g_autofree char *storage = g_strdup_printf("%s-storage-%u", disk, index);

    if (!image->path || !file)
        return vmp_fail_null(
            error, VMP_ERROR_UNSUPPORTED,
            "disk '%s': its image '%s' is no file that another process could open", disk,
            image->filename ? image->filename : image->name);
    return vmp_json_build("s:node", node, "s:storage", storage, "s:driver", image->driver,
                          "s:path", image->path, "B:device",
                          g_strcmp0(file->driver, "host_device") == 0, NULL);
}

VmpJson *
vmp_serve_plan(const VmpBlockGraph *graph, const char *disk, const VmpBlockNode *source,
               const VmpBitmapChain *chain, GError **error)
{
    g_autoptr(VmpJson) open = json_object_new_array();
    g_autoptr(VmpJson) layers = json_object_new_array();
    guint count = chain ? chain->nodes->len : 1;

    for (guint i = 0; i < count; i++, source = vmp_block_graph_backing(graph, source)) {
        VmpJson *layer = plan_layer(graph, disk, i, source, error);
        if (!layer)
            return NULL;
        json_object_array_add(open, layer);
        json_object_array_add(layers,
                              json_object_new_string(vmp_json_get_string(layer, "node")));
    }
    g_autofree char *served = g_strdup_printf("%s-served", disk);
    return vmp_json_build("s:disk", disk, "s:node", served, "o:open", g_steal_pointer(&open),
                          "o:layers", g_steal_pointer(&layers), NULL);
}

/* ---- serve-disks ---- */

static VmpJson *
disks_of(const VmpStep *step)
{
    return vmp_json_get_array(step->args, "disks");
}

static VmpJson *
server_of(const VmpStep *step)
{
    return vmp_json_get_object(step->args, "server");
}

static VmpJson *
exports_of(const VmpStep *step)
{
    return vmp_json_get_array(step->args, "exports");
}

static void
add_open_commands(VmpJson *disk, GPtrArray *commands)
{
    VmpJson *open = vmp_json_get_array(disk, "open");
    const char *below = NULL;

    for (guint i = vmp_json_length(open); i > 0; i--) {
        VmpJson *layer = vmp_json_at(open, i - 1);
        const char *node = vmp_json_get_string(layer, "node");
        const char *storage = vmp_json_get_string(layer, "storage");

        g_ptr_array_add(commands, vmp_qmp_blockdev_add(vmp_qmp_options_storage(
                                      storage, vmp_json_get_string(layer, "path"),
                                      vmp_json_get_bool(layer, "device", FALSE), TRUE)));
        g_ptr_array_add(
            commands, vmp_qmp_blockdev_add(vmp_qmp_options_format(
                          node, vmp_json_get_string(layer, "driver"), storage, below, TRUE)));
        below = node;
    }
    /* What clients call their bitmap may be the name of one that the image has. */
    g_ptr_array_add(commands,
                    vmp_qmp_blockdev_add(vmp_qmp_options_format(
                        vmp_json_get_string(disk, "node"), "raw", below, NULL, TRUE)));
}

static void
add_disk_commands(const VmpStep *step, GPtrArray *commands)
{
    g_autoptr(VmpQmpTransaction) transaction = vmp_qmp_transaction_new();
    VmpJson *disks = disks_of(step);

    for (guint i = 0; i < vmp_json_length(disks); i++) {
        add_open_commands(vmp_json_at(disks, i), commands);
        vmp_step_backup_bitmap(transaction, vmp_json_at(disks, i));
    }
    if (vmp_qmp_transaction_get_length(transaction) > 0)
        g_ptr_array_add(commands, vmp_qmp_transaction_to_command(transaction));
}

static gboolean
open_disks(const VmpStep *step, VmpChange *change, VmpQmpClient *client, GError **error)
{
    g_autoptr(GPtrArray) commands =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_qmp_command_unref);

    add_disk_commands(step, commands);
    return vmp_qmp_client_execute_all(client, commands, NULL,
                                      vmp_change_get_cancellable(change), error);
}

/* Whoever has written to the images lets go of them first: a new checkpoint's bitmaps are in
 * them by then. */
static gboolean
serve_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    g_autoptr(VmpQmpClient) client = NULL;

    return vmp_change_close_session(change, error) && vmp_fault("session-closed", error) &&
           vmp_machine_start_server(change->machine, &client, error) &&
           open_disks(step, change, client, error) && vmp_fault("disks-open", error) &&
           vmp_nbd_server_start(client, server_of(step), error) &&
           vmp_exports_add(client, exports_of(step), error) &&
           vmp_fault("disks-served", error) && vmp_machine_note_server(change->machine, error);
}

static gboolean
serve_undo(const VmpStep *step, VmpChange *change, GError **error)
{
    if (!vmp_machine_end_server(change->machine, error))
        return FALSE;
    vmp_nbd_server_clear(server_of(step));
    return TRUE;
}

static VmpProbe
serve_probe(const VmpStep *step, VmpChange *change, GError **error)
{
    GPid pid = 0;

    if (!vmp_machine_find_server(change->machine, &pid, error))
        return VMP_PROBE_UNKNOWN;
    return pid ? VMP_PROBE_DONE : VMP_PROBE_NOT_DONE;
}

static char *
serve_describe(const VmpStep *step)
{
    g_autofree char *uri = vmp_nbd_server_uri(server_of(step), "");
    GString *text = g_string_new(NULL);
    VmpJson *exports = exports_of(step);

    g_string_append_printf(text, "serve the images, at %s, as", uri);
    for (guint i = 0; i < vmp_json_length(exports); i++)
        g_string_append_printf(text, "%s '%s'", i ? "," : "",
                               vmp_json_get_string(vmp_json_at(exports, i), "name"));
    return g_string_free(text, FALSE);
}

static void
serve_commands(const VmpStep *step, GPtrArray *commands)
{
    add_disk_commands(step, commands);
    vmp_nbd_server_commands(server_of(step), commands);
    vmp_exports_commands(exports_of(step), commands);
}

const VmpStepKind vmp_step_serve_disks = {
    .name = "serve-disks",
    .apply = serve_apply,
    .undo = serve_undo,
    .probe = serve_probe,
    .describe = serve_describe,
    .commands = serve_commands,
};
