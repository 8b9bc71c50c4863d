/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/moved.h"

#include "base/error.h"
#include "point/definition.h"
#include "point/record.h"
#include "point/tree.h"
#include "store/edit.h"
#include "xml/snapshot-disk.h"

static const VmpForestImage *
successor_of(const VmpStanding *standing, const char *path)
{
    const VmpForestImage *image = vmp_standing_find(standing, path);

    return image ? vmp_forest_successor(standing->forest, image) : NULL;
}

/* ---- definitions ---- */

/* A copy of @domain as it is now. */
static VmpDomain *
move_disks(const VmpDomain *domain, const VmpStanding *standing, GError **error)
{
    g_autoptr(VmpDomain) moved = vmp_domain_copy(domain);
    const GPtrArray *disks = vmp_domain_get_disks(domain);

    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        const VmpForestImage *successor = successor_of(standing, disk->source);
        if (successor && !vmp_domain_set_disk_source(moved, disk->target, successor->path,
                                                     successor->format, error))
            return NULL;
    }
    return g_steal_pointer(&moved);
}

static gboolean
move_definition(const VmpDomain *domain, const VmpStanding *standing, VmpDomain **moved,
                GError **error)
{
    *moved = domain ? move_disks(domain, standing, error) : NULL;
    return *moved != NULL;
}

gboolean
vmp_moved_edit_domain(VmpMachine *machine, const VmpStanding *standing, VmpJson *edits,
                      GError **error)
{
    g_autoptr(VmpDomain) active = NULL;
    g_autoptr(VmpDomain) inactive = NULL;

    if (standing->forest->merges->len == 0)
        return TRUE;
    if (vmp_machine_is_on(machine) &&
        !move_definition(vmp_machine_get_active(machine, error), standing, &active, error))
        return FALSE;
    if (vmp_machine_get_row(machine)->inactive &&
        !move_definition(vmp_machine_get_inactive(machine, error), standing, &inactive, error))
        return FALSE;
    return vmp_definition_edit(machine, active, inactive, edits, error);
}

/* ---- snapshots ---- */

static gboolean
move_text(char **xml, VmpDomainFormatFlags flags, const VmpStanding *standing, GError **error)
{
    g_autoptr(VmpDomain) domain = *xml ? vmp_domain_parse(*xml, -1, error) : NULL;
    g_autoptr(VmpDomain) moved = domain ? move_disks(domain, standing, error) : NULL;

    if (!*xml)
        return TRUE;
    if (!moved)
        return FALSE;
    g_free(*xml);
    *xml = vmp_domain_format(moved, VMP_DOMAIN_FORMAT_SECURE | flags);
    return TRUE;
}

static void
move_entries(const GPtrArray *entries, const VmpStanding *standing)
{
    for (guint i = 0; entries && i < entries->len; i++) {
        VmpSnapshotDisk *entry = g_ptr_array_index(entries, i);
        const VmpForestImage *successor = successor_of(standing, entry->source);
        if (successor)
            vmp_snapshot_disk_move(entry, successor->path, successor->format);
    }
}

/* The live layers of a leaf are its disks. */
static void
adopt_revert_disks(VmpSnapshot *snapshot)
{
    for (guint i = 0; i < snapshot->revert_disks->len; i++) {
        const VmpSnapshotDisk *live = g_ptr_array_index(snapshot->revert_disks, i);
        VmpSnapshotDisk *entry = vmp_snapshot_find_disk(snapshot, live->name);
        if (entry)
            vmp_snapshot_disk_move(entry, live->source, live->driver);
    }
    g_clear_pointer(&snapshot->revert_disks, g_ptr_array_unref);
}

static gboolean
becomes_leaf(const VmpStanding *standing, const VmpStandingPoint *point)
{
    g_autoptr(GPtrArray) below = vmp_tree_descendants(standing->rows, point->row->name);

    if (!point->has_revert_disks)
        return FALSE;
    for (guint i = 0; i < standing->points->len; i++) {
        const VmpStandingPoint *other = g_ptr_array_index(standing->points, i);
        if (!other->leaving && g_ptr_array_find(below, other->row, NULL))
            return FALSE;
    }
    return TRUE;
}

static gboolean
is_affected(const VmpStanding *standing, const VmpStandingPoint *point)
{
    for (guint i = 0; i < point->images->len; i++)
        if (vmp_forest_successor(standing->forest, g_ptr_array_index(point->images, i)))
            return TRUE;
    return becomes_leaf(standing, point);
}

static gboolean
edit_point(VmpMachine *machine, const VmpStanding *standing, const VmpStandingPoint *point,
           VmpJson *edits, GError **error)
{
    VMP_ERROR_CONTEXT(error, "snapshot '%s'", point->row->name);
    g_autoptr(VmpSnapshot) snapshot =
        vmp_record_from_snapshot_row(vmp_machine_get_store(machine), point->row, error);

    if (!snapshot || !move_text(&snapshot->domain_xml, 0, standing, error) ||
        !move_text(&snapshot->inactive_domain_xml, VMP_DOMAIN_FORMAT_INACTIVE_ROOT, standing,
                   error))
        return FALSE;
    move_entries(snapshot->disks, standing);
    move_entries(snapshot->revert_disks, standing);
    if (becomes_leaf(standing, point))
        adopt_revert_disks(snapshot);

    g_autoptr(VmpStorePoint) row =
        vmp_record_to_snapshot_row(machine, snapshot, point->row->current, error);
    if (!row)
        return FALSE;
    row->extra = g_strdup(point->row->extra);
    vmp_store_edit_put_point(edits, row);
    return TRUE;
}

gboolean
vmp_moved_edit_points(VmpMachine *machine, const VmpStanding *standing, VmpJson *edits,
                      GError **error)
{
    for (guint i = 0; i < standing->points->len; i++) {
        const VmpStandingPoint *point = g_ptr_array_index(standing->points, i);
        if (!point->leaving && is_affected(standing, point) &&
            !edit_point(machine, standing, point, edits, error))
            return FALSE;
    }
    return TRUE;
}
