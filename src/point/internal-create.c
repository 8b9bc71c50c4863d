/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "plan/executor.h"
#include "point/internal-disks.h"
#include "point/internal.h"
#include "point/part.h"
#include "point/quiet.h"
#include "point/record.h"
#include "point/steps.h"
#include "store/edit.h"

/* qcow2 keeps that much of a name, and QEMU cuts the rest off without a word. */
#define MAX_TAG 255
/* QEMU takes a tag for an id where one fits; ids are counted from 1. */
#define MAX_ID_DIGITS 9

gboolean
vmp_internal_is(const VmpSnapshot *snapshot)
{
    return vmp_snapshot_get_location(snapshot) == VMP_LOCATION_INTERNAL;
}

static gboolean
check_tag(const char *tag, GError **error)
{
    gsize length = strlen(tag);

    if (length > MAX_TAG)
        return vmp_fail(
            error, VMP_ERROR_UNSUPPORTED,
            "an image cannot keep a name of %zu bytes for an internal snapshot (%d "
            "at most)",
            length, MAX_TAG);
    if (length <= MAX_ID_DIGITS && strspn(tag, "0123456789") == length)
        return vmp_fail(
            error, VMP_ERROR_UNSUPPORTED,
            "'%s': QEMU could take that name of an internal snapshot for the number "
            "of another",
            tag);
    return TRUE;
}

static gboolean
check_disk(const VmpInternalDisk *disk, const char *tag, GError **error)
{
    if (g_strcmp0(disk->format, "qcow2") != 0)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "disk '%s': an internal snapshot needs a qcow2 image, '%s' is %s",
                        disk->disk, disk->path ? disk->path : disk->node, disk->format);
    if (!disk->path)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "disk '%s': no internal snapshot of an image that is not on this host",
                        disk->disk);
    if (vmp_internal_snapshots_find(disk->snapshots, tag))
        return vmp_fail(error, VMP_ERROR_EXISTS,
                        "disk '%s': image '%s' has an internal snapshot '%s' already",
                        disk->disk, disk->path, tag);
    return TRUE;
}

static gboolean
check_disks(const GPtrArray *disks, const VmpSnapshot *snapshot, GError **error)
{
    for (guint i = 0; i < snapshot->disks->len; i++) {
        const VmpSnapshotDisk *entry = g_ptr_array_index(snapshot->disks, i);
        if (entry->location == VMP_LOCATION_INTERNAL &&
            !vmp_internal_disks_find(disks, entry->name))
            return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                            "disk '%s' is not open for writing: no internal snapshot of it",
                            entry->name);
    }
    for (guint i = 0; i < disks->len; i++)
        if (!check_disk(g_ptr_array_index(disks, i), snapshot->name, error))
            return FALSE;
    if (disks->len == 0)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "there is no image that an internal snapshot could be kept in");
    return TRUE;
}

gboolean
vmp_point_create_internal(VmpMachine *machine, const VmpSnapshot *snapshot,
                          VmpSnapshotCreateFlags flags, GError **error)
{
    g_auto(VmpChange)
        change = { .machine = machine, .operation = vmp_machine_get_operation(machine) };
    gboolean on = vmp_machine_is_on(machine);

    if (!check_tag(snapshot->name, error) ||
        (on && (!vmp_quiet_check_jobs(machine, error) ||
                !vmp_quiet_check_migration(machine, error))))
        return FALSE;
    g_autoptr(GPtrArray) disks = vmp_internal_disks_look(machine, error);
    if (!disks || !check_disks(disks, snapshot, error))
        return FALSE;

    g_autoptr(VmpPlan) plan =
        vmp_plan_new("snapshot-create", vmp_machine_get_name(machine), snapshot->name);
    /* The variables are in an image of their own, which has the tag as well. */
    gboolean forgotten = (flags & VMP_SNAPSHOT_CREATE_NO_METADATA) != 0;
    if (!vmp_part_plan_keep(plan, machine, snapshot->name,
                            VMP_PARTS_NOT_NVRAM | (on ? VMP_PARTS_IN_RAM : 0) |
                                (forgotten ? VMP_PARTS_FORGOTTEN : 0),
                            error))
        return FALSE;
    vmp_plan_add_commit(plan, &vmp_step_save_internal,
                        vmp_json_build("s:tag", snapshot->name, "o:disks",
                                       vmp_internal_disks_to_json(disks, NULL), NULL));
    vmp_part_plan_seal(plan);
    if (!vmp_change_begin_planning(&change, error))
        return FALSE;
    if (!forgotten) {
        g_autoptr(VmpStorePoint) row =
            vmp_record_to_snapshot_row(machine, snapshot, TRUE, error);
        if (!row)
            return FALSE;
        vmp_store_edit_put_point(plan->edits, row);
    }
    if (!vmp_plan_execute(plan, &change, error))
        return FALSE;
    return !(flags & VMP_SNAPSHOT_CREATE_HALT) || !on ||
           vmp_operation_get_dry_run(change.operation) ||
           vmp_machine_destroy(machine, 0, error);
}
