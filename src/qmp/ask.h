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

/* The answers of the monitors at @paths (of char *), in order: the "return" object, or NULL
 * for one that refused, hung up, or said nothing within @timeout_ms.  Elements are VmpJson. */
GPtrArray *vmp_qmp_ask_each(const GPtrArray *paths, VmpQmpCommand *command, int timeout_ms);
