/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* create-branches { "images": [ { "disk", "path", "format", "backing", "backing-format",
 *                                 "bitmaps": [ { "name", "granularity" } ] } ] }
 * open-branches   { "nodes": [ { "disk", "path", "format", "node", "file-node",
 *                                "backing-node": absent = opened from the header,
 *                                "direct", "unmap", "aio", "detect-zeroes": see layer.h } ] }
 * pause           { "was-running": bool }
 * swap-disks      { "disks": [ { "disk", "qom", "old", "new", "path": of the new layer } ] }
 * reset           { }
 * resume          { }
 * close-nodes     { "nodes": [ "vda-format-1", "vda-storage-1", ... ] }   top first
 * end-process     { }
 *
 * A branch is a new, empty layer on an image of the past.  It is made beside the state that
 * still runs; only the swap lets that state go.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/nbd-uri.h"
#include "point/steps.h"
#include "qmp/commands.h"
#include "storage/image.h"

/* ---- create-branches ---- */

/* An empty file that is certainly ours, with owner and mode of the image below, if it is a
 * file. */
static gboolean
reserve_file(const char *path, const char *model, GError **error)
{
    g_auto(VmpFd) fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    struct stat info;

    if (fd < 0)
        return vmp_fail_errno(error, errno, "cannot make '%s'", path);
    if (vmp_nbd_uri_is(model))
        return TRUE;
    if (stat(model, &info) < 0)
        return vmp_fail_errno(error, errno, "cannot look at '%s'", model);
    /* Only root can give a file away; for others it stays theirs, which is who runs QEMU. */
    if (geteuid() == 0 && fchown(fd, info.st_uid, info.st_gid) < 0)
        return vmp_fail_errno(error, errno, "cannot set the owner of '%s'", path);
    return TRUE;
}

static gboolean
create_branch(VmpJson *branch, VmpChange *change, GError **error)
{
    const char *path = vmp_json_get_string(branch, "path");
    VmpJson *bitmaps = vmp_json_get_array(branch, "bitmaps");
    VmpImageSpec spec = { .path = path,
                          .format = vmp_json_get_string(branch, "format"),
                          .backing = vmp_json_get_string(branch, "backing"),
                          .backing_format = vmp_json_get_string(branch, "backing-format") };

    if (!reserve_file(path, spec.backing, error) ||
        !vmp_image_create(&spec, vmp_change_get_cancellable(change), error))
        return FALSE;
    for (guint i = 0; i < vmp_json_length(bitmaps); i++) {
        VmpJson *bitmap = vmp_json_at(bitmaps, i);
        if (!vmp_image_add_bitmap(path, spec.format, vmp_json_get_string(bitmap, "name"),
                                  (guint32)vmp_json_get_int(bitmap, "granularity", 0), NULL,
                                  error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
branches_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpJson *images = vmp_json_get_array(step->args, "images");

    for (guint i = 0; i < vmp_json_length(images); i++)
        if (!create_branch(vmp_json_at(images, i), change, error))
            return FALSE;
    return TRUE;
}

static gboolean
branches_undo(const VmpStep *step, VmpChange *change G_GNUC_UNUSED, GError **error)
{
    VmpJson *images = vmp_json_get_array(step->args, "images");

    for (guint i = 0; i < vmp_json_length(images); i++)
        if (!vmp_file_remove(vmp_json_get_string(vmp_json_at(images, i), "path"), error))
            return FALSE;
    return TRUE;
}

static char *
branches_describe(const VmpStep *step)
{
    VmpJson *images = vmp_json_get_array(step->args, "images");
    GString *text = g_string_new("make a new layer");

    for (guint i = 0; i < vmp_json_length(images); i++) {
        VmpJson *image = vmp_json_at(images, i);
        g_string_append_printf(text, "%s '%s' on '%s'", i ? "," : "",
                               vmp_json_get_string(image, "path"),
                               vmp_json_get_string(image, "backing"));
    }
    return g_string_free(text, FALSE);
}

const VmpStepKind vmp_step_create_branches = {
    .name = "create-branches",
    .apply = branches_apply,
    .undo = branches_undo,
    .describe = branches_describe,
};

/* ---- open-branches ---- */

/* What file and format node have in common. */
static void
add_common_options(VmpJson *options, VmpJson *node)
{
    gboolean direct = vmp_json_get_bool(node, "direct", FALSE);
    gboolean unmap = vmp_json_get_bool(node, "unmap", FALSE);

    vmp_json_add(options, "O:cache", direct ? vmp_json_build("b:direct", TRUE, NULL) : NULL,
                 "S:discard", unmap ? "unmap" : NULL, NULL);
}

static VmpQmpCommand *
open_file_command(VmpJson *node)
{
    VmpJson *options =
        vmp_qmp_options_storage(vmp_json_get_string(node, "file-node"),
                                vmp_json_get_string(node, "path"), FALSE, FALSE);

    add_common_options(options, node);
    vmp_json_add(options, "S:aio", vmp_json_get_string(node, "aio"), NULL);
    return vmp_qmp_blockdev_add(options);
}

static VmpQmpCommand *
open_format_command(VmpJson *node)
{
    VmpJson *options = vmp_qmp_options_format(
        vmp_json_get_string(node, "node"), vmp_json_get_string(node, "format"),
        vmp_json_get_string(node, "file-node"), vmp_json_get_string(node, "backing-node"),
        FALSE);

    add_common_options(options, node);
    vmp_json_add(options, "S:detect-zeroes", vmp_json_get_string(node, "detect-zeroes"), NULL);
    return vmp_qmp_blockdev_add(options);
}

static void
open_commands(const VmpStep *step, GPtrArray *commands)
{
    VmpJson *nodes = vmp_json_get_array(step->args, "nodes");

    for (guint i = 0; i < vmp_json_length(nodes); i++) {
        g_ptr_array_add(commands, open_file_command(vmp_json_at(nodes, i)));
        g_ptr_array_add(commands, open_format_command(vmp_json_at(nodes, i)));
    }
}

/* Takes a node out; that it is not there is what is wanted. */
static gboolean
close_node(VmpChange *change, const VmpBlockGraph *graph, const char *name, GError **error)
{
    return !vmp_block_graph_node(graph, name) ||
           vmp_change_run(change, vmp_qmp_blockdev_del(name), error);
}

static gboolean
open_undo(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpJson *nodes = vmp_json_get_array(step->args, "nodes");

    if (!vmp_machine_is_on(change->machine))
        return TRUE;

    g_autoptr(VmpBlockGraph) graph = vmp_change_read_graph(change, error);
    for (guint i = 0; graph && i < vmp_json_length(nodes); i++) {
        VmpJson *node = vmp_json_at(nodes, i);
        if (!close_node(change, graph, vmp_json_get_string(node, "node"), error) ||
            !close_node(change, graph, vmp_json_get_string(node, "file-node"), error))
            return FALSE;
    }
    return graph != NULL;
}

static char *
open_describe(const VmpStep *step G_GNUC_UNUSED)
{
    return g_strdup("open the new layers beside the running ones");
}

const VmpStepKind vmp_step_open_branches = {
    .name = "open-branches",
    .apply = vmp_step_send_commands,
    .undo = open_undo,
    .describe = open_describe,
    .commands = open_commands,
};

/* ---- pause, resume, reset ---- */

static gboolean
pause_apply(const VmpStep *step G_GNUC_UNUSED, VmpChange *change, GError **error)
{
    return vmp_change_run(change, vmp_qmp_stop(), error);
}

static gboolean
pause_undo(const VmpStep *step, VmpChange *change, GError **error)
{
    if (!vmp_machine_is_on(change->machine) ||
        !vmp_json_get_bool(step->args, "was-running", FALSE))
        return TRUE;
    return vmp_change_run(change, vmp_qmp_cont(), error);
}

static char *
pause_describe(const VmpStep *step G_GNUC_UNUSED)
{
    return g_strdup("pause the guest");
}

static void
pause_commands(const VmpStep *step G_GNUC_UNUSED, GPtrArray *commands)
{
    g_ptr_array_add(commands, vmp_qmp_stop());
}

const VmpStepKind vmp_step_pause = {
    .name = "pause",
    .apply = pause_apply,
    .undo = pause_undo,
    .describe = pause_describe,
    .commands = pause_commands,
};

/* DONE when the guest runs: the machine was paused for the change, so it was let go since.
 * A machine that has gone needs neither reset nor resume. */
static VmpProbe
probe_running(const VmpStep *step G_GNUC_UNUSED, VmpChange *change, GError **error)
{
    VmpState state = VMP_STATE_NOSTATE;

    if (!vmp_machine_is_on(change->machine))
        return VMP_PROBE_DONE;
    if (!vmp_machine_query_state(change->machine, &state, NULL, error))
        return VMP_PROBE_UNKNOWN;
    return state == VMP_STATE_RUNNING ? VMP_PROBE_DONE : VMP_PROBE_NOT_DONE;
}

static gboolean
reset_apply(const VmpStep *step G_GNUC_UNUSED, VmpChange *change, GError **error)
{
    return vmp_change_run(change, vmp_qmp_system_reset(), error);
}

static char *
reset_describe(const VmpStep *step G_GNUC_UNUSED)
{
    return g_strdup("reset the guest, which boots from the new layers");
}

static void
reset_commands(const VmpStep *step G_GNUC_UNUSED, GPtrArray *commands)
{
    g_ptr_array_add(commands, vmp_qmp_system_reset());
}

const VmpStepKind vmp_step_reset = {
    .name = "reset",
    .apply = reset_apply,
    .probe = probe_running,
    .describe = reset_describe,
    .commands = reset_commands,
};

static gboolean
resume_apply(const VmpStep *step G_GNUC_UNUSED, VmpChange *change, GError **error)
{
    return vmp_change_run(change, vmp_qmp_cont(), error);
}

static char *
resume_describe(const VmpStep *step G_GNUC_UNUSED)
{
    return g_strdup("let the guest run");
}

static void
resume_commands(const VmpStep *step G_GNUC_UNUSED, GPtrArray *commands)
{
    g_ptr_array_add(commands, vmp_qmp_cont());
}

const VmpStepKind vmp_step_resume = {
    .name = "resume",
    .apply = resume_apply,
    .probe = probe_running,
    .describe = resume_describe,
    .commands = resume_commands,
};

/* ---- swap-disks ----
 *
 * Setting the node that a device already has aborts QEMU 7.2 (an assertion), so each device
 * is looked at first. */

static VmpQmpCommand *
swap_command(VmpJson *disk, const char *which)
{
    return vmp_qmp_qom_set(vmp_json_get_string(disk, "qom"), "drive",
                           json_object_new_string(vmp_json_get_string(disk, which)));
}

/* Gives every device the node named by @which ("old" or "new"). */
static gboolean
swap_all(const VmpStep *step, VmpChange *change, const char *which, GError **error)
{
    VmpJson *disks = vmp_json_get_array(step->args, "disks");
    g_autoptr(VmpBlockGraph) graph = vmp_change_read_graph(change, error);

    for (guint i = 0; graph && i < vmp_json_length(disks); i++) {
        VmpJson *disk = vmp_json_at(disks, i);
        const VmpBlockDevice *device =
            vmp_block_graph_device(graph, vmp_json_get_string(disk, "qom"));
        if (device && g_strcmp0(device->node, vmp_json_get_string(disk, which)) == 0)
            continue;
        if (!vmp_change_run(change, swap_command(disk, which), error)) {
            g_prefix_error(error, "disk '%s': ", vmp_json_get_string(disk, "disk"));
            return FALSE;
        }
    }
    return graph != NULL;
}

static gboolean
swap_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    return swap_all(step, change, "new", error);
}

static gboolean
swap_undo(const VmpStep *step, VmpChange *change, GError **error)
{
    return !vmp_machine_is_on(change->machine) || swap_all(step, change, "old", error);
}

/* The process is gone.  While it was paused nothing was written to the new layers: if they are
 * empty the old state stands, else the guest was let go with them. */
static VmpProbe
probe_layers(VmpJson *disks, GError **error)
{
    gboolean written = FALSE;

    for (guint i = 0; i < vmp_json_length(disks) && !written; i++) {
        const char *path = vmp_json_get_string(vmp_json_at(disks, i), "path");
        if (path && g_file_test(path, G_FILE_TEST_EXISTS) &&
            !vmp_image_is_written(path, &written, NULL, error))
            return VMP_PROBE_UNKNOWN;
    }
    return written ? VMP_PROBE_DONE : VMP_PROBE_NOT_DONE;
}

static VmpProbe
swap_probe(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpJson *disks = vmp_json_get_array(step->args, "disks");

    if (!vmp_machine_is_on(change->machine))
        return probe_layers(disks, error);

    g_autoptr(VmpBlockGraph) graph = vmp_change_read_graph(change, error);
    if (!graph)
        return VMP_PROBE_UNKNOWN;
    for (guint i = 0; i < vmp_json_length(disks); i++) {
        VmpJson *disk = vmp_json_at(disks, i);
        const VmpBlockDevice *device =
            vmp_block_graph_device(graph, vmp_json_get_string(disk, "qom"));
        if (!device || g_strcmp0(device->node, vmp_json_get_string(disk, "new")) != 0)
            return VMP_PROBE_NOT_DONE;
    }
    return VMP_PROBE_DONE;
}

static char *
swap_describe(const VmpStep *step)
{
    VmpJson *disks = vmp_json_get_array(step->args, "disks");
    GString *text = g_string_new("give the new layers to");

    for (guint i = 0; i < vmp_json_length(disks); i++)
        g_string_append_printf(text, "%s %s", i ? "," : "",
                               vmp_json_get_string(vmp_json_at(disks, i), "disk"));
    return g_string_free(text, FALSE);
}

static void
swap_commands(const VmpStep *step, GPtrArray *commands)
{
    VmpJson *disks = vmp_json_get_array(step->args, "disks");

    for (guint i = 0; i < vmp_json_length(disks); i++)
        g_ptr_array_add(commands, swap_command(vmp_json_at(disks, i), "new"));
}

const VmpStepKind vmp_step_swap_disks = {
    .name = "swap-disks",
    .apply = swap_apply,
    .undo = swap_undo,
    .probe = swap_probe,
    .describe = swap_describe,
    .commands = swap_commands,
};

/* ---- close-nodes ---- */

static gboolean
close_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    g_auto(GStrv) nodes = vmp_json_get_strv(step->args, "nodes");

    if (!vmp_machine_is_on(change->machine))
        return TRUE;

    g_autoptr(VmpBlockGraph) graph = vmp_change_read_graph(change, error);
    for (char **node = nodes; graph && *node; node++)
        if (!close_node(change, graph, *node, error))
            return FALSE;
    return graph != NULL;
}

static char *
close_describe(const VmpStep *step G_GNUC_UNUSED)
{
    return g_strdup("close the layers that nothing uses any more");
}

static void
close_commands(const VmpStep *step, GPtrArray *commands)
{
    g_auto(GStrv) nodes = vmp_json_get_strv(step->args, "nodes");

    for (char **node = nodes; *node; node++)
        g_ptr_array_add(commands, vmp_qmp_blockdev_del(*node));
}

const VmpStepKind vmp_step_close_nodes = {
    .name = "close-nodes",
    .apply = close_apply,
    .describe = close_describe,
    .commands = close_commands,
};

/* ---- end-process ---- */

static gboolean
end_apply(const VmpStep *step G_GNUC_UNUSED, VmpChange *change, GError **error)
{
    vmp_change_clear(change);
    return vmp_machine_destroy(change->machine, 0, error);
}

static VmpProbe
end_probe(const VmpStep *step G_GNUC_UNUSED, VmpChange *change, GError **error G_GNUC_UNUSED)
{
    return vmp_machine_is_on(change->machine) ? VMP_PROBE_NOT_DONE : VMP_PROBE_DONE;
}

static char *
end_describe(const VmpStep *step G_GNUC_UNUSED)
{
    return g_strdup("end the running process");
}

static void
end_commands(const VmpStep *step G_GNUC_UNUSED, GPtrArray *commands)
{
    g_ptr_array_add(commands, vmp_qmp_quit());
}

const VmpStepKind vmp_step_end_process = {
    .name = "end-process",
    .apply = end_apply,
    .probe = end_probe,
    .describe = end_describe,
    .commands = end_commands,
};
