/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"
#include "plan/executor.h"
#include "point/internal-disks.h"
#include "point/internal.h"
#include "point/quiet.h"
#include "point/record.h"
#include "point/steps.h"
#include "store/edit.h"

/* The image of that moment must be what the disk still writes to: another one may be held by
 * layers above it. */
static gboolean
check_disk(const GPtrArray *disks, const VmpDomain *past, const char *target, GError **error)
{
    const VmpDomainDisk *then = past ? vmp_domain_find_disk(past, target) : NULL;
    const VmpInternalDisk *now = vmp_internal_disks_find(disks, target);

    if (!now)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "disk '%s' is not the domain's any more (or not written to); only the "
                        "metadata of the snapshot can be deleted", target);
    if (then && g_strcmp0(then->source, now->path) != 0)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "disk '%s': its present image '%s' is not '%s', which the snapshot is in",
                        target, now->path ? now->path : now->node, then->source);
    return TRUE;
}

static gboolean
plan_snapshot(VmpJson *snapshots, VmpMachine *machine, const GPtrArray *disks, const char *name,
              GError **error)
{
    g_autoptr(VmpSnapshot) snapshot = vmp_record_load_snapshot(machine, name, error);
    if (!snapshot)
        return FALSE;

    g_autoptr(VmpDomain) past =
        snapshot->domain_xml ? vmp_domain_parse(snapshot->domain_xml, -1, NULL) : NULL;
    for (guint i = 0; i < snapshot->disks->len; i++) {
        const VmpSnapshotDisk *entry = g_ptr_array_index(snapshot->disks, i);
        if (entry->location == VMP_LOCATION_INTERNAL
            && !check_disk(disks, past, entry->name, error)) {
            g_prefix_error(error, "snapshot '%s': ", name);
            return FALSE;
        }
    }
    json_object_array_add(snapshots,
                          vmp_json_build("s:tag", name, "o:disks",
                                         vmp_internal_disks_to_json(disks, name), NULL));
    return TRUE;
}

gboolean
vmp_point_delete_internal(VmpMachine *machine, const GPtrArray *names, const char *subject,
                          GError **error)
{
    g_auto(VmpChange) change = { .machine = machine,
                                 .operation = vmp_machine_get_operation(machine) };
    if (vmp_machine_is_on(machine)
        && (!vmp_quiet_check_jobs(machine, error) || !vmp_quiet_check_migration(machine, error)))
        return FALSE;
    g_autoptr(GPtrArray) disks = vmp_internal_disks_look(machine, error);
    if (!disks)
        return FALSE;

    g_autoptr(VmpPlan) plan =
        vmp_plan_new("snapshot-delete", vmp_machine_get_name(machine), subject);
    g_autoptr(VmpJson) snapshots = json_object_new_array();
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        if (!plan_snapshot(snapshots, machine, disks, name, error))
            return FALSE;
        vmp_store_edit_remove_point(plan->edits, vmp_machine_get_row(machine)->id,
                                    VMP_POINT_SNAPSHOT, name);
    }
    vmp_plan_add_commit(plan, &vmp_step_delete_internal,
                        vmp_json_build("o:snapshots", json_object_get(snapshots), NULL));
    return vmp_plan_execute(plan, &change, error);
}
