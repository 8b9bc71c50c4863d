/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "machine/session.h"
#include "point/checkpoint.h"
#include "point/record.h"
#include "point/tree.h"
#include "storage/bitmap.h"

void
vmp_checkpoint_info_free(VmpCheckpointInfo *info)
{
    if (!info)
        return;
    g_free(info->name);
    g_free(info->parent);
    g_free(info);
}

static VmpCheckpointInfo *
info_of_row(const VmpStorePoint *row)
{
    VmpCheckpointInfo *info = g_new0(VmpCheckpointInfo, 1);

    info->name = g_strdup(row->name);
    info->parent = g_strdup(row->parent);
    info->creation_time = row->creation_time;
    info->current = row->current;
    info->children = row->children;
    return info;
}

static gboolean
passes(const VmpStorePoint *row, guint flags)
{
    guint both = VMP_CHECKPOINT_LIST_LEAVES | VMP_CHECKPOINT_LIST_NO_LEAVES;
    guint wanted = flags & both;

    if (wanted == 0 || wanted == both)
        return TRUE;
    return (wanted == VMP_CHECKPOINT_LIST_LEAVES) == (row->children == 0);
}

static int
compare_names(gconstpointer a, gconstpointer b)
{
    const VmpCheckpointInfo *const *left = a;
    const VmpCheckpointInfo *const *right = b;

    return strcmp((*left)->name, (*right)->name);
}

static GPtrArray *
list_rows(VmpMachine *machine, GError **error)
{
    return vmp_store_list_points(vmp_machine_get_store(machine),
                                 vmp_machine_get_row(machine)->id, VMP_POINT_CHECKPOINT, FALSE,
                                 error);
}

GPtrArray *
vmp_point_list_checkpoints(VmpMachine *machine, const char *from, VmpCheckpointListFlags flags,
                           GError **error)
{
    g_autoptr(GPtrArray) rows = list_rows(machine, error);
    g_autoptr(GPtrArray) selected =
        rows ? vmp_tree_select(rows, from, (flags & VMP_CHECKPOINT_LIST_ROOTS) != 0, error)
             : NULL;
    if (!selected)
        return NULL;

    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)vmp_checkpoint_info_free);
    for (guint i = 0; i < selected->len; i++) {
        const VmpStorePoint *row = g_ptr_array_index(selected, i);
        if (passes(row, flags))
            g_ptr_array_add(list, info_of_row(row));
    }
    if (!(flags & VMP_CHECKPOINT_LIST_TOPOLOGICAL))
        g_ptr_array_sort(list, compare_names);
    return list;
}

VmpCheckpointInfo *
vmp_point_get_checkpoint_info(VmpMachine *machine, const char *name, GError **error)
{
    g_autoptr(GPtrArray) rows = list_rows(machine, error);
    VmpStorePoint *row = rows ? vmp_tree_find(rows, name) : NULL;

    if (!rows)
        return NULL;
    if (!row)
        return vmp_fail_null(error, VMP_ERROR_NOT_FOUND, "domain %s has no checkpoint '%s'",
                             vmp_machine_get_name(machine), name);

    VmpCheckpointInfo *info = info_of_row(row);
    g_autoptr(GPtrArray) below = vmp_tree_descendants(rows, name);
    info->descendants = below->len;
    return info;
}

/* ---- sizes ---- */

/* Bytes dirty since the checkpoint: each layer's bitmap counts what was written while it
 * was the active one, so the sum is an upper bound and exact for a single layer. */
static gboolean
measure_disk(VmpBlockSession *session, const VmpBlockGraph *graph, VmpCheckpointDisk *disk,
             const char *checkpoint, GError **error)
{
    const char *name = disk->bitmap ? disk->bitmap : checkpoint;
    const VmpBlockNode *top = vmp_block_session_image(session, graph, disk->name, error);
    g_autoptr(VmpBitmapChain) chain =
        top ? vmp_bitmap_chain_find(graph, top, name, error) : NULL;

    if (!chain)
        return FALSE;
    disk->size = 0;
    for (guint i = 0; i < chain->nodes->len; i++)
        disk->size += vmp_block_node_bitmap(g_ptr_array_index(chain->nodes, i), name)->count;
    return TRUE;
}

static gboolean
measure(VmpMachine *machine, VmpCheckpoint *checkpoint, GError **error)
{
    g_autoptr(VmpBlockSession) session = vmp_block_session_open(machine, error);
    g_autoptr(VmpBlockGraph) graph =
        session ? vmp_block_session_read_graph(session, error) : NULL;

    if (!graph)
        return FALSE;
    for (guint i = 0; checkpoint->disks && i < checkpoint->disks->len; i++) {
        VmpCheckpointDisk *disk = g_ptr_array_index(checkpoint->disks, i);
        if (disk->wanted && !measure_disk(session, graph, disk, checkpoint->name, error))
            return FALSE;
    }
    return TRUE;
}

char *
vmp_point_get_checkpoint_xml(VmpMachine *machine, const char *name,
                             VmpCheckpointFormatFlags flags, GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));
    g_autoptr(VmpCheckpoint) checkpoint = vmp_record_load_checkpoint(machine, name, error);

    if (!checkpoint)
        return NULL;
    if ((flags & VMP_CHECKPOINT_FORMAT_SIZE) && !measure(machine, checkpoint, error))
        return NULL;
    return vmp_checkpoint_format(checkpoint, flags);
}
