/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/merge-bitmaps.h"

#include "point/merge-job.h"
#include "qmp/transaction.h"

/* Adds to @transaction what gives @to the bitmaps of @from.  A commit makes those that @to
 * lacks; a stream does not: what was never recorded above has a gap in it anyway. */
static void
carry_bitmaps(VmpQmpTransaction *transaction, const VmpBlockNode *from, const VmpBlockNode *to,
              GHashTable *made, GHashTable *broken)
{
    for (guint i = 0; i < from->bitmaps->len; i++) {
        const VmpBitmap *bitmap = g_ptr_array_index(from->bitmaps, i);
        const VmpBitmap *there = vmp_block_node_bitmap(to, bitmap->name);
        if (g_hash_table_contains(broken, bitmap->name))
            continue;
        if (!bitmap->persistent || bitmap->inconsistent || (there && there->inconsistent) ||
            (!there && !made))
            continue;
        if (!there && g_hash_table_add(made, g_strdup(bitmap->name)))
            vmp_qmp_transaction_bitmap_add(transaction, to->name, bitmap->name,
                                           VMP_BITMAP_PERSISTENT, bitmap->granularity);
        vmp_qmp_transaction_bitmap_merge(transaction, to->name, bitmap->name, from->name,
                                         bitmap->name);
    }
}

/* QEMU does not put bitmaps of different lengths together: of a disk that was resized between
 * the layers, what began below does not tell everything any more. */
static void
break_bitmaps(VmpQmpTransaction *transaction, const VmpBlockNode *from, const VmpBlockNode *to,
              GHashTable *broken)
{
    for (guint i = 0; from->size != to->size && i < from->bitmaps->len; i++) {
        const VmpBitmap *bitmap = g_ptr_array_index(from->bitmaps, i);
        if (!g_hash_table_add(broken, g_strdup(bitmap->name)) ||
            !vmp_block_node_bitmap(to, bitmap->name))
            continue;
        vmp_qmp_transaction_bitmap_remove(transaction, to->name, bitmap->name);
    }
}

static void
carry_merge(VmpQmpTransaction *transaction, const VmpBlockGraph *graph, VmpJson *merge)
{
    guint last = vmp_merge_job_count_layers(merge) - 1;
    const VmpBlockNode *to = vmp_block_graph_node(
        graph, vmp_merge_job_text(merge, "nodes", vmp_merge_job_is_commit(merge) ? 0 : last));
    g_autoptr(GHashTable) made = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) broken =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    if (!to || !to->can_persist_bitmaps)
        return;
    for (guint i = 0; i <= last; i++) {
        const VmpBlockNode *from =
            vmp_block_graph_node(graph, vmp_merge_job_text(merge, "nodes", i));
        if (from)
            break_bitmaps(transaction, from, to, broken);
    }
    for (guint i = 0; i <= last; i++) {
        const VmpBlockNode *from =
            vmp_block_graph_node(graph, vmp_merge_job_text(merge, "nodes", i));
        if (from && from != to)
            carry_bitmaps(transaction, from, to, vmp_merge_job_is_commit(merge) ? made : NULL,
                          broken);
    }
}

gboolean
vmp_merge_bitmaps_carry(const GPtrArray *merges, const VmpBlockGraph *graph,
                        VmpQmpClient *client, GError **error)
{
    g_autoptr(VmpQmpTransaction) transaction = vmp_qmp_transaction_new();

    for (guint i = 0; i < merges->len; i++)
        carry_merge(transaction, graph, g_ptr_array_index(merges, i));
    return vmp_qmp_transaction_run(transaction, client, error);
}
