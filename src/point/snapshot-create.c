/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <time.h>

#include "base/error.h"
#include "machine/freeze.h"
#include "plan/executor.h"
#include "plan/stamp.h"
#include "point/align.h"
#include "point/checkpoint.h"
#include "point/definition.h"
#include "point/internal.h"
#include "point/layer.h"
#include "point/memory.h"
#include "point/overlay-check.h"
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
    const VmpCheckpoint *checkpoint; /* of the same instant; or NULL */
    VmpJson *marks;                  /* its bitmaps, once planned; or NULL */
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
fill_in(VmpSnapshot *snapshot, VmpMachine *machine, VmpSnapshotCreateFlags flags,
        GError **error)
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
        return vmp_fail(error, VMP_ERROR_EXISTS, "snapshot '%s' exists already",
                        snapshot->name);

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
read_request(VmpMachine *machine, const char *xml, VmpSnapshotCreateFlags flags,
             GError **error)
{
    g_autoptr(VmpSnapshot) snapshot = vmp_snapshot_parse(xml ? xml : "<domainsnapshot/>", -1,
                                                         VMP_SNAPSHOT_PARSE_CREATE, error);
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

static guint
count_disks(const VmpSnapshot *snapshot, VmpLocation location)
{
    guint count = 0;

    for (guint i = 0; i < snapshot->disks->len; i++)
        count += ((const VmpSnapshotDisk *)g_ptr_array_index(snapshot->disks, i))->location ==
                         location
                     ? 1
                     : 0;
    return count;
}

/* ---- the plan ---- */

static VmpNewImage *
plan_image(const VmpSnapshotDisk *disk, const VmpBlockNode *below,
           const CreateContext *context, GHashTable *taken)
{
    const VmpLayerOptions options =
        vmp_layer_options_of(vmp_domain_find_disk(context->definition, disk->name), below);
    VmpNewImage *image = g_new0(VmpNewImage, 1);
    g_autofree char *format_stem = g_strdup_printf("%s-format", disk->name);

    image->path = g_strdup(disk->source);
    image->format = g_strdup(disk->driver ? disk->driver : "qcow2");
    image->size = below->size;
    image->backing_path = g_strdup(below->path);
    image->backing_format = g_strdup(vmp_layer_format_of(below));
    image->cluster_size = below->cluster_size;
    image->extended_l2 = below->extended_l2;
    image->node = vmp_block_graph_new_name(context->graph, format_stem, taken);
    image->model = g_strdup(below->path);
    image->reuse = (context->flags & VMP_SNAPSHOT_CREATE_REUSE_EXT) != 0;
    image->block_device = disk->type == VMP_STORAGE_BLOCK;
    image->network = disk->type == VMP_STORAGE_NETWORK;
    image->direct = options.direct;
    image->unmap = options.unmap;
    image->aio = image->network ? NULL : g_strdup(options.aio);
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
    return bitmap->persistent || (vmp_record_exists(context->machine, VMP_POINT_CHECKPOINT,
                                                    bitmap->name, &known, NULL) &&
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
    if (!vmp_overlay_check(context->machine, disk, below,
                           (context->flags & VMP_SNAPSHOT_CREATE_REUSE_EXT) != 0, error))
        return FALSE;

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
    return (context->flags & VMP_SNAPSHOT_CREATE_QUIESCE) &&
           vmp_machine_is_on(context->machine);
}

/* What the checkpoint of the same instant records: on a disk that gets an overlay, in that. */
static gboolean
plan_marks(CreateContext *context, VmpJson *switches, GError **error)
{
    if (!context->checkpoint)
        return TRUE;
    context->marks = vmp_point_checkpoint_bitmaps(context->session, context->graph,
                                                  context->checkpoint, error);

    for (guint i = 0; i < vmp_json_length(context->marks); i++) {
        VmpJson *mark = vmp_json_at(context->marks, i);
        for (guint j = 0; j < vmp_json_length(switches); j++) {
            VmpJson *disk = vmp_json_at(switches, j);
            if (g_strcmp0(vmp_json_get_string(disk, "disk"),
                          vmp_json_get_string(mark, "disk")) != 0)
                continue;
            vmp_json_add(mark, "s:node", vmp_json_get_string(disk, "overlay"), "s:image",
                         vmp_json_get_string(disk, "path"), NULL);
            json_object_object_del(mark, "transient");
        }
    }
    return context->marks != NULL;
}

/* A disk whose storage makes the snapshot by itself needs a guest that stands still, until
 * whoever asked for it lets it run on.  *stopped: it does. */
static gboolean
plan_pause(VmpPlan *plan, const VmpSnapshot *snapshot, VmpMachine *machine, gboolean *stopped,
           GError **error)
{
    VmpState state = VMP_STATE_SHUTOFF;

    if (!vmp_machine_is_on(machine) || count_disks(snapshot, VMP_LOCATION_MANUAL) == 0)
        return TRUE;
    if (!vmp_machine_query_state(machine, &state, NULL, error))
        return FALSE;
    if (state == VMP_STATE_RUNNING)
        vmp_plan_add(plan, &vmp_step_pause, vmp_json_build("b:was-running", TRUE, NULL));
    *stopped = TRUE;
    return TRUE;
}

/* The memory, or a guest that stands still, before the parts are copied. */
static gboolean
plan_before(VmpPlan *plan, const VmpSnapshot *snapshot, const CreateContext *context,
            GError **error)
{
    gboolean memory = snapshot->memory == VMP_LOCATION_EXTERNAL;
    gboolean stopped = memory;

    if (!plan_pause(plan, snapshot, context->machine, &stopped, error) ||
        (memory &&
         !vmp_memory_plan_save(plan, context->machine, context->graph, snapshot->memory_file,
                               (context->flags & VMP_SNAPSHOT_CREATE_LIVE) != 0, error)))
        return FALSE;
    if (wants_quiescing(context))
        vmp_plan_add(plan, &vmp_step_freeze_guest, NULL);
    return vmp_part_plan_keep(
        plan, context->machine, snapshot->name,
        (stopped ? VMP_PARTS_STOPPED : 0) | (memory ? VMP_PARTS_IN_RAM : 0) |
            (context->flags & VMP_SNAPSHOT_CREATE_NO_METADATA ? VMP_PARTS_FORGOTTEN : 0),
        error);
}

static void
plan_after(VmpPlan *plan, const VmpSnapshot *snapshot, const CreateContext *context)
{
    if (snapshot->memory == VMP_LOCATION_EXTERNAL)
        vmp_memory_plan_seal(plan);
    vmp_part_plan_seal(plan);
    /* The agent thaws in a guest that runs. */
    if (wants_quiescing(context))
        vmp_plan_add_cleanup(plan, &vmp_step_thaw_guest, NULL);
}

static gboolean
plan_steps(VmpPlan *plan, const VmpSnapshot *snapshot, CreateContext *context, GError **error)
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
    gboolean switching = vmp_json_length(switches) > 0;
    if (!plan_marks(context, switches, error))
        return FALSE;
    if (switching)
        vmp_plan_add(plan, &vmp_step_create_images,
                     vmp_json_build("o:images", g_steal_pointer(&images), NULL));
    if (!plan_before(plan, snapshot, context, error))
        return FALSE;
    vmp_plan_add_commit(plan, &vmp_step_switch_to_overlays,
                        vmp_json_build("b:offline",
                                       vmp_block_session_is_offline(context->session),
                                       "o:disks", g_steal_pointer(&switches), "O:marks",
                                       json_object_get(context->marks), NULL));
    plan_after(plan, snapshot, context);
    /* Of a switch without disks nothing but the journal can tell whether it was reached. */
    plan->mark_commit |= !switching;
    return TRUE;
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
        if (!reuse && disk->type != VMP_STORAGE_BLOCK)
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
    if (context->checkpoint &&
        !vmp_point_checkpoint_edits(context->machine, context->checkpoint, context->marks,
                                    plan->edits, error))
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

/* Everything else has been looked at: the disks, the plan, and the change. */
static gboolean
create_external(VmpMachine *machine, const VmpSnapshot *snapshot,
                const VmpCheckpoint *checkpoint, VmpSnapshotCreateFlags flags, GError **error)
{
    g_auto(VmpChange)
        change = { .machine = machine, .operation = vmp_machine_get_operation(machine) };
    VmpBlockSession *session = vmp_change_get_session(&change, error);
    g_autoptr(VmpBlockGraph) graph =
        session ? vmp_block_session_read_graph(session, error) : NULL;
    if (!graph)
        return FALSE;

    CreateContext context = { .machine = machine,
                              .definition = vmp_machine_get_definition(machine, error),
                              .graph = graph,
                              .session = session,
                              .flags = flags,
                              .checkpoint = checkpoint };
    g_autoptr(VmpPlan) plan =
        vmp_plan_new("snapshot-create", vmp_machine_get_name(machine), snapshot->name);
    gboolean planned =
        context.definition &&
        (!wants_quiescing(&context) || vmp_machine_check_can_freeze(machine, error)) &&
        plan_steps(plan, snapshot, &context, error) &&
        vmp_change_begin_planning(&change, error) &&
        plan_edits(plan, snapshot, &context, error);
    G_GNUC_UNUSED g_autoptr(VmpJson) marks = context.marks;

    return planned && vmp_plan_execute(plan, &change, error);
}

static gboolean
check_external(VmpMachine *machine, const VmpSnapshot *snapshot, VmpSnapshotCreateFlags flags,
               GError **error)
{
    if ((flags & VMP_SNAPSHOT_CREATE_QUIESCE) &&
        count_disks(snapshot, VMP_LOCATION_MANUAL) > 0)
        return vmp_fail(
            error, VMP_ERROR_UNSUPPORTED,
            "a disk whose snapshot is made by hand leaves the guest paused, and then no "
            "agent can thaw it: quiesce by domfsfreeze and domfsthaw");
    if (snapshot->memory == VMP_LOCATION_EXTERNAL)
        return vmp_memory_check(machine, snapshot->memory_file, error);
    return !vmp_machine_is_on(machine) || vmp_quiet_check_jobs(machine, error);
}

/* Of @xml, or NULL without @error if there is to be none. */
static VmpCheckpoint *
read_checkpoint(VmpMachine *machine, const VmpSnapshot *snapshot, const char *xml,
                GError **error)
{
    if (!xml)
        return NULL;
    if (vmp_internal_is(snapshot))
        return vmp_fail_null(error, VMP_ERROR_UNSUPPORTED,
                             "a checkpoint goes with an external snapshot only: QEMU makes an "
                             "internal one outside of any transaction");
    if (count_disks(snapshot, VMP_LOCATION_EXTERNAL) == 0)
        return vmp_fail_null(error, VMP_ERROR_UNSUPPORTED,
                             "a checkpoint goes with a snapshot in which a disk is external");
    return vmp_point_prepare_checkpoint(machine, xml, error);
}

static gboolean
halt(VmpMachine *machine, VmpSnapshotCreateFlags flags, GError **error)
{
    if (!(flags & VMP_SNAPSHOT_CREATE_HALT) || !vmp_machine_is_on(machine) ||
        vmp_operation_get_dry_run(vmp_machine_get_operation(machine)))
        return TRUE;
    return vmp_machine_destroy(machine, 0, error);
}

char *
vmp_point_create_snapshot(VmpMachine *machine, const char *xml, VmpSnapshotCreateFlags flags,
                          GError **error)
{
    return vmp_point_create_with_checkpoint(machine, xml, NULL, flags, NULL, error);
}

char *
vmp_point_create_with_checkpoint(VmpMachine *machine, const char *xml,
                                 const char *checkpoint_xml, VmpSnapshotCreateFlags flags,
                                 char **checkpoint_name, GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));

    g_autoptr(VmpSnapshot) snapshot = read_request(machine, xml, flags, error);
    if (!snapshot)
        return NULL;
    g_autoptr(VmpCheckpoint) checkpoint =
        read_checkpoint(machine, snapshot, checkpoint_xml, error);
    if (checkpoint_xml && !checkpoint)
        return NULL;
    if (vmp_internal_is(snapshot))
        return vmp_point_create_internal(machine, snapshot, flags, error)
                   ? g_steal_pointer(&snapshot->name)
                   : NULL;
    if (!check_external(machine, snapshot, flags, error) ||
        !create_external(machine, snapshot, checkpoint, flags, error) ||
        !halt(machine, flags, error))
        return NULL;
    if (checkpoint && checkpoint_name)
        *checkpoint_name = g_strdup(checkpoint->name);
    return g_steal_pointer(&snapshot->name);
}
