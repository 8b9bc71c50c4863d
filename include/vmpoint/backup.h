/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Backup jobs, and restoring what they wrote. */

#include <vmpoint/backup-record.h>
#include <vmpoint/host.h>

G_BEGIN_DECLS

typedef enum {
    VMP_BACKUP_BEGIN_REUSE_EXTERNAL = 1 << 0,
    VMP_BACKUP_BEGIN_WAIT = 1 << 16, /* ours: return when the job has ended and is settled */
} VmpBackupBeginFlags;

/* Starts a backup of all its disks, and @checkpoint_xml (or NULL), at one instant.
 * @backup_xml NULL = a full push of everything.  Returns when the job runs: what has
 * finished is settled by the next call for that domain, or by vmp_backup_wait().  A pull
 * backup of a domain that is off is served by a process of its own; until
 * vmp_backup_abort_job() ends it every change of that domain, its start among them, is BUSY.
 */
VMP_PUBLIC gboolean vmp_backup_begin(VmpHost *host, const char *domain, const char *backup_xml,
                                     const char *checkpoint_xml, VmpBackupBeginFlags flags,
                                     VmpOperation *operation, GError **error);

/* How the jobs are to work; zeroes are QEMU's own ways. */
typedef struct {
    guint64 bandwidth; /* bytes per second and disk; 0 = no limit */
    gboolean compress; /* what is written to qcow2 targets */
    gboolean quiesce;  /* the guest's file systems are frozen at the instant, by its agent */
    /* What the guest overwrites meanwhile is kept in scratch images, which go with the job:
     * its writes never wait for a target and never fail with one.  Of push backups; a pull
     * backup always works so. */
    gboolean fleece;
    const char *fleece_folder; /* where those are, absolute; NULL = beside each disk's image */
} VmpBackupTuning;

/* vmp_backup_begin() with @tuning. */
VMP_PUBLIC gboolean vmp_backup_begin_tuned(VmpHost *host, const char *domain,
                                           const char *backup_xml, const char *checkpoint_xml,
                                           VmpBackupBeginFlags flags,
                                           const VmpBackupTuning *tuning,
                                           VmpOperation *operation, GError **error);
/* Waits for the running job of @domain and settles it; its failure is the error. */
VMP_PUBLIC gboolean vmp_backup_wait(VmpHost *host, const char *domain, VmpOperation *operation,
                                    GError **error);
/* The running job's document (NOT_FOUND if none runs). */
VMP_PUBLIC char *vmp_backup_get_xml(VmpHost *host, const char *domain, GError **error);

typedef enum {
    VMP_JOB_NONE, /* nothing runs, nothing is remembered */
    VMP_JOB_RUNNING,
    VMP_JOB_COMPLETED,
    VMP_JOB_FAILED,
    VMP_JOB_CANCELLED,
} VmpJobState;

typedef struct {
    VmpJobState state;
    char *operation; /* "Backup"; NULL for NONE */
    gint64 elapsed_ms;
    guint64 total, processed, remaining; /* bytes, all disks */
    guint64 scratch_used, scratch_total; /* bytes; pull */
    char *error;                         /* of a failed one, with the disk's name; else NULL */
} VmpJobInfo;

VMP_PUBLIC void vmp_job_info_free(VmpJobInfo *info);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpJobInfo, vmp_job_info_free)

/* The running job, or with @completed the last one that ended. */
VMP_PUBLIC VmpJobInfo *vmp_backup_get_job_info(VmpHost *host, const char *domain,
                                               gboolean completed, GError **error);
/* Cancels the running job: what it made is removed, the dirty bits are kept. */
VMP_PUBLIC gboolean vmp_backup_abort_job(VmpHost *host, const char *domain,
                                         VmpOperation *operation, GError **error);

/* Writes the guest's view of a full backup @images[0] with increments @images[1..] laid over
 * it in that order to a new image @target of @format ("qcow2" when NULL).  The images are only
 * read, and may have been moved since: their order is what counts.  The result is compared
 * with what was read before it gets its name. */
VMP_PUBLIC gboolean vmp_backup_restore_chain(VmpHost *host, const char *const *images,
                                             const char *target, const char *format,
                                             VmpOperation *operation, GError **error);

G_END_DECLS
