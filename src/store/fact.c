/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Small facts that are worth keeping between processes. */

#include "store/store.h"

#include "store/sql.h"

char *
vmp_store_get_fact(VmpStore *store, const char *key, GError **error)
{
    g_autoptr(VmpSql) sql =
        vmp_sql_prepare(store, "SELECT name, value, seal FROM facts WHERE name = ?", error);
    if (!sql)
        return NULL;
    vmp_sql_bind_text(sql, 1, key);
    if (vmp_sql_step(sql, error) != VMP_SQL_ROW ||
        !vmp_sql_check_seal(sql, "fact", 2, 0, 1, error))
        return NULL;
    return vmp_sql_text(sql, 1);
}

GPtrArray *
vmp_store_list_facts(VmpStore *store, const char *prefix, GError **error)
{
    g_autoptr(GPtrArray) keys = g_ptr_array_new_with_free_func(g_free);
    /* From the prefix up to what follows all that begin with it: the key's index is enough. */
    g_autoptr(VmpSql) sql = vmp_sql_prepare(
        store,
        "SELECT name FROM facts WHERE name >= ?1 AND name < ?1 || char(1114111)"
        " ORDER BY name",
        error);
    VmpSqlResult result = VMP_SQL_FAILED;
    if (!sql)
        return NULL;

    vmp_sql_bind_text(sql, 1, prefix);
    while ((result = vmp_sql_step(sql, error)) == VMP_SQL_ROW)
        g_ptr_array_add(keys, vmp_sql_text(sql, 0));
    return result == VMP_SQL_DONE ? g_steal_pointer(&keys) : NULL;
}

static gboolean
remove_fact(VmpStore *store, const char *key, GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(store, "DELETE FROM facts WHERE name = ?", error);
    if (!sql)
        return FALSE;
    vmp_sql_bind_text(sql, 1, key);
    return vmp_sql_run(sql, error);
}

gboolean
vmp_store_put_fact(VmpStore *store, const char *key, const char *value, GError **error)
{
    if (!value)
        return remove_fact(store, key, error);

    g_autoptr(VmpSql) sql =
        vmp_sql_prepare(store,
                        "INSERT INTO facts (name, value, seal) VALUES (?, ?, ?)"
                        " ON CONFLICT (name) DO UPDATE"
                        " SET value = excluded.value, seal = excluded.seal",
                        error);
    if (!sql)
        return FALSE;
    vmp_sql_bind_text(sql, 1, key);
    vmp_sql_bind_text(sql, 2, value);
    vmp_sql_bind_seal(sql, 3, 1, 2);
    return vmp_sql_run(sql, error);
}
