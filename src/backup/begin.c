/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/begin-private.h"

#include <time.h>

#include "backup/backup.h"
#include "backup/fleece.h"
#include "backup/running.h"
#include "backup/serve.h"
#include "base/error.h"
#include "machine/freeze.h"
#include "plan/executor.h"
#include "point/align.h"
#include "point/checkpoint.h"
#include "point/record.h"
#include "point/steps.h"
#include "store/edit.h"

static void
begin_clear(VmpBegin *begin)
{
    g_clear_pointer(&begin->backup, vmp_backup_free);
    g_clear_pointer(&begin->checkpoint, vmp_checkpoint_free);
    g_clear_pointer(&begin->graph, vmp_block_graph_free);
    g_clear_pointer(&begin->insisted, g_hash_table_unref);
    g_clear_pointer(&begin->server, json_object_put);
    g_clear_pointer(&begin->suffix, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmpBegin, begin_clear)

/* ---- the request ---- */

gboolean
vmp_begin_is_pull(const VmpBegin *begin)
{
    return begin->backup->mode == VMP_BACKUP_MODE_PULL;
}

gboolean
vmp_begin_is_served(const VmpBegin *begin)
{
    return vmp_begin_is_pull(begin) && !vmp_machine_is_on(begin->machine);
}

/* Whoever names a checkpoint for one disk means that disk; a checkpoint for all of them is a
 * wish. */
static GHashTable *
find_insisted(const VmpBackup *backup)
{
    GHashTable *insisted = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; backup->disks && i < backup->disks->len; i++) {
        const VmpBackupDisk *disk = g_ptr_array_index(backup->disks, i);
        if (disk->incremental || disk->mode == VMP_BACKUP_DISK_INCREMENTAL)
            g_hash_table_add(insisted, g_strdup(disk->name));
    }
    return insisted;
}

static gboolean
check_tuning(const VmpBegin *begin, GError **error)
{
    const VmpBackupTuning *tuning = begin->tuning;
    const char *folder = tuning->fleece_folder;

    if (vmp_begin_is_pull(begin) && (begin->flags & VMP_BACKUP_BEGIN_WAIT))
        return vmp_fail(
            error, VMP_ERROR_INVALID,
            "a pull backup ends when it is asked to, by domjobabort: there is nothing "
            "to wait for");
    if (vmp_begin_is_pull(begin) && (tuning->bandwidth || tuning->compress || tuning->fleece))
        return vmp_fail(
            error, VMP_ERROR_INVALID,
            "a pull backup copies nothing by itself that could be limited, compressed "
            "or kept from the guest; its document says where <scratch> is");
    return !folder || g_path_is_absolute(folder) ||
           vmp_fail(error, VMP_ERROR_INVALID, "'%s' is not an absolute path", folder);
}

static gboolean
read_request(VmpBegin *begin, const char *backup_xml, const char *checkpoint_xml,
             GError **error)
{
    const VmpDomain *definition = vmp_machine_get_definition(begin->machine, error);

    begin->backup = vmp_backup_parse(backup_xml ? backup_xml : "<domainbackup/>", -1, error);
    if (!definition || !begin->backup)
        return FALSE;
    begin->insisted = find_insisted(begin->backup);
    if (!check_tuning(begin, error))
        return FALSE;
    if (checkpoint_xml) {
        begin->checkpoint =
            vmp_point_prepare_checkpoint(begin->machine, checkpoint_xml, error);
        if (!begin->checkpoint)
            return FALSE;
    }

    begin->suffix = begin->checkpoint
                        ? g_strdup(begin->checkpoint->name)
                        : g_strdup_printf("%" G_GINT64_FORMAT, (gint64)time(NULL));
    return vmp_align_backup(begin->backup, definition, begin->suffix, error);
}

static gboolean
check_idle(VmpMachine *machine, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(VmpStoreBackup) running = vmp_store_find_backup(
        vmp_machine_get_store(machine), vmp_machine_get_row(machine)->id, "running", &failure);

    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    return !running || vmp_fail(error, VMP_ERROR_BUSY,
                                "a backup is running already; wait for it or abort it");
}

static gboolean
look_for_pull(VmpBegin *begin, GError **error)
{
    begin->server = vmp_pull_server(begin->backup, error);
    return begin->server != NULL;
}

/* A server that stalls would hold the guest's writes for as long, and one that breaks would
 * fail them: the guest never waits for one. */
static gboolean
has_network_target(const VmpBackup *backup)
{
    for (guint i = 0; i < backup->disks->len; i++) {
        const VmpBackupDisk *disk = g_ptr_array_index(backup->disks, i);
        if (disk->wanted && disk->type == VMP_STORAGE_NETWORK)
            return TRUE;
    }
    return FALSE;
}

/* Nobody writes to the disks of a domain that is off. */
static gboolean
look_at_guest(VmpBegin *begin, GError **error)
{
    VmpState state = VMP_STATE_NOSTATE;

    if (!vmp_machine_is_on(begin->machine))
        return TRUE;
    if (!vmp_machine_query_state(begin->machine, &state, NULL, error))
        return FALSE;
    begin->running = state == VMP_STATE_RUNNING;
    begin->fleeces = !vmp_begin_is_pull(begin) &&
                     (begin->tuning->fleece || has_network_target(begin->backup));
    begin->quiesces = begin->tuning->quiesce;
    return !begin->quiesces || vmp_machine_check_can_freeze(begin->machine, error);
}

static gboolean
look(VmpBegin *begin, VmpChange *change, GError **error)
{
    begin->session = vmp_change_get_session(change, error);
    begin->graph = begin->session ? vmp_block_session_read_graph(begin->session, error) : NULL;
    if (!begin->graph || (vmp_begin_is_pull(begin) && !look_for_pull(begin, error)) ||
        !look_at_guest(begin, error))
        return FALSE;
    return vmp_block_session_has(begin->session, "blockdev-backup", "x-perf/use-copy-range",
                                 &begin->copy_range, error);
}

/* ---- the plan ---- */

static void
steps_clear(VmpBeginSteps *steps)
{
    g_clear_pointer(&steps->taken, g_hash_table_unref);
    g_clear_pointer(&steps->images, json_object_put);
    g_clear_pointer(&steps->scratch, json_object_put);
    g_clear_pointer(&steps->disks, json_object_put);
    g_clear_pointer(&steps->fleece, json_object_put);
    g_clear_pointer(&steps->exports, json_object_put);
    g_clear_pointer(&steps->checkpoint, json_object_put);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmpBeginSteps, steps_clear)

static void
steps_init(VmpBeginSteps *steps)
{
    steps->taken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    steps->images = json_object_new_array();
    steps->scratch = json_object_new_array();
    steps->disks = json_object_new_array();
    steps->fleece = json_object_new_array();
    steps->exports = json_object_new_array();
}

/* Both lists, for one step that makes all. */
static VmpJson *
all_images(const VmpBeginSteps *steps)
{
    VmpJson *all = json_object_new_array();

    for (guint i = 0; i < vmp_json_length(steps->images); i++)
        json_object_array_add(all, json_object_get(vmp_json_at(steps->images, i)));
    for (guint i = 0; i < vmp_json_length(steps->scratch); i++)
        json_object_array_add(all, json_object_get(vmp_json_at(steps->scratch, i)));
    return all;
}

static VmpJson *
fleece_args(const VmpBeginSteps *steps)
{
    return vmp_json_build("o:disks", json_object_get(steps->fleece), NULL);
}

static void
add_freeze(VmpPlan *plan, const VmpBegin *begin)
{
    if (begin->quiesces)
        vmp_plan_add(plan, &vmp_step_freeze_guest, NULL);
}

static void
add_thaw(VmpPlan *plan, const VmpBegin *begin)
{
    if (begin->quiesces)
        vmp_plan_add_cleanup(plan, &vmp_step_thaw_guest, NULL);
}

/* The guest is held while its disks get their filters and the checkpoint begins: that is the
 * instant.  What uses them comes last, when all of it is there; a crash before takes all of it
 * back. */
static void
add_instant_steps(VmpPlan *plan, const VmpBegin *begin, const VmpBeginSteps *steps,
                  VmpJson *start)
{
    vmp_plan_add(plan, &vmp_step_open_filters, fleece_args(steps));
    if (begin->running)
        vmp_plan_add(plan, &vmp_step_pause, vmp_json_build("b:was-running", TRUE, NULL));
    vmp_plan_add(plan, &vmp_step_insert_filters, fleece_args(steps));
    vmp_plan_add(plan, &vmp_step_start_backup, start);
    if (begin->running)
        vmp_plan_add(plan, &vmp_step_resume, NULL);
}

static void
add_pull_steps(VmpPlan *plan, const VmpBegin *begin, const VmpBeginSteps *steps,
               VmpJson *start)
{
    vmp_plan_add(plan, &vmp_step_start_server,
                 vmp_json_build("o:server", json_object_get(begin->server), NULL));
    add_freeze(plan, begin);
    add_instant_steps(plan, begin, steps, start);
    vmp_plan_add_commit(plan, &vmp_step_add_exports,
                        vmp_json_build("o:exports", json_object_get(steps->exports), NULL));
    add_thaw(plan, begin);
}

/* No guest writes between the checkpoint and the first read.  Nothing can be cleared up beside
 * who serves. */
static void
add_serve_steps(VmpPlan *plan, const VmpBegin *begin, const VmpBeginSteps *steps)
{
    if (steps->checkpoint)
        vmp_plan_add(plan, &vmp_step_start_backup,
                     vmp_json_build("o:disks", json_object_new_array(), "o:checkpoint",
                                    json_object_get(steps->checkpoint), NULL));
    vmp_plan_add_commit(plan, &vmp_step_serve_disks,
                        vmp_json_build("o:disks", json_object_get(steps->disks), "o:server",
                                       json_object_get(begin->server), "o:exports",
                                       json_object_get(steps->exports), NULL));
}

static void
add_push_steps(VmpPlan *plan, const VmpBegin *begin, const VmpBeginSteps *steps,
               VmpJson *start)
{
    add_freeze(plan, begin);
    if (begin->fleeces) {
        vmp_json_add(start, "b:only-freeze", TRUE, NULL);
        add_instant_steps(plan, begin, steps, start);
        vmp_plan_add_commit(plan, &vmp_step_start_copies,
                            vmp_json_build("o:disks", json_object_get(steps->disks), NULL));
    } else {
        vmp_plan_add_commit(plan, &vmp_step_start_backup, start);
    }
    add_thaw(plan, begin);
}

static gboolean
plan_steps(VmpPlan *plan, const VmpBegin *begin, VmpBeginSteps *steps, GError **error)
{
    for (guint i = 0; i < begin->backup->disks->len; i++) {
        VmpBackupDisk *disk = g_ptr_array_index(begin->backup->disks, i);
        if (disk->wanted && !vmp_begin_plan_disk(begin, disk, steps, error))
            return FALSE;
    }

    if (begin->checkpoint) {
        steps->checkpoint = vmp_point_checkpoint_bitmaps(begin->session, begin->graph,
                                                         begin->checkpoint, error);
        if (!steps->checkpoint)
            return FALSE;
    }
    if (vmp_begin_is_served(begin)) {
        add_serve_steps(plan, begin, steps);
        return TRUE;
    }
    VmpJson *start = vmp_json_build("o:disks", json_object_get(steps->disks), "O:checkpoint",
                                    json_object_get(steps->checkpoint), NULL);
    vmp_plan_add(plan, &vmp_step_create_images,
                 vmp_json_build("o:images", all_images(steps), NULL));
    if (vmp_begin_is_pull(begin))
        add_pull_steps(plan, begin, steps, start);
    else
        add_push_steps(plan, begin, steps, start);
    return vmp_point_plan_clearing(plan, begin->machine, begin->session, begin->graph, error);
}

static gboolean
plan_edits(VmpPlan *plan, const VmpBegin *begin, const VmpBeginSteps *steps, GError **error)
{
    gint64 domain = vmp_machine_get_row(begin->machine)->id;
    g_autofree char *body = vmp_backup_format(begin->backup);
    g_autoptr(VmpJson) detail = vmp_json_build(
        "o:images", json_object_get(steps->images), "o:scratch",
        json_object_get(steps->scratch), "o:disks", json_object_get(steps->disks),
        "S:checkpoint", begin->checkpoint ? begin->checkpoint->name : NULL, "o:fleece",
        json_object_get(steps->fleece), "O:server", json_object_get(begin->server),
        "o:exports", json_object_get(steps->exports), "B:offline", vmp_begin_is_served(begin),
        NULL);
    g_autofree char *text = vmp_json_to_text(detail);
    VmpStoreBackup row = { .domain = domain,
                           .state = (char *)"running",
                           .started = g_get_real_time() / 1000,
                           .body = body,
                           .detail = text };

    vmp_store_edit_put_backup(plan->edits, &row);
    return !begin->checkpoint ||
           vmp_point_checkpoint_edits(begin->machine, begin->checkpoint, steps->checkpoint,
                                      plan->edits, error);
}

gboolean
vmp_backup_begin_on(VmpMachine *machine, VmpBackupPart *part, const char *backup_xml,
                    const char *checkpoint_xml, VmpBackupBeginFlags flags,
                    const VmpBackupTuning *tuning, GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));
    VmpOperation *operation = vmp_machine_get_operation(machine);
    g_auto(VmpBegin) begin = { .machine = machine,
                               .flags = flags,
                               .tuning = tuning,
                               .links = part ? part->links : NULL };
    g_auto(VmpChange) change = { .machine = machine,
                                 .operation = operation,
                                 .session = part ? g_steal_pointer(&part->session) : NULL };

    if (!check_idle(machine, error) ||
        !read_request(&begin, backup_xml, checkpoint_xml, error) ||
        !look(&begin, &change, error))
        return FALSE;

    g_auto(VmpBeginSteps) steps = { 0 };
    steps_init(&steps);
    g_autoptr(VmpPlan) plan = vmp_plan_new("backup-begin", vmp_machine_get_name(machine),
                                           begin.checkpoint ? begin.checkpoint->name : NULL);
    /* A storage daemon ends with this process, and its jobs with it: then wait for them. */
    gboolean offline = vmp_block_session_is_offline(begin.session);
    change.keep_session = offline;
    if (!plan_steps(plan, &begin, &steps, error) ||
        !vmp_change_begin_planning(&change, error) ||
        !plan_edits(plan, &begin, &steps, error) || !vmp_plan_execute(plan, &change, error))
        return FALSE;
    if (!vmp_operation_get_dry_run(operation) && !vmp_begin_is_pull(&begin) &&
        (offline || (flags & VMP_BACKUP_BEGIN_WAIT)) &&
        !vmp_backup_finish(&change, part, error))
        return FALSE;
    if (part)
        part->session = g_steal_pointer(&change.session);
    return TRUE;
}
