/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <time.h>

#include "base/error.h"
#include "machine/freeze.h"
#include "plan/executor.h"
#include "point/align.h"
#include "point/checkpoint.h"
#include "point/definition.h"
#include "point/mark.h"
#include "point/record.h"
#include "point/steps.h"
#include "store/edit.h"
#include "xml/name.h"

VmpCheckpoint *
vmp_point_prepare_checkpoint(VmpMachine *machine, const char *xml, GError **error)
{
    g_autoptr(VmpCheckpoint) checkpoint = vmp_checkpoint_parse(
        xml ? xml : "<domaincheckpoint/>", -1, VMP_CHECKPOINT_PARSE_CREATE, error);
    const VmpDomain *definition = vmp_machine_get_definition(machine, error);
    gboolean exists = FALSE;

    if (!checkpoint || !definition)
        return NULL;

    checkpoint->creation_time = (gint64)time(NULL);
    if (!checkpoint->name)
        checkpoint->name = g_strdup_printf("%" G_GINT64_FORMAT, checkpoint->creation_time);
    if (!vmp_checkpoint_name_check(checkpoint->name, error) ||
        !vmp_record_exists(machine, VMP_POINT_CHECKPOINT, checkpoint->name, &exists, error))
        return NULL;
    if (exists)
        return vmp_fail_null(error, VMP_ERROR_EXISTS, "checkpoint '%s' exists already",
                             checkpoint->name);

    g_clear_pointer(&checkpoint->parent, g_free);
    checkpoint->domain_xml = vmp_definition_capture(definition);
    checkpoint->domain_uuid = g_strdup(vmp_machine_get_uuid(machine));
    if (!vmp_record_current_name(machine, VMP_POINT_CHECKPOINT, &checkpoint->parent, error) ||
        !vmp_align_checkpoint(checkpoint, definition, error))
        return NULL;
    return g_steal_pointer(&checkpoint);
}

/* One that the image does not keep lives as long as QEMU does; a storage daemon ends at once.
 */
static gboolean
check_image(const VmpBlockSession *session, const VmpBlockNode *node, GError **error)
{
    return vmp_block_session_is_offline(session)
               ? vmp_block_node_check_can_persist_bitmap(node, error)
               : vmp_block_node_check_can_track(node, error);
}

/* Somebody's bitmap has the name already: in the active image, or below it, where it would
 * pass for a part of the new one. */
static gboolean
check_name_is_free(const VmpBlockGraph *graph, const VmpBlockNode *node,
                   const VmpCheckpointDisk *disk, GError **error)
{
    for (; node; node = vmp_block_graph_backing(graph, node))
        if (vmp_block_node_bitmap(node, disk->bitmap))
            return vmp_fail(error, VMP_ERROR_EXISTS,
                            "disk '%s': its image '%s' holds a bitmap '%s' that no checkpoint "
                            "here knows; take "
                            "another name, or remove it ('qemu-img bitmap --remove' while the "
                            "domain is off)",
                            disk->name, node->path ? node->path : node->name, disk->bitmap);
    return TRUE;
}

VmpJson *
vmp_point_checkpoint_bitmaps(VmpBlockSession *session, const VmpBlockGraph *graph,
                             const VmpCheckpoint *checkpoint, GError **error)
{
    g_autoptr(VmpJson) bitmaps = json_object_new_array();

    for (guint i = 0; i < checkpoint->disks->len; i++) {
        const VmpCheckpointDisk *disk = g_ptr_array_index(checkpoint->disks, i);
        if (!disk->wanted)
            continue;

        const VmpBlockNode *node = vmp_block_session_image(session, graph, disk->name, error);
        if (!node || !check_image(session, node, error)) {
            g_prefix_error(error, "disk '%s': ", disk->name);
            return NULL;
        }
        if (!check_name_is_free(graph, node, disk, error))
            return NULL;
        json_object_array_add(bitmaps,
                              vmp_json_build("s:disk", disk->name, "s:node", node->name,
                                             "s:name", disk->bitmap, "S:image", node->path,
                                             "i:size", (gint64)node->size, "B:transient",
                                             !node->can_persist_bitmaps, NULL));
    }
    return g_steal_pointer(&bitmaps);
}

gboolean
vmp_point_checkpoint_edits(VmpMachine *machine, const VmpCheckpoint *checkpoint,
                           VmpJson *bitmaps, VmpJson *edits, GError **error)
{
    g_autoptr(VmpStorePoint) row =
        vmp_record_to_checkpoint_row(machine, checkpoint, TRUE, error);

    if (!row)
        return FALSE;
    vmp_marks_note_began(row, bitmaps);
    vmp_store_edit_put_point(edits, row);
    return TRUE;
}

static gboolean
check_flags(VmpCheckpointCreateFlags flags, GError **error)
{
    if ((flags & VMP_CHECKPOINT_CREATE_REDEFINE_VALIDATE) &&
        !(flags & VMP_CHECKPOINT_CREATE_REDEFINE))
        return vmp_fail(error, VMP_ERROR_INVALID, "validating goes with redefining only");
    return TRUE;
}

#define LEAST_GRANULARITY 512
#define MOST_GRANULARITY (G_GUINT64_CONSTANT(1) << 31)

static gboolean
check_granularity(guint64 granularity, GError **error)
{
    gboolean is_power = (granularity & (granularity - 1)) == 0;

    return granularity == 0 ||
           (is_power && granularity >= LEAST_GRANULARITY && granularity <= MOST_GRANULARITY) ||
           vmp_fail(error, VMP_ERROR_INVALID,
                    "a granularity of %" G_GUINT64_FORMAT
                    " bytes is no power of two from 512 to 2 GiB",
                    granularity);
}

static void
set_granularity(VmpJson *bitmaps, guint64 granularity)
{
    for (guint i = 0; i < vmp_json_length(bitmaps); i++)
        vmp_json_add(vmp_json_at(bitmaps, i), "I:granularity", (gint64)granularity, NULL);
}

char *
vmp_point_create_checkpoint(VmpMachine *machine, const char *xml, guint64 granularity,
                            VmpCheckpointCreateFlags flags, GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));

    g_autoptr(VmpCheckpoint) checkpoint =
        check_flags(flags, error) && check_granularity(granularity, error)
            ? vmp_point_prepare_checkpoint(machine, xml, error)
            : NULL;
    if (!checkpoint)
        return NULL;

    g_auto(VmpChange)
        change = { .machine = machine, .operation = vmp_machine_get_operation(machine) };
    VmpBlockSession *session = vmp_change_get_session(&change, error);
    g_autoptr(VmpBlockGraph) graph =
        session ? vmp_block_session_read_graph(session, error) : NULL;
    g_autoptr(VmpJson) bitmaps =
        graph ? vmp_point_checkpoint_bitmaps(session, graph, checkpoint, error) : NULL;
    /* The disks of a domain that is off are at rest. */
    gboolean quiesce =
        (flags & VMP_CHECKPOINT_CREATE_QUIESCE) != 0 && vmp_machine_is_on(machine);
    if (!bitmaps || (quiesce && !vmp_machine_check_can_freeze(machine, error)))
        return NULL;

    set_granularity(bitmaps, granularity);
    g_autoptr(VmpPlan) plan =
        vmp_plan_new("checkpoint-create", vmp_machine_get_name(machine), checkpoint->name);
    if (quiesce)
        vmp_plan_add(plan, &vmp_step_freeze_guest, NULL);
    vmp_plan_add_commit(plan, &vmp_step_start_bitmaps,
                        vmp_json_build("o:bitmaps", json_object_get(bitmaps), NULL));
    if (quiesce)
        vmp_plan_add_cleanup(plan, &vmp_step_thaw_guest, NULL);
    if (!vmp_point_plan_clearing(plan, machine, session, graph, error) ||
        !vmp_change_begin_planning(&change, error) ||
        !vmp_point_checkpoint_edits(machine, checkpoint, bitmaps, plan->edits, error) ||
        !vmp_plan_execute(plan, &change, error))
        return NULL;
    return g_steal_pointer(&checkpoint->name);
}
