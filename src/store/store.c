/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/store.h"

#include <errno.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "base/error.h"
#include "store/create.h"
#include "store/handle.h"
#include "store/schema.h"
#include "store/sql.h"

#define PATIENCE 5000 /* milliseconds */

/* The log is emptied into the database by whoever commits when it has so many frames (of
 * 4 KiB).  Closing does not do it: most commands commit once or twice, and
 * would pay as much again.  It is kept short because each process that is the first to
 * open the store reads all of it. */
#define LOG_FRAMES 256

static int
tend_log(gpointer data, sqlite3 *db, const char *name, int frames)
{
    VmpStore *store = data;
    if (frames < store->log_frames)
        return SQLITE_OK;

    /* TRUNCATE, although growing again costs a little: that a log was moved is known
     * to running processes only, and the next would move it once more.  It does not wait
     * for readers, as the commit has happened and is durable: the next one can do this. */
    sqlite3_busy_timeout(db, 0);
    sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_busy_timeout(db, store->patience);
    return SQLITE_OK;
}

static gboolean
configure(VmpStore *store, GError **error)
{
    sqlite3 *db = store->db;

    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, store->patience);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_wal_hook(db, tend_log, store);
    return vmp_sql_exec(store, "PRAGMA synchronous = FULL; PRAGMA cell_size_check = ON;",
                        error);
}

VmpStore *
vmp_store_open_handle(const char *path, GError **error)
{
    g_autoptr(VmpStore) store = g_new0(VmpStore, 1);
    store->path = g_strdup(path);
    store->patience = PATIENCE;
    store->log_frames = LOG_FRAMES;
    store->statements = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)vmp_sql_free);

    int status =
        sqlite3_open_v2(path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (status != SQLITE_OK) {
        vmp_sql_fail(store, status, error);
        return NULL;
    }
    return configure(store, error) ? g_steal_pointer(&store) : NULL;
}

static gboolean
check_application(VmpStore *store, GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(store, "PRAGMA application_id", error);
    VmpSqlResult result = sql ? vmp_sql_step(sql, error) : VMP_SQL_FAILED;

    if (result == VMP_SQL_FAILED)
        return FALSE;
    if (result == VMP_SQL_ROW && vmp_sql_int(sql, 0) == VMP_STORE_APPLICATION_ID)
        return TRUE;
    return vmp_fail(error, VMP_ERROR_DAMAGED, "store %s: not a database of vmpoint",
                    store->path);
}

/* SQLite notices pages that are missing at the end, but takes what is missing of the last
 * one for zeros.  A database whose log is not empty may have any length. */
static gboolean
check_length(VmpStore *store, GError **error)
{
    g_autofree char *log = g_strconcat(store->path, "-wal", NULL);
    struct stat database_status, log_status;

    if (stat(log, &log_status) == 0 && log_status.st_size > 0)
        return TRUE;
    if (stat(store->path, &database_status) < 0)
        return vmp_fail_errno(error, errno, "cannot look at store %s", store->path);
    if (database_status.st_size % VMP_STORE_PAGE_SIZE == 0)
        return TRUE;
    return vmp_fail(error, VMP_ERROR_DAMAGED, "store %s: the file is cut short", store->path);
}

VmpStore *
vmp_store_open(const char *dir, GError **error)
{
    g_autofree char *absolute = g_canonicalize_filename(dir, NULL);
    g_autofree char *path = g_build_filename(absolute, "vmpoint.db", NULL);

    if (!vmp_store_ensure_database(absolute, path, error))
        return NULL;

    g_autoptr(VmpStore) store = vmp_store_open_handle(path, error);
    if (!store || !check_application(store, error) || !check_length(store, error) ||
        !vmp_schema_migrate(store, vmp_schema_steps, error))
        return NULL;
    return g_steal_pointer(&store);
}

void
vmp_store_close(VmpStore *store)
{
    if (!store)
        return;

    g_hash_table_destroy(store->statements);
    sqlite3_close(store->db);
    vmp_store_forget_keyframe(store);
    vmp_delta_codec_free(store->codec);
    g_free(store->path);
    g_free(store);
}

/* ---- transactions ---- */

static gboolean
begin(VmpStore *store, const char *text, VmpStoreTransaction *transaction, GError **error)
{
    transaction->store = NULL;
    g_autoptr(VmpSql) sql = vmp_sql_prepare(store, text, error);
    if (!sql || !vmp_sql_run(sql, error))
        return FALSE;

    store->depth++;
    transaction->store = store;
    return TRUE;
}

gboolean
vmp_store_begin(VmpStore *store, VmpStoreTransaction *transaction, GError **error)
{
    /* IMMEDIATE: who waits for another writer waits here, before it has read what the other
     * is about to change. */
    return begin(store, store->depth == 0 ? "BEGIN IMMEDIATE" : "SAVEPOINT nested",
                 transaction, error);
}

gboolean
vmp_store_begin_reading(VmpStore *store, VmpStoreTransaction *transaction, GError **error)
{
    return begin(store, store->depth == 0 ? "BEGIN" : "SAVEPOINT nested", transaction, error);
}

gboolean
vmp_store_commit(VmpStoreTransaction *transaction, GError **error)
{
    VmpStore *store = transaction->store;
    g_autoptr(VmpSql) sql =
        vmp_sql_prepare(store, store->depth == 1 ? "COMMIT" : "RELEASE nested", error);
    if (!sql || !vmp_sql_run(sql, error))
        return FALSE;

    store->depth--;
    transaction->store = NULL;
    return TRUE;
}

void
vmp_store_transaction_clear(VmpStoreTransaction *transaction)
{
    VmpStore *store = g_steal_pointer(&transaction->store);
    if (!store)
        return;

    /* A rollback fails only where SQLite has rolled back by itself already. */
    store->depth--;
    if (store->depth == 0)
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    else
        sqlite3_exec(store->db, "ROLLBACK TO nested; RELEASE nested", NULL, NULL, NULL);
    vmp_store_forget_keyframe(store);
}
