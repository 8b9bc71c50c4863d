/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What `vmpoint help` prints, made of the tables. */

#include <json-c/json.h>

#include "cli/parser.h"

/* All of these append to @text. */
void vmp_help_format_all(const VmpCommandGroup *groups, const VmpOption *globals,
                         GString *text);
void vmp_help_format_group(const VmpCommandGroup *group, GString *text);
void vmp_help_format_command(const VmpCommand *command, GString *text);

/* The tables themselves, hidden commands left out; of the commands only the one that @about
 * names, or those of the group that it names (NULL = all). */
json_object *vmp_help_to_json(const VmpCommandGroup *groups, const VmpOption *globals,
                              const char *about);
