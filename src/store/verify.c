/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A look at the whole store, for fsck: slow, and not done at each opening. */

#include "store/store.h"

#include "base/error.h"
#include "store/handle.h"
#include "store/sql.h"

gboolean
vmp_store_check_database(VmpStore *store, GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(store, "PRAGMA integrity_check(1)", error);
    VmpSqlResult result = sql ? vmp_sql_step(sql, error) : VMP_SQL_FAILED;
    if (result == VMP_SQL_FAILED)
        return FALSE;

    g_autofree char *answer = result == VMP_SQL_ROW ? vmp_sql_text(sql, 0) : NULL;
    if (g_strcmp0(answer, "ok") == 0)
        return TRUE;
    return vmp_fail(error, VMP_ERROR_DAMAGED, "store %s: %s", store->path,
                    answer ? answer : "its check has no answer");
}

static gboolean
check_references(VmpStore *store, GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(store, "PRAGMA foreign_key_check", error);
    VmpSqlResult result = sql ? vmp_sql_step(sql, error) : VMP_SQL_FAILED;
    if (result != VMP_SQL_ROW)
        return result == VMP_SQL_DONE;

    g_autofree char *from = vmp_sql_text(sql, 0);
    g_autofree char *to = vmp_sql_text(sql, 2);
    return vmp_fail(error, VMP_ERROR_DAMAGED,
                    "store %s: a row of %s refers to one of %s that is not there", store->path,
                    from, to);
}

static gboolean
check_definitions(VmpStore *store, GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(
        store, "SELECT id FROM definitions ORDER BY coalesce(base, id), id", error);
    if (!sql)
        return FALSE;

    VmpSqlResult result;
    while ((result = vmp_sql_step(sql, error)) == VMP_SQL_ROW) {
        g_autofree char *text =
            vmp_store_get_definition(store, vmp_sql_int(sql, 0), NULL, error);
        if (!text)
            return FALSE;
    }
    return result == VMP_SQL_DONE;
}

static gboolean
check_trees(VmpStore *store, GError **error)
{
    g_autoptr(VmpSql) sql =
        vmp_sql_prepare(store, "SELECT DISTINCT domain, kind FROM points", error);
    if (!sql)
        return FALSE;

    VmpSqlResult result;
    while ((result = vmp_sql_step(sql, error)) == VMP_SQL_ROW) {
        g_autoptr(GPtrArray) points = vmp_store_list_points(
            store, vmp_sql_int(sql, 0), (VmpPointKind)vmp_sql_int(sql, 1), FALSE, error);
        if (!points)
            return FALSE;
    }
    return result == VMP_SQL_DONE;
}

/* Runs @text, whose last column is the seal of the others. */
static gboolean
check_seals(VmpStore *store, const char *text, const char *what, GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(store, text, error);
    if (!sql)
        return FALSE;

    int seal = vmp_sql_width(sql) - 1;
    VmpSqlResult result;
    while ((result = vmp_sql_step(sql, error)) == VMP_SQL_ROW)
        if (!vmp_sql_check_seal(sql, what, seal, 0, seal - 1, error))
            return FALSE;
    return result == VMP_SQL_DONE;
}

static gboolean
check_records(VmpStore *store, GError **error)
{
    static const struct {
        const char *what, *text;
    } records[] = {
        { "domain", "SELECT name, uuid, persistent, inactive, active, qmp_path, agent_path,"
                    " extra, seal FROM domains" },
        { "point", "SELECT domain, kind, name, creation_time, state, location, definition,"
                   " inactive_definition, extra, seal FROM points" },
        { "point's document", "SELECT point, body, seal FROM point_bodies" },
        { "file", "SELECT path, domain, role, seal FROM files" },
        { "backup job",
          "SELECT domain, state, started, ended, body, detail, seal FROM backups" },
        { "intent", "SELECT domain, kind, subject, created, plan, seal FROM intents" },
        { "fact", "SELECT name, value, seal FROM facts" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(records); i++)
        if (!check_seals(store, records[i].text, records[i].what, error))
            return FALSE;
    return TRUE;
}

gboolean
vmp_store_verify(VmpStore *store, GError **error)
{
    return vmp_store_check_database(store, error) && check_references(store, error) &&
           check_records(store, error) && check_definitions(store, error) &&
           check_trees(store, error);
}
