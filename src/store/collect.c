/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sweeping out the definitions that nobody refers to any more. */

#include "store/store.h"

#include "store/handle.h"
#include "store/sql.h"

static gint64
delete_some(VmpStore *store, const char *text, GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(store, text, error);
    return sql && vmp_sql_run(sql, error) ? sqlite3_changes64(store->db) : -1;
}

/* An open intent may name definitions that no record refers to yet. */
#define NOBODY_REFERS                                                                   \
    " NOT EXISTS (SELECT 1 FROM points WHERE definition = definitions.id)"              \
    " AND NOT EXISTS (SELECT 1 FROM points WHERE inactive_definition = definitions.id)" \
    " AND NOT EXISTS (SELECT 1 FROM domains WHERE inactive = definitions.id)"           \
    " AND NOT EXISTS (SELECT 1 FROM domains WHERE active = definitions.id)"             \
    " AND NOT EXISTS (SELECT 1 FROM intents)"

gint64
vmp_store_collect_definitions(VmpStore *store, GError **error)
{
    g_auto(VmpStoreTransaction) transaction = { 0 };
    if (!vmp_store_begin(store, &transaction, error))
        return -1;

    gint64 deltas = delete_some(
        store, "DELETE FROM definitions WHERE base IS NOT NULL AND" NOBODY_REFERS, error);
    if (deltas < 0)
        return -1;
    gint64 keyframes = delete_some(
        store,
        "DELETE FROM definitions WHERE base IS NULL AND" NOBODY_REFERS
        " AND NOT EXISTS (SELECT 1 FROM definitions AS d WHERE d.base = definitions.id)",
        error);
    if (keyframes < 0 || !vmp_store_commit(&transaction, error))
        return -1;
    return deltas + keyframes;
}
