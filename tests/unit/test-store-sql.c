/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/sql.h"

#include <string.h>

#include "test-store-fixture.h"

static const char insert_thing[] = "INSERT INTO things (id, name, data) VALUES (?, ?, ?)";
static const char select_thing[] = "SELECT id, name, data FROM things WHERE id IS ?";

static void
set_up(Fixture *fixture)
{
    assert_works(
        vmp_sql_exec(fixture->store,
                     "CREATE TABLE things (id INTEGER, name TEXT UNIQUE CHECK (name <> ''),"
                     " data BLOB NOT NULL)",
                     error));
}

static gboolean
insert(VmpStore *store, gint64 id, const char *name, const char *data, gsize size,
       GError **error)
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
    assert_fails(vmp_sql_exec(store, "INSERT INTO files VALUES ('a', 9, 'r', 0, '')", error),
                 VMP_ERROR_NOT_FOUND);
    assert_fails(vmp_sql_exec(store, "nonsense", error), VMP_ERROR_FAILED);
    assert_fails(vmp_sql_prepare(store, "SELECT nothing FROM nowhere", error),
                 VMP_ERROR_DAMAGED);
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

/* ---- seals ---- */

static const char insert_sealed[] =
    "INSERT INTO sealed (a, b, c, d, seal) VALUES (?, ?, ?, ?, ?)";

static void
put_sealed(VmpStore *store, gint64 a, const char *b, const char *c)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(store, insert_sealed, NULL);

    vmp_sql_bind_int(sql, 1, a);
    vmp_sql_bind_text(sql, 2, b);
    vmp_sql_bind_blob(sql, 3, c, strlen(c));
    vmp_sql_bind_id(sql, 4, 0);
    vmp_sql_bind_seal(sql, 5, 1, 4);
    assert_works(vmp_sql_run(sql, error));
}

static gboolean
sealed_is_sound(VmpStore *store, GError **error)
{
    g_autoptr(VmpSql) sql =
        vmp_sql_prepare(store, "SELECT a, b, c, d, seal FROM sealed", NULL);

    g_assert_cmpint(vmp_sql_width(sql), ==, 5);
    g_assert_cmpint(vmp_sql_step(sql, NULL), ==, VMP_SQL_ROW);
    return vmp_sql_check_seal(sql, "thing", 4, 0, 3, error);
}

static void
test_seal(Fixture *fixture, gconstpointer data)
{
    static const char *const damages[] = {
        "UPDATE sealed SET a = a + 1",
        "UPDATE sealed SET a = NULL",
        "UPDATE sealed SET a = '7'",
        "UPDATE sealed SET a = 7.5",
        "UPDATE sealed SET b = 'texu'",
        "UPDATE sealed SET b = 'tex'",
        "UPDATE sealed SET b = NULL",
        "UPDATE sealed SET b = x'74657874'", /* the same bytes, but no text */
        "UPDATE sealed SET c = x''",
        "UPDATE sealed SET d = 0",
        "UPDATE sealed SET d = ''",
        "UPDATE sealed SET d = 0.0",
        "UPDATE sealed SET b = c, c = b",
        "UPDATE sealed SET seal = seal + 1",
        "UPDATE sealed SET seal = NULL",
    };
    VmpStore *store = fixture->store;

    assert_works(vmp_sql_exec(store, "CREATE TABLE sealed (a, b, c, d, seal)", error));
    for (gsize i = 0; i < G_N_ELEMENTS(damages); i++) {
        put_sealed(store, 7, "text", "blob");
        assert_works(sealed_is_sound(store, error));
        assert_works(vmp_sql_exec(store, damages[i], error));
        assert_fails(sealed_is_sound(store, error), VMP_ERROR_DAMAGED);
        assert_works(vmp_sql_exec(store, "DELETE FROM sealed", error));
    }
}

static void
test_seal_of_nothing(Fixture *fixture, gconstpointer data)
{
    VmpStore *store = fixture->store;

    assert_works(vmp_sql_exec(store, "CREATE TABLE sealed (a, b, c, d, seal)", error));
    put_sealed(store, 0, NULL, "");
    assert_works(sealed_is_sound(store, error));
    assert_works(vmp_sql_exec(store, "UPDATE sealed SET b = ''", error));
    assert_fails(sealed_is_sound(store, error), VMP_ERROR_DAMAGED);
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
    add_test("/store/sql/a-seal-tells-any-other-value", test_seal);
    add_test("/store/sql/a-seal-tells-nothing-from-an-empty-text", test_seal_of_nothing);
    add_test("/store/sql/every-answer-of-sqlite-has-a-code", test_codes);
    return g_test_run();
}
