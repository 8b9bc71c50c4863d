/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <vmpoint/types.h>

#include "test-xml-fixture.h"

static void
test_states(void)
{
    static const char *const names[] = { "nostate", "running",     "blocked",
                                         "paused",  "shutdown",    "shutoff",
                                         "crashed", "pmsuspended", "disk-snapshot" };

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        VmpState state = VMP_STATE_NOSTATE;

        g_assert_true(vmp_state_from_name(names[i], &state));
        g_assert_cmpuint(state, ==, i);
        g_assert_cmpstr(vmp_state_name(state), ==, names[i]);
    }
}

static void
test_locations(void)
{
    static const char *const names[] = { NULL, "no", "internal", "external", "manual" };

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        VmpLocation location = VMP_LOCATION_UNSET;

        g_assert_cmpstr(vmp_location_name((VmpLocation)i), ==, names[i]);
        g_assert_cmpint(vmp_location_from_name(names[i], &location), ==, names[i] != NULL);
        g_assert_cmpuint(location, ==, i);
    }
}

static void
test_storage(void)
{
    static const char *const names[] = { "none",    "file",   "block", "dir",
                                         "network", "volume", "nvme",  "vhostuser" };

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        VmpStorageType type = VMP_STORAGE_NONE;

        g_assert_cmpstr(vmp_storage_type_name((VmpStorageType)i), ==, names[i]);
        g_assert_cmpint(vmp_storage_type_from_name(names[i], &type), ==,
                        i != VMP_STORAGE_NONE);
        g_assert_cmpuint(type, ==, i);
    }
}

static void
test_strangers(void)
{
    static const char *const words[] = { "", "Running", "running ", "ja", NULL };

    for (guint i = 0; i < G_N_ELEMENTS(words); i++) {
        VmpState state = VMP_STATE_CRASHED;
        VmpLocation location = VMP_LOCATION_MANUAL;
        VmpStorageType type = VMP_STORAGE_NVME;

        g_assert_false(vmp_state_from_name(words[i], &state));
        g_assert_false(vmp_location_from_name(words[i], &location));
        g_assert_false(vmp_storage_type_from_name(words[i], &type));
        g_assert_cmpuint(state, ==, VMP_STATE_CRASHED);
        g_assert_cmpuint(location, ==, VMP_LOCATION_MANUAL);
        g_assert_cmpuint(type, ==, VMP_STORAGE_NVME);
    }
    g_assert_null(vmp_state_name((VmpState)99));
    g_assert_null(vmp_location_name((VmpLocation)99));
    g_assert_null(vmp_storage_type_name((VmpStorageType)99));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xml/types/states-have-libvirts-words", test_states);
    g_test_add_func("/xml/types/locations-have-libvirts-words", test_locations);
    g_test_add_func("/xml/types/storage-types-have-libvirts-words", test_storage);
    g_test_add_func("/xml/types/other-words-are-refused-and-change-nothing", test_strangers);
    return g_test_run();
}
