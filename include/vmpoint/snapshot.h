/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Snapshots: points to go back to.  Flags are libvirt's
 * (virDomainSnapshotCreateXML and friends), bit for bit.
 */

#include <vmpoint/bulk.h>
#include <vmpoint/host.h>
#include <vmpoint/snapshot-record.h>

G_BEGIN_DECLS

typedef enum {
    VMP_SNAPSHOT_CREATE_REDEFINE = 1 << 0,
    VMP_SNAPSHOT_CREATE_CURRENT = 1 << 1,
    VMP_SNAPSHOT_CREATE_NO_METADATA = 1 << 2,
    VMP_SNAPSHOT_CREATE_HALT = 1 << 3,
    VMP_SNAPSHOT_CREATE_DISK_ONLY = 1 << 4,
    VMP_SNAPSHOT_CREATE_REUSE_EXT = 1 << 5,
    VMP_SNAPSHOT_CREATE_QUIESCE = 1 << 6,
    VMP_SNAPSHOT_CREATE_ATOMIC = 1 << 7,
    VMP_SNAPSHOT_CREATE_LIVE = 1 << 8,
    VMP_SNAPSHOT_CREATE_VALIDATE = 1 << 9,
    /* ours: with REDEFINE, the images must bear the document out (VMP_ERROR_INCONSISTENT) */
    VMP_SNAPSHOT_CREATE_REDEFINE_VALIDATE = 1 << 16,
} VmpSnapshotCreateFlags;

/* Creates a snapshot from a <domainsnapshot> document (NULL = an empty one).  Returns its
 * name; free with g_free().  All disks change at one instant or none does. */
VMP_PUBLIC char *vmp_snapshot_create(VmpHost *host, const char *domain, const char *xml,
                                     VmpSnapshotCreateFlags flags, VmpOperation *operation,
                                     GError **error);
/* The same, with a checkpoint of the same instant in the same transaction: what changes from
 * here on is tracked.  @checkpoint_xml is a <domaincheckpoint> document (NULL = without).
 * *checkpoint_name (optional; free with g_free()) is its name, set on success.
 * VMP_ERROR_UNSUPPORTED unless at least one disk is external. */
VMP_PUBLIC char *vmp_snapshot_create_with_checkpoint(VmpHost *host, const char *domain,
                                                     const char *xml,
                                                     const char *checkpoint_xml,
                                                     VmpSnapshotCreateFlags flags,
                                                     char **checkpoint_name,
                                                     VmpOperation *operation, GError **error);

typedef enum {
    VMP_SNAPSHOT_LIST_ROOTS = 1 << 0,       /* without @from */
    VMP_SNAPSHOT_LIST_DESCENDANTS = 1 << 0, /* with @from: all below, not only children */
    VMP_SNAPSHOT_LIST_METADATA = 1 << 1,
    VMP_SNAPSHOT_LIST_LEAVES = 1 << 2,
    VMP_SNAPSHOT_LIST_NO_LEAVES = 1 << 3,
    VMP_SNAPSHOT_LIST_NO_METADATA =
        1 << 4,                          /* always empty: only what the store has is tracked */
    VMP_SNAPSHOT_LIST_INACTIVE = 1 << 5, /* state shutoff */
    VMP_SNAPSHOT_LIST_ACTIVE = 1 << 6,
    VMP_SNAPSHOT_LIST_DISK_ONLY = 1 << 7,
    VMP_SNAPSHOT_LIST_INTERNAL = 1 << 8,
    VMP_SNAPSHOT_LIST_EXTERNAL = 1 << 9,
    VMP_SNAPSHOT_LIST_TOPOLOGICAL = 1 << 10,
} VmpSnapshotListFlags;

typedef struct {
    char *name, *parent; /* parent NULL = root */
    gint64 creation_time;
    VmpState state;
    VmpLocation location;
    gboolean current, has_domain;
    guint children, descendants; /* descendants only from vmp_snapshot_get_info() */
    /* What it has besides disks and RAM in files of their own: "nvram", the firmware's
     * variables, and "tpm", what an emulated TPM remembers; only from vmp_snapshot_get_info(),
     * else NULL. */
    char **parts;
} VmpSnapshotInfo;

VMP_PUBLIC void vmp_snapshot_info_free(VmpSnapshotInfo *info);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpSnapshotInfo, vmp_snapshot_info_free)

/* Array of VmpSnapshotInfo: by name, or parents first with TOPOLOGICAL.  A filter group with
 * no bit or all bits set does not filter.  @from NULL = the whole domain. */
VMP_PUBLIC GPtrArray *vmp_snapshot_list(VmpHost *host, const char *domain, const char *from,
                                        VmpSnapshotListFlags flags, GError **error);
/* @name NULL: the current snapshot (NOT_FOUND if there is none). */
VMP_PUBLIC VmpSnapshotInfo *vmp_snapshot_get_info(VmpHost *host, const char *domain,
                                                  const char *name, GError **error);
/* Its <domainsnapshot> document; free with g_free(). */
VMP_PUBLIC char *vmp_snapshot_get_xml(VmpHost *host, const char *domain, const char *name,
                                      VmpSnapshotFormatFlags flags, GError **error);
/* Makes @name current without touching the domain. */
VMP_PUBLIC gboolean vmp_snapshot_set_current(VmpHost *host, const char *domain,
                                             const char *name, VmpOperation *operation,
                                             GError **error);

typedef enum {
    VMP_SNAPSHOT_EDIT_CURRENT = 1 << 0, /* and make it the current one */
    VMP_SNAPSHOT_EDIT_RENAME = 1 << 1,  /* the document may have another name */
    VMP_SNAPSHOT_EDIT_CLONE = 1 << 2, /* it has, and is another snapshot of the same images */
} VmpSnapshotEditFlags;

/* Puts @xml, an edited dump (SECURE) of snapshot @name, in its place: what redefining may
 * change may be changed.  A renamed snapshot keeps its children.  Returns its name; free with
 * g_free(). VMP_ERROR_UNSUPPORTED for another name of an internal snapshot: its images know it
 * by that. */
VMP_PUBLIC char *vmp_snapshot_edit(VmpHost *host, const char *domain, const char *name,
                                   const char *xml, VmpSnapshotEditFlags flags,
                                   VmpOperation *operation, GError **error);

typedef enum {
    VMP_SNAPSHOT_REVERT_RUNNING = 1 << 0,
    VMP_SNAPSHOT_REVERT_PAUSED = 1 << 1,
    VMP_SNAPSHOT_REVERT_FORCE = 1 << 2,
    VMP_SNAPSHOT_REVERT_RESET_NVRAM = 1 << 3,
} VmpSnapshotRevertFlags;

/* Ends in the snapshot's state or in the state before.  VMP_ERROR_RISKY lists all risks
 * that FORCE would override (docs/design/revert.md).  VMP_ERROR_DAMAGED: the RAM could not be
 * loaded, not into a new process either; the message says what the domain is now.
 * @save_current (or NULL): name of a snapshot to make of the state that is left, as
 * vmp_snapshot_create() would; both happen or neither. */
VMP_PUBLIC gboolean vmp_snapshot_revert(VmpHost *host, const char *domain, const char *name,
                                        VmpSnapshotRevertFlags flags, const char *save_current,
                                        VmpOperation *operation, GError **error);

typedef enum {
    VMP_SNAPSHOT_DELETE_CHILDREN = 1 << 0,      /* and all below it */
    VMP_SNAPSHOT_DELETE_METADATA_ONLY = 1 << 1, /* what is in the images stays */
    VMP_SNAPSHOT_DELETE_CHILDREN_ONLY = 1 << 2, /* all below it, but not itself */
} VmpSnapshotDeleteFlags;

/* The present state of the domain and all other snapshots stay as they are.  VMP_ERROR_BUSY
 * while a pull backup runs that its layers are needed for. */
VMP_PUBLIC gboolean vmp_snapshot_delete(VmpHost *host, const char *domain, const char *name,
                                        VmpSnapshotDeleteFlags flags, VmpOperation *operation,
                                        GError **error);

/* All snapshots of a domain in one document, parents first, written as it is made.  @flags:
 * SECURE or DEFAULT; without SECURE a document that lacks secrets cannot be taken back. */
VMP_PUBLIC gboolean vmp_snapshot_dump_all(VmpHost *host, const char *domain,
                                          VmpSnapshotFormatFlags flags, VmpWriteFunc write,
                                          gpointer data, GError **error);
/* Redefines all snapshots of such a document, or none.  @flags as for redefining a single one.
 * Returns how many there were, or -1. */
VMP_PUBLIC gint64 vmp_snapshot_redefine_all(VmpHost *host, const char *domain,
                                            VmpSnapshotCreateFlags flags, VmpReadFunc read,
                                            gpointer data, VmpOperation *operation,
                                            GError **error);
/* The same for a folder with a file for each (*.xml: single dumps, or libvirt's own files). */
VMP_PUBLIC gint64 vmp_snapshot_redefine_folder(VmpHost *host, const char *domain,
                                               VmpSnapshotCreateFlags flags,
                                               const char *folder, VmpOperation *operation,
                                               GError **error);

G_END_DECLS
