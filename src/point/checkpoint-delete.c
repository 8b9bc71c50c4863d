/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"
#include "plan/executor.h"
#include "point/checkpoint.h"
#include "point/layer.h"
#include "point/record.h"
#include "point/steps.h"
#include "point/tree.h"
#include "store/edit.h"

typedef struct {
    VmpBlockSession *session;
    const VmpBlockGraph *graph;
    const VmpDomain *definition;
    VmpJson *bitmaps;     /* see step-bitmaps.c */
    VmpJson *reopen;
    GHashTable *reopened; /* name of a node -> its element of @reopen, borrowed */
    GHashTable *taken;    /* names given to nodes */
} Removal;

/* The element for @node, which has a name to reopen it by. */
static VmpJson *
get_reopen(Removal *removal, const VmpBlockNode *node, const char *target)
{
    VmpJson *entry = g_hash_table_lookup(removal->reopened, node->name);
    if (entry)
        return entry;

    const VmpDomainDisk *disk = vmp_domain_find_disk(removal->definition, target);
    const VmpLayerOptions options = vmp_layer_options_of(disk, node);
    entry = vmp_json_build("s:node", node->name, "s:driver", node->driver, "s:file", node->file,
                           "S:backing", node->backing, "b:read-only", node->read_only,
                           "b:touched", FALSE, "B:direct", options.direct, "B:unmap",
                           options.unmap, "S:detect-zeroes", options.detect_zeroes, "o:below",
                           json_object_new_array(), NULL);
    json_object_array_add(removal->reopen, entry);
    g_hash_table_insert(removal->reopened, node->name, entry);
    return entry;
}

/* Gives @node, the next one below those of @below that have no name, a name. */
static VmpJson *
add_below(Removal *removal, VmpJson *below, const VmpBlockNode *node, const char *target)
{
    const VmpBlockNode *storage = vmp_block_graph_node(removal->graph, node->file);
    g_autofree char *stem = g_strdup_printf("%s-format", target);
    g_autofree char *name = vmp_block_graph_new_name(removal->graph, stem, removal->taken);
    VmpJson *layer = vmp_json_build("s:name", name, "s:driver", node->driver, "s:storage",
                                    storage ? storage->driver : "file", "s:path", node->path,
                                    "S:under", node->backing, "B:direct", node->direct,
                                    "b:touched", FALSE, NULL);

    json_object_array_add(below, layer);
    return layer;
}

/* An image below the active one has to be opened writable for it; @named is the nearest node
 * with a name from there upwards.  Returns the name that it will have. */
static const char *
add_reopen(Removal *removal, const VmpBlockNode *named, const VmpBlockNode *node,
           const char *target, GError **error)
{
    if (!named)
        return vmp_fail_null(error, VMP_ERROR_UNSUPPORTED,
                             "disk '%s': QEMU has its images open under names of its own making "
                             "and cannot make '%s' writable; do it when the domain is off",
                             target, node->path);

    VmpJson *entry = get_reopen(removal, named, target);
    VmpJson *below = vmp_json_get_array(entry, "below");
    VmpJson *touched = entry;
    guint depth = 0;
    for (const VmpBlockNode *at = named; at != node; depth++) {
        at = vmp_block_graph_backing(removal->graph, at);
        touched = depth < vmp_json_length(below) ? vmp_json_at(below, depth)
                                                 : add_below(removal, below, at, target);
    }
    vmp_json_add(touched, "b:touched", TRUE, NULL);
    return depth == 0 ? node->name : vmp_json_get_string(touched, "name");
}

/* The bitmap goes from every image of the chain that has it. */
static gboolean
plan_disk(Removal *removal, const VmpBlockNode *top, const VmpCheckpointDisk *disk,
          const char *checkpoint, GError **error)
{
    const char *name = disk->bitmap ? disk->bitmap : checkpoint;
    const VmpBlockNode *named = NULL;

    for (const VmpBlockNode *node = top; node;
         node = vmp_block_graph_backing(removal->graph, node)) {
        const VmpBitmap *bitmap = vmp_block_node_bitmap(node, name);
        const char *holder = node->name;
        if (node->name[0] != '#')
            named = node;
        if (!bitmap)
            continue;
        if (node->read_only && bitmap->persistent)
            holder = add_reopen(removal, named, node, disk->name, error);
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
    g_autoptr(GHashTable) reopened = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) taken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(VmpJson) bitmaps = json_object_new_array();
    g_autoptr(VmpJson) reopen = json_object_new_array();
    VmpBlockSession *session = vmp_change_get_session(change, error);
    g_autoptr(VmpBlockGraph) graph =
        session ? vmp_block_session_read_graph(session, error) : NULL;
    Removal removal = { session, graph, vmp_machine_get_definition(change->machine, NULL), bitmaps,
                        reopen, reopened, taken };

    for (guint i = 0; graph && i < names->len; i++)
        if (!plan_checkpoint(&removal, g_ptr_array_index(names, i), error))
            return FALSE;
    if (graph && vmp_json_length(bitmaps) > 0)
        vmp_plan_add_commit(plan, &vmp_step_remove_bitmaps,
                            vmp_json_build("o:bitmaps", json_object_get(bitmaps), "o:reopen",
                                           json_object_get(reopen), NULL));
    return graph != NULL;
}

gboolean
vmp_point_delete_checkpoint(VmpMachine *machine, const char *name,
                            VmpCheckpointDeleteFlags flags, GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));
    gint64 domain = vmp_machine_get_row(machine)->id;

    if ((flags & VMP_CHECKPOINT_DELETE_CHILDREN) && (flags & VMP_CHECKPOINT_DELETE_CHILDREN_ONLY))
        return vmp_fail(error, VMP_ERROR_INVALID, "children and children-only exclude each other");

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
    g_auto(VmpChange) change = { .machine = machine,
                                 .operation = vmp_machine_get_operation(machine) };
    if (!(flags & VMP_CHECKPOINT_DELETE_METADATA_ONLY) &&
        !plan_removal(plan, &change, names, error))
        return FALSE;
    for (guint i = 0; i < names->len; i++)
        vmp_store_edit_remove_point(plan->edits, domain, VMP_POINT_CHECKPOINT,
                                    g_ptr_array_index(names, i));
    return vmp_plan_execute(plan, &change, error);
}
