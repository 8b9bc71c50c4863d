/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

static gboolean
write_all(int fd, const char *data, gsize length)
{
    while (length > 0) {
        gssize written = TEMP_FAILURE_RETRY(write(fd, data, length));
        if (written < 0)
            return FALSE;
        data += written;
        length -= (gsize)written;
    }
    return TRUE;
}

gboolean
vmp_dir_sync(const char *path, GError **error)
{
    g_auto(VmpFd) fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) < 0)
        return vmp_fail_errno(error, errno, "cannot sync directory '%s'", path);
    return TRUE;
}

static gboolean
replace(const char *path, const char *data, gssize length, guint mode, gboolean durable,
        GError **error)
{
    gsize size = length < 0 ? strlen(data) : (gsize)length;
    g_autofree char *aside = g_strdup_printf("%s.XXXXXX", path);
    g_auto(VmpFd) fd = g_mkstemp_full(aside, O_RDWR | O_CLOEXEC, (int)mode);

    if (fd < 0)
        return vmp_fail_errno(error, errno, "cannot make '%s'", aside);

    if (!write_all(fd, data, size) || (durable && fsync(fd) < 0) || rename(aside, path) < 0) {
        int errnum = errno;
        unlink(aside);
        return vmp_fail_errno(error, errnum, "cannot write '%s'", path);
    }

    g_autofree char *dir = g_path_get_dirname(path);
    return !durable || vmp_dir_sync(dir, error);
}

gboolean
vmp_file_replace(const char *path, const char *data, gssize length, guint mode, GError **error)
{
    return replace(path, data, length, mode, TRUE, error);
}

gboolean
vmp_file_replace_volatile(const char *path, const char *data, gssize length, guint mode,
                          GError **error)
{
    return replace(path, data, length, mode, FALSE, error);
}

char *
vmp_file_read(const char *path, gsize max, gsize *length, GError **error)
{
    g_auto(VmpFd) fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat info;

    if (fd < 0 || fstat(fd, &info) < 0) {
        vmp_fail_errno(error, errno, "cannot open '%s'", path);
        return NULL;
    }
    if (S_ISDIR(info.st_mode))
        return vmp_fail_null(error, VMP_ERROR_INVALID, "'%s' is a directory", path);

    /* Read to the end, not to st_size: pipes and /proc have none. */
    g_autoptr(GByteArray) content = g_byte_array_new();
    for (;;) {
        guint8 buffer[65536];
        gssize got = TEMP_FAILURE_RETRY(read(fd, buffer, sizeof buffer));
        if (got < 0) {
            vmp_fail_errno(error, errno, "cannot read '%s'", path);
            return NULL;
        }
        if (got == 0)
            break;
        if (content->len + (gsize)got > max)
            return vmp_fail_null(error, VMP_ERROR_INVALID, "'%s' is larger than %zu bytes",
                                 path, max);
        g_byte_array_append(content, buffer, (guint)got);
    }

    if (length)
        *length = content->len;
    g_byte_array_append(content, (const guint8 *)"", 1);
    return (char *)g_byte_array_free(g_steal_pointer(&content), FALSE);
}

gboolean
vmp_dir_ensure(const char *path, guint mode, GError **error)
{
    if (g_mkdir_with_parents(path, (int)mode) < 0)
        return vmp_fail_errno(error, errno, "cannot make directory '%s'", path);
    return TRUE;
}

static gboolean
is_absent(int errnum)
{
    return errnum == ENOENT || errnum == ENOTDIR || errnum == ENAMETOOLONG;
}

gboolean
vmp_file_is_none_of_ours(int errnum)
{
    return is_absent(errnum) || errnum == ELOOP || errnum == EACCES;
}

gboolean
vmp_file_remove(const char *path, GError **error)
{
    if (unlink(path) < 0 && !is_absent(errno))
        return vmp_fail_errno(error, errno, "cannot remove '%s'", path);
    return TRUE;
}

gboolean
vmp_file_write_at(int fd, const void *data, gsize length, guint64 offset, GError **error)
{
    const char *bytes = data;

    while (length > 0) {
        gssize written = TEMP_FAILURE_RETRY(pwrite(fd, bytes, length, (off_t)offset));
        if (written < 0)
            return vmp_fail_errno(error, errno, "cannot write at byte %" G_GUINT64_FORMAT,
                                  offset);
        bytes += written;
        offset += (guint64)written;
        length -= (gsize)written;
    }
    return TRUE;
}

gboolean
vmp_dir_remove(const char *path, GError **error)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);

    for (const char *name = dir ? g_dir_read_name(dir) : NULL; name;
         name = g_dir_read_name(dir)) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        if (!vmp_file_remove(file, error))
            return FALSE;
    }
    if (rmdir(path) < 0 && errno != ENOENT)
        return vmp_fail_errno(error, errno, "cannot remove directory '%s'", path);
    return TRUE;
}
