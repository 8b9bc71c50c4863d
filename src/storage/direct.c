/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/direct.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "storage/content.h"
#include "storage/image.h"

struct _VmpDirect {
    GArray *files; /* of File: the image, and its backing images as far as they are needed */
    GArray *map;   /* of VmpMapping, without gaps */
};

typedef struct {
    char *path;
    VmpFd fd;
} File;

static void
file_clear(gpointer data)
{
    File *file = data;

    vmp_fd_clear(&file->fd);
    g_free(file->path);
}

static gboolean
open_file(VmpDirect *direct, const char *path, GError **error)
{
    File file = { g_strdup(path), open(path, O_RDONLY | O_CLOEXEC) };
    int errnum = errno;

    g_array_append_val(direct->files, file);
    return file.fd >= 0 || vmp_fail_errno(error, errnum, "cannot open '%s'", path);
}

static guint
find_deepest(const GArray *map)
{
    guint deepest = 0;

    for (guint i = 0; i < map->len; i++) {
        const VmpMapping *mapping = &g_array_index(map, VmpMapping, i);
        if (mapping->place == VMP_MAPPING_FILE)
            deepest = MAX(deepest, mapping->depth);
    }
    return deepest;
}

static gboolean
open_backing_files(VmpDirect *direct, const char *path, const char *format, guint deepest,
                   GCancellable *cancellable, GError **error)
{
    g_autoptr(GPtrArray) chain = vmp_image_read_chain(path, format, cancellable, error);

    if (!chain)
        return FALSE;
    if (chain->len <= deepest)
        return vmp_fail(error, VMP_ERROR_IO, "qemu-img tells two chains of '%s'", path);
    for (guint i = 1; i <= deepest; i++)
        if (!open_file(direct, ((const VmpImage *)g_ptr_array_index(chain, i))->path, error))
            return FALSE;
    return TRUE;
}

static VmpDirect *
direct_new(const char *path, GError **error)
{
    VmpDirect *direct = g_new0(VmpDirect, 1);

    direct->files = g_array_new(FALSE, FALSE, sizeof(File));
    g_array_set_clear_func(direct->files, file_clear);
    if (open_file(direct, path, error))
        return direct;
    vmp_direct_free(direct);
    return NULL;
}

VmpDirect *
vmp_direct_open(const char *path, const char *format, GCancellable *cancellable,
                GError **error)
{
    g_autoptr(VmpDirect) direct = direct_new(path, error);

    if (!direct)
        return NULL;
    direct->map = vmp_image_map(path, format, cancellable, error);
    guint deepest = direct->map ? find_deepest(direct->map) : 0;
    if (!direct->map || (deepest > 0 && !open_backing_files(direct, path, format, deepest,
                                                            cancellable, error)))
        return NULL;
    return g_steal_pointer(&direct);
}

VmpDirect *
vmp_direct_open_alone(const char *path, GCancellable *cancellable, GError **error)
{
    g_autoptr(VmpDirect) direct = direct_new(path, error);

    if (!direct)
        return NULL;
    direct->map = vmp_image_map_alone(path, cancellable, error);
    return direct->map ? g_steal_pointer(&direct) : NULL;
}

void
vmp_direct_free(VmpDirect *direct)
{
    if (!direct)
        return;
    g_clear_pointer(&direct->files, g_array_unref);
    g_clear_pointer(&direct->map, g_array_unref);
    g_free(direct);
}

static const VmpMapping *
mapping_at(const VmpDirect *direct, guint index)
{
    return index < direct->map->len ? &g_array_index(direct->map, VmpMapping, index) : NULL;
}

guint64
vmp_direct_get_size(const VmpDirect *direct)
{
    guint count = direct->map->len;
    const VmpMapping *last = count > 0 ? mapping_at(direct, count - 1) : NULL;

    return last ? last->offset + last->length : 0;
}

/* Those that are not @place, neighbours of a kind as one. */
static GArray *
list_but(const VmpDirect *direct, VmpMappingPlace place)
{
    GArray *extents = g_array_new(FALSE, FALSE, sizeof(VmpExtent));

    for (guint i = 0; i < direct->map->len; i++) {
        const VmpMapping *mapping = mapping_at(direct, i);
        VmpExtent *last =
            extents->len > 0 ? &g_array_index(extents, VmpExtent, extents->len - 1) : NULL;
        VmpExtent extent = { mapping->offset, mapping->length,
                             mapping->place == VMP_MAPPING_ZERO };

        if (mapping->place == place)
            continue;
        if (last && last->zero == extent.zero && last->offset + last->length == extent.offset)
            last->length += extent.length;
        else
            g_array_append_val(extents, extent);
    }
    return extents;
}

GArray *
vmp_direct_list_data(const VmpDirect *direct)
{
    return list_but(direct, VMP_MAPPING_ZERO);
}

GArray *
vmp_direct_list_own(const VmpDirect *direct)
{
    return list_but(direct, VMP_MAPPING_BELOW);
}

/* The index of the mapping that @offset is in. */
static guint
find(const VmpDirect *direct, guint64 offset)
{
    guint low = 0, high = direct->map->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;
        const VmpMapping *mapping = mapping_at(direct, middle);
        if (mapping->offset + mapping->length <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

gboolean
vmp_direct_holds(const VmpDirect *direct, guint64 offset, gsize length)
{
    guint64 end = offset + length;
    const VmpMapping *mapping = NULL;

    for (guint i = find(direct, offset); offset < end; i++) {
        mapping = mapping_at(direct, i);
        if (!mapping || mapping->place == VMP_MAPPING_ELSEWHERE ||
            mapping->place == VMP_MAPPING_BELOW)
            return FALSE;
        offset = mapping->offset + mapping->length;
    }
    return TRUE;
}

static const File *
file_of(const VmpDirect *direct, const VmpMapping *mapping)
{
    return &g_array_index(direct->files, File, mapping->depth);
}

/* As in QEMU, what is behind the end of the file reads as zeroes. */
static gboolean
read_file(const File *file, guint8 *buffer, guint64 host, gsize length, GError **error)
{
    while (length > 0) {
        gssize got = TEMP_FAILURE_RETRY(pread(file->fd, buffer, length, (off_t)host));
        if (got < 0)
            return vmp_fail_errno(error, errno, "cannot read '%s'", file->path);
        if (got == 0) {
            memset(buffer, 0, length);
            return TRUE;
        }
        buffer += got;
        host += (guint64)got;
        length -= (gsize)got;
    }
    return TRUE;
}

gboolean
vmp_direct_read(const VmpDirect *direct, guint8 *buffer, guint64 offset, gsize length,
                GError **error)
{
    for (guint i = find(direct, offset); length > 0; i++) {
        const VmpMapping *mapping = mapping_at(direct, i);
        guint64 within = offset - mapping->offset;
        gsize part = MIN(length, mapping->length - within);
        if (mapping->place == VMP_MAPPING_ZERO)
            memset(buffer, 0, part);
        else if (!read_file(file_of(direct, mapping), buffer, mapping->host + within, part,
                            error))
            return FALSE;
        buffer += part;
        offset += part;
        length -= part;
    }
    return TRUE;
}

/* ---- copying ---- */

/* How much of the range the kernel has copied; it may not be able to, and the reader finds out
 * why. */
static gsize
copy_in_kernel(const File *file, guint64 host, gsize length, int fd, guint64 to)
{
    loff_t from_at = (loff_t)host, to_at = (loff_t)to;
    gsize done = 0;

    while (done < length) {
        gssize copied = TEMP_FAILURE_RETRY(
            copy_file_range(file->fd, &from_at, fd, &to_at, length - done, 0));
        if (copied <= 0)
            break;
        done += (gsize)copied;
    }
    return done;
}

static gboolean
copy_by_hand(const VmpDirect *direct, guint64 offset, gsize length, int fd, guint64 to,
             GError **error)
{
    g_autofree guint8 *buffer = g_malloc(length);

    return length == 0 || (vmp_direct_read(direct, buffer, offset, length, error) &&
                           vmp_file_write_at(fd, buffer, length, to, error));
}

gboolean
vmp_direct_copy(const VmpDirect *direct, guint64 offset, gsize length, int fd, guint64 to,
                GError **error)
{
    for (guint i = find(direct, offset); length > 0; i++) {
        const VmpMapping *mapping = mapping_at(direct, i);
        guint64 within = offset - mapping->offset;
        gsize part = MIN(length, mapping->length - within);
        gsize done = mapping->place == VMP_MAPPING_FILE
                         ? copy_in_kernel(file_of(direct, mapping), mapping->host + within,
                                          part, fd, to)
                         : 0;
        if (!copy_by_hand(direct, offset + done, part - done, fd, to + done, error))
            return FALSE;
        offset += part;
        to += part;
        length -= part;
    }
    return TRUE;
}

/* ---- where it is ---- */

static gboolean
has_zeroes(const VmpDirect *direct, guint64 host, gsize length)
{
    g_autofree guint8 *buffer = g_malloc(length);

    return read_file(&g_array_index(direct->files, File, 0), buffer, host, length, NULL) &&
           (buffer[0] == 0 && memcmp(buffer, buffer + 1, length - 1) == 0);
}

gboolean
vmp_direct_is_at(const VmpDirect *direct, guint64 offset, gsize length, guint64 host)
{
    gboolean any = FALSE;

    for (guint i = find(direct, offset); length > 0; i++) {
        const VmpMapping *mapping = mapping_at(direct, i);
        if (!mapping)
            return FALSE;
        guint64 within = offset - mapping->offset;
        gsize part = MIN(length, mapping->length - within);
        if (mapping->place == VMP_MAPPING_FILE
                ? mapping->depth != 0 || mapping->host + within != host
                : mapping->place != VMP_MAPPING_ZERO || !has_zeroes(direct, host, part))
            return FALSE;
        any = any || mapping->place == VMP_MAPPING_FILE;
        offset += part;
        host += part;
        length -= part;
    }
    return any;
}
