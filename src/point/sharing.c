/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/sharing.h"

#include <string.h>

#include "base/error.h"
#include "point/tree.h"
#include "store/store.h"

/* Where the overlays of @row are; NULL with @error if its document does not parse. */
static GPtrArray *
list_overlays(const VmpStorePoint *row, GError **error)
{
    g_autoptr(VmpSnapshot) snapshot =
        vmp_snapshot_parse(row->body, -1, VMP_SNAPSHOT_PARSE_REDEFINE, error);
    if (!snapshot)
        return NULL;

    GPtrArray *overlays = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < snapshot->disks->len; i++) {
        const VmpSnapshotDisk *disk = g_ptr_array_index(snapshot->disks, i);
        if (disk->location == VMP_LOCATION_EXTERNAL && disk->source)
            g_ptr_array_add(overlays, g_strdup(disk->source));
    }
    return overlays;
}

/* Adds overlay -> name of the snapshot that goes. */
static gboolean
add_doomed(const VmpStorePoint *row, GHashTable *doomed, GError **error)
{
    g_autoptr(GPtrArray) overlays = list_overlays(row, error);

    for (guint i = 0; overlays && i < overlays->len; i++)
        g_hash_table_insert(doomed, g_strdup(g_ptr_array_index(overlays, i)),
                            g_strdup(row->name));
    return overlays != NULL;
}

static gboolean
check_row(const VmpStorePoint *row, GHashTable *doomed, GError **error)
{
    if (row->location != VMP_LOCATION_EXTERNAL)
        return TRUE;
    g_autoptr(GPtrArray) overlays = list_overlays(row, error);
    if (!overlays)
        return FALSE;

    for (guint i = 0; i < overlays->len; i++) {
        const char *other = g_hash_table_lookup(doomed, g_ptr_array_index(overlays, i));
        if (other && strcmp(other, row->name) != 0)
            return vmp_fail(
                error, VMP_ERROR_BUSY,
                "snapshot '%s' is of the same images as '%s', which would be lost with "
                "it: delete one of them with --metadata first",
                other, row->name);
    }
    return TRUE;
}

gboolean
vmp_sharing_check_delete(VmpMachine *machine, const char *name, VmpSnapshotDeleteFlags flags,
                         GError **error)
{
    const guint below = VMP_SNAPSHOT_DELETE_CHILDREN | VMP_SNAPSHOT_DELETE_CHILDREN_ONLY;
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));

    if (flags & VMP_SNAPSHOT_DELETE_METADATA_ONLY)
        return TRUE;
    g_autoptr(GPtrArray) rows =
        vmp_store_list_points(vmp_machine_get_store(machine), vmp_machine_get_row(machine)->id,
                              VMP_POINT_SNAPSHOT, TRUE, error);
    if (!rows)
        return FALSE;

    g_autoptr(GPtrArray) names = vmp_tree_names_to_delete(
        rows, name, (flags & below) != 0, !(flags & VMP_SNAPSHOT_DELETE_CHILDREN_ONLY));
    g_autoptr(GHashTable) doomed =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (guint i = 0; i < names->len; i++) {
        const VmpStorePoint *row = vmp_tree_find(rows, g_ptr_array_index(names, i));
        if (row && !add_doomed(row, doomed, error))
            return FALSE;
    }
    for (guint i = 0; g_hash_table_size(doomed) > 0 && i < rows->len; i++)
        if (!check_row(g_ptr_array_index(rows, i), doomed, error))
            return FALSE;
    return TRUE;
}
