/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/ram-file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/error.h"

#define STREAM_OFFSET 4096
#define READ_SIZE (1 << 20)
/* Values of the mark. */
#define COMPLETE 1
#define SPOILT 2

static const char magic[8] = "vmpRAM\r\n";

typedef struct {
    char magic[8];
    guint32 version, stream_offset, complete, unused;
    guint64 length;
    XXH128_canonical_t hash;
    guint64 mark;
} Header;
G_STATIC_ASSERT(sizeof(Header) == 56);

static gboolean
read_header(int fd, Header *header)
{
    if (pread(fd, header, sizeof *header, 0) != sizeof *header ||
        memcmp(header->magic, magic, sizeof magic) != 0)
        return FALSE;
    header->version = GUINT32_FROM_LE(header->version);
    header->stream_offset = GUINT32_FROM_LE(header->stream_offset);
    header->complete = GUINT32_FROM_LE(header->complete);
    header->length = GUINT64_FROM_LE(header->length);
    header->mark = GUINT64_FROM_LE(header->mark);
    return header->version == 1 && header->stream_offset == STREAM_OFFSET;
}

static gboolean
write_header(int fd, const Header *header, GError **error)
{
    Header raw = *header;

    memcpy(raw.magic, magic, sizeof magic);
    raw.version = GUINT32_TO_LE(1);
    raw.stream_offset = GUINT32_TO_LE(STREAM_OFFSET);
    raw.complete = GUINT32_TO_LE(header->complete);
    raw.length = GUINT64_TO_LE(header->length);
    raw.mark = GUINT64_TO_LE(header->mark);
    if (pwrite(fd, &raw, sizeof raw, 0) == sizeof raw)
        return TRUE;
    return vmp_fail_errno(error, errno, "cannot write its header");
}

/* -1 unless it is a memory file of a version that we know. */
static int
open_file(const char *path, int mode, Header *header, GError **error)
{
    int fd = open(path, mode | O_CLOEXEC);

    if (fd < 0)
        vmp_fail_errno(error, errno, "cannot open it");
    else if (!read_header(fd, header)) {
        vmp_fail(error, VMP_ERROR_DAMAGED,
                 "it does not begin as a memory file of vmpoint does");
        g_close(fd, NULL);
        fd = -1;
    }
    return fd;
}

/* The size stays: it says how much has been written. */
static gboolean
reserve_space(int fd, guint64 reserve, GError **error)
{
    if (reserve == 0 ||
        fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, STREAM_OFFSET + (off_t)reserve) == 0)
        return TRUE;
    if (errno == EOPNOTSUPP)
        return vmp_fail(
            error, VMP_ERROR_UNSUPPORTED,
            "its file system cannot set space aside, without which a running guest "
            "could be lost");
    return vmp_fail_errno(error, errno, "cannot set %" G_GUINT64_FORMAT " bytes aside for it",
                          reserve);
}

int
vmp_ram_file_create(const char *path, guint64 mark, guint64 reserve, GError **error)
{
    VMP_ERROR_CONTEXT(error, "memory file '%s'", path);
    Header header = { .mark = mark };
    g_autofree char *folder = g_path_get_dirname(path);

    int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        vmp_fail_errno(error, errno, "cannot make it");
        return -1;
    }
    if (write_header(fd, &header, error) && reserve_space(fd, reserve, error) &&
        vmp_dir_sync(folder, error) && lseek(fd, STREAM_OFFSET, SEEK_SET) == STREAM_OFFSET)
        return fd;
    unlink(path);
    g_close(fd, NULL);
    return -1;
}

int
vmp_ram_file_reopen(const char *path, guint64 mark, GError **error)
{
    VMP_ERROR_CONTEXT(error, "memory file '%s'", path);
    Header header;
    int fd = open_file(path, O_RDWR, &header, error);

    if (fd >= 0 && (header.mark != mark || header.complete != 0)) {
        vmp_fail(error, VMP_ERROR_EXISTS, "it is another file than the one that was made");
        g_close(fd, NULL);
        return -1;
    }
    if (fd >= 0)
        lseek(fd, STREAM_OFFSET, SEEK_SET);
    return fd;
}

static guint64
stream_length(int fd)
{
    struct stat info;

    return fstat(fd, &info) == 0 && info.st_size > STREAM_OFFSET
               ? (guint64)info.st_size - STREAM_OFFSET
               : 0;
}

gboolean
vmp_ram_file_is_begun(const char *path)
{
    Header header;
    g_auto(VmpFd) fd = open_file(path, O_RDONLY, &header, NULL);

    return fd >= 0 && stream_length(fd) > 0;
}

gboolean
vmp_ram_file_note_length(const char *path, GError **error)
{
    VMP_ERROR_CONTEXT(error, "memory file '%s'", path);
    Header header;
    g_auto(VmpFd) fd = open_file(path, O_RDWR, &header, error);

    if (fd < 0)
        return FALSE;
    header.length = stream_length(fd);
    if (ftruncate(fd, STREAM_OFFSET + (off_t)header.length) < 0)
        return vmp_fail_errno(error, errno, "cannot cut it to its length");
    return write_header(fd, &header, error);
}

static gboolean
hash_stream(int fd, XXH128_canonical_t *hash, GError **error)
{
    XXH3_state_t *state = XXH3_createState();
    g_autofree char *buffer = g_malloc(READ_SIZE);
    gssize got = -1;

    XXH3_128bits_reset(state);
    for (off_t at = STREAM_OFFSET; (got = pread(fd, buffer, READ_SIZE, at)) > 0; at += got)
        XXH3_128bits_update(state, buffer, (gsize)got);
    XXH128_canonicalFromHash(hash, XXH3_128bits_digest(state));
    XXH3_freeState(state);
    return got == 0 || vmp_fail_errno(error, errno, "cannot read it");
}

gboolean
vmp_ram_file_seal(const char *path, GError **error)
{
    VMP_ERROR_CONTEXT(error, "memory file '%s'", path);
    Header header;
    g_auto(VmpFd) fd = open_file(path, O_RDWR, &header, error);

    if (fd < 0 || header.complete == COMPLETE)
        return fd >= 0;
    if (header.complete == SPOILT)
        return vmp_fail(error, VMP_ERROR_DAMAGED, "its RAM was never saved as a whole");
    if (header.length == 0 || header.length != stream_length(fd))
        return vmp_fail(error, VMP_ERROR_DAMAGED,
                        "it has %" G_GUINT64_FORMAT
                        " bytes of RAM instead of %" G_GUINT64_FORMAT,
                        stream_length(fd), header.length);
    if (!hash_stream(fd, &header.hash, error))
        return FALSE;
    if (fsync(fd) < 0)
        return vmp_fail_errno(error, errno, "cannot flush it");
    header.complete = COMPLETE;
    if (!write_header(fd, &header, error))
        return FALSE;
    return fsync(fd) == 0 || vmp_fail_errno(error, errno, "cannot flush it");
}

static gboolean
check_header(int fd, const Header *header, GError **error)
{
    if (header->complete != COMPLETE)
        return vmp_fail(error, VMP_ERROR_DAMAGED, "it is not complete");
    if (header->length != stream_length(fd))
        return vmp_fail(error, VMP_ERROR_DAMAGED,
                        "it does not have the length that it should");
    return TRUE;
}

static gboolean
check_stream(int fd, const Header *header, GError **error)
{
    XXH128_canonical_t hash;

    if (!check_header(fd, header, error) || !hash_stream(fd, &hash, error))
        return FALSE;
    return memcmp(&hash, &header->hash, sizeof hash) == 0 ||
           vmp_fail(error, VMP_ERROR_DAMAGED, "its content is not what was written");
}

typedef gboolean (*Check)(int fd, const Header *header, GError **error);

static int
open_complete(const char *path, Check check, GError **error)
{
    VMP_ERROR_CONTEXT(error, "memory file '%s'", path);
    Header header;
    int fd = open_file(path, O_RDONLY, &header, error);

    if (fd >= 0 && !check(fd, &header, error)) {
        g_close(fd, NULL);
        return -1;
    }
    if (fd >= 0)
        lseek(fd, STREAM_OFFSET, SEEK_SET);
    return fd;
}

int
vmp_ram_file_open(const char *path, GError **error)
{
    return open_complete(path, check_stream, error);
}

int
vmp_ram_file_open_checked(const char *path, GError **error)
{
    return open_complete(path, check_header, error);
}

char *
vmp_ram_file_read_hash(const char *path)
{
    Header header;
    g_auto(VmpFd) fd = open_file(path, O_RDONLY, &header, NULL);
    GString *text = NULL;

    if (fd < 0 || header.complete != COMPLETE)
        return NULL;
    text = g_string_new(NULL);
    for (gsize i = 0; i < sizeof header.hash.digest; i++)
        g_string_append_printf(text, "%02x", header.hash.digest[i]);
    return g_string_free(text, FALSE);
}

gboolean
vmp_ram_file_spoil(const char *path, GError **error)
{
    VMP_ERROR_CONTEXT(error, "memory file '%s'", path);
    Header header;
    g_auto(VmpFd) fd = open_file(path, O_RDWR, &header, error);

    if (fd < 0 || header.complete == COMPLETE)
        return fd >= 0;
    header.complete = SPOILT;
    return write_header(fd, &header, error);
}

gboolean
vmp_ram_file_remove(const char *path, guint64 mark, GError **error)
{
    Header header;
    struct stat info;
    g_auto(VmpFd) fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return vmp_file_is_none_of_ours(errno) ||
               vmp_fail_errno(error, errno, "cannot open '%s'", path);
    gboolean is_ours = read_header(fd, &header) ? header.mark == mark
                                                : fstat(fd, &info) == 0 && info.st_size == 0;
    return !is_ours || vmp_file_remove(path, error);
}

gboolean
vmp_ram_file_is_complete(const char *path)
{
    Header header;
    g_auto(VmpFd) fd = open_file(path, O_RDONLY, &header, NULL);

    return fd >= 0 && header.complete == COMPLETE;
}
