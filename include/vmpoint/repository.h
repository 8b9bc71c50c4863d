/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A repository: a folder with restore points of one domain.
 *
 * A restore point is all that is needed to have the domain again as it was at one instant: its
 * disks as plain qcow2 files (an increment names the file of the point before it as its
 * backing image, so that qemu-img opens it by itself), its definition, its firmware's
 * variables, its TPM's memory, and digests of all of it.  Nothing in a point is ever written
 * to again.
 */

#include <vmpoint/host.h>

G_BEGIN_DECLS

typedef enum {
    VMP_RESTORE_POINT_AUTO, /* each disk incremental where that is possible */
    VMP_RESTORE_POINT_FULL,
    VMP_RESTORE_POINT_INCREMENTAL, /* all disks, or nothing is done */
} VmpRestorePointChoice;

typedef enum {
    VMP_QUIESCE_NO,
    VMP_QUIESCE_TRY,     /* a guest that cannot be quiesced is a warning */
    VMP_QUIESCE_REQUIRE, /* and here an error */
} VmpQuiesce;

typedef struct {
    VmpRestorePointChoice choice;
    const char *const *disks; /* targets, NULL-terminated; NULL = all that can be written */
    VmpQuiesce quiesce;
    gboolean compress;
    guint64 bandwidth; /* bytes per second and disk; 0 = no limit */
    gboolean fleece;   /* as of VmpBackupTuning (backup.h) */
    const char *fleece_folder;
} VmpRestorePointSpec;

/* Makes a restore point of @domain (running, paused or off) in the folder @repository, which
 * is made if it is not there, and returns its name; free with g_free().  It is complete and on
 * stable storage when this returns.
 *
 * The instant is that of one QMP transaction for all disks, which also makes a checkpoint of
 * the point's name for the next increment to count from; older ones of this repository are
 * deleted. Where the last point, its checkpoint or a disk's bitmap is not what an increment
 * could stand on, the disk becomes a full one, and a warning says why.
 *
 * EXISTS if the folder is another domain's or has other files, BUSY while another command
 * changes it or the domain.  Whatever fails, the repository is as before. */
VMP_PUBLIC char *vmp_repository_create_point(VmpHost *host, const char *domain,
                                             const char *repository,
                                             const VmpRestorePointSpec *spec,
                                             VmpOperation *operation, GError **error);

typedef struct {
    char *name; /* target dev */
    gboolean incremental;
    char *why_full; /* see VmpRestorePointChoice; or NULL */
    guint64 size;   /* of the disk, bytes */
    guint64 held;   /* bytes of the disk that this point's file holds */
    guint64 file_size;
} VmpRestoreDisk;

typedef struct {
    char *name;
    char *problem; /* why it cannot be used, then nothing below is valid; or NULL */
    gint64 time;   /* epoch milliseconds: the instant it shows */
    char *parent;  /* the point that its increments stand on; or NULL */
    char *state;   /* of the domain at that instant, libvirt's word */
    gboolean quiesced;
    gboolean incremental; /* at least one disk is */
    guint64 size;         /* of all its files, bytes */
    GPtrArray *disks;     /* of VmpRestoreDisk */
} VmpRestorePoint;

typedef struct {
    char *path, *id;
    char *domain, *uuid;
    GPtrArray *points; /* of VmpRestorePoint, oldest first */
} VmpRepositoryInfo;

VMP_PUBLIC void vmp_repository_info_free(VmpRepositoryInfo *info);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpRepositoryInfo, vmp_repository_info_free)

/* What is in the folder @repository, by its manifests; images are not looked at.  Needs no
 * lock and no right to write.  NOT_FOUND if it is no repository. */
VMP_PUBLIC VmpRepositoryInfo *vmp_repository_list(const char *repository, GError **error);

/* Reads all of @point (NULL: of all points), and of those that it stands on, and compares it
 * with what was written; writes nothing.  Returns a sentence (char *) for each thing that is
 * wrong: none is an empty array.  NULL if it could not be looked at. */
VMP_PUBLIC GPtrArray *vmp_repository_verify(const char *repository, const char *point,
                                            VmpOperation *operation, GError **error);

typedef struct {
    const char *disk;   /* one disk's target; NULL = all */
    const char *to;     /* path of an image, a block device, or a folder for an image a disk */
    const char *format; /* "qcow2" (when NULL) or "raw" */
    const char
        *prefix; /* of the names of files in a folder: "<prefix>-<disk>.<format>"; or NULL */
    gboolean overwrite; /* a block device's or file's content may go */
    guint64 mark; /* a number in the header of a qcow2 image, to know it again; 0 = none */
} VmpRestoreSpec;

/* Writes disks of @point ("latest" is the newest) as the guest saw them.  Every block is
 * compared with its digest on the way; a file gets its name when it is complete and on stable
 * storage. DAMAGED names point, disk and place; EXISTS; IO.  What fails leaves no file, but a
 * block device in any state. */
VMP_PUBLIC gboolean vmp_repository_restore(const char *repository, const char *point,
                                           const VmpRestoreSpec *spec, VmpOperation *operation,
                                           GError **error);

typedef struct {
    const char *name;   /* of the new domain */
    const char *folder; /* which is there, for its files: "<name>-<disk>.<format>" */
    const char *format; /* of restored disks: "qcow2" (when NULL) or "raw" */
    gboolean
        overlay; /* its disks are overlays on the point: at once, and the point must stay */
    gboolean isolated; /* without network, or anything else that it would share with others */
    const char *console; /* a file for what its first serial line says; NULL: a pty */
} VmpTwinSpec;

/* Defines a new domain of @point, with a uuid of its own, which may run beside the first: it
 * has no sockets, ports or network addresses of that one, and what it lacks is a warning.  The
 * repository is only read.  EXISTS for a name or file that is taken.  What fails leaves no
 * file. */
VMP_PUBLIC gboolean vmp_repository_make_domain(VmpHost *host, const char *repository,
                                               const char *point, const VmpTwinSpec *spec,
                                               VmpOperation *operation, GError **error);

typedef struct {
    const char *expect; /* what its first serial line must say; NULL: see below */
    guint timeout;      /* seconds; 0 = 300 */
} VmpBootProof;

/* Starts @point as a domain "verify-<point>" of @host, isolated and on overlays in its state
 * folder, waits for a proof that its guest has booted, and takes all of it away again.  The
 * proof is what
 * @proof expects.  If it expects nothing, the guest agent must answer where the domain has its
 * channel, and otherwise the first serial line must say "login:".
 *
 * DAMAGED if there is no proof in time, or if the machine ends before; BUSY while another call
 * tries this point.  What a call that was killed left is taken away by the next one. */
VMP_PUBLIC gboolean vmp_repository_verify_boot(VmpHost *host, const char *repository,
                                               const char *point, const VmpBootProof *proof,
                                               VmpOperation *operation, GError **error);

/* Makes @domain, which is off, what it was at @point, of this same domain: its definition, its
 * disks, and its firmware's variables.  The disks become new images, in @folder or (NULL)
 * beside the present ones; the present ones stay until all is complete.  Of these, layers that
 * vmpoint made and no snapshot needs go then, everything else stays.  Snapshots stay, none is
 * the current one; checkpoints stay, but nothing counts for them on the new disks: the next
 * backup is full.
 *
 * INVALID for another domain's point, BUSY if it is not off, RISKY unless @overwrite says that
 * the present state may go, DAMAGED.  Whatever fails, the domain is as before. */
VMP_PUBLIC gboolean vmp_repository_restore_domain(VmpHost *host, const char *domain,
                                                  const char *repository, const char *point,
                                                  const char *folder, gboolean overwrite,
                                                  VmpOperation *operation, GError **error);

/* Each rule keeps the newest point of each of so many of the newest periods that have one; 0 =
 * no such rule.  Periods are those of the local time zone, weeks those of ISO 8601. */
typedef struct {
    guint last; /* points */
    guint hourly, daily, weekly, monthly, yearly;
    const char *within; /* all that are not older: "36h", "7d", "2w", "6m", "1y"; or NULL */
} VmpRetentionPolicy;

typedef struct {
    char *name;
    gint64 time; /* epoch milliseconds */
    gboolean keep;
    char *why;       /* the rules that keep it, or that none does */
    gboolean merged; /* points that it stands on go, and what they hold becomes its own */
    guint64 copies;  /* bytes that this copies, before compression */
} VmpPruneDecision;

VMP_PUBLIC void vmp_prune_decision_free(VmpPruneDecision *decision);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpPruneDecision, vmp_prune_decision_free)

/* Removes the points that @policy does not keep, oldest first in the array of VmpPruneDecision
 * that is returned.  The newest point always stays, for the next increment stands on it, and
 * so does one whose manifest cannot be read.  A kept point that stands on one that goes is
 * first made anew, as a folder that takes the place of the old one in one step, with every
 * block compared with its digest; so whatever is cut off, all points that are listed are
 * whole.
 *
 * INVALID for a policy that keeps nothing, BUSY while another command uses the repository or a
 * domain of @host stands on what would go (nobody knows of those of other hosts),
 * DAMAGED if what is to be merged is not what was written: then nothing is removed. */
VMP_PUBLIC GPtrArray *vmp_repository_prune(VmpHost *host, const char *repository,
                                           const VmpRetentionPolicy *policy,
                                           VmpOperation *operation, GError **error);

G_END_DECLS
