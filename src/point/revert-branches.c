/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A new layer on each image that the snapshot froze. */

#include "base/error.h"
#include "plan/stamp.h"
#include "point/align.h"
#include "point/revert-private.h"
#include "storage/image.h"

char *
vmp_revert_new_path(VmpMachine *machine, const char *image, const char *snapshot,
                    GError **error)
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
    return vmp_fail_null(error, VMP_ERROR_EXISTS, "no name is left for a layer on '%s'",
                         image);
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
look_for_changes(VmpRevert *revert, const GPtrArray *chain)
{
    for (guint i = 0; i < chain->len; i++) {
        const VmpImage *image = g_ptr_array_index(chain, i);
        if (vmp_stamp_is_broken(revert->machine, image->path))
            g_ptr_array_add(revert->changed, g_strdup(image->path));
    }
}

/* What the new layer is named after and stands beside: the image, or what stood on it where
 * that is no file of this host. */
static const char *
stem_of_branch(const VmpRevert *revert, const VmpDomainDisk *disk, GError **error)
{
    const VmpSnapshotDisk *entry = vmp_snapshot_find_disk(revert->snapshot, disk->target);

    if (disk->type == VMP_STORAGE_FILE)
        return disk->source;
    if (disk->type == VMP_STORAGE_NETWORK && disk->source && entry->source &&
        entry->type == VMP_STORAGE_FILE)
        return entry->source;
    return vmp_fail_null(
        error, VMP_ERROR_UNSUPPORTED,
        "there is no place for a new layer: that is a file beside the image "
        "that was frozen, or beside the layer on it, and '%s' and '%s' are none",
        disk->source ? disk->source : "network storage",
        entry->source ? entry->source : "network storage");
}

static gboolean
plan_branch(VmpRevert *revert, const VmpDomainDisk *disk, GError **error)
{
    VMP_ERROR_CONTEXT(error, "disk '%s' of snapshot '%s'", disk->target,
                      revert->snapshot->name);

    const char *stem = stem_of_branch(revert, disk, error);
    if (!stem)
        return FALSE;

    /* The whole chain must be there before anything is touched. */
    g_autoptr(GPtrArray) chain = vmp_image_read_chain(
        disk->source, disk->driver,
        vmp_operation_get_cancellable(vmp_machine_get_operation(revert->machine)), error);
    g_autofree char *path =
        chain ? vmp_revert_new_path(revert->machine, stem, revert->snapshot->name, error)
              : NULL;
    if (!path)
        return FALSE;

    look_for_changes(revert, chain);
    const VmpImage *image = g_ptr_array_index(chain, 0);
    g_ptr_array_add(revert->branches,
                    vmp_json_build("s:disk", disk->target, "s:path", path, "s:format", "qcow2",
                                   "s:backing", disk->source, "s:backing-format",
                                   image->format, "o:bitmaps", bitmaps_to_carry(image), NULL));
    return TRUE;
}

static void
unref_json(gpointer json)
{
    json_object_put(json);
}

/* Without a <domain> the layer that was made then says what it stands on. */
static gboolean
find_frozen(VmpRevert *revert, const VmpSnapshotDisk *entry, GError **error)
{
    VMP_ERROR_CONTEXT(error, "disk '%s' of snapshot '%s'", entry->name,
                      revert->snapshot->name);

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

gboolean
vmp_revert_plan_branches(VmpRevert *revert, GError **error)
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
