/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What an image that nobody has open says about itself: its backing image, its internal
 * snapshots, its bitmaps. */

#include "base/error.h"
#include "base/process.h"
#include "storage/image.h"
#include "storage/qemu-img.h"

/* ---- changing and checking ---- */

gboolean
vmp_image_set_backing(const char *path, const char *backing, const char *backing_format,
                      GCancellable *cancellable, GError **error)
{
    VMP_ERROR_CONTEXT(error, "cannot set the backing image of '%s'", path);

    g_autoptr(GStrvBuilder) arguments =
        vmp_qemu_img_new("rebase", "-q", "-u", "-f", "qcow2", NULL);
    g_autofree char *full = vmp_qemu_img_path(path);

    vmp_qemu_img_add_option(arguments, "-b", backing ? backing : "");
    vmp_qemu_img_add_option(arguments, "-F", backing ? backing_format : NULL);
    g_strv_builder_add(arguments, full);
    return vmp_qemu_img_run(arguments, NULL, cancellable, error);
}

gboolean
vmp_image_snapshot(const char *path, VmpImageSnapshotVerb verb, const char *tag,
                   GCancellable *cancellable, GError **error)
{
    static const char *const options[] = { "-c", "-a", "-d" };
    VMP_ERROR_CONTEXT(error, "internal snapshot '%s' of image '%s'", tag, path);

    g_autofree char *name =
        vmp_qemu_img_name(path, "qcow2", verb == VMP_IMAGE_SNAPSHOT_DELETE);
    g_autoptr(GStrvBuilder) arguments =
        vmp_qemu_img_new("snapshot", "-q", options[verb], tag, name, NULL);

    return vmp_qemu_img_run(arguments, NULL, cancellable, error);
}

gboolean
vmp_image_remove_bitmap(const char *path, const char *name, GCancellable *cancellable,
                        GError **error)
{
    VMP_ERROR_CONTEXT(error, "image '%s'", path);

    g_autofree char *full = vmp_qemu_img_path(path);
    g_autoptr(GStrvBuilder) arguments =
        vmp_qemu_img_new("bitmap", "--remove", "-f", "qcow2", full, name, NULL);

    return vmp_qemu_img_run(arguments, NULL, cancellable, error);
}

gboolean
vmp_image_add_bitmap(const char *path, const char *format, const char *name,
                     guint32 granularity, GCancellable *cancellable, GError **error)
{
    VMP_ERROR_CONTEXT(error, "cannot add bitmap '%s' to '%s'", name, path);
    g_autofree char *bytes =
        g_strdup_printf("%" G_GUINT32_FORMAT, granularity ? granularity : 65536);
    const char *const argv[] = {
        "qemu-img", "bitmap", "--add", "-f", format ? format : "qcow2",
        "-g",       bytes,    path,    name, NULL
    };

    return vmp_tool_check(argv, VMP_ERROR_IO, NULL, cancellable, error);
}
