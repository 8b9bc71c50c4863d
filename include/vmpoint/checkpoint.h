/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Checkpoints: points to count changes from.  Flags are libvirt's, bit for bit. */

#include <vmpoint/bulk.h>
#include <vmpoint/checkpoint-record.h>
#include <vmpoint/host.h>

G_BEGIN_DECLS

typedef enum {
    VMP_CHECKPOINT_CREATE_REDEFINE = 1 << 0,
    VMP_CHECKPOINT_CREATE_QUIESCE = 1 << 1,
    VMP_CHECKPOINT_CREATE_REDEFINE_VALIDATE = 1 << 2,
} VmpCheckpointCreateFlags;

/* Starts a dirty bitmap on every chosen disk at one instant.  @xml NULL = an empty
 * <domaincheckpoint/>.  Returns the name; free with g_free(). */
VMP_PUBLIC char *vmp_checkpoint_create(VmpHost *host, const char *domain, const char *xml,
                                       VmpCheckpointCreateFlags flags, VmpOperation *operation,
                                       GError **error);
/* The same with bitmaps that tell @granularity bytes apart: a power of two from 512 to 2 GiB,
 * or 0 for QEMU's default of 64 KiB.  A backup copies no less than a cluster of its target at
 * once.  Not for REDEFINE; libvirt's documents have no word for it. */
VMP_PUBLIC char *vmp_checkpoint_create_granular(VmpHost *host, const char *domain,
                                                const char *xml, guint64 granularity,
                                                VmpCheckpointCreateFlags flags,
                                                VmpOperation *operation, GError **error);

typedef enum {
    VMP_CHECKPOINT_LIST_ROOTS = 1 << 0,       /* without @from */
    VMP_CHECKPOINT_LIST_DESCENDANTS = 1 << 0, /* with @from: all below, not only children */
    VMP_CHECKPOINT_LIST_TOPOLOGICAL = 1 << 1,
    VMP_CHECKPOINT_LIST_LEAVES = 1 << 2,
    VMP_CHECKPOINT_LIST_NO_LEAVES = 1 << 3,
    VMP_CHECKPOINT_LIST_STATE = 1 << 16, /* ours: look at the images, and fill in ->disks */
} VmpCheckpointListFlags;

typedef enum {
    VMP_CHECKPOINT_DISK_TRACKED, /* what was written since is known exactly */
    VMP_CHECKPOINT_DISK_BROKEN,  /* not any more: the next backup since it is a full one there
                                  */
    VMP_CHECKPOINT_DISK_GONE,    /* the domain has no such disk any more */
    VMP_CHECKPOINT_DISK_UNKNOWN, /* its images cannot be looked at now */
} VmpCheckpointDiskState;

typedef struct {
    char *disk; /* target */
    VmpCheckpointDiskState state;
    char *reason; /* a sentence's end; NULL when tracked */
} VmpCheckpointDiskInfo;

VMP_PUBLIC void vmp_checkpoint_disk_info_free(VmpCheckpointDiskInfo *info);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpCheckpointDiskInfo, vmp_checkpoint_disk_info_free)

typedef struct {
    char *name, *parent;
    gint64 creation_time;
    gboolean current;
    guint children, descendants;
    GPtrArray
        *disks; /* of VmpCheckpointDiskInfo, those it was made for; NULL = not looked at */
} VmpCheckpointInfo;

VMP_PUBLIC void vmp_checkpoint_info_free(VmpCheckpointInfo *info);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpCheckpointInfo, vmp_checkpoint_info_free)

/* Array of VmpCheckpointInfo: by name, or parents first with TOPOLOGICAL.  LEAVES and
 * NO_LEAVES together do not filter.  @from NULL = the whole domain; else only what is below
 * it. */
VMP_PUBLIC GPtrArray *vmp_checkpoint_list(VmpHost *host, const char *domain, const char *from,
                                          VmpCheckpointListFlags flags, GError **error);
/* With ->disks, as far as they can be looked at. */
VMP_PUBLIC VmpCheckpointInfo *vmp_checkpoint_get_info(VmpHost *host, const char *domain,
                                                      const char *name, GError **error);
/* With FORMAT_SIZE the bytes dirty since it are asked of the bitmaps, disk by disk. */
VMP_PUBLIC char *vmp_checkpoint_get_xml(VmpHost *host, const char *domain, const char *name,
                                        VmpCheckpointFormatFlags flags, GError **error);

typedef enum {
    VMP_CHECKPOINT_DELETE_CHILDREN = 1 << 0,      /* and all below it */
    VMP_CHECKPOINT_DELETE_METADATA_ONLY = 1 << 1, /* the bitmaps stay in the images */
    VMP_CHECKPOINT_DELETE_CHILDREN_ONLY = 1 << 2, /* all below it, but not itself */
} VmpCheckpointDeleteFlags;

/* Takes its bitmaps out of the images; what the others count from stays as it is. */
VMP_PUBLIC gboolean vmp_checkpoint_delete(VmpHost *host, const char *domain, const char *name,
                                          VmpCheckpointDeleteFlags flags,
                                          VmpOperation *operation, GError **error);

/* All checkpoints of a domain in one document, parents first, written as it is made.  @flags:
 * SECURE or DEFAULT; without SECURE a document that lacks secrets cannot be taken back. */
VMP_PUBLIC gboolean vmp_checkpoint_dump_all(VmpHost *host, const char *domain,
                                            VmpCheckpointFormatFlags flags, VmpWriteFunc write,
                                            gpointer data, GError **error);
/* Redefines all checkpoints of such a document, or none.  @flags as for redefining a single
 * one. Returns how many there were, or -1. */
VMP_PUBLIC gint64 vmp_checkpoint_redefine_all(VmpHost *host, const char *domain,
                                              VmpCheckpointCreateFlags flags, VmpReadFunc read,
                                              gpointer data, VmpOperation *operation,
                                              GError **error);
/* The same for a folder with a file for each (*.xml: single dumps, or libvirt's own files). */
VMP_PUBLIC gint64 vmp_checkpoint_redefine_folder(VmpHost *host, const char *domain,
                                                 VmpCheckpointCreateFlags flags,
                                                 const char *folder, VmpOperation *operation,
                                                 GError **error);

G_END_DECLS
