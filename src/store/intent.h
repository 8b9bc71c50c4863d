/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpIntent: a plan that was declared and not yet settled.
 *
 * Declaring writes it durably before anything is touched.  Freeing an intent does not
 * settle it: it stays open, and the next command for that domain recovers it.
 * Only the plan layer declares and settles.
 */

#include "store/store.h"

typedef struct {
    gint64 id;
    gint64 domain;  /* id of the domain */
    char *kind;     /* "snapshot-create", "backup-begin", ...: for people and for `recover` */
    char *subject;  /* name of the point or the like */
    gint64 created; /* epoch milliseconds */
    char *plan;     /* JSON text; its meaning is the plan layer's */
    gboolean past_commit; /* the commit step may have been entered */
} VmpIntent;

void vmp_intent_free(VmpIntent *intent);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpIntent, vmp_intent_free)

/* Durable when it returns (in a transaction: when that is committed).  NULL with @error
 * otherwise. */
VmpIntent *vmp_store_declare(VmpStore *store, gint64 domain, const char *kind,
                             const char *subject, const char *plan, GError **error);
/* Notes, durably, that the commit step is about to be entered. */
gboolean vmp_store_mark_past_commit(VmpStore *store, VmpIntent *intent, GError **error);
/* Applies @edits (NULL = none) and removes the intent, in one transaction.
 * VMP_ERROR_NOT_FOUND, and no edit applied, if it was settled or dropped already. */
gboolean vmp_store_settle(VmpStore *store, VmpIntent *intent, VmpJson *edits, GError **error);
/* Removes the intent without an edit: it was undone or refused. */
gboolean vmp_store_drop_intent(VmpStore *store, VmpIntent *intent, GError **error);
/* Open intents of @domain (0 = all), oldest first. */
GPtrArray *vmp_store_list_intents(VmpStore *store, gint64 domain, GError **error);
