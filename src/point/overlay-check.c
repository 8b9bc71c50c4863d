/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/overlay-check.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "point/layer.h"
#include "point/overlay-export-check.h"
#include "storage/image.h"
#include "store/store.h"

/* ---- one that is to be made ---- */

/* The ledger has one owner for each path, and would not take it for a second one when all is
 * done already. */
static gboolean
check_owner(VmpMachine *machine, const VmpSnapshotDisk *disk, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(VmpStoreFile) file =
        vmp_store_find_file(vmp_machine_get_store(machine), disk->source, &failure);

    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    if (!file || file->domain == vmp_machine_get_row(machine)->id)
        return TRUE;
    return vmp_fail(
        error, VMP_ERROR_EXISTS,
        "disk '%s': the overlay '%s' would have the name of a file that vmpoint made "
        "for another domain",
        disk->name, disk->source);
}

static gboolean
check_folder(const VmpSnapshotDisk *disk, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(disk->source);

    if (access(folder, W_OK | X_OK) == 0)
        return TRUE;
    return vmp_fail_errno(error, errno,
                          "disk '%s': the overlay '%s' cannot be made in that folder",
                          disk->name, disk->source);
}

/* An empty file is as good as none; what a block device holds is overwritten. */
static gboolean
check_new(VmpMachine *machine, const VmpSnapshotDisk *disk, GError **error)
{
    struct stat about;

    if (disk->type == VMP_STORAGE_BLOCK)
        return TRUE;
    if (lstat(disk->source, &about) == 0 && !(S_ISREG(about.st_mode) && about.st_size == 0))
        return vmp_fail(
            error, VMP_ERROR_EXISTS,
            "disk '%s': the overlay '%s' exists already (--reuse-external takes one "
            "that was prepared)",
            disk->name, disk->source);
    return check_folder(disk, error) && check_owner(machine, disk, error);
}

/* ---- one that was prepared ---- */

/* Are they one file, whatever they are called? */
static gboolean
is_same_file(const char *one, const char *other)
{
    struct stat a, b;

    if (g_strcmp0(one, other) == 0)
        return TRUE;
    return one && other && stat(one, &a) == 0 && stat(other, &b) == 0 &&
           a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static gboolean
check_backing(const VmpSnapshotDisk *disk, const VmpImage *image, const VmpBlockNode *below,
              GError **error)
{
    const char *format = vmp_layer_format_of(below);

    if (!is_same_file(image->backing_path, below->path))
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "disk '%s': the overlay '%s' stands on '%s' and not on '%s'",
                        disk->name, disk->source,
                        image->backing_path ? image->backing_path : "nothing", below->path);
    if (!image->backing_format || g_strcmp0(image->backing_format, format) == 0)
        return TRUE;
    return vmp_fail(
        error, VMP_ERROR_INVALID,
        "disk '%s': the overlay '%s' takes the image below it for '%s', which is '%s'",
        disk->name, disk->source, image->backing_format, format);
}

static gboolean
check_prepared(const VmpSnapshotDisk *disk, const VmpBlockNode *below, GError **error)
{
    const char *format = disk->driver ? disk->driver : "qcow2";

    if (disk->type != VMP_STORAGE_NETWORK && !g_file_test(disk->source, G_FILE_TEST_EXISTS))
        return vmp_fail(error, VMP_ERROR_NOT_FOUND,
                        "disk '%s': the overlay '%s', which was to be there already, is not",
                        disk->name, disk->source);
    g_autoptr(VmpImage) image = vmp_image_read(disk->source, NULL, NULL, error);
    if (!image) {
        g_prefix_error(error, "disk '%s': ", disk->name);
        return FALSE;
    }
    if (g_strcmp0(image->format, format) != 0)
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "disk '%s': the overlay '%s' has the format '%s' and not '%s'",
                        disk->name, disk->source, image->format, format);
    /* QEMU takes a smaller one without a word, and the guest's disk shrinks. */
    if (image->virtual_size < below->size)
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "disk '%s': the overlay '%s' has %" G_GUINT64_FORMAT
                        " bytes, the disk %" G_GUINT64_FORMAT,
                        disk->name, disk->source, image->virtual_size, below->size);
    return check_backing(disk, image, below, error);
}

gboolean
vmp_overlay_check(VmpMachine *machine, const VmpSnapshotDisk *disk, const VmpBlockNode *below,
                  gboolean reuse, GError **error)
{
    if (disk->type == VMP_STORAGE_NETWORK &&
        !vmp_overlay_check_export(machine, disk, below, reuse, error))
        return FALSE;
    if (reuse)
        return check_prepared(disk, below, error);
    return disk->type == VMP_STORAGE_NETWORK ? check_owner(machine, disk, error)
                                             : check_new(machine, disk, error);
}
