/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/internal-snapshot.h"

static GPtrArray *
parse(const char *text)
{
    g_autoptr(VmpJson) json = vmp_json_parse(text, -1, NULL);

    g_assert_nonnull(json);
    return vmp_internal_snapshots_from_json(json);
}

static void
one_is_found_by_its_tag_and_not_by_its_id(void)
{
    g_autoptr(GPtrArray) snapshots =
        parse("[{\"id\":\"1\",\"name\":\"a\",\"vm-state-size\":5,\"date-sec\":7},"
              "{\"id\":\"2\",\"name\":\"b\",\"vm-state-size\":0}]");
    const VmpInternalSnapshot *a = vmp_internal_snapshots_find(snapshots, "a");

    g_assert_cmpuint(snapshots->len, ==, 2);
    g_assert_cmpuint(a->vm_state_size, ==, 5);
    g_assert_cmpint(a->date, ==, 7);
    g_assert_cmpuint(vmp_internal_snapshots_find(snapshots, "b")->vm_state_size, ==, 0);
    g_assert_null(vmp_internal_snapshots_find(snapshots, "1"));
}

static void
a_tag_that_is_another_ones_id_is_not_clear(void)
{
    g_autoptr(GPtrArray) snapshots = parse("[{\"id\":\"1\",\"name\":\"2\"},"
                                           "{\"id\":\"2\",\"name\":\"b\"},"
                                           "{\"id\":\"3\",\"name\":\"3\"}]");

    g_assert_false(vmp_internal_snapshots_is_clear(snapshots, "2"));
    g_assert_true(vmp_internal_snapshots_is_clear(snapshots, "b"));
    g_assert_true(vmp_internal_snapshots_is_clear(snapshots, "3")); /* its own */
}

static void
an_image_without_any_has_none(void)
{
    g_autoptr(GPtrArray) snapshots = vmp_internal_snapshots_from_json(NULL);

    g_assert_cmpuint(snapshots->len, ==, 0);
    g_assert_null(vmp_internal_snapshots_find(snapshots, "a"));
    g_assert_true(vmp_internal_snapshots_is_clear(snapshots, "a"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/storage/internal-snapshot/one-is-found-by-its-tag-and-not-by-its-id",
                    one_is_found_by_its_tag_and_not_by_its_id);
    g_test_add_func("/storage/internal-snapshot/a-tag-that-is-another-ones-id-is-not-clear",
                    a_tag_that_is_another_ones_id_is_not_clear);
    g_test_add_func("/storage/internal-snapshot/an-image-without-any-has-none",
                    an_image_without_any_has_none);
    return g_test_run();
}
