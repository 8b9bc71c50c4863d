/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/state-file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/error.h"

#define CONTENT_OFFSET 4096

static const char magic[8] = "vmpPART\n";

typedef struct {
    char magic[8];
    guint32 version, content_offset, is_there, unused;
    guint64 length;
    XXH128_canonical_t hash;
    guint64 mark;
} Header;
G_STATIC_ASSERT(sizeof(Header) == 56);

static void
hash_content(const char *content, gsize length, XXH128_canonical_t *hash)
{
    XXH128_canonicalFromHash(hash, XXH3_128bits(content, length));
}

static gboolean
parse_header(Header *header)
{
    header->is_there = GUINT32_FROM_LE(header->is_there);
    header->length = GUINT64_FROM_LE(header->length);
    header->mark = GUINT64_FROM_LE(header->mark);
    return memcmp(header->magic, magic, sizeof magic) == 0 &&
           GUINT32_FROM_LE(header->version) == 1 &&
           GUINT32_FROM_LE(header->content_offset) == CONTENT_OFFSET;
}

/* ---- keeping ---- */

/* NULL without @error if there is no such file. */
static char *
read_source(const char *path, gsize *length, GError **error)
{
    g_autoptr(GError) failure = NULL;
    char *content = vmp_file_read(path, VMP_STATE_FILE_MAX, length, &failure);

    if (!content && !vmp_error_is(failure, VMP_ERROR_NOT_FOUND))
        g_propagate_error(error, g_steal_pointer(&failure));
    return content;
}

static gboolean
write_at(int fd, const void *data, gsize length, off_t at)
{
    for (gsize done = 0; done < length;) {
        gssize written = TEMP_FAILURE_RETRY(
            pwrite(fd, (const char *)data + done, length - done, at + (off_t)done));
        if (written <= 0)
            return FALSE;
        done += (gsize)written;
    }
    return TRUE;
}

/* The header first: without it nobody would know the file again. */
static gboolean
write_copy(int fd, const char *content, gsize length, guint64 mark)
{
    Header header = {
        .version = GUINT32_TO_LE(1),
        .content_offset = GUINT32_TO_LE(CONTENT_OFFSET),
        .is_there = GUINT32_TO_LE(content != NULL),
        .length = GUINT64_TO_LE(length),
        .mark = GUINT64_TO_LE(mark),
    };

    memcpy(header.magic, magic, sizeof magic);
    hash_content(content ? content : "", length, &header.hash);
    return write_at(fd, &header, sizeof header, 0) &&
           write_at(fd, content, length, CONTENT_OFFSET);
}

static gboolean
make_copy(const char *to, const char *content, gsize length, guint64 mark, GError **error)
{
    g_auto(VmpFd) fd = open(to, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0)
        return vmp_fail_errno(error, errno, "cannot make '%s'", to);
    if (write_copy(fd, content, length, mark))
        return TRUE;
    vmp_fail_errno(error, errno, "cannot write '%s'", to);
    unlink(to);
    return FALSE;
}

gboolean
vmp_state_file_keep(const char *from, const char *to, guint64 mark, GError **error)
{
    g_autoptr(GError) failure = NULL;
    gsize length = 0;
    g_autofree char *content = read_source(from, &length, &failure);

    if (!failure)
        return make_copy(to, content, length, mark, error);
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

gboolean
vmp_state_file_clone(const char *from, const char *to, guint64 mark, GError **error)
{
    g_autofree char *content = NULL;
    gsize length = 0;

    return vmp_state_file_read(from, &content, &length, error) &&
           make_copy(to, content, length, mark, error);
}

/* ---- reading ---- */

static gboolean
check(const Header *header, const char *content, gsize length)
{
    XXH128_canonical_t hash;

    if (header->length != length)
        return FALSE;
    hash_content(content, length, &hash);
    return memcmp(&hash, &header->hash, sizeof hash) == 0;
}

gboolean
vmp_state_file_read(const char *path, char **content, gsize *length, GError **error)
{
    VMP_ERROR_CONTEXT(error, "state file '%s'", path);
    gsize size = 0;
    g_autofree char *all =
        vmp_file_read(path, VMP_STATE_FILE_MAX + CONTENT_OFFSET, &size, error);
    Header header;
    if (!all)
        return FALSE;

    /* One that keeps the absence of a file ends with its header. */
    gsize begin = MIN(size, (gsize)CONTENT_OFFSET);
    if (size >= sizeof header)
        memcpy(&header, all, sizeof header);
    if (size < sizeof header || !parse_header(&header) ||
        !check(&header, all + begin, size - begin))
        return vmp_fail(error, VMP_ERROR_DAMAGED, "its content is not what was written");

    *length = size - begin;
    *content = header.is_there ? g_memdup2(all + begin, *length + 1) : NULL;
    return TRUE;
}

gboolean
vmp_state_file_seal(const char *path, GError **error)
{
    g_autofree char *content = NULL;
    g_autofree char *folder = g_path_get_dirname(path);
    gsize length = 0;
    if (!vmp_state_file_read(path, &content, &length, error))
        return FALSE;

    g_auto(VmpFd) fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return vmp_fail_errno(error, errno, "cannot flush '%s'", path);
    return vmp_dir_sync(folder, error);
}

gboolean
vmp_state_file_remove(const char *path, guint64 mark, GError **error)
{
    Header header;
    struct stat info;
    g_auto(VmpFd) fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return vmp_file_is_none_of_ours(errno) ||
               vmp_fail_errno(error, errno, "cannot open '%s'", path);
    gboolean is_ours = pread(fd, &header, sizeof header, 0) == sizeof header
                           ? parse_header(&header) && header.mark == mark
                           : fstat(fd, &info) == 0 && info.st_size == 0;
    return !is_ours || vmp_file_remove(path, error);
}
