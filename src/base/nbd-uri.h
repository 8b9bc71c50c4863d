/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpNbdUri: where an NBD export is, in the standard URI of NBD.
 *
 *   nbd://HOST[:PORT]/EXPORT           nbds: with TLS
 *   nbd+unix:///EXPORT?socket=PATH     nbds+unix: with TLS
 */

#include <glib.h>

typedef struct {
    gboolean tls;
    char *host;   /* NULL with a socket */
    char *port;   /* digits; NULL = NBD's own */
    char *socket; /* absolute path; or NULL */
    char *name;   /* of the export; "" = the server's default one */
} VmpNbdUri;

#define VMP_NBD_PORT "10809"

/* INVALID, with what is wrong. */
VmpNbdUri *vmp_nbd_uri_parse(const char *text, GError **error);
void vmp_nbd_uri_free(VmpNbdUri *uri);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpNbdUri, vmp_nbd_uri_free)

/* Free with g_free(). */
char *vmp_nbd_uri_format(const VmpNbdUri *uri);

/* Where an image is, is one text: an absolute path, or such a URI. */
gboolean vmp_nbd_uri_is(const char *place);
/* The one spelling by which such a place is known, so that places can be compared as texts:
 * with its port.  NULL for what is no URI.  Free with g_free(). */
char *vmp_nbd_uri_normalize(const char *text);
