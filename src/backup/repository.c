/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*  <repository>/repository.json            { "format": 1, "id", "domain", "uuid" }
 *  <repository>/.lock, .use                empty: flock()
 *  <repository>/<point>/                   manifest.json, SHA256SUMS, images, lists, XML
 *  <repository>/.new-<point>/              a point that is being made
 *  <repository>/.old-<point>/              one that is being removed
 *
 * A kill leaves a folder with a dot, and nothing else.
 */

#include "backup/repository.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/json.h"
#include "storage/image.h"
#include "storage/qcow2.h"

#define ABOUT_FILE "repository.json"
#define ABOUT_FORMAT 1
#define LOCK_FILE ".lock"
#define MAX_TEXT (16 * 1024 * 1024)
#define MAX_PART (64 * 1024 * 1024)

static void
point_free(VmpRepositoryPoint *point)
{
    g_free(point->name);
    g_clear_pointer(&point->manifest, vmp_manifest_free);
    g_clear_error(&point->problem);
    g_free(point);
}

void
vmp_repository_free(VmpRepository *repository)
{
    if (!repository)
        return;
    vmp_fd_clear(&repository->lock);
    vmp_fd_clear(&repository->use);
    g_clear_pointer(&repository->points, g_ptr_array_unref);
    g_free(repository->path);
    g_free(repository->id);
    g_free(repository->domain);
    g_free(repository->uuid);
    g_free(repository);
}

char *
vmp_repository_path(const VmpRepository *repository, const char *point, const char *file)
{
    return file ? g_build_filename(repository->path, point, file, NULL)
                : g_build_filename(repository->path, point, NULL);
}

char *
vmp_repository_path_aside(const VmpRepository *repository, const char *point)
{
    g_autofree char *name = g_strconcat(".new-", point, NULL);

    return vmp_repository_path(repository, name, NULL);
}

/* ---- what it says of itself ---- */

static gboolean
read_about(VmpRepository *repository, GError **error)
{
    g_autofree char *path = vmp_repository_path(repository, ABOUT_FILE, NULL);
    g_autoptr(GError) failure = NULL;
    g_autofree char *text = vmp_file_read(path, MAX_TEXT, NULL, &failure);

    if (!text) {
        if (vmp_error_is(failure, VMP_ERROR_NOT_FOUND))
            return vmp_fail(error, VMP_ERROR_NOT_FOUND,
                            "'%s' is no repository of restore points", repository->path);
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    g_autoptr(VmpJson) about = vmp_json_parse(text, -1, NULL);
    gint64 format = vmp_json_get_int(about, "format", 0);
    repository->id = g_strdup(vmp_json_get_string(about, "id"));
    repository->domain = g_strdup(vmp_json_get_string(about, "domain"));
    repository->uuid = g_strdup(vmp_json_get_string(about, "uuid"));
    if (format > ABOUT_FORMAT)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "repository '%s' is of a newer vmpoint (format %" G_GINT64_FORMAT ")",
                        repository->path, format);
    if (format < 1 || !repository->id || !repository->domain || !repository->uuid)
        return vmp_fail(error, VMP_ERROR_DAMAGED, "'%s' is damaged", path);
    return TRUE;
}

static gboolean
write_about(VmpRepository *repository, const char *domain, const char *uuid, GError **error)
{
    g_autofree char *path = vmp_repository_path(repository, ABOUT_FILE, NULL);
    g_autofree char *id = g_uuid_string_random();
    g_autoptr(VmpJson) about = vmp_json_build("i:format", (gint64)ABOUT_FORMAT, "s:id", id,
                                              "s:domain", domain, "s:uuid", uuid, NULL);
    g_autofree char *text = vmp_json_to_pretty(about);

    return vmp_file_replace(path, text, -1, 0400, error);
}

/* ---- locks ---- */

/* A command that was refused takes away the repository that it has made, with the lock in it:
 * who opened that before has a lock that nobody else will meet. */
static gboolean
is_there(int fd, const char *path)
{
    struct stat held, found;

    return fstat(fd, &held) == 0 && stat(path, &found) == 0 && held.st_dev == found.st_dev &&
           held.st_ino == found.st_ino;
}

static gboolean
take_lock(const VmpRepository *repository, const char *name, int how, int *fd, GError **error)
{
    g_autofree char *path = vmp_repository_path(repository, name, NULL);
    gboolean shared = how == LOCK_SH;

    *fd = open(path, (shared ? O_RDONLY : O_RDWR) | O_CREAT | O_CLOEXEC, 0600);
    /* Nothing can be taken away from a medium that cannot be written, and who may only read
     * will find no lock file to make. */
    if (*fd < 0 && shared && (errno == EROFS || errno == EACCES))
        return TRUE;
    if (*fd < 0)
        return vmp_fail_errno(error, errno, "cannot lock repository '%s'", repository->path);
    gboolean locked = TEMP_FAILURE_RETRY(flock(*fd, how | LOCK_NB)) == 0;
    if (locked && is_there(*fd, path))
        return TRUE;
    if (locked || errno == EWOULDBLOCK)
        return vmp_fail(error, VMP_ERROR_BUSY, "repository '%s' is in use by another command",
                        repository->path);
    if (shared)
        return TRUE; /* a file system without locks: readers can do no harm */
    return vmp_fail(
        error, VMP_ERROR_UNSUPPORTED,
        "the file system of repository '%s' has no locks (%s), so nothing would keep "
        "two commands apart",
        repository->path, g_strerror(errno));
}

static gboolean
take_locks(VmpRepository *repository, VmpRepositoryAccess access, GError **error)
{
    switch (access) {
    case VMP_REPOSITORY_LOOK:
        return TRUE;
    case VMP_REPOSITORY_READ:
        return take_lock(repository, ".use", LOCK_SH, &repository->use, error);
    case VMP_REPOSITORY_ADD:
        return take_lock(repository, LOCK_FILE, LOCK_EX, &repository->lock, error);
    case VMP_REPOSITORY_PRUNE:
        return take_lock(repository, LOCK_FILE, LOCK_EX, &repository->lock, error) &&
               take_lock(repository, ".use", LOCK_EX, &repository->use, error);
    }
    return FALSE;
}

/* ---- the points ---- */

static gboolean
check_against_folder(const VmpRepository *repository, const VmpRepositoryPoint *point,
                     GError **error)
{
    const VmpManifest *manifest = point->manifest;

    if (!g_str_equal(manifest->name, point->name))
        return vmp_fail(error, VMP_ERROR_DAMAGED, "the manifest is that of point '%s'",
                        manifest->name);
    if (!g_str_equal(manifest->repository, repository->id))
        return vmp_fail(error, VMP_ERROR_DAMAGED, "the manifest is of another repository");
    if (!g_str_equal(manifest->uuid, repository->uuid))
        return vmp_fail(error, VMP_ERROR_DAMAGED, "the manifest is of another domain");
    return TRUE;
}

/* The sum of the manifest stands beside it, so that a hand that changed it shows. */
static gboolean
check_sum(const VmpRepository *repository, const char *point, const char *text, gsize length,
          GError **error)
{
    g_autofree char *path = vmp_repository_path(repository, point, VMP_MANIFEST_SUMS);
    g_autofree char *sums = vmp_file_read(path, MAX_TEXT, NULL, error);
    VmpDigest digest;
    if (!sums)
        return FALSE;

    vmp_digest_compute(text, length, &digest);
    g_autofree char *sha256 = vmp_digest_to_text(&digest);
    g_autofree char *line = g_strdup_printf("%s  %s\n", sha256, VMP_MANIFEST_FILE);
    return g_str_has_suffix(sums, line) ||
           vmp_fail(error, VMP_ERROR_DAMAGED, "'%s' is not as it was written",
                    VMP_MANIFEST_FILE);
}

static VmpRepositoryPoint *
read_point(const VmpRepository *repository, const char *name)
{
    VmpRepositoryPoint *point = g_new0(VmpRepositoryPoint, 1);
    g_autofree char *path = vmp_repository_path(repository, name, VMP_MANIFEST_FILE);
    gsize length = 0;
    g_autofree char *text = vmp_file_read(path, MAX_TEXT, &length, &point->problem);

    point->name = g_strdup(name);
    if (!text)
        return point;
    point->manifest = vmp_manifest_parse(text, &point->problem);
    if (point->manifest && (!check_sum(repository, name, text, length, &point->problem) ||
                            !check_against_folder(repository, point, &point->problem)))
        g_clear_pointer(&point->manifest, vmp_manifest_free);
    return point;
}

static int
compare_points(gconstpointer a, gconstpointer b)
{
    const VmpRepositoryPoint *const *left = a;
    const VmpRepositoryPoint *const *right = b;

    return strcmp((*left)->name, (*right)->name);
}

gboolean
vmp_repository_reload(VmpRepository *repository, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(GDir) dir = g_dir_open(repository->path, 0, &failure);
    const char *name = NULL;

    if (!dir)
        return vmp_fail(error, VMP_ERROR_IO, "cannot read repository '%s': %s",
                        repository->path, failure->message);
    g_clear_pointer(&repository->points, g_ptr_array_unref);
    repository->points = g_ptr_array_new_with_free_func((GDestroyNotify)point_free);
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = vmp_repository_path(repository, name, NULL);
        if (*name != '.' && g_file_test(path, G_FILE_TEST_IS_DIR))
            g_ptr_array_add(repository->points, read_point(repository, name));
    }
    g_ptr_array_sort(repository->points, compare_points);
    return TRUE;
}

static VmpRepository *
repository_new(const char *path)
{
    VmpRepository *repository = g_new0(VmpRepository, 1);

    repository->path = g_canonicalize_filename(path, NULL);
    repository->lock = repository->use = -1;
    return repository;
}

VmpRepository *
vmp_repository_open(const char *path, VmpRepositoryAccess access, GError **error)
{
    g_autoptr(VmpRepository) repository = repository_new(path);

    return read_about(repository, error) && take_locks(repository, access, error) &&
                   vmp_repository_reload(repository, error)
               ? g_steal_pointer(&repository)
               : NULL;
}

/* Is there nothing in the folder that is somebody else's, nor of ours but @own (or NULL)? */
static gboolean
is_empty_but(const char *path, const char *own)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name = NULL;

    while (dir && (name = g_dir_read_name(dir)))
        if (!g_str_equal(name, LOCK_FILE) && !g_str_equal(name, "lost+found") &&
            !g_str_has_prefix(name, ABOUT_FILE ".") && g_strcmp0(name, own) != 0)
            return FALSE;
    return TRUE;
}

static gboolean
is_empty(const char *path)
{
    return is_empty_but(path, NULL);
}

static gboolean
make_if_absent(VmpRepository *repository, const char *domain, const char *uuid, GError **error)
{
    g_autofree char *about = vmp_repository_path(repository, ABOUT_FILE, NULL);

    if (g_file_test(about, G_FILE_TEST_EXISTS))
        return TRUE;
    if (!is_empty(repository->path))
        return vmp_fail(error, VMP_ERROR_EXISTS,
                        "'%s' is no repository of restore points, and not empty",
                        repository->path);
    repository->is_new = TRUE;
    return write_about(repository, domain, uuid, error);
}

/* With our lock still taken: nobody else can have begun a point in it. */
void
vmp_repository_abandon(VmpRepository *repository)
{
    g_autofree char *about = vmp_repository_path(repository, ABOUT_FILE, NULL);
    g_autofree char *lock = vmp_repository_path(repository, LOCK_FILE, NULL);

    if (!repository->is_new || !is_empty_but(repository->path, ABOUT_FILE))
        return;
    /* Best effort: an empty repository does no harm, and the next run takes it. */
    unlink(about);
    unlink(lock);
    if (repository->new_folder)
        rmdir(repository->path);
}

/* Nothing is there, and nothing is made. */
static VmpRepository *
imagine(VmpRepository *repository, const char *domain, const char *uuid)
{
    repository->id = g_uuid_string_random();
    repository->domain = g_strdup(domain);
    repository->uuid = g_strdup(uuid);
    repository->points = g_ptr_array_new_with_free_func((GDestroyNotify)point_free);
    return repository;
}

VmpRepository *
vmp_repository_open_for(const char *path, const char *domain, const char *uuid,
                        gboolean dry_run, GError **error)
{
    g_autoptr(VmpRepository) repository = repository_new(path);

    repository->new_folder = !g_file_test(repository->path, G_FILE_TEST_EXISTS);
    if (dry_run && is_empty(repository->path))
        return imagine(g_steal_pointer(&repository), domain, uuid);
    if (!dry_run && (!vmp_dir_ensure(repository->path, 0700, error) ||
                     !take_locks(repository, VMP_REPOSITORY_ADD, error) ||
                     !make_if_absent(repository, domain, uuid, error)))
        return NULL;
    if (!read_about(repository, error))
        return NULL;
    if (!g_str_equal(repository->uuid, uuid))
        return vmp_fail_null(error, VMP_ERROR_EXISTS,
                             "repository '%s' has the restore points of domain '%s' (uuid %s)",
                             repository->path, repository->domain, repository->uuid);
    return vmp_repository_reload(repository, error) ? g_steal_pointer(&repository) : NULL;
}

/* ---- finding ---- */

VmpRepositoryPoint *
vmp_repository_find(const VmpRepository *repository, const char *name)
{
    for (guint i = 0; i < repository->points->len; i++) {
        VmpRepositoryPoint *point = g_ptr_array_index(repository->points, i);
        if (g_strcmp0(point->name, name) == 0)
            return point;
    }
    return NULL;
}

VmpRepositoryPoint *
vmp_repository_newest(const VmpRepository *repository)
{
    guint count = repository->points->len;

    return count ? g_ptr_array_index(repository->points, count - 1) : NULL;
}

const VmpManifest *
vmp_repository_get(const VmpRepository *repository, const char *name, GError **error)
{
    const VmpRepositoryPoint *point = g_str_equal(name, "latest")
                                          ? vmp_repository_newest(repository)
                                          : vmp_repository_find(repository, name);

    if (!point)
        return vmp_fail_null(error, VMP_ERROR_NOT_FOUND, "repository '%s' has no point '%s'",
                             repository->path, name);
    if (point->manifest)
        return point->manifest;
    vmp_fail(error, VMP_ERROR_DAMAGED, "point '%s': %s", point->name, point->problem->message);
    return NULL;
}

GPtrArray *
vmp_repository_chain(const VmpRepository *repository, const VmpManifest *point,
                     const char *disk, GError **error)
{
    g_autoptr(GPtrArray) chain = g_ptr_array_new();

    for (const VmpManifest *at = point; at;) {
        const VmpManifestDisk *entry = vmp_manifest_find_disk(at, disk);
        if (!entry && at == point)
            return vmp_fail_null(error, VMP_ERROR_NOT_FOUND, "point '%s' has no disk '%s'",
                                 at->name, disk);
        if (!entry)
            return vmp_fail_null(error, VMP_ERROR_DAMAGED,
                                 "point '%s' stands on point '%s', which has no disk '%s'",
                                 point->name, at->name, disk);
        g_ptr_array_add(chain, (gpointer)at);
        if (!entry->incremental)
            return g_steal_pointer(&chain);
        if (chain->len > repository->points->len)
            break;

        const char *parent = at->parent;
        g_autoptr(GError) failure = NULL;
        at = vmp_repository_get(repository, parent, &failure);
        if (!at)
            return vmp_fail_null(error, VMP_ERROR_DAMAGED,
                                 "point '%s' stands on point '%s': %s", point->name, parent,
                                 failure->message);
    }
    return vmp_fail_null(error, VMP_ERROR_DAMAGED, "point '%s' stands on itself", point->name);
}

static gboolean
check_size(const VmpRepository *repository, const VmpManifest *manifest, const char *name,
           GError **error)
{
    const VmpManifestFile *file = vmp_manifest_find_file(manifest, name);
    g_autofree char *path = vmp_repository_path(repository, manifest->name, name);
    struct stat info;

    if (stat(path, &info) < 0)
        return vmp_fail(error, VMP_ERROR_DAMAGED, "cannot read '%s': %s", path,
                        g_strerror(errno));
    if (!S_ISREG(info.st_mode) || (guint64)info.st_size != file->size)
        return vmp_fail(error, VMP_ERROR_DAMAGED,
                        "'%s' has %" G_GUINT64_FORMAT " bytes, not %" G_GUINT64_FORMAT, path,
                        (guint64)info.st_size, file->size);
    return TRUE;
}

/* Is the header what it was when the point was made? */
static gboolean
check_header(const char *path, const VmpImage *image, const VmpManifestDisk *disk,
             GError **error)
{
    if (g_strcmp0(image->backing_string, disk->backing) != 0 ||
        (disk->backing && g_strcmp0(image->backing_format, "qcow2") != 0))
        return vmp_fail(error, VMP_ERROR_DAMAGED,
                        "'%s' names '%s' as its backing image, not '%s'", path,
                        image->backing_string ? image->backing_string : "nothing",
                        disk->backing ? disk->backing : "nothing");
    if (image->virtual_size != disk->size)
        return vmp_fail(error, VMP_ERROR_DAMAGED,
                        "'%s' is a disk of %" G_GUINT64_FORMAT
                        " bytes, not %" G_GUINT64_FORMAT,
                        path, image->virtual_size, disk->size);
    return TRUE;
}

static gboolean
check_image(const VmpRepository *repository, const VmpManifest *manifest,
            const VmpManifestDisk *disk, GCancellable *cancellable, GError **error)
{
    g_autofree char *path = vmp_repository_path(repository, manifest->name, disk->image);
    g_autoptr(GError) failure = NULL;
    g_autoptr(VmpImage) image = vmp_image_read(path, "qcow2", cancellable, &failure);

    if (image)
        return check_header(path, image, disk, error);
    return vmp_fail(error,
                    vmp_error_is(failure, VMP_ERROR_INTERRUPTED) ? VMP_ERROR_INTERRUPTED
                                                                 : VMP_ERROR_DAMAGED,
                    "%s", failure->message);
}

/* A quick look at the header, for a process for each image of a long chain takes longer than
 * all that it is for.  What is not as it should be is for a closer look. */
static gboolean
is_in_order(const VmpRepository *repository, const VmpManifest *manifest,
            const VmpManifestDisk *disk)
{
    g_autofree char *path = vmp_repository_path(repository, manifest->name, disk->image);
    g_auto(VmpFd) fd = open(path, O_RDONLY | O_CLOEXEC);
    g_auto(VmpQcow2Head) head = { 0 };

    return fd >= 0 && vmp_qcow2_read_head(fd, &head) && head.size == disk->size &&
           g_strcmp0(head.backing, disk->backing) == 0 &&
           (!disk->backing || g_strcmp0(head.backing_format, "qcow2") == 0);
}

gboolean
vmp_repository_check_chain(const VmpRepository *repository, const GPtrArray *chain,
                           const char *disk, GCancellable *cancellable, GError **error)
{
    for (guint i = 0; i < chain->len; i++) {
        const VmpManifest *manifest = g_ptr_array_index(chain, i);
        const VmpManifestDisk *entry = vmp_manifest_find_disk(manifest, disk);
        if (!check_size(repository, manifest, entry->image, error) ||
            !check_size(repository, manifest, entry->blocks, error))
            return FALSE;
    }
    for (guint i = 0; i < chain->len; i++) {
        const VmpManifest *manifest = g_ptr_array_index(chain, i);
        const VmpManifestDisk *entry = vmp_manifest_find_disk(manifest, disk);
        if (!is_in_order(repository, manifest, entry) &&
            !check_image(repository, manifest, entry, cancellable, error))
            return FALSE;
    }
    return TRUE;
}

char *
vmp_repository_read_file(const VmpRepository *repository, const VmpManifest *point,
                         const char *name, gsize *length, GError **error)
{
    g_autofree char *path = vmp_repository_path(repository, point->name, name);
    const VmpManifestFile *file = vmp_manifest_find_file(point, name);
    g_autofree char *data = vmp_file_read(path, MAX_PART, length, error);
    VmpDigest digest;
    if (!data)
        return NULL;

    vmp_digest_compute(data, *length, &digest);
    g_autofree char *sha256 = vmp_digest_to_text(&digest);
    if (!file || !g_str_equal(sha256, file->sha256))
        return vmp_fail_null(error, VMP_ERROR_DAMAGED, "'%s' is damaged", path);
    return g_steal_pointer(&data);
}

/* ---- removing ---- */

static gboolean
remove_files(const char *path, GError **error)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name = NULL;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        if (!vmp_file_remove(file, error))
            return FALSE;
    }
    return rmdir(path) == 0 || errno == ENOENT ||
           vmp_fail_errno(error, errno, "cannot remove '%s'", path);
}

gboolean
vmp_repository_remove_folder(const VmpRepository *repository, const char *path, GError **error)
{
    g_autofree char *name = g_path_get_basename(path);

    if (*name == '.')
        return remove_files(path, error);

    /* Half a point must not look like one. */
    g_autofree char *aside = g_strconcat(".old-", name, NULL);
    g_autofree char *gone = vmp_repository_path(repository, aside, NULL);
    if (rename(path, gone) < 0)
        return vmp_fail_errno(error, errno, "cannot remove '%s'", path);
    return vmp_dir_sync(repository->path, error) && vmp_fault("point-unnamed", error) &&
           remove_files(gone, error);
}

gboolean
vmp_repository_sweep(VmpRepository *repository, GError **error)
{
    g_autoptr(GDir) dir = g_dir_open(repository->path, 0, NULL);
    const char *name = NULL;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = vmp_repository_path(repository, name, NULL);
        if ((g_str_has_prefix(name, ".new-") || g_str_has_prefix(name, ".old-")) &&
            !remove_files(path, error))
            return FALSE;
    }
    return TRUE;
}
