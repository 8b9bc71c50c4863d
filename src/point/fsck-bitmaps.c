/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/fsck-compare.h"

/* ---- bitmaps ---- */

static const VmpBitmap *
find_bitmap(const GPtrArray *bitmaps, const char *name)
{
    for (guint i = 0; bitmaps && i < bitmaps->len; i++) {
        const VmpBitmap *bitmap = g_ptr_array_index(bitmaps, i);
        if (g_str_equal(bitmap->name, name))
            return bitmap;
    }
    return NULL;
}

/* After a revert to a state before a checkpoint its bitmap is in another branch: not lost. */
static gboolean
is_held_elsewhere(const VmpFsckView *view, const char *bitmap)
{
    GHashTableIter iter;
    gpointer path;

    g_hash_table_iter_init(&iter, view->images);
    while (g_hash_table_iter_next(&iter, &path, NULL)) {
        const VmpImage *image = vmp_fsck_image(view, path);
        const VmpBitmap *held = image ? find_bitmap(image->bitmaps, bitmap) : NULL;
        if (held && !held->inconsistent)
            return TRUE;
    }
    return FALSE;
}

void
vmp_fsck_compare_checkpoint(const VmpFsckView *view, const VmpCheckpoint *checkpoint,
                            GPtrArray *findings)
{
    for (guint i = 0; checkpoint->disks && i < checkpoint->disks->len; i++) {
        const VmpCheckpointDisk *entry = g_ptr_array_index(checkpoint->disks, i);
        const VmpDomainDisk *disk =
            entry->wanted ? vmp_domain_find_disk(view->present, entry->name) : NULL;
        const GPtrArray *bitmaps =
            vmp_fsck_has_image(disk) ? vmp_fsck_bitmaps(view, disk) : NULL;
        const char *name = entry->bitmap ? entry->bitmap : checkpoint->name;
        const VmpBitmap *bitmap = find_bitmap(bitmaps, name);

        if (!bitmaps || (bitmap ? !bitmap->inconsistent : is_held_elsewhere(view, name)))
            continue;
        g_ptr_array_add(
            findings,
            vmp_finding_new(
                bitmap ? "bitmap-inconsistent" : "bitmap-missing", VMP_CURE_NONE, disk->target,
                checkpoint->name, disk->source,
                bitmap ? "checkpoint '%s': its bitmap on disk '%s' was not stored when "
                         "QEMU ended; a backup of that disk since it has to be full"
                       : "checkpoint '%s': disk '%s' has lost its bitmap; a backup of "
                         "that disk since it has to be full",
                checkpoint->name, disk->target));
    }
}

static gboolean
is_of_a_checkpoint(const VmpFsckView *view, const char *target, const char *bitmap)
{
    for (guint i = 0; i < view->checkpoints->len; i++) {
        const VmpCheckpoint *checkpoint = g_ptr_array_index(view->checkpoints, i);
        const VmpCheckpointDisk *disk =
            checkpoint->disks ? vmp_checkpoint_find_disk(checkpoint, target) : NULL;
        if (disk && disk->wanted &&
            g_str_equal(disk->bitmap ? disk->bitmap : checkpoint->name, bitmap))
            return TRUE;
    }
    return FALSE;
}

void
vmp_fsck_compare_unknown_bitmaps(const VmpFsckView *view, const VmpFsckAdoption *adoption,
                                 GPtrArray *findings)
{
    const GPtrArray *disks = vmp_domain_get_disks(view->present);

    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        const GPtrArray *bitmaps =
            vmp_fsck_has_image(disk) ? vmp_fsck_bitmaps(view, disk) : NULL;
        for (guint j = 0; bitmaps && j < bitmaps->len; j++) {
            const VmpBitmap *bitmap = g_ptr_array_index(bitmaps, j);
            gboolean whole = FALSE;
            if (!bitmap->persistent || is_of_a_checkpoint(view, disk->target, bitmap->name))
                continue;
            for (guint k = 0; k < adoption->checkpoints->len; k++)
                whole |= g_str_equal(
                    ((VmpCheckpoint *)g_ptr_array_index(adoption->checkpoints, k))->name,
                    bitmap->name);
            g_ptr_array_add(
                findings,
                vmp_finding_new("bitmap-unknown", whole ? VMP_CURE_ADOPT : VMP_CURE_NONE,
                                disk->target, bitmap->name, disk->source,
                                "disk '%s' has the bitmap '%s'%s, of which the store "
                                "knows no checkpoint",
                                disk->target, bitmap->name,
                                bitmap->inconsistent ? " (inconsistent)" : ""));
        }
    }
}
