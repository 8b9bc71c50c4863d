/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/sql.h"

#include <string.h>
#include <xxhash.h>

#include "base/error.h"
#include "store/handle.h"

/* Most parameters and columns of a statement. */
#define WIDTH 24

struct _VmpSql {
    VmpStore *store;
    sqlite3_stmt *statement;
    gboolean in_use;
    int status;                /* of binding: the first that failed */
    guint64 hashes[WIDTH + 1]; /* of the values that are bound, by parameter */
};

static VmpErrorCode
code_of_constraint(int status)
{
    switch (status) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
        return VMP_ERROR_EXISTS;
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        return VMP_ERROR_NOT_FOUND;
    default:
        return VMP_ERROR_INVALID;
    }
}

static VmpErrorCode
code_of_status(int status)
{
    if (status == SQLITE_IOERR_DATA || status == SQLITE_IOERR_CORRUPTFS)
        return VMP_ERROR_DAMAGED;

    switch (status & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return VMP_ERROR_DAMAGED;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return VMP_ERROR_BUSY;
    case SQLITE_CONSTRAINT:
        return code_of_constraint(status);
    case SQLITE_TOOBIG:
        return VMP_ERROR_INVALID;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return VMP_ERROR_IO;
    default:
        return VMP_ERROR_FAILED;
    }
}

gboolean
vmp_sql_fail(VmpStore *store, int status, GError **error)
{
    VmpErrorCode code = code_of_status(status);
    int errnum = sqlite3_system_errno(store->db);

    if (code == VMP_ERROR_IO && errnum != 0)
        return vmp_fail(error, code, "store %s: %s (%s)", store->path,
                        sqlite3_errmsg(store->db), g_strerror(errnum));
    return vmp_fail(error, code, "store %s: %s", store->path, sqlite3_errmsg(store->db));
}

/* Some failures (disk full, I/O) make SQLite roll back by itself.  What is told to the
 * store afterwards must not take effect on its own, outside of any transaction. */
static gboolean
transaction_is_alive(VmpStore *store, GError **error)
{
    if (store->depth == 0 || !sqlite3_get_autocommit(store->db))
        return TRUE;
    return vmp_fail(error, VMP_ERROR_IO,
                    "store %s: the transaction was rolled back after an earlier failure",
                    store->path);
}

static VmpSql *
compile(VmpStore *store, const char *text, GError **error)
{
    sqlite3_stmt *statement = NULL;
    int status =
        sqlite3_prepare_v3(store->db, text, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);
    /* Our statements fit our tables: one that does not compile met others. */
    if (status == SQLITE_ERROR)
        return vmp_fail_null(error, VMP_ERROR_DAMAGED,
                             "store %s: its tables are not as made: %s", store->path,
                             sqlite3_errmsg(store->db));
    if (status != SQLITE_OK) {
        vmp_sql_fail(store, status, error);
        return NULL;
    }

    VmpSql *sql = g_new0(VmpSql, 1);
    sql->store = store;
    sql->statement = statement;
    g_assert(sqlite3_bind_parameter_count(statement) <= WIDTH);
    g_assert(sqlite3_column_count(statement) <= WIDTH);
    g_hash_table_insert(store->statements, (gpointer)text, sql);
    return sql;
}

VmpSql *
vmp_sql_prepare(VmpStore *store, const char *text, GError **error)
{
    if (!transaction_is_alive(store, error))
        return NULL;

    VmpSql *sql = g_hash_table_lookup(store->statements, text);
    if (!sql)
        sql = compile(store, text, error);
    if (!sql)
        return NULL;

    g_assert(!sql->in_use);
    sql->in_use = TRUE;
    return sql;
}

void
vmp_sql_release(VmpSql *sql)
{
    /* The status repeats what the last step said. */
    sqlite3_reset(sql->statement);
    sqlite3_clear_bindings(sql->statement);
    sql->status = SQLITE_OK;
    sql->in_use = FALSE;
}

void
vmp_sql_free(VmpSql *sql)
{
    sqlite3_finalize(sql->statement);
    g_free(sql);
}

/* ---- binding ---- */

static guint64
hash_of(char type, gconstpointer value, gsize length)
{
    return GUINT64_TO_LE(XXH3_64bits_withSeed(value, length, (XXH64_hash_t)type));
}

static guint64
hash_of_int(gint64 value)
{
    gint64 portable = GINT64_TO_LE(value);

    return hash_of('i', &portable, sizeof portable);
}

static guint64
hash_of_null(void)
{
    return hash_of('n', "", 0);
}

static void
note_binding(VmpSql *sql, int parameter, int status, guint64 hash)
{
    if (sql->status == SQLITE_OK)
        sql->status = status;
    if (status == SQLITE_OK)
        sql->hashes[parameter] = hash;
}

void
vmp_sql_bind_int(VmpSql *sql, int parameter, gint64 value)
{
    note_binding(sql, parameter, sqlite3_bind_int64(sql->statement, parameter, value),
                 hash_of_int(value));
}

void
vmp_sql_bind_id(VmpSql *sql, int parameter, gint64 id)
{
    if (id == 0)
        note_binding(sql, parameter, sqlite3_bind_null(sql->statement, parameter),
                     hash_of_null());
    else
        vmp_sql_bind_int(sql, parameter, id);
}

void
vmp_sql_bind_text(VmpSql *sql, int parameter, const char *text)
{
    /* NULL as text is NULL in SQL. */
    note_binding(sql, parameter,
                 sqlite3_bind_text(sql->statement, parameter, text, -1, SQLITE_STATIC),
                 text ? hash_of('t', text, strlen(text)) : hash_of_null());
}

void
vmp_sql_bind_blob(VmpSql *sql, int parameter, gconstpointer data, gsize length)
{
    note_binding(sql, parameter,
                 sqlite3_bind_blob64(sql->statement, parameter, data, length, SQLITE_STATIC),
                 hash_of('b', data, length));
}

/* ---- seals ---- */

static gint64
seal_of(const guint64 *hashes, int count)
{
    return (gint64)XXH3_64bits(hashes, (gsize)count * sizeof *hashes);
}

void
vmp_sql_bind_seal(VmpSql *sql, int parameter, int first, int last)
{
    vmp_sql_bind_int(sql, parameter, seal_of(sql->hashes + first, last - first + 1));
}

static guint64
hash_of_column(sqlite3_stmt *statement, int column)
{
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
        return hash_of_int(sqlite3_column_int64(statement, column));
    case SQLITE_TEXT: {
        const unsigned char *text = sqlite3_column_text(statement, column);
        return hash_of('t', text, (gsize)sqlite3_column_bytes(statement, column));
    }
    case SQLITE_BLOB: {
        gconstpointer data = sqlite3_column_blob(statement, column);
        return hash_of('b', data, (gsize)sqlite3_column_bytes(statement, column));
    }
    case SQLITE_NULL:
        return hash_of_null();
    default: /* floating point, which we never store */
        return hash_of('f', "", 0);
    }
}

gboolean
vmp_sql_check_seal(VmpSql *sql, const char *what, int column, int first, int last,
                   GError **error)
{
    guint64 hashes[WIDTH];

    for (int i = first; i <= last; i++)
        hashes[i - first] = hash_of_column(sql->statement, i);
    if (sqlite3_column_type(sql->statement, column) == SQLITE_INTEGER &&
        vmp_sql_int(sql, column) == seal_of(hashes, last - first + 1))
        return TRUE;
    return vmp_fail(error, VMP_ERROR_DAMAGED,
                    "store %s: the record of a %s is not what was put", sql->store->path,
                    what);
}

int
vmp_sql_width(VmpSql *sql)
{
    return sqlite3_column_count(sql->statement);
}

/* ---- running ---- */

VmpSqlResult
vmp_sql_step(VmpSql *sql, GError **error)
{
    int status = sql->status;
    if (status == SQLITE_OK)
        status = sqlite3_step(sql->statement);

    if (status == SQLITE_ROW)
        return VMP_SQL_ROW;
    if (status == SQLITE_DONE)
        return VMP_SQL_DONE;
    vmp_sql_fail(sql->store, status, error);
    return VMP_SQL_FAILED;
}

gboolean
vmp_sql_run(VmpSql *sql, GError **error)
{
    VmpSqlResult result;

    do
        result = vmp_sql_step(sql, error);
    while (result == VMP_SQL_ROW);
    return result == VMP_SQL_DONE;
}

gint64
vmp_sql_int(VmpSql *sql, int column)
{
    return sqlite3_column_int64(sql->statement, column);
}

char *
vmp_sql_text(VmpSql *sql, int column)
{
    return g_strdup((const char *)sqlite3_column_text(sql->statement, column));
}

gconstpointer
vmp_sql_blob(VmpSql *sql, int column, gsize *length)
{
    gconstpointer data = sqlite3_column_blob(sql->statement, column);
    *length = (gsize)sqlite3_column_bytes(sql->statement, column);
    return data;
}

gboolean
vmp_sql_exec(VmpStore *store, const char *text, GError **error)
{
    int status = sqlite3_exec(store->db, text, NULL, NULL, NULL);
    return status == SQLITE_OK || vmp_sql_fail(store, status, error);
}
