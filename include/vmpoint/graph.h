/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What of a domain stands on what: disks, images, and where its points in time are. */

#include <vmpoint/host.h>
#include <vmpoint/types.h>

G_BEGIN_DECLS

/* A dirty bitmap in an image. */
typedef struct {
    char *name;
    char *checkpoint;      /* whose it is, or NULL: nobody's that the store knows */
    gboolean recording;    /* it grows with what is written */
    gboolean inconsistent; /* QEMU did not close it: it tells nothing any more */
} VmpGraphBitmap;

/* An image of the domain, or below one. */
typedef struct {
    char *path;           /* or a URI */
    char *format;         /* "qcow2", "raw", ...; NULL if it could not be read */
    char *failure;        /* why it could not be read; else NULL */
    char *backing;        /* path of the image that it stands on, or NULL */
    char *node;           /* node name in the running QEMU, or NULL: not open there */
    guint64 virtual_size; /* bytes */
    guint64 actual_size;  /* bytes allocated on the host */
    gboolean shared;      /* another domain that the store knows uses it as well */
    GPtrArray *disks;     /* of char *: targets of the disks that write to it */
    GPtrArray *bitmaps;   /* of VmpGraphBitmap */
    GPtrArray *internal;  /* of char *: tags of the internal snapshots in it */
} VmpGraphImage;

/* Where a point in time has a disk. */
typedef struct {
    char *disk;        /* target */
    char *path;        /* of the image that is, or has, the disk of that moment */
    gboolean internal; /* inside of it: an internal snapshot, or a bitmap */
} VmpGraphPlace;

typedef struct {
    char *name;
    char *parent; /* or NULL */
    gboolean current;
    VmpState state;    /* of a snapshot: what the domain was; else NOSTATE */
    char *memory_file; /* of a snapshot: the file that has its RAM, or NULL */
    GPtrArray *places; /* of VmpGraphPlace */
} VmpGraphPoint;

typedef struct {
    char *domain;
    gboolean active;        /* a QEMU runs */
    GPtrArray *images;      /* of VmpGraphImage, each after the one that it stands on */
    GPtrArray *snapshots;   /* of VmpGraphPoint, parents first */
    GPtrArray *checkpoints; /* of VmpGraphPoint, parents first */
} VmpGraph;

VMP_PUBLIC void vmp_graph_free(VmpGraph *graph);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpGraph, vmp_graph_free)

/* Reads the store, the header of every image that is named anywhere in it, all images below
 * those, and QEMU's block nodes if it runs.  Changes nothing and takes no lock.  An image that
 * cannot be read is part of the graph; NULL with @error only if the domain could not be looked
 * at.  Free with vmp_graph_free(). */
VMP_PUBLIC VmpGraph *vmp_domain_graph(VmpHost *host, const char *domain,
                                      VmpOperation *operation, GError **error);

G_END_DECLS
