/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/intent.h"

#include "base/error.h"
#include "store/edit.h"
#include "store/handle.h"
#include "store/sql.h"

void
vmp_intent_free(VmpIntent *intent)
{
    if (!intent)
        return;
    g_free(intent->kind);
    g_free(intent->subject);
    g_free(intent->plan);
    g_free(intent);
}

static gboolean
insert(VmpStore *store, VmpIntent *intent, GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(
        store,
        "INSERT INTO intents (domain, kind, subject, created, plan, seal, past_commit)"
        " VALUES (?, ?, ?, ?, ?, ?, 0)",
        error);
    if (!sql)
        return FALSE;
    vmp_sql_bind_id(sql, 1, intent->domain);
    vmp_sql_bind_text(sql, 2, intent->kind);
    vmp_sql_bind_text(sql, 3, intent->subject);
    vmp_sql_bind_int(sql, 4, intent->created);
    vmp_sql_bind_text(sql, 5, intent->plan);
    vmp_sql_bind_seal(sql, 6, 1, 5);
    if (!vmp_sql_run(sql, error))
        return FALSE;
    intent->id = sqlite3_last_insert_rowid(store->db);
    return TRUE;
}

VmpIntent *
vmp_store_declare(VmpStore *store, gint64 domain, const char *kind, const char *subject,
                  const char *plan, GError **error)
{
    g_autoptr(VmpIntent) intent = g_new0(VmpIntent, 1);

    intent->domain = domain;
    intent->kind = g_strdup(kind);
    intent->subject = g_strdup(subject);
    intent->created = g_get_real_time() / 1000;
    intent->plan = g_strdup(plan);
    return insert(store, intent, error) ? g_steal_pointer(&intent) : NULL;
}

static gboolean
fail_gone(const VmpIntent *intent, GError **error)
{
    return vmp_fail(error, VMP_ERROR_NOT_FOUND,
                    "%s of '%s' was settled already (intent %" G_GINT64_FORMAT ")",
                    intent->kind, intent->subject ? intent->subject : "", intent->id);
}

/* Runs @text, a statement about the intent and nothing else. */
static gboolean
change(VmpStore *store, const VmpIntent *intent, const char *text, GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(store, text, error);
    if (!sql)
        return FALSE;
    vmp_sql_bind_int(sql, 1, intent->id);
    if (!vmp_sql_run(sql, error))
        return FALSE;
    return sqlite3_changes(store->db) > 0 || fail_gone(intent, error);
}

gboolean
vmp_store_mark_past_commit(VmpStore *store, VmpIntent *intent, GError **error)
{
    if (!change(store, intent, "UPDATE intents SET past_commit = 1 WHERE id = ?", error))
        return FALSE;
    intent->past_commit = TRUE;
    return TRUE;
}

gboolean
vmp_store_drop_intent(VmpStore *store, VmpIntent *intent, GError **error)
{
    return change(store, intent, "DELETE FROM intents WHERE id = ?", error);
}

gboolean
vmp_store_settle(VmpStore *store, VmpIntent *intent, VmpJson *edits, GError **error)
{
    g_auto(VmpStoreTransaction) transaction = { 0 };

    /* The intent goes first: if it is gone, its edits were applied, and one of them may
     * remove its domain. */
    return vmp_store_begin(store, &transaction, error) &&
           vmp_store_drop_intent(store, intent, error) &&
           vmp_store_apply_edits(store, edits, error) && vmp_store_commit(&transaction, error);
}

static VmpIntent *
read_row(VmpSql *sql, GError **error)
{
    if (!vmp_sql_check_seal(sql, "intent", 6, 1, 5, error))
        return NULL;

    VmpIntent *intent = g_new0(VmpIntent, 1);

    intent->id = vmp_sql_int(sql, 0);
    intent->domain = vmp_sql_int(sql, 1);
    intent->kind = vmp_sql_text(sql, 2);
    intent->subject = vmp_sql_text(sql, 3);
    intent->created = vmp_sql_int(sql, 4);
    intent->plan = vmp_sql_text(sql, 5);
    intent->past_commit = vmp_sql_int(sql, 7) != 0;
    return intent;
}

GPtrArray *
vmp_store_list_intents(VmpStore *store, gint64 domain, GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(
        store,
        "SELECT id, domain, kind, subject, created, plan, seal, past_commit FROM intents"
        " WHERE ?1 = 0 OR domain = ?1 ORDER BY id",
        error);
    if (!sql)
        return NULL;
    vmp_sql_bind_int(sql, 1, domain);

    g_autoptr(GPtrArray) intents =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_intent_free);
    VmpSqlResult result;
    while ((result = vmp_sql_step(sql, error)) == VMP_SQL_ROW) {
        VmpIntent *intent = read_row(sql, error);
        if (!intent)
            return NULL;
        g_ptr_array_add(intents, intent);
    }
    return result == VMP_SQL_DONE ? g_steal_pointer(&intents) : NULL;
}
