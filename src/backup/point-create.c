/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Making a restore point (point-create-private.h has who does what): a backup job into a
 * folder aside, then digests, then the folder's name.
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

#include "backup/point-create-private.h"
#include "backup/point-folder.h"
#include "backup/restore-point.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/file.h"
#include "machine/freeze.h"
#include "plan/executor.h"
#include "point/checkpoint.h"
#include "point/definition.h"
#include "point/record.h"

static void
point_disk_free(VmpPointDisk *disk)
{
    g_free(disk->why_full);
    g_free(disk);
}

static void
creation_clear(VmpPointCreation *creation)
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
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmpPointCreation, creation_clear)

/* ---- what an earlier run left ---- */

/* A job that runs into a folder without a name: ours, or who began it is gone.  Any other is
 * somebody's who waits for it. */
static gboolean
cancel_own(const VmpPointCreation *creation, VmpOperation *operation, GError **error)
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
delete_checkpoints(VmpPointCreation *creation, const char *keep, GError **error)
{
    g_autoptr(GPtrArray) rows = vmp_store_list_points(
        vmp_machine_get_store(creation->machine), vmp_machine_get_row(creation->machine)->id,
        VMP_POINT_CHECKPOINT, FALSE, error);

    for (guint i = 0; rows && i < rows->len; i++) {
        const VmpStorePoint *row = g_ptr_array_index(rows, i);
        if (g_strcmp0(row->name, keep) != 0 && vmp_point_has_checkpoint(creation, row->name) &&
            !vmp_point_delete_checkpoint_on(creation->machine,
                                            g_steal_pointer(&creation->part.session),
                                            row->name, 0, error))
            return FALSE;
    }
    return rows != NULL;
}

static gboolean
clean_up_before(VmpPointCreation *creation, GError **error)
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
check_free(const VmpPointCreation *creation, const char *name, gboolean *is_free,
           GError **error)
{
    const VmpRepositoryPoint *newest = vmp_repository_newest(creation->repository);
    gboolean exists = FALSE;

    if (!vmp_record_exists(creation->machine, VMP_POINT_CHECKPOINT, name, &exists, error))
        return FALSE;
    *is_free = !exists && (!newest || strcmp(name, newest->name) > 0);
    return TRUE;
}

static char *
choose_name(const VmpPointCreation *creation, GError **error)
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

static VmpPointDisk *
find_chosen(const VmpPointCreation *creation, const char *target)
{
    for (guint i = 0; i < creation->disks->len; i++) {
        VmpPointDisk *disk = g_ptr_array_index(creation->disks, i);
        if (g_str_equal(disk->disk->target, target))
            return disk;
    }
    return NULL;
}

static char *
backup_document(const VmpPointCreation *creation, const VmpDomain *definition)
{
    const GPtrArray *all = vmp_domain_get_disks(definition);
    g_autoptr(VmpBackup) backup = vmp_backup_new();

    backup->mode = VMP_BACKUP_MODE_PUSH;
    backup->disks = g_ptr_array_new_with_free_func((GDestroyNotify)vmp_backup_disk_free);
    for (guint i = 0; i < all->len; i++) {
        const char *target = ((const VmpDomainDisk *)g_ptr_array_index(all, i))->target;
        const VmpPointDisk *chosen = find_chosen(creation, target);
        VmpBackupDisk *disk = vmp_backup_disk_new(target);
        g_autofree char *name = vmp_point_image_name(target);
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
checkpoint_document(const VmpPointCreation *creation, const VmpDomain *definition)
{
    const GPtrArray *all = vmp_domain_get_disks(definition);
    g_autoptr(VmpCheckpoint) checkpoint = vmp_checkpoint_new();
    gboolean any = FALSE;

    checkpoint->name = g_strdup(creation->manifest->name);
    checkpoint->description = vmp_point_checkpoint_description(creation->repository);
    checkpoint->creation_time = -1;
    checkpoint->disks =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_checkpoint_disk_free);
    for (guint i = 0; i < all->len; i++) {
        const char *target = ((const VmpDomainDisk *)g_ptr_array_index(all, i))->target;
        const VmpPointDisk *chosen = find_chosen(creation, target);
        VmpCheckpointDisk *disk = vmp_checkpoint_disk_new(target);
        disk->bitmap_set = TRUE;
        disk->wanted = chosen && chosen->has_bitmap;
        any = any || disk->wanted;
        g_ptr_array_add(checkpoint->disks, disk);
    }
    return any ? vmp_checkpoint_format(checkpoint, VMP_CHECKPOINT_FORMAT_NO_DOMAIN) : NULL;
}

static gboolean
begin_manifest(VmpPointCreation *creation, GError **error)
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

/* ---- the backup ---- */

static gboolean
run_backup(VmpPointCreation *creation, const VmpDomain *definition, GError **error)
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
                     !vmp_point_copy_parts(creation, definition, error)))
        return FALSE;
    creation->manifest->checkpoint = checkpoint ? g_strdup(creation->manifest->name) : NULL;
    creation->part.links = vmp_point_backing_links(creation);
    creation->part.finish = vmp_point_finish_copies;
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
enter_documents(const VmpPointCreation *creation, const VmpDomain *definition, GError **error)
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
give_name(const VmpPointCreation *creation, GError **error)
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
finish_point(VmpPointCreation *creation, const VmpDomain *definition, GError **error)
{
    return enter_documents(creation, definition, error) &&
           vmp_point_folder_close(creation->aside, creation->manifest, error) &&
           give_name(creation, error);
}

/* Best effort: what stays, the next run sweeps. */
static void
take_back(VmpPointCreation *creation)
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
end_session(VmpPointCreation *creation)
{
    g_autoptr(GError) failure = NULL;

    if (creation->part.session && !vmp_block_session_close(creation->part.session, &failure))
        vmp_operation_warn(creation->operation,
                           "the point is complete, but the next one will be a full one: %s",
                           failure->message);
    g_clear_pointer(&creation->part.session, vmp_block_session_free);
}

static void
settle_checkpoints(VmpPointCreation *creation)
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
decide_quiesce(VmpPointCreation *creation, GError **error)
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
make_point(VmpPointCreation *creation, const VmpDomain *definition, GError **error)
{
    gboolean dry_run = vmp_operation_get_dry_run(creation->operation);

    if ((!dry_run && !clean_up_before(creation, error)) ||
        !vmp_point_decide_disks(creation, error) || !begin_manifest(creation, error) ||
        !decide_quiesce(creation, error))
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
    g_auto(VmpPointCreation)
        creation = { .machine = machine, .operation = operation, .spec = spec };

    creation.disks = g_ptr_array_new_with_free_func((GDestroyNotify)point_disk_free);
    if (!definition || !vmp_point_choose_disks(&creation, definition, error))
        return NULL;
    creation.repository = vmp_repository_open_for(
        path, vmp_machine_get_name(machine), vmp_machine_get_uuid(machine), dry_run, error);
    if (!creation.repository)
        return NULL;
    if (!make_point(&creation, definition, error)) {
        vmp_repository_abandon(creation.repository);
        return NULL;
    }
    vmp_point_warn_of_full_disks(&creation);
    if (!dry_run)
        settle_checkpoints(&creation);
    return g_strdup(creation.manifest->name);
}
