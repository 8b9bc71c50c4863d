/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the beginning of a backup does with one disk: where its data goes, what says what has
 * changed, and the entries of the steps. */

#include "backup/begin-private.h"

#include "backup/fleece.h"
#include "backup/iothread.h"
#include "backup/serve.h"
#include "base/error.h"
#include "point/checkpoint.h"
#include "storage/nbd-peer.h"
#include "storage/overlay.h"
#include "storage/tls.h"

/* Where the previous backup of that checkpoint put this disk, if it is known and there. */
static char *
previous_target(const VmpBegin *begin, const VmpBackupDisk *disk)
{
    g_autoptr(VmpStorePoint) point = vmp_store_find_point(
        vmp_machine_get_store(begin->machine), vmp_machine_get_row(begin->machine)->id,
        VMP_POINT_CHECKPOINT, disk->incremental, NULL);
    g_autoptr(VmpJson) extra =
        point && point->extra ? vmp_json_parse(point->extra, -1, NULL) : NULL;
    const char *path = vmp_json_get_string(vmp_json_get_object(extra, "targets"), disk->name);

    return path && g_file_test(path, G_FILE_TEST_IS_REGULAR) ? g_strdup(path) : NULL;
}

/* An increment names what it is laid over, so that it opens by itself; without that name it
 * would pass for a whole disk. */
static void
name_backing(const VmpBegin *begin, const VmpBackupDisk *disk, VmpNewImage *image)
{
    const char *link = begin->links ? g_hash_table_lookup(begin->links, disk->name) : NULL;

    if (disk->mode != VMP_BACKUP_DISK_INCREMENTAL)
        return;
    image->backing_path = link ? g_strdup(link) : previous_target(begin, disk);
    image->backing_format = image->backing_path ? g_strdup("qcow2") : NULL;
    image->relative = link != NULL;
}

static VmpNewImage *
plan_image(const VmpBegin *begin, const VmpBackupDisk *disk, const VmpBlockNode *source,
           const char *what, GHashTable *taken)
{
    VmpNewImage *image = g_new0(VmpNewImage, 1);
    g_autofree char *stem = g_strdup_printf("%s-%s", disk->name, what);

    image->size = source->size;
    image->node = vmp_block_graph_new_name(begin->graph, stem, taken);
    /* QEMU would sync the target again and again while it writes; settling does it once,
     * before the backup is called complete.  Scratch images are worth nothing after a power
     * cut. */
    image->no_flush = TRUE;
    return image;
}

/* NULL if its server is talked to without TLS. */
static const char *
get_tls_dir(const VmpBackupDisk *disk)
{
    return disk->type == VMP_STORAGE_NETWORK && g_str_has_prefix(disk->target, "nbds")
               ? vmp_tls_folder()
               : NULL;
}

/* Where the document says: the target of a push disk, the scratch image of a pull disk. */
static VmpNewImage *
plan_target(const VmpBegin *begin, const VmpBackupDisk *disk, const VmpBlockNode *source,
            GHashTable *taken)
{
    VmpNewImage *image = plan_image(begin, disk, source,
                                    vmp_begin_is_pull(begin) ? "scratch" : "backup", taken);

    image->path = g_strdup(disk->target);
    image->format = g_strdup(disk->driver);
    image->reuse = (begin->flags & VMP_BACKUP_BEGIN_REUSE_EXTERNAL) != 0;
    image->block_device = disk->type == VMP_STORAGE_BLOCK;
    image->network = disk->type == VMP_STORAGE_NETWORK;
    image->tls_dir = g_strdup(get_tls_dir(disk));
    image->reuse |= image->network;
    image->no_flush = !image->network;
    if (!vmp_begin_is_pull(begin) && !image->network && g_str_equal(disk->driver, "qcow2"))
        name_backing(begin, disk, image);
    return image;
}

/* What keeps what the guest overwrites while a push copies from behind it. */
static VmpNewImage *
plan_scratch(const VmpBegin *begin, const VmpBackupDisk *disk, const VmpBlockNode *source,
             GHashTable *taken, GError **error)
{
    const VmpDomain *definition = vmp_machine_get_definition(begin->machine, error);
    const VmpDomainDisk *described =
        definition ? vmp_domain_find_disk(definition, disk->name) : NULL;
    const char *folder = begin->tuning->fleece_folder;

    if (!described)
        return NULL;
    if (!folder && described->type != VMP_STORAGE_FILE)
        return vmp_fail_null(
            error, VMP_ERROR_UNSUPPORTED,
            "disk '%s' is no file that a scratch image could stand beside: name "
            "a folder for it (--fleece)",
            disk->name);

    VmpNewImage *image = plan_image(begin, disk, source, "scratch", taken);
    image->path = folder ? g_strdup_printf("%s/%s-%s.%s.scratch", folder,
                                           vmp_machine_get_name(begin->machine), disk->name,
                                           begin->suffix)
                         : g_strdup_printf("%s.%s.scratch", described->source, begin->suffix);
    return image;
}

/* The bitmaps that say what changed, for an incremental disk.  Where they do not say it any
 * more that disk alone becomes a full one, in the same job; @chain is then NULL. */
static gboolean
find_changes(const VmpBegin *begin, VmpBackupDisk *disk, const VmpBlockNode *source,
             VmpBitmapChain **chain, GError **error)
{
    g_autoptr(GError) failure = NULL;

    if (disk->mode != VMP_BACKUP_DISK_INCREMENTAL)
        return TRUE;
    *chain = vmp_point_checkpoint_chain(begin->machine, begin->graph, source, disk->name,
                                        disk->incremental, &failure);
    if (*chain)
        return TRUE;
    if (!vmp_error_is(failure, VMP_ERROR_INCONSISTENT) ||
        g_hash_table_contains(begin->insisted, disk->name)) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    vmp_operation_warn(vmp_machine_get_operation(begin->machine),
                       "domain %s: %s; a full backup of it is made",
                       vmp_machine_get_name(begin->machine), failure->message);
    disk->mode = VMP_BACKUP_DISK_FULL;
    g_clear_pointer(&disk->incremental, g_free);
    g_clear_pointer(&disk->export_bitmap, g_free);
    return TRUE;
}

static void
add_bitmap(VmpJson *entry, const VmpBackupDisk *disk, const VmpBitmapChain *chain)
{
    /* The name that clients see, if there are any. */
    g_autofree char *bitmap = disk->export_bitmap ? g_strdup(disk->export_bitmap)
                                                  : g_strdup_printf(".backup-%s", disk->name);

    vmp_json_add(entry, "s:bitmap", bitmap, "i:granularity", (gint64)chain->granularity,
                 "s:checkpoint", disk->incremental, NULL);
}

/* What an incremental job needs beside. */
static void
add_increment(VmpJson *entry, const VmpBackupDisk *disk, const VmpBitmapChain *chain)
{
    VmpJson *layers = json_object_new_array();

    for (guint i = 0; i < chain->nodes->len; i++) {
        const VmpBlockNode *layer = g_ptr_array_index(chain->nodes, i);
        json_object_array_add(layers, json_object_new_string(layer->name));
    }
    add_bitmap(entry, disk, chain);
    vmp_json_add(entry, "o:layers", layers, NULL);
}

/* The node of the disk as it will be at the instant; @image (taken) keeps what is overwritten.
 */
static const char *
plan_fleece(const VmpBegin *begin, const VmpBackupDisk *disk, VmpNewImage *image,
            VmpBeginSteps *steps, GError **error)
{
    g_autoptr(VmpNewImage) owned = image;
    VmpJson *fleece = owned ? vmp_fleece_plan(begin->machine, begin->graph, steps->taken,
                                              disk->name, owned->node, owned->path, error)
                            : NULL;

    if (!fleece)
        return NULL;
    json_object_array_add(steps->scratch, vmp_new_image_to_json(owned));
    json_object_array_add(steps->fleece, fleece);
    return vmp_json_get_string(fleece, "snapshot");
}

/* The kernel copies from file to file, but not from what is kept of them. */
static gboolean
can_copy_range(const VmpBegin *begin, const VmpNewImage *image)
{
    return begin->copy_range && !image->block_device && !image->network &&
           !begin->tuning->compress && !begin->fleeces;
}

/* Before anything is done, and before QEMU connects. */
static gboolean
check_export(const VmpBackupDisk *disk, const VmpBlockNode *source, GError **error)
{
    VMP_ERROR_CONTEXT(error, "disk '%s'", disk->name);
    VmpNbdExport found = { 0 };

    const char *tls_dir = get_tls_dir(disk);
    if ((tls_dir && !vmp_tls_check_client(tls_dir, error)) ||
        !vmp_nbd_peer_look(disk->target, tls_dir, &found, error))
        return FALSE;
    if (found.read_only)
        return vmp_fail(error, VMP_ERROR_IO, "'%s' is read-only", disk->target);
    return found.size >= source->size ||
           vmp_fail(error, VMP_ERROR_IO,
                    "'%s' has %" G_GUINT64_FORMAT " bytes, %" G_GUINT64_FORMAT " are needed",
                    disk->target, found.size, source->size);
}

static gboolean
plan_push(const VmpBegin *begin, const VmpBackupDisk *disk, const VmpBlockNode *source,
          const VmpBitmapChain *chain, VmpBeginSteps *steps, GError **error)
{
    if (begin->tuning->compress && !g_str_equal(disk->driver, "qcow2"))
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "disk '%s': only a qcow2 target can be compressed, and this one is %s",
                        disk->name, disk->driver);

    if (disk->type == VMP_STORAGE_NETWORK && !check_export(disk, source, error))
        return FALSE;

    g_autoptr(VmpNewImage) image = plan_target(begin, disk, source, steps->taken);
    g_autofree char *job = g_strdup_printf("vmp-backup-%s", disk->name);
    const char *node =
        begin->fleeces
            ? plan_fleece(begin, disk, plan_scratch(begin, disk, source, steps->taken, error),
                          steps, error)
            : source->name;
    if (!node)
        return FALSE;

    g_autoptr(VmpJson) entry = vmp_json_build(
        "s:disk", disk->name, "s:node", node, "s:job", job, "s:target", image->node,
        "B:copy-range", can_copy_range(begin, image), "B:compress", begin->tuning->compress,
        "I:speed", (gint64)begin->tuning->bandwidth, NULL);
    if (chain)
        add_increment(entry, disk, chain);
    json_object_array_add(steps->images, vmp_new_image_to_json(image));
    json_object_array_add(steps->disks, g_steal_pointer(&entry));
    return TRUE;
}

static void
plan_export(const VmpBackupDisk *disk, VmpJson *entry, VmpBeginSteps *steps)
{
    g_autofree char *id = g_strdup_printf("vmp-backup-%s", disk->name);

    json_object_array_add(steps->exports,
                          vmp_json_build("s:id", id, "s:node",
                                         vmp_json_get_string(entry, "node"), "s:name",
                                         disk->export_name, "S:bitmap",
                                         vmp_json_get_string(entry, "bitmap"), NULL));
}

static gboolean
plan_served(const VmpBegin *begin, const VmpBackupDisk *disk, const VmpBlockNode *source,
            const VmpBitmapChain *chain, VmpBeginSteps *steps, GError **error)
{
    g_autoptr(VmpJson) entry = vmp_serve_plan(begin->graph, disk->name, source, chain, error);
    if (!entry)
        return FALSE;
    if (chain)
        add_bitmap(entry, disk, chain);

    plan_export(disk, entry, steps);
    json_object_array_add(steps->disks, g_steal_pointer(&entry));
    return TRUE;
}

static gboolean
check_iothread(const VmpBegin *begin, const VmpBackupDisk *disk, const VmpBeginSteps *steps,
               GError **error)
{
    VmpJson *fleece = vmp_json_at(steps->fleece, vmp_json_length(steps->fleece) - 1);

    return vmp_iothread_check_none(vmp_block_session_get_client(begin->session), disk->name,
                                   vmp_json_get_string(fleece, "qom"), error);
}

static gboolean
plan_pull(const VmpBegin *begin, const VmpBackupDisk *disk, const VmpBlockNode *source,
          const VmpBitmapChain *chain, VmpBeginSteps *steps, GError **error)
{
    const char *node =
        plan_fleece(begin, disk, plan_target(begin, disk, source, steps->taken), steps, error);
    if (!node || !check_iothread(begin, disk, steps, error))
        return FALSE;

    g_autoptr(VmpJson) entry = vmp_json_build("s:disk", disk->name, "s:node", node, NULL);
    if (chain)
        add_increment(entry, disk, chain);
    plan_export(disk, entry, steps);
    json_object_array_add(steps->disks, g_steal_pointer(&entry));
    return TRUE;
}

gboolean
vmp_begin_plan_disk(const VmpBegin *begin, VmpBackupDisk *disk, VmpBeginSteps *steps,
                    GError **error)
{
    const VmpBlockNode *source =
        vmp_block_session_image(begin->session, begin->graph, disk->name, error);
    g_autoptr(VmpBitmapChain) chain = NULL;
    if (!source || !find_changes(begin, disk, source, &chain, error))
        return FALSE;
    if (vmp_begin_is_served(begin))
        return plan_served(begin, disk, source, chain, steps, error);
    return vmp_begin_is_pull(begin) ? plan_pull(begin, disk, source, chain, steps, error)
                                    : plan_push(begin, disk, source, chain, steps, error);
}
