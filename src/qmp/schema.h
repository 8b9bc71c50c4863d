/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpQmpSchema: what this QEMU can do, from query-qmp-schema.  Immutable.
 *
 * There are no version numbers in any `if`: whoever wants to know asks here, and
 * unit tests ask recorded schemas through the same code.
 */

#include <glib.h>

#include "base/json.h"
#include "qmp/client.h"

typedef struct _VmpQmpSchema VmpQmpSchema;

/* @reply is the "return" of query-qmp-schema; a reference is taken. */
VmpQmpSchema *vmp_qmp_schema_new(VmpJson *reply, GError **error);
VmpQmpSchema *vmp_qmp_schema_ref(VmpQmpSchema *schema);
void vmp_qmp_schema_unref(VmpQmpSchema *schema);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpQmpSchema, vmp_qmp_schema_unref)

gboolean vmp_qmp_schema_has_command(const VmpQmpSchema *schema, const char *command);
gboolean vmp_qmp_schema_has_event(const VmpQmpSchema *schema, const char *event);
/* Is there the member at @path below @command's arguments?  Path parts are member
 * names, "+value" chooses a union branch or an enum value, e.g.
 *   "blockdev-backup", "x-perf/use-copy-range"
 *   "blockdev-add", "+copy-before-write/on-cbw-error"
 *   "migrate-set-capabilities", "capabilities/capability/+background-snapshot"
 *   "transaction", "actions/type/+block-dirty-bitmap-merge"          (array elements are
 * looked through)
 */
gboolean vmp_qmp_schema_has(const VmpQmpSchema *schema, const char *command, const char *path);
/* Is the command or member marked deprecated? */
gboolean vmp_qmp_schema_is_deprecated(const VmpQmpSchema *schema, const char *command,
                                      const char *path);

/* Checks a whole command as QEMU's parser would: known command, no unknown member, all
 * mandatory ones, types, enum values, union branches.  VMP_ERROR_UNSUPPORTED with the
 * path of what is wrong. */
gboolean vmp_qmp_schema_check(const VmpQmpSchema *schema, const VmpQmpCommand *command,
                              GError **error);

/* Where @command first uses what is marked deprecated ("transaction: actions[0].type");
 * NULL if it does not, or is not valid up to there.  Free with g_free(). */
char *vmp_qmp_schema_find_deprecated(const VmpQmpSchema *schema, const VmpQmpCommand *command);
