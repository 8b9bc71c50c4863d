/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "point/align.h"

static gboolean
can_be_backed_up(const VmpDomainDisk *disk)
{
    return disk->source && !disk->readonly;
}

static gboolean
is_listed(const VmpBackup *backup, const VmpDomainDisk *disk)
{
    for (guint i = 0; i < backup->disks->len; i++) {
        const VmpBackupDisk *entry = g_ptr_array_index(backup->disks, i);
        if (g_str_equal(entry->name, disk->target))
            return TRUE;
    }
    return FALSE;
}

/* A document without <disks> means all that can be backed up; one with them means what it
 * says, and libvirt writes out that it means no others. */
static void
add_unlisted(VmpBackup *backup, const VmpDomain *domain)
{
    const GPtrArray *disks = vmp_domain_get_disks(domain);
    gboolean all = !backup->disks;

    if (all)
        backup->disks = g_ptr_array_new_with_free_func((GDestroyNotify)vmp_backup_disk_free);
    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        if (is_listed(backup, disk))
            continue;
        VmpBackupDisk *entry = vmp_backup_disk_new(disk->target);
        entry->wanted = all && can_be_backed_up(disk);
        g_ptr_array_add(backup->disks, entry);
    }
}

static gboolean
align_mode(VmpBackupDisk *entry, const VmpBackup *backup, GError **error)
{
    if (entry->mode == VMP_BACKUP_DISK_FULL) {
        if (entry->incremental)
            return vmp_fail(error, VMP_ERROR_INVALID,
                            "disk '%s': a full backup has no checkpoint to start from",
                            entry->name);
        return TRUE;
    }

    if (!entry->incremental)
        entry->incremental = g_strdup(backup->incremental);
    if (entry->mode == VMP_BACKUP_DISK_INCREMENTAL && !entry->incremental)
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "disk '%s': an incremental backup needs a checkpoint to start from",
                        entry->name);
    entry->mode = entry->incremental ? VMP_BACKUP_DISK_INCREMENTAL : VMP_BACKUP_DISK_FULL;
    return TRUE;
}

static gboolean
align_target(VmpBackupDisk *entry, const VmpDomainDisk *disk, const char *suffix,
             GError **error)
{
    if (!entry->driver)
        entry->driver = g_strdup(entry->type == VMP_STORAGE_NETWORK ? "raw" : "qcow2");
    if (entry->type == VMP_STORAGE_NONE)
        entry->type = VMP_STORAGE_FILE;
    if (entry->target)
        return TRUE;
    if (entry->type != VMP_STORAGE_FILE || disk->type != VMP_STORAGE_FILE)
        return vmp_fail(
            error, VMP_ERROR_UNSUPPORTED,
            "disk '%s': a target name can only be made up for a disk that is a file; "
            "name the target",
            disk->target);
    entry->target = g_strdup_printf("%s.%s", disk->source, suffix);
    return TRUE;
}

/* libvirt's names of what a pull backup serves. */
static void
align_export(VmpBackupDisk *entry)
{
    if (!entry->export_name)
        entry->export_name = g_strdup(entry->name);
    if (!entry->export_bitmap && entry->mode == VMP_BACKUP_DISK_INCREMENTAL)
        entry->export_bitmap = g_strdup_printf("backup-%s", entry->name);
}

static gboolean
align_disk(VmpBackupDisk *entry, const VmpBackup *backup, const VmpDomain *domain,
           const char *suffix, GError **error)
{
    const VmpDomainDisk *disk = vmp_domain_find_disk(domain, entry->name);

    if (!disk || strcmp(disk->target, entry->name) != 0)
        return vmp_fail(error, VMP_ERROR_NOT_FOUND, "the domain has no disk '%s'",
                        entry->name);
    if (!entry->wanted)
        return TRUE;
    if (!disk->source)
        return vmp_fail(error, VMP_ERROR_INVALID, "disk '%s' is empty: nothing to back up",
                        disk->target);
    if (!align_mode(entry, backup, error))
        return FALSE;
    if (backup->mode == VMP_BACKUP_MODE_PULL)
        align_export(entry);
    return align_target(entry, disk, suffix, error);
}

static gboolean
check_targets(const VmpBackup *backup, GError **error)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) paths = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) exports = g_hash_table_new(g_str_hash, g_str_equal);
    guint wanted = 0;

    for (guint i = 0; i < backup->disks->len; i++) {
        const VmpBackupDisk *entry = g_ptr_array_index(backup->disks, i);
        if (!g_hash_table_add(names, entry->name))
            return vmp_fail(error, VMP_ERROR_INVALID, "disk '%s' is listed twice",
                            entry->name);
        if (!entry->wanted)
            continue;
        wanted++;
        if (entry->export_name && !g_hash_table_add(exports, entry->export_name))
            return vmp_fail(error, VMP_ERROR_INVALID, "two disks would share the export '%s'",
                            entry->export_name);
        if (!g_hash_table_add(paths, entry->target))
            return vmp_fail(error, VMP_ERROR_INVALID, "two disks would share the target '%s'",
                            entry->target);
    }
    if (wanted == 0)
        return vmp_fail(error, VMP_ERROR_INVALID, "no disk is left to back up");
    return TRUE;
}

gboolean
vmp_align_backup(VmpBackup *backup, const VmpDomain *domain, const char *suffix,
                 GError **error)
{
    add_unlisted(backup, domain);
    for (guint i = 0; i < backup->disks->len; i++)
        if (!align_disk(g_ptr_array_index(backup->disks, i), backup, domain, suffix, error))
            return FALSE;
    return check_targets(backup, error);
}
