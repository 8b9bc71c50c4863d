/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* File systems inside a guest, through its guest agent.
 *
 * Only a guest that runs, with an agent in it and a channel for it, can be asked; what the
 * answers say is the guest's word.  VMP_ERROR_UNSUPPORTED: the domain has no channel;
 * VMP_ERROR_TIMED_OUT: no agent answers; VMP_ERROR_REFUSED: the agent said no.
 */

#include <vmpoint/host.h>
#include <vmpoint/operation.h>

G_BEGIN_DECLS

typedef struct {
    char *mountpoint;
    char *name; /* the guest's name for what is mounted: "vda1", "dm-0", "\\?\Volume{...}" */
    char *type; /* "ext4" */
    char **targets; /* disks of the domain that it is on, as far as that can be told ("vda") */
    guint64 total, used; /* bytes; 0 when the agent does not say */
} VmpFilesystem;

VMP_PUBLIC void vmp_filesystem_free(VmpFilesystem *filesystem);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpFilesystem, vmp_filesystem_free)

/* Array of VmpFilesystem, as the agent lists them. */
VMP_PUBLIC GPtrArray *vmp_filesystem_list(VmpHost *host, const char *domain, GError **error);

/* Freezes the file systems that are mounted at @mountpoints (NULL or empty: all), until they
 * are thawed.  Returns how many were frozen, or -1. */
VMP_PUBLIC int vmp_filesystem_freeze(VmpHost *host, const char *domain,
                                     const char *const *mountpoints, VmpOperation *operation,
                                     GError **error);
/* Thaws all, whoever has frozen them.  Returns how many were thawed (0: none was frozen), or
 * -1. */
VMP_PUBLIC int vmp_filesystem_thaw(VmpHost *host, const char *domain, VmpOperation *operation,
                                   GError **error);
/* Has the guest discard the free space of its file systems, in pieces of at least @minimum
 * bytes. */
VMP_PUBLIC gboolean vmp_filesystem_trim(VmpHost *host, const char *domain, guint64 minimum,
                                        VmpOperation *operation, GError **error);

G_END_DECLS
