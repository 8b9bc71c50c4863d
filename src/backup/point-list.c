/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/restore-point.h"

static void
disk_free(VmpRestoreDisk *disk)
{
    g_free(disk->name);
    g_free(disk->why_full);
    g_free(disk);
}

static void
point_free(VmpRestorePoint *point)
{
    g_free(point->name);
    g_free(point->problem);
    g_free(point->parent);
    g_free(point->state);
    g_ptr_array_unref(point->disks);
    g_free(point);
}

void
vmp_repository_info_free(VmpRepositoryInfo *info)
{
    if (!info)
        return;
    g_free(info->path);
    g_free(info->id);
    g_free(info->domain);
    g_free(info->uuid);
    g_ptr_array_unref(info->points);
    g_free(info);
}

static VmpRestoreDisk *
describe_disk(const VmpManifest *manifest, const VmpManifestDisk *disk)
{
    VmpRestoreDisk *described = g_new0(VmpRestoreDisk, 1);

    described->name = g_strdup(disk->name);
    described->incremental = disk->incremental;
    described->why_full = g_strdup(disk->why_full);
    described->size = disk->size;
    described->held = disk->held;
    described->file_size = vmp_manifest_find_file(manifest, disk->image)->size;
    return described;
}

static VmpRestorePoint *
describe_point(const VmpRepositoryPoint *point)
{
    const VmpManifest *manifest = point->manifest;
    VmpRestorePoint *described = g_new0(VmpRestorePoint, 1);

    described->name = g_strdup(point->name);
    described->disks = g_ptr_array_new_with_free_func((GDestroyNotify)disk_free);
    if (!manifest) {
        described->problem = g_strdup(point->problem->message);
        return described;
    }
    described->time = manifest->time;
    described->parent = g_strdup(manifest->parent);
    described->state = g_strdup(manifest->state);
    described->quiesced = manifest->quiesced;
    described->incremental = vmp_manifest_is_incremental(manifest);
    described->size = vmp_manifest_get_size(manifest);
    for (guint i = 0; i < manifest->disks->len; i++)
        g_ptr_array_add(described->disks,
                        describe_disk(manifest, g_ptr_array_index(manifest->disks, i)));
    return described;
}

VmpRepositoryInfo *
vmp_repository_list(const char *path, GError **error)
{
    g_autoptr(VmpRepository) repository =
        vmp_repository_open(path, VMP_REPOSITORY_LOOK, error);
    if (!repository)
        return NULL;

    VmpRepositoryInfo *info = g_new0(VmpRepositoryInfo, 1);
    info->path = g_strdup(repository->path);
    info->id = g_strdup(repository->id);
    info->domain = g_strdup(repository->domain);
    info->uuid = g_strdup(repository->uuid);
    info->points = g_ptr_array_new_with_free_func((GDestroyNotify)point_free);
    for (guint i = 0; i < repository->points->len; i++)
        g_ptr_array_add(info->points,
                        describe_point(g_ptr_array_index(repository->points, i)));
    return info;
}
