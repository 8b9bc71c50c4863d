/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Files whose content must be there or not, and nothing between.
 *
 * The only module that replaces a file: written aside, fsynced, renamed, and the
 * directory fsynced.
 */

#include <glib.h>
#include <glib/gstdio.h>

/* A descriptor that closes itself: g_auto(VmpFd) fd = open(...). */
typedef int VmpFd;
static inline void
vmp_fd_clear(VmpFd *fd)
{
    if (*fd >= 0)
        g_close(*fd, NULL);
    *fd = -1;
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmpFd, vmp_fd_clear)

gboolean vmp_file_replace(const char *path, const char *data, gssize length, guint mode,
                          GError **error);
/* The same without a sync, for what means nothing after the host has gone down. */
gboolean vmp_file_replace_volatile(const char *path, const char *data, gssize length,
                                   guint mode, GError **error);
/* Whole content, refused with VMP_ERROR_INVALID beyond @max bytes. */
char *vmp_file_read(const char *path, gsize max, gsize *length, GError **error);
/* Makes @path and its parents with @mode; an existing one is fine. */
gboolean vmp_dir_ensure(const char *path, guint mode, GError **error);
gboolean vmp_dir_sync(const char *path, GError **error);
/* Removes a folder with the files in it; one that has folders is refused by the system.  That
 * it is gone already is success. */
gboolean vmp_dir_remove(const char *path, GError **error);
/* Says errno of a file that could not be opened that it is none that we have made?  There is
 * none, or none by such a name, or a symbolic link, or it is behind a folder or a mode that
 * keeps us out: what was never made can be taken back. */
gboolean vmp_file_is_none_of_ours(int errnum);
/* unlink(); that it is gone already, or never could be there, is success. */
gboolean vmp_file_remove(const char *path, GError **error);
/* All of @data to @fd at @offset. */
gboolean vmp_file_write_at(int fd, const void *data, gsize length, guint64 offset,
                           GError **error);
