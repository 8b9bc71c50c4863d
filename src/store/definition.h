/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How definitions are kept, for the modules that put and read them: definition.c (whole texts)
 * and parts.c.  The formats are described at the head of definition.c.
 */

#include "store/delta.h"
#include "store/sql.h"
#include "store/store.h"

#define VMP_DEFINITION_COLUMNS "id, length, base, prefix, suffix, data"

/* A delta of at most so many bytes is always worth it. */
#define VMP_DEFINITION_DELTA_SMALL 256

/* The first of the ids that a text with @hash can have, */
gint64 vmp_definition_slot(guint64 hash);
/* whether @id is one of those from @first on, */
gboolean vmp_definition_is_in_slots(gint64 id, gint64 first);
/* and a statement that finds which of them are taken, in order. */
VmpSql *vmp_definition_prepare_slots(VmpStore *store, gint64 first, GError **error);

/* The keyframe that the definition @id is told by, or is; 0 if there is no such definition, or
 * -1 with @error. */
gint64 vmp_definition_find_keyframe(VmpStore *store, gint64 id, GError **error);
/* Makes store->keyframe the one with @id. */
gboolean vmp_definition_load_keyframe(VmpStore *store, gint64 id, GError **error);
VmpDeltaCodec *vmp_definition_codec(VmpStore *store);

/* Returns @id, or 0 with @error.  @length is that of the whole text; @base 0 = none. */
gint64 vmp_definition_insert(VmpStore *store, gint64 id, gsize length, gint64 base,
                             const VmpDelta *delta, GError **error);

gboolean vmp_definition_fail_damaged(VmpStore *store, gint64 id, GError **error);
/* NOT_FOUND, or DAMAGED if there ought to be one. */
gboolean vmp_definition_fail_absent(VmpStore *store, gint64 id, GError **error);
