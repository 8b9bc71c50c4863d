/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <time.h>

#include "base/error.h"
#include "machine/freeze.h"
#include "plan/executor.h"
#include "plan/stamp.h"
#include "point/align.h"
#include "point/definition.h"
#include "point/internal.h"
#include "point/layer.h"
#include "point/memory.h"
#include "point/part.h"
#include "point/quiet.h"
#include "point/record.h"
#include "point/snapshot.h"
#include "point/steps.h"
#include "storage/overlay.h"
#include "store/edit.h"
#include "xml/name.h"

/* What creating looks at, gathered before anything is planned. */
typedef struct {
    VmpMachine *machine;
    const VmpDomain *definition;
    VmpBlockGraph *graph;
    VmpBlockSession *session;
    VmpSnapshotCreateFlags flags;
} CreateContext;

/* ---- the request ---- */

static gboolean
check_flags(VmpSnapshotCreateFlags flags, gboolean active, gboolean persistent, GError **error)
{
    if (flags & VMP_SNAPSHOT_CREATE_CURRENT)
        return vmp_fail(error, VMP_ERROR_INVALID, "making current goes with redefining only");
    if ((flags & VMP_SNAPSHOT_CREATE_QUIESCE) && !(flags & VMP_SNAPSHOT_CREATE_DISK_ONLY))
        return vmp_fail(error, VMP_ERROR_INVALID, "quiescing goes with a disk-only snapshot");
    if ((flags & VMP_SNAPSHOT_CREATE_HALT) && !persistent)
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "a transient domain cannot be halted: nothing would be left of it");
    if ((flags & VMP_SNAPSHOT_CREATE_LIVE) && !active)
        return vmp_fail(error, VMP_ERROR_INVALID, "a live snapshot needs a running domain");
    return TRUE;
}

/* Name, state, time and parent: what a new snapshot gets rather than says. */
static gboolean
fill_in(VmpSnapshot *snapshot, VmpMachine *machine, VmpSnapshotCreateFlags flags, GError **error)
{
    VmpState state = VMP_STATE_SHUTOFF;
    gboolean exists = FALSE;

    if (vmp_machine_is_on(machine) && !vmp_machine_query_state(machine, &state, NULL, error))
        return FALSE;
    if (state == VMP_STATE_PMSUSPENDED)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "the guest is suspended to memory: no snapshot of it");

    snapshot->creation_time = (gint64)time(NULL);
    if (!snapshot->name)
        snapshot->name = g_strdup_printf("%" G_GINT64_FORMAT, snapshot->creation_time);
    if (!(flags & VMP_SNAPSHOT_CREATE_NO_METADATA) &&
        !vmp_snapshot_name_check(snapshot->name, error))
        return FALSE;
    if (!vmp_record_exists(machine, VMP_POINT_SNAPSHOT, snapshot->name, &exists, error))
        return FALSE;
    if (exists)
        return vmp_fail(error, VMP_ERROR_EXISTS, "snapshot '%s' exists already", snapshot->name);

    snapshot->state = state != VMP_STATE_SHUTOFF && (flags & VMP_SNAPSHOT_CREATE_DISK_ONLY)
                          ? VMP_STATE_DISK_SNAPSHOT
                          : state;
    g_clear_pointer(&snapshot->parent, g_free);
    return vmp_record_current_name(machine, VMP_POINT_SNAPSHOT, &snapshot->parent, error);
}

/* The definitions as they are at this moment, before any disk changes. */
static gboolean
capture_definitions(VmpSnapshot *snapshot, VmpMachine *machine, GError **error)
{
    const VmpDomain *definition = vmp_machine_get_definition(machine, error);
    if (!definition)
        return FALSE;

    snapshot->domain_xml = vmp_definition_capture(definition);
    snapshot->domain_uuid = g_strdup(vmp_machine_get_uuid(machine));
    if (!vmp_machine_is_on(machine) || !vmp_machine_get_row(machine)->inactive)
        return TRUE;

    const VmpDomain *inactive = vmp_machine_get_inactive(machine, error);
    if (!inactive)
        return FALSE;
    snapshot->inactive_domain_xml = vmp_domain_format(
        inactive, VMP_DOMAIN_FORMAT_SECURE | VMP_DOMAIN_FORMAT_INACTIVE_ROOT);
    return TRUE;
}

static VmpSnapshot *
read_request(VmpMachine *machine, const char *xml, VmpSnapshotCreateFlags flags, GError **error)
{
    g_autoptr(VmpSnapshot) snapshot =
        vmp_snapshot_parse(xml ? xml : "<domainsnapshot/>", -1, VMP_SNAPSHOT_PARSE_CREATE, error);
    const VmpDomain *definition = vmp_machine_get_definition(machine, error);

    if (!snapshot || !definition ||
        !check_flags(flags, vmp_machine_is_on(machine),
                     vmp_machine_get_row(machine)->inactive != 0, error) ||
        !fill_in(snapshot, machine, flags, error) ||
        !vmp_align_snapshot(snapshot, definition, vmp_machine_is_on(machine), flags, error) ||
        !capture_definitions(snapshot, machine, error))
        return NULL;
    return g_steal_pointer(&snapshot);
}

/* What this version can make of what was asked for. */
static gboolean
check_supported(const VmpSnapshot *snapshot, GError **error)
{
    for (guint i = 0; i < snapshot->disks->len; i++) {
        const VmpSnapshotDisk *disk = g_ptr_array_index(snapshot->disks, i);
        if (disk->location == VMP_LOCATION_INTERNAL || disk->location == VMP_LOCATION_MANUAL)
            return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                            "disk '%s': %s snapshots are not supported yet; use --disk-only",
                            disk->name, vmp_location_name(disk->location));
        if (disk->location == VMP_LOCATION_EXTERNAL && disk->type == VMP_STORAGE_NETWORK)
            return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                            "disk '%s': network overlays are not supported yet", disk->name);
    }
    return TRUE;
}

/* ---- the plan ---- */

static VmpNewImage *
plan_image(const VmpSnapshotDisk *disk, const VmpBlockNode *below, const CreateContext *context,
           GHashTable *taken)
{
    const VmpLayerOptions options =
        vmp_layer_options_of(vmp_domain_find_disk(context->definition, disk->name), below);
    VmpNewImage *image = g_new0(VmpNewImage, 1);
    g_autofree char *format_stem = g_strdup_printf("%s-format", disk->name);
    g_autofree char *storage_stem = g_strdup_printf("%s-storage", disk->name);

    image->path = g_strdup(disk->source);
    image->format = g_strdup(disk->driver ? disk->driver : "qcow2");
    image->size = below->size;
    image->backing_path = g_strdup(below->path);
    image->backing_format = g_strdup(vmp_layer_format_of(below));
    image->cluster_size = below->cluster_size;
    image->extended_l2 = below->extended_l2;
    image->node = vmp_block_graph_new_name(context->graph, format_stem, taken);
    image->file_node = vmp_block_graph_new_name(context->graph, storage_stem, taken);
    image->model = g_strdup(below->path);
    image->reuse = (context->flags & VMP_SNAPSHOT_CREATE_REUSE_EXT) != 0;
    image->block_device = disk->type == VMP_STORAGE_BLOCK;
    image->direct = options.direct;
    image->unmap = options.unmap;
    image->aio = g_strdup(options.aio);
    image->detect_zeroes = g_strdup(options.detect_zeroes);
    return image;
}

/* One that its image does not keep may be anybody's for a while, unless a checkpoint has the
 * name. */
static gboolean
must_go_on(const CreateContext *context, const VmpBitmap *bitmap)
{
    gboolean known = FALSE;

    if (!bitmap->recording || bitmap->inconsistent)
        return FALSE;
    return bitmap->persistent ||
           (vmp_record_exists(context->machine, VMP_POINT_CHECKPOINT, bitmap->name, &known,
                              NULL) &&
            known);
}

/* The bitmaps that must go on recording in the overlay. */
static VmpJson *
plan_bitmaps(const CreateContext *context, const VmpBlockNode *node)
{
    VmpJson *bitmaps = json_object_new_array();

    for (guint i = 0; i < node->bitmaps->len; i++) {
        const VmpBitmap *bitmap = g_ptr_array_index(node->bitmaps, i);
        if (must_go_on(context, bitmap))
            json_object_array_add(bitmaps,
                                  vmp_json_build("s:name", bitmap->name, "i:granularity",
                                                 (gint64)bitmap->granularity, NULL));
    }
    return bitmaps;
}

/* The image, and those below it that nobody froze. */
static void
freeze(VmpPlan *plan, const VmpBlockNode *below, const CreateContext *context)
{
    for (const VmpBlockNode *node = below; node && node->path;
         node = vmp_block_graph_backing(context->graph, node)) {
        if (node != below && vmp_stamp_has(context->machine, node->path))
            return;
        g_ptr_array_add(plan->freezes, g_strdup(node->path));
    }
}

/* Adds one disk to the steps' arguments. */
static gboolean
plan_disk(const VmpSnapshotDisk *disk, const CreateContext *context, GHashTable *taken,
          VmpPlan *plan, VmpJson *images, VmpJson *switches, GError **error)
{
    const VmpBlockNode *below =
        vmp_block_session_image(context->session, context->graph, disk->name, error);
    if (!below)
        return FALSE;
    if (!below->path)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "disk '%s': its image '%s' has no path that an overlay could name",
                        disk->name, below->filename);

    g_autoptr(VmpNewImage) image = plan_image(disk, below, context, taken);
    json_object_array_add(images, vmp_new_image_to_json(image));
    json_object_array_add(
        switches, vmp_json_build("s:disk", disk->name, "s:node", below->name, "s:overlay",
                                 image->node, "s:path", image->path, "s:backing", below->path,
                                 "o:bitmaps", plan_bitmaps(context, below), NULL));
    freeze(plan, below, context);
    return TRUE;
}

/* The disks of a domain that is off are at rest. */
static gboolean
wants_quiescing(const CreateContext *context)
{
    return (context->flags & VMP_SNAPSHOT_CREATE_QUIESCE) && vmp_machine_is_on(context->machine);
}

static gboolean
plan_steps(VmpPlan *plan, const VmpSnapshot *snapshot, const CreateContext *context,
           GError **error)
{
    g_autoptr(GHashTable) taken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(VmpJson) images = json_object_new_array();
    g_autoptr(VmpJson) switches = json_object_new_array();

    for (guint i = 0; i < snapshot->disks->len; i++) {
        const VmpSnapshotDisk *disk = g_ptr_array_index(snapshot->disks, i);
        if (disk->location == VMP_LOCATION_EXTERNAL &&
            !plan_disk(disk, context, taken, plan, images, switches, error))
            return FALSE;
    }
    vmp_plan_add(plan, &vmp_step_create_images,
                 vmp_json_build("o:images", g_steal_pointer(&images), NULL));
    gboolean memory = snapshot->memory == VMP_LOCATION_EXTERNAL;
    if (memory && !vmp_memory_plan_save(plan, context->machine, snapshot->memory_file,
                                        (context->flags & VMP_SNAPSHOT_CREATE_LIVE) != 0, error))
        return FALSE;
    gboolean quiesce = wants_quiescing(context);
    if (quiesce)
        vmp_plan_add(plan, &vmp_step_freeze_guest, NULL);
    if (!(context->flags & VMP_SNAPSHOT_CREATE_NO_METADATA) &&
        !vmp_part_plan_keep(plan, context->machine, snapshot->name, memory, error))
        return FALSE;
    vmp_plan_add_commit(plan, &vmp_step_switch_to_overlays,
                        vmp_json_build("b:offline", vmp_block_session_is_offline(context->session),
                                       "o:disks", g_steal_pointer(&switches), NULL));
    if (memory)
        vmp_memory_plan_seal(plan);
    vmp_part_plan_seal(plan);
    /* The agent thaws in a guest that runs. */
    if (quiesce)
        vmp_plan_add_cleanup(plan, &vmp_step_thaw_guest, NULL);
    return TRUE;
}

/* What can be done with the memory. */
static gboolean
check_memory(VmpMachine *machine, const VmpSnapshot *snapshot, GError **error)
{
    gboolean disks = FALSE;

    for (guint i = 0; i < snapshot->disks->len; i++)
        disks |= ((const VmpSnapshotDisk *)g_ptr_array_index(snapshot->disks, i))->location ==
                 VMP_LOCATION_EXTERNAL;
    if (!disks)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "a snapshot of the memory without any disk is not supported yet");
    return vmp_memory_check(machine, snapshot->memory_file, error);
}

/* What the store is told at the end: new sources, files that are ours, the snapshot. */
static gboolean
plan_edits(VmpPlan *plan, const VmpSnapshot *snapshot, const CreateContext *context,
           GError **error)
{
    gboolean reuse = (context->flags & VMP_SNAPSHOT_CREATE_REUSE_EXT) != 0;
    g_autoptr(GPtrArray) changes =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_source_change_free);

    for (guint i = 0; i < snapshot->disks->len; i++) {
        const VmpSnapshotDisk *disk = g_ptr_array_index(snapshot->disks, i);
        if (disk->location != VMP_LOCATION_EXTERNAL)
            continue;
        g_ptr_array_add(changes, vmp_source_change_new(disk->name, disk->source,
                                                       disk->driver ? disk->driver : "qcow2"));
        VmpStoreFile file = { .path = disk->source,
                              .domain = vmp_machine_get_row(context->machine)->id,
                              .role = (char *)"overlay",
                              .point = snapshot->name };
        if (!reuse && disk->type == VMP_STORAGE_FILE)
            vmp_store_edit_put_file(plan->edits, &file);
    }
    if (snapshot->memory == VMP_LOCATION_EXTERNAL) {
        VmpStoreFile file = { .path = snapshot->memory_file,
                              .domain = vmp_machine_get_row(context->machine)->id,
                              .role = (char *)"memory",
                              .point = snapshot->name };
        vmp_store_edit_put_file(plan->edits, &file);
    }
    if (!vmp_definition_edit_sources(context->machine, changes, plan->edits, error))
        return FALSE;
    if (context->flags & VMP_SNAPSHOT_CREATE_NO_METADATA)
        return TRUE;

    g_autoptr(VmpStorePoint) row =
        vmp_record_to_snapshot_row(context->machine, snapshot, TRUE, error);
    if (!row)
        return FALSE;
    vmp_store_edit_put_point(plan->edits, row);
    return TRUE;
}

char *
vmp_point_create_snapshot(VmpMachine *machine, const char *xml, VmpSnapshotCreateFlags flags,
                          GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));

    g_autoptr(VmpSnapshot) snapshot = read_request(machine, xml, flags, error);
    if (!snapshot)
        return NULL;
    if (vmp_internal_is(snapshot))
        return vmp_point_create_internal(machine, snapshot, flags, error)
                   ? g_steal_pointer(&snapshot->name)
                   : NULL;
    if (!check_supported(snapshot, error) ||
        (snapshot->memory == VMP_LOCATION_EXTERNAL &&
         !check_memory(machine, snapshot, error)))
        return NULL;

    if (vmp_machine_is_on(machine) && !vmp_quiet_check_jobs(machine, error))
        return NULL;
    g_auto(VmpChange) change = { .machine = machine,
                                 .operation = vmp_machine_get_operation(machine) };
    VmpBlockSession *session = vmp_change_get_session(&change, error);
    g_autoptr(VmpBlockGraph) graph =
        session ? vmp_block_session_read_graph(session, error) : NULL;
    if (!graph)
        return NULL;

    CreateContext context = { .machine = machine,
                              .definition = vmp_machine_get_definition(machine, error),
                              .graph = graph,
                              .session = session,
                              .flags = flags };
    g_autoptr(VmpPlan) plan =
        vmp_plan_new("snapshot-create", vmp_machine_get_name(machine), snapshot->name);
    if (!context.definition ||
        (wants_quiescing(&context) && !vmp_machine_check_can_freeze(machine, error)) ||
        !plan_steps(plan, snapshot, &context, error) ||
        !vmp_change_begin_planning(&change, error) ||
        !plan_edits(plan, snapshot, &context, error) || !vmp_plan_execute(plan, &change, error))
        return NULL;

    if ((flags & VMP_SNAPSHOT_CREATE_HALT) && vmp_machine_is_on(machine) &&
        !vmp_operation_get_dry_run(change.operation) && !vmp_machine_destroy(machine, 0, error))
        return NULL;
    return g_steal_pointer(&snapshot->name);
}
