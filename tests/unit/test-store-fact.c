/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Facts are a part of store.h. */

#include "test-store-fixture.h"

static void
assert_fact(VmpStore *store, const char *key, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *value = vmp_store_get_fact(store, key, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(value, ==, expected);
}

static void
test_facts(Fixture *fixture, gconstpointer data)
{
    assert_fact(fixture->store, "a", NULL);
    assert_works(vmp_store_put_fact(fixture->store, "a", "1", error));
    assert_works(vmp_store_put_fact(fixture->store, "b", "", error));
    assert_works(vmp_store_put_fact(fixture->store, "a", "2", error));
    fixture_reopen(fixture);
    assert_fact(fixture->store, "a", "2");
    assert_fact(fixture->store, "b", "");
    assert_works(vmp_store_put_fact(fixture->store, "a", NULL, error));
    assert_works(vmp_store_put_fact(fixture->store, "a", NULL, error));
    assert_fact(fixture->store, "a", NULL);
    assert_fact(fixture->store, "b", "");
}

static void
test_listed_by_prefix(Fixture *fixture, gconstpointer data)
{
    static const char *const keys[] = { "a", "a:", "a:1", "a:/x y", "a;", "b:1" };
    g_autoptr(GError) failure = NULL;

    for (gsize i = 0; i < G_N_ELEMENTS(keys); i++)
        assert_works(vmp_store_put_fact(fixture->store, keys[i], "", error));
    g_autoptr(GPtrArray) found = vmp_store_list_facts(fixture->store, "a:", &failure);
    g_assert_no_error(failure);
    g_assert_cmpuint(found->len, ==, 3);
    g_assert_cmpstr(g_ptr_array_index(found, 0), ==, "a:");
    g_assert_cmpstr(g_ptr_array_index(found, 1), ==, "a:/x y");
    g_assert_cmpstr(g_ptr_array_index(found, 2), ==, "a:1");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_test("/store/fact/is-put-replaced-and-forgotten", test_facts);
    add_test("/store/fact/are-listed-by-prefix", test_listed_by_prefix);
    return g_test_run();
}
