/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/merge-plan.h"

#include <sys/stat.h>

#include "base/error.h"
#include "plan/stamp.h"
#include "point/steps.h"

typedef struct {
    VmpPlan *plan;
    VmpChange *change;
    VmpBlockSession *session;
    VmpBlockGraph *graph;
    GHashTable *taken; /* node names given out */
    GPtrArray *opened; /* of VmpJson, see step-layers.c */
    VmpJson *merges, *closes, *backings;
    gboolean flush; /* a layer in use took data in that its guest need not ever flush */
    gboolean loses; /* a merge writes into what a point froze */
} Planning;

static void
unref_json(gpointer json)
{
    json_object_put(json);
}

static void
planning_clear(Planning *planning)
{
    g_clear_pointer(&planning->graph, vmp_block_graph_free);
    g_clear_pointer(&planning->taken, g_hash_table_unref);
    g_clear_pointer(&planning->opened, g_ptr_array_unref);
    g_clear_pointer(&planning->merges, json_object_put);
    g_clear_pointer(&planning->closes, json_object_put);
    g_clear_pointer(&planning->backings, json_object_put);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Planning, planning_clear)

static VmpForestImage *
layer(const VmpMerge *merge, guint index)
{
    return g_ptr_array_index(merge->layers, index);
}

/* ---- nodes of the present chain ---- */

static gboolean
is_same_file(const char *one, const char *other)
{
    struct stat a;
    struct stat b;

    return g_strcmp0(one, other) == 0 ||
           (one && other && stat(one, &a) == 0 && stat(other, &b) == 0 &&
            a.st_dev == b.st_dev && a.st_ino == b.st_ino);
}

/* QEMU's chain must be the one that the headers tell. */
static gboolean
add_present_nodes(const Planning *planning, const VmpMerge *merge, const char *disk,
                  GPtrArray *nodes, gboolean *active, GError **error)
{
    const VmpForestImage *top = vmp_merge_top(merge);
    const VmpBlockNode *image =
        vmp_block_session_image(planning->session, planning->graph, disk, error);
    const VmpBlockNode *node = image;
    if (!image)
        return FALSE;

    while (node && !is_same_file(node->path, top->path))
        node = vmp_block_graph_backing(planning->graph, node);
    *active = node == image;
    for (guint i = merge->layers->len; i > 0; i--) {
        const VmpForestImage *wanted = layer(merge, i - 1);
        if (!node || !is_same_file(node->path, wanted->path))
            return vmp_fail(error, VMP_ERROR_INCONSISTENT,
                            "disk '%s': QEMU does not have '%s' where the images' headers say",
                            disk, wanted->path);
        g_ptr_array_insert(nodes, 0, (gpointer)node);
        node = vmp_block_graph_backing(planning->graph, node);
    }
    return TRUE;
}

/* What QEMU opened by itself goes by itself. */
static void
close_node(Planning *planning, const VmpBlockNode *node)
{
    if (node->name[0] != '#')
        json_object_array_add(planning->closes, json_object_new_string(node->name));
    if (node->file && node->file[0] != '#')
        json_object_array_add(planning->closes, json_object_new_string(node->file));
}

static gboolean
plan_present(Planning *planning, const VmpMerge *merge, VmpJson *json, GError **error)
{
    const char *disk = vmp_merge_top(merge)->disk;
    const char *root = vmp_block_session_root(planning->session, planning->graph, disk, error);
    g_autoptr(GPtrArray) nodes = g_ptr_array_new();
    g_autoptr(VmpJson) names = json_object_new_array();
    gboolean active = FALSE;
    if (!root || !add_present_nodes(planning, merge, disk, nodes, &active, error))
        return FALSE;

    const VmpBlockNode *bottom = g_ptr_array_index(nodes, 0);
    const VmpBlockNode *top = g_ptr_array_index(nodes, nodes->len - 1);
    const VmpBlockNode *below = vmp_block_graph_backing(planning->graph, bottom);
    gboolean commit = merge->way == VMP_MERGE_COMMIT;
    for (guint i = 0; i < nodes->len; i++)
        json_object_array_add(names, json_object_new_string(
                                         ((VmpBlockNode *)g_ptr_array_index(nodes, i))->name));
    for (guint i = nodes->len; i > 0; i--)
        if (g_ptr_array_index(nodes, i - 1) != (commit ? bottom : top))
            close_node(planning, g_ptr_array_index(nodes, i - 1));
    planning->flush |= !commit && active && vmp_machine_is_on(planning->change->machine);

    g_autofree char *job = g_strdup_printf("vmp-merge-%s", disk);
    vmp_json_add(json, "s:disk", disk, "b:present", TRUE, "s:job", job, "s:root", root,
                 "s:top", top->name, "S:base",
                 commit  ? bottom->name
                 : below ? below->name
                         : NULL,
                 "b:active", active, "o:nodes", g_steal_pointer(&names), NULL);
    return TRUE;
}

/* ---- branches ---- */

/* Gives @image a node over @backing (NULL: whatever its header names); returns its name. */
static const char *
open_node(Planning *planning, const VmpForestImage *image, const char *backing,
          gboolean read_only)
{
    g_autofree char *name =
        vmp_block_graph_new_name(planning->graph, "vmp-merge-format", planning->taken);
    g_autofree char *file =
        vmp_block_graph_new_name(planning->graph, "vmp-merge-storage", planning->taken);
    VmpJson *open = vmp_json_build("s:path", image->path, "s:format", image->format, "s:node",
                                   name, "s:file-node", file, "S:backing-node", backing,
                                   "B:read-only", read_only, NULL);

    g_ptr_array_add(planning->opened, open);
    return vmp_json_get_string(open, "node");
}

/* Opened beside the disks, each layer of the row by name.  So is what is below a stream: it is
 * where that stops. */
static void
plan_branch(Planning *planning, const VmpMerge *merge, VmpJson *json)
{
    const VmpForestImage *below = layer(merge, 0)->below;
    g_autoptr(VmpJson) names = json_object_new_array();
    g_autofree char *job =
        g_strdup_printf("vmp-merge-branch-%u", vmp_json_length(planning->merges));
    gboolean commit = merge->way == VMP_MERGE_COMMIT;
    const char *base = !commit && below ? open_node(planning, below, NULL, TRUE) : NULL;
    const char *node = base;

    for (guint i = 0; i < merge->layers->len; i++) {
        node = open_node(planning, layer(merge, i), node, FALSE);
        json_object_array_add(names, json_object_new_string(node));
        if (commit && i == 0)
            base = node;
    }
    vmp_json_add(json, "s:disk", vmp_merge_top(merge)->path, "s:job", job, "s:root", node,
                 "s:top", node, "S:base", base, "b:active", TRUE, "o:nodes",
                 g_steal_pointer(&names), NULL);
}

/* ---- a merge ---- */

static VmpJson *
strings_of(const VmpMerge *merge, gboolean formats)
{
    VmpJson *array = json_object_new_array();

    for (guint i = 0; i < merge->layers->len; i++)
        json_object_array_add(array, json_object_new_string(formats ? layer(merge, i)->format
                                                                    : layer(merge, i)->path));
    return array;
}

/* Frozen, and written to by nobody since. */
static gboolean
is_stamped(const Planning *planning, const VmpForestImage *image)
{
    VmpMachine *machine = planning->change->machine;

    return vmp_stamp_has(machine, image->path) && !vmp_stamp_is_broken(machine, image->path);
}

/* What is written to @image is no change of what it reads as. */
static void
keep_frozen(const Planning *planning, const VmpForestImage *image)
{
    g_ptr_array_add(planning->plan->freezes, g_strdup(image->path));
}

/* All that stand on a top that goes. */
static void
plan_backings(Planning *planning, const VmpForest *forest, const VmpMerge *merge)
{
    const VmpForestImage *survivor = vmp_merge_survivor(merge);

    for (guint i = 0; i < forest->images->len; i++) {
        const VmpForestImage *image = g_ptr_array_index(forest->images, i);
        if (merge->way == VMP_MERGE_COMMIT && image->below == vmp_merge_top(merge) &&
            !image->gone)
            json_object_array_add(planning->backings,
                                  vmp_json_build("s:path", image->path, "s:backing",
                                                 survivor->path, "s:format", survivor->format,
                                                 NULL));
    }
}

static gboolean
plan_merge(Planning *planning, const VmpForest *forest, const VmpMerge *merge, GError **error)
{
    const VmpForestImage *below = layer(merge, 0)->below;
    g_autoptr(VmpJson) json = vmp_json_build(
        "s:way", merge->way == VMP_MERGE_COMMIT ? "commit" : "stream", "o:paths",
        strings_of(merge, FALSE), "o:formats", strings_of(merge, TRUE), "S:below",
        below ? below->path : NULL, "S:below-format", below ? below->format : NULL, "I:speed",
        (gint64)merge->bandwidth, NULL);

    if (!vmp_merge_top(merge)->disk)
        plan_branch(planning, merge, json);
    else if (!plan_present(planning, merge, json, error))
        return FALSE;
    vmp_json_add(json, "B:stamped", is_stamped(planning, layer(merge, 0)), NULL);
    if (is_stamped(planning, vmp_merge_top(merge)))
        keep_frozen(planning, vmp_merge_survivor(merge));
    planning->loses |= merge->way == VMP_MERGE_COMMIT;
    json_object_array_add(planning->merges, g_steal_pointer(&json));
    plan_backings(planning, forest, merge);
    return TRUE;
}

/* ---- steps ---- */

static VmpJson *
opened_to_json(const Planning *planning)
{
    VmpJson *nodes = json_object_new_array();

    for (guint i = 0; i < planning->opened->len; i++)
        json_object_array_add(nodes, json_object_get(g_ptr_array_index(planning->opened, i)));
    return nodes;
}

/* Stopping writes out all that QEMU keeps for its images, which a stream does not. */
static gboolean
add_flush(VmpPlan *plan, const Planning *planning, GError **error)
{
    VmpState state = VMP_STATE_NOSTATE;

    if (!planning->flush)
        return TRUE;
    if (!vmp_machine_query_state(planning->change->machine, &state, NULL, error))
        return FALSE;
    vmp_plan_add(plan, &vmp_step_pause,
                 vmp_json_build("b:was-running", state == VMP_STATE_RUNNING, NULL));
    if (state == VMP_STATE_RUNNING)
        vmp_plan_add(plan, &vmp_step_resume, NULL);
    return TRUE;
}

static gboolean
add_steps(VmpPlan *plan, const Planning *planning, VmpJson *points, VmpJson *forget,
          GError **error)
{
    if (planning->opened->len > 0)
        vmp_plan_add(plan, &vmp_step_open_layers,
                     vmp_json_build("o:nodes", opened_to_json(planning), NULL));
    vmp_plan_add(plan, &vmp_step_start_merges,
                 vmp_json_build("o:merges", json_object_get(planning->merges), "O:points",
                                planning->loses ? json_object_get(points) : NULL, "O:forget",
                                planning->loses ? json_object_get(forget) : NULL, NULL));
    vmp_plan_add_commit(plan, &vmp_step_finish_merges,
                        vmp_json_build("o:merges", json_object_get(planning->merges), NULL));
    plan->mark_commit = TRUE;
    if (!add_flush(plan, planning, error))
        return FALSE;
    if (planning->opened->len > 0)
        vmp_plan_add(plan, &vmp_step_shut_layers,
                     vmp_json_build("o:nodes", opened_to_json(planning), NULL));
    if (vmp_json_length(planning->backings) > 0)
        vmp_plan_add(plan, &vmp_step_move_backings,
                     vmp_json_build("o:images", json_object_get(planning->backings), NULL));
    if (vmp_json_length(planning->closes) > 0)
        vmp_plan_add_cleanup(
            plan, &vmp_step_close_nodes,
            vmp_json_build("o:nodes", json_object_get(planning->closes), NULL));
    return TRUE;
}

gboolean
vmp_merge_plan(VmpPlan *plan, VmpChange *change, const VmpForest *forest, VmpJson *points,
               VmpJson *forget, GError **error)
{
    if (forest->merges->len == 0)
        return TRUE;

    g_auto(Planning) planning = {
        .plan = plan,
        .change = change,
        .taken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        .opened = g_ptr_array_new_with_free_func(unref_json),
        .merges = json_object_new_array(),
        .closes = json_object_new_array(),
        .backings = json_object_new_array(),
    };
    planning.session = vmp_change_get_session(change, error);
    planning.graph =
        planning.session ? vmp_block_session_read_graph(planning.session, error) : NULL;
    if (!planning.graph)
        return FALSE;
    for (guint i = 0; i < forest->merges->len; i++)
        if (!plan_merge(&planning, forest, g_ptr_array_index(forest->merges, i), error))
            return FALSE;
    return add_steps(plan, &planning, points, forget, error);
}

void
vmp_merge_detach(VmpPlan *plan, VmpMergeUntil until)
{
    if (until == VMP_MERGE_TO_END)
        return;
    plan->detached = TRUE;
    for (guint i = 0; i < plan->steps->len; i++) {
        const VmpStep *step = g_ptr_array_index(plan->steps, i);
        if (step->kind == &vmp_step_start_merges)
            vmp_json_add(step->args, "s:until",
                         until == VMP_MERGE_UNTIL_STARTED ? "started" : "ready", NULL);
        if (step->kind == &vmp_step_finish_merges)
            vmp_json_add(step->args, "b:detached", TRUE, NULL);
    }
}

gboolean
vmp_merges_pivot(const VmpPlan *plan)
{
    const VmpStep *finish = g_ptr_array_index(plan->steps, (guint)plan->commit);
    VmpJson *merge = vmp_json_at(vmp_json_get_array(finish->args, "merges"), 0);

    return vmp_json_get_bool(merge, "active", FALSE) &&
           g_strcmp0(vmp_json_get_string(merge, "way"), "stream") != 0;
}
