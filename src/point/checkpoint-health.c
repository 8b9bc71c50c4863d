/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which checkpoints can be believed, disk by disk, and clearing away what cannot.
 *
 * A QEMU that was killed leaves the bitmaps of the images it wrote to marked inconsistent, and
 * of those made meanwhile nothing at all.  The inconsistent ones are good for nothing but to
 * be in the way, so they are removed; the checkpoint stays listed, and says what it has lost.
 */

#include "base/error.h"
#include "plan/executor.h"
#include "point/checkpoint.h"
#include "point/mark.h"
#include "point/steps.h"
#include "storage/image.h"
#include "store/edit.h"

static GPtrArray *
list_rows(VmpMachine *machine, GError **error)
{
    return vmp_store_list_points(vmp_machine_get_store(machine),
                                 vmp_machine_get_row(machine)->id, VMP_POINT_CHECKPOINT, TRUE,
                                 error);
}

/* ---- looking ---- */

/* The images of each disk as somebody sees them: QEMU, or qemu-img when the domain is off.  A
 * storage daemon would have to open them for writing. */
typedef struct {
    VmpMachine *machine;
    VmpBlockSession *session; /* NULL when off */
    VmpBlockGraph *graph;     /* the same */
    GHashTable *disks;        /* target -> Images */
} Look;

typedef struct {
    GArray *layers;   /* of VmpBitmapLayer, the active image first; empty: no such disk */
    GPtrArray *files; /* of VmpImage, which the layers borrow from; or NULL */
    char *failure;    /* why nothing is known of it; or NULL */
} Images;

static void
images_free(Images *images)
{
    g_array_unref(images->layers);
    g_clear_pointer(&images->files, g_ptr_array_unref);
    g_free(images->failure);
    g_free(images);
}

static void
look_clear(Look *look)
{
    g_clear_pointer(&look->disks, g_hash_table_unref);
    g_clear_pointer(&look->graph, vmp_block_graph_free);
    g_clear_pointer(&look->session, vmp_block_session_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Look, look_clear)

static gboolean
begin_look(Look *look, GError **error)
{
    look->disks =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)images_free);
    if (!vmp_machine_is_on(look->machine))
        return TRUE;
    look->session = vmp_block_session_open(look->machine, error);
    look->graph = look->session ? vmp_block_session_read_graph(look->session, error) : NULL;
    return look->graph != NULL;
}

static void
add_layer(Images *images, const char *name, guint64 size, const GPtrArray *bitmaps)
{
    const VmpBitmapLayer layer = { name, size, bitmaps };

    g_array_append_val(images->layers, layer);
}

static void
look_in_graph(const Look *look, const char *target, Images *images)
{
    const VmpBlockNode *node =
        vmp_block_session_image(look->session, look->graph, target, NULL);

    for (; node; node = vmp_block_graph_backing(look->graph, node))
        add_layer(images, node->path ? node->path : node->name, node->size, node->bitmaps);
}

static void
look_in_files(const VmpDomainDisk *disk, Images *images)
{
    g_autoptr(GError) failure = NULL;

    images->files = vmp_image_read_chain(disk->source, disk->driver, NULL, &failure);
    if (!images->files)
        images->failure = g_strdup(failure->message);
    for (guint i = 0; images->files && i < images->files->len; i++) {
        const VmpImage *image = g_ptr_array_index(images->files, i);
        add_layer(images, image->path, image->virtual_size, image->bitmaps);
    }
}

static const Images *
get_images(Look *look, const char *target)
{
    Images *images = g_hash_table_lookup(look->disks, target);
    if (images)
        return images;

    images = g_new0(Images, 1);
    images->layers = g_array_new(FALSE, FALSE, sizeof(VmpBitmapLayer));
    g_hash_table_insert(look->disks, g_strdup(target), images);
    if (look->graph) {
        look_in_graph(look, target, images);
        return images;
    }
    const VmpDomain *definition = vmp_machine_get_inactive(look->machine, NULL);
    const VmpDomainDisk *disk = definition ? vmp_domain_find_disk(definition, target) : NULL;
    if (disk && disk->source)
        look_in_files(disk, images);
    return images;
}

/* ---- the verdict ---- */

void
vmp_checkpoint_disk_info_free(VmpCheckpointDiskInfo *info)
{
    if (!info)
        return;
    g_free(info->disk);
    g_free(info->reason);
    g_free(info);
}

static VmpCheckpointDiskInfo *
judge(Look *look, const VmpMark *mark)
{
    VmpCheckpointDiskInfo *info = g_new0(VmpCheckpointDiskInfo, 1);
    const Images *images = get_images(look, mark->disk);
    g_autoptr(GError) failure = NULL;

    info->disk = g_strdup(mark->disk);
    if (images->failure) {
        info->state = VMP_CHECKPOINT_DISK_UNKNOWN;
        info->reason = g_strdup(images->failure);
    } else if (images->layers->len == 0) {
        info->state = VMP_CHECKPOINT_DISK_GONE;
        info->reason = g_strdup("the domain has no such disk any more");
    } else if (vmp_mark_check_layers(mark, (VmpBitmapLayer *)(gpointer)images->layers->data,
                                     images->layers->len, &failure) == 0) {
        info->state = VMP_CHECKPOINT_DISK_BROKEN;
        info->reason = g_strdup(failure->message);
    }
    return info;
}

static gboolean
judge_checkpoint(Look *look, const VmpStorePoint *row, VmpCheckpointInfo *info, GError **error)
{
    g_autoptr(GPtrArray) marks = vmp_marks_of_row(row, error);

    if (!marks)
        return FALSE;
    info->disks =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_checkpoint_disk_info_free);
    for (guint i = 0; i < marks->len; i++)
        g_ptr_array_add(info->disks, judge(look, g_ptr_array_index(marks, i)));
    return TRUE;
}

gboolean
vmp_point_judge_checkpoints(VmpMachine *machine, GPtrArray *infos, GError **error)
{
    g_autoptr(GHashTable) wanted = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) rows = list_rows(machine, error);
    g_auto(Look) look = { .machine = machine };

    for (guint i = 0; i < infos->len; i++) {
        VmpCheckpointInfo *info = g_ptr_array_index(infos, i);
        g_hash_table_insert(wanted, info->name, info);
    }
    if (!rows || (infos->len > 0 && !begin_look(&look, error)))
        return FALSE;
    for (guint i = 0; i < rows->len; i++) {
        const VmpStorePoint *row = g_ptr_array_index(rows, i);
        VmpCheckpointInfo *info = g_hash_table_lookup(wanted, row->name);
        if (info && !judge_checkpoint(&look, row, info, error))
            return FALSE;
    }
    return TRUE;
}

/* ---- clearing away ---- */

/* Of the active image only: the ones below were closed in good order when they became
 * read-only, and QEMU changes nothing there. */
static gboolean
clear_row(VmpStorePoint *row, VmpBlockSession *session, const VmpBlockGraph *graph,
          VmpJson *bitmaps, GError **error)
{
    g_autoptr(GPtrArray) marks = vmp_marks_of_row(row, error);
    guint before = vmp_json_length(bitmaps);

    for (guint i = 0; marks && i < marks->len; i++) {
        const VmpMark *mark = g_ptr_array_index(marks, i);
        const VmpBlockNode *node = vmp_block_session_image(session, graph, mark->disk, NULL);
        const VmpBitmap *bitmap = node ? vmp_block_node_bitmap(node, mark->bitmap) : NULL;
        if (!bitmap || !bitmap->inconsistent || node->read_only)
            continue;

        g_autofree char *reason = g_strdup_printf(
            "the bitmap in image '%s' was lost: QEMU did not end in good order", node->path);
        vmp_marks_note_lost(row, mark->disk, reason);
        json_object_array_add(bitmaps, vmp_json_build("s:disk", mark->disk, "s:node",
                                                      node->name, "s:name", mark->bitmap,
                                                      "S:image", node->path, NULL));
    }
    return marks && vmp_json_length(bitmaps) > before;
}

gboolean
vmp_point_plan_clearing(VmpPlan *plan, VmpMachine *machine, VmpBlockSession *session,
                        const VmpBlockGraph *graph, GError **error)
{
    g_autoptr(GPtrArray) rows = list_rows(machine, error);
    g_autoptr(VmpJson) bitmaps = json_object_new_array();

    for (guint i = 0; rows && i < rows->len; i++) {
        VmpStorePoint *row = g_ptr_array_index(rows, i);
        GError *failure = NULL;
        if (clear_row(row, session, graph, bitmaps, &failure))
            vmp_store_edit_put_point(plan->edits, row);
        if (failure) {
            g_propagate_error(error, failure);
            return FALSE;
        }
    }
    if (vmp_json_length(bitmaps) > 0)
        vmp_plan_add_cleanup(plan, &vmp_step_remove_bitmaps,
                             vmp_json_build("o:bitmaps", g_steal_pointer(&bitmaps), "o:reopen",
                                            json_object_new_array(), NULL));
    return rows != NULL;
}

gboolean
vmp_point_clear_checkpoints(VmpMachine *machine, GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));
    gint64 count =
        vmp_store_count_points(vmp_machine_get_store(machine),
                               vmp_machine_get_row(machine)->id, VMP_POINT_CHECKPOINT, error);
    if (count <= 0)
        return count == 0;

    g_auto(VmpChange)
        change = { .machine = machine, .operation = vmp_machine_get_operation(machine) };
    VmpBlockSession *session = vmp_change_get_session(&change, error);
    g_autoptr(VmpBlockGraph) graph =
        session ? vmp_block_session_read_graph(session, error) : NULL;
    g_autoptr(VmpPlan) plan =
        vmp_plan_new("checkpoint-clear", vmp_machine_get_name(machine), NULL);
    if (!graph || !vmp_point_plan_clearing(plan, machine, session, graph, error))
        return FALSE;
    if (plan->steps->len == 0)
        return TRUE;
    plan->commit = 0;
    return vmp_plan_execute(plan, &change, error);
}
