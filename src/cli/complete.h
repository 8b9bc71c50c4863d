/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a shell may offer at the end of a command line that is being written. */

#include "cli/parser.h"

/* The words that may stand in place of the last of @words (NULL-terminated, at least one),
 * which is cut off somewhere.  Names of domains, points and disks are asked of the store that
 * the line itself names; if that fails there are none.  Array of char *; empty where file
 * names are wanted or nothing is known. */
GPtrArray *vmp_complete(const VmpCommandGroup *groups, const VmpOption *globals,
                        const char *const *words);
