/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpSql: one prepared statement, as often as it is needed.
 *
 * Statements live as long as the store.  vmp_sql_prepare() hands one out, its autoptr
 * takes it back, so the usual shape is
 *
 *     g_autoptr(VmpSql) sql = vmp_sql_prepare(store, "SELECT ... WHERE id = ?", error);
 *     if (!sql)
 *         return NULL;
 *     vmp_sql_bind_int(sql, 1, id);
 *     ... vmp_sql_step(sql, error) ...
 *
 * A statement that has a row keeps its snapshot of the database until it is taken back.
 * Binding never fails on the spot; what went wrong there is reported by the next step.
 */

#include "store/store.h"

typedef struct _VmpSql VmpSql;

/* @text must be a literal: statements are found again by its address. */
VmpSql *vmp_sql_prepare(VmpStore *store, const char *text, GError **error);
void vmp_sql_release(VmpSql *sql);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpSql, vmp_sql_release)
/* Ends it for good: only the store's table of statements does this. */
void vmp_sql_free(VmpSql *sql);

/* Parameters count from 1.  Texts and blobs must live until the statement is taken back. */
void vmp_sql_bind_int(VmpSql *sql, int parameter, gint64 value);
/* 0 is NULL: nothing is referred to. */
void vmp_sql_bind_id(VmpSql *sql, int parameter, gint64 id);
void vmp_sql_bind_text(VmpSql *sql, int parameter, const char *text);
void vmp_sql_bind_blob(VmpSql *sql, int parameter, gconstpointer data, gsize length);

/* Binds the seal of the parameters @first to @last, which are bound already: a hash that is
 * stored in the row beside them.  SQLite notices damage of its structures, but a flipped bit
 * in a value reads as another value. */
void vmp_sql_bind_seal(VmpSql *sql, int parameter, int first, int last);

typedef enum {
    VMP_SQL_FAILED = -1,
    VMP_SQL_DONE,
    VMP_SQL_ROW,
} VmpSqlResult;

VmpSqlResult vmp_sql_step(VmpSql *sql, GError **error);
/* Steps to the end. */
gboolean vmp_sql_run(VmpSql *sql, GError **error);

/* Columns of the present row count from 0; NULL is 0, NULL, FALSE. */
gint64 vmp_sql_int(VmpSql *sql, int column);
/* A copy. */
char *vmp_sql_text(VmpSql *sql, int column);
/* Borrowed until the next step. */
gconstpointer vmp_sql_blob(VmpSql *sql, int column, gsize *length);

/* VMP_ERROR_DAMAGED, which names @what, unless @column is the seal of the columns @first to
 * @last, as they were bound when the row was written. */
gboolean vmp_sql_check_seal(VmpSql *sql, const char *what, int column, int first, int last,
                            GError **error);
/* How many columns there are. */
int vmp_sql_width(VmpSql *sql);

/* One or more statements without parameters or rows, not kept. */
gboolean vmp_sql_exec(VmpStore *store, const char *text, GError **error);

/* Says what SQLite answered, with the path of the database; the code follows from @status:
 * malformed -> DAMAGED, locked -> BUSY, unique -> EXISTS, foreign key -> NOT_FOUND,
 * other constraints -> INVALID, disk -> IO. */
gboolean vmp_sql_fail(VmpStore *store, int status, GError **error);
