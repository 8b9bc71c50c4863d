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

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_test("/store/fact/is-put-replaced-and-forgotten", test_facts);
    return g_test_run();
}
