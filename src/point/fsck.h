/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* fsck: the store held against the images and QEMU; see include/vmpoint/fsck.h.
 *
 *   view      what there is, read once: nothing after that asks the world
 *   compare   a pure function from a view to findings
 *   adopt     a pure function from a view to records of points that the store lacks
 *   fsck      the three together, and a plan that mends
 *
 * Whatever would lose data or rest on a guess is for a person: it is reported, not mended.
 */

#include <vmpoint/checkpoint-record.h>
#include <vmpoint/fsck.h>
#include <vmpoint/snapshot-record.h>

#include "machine/machine.h"
#include "storage/image.h"
#include "xml/domain.h"

/* One file, and what was found of it. */
typedef struct {
    VmpImage *image; /* NULL: see failure */
    GError *failure;
    gint64 modified; /* epoch seconds; 0 = unknown */
} VmpFsckImage;

typedef struct {
    VmpSnapshot *snapshot;
    VmpDomain *past; /* the images that it froze; NULL if the snapshot has no <domain> */
    gboolean current;
} VmpFsckSnapshot;

/* The image that the running QEMU has open for a disk. */
typedef struct {
    char *path, *format;
} VmpFsckActive;

VmpFsckActive *vmp_fsck_active_new(const char *path, const char *format);
void vmp_fsck_active_free(VmpFsckActive *active);

typedef struct {
    char *name;         /* of the domain */
    VmpDomain *present; /* the running definition when on, else the persistent one */
    gboolean on;
    GPtrArray *snapshots;     /* of VmpFsckSnapshot, parents first */
    GPtrArray *checkpoints;   /* of VmpCheckpoint, parents first */
    char *current_checkpoint; /* name, or NULL */
    GPtrArray *files;         /* of VmpStoreFile: those that vmpoint made for the domain */
    GHashTable *images;     /* path -> VmpFsckImage: all that are named, and all below them */
    GHashTable *foreign;    /* set of paths that other domains rest on */
    GHashTable *pulled;     /* set of paths of images that rest on less by request */
    GHashTable *active;     /* target -> VmpFsckActive; NULL when off */
    GHashTable *nodes;      /* path -> name of QEMU's node for the image; empty when off */
    GHashTable *bitmaps;    /* target -> array of VmpBitmap of the active image, QEMU's word */
    GPtrArray *intents;     /* of char *: "snapshot-create of s1": what was cut short */
    GHashTable *gone;       /* set of paths of files and RAM files that are not there */
    GHashTable *incomplete; /* set of paths of RAM files without their last mark */
    GHashTable *damage;     /* path -> what a look at structures and checksums found */
} VmpFsckView;

VmpFsckView *vmp_fsck_view_new(const char *name);
/* Reads it.  @data: structures and checksums as well. */
VmpFsckView *vmp_fsck_look(VmpMachine *machine, gboolean data, GError **error);
void vmp_fsck_view_free(VmpFsckView *view);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpFsckView, vmp_fsck_view_free)

/* The image at @path if it could be read; else NULL.  Borrowed. */
const VmpImage *vmp_fsck_image(const VmpFsckView *view, const char *path);
/* Does the chain of the image at @path have the one at @base, at any depth or as itself? */
gboolean vmp_fsck_rests_on(const VmpFsckView *view, const char *path, const char *base);
gboolean vmp_fsck_has_image(const VmpDomainDisk *disk);
/* The image that @entry froze of that disk, or NULL if it does not cover it.  Borrowed. */
const VmpDomainDisk *vmp_fsck_frozen_disk(const VmpFsckSnapshot *entry,
                                          const VmpSnapshotDisk *disk);
/* NULL if there is none, and for no @name.  Borrowed. */
const VmpFsckSnapshot *vmp_fsck_find_snapshot(const VmpFsckView *view, const char *name);
/* The bitmaps of the disk's active image: QEMU's word when it runs.  Borrowed; may be NULL. */
const GPtrArray *vmp_fsck_bitmaps(const VmpFsckView *view, const VmpDomainDisk *disk);

/* What differs, of VmpFinding. */
GPtrArray *vmp_fsck_compare(const VmpFsckView *view);

/* Where an overlay has lost its backing image and the store knows which it was: that one's
 * path, and its format in *format.  NULL if there is no such certainty.  Borrowed. */
const char *vmp_fsck_true_backing(const VmpFsckView *view, const char *path,
                                  const char **format);

/* Points that the images hold and the store has not.  Snapshots are parents first, their
 * domains included. */
typedef struct {
    GPtrArray *snapshots;   /* of VmpSnapshot */
    GPtrArray *checkpoints; /* of VmpCheckpoint */
} VmpFsckAdoption;

void vmp_fsck_adoption_clear(VmpFsckAdoption *adoption);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmpFsckAdoption, vmp_fsck_adoption_clear)
/* @now: epoch seconds, for what has no time of its own.  Nothing to adopt gives empty arrays.
 */
void vmp_fsck_adopt(const VmpFsckView *view, gint64 now, VmpFsckAdoption *adoption);

/* The whole. */
GPtrArray *vmp_point_fsck(VmpMachine *machine, VmpFsckFlags flags, GError **error);

/* A finding; @path, @disk and @point may be NULL. */
VmpFinding *vmp_finding_new(const char *code, VmpCure cure, const char *disk,
                            const char *point, const char *path, const char *format, ...)
    G_GNUC_PRINTF(6, 7);
