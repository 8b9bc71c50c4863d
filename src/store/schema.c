/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/schema.h"

#include "base/error.h"
#include "store/handle.h"
#include "store/sql.h"

/* Every reference has an index, for a row that goes away makes SQLite look for
 * those that refer to it.  AUTOINCREMENT: an id is never used twice, so what a plan or
 * another process remembers cannot come to mean something else; the id of a definition
 * follows from its text.  A seal covers the columns before it but the id.  Bodies stand apart
 * from points so that a list does not read them. */
static const char version_1[] =
    "CREATE TABLE definitions ("
    "  id INTEGER PRIMARY KEY,"
    "  length INTEGER NOT NULL,"
    "  base INTEGER REFERENCES definitions(id),"
    "  prefix INTEGER NOT NULL,"
    "  suffix INTEGER NOT NULL,"
    "  data BLOB NOT NULL"
    ");"
    "CREATE INDEX definitions_by_base ON definitions(base) WHERE base IS NOT NULL;"

    "CREATE TABLE domains ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  name TEXT NOT NULL UNIQUE,"
    "  uuid TEXT UNIQUE,"
    "  persistent INTEGER NOT NULL,"
    "  inactive INTEGER REFERENCES definitions(id),"
    "  active INTEGER REFERENCES definitions(id),"
    "  qmp_path TEXT,"
    "  agent_path TEXT,"
    "  extra TEXT,"
    "  seal INTEGER NOT NULL"
    ");"
    "CREATE INDEX domains_by_inactive ON domains(inactive) WHERE inactive IS NOT NULL;"
    "CREATE INDEX domains_by_active ON domains(active) WHERE active IS NOT NULL;"

    "CREATE TABLE points ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  domain INTEGER NOT NULL REFERENCES domains(id) ON DELETE CASCADE,"
    "  kind INTEGER NOT NULL,"
    "  name TEXT NOT NULL,"
    "  creation_time INTEGER NOT NULL,"
    "  state TEXT,"
    "  location INTEGER NOT NULL,"
    "  definition INTEGER REFERENCES definitions(id),"
    "  inactive_definition INTEGER REFERENCES definitions(id),"
    "  extra TEXT,"
    "  seal INTEGER NOT NULL,"
    "  parent INTEGER REFERENCES points(id),"
    "  is_current INTEGER NOT NULL,"
    "  UNIQUE (domain, kind, name)"
    ");"
    "CREATE INDEX points_by_time ON points(domain, kind, creation_time);"
    "CREATE UNIQUE INDEX points_current ON points(domain, kind) WHERE is_current = 1;"
    "CREATE INDEX points_by_parent ON points(parent) WHERE parent IS NOT NULL;"
    "CREATE INDEX points_by_definition ON points(definition) WHERE definition IS NOT NULL;"
    "CREATE INDEX points_by_inactive_definition ON points(inactive_definition)"
    "  WHERE inactive_definition IS NOT NULL;"
    "CREATE TABLE point_bodies ("
    "  point INTEGER PRIMARY KEY REFERENCES points(id) ON DELETE CASCADE,"
    "  body TEXT NOT NULL,"
    "  seal INTEGER NOT NULL"
    ");"

    "CREATE TABLE files ("
    "  path TEXT NOT NULL PRIMARY KEY,"
    "  domain INTEGER NOT NULL REFERENCES domains(id) ON DELETE CASCADE,"
    "  role TEXT NOT NULL,"
    "  seal INTEGER NOT NULL,"
    "  point TEXT"
    ");"
    "CREATE INDEX files_by_domain ON files(domain);"

    "CREATE TABLE backups ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  domain INTEGER NOT NULL REFERENCES domains(id) ON DELETE CASCADE,"
    "  state TEXT NOT NULL,"
    "  started INTEGER NOT NULL,"
    "  ended INTEGER NOT NULL,"
    "  body TEXT,"
    "  detail TEXT,"
    "  seal INTEGER NOT NULL"
    ");"
    "CREATE INDEX backups_by_state ON backups(domain, state);"

    "CREATE TABLE intents ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  domain INTEGER REFERENCES domains(id),"
    "  kind TEXT NOT NULL,"
    "  subject TEXT,"
    "  created INTEGER NOT NULL,"
    "  plan TEXT NOT NULL,"
    "  seal INTEGER NOT NULL,"
    "  past_commit INTEGER NOT NULL"
    ");"
    "CREATE INDEX intents_by_domain ON intents(domain);"

    "CREATE TABLE facts ("
    "  name TEXT NOT NULL PRIMARY KEY,"
    "  value TEXT NOT NULL,"
    "  seal INTEGER NOT NULL"
    ");";

const char *const vmp_schema_steps[] = { version_1, NULL };

static gint64
read_version(VmpStore *store, GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(store, "PRAGMA user_version", error);
    if (!sql || vmp_sql_step(sql, error) != VMP_SQL_ROW)
        return -1;
    return vmp_sql_int(sql, 0);
}

static gboolean
write_version(VmpStore *store, gint64 version, GError **error)
{
    g_autofree char *text =
        g_strdup_printf("PRAGMA user_version = %" G_GINT64_FORMAT, version);
    return vmp_sql_exec(store, text, error);
}

static gboolean
apply_steps(VmpStore *store, const char *const *steps, gint64 target, GError **error)
{
    g_auto(VmpStoreTransaction) transaction = { 0 };
    if (!vmp_store_begin(store, &transaction, error))
        return FALSE;

    /* Again, now that nobody else can write: another process may have been quicker. */
    gint64 version = read_version(store, error);
    if (version < 0)
        return FALSE;
    for (; version < target; version++)
        if (!vmp_sql_exec(store, steps[version], error))
            return FALSE;

    return write_version(store, version, error) && vmp_store_commit(&transaction, error);
}

gboolean
vmp_schema_migrate(VmpStore *store, const char *const *steps, GError **error)
{
    gint64 target = (gint64)g_strv_length((char **)steps);
    gint64 version = read_version(store, error);

    if (version < 0)
        return FALSE;
    if (version > target)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "store %s: made by a newer vmpoint (schema version %" G_GINT64_FORMAT
                        "; this one knows %" G_GINT64_FORMAT " and older)",
                        store->path, version, target);
    return version == target || apply_steps(store, steps, target, error);
}
