/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/bitmap.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

void
vmp_bitmap_chain_free(VmpBitmapChain *chain)
{
    if (!chain)
        return;
    g_ptr_array_unref(chain->nodes);
    g_free(chain);
}

static gboolean
is_same_image(const char *one, const char *other)
{
    if (strcmp(one, other) == 0)
        return TRUE;

    char *first = realpath(one, NULL);
    char *second = realpath(other, NULL);
    gboolean same = first && second && strcmp(first, second) == 0;
    free(first);
    free(second);
    return same;
}

static const VmpBitmap *
find_bitmap(const VmpBitmapLayer *layer, const char *name)
{
    for (guint i = 0; i < layer->bitmaps->len; i++) {
        const VmpBitmap *bitmap = g_ptr_array_index(layer->bitmaps, i);
        if (strcmp(bitmap->name, name) == 0)
            return bitmap;
    }
    return NULL;
}

/* Does @bitmap of @layer tell all that was written to it while it was the active image? */
static gboolean
check_link(const VmpBitmapLayer *layer, const VmpBitmap *bitmap, const VmpBitmapLayer *top,
           GError **error)
{
    if (bitmap->inconsistent)
        return vmp_fail(error, VMP_ERROR_INCONSISTENT,
                        "bitmap '%s' of image '%s' is inconsistent: the image was not closed "
                        "properly while it was in use",
                        bitmap->name, layer->image);
    if (!bitmap->recording)
        return vmp_fail(error, VMP_ERROR_INCONSISTENT,
                        "bitmap '%s' of image '%s' is disabled: later writes are not in it",
                        bitmap->name, layer->image);
    /* QEMU cannot merge bitmaps of different lengths. */
    if (layer->size != top->size)
        return vmp_fail(error, VMP_ERROR_INCONSISTENT,
                        "bitmap '%s' of image '%s' covers %" G_GUINT64_FORMAT
                        " bytes, the disk has %" G_GUINT64_FORMAT,
                        bitmap->name, layer->image, layer->size, top->size);
    return TRUE;
}

/* How many layers stand on and include the one in which the bitmap began; all of them if that
 * is not known. */
static gboolean
count_to_origin(const VmpBitmapLayer *layers, guint count, const VmpBitmapOrigin *origin,
                guint *reach, GError **error)
{
    *reach = count;
    /* What was cut off and grown again reads as zeroes, and no bitmap says so. */
    if (origin && origin->size && origin->size != layers[0].size)
        return vmp_fail(error, VMP_ERROR_INCONSISTENT,
                        "the disk had %" G_GUINT64_FORMAT
                        " bytes then and has %" G_GUINT64_FORMAT " now",
                        origin->size, layers[0].size);
    if (!origin || !origin->image)
        return TRUE;
    for (guint i = 0; i < count; i++) {
        *reach = i + 1;
        if (is_same_image(layers[i].image, origin->image))
            return TRUE;
    }
    return vmp_fail(
        error, VMP_ERROR_INCONSISTENT,
        "the image '%s', in which it began, is not among the images of the disk any "
        "more",
        origin->image);
}

guint
vmp_bitmap_check_layers(const VmpBitmapLayer *layers, guint count, const char *name,
                        const VmpBitmapOrigin *origin, GError **error)
{
    const VmpBitmapLayer *gap = NULL;
    guint length = 0, reach = 0;

    if (!count_to_origin(layers, count, origin, &reach, error))
        return 0;
    for (guint i = 0; i < reach; i++) {
        const VmpBitmap *bitmap = find_bitmap(&layers[i], name);

        if (!bitmap) {
            gap = gap ? gap : &layers[i];
            continue;
        }
        if (gap)
            return vmp_fail(error, VMP_ERROR_INCONSISTENT,
                            "bitmap '%s' of image '%s' is missing in image '%s' above it",
                            name, layers[i].image, gap->image);
        if (!check_link(&layers[i], bitmap, &layers[0], error))
            return 0;
        length++;
    }
    if (length == 0)
        return vmp_fail(error, VMP_ERROR_NOT_FOUND,
                        "there is no bitmap '%s' in image '%s' or below it", name,
                        layers[0].image);
    if (gap && origin && origin->image)
        return vmp_fail(error, VMP_ERROR_INCONSISTENT,
                        "bitmap '%s' is missing in image '%s', where it began or went on",
                        name, gap->image);
    return length;
}

VmpBitmapChain *
vmp_bitmap_chain_find(const VmpBlockGraph *graph, const VmpBlockNode *top, const char *name,
                      const VmpBitmapOrigin *origin, GError **error)
{
    g_autoptr(GArray) layers = g_array_new(FALSE, FALSE, sizeof(VmpBitmapLayer));
    g_autoptr(VmpBitmapChain) chain = g_new0(VmpBitmapChain, 1);

    chain->nodes = g_ptr_array_new();
    for (const VmpBlockNode *node = top; node; node = vmp_block_graph_backing(graph, node)) {
        const VmpBitmapLayer layer = { node->path ? node->path : node->name, node->size,
                                       node->bitmaps };
        g_array_append_val(layers, layer);
        g_ptr_array_add(chain->nodes, (gpointer)node);
    }

    guint length = vmp_bitmap_check_layers((const VmpBitmapLayer *)(gpointer)layers->data,
                                           layers->len, name, origin, error);
    if (length == 0)
        return NULL;
    g_ptr_array_set_size(chain->nodes, (int)length);
    chain->granularity = vmp_block_node_bitmap(top, name)->granularity;
    return g_steal_pointer(&chain);
}
