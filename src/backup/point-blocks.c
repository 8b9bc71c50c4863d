/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/restore-point.h"
#include "base/error.h"

GArray *
vmp_restore_point_read_blocks(const VmpRepository *repository, const GPtrArray *chain,
                              const char *disk, gboolean keep_zeroes, GError **error)
{
    g_autoptr(GPtrArray) files =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_block_file_free);
    g_autofree GArray **layers = g_new0(GArray *, chain->len);

    for (guint i = 0; i < chain->len; i++) {
        const VmpManifest *manifest = g_ptr_array_index(chain, i);
        const VmpManifestDisk *entry = vmp_manifest_find_disk(manifest, disk);
        g_autofree char *path = vmp_repository_path(repository, manifest->name, entry->blocks);
        VmpBlockFile *file = vmp_blocks_read(path, error);
        if (!file)
            return NULL;
        g_ptr_array_add(files, file);
        layers[i] = file->blocks;
        if (file->size != entry->size)
            return vmp_fail_null(error, VMP_ERROR_DAMAGED, "'%s' is of a disk of another size",
                                 path);
    }
    return vmp_blocks_compose(layers, chain->len, keep_zeroes);
}
