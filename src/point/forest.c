/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/forest.h"

/* A commit that copies this much more than a stream would is not worth a name. */
#define MUCH_MORE ((guint64)64 << 20)

/* ---- merges ---- */

static VmpForestImage *
layer(const VmpMerge *merge, guint index)
{
    return g_ptr_array_index(merge->layers, index);
}

VmpForestImage *
vmp_merge_top(const VmpMerge *merge)
{
    return layer(merge, merge->layers->len - 1);
}

VmpForestImage *
vmp_merge_survivor(const VmpMerge *merge)
{
    return merge->way == VMP_MERGE_COMMIT ? layer(merge, 0) : vmp_merge_top(merge);
}

static void
merge_free(VmpMerge *merge)
{
    g_ptr_array_unref(merge->layers);
    g_free(merge);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpMerge, merge_free)

/* ---- the forest ---- */

static void
image_free(VmpForestImage *image)
{
    g_free(image->path);
    g_free(image->format);
    g_free(image->disk);
    g_free(image->outsider);
    g_free(image);
}

VmpForest *
vmp_forest_new(void)
{
    VmpForest *forest = g_new0(VmpForest, 1);

    forest->images = g_ptr_array_new_with_free_func((GDestroyNotify)image_free);
    forest->merges = g_ptr_array_new_with_free_func((GDestroyNotify)merge_free);
    forest->unneeded = g_ptr_array_new();
    return forest;
}

void
vmp_forest_free(VmpForest *forest)
{
    if (!forest)
        return;
    g_ptr_array_unref(forest->merges);
    g_ptr_array_unref(forest->unneeded);
    g_ptr_array_unref(forest->images);
    g_free(forest);
}

VmpForestImage *
vmp_forest_find(const VmpForest *forest, const char *path)
{
    for (guint i = 0; path && i < forest->images->len; i++) {
        VmpForestImage *image = g_ptr_array_index(forest->images, i);
        if (g_str_equal(image->path, path))
            return image;
    }
    return NULL;
}

VmpForestImage *
vmp_forest_add(VmpForest *forest, const char *path)
{
    VmpForestImage *image = vmp_forest_find(forest, path);

    if (image)
        return image;
    image = g_new0(VmpForestImage, 1);
    image->path = g_strdup(path);
    g_ptr_array_add(forest->images, image);
    return image;
}

/* ---- deciding ---- */

/* How many stand on @image, and one of them. */
static guint
look_above(const VmpForest *forest, const VmpForestImage *image, VmpForestImage **one)
{
    guint count = 0;

    for (guint i = 0; i < forest->images->len; i++) {
        VmpForestImage *other = g_ptr_array_index(forest->images, i);
        if (other->below != image || other->gone)
            continue;
        *one = other;
        count++;
    }
    return count;
}

static gboolean
is_spare(const VmpForestImage *image)
{
    return image->idle && !image->needed && !image->carries && !image->outsider &&
           !image->gone;
}

/* When one goes, the one that it stood on may be next. */
static void
drop_unneeded(VmpForest *forest)
{
    gboolean dropped = TRUE;

    while (dropped) {
        dropped = FALSE;
        for (guint i = 0; i < forest->images->len; i++) {
            VmpForestImage *image = g_ptr_array_index(forest->images, i);
            VmpForestImage *above = NULL;
            if (!is_spare(image) || image->holds || look_above(forest, image, &above) > 0)
                continue;
            image->gone = TRUE;
            g_ptr_array_add(forest->unneeded, image);
            dropped = TRUE;
        }
    }
}

/* The one image with which @image can become one; NULL if there is none. */
static VmpForestImage *
partner_of(const VmpForest *forest, const VmpForestImage *image)
{
    VmpForestImage *above = NULL;

    return is_spare(image) && look_above(forest, image, &above) == 1 ? above : NULL;
}

/* Does copying the upper layers down cost far more than pulling the lower ones up? */
static gboolean
is_long_way_down(const VmpMerge *merge)
{
    guint64 down = 0;
    guint64 up = 0;

    for (guint i = 0; i + 1 < merge->layers->len; i++) {
        up += layer(merge, i)->allocated;
        down += layer(merge, i + 1)->allocated;
    }
    return down > up + MUCH_MORE;
}

static gboolean
loses_bitmaps(const VmpMerge *merge)
{
    for (guint i = 1; i < merge->layers->len; i++)
        if (layer(merge, i)->has_bitmaps)
            return !layer(merge, 0)->keeps_bitmaps;
    return FALSE;
}

/* FALSE if neither way is open. */
static gboolean
choose_way(const VmpForest *forest, VmpMerge *merge)
{
    const VmpForestImage *bottom = layer(merge, 0);
    const VmpForestImage *top = vmp_merge_top(merge);
    VmpForestImage *above = NULL;
    gboolean must_stream = top->size < bottom->size;
    gboolean better_stream =
        loses_bitmaps(merge) ||
        (bottom->ours && (look_above(forest, top, &above) > 1 || is_long_way_down(merge)));

    merge->way =
        (must_stream || better_stream) && !bottom->holds ? VMP_MERGE_STREAM : VMP_MERGE_COMMIT;
    return merge->way == VMP_MERGE_STREAM || !must_stream;
}

/* The row that begins with @bottom; NULL if none does. */
static VmpMerge *
find_row(const VmpForest *forest, VmpForestImage *bottom)
{
    VmpForestImage *above = partner_of(forest, bottom);

    if (!above || (bottom->below && partner_of(forest, bottom->below)))
        return NULL;

    g_autoptr(VmpMerge) merge = g_new0(VmpMerge, 1);
    merge->layers = g_ptr_array_new();
    g_ptr_array_add(merge->layers, bottom);
    for (; above; above = partner_of(forest, above))
        g_ptr_array_add(merge->layers, above);
    return choose_way(forest, merge) ? g_steal_pointer(&merge) : NULL;
}

static gboolean
stands_on(const VmpForestImage *image, const VmpMerge *merge)
{
    for (; image; image = image->below)
        if (g_ptr_array_find(merge->layers, image, NULL))
            return TRUE;
    return FALSE;
}

/* One that stands on the other would be opened over images that are about to change. */
static gboolean
is_in_the_way(const VmpForest *forest, const VmpMerge *merge)
{
    for (guint i = 0; i < forest->merges->len; i++) {
        const VmpMerge *other = g_ptr_array_index(forest->merges, i);
        if (stands_on(vmp_merge_top(merge), other) || stands_on(vmp_merge_top(other), merge))
            return TRUE;
    }
    return FALSE;
}

/* Those of the present chains, or the others. */
static void
collect_merges(VmpForest *forest, gboolean present)
{
    for (guint i = 0; i < forest->images->len; i++) {
        VmpForestImage *image = g_ptr_array_index(forest->images, i);
        if ((image->disk != NULL) != present)
            continue;
        g_autoptr(VmpMerge) merge = find_row(forest, image);
        if (!merge)
            continue;
        if (is_in_the_way(forest, merge))
            forest->deferred++;
        else
            g_ptr_array_add(forest->merges, g_steal_pointer(&merge));
    }
}

/* The survivor is what the top was to others. */
static void
mark_merged(const VmpMerge *merge)
{
    VmpForestImage *survivor = vmp_merge_survivor(merge);

    survivor->needed |= vmp_merge_top(merge)->needed;
    for (guint i = 0; i < merge->layers->len; i++)
        layer(merge, i)->gone = layer(merge, i) != survivor;
}

/* An image is read through from above, by others as well. */
static void
spread_outsiders(VmpForest *forest)
{
    for (guint i = 0; i < forest->images->len; i++) {
        const VmpForestImage *image = g_ptr_array_index(forest->images, i);
        for (VmpForestImage *below = image->below; image->outsider && below;
             below = below->below)
            if (!below->outsider)
                below->outsider = g_strdup(image->outsider);
    }
}

void
vmp_forest_decide(VmpForest *forest)
{
    for (guint i = 0; i < forest->images->len; i++) {
        VmpForestImage *image = g_ptr_array_index(forest->images, i);
        if (image->holds && image->below)
            image->below->carries = TRUE;
    }
    spread_outsiders(forest);
    drop_unneeded(forest);
    collect_merges(forest, TRUE);
    collect_merges(forest, FALSE);
    for (guint i = 0; i < forest->merges->len; i++)
        mark_merged(g_ptr_array_index(forest->merges, i));
}

void
vmp_forest_ask_merge(VmpForest *forest, VmpForestImage *bottom, VmpForestImage *top,
                     VmpMergeWay way, guint64 bandwidth)
{
    VmpMerge *merge = g_new0(VmpMerge, 1);

    merge->layers = g_ptr_array_new();
    merge->way = way;
    merge->bandwidth = bandwidth;
    for (VmpForestImage *image = top; image; image = image == bottom ? NULL : image->below)
        g_ptr_array_insert(merge->layers, 0, image);
    g_ptr_array_add(forest->merges, merge);
    if (way == VMP_MERGE_COMMIT)
        mark_merged(merge);
}

VmpForestImage *
vmp_forest_successor(const VmpForest *forest, const VmpForestImage *image)
{
    for (guint i = 0; i < forest->merges->len; i++) {
        const VmpMerge *merge = g_ptr_array_index(forest->merges, i);
        if (image->gone && g_ptr_array_find(merge->layers, image, NULL))
            return vmp_merge_survivor(merge);
    }
    return NULL;
}
