/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* save-internal   { "tag", "disks": DISKS, "parts": see step-part.c, or absent }
 * delete-internal { "snapshots": [ { "tag", "disks": DISKS } ], "reopen": see writable.h }
 *
 * DISKS is [ { "disk": "vda", "path": "/x/a.qcow2", "node": "vda-format" } ]; the node is the
 * one at planning and may be another by the time of recovery.  A running QEMU does its part
 * as a job, with the RAM in the image of the first disk; for a domain that is off qemu-img
 * does it, image by image, and so it does for images that the running one has not open.
 */

#include "base/error.h"
#include "point/internal-steps.h"
#include "point/part.h"
#include "point/steps.h"
#include "point/writable.h"
#include "qmp/commands.h"
#include "storage/image.h"
#include "storage/job.h"

#define SAVE_JOB "vmp-snapshot-save"
#define DELETE_JOB "vmp-snapshot-delete"

/* ---- what the steps of internal snapshots share ---- */

/* A job of that id which an earlier process started: waited for and dismissed, whatever became
 * of it; what it did is looked for in the images. */
static gboolean
clear_job(VmpQmpClient *client, const char *const *ids, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(GPtrArray) jobs =
        vmp_jobs_wait(client, ids, VMP_JOB_CONCLUDED, "job", NULL, error);

    if (!jobs)
        return FALSE;
    if (((const VmpJob *)g_ptr_array_index(jobs, 0))->phase == VMP_JOB_GONE ||
        vmp_jobs_finish(client, ids, NULL, &failure) ||
        vmp_error_is(failure, VMP_ERROR_REFUSED) || vmp_error_is(failure, VMP_ERROR_FAILED))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

gboolean
vmp_internal_run_job(VmpChange *change, VmpQmpCommand *command, const char *id, GError **error)
{
    const char *ids[] = { id, NULL };
    VmpQmpClient *client = vmp_change_get_client(change, error);
    if (!client || !clear_job(client, ids, error))
        return FALSE;

    /* QEMU answers nothing until it has moved all of the RAM, however long that takes; and it
     * cannot be told to stop. */
    G_GNUC_UNUSED g_auto(VmpQmpTimeout) timeout = vmp_qmp_timeout_begin(client, 0);
    g_autoptr(VmpJson) reply = vmp_qmp_client_execute(client, command, NULL, error);
    return reply && vmp_jobs_finish(client, ids, NULL, error);
}

char **
vmp_internal_nodes(VmpJson *entries, const GPtrArray *disks)
{
    g_autoptr(GStrvBuilder) nodes = g_strv_builder_new();

    for (guint i = 0; i < vmp_json_length(entries); i++) {
        VmpJson *entry = vmp_json_at(entries, i);
        const VmpInternalDisk *disk =
            disks ? vmp_internal_disks_find_entry(disks, entry) : NULL;
        const char *node = disk    ? disk->node
                           : disks ? NULL
                                   : vmp_json_get_string(entry, "node");

        if (node)
            g_strv_builder_add(nodes, node);
    }
    return g_strv_builder_end(nodes);
}

gboolean
vmp_internal_each_image(VmpJson *entries, const GPtrArray *disks, VmpImageSnapshotVerb verb,
                        const char *tag, GError **error)
{
    for (guint i = 0; i < vmp_json_length(entries); i++) {
        const VmpInternalDisk *disk =
            vmp_internal_disks_find_entry(disks, vmp_json_at(entries, i));
        gboolean has = disk && vmp_internal_snapshots_find(disk->snapshots, tag);

        if (disk && has == (verb != VMP_IMAGE_SNAPSHOT_CREATE) &&
            !vmp_image_snapshot(disk->path, verb, tag, NULL, error))
            return FALSE;
    }
    return TRUE;
}

/* How many of the images have @tag; -1 if it cannot be told. */
static int
count_tagged(VmpJson *entries, const char *tag, VmpChange *change, GError **error)
{
    g_autoptr(GPtrArray) disks = vmp_internal_disks_look(change->machine, error);
    int tagged = 0;

    if (!disks)
        return -1;
    for (guint i = 0; i < vmp_json_length(entries); i++) {
        gboolean has = FALSE;
        if (!vmp_internal_entry_has(disks, vmp_json_at(entries, i), tag, &has, error))
            return -1;
        tagged += has;
    }
    return tagged;
}

static char *
describe_disks(const char *verb, VmpJson *entries)
{
    GString *text = g_string_new(verb);

    for (guint i = 0; i < vmp_json_length(entries); i++)
        g_string_append_printf(text, "%s %s", i ? "," : "",
                               vmp_json_get_string(vmp_json_at(entries, i), "disk"));
    return g_string_free(text, FALSE);
}

/* The node that the image of @entry is open as; NULL if nobody has it open. */
static const char *
node_of_entry(const VmpBlockGraph *graph, const GPtrArray *disks, VmpJson *entry)
{
    const VmpInternalDisk *disk = vmp_internal_disks_find_entry(disks, entry);
    const char *path = vmp_json_get_string(entry, "path");
    const VmpBlockNode *node = NULL;

    if (disk)
        return disk->node;
    if (graph && path)
        node = vmp_block_graph_node_of_path(graph, path);
    return node ? node->name : NULL;
}

/* From the images that nobody has open; the nodes of the others are added to @nodes. */
static gboolean
delete_from_files(VmpJson *entries, const char *tag, const VmpBlockGraph *graph,
                  const GPtrArray *disks, GStrvBuilder *nodes, GError **error)
{
    for (guint i = 0; i < vmp_json_length(entries); i++) {
        VmpJson *entry = vmp_json_at(entries, i);
        const char *node = node_of_entry(graph, disks, entry);
        gboolean has = FALSE;

        if (!vmp_internal_entry_has(disks, entry, tag, &has, error))
            return FALSE;
        if (has && node)
            g_strv_builder_add(nodes, node);
        else if (has && !vmp_image_snapshot(vmp_json_get_string(entry, "path"),
                                            VMP_IMAGE_SNAPSHOT_DELETE, tag, NULL, error))
            return FALSE;
    }
    return TRUE;
}

/* Takes @tag out of those that have it. */
static gboolean
delete_tag(VmpJson *entries, const char *tag, VmpChange *change, GError **error)
{
    gboolean on = vmp_machine_is_on(change->machine);
    VmpQmpClient *client = on ? vmp_change_get_client(change, error) : NULL;
    g_autoptr(VmpBlockGraph) graph =
        client ? vmp_machine_read_graph(change->machine, client, error) : NULL;
    g_autoptr(GPtrArray) disks =
        graph || !on ? vmp_internal_disks_look(change->machine, error) : NULL;
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

    if (!disks || !delete_from_files(entries, tag, graph, disks, builder, error))
        return FALSE;

    g_auto(GStrv) nodes = g_strv_builder_end(builder);
    if (!nodes[0])
        return TRUE;
    g_autoptr(VmpQmpCommand) command =
        vmp_qmp_snapshot_delete(DELETE_JOB, tag, (const char *const *)nodes);
    return vmp_internal_run_job(change, command, DELETE_JOB, error);
}

/* ---- save-internal ---- */

static VmpQmpCommand *
save_command(const VmpStep *step, const GPtrArray *disks)
{
    g_auto(GStrv) nodes = vmp_internal_nodes(vmp_json_get_array(step->args, "disks"), disks);

    return nodes[0] ? vmp_qmp_snapshot_save(SAVE_JOB, vmp_json_get_string(step->args, "tag"),
                                            nodes[0], (const char *const *)nodes)
                    : NULL;
}

static gboolean
save_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    g_autoptr(GPtrArray) disks = vmp_internal_disks_look(change->machine, error);
    if (!disks)
        return FALSE;
    if (!vmp_machine_is_on(change->machine))
        return vmp_internal_each_image(vmp_json_get_array(step->args, "disks"), disks,
                                       VMP_IMAGE_SNAPSHOT_CREATE,
                                       vmp_json_get_string(step->args, "tag"), error);

    g_autoptr(VmpQmpCommand) command = save_command(step, disks);
    if (!command)
        return vmp_fail(error, VMP_ERROR_REFUSED,
                        "the disks are others than those of the plan");
    return vmp_internal_run_job(change, command, SAVE_JOB, error);
}

static gboolean
save_undo(const VmpStep *step, VmpChange *change, GError **error)
{
    return delete_tag(vmp_json_get_array(step->args, "disks"),
                      vmp_json_get_string(step->args, "tag"), change, error);
}

/* A QEMU that was asked to save and not waited for is done by the time that it answers. */
static VmpProbe
save_probe(const VmpStep *step, VmpChange *change, GError **error)
{
    static const char *const ids[] = { SAVE_JOB, NULL };
    VmpJson *entries = vmp_json_get_array(step->args, "disks");

    if (vmp_machine_is_on(change->machine)) {
        VmpQmpClient *client = vmp_change_get_client(change, error);
        if (!client || !clear_job(client, ids, error))
            return VMP_PROBE_UNKNOWN;
    }
    int tagged = count_tagged(entries, vmp_json_get_string(step->args, "tag"), change, error);
    if (tagged < 0)
        return VMP_PROBE_UNKNOWN;
    return tagged == (int)vmp_json_length(entries) &&
                   vmp_part_are_kept(vmp_json_get_array(step->args, "parts"))
               ? VMP_PROBE_DONE
               : VMP_PROBE_NOT_DONE;
}

static char *
save_describe(const VmpStep *step)
{
    return describe_disks("save an internal snapshot in the images of",
                          vmp_json_get_array(step->args, "disks"));
}

static void
save_commands(const VmpStep *step, GPtrArray *commands)
{
    VmpQmpCommand *command = save_command(step, NULL);

    if (command)
        g_ptr_array_add(commands, command);
}

const VmpStepKind vmp_step_save_internal = {
    .name = "save-internal",
    .apply = save_apply,
    .undo = save_undo,
    .probe = save_probe,
    .describe = save_describe,
    .commands = save_commands,
};

/* ---- delete-internal ---- */

static VmpProbe
delete_probe(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpJson *snapshots = vmp_json_get_array(step->args, "snapshots");
    int wanted = 0, left = 0;

    for (guint i = 0; i < vmp_json_length(snapshots); i++) {
        VmpJson *snapshot = vmp_json_at(snapshots, i);
        VmpJson *entries = vmp_json_get_array(snapshot, "disks");
        int tagged =
            count_tagged(entries, vmp_json_get_string(snapshot, "tag"), change, error);

        if (tagged < 0)
            return VMP_PROBE_UNKNOWN;
        wanted += (int)vmp_json_length(entries);
        left += tagged;
    }
    return left == 0 ? VMP_PROBE_DONE : left == wanted ? VMP_PROBE_NOT_DONE : VMP_PROBE_BEGUN;
}

static gboolean
delete_all(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpJson *snapshots = vmp_json_get_array(step->args, "snapshots");

    for (guint i = 0; i < vmp_json_length(snapshots); i++) {
        VmpJson *snapshot = vmp_json_at(snapshots, i);
        if (!delete_tag(vmp_json_get_array(snapshot, "disks"),
                        vmp_json_get_string(snapshot, "tag"), change, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
delete_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpJson *reopen = vmp_json_get_array(step->args, "reopen");
    GError *failure = NULL;

    if (vmp_machine_is_on(change->machine) && !vmp_writable_open(reopen, change, error))
        return FALSE;
    if (delete_all(step, change, &failure))
        return TRUE;

    /* A refusal means that nothing happened: here only if nothing is gone yet. */
    if (vmp_error_is(failure, VMP_ERROR_REFUSED) &&
        delete_probe(step, change, NULL) != VMP_PROBE_NOT_DONE)
        failure->code = VMP_ERROR_FAILED;
    g_propagate_error(error, failure);
    return FALSE;
}

static gboolean
delete_undo(const VmpStep *step, VmpChange *change, GError **error)
{
    return vmp_writable_undo(vmp_json_get_array(step->args, "reopen"), change, error);
}

static char *
delete_describe(const VmpStep *step)
{
    VmpJson *snapshots = vmp_json_get_array(step->args, "snapshots");
    GString *text = g_string_new("delete from the images");

    for (guint i = 0; i < vmp_json_length(snapshots); i++)
        g_string_append_printf(text, "%s internal snapshot '%s'", i ? "," : "",
                               vmp_json_get_string(vmp_json_at(snapshots, i), "tag"));
    return g_string_free(text, FALSE);
}

static void
delete_commands(const VmpStep *step, GPtrArray *commands)
{
    VmpJson *snapshots = vmp_json_get_array(step->args, "snapshots");

    vmp_writable_add_opening(vmp_json_get_array(step->args, "reopen"), commands);
    for (guint i = 0; i < vmp_json_length(snapshots); i++) {
        VmpJson *snapshot = vmp_json_at(snapshots, i);
        g_auto(GStrv) nodes = vmp_internal_nodes(vmp_json_get_array(snapshot, "disks"), NULL);
        if (nodes[0])
            g_ptr_array_add(commands, vmp_qmp_snapshot_delete(
                                          DELETE_JOB, vmp_json_get_string(snapshot, "tag"),
                                          (const char *const *)nodes));
    }
}

const VmpStepKind vmp_step_delete_internal = {
    .name = "delete-internal",
    .apply = delete_apply,
    .undo = delete_undo,
    .probe = delete_probe,
    .describe = delete_describe,
    .commands = delete_commands,
    .writes_frozen = TRUE,
};
