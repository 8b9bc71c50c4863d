/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/graph.h"

#include <string.h>

static void
bitmap_free(VmpGraphBitmap *bitmap)
{
    g_free(bitmap->name);
    g_free(bitmap->checkpoint);
    g_free(bitmap);
}

static void
image_free(VmpGraphImage *image)
{
    g_free(image->path);
    g_free(image->format);
    g_free(image->failure);
    g_free(image->backing);
    g_free(image->node);
    g_ptr_array_unref(image->disks);
    g_ptr_array_unref(image->bitmaps);
    g_ptr_array_unref(image->internal);
    g_free(image);
}

static void
place_free(VmpGraphPlace *place)
{
    g_free(place->disk);
    g_free(place->path);
    g_free(place);
}

static void
point_free(VmpGraphPoint *point)
{
    g_free(point->name);
    g_free(point->parent);
    g_free(point->memory_file);
    g_ptr_array_unref(point->places);
    g_free(point);
}

void
vmp_graph_free(VmpGraph *graph)
{
    if (!graph)
        return;
    g_free(graph->domain);
    g_ptr_array_unref(graph->images);
    g_ptr_array_unref(graph->snapshots);
    g_ptr_array_unref(graph->checkpoints);
    g_free(graph);
}

static VmpGraphPoint *
point_new(const char *name, const char *parent, gboolean current)
{
    VmpGraphPoint *point = g_new0(VmpGraphPoint, 1);

    point->name = g_strdup(name);
    point->parent = g_strdup(parent);
    point->current = current;
    point->places = g_ptr_array_new_with_free_func((GDestroyNotify)place_free);
    return point;
}

static void
add_place(VmpGraphPoint *point, const char *disk, const char *path, gboolean internal)
{
    VmpGraphPlace *place = g_new(VmpGraphPlace, 1);

    *place = (VmpGraphPlace){ g_strdup(disk), g_strdup(path), internal };
    g_ptr_array_add(point->places, place);
}

/* ---- images ---- */

/* The image that the disk writes to: QEMU's word when it runs.  Borrowed; NULL if empty. */
static const char *
active_path(const VmpFsckView *view, const VmpDomainDisk *disk)
{
    const VmpFsckActive *active =
        view->active ? g_hash_table_lookup(view->active, disk->target) : NULL;

    return active ? active->path : disk->source;
}

static const char *
bitmap_name(const VmpCheckpoint *checkpoint, const VmpCheckpointDisk *disk)
{
    return disk->bitmap ? disk->bitmap : checkpoint->name;
}

/* The checkpoint that has a bitmap of this name; NULL if none has.  Borrowed. */
static const char *
owner_of_bitmap(const VmpFsckView *view, const char *name)
{
    for (guint i = 0; i < view->checkpoints->len; i++) {
        const VmpCheckpoint *checkpoint = g_ptr_array_index(view->checkpoints, i);

        for (guint k = 0; checkpoint->disks && k < checkpoint->disks->len; k++) {
            const VmpCheckpointDisk *disk = g_ptr_array_index(checkpoint->disks, k);
            if (disk->wanted && g_str_equal(bitmap_name(checkpoint, disk), name))
                return checkpoint->name;
        }
    }
    return NULL;
}

static void
add_bitmaps(VmpGraphImage *image, const VmpFsckView *view, const GPtrArray *bitmaps)
{
    for (guint i = 0; bitmaps && i < bitmaps->len; i++) {
        const VmpBitmap *found = g_ptr_array_index(bitmaps, i);
        VmpGraphBitmap *bitmap = g_new(VmpGraphBitmap, 1);

        *bitmap = (VmpGraphBitmap){
            .name = g_strdup(found->name),
            .checkpoint = g_strdup(owner_of_bitmap(view, found->name)),
            .recording = found->recording,
            .inconsistent = found->inconsistent,
        };
        g_ptr_array_add(image->bitmaps, bitmap);
    }
}

/* Who writes to it.  What QEMU says of the bitmaps there is newer than the image is. */
static const GPtrArray *
add_disks(VmpGraphImage *image, const VmpFsckView *view)
{
    const GPtrArray *disks = vmp_domain_get_disks(view->present);
    const GPtrArray *bitmaps = NULL;

    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);

        if (g_strcmp0(active_path(view, disk), image->path) != 0)
            continue;
        g_ptr_array_add(image->disks, g_strdup(disk->target));
        bitmaps = g_hash_table_lookup(view->bitmaps, disk->target);
    }
    return bitmaps;
}

static VmpGraphImage *
image_new(const VmpFsckView *view, const char *path, const VmpFsckImage *entry)
{
    VmpGraphImage *image = g_new0(VmpGraphImage, 1);
    const VmpImage *header = entry->image;

    image->path = g_strdup(path);
    image->node = g_strdup(g_hash_table_lookup(view->nodes, path));
    image->shared = g_hash_table_contains(view->foreign, path);
    image->disks = g_ptr_array_new_with_free_func(g_free);
    image->bitmaps = g_ptr_array_new_with_free_func((GDestroyNotify)bitmap_free);
    image->internal = g_ptr_array_new_with_free_func(g_free);
    const GPtrArray *told = add_disks(image, view);
    add_bitmaps(image, view, told ? told : header ? header->bitmaps : NULL);
    if (!header) {
        image->failure = g_strdup(entry->failure ? entry->failure->message : "not read");
        return image;
    }
    image->format = g_strdup(header->format);
    image->backing = g_strdup(header->backing_path);
    image->virtual_size = header->virtual_size;
    image->actual_size = header->actual_size;
    for (guint i = 0; i < header->snapshots->len; i++) {
        const VmpInternalSnapshot *snapshot = g_ptr_array_index(header->snapshots, i);
        g_ptr_array_add(image->internal, g_strdup(snapshot->tag));
    }
    return image;
}

/* Downwards first; @done also ends a loop of backing links. */
static void
add_image(VmpGraph *graph, const VmpFsckView *view, const char *path, GHashTable *done)
{
    const VmpFsckImage *entry = g_hash_table_lookup(view->images, path);

    if (!entry || !g_hash_table_add(done, (char *)path))
        return;
    if (entry->image && entry->image->backing_path)
        add_image(graph, view, entry->image->backing_path, done);
    g_ptr_array_add(graph->images, image_new(view, path, entry));
}

static int
compare_paths(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void
add_images(VmpGraph *graph, const VmpFsckView *view)
{
    g_autoptr(GHashTable) done = g_hash_table_new(g_str_hash, g_str_equal);
    guint count = 0;
    g_autofree const char **paths =
        (const char **)g_hash_table_get_keys_as_array(view->images, &count);

    qsort(paths, count, sizeof *paths, compare_paths);
    for (guint i = 0; i < count; i++)
        add_image(graph, view, paths[i], done);
}

/* ---- points ---- */

static void
add_snapshot(VmpGraph *graph, const VmpFsckSnapshot *entry)
{
    const VmpSnapshot *snapshot = entry->snapshot;
    VmpGraphPoint *point = point_new(snapshot->name, snapshot->parent, entry->current);

    point->state = snapshot->state;
    point->memory_file = g_strdup(snapshot->memory_file);
    for (guint i = 0; entry->past && i < snapshot->disks->len; i++) {
        const VmpSnapshotDisk *disk = g_ptr_array_index(snapshot->disks, i);
        const VmpDomainDisk *then = vmp_domain_find_disk(entry->past, disk->name);
        gboolean internal = disk->location == VMP_LOCATION_INTERNAL;

        if (then && then->source && (internal || disk->location == VMP_LOCATION_EXTERNAL))
            add_place(point, disk->name, then->source, internal);
    }
    g_ptr_array_add(graph->snapshots, point);
}

/* Several images of a chain may have a part of one bitmap. */
static void
add_bitmap_places(VmpGraphPoint *point, const VmpGraph *graph, const VmpFsckView *view,
                  const char *target, const char *bitmap)
{
    const VmpDomainDisk *disk = vmp_domain_find_disk(view->present, target);
    const char *top = disk ? active_path(view, disk) : NULL;

    for (guint i = 0; top && i < graph->images->len; i++) {
        const VmpGraphImage *image = g_ptr_array_index(graph->images, i);

        for (guint k = 0; k < image->bitmaps->len; k++) {
            const VmpGraphBitmap *found = g_ptr_array_index(image->bitmaps, k);
            if (g_str_equal(found->name, bitmap) && vmp_fsck_rests_on(view, top, image->path))
                add_place(point, target, image->path, TRUE);
        }
    }
}

static void
add_checkpoint(VmpGraph *graph, const VmpFsckView *view, const VmpCheckpoint *checkpoint)
{
    VmpGraphPoint *point =
        point_new(checkpoint->name, checkpoint->parent,
                  g_strcmp0(checkpoint->name, view->current_checkpoint) == 0);

    for (guint i = 0; checkpoint->disks && i < checkpoint->disks->len; i++) {
        const VmpCheckpointDisk *disk = g_ptr_array_index(checkpoint->disks, i);
        if (disk->wanted)
            add_bitmap_places(point, graph, view, disk->name, bitmap_name(checkpoint, disk));
    }
    g_ptr_array_add(graph->checkpoints, point);
}

VmpGraph *
vmp_graph_from_view(const VmpFsckView *view)
{
    VmpGraph *graph = g_new(VmpGraph, 1);

    *graph = (VmpGraph){
        .domain = g_strdup(view->name),
        .active = view->on,
        .images = g_ptr_array_new_with_free_func((GDestroyNotify)image_free),
        .snapshots = g_ptr_array_new_with_free_func((GDestroyNotify)point_free),
        .checkpoints = g_ptr_array_new_with_free_func((GDestroyNotify)point_free),
    };
    add_images(graph, view);
    for (guint i = 0; i < view->snapshots->len; i++)
        add_snapshot(graph, g_ptr_array_index(view->snapshots, i));
    for (guint i = 0; i < view->checkpoints->len; i++)
        add_checkpoint(graph, view, g_ptr_array_index(view->checkpoints, i));
    return graph;
}
