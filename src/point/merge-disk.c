/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/merge-disk.h"

#include "base/error.h"
#include "plan/executor.h"
#include "plan/sweep.h"
#include "point/definition.h"
#include "point/mark.h"
#include "point/merge-plan.h"
#include "point/moved.h"
#include "point/pulled.h"
#include "point/quiet.h"
#include "point/standing.h"

typedef struct {
    VmpMachine *machine;
    const VmpDomainDisk *disk;
    VmpStanding *standing;
    VmpForestImage *active;
    VmpForestImage *bottom, *top; /* those that become one, and all between */
} Merge;

static void
merge_clear(Merge *merge)
{
    g_clear_pointer(&merge->standing, vmp_standing_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Merge, merge_clear)

/* ---- what is asked for ---- */

static gboolean
look(Merge *merge, const char *name, GError **error)
{
    const VmpDomain *definition = vmp_machine_get_definition(merge->machine, error);
    g_autoptr(GPtrArray) nobody = g_ptr_array_new();

    if (!definition)
        return FALSE;
    merge->disk = vmp_domain_find_disk(definition, name);
    if (!merge->disk)
        return vmp_fail(error, VMP_ERROR_NOT_FOUND, "the domain has no disk '%s'", name);
    if (vmp_machine_is_on(merge->machine) && !vmp_quiet_check_jobs(merge->machine, error))
        return FALSE;
    merge->standing = vmp_standing_look(merge->machine, nobody, error);
    if (!merge->standing)
        return FALSE;
    merge->active = vmp_standing_find(merge->standing, merge->disk->source);
    return merge->active ||
           vmp_fail(error, VMP_ERROR_NOT_FOUND, "disk '%s' has no image", merge->disk->target);
}

/* One of the disk's images; @path NULL: @otherwise. */
static gboolean
find_layer(const Merge *merge, const char *path, VmpForestImage *otherwise,
           VmpForestImage **image, GError **error)
{
    *image = path ? vmp_standing_find(merge->standing, path) : otherwise;
    for (const VmpForestImage *layer = merge->active; *image && layer; layer = layer->below)
        if (layer == *image)
            return TRUE;
    if (!path)
        return TRUE;
    return vmp_fail(error, VMP_ERROR_NOT_FOUND, "'%s' is no image of disk '%s'", path,
                    merge->disk->target);
}

static gboolean
is_below(const VmpForestImage *image, const VmpForestImage *upper)
{
    for (const VmpForestImage *layer = upper->below; layer; layer = layer->below)
        if (layer == image)
            return TRUE;
    return FALSE;
}

static VmpForestImage *
lowest(VmpForestImage *image)
{
    while (image->below)
        image = image->below;
    return image;
}

/* ---- who has something against it ---- */

/* The snapshot that froze @image; NULL if none did. */
static const char *
frozen_by(const Merge *merge, const VmpForestImage *image)
{
    const GPtrArray *points = merge->standing->points;

    for (guint i = 0; i < points->len; i++) {
        const VmpStandingPoint *point = g_ptr_array_index(points, i);
        if (g_ptr_array_find(point->frozen, image, NULL))
            return point->row->name;
    }
    return NULL;
}

static gboolean
check_layer(const Merge *merge, const VmpForestImage *image, GError **error)
{
    const char *snapshot = frozen_by(merge, image);

    if (snapshot)
        return vmp_fail(
            error, VMP_ERROR_BUSY,
            "disk '%s': snapshot '%s' needs '%s' as it is; delete it, with its layers "
            "(snapshot-delete) or alone (snapshot-delete --metadata)",
            merge->disk->target, snapshot, image->path);
    if (image->holds)
        return vmp_fail(error, VMP_ERROR_BUSY,
                        "disk '%s': an internal snapshot in '%s' needs it as it is",
                        merge->disk->target, image->path);
    if (image->outsider)
        return vmp_fail(error, VMP_ERROR_BUSY, "disk '%s': domain '%s' stands on '%s'",
                        merge->disk->target, image->outsider, image->path);
    return TRUE;
}

/* Whoever stands on one of the layers but the top would read something else. */
static gboolean
check_branches(const Merge *merge, const VmpForestImage *layer, const VmpForestImage *above,
               GError **error)
{
    const GPtrArray *images = merge->standing->forest->images;

    for (guint i = 0; i < images->len; i++) {
        const VmpForestImage *image = g_ptr_array_index(images, i);
        if (image->below == layer && image != above)
            return vmp_fail(
                error, VMP_ERROR_BUSY,
                "disk '%s': '%s' stands on '%s', which has to stay as it is for it",
                merge->disk->target, image->path, layer->path);
    }
    return TRUE;
}

static gboolean
check_commit(const Merge *merge, GError **error)
{
    const VmpForestImage *above = NULL;

    for (const VmpForestImage *layer = merge->top;; above = layer, layer = layer->below) {
        if (!check_layer(merge, layer, error) ||
            (above && !check_branches(merge, layer, above, error)))
            return FALSE;
        if (layer == merge->bottom)
            return TRUE;
    }
}

/* ---- what the store is told ---- */

/* What checkpoints began in a layer that is merged began in the one that is left. */
static gboolean
move_marks(const Merge *merge, const VmpForestImage *survivor, VmpJson *edits, GError **error)
{
    g_autoptr(GHashTable) moves = g_hash_table_new(g_str_hash, g_str_equal);

    for (VmpForestImage *layer = merge->top;; layer = layer->below) {
        if (layer != survivor)
            g_hash_table_insert(moves, layer->path, survivor->path);
        if (layer == merge->bottom)
            break;
    }
    return vmp_marks_move(merge->machine, moves, edits, error);
}

/* The disk stands on something else: what its definition says of that is to go. */
static gboolean
edit_pulled(const Merge *merge, VmpJson *edits, GError **error)
{
    g_autoptr(GPtrArray) changes =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_source_change_free);

    g_ptr_array_add(changes, vmp_source_change_new(merge->disk->target, merge->disk->source,
                                                   merge->active->format));
    vmp_pulled_edit(merge->machine, merge->active->path, edits);
    return vmp_definition_edit_sources(merge->machine, changes, edits, error) &&
           move_marks(merge, merge->active, edits, error);
}

static void
retire_layers(const Merge *merge, VmpJson *edits)
{
    VmpOperation *operation = vmp_machine_get_operation(merge->machine);

    for (const VmpForestImage *layer = merge->top; layer != merge->bottom;
         layer = layer->below) {
        if (layer->ours)
            vmp_plan_retire_file(merge->machine, layer->path, edits);
        else
            vmp_operation_warn(operation, "'%s' was not made here and stays", layer->path);
    }
}

static gboolean
edit_committed(const Merge *merge, gboolean retire, VmpJson *edits, GError **error)
{
    if (!vmp_moved_edit_domain(merge->machine, merge->standing, edits, error) ||
        !vmp_moved_edit_points(merge->machine, merge->standing, edits, error) ||
        !move_marks(merge, merge->bottom, edits, error))
        return FALSE;
    if (retire)
        retire_layers(merge, edits);
    return TRUE;
}

/* ---- the two ways ---- */

static gboolean
choose_commit(Merge *merge, const VmpBlockRange *range, VmpBlockCommitFlags flags,
              GError **error)
{
    const char *disk = merge->disk->target;

    if (!find_layer(merge, range->top, merge->active, &merge->top, error))
        return FALSE;
    if (!merge->top->below)
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "disk '%s': '%s' stands on nothing that it could be committed into",
                        disk, merge->top->path);
    VmpForestImage *otherwise =
        flags & VMP_BLOCK_COMMIT_SHALLOW ? merge->top->below : lowest(merge->top);
    if (!find_layer(merge, range->base, otherwise, &merge->bottom, error))
        return FALSE;
    if (!is_below(merge->bottom, merge->top))
        return vmp_fail(error, VMP_ERROR_INVALID, "disk '%s': '%s' does not stand on '%s'",
                        disk, merge->top->path, merge->bottom->path);
    if ((flags & VMP_BLOCK_COMMIT_SHALLOW) && merge->bottom != merge->top->below)
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "disk '%s': '%s' does not stand right on '%s', as --shallow says",
                        disk, merge->top->path, merge->bottom->path);
    if (merge->top == merge->active && !(flags & VMP_BLOCK_COMMIT_ACTIVE))
        return vmp_fail(
            error, VMP_ERROR_INVALID,
            "disk '%s': '%s' is its active layer: say --active --pivot, or --top with "
            "a lower one",
            disk, merge->top->path);
    return check_commit(merge, error);
}

/* Jobs go on by themselves in a QEMU that stays. */
static gboolean
check_detach(const Merge *merge, VmpMergeUntil until, GError **error)
{
    return until == VMP_MERGE_TO_END || vmp_machine_is_on(merge->machine) ||
           vmp_fail(error, VMP_ERROR_FAILED,
                    "it is not running: its layers are merged by a command that waits");
}

static gboolean
execute(Merge *merge, const char *operation, VmpMergeWay way, const VmpBlockRange *range,
        VmpMergeUntil until, gboolean retire, GError **error)
{
    VmpForest *forest = merge->standing->forest;
    g_auto(VmpChange) change = { .machine = merge->machine,
                                 .operation = vmp_machine_get_operation(merge->machine) };
    g_autoptr(VmpPlan) plan =
        vmp_plan_new(operation, vmp_machine_get_name(merge->machine), merge->disk->target);
    gboolean commit = way == VMP_MERGE_COMMIT;

    vmp_forest_ask_merge(forest, merge->bottom, merge->top, way, range->bandwidth);
    if (!check_detach(merge, until, error) ||
        !vmp_merge_plan(plan, &change, forest, NULL, NULL, error) ||
        !vmp_change_begin_planning(&change, error) ||
        !(commit ? edit_committed(merge, retire, plan->edits, error)
                 : edit_pulled(merge, plan->edits, error)))
        return FALSE;
    vmp_merge_detach(plan, until);
    return vmp_plan_execute(plan, &change, error);
}

static VmpMergeUntil
how_far(VmpBlockCommitFlags flags)
{
    if (flags & VMP_BLOCK_COMMIT_KEEP_READY)
        return VMP_MERGE_UNTIL_READY;
    return flags & VMP_BLOCK_COMMIT_DETACH ? VMP_MERGE_UNTIL_STARTED : VMP_MERGE_TO_END;
}

gboolean
vmp_point_commit_disk(VmpMachine *machine, const char *disk, const VmpBlockRange *range,
                      VmpBlockCommitFlags flags, GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));
    g_auto(Merge) merge = { .machine = machine };

    return look(&merge, disk, error) && choose_commit(&merge, range, flags, error) &&
           execute(&merge, "blockcommit", VMP_MERGE_COMMIT, range, how_far(flags),
                   (flags & VMP_BLOCK_COMMIT_DELETE) != 0, error);
}

gboolean
vmp_point_pull_disk(VmpMachine *machine, const char *disk, const VmpBlockRange *range,
                    VmpBlockPullFlags flags, GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));
    g_auto(Merge) merge = { .machine = machine };
    VmpForestImage *base = NULL;

    if (!look(&merge, disk, error) || !find_layer(&merge, range->base, NULL, &base, error))
        return FALSE;
    if (base == merge.active)
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "disk '%s': '%s' is its active layer, which stands on no such base",
                        merge.disk->target, base->path);
    merge.top = merge.bottom = merge.active;
    while (merge.bottom->below != base)
        merge.bottom = merge.bottom->below;
    /* There is nothing between the two. */
    if (merge.bottom == merge.top)
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "disk '%s': '%s' stands on %s: there is nothing to pull",
                        merge.disk->target, merge.top->path, base ? "it already" : "nothing");
    /* It reads through to the layers below where the image itself had nothing. */
    if (merge.active->holds)
        return vmp_fail(error, VMP_ERROR_BUSY,
                        "disk '%s': an internal snapshot in '%s' needs what that stands on",
                        merge.disk->target, merge.active->path);
    return execute(&merge, "blockpull", VMP_MERGE_STREAM, range,
                   flags & VMP_BLOCK_PULL_DETACH ? VMP_MERGE_UNTIL_STARTED : VMP_MERGE_TO_END,
                   FALSE, error);
}
