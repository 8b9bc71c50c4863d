/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"
#include "plan/executor.h"
#include "plan/sweep.h"
#include "point/internal.h"
#include "point/mark.h"
#include "point/merge-plan.h"
#include "point/moved.h"
#include "point/part.h"
#include "point/quiet.h"
#include "point/record.h"
#include "point/snapshot.h"
#include "point/standing.h"
#include "point/tree.h"
#include "store/edit.h"

/* ---- metadata only ---- */

static GPtrArray *
names_of(const GPtrArray *rows, const char *name, VmpSnapshotDeleteFlags flags)
{
    gboolean only_below = (flags & VMP_SNAPSHOT_DELETE_CHILDREN_ONLY) != 0;

    return vmp_tree_names_to_delete(
        rows, name, only_below || (flags & VMP_SNAPSHOT_DELETE_CHILDREN), !only_below);
}

static gboolean
forget(VmpMachine *machine, const GPtrArray *rows, const char *name,
       VmpSnapshotDeleteFlags flags, GError **error)
{
    g_autoptr(GPtrArray) names = names_of(rows, name, flags);
    g_autoptr(VmpPlan) plan =
        vmp_plan_new("snapshot-delete", vmp_machine_get_name(machine), name);
    g_auto(VmpChange)
        change = { .machine = machine, .operation = vmp_machine_get_operation(machine) };

    for (guint i = 0; i < names->len; i++)
        vmp_store_edit_remove_point(plan->edits, vmp_machine_get_row(machine)->id,
                                    VMP_POINT_SNAPSHOT, g_ptr_array_index(names, i));
    return vmp_plan_execute(plan, &change, error);
}

/* ---- external: the point goes, then the layers that nobody needs ---- */

/* A clone has the RAM of its original, in the same file. */
static gboolean
is_shared(const VmpStanding *standing, const char *memory_file)
{
    for (guint i = 0; i < standing->points->len; i++) {
        const VmpStandingPoint *point = g_ptr_array_index(standing->points, i);
        if (!point->leaving && g_strcmp0(point->memory_file, memory_file) == 0)
            return TRUE;
    }
    return FALSE;
}

/* With what they have beside their layers. */
static gboolean
remove_points(VmpPlan *plan, VmpMachine *machine, const VmpStanding *standing,
              const GPtrArray *names, GError **error)
{
    for (guint i = 0; i < standing->points->len; i++) {
        const VmpStandingPoint *point = g_ptr_array_index(standing->points, i);
        if (!point->leaving)
            continue;
        if (point->memory_file && !is_shared(standing, point->memory_file))
            vmp_plan_retire_file(machine, point->memory_file, plan->edits);
        if (!vmp_part_plan_retire(plan, machine, point->row->name, error))
            return FALSE;
    }
    for (guint i = 0; i < names->len; i++)
        vmp_store_edit_remove_point(plan->edits, vmp_machine_get_row(machine)->id,
                                    VMP_POINT_SNAPSHOT, g_ptr_array_index(names, i));
    return TRUE;
}

static VmpJson *
names_to_json(const GPtrArray *names)
{
    VmpJson *json = json_object_new_array();

    for (guint i = 0; i < names->len; i++)
        json_object_array_add(json, json_object_new_string(g_ptr_array_index(names, i)));
    return json;
}

/* What the store is told when merging began and is given up: the points are gone, and all
 * layers are there. */
static VmpJson *
edits_of_giving_up(VmpMachine *machine, const VmpStanding *standing, const GPtrArray *names,
                   GError **error)
{
    g_autoptr(VmpPlan) plan =
        vmp_plan_new("snapshot-delete", vmp_machine_get_name(machine), NULL);

    if (!remove_points(plan, machine, standing, names, error))
        return NULL;
    vmp_standing_edit_idle(standing, machine, plan->edits);
    return json_object_get(plan->edits);
}

static void
retire_images(VmpMachine *machine, const VmpForest *forest, VmpJson *edits)
{
    for (guint i = 0; i < forest->images->len; i++) {
        const VmpForestImage *image = g_ptr_array_index(forest->images, i);
        if (!image->gone)
            continue;
        if (image->ours)
            vmp_plan_retire_file(machine, image->path, edits);
        else
            vmp_operation_note(vmp_machine_get_operation(machine),
                               "'%s' is not needed any more; it was not made here and stays",
                               image->path);
    }
}

static void
note_outsiders(VmpMachine *machine, const VmpForest *forest)
{
    for (guint i = 0; i < forest->images->len; i++) {
        const VmpForestImage *image = g_ptr_array_index(forest->images, i);
        if (image->idle && !image->needed && image->outsider)
            vmp_operation_note(vmp_machine_get_operation(machine),
                               "'%s' stays as it is: domain '%s' stands on it", image->path,
                               image->outsider);
    }
}

/* What checkpoints began in an image that is gone began in the one that has taken it in. */
static gboolean
move_marks(VmpMachine *machine, const VmpForest *forest, VmpJson *edits, GError **error)
{
    g_autoptr(GHashTable) moves =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

    for (guint i = 0; i < forest->images->len; i++) {
        const VmpForestImage *image = g_ptr_array_index(forest->images, i);
        const VmpForestImage *successor = vmp_forest_successor(forest, image);
        if (successor)
            g_hash_table_insert(moves, g_strdup(image->path), g_strdup(successor->path));
    }
    return g_hash_table_size(moves) == 0 || vmp_marks_move(machine, moves, edits, error);
}

static gboolean
plan_edits(VmpPlan *plan, VmpMachine *machine, const VmpStanding *standing,
           const GPtrArray *names, GError **error)
{
    if (!vmp_moved_edit_domain(machine, standing, plan->edits, error) ||
        !vmp_moved_edit_points(machine, standing, plan->edits, error) ||
        !move_marks(machine, standing->forest, plan->edits, error))
        return FALSE;
    retire_images(machine, standing->forest, plan->edits);
    note_outsiders(machine, standing->forest);
    if (!remove_points(plan, machine, standing, names, error))
        return FALSE;
    vmp_standing_edit_idle(standing, machine, plan->edits);
    return TRUE;
}

/* Jobs of others are no hindrance when nothing is merged. */
static gboolean
check_quiet(VmpMachine *machine, const VmpForest *forest, GError **error)
{
    return forest->merges->len == 0 || !vmp_machine_is_on(machine) ||
           vmp_quiet_check_jobs(machine, error);
}

/* Deletes the points @names (children before parents; maybe none) and merges what can be
 * merged side by side; @more: there is more to merge afterwards. */
static gboolean
delete_once(VmpMachine *machine, const GPtrArray *names, const char *subject, gboolean *more,
            GError **error)
{
    g_auto(VmpChange)
        change = { .machine = machine, .operation = vmp_machine_get_operation(machine) };
    g_autoptr(VmpPlan) plan =
        vmp_plan_new("snapshot-delete", vmp_machine_get_name(machine), subject);
    g_autoptr(VmpStanding) standing = vmp_standing_look(machine, names, error);
    g_autoptr(VmpJson) forget =
        standing ? edits_of_giving_up(machine, standing, names, error) : NULL;
    if (!forget)
        return FALSE;

    g_autoptr(VmpJson) points = names_to_json(names);
    vmp_forest_decide(standing->forest);
    *more = standing->forest->deferred > 0;
    return check_quiet(machine, standing->forest, error) &&
           vmp_merge_plan(plan, &change, standing->forest, points, forget, error) &&
           vmp_change_begin_planning(&change, error) &&
           plan_edits(plan, machine, standing, names, error) &&
           vmp_plan_execute(plan, &change, error);
}

/* The deletion stands although its layers could not be merged: nobody reads them, and the next
 * deletion tries again. */
static gboolean
settle_for_less(VmpMachine *machine, const char *name, GError *failure /* taken */,
                GError **error)
{
    gboolean exists = TRUE;

    if (!vmp_record_exists(machine, VMP_POINT_SNAPSHOT, name, &exists, NULL) || exists) {
        g_propagate_error(error, failure);
        return FALSE;
    }
    if (vmp_error_is(failure, VMP_ERROR_INTERRUPTED)) {
        g_propagate_prefixed_error(error, failure,
                                   "snapshot '%s' is deleted, merging its layers was: ", name);
        return FALSE;
    }
    vmp_operation_warn(vmp_machine_get_operation(machine),
                       "snapshot '%s' is deleted, but its layers are not merged yet: %s", name,
                       failure->message);
    g_error_free(failure);
    return TRUE;
}

/* What can be merged only after what was merged before; nothing in a rehearsal. */
static gboolean
merge_rest(VmpMachine *machine, const char *subject, const char *name, gboolean more,
           GError **error)
{
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    GError *failure = NULL;

    while (more && !vmp_operation_get_dry_run(vmp_machine_get_operation(machine)))
        if (!delete_once(machine, none, subject, &more, &failure))
            return settle_for_less(machine, name, failure, error);
    return TRUE;
}

static gboolean
delete_external(VmpMachine *machine, const GPtrArray *names, const char *subject,
                GError **error)
{
    const char *first = g_ptr_array_index(names, 0);
    GError *failure = NULL;
    gboolean more = FALSE;

    if (!delete_once(machine, names, subject, &more, &failure))
        return settle_for_less(machine, first, failure, error);
    return merge_rest(machine, subject, first, more, error);
}

/* ---- what is asked for ---- */

static gboolean
check_documents(VmpMachine *machine, const GPtrArray *names, GError **error)
{
    for (guint i = 0; i < names->len; i++) {
        g_autoptr(VmpSnapshot) snapshot =
            vmp_record_load_snapshot(machine, g_ptr_array_index(names, i), error);
        if (!snapshot)
            return FALSE;
        if (vmp_snapshot_get_location(snapshot) == VMP_LOCATION_EXTERNAL &&
            !snapshot->domain_xml)
            return vmp_fail(
                error, VMP_ERROR_INCONSISTENT,
                "snapshot '%s' has no <domain> that says which images it froze; only "
                "its metadata can be deleted",
                snapshot->name);
        if (vmp_snapshot_get_location(snapshot) == VMP_LOCATION_EXTERNAL &&
            vmp_internal_is(snapshot))
            return vmp_fail(
                error, VMP_ERROR_UNSUPPORTED,
                "snapshot '%s' is internal on one disk and external on another; only "
                "its metadata can be deleted",
                snapshot->name);
    }
    return TRUE;
}

static gboolean
is_internal(const GPtrArray *rows, const char *name)
{
    return vmp_tree_find(rows, name)->location == VMP_LOCATION_INTERNAL;
}

/* The first turn must not be taken if a later one cannot. */
static gboolean
check_internal(VmpMachine *machine, const GPtrArray *rows, const GPtrArray *names,
               GError **error)
{
    g_autoptr(GPtrArray) internal = g_ptr_array_new();

    for (guint i = 0; i < names->len; i++)
        if (is_internal(rows, g_ptr_array_index(names, i)))
            g_ptr_array_add(internal, g_ptr_array_index(names, i));
    return vmp_point_check_delete_internal(machine, internal, error);
}

/* Layers that stayed for the sake of internal snapshots alone. */
static gboolean
merge_idle(VmpMachine *machine, const char *subject, const char *name, GError **error)
{
    gboolean idle = FALSE;

    return vmp_standing_has_idle(machine, &idle, error) &&
           merge_rest(machine, subject, name, idle, error);
}

/* Internal ones and external ones take turns, children first: an image that internal snapshots
 * are in stays until they are gone. */
static gboolean
delete_in_turns(VmpMachine *machine, const GPtrArray *rows, const GPtrArray *names,
                const char *subject, GError **error)
{
    gboolean internal = FALSE;

    for (guint i = 0; i < names->len;) {
        g_autoptr(GPtrArray) turn = g_ptr_array_new();

        internal = is_internal(rows, g_ptr_array_index(names, i));
        for (; i < names->len && internal == is_internal(rows, g_ptr_array_index(names, i));
             i++)
            g_ptr_array_add(turn, g_ptr_array_index(names, i));
        if (!(internal ? vmp_point_delete_internal(machine, turn, subject, error)
                       : delete_external(machine, turn, subject, error)))
            return FALSE;
    }
    return !internal ||
           merge_idle(machine, subject, g_ptr_array_index(names, names->len - 1), error);
}

gboolean
vmp_point_delete_snapshot(VmpMachine *machine, const char *name, VmpSnapshotDeleteFlags flags,
                          GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));

    if ((flags & VMP_SNAPSHOT_DELETE_CHILDREN) && (flags & VMP_SNAPSHOT_DELETE_CHILDREN_ONLY))
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "children and children-only exclude each other");

    g_autoptr(GPtrArray) rows =
        vmp_store_list_points(vmp_machine_get_store(machine), vmp_machine_get_row(machine)->id,
                              VMP_POINT_SNAPSHOT, FALSE, error);
    const VmpStorePoint *row = rows ? vmp_tree_find(rows, name) : NULL;
    if (!rows)
        return FALSE;
    if (!row)
        return vmp_fail(error, VMP_ERROR_NOT_FOUND, "there is no snapshot '%s'", name);

    if (flags & VMP_SNAPSHOT_DELETE_METADATA_ONLY)
        return forget(machine, rows, name, flags, error);
    if (flags & VMP_SNAPSHOT_DELETE_CHILDREN_ONLY && row->children == 0)
        return TRUE;

    g_autoptr(GPtrArray) names = names_of(rows, name, flags);
    return check_documents(machine, names, error) &&
           check_internal(machine, rows, names, error) &&
           delete_in_turns(machine, rows, names, name, error);
}
