/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Edits: changes of the store as data.
 *
 * A plan says beforehand what the store will be told when it is done; that list is
 * in the journal, so that whoever finishes the plan after a crash writes the same
 * records.  A list is a JSON array; each constructor adds one element to it.
 * Definitions are put before (vmp_store_put_definition) and named by id.
 */

#include "store/store.h"

void vmp_store_edit_put_domain(VmpJson *edits, const VmpStoreDomain *domain);
void vmp_store_edit_put_point(VmpJson *edits, const VmpStorePoint *point);
/* The first point that @edits put; NULL if there is none. */
VmpStorePoint *vmp_store_edit_find_point(VmpJson *edits);
void vmp_store_edit_remove_point(VmpJson *edits, gint64 domain, VmpPointKind kind,
                                 const char *name);
void vmp_store_edit_set_current(VmpJson *edits, gint64 domain, VmpPointKind kind,
                                const char *name);
void vmp_store_edit_rename_point(VmpJson *edits, gint64 domain, VmpPointKind kind,
                                 const char *from, const char *to);
void vmp_store_edit_put_file(VmpJson *edits, const VmpStoreFile *file);
void vmp_store_edit_remove_file(VmpJson *edits, const char *path);
void vmp_store_edit_put_backup(VmpJson *edits, const VmpStoreBackup *backup);
void vmp_store_edit_remove_domain(VmpJson *edits, gint64 domain);
/* @value NULL: there is none afterwards. */
void vmp_store_edit_put_fact(VmpJson *edits, const char *key, const char *value);

/* Applies all of @edits or none, in order. */
gboolean vmp_store_apply_edits(VmpStore *store, VmpJson *edits, GError **error);
