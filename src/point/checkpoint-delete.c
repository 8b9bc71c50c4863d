/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"
#include "plan/executor.h"
#include "point/checkpoint.h"
#include "point/record.h"
#include "point/steps.h"
#include "point/tree.h"
#include "point/writable.h"
#include "store/edit.h"

typedef struct {
    VmpBlockSession *session;
    const VmpBlockGraph *graph;
    VmpJson *bitmaps; /* see step-bitmaps.c */
    VmpWritable *writable;
} Removal;

/* The bitmap goes from every image of the chain that has it. */
static gboolean
plan_disk(Removal *removal, const VmpBlockNode *top, const VmpCheckpointDisk *disk,
          const char *checkpoint, GError **error)
{
    const char *name = disk->bitmap ? disk->bitmap : checkpoint;

    for (const VmpBlockNode *node = top; node;
         node = vmp_block_graph_backing(removal->graph, node)) {
        const VmpBitmap *bitmap = vmp_block_node_bitmap(node, name);
        const char *holder = node->name;
        if (!bitmap)
            continue;
        if (node->read_only && bitmap->persistent)
            holder = vmp_writable_add(removal->writable, top, node, disk->name, error);
        if (!holder)
            return FALSE;
        json_object_array_add(removal->bitmaps,
                              vmp_json_build("s:disk", disk->name, "s:node", holder, "s:name",
                                             name, "S:image", node->path, NULL));
    }
    return TRUE;
}

static gboolean
plan_checkpoint(Removal *removal, const char *name, GError **error)
{
    g_autoptr(VmpCheckpoint) checkpoint = vmp_record_load_checkpoint(
        vmp_block_session_get_machine(removal->session), name, error);

    for (guint i = 0; checkpoint && checkpoint->disks && i < checkpoint->disks->len; i++) {
        const VmpCheckpointDisk *disk = g_ptr_array_index(checkpoint->disks, i);
        /* A disk that was taken out of the domain has taken its bitmap along. */
        const VmpBlockNode *top =
            vmp_block_session_image(removal->session, removal->graph, disk->name, NULL);
        if (disk->wanted && top && !plan_disk(removal, top, disk, name, error))
            return FALSE;
    }
    return checkpoint != NULL;
}

static gboolean
plan_removal(VmpPlan *plan, VmpChange *change, const GPtrArray *names, GError **error)
{
    g_autoptr(VmpJson) bitmaps = json_object_new_array();
    VmpBlockSession *session = vmp_change_get_session(change, error);
    g_autoptr(VmpBlockGraph) graph =
        session ? vmp_block_session_read_graph(session, error) : NULL;
    g_autoptr(VmpWritable) writable =
        vmp_writable_new(graph, vmp_machine_get_definition(change->machine, NULL));
    Removal removal = { session, graph, bitmaps, writable };

    for (guint i = 0; graph && i < names->len; i++)
        if (!plan_checkpoint(&removal, g_ptr_array_index(names, i), error))
            return FALSE;
    if (graph && vmp_json_length(bitmaps) > 0)
        vmp_plan_add_commit(plan, &vmp_step_remove_bitmaps,
                            vmp_json_build("o:bitmaps", json_object_get(bitmaps), "o:reopen",
                                           vmp_writable_to_json(writable), NULL));
    vmp_writable_plan_closing(writable, plan);
    return graph != NULL;
}

gboolean
vmp_point_delete_checkpoint_on(VmpMachine *machine, VmpBlockSession *session, const char *name,
                               VmpCheckpointDeleteFlags flags, GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));
    gint64 domain = vmp_machine_get_row(machine)->id;
    g_auto(VmpChange) change = { .machine = machine,
                                 .operation = vmp_machine_get_operation(machine),
                                 .session = session };

    if ((flags & VMP_CHECKPOINT_DELETE_CHILDREN) &&
        (flags & VMP_CHECKPOINT_DELETE_CHILDREN_ONLY))
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "children and children-only exclude each other");

    g_autoptr(GPtrArray) rows = vmp_store_list_points(vmp_machine_get_store(machine), domain,
                                                      VMP_POINT_CHECKPOINT, FALSE, error);
    if (!rows)
        return FALSE;
    if (!vmp_tree_find(rows, name))
        return vmp_fail(error, VMP_ERROR_NOT_FOUND, "there is no checkpoint '%s'", name);

    gboolean only_below = (flags & VMP_CHECKPOINT_DELETE_CHILDREN_ONLY) != 0;
    g_autoptr(GPtrArray) names = vmp_tree_names_to_delete(
        rows, name, only_below || (flags & VMP_CHECKPOINT_DELETE_CHILDREN), !only_below);
    g_autoptr(VmpPlan) plan =
        vmp_plan_new("checkpoint-delete", vmp_machine_get_name(machine), name);
    if (!(flags & VMP_CHECKPOINT_DELETE_METADATA_ONLY) &&
        !plan_removal(plan, &change, names, error))
        return FALSE;
    for (guint i = 0; i < names->len; i++)
        vmp_store_edit_remove_point(plan->edits, domain, VMP_POINT_CHECKPOINT,
                                    g_ptr_array_index(names, i));
    return vmp_plan_execute(plan, &change, error);
}

gboolean
vmp_point_delete_checkpoint(VmpMachine *machine, const char *name,
                            VmpCheckpointDeleteFlags flags, GError **error)
{
    return vmp_point_delete_checkpoint_on(machine, NULL, name, flags, error);
}
