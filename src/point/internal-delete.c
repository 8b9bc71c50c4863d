/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* An internal snapshot is taken out of the image that it is in, wherever that stands: what a
 * disk writes to, what is below that, or a branch that nobody has open.  What the image reads
 * as stays the same.
 */

#include "base/error.h"
#include "machine/disk-device.h"
#include "plan/executor.h"
#include "point/internal-disks.h"
#include "point/internal.h"
#include "point/part.h"
#include "point/quiet.h"
#include "point/record.h"
#include "point/standing.h"
#include "point/steps.h"
#include "point/writable.h"
#include "store/edit.h"

typedef struct {
    VmpMachine *machine;
    const VmpDomain *definition;
    GPtrArray *disks;     /* of VmpInternalDisk: the present */
    VmpBlockGraph *graph; /* NULL when off */
    VmpWritable *writable;
    VmpJson *snapshots; /* see step-internal.c */
    gboolean aside;     /* images other than those of the present are touched */
} Deletion;

static void
deletion_clear(Deletion *deletion)
{
    g_clear_pointer(&deletion->disks, g_ptr_array_unref);
    g_clear_pointer(&deletion->writable, vmp_writable_free);
    g_clear_pointer(&deletion->graph, vmp_block_graph_free);
    g_clear_pointer(&deletion->snapshots, json_object_put);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Deletion, deletion_clear)

static gboolean
deletion_init(Deletion *deletion, VmpMachine *machine, GError **error)
{
    VmpQmpClient *monitor = NULL;

    deletion->machine = machine;
    deletion->snapshots = json_object_new_array();
    deletion->definition = vmp_machine_get_definition(machine, error);
    if (!deletion->definition)
        return FALSE;
    if (vmp_machine_is_on(machine)) {
        monitor = vmp_machine_get_monitor(machine, error);
        deletion->graph = monitor ? vmp_machine_read_graph(machine, monitor, error) : NULL;
        if (!deletion->graph)
            return FALSE;
    }
    deletion->writable = vmp_writable_new(deletion->graph, deletion->definition);
    deletion->disks = vmp_internal_disks_look(machine, error);
    return deletion->disks != NULL;
}

/* ---- images that are not what a disk writes to ---- */

static gboolean
is_below(const VmpBlockGraph *graph, const VmpBlockNode *top, const VmpBlockNode *node)
{
    while (top && top != node)
        top = vmp_block_graph_backing(graph, top);
    return top != NULL;
}

/* QEMU has @node open below one of its disks: the name that it has once it is writable. */
static const char *
make_writable(Deletion *deletion, const VmpBlockNode *node, GError **error)
{
    const GPtrArray *known = vmp_domain_get_disks(deletion->definition);

    for (guint i = 0; i < known->len; i++) {
        const char *target = ((const VmpDomainDisk *)g_ptr_array_index(known, i))->target;
        const VmpBlockDevice *device =
            vmp_machine_disk_device(deletion->machine, deletion->graph, target, NULL);
        const VmpBlockNode *top =
            device && device->node
                ? vmp_block_graph_active_image(deletion->graph, device->node)
                : NULL;
        if (top && is_below(deletion->graph, top, node))
            return vmp_writable_add(deletion->writable, top, node, target, error);
    }
    return vmp_fail_null(error, VMP_ERROR_BUSY,
                         "QEMU has image '%s' open, and below none of the domain's disks",
                         node->path);
}

static gboolean
add_aside(Deletion *deletion, VmpJson *entries, const char *target, const char *path,
          GError **error)
{
    const VmpBlockNode *node =
        deletion->graph ? vmp_block_graph_node_of_path(deletion->graph, path) : NULL;
    const char *name = node ? make_writable(deletion, node, error) : NULL;

    if (node && !name)
        return FALSE;
    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        return vmp_fail(
            error, VMP_ERROR_INCONSISTENT,
            "disk '%s': image '%s', which the snapshot is in, is not there; only the "
            "metadata of the snapshot can be deleted",
            target, path);
    deletion->aside = TRUE;
    json_object_array_add(
        entries, vmp_json_build("s:disk", target, "s:path", path, "S:node", name, NULL));
    return TRUE;
}

/* ---- one snapshot ---- */

/* The image that the snapshot is in on the disk @target; NULL = what the disk writes to. */
static const char *
image_of(const VmpDomain *past, const char *target)
{
    const VmpDomainDisk *then = past ? vmp_domain_find_disk(past, target) : NULL;

    return then ? then->source : NULL;
}

static gboolean
add_disk(Deletion *deletion, VmpJson *entries, const VmpDomain *past, const char *target,
         GError **error)
{
    const char *path = image_of(past, target);

    if (path && !vmp_internal_disks_find_image(deletion->disks, path))
        return add_aside(deletion, entries, target, path, error);
    if (!path && !vmp_internal_disks_find(deletion->disks, target))
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "disk '%s' is not the domain's any more (or not written to); only the "
                        "metadata of the snapshot can be deleted",
                        target);
    return TRUE;
}

/* Is what @disk writes to one of the images that @snapshot is in? */
static gboolean
is_in(const VmpSnapshot *snapshot, const VmpDomain *past, const VmpInternalDisk *disk)
{
    const VmpSnapshotDisk *entry = vmp_snapshot_find_disk(snapshot, disk->disk);
    const char *path = image_of(past, disk->disk);

    return vmp_internal_snapshots_find(disk->snapshots, snapshot->name) &&
           (!entry || !path || g_strcmp0(path, disk->path) == 0);
}

static gboolean
add_snapshot(Deletion *deletion, const char *name, GError **error)
{
    VMP_ERROR_CONTEXT(error, "snapshot '%s'", name);
    g_autoptr(VmpSnapshot) snapshot = vmp_record_load_snapshot(deletion->machine, name, error);
    if (!snapshot)
        return FALSE;

    g_autoptr(VmpJson) entries = json_object_new_array();
    g_autoptr(VmpDomain) past =
        snapshot->domain_xml ? vmp_domain_parse(snapshot->domain_xml, -1, NULL) : NULL;
    for (guint i = 0; i < deletion->disks->len; i++) {
        const VmpInternalDisk *disk = g_ptr_array_index(deletion->disks, i);
        if (is_in(snapshot, past, disk))
            json_object_array_add(entries,
                                  vmp_json_build("s:disk", disk->disk, "S:path", disk->path,
                                                 "S:node", disk->node, NULL));
    }
    for (guint i = 0; i < snapshot->disks->len; i++) {
        const VmpSnapshotDisk *entry = g_ptr_array_index(snapshot->disks, i);
        if (entry->location == VMP_LOCATION_INTERNAL &&
            !add_disk(deletion, entries, past, entry->name, error))
            return FALSE;
    }
    json_object_array_add(
        deletion->snapshots,
        vmp_json_build("s:tag", name, "o:disks", g_steal_pointer(&entries), NULL));
    return TRUE;
}

/* ---- all of them ---- */

static gboolean
look(Deletion *deletion, VmpMachine *machine, const GPtrArray *names, GError **error)
{
    if (vmp_machine_is_on(machine) &&
        (!vmp_quiet_check_jobs(machine, error) || !vmp_quiet_check_migration(machine, error)))
        return FALSE;
    if (!deletion_init(deletion, machine, error))
        return FALSE;
    for (guint i = 0; i < names->len; i++)
        if (!add_snapshot(deletion, g_ptr_array_index(names, i), error))
            return FALSE;
    return TRUE;
}

gboolean
vmp_point_check_delete_internal(VmpMachine *machine, const GPtrArray *names, GError **error)
{
    g_auto(Deletion) deletion = { 0 };

    return names->len == 0 || look(&deletion, machine, names, error);
}

/* A branch that stayed only because they are in it is needed by nobody afterwards. */
static gboolean
edit_idle(const Deletion *deletion, const GPtrArray *names, VmpJson *edits, GError **error)
{
    if (!deletion->aside)
        return TRUE;

    g_autoptr(VmpStanding) standing = vmp_standing_look(deletion->machine, names, error);
    if (standing)
        vmp_standing_edit_idle(standing, deletion->machine, edits);
    return standing != NULL;
}

gboolean
vmp_point_delete_internal(VmpMachine *machine, const GPtrArray *names, const char *subject,
                          GError **error)
{
    g_auto(VmpChange)
        change = { .machine = machine, .operation = vmp_machine_get_operation(machine) };
    g_auto(Deletion) deletion = { 0 };
    g_autoptr(VmpPlan) plan =
        vmp_plan_new("snapshot-delete", vmp_machine_get_name(machine), subject);

    if (!look(&deletion, machine, names, error) ||
        !edit_idle(&deletion, names, plan->edits, error))
        return FALSE;
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        if (!vmp_part_plan_retire(plan, machine, name, error))
            return FALSE;
        vmp_store_edit_remove_point(plan->edits, vmp_machine_get_row(machine)->id,
                                    VMP_POINT_SNAPSHOT, name);
    }
    vmp_plan_add_commit(plan, &vmp_step_delete_internal,
                        vmp_json_build("o:snapshots", json_object_get(deletion.snapshots),
                                       "o:reopen", vmp_writable_to_json(deletion.writable),
                                       NULL));
    vmp_writable_plan_closing(deletion.writable, plan);
    return vmp_plan_execute(plan, &change, error);
}
