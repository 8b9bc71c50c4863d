/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test-machine-fixture.h"

static void
folders_are_made_for_their_owner_alone(Fixture *fixture, gconstpointer data)
{
    struct stat info;
    (void)data;

    g_assert_cmpint(stat(fixture->host->state_dir, &info), ==, 0);
    g_assert_cmpuint(info.st_mode & 0777, ==, 0700);
    g_assert_cmpint(stat(fixture->host->runtime_dir, &info), ==, 0);
    g_assert_cmpuint(info.st_mode & 0777, ==, 0700);
}

static void
the_environment_says_where_they_are(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *state = fixture_path(fixture, "s");
    g_autofree char *runtime = fixture_path(fixture, "r");
    (void)data;

    g_setenv("VMPOINT_STATE_DIR", state, TRUE);
    g_setenv("VMPOINT_RUNTIME_DIR", runtime, TRUE);
    g_autoptr(VmpHost) host = vmp_host_open(NULL, NULL, &error);
    g_unsetenv("VMPOINT_STATE_DIR");
    g_unsetenv("VMPOINT_RUNTIME_DIR");

    g_assert_no_error(error);
    g_assert_cmpstr(host->state_dir, ==, state);
    g_assert_cmpstr(host->runtime_dir, ==, runtime);
    g_autofree char *path = vmp_host_runtime_path(host, "u", "pid");
    g_autofree char *expected = g_build_filename(runtime, "u", "pid", NULL);
    g_assert_cmpstr(path, ==, expected);
}

static void
a_relative_folder_is_made_absolute(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *before = g_get_current_dir();
    (void)data;

    g_assert_cmpint(chdir(fixture->dir), ==, 0);
    g_autoptr(VmpHost) host = vmp_host_open("a/../b", "c", &error);
    g_assert_cmpint(chdir(before), ==, 0);
    g_assert_no_error(error);
    g_assert_true(g_path_is_absolute(host->runtime_dir));
    g_assert_true(g_str_has_suffix(host->state_dir, "/b"));
    g_assert_null(strstr(host->state_dir, ".."));
}

static void
a_folder_that_cannot_be_made_is_named(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *file = fixture_path(fixture, "file");
    g_autofree char *below = g_build_filename(file, "state", NULL);
    (void)data;

    g_assert_true(g_file_set_contents(file, "", 0, NULL));
    g_assert_null(vmp_host_open(below, fixture->dir, &error));
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(error->message, below));
}

static void
a_bound_of_the_caller_replaces_every_default(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_assert_cmpint(vmp_host_timeout(fixture->host, 1234), ==, 1234);
    vmp_host_set_timeout(fixture->host, 50);
    g_assert_cmpint(vmp_host_timeout(fixture->host, 1234), ==, 50);
    vmp_host_set_timeout(fixture->host, -1);
    g_assert_cmpint(vmp_host_timeout(fixture->host, 1234), ==, 1234);
}

static void
a_store_keeps_its_runtime_folder_while_it_is_there(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *state = fixture_path(fixture, "s");
    g_autofree char *first = fixture_path(fixture, "first");
    g_autofree char *second = fixture_path(fixture, "second");
    (void)data;

    g_autoptr(VmpHost) host = vmp_host_open(state, first, &error);
    g_assert_no_error(error);
    g_assert_true(vmp_host_keep_runtime_dir(host, &error));
    g_autoptr(VmpHost) other = vmp_host_open(state, second, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(other->runtime_dir, ==, first);
    g_assert_true(vmp_host_keep_runtime_dir(other, &error));

    /* As after the host was booted anew. */
    g_assert_cmpint(rmdir(first), ==, 0);
    g_autoptr(VmpHost) later = vmp_host_open(state, second, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(later->runtime_dir, ==, second);
    g_assert_true(vmp_host_keep_runtime_dir(later, &error));
}

static void
who_comes_first_with_another_runtime_folder_wins(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *state = fixture_path(fixture, "s");
    g_autofree char *first = fixture_path(fixture, "first");
    g_autofree char *second = fixture_path(fixture, "second");
    (void)data;

    g_autoptr(VmpHost) host = vmp_host_open(state, first, &error);
    g_autoptr(VmpHost) other = vmp_host_open(state, second, &error);
    g_assert_no_error(error);
    g_assert_true(vmp_host_keep_runtime_dir(other, &error));
    g_assert_false(vmp_host_keep_runtime_dir(host, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_BUSY);
    g_assert_nonnull(strstr(error->message, second));
}

int
main(int argc, char **argv)
{
    fixture_init(&argc, &argv);
    FIXTURE_TEST("/machine/host/folders-are-made-for-their-owner-alone",
                 folders_are_made_for_their_owner_alone);
    FIXTURE_TEST("/machine/host/the-environment-says-where-they-are",
                 the_environment_says_where_they_are);
    FIXTURE_TEST("/machine/host/a-relative-folder-is-made-absolute",
                 a_relative_folder_is_made_absolute);
    FIXTURE_TEST("/machine/host/a-folder-that-cannot-be-made-is-named",
                 a_folder_that_cannot_be_made_is_named);
    FIXTURE_TEST("/machine/host/a-bound-of-the-caller-replaces-every-default",
                 a_bound_of_the_caller_replaces_every_default);
    FIXTURE_TEST("/machine/host/a-store-keeps-its-runtime-folder-while-it-is-there",
                 a_store_keeps_its_runtime_folder_while_it_is_there);
    FIXTURE_TEST("/machine/host/who-comes-first-with-another-runtime-folder-wins",
                 who_comes_first_with_another_runtime_folder_wins);
    return g_test_run();
}
