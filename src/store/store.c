/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/store.h"

#include <sqlite3.h>

#include "base/error.h"
#include "store/create.h"
#include "store/handle.h"
#include "store/schema.h"
#include "store/seal.h"
#include "store/sql.h"

#define PATIENCE 5000 /* milliseconds */

/* The log is moved into the database once it has so many frames (of 4 KiB), by whoever
 * commits then.  Each process reads the whole log when it is the first to open the store,
 * so it is kept short; what became long in spite of that, by one large transaction,
 * is cut off rather than read again by every command. */
#define LOG_FRAMES 256
#define LOG_FRAMES_LONG 1024

static int
tend_log(gpointer data, sqlite3 *db, const char *name, int frames)
{
    VmpStore *store = data;

    if (frames >= store->log_frames_long) {
        sqlite3_busy_timeout(db, 0);
        sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        sqlite3_busy_timeout(db, store->patience);
    } else if (frames >= store->log_frames) {
        sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    }

    /* The commit has happened and is durable; tending the log can be left to the next one. */
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
    int reserve = VMP_SEAL_RESERVE; /* of a database that is still to be made */
    sqlite3_file_control(db, NULL, SQLITE_FCNTL_RESERVE_BYTES, &reserve);
    sqlite3_wal_hook(db, tend_log, store);
    return vmp_sql_exec(store, "PRAGMA synchronous = FULL; PRAGMA cell_size_check = ON;", error);
}

VmpStore *
vmp_store_open_handle(const char *path, GError **error)
{
    g_autoptr(VmpStore) store = g_new0(VmpStore, 1);
    store->path = g_strdup(path);
    store->patience = PATIENCE;
    store->log_frames = LOG_FRAMES;
    store->log_frames_long = LOG_FRAMES_LONG;
    store->statements =
        g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)vmp_sql_free);

    int status = sqlite3_open_v2(path, &store->db,
                                 SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, vmp_seal_vfs());
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

VmpStore *
vmp_store_open(const char *dir, GError **error)
{
    g_autofree char *absolute = g_canonicalize_filename(dir, NULL);
    g_autofree char *path = g_build_filename(absolute, "vmpoint.db", NULL);

    if (!vmp_store_ensure_database(absolute, path, error))
        return NULL;

    g_autoptr(VmpStore) store = vmp_store_open_handle(path, error);
    if (!store || !check_application(store, error) ||
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

gboolean
vmp_store_begin(VmpStore *store, VmpStoreTransaction *transaction, GError **error)
{
    /* IMMEDIATE: who waits for another writer waits here, before it has read what the other
     * is about to change. */
    const char *text = store->depth == 0 ? "BEGIN IMMEDIATE" : "SAVEPOINT nested";

    transaction->store = NULL;
    g_autoptr(VmpSql) sql = vmp_sql_prepare(store, text, error);
    if (!sql || !vmp_sql_run(sql, error))
        return FALSE;

    store->depth++;
    transaction->store = store;
    return TRUE;
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
