/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/bitmap.h"

#include "base/error.h"

void
vmp_bitmap_chain_free(VmpBitmapChain *chain)
{
    if (!chain)
        return;
    g_ptr_array_unref(chain->nodes);
    g_free(chain);
}

static const char *
image_name(const VmpBlockNode *node)
{
    return node->path ? node->path : node->name;
}

/* Does @bitmap of @node tell all that was written to @node while it was the active image? */
static gboolean
check_link(const VmpBlockNode *node, const VmpBitmap *bitmap, const VmpBlockNode *top,
           GError **error)
{
    if (bitmap->inconsistent)
        return vmp_fail(error, VMP_ERROR_INCONSISTENT,
                        "bitmap '%s' of image '%s' is inconsistent: the image was not closed "
                        "properly while it was in use",
                        bitmap->name, image_name(node));
    if (!bitmap->recording)
        return vmp_fail(error, VMP_ERROR_INCONSISTENT,
                        "bitmap '%s' of image '%s' is disabled: later writes are not in it",
                        bitmap->name, image_name(node));
    /* QEMU cannot merge bitmaps of different lengths. */
    if (node->size != top->size)
        return vmp_fail(error, VMP_ERROR_INCONSISTENT,
                        "bitmap '%s' of image '%s' covers %" G_GUINT64_FORMAT
                        " bytes, the disk has %" G_GUINT64_FORMAT,
                        bitmap->name, image_name(node), node->size, top->size);
    return TRUE;
}

VmpBitmapChain *
vmp_bitmap_chain_find(const VmpBlockGraph *graph, const VmpBlockNode *top, const char *name,
                      GError **error)
{
    g_autoptr(VmpBitmapChain) chain = g_new0(VmpBitmapChain, 1);
    const VmpBlockNode *gap = NULL;

    chain->nodes = g_ptr_array_new();
    for (const VmpBlockNode *node = top; node; node = vmp_block_graph_backing(graph, node)) {
        const VmpBitmap *bitmap = vmp_block_node_bitmap(node, name);

        if (!bitmap) {
            gap = gap ? gap : node;
            continue;
        }
        if (gap)
            return vmp_fail_null(error, VMP_ERROR_INCONSISTENT,
                                 "bitmap '%s' of image '%s' is missing in image '%s' above it",
                                 name, image_name(node), image_name(gap));
        if (!check_link(node, bitmap, top, error))
            return NULL;
        if (node == top)
            chain->granularity = bitmap->granularity;
        g_ptr_array_add(chain->nodes, (gpointer)node);
    }
    if (chain->nodes->len == 0)
        return vmp_fail_null(error, VMP_ERROR_NOT_FOUND,
                             "there is no bitmap '%s' in image '%s' or below it", name,
                             image_name(top));
    return g_steal_pointer(&chain);
}
