/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include <vmpoint/backup.h>

#include "base/error.h"
#include "base/file.h"
#include "storage/image.h"

/* Every image must be there, and of one size, before anything is written. */
static gboolean
check_chain(const char *const *images, guint64 *size, GCancellable *cancellable,
            GError **error)
{
    for (guint i = 0; images[i]; i++) {
        g_autoptr(VmpImage) image = vmp_image_read(images[i], NULL, cancellable, error);
        if (!image)
            return FALSE;
        if (i == 0)
            *size = image->virtual_size;
        if (i > 0 && !g_str_equal(image->format, "qcow2"))
            return vmp_fail(
                error, VMP_ERROR_INVALID,
                "increment '%s' is '%s': only a qcow2 image tells which parts it holds",
                images[i], image->format);
        if (image->virtual_size != *size)
            return vmp_fail(error, VMP_ERROR_INVALID,
                            "'%s' has %" G_GUINT64_FORMAT " bytes, '%s' has %" G_GUINT64_FORMAT
                            ": they are not of one disk",
                            images[i], image->virtual_size, images[0], *size);
        /* QEMU reads what was cut off a file as zeroes. */
        if (g_str_equal(image->format, "qcow2") &&
            !vmp_image_check_alone(images[i], image->format, cancellable, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
sync_and_rename(const char *from, const char *to, GError **error)
{
    g_auto(VmpFd) fd = open(from, O_RDONLY | O_CLOEXEC);
    g_autofree char *dir = g_path_get_dirname(to);

    if (fd < 0 || fsync(fd) < 0)
        return vmp_fail_errno(error, errno, "cannot sync '%s'", from);
    /* Never over something that came there meanwhile. */
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) < 0)
        return vmp_fail_errno(error, errno, "cannot give '%s' its name", to);
    return vmp_dir_sync(dir, error);
}

static char **
canonicalize_all(const char *const *paths)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

    for (guint i = 0; paths && paths[i]; i++) {
        g_autofree char *path = g_canonicalize_filename(paths[i], NULL);
        g_strv_builder_add(builder, path);
    }
    return g_strv_builder_end(builder);
}

static gboolean
write_and_compare(const char *const *images, const VmpImageSpec *spec,
                  GCancellable *cancellable, GError **error)
{
    return vmp_image_convert_chain(images, spec, cancellable, error) &&
           vmp_image_compare_chain(images, spec->path, spec->format, cancellable, error);
}

gboolean
vmp_backup_restore_chain(VmpHost *host G_GNUC_UNUSED, const char *const *images,
                         const char *target, const char *format, VmpOperation *operation,
                         GError **error)
{
    VMP_ERROR_CONTEXT(error, "restoring '%s'", target);
    /* With a folder in front, neither "-x" nor "nbd:x" is anything but a file's name. */
    g_autofree char *path = g_canonicalize_filename(target, NULL);
    g_auto(GStrv) chain = canonicalize_all(images);
    GCancellable *cancellable = vmp_operation_get_cancellable(operation);
    guint64 size = 0;

    if (!chain[0])
        return vmp_fail(error, VMP_ERROR_INVALID, "no backup image is given");
    if (format && !g_str_equal(format, "qcow2") && !g_str_equal(format, "raw"))
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "the format '%s' is neither qcow2 nor raw", format);
    if (g_file_test(path, G_FILE_TEST_EXISTS))
        return vmp_fail(error, VMP_ERROR_EXISTS, "it exists already");
    if (!check_chain((const char *const *)chain, &size, cancellable, error))
        return FALSE;
    if (vmp_operation_get_dry_run(operation))
        return TRUE;

    g_autofree char *aside = g_strdup_printf("%s.restoring", path);
    VmpImageSpec spec = { .path = aside, .format = format ? format : "qcow2", .size = size };
    if (g_file_test(aside, G_FILE_TEST_EXISTS))
        return vmp_fail(error, VMP_ERROR_EXISTS,
                        "'%s' exists: another restore runs, or was cut off; remove it then",
                        aside);
    if (write_and_compare((const char *const *)chain, &spec, cancellable, error) &&
        sync_and_rename(aside, path, error))
        return TRUE;
    vmp_file_remove(aside, NULL);
    return FALSE;
}
