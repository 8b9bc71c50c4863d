/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpQmpCommand: a command as a value.  It can be printed, journaled, checked
 * against a schema, sent.  Immutable; made by qmp/commands.h.
 */

#include <glib.h>

#include "base/json.h"

typedef struct _VmpQmpCommand VmpQmpCommand;

VmpQmpCommand *vmp_qmp_command_new(const char *name,
                                   VmpJson *arguments /* consumed; or NULL */);
VmpQmpCommand *vmp_qmp_command_ref(VmpQmpCommand *command);
void vmp_qmp_command_unref(VmpQmpCommand *command);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpQmpCommand, vmp_qmp_command_unref)

const char *vmp_qmp_command_get_name(const VmpQmpCommand *command);
/* Borrowed; NULL if there are none. */
VmpJson *vmp_qmp_command_get_arguments(const VmpQmpCommand *command);
/* {"execute": ..., "arguments": ...}; a new reference. */
VmpJson *vmp_qmp_command_to_json(const VmpQmpCommand *command);
