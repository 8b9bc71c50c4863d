/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Making a restore point: a backup job into a folder aside, then digests, then the folder's
 * name.
 *
 *   look     which disks can be increments of the last point; why not, if not
 *   begin    one transaction: jobs and a checkpoint of the point's name
 *   finish   lists of blocks and digests, before the backup is called complete; manifest; all
 *            synced
 *   name     the folder's rename is the commit
 *   settle   the checkpoints that no increment will need any more go
 *
 * One block session serves all of it.  That of a domain that is off stores its bitmaps when it
 * ends, which is last: a power cut before makes the next point a full one.
 *
 * Before the rename nothing has happened to the repository; the checkpoint that was made is
 * then one that no point is called by, and the next run deletes it.  The last point's
 * checkpoint lasts until the new point is there, so whatever is cut off, the next increment
 * has its base.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "backup/backup.h"
#include "backup/point-folder.h"
#include "backup/restore-point.h"
#include "base/digest-pool.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/file.h"
#include "machine/firmware.h"
#include "machine/tpm.h"
#include "machine/freeze.h"
#include "plan/executor.h"
#include "point/checkpoint.h"
#include "point/definition.h"
#include "point/record.h"
#include "storage/image.h"
#include "storage/overlay.h"
#include "storage/writeback.h"

#define MAX_PART (64 * 1024 * 1024)

typedef struct {
    const VmpDomainDisk *disk;
    gboolean has_bitmap; /* can have one: the next increment needs it */
    gboolean incremental;
    char *why_full; /* NULL: nothing else was to be expected */
} PointDisk;

typedef struct {
    VmpMachine *machine;
    VmpOperation *operation;
    const VmpRestorePointSpec *spec;
    VmpBackupPart
        part; /* the session is open from the look at the disks until all is settled */
    VmpRepository *repository;
    const VmpManifest *base; /* the last point, if an increment may stand on it */
    char *why_no_base;       /* NULL with a base, or when there is no point at all */
    GPtrArray *disks;        /* of PointDisk */
    VmpManifest *manifest;   /* of the new point, as far as it is known */
    char *aside;             /* its folder, as long as it has no name */
    GError *failure;         /* of finishing the copies, while the backup is settled */
} Creation;

static void
point_disk_free(PointDisk *disk)
{
    g_free(disk->why_full);
    g_free(disk);
}

static void
creation_clear(Creation *creation)
{
    g_clear_pointer(&creation->part.session, vmp_block_session_free);
    g_clear_pointer(&creation->part.links, g_hash_table_unref);
    g_clear_pointer(&creation->disks, g_ptr_array_unref);
    g_clear_pointer(&creation->manifest, vmp_manifest_free);
    g_clear_pointer(&creation->repository, vmp_repository_free);
    g_free(creation->why_no_base);
    g_free(creation->aside);
    g_clear_error(&creation->failure);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Creation, creation_clear)

/* ---- which disks ---- */

static gboolean
is_chosen(const VmpRestorePointSpec *spec, const VmpDomainDisk *disk)
{
    return spec->disks ? g_strv_contains(spec->disks, disk->target)
                       : disk->source && !disk->readonly;
}

static gboolean
choose_disks(Creation *creation, const VmpDomain *definition, GError **error)
{
    const GPtrArray *all = vmp_domain_get_disks(definition);

    for (const char *const *name = creation->spec->disks; name && *name; name++) {
        const VmpDomainDisk *disk = vmp_domain_find_disk(definition, *name);
        if (!disk || !g_str_equal(disk->target, *name))
            return vmp_fail(error, VMP_ERROR_NOT_FOUND, "it has no disk '%s'", *name);
        if (!disk->source)
            return vmp_fail(error, VMP_ERROR_INVALID, "disk '%s' is empty: nothing to back up",
                            *name);
    }
    for (guint i = 0; i < all->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(all, i);
        if (!is_chosen(creation->spec, disk))
            continue;
        PointDisk *chosen = g_new0(PointDisk, 1);
        chosen->disk = disk;
        g_ptr_array_add(creation->disks, chosen);
    }
    return creation->disks->len > 0 ||
           vmp_fail(error, VMP_ERROR_INVALID, "it has no disk to back up");
}

/* ---- what an increment can stand on ---- */

/* By which a checkpoint of ours is known again, wherever the repository is mounted. */
static char *
checkpoint_description(const VmpRepository *repository)
{
    return g_strdup_printf("restore point in repository %s", repository->id);
}

/* Is there that checkpoint of ours? */
static gboolean
has_checkpoint(const Creation *creation, const char *name)
{
    g_autofree char *description = checkpoint_description(creation->repository);
    g_autoptr(VmpCheckpoint) checkpoint =
        vmp_record_load_checkpoint(creation->machine, name, NULL);

    return checkpoint && g_strcmp0(checkpoint->description, description) == 0;
}

static void
find_base(Creation *creation)
{
    const VmpRepositoryPoint *newest = vmp_repository_newest(creation->repository);

    if (!newest || creation->spec->choice == VMP_RESTORE_POINT_FULL)
        return;
    if (!newest->manifest)
        creation->why_no_base = g_strdup_printf("the last point '%s' cannot be used: %s",
                                                newest->name, newest->problem->message);
    else if (!newest->manifest->checkpoint)
        creation->why_no_base =
            g_strdup_printf("no checkpoint was made with the last point '%s'", newest->name);
    else if (!has_checkpoint(creation, newest->manifest->checkpoint))
        creation->why_no_base = g_strdup_printf(
            "the checkpoint of the last point '%s' is not there any more", newest->name);
    else
        creation->base = newest->manifest;
}

/* NULL if @disk can be an increment, else why not. */
static char *
find_obstacle(const Creation *creation, const VmpBlockGraph *graph, const VmpBlockNode *node,
              const PointDisk *disk)
{
    const VmpManifest *base = creation->base;
    const char *target = disk->disk->target;
    const VmpManifestDisk *before = vmp_manifest_find_disk(base, target);
    g_autoptr(GError) failure = NULL;

    if (!before)
        return g_strdup_printf("the last point '%s' does not have it", base->name);
    if (before->size != node->size)
        return g_strdup("its size has changed");
    g_autoptr(VmpBitmapChain) bitmaps = vmp_point_checkpoint_chain(
        creation->machine, graph, node, target, base->checkpoint, &failure);
    if (!bitmaps)
        return g_strdup(failure->message);
    g_autoptr(GPtrArray) chain =
        vmp_repository_chain(creation->repository, base, target, &failure);
    if (!chain || !vmp_repository_check_chain(
                      creation->repository, chain, target,
                      vmp_operation_get_cancellable(creation->operation), &failure))
        return g_strdup(failure->message);
    return NULL;
}

static gboolean
decide_disk(const Creation *creation, VmpBlockSession *session, const VmpBlockGraph *graph,
            PointDisk *disk, GError **error)
{
    const VmpBlockNode *node =
        vmp_block_session_image(session, graph, disk->disk->target, error);
    if (!node)
        return FALSE;

    disk->has_bitmap = vmp_block_session_is_offline(session)
                           ? vmp_block_node_check_can_persist_bitmap(node, NULL)
                           : vmp_block_node_check_can_track(node, NULL);
    if (creation->base)
        disk->why_full = find_obstacle(creation, graph, node, disk);
    else
        disk->why_full = g_strdup(creation->why_no_base);
    disk->incremental = creation->base && !disk->why_full;
    if (!disk->incremental && creation->spec->choice == VMP_RESTORE_POINT_INCREMENTAL)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED, "disk '%s' cannot be incremental: %s",
                        disk->disk->target,
                        disk->why_full ? disk->why_full : "there is no point before it");
    return TRUE;
}

static gboolean
decide_disks(Creation *creation, GError **error)
{
    VmpBlockSession *session = vmp_block_session_open(creation->machine, error);
    creation->part.session = session;
    g_autoptr(VmpBlockGraph) graph =
        session ? vmp_block_session_read_graph(session, error) : NULL;
    if (!graph)
        return FALSE;

    find_base(creation);
    for (guint i = 0; i < creation->disks->len; i++)
        if (!decide_disk(creation, session, graph, g_ptr_array_index(creation->disks, i),
                         error))
            return FALSE;
    return TRUE;
}

static void
warn_of_full_disks(const Creation *creation)
{
    for (guint i = 0; i < creation->disks->len; i++) {
        const PointDisk *disk = g_ptr_array_index(creation->disks, i);
        if (disk->why_full)
            vmp_operation_warn(creation->operation, "disk '%s' is a full backup: %s",
                               disk->disk->target, disk->why_full);
    }
}

/* ---- what an earlier run left ---- */

/* A job that runs into a folder without a name: ours, or who began it is gone.  Any other is
 * somebody's who waits for it. */
static gboolean
cancel_own(const Creation *creation, VmpOperation *operation, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(VmpStoreBackup) row =
        vmp_store_find_backup(vmp_machine_get_store(creation->machine),
                              vmp_machine_get_row(creation->machine)->id, "running", &failure);
    g_autoptr(VmpBackup) backup = row ? vmp_backup_parse_status(row->body, -1, NULL) : NULL;
    g_autofree char *prefix = vmp_repository_path_aside(creation->repository, "");
    g_auto(VmpChange) change = { .machine = creation->machine, .operation = operation };

    for (guint i = 0; backup && backup->disks && i < backup->disks->len; i++) {
        const VmpBackupDisk *disk = g_ptr_array_index(backup->disks, i);
        if (disk->target && g_str_has_prefix(disk->target, prefix))
            return vmp_backup_settle(&change, VMP_SETTLE_CANCEL, NULL, error);
    }
    return TRUE;
}

/* Deletes the checkpoints of this repository but @keep (or NULL), the first in the session
 * that is open: opening a domain's disks again takes as long as all the rest. */
static gboolean
delete_checkpoints(Creation *creation, const char *keep, GError **error)
{
    g_autoptr(GPtrArray) rows = vmp_store_list_points(
        vmp_machine_get_store(creation->machine), vmp_machine_get_row(creation->machine)->id,
        VMP_POINT_CHECKPOINT, FALSE, error);

    for (guint i = 0; rows && i < rows->len; i++) {
        const VmpStorePoint *row = g_ptr_array_index(rows, i);
        if (g_strcmp0(row->name, keep) != 0 && has_checkpoint(creation, row->name) &&
            !vmp_point_delete_checkpoint_on(creation->machine,
                                            g_steal_pointer(&creation->part.session),
                                            row->name, 0, error))
            return FALSE;
    }
    return rows != NULL;
}

static gboolean
clean_up_before(Creation *creation, GError **error)
{
    const VmpRepositoryPoint *newest = vmp_repository_newest(creation->repository);

    return cancel_own(creation, creation->operation, error) &&
           vmp_repository_sweep(creation->repository, error) &&
           delete_checkpoints(creation, newest ? newest->name : NULL, error);
}

/* ---- what is asked of the backup ---- */

/* Names sort as the points were made, even where the clock was put back; and a point's
 * checkpoint has its name, of which another repository may have made one just now. */
static gboolean
check_free(const Creation *creation, const char *name, gboolean *is_free, GError **error)
{
    const VmpRepositoryPoint *newest = vmp_repository_newest(creation->repository);
    gboolean exists = FALSE;

    if (!vmp_record_exists(creation->machine, VMP_POINT_CHECKPOINT, name, &exists, error))
        return FALSE;
    *is_free = !exists && (!newest || strcmp(name, newest->name) > 0);
    return TRUE;
}

static char *
choose_name(const Creation *creation, GError **error)
{
    g_autoptr(GDateTime) time = g_date_time_new_now_utc();

    for (;;) {
        g_autofree char *name = g_date_time_format(time, "%Y%m%dT%H%M%SZ");
        gboolean is_free = FALSE;
        if (!check_free(creation, name, &is_free, error))
            return NULL;
        if (is_free)
            return g_steal_pointer(&name);
        GDateTime *later = g_date_time_add_seconds(time, 1);
        g_date_time_unref(time);
        time = later;
    }
}

static char *
image_name(const char *target)
{
    return g_strconcat(target, ".qcow2", NULL);
}

static PointDisk *
find_chosen(const Creation *creation, const char *target)
{
    for (guint i = 0; i < creation->disks->len; i++) {
        PointDisk *disk = g_ptr_array_index(creation->disks, i);
        if (g_str_equal(disk->disk->target, target))
            return disk;
    }
    return NULL;
}

static char *
backup_document(const Creation *creation, const VmpDomain *definition)
{
    const GPtrArray *all = vmp_domain_get_disks(definition);
    g_autoptr(VmpBackup) backup = vmp_backup_new();

    backup->mode = VMP_BACKUP_MODE_PUSH;
    backup->disks = g_ptr_array_new_with_free_func((GDestroyNotify)vmp_backup_disk_free);
    for (guint i = 0; i < all->len; i++) {
        const char *target = ((const VmpDomainDisk *)g_ptr_array_index(all, i))->target;
        const PointDisk *chosen = find_chosen(creation, target);
        VmpBackupDisk *disk = vmp_backup_disk_new(target);
        g_autofree char *name = image_name(target);
        g_ptr_array_add(backup->disks, disk);
        disk->wanted = chosen != NULL;
        if (!chosen)
            continue;
        disk->type = VMP_STORAGE_FILE;
        disk->driver = g_strdup("qcow2");
        disk->target = g_build_filename(creation->aside, name, NULL);
        disk->mode = chosen->incremental ? VMP_BACKUP_DISK_INCREMENTAL : VMP_BACKUP_DISK_FULL;
        disk->incremental = chosen->incremental ? g_strdup(creation->base->checkpoint) : NULL;
    }
    return vmp_backup_format(backup);
}

/* NULL if no disk can have one. */
static char *
checkpoint_document(const Creation *creation, const VmpDomain *definition)
{
    const GPtrArray *all = vmp_domain_get_disks(definition);
    g_autoptr(VmpCheckpoint) checkpoint = vmp_checkpoint_new();
    gboolean any = FALSE;

    checkpoint->name = g_strdup(creation->manifest->name);
    checkpoint->description = checkpoint_description(creation->repository);
    checkpoint->creation_time = -1;
    checkpoint->disks =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_checkpoint_disk_free);
    for (guint i = 0; i < all->len; i++) {
        const char *target = ((const VmpDomainDisk *)g_ptr_array_index(all, i))->target;
        const PointDisk *chosen = find_chosen(creation, target);
        VmpCheckpointDisk *disk = vmp_checkpoint_disk_new(target);
        disk->bitmap_set = TRUE;
        disk->wanted = chosen && chosen->has_bitmap;
        any = any || disk->wanted;
        g_ptr_array_add(checkpoint->disks, disk);
    }
    return any ? vmp_checkpoint_format(checkpoint, VMP_CHECKPOINT_FORMAT_NO_DOMAIN) : NULL;
}

static gboolean
begin_manifest(Creation *creation, GError **error)
{
    VmpManifest *manifest = creation->manifest = vmp_manifest_new();
    VmpState state = VMP_STATE_SHUTOFF;
    const char *reason = NULL;

    if (!vmp_machine_query_state(creation->machine, &state, &reason, error))
        return FALSE;
    manifest->name = choose_name(creation, error);
    if (!manifest->name)
        return FALSE;
    manifest->repository = g_strdup(creation->repository->id);
    manifest->domain = g_strdup(vmp_machine_get_name(creation->machine));
    manifest->uuid = g_strdup(vmp_machine_get_uuid(creation->machine));
    manifest->state = g_strdup(vmp_state_name(state));
    manifest->time = g_get_real_time() / 1000;
    creation->aside = vmp_repository_path_aside(creation->repository, manifest->name);
    return TRUE;
}

/* Copies @source, if it is there, into the point as @name; *entry then is that name. */
static gboolean
copy_part(const Creation *creation, const char *source, const char *name, char **entry,
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
copy_tpm(const Creation *creation, const VmpDomain *definition, GError **error)
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

/* Firmware variables and TPM have no bitmap and no job: they are copied just before the
 * instant. */
static gboolean
copy_parts(const Creation *creation, const VmpDomain *definition, GError **error)
{
    g_autofree char *nvram = vmp_firmware_nvram_path(creation->machine, definition);

    return copy_part(creation, nvram, "nvram.fd", &creation->manifest->nvram, error) &&
           copy_tpm(creation, definition, error);
}

/* ---- the copies in the point's folder ---- */

/* What the disk is with all it stands on. */
static gboolean
compute_view(const Creation *creation, VmpManifestDisk *entry, GArray *own, GError **error)
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
backing_link(const Creation *creation, const char *target)
{
    return g_strdup_printf("../%s/%s.qcow2", creation->base->name, target);
}

static void
describe_disk(const Creation *creation, const PointDisk *disk)
{
    VmpManifest *manifest = creation->manifest;
    VmpManifestDisk *entry = vmp_manifest_add_disk(manifest, disk->disk->target);

    entry->image = image_name(entry->name);
    entry->blocks = g_strconcat(entry->name, ".blocks", NULL);
    entry->incremental = disk->incremental;
    entry->why_full = g_strdup(disk->why_full);
    if (disk->incremental)
        entry->backing = backing_link(creation, entry->name);
    if (disk->incremental && !manifest->parent)
        manifest->parent = g_strdup(creation->base->name);
}

static gboolean
enter_disk(const Creation *creation, VmpManifestDisk *entry, VmpDigestPool *pool,
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
list_images(const Creation *creation)
{
    GPtrArray *images = g_ptr_array_new_with_free_func((GDestroyNotify)vmp_new_image_free);

    for (guint i = 0; i < creation->disks->len; i++) {
        const PointDisk *disk = g_ptr_array_index(creation->disks, i);
        g_autofree char *name = image_name(disk->disk->target);
        VmpNewImage *image = g_new0(VmpNewImage, 1);
        image->path = g_build_filename(creation->aside, name, NULL);
        g_ptr_array_add(images, image);
    }
    return images;
}

/* Of each image its file is digested, by threads of their own, while its blocks are, and the
 * disk takes what it has not got yet. */
static gboolean
enter_disks(const Creation *creation, GError **error)
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

/* The copies are whole, and nobody writes to them any more. */
static gboolean
finish_copies(gpointer data, GError **error)
{
    Creation *creation = data;

    if (vmp_fault("backup-done", &creation->failure) &&
        enter_disks(creation, &creation->failure))
        return TRUE;
    g_propagate_error(error, g_error_copy(creation->failure));
    return FALSE;
}

/* ---- the backup ---- */

static GHashTable *
backing_links(const Creation *creation)
{
    GHashTable *links = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);

    for (guint i = 0; i < creation->disks->len; i++) {
        const PointDisk *disk = g_ptr_array_index(creation->disks, i);
        char *target = disk->disk->target;
        if (disk->incremental)
            g_hash_table_insert(links, target, backing_link(creation, target));
    }
    return links;
}

static gboolean
run_backup(Creation *creation, const VmpDomain *definition, GError **error)
{
    const VmpBackupTuning tuning = { .bandwidth = creation->spec->bandwidth,
                                     .compress = creation->spec->compress,
                                     .quiesce = creation->manifest->quiesced,
                                     .fleece = creation->spec->fleece,
                                     .fleece_folder = creation->spec->fleece_folder };
    g_autofree char *backup = backup_document(creation, definition);
    g_autofree char *checkpoint = checkpoint_document(creation, definition);
    gboolean dry_run = vmp_operation_get_dry_run(creation->operation);

    if (!dry_run && (!vmp_dir_ensure(creation->aside, 0700, error) ||
                     !copy_parts(creation, definition, error)))
        return FALSE;
    creation->manifest->checkpoint = checkpoint ? g_strdup(creation->manifest->name) : NULL;
    creation->part.links = backing_links(creation);
    creation->part.finish = finish_copies;
    creation->part.data = creation;
    if (vmp_backup_begin_on(creation->machine, &creation->part, backup, checkpoint,
                            VMP_BACKUP_BEGIN_WAIT, &tuning, error))
        return TRUE;
    /* The backup knows it as a sentence alone. */
    if (creation->failure) {
        g_clear_error(error);
        g_propagate_error(error, g_steal_pointer(&creation->failure));
    }
    return FALSE;
}

/* ---- the rest of the point ---- */

static gboolean
enter_documents(const Creation *creation, const VmpDomain *definition, GError **error)
{
    VmpManifest *manifest = creation->manifest;
    g_autofree char *domain = vmp_definition_capture(definition);

    if (!vmp_point_folder_enter_text(creation->aside, manifest, "domain.xml", domain, error) ||
        (manifest->nvram &&
         !vmp_point_folder_enter(creation->aside, manifest, manifest->nvram, error)) ||
        (manifest->tpm &&
         !vmp_point_folder_enter(creation->aside, manifest, manifest->tpm, error)))
        return FALSE;
    if (!manifest->checkpoint)
        return TRUE;
    g_autoptr(VmpCheckpoint) checkpoint =
        vmp_record_load_checkpoint(creation->machine, manifest->checkpoint, error);
    g_autofree char *text =
        checkpoint ? vmp_checkpoint_format(checkpoint, VMP_CHECKPOINT_FORMAT_SECURE) : NULL;
    return text && vmp_point_folder_enter_text(creation->aside, manifest, "checkpoint.xml",
                                               text, error);
}

static gboolean
give_name(const Creation *creation, GError **error)
{
    g_autofree char *path =
        vmp_repository_path(creation->repository, creation->manifest->name, NULL);

    if (!vmp_fault("before-name", error))
        return FALSE;
    if (renameat2(AT_FDCWD, creation->aside, AT_FDCWD, path, RENAME_NOREPLACE) < 0 &&
        (errno != EINVAL || rename(creation->aside, path) < 0))
        return vmp_fail_errno(error, errno, "cannot give point '%s' its name",
                              creation->manifest->name);
    return vmp_dir_sync(creation->repository->path, error);
}

static gboolean
finish_point(Creation *creation, const VmpDomain *definition, GError **error)
{
    return enter_documents(creation, definition, error) &&
           vmp_point_folder_close(creation->aside, creation->manifest, error) &&
           give_name(creation, error);
}

/* Best effort: what stays, the next run sweeps. */
static void
take_back(Creation *creation)
{
    g_clear_pointer(&creation->part.session, vmp_block_session_free);
    VmpOperation *operation = creation->operation;
    const VmpRepositoryPoint *newest = vmp_repository_newest(creation->repository);
    g_autoptr(VmpOperation) unhindered = vmp_operation_new();
    g_autoptr(GError) failure = NULL;

    if (!cancel_own(creation, unhindered, &failure) ||
        !vmp_repository_remove_folder(creation->repository, creation->aside, &failure) ||
        !delete_checkpoints(creation, newest ? newest->name : NULL, &failure))
        vmp_operation_note(operation, "what was begun is left to the next run: %s",
                           failure->message);
}

/* Whoever served the disks ends now, and stores the bitmaps. */
static void
end_session(Creation *creation)
{
    g_autoptr(GError) failure = NULL;

    if (creation->part.session && !vmp_block_session_close(creation->part.session, &failure))
        vmp_operation_warn(creation->operation,
                           "the point is complete, but the next one will be a full one: %s",
                           failure->message);
    g_clear_pointer(&creation->part.session, vmp_block_session_free);
}

static void
settle_checkpoints(Creation *creation)
{
    g_autoptr(GError) failure = NULL;

    if (!vmp_fault("named", &failure) ||
        !delete_checkpoints(creation, creation->manifest->checkpoint, &failure))
        vmp_operation_warn(creation->operation,
                           "the point is complete, but an older checkpoint stays: %s",
                           failure->message);
    end_session(creation);
}

/* The disks of a domain that is off are at rest. */
static gboolean
decide_quiesce(Creation *creation, GError **error)
{
    VmpQuiesce wish = creation->spec->quiesce;
    g_autoptr(GError) failure = NULL;

    if (wish == VMP_QUIESCE_NO || !vmp_machine_is_on(creation->machine))
        return TRUE;
    creation->manifest->quiesced = vmp_machine_check_can_freeze(creation->machine, &failure);
    if (creation->manifest->quiesced)
        return TRUE;
    if (wish == VMP_QUIESCE_REQUIRE) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    vmp_operation_warn(creation->operation, "the guest is not quiesced: %s", failure->message);
    return TRUE;
}

static gboolean
make_point(Creation *creation, const VmpDomain *definition, GError **error)
{
    gboolean dry_run = vmp_operation_get_dry_run(creation->operation);

    if ((!dry_run && !clean_up_before(creation, error)) || !decide_disks(creation, error) ||
        !begin_manifest(creation, error) || !decide_quiesce(creation, error))
        return FALSE;
    if (run_backup(creation, definition, error) &&
        (dry_run || finish_point(creation, definition, error)))
        return TRUE;
    if (!dry_run)
        take_back(creation);
    return FALSE;
}

char *
vmp_restore_point_create(VmpMachine *machine, const char *path,
                         const VmpRestorePointSpec *spec, GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));
    VmpOperation *operation = vmp_machine_get_operation(machine);
    gboolean dry_run = vmp_operation_get_dry_run(operation);
    const VmpDomain *definition = vmp_machine_get_definition(machine, error);
    g_auto(Creation) creation = { .machine = machine, .operation = operation, .spec = spec };

    creation.disks = g_ptr_array_new_with_free_func((GDestroyNotify)point_disk_free);
    if (!definition || !choose_disks(&creation, definition, error))
        return NULL;
    creation.repository = vmp_repository_open_for(
        path, vmp_machine_get_name(machine), vmp_machine_get_uuid(machine), dry_run, error);
    if (!creation.repository)
        return NULL;
    if (!make_point(&creation, definition, error)) {
        vmp_repository_abandon(creation.repository);
        return NULL;
    }
    warn_of_full_disks(&creation);
    if (!dry_run)
        settle_checkpoints(&creation);
    return g_strdup(creation.manifest->name);
}
