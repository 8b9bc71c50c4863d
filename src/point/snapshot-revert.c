/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "machine/launch.h"
#include "plan/executor.h"
#include "plan/stamp.h"
#include "plan/sweep.h"
#include "point/align.h"
#include "point/definition.h"
#include "point/internal.h"
#include "point/layer.h"
#include "point/memory.h"
#include "point/part.h"
#include "point/quiet.h"
#include "point/record.h"
#include "point/revert.h"
#include "point/snapshot.h"
#include "point/steps.h"
#include "storage/image.h"
#include "store/edit.h"

/* The image through which QEMU finds the RAM. */
#define MEMORY_NODE "vmp-memory"

/* How the revert gets to its end state (docs/design/revert.md has the table). */
typedef enum {
    REVERT_OFFLINE,     /* the domain is off; it may be started at the end */
    REVERT_IN_PROCESS,  /* active, and active at the end: disks are swapped in place */
    REVERT_NEW_PROCESS, /* active, active at the end, but another machine for the guest */
    REVERT_TO_OFF,      /* active now, off at the end */
    REVERT_RAM_IN_PROCESS, /* active: RAM and disks are swapped in place */
    REVERT_RAM_ELSEWHERE,  /* a new process with the RAM of that moment; active or off now */
} RevertWay;

typedef struct {
    VmpMachine *machine;
    VmpSnapshot *snapshot;
    VmpSnapshotRevertFlags flags;
    VmpDomain *definition; /* what the domain becomes, still with the images of the past */
    VmpDomain *inactive;   /* its persistent half; may be the same text */
    VmpState end;          /* SHUTOFF, RUNNING or PAUSED */
    RevertWay way;
    GPtrArray *branches;   /* of VmpJson: see step-branch.c, "images" */
    GPtrArray *changed;    /* of char *: paths of images that should not have been written to */
    VmpBlockGraph *graph;  /* of the running machine; NULL when off */
    VmpPartPast parts;     /* what is neither disk nor RAM */
} Revert;

static void
revert_clear(Revert *revert)
{
    g_clear_pointer(&revert->snapshot, vmp_snapshot_free);
    g_clear_pointer(&revert->definition, vmp_domain_free);
    g_clear_pointer(&revert->inactive, vmp_domain_free);
    g_clear_pointer(&revert->branches, g_ptr_array_unref);
    g_clear_pointer(&revert->changed, g_ptr_array_unref);
    g_clear_pointer(&revert->graph, vmp_block_graph_free);
    vmp_part_past_clear(&revert->parts);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Revert, revert_clear)

/* ---- the request ---- */

static gboolean
has_memory(const Revert *revert)
{
    return revert->snapshot->memory == VMP_LOCATION_EXTERNAL;
}

static gboolean
check_request(const Revert *revert, GError **error)
{
    gboolean running = (revert->flags & VMP_SNAPSHOT_REVERT_RUNNING) != 0;
    gboolean paused = (revert->flags & VMP_SNAPSHOT_REVERT_PAUSED) != 0;

    if (running && paused)
        return vmp_fail(error, VMP_ERROR_INVALID, "running and paused exclude each other");
    if (has_memory(revert) && (revert->flags & VMP_SNAPSHOT_REVERT_RESET_NVRAM))
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "fresh firmware variables go with a boot, not with the memory of a guest");
    if (has_memory(revert))
        return TRUE;
    if (!vmp_machine_get_row(revert->machine)->inactive && !running && !paused)
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "a transient domain cannot revert to an inactive state; ask for running "
                        "or paused");
    return TRUE;
}

/* ---- definitions ---- */

/* Parses @xml, with the domain's present name and uuid: those never revert. */
static VmpDomain *
parse_definition(VmpMachine *machine, const char *xml, GError **error)
{
    g_autoptr(VmpDomain) domain = vmp_domain_parse(xml, -1, error);

    if (!domain || !vmp_domain_set_name(domain, vmp_machine_get_name(machine), error))
        return NULL;
    return g_steal_pointer(&domain);
}

static gboolean
choose_definitions(Revert *revert, GError **error)
{
    VmpMachine *machine = revert->machine;
    const VmpSnapshot *snapshot = revert->snapshot;

    if (snapshot->domain_xml) {
        revert->definition = parse_definition(machine, snapshot->domain_xml, error);
        if (!revert->definition)
            return FALSE;
        const char *inactive =
            snapshot->inactive_domain_xml ? snapshot->inactive_domain_xml : snapshot->domain_xml;
        revert->inactive = parse_definition(machine, inactive, error);
        return revert->inactive != NULL;
    }

    /* Redefined without <domain>: see the risk "no-domain". */
    const VmpDomain *present = vmp_machine_get_definition(machine, error);
    if (!present)
        return FALSE;
    revert->definition = vmp_domain_copy(present);
    revert->inactive = vmp_domain_copy(present);
    return TRUE;
}

static void
choose_way(Revert *revert, const VmpDomain *active)
{
    revert->end = !has_memory(revert)                              ? VMP_STATE_SHUTOFF
                  : revert->snapshot->state == VMP_STATE_PAUSED ? VMP_STATE_PAUSED
                                                                   : VMP_STATE_RUNNING;
    if (revert->flags & VMP_SNAPSHOT_REVERT_RUNNING)
        revert->end = VMP_STATE_RUNNING;
    else if (revert->flags & VMP_SNAPSHOT_REVERT_PAUSED)
        revert->end = VMP_STATE_PAUSED;

    gboolean can_stay = active && vmp_launch_same_abi(active, revert->definition, NULL)
                        && !vmp_domain_has_genid(revert->definition)
                        && (has_memory(revert) || !revert->parts.differ)
                        && !(revert->flags & VMP_SNAPSHOT_REVERT_RESET_NVRAM);
    if (has_memory(revert))
        revert->way = can_stay ? REVERT_RAM_IN_PROCESS : REVERT_RAM_ELSEWHERE;
    else if (!active)
        revert->way = REVERT_OFFLINE;
    else if (revert->end == VMP_STATE_SHUTOFF)
        revert->way = REVERT_TO_OFF;
    else
        revert->way = can_stay ? REVERT_IN_PROCESS : REVERT_NEW_PROCESS;
}

/* The process that runs is to be replaced by one that the guest lives on in. */
static gboolean
needs_new_process(const Revert *revert)
{
    return revert->way == REVERT_NEW_PROCESS
           || (revert->way == REVERT_RAM_ELSEWHERE && vmp_machine_is_on(revert->machine));
}

static gboolean
is_in_process(const Revert *revert)
{
    return revert->way == REVERT_IN_PROCESS || revert->way == REVERT_RAM_IN_PROCESS;
}

/* ---- branches: a new layer on each image that the snapshot froze ---- */

/* "<image minus extension>.<snapshot>-<n>", the first that is neither there nor known. */
static char *
branch_path(VmpMachine *machine, const char *image, const char *snapshot, GError **error)
{
    g_autofree char *stem = vmp_align_overlay_path(image, snapshot);

    for (guint n = 1; n < G_MAXUINT; n++) {
        g_autofree char *path = g_strdup_printf("%s-%u", stem, n);
        g_autoptr(GError) failure = NULL;
        g_autoptr(VmpStoreFile) known =
            vmp_store_find_file(vmp_machine_get_store(machine), path, &failure);
        if (failure) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return NULL;
        }
        if (!known && !g_file_test(path, G_FILE_TEST_EXISTS))
            return g_steal_pointer(&path);
    }
    return vmp_fail_null(error, VMP_ERROR_EXISTS, "no name is left for a layer on '%s'", image);
}

/* Bitmaps that were recording in the frozen image: they go on in the new layer. */
static VmpJson *
bitmaps_to_carry(const VmpImage *image)
{
    VmpJson *bitmaps = json_object_new_array();

    for (guint i = 0; i < image->bitmaps->len; i++) {
        const VmpBitmap *bitmap = g_ptr_array_index(image->bitmaps, i);
        if (bitmap->recording && !bitmap->inconsistent)
            json_object_array_add(bitmaps,
                                  vmp_json_build("s:name", bitmap->name, "i:granularity",
                                                 (gint64)bitmap->granularity, NULL));
    }
    return bitmaps;
}

/* See the risk "base-changed". */
static void
look_for_changes(Revert *revert, const GPtrArray *chain)
{
    for (guint i = 0; i < chain->len; i++) {
        const VmpImage *image = g_ptr_array_index(chain, i);
        if (vmp_stamp_is_broken(revert->machine, image->path))
            g_ptr_array_add(revert->changed, g_strdup(image->path));
    }
}

static gboolean
plan_branch(Revert *revert, const VmpDomainDisk *disk, GError **error)
{
    VMP_ERROR_CONTEXT(error, "disk '%s' of snapshot '%s'", disk->target, revert->snapshot->name);

    if (disk->type != VMP_STORAGE_FILE)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "reverting a disk that is no file is not supported yet");

    /* The whole chain must be there before anything is touched. */
    g_autoptr(GPtrArray) chain =
        vmp_image_read_chain(disk->source, disk->driver,
                             vmp_operation_get_cancellable(
                                 vmp_machine_get_operation(revert->machine)),
                             error);
    g_autofree char *path =
        chain ? branch_path(revert->machine, disk->source, revert->snapshot->name, error) : NULL;
    if (!path)
        return FALSE;

    look_for_changes(revert, chain);
    const VmpImage *image = g_ptr_array_index(chain, 0);
    g_ptr_array_add(revert->branches,
                    vmp_json_build("s:disk", disk->target, "s:path", path, "s:format", "qcow2",
                                   "s:backing", disk->source, "s:backing-format", image->format,
                                   "o:bitmaps", bitmaps_to_carry(image), NULL));
    return TRUE;
}

static void
unref_json(gpointer json)
{
    json_object_put(json);
}

/* Without a <domain> the layer that was made then says what it stands on. */
static gboolean
find_frozen(Revert *revert, const VmpSnapshotDisk *entry, GError **error)
{
    VMP_ERROR_CONTEXT(error, "disk '%s' of snapshot '%s'", entry->name, revert->snapshot->name);

    if (revert->snapshot->domain_xml || !vmp_domain_find_disk(revert->definition, entry->name))
        return TRUE;
    if (!entry->source)
        return vmp_fail(error, VMP_ERROR_INCONSISTENT,
                        "neither a <domain> nor a <source> says which image was frozen");

    g_autoptr(VmpImage) layer = vmp_image_read(entry->source, entry->driver, NULL, error);
    if (!layer)
        return FALSE;
    if (!layer->backing_path)
        return vmp_fail(error, VMP_ERROR_INCONSISTENT, "'%s' stands on no image", layer->path);
    return vmp_domain_set_disk_source(revert->definition, entry->name, layer->backing_path,
                                      layer->backing_format, error);
}

static gboolean
plan_branches(Revert *revert, GError **error)
{
    revert->branches = g_ptr_array_new_with_free_func(unref_json);
    revert->changed = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < revert->snapshot->disks->len; i++) {
        const VmpSnapshotDisk *entry = g_ptr_array_index(revert->snapshot->disks, i);
        if (entry->location != VMP_LOCATION_EXTERNAL)
            continue;
        if (!find_frozen(revert, entry, error))
            return FALSE;
        const VmpDomainDisk *disk = vmp_domain_find_disk(revert->definition, entry->name);
        if (!disk)
            return vmp_fail(error, VMP_ERROR_INCONSISTENT,
                            "snapshot '%s' names disk '%s', which its own domain has not",
                            revert->snapshot->name, entry->name);
        if (!plan_branch(revert, disk, error))
            return FALSE;
    }
    return TRUE;
}

/* ---- risks ---- */

static gboolean
is_covered(const VmpSnapshot *snapshot, const char *target)
{
    const VmpSnapshotDisk *disk = vmp_snapshot_find_disk(snapshot, target);

    return disk && disk->location != VMP_LOCATION_NO && disk->location != VMP_LOCATION_UNSET;
}

static void
add_uncovered_risks(VmpPlan *plan, const Revert *revert, const VmpDomain *present)
{
    const GPtrArray *disks = vmp_domain_get_disks(present);

    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        if (disk->source && !disk->readonly && !is_covered(revert->snapshot, disk->target))
            vmp_plan_add_risk(plan, "uncovered-disk", TRUE,
                              "disk '%s' is not part of the snapshot: its content stays what it is now",
                              disk->target);
    }
}

static void
add_risks(VmpPlan *plan, const Revert *revert, const VmpDomain *present, const VmpDomain *active)
{
    g_autofree char *difference = NULL;

    if (!revert->snapshot->domain_xml)
        vmp_plan_add_risk(plan, "no-domain", TRUE,
                          "the snapshot has no complete <domain>: the present definition would be used");
    if (needs_new_process(revert)) {
        if (!vmp_launch_same_abi(active, revert->definition, &difference))
            vmp_plan_add_risk(plan, "abi-change", TRUE,
                              "the guest would see another machine (%s)", difference);
        else if (vmp_domain_has_genid(revert->definition))
            vmp_plan_add_risk(plan, "genid", TRUE,
                              "the running process cannot change its VM generation id");
        vmp_plan_add_risk(plan, "new-process", TRUE,
                          "the running process would be replaced: connections to it break");
    }
    add_uncovered_risks(plan, revert, present);
    for (guint i = 0; i < revert->changed->len; i++)
        vmp_plan_add_risk(plan, "base-changed", TRUE,
                          "image '%s', which the snapshot relies on, was written to since",
                          (const char *)g_ptr_array_index(revert->changed, i));
}

/* ---- steps ---- */

static VmpJson *
branches_to_json(const Revert *revert)
{
    VmpJson *images = json_object_new_array();

    for (guint i = 0; i < revert->branches->len; i++)
        json_object_array_add(images, json_object_get(g_ptr_array_index(revert->branches, i)));
    return images;
}

/* The node and all that hang on it alone, top first, for closing once it is unused. */
static void
add_nodes_to_close(VmpJson *nodes, const VmpBlockGraph *graph, const char *root,
                   const char *kept_path)
{
    const VmpBlockNode *keep = vmp_block_graph_node_of_path(graph, kept_path);

    for (const VmpBlockNode *node = vmp_block_graph_node(graph, root);
         node && node != keep; node = vmp_block_graph_backing(graph, node)) {
        /* What QEMU opened by itself goes by itself. */
        if (node->name[0] == '#')
            break;
        json_object_array_add(nodes, json_object_new_string(node->name));
        if (node->file && node->file[0] != '#')
            json_object_array_add(nodes, json_object_new_string(node->file));
    }
}

typedef struct {
    VmpJson *opens, *swaps, *closes;
    GHashTable *taken;
} InProcess;

static gboolean
plan_swap(const Revert *revert, VmpJson *branch, InProcess *steps, GError **error)
{
    const char *target = vmp_json_get_string(branch, "disk");
    const char *backing = vmp_json_get_string(branch, "backing");
    g_autofree char *qom =
        vmp_machine_disk_qom_path(revert->machine, revert->graph, target, error);
    const VmpBlockDevice *device = qom ? vmp_block_graph_device(revert->graph, qom) : NULL;
    if (!device || !device->node)
        return qom && vmp_fail(error, VMP_ERROR_INCONSISTENT,
                               "disk '%s': the running QEMU has no such device", target);

    /* A base that the running chain has open already is shared; others are opened anew. */
    const VmpBlockNode *base = vmp_block_graph_node_of_path(revert->graph, backing);
    g_autofree char *format_stem = g_strdup_printf("%s-format", target);
    g_autofree char *storage_stem = g_strdup_printf("%s-storage", target);
    g_autofree char *node = vmp_block_graph_new_name(revert->graph, format_stem, steps->taken);
    g_autofree char *file = vmp_block_graph_new_name(revert->graph, storage_stem, steps->taken);

    const VmpBlockNode *replaced = vmp_block_graph_active_image(revert->graph, device->node);
    const VmpLayerOptions options =
        vmp_layer_options_of(vmp_domain_find_disk(revert->definition, target),
                             replaced ? replaced : vmp_block_graph_node(revert->graph, device->node));

    json_object_array_add(
        steps->opens,
        vmp_json_build("s:disk", target, "s:path", vmp_json_get_string(branch, "path"),
                       "s:format", "qcow2", "s:node", node, "s:file-node", file,
                       "S:backing-node", base ? base->name : NULL, "B:direct", options.direct,
                       "B:unmap", options.unmap, "S:aio", options.aio, "S:detect-zeroes",
                       options.detect_zeroes, NULL));
    json_object_array_add(steps->swaps, vmp_json_build("s:disk", target, "s:qom", qom, "s:old",
                                                       device->node, "s:new", node, "s:path",
                                                       vmp_json_get_string(branch, "path"), NULL));
    add_nodes_to_close(steps->closes, revert->graph, device->node, backing);
    return TRUE;
}

/* The commit step: from there on the guest is that of the past. */
static void
plan_swaps(VmpPlan *plan, const Revert *revert, VmpJson *swaps, gint64 definition)
{
    VmpJson *layers = json_object_new_array();

    if (revert->way == REVERT_IN_PROCESS) {
        vmp_plan_add_commit(plan, &vmp_step_swap_disks, vmp_json_build("o:disks", swaps, NULL));
        vmp_plan_add(plan, &vmp_step_reset, NULL);
        json_object_put(layers);
        return;
    }
    for (guint i = 0; i < revert->branches->len; i++)
        json_object_array_add(layers, json_object_new_string(vmp_json_get_string(
                                          g_ptr_array_index(revert->branches, i), "path")));
    vmp_plan_add(plan, &vmp_step_swap_disks, vmp_json_build("o:disks", swaps, NULL));
    vmp_plan_add_commit(plan, &vmp_step_load_memory,
                        vmp_json_build("s:file", revert->snapshot->memory_file, "s:node",
                                       MEMORY_NODE, "i:definition", definition, "o:layers", layers,
                                       NULL));
    /* Once it was begun the RAM of before is lost. */
    plan->mark_commit = TRUE;
}

static gboolean
plan_in_process(VmpPlan *plan, const Revert *revert, gint64 definition, GError **error)
{
    g_autoptr(GHashTable) taken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(VmpJson) opens = json_object_new_array();
    g_autoptr(VmpJson) swaps = json_object_new_array();
    g_autoptr(VmpJson) closes = json_object_new_array();
    InProcess steps = { opens, swaps, closes, taken };
    VmpState state = VMP_STATE_NOSTATE;

    for (guint i = 0; i < revert->branches->len; i++)
        if (!plan_swap(revert, g_ptr_array_index(revert->branches, i), &steps, error))
            return FALSE;
    if (!vmp_machine_query_state(revert->machine, &state, NULL, error))
        return FALSE;

    vmp_plan_add(plan, &vmp_step_open_branches,
                 vmp_json_build("o:nodes", g_steal_pointer(&opens), NULL));
    if (revert->way == REVERT_RAM_IN_PROCESS) {
        vmp_plan_add(plan, &vmp_step_open_memory,
                     vmp_json_build("s:file", revert->snapshot->memory_file, "s:node", MEMORY_NODE,
                                    NULL));
        json_object_array_add(closes, json_object_new_string(MEMORY_NODE));
    }
    vmp_plan_add(plan, &vmp_step_pause,
                 vmp_json_build("b:was-running", state == VMP_STATE_RUNNING, NULL));
    /* RAM has the firmware's variables, too. */
    if (revert->way == REVERT_IN_PROCESS)
        vmp_part_plan_check(plan, &revert->parts);
    plan_swaps(plan, revert, g_steal_pointer(&swaps), definition);
    if (revert->end == VMP_STATE_RUNNING)
        vmp_plan_add(plan, &vmp_step_resume, NULL);
    vmp_plan_add_cleanup(plan, &vmp_step_close_nodes,
                         vmp_json_build("o:nodes", g_steal_pointer(&closes), NULL));
    return TRUE;
}

static gboolean
plan_steps(VmpPlan *plan, const Revert *revert, GError **error)
{
    vmp_plan_add(plan, &vmp_step_create_branches,
                 vmp_json_build("o:images", branches_to_json(revert), NULL));

    if (!is_in_process(revert))
        vmp_part_plan_stage(plan, &revert->parts);
    switch (revert->way) {
    case REVERT_OFFLINE: /* without any part the store's edits are the commit */
        vmp_part_plan_put(plan, &revert->parts);
        return TRUE;
    case REVERT_RAM_IN_PROCESS:
    case REVERT_RAM_ELSEWHERE:
        return TRUE; /* see plan_memory() */
    case REVERT_IN_PROCESS:
        return plan_in_process(plan, revert, 0, error);
    case REVERT_NEW_PROCESS:
    case REVERT_TO_OFF:
        vmp_plan_add_commit(plan, &vmp_step_end_process, NULL);
        vmp_part_plan_put(plan, &revert->parts);
        return TRUE;
    }
    g_assert_not_reached();
}

/* ---- edits ---- */

/* Can @xml name @path at all?  A domain has hundreds of points, and to parse a definition takes much
 * longer than to search it; but a path that XML would escape is only found by parsing. */
static gboolean
may_name(const char *xml, const char *path)
{
    for (const char *at = path; *at; at++)
        if (!g_ascii_isprint(*at) || strchr("&<>'\"", *at))
            return TRUE;
    return strstr(xml, path) != NULL;
}

/* Does a point still need @path as the image that it froze? */
static gboolean
is_frozen_image(VmpMachine *machine, const char *path, gboolean *frozen, GError **error)
{
    g_autoptr(GPtrArray) rows = vmp_store_list_points(
        vmp_machine_get_store(machine), vmp_machine_get_row(machine)->id, VMP_POINT_SNAPSHOT,
        FALSE, error);

    *frozen = FALSE;
    for (guint i = 0; rows && i < rows->len && !*frozen; i++) {
        const VmpStorePoint *row = g_ptr_array_index(rows, i);
        g_autofree char *xml =
            row->definition ? vmp_store_get_definition(vmp_machine_get_store(machine),
                                                       row->definition, NULL, error)
                            : g_strdup("");
        if (!xml)
            return FALSE;
        g_autoptr(VmpDomain) domain =
            may_name(xml, path) ? vmp_domain_parse(xml, -1, NULL) : NULL;
        *frozen = domain && vmp_domain_find_disk(domain, path) != NULL;
    }
    return rows != NULL;
}

/* The layers that are left: those that no snapshot froze go when all is settled. */
static gboolean
retire_present_layers(VmpPlan *plan, const Revert *revert, const VmpDomain *present,
                      GError **error)
{
    for (guint i = 0; i < revert->branches->len; i++) {
        VmpJson *branch = g_ptr_array_index(revert->branches, i);
        const VmpDomainDisk *disk =
            vmp_domain_find_disk(present, vmp_json_get_string(branch, "disk"));
        gboolean frozen = TRUE;

        if (!disk || !disk->source || g_str_equal(disk->source, vmp_json_get_string(branch, "backing")))
            continue;
        if (!is_frozen_image(revert->machine, disk->source, &frozen, error))
            return FALSE;
        if (!frozen)
            vmp_plan_retire_file(revert->machine, disk->source, plan->edits);
    }
    return TRUE;
}

/* Puts the new layers into @domain; disks the snapshot does not cover keep what they have. */
static gboolean
set_sources(VmpDomain *domain, const Revert *revert, const VmpDomain *present, GError **error)
{
    const GPtrArray *disks = vmp_domain_get_disks(present);

    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        if (disk->source && disk->type == VMP_STORAGE_FILE &&
            !is_covered(revert->snapshot, disk->target) &&
            vmp_domain_find_disk(domain, disk->target) &&
            !vmp_domain_set_disk_source(domain, disk->target, disk->source, disk->driver, error))
            return FALSE;
    }
    for (guint i = 0; i < revert->branches->len; i++) {
        VmpJson *branch = g_ptr_array_index(revert->branches, i);
        if (!vmp_domain_find_disk(domain, vmp_json_get_string(branch, "disk")))
            continue;
        if (!vmp_domain_set_disk_source(domain, vmp_json_get_string(branch, "disk"),
                                        vmp_json_get_string(branch, "path"), "qcow2", error))
            return FALSE;
    }
    return TRUE;
}

/* The snapshot remembers its live layers: in `disks` if it is a leaf, else in `revertDisks`. */
static gboolean
edit_snapshot(VmpPlan *plan, Revert *revert, GError **error)
{
    g_autoptr(VmpSnapshotInfo) info =
        vmp_point_get_snapshot_info(revert->machine, revert->snapshot->name, error);
    g_autoptr(VmpSnapshot) updated = vmp_snapshot_copy(revert->snapshot);
    if (!info)
        return FALSE;

    if (info->children > 0) {
        g_clear_pointer(&updated->revert_disks, g_ptr_array_unref);
        updated->revert_disks =
            g_ptr_array_new_with_free_func((GDestroyNotify)vmp_snapshot_disk_free);
    }
    for (guint i = 0; i < revert->branches->len; i++) {
        VmpJson *branch = g_ptr_array_index(revert->branches, i);
        const char *target = vmp_json_get_string(branch, "disk");
        VmpSnapshotDisk *disk = vmp_snapshot_find_disk(updated, target);

        if (info->children > 0) {
            disk = vmp_snapshot_disk_new(target);
            disk->location = VMP_LOCATION_EXTERNAL;
            g_ptr_array_add(updated->revert_disks, disk);
        }
        g_free(disk->source);
        disk->source = g_strdup(vmp_json_get_string(branch, "path"));
        g_free(disk->driver);
        disk->driver = g_strdup("qcow2");
    }

    g_autoptr(VmpStorePoint) row =
        vmp_record_to_snapshot_row(revert->machine, updated, TRUE, error);
    if (!row)
        return FALSE;
    vmp_store_edit_put_point(plan->edits, row);
    return TRUE;
}

static gboolean
plan_edits(VmpPlan *plan, Revert *revert, const VmpDomain *present, GError **error)
{
    gboolean active = is_in_process(revert) || revert->way == REVERT_RAM_ELSEWHERE;
    gboolean persistent = vmp_machine_get_row(revert->machine)->inactive != 0;

    if (!set_sources(revert->definition, revert, present, error) ||
        !set_sources(revert->inactive, revert, present, error) ||
        !retire_present_layers(plan, revert, present, error))
        return FALSE;
    for (guint i = 0; i < revert->branches->len; i++) {
        VmpStoreFile file = {
            .path = (char *)vmp_json_get_string(g_ptr_array_index(revert->branches, i), "path"),
            .domain = vmp_machine_get_row(revert->machine)->id,
            .role = (char *)"overlay",
            .point = revert->snapshot->name,
        };
        vmp_store_edit_put_file(plan->edits, &file);
    }
    return vmp_definition_edit(revert->machine, active ? revert->definition : NULL,
                               persistent ? revert->inactive : NULL, plan->edits, error) &&
           edit_snapshot(plan, revert, error);
}

/* ---- the whole ---- */

static gboolean
look(Revert *revert, const char *name, GError **error)
{
    revert->snapshot = vmp_record_load_snapshot(revert->machine, name, error);
    if (!revert->snapshot || !check_request(revert, error))
        return FALSE;
    if (!vmp_machine_is_on(revert->machine))
        return TRUE;

    VmpQmpClient *monitor = vmp_machine_get_monitor(revert->machine, error);
    if (!monitor || !vmp_quiet_check_jobs(revert->machine, error))
        return FALSE;
    revert->graph = vmp_machine_read_graph(revert->machine, monitor, error);
    return revert->graph != NULL;
}

static gboolean
start_if_asked(const Revert *revert, GError **error)
{
    VmpStartFlags flags = revert->end == VMP_STATE_PAUSED ? VMP_START_PAUSED : 0;

    if (is_in_process(revert) || revert->way == REVERT_RAM_ELSEWHERE ||
        revert->end == VMP_STATE_SHUTOFF)
        return TRUE;
    if (revert->flags & VMP_SNAPSHOT_REVERT_RESET_NVRAM)
        flags |= VMP_START_RESET_NVRAM;
    if (vmp_machine_start_with(revert->machine, revert->definition, flags, error))
        return TRUE;
    g_prefix_error(error, "reverted to '%s', but it could not be started: ",
                   revert->snapshot->name);
    return FALSE;
}

/* A definition that could not be launched is found out before anything is let go. */
static gboolean
check_startable(const Revert *revert, GError **error)
{
    VmpLaunchHost host = { .monitor_fd = -1, .query_fd = -1 };

    if (revert->end == VMP_STATE_SHUTOFF || is_in_process(revert))
        return TRUE;
    g_auto(GStrv) command = vmp_launch_command(revert->definition, &host, error);
    return command != NULL;
}

static gboolean
check_memory(const Revert *revert, GError **error)
{
    if (!has_memory(revert))
        return TRUE;
    if (revert->way == REVERT_RAM_IN_PROCESS)
        return vmp_quiet_check_migration(revert->machine, error)
               && vmp_memory_check_file(revert->snapshot->memory_file, error);
    return vmp_memory_check_load(revert->machine, revert->definition,
                                 revert->snapshot->memory_file, error);
}

/* Now that the definition has the new layers. */
static gboolean
plan_memory(VmpPlan *plan, const Revert *revert, GError **error)
{
    if (!has_memory(revert))
        return TRUE;

    gint64 definition = vmp_memory_put_definition(revert->machine, revert->definition, error);
    if (definition == 0)
        return FALSE;
    if (revert->way == REVERT_RAM_IN_PROCESS)
        return plan_in_process(plan, revert, definition, error);
    vmp_memory_plan_load(plan, definition, revert->snapshot->memory_file, &revert->parts,
                         revert->end == VMP_STATE_RUNNING);
    return TRUE;
}

static gboolean
revert_external(VmpMachine *machine, const char *name, VmpSnapshotRevertFlags flags,
                gboolean rehearse, GError **error)
{
    VmpOperation *operation = vmp_machine_get_operation(machine);
    g_auto(Revert) revert = { .machine = machine, .flags = flags };
    const VmpDomain *present = vmp_machine_get_definition(machine, error);
    if (!present || !look(&revert, name, error) || !choose_definitions(&revert, error) ||
        !vmp_part_look(machine, revert.definition, name,
                       (flags & VMP_SNAPSHOT_REVERT_RESET_NVRAM) != 0, has_memory(&revert),
                       &revert.parts, error))
        return FALSE;

    const VmpDomain *active = vmp_machine_is_on(machine) ? present : NULL;
    choose_way(&revert, active);

    g_autoptr(VmpPlan) plan = vmp_plan_new("snapshot-revert", vmp_machine_get_name(machine), name);
    g_auto(VmpChange) change = { .machine = machine, .operation = operation };
    if (!plan_branches(&revert, error))
        return FALSE;
    add_risks(plan, &revert, present, active);
    if (!plan_steps(plan, &revert, error) || !check_startable(&revert, error)
        || !check_memory(&revert, error))
        return FALSE;
    if (!vmp_operation_get_dry_run(operation) &&
        !vmp_plan_check_risks(plan, (flags & VMP_SNAPSHOT_REVERT_FORCE) != 0, error))
        return FALSE;
    if (!vmp_change_begin_planning(&change, error) || !plan_edits(plan, &revert, present, error) ||
        !plan_memory(plan, &revert, error))
        return FALSE;
    return rehearse
           || (vmp_plan_execute(plan, &change, error)
               && (vmp_operation_get_dry_run(operation) || start_if_asked(&revert, error)));
}

gboolean
vmp_revert_carry_out(VmpMachine *machine, const char *name, VmpSnapshotRevertFlags flags,
                     gboolean rehearse, GError **error)
{
    g_autoptr(VmpSnapshot) snapshot = vmp_record_load_snapshot(machine, name, error);

    if (!snapshot)
        return FALSE;
    return vmp_internal_is(snapshot)
               ? vmp_point_revert_internal(machine, snapshot, flags, rehearse, error)
               : revert_external(machine, name, flags, rehearse, error);
}

gboolean
vmp_point_revert(VmpMachine *machine, const char *name, VmpSnapshotRevertFlags flags,
                 const char *save_current, GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));

    return save_current ? vmp_revert_save_first(machine, name, flags, save_current, error)
                        : vmp_revert_carry_out(machine, name, flags, FALSE, error);
}
