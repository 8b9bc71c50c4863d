/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/schema.h"

#include <string.h>

#include "test-store-fixture.h"

static gint64
number(VmpStore *store, const char *text)
{
    sqlite3_stmt *statement = NULL;

    g_assert_cmpint(sqlite3_prepare_v2(store->db, text, -1, &statement, NULL), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_step(statement), ==, SQLITE_ROW);
    gint64 value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

/* Made-up steps behind the real ones. */
static void
add_steps(const char *steps[8], const char *first, const char *second)
{
    guint count = g_strv_length((char **)vmp_schema_steps);

    g_assert_cmpuint(count, <, 5);
    memcpy(steps, vmp_schema_steps, count * sizeof *steps);
    steps[count] = first;
    steps[count + 1] = second;
    steps[count + 2] = NULL;
}

static void
test_current(Fixture *fixture, gconstpointer data)
{
    gint64 version = number(fixture->store, "PRAGMA user_version");

    g_assert_cmpint(version, ==, g_strv_length((char **)vmp_schema_steps));
    assert_works(vmp_schema_migrate(fixture->store, vmp_schema_steps, error));
    g_assert_cmpint(number(fixture->store, "PRAGMA user_version"), ==, version);
}

static void
test_older(Fixture *fixture, gconstpointer data)
{
    const char *steps[8];
    gint64 before = number(fixture->store, "PRAGMA user_version");

    add_domain(fixture->store, "d");
    add_steps(steps, "ALTER TABLE domains ADD COLUMN note TEXT; CREATE TABLE notes(x)",
              "UPDATE domains SET note = 'migrated'; INSERT INTO notes VALUES (7)");
    assert_works(vmp_schema_migrate(fixture->store, steps, error));

    g_assert_cmpint(number(fixture->store, "PRAGMA user_version"), ==, before + 2);
    g_assert_cmpint(number(fixture->store, "SELECT x FROM notes"), ==, 7);
    g_assert_cmpint(
        number(fixture->store, "SELECT count(*) FROM domains WHERE note = 'migrated'"), ==, 1);
    /* Once only. */
    assert_works(vmp_schema_migrate(fixture->store, steps, error));
    g_assert_cmpint(number(fixture->store, "SELECT count(*) FROM notes"), ==, 1);
}

static void
test_every_version(Fixture *fixture, gconstpointer data)
{
    const char *all[] = { "CREATE TABLE a(x)", "CREATE TABLE b(x)", "CREATE TABLE c(x)",
                          NULL };

    for (guint from = 0; from <= 3; from++) {
        g_autofree char *dir = make_folder();
        g_autofree char *path = g_build_filename(dir, "any.db", NULL);
        const char *some[4] = { NULL };

        g_assert_true(g_file_set_contents(path, "", 0, NULL));
        g_autoptr(VmpStore) store = vmp_store_open_handle(path, NULL);
        memcpy(some, all, from * sizeof *all);
        assert_works(vmp_schema_migrate(store, some, error));
        g_assert_cmpint(number(store, "SELECT count(*) FROM sqlite_master"), ==, from);
        assert_works(vmp_schema_migrate(store, all, error));
        g_assert_cmpint(number(store, "SELECT count(*) FROM sqlite_master"), ==, 3);
        remove_tree(dir);
    }
}

static void
test_fails_midway(Fixture *fixture, gconstpointer data)
{
    const char *steps[8];
    gint64 before = number(fixture->store, "PRAGMA user_version");

    add_domain(fixture->store, "d");
    add_steps(steps, "CREATE TABLE notes(x); DELETE FROM domains",
              "CREATE TABLE more(x); INSERT INTO nowhere VALUES (1)");
    assert_fails(vmp_schema_migrate(fixture->store, steps, error), VMP_ERROR_FAILED);

    g_assert_cmpint(number(fixture->store, "PRAGMA user_version"), ==, before);
    g_assert_cmpint(
        number(fixture->store,
               "SELECT count(*) FROM sqlite_master WHERE name IN ('notes', 'more')"),
        ==, 0);
    fixture_reopen(fixture);
    g_assert_cmpint(count_rows(fixture->store, "domains"), ==, 1);
}

static void
test_newer(Fixture *fixture, gconstpointer data)
{
    const char *none[] = { NULL };

    assert_fails(vmp_schema_migrate(fixture->store, none, error), VMP_ERROR_UNSUPPORTED);
    g_assert_cmpint(number(fixture->store, "PRAGMA user_version"), >, 0);
}

/* Two processes open an old store at once: the second finds it migrated under its feet. */
static void
test_two_migrate(Fixture *fixture, gconstpointer data)
{
    const char *steps[8];
    VmpStore *other = open_store(fixture->dir);

    add_steps(steps, "CREATE TABLE notes(x)", "INSERT INTO notes VALUES (1)");
    assert_works(vmp_schema_migrate(fixture->store, steps, error));
    assert_works(vmp_schema_migrate(other, steps, error));
    g_assert_cmpint(number(other, "SELECT count(*) FROM notes"), ==, 1);
    vmp_store_close(other);
}

/* A reference without an index makes each removal read a whole table. */
static void
test_references_have_indexes(Fixture *fixture, gconstpointer data)
{
    g_assert_cmpint(
        number(fixture->store,
               "SELECT count(*) FROM sqlite_master AS t, pragma_foreign_key_list(t.name) AS f"
               " WHERE t.type = 'table'"),
        >=, 10);
    g_assert_cmpint(
        number(fixture->store,
               "SELECT count(*) FROM sqlite_master AS t, pragma_foreign_key_list(t.name) AS f"
               " WHERE t.type = 'table'"
               " AND NOT EXISTS (SELECT 1 FROM pragma_index_list(t.name) AS l,"
               "  pragma_index_info(l.name) AS i WHERE i.seqno = 0 AND i.name = f.\"from\")"
               " AND NOT EXISTS (SELECT 1 FROM pragma_table_info(t.name) AS c"
               "  WHERE c.pk = 1 AND c.name = f.\"from\")"),
        ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_test("/store/schema/a-store-of-this-version-is-left-alone", test_current);
    add_test("/store/schema/an-older-store-is-migrated-once", test_older);
    add_test("/store/schema/every-older-version-leads-to-this-one", test_every_version);
    add_test("/store/schema/a-migration-that-fails-midway-leaves-the-old-store",
             test_fails_midway);
    add_test("/store/schema/a-newer-store-is-unsupported", test_newer);
    add_test("/store/schema/of-two-that-migrate-at-once-one-does", test_two_migrate);
    add_test("/store/schema/every-reference-has-an-index", test_references_have_indexes);
    return g_test_run();
}
