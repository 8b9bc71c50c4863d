/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/sql.h"

#include <string.h>

#include "test-store-fixture.h"

static const char insert_thing[] = "INSERT INTO things (id, name, data) VALUES (?, ?, ?)";
static const char select_thing[] = "SELECT id, name, data FROM things WHERE id IS ?";

static void
set_up(Fixture *fixture)
{
    assert_works(vmp_sql_exec(fixture->store,
                              "CREATE TABLE things (id INTEGER, name TEXT UNIQUE CHECK (name <> ''),"
                              " data BLOB NOT NULL)",
                              error));
}

static gboolean
insert(VmpStore *store, gint64 id, const char *name, const char *data, gsize size, GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(store, insert_thing, error);
    if (!sql)
        return FALSE;
    vmp_sql_bind_id(sql, 1, id);
    vmp_sql_bind_text(sql, 2, name);
    vmp_sql_bind_blob(sql, 3, data, size);
    return vmp_sql_run(sql, error);
}

static void
test_values(Fixture *fixture, gconstpointer data)
{
    set_up(fixture);
    assert_works(insert(fixture->store, G_MAXINT64, "a'b", "x\0y", 3, error));
    assert_works(insert(fixture->store, 0, NULL, "", 0, error));

    g_autoptr(VmpSql) sql = vmp_sql_prepare(fixture->store, select_thing, NULL);
    vmp_sql_bind_int(sql, 1, G_MAXINT64);
    g_assert_cmpint(vmp_sql_step(sql, NULL), ==, VMP_SQL_ROW);
    g_autofree char *name = vmp_sql_text(sql, 1);
    gsize size;
    gconstpointer blob = vmp_sql_blob(sql, 2, &size);
    g_assert_cmpint(vmp_sql_int(sql, 0), ==, G_MAXINT64);
    g_assert_cmpstr(name, ==, "a'b");
    g_assert_cmpmem(blob, size, "x\0y", 3);
    g_assert_cmpint(vmp_sql_step(sql, NULL), ==, VMP_SQL_DONE);
}

static void
test_null(Fixture *fixture, gconstpointer data)
{
    set_up(fixture);
    assert_works(insert(fixture->store, 0, NULL, "", 0, error));

    g_autoptr(VmpSql) sql = vmp_sql_prepare(fixture->store, select_thing, NULL);
    vmp_sql_bind_id(sql, 1, 0);
    g_assert_cmpint(vmp_sql_step(sql, NULL), ==, VMP_SQL_ROW);
    g_autofree char *name = vmp_sql_text(sql, 1);
    gsize size = 1;
    g_assert_cmpint(vmp_sql_int(sql, 0), ==, 0);
    g_assert_null(name);
    vmp_sql_blob(sql, 2, &size);
    g_assert_cmpuint(size, ==, 0);
}

static void
test_reuse(Fixture *fixture, gconstpointer data)
{
    set_up(fixture);
    guint before = g_hash_table_size(fixture->store->statements);
    for (gint64 i = 1; i <= 3; i++) {
        g_autofree char *name = g_strdup_printf("n%d", (int)i);
        assert_works(insert(fixture->store, i, name, "", 0, error));
    }
    g_assert_cmpuint(g_hash_table_size(fixture->store->statements), ==, before + 1);

    /* What was bound before is gone: an unbound parameter is NULL. */
    VmpSql *sql = vmp_sql_prepare(fixture->store, select_thing, NULL);
    vmp_sql_bind_int(sql, 1, 1);
    g_assert_cmpint(vmp_sql_step(sql, NULL), ==, VMP_SQL_ROW);
    vmp_sql_release(sql);
    sql = vmp_sql_prepare(fixture->store, select_thing, NULL);
    g_assert_cmpint(vmp_sql_step(sql, NULL), ==, VMP_SQL_DONE);
    vmp_sql_release(sql);
}

static void
test_snapshot(Fixture *fixture, gconstpointer data)
{
    set_up(fixture);
    assert_works(insert(fixture->store, 1, "a", "", 0, error));
    VmpStore *other = open_store(fixture->dir);

    VmpSql *sql = vmp_sql_prepare(other, select_thing, NULL);
    vmp_sql_bind_int(sql, 1, 1);
    g_assert_cmpint(vmp_sql_step(sql, NULL), ==, VMP_SQL_ROW);
    assert_works(vmp_sql_exec(fixture->store, "DELETE FROM things", error));
    g_assert_cmpint(count_rows(other, "things"), ==, 1);
    vmp_sql_release(sql);
    g_assert_cmpint(count_rows(other, "things"), ==, 0);
    vmp_store_close(other);
}

static void
test_constraints(Fixture *fixture, gconstpointer data)
{
    VmpStore *store = fixture->store;

    set_up(fixture);
    assert_works(insert(store, 1, "a", "", 0, error));
    assert_fails(insert(store, 2, "a", "", 0, error), VMP_ERROR_EXISTS);
    assert_fails(insert(store, 2, "", "", 0, error), VMP_ERROR_INVALID);
    assert_fails(vmp_sql_exec(store, "INSERT INTO things (name) VALUES ('b')", error),
                 VMP_ERROR_INVALID);
    assert_fails(vmp_sql_exec(store, "INSERT INTO files (path, domain, role) VALUES ('a', 9, 'r')",
                              error),
                 VMP_ERROR_NOT_FOUND);
    assert_fails(vmp_sql_exec(store, "nonsense", error), VMP_ERROR_FAILED);
    assert_fails(vmp_sql_prepare(store, "SELECT nothing FROM nowhere", error), VMP_ERROR_FAILED);
    g_assert_cmpint(count_rows(store, "things"), ==, 1);
}

static void
test_binding(Fixture *fixture, gconstpointer data)
{
    set_up(fixture);
    g_autoptr(VmpSql) sql = vmp_sql_prepare(fixture->store, select_thing, NULL);
    vmp_sql_bind_int(sql, 1, 1);
    vmp_sql_bind_int(sql, 2, 1); /* there is no second */
    assert_fails(vmp_sql_run(sql, error), VMP_ERROR_FAILED);
}

static void
test_codes(Fixture *fixture, gconstpointer data)
{
    static const struct {
        int status;
        VmpErrorCode code;
    } answers[] = {
        { SQLITE_CORRUPT, VMP_ERROR_DAMAGED },
        { SQLITE_CORRUPT_INDEX, VMP_ERROR_DAMAGED },
        { SQLITE_NOTADB, VMP_ERROR_DAMAGED },
        { SQLITE_IOERR_DATA, VMP_ERROR_DAMAGED },
        { SQLITE_IOERR_CORRUPTFS, VMP_ERROR_DAMAGED },
        { SQLITE_BUSY, VMP_ERROR_BUSY },
        { SQLITE_BUSY_RECOVERY, VMP_ERROR_BUSY },
        { SQLITE_BUSY_SNAPSHOT, VMP_ERROR_BUSY },
        { SQLITE_LOCKED, VMP_ERROR_BUSY },
        { SQLITE_PROTOCOL, VMP_ERROR_BUSY },
        { SQLITE_FULL, VMP_ERROR_IO },
        { SQLITE_IOERR_WRITE, VMP_ERROR_IO },
        { SQLITE_IOERR_FSYNC, VMP_ERROR_IO },
        { SQLITE_IOERR_SHMSIZE, VMP_ERROR_IO },
        { SQLITE_CANTOPEN, VMP_ERROR_IO },
        { SQLITE_READONLY, VMP_ERROR_IO },
        { SQLITE_PERM, VMP_ERROR_IO },
        { SQLITE_TOOBIG, VMP_ERROR_INVALID },
        { SQLITE_CONSTRAINT_UNIQUE, VMP_ERROR_EXISTS },
        { SQLITE_CONSTRAINT_PRIMARYKEY, VMP_ERROR_EXISTS },
        { SQLITE_CONSTRAINT_FOREIGNKEY, VMP_ERROR_NOT_FOUND },
        { SQLITE_CONSTRAINT_NOTNULL, VMP_ERROR_INVALID },
        { SQLITE_CONSTRAINT_CHECK, VMP_ERROR_INVALID },
        { SQLITE_ERROR, VMP_ERROR_FAILED },
        { SQLITE_MISUSE, VMP_ERROR_FAILED },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(answers); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(vmp_sql_fail(fixture->store, answers[i].status, &error));
        g_assert_error(error, VMP_ERROR, (int)answers[i].code);
        g_assert_nonnull(strstr(error->message, fixture->path));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_test("/store/sql/values-come-back", test_values);
    add_test("/store/sql/nothing-comes-back-as-nothing", test_null);
    add_test("/store/sql/a-statement-is-compiled-once-and-forgets-its-parameters", test_reuse);
    add_test("/store/sql/a-row-keeps-its-snapshot", test_snapshot);
    add_test("/store/sql/what-a-constraint-refuses-has-a-code", test_constraints);
    add_test("/store/sql/a-binding-that-fails-is-reported-by-the-step", test_binding);
    add_test("/store/sql/every-answer-of-sqlite-has-a-code", test_codes);
    return g_test_run();
}
