/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The domains that vmpoint knows. */

#include "store/store.h"

#include "base/error.h"
#include "store/handle.h"
#include "store/sql.h"

void
vmp_store_domain_free(VmpStoreDomain *domain)
{
    if (!domain)
        return;
    g_free(domain->name);
    g_free(domain->uuid);
    g_free(domain->qmp_path);
    g_free(domain->agent_path);
    g_free(domain->extra);
    g_free(domain);
}

#define COLUMNS "name, uuid, persistent, inactive, active, qmp_path, agent_path, extra, seal"

/* Columns: id, then COLUMNS. */
static VmpStoreDomain *
read_row(VmpSql *sql, GError **error)
{
    if (!vmp_sql_check_seal(sql, "domain", 9, 1, 8, error))
        return NULL;

    VmpStoreDomain *domain = g_new0(VmpStoreDomain, 1);

    domain->id = vmp_sql_int(sql, 0);
    domain->name = vmp_sql_text(sql, 1);
    domain->uuid = vmp_sql_text(sql, 2);
    domain->persistent = vmp_sql_int(sql, 3) != 0;
    domain->inactive = vmp_sql_int(sql, 4);
    domain->active = vmp_sql_int(sql, 5);
    domain->qmp_path = vmp_sql_text(sql, 6);
    domain->agent_path = vmp_sql_text(sql, 7);
    domain->extra = vmp_sql_text(sql, 8);
    return domain;
}

VmpStoreDomain *
vmp_store_find_domain(VmpStore *store, const char *name_or_uuid, GError **error)
{
    g_autofree char *uuid = g_ascii_strdown(name_or_uuid, -1);
    /* As in virsh, a uuid goes before a name that looks like it. */
    g_autoptr(VmpSql) sql = vmp_sql_prepare(store,
                                            "SELECT id, " COLUMNS " FROM domains"
                                            " WHERE uuid = ?1 OR name = ?2"
                                            " ORDER BY uuid = ?1 DESC LIMIT 1",
                                            error);
    if (!sql)
        return NULL;
    vmp_sql_bind_text(sql, 1, uuid);
    vmp_sql_bind_text(sql, 2, name_or_uuid);

    VmpSqlResult result = vmp_sql_step(sql, error);
    if (result == VMP_SQL_DONE)
        vmp_fail(error, VMP_ERROR_NOT_FOUND, "domain '%s' is not known", name_or_uuid);
    return result == VMP_SQL_ROW ? read_row(sql, error) : NULL;
}

GPtrArray *
vmp_store_list_domains(VmpStore *store, GError **error)
{
    g_autoptr(VmpSql) sql =
        vmp_sql_prepare(store, "SELECT id, " COLUMNS " FROM domains ORDER BY name", error);
    if (!sql)
        return NULL;

    g_autoptr(GPtrArray) domains =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_store_domain_free);
    VmpSqlResult result;
    while ((result = vmp_sql_step(sql, error)) == VMP_SQL_ROW) {
        VmpStoreDomain *domain = read_row(sql, error);
        if (!domain)
            return NULL;
        g_ptr_array_add(domains, domain);
    }
    return result == VMP_SQL_DONE ? g_steal_pointer(&domains) : NULL;
}

/* Says which of name and uuid is taken; what SQLite says names columns, not values. */
static gboolean
check_not_taken(VmpStore *store, const VmpStoreDomain *domain, const char *uuid,
                GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(
        store,
        "SELECT name, name = ?1 FROM domains WHERE (name = ?1 OR uuid = ?2) AND id <> ?3",
        error);
    if (!sql)
        return FALSE;
    vmp_sql_bind_text(sql, 1, domain->name);
    vmp_sql_bind_text(sql, 2, uuid);
    vmp_sql_bind_int(sql, 3, domain->id);

    VmpSqlResult result = vmp_sql_step(sql, error);
    if (result != VMP_SQL_ROW)
        return result == VMP_SQL_DONE;
    if (vmp_sql_int(sql, 1))
        return vmp_fail(error, VMP_ERROR_EXISTS, "domain '%s' exists already", domain->name);
    g_autofree char *other = vmp_sql_text(sql, 0);
    return vmp_fail(error, VMP_ERROR_EXISTS, "domain '%s': uuid %s belongs to domain '%s'",
                    domain->name, uuid, other);
}

static VmpSql *
prepare_put(VmpStore *store, gboolean known, GError **error)
{
    if (!known)
        return vmp_sql_prepare(
            store, "INSERT INTO domains (" COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            error);
    return vmp_sql_prepare(
        store,
        "UPDATE domains SET name = ?, uuid = ?, persistent = ?,"
        " inactive = ?, active = ?, qmp_path = ?, agent_path = ?, extra = ?, seal = ?"
        " WHERE id = ?",
        error);
}

static gboolean
write_row(VmpStore *store, const VmpStoreDomain *domain, const char *uuid, GError **error)
{
    g_autoptr(VmpSql) sql = prepare_put(store, domain->id != 0, error);
    if (!sql)
        return FALSE;

    vmp_sql_bind_text(sql, 1, domain->name);
    vmp_sql_bind_text(sql, 2, uuid);
    vmp_sql_bind_int(sql, 3, domain->persistent != FALSE);
    vmp_sql_bind_id(sql, 4, domain->inactive);
    vmp_sql_bind_id(sql, 5, domain->active);
    vmp_sql_bind_text(sql, 6, domain->qmp_path);
    vmp_sql_bind_text(sql, 7, domain->agent_path);
    vmp_sql_bind_text(sql, 8, domain->extra);
    vmp_sql_bind_seal(sql, 9, 1, 8);
    if (domain->id != 0)
        vmp_sql_bind_int(sql, 10, domain->id);
    if (!vmp_sql_run(sql, error))
        return FALSE;

    if (sqlite3_changes(store->db) == 0)
        return vmp_fail(error, VMP_ERROR_NOT_FOUND,
                        "domain '%s' is not known as number %" G_GINT64_FORMAT, domain->name,
                        domain->id);
    return TRUE;
}

gboolean
vmp_store_put_domain(VmpStore *store, VmpStoreDomain *domain, GError **error)
{
    g_autofree char *uuid = domain->uuid ? g_ascii_strdown(domain->uuid, -1) : NULL;
    g_auto(VmpStoreTransaction) transaction = { 0 };

    if (!vmp_store_begin(store, &transaction, error) ||
        !check_not_taken(store, domain, uuid, error) || !write_row(store, domain, uuid, error))
        return FALSE;

    gint64 id = domain->id != 0 ? domain->id : sqlite3_last_insert_rowid(store->db);
    if (!vmp_store_commit(&transaction, error))
        return FALSE;
    domain->id = id;
    return TRUE;
}

/* Intents are not swept away with their domain: they know what is left to undo. */
static gboolean
check_no_intent(VmpStore *store, gint64 id, GError **error)
{
    g_autoptr(VmpSql) sql =
        vmp_sql_prepare(store, "SELECT kind, subject FROM intents WHERE domain = ?", error);
    if (!sql)
        return FALSE;
    vmp_sql_bind_int(sql, 1, id);

    VmpSqlResult result = vmp_sql_step(sql, error);
    if (result != VMP_SQL_ROW)
        return result == VMP_SQL_DONE;
    g_autofree char *kind = vmp_sql_text(sql, 0);
    g_autofree char *subject = vmp_sql_text(sql, 1);
    return vmp_fail(
        error, VMP_ERROR_BUSY,
        "the domain cannot be removed while %s of '%s' is neither finished nor undone", kind,
        subject ? subject : "");
}

gboolean
vmp_store_remove_domain(VmpStore *store, gint64 id, GError **error)
{
    g_auto(VmpStoreTransaction) transaction = { 0 };
    if (!vmp_store_begin(store, &transaction, error) || !check_no_intent(store, id, error))
        return FALSE;

    g_autoptr(VmpSql) sql = vmp_sql_prepare(store, "DELETE FROM domains WHERE id = ?", error);
    if (!sql)
        return FALSE;
    vmp_sql_bind_int(sql, 1, id);
    if (!vmp_sql_run(sql, error))
        return FALSE;
    if (sqlite3_changes(store->db) == 0)
        return vmp_fail(error, VMP_ERROR_NOT_FOUND,
                        "there is no domain number %" G_GINT64_FORMAT, id);
    return vmp_store_commit(&transaction, error);
}
