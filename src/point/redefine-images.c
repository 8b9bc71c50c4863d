/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"
#include "point/redefine.h"
#include "storage/image.h"

/* Does the image at @path rest on the one at @base? */
static gboolean
rests_on(const char *path, const char *base, GError **error)
{
    g_autoptr(GPtrArray) chain = vmp_image_read_chain(path, NULL, NULL, error);

    if (!chain)
        return FALSE;
    for (guint i = 1; i < chain->len; i++)
        if (g_str_equal(((const VmpImage *)g_ptr_array_index(chain, i))->path, base))
            return TRUE;
    return vmp_fail(error, VMP_ERROR_INCONSISTENT, "its overlay '%s' does not rest on '%s'",
                    path, base);
}

/* The image that was frozen must be there, and the overlay above it rest on it. */
static gboolean
check_external(const VmpSnapshotDisk *entry, const VmpDomainDisk *disk, GError **error)
{
    g_autoptr(GPtrArray) frozen =
        vmp_image_read_chain(disk->source, disk->driver, NULL, error);

    if (!frozen)
        return FALSE;
    return !entry->source || entry->type == VMP_STORAGE_BLOCK ||
           rests_on(entry->source, disk->source, error);
}

static gboolean
check_internal(const VmpSnapshot *snapshot, const VmpDomainDisk *disk, GError **error)
{
    g_autoptr(VmpImage) image = vmp_image_read(disk->source, disk->driver, NULL, error);

    for (guint i = 0; image && i < image->snapshots->len; i++) {
        const VmpInternalSnapshot *held = g_ptr_array_index(image->snapshots, i);
        if (g_str_equal(held->tag, snapshot->name))
            return TRUE;
    }
    return image &&
           vmp_fail(error, VMP_ERROR_INCONSISTENT,
                    "its image '%s' holds no internal snapshot of that name", disk->source);
}

static gboolean
check_disk(const VmpSnapshot *snapshot, const VmpSnapshotDisk *entry, const VmpDomain *domain,
           GError **error)
{
    const VmpDomainDisk *disk = vmp_domain_find_disk(domain, entry->name);

    if (!disk || !disk->source)
        return TRUE;
    if (entry->location == VMP_LOCATION_EXTERNAL)
        return check_external(entry, disk, error);
    return entry->location != VMP_LOCATION_INTERNAL || check_internal(snapshot, disk, error);
}

gboolean
vmp_redefine_check_images(const VmpSnapshot *snapshot, const VmpDomain *domain, GError **error)
{
    if (!domain)
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "snapshot '%s' has no <domain> that says which images to look at",
                        snapshot->name);
    for (guint i = 0; i < snapshot->disks->len; i++) {
        const VmpSnapshotDisk *entry = g_ptr_array_index(snapshot->disks, i);
        g_autoptr(GError) failure = NULL;

        if (!check_disk(snapshot, entry, domain, &failure))
            return vmp_fail(error, VMP_ERROR_INCONSISTENT,
                            "snapshot '%s' is not borne out by disk '%s': %s", snapshot->name,
                            entry->name, failure->message);
    }
    if (snapshot->memory_file && !g_file_test(snapshot->memory_file, G_FILE_TEST_IS_REGULAR))
        return vmp_fail(error, VMP_ERROR_INCONSISTENT,
                        "snapshot '%s': its memory file '%s' is not there", snapshot->name,
                        snapshot->memory_file);
    return TRUE;
}
