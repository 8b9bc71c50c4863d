/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Somebody's NBD server, asked by ourselves.
 *
 * QEMU holds its guest while it connects: a server that keeps silent is to be found before,
 * within seconds.  And what it was given is on stable storage when it has said so to us: of a
 * flush that fails while QEMU closes a node, QEMU tells nobody.
 */

#include <glib.h>

typedef struct {
    guint64 size; /* bytes */
    gboolean read_only;
} VmpNbdExport;

/* @tls_dir: where the certificates are (storage/tls.h); NULL without TLS.  IO if nobody is
 * there or has that export, TIMED_OUT if nothing is said. */
gboolean vmp_nbd_peer_look(const char *uri, const char *tls_dir, VmpNbdExport *found,
                           GError **error);
/* The export's bytes from @offset on; without TLS. */
gboolean vmp_nbd_peer_read(const char *uri, void *bytes, gsize length, guint64 offset,
                           GError **error);
/* A file in memory with the beginning of the export, where images have their header; -1 with
 * @error. */
int vmp_nbd_peer_open_head(const char *uri, GError **error);
/* Writes them from the first on (or the last, with @backwards: what is at @offset comes last),
 * a cluster at a time, and returns when they are on stable storage. */
gboolean vmp_nbd_peer_write(const char *uri, const void *bytes, gsize length, guint64 offset,
                            gboolean backwards, GError **error);
/* Returns when all that was written to the export, by whomever, is on stable storage; a server
 * that does not offer to see to that is believed to. */
gboolean vmp_nbd_peer_flush(const char *uri, const char *tls_dir, GError **error);
