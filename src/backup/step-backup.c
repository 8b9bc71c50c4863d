/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* start-backup { "only-freeze": bool, the jobs come later, by start-copies
 *     "disks" (none for one that is off and served, serve.h): [ {
 *         "disk", "node", "job", "target": node, "copy-range": bool, "compress": bool,
 *         "speed": bytes per second,
 *                                       (no "job" for a pull backup: the disk is only frozen)
 *         "bitmap": temporary name, "granularity", "checkpoint": name, "layers": [ nodes ]
 *                                       (these four only for an incremental one) } ],
 *     "checkpoint": [ the new one's bitmaps, as of start-bitmaps ] }
 * start-copies { "disks": the same }
 *
 * One transaction: the temporary bitmaps with what changed since the checkpoint, the new
 * checkpoint's bitmaps, and the jobs, of all disks: that is the point in time.
 */

#include "backup/backup.h"
#include "base/error.h"
#include "point/steps.h"
#include "qmp/commands.h"
#include "qmp/transaction.h"
#include "storage/job.h"

static VmpJson *
disks_of(const VmpStep *step)
{
    return vmp_json_get_array(step->args, "disks");
}

void
vmp_step_backup_bitmap(VmpQmpTransaction *transaction, VmpJson *disk)
{
    const char *node = vmp_json_get_string(disk, "node");
    const char *bitmap = vmp_json_get_string(disk, "bitmap");
    g_auto(GStrv) layers = vmp_json_get_strv(disk, "layers");

    if (!bitmap)
        return;
    vmp_qmp_transaction_bitmap_add(transaction, node, bitmap, VMP_BITMAP_DISABLED,
                                   (guint32)vmp_json_get_int(disk, "granularity", 0));
    for (char **layer = layers; *layer; layer++)
        vmp_qmp_transaction_bitmap_merge(transaction, node, bitmap, *layer,
                                         vmp_json_get_string(disk, "checkpoint"));
}

static void
add_job_action(VmpQmpTransaction *transaction, VmpJson *disk)
{
    const char *bitmap = vmp_json_get_string(disk, "bitmap");
    VmpQmpBackup backup = {
        .job_id = vmp_json_get_string(disk, "job"),
        .node = vmp_json_get_string(disk, "node"),
        .target = vmp_json_get_string(disk, "target"),
        .sync = bitmap ? "incremental" : "full",
        .bitmap = bitmap,
        .speed = (guint64)vmp_json_get_int(disk, "speed", 0),
        .compress = vmp_json_get_bool(disk, "compress", FALSE),
        .use_copy_range = vmp_json_get_bool(disk, "copy-range", FALSE),
        .auto_finalize = TRUE,
    };

    vmp_qmp_transaction_backup(transaction, &backup);
}

static void
add_job_actions(VmpQmpTransaction *transaction, VmpJson *disks)
{
    for (guint i = 0; i < vmp_json_length(disks); i++)
        if (vmp_json_get_string(vmp_json_at(disks, i), "job"))
            add_job_action(transaction, vmp_json_at(disks, i));
}

static VmpQmpCommand *
start_command(const VmpStep *step)
{
    g_autoptr(VmpQmpTransaction) transaction = vmp_qmp_transaction_new();
    VmpJson *checkpoint = vmp_json_get_array(step->args, "checkpoint");
    VmpJson *disks = disks_of(step);

    for (guint i = 0; i < vmp_json_length(disks); i++)
        vmp_step_backup_bitmap(transaction, vmp_json_at(disks, i));
    for (guint i = 0; i < vmp_json_length(checkpoint); i++)
        vmp_step_start_bitmap(transaction, vmp_json_at(checkpoint, i));
    if (!vmp_json_get_bool(step->args, "only-freeze", FALSE))
        add_job_actions(transaction, disks);
    return vmp_qmp_transaction_to_command(transaction);
}

/* The transaction starts all jobs or none, and none is dismissed before it is settled. */
static VmpProbe
start_probe(const VmpStep *step, VmpChange *change, GError **error)
{
    const char *first = vmp_json_get_string(vmp_json_at(disks_of(step), 0), "job");

    if (!vmp_machine_is_on(change->machine))
        return VMP_PROBE_NOT_DONE; /* a backup does not outlive its process */

    VmpQmpClient *client = vmp_change_get_client(change, error);
    g_autoptr(GPtrArray) jobs = client ? vmp_jobs_query(client, NULL, error) : NULL;
    if (!jobs)
        return VMP_PROBE_UNKNOWN;
    for (guint i = 0; i < jobs->len; i++)
        if (g_str_equal(((const VmpJob *)g_ptr_array_index(jobs, i))->id, first))
            return VMP_PROBE_DONE;
    return VMP_PROBE_NOT_DONE;
}

/* The one that says what to copy: it ends with its process, at the latest. */
static void
remove_temporary(VmpQmpTransaction *transaction, const VmpBlockGraph *graph, VmpJson *disk)
{
    const char *node = vmp_json_get_string(disk, "node");
    const char *name = vmp_json_get_string(disk, "bitmap");
    const VmpBlockNode *holder = node ? vmp_block_graph_node(graph, node) : NULL;

    if (holder && name && vmp_block_node_bitmap(holder, name))
        vmp_qmp_transaction_bitmap_remove(transaction, node, name);
}

/* A process that ended well since may have stored the new checkpoint's bitmaps, which then
 * belong to nothing. */
static gboolean
start_undo(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpJson *checkpoint = vmp_json_get_array(step->args, "checkpoint");
    VmpJson *disks = disks_of(step);
    VmpBlockSession *session = vmp_change_get_session(change, error);
    g_autoptr(VmpBlockGraph) graph =
        session ? vmp_block_session_read_graph(session, error) : NULL;
    g_autoptr(VmpQmpTransaction) transaction = vmp_qmp_transaction_new();
    if (!graph)
        return FALSE;

    for (guint i = 0; i < vmp_json_length(checkpoint); i++) {
        VmpJson *bitmap = vmp_json_at(checkpoint, i);
        const VmpBlockNode *holder = vmp_step_find_holder(bitmap, graph);
        if (holder)
            vmp_qmp_transaction_bitmap_remove(transaction, holder->name,
                                              vmp_json_get_string(bitmap, "name"));
    }
    for (guint i = 0; i < vmp_json_length(disks); i++)
        remove_temporary(transaction, graph, vmp_json_at(disks, i));
    return vmp_qmp_transaction_run(transaction, vmp_block_session_get_client(session), error);
}

static char *
start_describe(const VmpStep *step)
{
    VmpJson *disks = disks_of(step);
    GString *text = g_string_new("start at one instant the backup of");

    if (vmp_json_length(disks) == 0)
        g_string_assign(text, "start at one instant the bitmaps of the checkpoint");
    for (guint i = 0; i < vmp_json_length(disks); i++) {
        VmpJson *disk = vmp_json_at(disks, i);
        const char *since = vmp_json_get_string(disk, "checkpoint");
        g_string_append_printf(text, "%s %s (%s%s)", i ? "," : "",
                               vmp_json_get_string(disk, "disk"), since ? "since " : "full",
                               since ? since : "");
    }
    return g_string_free(text, FALSE);
}

static void
start_commands(const VmpStep *step, GPtrArray *commands)
{
    g_ptr_array_add(commands, start_command(step));
}

const VmpStepKind vmp_step_start_backup = {
    .name = "start-backup",
    .apply = vmp_step_send_commands,
    .undo = start_undo,
    .probe = start_probe,
    .describe = start_describe,
    .commands = start_commands,
};

/* ---- start-copies ---- */

static char *
copies_describe(const VmpStep *step)
{
    VmpJson *disks = disks_of(step);
    GString *text = g_string_new("copy what was kept of");

    for (guint i = 0; i < vmp_json_length(disks); i++)
        g_string_append_printf(text, "%s %s", i ? "," : "",
                               vmp_json_get_string(vmp_json_at(disks, i), "disk"));
    return g_string_free(text, FALSE);
}

static void
copies_commands(const VmpStep *step, GPtrArray *commands)
{
    g_autoptr(VmpQmpTransaction) transaction = vmp_qmp_transaction_new();

    add_job_actions(transaction, disks_of(step));
    g_ptr_array_add(commands, vmp_qmp_transaction_to_command(transaction));
}

const VmpStepKind vmp_step_start_copies = {
    .name = "start-copies",
    .apply = vmp_step_send_commands,
    .probe = start_probe,
    .describe = copies_describe,
    .commands = copies_commands,
};
