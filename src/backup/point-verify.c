/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Comparing what is in a repository with what was written there, byte by byte.
 *
 * Each file is read once as a whole for its digest; that finds any change.  Then each image's
 * own blocks are read through QEMU: that finds a chain that is not what the lists say although
 * every file of it is.  Nothing is written, and no lock that would have to be.
 */

#include <stdarg.h>
#include <string.h>

#include "backup/point-folder.h"
#include "backup/restore-point.h"
#include "base/error.h"
#include "base/file.h"

#define MAX_SUMS (16 * 1024 * 1024)

typedef struct {
    const VmpRepository *repository;
    VmpOperation *operation;
    GPtrArray *findings; /* of char * */
} Verification;

static void G_GNUC_PRINTF(2, 3) find(const Verification *verification, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(verification->findings, g_strdup_vprintf(format, args));
    va_end(args);
}

/* An error that says something about the data is a finding; FALSE for one that ends the
 * search. */
static gboolean
find_failure(const Verification *verification, const char *point, GError *failure,
             GError **error)
{
    if (vmp_error_is(failure, VMP_ERROR_INTERRUPTED)) {
        g_propagate_error(error, failure);
        return FALSE;
    }
    find(verification, "point '%s': %s", point, failure->message);
    g_error_free(failure);
    return TRUE;
}

/* ---- files ---- */

/* Which pieces of the image are not as their sums say: one sentence for each run of them. */
static void
find_pieces(const Verification *verification, const VmpManifest *manifest, const char *image,
            const VmpBlockFile *list, const GArray *sums, guint64 size)
{
    guint count = MIN(sums->len, list->sums->len);
    gboolean any = FALSE;

    for (guint i = 0; i < count; i++) {
        guint start = i;
        while (i < count &&
               g_array_index(sums, guint64, i) != g_array_index(list->sums, guint64, i))
            i++;
        if (i == start)
            continue;
        any = TRUE;
        find(verification,
             "point '%s': '%s' is damaged between byte %" G_GUINT64_FORMAT
             " and %" G_GUINT64_FORMAT,
             manifest->name, image, (guint64)start * list->piece,
             MIN((guint64)i * list->piece, size));
    }
    if (!any)
        find(verification, "point '%s': '%s' is damaged", manifest->name, image);
}

/* Where an image is damaged, if its list of blocks can still be read. */
static void
find_place(const Verification *verification, const VmpManifest *manifest,
           const VmpManifestFile *file, const GArray *sums)
{
    for (guint i = 0; i < manifest->disks->len; i++) {
        const VmpManifestDisk *disk = g_ptr_array_index(manifest->disks, i);
        if (!g_str_equal(disk->image, file->name))
            continue;
        g_autofree char *path =
            vmp_repository_path(verification->repository, manifest->name, disk->blocks);
        g_autoptr(VmpBlockFile) list = vmp_blocks_read(path, NULL);
        if (!list || list->piece == 0)
            break;
        find_pieces(verification, manifest, disk->image, list, sums, file->size);
        return;
    }
    find(verification, "point '%s': '%s' is damaged", manifest->name, file->name);
}

static gboolean
verify_file(const Verification *verification, const VmpManifest *manifest,
            const VmpManifestFile *file, GError **error)
{
    g_autofree char *path =
        vmp_repository_path(verification->repository, manifest->name, file->name);
    g_autoptr(GArray) sums = g_array_new(FALSE, FALSE, sizeof(guint64));
    GError *failure = NULL;
    VmpDigest digest;
    guint64 size = 0;

    if (!vmp_digest_file(path, VMP_POINT_PIECE, sums, &digest, &size,
                         vmp_operation_get_cancellable(verification->operation), &failure))
        return find_failure(verification, manifest->name, failure, error);
    if (size != file->size)
        find(verification,
             "point '%s': '%s' has %" G_GUINT64_FORMAT " bytes, not %" G_GUINT64_FORMAT,
             manifest->name, file->name, size, file->size);

    g_autofree char *sha256 = vmp_digest_to_text(&digest);
    if (size == file->size && !g_str_equal(sha256, file->sha256))
        find_place(verification, manifest, file, sums);
    return TRUE;
}

static gboolean
is_known(const VmpManifest *manifest, const char *name)
{
    return vmp_manifest_find_file(manifest, name) || g_str_equal(name, VMP_MANIFEST_FILE) ||
           g_str_equal(name, VMP_MANIFEST_SUMS);
}

static void
find_strangers(const Verification *verification, const VmpManifest *manifest)
{
    g_autofree char *path =
        vmp_repository_path(verification->repository, manifest->name, NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name = NULL;

    while (dir && (name = g_dir_read_name(dir)))
        if (!is_known(manifest, name))
            find(verification, "point '%s': there is a file '%s' that is not part of it",
                 manifest->name, name);
}

/* The sums are for other people's programs; they must not say something else. */
static void
verify_sums(const Verification *verification, const VmpManifest *manifest)
{
    const VmpRepository *repository = verification->repository;
    g_autofree char *sums = vmp_repository_path(repository, manifest->name, VMP_MANIFEST_SUMS);
    g_autofree char *path = vmp_repository_path(repository, manifest->name, VMP_MANIFEST_FILE);
    g_autofree char *text = vmp_file_read(sums, MAX_SUMS, NULL, NULL);
    VmpDigest digest;
    guint64 size = 0;

    if (!vmp_digest_file(path, VMP_POINT_PIECE, NULL, &digest, &size, NULL, NULL))
        memset(&digest, 0, sizeof digest);
    g_autofree char *sha256 = vmp_digest_to_text(&digest);
    g_autofree char *expected = vmp_manifest_format_sums(manifest, sha256);
    if (g_strcmp0(text, expected) != 0)
        find(verification, "point '%s': '%s' is not as it was written", manifest->name,
             VMP_MANIFEST_SUMS);
}

/* ---- what QEMU makes of it ---- */

typedef struct {
    GMutex lock;
    gboolean any;
    guint64 first, last; /* bytes of the disk */
} Wrong;

static gboolean
check_blocks(VmpBlock *blocks, guint count, const guint8 *data, gsize length,
             gpointer user_data, GError **error)
{
    Wrong *wrong = user_data;

    for (guint i = 0; i < count; i++) {
        gsize offset = (gsize)i * VMP_BLOCK_SIZE;
        guint64 at = 0;
        if (vmp_block_check(&blocks[i], 1, data + offset, MIN(VMP_BLOCK_SIZE, length - offset),
                            &at))
            continue;
        g_mutex_lock(&wrong->lock);
        wrong->first = wrong->any ? MIN(wrong->first, at) : at;
        wrong->last = wrong->any ? MAX(wrong->last, at) : at;
        wrong->any = TRUE;
        g_mutex_unlock(&wrong->lock);
    }
    return TRUE;
}

static gboolean
walk_image(const Verification *verification, const VmpManifest *manifest,
           const VmpManifestDisk *disk, GError **error)
{
    g_autofree char *list =
        vmp_repository_path(verification->repository, manifest->name, disk->blocks);
    g_autofree char *image =
        vmp_repository_path(verification->repository, manifest->name, disk->image);
    g_autoptr(VmpBlockFile) file = vmp_blocks_read(list, error);
    Wrong wrong = { 0 };
    if (!file)
        return FALSE;

    g_mutex_init(&wrong.lock);
    gboolean walked = vmp_block_walk(image, disk->size, file->blocks, check_blocks, &wrong,
                                     "verify", verification->operation, error);
    g_mutex_clear(&wrong.lock);
    if (wrong.any)
        find(verification,
             "point '%s': disk '%s' is not what the guest saw, from byte %" G_GUINT64_FORMAT
             " to %" G_GUINT64_FORMAT,
             manifest->name, disk->name, wrong.first, wrong.last + VMP_BLOCK_SIZE);
    return walked;
}

/* Does the whole disk follow from the chain? */
static gboolean
verify_disk(const Verification *verification, const VmpManifest *manifest,
            const VmpManifestDisk *disk, GError **error)
{
    const VmpRepository *repository = verification->repository;
    GError *failure = NULL;
    VmpDigest digest;
    g_autoptr(GPtrArray) chain =
        vmp_repository_chain(repository, manifest, disk->name, &failure);
    g_autoptr(GArray) blocks = NULL;

    if (chain && vmp_repository_check_chain(
                     repository, chain, disk->name,
                     vmp_operation_get_cancellable(verification->operation), &failure))
        blocks = vmp_restore_point_read_blocks(repository, chain, disk->name, FALSE, &failure);
    if (!blocks)
        return find_failure(verification, manifest->name, failure, error);

    vmp_blocks_view(blocks, disk->size, &digest);
    g_autofree char *view = vmp_digest_to_text(&digest);
    if (!g_str_equal(view, disk->view))
        find(verification,
             "point '%s': disk '%s' does not follow from the points it stands on",
             manifest->name, disk->name);
    return walk_image(verification, manifest, disk, &failure) ||
           find_failure(verification, manifest->name, failure, error);
}

static gboolean
verify_point(const Verification *verification, const VmpRepositoryPoint *point, GError **error)
{
    const VmpManifest *manifest = point->manifest;
    guint before = verification->findings->len;

    if (!manifest) {
        find(verification, "point '%s': %s", point->name, point->problem->message);
        return TRUE;
    }
    for (guint i = 0; i < manifest->files->len; i++)
        if (!verify_file(verification, manifest, g_ptr_array_index(manifest->files, i), error))
            return FALSE;
    find_strangers(verification, manifest);
    verify_sums(verification, manifest);
    /* What is known to be broken need not be opened. */
    for (guint i = 0; i < manifest->disks->len && verification->findings->len == before; i++)
        if (!verify_disk(verification, manifest, g_ptr_array_index(manifest->disks, i), error))
            return FALSE;
    return TRUE;
}

/* ---- which points ---- */

static gboolean
is_of_the_repository(const VmpRepository *repository, const char *name)
{
    return *name == '.' || g_str_equal(name, "repository.json") ||
           g_str_equal(name, "lost+found") || vmp_repository_find(repository, name);
}

static gboolean
verify_all(const Verification *verification, GError **error)
{
    const VmpRepository *repository = verification->repository;
    g_autoptr(GDir) dir = g_dir_open(repository->path, 0, NULL);
    const char *name = NULL;

    while (dir && (name = g_dir_read_name(dir)))
        if (!is_of_the_repository(repository, name))
            find(verification, "there is a file '%s' that is not part of the repository",
                 name);
    for (guint i = 0; i < repository->points->len; i++)
        if (!verify_point(verification, g_ptr_array_index(repository->points, i), error))
            return FALSE;
    return TRUE;
}

/* @point, and what it stands on. */
static gboolean
verify_down(const Verification *verification, const char *name, GError **error)
{
    const VmpRepository *repository = verification->repository;
    const VmpRepositoryPoint *point = g_str_equal(name, "latest")
                                          ? vmp_repository_newest(repository)
                                          : vmp_repository_find(repository, name);

    if (!point)
        return vmp_fail(error, VMP_ERROR_NOT_FOUND, "repository '%s' has no point '%s'",
                        repository->path, name);
    for (guint steps = 0; point && steps <= repository->points->len; steps++) {
        if (!verify_point(verification, point, error))
            return FALSE;
        const char *parent = point->manifest ? point->manifest->parent : NULL;
        point = parent ? vmp_repository_find(repository, parent) : NULL;
    }
    return TRUE;
}

GPtrArray *
vmp_repository_verify(const char *path, const char *point, VmpOperation *operation,
                      GError **error)
{
    g_autoptr(VmpRepository) repository =
        vmp_repository_open(path, VMP_REPOSITORY_READ, error);
    g_autoptr(GPtrArray) findings = g_ptr_array_new_with_free_func(g_free);
    const Verification verification = { repository, operation, findings };

    if (!repository ||
        !(point ? verify_down(&verification, point, error) : verify_all(&verification, error)))
        return NULL;
    return g_steal_pointer(&findings);
}
