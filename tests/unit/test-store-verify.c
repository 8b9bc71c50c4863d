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
    point.definition = put_definition(store, "<domain/>", 0);
    assert_works(vmp_store_put_point(store, &point, error));
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
    static const char *const damages[] = {
        "UPDATE points SET parent = id WHERE name = 'a'",
        "UPDATE points SET parent = 3 WHERE name = 'a'",
        "UPDATE points SET kind = 1 WHERE name = 'a'",
        "PRAGMA foreign_keys = OFF; DELETE FROM points WHERE name = 'b'",
        "PRAGMA foreign_keys = OFF; DELETE FROM domains",
        "PRAGMA foreign_keys = OFF; DELETE FROM definitions",
        "UPDATE definitions SET data = zeroblob(20)",
        "PRAGMA writable_schema = ON; DELETE FROM sqlite_master WHERE name = 'files_by_domain';",
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

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_test("/store/verify/a-sound-store-passes", test_sound);
    add_test("/store/verify/damage-is-found", test_unsound);
    return g_test_run();
}
