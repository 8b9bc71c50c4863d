/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/pulled.h"

#include "store/edit.h"
#include "test-point-fixture.h"

static void
what_was_pulled_is_remembered(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpJson) edits = json_object_new_array();
    g_autoptr(GHashTable) before = vmp_pulled_list(fixture->machine, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(g_hash_table_size(before), ==, 0);
    vmp_pulled_edit(fixture->machine, "/i/a.s1", edits);
    vmp_pulled_edit(fixture->machine, "/i/a.s1", edits);
    vmp_pulled_edit(fixture->machine, "/i/b", edits);
    g_assert_true(
        vmp_store_apply_edits(vmp_machine_get_store(fixture->machine), edits, &error));
    g_assert_no_error(error);

    g_autoptr(GHashTable) after = vmp_pulled_list(fixture->machine, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(g_hash_table_size(after), ==, 2);
    g_assert_true(g_hash_table_contains(after, "/i/a.s1"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/point/pulled/what-was-pulled-is-remembered", Fixture, NULL, point_set_up,
               what_was_pulled_is_remembered, point_tear_down);
    return g_test_run();
}
