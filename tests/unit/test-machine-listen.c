/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/listen.h"

#include "test-machine-fixture.h"

static int
connect_to(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strcpy(address.sun_path, path);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Does what connects to @path come out of @listening? */
static gboolean
leads_to(const char *path, int listening)
{
    int client = connect_to(path);
    if (client < 0)
        return FALSE;

    g_assert_cmpint(fcntl(listening, F_SETFL, O_NONBLOCK), ==, 0);
    int accepted = accept(listening, NULL, NULL);
    close(client);
    if (accepted >= 0)
        close(accepted);
    return accepted >= 0;
}

static void
a_client_may_connect_before_the_server_runs(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = fixture_path(fixture, "s");
    struct stat info;
    (void)data;

    int fd = vmp_listen_at(path, &error);
    g_assert_no_error(error);
    g_assert_cmpint(fcntl(fd, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
    g_assert_true(leads_to(path, fd));
    g_assert_cmpint(stat(path, &info), ==, 0);
    g_assert_cmpuint(info.st_mode & 0777, ==, 0600);
    close(fd);
}

static void
a_path_that_is_too_long_is_said_to_be(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *fits = g_strnfill(107, 'x');
    g_autofree char *long_path = g_strnfill(108, 'x');
    g_autofree char *before = g_get_current_dir();
    (void)data;

    g_assert_cmpint(vmp_listen_at(long_path, &error), ==, -1);
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, "108 bytes"));
    g_assert_nonnull(strstr(error->message, "107"));
    g_clear_error(&error);

    g_assert_cmpint(chdir(fixture->dir), ==, 0);
    int fd = vmp_listen_at(fits, &error);
    g_assert_cmpint(chdir(before), ==, 0);
    g_assert_no_error(error);
    close(fd);
}

static void
publishing_replaces_the_socket_that_was_there(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = fixture_path(fixture, "console");
    g_autofree char *aside = vmp_listen_aside_name(path);
    int before = vmp_listen_at(path, &error);
    (void)data;

    int after = vmp_listen_aside(aside, path, &error);
    g_assert_no_error(error);
    g_assert_true(leads_to(path, before));

    g_assert_true(vmp_listen_publish(aside, path, &error));
    g_assert_no_error(error);
    g_assert_true(leads_to(path, after));
    g_assert_false(g_file_test(aside, G_FILE_TEST_EXISTS));
    close(before);
    close(after);
}

/* A server unlinks the name that it bound. */
static void
an_old_server_does_not_take_the_new_ones_path_away(Fixture *fixture, gconstpointer data)
{
    g_autofree char *path = fixture_path(fixture, "console");
    g_autofree char *aside = vmp_listen_aside_name(path);
    struct sockaddr_un address = { 0 };
    socklen_t length = sizeof address;
    (void)data;

    int fd = vmp_listen_aside(aside, path, NULL);
    g_assert_true(vmp_listen_publish(aside, path, NULL));
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&address, &length), ==, 0);
    unlink(address.sun_path);
    g_assert_true(leads_to(path, fd));
    close(fd);
}

static void
what_is_no_socket_is_not_replaced(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = fixture_path(fixture, "precious");
    g_autofree char *aside = vmp_listen_aside_name(path);
    g_autofree char *content = NULL;
    (void)data;

    g_assert_true(g_file_set_contents(path, "data", -1, NULL));
    g_assert_cmpint(vmp_listen_aside(aside, path, &error), ==, -1);
    g_assert_error(error, VMP_ERROR, VMP_ERROR_EXISTS);
    g_assert_true(g_file_get_contents(path, &content, NULL, NULL));
    g_assert_cmpstr(content, ==, "data");
}

static void
a_socket_without_a_server_is_nobody(Fixture *fixture, gconstpointer data)
{
    g_autofree char *path = fixture_path(fixture, "s");
    (void)data;

    g_assert_false(vmp_listener_exists(path));
    int fd = vmp_listen_at(path, NULL);
    g_assert_true(vmp_listener_exists(path));

    close(fd);
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    g_assert_false(vmp_listener_exists(path));
}

int
main(int argc, char **argv)
{
    fixture_init(&argc, &argv);
    FIXTURE_TEST("/machine/listen/a-client-may-connect-before-the-server-runs",
                 a_client_may_connect_before_the_server_runs);
    FIXTURE_TEST("/machine/listen/a-path-that-is-too-long-is-said-to-be",
                 a_path_that_is_too_long_is_said_to_be);
    FIXTURE_TEST("/machine/listen/publishing-replaces-the-socket-that-was-there",
                 publishing_replaces_the_socket_that_was_there);
    FIXTURE_TEST("/machine/listen/an-old-server-does-not-take-the-new-ones-path-away",
                 an_old_server_does_not_take_the_new_ones_path_away);
    FIXTURE_TEST("/machine/listen/what-is-no-socket-is-not-replaced",
                 what_is_no_socket_is_not_replaced);
    FIXTURE_TEST("/machine/listen/a-socket-without-a-server-is-nobody",
                 a_socket_without_a_server_is_nobody);
    return g_test_run();
}
