/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/internal-snapshot.h"

void
vmp_internal_snapshot_free(VmpInternalSnapshot *snapshot)
{
    g_free(snapshot->tag);
    g_free(snapshot->id);
    g_free(snapshot);
}

GPtrArray *
vmp_internal_snapshots_from_json(VmpJson *array)
{
    GPtrArray *snapshots =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_internal_snapshot_free);

    for (guint i = 0; i < vmp_json_length(array); i++) {
        VmpJson *json = vmp_json_at(array, i);
        VmpInternalSnapshot *snapshot = g_new(VmpInternalSnapshot, 1);

        *snapshot = (VmpInternalSnapshot){
            .tag = g_strdup(vmp_json_get_string(json, "name")),
            .id = g_strdup(vmp_json_get_string(json, "id")),
            .vm_state_size = (guint64)vmp_json_get_int(json, "vm-state-size", 0),
            .date = vmp_json_get_int(json, "date-sec", 0),
        };
        g_ptr_array_add(snapshots, snapshot);
    }
    return snapshots;
}

const VmpInternalSnapshot *
vmp_internal_snapshots_find(const GPtrArray *snapshots, const char *tag)
{
    for (guint i = 0; i < snapshots->len; i++) {
        const VmpInternalSnapshot *snapshot = g_ptr_array_index(snapshots, i);
        if (g_strcmp0(snapshot->tag, tag) == 0)
            return snapshot;
    }
    return NULL;
}

gboolean
vmp_internal_snapshots_is_clear(const GPtrArray *snapshots, const char *tag)
{
    for (guint i = 0; i < snapshots->len; i++) {
        const VmpInternalSnapshot *snapshot = g_ptr_array_index(snapshots, i);
        if (g_strcmp0(snapshot->id, tag) == 0 && g_strcmp0(snapshot->tag, tag) != 0)
            return FALSE;
    }
    return TRUE;
}
