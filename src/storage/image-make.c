/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* New images: empty, or with what another one shows. */

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "storage/image.h"
#include "storage/qemu-img.h"

/* ---- making ---- */

/* A file that is new, or was there and empty; unlinked again unless the guard is disarmed. */
typedef struct {
    char *path;
    gboolean made;
} NewFile;

static void
new_file_clear(NewFile *file)
{
    /* What led here is the error to report. */
    if (file->made && unlink(file->path) < 0 && errno != ENOENT)
        g_debug("cannot unlink '%s': %s", file->path, g_strerror(errno));
    g_free(file->path);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(NewFile, new_file_clear)

static gboolean
new_file_make(NewFile *file, const char *path, GError **error)
{
    struct stat info;

    file->path = vmp_qemu_img_path(path);
    g_auto(VmpFd) fd = open(file->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        file->made = TRUE;
        return TRUE;
    }
    if (errno != EEXIST)
        return vmp_fail_errno(error, errno, "cannot make it");
    if (stat(file->path, &info) < 0 || S_ISBLK(info.st_mode) ||
        (S_ISREG(info.st_mode) && info.st_size == 0))
        return TRUE;
    return vmp_fail(error, VMP_ERROR_EXISTS, "it exists and is not an empty file");
}

/* qemu-img writes its output without a flush. */
static gboolean
new_file_keep(NewFile *file, GError **error)
{
    g_auto(VmpFd) fd = open(file->path, O_RDONLY | O_CLOEXEC);
    g_autofree char *folder = g_path_get_dirname(file->path);

    if (fd < 0 || fsync(fd) < 0)
        return vmp_fail_errno(error, errno, "cannot flush it");
    if (!vmp_dir_sync(folder, error))
        return FALSE;
    file->made = FALSE;
    return TRUE;
}

static const char *
format_of(const VmpImageSpec *spec)
{
    return spec->format ? spec->format : "qcow2";
}

static void
add_format_options(GStrvBuilder *arguments, const VmpImageSpec *spec)
{
    g_autofree char *cluster_size =
        spec->cluster_size
            ? g_strdup_printf("cluster_size=%" G_GUINT64_FORMAT, spec->cluster_size)
            : NULL;

    vmp_qemu_img_add_option(arguments, "-o", cluster_size);
    vmp_qemu_img_add_option(arguments, "-o", spec->extended_l2 ? "extended_l2=on" : NULL);
}

/* Fills the file @path. */
static gboolean
fill_empty(const char *path, const VmpImageSpec *spec, GCancellable *cancellable,
           GError **error)
{
    g_autoptr(GStrvBuilder) arguments =
        vmp_qemu_img_new("create", "-q", "-f", format_of(spec), NULL);
    g_autofree char *size = g_strdup_printf("%" G_GUINT64_FORMAT, spec->size);

    add_format_options(arguments, spec);
    vmp_qemu_img_add_option(arguments, "-b", spec->backing);
    vmp_qemu_img_add_option(arguments, "-F", spec->backing_format);
    /* With a size the backing image need not be opened, nor be there yet. */
    if (spec->size && spec->backing)
        g_strv_builder_add(arguments, "-u");
    g_strv_builder_add(arguments, path);
    if (spec->size)
        g_strv_builder_add(arguments, size);
    return vmp_qemu_img_run(arguments, NULL, cancellable, error);
}

gboolean
vmp_image_create(const VmpImageSpec *spec, GCancellable *cancellable, GError **error)
{
    VMP_ERROR_CONTEXT(error, "cannot make image '%s'", spec->path);

    g_auto(NewFile) file = { 0 };
    return new_file_make(&file, spec->path, error) &&
           fill_empty(file.path, spec, cancellable, error) && new_file_keep(&file, error);
}

static gboolean
fill_from(const char *path, const char *source, const char *source_format,
          const VmpImageSpec *spec, GCancellable *cancellable, GError **error)
{
    g_autoptr(GStrvBuilder) arguments = vmp_qemu_img_new("convert", "-q", "-U", NULL);
    g_autofree char *from = vmp_qemu_img_path(source);
    /* Only an image that was made before can be larger than its source. */
    const gboolean made_before = spec->size != 0;

    if (made_before && !fill_empty(path, spec, cancellable, error))
        return FALSE;
    vmp_qemu_img_add_option(arguments, "-f", source_format);
    vmp_qemu_img_add_option(arguments, "-O", format_of(spec));
    if (made_before) {
        g_strv_builder_add(arguments, "-n");
        if (!spec->backing)
            g_strv_builder_add(arguments, "--target-is-zero");
    } else {
        add_format_options(arguments, spec);
        vmp_qemu_img_add_option(arguments, "-B", spec->backing);
        vmp_qemu_img_add_option(arguments, "-F", spec->backing_format);
    }
    g_strv_builder_add_many(arguments, from, path, NULL);
    return vmp_qemu_img_run(arguments, NULL, cancellable, error);
}

gboolean
vmp_image_convert(const char *source, const char *source_format, const VmpImageSpec *target,
                  GCancellable *cancellable, GError **error)
{
    VMP_ERROR_CONTEXT(error, "cannot copy image '%s' to '%s'", source, target->path);

    g_auto(NewFile) file = { 0 };
    return new_file_make(&file, target->path, error) &&
           fill_from(file.path, source, source_format, target, cancellable, error) &&
           new_file_keep(&file, error);
}
