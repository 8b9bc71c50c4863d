/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* create-images { "images": [ VmpNewImage ... ] }
 *
 * switch-to-overlays { "offline": bool, "noted": bool, "ram": path, "parts": [ { "to" } ],
 * "disks": [ { "disk": "vda", "node": "vda-format", "overlay": "vda-format-1", "path":
 * "/x/a.s1", "backing": "/x/a.qcow2", "bitmaps": [ { "name": "c1", "granularity": 65536 } ] }
 * ], "marks": [ { "disk", "node", "name", "transient": see steps.h } ] or absent }
 *
 * All disks switch in one transaction.  The bitmaps that live in the old layers get
 * twins of their names in the overlays, and stay recording below: together they are the
 * chain that says what changed, and discarding the overlay leaves a complete one.  "marks" are
 * the bitmaps of a checkpoint of the same instant.  No disks at all: a snapshot of the memory
 * alone.
 */

#include "base/error.h"
#include "point/part.h"
#include "point/steps.h"
#include "qmp/commands.h"
#include "qmp/transaction.h"
#include "storage/image.h"
#include "storage/overlay-export.h"
#include "storage/overlay.h"
#include "storage/ram-file.h"

/* ---- create-images ---- */

static GPtrArray *
read_images(const VmpStep *step, GError **error)
{
    return vmp_new_images_from_json(vmp_json_get_array(step->args, "images"), error);
}

static gboolean
create_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpQmpClient *client = vmp_change_get_client(change, error);
    g_autoptr(GPtrArray) images = client ? read_images(step, error) : NULL;

    return images && vmp_new_images_create_and_open(client, images,
                                                    vmp_change_get_cancellable(change), error);
}

/* An export whose server is gone keeps an image that no guest has seen: nobody is to wait for
 * that. */
static void
free_exports(GPtrArray *images, VmpChange *change)
{
    for (guint i = images->len; i > 0; i--) {
        const VmpNewImage *image = g_ptr_array_index(images, i - 1);
        g_autoptr(GError) failure = NULL;

        if (!image->network)
            continue;
        if (!image->reuse && !vmp_new_export_clear(image->path, image->mark, &failure))
            vmp_operation_warn(change->operation,
                               "an empty overlay may be left in the export '%s': %s",
                               image->path, failure->message);
        g_ptr_array_remove_index(images, i - 1);
    }
}

static gboolean
create_undo(const VmpStep *step, VmpChange *change, GError **error)
{
    g_autoptr(GPtrArray) images = read_images(step, error);
    if (!images)
        return FALSE;

    /* Nodes are gone with the process that had them. */
    if (change->session || vmp_machine_is_on(change->machine)) {
        VmpQmpClient *client = vmp_change_get_client(change, error);
        if (!client || !vmp_new_images_close(client, images, NULL, error))
            return FALSE;
    }
    free_exports(images, change);
    return vmp_new_images_remove(images, error);
}

static char *
create_describe(const VmpStep *step)
{
    VmpJson *list = vmp_json_get_array(step->args, "images");
    GString *text = g_string_new("make and open ");

    for (guint i = 0; i < vmp_json_length(list); i++)
        g_string_append_printf(text, "%s'%s'", i ? ", " : "",
                               vmp_json_get_string(vmp_json_at(list, i), "path"));
    return g_string_free(text, FALSE);
}

static void
create_commands(const VmpStep *step, GPtrArray *commands)
{
    g_autoptr(GPtrArray) images = read_images(step, NULL);
    g_autoptr(GPtrArray) list = images ? vmp_new_images_commands(images) : NULL;

    for (guint i = 0; list && i < list->len; i++)
        g_ptr_array_add(commands, vmp_qmp_command_ref(g_ptr_array_index(list, i)));
}

const VmpStepKind vmp_step_create_images = {
    .name = "create-images",
    .apply = create_apply,
    .undo = create_undo,
    .describe = create_describe,
    .commands = create_commands,
};

/* ---- switch-to-overlays ---- */

static VmpQmpCommand *
switch_command(const VmpStep *step)
{
    g_autoptr(VmpQmpTransaction) transaction = vmp_qmp_transaction_new();
    VmpJson *disks = vmp_json_get_array(step->args, "disks");
    VmpJson *marks = vmp_json_get_array(step->args, "marks");

    for (guint i = 0; i < vmp_json_length(disks); i++) {
        VmpJson *disk = vmp_json_at(disks, i);
        const char *overlay = vmp_json_get_string(disk, "overlay");
        VmpJson *bitmaps = vmp_json_get_array(disk, "bitmaps");

        vmp_qmp_transaction_snapshot(transaction, vmp_json_get_string(disk, "node"), overlay);
        for (guint j = 0; j < vmp_json_length(bitmaps); j++) {
            VmpJson *bitmap = vmp_json_at(bitmaps, j);
            vmp_qmp_transaction_bitmap_add(
                transaction, overlay, vmp_json_get_string(bitmap, "name"),
                VMP_BITMAP_PERSISTENT, (guint32)vmp_json_get_int(bitmap, "granularity", 0));
        }
    }
    for (guint i = 0; i < vmp_json_length(marks); i++)
        vmp_step_start_bitmap(transaction, vmp_json_at(marks, i));
    return vmp_qmp_transaction_to_command(transaction);
}

static gboolean
is_empty(const VmpStep *step)
{
    return vmp_json_length(vmp_json_get_array(step->args, "disks")) == 0;
}

static gboolean
switch_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    return is_empty(step) || vmp_change_run(change, switch_command(step), error);
}

/* In the graph of the process that runs: is every overlay on its node? */
static VmpProbe
probe_graph(const VmpStep *step, VmpChange *change, GError **error)
{
    g_autoptr(VmpBlockGraph) graph = vmp_change_read_graph(change, error);
    if (!graph)
        return VMP_PROBE_UNKNOWN;

    VmpJson *disks = vmp_json_get_array(step->args, "disks");
    for (guint i = 0; i < vmp_json_length(disks); i++) {
        VmpJson *disk = vmp_json_at(disks, i);
        const VmpBlockNode *overlay =
            vmp_block_graph_node(graph, vmp_json_get_string(disk, "overlay"));
        if (!overlay || g_strcmp0(overlay->backing, vmp_json_get_string(disk, "node")) != 0)
            return VMP_PROBE_NOT_DONE;
    }
    return VMP_PROBE_DONE;
}

/* The process is gone.  If all overlays were complete, taking them is right whether or not
 * the switch had happened: had it not, they are empty. */
static VmpProbe
probe_images(const VmpStep *step, GError **error)
{
    VmpJson *disks = vmp_json_get_array(step->args, "disks");

    for (guint i = 0; i < vmp_json_length(disks); i++) {
        VmpJson *disk = vmp_json_at(disks, i);
        g_autoptr(GError) failure = NULL;
        g_autoptr(VmpImage) image =
            vmp_image_read(vmp_json_get_string(disk, "path"), NULL, NULL, &failure);
        /* One that cannot be asked may have what the guest has written since. */
        if (!image && !vmp_error_is(failure, VMP_ERROR_NOT_FOUND) &&
            !vmp_error_is(failure, VMP_ERROR_DAMAGED)) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return VMP_PROBE_UNKNOWN;
        }
        if (!image ||
            g_strcmp0(image->backing_path, vmp_json_get_string(disk, "backing")) != 0)
            return VMP_PROBE_NOT_DONE;
    }
    return VMP_PROBE_DONE;
}

/* The process is gone.  Where something had to be done before the switch, was it?  Files tell,
 * or the journal's note; writing that durably takes too long while a guest waits that is to
 * stand still for milliseconds only. */
static gboolean
is_prepared(const VmpStep *step, const VmpChange *change)
{
    const char *ram = vmp_json_get_string(step->args, "ram");

    if (!vmp_part_are_kept(vmp_json_get_array(step->args, "parts")))
        return FALSE;
    /* The guest has stood still until its RAM began to be saved. */
    return (!ram || vmp_ram_file_is_begun(ram)) &&
           (change->commit_begun || !vmp_json_get_bool(step->args, "noted", FALSE));
}

static VmpProbe
switch_probe(const VmpStep *step, VmpChange *change, GError **error)
{
    gboolean offline = vmp_json_get_bool(step->args, "offline", FALSE);

    if (is_empty(step))
        return change->commit_begun ? VMP_PROBE_DONE : VMP_PROBE_NOT_DONE;
    if (vmp_machine_is_on(change->machine))
        return probe_graph(step, change, error);
    if (!is_prepared(step, change))
        return VMP_PROBE_NOT_DONE;
    /* A storage daemon's switch lives in that daemon alone until it is settled, and nothing
     * has been written to the overlays. */
    return offline ? VMP_PROBE_NOT_DONE : probe_images(step, error);
}

static char *
switch_describe(const VmpStep *step)
{
    VmpJson *disks = vmp_json_get_array(step->args, "disks");
    VmpJson *marks = vmp_json_get_array(step->args, "marks");
    GString *text = g_string_new(is_empty(step) ? "leave the disks as they are"
                                                : "switch at one instant: ");

    for (guint i = 0; i < vmp_json_length(disks); i++) {
        VmpJson *disk = vmp_json_at(disks, i);
        g_string_append_printf(text, "%s%s to '%s'", i ? ", " : "",
                               vmp_json_get_string(disk, "disk"),
                               vmp_json_get_string(disk, "path"));
    }
    for (guint i = 0; i < vmp_json_length(marks); i++) {
        VmpJson *mark = vmp_json_at(marks, i);
        g_string_append_printf(text, "; start bitmap '%s' on %s",
                               vmp_json_get_string(mark, "name"),
                               vmp_json_get_string(mark, "disk"));
    }
    return g_string_free(text, FALSE);
}

static void
switch_commands(const VmpStep *step, GPtrArray *commands)
{
    if (!is_empty(step))
        g_ptr_array_add(commands, switch_command(step));
}

const VmpStepKind vmp_step_switch_to_overlays = {
    .name = "switch-to-overlays",
    .apply = switch_apply,
    .probe = switch_probe,
    .describe = switch_describe,
    .commands = switch_commands,
};
