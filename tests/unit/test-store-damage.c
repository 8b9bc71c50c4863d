/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Files of the store that are not what was written.
 *
 * Whatever is done to them: nothing crashes, no definition is told that is not the one that
 * was put, and what cannot be told is reported as damage.  A file that is too short is always
 * noticed.
 */

#include <string.h>

#include "test-store-fixture.h"

#define POINTS 60

/* The store that is damaged, and what was put into it. */
typedef struct {
    char *database;
    gsize database_length;
    char *log;
    gsize log_length;
    char *texts[POINTS];
    gint64 ids[POINTS]; /* of the definitions that they are */
} Original;

/* No flipped byte makes one name of another. */
static char *
name_number(int number)
{
    return g_strdup_printf("point number %d, %d of all", number, number);
}

static char *
text_number(int number)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed((guint32)(number / 20));
    GString *text = g_string_new(NULL);

    g_string_append_printf(text, "<domain number='%d'>\n", number);
    for (int i = 0; i < 150; i++)
        g_string_append_printf(text, "  <device address='%08x'/>\n", g_rand_int(rand));
    return g_string_free(text, FALSE);
}

/* Each point and its definition in one transaction. */
static void
put_points(VmpStore *store, gint64 domain, Original *original, int from, int to)
{
    for (int i = from; i < to; i++) {
        g_autofree char *name = name_number(i);
        g_autofree char *parent = i > 0 ? name_number((i - 1) / 2) : NULL;
        VmpStorePoint point = point_of(domain, name, parent);
        VmpStoreTransaction transaction;

        assert_works(vmp_store_begin(store, &transaction, error));
        original->texts[i] = text_number(i);
        point.body = original->texts[i];
        point.definition =
            put_definition(store, original->texts[i], i > 0 ? original->ids[i - 1] : 0);
        original->ids[i] = point.definition;
        assert_works(vmp_store_put_point(store, &point, error));
        assert_works(vmp_store_commit(&transaction, error));
    }
}

static void
read_files(const Fixture *fixture, Original *original)
{
    g_autofree char *log = g_strconcat(fixture->path, "-wal", NULL);

    g_assert_true(g_file_get_contents(fixture->path, &original->database,
                                      &original->database_length, NULL));
    g_assert_true(g_file_get_contents(log, &original->log, &original->log_length, NULL));
}

/* @in_log of the points are in the log only. */
static void
make_original(Fixture *fixture, Original *original, int in_log)
{
    gint64 domain = add_domain(fixture->store, "d");

    put_points(fixture->store, domain, original, 0, POINTS - in_log);
    g_assert_cmpint(sqlite3_wal_checkpoint_v2(fixture->store->db, NULL,
                                              SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL),
                    ==, SQLITE_OK);
    put_points(fixture->store, domain, original, POINTS - in_log, POINTS);
    vmp_store_close(g_steal_pointer(&fixture->store));
    read_files(fixture, original);
}

static void
clear_original(Original *original)
{
    g_free(original->database);
    g_free(original->log);
    for (int i = 0; i < POINTS; i++)
        g_free(original->texts[i]);
}

/* The definition with @id is @text, or damaged; returns whether it is there. */
static gboolean
check_definition(VmpStore *store, gint64 id, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *told = vmp_store_get_definition(store, id, NULL, &error);

    if (told)
        g_assert_true(g_str_equal(told, text));
    else
        g_assert_error(error, VMP_ERROR, VMP_ERROR_DAMAGED);
    return told != NULL;
}

static int
number_of(const char *name)
{
    for (int i = 0; i < POINTS; i++) {
        g_autofree char *expected = name_number(i);
        if (g_str_equal(name, expected))
            return i;
    }
    return -1;
}

/* Each point that still has its name has its definition, or one that is damaged, or none.
 * Returns how many are as they were. */
static int
check_points(VmpStore *store, const Original *original, gint64 domain)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) points =
        vmp_store_list_points(store, domain, VMP_POINT_SNAPSHOT, TRUE, &error);
    int whole = 0;

    if (!points) {
        g_assert_error(error, VMP_ERROR, VMP_ERROR_DAMAGED);
        return 0;
    }
    for (guint i = 0; i < points->len; i++) {
        VmpStorePoint *point = g_ptr_array_index(points, i);
        int number = number_of(point->name);
        if (number >= 0 && point->definition != 0 &&
            check_definition(store, point->definition, original->texts[number]))
            whole += g_strcmp0(point->body, original->texts[number]) == 0;
    }
    return whole;
}

/* Whether the store opens and passes its own check. */
static gboolean
check_store(const char *dir, const Original *original)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpStore) store = vmp_store_open(dir, &error);
    if (!store) {
        /* A version that was hit may be that of a newer store. */
        if (!vmp_error_is(error, VMP_ERROR_UNSUPPORTED))
            g_assert_error(error, VMP_ERROR, VMP_ERROR_DAMAGED);
        return FALSE;
    }

    for (int i = 0; i < POINTS; i++)
        check_definition(store, original->ids[i], original->texts[i]);
    check_points(store, original, 1);
    if (vmp_store_verify(store, &error))
        return TRUE;
    g_assert_error(error, VMP_ERROR, VMP_ERROR_DAMAGED);
    return FALSE;
}

static void
write_damaged(const char *dir, const char *database, gsize database_length, const char *log,
              gsize log_length)
{
    g_autofree char *path = g_build_filename(dir, "vmpoint.db", NULL);
    g_autofree char *log_path = g_strconcat(path, "-wal", NULL);
    g_autofree char *index_path = g_strconcat(path, "-shm", NULL);

    g_remove(index_path);
    write_file(path, database, database_length);
    write_file(log_path, log, log_length);
}

static void
test_untouched(Fixture *fixture, gconstpointer data)
{
    for (int in_log = 0; in_log <= 20; in_log += 20) {
        Fixture own = { 0 };
        Original original = { 0 };
        fixture_set_up(&own, NULL);
        make_original(&own, &original, in_log);
        write_damaged(own.dir, original.database, original.database_length, original.log,
                      original.log_length);
        g_assert_true(check_store(own.dir, &original));
        own.store = open_store(own.dir);
        g_assert_cmpint(check_points(own.store, &original, 1), ==, POINTS);
        clear_original(&original);
        fixture_tear_down(&own, NULL);
    }
}

static void
test_flips(Fixture *fixture, gconstpointer data)
{
    Original original = { 0 };
    int noticed = 0, rounds = g_test_thorough() ? 10000 : 400;

    make_original(fixture, &original, 0);
    for (int round = 0; round < rounds; round++) {
        gsize place = (gsize)g_test_rand_int_range(0, (gint32)original.database_length);
        char before = original.database[place];
        original.database[place] ^= (char)g_test_rand_int_range(1, 256);
        write_damaged(fixture->dir, original.database, original.database_length, original.log,
                      original.log_length);
        noticed += !check_store(fixture->dir, &original);
        original.database[place] = before;
    }
    g_test_message("%d of %d flipped bytes were noticed; most of the others hit free space",
                   noticed, rounds);
    g_assert_cmpint(noticed, >, 0);
    clear_original(&original);
}

static void
test_short(Fixture *fixture, gconstpointer data)
{
    Original original = { 0 };

    make_original(fixture, &original, 0);
    for (int round = 0; round < 200; round++) {
        gsize length = (gsize)g_test_rand_int_range(0, (gint32)original.database_length);
        if (round % 2 == 0)
            length -= length % 4096;
        write_damaged(fixture->dir, original.database, length, original.log,
                      original.log_length);
        g_assert_false(check_store(fixture->dir, &original));
    }
    clear_original(&original);
}

/* Whole sectors of something else, as of a disk that wrote to the wrong place. */
static void
test_overwritten(Fixture *fixture, gconstpointer data)
{
    Original original = { 0 };

    make_original(fixture, &original, 0);
    gint32 sectors = (gint32)(original.database_length / 512);
    int noticed = 0;
    for (int round = 0; round < 200; round++) {
        g_autofree char *damaged = g_memdup2(original.database, original.database_length);
        char *to = damaged + 512 * g_test_rand_int_range(0, sectors);
        const char *from = original.database + 512 * g_test_rand_int_range(0, sectors);
        if (memcmp(to, from, 512) == 0)
            continue;
        memcpy(to, from, 512);
        write_damaged(fixture->dir, damaged, original.database_length, original.log,
                      original.log_length);
        noticed += !check_store(fixture->dir, &original);
    }
    g_test_message("%d misplaced sectors were noticed", noticed);
    g_assert_cmpint(noticed, >, 0);
    clear_original(&original);
}

/* A log is valid as far as its frames are: what follows a damaged one is as if it had never
 * been committed.  The store is an older one then, but a whole one. */
static void
test_log(Fixture *fixture, gconstpointer data)
{
    Original original = { 0 };

    make_original(fixture, &original, 20);
    g_assert_cmpuint(original.log_length, >, 100000);
    for (int round = 0; round < 200; round++) {
        g_autofree char *log = g_memdup2(original.log, original.log_length);
        gsize length = original.log_length;
        if (round % 4 == 0)
            length = (gsize)g_test_rand_int_range(0, (gint32)length);
        else
            log[g_test_rand_int_range(0, (gint32)length)] ^= (char)(1 + round % 255);
        write_damaged(fixture->dir, original.database, original.database_length, log, length);

        g_autoptr(VmpStore) store = open_store(fixture->dir);
        assert_works(vmp_store_verify(store, error));
        gint64 left = count_rows(store, "points");
        g_assert_cmpint(left, >=, POINTS - 20);
        g_assert_cmpint(check_points(store, &original, 1), ==, left);
    }
    clear_original(&original);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_test("/store/damage/an-untouched-store-is-whole", test_untouched);
    add_test("/store/damage/no-flipped-byte-makes-another-definition", test_flips);
    add_test("/store/damage/a-short-file-is-reported", test_short);
    add_test("/store/damage/no-misplaced-sector-makes-another-definition", test_overwritten);
    add_test("/store/damage/a-damaged-log-leaves-an-older-store-that-is-whole", test_log);
    return g_test_run();
}
