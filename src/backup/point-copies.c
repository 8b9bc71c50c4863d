/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/point-create-private.h"

#include "backup/point-folder.h"
#include "backup/restore-point.h"
#include "base/digest-pool.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/file.h"
#include "machine/firmware.h"
#include "machine/tpm.h"
#include "storage/overlay.h"
#include "storage/writeback.h"

#define MAX_PART (64 * 1024 * 1024)

/* ---- parts ---- */

/* Copies @source, if it is there, into the point as @name; *entry then is that name. */
static gboolean
copy_part(const VmpPointCreation *creation, const char *source, const char *name, char **entry,
          GError **error)
{
    g_autofree char *target = g_build_filename(creation->aside, name, NULL);
    gsize length = 0;

    if (!source || !g_file_test(source, G_FILE_TEST_EXISTS))
        return TRUE;
    g_autofree char *data = vmp_file_read(source, MAX_PART, &length, error);
    *entry = g_strdup(name);
    return data && vmp_file_replace(target, data, (gssize)length, 0600, error);
}

static gboolean
copy_tpm(const VmpPointCreation *creation, const VmpDomain *definition, GError **error)
{
    const VmpDomainTpm *tpm = vmp_domain_get_tpm(definition);
    VmpMachine *machine = creation->machine;
    if (!tpm)
        return TRUE;

    if (vmp_machine_get_row(machine)->qmp_path || !g_str_equal(tpm->backend, "emulator")) {
        vmp_operation_warn(creation->operation,
                           "what the TPM remembers is not part of the point: it is not played "
                           "by a process that vmpoint has started");
        return TRUE;
    }
    g_autofree char *folder =
        vmp_tpm_folder(vmp_machine_get_host(machine), vmp_machine_get_uuid(machine));
    g_autofree char *source = g_build_filename(folder, VMP_TPM_FILE, NULL);
    return copy_part(creation, source, VMP_TPM_FILE, &creation->manifest->tpm, error);
}

gboolean
vmp_point_copy_parts(const VmpPointCreation *creation, const VmpDomain *definition,
                     GError **error)
{
    g_autofree char *nvram = vmp_firmware_nvram_path(creation->machine, definition);

    return copy_part(creation, nvram, "nvram.fd", &creation->manifest->nvram, error) &&
           copy_tpm(creation, definition, error);
}

/* ---- the copies in the point's folder ---- */

char *
vmp_point_image_name(const char *target)
{
    return g_strconcat(target, ".qcow2", NULL);
}

/* What the disk is with all it stands on. */
static gboolean
compute_view(const VmpPointCreation *creation, VmpManifestDisk *entry, GArray *own,
             GError **error)
{
    g_autoptr(GArray) below = NULL;
    GArray *layers[2] = { own, NULL };
    VmpDigest view;

    if (entry->incremental) {
        g_autoptr(GPtrArray) chain =
            vmp_repository_chain(creation->repository, creation->base, entry->name, error);
        below = chain ? vmp_restore_point_read_blocks(creation->repository, chain, entry->name,
                                                      FALSE, error)
                      : NULL;
        if (!below)
            return FALSE;
        layers[1] = below;
    }
    g_autoptr(GArray) whole = vmp_blocks_compose(layers, below ? 2 : 1, FALSE);
    vmp_blocks_view(whole, entry->size, &view);
    entry->view = vmp_digest_to_text(&view);
    return TRUE;
}

/* Points are found by their names within the repository, wherever that is. */
static char *
backing_link(const VmpPointCreation *creation, const char *target)
{
    return g_strdup_printf("../%s/%s.qcow2", creation->base->name, target);
}

static void
describe_disk(const VmpPointCreation *creation, const VmpPointDisk *disk)
{
    VmpManifest *manifest = creation->manifest;
    VmpManifestDisk *entry = vmp_manifest_add_disk(manifest, disk->disk->target);

    entry->image = vmp_point_image_name(entry->name);
    entry->blocks = g_strconcat(entry->name, ".blocks", NULL);
    entry->incremental = disk->incremental;
    entry->why_full = g_strdup(disk->why_full);
    if (disk->incremental)
        entry->backing = backing_link(creation, entry->name);
    if (disk->incremental && !manifest->parent)
        manifest->parent = g_strdup(creation->base->name);
}

static gboolean
enter_disk(const VmpPointCreation *creation, VmpManifestDisk *entry, VmpDigestPool *pool,
           GError **error)
{
    VMP_ERROR_CONTEXT(error, "disk '%s'", entry->name);
    VmpOperation *operation = creation->operation;
    g_autofree char *image = g_build_filename(creation->aside, entry->image, NULL);
    g_autoptr(GArray) blocks = vmp_block_scan(image, "digest", operation, &entry->size, error);

    if (!blocks || !compute_view(creation, entry, blocks, error))
        return FALSE;
    const VmpFileDigest *digest =
        vmp_digest_pool_wait(pool, image, vmp_operation_get_cancellable(operation), error);
    return digest && vmp_point_folder_enter_image(creation->aside, creation->manifest, entry,
                                                  blocks, digest, error);
}

static GPtrArray *
list_images(const VmpPointCreation *creation)
{
    GPtrArray *images = g_ptr_array_new_with_free_func((GDestroyNotify)vmp_new_image_free);

    for (guint i = 0; i < creation->disks->len; i++) {
        const VmpPointDisk *disk = g_ptr_array_index(creation->disks, i);
        g_autofree char *name = vmp_point_image_name(disk->disk->target);
        VmpNewImage *image = g_new0(VmpNewImage, 1);
        image->path = g_build_filename(creation->aside, name, NULL);
        g_ptr_array_add(images, image);
    }
    return images;
}

/* Of each image its file is digested, by threads of their own, while its blocks are, and the
 * disk takes what it has not got yet. */
static gboolean
enter_disks(const VmpPointCreation *creation, GError **error)
{
    VmpManifest *manifest = creation->manifest;
    g_autoptr(GPtrArray) images = list_images(creation);
    g_autoptr(VmpDigestPool) pool = vmp_digest_pool_new();
    g_autoptr(VmpWriteback) writeback = vmp_writeback_begin(images);

    for (guint i = 0; i < images->len; i++) {
        const VmpNewImage *image = g_ptr_array_index(images, i);
        describe_disk(creation, g_ptr_array_index(creation->disks, i));
        vmp_digest_pool_add(pool, image->path, VMP_POINT_PIECE);
    }
    for (guint i = 0; i < manifest->disks->len; i++)
        if (!enter_disk(creation, g_ptr_array_index(manifest->disks, i), pool, error))
            return FALSE;
    return TRUE;
}

gboolean
vmp_point_finish_copies(gpointer data, GError **error)
{
    VmpPointCreation *creation = data;

    if (vmp_fault("backup-done", &creation->failure) &&
        enter_disks(creation, &creation->failure))
        return TRUE;
    g_propagate_error(error, g_error_copy(creation->failure));
    return FALSE;
}

GHashTable *
vmp_point_backing_links(const VmpPointCreation *creation)
{
    GHashTable *links = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);

    for (guint i = 0; i < creation->disks->len; i++) {
        const VmpPointDisk *disk = g_ptr_array_index(creation->disks, i);
        char *target = disk->disk->target;
        if (disk->incremental)
            g_hash_table_insert(links, target, backing_link(creation, target));
    }
    return links;
}
