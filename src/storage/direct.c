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
    char *path;
    VmpFd fd;
    GArray *map; /* of VmpMapping, without gaps */
};

VmpDirect *
vmp_direct_open(const char *path, const char *format, GCancellable *cancellable,
                GError **error)
{
    g_autoptr(VmpDirect) direct = g_new0(VmpDirect, 1);

    direct->path = g_strdup(path);
    direct->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (direct->fd < 0) {
        vmp_fail_errno(error, errno, "cannot open '%s'", path);
        return NULL;
    }
    direct->map = vmp_image_map(path, format, cancellable, error);
    return direct->map ? g_steal_pointer(&direct) : NULL;
}

void
vmp_direct_free(VmpDirect *direct)
{
    if (!direct)
        return;
    vmp_fd_clear(&direct->fd);
    g_clear_pointer(&direct->map, g_array_unref);
    g_free(direct->path);
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

GArray *
vmp_direct_list_data(const VmpDirect *direct)
{
    GArray *extents = g_array_new(FALSE, FALSE, sizeof(VmpExtent));

    for (guint i = 0; i < direct->map->len; i++) {
        const VmpMapping *mapping = mapping_at(direct, i);
        VmpExtent extent = { mapping->offset, mapping->length, FALSE };
        if (mapping->place != VMP_MAPPING_ZERO)
            g_array_append_val(extents, extent);
    }
    return extents;
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
        if (!mapping || mapping->place == VMP_MAPPING_ELSEWHERE)
            return FALSE;
        offset = mapping->offset + mapping->length;
    }
    return TRUE;
}

/* As in QEMU, what is behind the end of the file reads as zeroes. */
static gboolean
read_file(const VmpDirect *direct, guint8 *buffer, guint64 host, gsize length, GError **error)
{
    while (length > 0) {
        gssize got = TEMP_FAILURE_RETRY(pread(direct->fd, buffer, length, (off_t)host));
        if (got < 0)
            return vmp_fail_errno(error, errno, "cannot read '%s'", direct->path);
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
        else if (!read_file(direct, buffer, mapping->host + within, part, error))
            return FALSE;
        buffer += part;
        offset += part;
        length -= part;
    }
    return TRUE;
}
