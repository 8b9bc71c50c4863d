/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the store is told once a revert has happened. */

#include <string.h>

#include "plan/sweep.h"
#include "point/definition.h"
#include "point/record.h"
#include "point/revert-private.h"
#include "point/snapshot.h"
#include "store/edit.h"
#include "xml/snapshot-disk.h"

/* Can @xml name @path at all?  A domain has hundreds of points, and to parse a definition
 * takes much longer than to search it; but a path that XML would escape is only found by
 * parsing. */
static gboolean
may_name(const char *xml, const char *path)
{
    for (const char *at = path; *at; at++)
        if (!g_ascii_isprint(*at) || strchr("&<>'\"", *at))
            return TRUE;
    return strstr(xml, path) != NULL;
}

gboolean
vmp_point_is_frozen_image(VmpMachine *machine, const char *path, gboolean *frozen,
                          GError **error)
{
    g_autoptr(GPtrArray) rows =
        vmp_store_list_points(vmp_machine_get_store(machine), vmp_machine_get_row(machine)->id,
                              VMP_POINT_SNAPSHOT, FALSE, error);

    *frozen = FALSE;
    for (guint i = 0; rows && i < rows->len && !*frozen; i++) {
        const VmpStorePoint *row = g_ptr_array_index(rows, i);
        g_autofree char *xml = row->definition
                                   ? vmp_store_get_definition(vmp_machine_get_store(machine),
                                                              row->definition, NULL, error)
                                   : g_strdup("");
        if (!xml)
            return FALSE;
        g_autoptr(VmpDomain) domain =
            may_name(xml, path) ? vmp_domain_parse(xml, -1, NULL) : NULL;
        *frozen = domain && vmp_domain_find_disk(domain, path) != NULL;
    }
    return rows != NULL;
}

/* The layers that are left: those that no snapshot froze go when all is settled. */
static gboolean
retire_present_layers(VmpPlan *plan, const VmpRevert *revert, const VmpDomain *present,
                      GError **error)
{
    for (guint i = 0; i < revert->branches->len; i++) {
        VmpJson *branch = g_ptr_array_index(revert->branches, i);
        const VmpDomainDisk *disk =
            vmp_domain_find_disk(present, vmp_json_get_string(branch, "disk"));
        gboolean frozen = TRUE;

        if (!disk || !disk->source ||
            g_str_equal(disk->source, vmp_json_get_string(branch, "backing")))
            continue;
        if (!vmp_point_is_frozen_image(revert->machine, disk->source, &frozen, error))
            return FALSE;
        if (!frozen)
            vmp_plan_retire_file(revert->machine, disk->source, plan->edits);
    }
    return TRUE;
}

gboolean
vmp_revert_keep_uncovered(VmpDomain *domain, const VmpSnapshot *snapshot,
                          const VmpDomain *present, GError **error)
{
    const GPtrArray *disks = vmp_domain_get_disks(present);

    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        if (disk->source && disk->type != VMP_STORAGE_BLOCK &&
            !vmp_revert_covers(snapshot, disk->target) &&
            vmp_domain_find_disk(domain, disk->target) &&
            !vmp_domain_set_disk_source(domain, disk->target, disk->source, disk->driver,
                                        error))
            return FALSE;
    }
    return TRUE;
}

/* Puts the new layers into @domain. */
static gboolean
set_sources(VmpDomain *domain, const VmpRevert *revert, const VmpDomain *present,
            GError **error)
{
    if (!vmp_revert_keep_uncovered(domain, revert->snapshot, present, error))
        return FALSE;
    for (guint i = 0; i < revert->branches->len; i++) {
        VmpJson *branch = g_ptr_array_index(revert->branches, i);
        if (!vmp_domain_find_disk(domain, vmp_json_get_string(branch, "disk")))
            continue;
        if (!vmp_domain_set_disk_source(domain, vmp_json_get_string(branch, "disk"),
                                        vmp_json_get_string(branch, "path"), "qcow2", error))
            return FALSE;
    }
    return TRUE;
}

/* The snapshot remembers its live layers: in `disks` if it is a leaf, else in `revertDisks`.
 */
static gboolean
edit_snapshot(VmpPlan *plan, VmpRevert *revert, GError **error)
{
    g_autoptr(VmpSnapshotInfo) info =
        vmp_point_get_snapshot_info(revert->machine, revert->snapshot->name, error);
    g_autoptr(VmpSnapshot) updated = vmp_snapshot_copy(revert->snapshot);
    if (!info)
        return FALSE;

    if (info->children > 0) {
        g_clear_pointer(&updated->revert_disks, g_ptr_array_unref);
        updated->revert_disks =
            g_ptr_array_new_with_free_func((GDestroyNotify)vmp_snapshot_disk_free);
    }
    for (guint i = 0; i < revert->branches->len; i++) {
        VmpJson *branch = g_ptr_array_index(revert->branches, i);
        const char *target = vmp_json_get_string(branch, "disk");
        VmpSnapshotDisk *disk = vmp_snapshot_find_disk(updated, target);

        if (info->children > 0) {
            disk = vmp_snapshot_disk_new(target);
            disk->location = VMP_LOCATION_EXTERNAL;
            g_ptr_array_add(updated->revert_disks, disk);
        }
        vmp_snapshot_disk_move(disk, vmp_json_get_string(branch, "path"), "qcow2");
    }

    g_autoptr(VmpStorePoint) row =
        vmp_record_to_snapshot_row(revert->machine, updated, TRUE, error);
    if (!row)
        return FALSE;
    vmp_store_edit_put_point(plan->edits, row);
    return TRUE;
}

gboolean
vmp_revert_plan_edits(VmpPlan *plan, VmpRevert *revert, const VmpDomain *present,
                      GError **error)
{
    gboolean active =
        vmp_revert_is_in_process(revert) || revert->way == VMP_REVERT_RAM_ELSEWHERE;
    gboolean persistent = vmp_machine_get_row(revert->machine)->inactive != 0;

    if (!set_sources(revert->definition, revert, present, error) ||
        !set_sources(revert->inactive, revert, present, error) ||
        !retire_present_layers(plan, revert, present, error))
        return FALSE;
    for (guint i = 0; i < revert->branches->len; i++) {
        VmpStoreFile file = {
            .path =
                (char *)vmp_json_get_string(g_ptr_array_index(revert->branches, i), "path"),
            .domain = vmp_machine_get_row(revert->machine)->id,
            .role = (char *)"overlay",
            .point = revert->snapshot->name,
        };
        vmp_store_edit_put_file(plan->edits, &file);
    }
    return vmp_definition_edit(revert->machine, active ? revert->definition : NULL,
                               persistent ? revert->inactive : NULL, plan->edits, error) &&
           edit_snapshot(plan, revert, error);
}
