/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/overlay-export.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "storage/nbd-peer.h"
#include "storage/overlay-private.h"
#include "storage/qcow2.h"

/* Where formats, partition tables and file systems begin. */
#define HEAD_BYTES ((gsize)1 << 20)

static gboolean
is_zero(const guint8 *bytes, gsize length)
{
    return length == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0);
}

gboolean
vmp_new_export_is_free(const char *uri, guint64 size, gboolean *is_free, GError **error)
{
    g_autofree guint8 *head = g_malloc(HEAD_BYTES);
    const gsize length = MIN(size, HEAD_BYTES);

    if (!vmp_nbd_peer_read(uri, head, length, 0, error))
        return FALSE;
    *is_free = is_zero(head, length);
    return TRUE;
}

/* ---- making ---- */

/* A file in memory: the format is laid down as in any other. */
static int
open_memory(GError **error)
{
    int fd = memfd_create("vmpoint-image", MFD_CLOEXEC);

    if (fd < 0)
        vmp_fail_errno(error, errno, "cannot make a file in memory");
    return fd;
}

static GBytes *
read_all(int fd, GError **error)
{
    struct stat info;
    gsize length = fstat(fd, &info) == 0 ? (gsize)info.st_size : 0;
    g_autofree guint8 *bytes = g_malloc(length);

    if (length == 0 || pread(fd, bytes, length, 0) != (gssize)length)
        return vmp_fail_null(error, VMP_ERROR_IO, "cannot read a file in memory");
    return g_bytes_new_take(g_steal_pointer(&bytes), length);
}

static GBytes *
make_bytes(const VmpNewImage *image, GError **error)
{
    g_auto(VmpFd) fd = open_memory(error);

    return fd >= 0 && vmp_new_image_write_qcow2(fd, image, error) ? read_all(fd, error) : NULL;
}

gboolean
vmp_new_export_make(const VmpNewImage *image, GError **error)
{
    g_autoptr(GBytes) bytes = make_bytes(image, error);
    VmpNbdExport found = { 0 };
    gboolean is_free = FALSE;

    if (!bytes || !vmp_nbd_peer_look(image->path, NULL, &found, error) ||
        !vmp_new_export_is_free(image->path, found.size, &is_free, error))
        return FALSE;
    if (!is_free)
        return vmp_fail(error, VMP_ERROR_EXISTS, "there is something in the export");
    gsize length = 0;
    const void *data = g_bytes_get_data(bytes, &length);
    return vmp_nbd_peer_write(image->path, data, length, 0, FALSE, error);
}

/* ---- taking back ---- */

gboolean
vmp_new_export_clear(const char *uri, guint64 mark, GError **error)
{
    g_autofree guint8 *zeroes = g_malloc0(HEAD_BYTES);
    VmpNbdExport found = { 0 };

    if (!vmp_nbd_peer_look(uri, NULL, &found, error))
        return FALSE;
    g_auto(VmpFd) head = vmp_nbd_peer_open_head(uri, error);
    if (head < 0)
        return FALSE;
    const guint64 held = vmp_qcow2_read_mark(head);
    if (held == 0 || (mark != 0 && held != mark))
        return TRUE;
    return vmp_nbd_peer_write(uri, zeroes, MIN(found.size, HEAD_BYTES), 0, TRUE, error);
}
