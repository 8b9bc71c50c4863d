/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Writing a point's disks: every block is proved by its digest.
 *
 * The list of a disk follows from the lists of the chain, and proves itself by the disk's
 * digest, which the manifest has; then what any block must be is known before it is read, and
 * how many there are before an image is made.  So the image's tables come first; then each
 * block is copied by the kernel from file to file, read again where it was written, and
 * compared; at last QEMU is asked what the image shows, which must be these blocks at these
 * places and nothing else.  A file is written aside and gets its name when all disks are
 * complete and synced.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/restore-point.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/file.h"
#include "storage/content.h"
#include "storage/overlay.h"
#include "storage/qcow2.h"
#include "storage/writeback.h"

/* One disk's way. */
typedef struct {
    const VmpManifestDisk *disk;
    char *target; /* where it goes */
    char *aside;  /* where it is written: the same for a device */
    gboolean is_device;
    const char *format;
    guint64 mark;
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
    way->mark = spec->mark;
    way->target = target_of(spec, disk, way->format);
    way->is_device = stat(way->target, &info) == 0 && S_ISBLK(info.st_mode);
    way->aside = way->is_device ? g_strdup(way->target)
                                : g_strconcat(way->target, VMP_RESTORE_ASIDE, NULL);
    if (check_target(way, spec->overwrite, error))
        return way;
    way_free(way);
    return NULL;
}

static gboolean
is_raw(const Way *way)
{
    return g_str_equal(way->format, "raw");
}

/* An image needs less than the disk, or more: whoever writes it finds out. */
static gboolean
check_room(const Way *way, GError **error)
{
    off_t size = lseek(way->fd, 0, SEEK_END);

    return !is_raw(way) || size >= (off_t)way->disk->size ||
           vmp_fail(error, VMP_ERROR_IO,
                    "device '%s' has %" G_GINT64_FORMAT " bytes, %" G_GUINT64_FORMAT
                    " are needed",
                    way->target, (gint64)size, way->disk->size);
}

/* ---- writing ---- */

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

/* An image with a place for each block. */
static gboolean
write_tables(const Way *way, const GArray *blocks, guint64 *start, GError **error)
{
    g_autofree guint64 *clusters = g_new(guint64, blocks->len);
    const VmpQcow2 image = { .size = way->disk->size,
                             .cluster_size = VMP_BLOCK_SIZE,
                             .mark = way->mark,
                             .clusters = clusters,
                             .n_clusters = blocks->len };

    for (guint i = 0; i < blocks->len; i++)
        clusters[i] = g_array_index(blocks, VmpBlock, i).first;
    return vmp_qcow2_get_data_offset(&image, start, error) &&
           vmp_qcow2_write(way->fd, &image, error);
}

static gboolean
open_aside(Way *way, GError **error)
{
    way->fd =
        open(way->aside, O_RDWR | O_EXCL | O_CLOEXEC | (way->is_device ? 0 : O_CREAT), 0600);
    if (way->fd < 0)
        return vmp_fail_errno(error, errno, "cannot open '%s'", way->aside);
    way->made = !way->is_device;
    return TRUE;
}

/* All that is written before the blocks. */
static gboolean
prepare(Way *way, const GArray *blocks, VmpBlockTarget *target, GError **error)
{
    if (is_raw(way) && way->is_device && !zero_gaps(way, blocks, error))
        return FALSE;
    if (!open_aside(way, error) || (way->is_device && !check_room(way, error)))
        return FALSE;
    target->fd = way->fd;
    target->packed = !is_raw(way);
    if (!is_raw(way))
        return write_tables(way, blocks, &target->start, error);
    return way->is_device || ftruncate(way->fd, (off_t)way->disk->size) == 0 ||
           vmp_fail_errno(error, errno, "cannot extend '%s'", way->aside);
}

/* What is written is on its way to stable storage at once. */
static gboolean
lay_blocks(const Way *way, const char *image, GArray *blocks, const VmpBlockTarget *target,
           VmpOperation *operation, GError **error)
{
    g_autoptr(GPtrArray) images = g_ptr_array_new();
    VmpNewImage written = { .path = way->aside, .block_device = way->is_device };

    g_ptr_array_add(images, &written);
    VmpWriteback *writeback = vmp_writeback_begin(images);
    gboolean laid =
        vmp_block_lay(image, way->disk->size, blocks, target, "restore", operation, error);
    vmp_writeback_end(writeback);
    return laid;
}

/* Behind the disk a raw device is as it was, and its gaps were written. */
static gboolean
prove(const Way *way, const GArray *blocks, const VmpBlockTarget *target,
      GCancellable *cancellable, GError **error)
{
    return (is_raw(way) && way->is_device) ||
           vmp_block_check_laid(way->aside, way->format, way->disk->size, blocks, target,
                                cancellable, error);
}

static gboolean
fill(Way *way, const char *image, GArray *blocks, VmpOperation *operation, GError **error)
{
    VmpBlockTarget target = { 0 };

    if (!prepare(way, blocks, &target, error) ||
        !lay_blocks(way, image, blocks, &target, operation, error) ||
        !prove(way, blocks, &target, vmp_operation_get_cancellable(operation), error))
        return FALSE;
    return fsync(way->fd) == 0 ||
           vmp_fail_errno(error, errno, "cannot write out '%s'", way->aside);
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
    return fill(way, image, blocks, operation, error);
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
