/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Somebody's NBD export in XML, as libvirt writes the source of a network disk:
 *
 *   <source protocol='nbd' name='EXPORT' tls='yes'>
 *     <host name='HOST' port='PORT'/>   or   <host transport='unix' socket='PATH'/>
 *   </source>
 *
 * Everywhere else it is a URI (base/nbd-uri.h).
 */

#include "xml/markup.h"
#include "xml/reader.h"

/* The URI of the export that @source, of whatever name, says.  Of <host> all must be known;
 * what else may be in @source is for the caller to see.  Free with g_free(). */
char *vmp_nbd_source_read(const xmlNode *source, GError **error);
/* The place of an image that @source says, normalized: NULL, and no error, for what is network
 * storage of another kind or wants TLS.  Free with g_free(). */
gboolean vmp_nbd_source_read_place(const xmlNode *source, char **place, GError **error);
/* Attributes and <host> in the element that is open; nothing for what is no such URI. */
void vmp_nbd_source_write(VmpMarkup *markup, const char *uri);
/* A host's name or address, by its characters. */
gboolean vmp_nbd_source_is_host(const char *name);
