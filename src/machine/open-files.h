/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What files another process has open, as the kernel tells (/proc/PID/fd). */

#include <glib.h>

typedef struct _VmpOpenFiles VmpOpenFiles;

/* Never NULL; knows of nothing where the kernel does not tell. */
VmpOpenFiles *vmp_open_files_read(GPid pid);
void vmp_open_files_free(VmpOpenFiles *files);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpOpenFiles, vmp_open_files_free)

/* Where the file is that the process opened as @relative: in its working directory, if it has
 * that one open; else, for it may have gone elsewhere since (QEMU's -daemonize goes to "/"),
 * the one open file whose path ends so.  NULL if there is none, or more than one.  Free with
 * g_free(). */
char *vmp_open_files_find(const VmpOpenFiles *files, const char *relative);
