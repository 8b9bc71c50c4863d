/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The documents that snapshot-create-as and checkpoint-create-as put together.
 *
 * A memspec is `[file=]NAME[,snapshot=TYPE]`, a diskspec `DISK[,KEY=VALUE]...`; a comma
 * that belongs to a value is written twice.  The result is what virsh --print-xml
 * prints; whether it makes sense is for the library to say.
 */

#include <glib.h>

typedef struct {
    const char *name;         /* or NULL */
    const char *description;  /* or NULL */
    const char *memory;       /* a memspec, or NULL; snapshots only */
    const char *const *disks; /* diskspecs, NULL-terminated */
} VmpPointSpec;

/* VMP_ERROR_INVALID for a spec that does not parse. */
char *vmp_spec_format_snapshot(const VmpPointSpec *spec, GError **error);
char *vmp_spec_format_checkpoint(const VmpPointSpec *spec, GError **error);
