/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Writing a point's disks: every block is proved by its digest.
 *
 * The list of a disk follows from the lists of the chain, and proves itself by the disk's
 * digest, which the manifest has; then what any block must be is known before it is read.
 * On a device nothing else is written: each block is compared between being read and being
 * written.  A file is written aside by qemu-img, read again and compared as a whole, synced,
 * and gets its name when all disks are complete: what is proved is the result itself.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/block-copy.h"
#include "backup/restore-point.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/file.h"
#include "storage/image.h"
#include "storage/overlay.h"
#include "storage/writeback.h"

#define REPORT_INTERVAL (G_USEC_PER_SEC / 5)

/* One disk's way. */
typedef struct {
    const VmpManifestDisk *disk;
    char *target; /* where it goes */
    char *aside;  /* where it is written: the same for a device */
    gboolean is_device;
    const char *format;
    gboolean made; /* @aside is a file of ours that has no name yet */
    VmpFd fd;      /* of @aside */
} Way;

static void
way_free(Way *way)
{
    vmp_fd_clear(&way->fd);
    if (way->made)
        vmp_file_remove(way->aside, NULL);
    g_free(way->target);
    g_free(way->aside);
    g_free(way);
}

/* ---- where to ---- */

static char *
target_of(const VmpRestoreSpec *spec, const VmpManifestDisk *disk, const char *format)
{
    g_autofree char *to = g_canonicalize_filename(spec->to, NULL);
    g_autofree char *name = g_strdup_printf("%s%s%s.%s", spec->prefix ? spec->prefix : "",
                                            spec->prefix ? "-" : "", disk->name, format);

    return g_file_test(to, G_FILE_TEST_IS_DIR) ? g_build_filename(to, name, NULL)
                                               : g_steal_pointer(&to);
}

static gboolean
check_target(const Way *way, gboolean overwrite, GError **error)
{
    struct stat info;

    if (lstat(way->target, &info) < 0 && errno == ENOENT)
        return TRUE;
    if (way->is_device)
        return overwrite || vmp_fail(error, VMP_ERROR_RISKY,
                                     "what is on device '%s' would be lost", way->target);
    if (overwrite && S_ISREG(info.st_mode))
        return TRUE;
    return vmp_fail(error, VMP_ERROR_EXISTS, "'%s' exists already", way->target);
}

static Way *
way_new(const VmpRestoreSpec *spec, const VmpManifestDisk *disk, GError **error)
{
    Way *way = g_new0(Way, 1);
    struct stat info;

    way->fd = -1;
    way->disk = disk;
    way->format = spec->format ? spec->format : "qcow2";
    way->target = target_of(spec, disk, way->format);
    way->is_device = stat(way->target, &info) == 0 && S_ISBLK(info.st_mode);
    way->aside =
        way->is_device ? g_strdup(way->target) : g_strconcat(way->target, ".restoring", NULL);
    if (check_target(way, spec->overwrite, error))
        return way;
    way_free(way);
    return NULL;
}

static gboolean
open_device(Way *way, GError **error)
{
    way->fd = open(way->aside, O_RDWR | O_EXCL | O_CLOEXEC);
    if (way->fd < 0)
        return vmp_fail_errno(error, errno, "cannot open '%s'", way->aside);
    off_t size = lseek(way->fd, 0, SEEK_END);
    return size >= (off_t)way->disk->size ||
           vmp_fail(error, VMP_ERROR_IO,
                    "device '%s' has %" G_GINT64_FORMAT " bytes, %" G_GUINT64_FORMAT
                    " are needed",
                    way->target, (gint64)size, way->disk->size);
}

/* ---- a device ---- */

/* A device may hold anything where the disk has nothing. */
static gboolean
zero_gaps(const Way *way, const GArray *blocks, GError **error)
{
    g_autoptr(VmpContent) device =
        vmp_content_open(way->target, "raw", VMP_CONTENT_WRITE, error);
    guint64 at = 0;

    if (!device)
        return FALSE;
    for (guint i = 0; i <= blocks->len; i++) {
        guint64 start = i < blocks->len
                            ? g_array_index(blocks, VmpBlock, i).first * VMP_BLOCK_SIZE
                            : way->disk->size;
        if (start > at && !vmp_content_zero(device, at, start - at, error))
            return FALSE;
        at = start + VMP_BLOCK_SIZE;
    }
    return vmp_content_close(g_steal_pointer(&device), error);
}

static gboolean
complete(Way *way, GError **error)
{
    return fsync(way->fd) == 0 ||
           vmp_fail_errno(error, errno, "cannot write out '%s'", way->aside);
}

static gboolean
fill_device(Way *way, const char *image, GArray *blocks, VmpOperation *operation,
            GError **error)
{
    return zero_gaps(way, blocks, error) && open_device(way, error) &&
           vmp_block_copy(image, way->disk->size, blocks, NULL, way->fd, "restore", operation,
                          error) &&
           complete(way, error);
}

/* ---- a file, or an image on a device ---- */

typedef struct {
    const Way *way;
    const char *image;
    GCancellable *cancellable;
    GMutex lock; /* of what follows */
    GCond ended;
    gboolean has_ended;
    GError *failure;
} Copy;

static gpointer
copy_in_thread(gpointer data)
{
    Copy *copy = data;
    const VmpImageSpec spec = { .path = copy->way->aside, .format = copy->way->format };
    GError *failure = NULL;

    vmp_image_convert(copy->image, "qcow2", &spec, copy->cancellable, &failure);
    g_mutex_lock(&copy->lock);
    copy->failure = failure;
    copy->has_ended = TRUE;
    g_cond_signal(&copy->ended);
    g_mutex_unlock(&copy->lock);
    return NULL;
}

static void
watch_copy(Copy *copy, guint64 total, VmpOperation *operation)
{
    g_mutex_lock(&copy->lock);
    while (!copy->has_ended) {
        struct stat info = { 0 };
        g_cond_wait_until(&copy->ended, &copy->lock, g_get_monotonic_time() + REPORT_INTERVAL);
        g_mutex_unlock(&copy->lock);
        if (fstat(copy->way->fd, &info) == 0)
            vmp_operation_report_progress(operation, "restore",
                                          MIN((guint64)info.st_blocks * 512, total), total);
        g_mutex_lock(&copy->lock);
    }
    g_mutex_unlock(&copy->lock);
}

/* What is copied is on its way to stable storage at once. */
static gboolean
copy_file(const Way *way, const char *image, guint64 total, VmpOperation *operation,
          GError **error)
{
    Copy copy = { .way = way,
                  .image = image,
                  .cancellable = vmp_operation_get_cancellable(operation) };
    g_autoptr(GPtrArray) images = g_ptr_array_new();
    VmpNewImage written = { .path = way->aside };

    g_ptr_array_add(images, &written);
    g_mutex_init(&copy.lock);
    g_cond_init(&copy.ended);
    VmpWriteback *writeback = vmp_writeback_begin(images);
    GThread *thread = g_thread_new("vmpoint-copy", copy_in_thread, &copy);
    watch_copy(&copy, total, operation);
    g_thread_join(thread);
    vmp_writeback_end(writeback);
    g_mutex_clear(&copy.lock);
    g_cond_clear(&copy.ended);
    if (copy.failure)
        g_propagate_error(error, copy.failure);
    return copy.failure == NULL;
}

/* The first block of two lists that is not the same in both; G_MAXUINT64 if they are equal. */
static guint64
first_difference(const GArray *one, const GArray *other)
{
    for (guint i = 0; i < one->len || i < other->len; i++) {
        const VmpBlock *a = i < one->len ? &g_array_index(one, VmpBlock, i) : NULL;
        const VmpBlock *b = i < other->len ? &g_array_index(other, VmpBlock, i) : NULL;
        if (!a || !b)
            return a ? a->first : b->first;
        if (a->first != b->first || !vmp_digest_equal(&a->digest, &b->digest))
            return MIN(a->first, b->first);
    }
    return G_MAXUINT64;
}

static gboolean
prove_file(const Way *way, const GArray *blocks, VmpOperation *operation, GError **error)
{
    guint64 size = 0;
    g_autoptr(GArray) written =
        vmp_block_scan_all(way->aside, way->format, "check", operation, &size, error);
    guint64 wrong = written ? first_difference(blocks, written) : 0;

    if (!written)
        return FALSE;
    if (size != way->disk->size)
        return vmp_fail(error, VMP_ERROR_DAMAGED,
                        "what was read has %" G_GUINT64_FORMAT
                        " bytes, not %" G_GUINT64_FORMAT,
                        size, way->disk->size);
    return wrong == G_MAXUINT64 ||
           vmp_fail(error, VMP_ERROR_DAMAGED,
                    "what is read is not what the guest saw, at byte %" G_GUINT64_FORMAT,
                    wrong * VMP_BLOCK_SIZE);
}

static gboolean
fill_file(Way *way, const char *image, const GArray *blocks, VmpOperation *operation,
          GError **error)
{
    way->fd =
        open(way->aside, O_RDWR | O_EXCL | O_CLOEXEC | (way->is_device ? 0 : O_CREAT), 0600);
    if (way->fd < 0)
        return vmp_fail_errno(error, errno, "cannot open '%s'", way->aside);
    way->made = !way->is_device;
    return copy_file(way, image, (guint64)blocks->len * VMP_BLOCK_SIZE, operation, error) &&
           prove_file(way, blocks, operation, error) && complete(way, error);
}

/* ---- one disk ---- */

/* The list of all blocks, proved by the manifest. */
static GArray *
read_proved_blocks(const VmpRepository *repository, const VmpManifest *manifest,
                   const VmpManifestDisk *disk, GCancellable *cancellable, GError **error)
{
    g_autoptr(GPtrArray) chain = vmp_repository_chain(repository, manifest, disk->name, error);
    g_autoptr(GArray) blocks =
        chain && vmp_repository_check_chain(repository, chain, disk->name, cancellable, error)
            ? vmp_restore_point_read_blocks(repository, chain, disk->name, FALSE, error)
            : NULL;
    VmpDigest digest;
    if (!blocks)
        return NULL;

    vmp_blocks_view(blocks, disk->size, &digest);
    g_autofree char *view = vmp_digest_to_text(&digest);
    if (!g_str_equal(view, disk->view))
        return vmp_fail_null(error, VMP_ERROR_DAMAGED,
                             "a list of blocks in its chain is not as it was written");
    return g_steal_pointer(&blocks);
}

static gboolean
restore_disk(const VmpRepository *repository, const VmpManifest *manifest, Way *way,
             VmpOperation *operation, GError **error)
{
    VMP_ERROR_CONTEXT(error, "disk '%s'", way->disk->name);
    GCancellable *cancellable = vmp_operation_get_cancellable(operation);
    g_autofree char *image = vmp_repository_path(repository, manifest->name, way->disk->image);
    g_autoptr(GArray) blocks =
        read_proved_blocks(repository, manifest, way->disk, cancellable, error);

    if (!blocks || vmp_operation_get_dry_run(operation))
        return blocks != NULL;
    return way->is_device && g_str_equal(way->format, "raw")
               ? fill_device(way, image, blocks, operation, error)
               : fill_file(way, image, blocks, operation, error);
}

static gboolean
give_name(Way *way, gboolean overwrite, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(way->target);

    if (way->is_device)
        return TRUE;
    int failed =
        overwrite ? rename(way->aside, way->target)
                  : renameat2(AT_FDCWD, way->aside, AT_FDCWD, way->target, RENAME_NOREPLACE);
    if (failed)
        return vmp_fail_errno(error, errno, "cannot give '%s' its name", way->target);
    way->made = FALSE;
    return vmp_dir_sync(folder, error);
}

/* ---- all of them ---- */

static GPtrArray *
choose_ways(const VmpManifest *manifest, const VmpRestoreSpec *spec, GError **error)
{
    g_autoptr(GPtrArray) ways = g_ptr_array_new_with_free_func((GDestroyNotify)way_free);

    for (guint i = 0; i < manifest->disks->len; i++) {
        const VmpManifestDisk *disk = g_ptr_array_index(manifest->disks, i);
        if (spec->disk && !g_str_equal(spec->disk, disk->name))
            continue;
        Way *way = way_new(spec, disk, error);
        if (!way)
            return NULL;
        g_ptr_array_add(ways, way);
    }
    if (ways->len == 0)
        return vmp_fail_null(error, VMP_ERROR_NOT_FOUND, "it has no disk '%s'", spec->disk);
    if (ways->len > 1 && !g_file_test(spec->to, G_FILE_TEST_IS_DIR))
        return vmp_fail_null(error, VMP_ERROR_INVALID,
                             "it has %u disks: name one, or a folder for all of them",
                             ways->len);
    return g_steal_pointer(&ways);
}

static gboolean
check_spec(const VmpRestoreSpec *spec, GError **error)
{
    if (spec->format && !g_str_equal(spec->format, "qcow2") &&
        !g_str_equal(spec->format, "raw"))
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "the format '%s' is neither qcow2 nor raw", spec->format);
    return spec->to || vmp_fail(error, VMP_ERROR_INVALID, "it is not said where to");
}

gboolean
vmp_repository_restore(const char *path, const char *point, const VmpRestoreSpec *spec,
                       VmpOperation *operation, GError **error)
{
    g_autoptr(VmpRepository) repository =
        check_spec(spec, error) ? vmp_repository_open(path, VMP_REPOSITORY_READ, error) : NULL;
    const VmpManifest *manifest =
        repository ? vmp_repository_get(repository, point, error) : NULL;
    if (!manifest)
        return FALSE;

    VMP_ERROR_CONTEXT(error, "point '%s'", manifest->name);
    g_autoptr(GPtrArray) ways = choose_ways(manifest, spec, error);
    for (guint i = 0; ways && i < ways->len; i++)
        if (!restore_disk(repository, manifest, g_ptr_array_index(ways, i), operation, error))
            return FALSE;
    if (!ways || vmp_operation_get_dry_run(operation))
        return ways != NULL;
    if (!vmp_fault("restored", error))
        return FALSE;
    for (guint i = 0; i < ways->len; i++)
        if (!give_name(g_ptr_array_index(ways, i), spec->overwrite, error))
            return FALSE;
    return TRUE;
}
