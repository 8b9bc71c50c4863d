/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/copy-disk.h"

#include "base/error.h"
#include "base/fault.h"
#include "plan/executor.h"
#include "point/definition.h"
#include "point/layer.h"
#include "point/mark.h"
#include "point/merge-plan.h"
#include "point/pulled.h"
#include "point/quiet.h"
#include "point/steps.h"
#include "storage/overlay.h"

typedef struct {
    VmpMachine *machine;
    const VmpBlockCopy *asked;
    VmpBlockCopyFlags flags;
    const VmpDomainDisk *disk;
    VmpBlockSession *session;
    VmpBlockGraph *graph;
    const char *root;
    const VmpBlockNode *image;
} Copy;

static void
copy_clear(Copy *copy)
{
    g_clear_pointer(&copy->graph, vmp_block_graph_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Copy, copy_clear)

/* A job that goes on by itself may end so. */
static gboolean
is_pivot(const Copy *copy)
{
    return (copy->flags &
            (VMP_BLOCK_COPY_PIVOT | VMP_BLOCK_COPY_DETACH | VMP_BLOCK_COPY_KEEP_READY)) != 0;
}

static VmpMergeUntil
how_far(const Copy *copy)
{
    if (copy->flags & VMP_BLOCK_COPY_KEEP_READY)
        return VMP_MERGE_UNTIL_READY;
    return copy->flags & VMP_BLOCK_COPY_DETACH ? VMP_MERGE_UNTIL_STARTED : VMP_MERGE_TO_END;
}

static gboolean
look(Copy *copy, VmpChange *change, const char *name, GError **error)
{
    if (!vmp_machine_is_on(copy->machine))
        return vmp_fail(
            error, VMP_ERROR_FAILED,
            "it is not running; the image of one that is off is copied by qemu-img");
    const VmpDomain *definition = vmp_machine_get_definition(copy->machine, error);
    if (!definition || !vmp_quiet_check_jobs(copy->machine, error))
        return FALSE;
    copy->disk = vmp_domain_find_disk(definition, name);
    if (!copy->disk)
        return vmp_fail(error, VMP_ERROR_NOT_FOUND, "the domain has no disk '%s'", name);

    copy->session = vmp_change_get_session(change, error);
    copy->graph = copy->session ? vmp_block_session_read_graph(copy->session, error) : NULL;
    copy->image = copy->graph ? vmp_block_session_image(copy->session, copy->graph,
                                                        copy->disk->target, error)
                              : NULL;
    copy->root = copy->image ? vmp_block_session_root(copy->session, copy->graph,
                                                      copy->disk->target, error)
                             : NULL;
    return copy->root != NULL;
}

/* ---- the plan ---- */

static VmpNewImage *
plan_image(const Copy *copy)
{
    const VmpLayerOptions options = vmp_layer_options_of(copy->disk, copy->image);
    VmpNewImage *image = g_new0(VmpNewImage, 1);
    g_autofree char *stem = g_strdup_printf("%s-format", copy->disk->target);

    image->path = g_strdup(copy->asked->path);
    image->format =
        g_strdup(copy->asked->format ? copy->asked->format : vmp_layer_format_of(copy->image));
    image->size = copy->image->size;
    image->node = vmp_block_graph_new_name(copy->graph, stem, NULL);
    image->model = g_strdup(copy->image->path);
    image->reuse = (copy->flags & VMP_BLOCK_COPY_REUSE_EXTERNAL) != 0;
    image->block_device = (copy->flags & VMP_BLOCK_COPY_BLOCK_DEVICE) != 0;
    image->direct = options.direct;
    image->unmap = options.unmap;
    image->aio = g_strdup(options.aio);
    image->detect_zeroes = g_strdup(options.detect_zeroes);
    return image;
}

static void
close_node(VmpJson *closes, const VmpBlockNode *node)
{
    if (node->name[0] != '#')
        json_object_array_add(closes, json_object_new_string(node->name));
    if (node->file && node->file[0] != '#')
        json_object_array_add(closes, json_object_new_string(node->file));
}

/* The copy as the lowest of the disk's images, into which all of them go. */
static VmpJson *
plan_merge(const Copy *copy, const VmpNewImage *image, VmpJson *closes)
{
    g_autoptr(GPtrArray) chain = g_ptr_array_new();
    g_autofree char *job = g_strdup_printf("vmp-merge-%s", copy->disk->target);
    VmpJson *nodes = json_object_new_array();
    VmpJson *paths = json_object_new_array();

    for (const VmpBlockNode *node = copy->image; node;
         node = vmp_block_graph_backing(copy->graph, node)) {
        g_ptr_array_insert(chain, 0, (gpointer)node);
        close_node(closes, node);
    }
    json_object_array_add(nodes, json_object_new_string(image->node));
    json_object_array_add(paths, json_object_new_string(image->path));
    for (guint i = 0; i < chain->len; i++) {
        const VmpBlockNode *node = g_ptr_array_index(chain, i);
        json_object_array_add(nodes, json_object_new_string(node->name));
        json_object_array_add(paths,
                              json_object_new_string(node->path ? node->path : node->name));
    }
    return vmp_json_build("s:way", "copy", "s:disk", copy->disk->target, "b:present", TRUE,
                          "b:active", TRUE, "s:job", job, "s:root", copy->root, "s:top",
                          copy->image->name, "s:base", image->node, "o:nodes", nodes,
                          "o:paths", paths, "I:speed", (gint64)copy->asked->bandwidth,
                          "I:granularity", (gint64)copy->asked->granularity, "I:buf-size",
                          (gint64)copy->asked->buffer, "B:synchronous",
                          (copy->flags & VMP_BLOCK_COPY_SYNCHRONOUS) != 0, NULL);
}

static void
plan_steps(VmpPlan *plan, const Copy *copy, VmpNewImage *image)
{
    g_autoptr(VmpJson) images = json_object_new_array();
    g_autoptr(VmpJson) merges = json_object_new_array();
    g_autoptr(VmpJson) closes = json_object_new_array();

    json_object_array_add(images, vmp_new_image_to_json(image));
    json_object_array_add(merges, plan_merge(copy, image, closes));
    plan->space = image->reuse ? 0 : image->size;
    vmp_plan_add(plan, &vmp_step_create_images,
                 vmp_json_build("o:images", json_object_get(images), NULL));
    if (!is_pivot(copy)) {
        vmp_plan_add_commit(plan, &vmp_step_copy_once,
                            vmp_json_build("o:merges", json_object_get(merges), "o:images",
                                           json_object_get(images), NULL));
        return;
    }
    vmp_plan_add(plan, &vmp_step_start_merges,
                 vmp_json_build("o:merges", json_object_get(merges), NULL));
    vmp_plan_add_commit(plan, &vmp_step_finish_merges,
                        vmp_json_build("o:merges", json_object_get(merges), NULL));
    plan->mark_commit = TRUE;
    if (vmp_json_length(closes) > 0)
        vmp_plan_add_cleanup(plan, &vmp_step_close_nodes,
                             vmp_json_build("o:nodes", json_object_get(closes), NULL));
}

/* What checkpoints began in any of the images began in the copy. */
static gboolean
plan_edits(VmpPlan *plan, const Copy *copy, const VmpNewImage *image, GError **error)
{
    g_autoptr(GHashTable) moves = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) changes =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_source_change_free);

    if (!is_pivot(copy))
        return TRUE;
    for (const VmpBlockNode *node = copy->image; node;
         node = vmp_block_graph_backing(copy->graph, node))
        if (node->path)
            g_hash_table_insert(moves, node->path, image->path);
    g_ptr_array_add(changes,
                    vmp_source_change_new(copy->disk->target, image->path, image->format));
    vmp_pulled_edit(copy->machine, image->path, plan->edits);
    return vmp_definition_edit_sources(copy->machine, changes, plan->edits, error) &&
           vmp_marks_move(copy->machine, moves, plan->edits, error);
}

gboolean
vmp_point_copy_disk(VmpMachine *machine, const char *name, const VmpBlockCopy *asked,
                    VmpBlockCopyFlags flags, GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));
    g_auto(VmpChange)
        change = { .machine = machine, .operation = vmp_machine_get_operation(machine) };
    g_auto(Copy) copy = { .machine = machine, .asked = asked, .flags = flags };

    if (!g_path_is_absolute(asked->path))
        return vmp_fail(error, VMP_ERROR_INVALID, "'%s' is no absolute path", asked->path);
    if (is_pivot(&copy) && (flags & VMP_BLOCK_COPY_BLOCK_DEVICE))
        return vmp_fail(
            error, VMP_ERROR_UNSUPPORTED,
            "a disk does not go on with a block device here; it can be copied to one");
    if (!look(&copy, &change, name, error))
        return FALSE;

    g_autoptr(VmpNewImage) image = plan_image(&copy);
    g_autoptr(VmpPlan) plan =
        vmp_plan_new("blockcopy", vmp_machine_get_name(machine), copy.disk->target);
    plan_steps(plan, &copy, image);
    vmp_merge_detach(plan, how_far(&copy));
    return vmp_change_begin_planning(&change, error) &&
           plan_edits(plan, &copy, image, error) && vmp_plan_execute(plan, &change, error);
}

/* ---- the end of one that goes on by itself, when the disk is to go on as before ---- */

static const VmpStep *
find_step(const VmpPlan *plan, const VmpStepKind *kind)
{
    for (guint i = 0; i < plan->steps->len; i++) {
        const VmpStep *step = g_ptr_array_index(plan->steps, i);
        if (step->kind == kind)
            return step;
    }
    return NULL;
}

gboolean
vmp_point_keep_copy(VmpMachine *machine, const VmpDetached *detached, GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));
    g_auto(VmpChange)
        change = { .machine = machine, .operation = vmp_machine_get_operation(machine) };
    const VmpStep *start = find_step(detached->plan, &vmp_step_start_merges);
    const VmpStep *create = find_step(detached->plan, &vmp_step_create_images);

    return vmp_step_copy_end(vmp_json_at(vmp_json_get_array(start->args, "merges"), 0),
                             vmp_json_get_array(create->args, "images"), &change, error) &&
           vmp_fault("copy-ended", error) &&
           vmp_plan_release_detached(machine, detached, error);
}
