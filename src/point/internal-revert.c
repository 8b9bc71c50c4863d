/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"
#include "machine/launch.h"
#include "machine/tpm.h"
#include "plan/executor.h"
#include "plan/others.h"
#include "point/definition.h"
#include "point/internal-disks.h"
#include "point/internal.h"
#include "point/part.h"
#include "point/past.h"
#include "point/quiet.h"
#include "point/record.h"
#include "point/revert-request.h"
#include "point/revert.h"
#include "point/steps.h"
#include "store/edit.h"

typedef struct {
    VmpMachine *machine;
    const VmpSnapshot *snapshot;
    VmpSnapshotRevertFlags flags;
    VmpDomain *definition, *inactive; /* what the domain becomes */
    GPtrArray *disks;                 /* of VmpInternalDisk, as they are now */
    const char *vmstate;              /* the disk whose image has the RAM; NULL = none has */
    VmpState end;                     /* SHUTOFF, RUNNING or PAUSED */
    VmpPartPast parts;                /* what is neither disk nor RAM */
    VmpPast past;                     /* of the disks that write to other images now */
    gboolean on, new_process;
} Revert;

static void
revert_clear(Revert *revert)
{
    g_clear_pointer(&revert->definition, vmp_domain_free);
    g_clear_pointer(&revert->inactive, vmp_domain_free);
    g_clear_pointer(&revert->disks, g_ptr_array_unref);
    vmp_part_past_clear(&revert->parts);
    vmp_past_clear(&revert->past);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Revert, revert_clear)

static gboolean
has_memory(const Revert *revert)
{
    return vmp_revert_has_memory(revert->snapshot);
}

/* ---- disks ---- */

static gboolean
is_frozen_by(const VmpSnapshot *snapshot, const char *path)
{
    g_autoptr(VmpDomain) domain =
        snapshot->domain_xml ? vmp_domain_parse(snapshot->domain_xml, -1, NULL) : NULL;
    const VmpDomainDisk *disk = domain ? vmp_domain_find_disk(domain, path) : NULL;
    const VmpSnapshotDisk *entry =
        disk ? vmp_snapshot_find_disk(snapshot, disk->target) : NULL;

    return entry && entry->location == VMP_LOCATION_EXTERNAL;
}

/* An external snapshot that froze @path needs it as it is. */
static gboolean
check_not_frozen(VmpMachine *machine, const char *target, const char *path, GError **error)
{
    VmpStore *store = vmp_machine_get_store(machine);
    g_autoptr(GPtrArray) rows = vmp_store_list_points(store, vmp_machine_get_row(machine)->id,
                                                      VMP_POINT_SNAPSHOT, FALSE, error);

    for (guint i = 0; rows && i < rows->len; i++) {
        const VmpStorePoint *row = g_ptr_array_index(rows, i);
        if (row->location != VMP_LOCATION_EXTERNAL)
            continue;
        g_autoptr(VmpSnapshot) other = vmp_record_load_snapshot(machine, row->name, error);
        if (!other)
            return FALSE;
        if (is_frozen_by(other, path))
            return vmp_fail(
                error, VMP_ERROR_UNSUPPORTED,
                "disk '%s': image '%s' is what the external snapshot '%s' stands on; "
                "taking it back would damage that",
                target, path, row->name);
    }
    return rows != NULL;
}

static gboolean
check_disk(Revert *revert, const char *target, GError **error)
{
    const char *tag = revert->snapshot->name;
    const VmpDomainDisk *then = vmp_domain_find_disk(revert->definition, target);
    const VmpInternalDisk *now = vmp_internal_disks_find(revert->disks, target);

    if (!now || !then)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "disk '%s' of the snapshot is not the domain's any more", target);
    if (!vmp_internal_snapshots_find(now->snapshots, tag))
        return vmp_fail(error, VMP_ERROR_INCONSISTENT,
                        "disk '%s': image '%s' has no internal snapshot '%s'", target,
                        then->source, tag);
    return vmp_past_has(&revert->past, target) ||
           check_not_frozen(revert->machine, target, now->path, error);
}

/* Of every image that has the tag, whether the snapshot's document names it or not. */
static gboolean
check_tagged(Revert *revert, const VmpInternalDisk *disk, GError **error)
{
    const char *tag = revert->snapshot->name;
    const VmpInternalSnapshot *found = vmp_internal_snapshots_find(disk->snapshots, tag);

    if (!found)
        return TRUE;
    if (!vmp_internal_snapshots_is_clear(disk->snapshots, tag))
        return vmp_fail(
            error, VMP_ERROR_UNSUPPORTED,
            "disk '%s': '%s' is the number of another internal snapshot of its image, "
            "which QEMU would take",
            disk->disk, tag);
    if (found->vm_state_size > 0)
        revert->vmstate = disk->disk;
    return TRUE;
}

static gboolean
check_disks(Revert *revert, GError **error)
{
    for (guint i = 0; i < revert->snapshot->disks->len; i++) {
        const VmpSnapshotDisk *entry = g_ptr_array_index(revert->snapshot->disks, i);
        if (entry->location == VMP_LOCATION_INTERNAL &&
            !check_disk(revert, entry->name, error))
            return FALSE;
    }
    for (guint i = 0; i < revert->disks->len; i++)
        if (!check_tagged(revert, g_ptr_array_index(revert->disks, i), error))
            return FALSE;
    if (has_memory(revert) && !revert->vmstate)
        return vmp_fail(error, VMP_ERROR_INCONSISTENT, "no image has the RAM of snapshot '%s'",
                        revert->snapshot->name);
    return TRUE;
}

/* ---- risks ---- */

/* Names of the bitmaps in images that go back: QEMU wants none there. */
static char *
bitmaps_in_the_way(const Revert *revert)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    GString *names = g_string_new(NULL);

    for (guint i = 0; i < revert->disks->len; i++) {
        const VmpInternalDisk *disk = g_ptr_array_index(revert->disks, i);
        if (!vmp_internal_snapshots_find(disk->snapshots, revert->snapshot->name))
            continue;
        for (guint j = 0; j < disk->bitmaps->len; j++)
            if (g_hash_table_add(seen, g_ptr_array_index(disk->bitmaps, j)))
                g_string_append_printf(names, "%s%s", names->len ? ", " : "",
                                       (const char *)g_ptr_array_index(disk->bitmaps, j));
    }
    return g_string_free(names, FALSE);
}

static void
add_process_risks(VmpPlan *plan, Revert *revert, const VmpDomain *present)
{
    g_autofree char *difference = NULL;

    if (!revert->on || !has_memory(revert))
        return;
    if (!vmp_launch_same_abi(present, revert->definition, &difference))
        vmp_plan_add_risk(plan, "abi-change", TRUE, "the guest would see another machine (%s)",
                          difference);
    else if (vmp_domain_has_genid(revert->definition))
        vmp_plan_add_risk(plan, "genid", TRUE,
                          "the running process cannot change its VM generation id");
    else
        return;
    revert->new_process = TRUE;
    vmp_plan_add_risk(plan, "new-process", TRUE,
                      "the running process would be replaced: connections to it break");
}

/* A linked clone would read what its original was once. */
static gboolean
add_clone_risks(VmpPlan *plan, const Revert *revert, GError **error)
{
    g_autoptr(VmpOthers) others = vmp_others_look(revert->machine, error);

    for (guint i = 0; others && i < revert->disks->len; i++) {
        const VmpInternalDisk *disk = g_ptr_array_index(revert->disks, i);
        const char *other = disk->path ? vmp_others_find(others, disk->path) : NULL;
        if (other && vmp_internal_snapshots_find(disk->snapshots, revert->snapshot->name))
            vmp_plan_add_risk(
                plan, "other-domain", TRUE,
                "disk '%s': domain '%s' stands on image '%s', whose content would "
                "change under it",
                disk->disk, other, disk->path);
    }
    return others != NULL;
}

static void
add_risks(VmpPlan *plan, Revert *revert, const VmpDomain *present)
{
    g_autofree char *bitmaps = bitmaps_in_the_way(revert);

    if (!revert->snapshot->domain_xml)
        vmp_plan_add_risk(
            plan, "no-domain", TRUE,
            "the snapshot has no complete <domain>: the present definition would be "
            "used");
    add_process_risks(plan, revert, present);
    if (*bitmaps)
        vmp_plan_add_risk(plan, "checkpoints", TRUE,
                          "the bitmaps of these checkpoints would be lost: %s", bitmaps);
    for (guint i = 0; i < revert->disks->len; i++) {
        const VmpInternalDisk *disk = g_ptr_array_index(revert->disks, i);
        if (!vmp_internal_snapshots_find(disk->snapshots, revert->snapshot->name))
            vmp_plan_add_risk(
                plan, "uncovered-disk", TRUE,
                "disk '%s' is not part of the snapshot: its content stays what it is "
                "now",
                disk->disk);
    }
}

/* ---- the plan ---- */

static gboolean
goes_in_process(const Revert *revert)
{
    return revert->on && has_memory(revert) && !revert->new_process;
}

/* The copies take their places while the guest is paused; *@closes: what nobody uses then. */
static gboolean
plan_swaps(VmpPlan *plan, Revert *revert, VmpJson **closes, GError **error)
{
    VmpState state = VMP_STATE_NOSTATE;
    gboolean swaps = goes_in_process(revert) && !vmp_past_is_empty(&revert->past);
    g_auto(VmpSwaps) planned = { NULL };
    VmpQmpClient *monitor = vmp_machine_get_monitor(revert->machine, error);
    g_autoptr(VmpBlockGraph) graph =
        monitor && swaps ? vmp_machine_read_graph(revert->machine, monitor, error) : NULL;
    if (!monitor || (swaps && !graph) ||
        !vmp_machine_query_state(revert->machine, &state, NULL, error))
        return FALSE;

    vmp_swaps_init(&planned, revert->machine, graph, revert->definition);
    if (swaps) {
        if (!vmp_past_add_swaps(&revert->past, revert->disks, &planned, error))
            return FALSE;
        vmp_plan_add(plan, &vmp_step_open_branches,
                     vmp_json_build("o:nodes", json_object_get(planned.opens), NULL));
    }
    vmp_plan_add(plan, &vmp_step_pause,
                 vmp_json_build("b:was-running", state == VMP_STATE_RUNNING, NULL));
    if (swaps)
        vmp_plan_add(plan, &vmp_step_swap_disks,
                     vmp_json_build("o:disks", json_object_get(planned.swaps), NULL));
    *closes = json_object_get(planned.closes);
    return TRUE;
}

static gboolean
plan_memory(VmpPlan *plan, Revert *revert, gint64 definition, GError **error)
{
    g_autoptr(VmpJson) closes = NULL;

    if (!revert->on)
        vmp_plan_add(plan, &vmp_step_start_stopped,
                     vmp_json_build("i:definition", definition, NULL));
    else if (!plan_swaps(plan, revert, &closes, error))
        return FALSE;
    vmp_plan_add_commit(
        plan, &vmp_step_load_internal,
        vmp_json_build("s:tag", revert->snapshot->name, "o:disks",
                       vmp_internal_disks_to_json(revert->disks, revert->snapshot->name),
                       "s:vmstate", revert->vmstate, "i:definition", definition,
                       "b:drop-bitmaps", TRUE, "b:new-process", revert->new_process, "o:parts",
                       json_object_get(revert->parts.files), "o:copies",
                       vmp_past_to_json(&revert->past, revert->disks), NULL));
    plan->mark_commit = TRUE;
    if (revert->end == VMP_STATE_RUNNING)
        vmp_plan_add(plan, &vmp_step_resume, NULL);
    if (vmp_json_length(closes) > 0)
        vmp_plan_add_cleanup(plan, &vmp_step_close_nodes,
                             vmp_json_build("o:nodes", json_object_get(closes), NULL));
    if (!vmp_past_is_empty(&revert->past))
        vmp_past_plan_tidy(plan, &revert->past, revert->disks);
    return TRUE;
}

/* Those that are taken back where they are. */
static VmpJson *
disks_in_place(const Revert *revert)
{
    g_autoptr(VmpJson) all = vmp_internal_disks_to_json(revert->disks, revert->snapshot->name);
    VmpJson *in_place = json_object_new_array();

    for (guint i = 0; i < vmp_json_length(all); i++) {
        VmpJson *entry = vmp_json_at(all, i);
        if (!vmp_past_has(&revert->past, vmp_json_get_string(entry, "disk")))
            json_object_array_add(in_place, json_object_get(entry));
    }
    return in_place;
}

/* Where all disks are copies, the process that ends, or what the store is told, is the
 * commit. */
static void
plan_disks(VmpPlan *plan, const Revert *revert)
{
    g_autoptr(VmpJson) in_place = disks_in_place(revert);

    vmp_part_plan_stage(plan, &revert->parts);
    if (vmp_json_length(in_place) > 0) {
        vmp_plan_add_commit(plan, &vmp_step_apply_internal,
                            vmp_json_build("s:tag", revert->snapshot->name, "o:disks",
                                           json_object_get(in_place), "b:drop-bitmaps", TRUE,
                                           NULL));
        /* An image does not say what it was taken back to: only the note tells that it was
         * begun. */
        plan->mark_commit = TRUE;
    } else if (revert->on) {
        vmp_plan_add_commit(plan, &vmp_step_end_process, NULL);
    }
    vmp_part_plan_put(plan, &revert->parts);
}

static gboolean
plan_steps(VmpPlan *plan, Revert *revert, GError **error)
{
    vmp_past_plan_copies(plan, &revert->past, has_memory(revert));
    if (!has_memory(revert)) {
        plan_disks(plan, revert);
        return TRUE;
    }

    g_autofree char *text = vmp_domain_format(revert->definition, VMP_DOMAIN_FORMAT_SECURE);
    const VmpStoreDomain *row = vmp_machine_get_row(revert->machine);
    gint64 definition =
        vmp_store_put_definition(vmp_machine_get_store(revert->machine), text, -1,
                                 row->active ? row->active : row->inactive, error);
    return definition != 0 && plan_memory(plan, revert, definition, error);
}

static gboolean
plan_edits(VmpPlan *plan, const Revert *revert, GError **error)
{
    const VmpStoreDomain *row = vmp_machine_get_row(revert->machine);

    if (!vmp_definition_edit(revert->machine, has_memory(revert) ? revert->definition : NULL,
                             row->inactive ? revert->inactive : NULL, plan->edits, error) ||
        !vmp_past_plan_edits(plan, &revert->past, revert->machine, error))
        return FALSE;
    vmp_store_edit_set_current(plan->edits, row->id, VMP_POINT_SNAPSHOT,
                               revert->snapshot->name);
    return TRUE;
}

/* A definition that could not be launched is found out before anything is let go. */
static gboolean
check_startable(const Revert *revert, GError **error)
{
    gboolean starts = has_memory(revert) ? !revert->on || revert->new_process
                                         : revert->end != VMP_STATE_SHUTOFF;
    VmpLaunchHost host = { .monitor_fd = -1, .query_fd = -1 };

    if (!starts)
        return TRUE;
    if (revert->on && vmp_machine_get_row(revert->machine)->qmp_path)
        return vmp_fail(
            error, VMP_ERROR_UNSUPPORTED,
            "another process would be needed, and this one was not started by vmpoint");
    g_auto(GStrv) command = vmp_launch_command(revert->definition, &host, error);
    return command && vmp_tpm_check(revert->definition, error);
}

/* The step that loads has said why in a warning. */
static gboolean
fail_without_ram(VmpOperation *operation, GError **error)
{
    GPtrArray *warnings = operation ? vmp_operation_get_warnings(operation) : NULL;

    return vmp_fail(error, VMP_ERROR_DAMAGED, "%s",
                    warnings && warnings->len > 0
                        ? (const char *)g_ptr_array_index(warnings, warnings->len - 1)
                        : "the RAM could not be loaded: the domain is off");
}

static gboolean
finish(const Revert *revert, GError **error)
{
    VmpStartFlags flags = revert->end == VMP_STATE_PAUSED ? VMP_START_PAUSED : 0;

    if (has_memory(revert) && !vmp_machine_is_on(revert->machine))
        return fail_without_ram(vmp_machine_get_operation(revert->machine), error);

    if (revert->flags & VMP_SNAPSHOT_REVERT_RESET_NVRAM)
        flags |= VMP_START_RESET_NVRAM;
    if (revert->end == VMP_STATE_SHUTOFF || has_memory(revert) ||
        vmp_machine_start_with(revert->machine, revert->definition, flags, error))
        return TRUE;
    g_prefix_error(error,
                   "reverted to '%s', but it could not be started: ", revert->snapshot->name);
    return FALSE;
}

/* The definition of that moment with the images that the disks are going to write to. */
static gboolean
set_sources(const Revert *revert, VmpDomain *domain, const VmpDomain *present, GError **error)
{
    return vmp_revert_keep_uncovered(domain, revert->snapshot, present, error) &&
           vmp_past_set_sources(&revert->past, domain, error);
}

static gboolean
look(Revert *revert, GError **error)
{
    const VmpDomain *present = vmp_machine_get_definition(revert->machine, error);

    if (!present ||
        !vmp_revert_check_request(revert->machine, revert->snapshot, revert->flags, error) ||
        (revert->on && (!vmp_quiet_check_jobs(revert->machine, error) ||
                        !vmp_quiet_check_migration(revert->machine, error))) ||
        !vmp_revert_choose_definitions(revert->machine, revert->snapshot, present,
                                       &revert->definition, &revert->inactive, error))
        return FALSE;
    revert->end = vmp_revert_choose_end(revert->snapshot, revert->flags);
    revert->disks = vmp_internal_disks_look(revert->machine, error);
    return revert->disks &&
           vmp_past_look(revert->machine, revert->snapshot, revert->definition, revert->disks,
                         &revert->past, error) &&
           check_disks(revert, error) &&
           set_sources(revert, revert->definition, present, error) &&
           set_sources(revert, revert->inactive, present, error) &&
           vmp_part_look(revert->machine, revert->definition, revert->snapshot->name,
                         VMP_PARTS_NOT_NVRAM | (has_memory(revert) ? VMP_PARTS_IN_RAM : 0),
                         &revert->parts, error);
}

gboolean
vmp_point_revert_internal(VmpMachine *machine, const VmpSnapshot *snapshot,
                          VmpSnapshotRevertFlags flags, gboolean rehearse, GError **error)
{
    VmpOperation *operation = vmp_machine_get_operation(machine);
    gboolean dry_run = vmp_operation_get_dry_run(operation);
    g_auto(VmpChange) change = { .machine = machine, .operation = operation };
    g_auto(Revert) revert = { .machine = machine,
                              .snapshot = snapshot,
                              .flags = flags,
                              .on = vmp_machine_is_on(machine) };
    if (!look(&revert, error))
        return FALSE;

    g_autoptr(VmpPlan) plan =
        vmp_plan_new("snapshot-revert", vmp_machine_get_name(machine), snapshot->name);
    add_risks(plan, &revert, vmp_machine_get_definition(machine, NULL));
    if (!add_clone_risks(plan, &revert, error) || !check_startable(&revert, error) ||
        (!dry_run &&
         !vmp_plan_check_risks(plan, (flags & VMP_SNAPSHOT_REVERT_FORCE) != 0, error)))
        return FALSE;
    if (!vmp_change_begin_planning(&change, error) || !plan_steps(plan, &revert, error) ||
        !plan_edits(plan, &revert, error))
        return FALSE;
    return rehearse ||
           (vmp_plan_execute(plan, &change, error) && (dry_run || finish(&revert, error)));
}
