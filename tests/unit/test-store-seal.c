/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/seal.h"

#include <string.h>

#include "test-store-fixture.h"

/* Everything in the database, nothing in the log. */
static char *
read_database(Fixture *fixture, gsize *length)
{
    char *content = NULL;

    g_assert_cmpint(sqlite3_wal_checkpoint_v2(fixture->store->db, NULL,
                                              SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL),
                    ==, SQLITE_OK);
    g_assert_true(g_file_get_contents(fixture->path, &content, length, NULL));
    g_assert_cmpuint(*length % VMP_SEAL_PAGE_SIZE, ==, 0);
    return content;
}

static void
fill(VmpStore *store)
{
    gint64 domain = add_domain(store, "d");

    for (int i = 0; i < 50; i++) {
        g_autofree char *name = g_strdup_printf("s%d", i);
        add_point(store, domain, name, NULL);
    }
    g_autofree char *large = g_strnfill(20000, 'x');
    assert_works(vmp_store_put_fact(store, "large", large, error));
}

/* Whether all of @content, in place of the database, can be read. */
static gboolean
reads(Fixture *fixture, const char *content, gsize length, GError **error)
{
    g_autofree char *path = g_strconcat(fixture->dir, "/other.db", NULL);

    write_file(path, content, length);
    g_autoptr(VmpStore) store = vmp_store_open_handle(path, error);
    return store && vmp_store_verify(store, error);
}

static void
test_untouched(Fixture *fixture, gconstpointer data)
{
    gsize length;

    fill(fixture->store);
    g_autofree char *content = read_database(fixture, &length);
    assert_works(reads(fixture, content, length, error));
}

static void
test_flips(Fixture *fixture, gconstpointer data)
{
    gsize length;

    fill(fixture->store);
    g_autofree char *content = read_database(fixture, &length);
    g_assert_cmpuint(length / VMP_SEAL_PAGE_SIZE, >, 20);
    for (gsize page = 0; page < length; page += VMP_SEAL_PAGE_SIZE) {
        const gsize places[] = { page, page + VMP_SEAL_PAGE_SIZE - 1,
                                 page + (gsize)g_test_rand_int_range(0, VMP_SEAL_PAGE_SIZE) };
        for (gsize i = 0; i < G_N_ELEMENTS(places); i++) {
            content[places[i]] ^= (char)(1 << g_test_rand_int_range(0, 8));
            assert_fails(reads(fixture, content, length, error), VMP_ERROR_DAMAGED);
            g_free(content);
            content = read_database(fixture, &length);
        }
    }
}

/* Each of the two pages is sound by itself: the second and the third of a new database are the
 * only pages of two tables. */
static void
test_swapped(Fixture *fixture, gconstpointer data)
{
    gsize length;
    g_autofree char *content = read_database(fixture, &length);
    char page[VMP_SEAL_PAGE_SIZE], *second = content + VMP_SEAL_PAGE_SIZE,
                                   *third = second + VMP_SEAL_PAGE_SIZE;

    memcpy(page, second, sizeof page);
    memcpy(second, third, sizeof page);
    memcpy(third, page, sizeof page);
    write_file(fixture->path, content, length);
    fixture_reopen(fixture);
    g_assert_cmpint(
        sqlite3_exec(fixture->store->db, "SELECT * FROM definitions", NULL, NULL, NULL), ==,
        SQLITE_IOERR_DATA);
}

static void
test_zeroed(Fixture *fixture, gconstpointer data)
{
    gsize length;

    fill(fixture->store);
    g_autofree char *content = read_database(fixture, &length);
    memset(content + VMP_SEAL_PAGE_SIZE, 0, VMP_SEAL_PAGE_SIZE);
    assert_fails(reads(fixture, content, length, error), VMP_ERROR_DAMAGED);
}

/* SQLite alone would read zeros in its place. */
static void
test_half_a_page(Fixture *fixture, gconstpointer data)
{
    gsize length;

    fill(fixture->store);
    g_autofree char *content = read_database(fixture, &length);
    assert_fails(reads(fixture, content, length - 2000, error), VMP_ERROR_DAMAGED);
}

static void
test_other_page_size(Fixture *fixture, gconstpointer data)
{
    gsize length;

    fill(fixture->store);
    g_autofree char *content = read_database(fixture, &length);
    content[16] = 0x02; /* 512 */
    content[17] = 0x00;
    assert_fails(reads(fixture, content, length, error), VMP_ERROR_DAMAGED);
}

static void
test_plain_sqlite(Fixture *fixture, gconstpointer data)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    gsize length;

    fill(fixture->store);
    g_free(read_database(fixture, &length));
    g_assert_cmpint(sqlite3_open_v2(fixture->path, &db, SQLITE_OPEN_READONLY, NULL), ==,
                    SQLITE_OK);
    g_assert_cmpint(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL), ==,
                    SQLITE_OK);
    g_assert_cmpint(sqlite3_step(statement), ==, SQLITE_ROW);
    g_assert_cmpstr((const char *)sqlite3_column_text(statement, 0), ==, "ok");
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

static void
test_message(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    gsize length;

    fill(fixture->store);
    g_autofree char *content = read_database(fixture, &length);
    content[length - 100] ^= 1;
    g_assert_false(reads(fixture, content, length, &error));
    g_assert_nonnull(strstr(error->message, "other.db"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_test("/store/seal/what-was-written-is-read", test_untouched);
    add_test("/store/seal/a-flipped-bit-in-any-page-is-noticed", test_flips);
    add_test("/store/seal/pages-that-changed-places-are-noticed", test_swapped);
    add_test("/store/seal/a-page-of-zeros-is-noticed", test_zeroed);
    add_test("/store/seal/half-a-page-at-the-end-is-noticed", test_half_a_page);
    add_test("/store/seal/another-page-size-in-the-header-is-noticed", test_other_page_size);
    add_test("/store/seal/any-sqlite-can-read-the-database", test_plain_sqlite);
    add_test("/store/seal/the-damaged-database-is-named", test_message);
    return g_test_run();
}
