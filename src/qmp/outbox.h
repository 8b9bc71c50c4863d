/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpQmpOutbox: texts on their way to a socket that takes as much as it likes.
 *
 * A file descriptor travels with the first byte of its text and with no other
 * text: QEMU keeps only the descriptors of its latest read.
 */

#include <glib.h>

typedef struct _VmpQmpOutbox VmpQmpOutbox;

VmpQmpOutbox *vmp_qmp_outbox_new(void);
void vmp_qmp_outbox_free(VmpQmpOutbox *outbox);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpQmpOutbox, vmp_qmp_outbox_free)

/* Appends a copy of @text; @fd (-1 = none) is duplicated.  Sends nothing yet. */
gboolean vmp_qmp_outbox_add(VmpQmpOutbox *outbox, const char *text, gsize length, int fd,
                            GError **error);

/* Sends what @socket takes without blocking; TRUE also if some of it is left. */
gboolean vmp_qmp_outbox_flush(VmpQmpOutbox *outbox, int socket, GError **error);

/* Is all sent? */
gboolean vmp_qmp_outbox_is_empty(const VmpQmpOutbox *outbox);

/* Forgets all that is not sent. */
void vmp_qmp_outbox_clear(VmpQmpOutbox *outbox);
