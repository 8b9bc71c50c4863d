/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpImage: images on storage, as qemu-img sees them.
 *
 * The only module that knows qemu-img's options (qemu-img.h runs it).  Reading never takes the
 * image lock (-U), so it works beside a running QEMU; where QEMU has the image open, what QMP
 * says (block-graph.h) is newer.
 */

#include <gio/gio.h>

#include "storage/block-graph.h"

typedef struct {
    char *path;           /* absolute, as given; or a URI (base/nbd-uri.h), normalized */
    char *format;         /* "qcow2", "raw", ... */
    guint64 virtual_size; /* bytes */
    guint64 actual_size;  /* bytes allocated on the host */
    guint64 cluster_size; /* bytes; 0 if none */
    gboolean extended_l2, lazy_refcounts, encrypted, corrupt;
    char *compat;         /* "0.10", "1.1"; or NULL */
    char *backing_string; /* as in the header; or NULL */
    char *backing_path;   /* resolved against the image's folder, or a URI; or NULL */
    char *backing_format; /* or NULL */
    GPtrArray *bitmaps;   /* of VmpBitmap (count is unknown: 0) */
    GPtrArray *snapshots; /* of VmpInternalSnapshot */
} VmpImage;

void vmp_image_free(VmpImage *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpImage, vmp_image_free)

/* @format NULL: probed (only for images whose format the domain does not say).
 * NOT_FOUND, DAMAGED (not that format, truncated header), IO. */
VmpImage *vmp_image_read(const char *path, const char *format, GCancellable *cancellable,
                         GError **error);
/* The image and all below it, top first; an array of VmpImage. */
GPtrArray *vmp_image_read_chain(const char *path, const char *format,
                                GCancellable *cancellable, GError **error);
/* From qemu-img's JSON; for tests and for the above. */
VmpImage *vmp_image_from_json(VmpJson *info, GError **error);

/* ---- image-make.c: new images ---- */

typedef struct {
    const char *path, *format;            /* format NULL = qcow2 */
    guint64 size;                         /* virtual, bytes; 0 = as the backing image */
    const char *backing, *backing_format; /* or NULL */
    guint64 cluster_size;                 /* 0 = default */
    gboolean extended_l2;
} VmpImageSpec;

/* Makes the image; refuses an existing file (EXISTS), except an empty one. */
gboolean vmp_image_create(const VmpImageSpec *spec, GCancellable *cancellable, GError **error);
/* Copies the guest's view of @source (with its chain) to a new image @target. */
gboolean vmp_image_convert(const char *source, const char *source_format,
                           const VmpImageSpec *target, GCancellable *cancellable,
                           GError **error);

/* ---- image-edit.c: what images that nobody has open say about themselves ---- */

/* Changes only the header's backing string and format ("unsafe" rebase). */
gboolean vmp_image_set_backing(const char *path, const char *backing,
                               const char *backing_format, GCancellable *cancellable,
                               GError **error);
/* Adds an enabled, persistent, empty bitmap to an image that nobody has open; @granularity 0 =
 * default. */
gboolean vmp_image_add_bitmap(const char *path, const char *format, const char *name,
                              guint32 granularity, GCancellable *cancellable, GError **error);
/* Removes the bitmap @name from an image that nobody has open. */
gboolean vmp_image_remove_bitmap(const char *path, const char *name, GCancellable *cancellable,
                                 GError **error);
typedef enum {
    VMP_IMAGE_SNAPSHOT_CREATE,
    VMP_IMAGE_SNAPSHOT_APPLY, /* the image becomes what it was; refused while it has bitmaps */
    VMP_IMAGE_SNAPSHOT_DELETE,
} VmpImageSnapshotVerb;

/* An internal snapshot of a qcow2 image that nobody has open.  QEMU makes a second one of the
 * same tag without a word: look first. */
gboolean vmp_image_snapshot(const char *path, VmpImageSnapshotVerb verb, const char *tag,
                            GCancellable *cancellable, GError **error);

/* ---- image-merge.c: layers that nobody has open become one ---- */

/* Everything that @top and the images between have over @base goes into @base, an image that
 * @top stands on; @top stays as it is. */
gboolean vmp_image_commit(const char *top, const char *base, GCancellable *cancellable,
                          GError **error);
/* Gives @path another backing image (NULL = none) and copies what would be seen no more. */
gboolean vmp_image_rebase(const char *path, const char *backing, const char *backing_format,
                          GCancellable *cancellable, GError **error);

/* ---- image-chain.c: chains by the order in which they are given ---- */

/* Copies the guest's view of a full image @images[0] with increments laid over it in that
 * order: whatever their headers name, the order given is the chain.  All are only read. */
gboolean vmp_image_convert_chain(const char *const *images, const VmpImageSpec *target,
                                 GCancellable *cancellable, GError **error);
/* Is the guest's view of @path the same as that of the chain @images?  DAMAGED if not. */
gboolean vmp_image_compare_chain(const char *const *images, const char *path,
                                 const char *format, GCancellable *cancellable,
                                 GError **error);

/* ---- image-map.c ---- */

/* Where the bytes of an image's disk are. */
typedef enum {
    VMP_MAPPING_ZERO,      /* nowhere: they read as zeroes */
    VMP_MAPPING_FILE,      /* in a file, as they are, from byte @host on */
    VMP_MAPPING_ELSEWHERE, /* compressed or encrypted */
    VMP_MAPPING_BELOW,     /* for a backing image to say; in a map of one image alone */
} VmpMappingPlace;

typedef struct {
    guint64 offset, length, host; /* bytes */
    guint depth; /* whose file: 0 is the image's own, 1 that of its backing image, ... */
    VmpMappingPlace place;
} VmpMapping;

/* Of VmpMapping, in order and without gaps.  Free with g_array_unref(). */
GArray *vmp_image_map(const char *path, const char *format, GCancellable *cancellable,
                      GError **error);
/* The same of what the qcow2 image holds itself.  What that costs does not grow with its
 * backing images, nor with what they have. */
GArray *vmp_image_map_alone(const char *path, GCancellable *cancellable, GError **error);
/* Has anything been written to this qcow2 layer itself, rather than to those below it? */
gboolean vmp_image_is_written(const char *path, gboolean *written, GCancellable *cancellable,
                              GError **error);

/* ---- image-check.c ---- */

/* Structural check; DAMAGED with qemu-img's words. */
gboolean vmp_image_check(const char *path, const char *format, GCancellable *cancellable,
                         GError **error);
/* The same for a qcow2 image whose backing image may not be where its header says. */
gboolean vmp_image_check_alone(const char *path, const char *format, GCancellable *cancellable,
                               GError **error);
