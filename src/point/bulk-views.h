/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpBulkViews: the definitions of a document that is being taken back: validated, put into
 * the store, and remembered by number.
 *
 * A definition that differs from another one in sources of disks alone has its disks read
 * and nothing else (xml/sources.h); any other is read as a whole.
 */

#include "machine/machine.h"
#include "xml/split.h"

typedef struct _VmpBulkViews VmpBulkViews;

/* @what names the document. */
VmpBulkViews *vmp_bulk_views_new(VmpMachine *machine, const char *what);
void vmp_bulk_views_free(VmpBulkViews *views);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpBulkViews, vmp_bulk_views_free)

/* Takes a <definition> of the document. */
gboolean vmp_bulk_views_take(VmpBulkViews *views, const VmpXmlPiece *piece, GError **error);
/* Is there one that no point has used? */
gboolean vmp_bulk_views_check_used(VmpBulkViews *views, GError **error);

/* The store's id of definition @number, for use by a point; 0 with @error if there is none of
 * that kind. */
gint64 vmp_bulk_views_use(VmpBulkViews *views, guint64 number, gboolean inactive,
                          GError **error);
/* The disks, name and uuid of the store's definition @id; the rest may be missing.  Borrowed
 * until the next call. */
const VmpDomain *vmp_bulk_views_get(VmpBulkViews *views, gint64 id, GError **error);
