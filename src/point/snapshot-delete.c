/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "plan/executor.h"
#include "plan/sweep.h"
#include "point/definition.h"
#include "point/internal.h"
#include "point/mark.h"
#include "point/part.h"
#include "point/quiet.h"
#include "point/record.h"
#include "point/snapshot.h"
#include "point/steps.h"
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
    g_autoptr(VmpPlan) plan = vmp_plan_new("snapshot-delete", vmp_machine_get_name(machine), name);
    g_auto(VmpChange) change = { .machine = machine,
                                 .operation = vmp_machine_get_operation(machine) };

    for (guint i = 0; i < names->len; i++)
        vmp_store_edit_remove_point(plan->edits, vmp_machine_get_row(machine)->id,
                                    VMP_POINT_SNAPSHOT, g_ptr_array_index(names, i));
    return vmp_plan_execute(plan, &change, error);
}

/* ---- the newest snapshot: its layer is merged down ---- */

typedef struct {
    VmpMachine *machine;
    VmpSnapshot *snapshot;
    VmpDomain *past; /* the snapshot's own definition: which image each disk had */
    VmpBlockSession *session;
    VmpBlockGraph *graph;
} Delete;

static void
delete_clear(Delete *delete)
{
    g_clear_pointer(&delete->snapshot, vmp_snapshot_free);
    g_clear_pointer(&delete->past, vmp_domain_free);
    g_clear_pointer(&delete->graph, vmp_block_graph_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Delete, delete_clear)

static gboolean
check_newest(const VmpStorePoint *row, GError **error)
{
    if (row->children > 0)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "snapshot '%s' has children; only the newest one can be deleted yet",
                        row->name);
    if (!row->current)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "snapshot '%s' is not the current one; only that can be deleted yet",
                        row->name);
    return TRUE;
}

typedef struct {
    VmpJson *jobs, *closes;
    GPtrArray *sources; /* of VmpSourceChange */
    GHashTable *moves;  /* path of a layer -> path of what it is merged into */
} DeleteSteps;

static gboolean
plan_disk(const Delete *delete, const char *target, VmpPlan *plan, DeleteSteps *steps,
          GError **error)
{
    VMP_ERROR_CONTEXT(error, "disk '%s'", target);
    const VmpDomainDisk *past = vmp_domain_find_disk(delete->past, target);
    const VmpBlockNode *overlay =
        vmp_block_session_image(delete->session, delete->graph, target, error);
    const char *root =
        overlay ? vmp_block_session_root(delete->session, delete->graph, target, error) : NULL;
    if (!root)
        return FALSE;

    const VmpBlockNode *base = vmp_block_graph_backing(delete->graph, overlay);
    if (!past || !base || base != vmp_block_graph_node_of_path(delete->graph, past->source))
        return vmp_fail(error, VMP_ERROR_INCONSISTENT,
                        "its active image '%s' does not stand on '%s', which the snapshot froze",
                        overlay->path, past ? past->source : "(unknown)");

    g_autofree char *job = g_strdup_printf("vmp-commit-%s", target);
    json_object_array_add(steps->jobs,
                          vmp_json_build("s:disk", target, "s:job", job, "s:root", root, "s:base",
                                         base->name, "s:overlay", overlay->name, NULL));
    json_object_array_add(steps->closes, json_object_new_string(overlay->name));
    if (overlay->file && overlay->file[0] != '#')
        json_object_array_add(steps->closes, json_object_new_string(overlay->file));
    g_ptr_array_add(steps->sources, vmp_source_change_new(target, past->source, past->driver));
    vmp_plan_retire_file(delete->machine, overlay->path, plan->edits);
    g_hash_table_insert(steps->moves, g_strdup(overlay->path), g_strdup(past->source));
    return TRUE;
}

static gboolean
plan_merge(VmpPlan *plan, const Delete *delete, GError **error)
{
    g_autoptr(VmpJson) jobs = json_object_new_array();
    g_autoptr(VmpJson) closes = json_object_new_array();
    g_autoptr(GPtrArray) sources =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_source_change_free);
    g_autoptr(GHashTable) moves = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    DeleteSteps steps = { jobs, closes, sources, moves };

    for (guint i = 0; i < delete->snapshot->disks->len; i++) {
        const VmpSnapshotDisk *disk = g_ptr_array_index(delete->snapshot->disks, i);
        if (disk->location == VMP_LOCATION_EXTERNAL &&
            !plan_disk(delete, disk->name, plan, &steps, error))
            return FALSE;
    }

    vmp_plan_add(plan, &vmp_step_start_commits,
                 vmp_json_build("o:jobs", json_object_get(jobs), NULL));
    vmp_plan_add_commit(plan, &vmp_step_finish_commits,
                        vmp_json_build("o:jobs", json_object_get(jobs), NULL));
    plan->mark_commit = TRUE;
    vmp_plan_add_cleanup(plan, &vmp_step_close_nodes,
                         vmp_json_build("o:nodes", json_object_get(closes), NULL));
    if (delete->snapshot->memory_file)
        vmp_plan_retire_file(delete->machine, delete->snapshot->memory_file, plan->edits);
    if (!vmp_definition_edit_sources(delete->machine, sources, plan->edits, error) ||
        !vmp_marks_move(delete->machine, moves, plan->edits, error) ||
        !vmp_part_plan_retire(plan, delete->machine, delete->snapshot->name, error))
        return FALSE;
    vmp_store_edit_remove_point(plan->edits, vmp_machine_get_row(delete->machine)->id,
                                VMP_POINT_SNAPSHOT, delete->snapshot->name);
    return TRUE;
}

static gboolean
merge_newest(VmpMachine *machine, const char *name, GError **error)
{
    g_auto(VmpChange) change = { .machine = machine,
                                 .operation = vmp_machine_get_operation(machine) };
    g_auto(Delete) delete = { .machine = machine };

    delete.snapshot = vmp_record_load_snapshot(machine, name, error);
    if (!delete.snapshot)
        return FALSE;
    if (!delete.snapshot->domain_xml)
        return vmp_fail(error, VMP_ERROR_INCONSISTENT,
                        "snapshot '%s' has no <domain> that says which images it froze; only its "
                        "metadata can be deleted",
                        name);
    if (vmp_snapshot_get_location(delete.snapshot) != VMP_LOCATION_EXTERNAL)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "external and internal snapshots cannot be deleted together yet");

    delete.past = vmp_domain_parse(delete.snapshot->domain_xml, -1, error);
    delete.session = delete.past ? vmp_change_get_session(&change, error) : NULL;
    delete.graph = delete.session ? vmp_block_session_read_graph(delete.session, error) : NULL;

    g_autoptr(VmpPlan) plan = vmp_plan_new("snapshot-delete", vmp_machine_get_name(machine), name);
    return delete.graph && vmp_change_begin_planning(&change, error) &&
           plan_merge(plan, &delete, error) && vmp_plan_execute(plan, &change, error);
}

static gboolean
are_internal(const GPtrArray *rows, const GPtrArray *names)
{
    for (guint i = 0; i < names->len; i++)
        if (vmp_tree_find(rows, g_ptr_array_index(names, i))->location != VMP_LOCATION_INTERNAL)
            return FALSE;
    return TRUE;
}

gboolean
vmp_point_delete_snapshot(VmpMachine *machine, const char *name, VmpSnapshotDeleteFlags flags,
                          GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));

    if ((flags & VMP_SNAPSHOT_DELETE_CHILDREN) && (flags & VMP_SNAPSHOT_DELETE_CHILDREN_ONLY))
        return vmp_fail(error, VMP_ERROR_INVALID, "children and children-only exclude each other");

    g_autoptr(GPtrArray) rows = vmp_store_list_points(
        vmp_machine_get_store(machine), vmp_machine_get_row(machine)->id, VMP_POINT_SNAPSHOT,
        FALSE, error);
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
    if (are_internal(rows, names))
        return vmp_point_delete_internal(machine, names, name, error);
    return check_newest(row, error) &&
           (!vmp_machine_is_on(machine) || vmp_quiet_check_jobs(machine, error)) &&
           merge_newest(machine, name, error);
}
