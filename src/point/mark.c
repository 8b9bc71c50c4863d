/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/mark.h"

#include <string.h>

#include <vmpoint/checkpoint-record.h>

#include "base/error.h"
#include "store/edit.h"

static void
mark_free(VmpMark *mark)
{
    g_free(mark->disk);
    g_free(mark->bitmap);
    g_free(mark->image);
    g_free(mark->lost);
    g_free(mark);
}

/* ---- the row's extra ---- */

static VmpJson *
read_extra(const VmpStorePoint *row)
{
    VmpJson *extra = row->extra ? vmp_json_parse(row->extra, -1, NULL) : NULL;

    return extra ? extra : json_object_new_object();
}

static void
write_extra(VmpStorePoint *row, VmpJson *extra)
{
    g_free(row->extra);
    row->extra = vmp_json_to_text(extra);
}

/* The object @key of @extra; made if it is not there. */
static VmpJson *
get_part(VmpJson *extra, const char *key)
{
    VmpJson *part = vmp_json_get_object(extra, key);

    if (!part) {
        part = json_object_new_object();
        json_object_object_add(extra, key, part);
    }
    return part;
}

void
vmp_marks_note_began(VmpStorePoint *row, VmpJson *bitmaps)
{
    g_autoptr(VmpJson) extra = read_extra(row);
    VmpJson *began = get_part(extra, "began");

    for (guint i = 0; i < vmp_json_length(bitmaps); i++) {
        VmpJson *bitmap = vmp_json_at(bitmaps, i);
        const char *image = vmp_json_get_string(bitmap, "image");
        if (image)
            json_object_object_add(
                began, vmp_json_get_string(bitmap, "disk"),
                vmp_json_build("s:image", image, "I:size", vmp_json_get_int(bitmap, "size", 0),
                               "B:transient", vmp_json_get_bool(bitmap, "transient", FALSE),
                               NULL));
    }
    write_extra(row, extra);
}

void
vmp_marks_note_lost(VmpStorePoint *row, const char *disk, const char *reason)
{
    g_autoptr(VmpJson) extra = read_extra(row);

    json_object_object_add(get_part(extra, "lost"), disk, json_object_new_string(reason));
    write_extra(row, extra);
}

/* ---- reading ---- */

static VmpMark *
mark_new(const VmpCheckpointDisk *disk, const char *checkpoint, VmpJson *extra)
{
    VmpJson *began = vmp_json_get_object(vmp_json_get_object(extra, "began"), disk->name);
    const char *lost = vmp_json_get_string(vmp_json_get_object(extra, "lost"), disk->name);
    VmpMark *mark = g_new(VmpMark, 1);

    *mark = (VmpMark){
        .disk = g_strdup(disk->name),
        .bitmap = g_strdup(disk->bitmap ? disk->bitmap : checkpoint),
        .image = g_strdup(vmp_json_get_string(began, "image")),
        .size = (guint64)vmp_json_get_int(began, "size", 0),
        .lost = g_strdup(lost),
        .transient = vmp_json_get_bool(began, "transient", FALSE),
    };
    return mark;
}

GPtrArray *
vmp_marks_of_row(const VmpStorePoint *row, GError **error)
{
    g_autoptr(VmpCheckpoint) checkpoint =
        vmp_checkpoint_parse(row->body, -1, VMP_CHECKPOINT_PARSE_REDEFINE, error);
    if (!checkpoint)
        return NULL;

    GPtrArray *marks = g_ptr_array_new_with_free_func((GDestroyNotify)mark_free);
    g_autoptr(VmpJson) extra = read_extra(row);
    for (guint i = 0; checkpoint->disks && i < checkpoint->disks->len; i++) {
        const VmpCheckpointDisk *disk = g_ptr_array_index(checkpoint->disks, i);
        if (disk->wanted)
            g_ptr_array_add(marks, mark_new(disk, row->name, extra));
    }
    return marks;
}

const VmpMark *
vmp_marks_find(const GPtrArray *marks, const char *disk)
{
    for (guint i = 0; i < marks->len; i++) {
        const VmpMark *mark = g_ptr_array_index(marks, i);
        if (strcmp(mark->disk, disk) == 0)
            return mark;
    }
    return NULL;
}

/* ---- what it is worth ---- */

/* Takes @failure to @error: what is not there was there once. */
static void
explain(const VmpMark *mark, GError *failure /* taken */, GError **error)
{
    g_autoptr(GError) taken = failure;
    gboolean missing = vmp_error_is(taken, VMP_ERROR_NOT_FOUND);

    if (mark->transient)
        vmp_fail(error, VMP_ERROR_INCONSISTENT, "%s ('%s' keeps no bitmaps when QEMU ends)",
                 taken->message, mark->image);
    else
        vmp_fail(error, missing ? VMP_ERROR_INCONSISTENT : (VmpErrorCode)taken->code, "%s",
                 mark->lost ? mark->lost : taken->message);
}

guint
vmp_mark_check_layers(const VmpMark *mark, const VmpBitmapLayer *layers, guint count,
                      GError **error)
{
    const VmpBitmapOrigin origin = { mark->image, mark->size };
    GError *failure = NULL;
    guint length = vmp_bitmap_check_layers(layers, count, mark->bitmap, &origin, &failure);

    if (length == 0)
        explain(mark, failure, error);
    return length;
}

VmpBitmapChain *
vmp_mark_find_chain(const VmpMark *mark, const VmpBlockGraph *graph, const VmpBlockNode *top,
                    GError **error)
{
    const VmpBitmapOrigin origin = { mark->image, mark->size };
    GError *failure = NULL;
    VmpBitmapChain *chain = vmp_bitmap_chain_find(graph, top, mark->bitmap, &origin, &failure);

    if (!chain)
        explain(mark, failure, error);
    return chain;
}

/* ---- a layer that is merged down ---- */

static gboolean
move_row(VmpStorePoint *row, GHashTable *moves)
{
    g_autoptr(VmpJson) extra = read_extra(row);
    gboolean moved = FALSE;

    json_object_object_foreach(get_part(extra, "began"), disk, began)
    {
        (void)disk;
        const char *image = vmp_json_get_string(began, "image");
        const char *lower = image ? g_hash_table_lookup(moves, image) : NULL;
        if (!lower)
            continue;
        vmp_json_add(began, "s:image", lower, NULL);
        moved = TRUE;
    }
    if (moved)
        write_extra(row, extra);
    return moved;
}

gboolean
vmp_marks_move(VmpMachine *machine, GHashTable *moves, VmpJson *edits, GError **error)
{
    g_autoptr(GPtrArray) rows =
        vmp_store_list_points(vmp_machine_get_store(machine), vmp_machine_get_row(machine)->id,
                              VMP_POINT_CHECKPOINT, TRUE, error);

    for (guint i = 0; rows && i < rows->len; i++) {
        VmpStorePoint *row = g_ptr_array_index(rows, i);
        if (move_row(row, moves))
            vmp_store_edit_put_point(edits, row);
    }
    return rows != NULL;
}

/* ---- a disk that has another size ---- */

/* No disk has that size. */
#define NO_SIZE 1

static gboolean
grow_mark(VmpJson *began, const char *image, guint64 size)
{
    if (g_strcmp0(vmp_json_get_string(began, "image"), image) != 0 ||
        vmp_json_get_int(began, "size", NO_SIZE) == NO_SIZE)
        return FALSE;
    vmp_json_add(began, "i:size", (gint64)size, NULL);
    return TRUE;
}

static gboolean
resize_row(VmpStorePoint *row, const char *disk, const char *image, guint64 size, gboolean cut,
           gboolean *changed, GError **error)
{
    g_autoptr(GPtrArray) marks = vmp_marks_of_row(row, error);
    g_autoptr(VmpJson) extra = read_extra(row);
    VmpJson *parts = get_part(extra, "began");
    VmpJson *began = vmp_json_get_object(parts, disk);

    *changed = FALSE;
    if (!marks || !vmp_marks_find(marks, disk))
        return marks != NULL;
    if (!cut && (!began || !grow_mark(began, image, size)))
        return TRUE;
    if (cut)
        json_object_object_add(
            parts, disk, vmp_json_build("S:image", image, "i:size", (gint64)NO_SIZE, NULL));
    write_extra(row, extra);
    if (cut)
        vmp_marks_note_lost(row, disk, "the disk was made smaller since");
    *changed = TRUE;
    return TRUE;
}

gboolean
vmp_marks_resize(VmpMachine *machine, const char *disk, const char *image, guint64 size,
                 gboolean cut, VmpJson *edits, GError **error)
{
    g_autoptr(GPtrArray) rows =
        vmp_store_list_points(vmp_machine_get_store(machine), vmp_machine_get_row(machine)->id,
                              VMP_POINT_CHECKPOINT, TRUE, error);

    for (guint i = 0; rows && i < rows->len; i++) {
        VmpStorePoint *row = g_ptr_array_index(rows, i);
        gboolean changed = FALSE;
        if (!resize_row(row, disk, image, size, cut, &changed, error))
            return FALSE;
        if (changed)
            vmp_store_edit_put_point(edits, row);
    }
    return rows != NULL;
}
