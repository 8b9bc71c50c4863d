/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* New images: made here, then opened by the QEMU (or storage daemon) that will use them.
 *
 * The files are made with O_EXCL, owner and mode of the image they stand beside (nothing for
 * others), their format is laid down by storage/qcow2.h, and they are on stable storage when
 * create returns.  Making them needs no QEMU, no job and no process: QEMU reads a monitor
 * byte by byte, and eight overlays by blockdev-create took twice as long as all of this.
 *
 * Each image carries a random mark, in the file too (a header extension of qcow2, an
 * extended attribute of raw).  Remove unlinks only files with the mark of their VmpNewImage,
 * so that undoing a create that found somebody else's file cannot take that away.  Where a
 * file system has no extended attributes, a raw file stays: nobody can tell whose it is.
 */

#include "qmp/client.h"

typedef struct {
    char *path;         /* absolute; must not exist (or be an empty regular file) */
    char *format;       /* "qcow2" (default when NULL) or "raw" */
    guint64 size;       /* virtual, bytes */
    char *backing_path; /* absolute, or a URI (base/nbd-uri.h), for the header; NULL = none */
    char *backing_format;
    gboolean relative; /* the backing path is relative to the image, for those who will open it
                        * later: here it is opened without */
    guint64 cluster_size; /* 0 = default */
    gboolean extended_l2;
    char *node;        /* the name to give its node; that of the file is QEMU's */
    char *model;       /* image whose owner and mode the file gets, if it is a file; or NULL */
    gboolean reuse;    /* the file was prepared by the caller: only opened, never removed */
    gboolean direct;   /* cache.direct on the protocol node */
    gboolean no_flush; /* flushes by QEMU are no-ops: vmp_new_images_sync() makes it durable,
                        * and nobody may call it complete before */
    gboolean unmap;    /* the guest's discards reach the file */
    char *aio;         /* "threads", "native", "io_uring"; NULL = QEMU's default */
    char *detect_zeroes;   /* "on", "unmap"; NULL = off */
    gboolean block_device; /* @path is a block device */
    gboolean network; /* @path is the URI of an NBD export (base/nbd-uri.h), which is there,
                       * and free unless reused (overlay-export.h); flushed by its server */
    char *tls_dir;    /* the certificates for that export (storage/tls.h); NULL = no TLS */
    guint64 mark;     /* by which remove knows the file again; given when it is 0 and the
                       * image is journaled or made */
} VmpNewImage;

void vmp_new_image_free(VmpNewImage *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpNewImage, vmp_new_image_free)
/* For the journal. */
VmpJson *vmp_new_image_to_json(VmpNewImage *image);
VmpNewImage *vmp_new_image_from_json(VmpJson *json, GError **error);
/* Of VmpNewImage. */
GPtrArray *vmp_new_images_from_json(VmpJson *list, GError **error);

/* Makes the files and their formats, for all of @images (of VmpNewImage) in parallel.  On
 * failure none is left.  EXISTS, IO (no space), INVALID (a relative backing path, say) name
 * the path. */
gboolean vmp_new_images_create(GPtrArray *images, GCancellable *cancellable, GError **error);
/* blockdev-add, backing none; all or none. */
gboolean vmp_new_images_open(VmpQmpClient *client, GPtrArray *images,
                             GCancellable *cancellable, GError **error);
/* create + open; on failure neither nodes nor files are left. */
gboolean vmp_new_images_create_and_open(VmpQmpClient *client, GPtrArray *images,
                                        GCancellable *cancellable, GError **error);
/* Takes their nodes out of QEMU again, and their files' with them; that one is gone already is
 * fine, and so is a node of that name over another file: it is not ours and stays. */
gboolean vmp_new_images_close(VmpQmpClient *client, GPtrArray *images,
                              GCancellable *cancellable, GError **error);
/* Unlinks the files that create made: those with their image's mark, and empty ones; and makes
 * exports free again.  Never
 * reused ones, never block devices.  What is somebody else's stays, and that is no error. */
gboolean vmp_new_images_remove(GPtrArray *images, GError **error);
/* Brings files and folders to stable storage; the nodes must be closed. */
gboolean vmp_new_images_sync(GPtrArray *images, GError **error);
/* The commands that create_and_open would send, for --dry-run: array of VmpQmpCommand. */
GPtrArray *vmp_new_images_commands(GPtrArray *images);
