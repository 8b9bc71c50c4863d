/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/swaps.h"

#include "base/error.h"
#include "point/layer.h"

void
vmp_swaps_init(VmpSwaps *swaps, VmpMachine *machine, const VmpBlockGraph *graph,
               const VmpDomain *definition)
{
    *swaps = (VmpSwaps){
        .machine = machine,
        .graph = graph,
        .definition = definition,
        .opens = json_object_new_array(),
        .swaps = json_object_new_array(),
        .closes = json_object_new_array(),
        .taken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
    };
}

void
vmp_swaps_clear(VmpSwaps *swaps)
{
    g_clear_pointer(&swaps->opens, json_object_put);
    g_clear_pointer(&swaps->swaps, json_object_put);
    g_clear_pointer(&swaps->closes, json_object_put);
    g_clear_pointer(&swaps->taken, g_hash_table_unref);
}

/* The node and all that hang on it alone, top first, for closing once it is unused. */
static void
add_nodes_to_close(VmpJson *nodes, const VmpBlockGraph *graph, const char *root,
                   const char *kept_path)
{
    const VmpBlockNode *keep =
        kept_path ? vmp_block_graph_node_of_path(graph, kept_path) : NULL;

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

gboolean
vmp_swaps_add(VmpSwaps *swaps, VmpJson *branch, GError **error)
{
    const char *target = vmp_json_get_string(branch, "disk");
    const char *backing = vmp_json_get_string(branch, "backing");
    g_autofree char *qom =
        vmp_machine_disk_qom_path(swaps->machine, swaps->graph, target, error);
    const VmpBlockDevice *device = qom ? vmp_block_graph_device(swaps->graph, qom) : NULL;
    if (!device || !device->node)
        return qom && vmp_fail(error, VMP_ERROR_INCONSISTENT,
                               "disk '%s': the running QEMU has no such device", target);

    /* A base that the running chain has open already is shared; others are opened anew. */
    const VmpBlockNode *base =
        backing ? vmp_block_graph_node_of_path(swaps->graph, backing) : NULL;
    g_autofree char *format_stem = g_strdup_printf("%s-format", target);
    g_autofree char *storage_stem = g_strdup_printf("%s-storage", target);
    g_autofree char *node = vmp_block_graph_new_name(swaps->graph, format_stem, swaps->taken);
    g_autofree char *file = vmp_block_graph_new_name(swaps->graph, storage_stem, swaps->taken);

    const VmpBlockNode *replaced = vmp_block_graph_active_image(swaps->graph, device->node);
    const VmpLayerOptions options = vmp_layer_options_of(
        vmp_domain_find_disk(swaps->definition, target),
        replaced ? replaced : vmp_block_graph_node(swaps->graph, device->node));

    json_object_array_add(
        swaps->opens,
        vmp_json_build("s:disk", target, "s:path", vmp_json_get_string(branch, "path"),
                       "s:format", "qcow2", "s:node", node, "s:file-node", file,
                       "S:backing-node", base ? base->name : NULL, "B:direct", options.direct,
                       "B:unmap", options.unmap, "S:aio", options.aio, "S:detect-zeroes",
                       options.detect_zeroes, NULL));
    json_object_array_add(swaps->swaps,
                          vmp_json_build("s:disk", target, "s:qom", qom, "s:old", device->node,
                                         "s:new", node, "s:path",
                                         vmp_json_get_string(branch, "path"), NULL));
    add_nodes_to_close(swaps->closes, swaps->graph, device->node, backing);
    return TRUE;
}
