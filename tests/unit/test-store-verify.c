/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Verifying is a part of store.h. */

#include "store/intent.h"
#include "test-store-fixture.h"

static void
fill(VmpStore *store)
{
    gint64 domain = add_domain(store, "d");
    VmpStorePoint point = point_of(domain, "c", "b");

    add_point(store, domain, "a", NULL);
    add_point(store, domain, "b", "a");
    VmpStoreFile file = { (char *)"/image", domain, (char *)"overlay", (char *)"c" };
    VmpStoreBackup backup = { .domain = domain, .state = (char *)"running" };
    point.definition = put_definition(store, "<domain/>", 0);
    point.body = (char *)"<domainsnapshot/>";
    assert_works(vmp_store_put_point(store, &point, error));
    assert_works(vmp_store_put_file(store, &file, error));
    assert_works(vmp_store_put_backup(store, &backup, error));
    assert_works(vmp_store_put_fact(store, "key", "value", error));
    g_autoptr(VmpIntent) intent = vmp_store_declare(store, domain, "k", "s", "{}", NULL);
    g_assert_nonnull(intent);
}

static void
test_sound(Fixture *fixture, gconstpointer data)
{
    assert_works(vmp_store_verify(fixture->store, error));
    fill(fixture->store);
    assert_works(vmp_store_verify(fixture->store, error));
}

/* What no constraint of the schema refuses once foreign keys are off. */
static void
test_unsound(Fixture *fixture, gconstpointer data)
{
    static const char drop_index[] =
        "PRAGMA writable_schema = ON;"
        "DELETE FROM sqlite_master WHERE name = 'files_by_domain'";
    static const char *const damages[] = {
        "UPDATE points SET parent = id WHERE name = 'a'",
        "UPDATE points SET parent = 3 WHERE name = 'a'",
        "UPDATE points SET kind = 1 WHERE name = 'a'",
        "PRAGMA foreign_keys = OFF; DELETE FROM points WHERE name = 'b'",
        "PRAGMA foreign_keys = OFF; DELETE FROM domains",
        "PRAGMA foreign_keys = OFF; DELETE FROM definitions",
        "UPDATE definitions SET data = zeroblob(20)",
        "UPDATE domains SET extra = '{}'",
        "UPDATE points SET name = 'd' WHERE name = 'c'",
        "UPDATE points SET definition = NULL",
        "UPDATE point_bodies SET body = 'other'",
        "UPDATE files SET path = '/etc/passwd'",
        "UPDATE backups SET state = 'completed'",
        "UPDATE intents SET plan = '{\"steps\":[]}'",
        "UPDATE facts SET value = 'other'",
        drop_index,
    };

    fill(fixture->store);
    g_autofree char *copy = g_strdup_printf("VACUUM INTO '%s/before.db'", fixture->dir);
    g_assert_cmpint(sqlite3_exec(fixture->store->db, copy, NULL, NULL, NULL), ==, SQLITE_OK);

    for (gsize i = 0; i < G_N_ELEMENTS(damages); i++) {
        g_autofree char *before = g_strconcat(fixture->dir, "/before.db", NULL);
        g_autofree char *path = g_strconcat(fixture->dir, "/damaged.db", NULL);
        g_autofree char *content = NULL;
        gsize length;
        g_assert_true(g_file_get_contents(before, &content, &length, NULL));
        write_file(path, content, length);
        g_autoptr(VmpStore) store = vmp_store_open_handle(path, NULL);

        assert_works(vmp_store_verify(store, error));
        g_assert_cmpint(sqlite3_exec(store->db, damages[i], NULL, NULL, NULL), ==, SQLITE_OK);
        g_clear_pointer(&store, vmp_store_close);
        store = vmp_store_open_handle(path, NULL);
        assert_fails(vmp_store_verify(store, error), VMP_ERROR_DAMAGED);
    }
}

/* What each reading function says of a record that was changed behind its back. */
static void
test_readers(Fixture *fixture, gconstpointer data)
{
    VmpStore *store = fixture->store;

    fill(store);
    g_assert_cmpint(sqlite3_exec(store->db,
                                 "UPDATE domains SET extra = '{}';"
                                 "UPDATE points SET creation_time = 5 WHERE name = 'b';"
                                 "UPDATE point_bodies SET body = 'other';"
                                 "UPDATE files SET role = 'memory';"
                                 "UPDATE backups SET ended = 5;"
                                 "UPDATE intents SET plan = '[]';"
                                 "UPDATE facts SET value = 'other';",
                                 NULL, NULL, NULL),
                    ==, SQLITE_OK);
#define is_damaged(expression) assert_fails(expression, VMP_ERROR_DAMAGED)
    is_damaged(vmp_store_find_domain(store, "d", error));
    is_damaged(vmp_store_list_domains(store, error));
    is_damaged(vmp_store_find_point(store, 1, VMP_POINT_SNAPSHOT, "b", error));
    is_damaged(vmp_store_find_point(store, 1, VMP_POINT_SNAPSHOT, "c", error));
    is_damaged(vmp_store_list_points(store, 1, VMP_POINT_SNAPSHOT, FALSE, error));
    is_damaged(vmp_store_rename_point(store, 1, VMP_POINT_SNAPSHOT, "b", "x", error));
    is_damaged(vmp_store_find_file(store, "/image", error));
    is_damaged(vmp_store_list_files(store, 1, error));
    is_damaged(vmp_store_find_backup(store, 1, "running", error));
    is_damaged(vmp_store_list_intents(store, 0, error));
    is_damaged(vmp_store_get_fact(store, "key", error));
#undef is_damaged

    /* Putting it again heals it. */
    assert_works(vmp_store_put_fact(store, "key", "value", error));
    g_autofree char *value = vmp_store_get_fact(store, "key", NULL);
    g_assert_cmpstr(value, ==, "value");
    add_point(store, 1, "b", "a");
    g_autoptr(VmpStorePoint) point =
        vmp_store_find_point(store, 1, VMP_POINT_SNAPSHOT, "b", NULL);
    g_assert_nonnull(point);
}

/* Looking at the store with other programs, and copying it with them, is harmless. */
static void
test_plain_sqlite(Fixture *fixture, gconstpointer data)
{
    g_autofree char *dir = make_folder();
    g_autofree char *copy = g_strdup_printf("VACUUM INTO '%s/vmpoint.db'", dir);
    sqlite3 *db;

    fill(fixture->store);
    g_clear_pointer(&fixture->store, vmp_store_close);
    g_assert_cmpint(sqlite3_open(fixture->path, &db), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_exec(db, copy, NULL, NULL, NULL), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_close(db), ==, SQLITE_OK); /* moves the log, too */

    fixture->store = open_store(fixture->dir);
    assert_works(vmp_store_verify(fixture->store, error));
    g_autoptr(VmpStore) store = open_store(dir);
    assert_works(vmp_store_verify(store, error));
    g_assert_cmpint(count_rows(store, "points"), ==, 3);
    g_clear_pointer(&store, vmp_store_close);
    remove_tree(dir);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_test("/store/verify/a-sound-store-passes", test_sound);
    add_test("/store/verify/damage-is-found", test_unsound);
    add_test("/store/verify/readers-report-damage-and-putting-heals", test_readers);
    add_test("/store/verify/other-programs-may-look-and-copy", test_plain_sqlite);
    return g_test_run();
}
