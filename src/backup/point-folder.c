/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/point-folder.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

static gboolean
seal(const char *path, GError **error)
{
    g_auto(VmpFd) fd = open(path, O_RDONLY | O_CLOEXEC);

    return (fd >= 0 && fchmod(fd, 0400) == 0 && fsync(fd) == 0) ||
           vmp_fail_errno(error, errno, "cannot write out '%s'", path);
}

static gboolean
enter(const char *folder, VmpManifest *manifest, const char *name, guint64 size,
      const VmpDigest *digest, GError **error)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autofree char *sha256 = vmp_digest_to_text(digest);

    vmp_manifest_add_file(manifest, name, size, sha256);
    return seal(path, error);
}

gboolean
vmp_point_folder_enter(const char *folder, VmpManifest *manifest, const char *name,
                       GError **error)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    VmpDigest digest;
    guint64 size = 0;

    return vmp_digest_file(path, VMP_POINT_PIECE, NULL, &digest, &size, NULL, error) &&
           enter(folder, manifest, name, size, &digest, error);
}

/* Its folder has no name yet: nobody can find it half written. */
static gboolean
write_text(const char *path, const char *text, GError **error)
{
    g_auto(VmpFd) fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        return vmp_fail_errno(error, errno, "cannot make '%s'", path);
    return vmp_file_write_at(fd, text, strlen(text), 0, error) && seal(path, error);
}

gboolean
vmp_point_folder_enter_text(const char *folder, VmpManifest *manifest, const char *name,
                            const char *text, GError **error)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    VmpDigest digest;

    vmp_digest_compute(text, strlen(text), &digest);
    g_autofree char *sha256 = vmp_digest_to_text(&digest);
    vmp_manifest_add_file(manifest, name, strlen(text), sha256);
    return write_text(path, text, error);
}

static guint64
count_held(const GArray *blocks)
{
    guint64 held = 0;

    for (guint i = 0; i < blocks->len; i++)
        held += g_array_index(blocks, VmpBlock, i).count * VMP_BLOCK_SIZE;
    return held;
}

gboolean
vmp_point_folder_enter_image(const char *folder, VmpManifest *manifest, VmpManifestDisk *disk,
                             const GArray *blocks, const VmpFileDigest *digest, GError **error)
{
    g_autofree char *list = g_build_filename(folder, disk->blocks, NULL);

    disk->held = count_held(blocks);
    return enter(folder, manifest, disk->image, digest->size, &digest->digest, error) &&
           vmp_blocks_write(list, disk->size, blocks, VMP_POINT_PIECE, digest->sums, error) &&
           vmp_point_folder_enter(folder, manifest, disk->blocks, error);
}

gboolean
vmp_point_folder_close(const char *folder, const VmpManifest *manifest, GError **error)
{
    g_autofree char *text = vmp_manifest_format(manifest);
    g_autofree char *path = g_build_filename(folder, VMP_MANIFEST_FILE, NULL);
    g_autofree char *sums_path = g_build_filename(folder, VMP_MANIFEST_SUMS, NULL);
    VmpDigest digest;

    vmp_digest_compute(text, strlen(text), &digest);
    g_autofree char *sha256 = vmp_digest_to_text(&digest);
    g_autofree char *sums = vmp_manifest_format_sums(manifest, sha256);
    return write_text(path, text, error) && write_text(sums_path, sums, error) &&
           vmp_dir_sync(folder, error);
}
