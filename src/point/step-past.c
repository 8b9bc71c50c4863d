/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* copy-past { "tag", "keep-tag": bool,
 *             "images": [ { "disk", "from", "path": of the copy, "backing": what both stand
 * on, "left": what the disk wrote to until now } ] }
 *
 * Each copy reads as the internal snapshot "tag" does, and has nothing else that is in
 * "from": no other snapshots, which are still there, and no bitmaps, which QEMU takes no image
 * back with and which tell nothing of that moment.  With "keep-tag" it has that one snapshot,
 * for the RAM in it.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/file.h"
#include "point/steps.h"
#include "storage/file-copy.h"
#include "storage/image.h"

/* With the owner of its original, whom QEMU may run as. */
static gboolean
copy_file(const char *from, const char *path, GCancellable *cancellable, GError **error)
{
    g_auto(VmpFd) fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    struct stat info;

    if (fd < 0)
        return vmp_fail_errno(error, errno, "cannot make '%s'", path);
    if (stat(from, &info) < 0)
        return vmp_fail_errno(error, errno, "cannot look at '%s'", from);
    if (geteuid() == 0 && fchown(fd, info.st_uid, info.st_gid) < 0)
        return vmp_fail_errno(error, errno, "cannot set the owner of '%s'", path);
    return vmp_file_copy(from, fd, cancellable, error);
}

static gboolean
drop_bitmaps(const VmpImage *image, GCancellable *cancellable, GError **error)
{
    for (guint i = 0; i < image->bitmaps->len; i++)
        if (!vmp_image_remove_bitmap(image->path,
                                     ((VmpBitmap *)g_ptr_array_index(image->bitmaps, i))->name,
                                     cancellable, error))
            return FALSE;
    return TRUE;
}

static gboolean
drop_snapshots(const VmpImage *image, const char *kept, GCancellable *cancellable,
               GError **error)
{
    for (guint i = 0; i < image->snapshots->len; i++) {
        const VmpInternalSnapshot *snapshot = g_ptr_array_index(image->snapshots, i);
        /* One that QEMU would take for another one stays. */
        if (g_strcmp0(snapshot->tag, kept) != 0 &&
            vmp_internal_snapshots_is_clear(image->snapshots, snapshot->tag) &&
            !vmp_image_snapshot(image->path, VMP_IMAGE_SNAPSHOT_DELETE, snapshot->tag,
                                cancellable, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
sync_file(const char *path, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);
    g_auto(VmpFd) fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) < 0)
        return vmp_fail_errno(error, errno, "cannot flush '%s'", path);
    return vmp_dir_sync(folder, error);
}

static gboolean
copy_image(VmpJson *json, const char *tag, gboolean keep_tag, GCancellable *cancellable,
           GError **error)
{
    VMP_ERROR_CONTEXT(error, "disk '%s'", vmp_json_get_string(json, "disk"));
    const char *path = vmp_json_get_string(json, "path");
    if (!copy_file(vmp_json_get_string(json, "from"), path, cancellable, error))
        return FALSE;

    g_autoptr(VmpImage) image = vmp_image_read(path, "qcow2", cancellable, error);
    return vmp_fault("past-copied", error) && image &&
           drop_bitmaps(image, cancellable, error) &&
           vmp_image_snapshot(path, VMP_IMAGE_SNAPSHOT_APPLY, tag, cancellable, error) &&
           drop_snapshots(image, keep_tag ? tag : NULL, cancellable, error) &&
           sync_file(path, error) && vmp_fault("past-ready", error);
}

static gboolean
apply(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpJson *images = vmp_json_get_array(step->args, "images");

    for (guint i = 0; i < vmp_json_length(images); i++)
        if (!copy_image(vmp_json_at(images, i), vmp_json_get_string(step->args, "tag"),
                        vmp_json_get_bool(step->args, "keep-tag", FALSE),
                        vmp_change_get_cancellable(change), error))
            return FALSE;
    return TRUE;
}

static gboolean
undo(const VmpStep *step, VmpChange *change G_GNUC_UNUSED, GError **error)
{
    VmpJson *images = vmp_json_get_array(step->args, "images");

    for (guint i = 0; i < vmp_json_length(images); i++)
        if (!vmp_file_remove(vmp_json_get_string(vmp_json_at(images, i), "path"), error))
            return FALSE;
    return TRUE;
}

static char *
describe(const VmpStep *step)
{
    VmpJson *images = vmp_json_get_array(step->args, "images");
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < vmp_json_length(images); i++)
        g_string_append_printf(text, "%scopy '%s' to '%s'", i ? ", " : "",
                               vmp_json_get_string(vmp_json_at(images, i), "from"),
                               vmp_json_get_string(vmp_json_at(images, i), "path"));
    g_string_append_printf(text, " and take the copy back to internal snapshot '%s'",
                           vmp_json_get_string(step->args, "tag"));
    return g_string_free(text, FALSE);
}

const VmpStepKind vmp_step_copy_past = {
    .name = "copy-past",
    .apply = apply,
    .undo = undo,
    .describe = describe,
};
