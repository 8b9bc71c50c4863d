/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What making a restore point is made of; nobody else includes it.
 *
 *   point-choice   which disks, and what an increment of each can stand on
 *   point-create   the order of things, the checkpoint, the commit
 *   point-copies   what is in the point's folder: parts, and of each copy the blocks and
 * digests
 */

#include "backup/backup.h"
#include "backup/manifest.h"
#include "backup/repository.h"
#include "machine/session.h"

typedef struct {
    const VmpDomainDisk *disk;
    gboolean has_bitmap; /* can have one: the next increment needs it */
    gboolean incremental;
    char *why_full; /* NULL: nothing else was to be expected */
} VmpPointDisk;

typedef struct {
    VmpMachine *machine;
    VmpOperation *operation;
    const VmpRestorePointSpec *spec;
    VmpBackupPart
        part; /* the session is open from the look at the disks until all is settled */
    VmpRepository *repository;
    const VmpManifest *base; /* the last point, if an increment may stand on it */
    char *why_no_base;       /* NULL with a base, or when there is no point at all */
    GPtrArray *disks;        /* of VmpPointDisk */
    VmpManifest *manifest;   /* of the new point, as far as it is known */
    char *aside;             /* its folder, as long as it has no name */
    GError *failure;         /* of finishing the copies, while the backup is settled */
} VmpPointCreation;

/* ---- point-choice ---- */

/* Fills @creation->disks: NOT_FOUND or INVALID for what is no disk that can be backed up. */
gboolean vmp_point_choose_disks(VmpPointCreation *creation, const VmpDomain *definition,
                                GError **error);
/* Opens the session, looks at the last point, and says of each disk whether it is an
 * increment, and why not.  UNSUPPORTED if all have to be and one cannot. */
gboolean vmp_point_decide_disks(VmpPointCreation *creation, GError **error);
void vmp_point_warn_of_full_disks(const VmpPointCreation *creation);
/* By which a checkpoint of ours is known again, wherever the repository is mounted.  Free with
 * g_free(). */
char *vmp_point_checkpoint_description(const VmpRepository *repository);
/* Is there that checkpoint of ours? */
gboolean vmp_point_has_checkpoint(const VmpPointCreation *creation, const char *name);

/* ---- point-copies ---- */

/* Of the copy of the disk @target, in the point's folder.  Free with g_free(). */
char *vmp_point_image_name(const char *target);
/* By disk, what its increment is laid over; see VmpBackupPart. */
GHashTable *vmp_point_backing_links(const VmpPointCreation *creation);
/* Firmware variables and TPM have no bitmap and no job: they are copied just before the
 * instant. */
gboolean vmp_point_copy_parts(const VmpPointCreation *creation, const VmpDomain *definition,
                              GError **error);
/* The copies are whole, and nobody writes to them any more; @data is the creation, which also
 * keeps the failure. */
gboolean vmp_point_finish_copies(gpointer data, GError **error);
