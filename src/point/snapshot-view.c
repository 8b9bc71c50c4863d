/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "point/part.h"
#include "point/record.h"
#include "point/snapshot.h"
#include "point/tree.h"

void
vmp_snapshot_info_free(VmpSnapshotInfo *info)
{
    if (!info)
        return;
    g_free(info->name);
    g_free(info->parent);
    g_strfreev(info->parts);
    g_free(info);
}

static VmpSnapshotInfo *
info_of_row(const VmpStorePoint *row)
{
    VmpSnapshotInfo *info = g_new0(VmpSnapshotInfo, 1);

    info->name = g_strdup(row->name);
    info->parent = g_strdup(row->parent);
    info->creation_time = row->creation_time;
    if (row->state)
        vmp_state_from_name(row->state, &info->state);
    info->location = (VmpLocation)row->location;
    info->current = row->current;
    info->has_domain = row->definition != 0;
    info->children = row->children;
    return info;
}

/* ---- filters ----
 *
 * Flags come in groups; a group with no bit or with all bits set does not filter. */

static gboolean
group_passes(guint flags, guint group, guint bits_of_row)
{
    guint wanted = flags & group;

    return wanted == 0 || wanted == group || (wanted & bits_of_row) != 0;
}

static guint
status_bit(VmpState state)
{
    if (state == VMP_STATE_SHUTOFF)
        return VMP_SNAPSHOT_LIST_INACTIVE;
    return state == VMP_STATE_DISK_SNAPSHOT ? VMP_SNAPSHOT_LIST_DISK_ONLY
                                            : VMP_SNAPSHOT_LIST_ACTIVE;
}

static gboolean
passes(const VmpSnapshotInfo *info, guint flags)
{
    return group_passes(flags, VMP_SNAPSHOT_LIST_METADATA | VMP_SNAPSHOT_LIST_NO_METADATA,
                        VMP_SNAPSHOT_LIST_METADATA) &&
           group_passes(flags, VMP_SNAPSHOT_LIST_LEAVES | VMP_SNAPSHOT_LIST_NO_LEAVES,
                        info->children ? VMP_SNAPSHOT_LIST_NO_LEAVES
                                       : VMP_SNAPSHOT_LIST_LEAVES) &&
           group_passes(flags,
                        VMP_SNAPSHOT_LIST_INACTIVE | VMP_SNAPSHOT_LIST_ACTIVE |
                            VMP_SNAPSHOT_LIST_DISK_ONLY,
                        status_bit(info->state)) &&
           group_passes(flags, VMP_SNAPSHOT_LIST_INTERNAL | VMP_SNAPSHOT_LIST_EXTERNAL,
                        info->location == VMP_LOCATION_EXTERNAL ? VMP_SNAPSHOT_LIST_EXTERNAL
                                                                : VMP_SNAPSHOT_LIST_INTERNAL);
}

static int
compare_names(gconstpointer a, gconstpointer b)
{
    const VmpSnapshotInfo *const *left = a;
    const VmpSnapshotInfo *const *right = b;

    return strcmp((*left)->name, (*right)->name);
}

static GPtrArray *
list_rows(VmpMachine *machine, GError **error)
{
    return vmp_store_list_points(vmp_machine_get_store(machine),
                                 vmp_machine_get_row(machine)->id, VMP_POINT_SNAPSHOT, FALSE,
                                 error);
}

GPtrArray *
vmp_point_list_snapshots(VmpMachine *machine, const char *from, VmpSnapshotListFlags flags,
                         GError **error)
{
    g_autoptr(GPtrArray) rows = list_rows(machine, error);
    g_autoptr(GPtrArray) selected =
        rows ? vmp_tree_select(rows, from, (flags & VMP_SNAPSHOT_LIST_ROOTS) != 0, error)
             : NULL;
    if (!selected)
        return NULL;

    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)vmp_snapshot_info_free);
    for (guint i = 0; i < selected->len; i++) {
        g_autoptr(VmpSnapshotInfo) info = info_of_row(g_ptr_array_index(selected, i));
        if (passes(info, flags))
            g_ptr_array_add(list, g_steal_pointer(&info));
    }
    if (!(flags & VMP_SNAPSHOT_LIST_TOPOLOGICAL))
        g_ptr_array_sort(list, compare_names);
    return list;
}

VmpSnapshotInfo *
vmp_point_get_snapshot_info(VmpMachine *machine, const char *name, GError **error)
{
    g_autoptr(GPtrArray) rows = list_rows(machine, error);
    if (!rows)
        return NULL;

    VmpStorePoint *row = name ? vmp_tree_find(rows, name) : NULL;
    for (guint i = 0; !name && !row && i < rows->len; i++) {
        VmpStorePoint *candidate = g_ptr_array_index(rows, i);
        row = candidate->current ? candidate : NULL;
    }
    if (!row && name)
        return vmp_fail_null(error, VMP_ERROR_NOT_FOUND, "domain %s has no snapshot '%s'",
                             vmp_machine_get_name(machine), name);
    if (!row)
        return vmp_fail_null(error, VMP_ERROR_NOT_FOUND, "domain %s has no current snapshot",
                             vmp_machine_get_name(machine));

    g_autoptr(VmpSnapshotInfo) info = info_of_row(row);
    g_autoptr(GPtrArray) below = vmp_tree_descendants(rows, row->name);
    info->descendants = below->len;
    info->parts = vmp_part_names(machine, row->name, error);
    return info->parts ? g_steal_pointer(&info) : NULL;
}

char *
vmp_point_get_snapshot_xml(VmpMachine *machine, const char *name, VmpSnapshotFormatFlags flags,
                           GError **error)
{
    g_autoptr(VmpSnapshot) snapshot = vmp_record_load_snapshot(machine, name, error);

    return snapshot ? vmp_snapshot_format(snapshot, flags) : NULL;
}

gboolean
vmp_point_set_current_snapshot(VmpMachine *machine, const char *name, GError **error)
{
    if (vmp_operation_get_dry_run(vmp_machine_get_operation(machine))) {
        gboolean exists = FALSE;
        if (!vmp_record_exists(machine, VMP_POINT_SNAPSHOT, name, &exists, error))
            return FALSE;
        return exists || vmp_fail(error, VMP_ERROR_NOT_FOUND, "domain %s has no snapshot '%s'",
                                  vmp_machine_get_name(machine), name);
    }
    return vmp_store_set_current_point(vmp_machine_get_store(machine),
                                       vmp_machine_get_row(machine)->id, VMP_POINT_SNAPSHOT,
                                       name, error);
}
