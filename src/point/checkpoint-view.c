/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "machine/session.h"
#include "point/checkpoint.h"
#include "point/mark.h"
#include "point/record.h"
#include "point/tree.h"
#include "qmp/transaction.h"
#include "storage/bitmap.h"

void
vmp_checkpoint_info_free(VmpCheckpointInfo *info)
{
    if (!info)
        return;
    g_free(info->name);
    g_free(info->parent);
    g_clear_pointer(&info->disks, g_ptr_array_unref);
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

    g_autoptr(GPtrArray) list =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_checkpoint_info_free);
    for (guint i = 0; i < selected->len; i++) {
        const VmpStorePoint *row = g_ptr_array_index(selected, i);
        if (passes(row, flags))
            g_ptr_array_add(list, info_of_row(row));
    }
    if (!(flags & VMP_CHECKPOINT_LIST_TOPOLOGICAL))
        g_ptr_array_sort(list, compare_names);
    if ((flags & VMP_CHECKPOINT_LIST_STATE) &&
        !vmp_point_judge_checkpoints(machine, list, error))
        return NULL;
    return g_steal_pointer(&list);
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

    g_autoptr(GPtrArray) one =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_checkpoint_info_free);
    g_autoptr(GPtrArray) below = vmp_tree_descendants(rows, name);
    VmpCheckpointInfo *info = info_of_row(row);
    info->descendants = below->len;
    g_ptr_array_add(one, info);
    return vmp_point_judge_checkpoints(machine, one, error) ? g_ptr_array_steal_index(one, 0)
                                                            : NULL;
}

/* ---- sizes ---- */

VmpBitmapChain *
vmp_point_checkpoint_chain(VmpMachine *machine, const VmpBlockGraph *graph,
                           const VmpBlockNode *top, const char *disk, const char *checkpoint,
                           GError **error)
{
    VMP_ERROR_CONTEXT(error, "disk '%s'", disk);
    g_autoptr(VmpStorePoint) row =
        vmp_store_find_point(vmp_machine_get_store(machine), vmp_machine_get_row(machine)->id,
                             VMP_POINT_CHECKPOINT, checkpoint, error);
    g_autoptr(GPtrArray) marks = row ? vmp_marks_of_row(row, error) : NULL;
    if (!marks)
        return NULL;

    const VmpMark *mark = vmp_marks_find(marks, disk);
    if (!mark)
        return vmp_fail_null(error, VMP_ERROR_INCONSISTENT,
                             "it was not part of checkpoint '%s'", checkpoint);

    VmpBitmapChain *chain = vmp_mark_find_chain(mark, graph, top, error);
    if (!chain)
        g_prefix_error(error, "what changed since checkpoint '%s' is not known: ", checkpoint);
    return chain;
}

/* A bitmap of ours that lives while we count; no checkpoint's name begins with a dot. */
#define SIZE_BITMAP ".vmpoint-size"

typedef struct {
    VmpBlockSession *session;
    VmpBlockGraph *graph;
    VmpQmpTransaction *merge;
    const char *checkpoint;
} Measure;

static void
measure_clear(Measure *measure)
{
    g_clear_pointer(&measure->graph, vmp_block_graph_free);
    g_clear_pointer(&measure->session, vmp_block_session_free);
    g_clear_pointer(&measure->merge, vmp_qmp_transaction_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Measure, measure_clear)

static gboolean
read_graph_again(Measure *measure, GError **error)
{
    g_clear_pointer(&measure->graph, vmp_block_graph_free);
    measure->graph = vmp_block_session_read_graph(measure->session, error);
    return measure->graph != NULL;
}

/* Also those of one that was killed while it counted. */
static gboolean
remove_size_bitmaps(const Measure *measure, GError **error)
{
    g_autoptr(VmpQmpTransaction) removal = vmp_qmp_transaction_new();
    const GPtrArray *nodes = vmp_block_graph_nodes(measure->graph);

    for (guint i = 0; i < nodes->len; i++) {
        const VmpBlockNode *node = g_ptr_array_index(nodes, i);
        if (vmp_block_node_bitmap(node, SIZE_BITMAP))
            vmp_qmp_transaction_bitmap_remove(removal, node->name, SIZE_BITMAP);
    }
    return vmp_qmp_transaction_run(removal, vmp_block_session_get_client(measure->session),
                                   error);
}

/* Each layer's bitmap counts what was written while it was the active one, and what was
 * written in two of them counts once: only their union tells. */
static gboolean
plan_merge(Measure *measure, const VmpCheckpointDisk *disk, GError **error)
{
    const char *name = disk->bitmap ? disk->bitmap : measure->checkpoint;
    const VmpBlockNode *top =
        vmp_block_session_image(measure->session, measure->graph, disk->name, error);
    g_autoptr(VmpBitmapChain) chain =
        top ? vmp_point_checkpoint_chain(vmp_block_session_get_machine(measure->session),
                                         measure->graph, top, disk->name, measure->checkpoint,
                                         error)
            : NULL;

    if (!chain)
        return FALSE;
    vmp_qmp_transaction_bitmap_add(measure->merge, top->name, SIZE_BITMAP, VMP_BITMAP_DISABLED,
                                   chain->granularity);
    for (guint i = 0; i < chain->nodes->len; i++) {
        const VmpBlockNode *layer = g_ptr_array_index(chain->nodes, i);
        vmp_qmp_transaction_bitmap_merge(measure->merge, top->name, SIZE_BITMAP, layer->name,
                                         name);
    }
    return TRUE;
}

static gboolean
read_size(const Measure *measure, VmpCheckpointDisk *disk, GError **error)
{
    const VmpBlockNode *top =
        vmp_block_session_image(measure->session, measure->graph, disk->name, error);
    const VmpBitmap *size = top ? vmp_block_node_bitmap(top, SIZE_BITMAP) : NULL;

    if (!size)
        return top && vmp_fail(error, VMP_ERROR_INCONSISTENT,
                               "disk '%s': the bitmap that counts has gone", disk->name);
    disk->size = size->count;
    return TRUE;
}

static gboolean
for_each_disk(Measure *measure, VmpCheckpoint *checkpoint, gboolean plan, GError **error)
{
    for (guint i = 0; checkpoint->disks && i < checkpoint->disks->len; i++) {
        VmpCheckpointDisk *disk = g_ptr_array_index(checkpoint->disks, i);
        if (disk->wanted &&
            !(plan ? plan_merge(measure, disk, error) : read_size(measure, disk, error)))
            return FALSE;
    }
    return TRUE;
}

static gboolean
measure_sizes(VmpMachine *machine, VmpCheckpoint *checkpoint, GError **error)
{
    g_auto(Measure) measure = { .session = vmp_block_session_open(machine, error),
                                .merge = vmp_qmp_transaction_new(),
                                .checkpoint = checkpoint->name };

    if (!measure.session || !read_graph_again(&measure, error) ||
        !remove_size_bitmaps(&measure, error) ||
        !for_each_disk(&measure, checkpoint, TRUE, error) ||
        !vmp_qmp_transaction_run(measure.merge, vmp_block_session_get_client(measure.session),
                                 error) ||
        !read_graph_again(&measure, error))
        return FALSE;

    gboolean read = for_each_disk(&measure, checkpoint, FALSE, error);
    return remove_size_bitmaps(&measure, read ? error : NULL) && read;
}

char *
vmp_point_get_checkpoint_xml(VmpMachine *machine, const char *name,
                             VmpCheckpointFormatFlags flags, GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));
    g_autoptr(VmpCheckpoint) checkpoint = vmp_record_load_checkpoint(machine, name, error);

    if (!checkpoint)
        return NULL;
    if ((flags & VMP_CHECKPOINT_FORMAT_SIZE) && !measure_sizes(machine, checkpoint, error))
        return NULL;
    return vmp_checkpoint_format(checkpoint, flags);
}
