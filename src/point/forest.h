/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpForest: the images of a domain as they stand on each other, and what is to become of
 * those that nobody needs.
 *
 * Pure: it knows neither files nor QEMU.  Whoever fills it in says of each image who needs
 * it; vmp_forest_decide() then says which ones go, which are merged, and how.  What it decides
 * never changes what a needed image reads as, nor what an internal snapshot in one does.
 *
 * An image that no point needs any more (`idle`):
 *
 *   nothing stands on it      it goes
 *   one image stands on it    the two are merged, together with all others for which that is
 *                             so in a row
 *   several stand on it       it stays: it is in all of them
 *
 * Merging a row is either a commit, in which all above goes down into the lowest image, which
 * survives under its name; or a stream, in which all below is pulled up into the highest,
 * which survives.  A commit is what libvirt does, and what leaves a user's own image in use.
 * A stream is taken instead where a commit would
 *
 *   - make the disk larger: the highest image is the smaller one;
 *   - lose bitmaps: the lowest image cannot keep any;
 *   - change the headers of several images that stand on the highest, if the lowest one is
 *     ours, so that nobody knows it by its name;
 *   - copy far more, and the lowest one is ours.
 *
 * and never where an internal snapshot that stays is in the lowest image.  (One in a higher
 * image needs all that this image stands on, which is thereby needed.)
 */

#include <glib.h>

typedef struct _VmpForestImage VmpForestImage;
struct _VmpForestImage {
    char *path;
    char *format;      /* "qcow2", "raw", ... */
    char *disk;        /* target of the disk whose present chain it is in; NULL = none */
    guint64 size;      /* virtual, bytes */
    guint64 allocated; /* bytes on the host */
    gboolean needed;   /* a point that stays, or the present, reads it */
    char *outsider;    /* another domain that stands on it; NULL = none.  It stays where and
                        * as it is, with all below it */
    gboolean holds;    /* an internal snapshot that stays is in it */
    gboolean idle;     /* a point needed it that is gone or goes */
    gboolean ours;     /* vmpoint made the file */
    gboolean keeps_bitmaps; /* its format can */
    gboolean has_bitmaps;
    VmpForestImage *below; /* the image that it stands on; NULL = none */
    gboolean carries; /* decided: one that holds stands on it, so that it stays, idle or not */
    gboolean gone;    /* decided: nothing is left of it */
};

typedef enum {
    VMP_MERGE_COMMIT,
    VMP_MERGE_STREAM,
} VmpMergeWay;

typedef struct {
    GPtrArray *layers; /* of VmpForestImage, borrowed; the lowest first, at least two */
    VmpMergeWay way;
    guint64 bandwidth; /* bytes per second; 0 = no limit */
} VmpMerge;

/* The one that is left, and the one on top.  Borrowed. */
VmpForestImage *vmp_merge_survivor(const VmpMerge *merge);
VmpForestImage *vmp_merge_top(const VmpMerge *merge);

typedef struct {
    GPtrArray *images;   /* of VmpForestImage */
    GPtrArray *merges;   /* of VmpMerge: those that can be carried out side by side */
    GPtrArray *unneeded; /* of VmpForestImage, borrowed: they go as they are */
    guint deferred;      /* merges for which the ones above have to be done first */
} VmpForest;

VmpForest *vmp_forest_new(void);
void vmp_forest_free(VmpForest *forest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpForest, vmp_forest_free)

/* The image of that path; borrowed, NULL if there is none. */
VmpForestImage *vmp_forest_find(const VmpForest *forest, const char *path);
/* The same, and it is added if it was not there. */
VmpForestImage *vmp_forest_add(VmpForest *forest, const char *path);

/* Fills in merges, unneeded, deferred and each image's `gone`; once. */
void vmp_forest_decide(VmpForest *forest);

/* Instead of deciding: the images from @bottom up to @top, which stands on it, are to become
 * one. What a stream leaves behind is not gone. */
void vmp_forest_ask_merge(VmpForest *forest, VmpForestImage *bottom, VmpForestImage *top,
                          VmpMergeWay way, guint64 bandwidth);

/* The image that has taken @image in; NULL if it is still there, or went as a whole. */
VmpForestImage *vmp_forest_successor(const VmpForest *forest, const VmpForestImage *image);
