/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The folder with the certificates, by the names that QEMU and libnbd look for:
 * ca-cert.pem, {server,client}-cert.pem, {server,client}-key.pem.
 */

#include <glib.h>

/* $VMPOINT_TLS_DIR, or one of libvirt's places. */
const char *vmp_tls_folder(void);
/* NOT_FOUND if one that a server needs is not in @folder. */
gboolean vmp_tls_check_server(const char *folder, GError **error);
/* The same for a client, which needs a certificate of its own only where its server asks for
 * one. */
gboolean vmp_tls_check_client(const char *folder, GError **error);
