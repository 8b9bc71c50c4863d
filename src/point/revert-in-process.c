/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The process stays: each device of the running guest gets its new layer. */

#include "base/error.h"
#include "point/layer.h"
#include "point/revert-private.h"
#include "point/steps.h"

/* The image through which QEMU finds the RAM. */
#define MEMORY_NODE "vmp-memory"

/* The node and all that hang on it alone, top first, for closing once it is unused. */
static void
add_nodes_to_close(VmpJson *nodes, const VmpBlockGraph *graph, const char *root,
                   const char *kept_path)
{
    const VmpBlockNode *keep = vmp_block_graph_node_of_path(graph, kept_path);

    for (const VmpBlockNode *node = vmp_block_graph_node(graph, root); node && node != keep;
         node = vmp_block_graph_backing(graph, node)) {
        /* What QEMU opened by itself goes by itself. */
        if (node->name[0] == '#')
            break;
        json_object_array_add(nodes, json_object_new_string(node->name));
        if (node->file && node->file[0] != '#')
            json_object_array_add(nodes, json_object_new_string(node->file));
    }
}

typedef struct {
    VmpJson *opens, *swaps, *closes;
    GHashTable *taken;
} InProcess;

static gboolean
plan_swap(const VmpRevert *revert, VmpJson *branch, InProcess *steps, GError **error)
{
    const char *target = vmp_json_get_string(branch, "disk");
    const char *backing = vmp_json_get_string(branch, "backing");
    g_autofree char *qom =
        vmp_machine_disk_qom_path(revert->machine, revert->graph, target, error);
    const VmpBlockDevice *device = qom ? vmp_block_graph_device(revert->graph, qom) : NULL;
    if (!device || !device->node)
        return qom && vmp_fail(error, VMP_ERROR_INCONSISTENT,
                               "disk '%s': the running QEMU has no such device", target);

    /* A base that the running chain has open already is shared; others are opened anew. */
    const VmpBlockNode *base = vmp_block_graph_node_of_path(revert->graph, backing);
    g_autofree char *format_stem = g_strdup_printf("%s-format", target);
    g_autofree char *storage_stem = g_strdup_printf("%s-storage", target);
    g_autofree char *node = vmp_block_graph_new_name(revert->graph, format_stem, steps->taken);
    g_autofree char *file =
        vmp_block_graph_new_name(revert->graph, storage_stem, steps->taken);

    const VmpBlockNode *replaced = vmp_block_graph_active_image(revert->graph, device->node);
    const VmpLayerOptions options = vmp_layer_options_of(
        vmp_domain_find_disk(revert->definition, target),
        replaced ? replaced : vmp_block_graph_node(revert->graph, device->node));

    json_object_array_add(
        steps->opens,
        vmp_json_build("s:disk", target, "s:path", vmp_json_get_string(branch, "path"),
                       "s:format", "qcow2", "s:node", node, "s:file-node", file,
                       "S:backing-node", base ? base->name : NULL, "B:direct", options.direct,
                       "B:unmap", options.unmap, "S:aio", options.aio, "S:detect-zeroes",
                       options.detect_zeroes, NULL));
    json_object_array_add(steps->swaps,
                          vmp_json_build("s:disk", target, "s:qom", qom, "s:old", device->node,
                                         "s:new", node, "s:path",
                                         vmp_json_get_string(branch, "path"), NULL));
    add_nodes_to_close(steps->closes, revert->graph, device->node, backing);
    return TRUE;
}

/* The commit step: from there on the guest is that of the past. */
static void
plan_swaps(VmpPlan *plan, const VmpRevert *revert, VmpJson *swaps, VmpJson *guarded,
           gint64 definition)
{
    VmpJson *layers = json_object_new_array();

    if (revert->way == VMP_REVERT_IN_PROCESS) {
        vmp_plan_add_commit(plan, &vmp_step_swap_disks,
                            vmp_json_build("o:disks", swaps, NULL));
        vmp_plan_add(plan, &vmp_step_reset, NULL);
        json_object_put(layers);
        return;
    }
    for (guint i = 0; i < revert->branches->len; i++)
        json_object_array_add(layers, json_object_new_string(vmp_json_get_string(
                                          g_ptr_array_index(revert->branches, i), "path")));
    vmp_plan_add(plan, &vmp_step_swap_disks, vmp_json_build("o:disks", swaps, NULL));
    vmp_plan_add_commit(plan, &vmp_step_load_memory,
                        vmp_json_build("s:file", revert->snapshot->memory_file, "s:node",
                                       MEMORY_NODE, "i:definition", definition, "o:layers",
                                       layers, "O:parts", json_object_get(guarded), NULL));
    /* Once it was begun the RAM of before is lost. */
    plan->mark_commit = TRUE;
}

gboolean
vmp_revert_plan_in_process(VmpPlan *plan, const VmpRevert *revert, gint64 definition,
                           GError **error)
{
    g_autoptr(GHashTable) taken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(VmpJson) opens = json_object_new_array();
    g_autoptr(VmpJson) swaps = json_object_new_array();
    g_autoptr(VmpJson) closes = json_object_new_array();
    g_autoptr(VmpJson) guarded = NULL;
    InProcess steps = { opens, swaps, closes, taken };
    VmpState state = VMP_STATE_NOSTATE;

    for (guint i = 0; i < revert->branches->len; i++)
        if (!plan_swap(revert, g_ptr_array_index(revert->branches, i), &steps, error))
            return FALSE;
    if (!vmp_machine_query_state(revert->machine, &state, NULL, error))
        return FALSE;

    vmp_plan_add(plan, &vmp_step_open_branches,
                 vmp_json_build("o:nodes", g_steal_pointer(&opens), NULL));
    if (revert->way == VMP_REVERT_RAM_IN_PROCESS) {
        vmp_plan_add(plan, &vmp_step_open_memory,
                     vmp_json_build("s:file", revert->snapshot->memory_file, "s:node",
                                    MEMORY_NODE, NULL));
        json_object_array_add(closes, json_object_new_string(MEMORY_NODE));
    }
    vmp_plan_add(plan, &vmp_step_pause,
                 vmp_json_build("b:was-running", state == VMP_STATE_RUNNING, NULL));
    /* RAM has the firmware's variables and the TPM's memory, too. */
    if (revert->way == VMP_REVERT_IN_PROCESS)
        vmp_part_plan_check(plan, &revert->parts);
    else
        guarded = vmp_part_plan_guard(plan, revert->machine, revert->definition);
    plan_swaps(plan, revert, g_steal_pointer(&swaps), guarded, definition);
    if (revert->end == VMP_STATE_RUNNING)
        vmp_plan_add(plan, &vmp_step_resume, NULL);
    vmp_plan_add_cleanup(plan, &vmp_step_close_nodes,
                         vmp_json_build("o:nodes", g_steal_pointer(&closes), NULL));
    vmp_part_plan_drop(plan, guarded);
    return TRUE;
}
