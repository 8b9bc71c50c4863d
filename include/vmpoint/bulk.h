/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* All points of a domain in one document, and back (docs/design/bulk.md).
 *
 * Dumps and redefinitions are streams: memory is bounded by the longest definition of the
 * domain, not by how many points it has.
 */

#include <glib.h>

#include <vmpoint/macros.h>

G_BEGIN_DECLS

/* Writes all of @bytes, or fails. */
typedef gboolean (*VmpWriteFunc)(gpointer data, const char *bytes, gsize length,
                                 GError **error);
/* Returns how many bytes were read, 0 at the end, -1 with @error. */
typedef gssize (*VmpReadFunc)(gpointer data, char *buffer, gsize size, GError **error);

G_END_DECLS
