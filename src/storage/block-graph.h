/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpBlockGraph: a picture of one QEMU's block nodes and edges at one moment.
 *
 * Immutable.  Read with three pipelined queries: query-named-block-nodes (flat; the
 * other form is quadratic), query-block, and the block graph for the edges; where a
 * QEMU has no graph query, backing edges are inferred from file names.
 * "#block123" names of somebody else's -drive are as good as ours, until that QEMU ends.
 */

#include "qmp/client.h"
#include "storage/internal-snapshot.h"

typedef struct {
    char *name;          /* never NULL: nameless ones of running jobs are left out */
    guint64 count;       /* bytes dirty */
    guint32 granularity; /* bytes */
    gboolean recording, persistent, inconsistent, busy;
} VmpBitmap;

typedef struct {
    char *name;           /* node name */
    char *driver;         /* "qcow2", "raw", "file", "copy-before-write", ... */
    char *filename;       /* as QEMU says it; may be "json:..." */
    char *path;           /* plain path of the file below, or NULL (network, null-co, ...);
                           * relative if QEMU was started with a relative one, until
                           * vmp_block_graph_resolve() */
    char *backing_string; /* what the image header says, or NULL */
    char *backing_format; /* from the header, or NULL */
    guint64 size;         /* virtual size, bytes */
    guint64 cluster_size; /* bytes; 0 if the format has none */
    gboolean read_only, encrypted, extended_l2;
    gboolean direct;              /* the file below is opened with cache.direct */
    gboolean can_persist_bitmaps; /* qcow2 with compat >= 1.1 */
    char *file;                   /* node name of the protocol child, or NULL */
    char *backing;                /* node name of the backing child, or NULL */
    gboolean has_parent;          /* another node, a device, an export or a job sits on it */
    GPtrArray *bitmaps;           /* of VmpBitmap */
    GPtrArray *snapshots;         /* of VmpInternalSnapshot */
} VmpBlockNode;

typedef struct {
    char *id;   /* "drive-virtio0" of -drive, or "" */
    char *qdev; /* qom path or qdev id, or NULL */
    char *node; /* name of the top node, or NULL when empty */
    gboolean removable, locked, tray_open;
    char *io_status; /* "ok", "failed", "nospace", or NULL */
} VmpBlockDevice;

typedef struct _VmpBlockGraph VmpBlockGraph;

VmpBlockGraph *vmp_block_graph_read(VmpQmpClient *client, GCancellable *cancellable,
                                    GError **error);
/* From the three replies; @edges may be NULL.  For tests and for the above. */
VmpBlockGraph *vmp_block_graph_new(VmpJson *named_nodes, VmpJson *devices, VmpJson *edges,
                                   GError **error);
void vmp_block_graph_free(VmpBlockGraph *graph);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpBlockGraph, vmp_block_graph_free)

/* Can only QEMU tell where its image is? */
gboolean vmp_block_node_has_relative_path(const VmpBlockNode *node);
/* Where the file is that QEMU opened as @relative; NULL if that cannot be told.  Free with
 * g_free(). */
typedef char *(*VmpPathResolver)(gconstpointer data, const char *relative);
/* Makes relative paths absolute.  The first one that could not be resolved, borrowed; NULL if
 * all are. */
const char *vmp_block_graph_resolve(VmpBlockGraph *graph, VmpPathResolver resolver,
                                    gconstpointer data);

/* All borrowed; NULL if there is none. */
const VmpBlockNode *vmp_block_graph_node(const VmpBlockGraph *graph, const char *name);
/* The format node whose file is @path (after canonicalization); of several the one that is
 * written to, or else used. */
const VmpBlockNode *vmp_block_graph_node_of_path(const VmpBlockGraph *graph, const char *path);
/* The next image below @node; filters between the two are looked through. */
const VmpBlockNode *vmp_block_graph_backing(const VmpBlockGraph *graph,
                                            const VmpBlockNode *node);
/* By qdev id ("vda"), by qom path ("/machine/peripheral/vda/virtio-backend") or by drive id.
 */
const VmpBlockDevice *vmp_block_graph_device(const VmpBlockGraph *graph, const char *id);
const GPtrArray *vmp_block_graph_devices(const VmpBlockGraph *graph); /* of VmpBlockDevice */
const GPtrArray *vmp_block_graph_nodes(const VmpBlockGraph *graph);   /* of VmpBlockNode */

/* Follows filters (copy-before-write, throttle, ...) down to the active image format node. */
const VmpBlockNode *vmp_block_graph_active_image(const VmpBlockGraph *graph, const char *top);

const VmpBitmap *vmp_block_node_bitmap(const VmpBlockNode *node, const char *name);
/* Can a bitmap tell what is written to it, at least until it is closed?  VMP_ERROR_UNSUPPORTED
 * with the reason (read-only, no format node: QEMU aborts when a file grows under a bitmap).
 */
gboolean vmp_block_node_check_can_track(const VmpBlockNode *node, GError **error);
/* VMP_ERROR_UNSUPPORTED with the reason (raw, qcow2 v2, read-only). */
gboolean vmp_block_node_check_can_persist_bitmap(const VmpBlockNode *node, GError **error);

/* A node name that the graph does not have: "<stem>-<n>", at most 31 bytes.  @taken
 * (optional) is a set of names already given out; the new one is added to it. */
char *vmp_block_graph_new_name(const VmpBlockGraph *graph, const char *stem,
                               GHashTable *taken);

/* Up to where the file below the image @name was written since it was opened, bytes: of one
 * that was made for it, how much there is of it.  0 if there is no such node. */
gboolean vmp_node_query_written(VmpQmpClient *client, const char *name, guint64 *written,
                                GError **error);
