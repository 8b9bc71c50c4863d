/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Definitions told by another one: the same as the whole text, whichever way it is put. */

#include <string.h>

#include "base/error.h"
#include "store/store.h"
#include "test-store-fixture.h"

static char *
random_text(GRand *random, gsize length)
{
    char *text = g_malloc(length + 1);

    for (gsize i = 0; i < length; i++)
        text[i] = (char)('a' + g_rand_int_range(random, 0, 26));
    text[length] = '\0';
    return text;
}

static char *
put_together(const char *base, const VmpStoreParts *parts)
{
    return g_strdup_printf("%.*s%s%s", (int)parts->first, base, parts->middle,
                           base + strlen(base) - parts->last);
}

static void
parts_are_the_text_that_they_tell(Fixture *fixture, gconstpointer data)
{
    VmpStore *store = fixture->store;
    g_autoptr(GRand) random = g_rand_new_with_seed(g_test_rand_int_range(0, G_MAXINT32));
    g_autoptr(GError) error = NULL;
    g_autofree char *first = random_text(random, 20000);
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(gint64));
    gint64 keyframe = vmp_store_put_definition(store, first, -1, 0, &error);

    g_ptr_array_add(texts, g_strdup(first));
    g_array_append_val(ids, keyframe);
    for (guint i = 0; i < 200; i++) {
        guint like = (guint)g_rand_int_range(random, 0, (gint32)texts->len);
        const char *base = g_ptr_array_index(texts, like);
        g_auto(VmpStoreParts) parts = { .base = g_array_index(ids, gint64, like) };
        parts.first = (gsize)g_rand_int_range(random, 0, (gint32)strlen(base) + 1);
        parts.last =
            (gsize)g_rand_int_range(random, 0, (gint32)(strlen(base) - parts.first) + 1);
        if (i % 2) /* mostly a small change, as it is in life */
            parts.last = strlen(base) - parts.first - MIN(strlen(base) - parts.first, 8);
        parts.length = (gsize)g_rand_int_range(random, 0, i % 7 ? 30 : 9000);
        parts.middle = random_text(random, parts.length);

        gint64 id = vmp_store_put_definition_parts(store, &parts, &error);
        g_assert_no_error(error);
        g_autofree char *expected = put_together(base, &parts);
        g_autofree char *text = vmp_store_get_definition(store, id, NULL, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(text, ==, expected);
        g_assert_cmpint(vmp_store_put_definition(store, expected, -1, 0, &error), ==, id);

        g_auto(VmpStoreParts) kept = { 0 };
        g_assert_true(vmp_store_get_definition_parts(store, id, &kept, &error));
        g_assert_cmpint(vmp_store_put_definition_parts(store, &kept, &error), ==, id);
        g_ptr_array_add(texts, g_strdup(expected));
        g_array_append_val(ids, id);
    }
    g_assert_true(vmp_store_verify(store, &error));
}

static void
parts_longer_than_their_base_are_refused(Fixture *fixture, gconstpointer data)
{
    static const VmpStoreParts wrong[] = { { .first = 4 },
                                           { .last = 4 },
                                           { .first = 2, .last = 2 },
                                           { .first = G_MAXSIZE, .last = 1 } };
    VmpStore *store = fixture->store;
    gint64 base = vmp_store_put_definition(store, "abc", -1, 0, NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
        VmpStoreParts parts = wrong[i];
        g_autoptr(GError) error = NULL;
        parts.base = base;
        parts.middle = (char *)"";
        g_assert_cmpint(vmp_store_put_definition_parts(store, &parts, &error), ==, 0);
        g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
    }
}

static void
parts_of_nothing_are_not_found(Fixture *fixture, gconstpointer data)
{
    VmpStore *store = fixture->store;
    VmpStoreParts parts = { .base = 5, .middle = (char *)"" }, got;
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(vmp_store_put_definition_parts(store, &parts, &error), ==, 0);
    g_assert_error(error, VMP_ERROR, VMP_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_false(vmp_store_get_definition_parts(store, 5, &got, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_NOT_FOUND);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/store/parts/are-the-text-that-they-tell", Fixture, NULL, fixture_set_up,
               parts_are_the_text_that_they_tell, fixture_tear_down);
    g_test_add("/store/parts/longer-than-their-base-are-refused", Fixture, NULL,
               fixture_set_up, parts_longer_than_their_base_are_refused, fixture_tear_down);
    g_test_add("/store/parts/of-nothing-are-not-found", Fixture, NULL, fixture_set_up,
               parts_of_nothing_are_not_found, fixture_tear_down);
    return g_test_run();
}
