/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/revert.h"

#include "base/error.h"
#include "machine/launch.h"
#include "machine/tpm.h"
#include "plan/executor.h"
#include "point/internal.h"
#include "point/memory.h"
#include "point/quiet.h"
#include "point/record.h"
#include "point/revert-private.h"
#include "point/revert-request.h"
#include "point/snapshot.h"
#include "point/steps.h"

static void
revert_clear(VmpRevert *revert)
{
    g_clear_pointer(&revert->snapshot, vmp_snapshot_free);
    g_clear_pointer(&revert->definition, vmp_domain_free);
    g_clear_pointer(&revert->inactive, vmp_domain_free);
    g_clear_pointer(&revert->branches, g_ptr_array_unref);
    g_clear_pointer(&revert->changed, g_ptr_array_unref);
    g_clear_pointer(&revert->graph, vmp_block_graph_free);
    vmp_part_past_clear(&revert->parts);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmpRevert, revert_clear)

static gboolean
has_memory(const VmpRevert *revert)
{
    return vmp_revert_has_memory(revert->snapshot);
}

static void
choose_way(VmpRevert *revert, const VmpDomain *active)
{
    revert->end = vmp_revert_choose_end(revert->snapshot, revert->flags);

    gboolean can_stay = active && vmp_launch_same_abi(active, revert->definition, NULL) &&
                        !vmp_domain_has_genid(revert->definition) &&
                        (has_memory(revert) || !revert->parts.differ) &&
                        !(revert->flags & VMP_SNAPSHOT_REVERT_RESET_NVRAM);
    if (has_memory(revert))
        revert->way = can_stay ? VMP_REVERT_RAM_IN_PROCESS : VMP_REVERT_RAM_ELSEWHERE;
    else if (!active)
        revert->way = VMP_REVERT_OFFLINE;
    else if (revert->end == VMP_STATE_SHUTOFF)
        revert->way = VMP_REVERT_TO_OFF;
    else
        revert->way = can_stay ? VMP_REVERT_IN_PROCESS : VMP_REVERT_NEW_PROCESS;
}

/* The process that runs is to be replaced by one that the guest lives on in. */
static gboolean
needs_new_process(const VmpRevert *revert)
{
    return revert->way == VMP_REVERT_NEW_PROCESS ||
           (revert->way == VMP_REVERT_RAM_ELSEWHERE && vmp_machine_is_on(revert->machine));
}

gboolean
vmp_revert_is_in_process(const VmpRevert *revert)
{
    return revert->way == VMP_REVERT_IN_PROCESS || revert->way == VMP_REVERT_RAM_IN_PROCESS;
}

/* ---- risks ---- */

gboolean
vmp_revert_covers(const VmpSnapshot *snapshot, const char *target)
{
    const VmpSnapshotDisk *disk = vmp_snapshot_find_disk(snapshot, target);

    return disk && disk->location != VMP_LOCATION_NO && disk->location != VMP_LOCATION_UNSET;
}

static void
add_uncovered_risks(VmpPlan *plan, const VmpRevert *revert, const VmpDomain *present)
{
    const GPtrArray *disks = vmp_domain_get_disks(present);

    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        if (disk->source && !disk->readonly &&
            !vmp_revert_covers(revert->snapshot, disk->target))
            vmp_plan_add_risk(
                plan, "uncovered-disk", TRUE,
                "disk '%s' is not part of the snapshot: its content stays what it is now",
                disk->target);
    }
}

static void
add_risks(VmpPlan *plan, const VmpRevert *revert, const VmpDomain *present,
          const VmpDomain *active)
{
    g_autofree char *difference = NULL;

    if (!revert->snapshot->domain_xml)
        vmp_plan_add_risk(
            plan, "no-domain", TRUE,
            "the snapshot has no complete <domain>: the present definition would be used");
    if (needs_new_process(revert)) {
        if (!vmp_launch_same_abi(active, revert->definition, &difference))
            vmp_plan_add_risk(plan, "abi-change", TRUE,
                              "the guest would see another machine (%s)", difference);
        else if (vmp_domain_has_genid(revert->definition))
            vmp_plan_add_risk(plan, "genid", TRUE,
                              "the running process cannot change its VM generation id");
        vmp_plan_add_risk(plan, "new-process", TRUE,
                          "the running process would be replaced%s: connections to it break",
                          !has_memory(revert) && revert->parts.differ
                              ? ", for it reads only once what its firmware or TPM remembers"
                              : "");
    }
    add_uncovered_risks(plan, revert, present);
    for (guint i = 0; i < revert->changed->len; i++)
        vmp_plan_add_risk(plan, "base-changed", TRUE,
                          "image '%s', which the snapshot relies on, was written to since",
                          (const char *)g_ptr_array_index(revert->changed, i));
}

/* ---- steps ---- */

static VmpJson *
branches_to_json(const VmpRevert *revert)
{
    VmpJson *images = json_object_new_array();

    for (guint i = 0; i < revert->branches->len; i++)
        json_object_array_add(images, json_object_get(g_ptr_array_index(revert->branches, i)));
    return images;
}

static gboolean
plan_steps(VmpPlan *plan, const VmpRevert *revert, GError **error)
{
    vmp_plan_add(plan, &vmp_step_create_branches,
                 vmp_json_build("o:images", branches_to_json(revert), NULL));

    if (!vmp_revert_is_in_process(revert))
        vmp_part_plan_stage(plan, &revert->parts);
    switch (revert->way) {
    case VMP_REVERT_OFFLINE: /* without any part the store's edits are the commit */
        vmp_part_plan_put(plan, &revert->parts);
        return TRUE;
    case VMP_REVERT_RAM_IN_PROCESS:
    case VMP_REVERT_RAM_ELSEWHERE:
        return TRUE; /* see plan_memory() */
    case VMP_REVERT_IN_PROCESS:
        return vmp_revert_plan_in_process(plan, revert, 0, error);
    case VMP_REVERT_NEW_PROCESS:
    case VMP_REVERT_TO_OFF:
        vmp_plan_add_commit(plan, &vmp_step_end_process, NULL);
        vmp_part_plan_put(plan, &revert->parts);
        return TRUE;
    }
    g_assert_not_reached();
}

/* ---- the whole ---- */

static gboolean
look(VmpRevert *revert, const char *name, GError **error)
{
    revert->snapshot = vmp_record_load_snapshot(revert->machine, name, error);
    if (!revert->snapshot ||
        !vmp_revert_check_request(revert->machine, revert->snapshot, revert->flags, error))
        return FALSE;
    if (!vmp_machine_is_on(revert->machine))
        return TRUE;

    VmpQmpClient *monitor = vmp_machine_get_monitor(revert->machine, error);
    if (!monitor || !vmp_quiet_check_jobs(revert->machine, error))
        return FALSE;
    revert->graph = vmp_machine_read_graph(revert->machine, monitor, error);
    return revert->graph != NULL;
}

static gboolean
start_if_asked(const VmpRevert *revert, GError **error)
{
    VmpStartFlags flags = revert->end == VMP_STATE_PAUSED ? VMP_START_PAUSED : 0;

    if (vmp_revert_is_in_process(revert) || revert->way == VMP_REVERT_RAM_ELSEWHERE ||
        revert->end == VMP_STATE_SHUTOFF)
        return TRUE;
    if (revert->flags & VMP_SNAPSHOT_REVERT_RESET_NVRAM)
        flags |= VMP_START_RESET_NVRAM;
    if (vmp_machine_start_with(revert->machine, revert->definition, flags, error))
        return TRUE;
    g_prefix_error(error,
                   "reverted to '%s', but it could not be started: ", revert->snapshot->name);
    return FALSE;
}

/* A definition that could not be launched is found out before anything is let go. */
static gboolean
check_startable(const VmpRevert *revert, GError **error)
{
    VmpLaunchHost host = { .monitor_fd = -1, .query_fd = -1 };

    if (revert->end == VMP_STATE_SHUTOFF || vmp_revert_is_in_process(revert))
        return TRUE;
    g_auto(GStrv) command = vmp_launch_command(revert->definition, &host, error);
    return command && vmp_tpm_check(revert->definition, error);
}

static gboolean
check_memory(const VmpRevert *revert, GError **error)
{
    if (!has_memory(revert))
        return TRUE;
    if (revert->way == VMP_REVERT_RAM_IN_PROCESS)
        return vmp_quiet_check_migration(revert->machine, error) &&
               vmp_memory_check_file(revert->machine, revert->snapshot->memory_file, error);
    return vmp_memory_check_load(revert->machine, revert->definition,
                                 revert->snapshot->memory_file, error);
}

/* Now that the definition has the new layers. */
static gboolean
plan_memory(VmpPlan *plan, const VmpRevert *revert, GError **error)
{
    if (!has_memory(revert))
        return TRUE;

    gint64 definition = vmp_memory_put_definition(revert->machine, revert->definition, error);
    if (definition == 0)
        return FALSE;
    if (revert->way == VMP_REVERT_RAM_IN_PROCESS)
        return vmp_revert_plan_in_process(plan, revert, definition, error);
    vmp_memory_plan_load(plan, definition, revert->snapshot->memory_file, &revert->parts,
                         revert->end == VMP_STATE_RUNNING);
    return TRUE;
}

static gboolean
revert_external(VmpMachine *machine, const char *name, VmpSnapshotRevertFlags flags,
                gboolean rehearse, GError **error)
{
    VmpOperation *operation = vmp_machine_get_operation(machine);
    g_auto(VmpRevert) revert = { .machine = machine, .flags = flags };
    const VmpDomain *present = vmp_machine_get_definition(machine, error);
    if (!present || !look(&revert, name, error) ||
        !vmp_revert_choose_definitions(machine, revert.snapshot, present, &revert.definition,
                                       &revert.inactive, error) ||
        !vmp_part_look(machine, revert.definition, name,
                       (flags & VMP_SNAPSHOT_REVERT_RESET_NVRAM ? VMP_PARTS_NOT_NVRAM : 0) |
                           (has_memory(&revert) ? VMP_PARTS_IN_RAM : 0),
                       &revert.parts, error))
        return FALSE;

    const VmpDomain *active = vmp_machine_is_on(machine) ? present : NULL;
    choose_way(&revert, active);

    g_autoptr(VmpPlan) plan =
        vmp_plan_new("snapshot-revert", vmp_machine_get_name(machine), name);
    g_auto(VmpChange) change = { .machine = machine, .operation = operation };
    if (!vmp_revert_plan_branches(&revert, error))
        return FALSE;
    add_risks(plan, &revert, present, active);
    if (!plan_steps(plan, &revert, error) || !check_startable(&revert, error) ||
        !check_memory(&revert, error))
        return FALSE;
    if (!vmp_operation_get_dry_run(operation) &&
        !vmp_plan_check_risks(plan, (flags & VMP_SNAPSHOT_REVERT_FORCE) != 0, error))
        return FALSE;
    if (!vmp_change_begin_planning(&change, error) ||
        !vmp_revert_plan_edits(plan, &revert, present, error) ||
        !plan_memory(plan, &revert, error))
        return FALSE;
    return rehearse ||
           (vmp_plan_execute(plan, &change, error) &&
            (vmp_operation_get_dry_run(operation) || start_if_asked(&revert, error)));
}

gboolean
vmp_revert_carry_out(VmpMachine *machine, const char *name, VmpSnapshotRevertFlags flags,
                     gboolean rehearse, GError **error)
{
    g_autoptr(VmpSnapshot) snapshot = vmp_record_load_snapshot(machine, name, error);

    if (!snapshot)
        return FALSE;
    return vmp_internal_is(snapshot)
               ? vmp_point_revert_internal(machine, snapshot, flags, rehearse, error)
               : revert_external(machine, name, flags, rehearse, error);
}

gboolean
vmp_point_revert(VmpMachine *machine, const char *name, VmpSnapshotRevertFlags flags,
                 const char *save_current, GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));

    return save_current ? vmp_revert_save_first(machine, name, flags, save_current, error)
                        : vmp_revert_carry_out(machine, name, flags, FALSE, error);
}
