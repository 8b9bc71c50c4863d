/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The NBD server of one QEMU (or storage daemon), and what it serves.
 *
 * A process has one server.  One that is there already is somebody else's: it is never used
 * and never stopped.  Exports are read-only.
 *
 * In JSON, for the journal:
 *   a server   { "transport": "unix", "socket" } or { "transport": "tcp", "host", "port": text
 * }, "tls-dir": where the certificates are; absent = no TLS an export  { "id", "node", "name",
 * "bitmap": one of the same node; or absent }
 */

#include "qmp/client.h"

/* Nobody must listen at its address, and nothing but a socket may stand there; with TLS, the
 * certificates must be there.  A tcp server without a port gets a free one.  BUSY, EXISTS,
 * INVALID. */
gboolean vmp_nbd_server_prepare(VmpJson *server, GError **error);
/* "nbd+unix:///NAME?socket=/s", "nbds://host:port/NAME"; free with g_free(). */
char *vmp_nbd_server_uri(VmpJson *server, const char *name);
/* Starts it.  BUSY if this QEMU has one already. */
gboolean vmp_nbd_server_start(VmpQmpClient *client, VmpJson *server, GError **error);
/* Stops it if it is this one: something answers at its address.  Takes its socket away. */
gboolean vmp_nbd_server_stop(VmpQmpClient *client, VmpJson *server, GError **error);
/* What is left of it when its process is gone: the socket. */
void vmp_nbd_server_clear(VmpJson *server);
/* The commands that start would send: adds VmpQmpCommand. */
void vmp_nbd_server_commands(VmpJson *server, GPtrArray *commands);

gboolean vmp_exports_add(VmpQmpClient *client, VmpJson *exports, GError **error);
/* Takes them away from their clients and returns when they are gone: what is below them may
 * change only then.  One that is not there is fine. */
gboolean vmp_exports_remove(VmpQmpClient *client, VmpJson *exports, GError **error);
/* Is each of them there? */
gboolean vmp_exports_exist(VmpQmpClient *client, VmpJson *exports, gboolean *exist,
                           GError **error);
void vmp_exports_commands(VmpJson *exports, GPtrArray *commands);
