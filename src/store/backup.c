/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Backup jobs: the one that runs, and those that have ended. */

#include "store/store.h"

#include "base/error.h"
#include "store/handle.h"
#include "store/sql.h"

void
vmp_store_backup_free(VmpStoreBackup *backup)
{
    if (!backup)
        return;
    g_free(backup->state);
    g_free(backup->body);
    g_free(backup->detail);
    g_free(backup);
}

static VmpSql *
prepare_put(VmpStore *store, gboolean known, GError **error)
{
    if (!known)
        return vmp_sql_prepare(
            store,
            "INSERT INTO backups (domain, state, started, ended, body, detail, seal)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            error);
    return vmp_sql_prepare(store,
                           "UPDATE backups SET domain = ?, state = ?, started = ?, ended = ?,"
                           " body = ?, detail = ?, seal = ? WHERE id = ?",
                           error);
}

static gboolean
check_changed(VmpStore *store, gint64 id, GError **error)
{
    if (sqlite3_changes(store->db) > 0)
        return TRUE;
    return vmp_fail(error, VMP_ERROR_NOT_FOUND,
                    "there is no backup job number %" G_GINT64_FORMAT, id);
}

gboolean
vmp_store_put_backup(VmpStore *store, VmpStoreBackup *backup, GError **error)
{
    g_autoptr(VmpSql) sql = prepare_put(store, backup->id != 0, error);
    if (!sql)
        return FALSE;

    vmp_sql_bind_int(sql, 1, backup->domain);
    vmp_sql_bind_text(sql, 2, backup->state);
    vmp_sql_bind_int(sql, 3, backup->started);
    vmp_sql_bind_int(sql, 4, backup->ended);
    vmp_sql_bind_text(sql, 5, backup->body);
    vmp_sql_bind_text(sql, 6, backup->detail);
    vmp_sql_bind_seal(sql, 7, 1, 6);
    if (backup->id != 0)
        vmp_sql_bind_int(sql, 8, backup->id);
    if (!vmp_sql_run(sql, error) || !check_changed(store, backup->id, error))
        return FALSE;

    if (backup->id == 0)
        backup->id = sqlite3_last_insert_rowid(store->db);
    return TRUE;
}

static VmpStoreBackup *
read_row(VmpSql *sql, GError **error)
{
    if (!vmp_sql_check_seal(sql, "backup job", 7, 1, 6, error))
        return NULL;

    VmpStoreBackup *backup = g_new0(VmpStoreBackup, 1);

    backup->id = vmp_sql_int(sql, 0);
    backup->domain = vmp_sql_int(sql, 1);
    backup->state = vmp_sql_text(sql, 2);
    backup->started = vmp_sql_int(sql, 3);
    backup->ended = vmp_sql_int(sql, 4);
    backup->body = vmp_sql_text(sql, 5);
    backup->detail = vmp_sql_text(sql, 6);
    return backup;
}

VmpStoreBackup *
vmp_store_find_backup(VmpStore *store, gint64 domain, const char *state, GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(
        store,
        "SELECT id, domain, state, started, ended, body, detail, seal FROM backups"
        " WHERE domain = ?1 AND (state = ?2 OR (?2 IS NULL AND ended <> 0))"
        " ORDER BY id DESC LIMIT 1",
        error);
    if (!sql)
        return NULL;
    vmp_sql_bind_int(sql, 1, domain);
    vmp_sql_bind_text(sql, 2, state);
    return vmp_sql_step(sql, error) == VMP_SQL_ROW ? read_row(sql, error) : NULL;
}

gboolean
vmp_store_remove_backup(VmpStore *store, gint64 id, GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(store, "DELETE FROM backups WHERE id = ?", error);
    if (!sql)
        return FALSE;
    vmp_sql_bind_int(sql, 1, id);
    return vmp_sql_run(sql, error) && check_changed(store, id, error);
}
