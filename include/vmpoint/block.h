/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The disks of a domain, one at a time: virsh's block commands.
 *
 * A disk is named by its target ("vda") or by the path of its image, if only one has it.
 */

#include <vmpoint/host.h>
#include <vmpoint/operation.h>

G_BEGIN_DECLS

typedef enum {
    VMP_BLOCK_RESIZE_CAPACITY = 1 << 1, /* a raw block device: as large as that is by now */
    VMP_BLOCK_RESIZE_EXTEND = 1 << 2,   /* INVALID if the disk would become smaller */
    VMP_BLOCK_RESIZE_FORCE = 1 << 16,   /* ours: make it smaller, whatever is lost */
} VmpBlockResizeFlags;

/* Gives @disk @size bytes (rounded up to whole sectors), of a running domain or one that is
 * off.  Snapshots keep the size that they have.  Checkpoints go on when the disk grows, unless
 * a snapshot was made since; then, and when it is made smaller, the next backup of that disk
 * is a full one.  VMP_ERROR_RISKY: it would become smaller, and FORCE is not said. */
VMP_PUBLIC gboolean vmp_block_resize(VmpHost *host, const char *domain, const char *disk,
                                     guint64 size, VmpBlockResizeFlags flags,
                                     VmpOperation *operation, GError **error);

/* Which layers, and how. */
typedef struct {
    const char *base;  /* path of the lower end; or NULL */
    const char *top;   /* path of the upper end; NULL = the active layer */
    guint64 bandwidth; /* bytes per second; 0 = no limit */
} VmpBlockRange;

typedef enum {
    VMP_BLOCK_COMMIT_SHALLOW = 1 << 0, /* base is what top stands on */
    VMP_BLOCK_COMMIT_DELETE = 1 << 1,  /* layers that vmpoint made go when they are merged */
    VMP_BLOCK_COMMIT_ACTIVE = 1 << 2, /* top is the active layer: the disk goes on with base */
    VMP_BLOCK_COMMIT_DETACH =
        1 << 16, /* ours: return when the job runs; not of one that is off */
    VMP_BLOCK_COMMIT_KEEP_READY = 1 << 17, /* ours: with ACTIVE: return when it could end */
} VmpBlockCommitFlags;

/* Merges the layers of @disk from ->top down into ->base (NULL: the lowest one), with their
 * bitmaps, and returns when that is done.  What stands on top stands on base then.
 * VMP_ERROR_BUSY, nothing changed: a snapshot froze one of them, or another image or domain
 * stands on one. */
VMP_PUBLIC gboolean vmp_block_commit(VmpHost *host, const char *domain, const char *disk,
                                     const VmpBlockRange *range, VmpBlockCommitFlags flags,
                                     VmpOperation *operation, GError **error);
typedef enum {
    VMP_BLOCK_PULL_DETACH =
        1 << 16, /* ours: return when the job runs; not of one that is off */
} VmpBlockPullFlags;

/* Copies into the active layer of @disk what it has from those between it and ->base (NULL:
 * all of them), and returns when it stands on base alone.  The layers stay: snapshots have
 * them.  ->top is not looked at. */
VMP_PUBLIC gboolean vmp_block_pull(VmpHost *host, const char *domain, const char *disk,
                                   const VmpBlockRange *range, VmpBlockPullFlags flags,
                                   VmpOperation *operation, GError **error);

/* Where to, and how; zeroes are QEMU's own ways. */
typedef struct {
    const char *path;    /* of the copy; absolute */
    const char *format;  /* "qcow2", "raw"; NULL = that of the disk */
    guint64 bandwidth;   /* bytes per second; 0 = no limit */
    guint64 granularity; /* bytes, a power of two; 0 = as QEMU has it */
    guint64 buffer;      /* bytes in flight; 0 = as QEMU has it */
} VmpBlockCopy;

typedef enum {
    VMP_BLOCK_COPY_REUSE_EXTERNAL = 1 << 1, /* the file is there, of the right size */
    VMP_BLOCK_COPY_SYNCHRONOUS = 1
                                 << 3, /* what is written meanwhile is written twice at once */
    VMP_BLOCK_COPY_BLOCK_DEVICE = 1 << 16, /* ours: path is one; not with PIVOT */
    VMP_BLOCK_COPY_PIVOT = 1 << 17,        /* ours: the disk goes on with the copy */
    VMP_BLOCK_COPY_DETACH = 1 << 18,       /* ours: return when the job runs */
    VMP_BLOCK_COPY_KEEP_READY = 1 << 19,   /* ours: return when it could end */
} VmpBlockCopyFlags;

/* Copies all that @disk of a running domain reads as to ->path, and returns when that is done:
 * the copy is the disk of that moment.  With PIVOT the disk goes on with the copy, which gets
 * the bitmaps; the images that it had before stay as they are, for the snapshots that have
 * them. */
VMP_PUBLIC gboolean vmp_block_copy_disk(VmpHost *host, const char *domain, const char *disk,
                                        const VmpBlockCopy *copy, VmpBlockCopyFlags flags,
                                        VmpOperation *operation, GError **error);

/* Jobs that nobody waits for ("detached", above) are in the store: each command for the domain
 * settles those that have come to an end by themselves, and until they have most changes of
 * the domain are BUSY.  A QEMU that ends takes them along, and the layers are as before. */

/* The block job that runs on a disk: a merge or a copy of a backup that some other command has
 * begun, or that goes on by itself. */
typedef struct {
    char *type;             /* "pull", "commit", "copy", "backup"; NULL: there is none */
    guint64 bandwidth;      /* bytes per second; 0 = no limit */
    guint64 current, total; /* of QEMU's own measure, mostly bytes */
    gboolean ready;         /* all is copied, and goes on being so */
    gboolean pending;       /* all is done but for the change of layers */
} VmpBlockJobInfo;

VMP_PUBLIC void vmp_block_job_info_free(VmpBlockJobInfo *info);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpBlockJobInfo, vmp_block_job_info_free)

typedef enum {
    VMP_BLOCK_JOB_ABORT_ASYNC = 1 << 0, /* do not wait for its end */
} VmpBlockJobAbortFlags;

/* None of these waits for the command that began the job. */
VMP_PUBLIC VmpBlockJobInfo *vmp_block_job_get_info(VmpHost *host, const char *domain,
                                                   const char *disk, GError **error);
/* NOT_FOUND if the disk has no job. */
VMP_PUBLIC gboolean vmp_block_job_set_bandwidth(VmpHost *host, const char *domain,
                                                const char *disk, guint64 bandwidth,
                                                GError **error);
/* The layers are as before, and the command that began it fails, if one waits for it.  Of a
 * copy that is ready nothing is taken back: it is the disk of that moment. */
VMP_PUBLIC gboolean vmp_block_job_abort(VmpHost *host, const char *domain, const char *disk,
                                        VmpBlockJobAbortFlags flags, GError **error);

/* The disk goes on with what a copy or a commit of its active layer, which nobody waits for,
 * was made to.  BUSY: it is not ready for that.  INVALID: the job is another one. */
VMP_PUBLIC gboolean vmp_block_job_pivot(VmpHost *host, const char *domain, const char *disk,
                                        VmpOperation *operation, GError **error);

G_END_DECLS
