/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One question to many QEMUs at once, for lists.
 *
 * No client and no context: to each monitor everything is sent as soon as it is connected,
 * negotiation and question together, so that a list costs one round trip however many
 * machines there are, and one that hangs keeps nobody else waiting.
 */

#include <glib.h>

#include "qmp/command.h"

typedef struct _VmpQmpAsk VmpQmpAsk;

/* Nobody is asked yet.  Free with vmp_qmp_ask_free(). */
VmpQmpAsk *vmp_qmp_ask_new(VmpQmpCommand *command);
void vmp_qmp_ask_free(VmpQmpAsk *ask);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpQmpAsk, vmp_qmp_ask_free)

/* Asks the monitor at @path, and does not wait for its answer. */
void vmp_qmp_ask_add(VmpQmpAsk *ask, const char *path);
/* Once: the answers of all that were added, in order: the "return" object, or NULL for one
 * that refused, hung up, or has said nothing in @timeout_ms from now.  Elements are VmpJson.
 */
GPtrArray *vmp_qmp_ask_wait(VmpQmpAsk *ask, int timeout_ms);
