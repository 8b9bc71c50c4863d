/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpInternalSnapshot: a snapshot inside a qcow2 image, as QEMU and qemu-img list it.
 *
 * It has a tag, which people give, and an id, which QEMU counts.  Where QEMU takes either, an
 * id wins: a tag that looks like an id can mean another snapshot.
 */

#include <glib.h>

#include "base/json.h"

typedef struct {
    char *tag, *id;
    guint64 vm_state_size; /* bytes; 0 = disk only */
    gint64 date;           /* epoch seconds */
} VmpInternalSnapshot;

void vmp_internal_snapshot_free(VmpInternalSnapshot *snapshot);
/* From a "snapshots" array; an empty array for none. */
GPtrArray *vmp_internal_snapshots_from_json(VmpJson *array);
/* The one called @tag; NULL if there is none.  Borrowed. */
const VmpInternalSnapshot *vmp_internal_snapshots_find(const GPtrArray *snapshots,
                                                       const char *tag);
/* FALSE if QEMU could take @tag for another one's id. */
gboolean vmp_internal_snapshots_is_clear(const GPtrArray *snapshots, const char *tag);
