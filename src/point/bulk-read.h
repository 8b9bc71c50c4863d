/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpBulkRead: redefining many points in one store transaction.
 *
 * Points are put one after the other, parents first; each goes through every check of the
 * single redefine.  Nothing is kept unless vmp_bulk_read_finish() succeeds.
 */

#include "point/bulk.h"
#include "store/store.h"

typedef struct _VmpBulkRead VmpBulkRead;

/* Begins to redefine points of one kind; @flags as for redefining a single one. */
VmpBulkRead *vmp_bulk_read_new(VmpMachine *machine, VmpPointKind kind, guint flags,
                               GError **error);
void vmp_bulk_read_free(VmpBulkRead *bulk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpBulkRead, vmp_bulk_read_free)

/* What stands for the domains of a point: an id of the store, and the view of it. */
typedef struct {
    gint64 domain, inactive; /* 0 = the document has it in it, or not at all */
    const VmpDomain *view;   /* of @domain */
} VmpBulkDomains;

/* Redefines the point of the document @xml. */
gboolean vmp_bulk_read_put(VmpBulkRead *bulk, const char *xml, const VmpBulkDomains *domains,
                           GError **error);
/* @current: the point that was current where the document came from; or NULL.  Returns how
 * many points there were, or -1. */
gint64 vmp_bulk_read_finish(VmpBulkRead *bulk, const char *current, GError **error);
