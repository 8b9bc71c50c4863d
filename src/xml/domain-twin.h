/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A domain's document made fit for a second domain that may run beside the first.
 *
 * What only one of them can have goes: network addresses, the sockets and ports that QEMU
 * would listen on (serial lines become ptys, channels get places of their own), and QEMU
 * arguments past the document, of which nobody knows what they name.
 */

#include "xml/domain.h"

typedef struct {
    const char *name, *uuid;
    const char
        *nvram; /* path of its firmware's variables, where the document names one; or NULL */
    GHashTable *disks;  /* target -> new path, of char *: other disks that can be written go */
    const char *format; /* of these */
    gboolean isolated;  /* no network, and nothing else of the host */
    const char *console; /* file for what its first serial line says; or NULL: a pty */
} VmpTwin;

/* @dropped (of char *) gets a sentence for each thing that it lacks and the first has. */
VmpDomain *vmp_domain_make_twin(const VmpDomain *domain, const VmpTwin *twin,
                                GPtrArray *dropped, GError **error);
