/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The files of new images: made all at once, or none; removed if they are ours. */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/nbd-uri.h"
#include "storage/nbd-peer.h"
#include "storage/overlay-export.h"
#include "storage/overlay-private.h"
#include "storage/overlay.h"
#include "storage/qcow2.h"

#define MARK_ATTRIBUTE "user.vmpoint.mark"

/* Flushing is what takes time, and file systems gather flushes that come together. */
#define MAX_THREADS 8

/* ---- making one file ---- */

static gboolean
check_spec(const VmpNewImage *image, GError **error)
{
    if (!image->network && !g_path_is_absolute(image->path))
        return vmp_fail(error, VMP_ERROR_INVALID, "'%s' is not an absolute path", image->path);
    if (image->network && vmp_new_image_is_raw(image))
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED, "a raw export is never made");
    /* A relative name in the header and QEMU's own absolute one are two names for one image,
     * and QEMU then makes a third of them ("json:{...}") that it cannot open again. */
    if (image->backing_path && !image->relative && !g_path_is_absolute(image->backing_path) &&
        !vmp_nbd_uri_is(image->backing_path))
        return vmp_fail(error, VMP_ERROR_INVALID, "backing image '%s' is not an absolute path",
                        image->backing_path);
    if (image->backing_path && !image->backing_format)
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "the format of backing image '%s' is not said", image->backing_path);
    if (!vmp_new_image_is_raw(image) && !g_str_equal(vmp_new_image_get_format(image), "qcow2"))
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED, "cannot make images of format '%s'",
                        image->format);
    if (vmp_new_image_is_raw(image) && image->backing_path)
        return vmp_fail(error, VMP_ERROR_INVALID, "a raw image has no backing image");
    return TRUE;
}

static int
open_device(const VmpNewImage *image, GError **error)
{
    /* O_EXCL: not one that is mounted or part of another device. */
    g_auto(VmpFd) fd = open(image->path, O_RDWR | O_EXCL | O_CLOEXEC);
    struct stat info;

    if (fd < 0 || fstat(fd, &info) < 0) {
        vmp_fail_errno(error, errno, "cannot open it");
        return -1;
    }
    if (!S_ISBLK(info.st_mode)) {
        vmp_fail(error, VMP_ERROR_INVALID, "it is not a block device");
        return -1;
    }
    return g_steal_fd(&fd);
}

/* The caller may have made the file, to choose its name or owner, but put nothing in. */
static int
open_empty(const VmpNewImage *image, GError **error)
{
    g_auto(VmpFd) fd = open(image->path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat info;

    if (fd < 0 || fstat(fd, &info) < 0 || !S_ISREG(info.st_mode) || info.st_size != 0) {
        vmp_fail(error, VMP_ERROR_EXISTS, "it exists and is not an empty file");
        return -1;
    }
    return g_steal_fd(&fd);
}

/* What has become of a file, and so what takes it back. */
typedef enum {
    FILE_UNTOUCHED, /* nothing, or it is a device */
    FILE_MADE,      /* unlink it */
    FILE_FILLED,    /* it was there, empty: empty it */
    FILE_EXPORT,    /* clear it, if the mark is ours */
} FileChange;

static int
open_target(const VmpNewImage *image, FileChange *change, GError **error)
{
    if (image->block_device)
        return open_device(image, error);

    int fd = open(image->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        *change = FILE_MADE;
    } else if (errno == EEXIST) {
        fd = open_empty(image, error);
        *change = fd >= 0 ? FILE_FILLED : FILE_UNTOUCHED;
    } else {
        vmp_fail_errno(error, errno, "cannot make it");
    }
    return fd;
}

/* Owner and mode of the model, so that whoever may use that one may use this one, but never
 * for others: a template that all may read gets an overlay with somebody's data in it. */
static gboolean
take_after_model(int fd, const VmpNewImage *image, GError **error)
{
    struct stat model;

    /* Who serves an export is nobody of this host. */
    if (!image->model || vmp_nbd_uri_is(image->model))
        return TRUE;
    if (stat(image->model, &model) < 0)
        return vmp_fail_errno(error, errno, "cannot look at '%s', whose owner it is to have",
                              image->model);
    if (!S_ISREG(model.st_mode))
        return TRUE; /* a block device's owner says who manages devices */
    /* Only root can give files away; QEMU run by somebody else runs as that one. */
    if (fchown(fd, model.st_uid, model.st_gid) < 0 && geteuid() == 0)
        return vmp_fail_errno(error, errno, "cannot give it the owner of '%s'", image->model);
    if (fchmod(fd, (model.st_mode & 0660) | 0600) < 0)
        return vmp_fail_errno(error, errno, "cannot give it the mode of '%s'", image->model);
    return TRUE;
}

static gboolean
check_device_size(int fd, guint64 size, GError **error)
{
    guint64 actual = 0;

    if (ioctl(fd, BLKGETSIZE64, &actual) < 0)
        return vmp_fail_errno(error, errno, "cannot ask for the size of the device");
    if (actual < size)
        return vmp_fail(error, VMP_ERROR_IO,
                        "the device has %" G_GUINT64_FORMAT " bytes, %" G_GUINT64_FORMAT
                        " are needed",
                        actual, size);
    return TRUE;
}

static gboolean
lay_down_raw(int fd, const VmpNewImage *image, GError **error)
{
    char mark[17];

    if (image->block_device)
        return check_device_size(fd, image->size, error);

    g_snprintf(mark, sizeof mark, "%016" G_GINT64_MODIFIER "x", image->mark);
    /* Not all file systems have attributes; a file without one is left where it is. */
    if (fsetxattr(fd, MARK_ATTRIBUTE, mark, strlen(mark), 0) < 0 && errno != ENOTSUP)
        return vmp_fail_errno(error, errno, "cannot mark it");
    if (ftruncate(fd, (off_t)image->size) < 0)
        return vmp_fail_errno(error, errno, "cannot give it its size");
    return TRUE;
}

gboolean
vmp_new_image_write_qcow2(int fd, const VmpNewImage *image, GError **error)
{
    const VmpQcow2 qcow2 = {
        /* QEMU counts in sectors and rounds the size of raw files up. */
        .size = (image->size + 511) / 512 * 512, .cluster_size = image->cluster_size,
        .extended_l2 = image->extended_l2,       .backing = image->backing_path,
        .backing_format = image->backing_format, .mark = image->block_device ? 0 : image->mark,
    };
    return vmp_qcow2_write(fd, &qcow2, error);
}

static gboolean
lay_down(int fd, const VmpNewImage *image, GError **error)
{
    return vmp_new_image_is_raw(image) ? lay_down_raw(fd, image, error)
                                       : vmp_new_image_write_qcow2(fd, image, error);
}

static gboolean
make_image(const VmpNewImage *image, FileChange *change, GError **error)
{
    VMP_ERROR_CONTEXT(error, "cannot make image '%s'", image->path);

    if (!check_spec(image, error))
        return FALSE;
    if (image->network) {
        *change = FILE_EXPORT;
        return vmp_new_export_make(image, error);
    }
    g_auto(VmpFd) fd = open_target(image, change, error);
    if (fd < 0 || (*change == FILE_MADE && !take_after_model(fd, image, error)) ||
        !lay_down(fd, image, error))
        return FALSE;
    /* Now, and by us: QEMU would flush five times on the way. */
    if (fsync(fd) < 0)
        return vmp_fail_errno(error, errno, "cannot flush it");
    return TRUE;
}

/* ---- making all of them ---- */

typedef struct {
    const VmpNewImage *image;
    FileChange change;
    GError *error;
} Making;

static void
make_in_thread(gpointer data, gpointer unused)
{
    Making *making = data;

    make_image(making->image, &making->change, &making->error);
}

static void
make_all(Making *makings, guint count)
{
    if (count == 1) {
        make_in_thread(makings, NULL);
        return;
    }

    GThreadPool *pool =
        g_thread_pool_new(make_in_thread, NULL, (int)MIN(count, MAX_THREADS), FALSE, NULL);
    for (guint i = 0; i < count; i++)
        g_thread_pool_push(pool, &makings[i], NULL);
    g_thread_pool_free(pool, FALSE, TRUE); /* waits */
}

static gboolean
take_first_error(Making *makings, guint count, GError **error)
{
    for (guint i = 0; i < count; i++)
        if (makings[i].error) {
            g_propagate_error(error, g_steal_pointer(&makings[i].error));
            return FALSE;
        }
    return TRUE;
}

/* A new file is there after a power cut when its folder was flushed as well. */
static gboolean
sync_folders(const Making *makings, guint count, GError **error)
{
    g_autoptr(GHashTable) synced =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < count; i++) {
        if (makings[i].change != FILE_MADE)
            continue;
        char *folder = g_path_get_dirname(makings[i].image->path);
        if (g_hash_table_add(synced, folder) && !vmp_dir_sync(folder, error))
            return FALSE;
    }
    return TRUE;
}

/* What led here is the error to report; a file that cannot be taken back now is one that
 * remove finds again by its mark. */
static void
unmake(const Making *making)
{
    const char *path = making->image->path;
    g_autoptr(GError) failure = NULL;

    if (making->change == FILE_EXPORT &&
        !vmp_new_export_clear(path, making->image->mark, &failure))
        g_debug("%s", failure->message);
    if ((making->change == FILE_MADE && unlink(path) < 0) ||
        (making->change == FILE_FILLED && truncate(path, 0) < 0))
        g_debug("cannot take back '%s': %s", path, g_strerror(errno));
}

gboolean
vmp_new_images_create(GPtrArray *images, GCancellable *cancellable, GError **error)
{
    g_autofree Making *makings = g_new0(Making, images->len);
    guint count = 0;

    if (g_cancellable_is_cancelled(cancellable))
        return vmp_fail(error, VMP_ERROR_INTERRUPTED, "cancelled before images were made");
    for (guint i = 0; i < images->len; i++) {
        VmpNewImage *image = g_ptr_array_index(images, i);
        if (image->reuse)
            continue;
        vmp_new_image_give_mark(image);
        makings[count++].image = image;
    }
    if (count == 0)
        return TRUE;

    make_all(makings, count);
    gboolean done = vmp_fault("images-made", error) &&
                    take_first_error(makings, count, error) &&
                    sync_folders(makings, count, error);
    for (guint i = 0; i < count; i++) {
        if (!done)
            unmake(&makings[i]);
        g_clear_error(&makings[i].error);
    }
    return done;
}

/* ---- removing ---- */

static guint64
read_attribute(int fd)
{
    char text[17] = "";

    return fgetxattr(fd, MARK_ATTRIBUTE, text, sizeof text - 1) > 0
               ? g_ascii_strtoull(text, NULL, 16)
               : 0;
}

static gboolean
is_ours(int fd, const VmpNewImage *image)
{
    struct stat info;

    if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode))
        return FALSE;
    /* Killed between making the file and marking it: nothing is lost with nothing in it. */
    if (info.st_size == 0)
        return TRUE;
    const guint64 mark =
        vmp_new_image_is_raw(image) ? read_attribute(fd) : vmp_qcow2_read_mark(fd);
    return mark != 0 && mark == image->mark;
}

static gboolean
remove_image(const VmpNewImage *image, GError **error)
{
    if (image->reuse || image->block_device)
        return TRUE;
    if (image->network)
        return vmp_new_export_clear(image->path, image->mark, error);

    g_auto(VmpFd) fd = open(image->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && !vmp_file_is_none_of_ours(errno))
        return vmp_fail_errno(error, errno, "cannot remove image '%s'", image->path);
    if (fd < 0 || !is_ours(fd, image))
        return TRUE;
    return vmp_file_remove(image->path, error);
}

gboolean
vmp_new_images_remove(GPtrArray *images, GError **error)
{
    gboolean done = TRUE;

    /* All that can go goes; the first that cannot is the error. */
    for (guint i = 0; i < images->len; i++)
        if (!remove_image(g_ptr_array_index(images, i), done ? error : NULL))
            done = FALSE;
    return done;
}

static gboolean
sync_image(const VmpNewImage *image, GError **error)
{
    if (image->network)
        return vmp_nbd_peer_flush(image->path, image->tls_dir, error);

    g_auto(VmpFd) fd = open(image->path, O_RDONLY | O_CLOEXEC);
    g_autofree char *folder = g_path_get_dirname(image->path);

    if (fd < 0 || fsync(fd) < 0)
        return vmp_fail_errno(error, errno, "cannot sync '%s'", image->path);
    return vmp_dir_sync(folder, error);
}

gboolean
vmp_new_images_sync(GPtrArray *images, GError **error)
{
    for (guint i = 0; i < images->len; i++)
        if (!sync_image(g_ptr_array_index(images, i), error))
            return FALSE;
    return TRUE;
}
