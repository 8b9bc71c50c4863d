/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "point/align.h"

static gboolean
can_be_tracked(const VmpDomainDisk *disk)
{
    return disk->source && !disk->readonly;
}

/* Resolves each entry to a disk: exactly one, and each disk once. */
static gboolean
resolve_entries(VmpCheckpoint *checkpoint, const VmpDomain *domain, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

    for (guint i = 0; i < checkpoint->disks->len; i++) {
        VmpCheckpointDisk *entry = g_ptr_array_index(checkpoint->disks, i);
        const VmpDomainDisk *disk = vmp_domain_find_disk(domain, entry->name);

        if (!disk)
            return vmp_fail(error, VMP_ERROR_NOT_FOUND, "the domain has no disk '%s'",
                            entry->name);
        if (!g_hash_table_add(seen, (gpointer)disk))
            return vmp_fail(error, VMP_ERROR_INVALID, "disk '%s' is listed twice",
                            disk->target);
        if (entry->wanted && !can_be_tracked(disk))
            return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                            "disk '%s' is %s: nothing to track on it", disk->target,
                            disk->source ? "read-only" : "empty");
        g_free(entry->name);
        entry->name = g_strdup(disk->target);
    }
    return TRUE;
}

static gboolean
align_entry(VmpCheckpointDisk *entry, const VmpCheckpoint *checkpoint,
            const VmpDomainDisk *disk, GError **error)
{
    if (!entry->wanted)
        return TRUE;
    if (entry->bitmap && strcmp(entry->bitmap, checkpoint->name) != 0)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "disk '%s': the bitmap must be called like the checkpoint ('%s')",
                        disk->target, checkpoint->name);
    g_free(entry->bitmap);
    entry->bitmap = g_strdup(checkpoint->name);
    entry->bitmap_set = TRUE; /* libvirt writes it out */
    return TRUE;
}

static VmpCheckpointDisk *
take_entry(GPtrArray *given, const VmpDomainDisk *disk, gboolean wanted_by_default)
{
    for (guint i = 0; i < given->len; i++) {
        VmpCheckpointDisk *entry = g_ptr_array_index(given, i);
        if (strcmp(entry->name, disk->target) == 0)
            return g_ptr_array_steal_index(given, i);
    }

    VmpCheckpointDisk *entry = vmp_checkpoint_disk_new(disk->target);
    entry->wanted = wanted_by_default && can_be_tracked(disk);
    return entry;
}

gboolean
vmp_align_checkpoint(VmpCheckpoint *checkpoint, const VmpDomain *domain, GError **error)
{
    const GPtrArray *disks = vmp_domain_get_disks(domain);
    gboolean all = checkpoint->disks == NULL;

    if (disks->len == 0)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED, "the domain has no disks");
    if (all)
        checkpoint->disks =
            g_ptr_array_new_with_free_func((GDestroyNotify)vmp_checkpoint_disk_free);
    if (!resolve_entries(checkpoint, domain, error))
        return FALSE;

    guint wanted = 0;
    g_autoptr(GPtrArray) given = g_steal_pointer(&checkpoint->disks);
    checkpoint->disks =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_checkpoint_disk_free);
    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        VmpCheckpointDisk *entry = take_entry(given, disk, all);

        g_ptr_array_add(checkpoint->disks, entry);
        if (!align_entry(entry, checkpoint, disk, error))
            return FALSE;
        wanted += entry->wanted ? 1 : 0;
    }
    if (wanted == 0)
        return vmp_fail(error, VMP_ERROR_INVALID, "the checkpoint would track no disk");
    return TRUE;
}
