/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Removing the points that nobody needs.
 *
 * A kept point whose parent goes is merged: a new folder for it holds its own blocks and those
 * of the points that go between it and the nearest one that stays (or all of the disk, if none
 * does).  It is made aside and changes places with the old folder in one rename: the name, the
 * disk, its view and what stands on it are the same before and after.  When all are merged,
 * nothing that stays stands on anything that goes, and what goes is removed, newest first.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/block-copy.h"
#include "backup/point-folder.h"
#include "backup/restore-point.h"
#include "backup/retention.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/file.h"
#include "plan/others.h"
#include "storage/image.h"

#define MAX_SMALL_FILE (64 * 1024 * 1024)

typedef struct {
    VmpRepository *repository;
    VmpOperation *operation;
    GPtrArray *decisions; /* of VmpPruneDecision, as the repository's points */
} Prune;

void
vmp_prune_decision_free(VmpPruneDecision *decision)
{
    if (!decision)
        return;
    g_free(decision->name);
    g_free(decision->why);
    g_free(decision);
}

/* ---- deciding ---- */

static VmpPruneDecision *
find_decision(const Prune *prune, const char *name)
{
    for (guint i = 0; i < prune->decisions->len; i++) {
        VmpPruneDecision *decision = g_ptr_array_index(prune->decisions, i);
        if (g_strcmp0(decision->name, name) == 0)
            return decision;
    }
    return NULL;
}

static gboolean
stays(const Prune *prune, const char *name)
{
    const VmpPruneDecision *decision = find_decision(prune, name);

    return decision && decision->keep;
}

static void
decide(const Prune *prune, const VmpRetentionPolicy *policy, gint64 since)
{
    g_autoptr(GArray) times = g_array_new(FALSE, FALSE, sizeof(gint64));
    g_autoptr(GTimeZone) zone = g_time_zone_new_local();
    const GPtrArray *points = prune->repository->points;
    guint next = 0;

    for (guint i = 0; i < points->len; i++) {
        const VmpRepositoryPoint *point = g_ptr_array_index(points, i);
        if (point->manifest)
            g_array_append_val(times, point->manifest->time);
    }
    g_autoptr(GPtrArray) kept = vmp_retention_decide(policy, since, times, zone);
    for (guint i = 0; i < points->len; i++) {
        const VmpRepositoryPoint *point = g_ptr_array_index(points, i);
        VmpPruneDecision *decision = g_new0(VmpPruneDecision, 1);
        g_ptr_array_add(prune->decisions, decision);
        decision->name = g_strdup(point->name);
        if (!point->manifest) {
            decision->keep = TRUE;
            decision->why = g_strdup("it cannot be read, so nobody can say what needs it");
            continue;
        }
        const VmpRetention *retention = g_ptr_array_index(kept, next++);
        gboolean newest = i + 1 == points->len;
        decision->time = point->manifest->time;
        decision->keep = retention->keep || newest;
        decision->why = newest && !retention->keep
                            ? g_strdup("the newest: the next increment stands on it")
                            : g_strdup(retention->why);
    }
}

/* The points that @disk of @point is merged from: it, and those below it that go.  @base is
 * the one that stays below them; NULL if there is none, and the disk becomes full. */
static GPtrArray *
list_layers(const Prune *prune, const VmpManifest *point, const char *disk,
            const VmpManifest **base, GError **error)
{
    g_autoptr(GPtrArray) chain = vmp_repository_chain(prune->repository, point, disk, error);
    if (!chain)
        return NULL;

    GPtrArray *layers = g_ptr_array_new();
    *base = NULL;
    for (guint i = 0; i < chain->len && !*base; i++) {
        const VmpManifest *manifest = g_ptr_array_index(chain, i);
        if (i > 0 && stays(prune, manifest->name))
            *base = manifest;
        else
            g_ptr_array_add(layers, (gpointer)manifest);
    }
    return layers;
}

static gboolean
needs_merging(const Prune *prune, const VmpManifest *manifest)
{
    return manifest->parent && stays(prune, manifest->name) && !stays(prune, manifest->parent);
}

static guint64
count_bytes(const GArray *blocks)
{
    guint64 count = 0;

    for (guint i = 0; i < blocks->len; i++)
        count += !vmp_block_is_zero(&g_array_index(blocks, VmpBlock, i));
    return count * VMP_BLOCK_SIZE;
}

/* Everything that a merge reads is looked at before anything is changed. */
static gboolean
measure(const Prune *prune, const VmpManifest *manifest, VmpPruneDecision *decision,
        GError **error)
{
    GCancellable *cancellable = vmp_operation_get_cancellable(prune->operation);

    decision->merged = TRUE;
    for (guint i = 0; i < manifest->disks->len; i++) {
        const VmpManifestDisk *disk = g_ptr_array_index(manifest->disks, i);
        const VmpManifest *base = NULL;
        if (!disk->incremental)
            continue;
        g_autoptr(GPtrArray) layers = list_layers(prune, manifest, disk->name, &base, error);
        g_autoptr(GArray) blocks =
            layers && vmp_repository_check_chain(prune->repository, layers, disk->name,
                                                 cancellable, error)
                ? vmp_restore_point_read_blocks(prune->repository, layers, disk->name,
                                                base != NULL, error)
                : NULL;
        if (!blocks)
            return FALSE;
        decision->copies += count_bytes(blocks);
    }
    return TRUE;
}

static gboolean
measure_all(const Prune *prune, GError **error)
{
    for (guint i = 0; i < prune->decisions->len; i++) {
        const VmpRepositoryPoint *point = g_ptr_array_index(prune->repository->points, i);
        if (point->manifest && needs_merging(prune, point->manifest) &&
            !measure(prune, point->manifest, g_ptr_array_index(prune->decisions, i), error)) {
            g_prefix_error(error, "point '%s' cannot be made anew: ", point->name);
            return FALSE;
        }
    }
    return TRUE;
}

/* ---- who stands on them ---- */

static gboolean
check_is_unused(const Prune *prune, const VmpManifest *manifest, const VmpOthers *domains,
                GError **error)
{
    for (guint i = 0; i < manifest->disks->len; i++) {
        const VmpManifestDisk *disk = g_ptr_array_index(manifest->disks, i);
        g_autofree char *path =
            vmp_repository_path(prune->repository, manifest->name, disk->image);
        const char *domain = vmp_others_find(domains, path);
        if (domain)
            return vmp_fail(error, VMP_ERROR_BUSY,
                            "point '%s' cannot go: domain '%s' stands on it", manifest->name,
                            domain);
    }
    return TRUE;
}

/* A domain that was booted from a point has overlays on it, and so on those below: files that
 * QEMU has open are lost on a network file system when they are removed. */
static gboolean
check_are_unused(const Prune *prune, VmpHost *host, GError **error)
{
    g_autoptr(VmpOthers) domains =
        vmp_others_look_at_all(host, vmp_operation_get_cancellable(prune->operation), error);

    for (guint i = 0; domains && i < prune->decisions->len; i++) {
        const VmpRepositoryPoint *point = g_ptr_array_index(prune->repository->points, i);
        if (point->manifest && !stays(prune, point->name) &&
            !check_is_unused(prune, point->manifest, domains, error))
            return FALSE;
    }
    return domains != NULL;
}

/* ---- merging ---- */

/* What is as before is the same file under another name. */
static gboolean
link_file(const Prune *prune, const VmpManifest *old, const char *folder, VmpManifest *new,
          const char *name, GError **error)
{
    const VmpManifestFile *file = vmp_manifest_find_file(old, name);
    g_autofree char *from = vmp_repository_path(prune->repository, old->name, name);
    g_autofree char *to = g_build_filename(folder, name, NULL);

    vmp_manifest_add_file(new, name, file->size, file->sha256);
    return link(from, to) == 0 ||
           vmp_fail_errno(error, errno, "cannot give '%s' a second name", from);
}

static gboolean
fill_image(const Prune *prune, const VmpManifest *manifest, const VmpManifestDisk *disk,
           const char *path, GArray *blocks, const char *backing, GError **error)
{
    g_autofree char *source =
        vmp_repository_path(prune->repository, manifest->name, disk->image);
    const VmpImageSpec spec = { .path = path,
                                .size = disk->size,
                                .backing = backing,
                                .backing_format = backing ? "qcow2" : NULL };

    if (!vmp_image_create(&spec, vmp_operation_get_cancellable(prune->operation), error))
        return FALSE;
    g_autoptr(VmpContent) content = vmp_content_open(path, "qcow2", VMP_CONTENT_WRITE, error);
    return content &&
           vmp_block_copy(source, disk->size, blocks, content, "merge", prune->operation,
                          error) &&
           vmp_content_close(g_steal_pointer(&content), error);
}

static gboolean
enter_image(const Prune *prune, const char *folder, VmpManifest *new, VmpManifestDisk *entry,
            const GArray *blocks, GError **error)
{
    g_autoptr(VmpDigestPool) pool = vmp_digest_pool_new();
    g_autofree char *path = g_build_filename(folder, entry->image, NULL);

    vmp_digest_pool_add(pool, path, VMP_POINT_PIECE);
    const VmpFileDigest *digest = vmp_digest_pool_wait(
        pool, path, vmp_operation_get_cancellable(prune->operation), error);
    return digest && vmp_point_folder_enter_image(folder, new, entry, blocks, digest, error);
}

static gboolean
merge_disk(const Prune *prune, const VmpManifest *old, const VmpManifestDisk *disk,
           const char *folder, VmpManifest *new, GError **error)
{
    VMP_ERROR_CONTEXT(error, "disk '%s'", disk->name);
    const VmpManifest *base = NULL;
    g_autoptr(GPtrArray) layers = list_layers(prune, old, disk->name, &base, error);
    g_autoptr(GArray) blocks =
        layers ? vmp_restore_point_read_blocks(prune->repository, layers, disk->name,
                                               base != NULL, error)
               : NULL;
    g_autofree char *path = g_build_filename(folder, disk->image, NULL);
    VmpManifestDisk *entry = vmp_manifest_add_disk(new, disk->name);
    if (!blocks)
        return FALSE;

    entry->image = g_strdup(disk->image);
    entry->blocks = g_strdup(disk->blocks);
    entry->incremental = base != NULL;
    entry->backing = base ? g_strdup_printf("../%s/%s", base->name, disk->image) : NULL;
    entry->size = disk->size;
    entry->view = g_strdup(disk->view);
    if (base && !new->parent)
        new->parent = g_strdup(base->name);
    return fill_image(prune, old, disk, path, blocks, entry->backing, error) &&
           enter_image(prune, folder, new, entry, blocks, error);
}

/* A disk that was full stays as it is. */
static gboolean
keep_disk(const Prune *prune, const VmpManifest *old, const VmpManifestDisk *disk,
          const char *folder, VmpManifest *new, GError **error)
{
    VmpManifestDisk *entry = vmp_manifest_add_disk(new, disk->name);

    entry->image = g_strdup(disk->image);
    entry->blocks = g_strdup(disk->blocks);
    entry->why_full = g_strdup(disk->why_full);
    entry->size = disk->size;
    entry->held = disk->held;
    entry->view = g_strdup(disk->view);
    return link_file(prune, old, folder, new, disk->image, error) &&
           link_file(prune, old, folder, new, disk->blocks, error);
}

static VmpManifest *
copy_words(const VmpManifest *old)
{
    VmpManifest *new = vmp_manifest_new();

    new->name = g_strdup(old->name);
    new->repository = g_strdup(old->repository);
    new->domain = g_strdup(old->domain);
    new->uuid = g_strdup(old->uuid);
    new->time = old->time;
    new->checkpoint = g_strdup(old->checkpoint);
    new->state = g_strdup(old->state);
    new->quiesced = old->quiesced;
    new->nvram = g_strdup(old->nvram);
    new->tpm = g_strdup(old->tpm);
    return new;
}

static gboolean
is_of_a_disk(const VmpManifest *manifest, const char *name)
{
    for (guint i = 0; i < manifest->disks->len; i++) {
        const VmpManifestDisk *disk = g_ptr_array_index(manifest->disks, i);
        if (g_str_equal(disk->image, name) || g_str_equal(disk->blocks, name))
            return TRUE;
    }
    return FALSE;
}

static gboolean
fill_folder(const Prune *prune, const VmpManifest *old, const char *folder, GError **error)
{
    g_autoptr(VmpManifest) new = copy_words(old);

    for (guint i = 0; i < old->disks->len; i++) {
        const VmpManifestDisk *disk = g_ptr_array_index(old->disks, i);
        if (!(disk->incremental ? merge_disk(prune, old, disk, folder, new, error)
                                : keep_disk(prune, old, disk, folder, new, error)))
            return FALSE;
    }
    for (guint i = 0; i < old->files->len; i++) {
        const VmpManifestFile *file = g_ptr_array_index(old->files, i);
        if (!is_of_a_disk(old, file->name) &&
            !link_file(prune, old, folder, new, file->name, error))
            return FALSE;
    }
    return vmp_point_folder_close(folder, new, error);
}

static gboolean
change_places(const Prune *prune, const char *folder, const char *name, GError **error)
{
    g_autofree char *path = vmp_repository_path(prune->repository, name, NULL);

    if (!vmp_fault("before-exchange", error))
        return FALSE;
    if (renameat2(AT_FDCWD, folder, AT_FDCWD, path, RENAME_EXCHANGE) == 0)
        return vmp_dir_sync(prune->repository->path, error) && vmp_fault("exchanged", error);
    if (errno == EINVAL || errno == ENOSYS)
        return vmp_fail(
            error, VMP_ERROR_UNSUPPORTED,
            "the file system of repository '%s' cannot have two folders change places",
            prune->repository->path);
    return vmp_fail_errno(error, errno, "cannot put the merged one in its place");
}

static gboolean
merge_point(const Prune *prune, const VmpManifest *manifest, GError **error)
{
    VMP_ERROR_CONTEXT(error, "point '%s'", manifest->name);
    g_autofree char *folder = vmp_repository_path_aside(prune->repository, manifest->name);

    gboolean merged = vmp_dir_ensure(folder, 0700, error) &&
                      fill_folder(prune, manifest, folder, error) &&
                      change_places(prune, folder, manifest->name, error);
    /* What is there now is either what was begun or what was replaced; if it stays, the next
     * run sweeps it. */
    vmp_repository_remove_folder(prune->repository, folder, merged ? error : NULL);
    return merged;
}

/* ---- all of it ---- */

static gboolean
carry_out(Prune *prune, GError **error)
{
    const GPtrArray *points = prune->repository->points;

    for (guint i = 0; i < points->len; i++) {
        const VmpRepositoryPoint *point = g_ptr_array_index(points, i);
        if (point->manifest && needs_merging(prune, point->manifest) &&
            !merge_point(prune, point->manifest, error))
            return FALSE;
    }
    for (guint i = points->len; i > 0; i--) {
        const VmpRepositoryPoint *point = g_ptr_array_index(points, i - 1);
        g_autofree char *path = vmp_repository_path(prune->repository, point->name, NULL);
        if (!stays(prune, point->name) &&
            (!vmp_fault("before-removal", error) ||
             !vmp_repository_remove_folder(prune->repository, path, error)))
            return FALSE;
    }
    return TRUE;
}

static gboolean
read_policy(const VmpRetentionPolicy *policy, gint64 *since, GError **error)
{
    g_autoptr(GTimeZone) zone = g_time_zone_new_local();

    if (vmp_retention_is_empty(policy))
        return vmp_fail(error, VMP_ERROR_INVALID, "the policy would keep nothing");
    return !policy->within ||
           vmp_retention_parse_within(policy->within, g_get_real_time() / 1000, zone, since,
                                      error);
}

GPtrArray *
vmp_repository_prune(VmpHost *host, const char *path, const VmpRetentionPolicy *policy,
                     VmpOperation *operation, GError **error)
{
    gboolean dry_run = vmp_operation_get_dry_run(operation);
    gint64 since = 0;
    g_autoptr(VmpRepository) repository =
        read_policy(policy, &since, error)
            ? vmp_repository_open(path, dry_run ? VMP_REPOSITORY_LOOK : VMP_REPOSITORY_PRUNE,
                                  error)
            : NULL;
    g_autoptr(GPtrArray) decisions =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_prune_decision_free);
    Prune prune = { repository, operation, decisions };

    if (!repository || (!dry_run && !vmp_repository_sweep(repository, error)))
        return NULL;
    decide(&prune, policy, since);
    if (!check_are_unused(&prune, host, error) || !measure_all(&prune, error) ||
        (!dry_run && !carry_out(&prune, error)))
        return NULL;
    return g_steal_pointer(&decisions);
}
