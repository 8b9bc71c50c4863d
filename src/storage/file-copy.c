/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/file-copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

/* What is copied between two looks at the cancellable. */
#define PIECE ((off_t)16 << 20)
#define BUFFER ((gsize)1 << 20)

/* For file systems between which the kernel does not copy. */
static gboolean
copy_by_hand(int from, int to, off_t at, off_t end, GError **error)
{
    g_autofree char *buffer = g_malloc(BUFFER);

    while (at < end) {
        gssize got =
            TEMP_FAILURE_RETRY(pread(from, buffer, (gsize)MIN(end - at, (off_t)BUFFER), at));
        if (got < 0)
            return vmp_fail_errno(error, errno, "cannot read");
        if (got == 0)
            return vmp_fail(error, VMP_ERROR_IO, "it became shorter");
        if (!vmp_file_write_at(to, buffer, (gsize)got, (guint64)at, error))
            return FALSE;
        at += got;
    }
    return TRUE;
}

static gboolean
copy_piece(int from, int to, off_t at, off_t end, GError **error)
{
    loff_t from_at = at, to_at = at;

    while (from_at < end) {
        gssize copied = TEMP_FAILURE_RETRY(
            copy_file_range(from, &from_at, to, &to_at, (gsize)(end - from_at), 0));
        if (copied <= 0)
            return copy_by_hand(from, to, from_at, end, error);
    }
    return TRUE;
}

static gboolean
copy_data(int from, int to, off_t at, off_t end, GCancellable *cancellable, GError **error)
{
    while (at < end) {
        off_t next = MIN(end, at + PIECE);
        if (cancellable && g_cancellable_is_cancelled(cancellable))
            return vmp_fail(error, VMP_ERROR_INTERRUPTED, "interrupted");
        if (!copy_piece(from, to, at, next, error))
            return FALSE;
        at = next;
    }
    return TRUE;
}

/* From one hole to the next. */
static gboolean
copy_sparse(int from, int to, off_t size, GCancellable *cancellable, GError **error)
{
    off_t data = lseek(from, 0, SEEK_DATA);

    while (data >= 0 && data < size) {
        off_t hole = lseek(from, data, SEEK_HOLE);
        if (hole < 0)
            return vmp_fail_errno(error, errno, "cannot tell where its data is");
        if (!copy_data(from, to, data, hole, cancellable, error))
            return FALSE;
        data = lseek(from, hole, SEEK_DATA);
    }
    /* ENXIO: there is no more. */
    if (data < 0 && errno != ENXIO)
        return vmp_fail_errno(error, errno, "cannot tell where its data is");
    return TRUE;
}

gboolean
vmp_file_copy(const char *from, int fd, GCancellable *cancellable, GError **error)
{
    VMP_ERROR_CONTEXT(error, "copying '%s'", from);
    g_auto(VmpFd) source = open(from, O_RDONLY | O_CLOEXEC);
    off_t size = source < 0 ? -1 : lseek(source, 0, SEEK_END);

    if (size < 0)
        return vmp_fail_errno(error, errno, "cannot open it");
    if (ioctl(fd, FICLONE, source) == 0)
        return TRUE;
    return copy_sparse(source, fd, size, cancellable, error) &&
           (ftruncate(fd, size) == 0 || vmp_fail_errno(error, errno, "cannot write the copy"));
}
