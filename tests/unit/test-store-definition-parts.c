/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A definition told in parts is the definition that its whole text is. */

#include <string.h>

#include "test-store-fixture.h"

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

static gint64
put(VmpStore *store, const GString *text, gint64 like)
{
    g_autoptr(GError) error = NULL;
    gint64 id = vmp_store_put_definition(store, text->str, (gssize)text->len, like, &error);

    g_assert_no_error(error);
    return id;
}

static GString *
get(VmpStore *store, gint64 id)
{
    g_autoptr(GError) error = NULL;
    gsize length;
    g_autofree char *text = vmp_store_get_definition(store, id, &length, &error);

    g_assert_no_error(error);
    return g_string_new_len(text, (gssize)length);
}

static GString *
put_together(const GString *base, const VmpStoreParts *parts)
{
    GString *text = g_string_new_len(base->str, (gssize)parts->first);

    g_string_append_len(text, parts->middle, (gssize)parts->length);
    g_string_append_len(text, base->str + base->len - parts->last, (gssize)parts->last);
    return text;
}

static VmpStoreParts
parts_of(gint64 base, gsize first, gsize last, const char *middle)
{
    return (VmpStoreParts){ base, first, last, (char *)middle, strlen(middle) };
}

/* Both ways of putting lead to one definition, in either order, and it is the text. */
static gint64
assert_same_either_way(VmpStore *store, const VmpStoreParts *parts, gboolean whole_first)
{
    g_autoptr(GString) base = get(store, parts->base);
    g_autoptr(GString) text = put_together(base, parts);
    g_autoptr(GError) error = NULL;
    gint64 whole = whole_first ? put(store, text, parts->base) : 0;

    gint64 id = vmp_store_put_definition_parts(store, parts, &error);
    g_assert_no_error(error);
    g_assert_cmpint(id, >, 0);
    g_assert_cmpint(put(store, text, parts->base), ==, id);
    g_assert_true(!whole_first || whole == id);

    g_autoptr(GString) back = get(store, id);
    g_assert_cmpmem(back->str, back->len, text->str, text->len);
    return id;
}

static void
test_against_keyframe(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GString) text = make_text(1, 5000);
    gint64 base = put(fixture->store, text, 0);
    const VmpStoreParts cases[] = {
        parts_of(base, 1000, text->len - 1000, "<!-- added -->"),
        parts_of(base, 1000, 3000, ""),
        parts_of(base, 0, text->len, "before all"),
        parts_of(base, text->len, 0, "after all"),
        parts_of(base, text->len, 0, ""),
        parts_of(base, 0, 0, "nothing of it"),
        parts_of(base, 0, 0, ""),
        parts_of(base, 10, 10, "its ends"),
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
        assert_same_either_way(fixture->store, &cases[i], i % 2 == 0);
}

static void
test_against_delta(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GString) text = make_text(1, 5000);
    gint64 keyframe = put(fixture->store, text, 0);
    g_string_insert(text, 2500, "<!-- what makes it a delta -->");
    gint64 base = put(fixture->store, text, keyframe);
    const VmpStoreParts cases[] = {
        parts_of(base, 1000, text->len - 1000, "<!-- before it -->"),
        parts_of(base, 4000, text->len - 4000, "<!-- after it -->"),
        parts_of(base, 2505, text->len - 2510, "<!-- within -->"),
        parts_of(base, 2400, text->len - 2600, "<!-- in its place -->"),
        parts_of(base, 2510, text->len - 2600, "<!-- from within -->"),
        parts_of(base, text->len, 0, ""),
        parts_of(base, 0, 0, "nothing of it"),
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
        assert_same_either_way(fixture->store, &cases[i], i % 2 == 0);
}

/* A line of them, each told by the one before, cut anywhere. */
static void
test_random(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GString) text = make_text((guint32)g_test_rand_int(), 3000);
    gint64 base = put(fixture->store, text, 0);

    for (int i = 0; i < 200; i++) {
        g_autoptr(GString) before = get(fixture->store, base);
        g_autofree char *middle =
            g_strnfill((gsize)g_test_rand_int_range(0, 100), (char)('a' + i % 26));
        VmpStoreParts parts = parts_of(base, 0, 0, middle);
        parts.first = (gsize)g_test_rand_int_range(0, (gint32)before->len + 1);
        parts.last = (gsize)g_test_rand_int_range(0, (gint32)(before->len - parts.first) + 1);
        if (i % 10 == 0)
            fixture_reopen(fixture);
        gint64 id = assert_same_either_way(fixture->store, &parts, g_test_rand_bit());
        base = g_test_rand_int_range(0, 3) == 0 ? put(fixture->store, text, 0) : id;
    }
    assert_works(vmp_store_verify(fixture->store, error));
}

/* A delta that decodes, but to another text. */
static void
test_wrong_middle(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GString) text = make_text(1, 5000);
    gint64 keyframe = put(fixture->store, text, 0);
    g_string_insert(text, 2500, "<!-- one -->");
    gint64 one = put(fixture->store, text, keyframe);
    VmpStoreParts unread;

    memcpy(text->str + 2505, "two", 3);
    g_assert_cmpint(put(fixture->store, text, keyframe), !=, one);
    g_autofree char *swap =
        g_strdup_printf("UPDATE definitions SET data = (SELECT data FROM definitions AS d "
                        "WHERE d.base = %1$" G_GINT64_FORMAT " AND d.id <> %2$" G_GINT64_FORMAT
                        ") WHERE id = %2$" G_GINT64_FORMAT,
                        keyframe, one);
    g_assert_cmpint(sqlite3_exec(fixture->store->db, swap, NULL, NULL, NULL), ==, SQLITE_OK);
    assert_fails(vmp_store_get_definition_parts(fixture->store, one, &unread, error),
                 VMP_ERROR_DAMAGED);
    g_assert_null(unread.middle);
}

static void
test_damaged(Fixture *fixture, gconstpointer data)
{
    static const char *const damages[] = {
        "UPDATE definitions SET prefix = prefix + 1 WHERE base IS NOT NULL",
        "UPDATE definitions SET suffix = -1 WHERE base IS NOT NULL",
        "UPDATE definitions SET length = length + 1 WHERE base IS NOT NULL",
        "UPDATE definitions SET data = zeroblob(30) WHERE base IS NOT NULL",
        "UPDATE definitions SET data = zeroblob(30) WHERE base IS NULL",
    };
    g_autoptr(GString) text = make_text(1, 5000);
    gint64 keyframe = put(fixture->store, text, 0);
    g_string_insert(text, 2500, "<!-- delta -->");
    gint64 delta = put(fixture->store, text, keyframe);

    for (gsize i = 0; i < G_N_ELEMENTS(damages); i++) {
        g_auto(VmpStoreTransaction) transaction = { 0 };
        VmpStoreParts unread, parts = parts_of(delta, 10, 10, "x");
        assert_works(vmp_store_begin(fixture->store, &transaction, error));
        g_assert_cmpint(sqlite3_exec(fixture->store->db, damages[i], NULL, NULL, NULL), ==,
                        SQLITE_OK);
        vmp_store_forget_keyframe(fixture->store);
        assert_fails(vmp_store_get_definition_parts(fixture->store, delta, &unread, error),
                     VMP_ERROR_DAMAGED);
        g_assert_null(unread.middle);
        assert_fails(vmp_store_put_definition_parts(fixture->store, &parts, error),
                     VMP_ERROR_DAMAGED);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_test("/store/definition-parts/of-a-keyframe-are-the-same-as-the-whole",
             test_against_keyframe);
    add_test("/store/definition-parts/of-a-delta-are-the-same-as-the-whole",
             test_against_delta);
    add_test("/store/definition-parts/any-line-of-them-is-the-same-as-the-whole", test_random);
    add_test("/store/definition-parts/of-another-text-are-damage", test_wrong_middle);
    add_test("/store/definition-parts/damage-is-reported", test_damaged);
    return g_test_run();
}
