/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a real server says is in the functional tests; here is what none says. */

#include "storage/nbd-peer.h"

#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <string.h>

#include "base/error.h"

typedef struct {
    char *dir, *path, *uri;
} Place;

static void
place_set_up(Place *place, gconstpointer unused)
{
    place->dir = g_dir_make_tmp("vmp-peer-XXXXXX", NULL);
    place->path = g_build_filename(place->dir, "s", NULL);
    place->uri = g_strdup_printf("nbd+unix:///disk?socket=%s", place->path);
}

static void
place_tear_down(Place *place, gconstpointer unused)
{
    g_unlink(place->path);
    g_rmdir(place->dir);
    g_free(place->dir);
    g_free(place->path);
    g_free(place->uri);
}

static GSocket *
listen_at(const char *path)
{
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);
    GSocket *socket = g_socket_new(G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM,
                                   G_SOCKET_PROTOCOL_DEFAULT, NULL);

    g_assert_true(g_socket_bind(socket, address, TRUE, NULL));
    g_assert_true(g_socket_listen(socket, NULL));
    return socket;
}

static void
test_nobody_is_there(Place *place, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;
    VmpNbdExport found = { 0 };

    g_assert_false(vmp_nbd_peer_look(place->uri, NULL, &found, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_IO);
    g_assert_nonnull(strstr(error->message, place->uri));
}

static void
test_a_silent_server_is_not_waited_for(Place *place, gconstpointer unused)
{
    g_autoptr(GSocket) socket = listen_at(place->path);
    g_autoptr(GError) error = NULL;
    VmpNbdExport found = { 0 };

    g_assert_false(vmp_nbd_peer_look(place->uri, NULL, &found, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_TIMED_OUT);
}

static gpointer
hang_up(gpointer data)
{
    g_autoptr(GSocket) client = g_socket_accept(data, NULL, NULL);

    g_assert_nonnull(client);
    return NULL;
}

static void
test_a_server_that_hangs_up_is_an_error(Place *place, gconstpointer unused)
{
    g_autoptr(GSocket) socket = listen_at(place->path);
    GThread *server = g_thread_new("server", hang_up, socket);
    g_autoptr(GError) error = NULL;

    g_assert_false(vmp_nbd_peer_flush(place->uri, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_IO);
    g_thread_join(server);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/storage/nbd-peer/nobody-is-there", Place, NULL, place_set_up,
               test_nobody_is_there, place_tear_down);
    g_test_add("/storage/nbd-peer/a-silent-server-is-not-waited-for", Place, NULL,
               place_set_up, test_a_silent_server_is_not_waited_for, place_tear_down);
    g_test_add("/storage/nbd-peer/a-server-that-hangs-up-is-an-error", Place, NULL,
               place_set_up, test_a_server_that_hangs_up_is_an_error, place_tear_down);
    return g_test_run();
}
