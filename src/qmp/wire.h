/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpQmpWire: bytes in, JSON objects out.
 *
 * Bytes may come in pieces of any size: the parser keeps its place, so that each
 * byte is looked at once however large the message.  What is no JSON object, no
 * UTF-8 or longer than the limit is a lie and ends the stream for good.
 */

#include <glib.h>

#include "base/json.h"

/* No honest reply comes near it: query-block for 200 layers is below 1 MiB. */
#define VMP_QMP_MESSAGE_LIMIT ((gsize)64 * 1024 * 1024)

typedef struct _VmpQmpWire VmpQmpWire;

/* @limit: bytes that one message may have. */
VmpQmpWire *vmp_qmp_wire_new(gsize limit);
void vmp_qmp_wire_free(VmpQmpWire *wire);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpQmpWire, vmp_qmp_wire_free)

/* Appends each message that @bytes complete to @messages (VmpJson, owned by the
 * queue).  VMP_ERROR_INVALID on a lie; messages that were whole before it are
 * delivered still, and every later call fails as well. */
gboolean vmp_qmp_wire_feed(VmpQmpWire *wire, const char *bytes, gsize length, GQueue *messages,
                           GError **error);

/* Has a message begun that is not complete? */
gboolean vmp_qmp_wire_is_inside_message(const VmpQmpWire *wire);
