/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The ledger of files that vmpoint made. */

#include "store/store.h"

#include "base/error.h"
#include "base/nbd-uri.h"
#include "store/handle.h"
#include "store/sql.h"

void
vmp_store_file_free(VmpStoreFile *file)
{
    if (!file)
        return;
    g_free(file->path);
    g_free(file->role);
    g_free(file->point);
    g_free(file);
}

static VmpStoreFile *
read_row(VmpSql *sql, GError **error)
{
    if (!vmp_sql_check_seal(sql, "file", 3, 0, 2, error))
        return NULL;

    VmpStoreFile *file = g_new0(VmpStoreFile, 1);

    file->path = vmp_sql_text(sql, 0);
    file->domain = vmp_sql_int(sql, 1);
    file->role = vmp_sql_text(sql, 2);
    file->point = vmp_sql_text(sql, 4);
    return file;
}

gboolean
vmp_store_put_file(VmpStore *store, const VmpStoreFile *file, GError **error)
{
    if (!g_path_is_absolute(file->path) && !vmp_nbd_uri_is(file->path))
        return vmp_fail(error, VMP_ERROR_INVALID, "the path '%s' is not absolute", file->path);

    g_autoptr(VmpSql) sql = vmp_sql_prepare(
        store,
        "INSERT INTO files (path, domain, role, seal, point) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (path) DO UPDATE SET role = excluded.role,"
        " seal = excluded.seal, point = excluded.point"
        " WHERE files.domain = excluded.domain",
        error);
    if (!sql)
        return FALSE;
    vmp_sql_bind_text(sql, 1, file->path);
    vmp_sql_bind_int(sql, 2, file->domain);
    vmp_sql_bind_text(sql, 3, file->role);
    vmp_sql_bind_seal(sql, 4, 1, 3);
    vmp_sql_bind_text(sql, 5, file->point);
    if (!vmp_sql_run(sql, error))
        return FALSE;

    if (sqlite3_changes(store->db) == 0)
        return vmp_fail(error, VMP_ERROR_EXISTS, "file '%s' was made for another domain",
                        file->path);
    return TRUE;
}

gboolean
vmp_store_remove_file(VmpStore *store, const char *path, GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(store, "DELETE FROM files WHERE path = ?", error);
    if (!sql)
        return FALSE;
    vmp_sql_bind_text(sql, 1, path);
    return vmp_sql_run(sql, error);
}

VmpStoreFile *
vmp_store_find_file(VmpStore *store, const char *path, GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(
        store, "SELECT path, domain, role, seal, point FROM files WHERE path = ?", error);
    if (!sql)
        return NULL;
    vmp_sql_bind_text(sql, 1, path);
    return vmp_sql_step(sql, error) == VMP_SQL_ROW ? read_row(sql, error) : NULL;
}

GPtrArray *
vmp_store_list_files(VmpStore *store, gint64 domain, GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(
        store,
        "SELECT path, domain, role, seal, point FROM files WHERE domain = ? ORDER BY path",
        error);
    if (!sql)
        return NULL;
    vmp_sql_bind_int(sql, 1, domain);

    g_autoptr(GPtrArray) files =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_store_file_free);
    VmpSqlResult result;
    while ((result = vmp_sql_step(sql, error)) == VMP_SQL_ROW) {
        VmpStoreFile *file = read_row(sql, error);
        if (!file)
            return NULL;
        g_ptr_array_add(files, file);
    }
    return result == VMP_SQL_DONE ? g_steal_pointer(&files) : NULL;
}
