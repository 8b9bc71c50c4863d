/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Stamps: how an image looked when it was frozen, so that whether it was written to since can
 * be told: its size and the time of its last change.
 *
 * A frozen image is written to by nobody but vmpoint itself (a bitmap that goes, a header that
 * names another backing image); such an operation renews the stamps that were right before it.
 * Not every image has one: what was frozen by somebody else, or by a command that was killed
 * right then.
 */

#include "machine/machine.h"

/* Takes the stamp of @path; @again: also if it has one. */
gboolean vmp_stamp_take(VmpMachine *machine, const char *path, gboolean again, GError **error);
/* Has it one at all? */
gboolean vmp_stamp_has(VmpMachine *machine, const char *path);
/* Was @path written to since?  FALSE as well if it has no stamp. */
gboolean vmp_stamp_is_broken(VmpMachine *machine, const char *path);
/* Forgets its content as well. */
void vmp_stamp_forget(VmpMachine *machine, const char *path);

/* Files that nobody ever changes are known by what is in them (@content: a checksum), which
 * the store is told with @edits. */
void vmp_stamp_keep_content(VmpMachine *machine, const char *path, const char *content,
                            VmpJson *edits);
/* Has @path been kept with another content?  FALSE as well if it was not kept. */
gboolean vmp_stamp_is_other_content(VmpMachine *machine, const char *path,
                                    const char *content);

/* Paths (char *) of the domain's images whose stamps are right now. */
GPtrArray *vmp_stamps_intact(VmpMachine *machine);
/* Takes the stamps of those that changed. */
gboolean vmp_stamps_renew(VmpMachine *machine, const GPtrArray *paths, GError **error);
