/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Opening, and transactions. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>

#include "store/sql.h"
#include "test-store-fixture.h"

/* ---- opening ---- */

static guint
mode_of(const char *path)
{
    GStatBuf status;

    g_assert_cmpint(g_stat(path, &status), ==, 0);
    return status.st_mode & 07777;
}

static void
test_modes(void)
{
    static const mode_t umasks[] = { 0, 022, 077, 0777 };

    for (gsize i = 0; i < G_N_ELEMENTS(umasks); i++) {
        g_autofree char *top = make_folder();
        g_autofree char *dir = g_build_filename(top, "a", "b", NULL);
        mode_t before = umask(umasks[i]);
        VmpStore *store = open_store(dir);
        add_domain(store, "d");
        umask(before);

        g_assert_cmphex(mode_of(dir), ==, 0700);
        static const char *const names[] = { "vmpoint.db", "vmpoint.db-wal",
                                             "vmpoint.db-shm" };
        for (gsize j = 0; j < G_N_ELEMENTS(names); j++) {
            g_autofree char *path = g_build_filename(dir, names[j], NULL);
            g_assert_cmphex(mode_of(path), ==, 0600);
        }
        vmp_store_close(store);
        remove_tree(top);
    }
}

static void
test_leaves_nothing_else(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GDir) dir = g_dir_open(fixture->dir, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(dir)))
        g_assert_true(g_str_has_prefix(name, "vmpoint.db") && !strstr(name, ".new"));
}

static void
test_reopen(Fixture *fixture, gconstpointer data)
{
    gint64 id = add_domain(fixture->store, "d");

    fixture_reopen(fixture);
    g_autoptr(VmpStoreDomain) domain = vmp_store_find_domain(fixture->store, "d", NULL);
    g_assert_nonnull(domain);
    g_assert_cmpint(domain->id, ==, id);
}

static void
test_leftover_creation(void)
{
    g_autofree char *dir = make_folder();
    static const char *const names[] = { "vmpoint.db.new", "vmpoint.db.new-wal",
                                         "vmpoint.db.new-shm", "vmpoint.db.new-journal" };

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(dir, names[i], NULL);
        g_assert_true(g_file_set_contents(path, "half", -1, NULL));
    }
    VmpStore *store = open_store(dir);
    add_domain(store, "d");
    vmp_store_close(store);
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(dir, names[i], NULL);
        g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    }
    remove_tree(dir);
}

/* In a child.  @gate ends when all are to start. */
static int
race_to_create(const char *top, int number, int gate)
{
    char go;
    if (read(gate, &go, 1) != 0)
        return 2;

    g_autofree char *dir = g_build_filename(top, "state", NULL);
    g_autoptr(VmpStore) store = vmp_store_open(dir, NULL);
    g_autofree char *name = g_strdup_printf("d%d", number);
    VmpStoreDomain domain = { .name = name };
    return store && vmp_store_put_domain(store, &domain, NULL) ? 0 : 1;
}

static void
test_race_to_create(Fixture *fixture, gconstpointer data)
{
    enum { RACERS = 8 };
    pid_t racers[RACERS];
    int gate[2];

    g_assert_cmpint(pipe(gate), ==, 0);
    for (int i = 0; i < RACERS; i++) {
        racers[i] = fork();
        if (racers[i] == 0) {
            close(gate[1]);
            _exit(race_to_create(fixture->dir, i, gate[0]));
        }
    }
    close(gate[0]);
    close(gate[1]); /* all at once */

    for (int i = 0; i < RACERS; i++) {
        int status;
        g_assert_cmpint(waitpid(racers[i], &status, 0), ==, racers[i]);
        g_assert_cmpint(status, ==, 0);
    }
    g_autofree char *dir = g_build_filename(fixture->dir, "state", NULL);
    g_autoptr(VmpStore) store = open_store(dir);
    g_assert_cmpint(count_rows(store, "domains"), ==, RACERS);
}

static void
assert_does_not_open(const char *dir, VmpErrorCode code, const char *names)
{
    g_autoptr(GError) error = NULL;
    VmpStore *store = vmp_store_open(dir, &error);

    g_assert_null(store);
    g_assert_error(error, VMP_ERROR, (int)code);
    g_assert_nonnull(strstr(error->message, names));
}

static void
test_foreign_files(void)
{
    static const struct {
        const char *content;
        gssize length;
    } files[] = {
        { "", 0 },
        { "x", 1 },
        { "This is not a database, but a letter to somebody who was expecting one. It is "
          "longer than a header of a hundred bytes would be.",
          -1 },
        { "SQLite format 3\0 and then nothing of the kind", 45 },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *dir = make_folder();
        g_autofree char *path = g_build_filename(dir, "vmpoint.db", NULL);
        g_autofree char *kept = NULL;
        gsize length,
            expected = files[i].length < 0 ? strlen(files[i].content) : (gsize)files[i].length;

        g_assert_true(g_file_set_contents(path, files[i].content, files[i].length, NULL));
        assert_does_not_open(dir, VMP_ERROR_DAMAGED, path);
        g_assert_true(g_file_get_contents(path, &kept, &length, NULL));
        g_assert_cmpmem(kept, length, files[i].content, expected);
        remove_tree(dir);
    }
}

static void
test_other_database(void)
{
    g_autofree char *dir = make_folder();
    g_autofree char *path = g_build_filename(dir, "vmpoint.db", NULL);
    sqlite3 *db;

    g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_exec(db, "CREATE TABLE t(x)", NULL, NULL, NULL), ==, SQLITE_OK);
    sqlite3_close(db);
    assert_does_not_open(dir, VMP_ERROR_DAMAGED, path);
    remove_tree(dir);
}

static void
test_log_without_database(void)
{
    g_autofree char *dir = make_folder();
    g_autofree char *log = g_build_filename(dir, "vmpoint.db-wal", NULL);

    g_assert_true(g_file_set_contents(log, "frames", -1, NULL));
    assert_does_not_open(dir, VMP_ERROR_DAMAGED, log);
    g_assert_cmpint(g_unlink(log), ==, 0);
    vmp_store_close(open_store(dir));
    remove_tree(dir);
}

/* SQLite would read the missing bytes of the last page as zeros. */
static void
test_cut_short(Fixture *fixture, gconstpointer data)
{
    g_autofree char *content = NULL;
    gsize length;

    g_clear_pointer(&fixture->store, vmp_store_close);
    g_assert_true(g_file_get_contents(fixture->path, &content, &length, NULL));
    for (gsize missing = 1; missing < 5000; missing += 500) {
        write_file(fixture->path, content, length - missing);
        assert_does_not_open(fixture->dir, VMP_ERROR_DAMAGED, fixture->path);
    }
    write_file(fixture->path, content, length);
    fixture->store = open_store(fixture->dir);
}

static void
test_newer(Fixture *fixture, gconstpointer data)
{
    g_assert_cmpint(
        sqlite3_exec(fixture->store->db, "PRAGMA user_version = 1000", NULL, NULL, NULL), ==,
        SQLITE_OK);
    assert_does_not_open(fixture->dir, VMP_ERROR_UNSUPPORTED, fixture->path);
}

static void
test_folder_is_a_file(void)
{
    g_autofree char *top = make_folder();
    g_autofree char *dir = g_build_filename(top, "file", NULL);
    g_autofree char *below = g_build_filename(dir, "state", NULL);

    g_assert_true(g_file_set_contents(dir, "", 0, NULL));
    assert_fails(vmp_store_open(dir, error), VMP_ERROR_NOT_FOUND);
    assert_fails(vmp_store_open(below, error), VMP_ERROR_NOT_FOUND);
    remove_tree(top);
}

static void
test_path_is_a_folder(void)
{
    g_autofree char *dir = make_folder();
    g_autofree char *path = g_build_filename(dir, "vmpoint.db", NULL);

    g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
    assert_does_not_open(dir, VMP_ERROR_IO, path);
    remove_tree(dir);
}

static void
test_close_nothing(void)
{
    vmp_store_close(NULL);
}

/* ---- transactions ---- */

static gboolean
has_fact(VmpStore *store, const char *key)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *value = vmp_store_get_fact(store, key, &error);

    g_assert_no_error(error);
    return value != NULL;
}

static void
put_fact(VmpStore *store, const char *key)
{
    assert_works(vmp_store_put_fact(store, key, "1", error));
}

static void
test_uncommitted(Fixture *fixture, gconstpointer data)
{
    {
        g_auto(VmpStoreTransaction) transaction = { 0 };
        assert_works(vmp_store_begin(fixture->store, &transaction, error));
        put_fact(fixture->store, "a");
        g_assert_true(has_fact(fixture->store, "a"));
    }
    g_assert_false(has_fact(fixture->store, "a"));
}

static void
test_committed(Fixture *fixture, gconstpointer data)
{
    VmpStore *other = open_store(fixture->dir);
    {
        g_auto(VmpStoreTransaction) transaction = { 0 };
        assert_works(vmp_store_begin(fixture->store, &transaction, error));
        put_fact(fixture->store, "a");
        g_assert_false(has_fact(other, "a"));
        assert_works(vmp_store_commit(&transaction, error));
        g_assert_null(transaction.store);
    }
    g_assert_true(has_fact(fixture->store, "a"));
    g_assert_true(has_fact(other, "a"));
    vmp_store_close(other);
}

static void
test_nested(Fixture *fixture, gconstpointer data)
{
    VmpStore *store = fixture->store;
    {
        g_auto(VmpStoreTransaction) outer = { 0 };
        assert_works(vmp_store_begin(store, &outer, error));
        put_fact(store, "outer");
        {
            g_auto(VmpStoreTransaction) kept = { 0 };
            assert_works(vmp_store_begin(store, &kept, error));
            put_fact(store, "kept");
            {
                g_auto(VmpStoreTransaction) lost = { 0 };
                assert_works(vmp_store_begin(store, &lost, error));
                put_fact(store, "lost");
            }
            g_assert_false(has_fact(store, "lost"));
            assert_works(vmp_store_commit(&kept, error));
        }
        assert_works(vmp_store_commit(&outer, error));
    }
    g_assert_true(has_fact(store, "outer"));
    g_assert_true(has_fact(store, "kept"));
    g_assert_false(has_fact(store, "lost"));
}

static void
test_nested_in_lost(Fixture *fixture, gconstpointer data)
{
    VmpStore *store = fixture->store;
    {
        g_auto(VmpStoreTransaction) outer = { 0 };
        assert_works(vmp_store_begin(store, &outer, error));
        g_auto(VmpStoreTransaction) inner = { 0 };
        assert_works(vmp_store_begin(store, &inner, error));
        put_fact(store, "a");
        assert_works(vmp_store_commit(&inner, error));
    }
    g_assert_false(has_fact(store, "a"));
    put_fact(store, "b");
    g_assert_true(has_fact(store, "b"));
}

/* SQLite rolls back by itself when a disk is full; what comes after must not go through. */
static void
test_rolled_back_behind_our_back(Fixture *fixture, gconstpointer data)
{
    VmpStore *store = fixture->store;
    {
        g_auto(VmpStoreTransaction) outer = { 0 };
        assert_works(vmp_store_begin(store, &outer, error));
        put_fact(store, "a");
        g_auto(VmpStoreTransaction) inner = { 0 };
        assert_works(vmp_store_begin(store, &inner, error));
        g_assert_cmpint(sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL), ==, SQLITE_OK);

        assert_fails(vmp_store_put_fact(store, "b", "1", error), VMP_ERROR_IO);
        assert_fails(vmp_store_commit(&inner, error), VMP_ERROR_IO);
        g_auto(VmpStoreTransaction) third = { 0 };
        assert_fails(vmp_store_begin(store, &third, error), VMP_ERROR_IO);
        assert_fails(vmp_store_commit(&outer, error), VMP_ERROR_IO);
    }
    g_assert_false(has_fact(store, "a"));
    g_assert_false(has_fact(store, "b"));
    put_fact(store, "c");
    g_assert_true(has_fact(store, "c"));
}

static void
test_busy(Fixture *fixture, gconstpointer data)
{
    VmpStore *other = open_store(fixture->dir);
    VmpStoreTransaction transaction, theirs = { 0 };

    other->patience = 20;
    sqlite3_busy_timeout(other->db, other->patience);
    assert_works(vmp_store_begin(fixture->store, &transaction, error));
    put_fact(fixture->store, "ours");

    assert_fails(vmp_store_begin(other, &theirs, error), VMP_ERROR_BUSY);
    g_assert_null(theirs.store);
    assert_fails(vmp_store_put_fact(other, "theirs", "1", error), VMP_ERROR_BUSY);
    g_assert_false(has_fact(other, "ours")); /* reading goes on */

    assert_works(vmp_store_commit(&transaction, error));
    assert_works(vmp_store_begin(other, &theirs, error));
    put_fact(other, "theirs");
    assert_works(vmp_store_commit(&theirs, error));
    g_assert_true(has_fact(fixture->store, "theirs"));
    vmp_store_close(other);
}

static gboolean
count_one_more(VmpStore *store)
{
    g_auto(VmpStoreTransaction) transaction = { 0 };
    if (!vmp_store_begin(store, &transaction, NULL))
        return FALSE;

    /* Reads and then writes what it read: of two that overlap one would be lost. */
    g_autofree char *before = vmp_store_get_fact(store, "count", NULL);
    g_autofree char *after = g_strdup_printf("%d", before ? atoi(before) + 1 : 1);
    return vmp_store_put_fact(store, "count", after, NULL) &&
           vmp_store_commit(&transaction, NULL);
}

/* In a child. */
static int
count_on(const char *dir, int times)
{
    g_autoptr(VmpStore) store = vmp_store_open(dir, NULL);
    if (!store)
        return 1;
    for (int i = 0; i < times; i++)
        if (!count_one_more(store))
            return 2;
    return 0;
}

static void
test_two_writers(Fixture *fixture, gconstpointer data)
{
    enum { EACH = 200, WRITERS = 3 };
    pid_t writers[WRITERS];

    /* A connection must not be taken across fork(). */
    g_clear_pointer(&fixture->store, vmp_store_close);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = fork();
        if (writers[i] == 0)
            _exit(count_on(fixture->dir, EACH));
    }
    for (int i = 0; i < WRITERS; i++) {
        int status;
        g_assert_cmpint(waitpid(writers[i], &status, 0), ==, writers[i]);
        g_assert_cmpint(status, ==, 0);
    }
    fixture->store = open_store(fixture->dir);
    g_autofree char *count = vmp_store_get_fact(fixture->store, "count", NULL);
    g_assert_cmpint(atoi(count), ==, EACH * WRITERS);
}

/* ---- the log ---- */

static gint64
log_size(Fixture *fixture)
{
    g_autofree char *path = g_strconcat(fixture->path, "-wal", NULL);
    GStatBuf status;

    return g_stat(path, &status) == 0 ? status.st_size : 0;
}

/* Each commit by a process of its own, so to speak. */
static void
test_log_stays_short(Fixture *fixture, gconstpointer data)
{
    int emptied = 0;

    for (int i = 0; i < 200; i++) {
        g_autofree char *key = g_strdup_printf("key%d", i);
        gint64 before = log_size(fixture);
        put_fact(fixture->store, key);
        emptied += log_size(fixture) < before;
        g_assert_cmpint(log_size(fixture), <, 1100 << 10);
        fixture_reopen(fixture);
    }
    g_assert_cmpint(emptied, >, 0);
    g_assert_cmpint(emptied, <, 20); /* and not at every commit */
}

/* Somebody who reads keeps the log from being emptied, and nobody from committing. */
static void
test_log_waits_for_nobody(Fixture *fixture, gconstpointer data)
{
    VmpStore *reader = open_store(fixture->dir);
    g_autofree char *value = g_strnfill(2 << 20, 'v');
    g_autoptr(VmpSql) sql = vmp_sql_prepare(reader, "SELECT 1 FROM facts", NULL);

    put_fact(fixture->store, "a");
    g_assert_cmpint(vmp_sql_step(sql, NULL), ==, VMP_SQL_ROW);
    gint64 start = g_get_monotonic_time();
    assert_works(vmp_store_put_fact(fixture->store, "large", value, error));
    g_assert_cmpint(g_get_monotonic_time() - start, <, fixture->store->patience * 1000);
    g_assert_cmpint(log_size(fixture), >, 2 << 20);

    g_clear_pointer(&sql, vmp_sql_release);
    put_fact(fixture->store, "b");
    g_assert_cmpint(log_size(fixture), ==, 0);
    vmp_store_close(reader);
}

static void
test_long_log_is_emptied(Fixture *fixture, gconstpointer data)
{
    g_autofree char *value = g_strnfill(8 << 20, 'v');

    assert_works(vmp_store_put_fact(fixture->store, "large", value, error));
    g_assert_cmpint(log_size(fixture), ==, 0);
    g_autofree char *back = vmp_store_get_fact(fixture->store, "large", NULL);
    g_assert_cmpstr(back, ==, value);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store/open/only-the-owner-may-read-whatever-the-umask", test_modes);
    add_test("/store/open/nothing-but-the-database-is-left", test_leaves_nothing_else);
    add_test("/store/open/what-was-put-is-there-after-opening-again", test_reopen);
    g_test_add_func("/store/open/a-creation-that-was-cut-short-is-swept-away",
                    test_leftover_creation);
    add_test("/store/open/of-many-that-create-one-does", test_race_to_create);
    g_test_add_func("/store/open/what-is-no-database-is-reported-and-kept",
                    test_foreign_files);
    g_test_add_func("/store/open/a-database-of-others-is-refused", test_other_database);
    g_test_add_func("/store/open/a-log-without-its-database-is-reported",
                    test_log_without_database);
    add_test("/store/open/a-file-that-is-cut-short-is-reported", test_cut_short);
    add_test("/store/open/a-newer-schema-is-unsupported", test_newer);
    g_test_add_func("/store/open/a-file-in-place-of-the-folder-is-an-error",
                    test_folder_is_a_file);
    g_test_add_func("/store/open/a-folder-in-place-of-the-file-is-an-error",
                    test_path_is_a_folder);
    g_test_add_func("/store/close/of-nothing-does-nothing", test_close_nothing);
    add_test("/store/transaction/what-is-not-committed-is-undone", test_uncommitted);
    add_test("/store/transaction/others-see-what-is-committed-and-no-more", test_committed);
    add_test("/store/transaction/an-inner-one-takes-back-its-own-part", test_nested);
    add_test("/store/transaction/an-inner-one-is-undone-with-the-outer", test_nested_in_lost);
    add_test("/store/transaction/nothing-goes-through-after-a-rollback-of-sqlite",
             test_rolled_back_behind_our_back);
    add_test("/store/transaction/a-second-writer-is-told-busy-and-readers-go-on", test_busy);
    add_test("/store/transaction/no-update-of-several-processes-is-lost", test_two_writers);
    add_test("/store/log/stays-short-over-many-commits", test_log_stays_short);
    add_test("/store/log/waits-for-nobody-who-reads", test_log_waits_for_nobody);
    add_test("/store/log/is-emptied-after-a-large-transaction", test_long_log_is_emptied);
    return g_test_run();
}
