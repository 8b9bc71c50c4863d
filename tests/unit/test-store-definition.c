/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Definitions are a part of store.h. */

#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

#include "test-store-fixture.h"

static gint64
put(VmpStore *store, const GString *text, gint64 like)
{
    g_autoptr(GError) error = NULL;
    gint64 id = vmp_store_put_definition(store, text->str, (gssize)text->len, like, &error);

    g_assert_no_error(error);
    g_assert_cmpint(id, >, 0);
    return id;
}

static void
assert_is(VmpStore *store, gint64 id, const char *text, gsize length)
{
    g_autoptr(GError) error = NULL;
    gsize got_length = 0;
    g_autofree char *got = vmp_store_get_definition(store, id, &got_length, &error);

    g_assert_no_error(error);
    g_assert_cmpmem(got, got_length, text, length);
    g_assert_cmpint(got[got_length], ==, '\0');
}

static void
execute(VmpStore *store, const char *text)
{
    g_assert_cmpint(sqlite3_exec(store->db, text, NULL, NULL, NULL), ==, SQLITE_OK);
}

static gint64
column(VmpStore *store, gint64 id, const char *what)
{
    g_autofree char *text = g_strdup_printf(
        "SELECT coalesce(%s, 0) FROM definitions WHERE id = %" PRId64, what, id);
    sqlite3_stmt *statement = NULL;

    g_assert_cmpint(sqlite3_prepare_v2(store->db, text, -1, &statement, NULL), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_step(statement), ==, SQLITE_ROW);
    gint64 value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

/* Lines that have little in common with each other, nor with those of another @seed. */
static GString *
make_text(guint32 seed, gsize length)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    GString *text = g_string_new("<domain>\n");

    while (text->len < length)
        g_string_append_printf(text, "  <%08x attribute='%08x'/>\n", g_rand_int(rand),
                               g_rand_int(rand));
    return text;
}

static void
test_back(Fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *text;
        gsize length;
    } texts[] = { { "", 0 },
                  { "x", 1 },
                  { "<domain/>\n", 10 },
                  { "\0\0\0", 3 },
                  { "a\0b\r\n\xff", 6 },
                  { "<domain/>", 9 } };
    gint64 ids[G_N_ELEMENTS(texts)];

    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        ids[i] =
            vmp_store_put_definition(fixture->store, texts[i].text, (gssize)texts[i].length,
                                     i > 0 ? ids[i - 1] : 0, NULL);
        g_assert_cmpint(ids[i], >, 0);
    }
    fixture_reopen(fixture);
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
        assert_is(fixture->store, ids[i], texts[i].text, texts[i].length);
    g_assert_cmpint(put_definition(fixture->store, "<domain/>\n", 0), ==, ids[2]);
}

static void
test_once(Fixture *fixture, gconstpointer data)
{
    gint64 a = put_definition(fixture->store, "<domain>a</domain>", 0);
    gint64 b = put_definition(fixture->store, "<domain>b</domain>", a);

    g_assert_cmpint(a, !=, b);
    g_assert_cmpint(put_definition(fixture->store, "<domain>a</domain>", 0), ==, a);
    g_assert_cmpint(put_definition(fixture->store, "<domain>a</domain>", b), ==, a);
    g_assert_cmpint(put_definition(fixture->store, "<domain>b</domain>", 0), ==, b);
    fixture_reopen(fixture);
    g_assert_cmpint(put_definition(fixture->store, "<domain>b</domain>", 12345), ==, b);
    g_assert_cmpint(count_rows(fixture->store, "definitions"), ==, 2);
}

/* XXH3 is no cryptographic hash: two texts that share one are quickly made.  Eight bytes whose
 * first half is that of its secret count by their sum alone, and the sums are equal here. */
static void
make_collision(char one[512], char two[512])
{
    static const guint8 secret[2][4] = { { 0xb8, 0xfe, 0x6c, 0x39 },
                                         { 0x7c, 0x01, 0x81, 0x2c } };

    memset(one, 'x', 512);
    memcpy(one, secret[0], 4);
    memcpy(one + 64, secret[1], 4);
    memcpy(two, one, 512);
    two[4]++;
    two[68]--;
}

static void
test_collision(Fixture *fixture, gconstpointer data)
{
    char one[512], two[512];

    make_collision(one, two);
    g_assert_true(XXH3_64bits(one, sizeof one) == XXH3_64bits(two, sizeof two));

    gint64 a = vmp_store_put_definition(fixture->store, one, sizeof one, 0, NULL);
    gint64 b = vmp_store_put_definition(fixture->store, two, sizeof two, 0, NULL);
    g_assert_cmpint(a, >, 0);
    g_assert_cmpint(b, ==, a + 1);
    g_assert_cmpint(vmp_store_put_definition(fixture->store, one, sizeof one, 0, NULL), ==, a);
    g_assert_cmpint(vmp_store_put_definition(fixture->store, two, sizeof two, 0, NULL), ==, b);
    fixture_reopen(fixture);
    assert_is(fixture->store, a, one, sizeof one);
    assert_is(fixture->store, b, two, sizeof two);
    assert_works(vmp_store_verify(fixture->store, error));

    /* The first goes, the second keeps its place. */
    g_autofree char *text = g_strdup_printf("DELETE FROM definitions WHERE id = %" PRId64, a);
    execute(fixture->store, text);
    g_assert_cmpint(vmp_store_put_definition(fixture->store, two, sizeof two, 0, NULL), ==, b);
    g_assert_cmpint(vmp_store_put_definition(fixture->store, one, sizeof one, 0, NULL), ==, a);
}

/* The eight bytes can be chosen in very many ways. */
static void
test_many_collisions(Fixture *fixture, gconstpointer data)
{
    char text[512], unused[512];
    gint64 first = 0;

    make_collision(text, unused);
    for (int i = 0; i < 16; i++, text[4]++, text[68]--) {
        gint64 id = vmp_store_put_definition(fixture->store, text, sizeof text, 0, NULL);
        first = i == 0 ? id : first;
        g_assert_cmpint(id, ==, first + i);
    }
    assert_fails(vmp_store_put_definition(fixture->store, text, sizeof text, 0, error),
                 VMP_ERROR_FAILED);
    g_assert_cmpint(count_rows(fixture->store, "definitions"), ==, 16);
}

/* One that is damaged is neither taken for its text nor in the way of it. */
static void
test_damaged_twin(Fixture *fixture, gconstpointer data)
{
    VmpStore *store = fixture->store;
    gint64 damaged = put_definition(store, "<domain>a</domain>", 0);

    execute(store, "UPDATE definitions SET data = zeroblob(length(data))");
    fixture_reopen(fixture);
    store = fixture->store;
    gint64 again = put_definition(store, "<domain>a</domain>", 0);
    g_assert_cmpint(again, !=, damaged);
    assert_is(store, again, "<domain>a</domain>", 18);
    g_assert_cmpint(put_definition(store, "<domain>a</domain>", 0), ==, again);
    assert_fails(vmp_store_get_definition(store, damaged, NULL, error), VMP_ERROR_DAMAGED);
}

static void
test_wrong_id(Fixture *fixture, gconstpointer data)
{
    gint64 id = put_definition(fixture->store, "<domain>a</domain>", 0);

    /* A text that is sound, under the id of another. */
    execute(fixture->store, "UPDATE definitions SET id = id + 16");
    assert_fails(vmp_store_get_definition(fixture->store, id + 16, NULL, error),
                 VMP_ERROR_DAMAGED);
    execute(fixture->store, "UPDATE definitions SET id = id - 17");
    assert_fails(vmp_store_get_definition(fixture->store, id - 1, NULL, error),
                 VMP_ERROR_DAMAGED);
}

static void
test_deltas(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GString) first = make_text(1, 200000);
    gint64 ids[20];
    GString *texts[20];

    texts[0] = g_string_new_len(first->str, (gssize)first->len);
    ids[0] = put(fixture->store, texts[0], 0);
    for (int i = 1; i < 20; i++) {
        texts[i] = g_string_new_len(texts[i - 1]->str, (gssize)texts[i - 1]->len);
        g_string_insert(texts[i], (gssize)texts[i]->len / 20 * i, "<!-- one more -->");
        ids[i] = put(fixture->store, texts[i], ids[i - 1]);

        /* However long the line of likes is, none rests on a delta. */
        g_assert_cmpint(column(fixture->store, ids[i], "base"), ==, ids[0]);
        g_assert_cmpint(column(fixture->store, ids[i], "length(data)"), <, 3200);
    }
    for (int i = 19; i >= 0; i--) {
        fixture_reopen(fixture);
        assert_is(fixture->store, ids[i], texts[i]->str, texts[i]->len);
        g_string_free(texts[i], TRUE);
    }
}

static void
test_new_keyframe(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GString) first = make_text(1, 50000);
    g_autoptr(GString) other = make_text(2, 50000);
    gint64 a = put(fixture->store, first, 0);
    gint64 b = put(fixture->store, other, a);

    g_assert_cmpint(column(fixture->store, b, "base"), ==, 0);
    g_string_append(other, "<!-- -->");
    gint64 c = put(fixture->store, other, b);
    g_assert_cmpint(column(fixture->store, c, "base"), ==, b);
    assert_is(fixture->store, c, other->str, other->len);
}

static void
test_unknown_like(Fixture *fixture, gconstpointer data)
{
    gint64 id = put_definition(fixture->store, "<domain/>", 77);

    g_assert_cmpint(column(fixture->store, id, "base"), ==, 0);
}

/* An id that was rolled back can come to be another text's if both have the same hash; what
 * was remembered of the first must not be used then. */
static void
test_rolled_back(Fixture *fixture, gconstpointer data)
{
    VmpStore *store = fixture->store, *other = open_store(fixture->dir);
    char one[512], two[512];
    gint64 id;

    make_collision(one, two);
    {
        g_auto(VmpStoreTransaction) transaction = { 0 };
        assert_works(vmp_store_begin(store, &transaction, error));
        id = vmp_store_put_definition(store, one, sizeof one, 0, NULL);
    }
    g_assert_cmpint(vmp_store_put_definition(other, two, sizeof two, 0, NULL), ==, id);

    g_autoptr(GString) text = g_string_new_len(one, sizeof one);
    g_string_append(text, "end");
    gint64 delta = put(store, text, id);
    g_assert_cmpint(column(store, delta, "base"), ==, id);
    assert_is(store, delta, text->str, text->len);
    assert_is(other, delta, text->str, text->len);
    vmp_store_close(other);
}

static void
test_absent(Fixture *fixture, gconstpointer data)
{
    assert_fails(vmp_store_get_definition(fixture->store, 1, NULL, error),
                 VMP_ERROR_NOT_FOUND);
    assert_fails(vmp_store_get_definition(fixture->store, 0, NULL, error),
                 VMP_ERROR_NOT_FOUND);
    assert_fails(vmp_store_get_definition(fixture->store, -1, NULL, error),
                 VMP_ERROR_NOT_FOUND);
}

static void
test_too_long(Fixture *fixture, gconstpointer data)
{
    gsize length = VMP_DELTA_MAX;
    g_autofree char *text = g_malloc0(length + 1);

    assert_fails(vmp_store_put_definition(fixture->store, text, (gssize)length + 1, 0, error),
                 VMP_ERROR_INVALID);
    gint64 id = vmp_store_put_definition(fixture->store, text, (gssize)length, 0, NULL);
    assert_is(fixture->store, id, text, length);
}

#define KEYFRAME "(SELECT keyframe FROM ids)"
#define DELTA "(SELECT delta FROM ids)"
#define OTHER "(SELECT other FROM ids)"

static void
test_damaged(Fixture *fixture, gconstpointer data)
{
    static const char *const damages[] = {
        "UPDATE definitions SET length = length + 1 WHERE id = " DELTA,
        "UPDATE definitions SET length = -1 WHERE id = " DELTA,
        "UPDATE definitions SET length = 9223372036854775807 WHERE id = " DELTA,
        "UPDATE definitions SET prefix = prefix + 1 WHERE id = " DELTA,
        "UPDATE definitions SET prefix = -1 WHERE id = " DELTA,
        "UPDATE definitions SET suffix = 9223372036854775807 WHERE id = " DELTA,
        "UPDATE definitions SET data = zeroblob(length(data)) WHERE id = " DELTA,
        "UPDATE definitions SET data = x'' WHERE id = " DELTA,
        "UPDATE definitions SET base = NULL WHERE id = " DELTA,
        "UPDATE definitions SET base = id WHERE id = " DELTA,
        "UPDATE definitions SET base = " OTHER " WHERE id = " DELTA,
        "UPDATE definitions SET data = zeroblob(length(data)) WHERE id = " KEYFRAME,
        "UPDATE definitions SET length = length - 1 WHERE id = " KEYFRAME,
        "PRAGMA foreign_keys = OFF; DELETE FROM definitions WHERE id = " KEYFRAME,
    };
    g_autoptr(GString) text = make_text(1, 5000);
    g_autoptr(GString) other = make_text(2, 5000);

    gint64 keyframe = put(fixture->store, text, 0);
    g_string_insert(text, 2500, "<!-- delta -->");
    gint64 delta = put(fixture->store, text, keyframe);
    g_autofree char *ids =
        g_strdup_printf("CREATE TABLE ids AS SELECT %" PRId64 " AS keyframe, %" PRId64
                        " AS delta, %" PRId64 " AS other",
                        keyframe, delta, put(fixture->store, other, 0));
    execute(fixture->store, ids);
    g_autofree char *before = g_strconcat(fixture->dir, "/before.db", NULL);
    g_autofree char *copy = g_strdup_printf("VACUUM INTO '%s'", before);
    execute(fixture->store, copy);

    for (gsize i = 0; i < G_N_ELEMENTS(damages); i++) {
        g_autofree char *content = NULL;
        g_autofree char *path = g_strconcat(fixture->dir, "/damaged.db", NULL);
        gsize length;
        g_assert_true(g_file_get_contents(before, &content, &length, NULL));
        write_file(path, content, length);
        g_autoptr(VmpStore) store = vmp_store_open_handle(path, NULL);

        assert_is(store, delta, text->str, text->len);
        execute(store, damages[i]);
        vmp_store_forget_keyframe(store);
        assert_fails(vmp_store_get_definition(store, delta, NULL, error), VMP_ERROR_DAMAGED);
        assert_fails(vmp_store_verify(store, error), VMP_ERROR_DAMAGED);
        /* The text can be put again and is whole then. */
        gint64 again = put(store, text, delta);
        g_assert_cmpint(again, !=, delta);
        assert_is(store, again, text->str, text->len);
    }
}

static void
test_referred_to_and_gone(Fixture *fixture, gconstpointer data)
{
    gint64 domain = add_domain(fixture->store, "d");
    VmpStorePoint point = point_of(domain, "s", NULL);

    point.definition = put_definition(fixture->store, "<domain/>", 0);
    assert_works(vmp_store_put_point(fixture->store, &point, error));
    execute(fixture->store, "PRAGMA foreign_keys = OFF; DELETE FROM definitions");
    assert_fails(vmp_store_get_definition(fixture->store, point.definition, NULL, error),
                 VMP_ERROR_DAMAGED);
}

/* ---- collecting ---- */

static void
assert_collects(VmpStore *store, gint64 count)
{
    g_autoptr(GError) error = NULL;
    gint64 collected = vmp_store_collect_definitions(store, &error);

    g_assert_no_error(error);
    g_assert_cmpint(collected, ==, count);
}

static void
test_collect(Fixture *fixture, gconstpointer data)
{
    VmpStore *store = fixture->store;
    g_autoptr(GString) text = make_text(1, 5000);
    gint64 ids[6];

    assert_collects(store, 0);
    ids[0] = put(store, text, 0);
    for (int i = 1; i < 6; i++) {
        g_string_append_c(text, 'x');
        ids[i] = put(store, text, ids[i - 1]);
    }

    VmpStoreDomain domain = { .name = (char *)"d", .inactive = ids[1], .active = ids[2] };
    assert_works(vmp_store_put_domain(store, &domain, error));
    VmpStorePoint point = point_of(domain.id, "s", NULL);
    point.definition = ids[3];
    point.inactive_definition = ids[4];
    assert_works(vmp_store_put_point(store, &point, error));

    assert_collects(store, 1); /* the last; the first is the keyframe of all others */
    assert_fails(vmp_store_get_definition(store, ids[5], NULL, error), VMP_ERROR_NOT_FOUND);
    assert_works(vmp_store_remove_point(store, domain.id, VMP_POINT_SNAPSHOT, "s", error));
    assert_collects(store, 2);
    assert_is(store, ids[2], text->str, text->len - 3);
    assert_works(vmp_store_remove_domain(store, domain.id, error));
    assert_collects(store, 3); /* and now the keyframe, too */
    g_assert_cmpint(count_rows(store, "definitions"), ==, 0);

    /* A like that is gone is no obstacle. */
    gint64 again = put(store, text, ids[0]);
    assert_is(store, again, text->str, text->len);
}

static void
test_collected_by_another(Fixture *fixture, gconstpointer data)
{
    VmpStore *store = fixture->store, *other = open_store(fixture->dir);
    g_autoptr(GString) text = make_text(1, 5000);
    gint64 first = put(store, text, 0);

    assert_collects(other, 1);
    g_string_append_c(text, 'x');
    gint64 second = put(store, text, first); /* its keyframe is remembered, but gone */
    fixture_reopen(fixture);
    assert_is(fixture->store, second, text->str, text->len);
    vmp_store_close(other);
}

static void
test_refers(Fixture *fixture, gconstpointer data)
{
    gint64 domain = add_domain(fixture->store, "d");
    VmpStorePoint point = point_of(domain, "s", NULL);

    point.definition = 99;
    assert_fails(vmp_store_put_point(fixture->store, &point, error), VMP_ERROR_NOT_FOUND);
    g_assert_cmpint(count_rows(fixture->store, "points"), ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_test("/store/definition/comes-back-byte-by-byte", test_back);
    add_test("/store/definition/is-stored-once", test_once);
    add_test("/store/definition/two-texts-with-one-hash-are-two", test_collision);
    add_test("/store/definition/no-more-than-16-share-one-hash", test_many_collisions);
    add_test("/store/definition/a-damaged-one-is-not-taken-for-its-text", test_damaged_twin);
    add_test("/store/definition/one-under-a-wrong-id-is-damaged", test_wrong_id);
    add_test("/store/definition/a-line-of-likes-makes-no-line-of-deltas", test_deltas);
    add_test("/store/definition/what-differs-much-becomes-a-keyframe", test_new_keyframe);
    add_test("/store/definition/an-unknown-like-is-no-error", test_unknown_like);
    add_test("/store/definition/nothing-is-remembered-of-one-that-was-rolled-back",
             test_rolled_back);
    add_test("/store/definition/one-that-is-not-there-is-not-found", test_absent);
    add_test("/store/definition/64-MiB-are-taken-and-no-more", test_too_long);
    add_test("/store/definition/damage-of-every-column-is-reported", test_damaged);
    add_test("/store/definition/one-that-is-gone-but-referred-to-is-damage",
             test_referred_to_and_gone);
    add_test("/store/definition/a-record-cannot-name-one-that-is-not-there", test_refers);
    add_test("/store/definition/those-that-nobody-names-are-collected", test_collect);
    add_test("/store/definition/a-keyframe-that-another-process-collected-is-not-used",
             test_collected_by_another);
    return g_test_run();
}
