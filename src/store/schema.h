/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The tables, as the steps that lead to them.
 *
 * PRAGMA user_version counts the steps that a database has seen.  A step that was ever
 * released is never changed; the schema changes by a further step.
 */

#include "store/store.h"

/* Ended by NULL.  Step n leads from version n to n + 1. */
extern const char *const vmp_schema_steps[];

/* Brings the database to the version that @steps lead to, in one transaction, or leaves it
 * as it is.  VMP_ERROR_UNSUPPORTED if it is newer than that. */
gboolean vmp_schema_migrate(VmpStore *store, const char *const *steps, GError **error);
