/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/export.h"

#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>

#include "base/error.h"
#include "qmp-peer.h"

static VmpJson *
unix_server(const char *socket)
{
    return vmp_json_build("s:transport", "unix", "s:socket", socket, NULL);
}

static VmpJson *
tcp_server(const char *host, const char *port)
{
    return vmp_json_build("s:transport", "tcp", "s:host", host, "S:port", port, NULL);
}

static VmpJson *
one_export(void)
{
    VmpJson *exports = json_object_new_array();

    json_object_array_add(exports, vmp_json_build("s:id", "x", "s:node", "n", "s:name", "vda",
                                                  "s:bitmap", "b", NULL));
    return exports;
}

/* ---- addresses ---- */

static void
check_uri(VmpJson *server, const char *name, const char *wanted)
{
    g_autofree char *uri = vmp_nbd_server_uri(server, name);

    g_assert_cmpstr(uri, ==, wanted);
    json_object_put(server);
}

static void
test_uri(void)
{
    check_uri(unix_server("/run/a b"), "vda", "nbd+unix:///vda?socket=/run/a%20b");
    check_uri(tcp_server("host", "10809"), "a/b c", "nbd://host:10809/a/b%20c");
    check_uri(tcp_server("::1", "7"), "vda", "nbd://[::1]:7/vda");

    VmpJson *secret = tcp_server("host", "7");
    vmp_json_add(secret, "s:tls-dir", "/pki", NULL);
    check_uri(secret, "vda", "nbds://host:7/vda");
}

static void
test_a_free_port(void)
{
    g_autoptr(VmpJson) server = tcp_server("127.0.0.1", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_true(vmp_nbd_server_prepare(server, &error));
    g_assert_no_error(error);
    g_assert_cmpint(g_ascii_strtoll(vmp_json_get_string(server, "port"), NULL, 10), >, 0);
}

static void
check_refused(VmpJson *server, VmpErrorCode code)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(vmp_nbd_server_prepare(server, &error));
    g_assert_error(error, VMP_ERROR, (int)code);
}

static void
test_places_that_are_taken(void)
{
    g_autofree char *folder = g_dir_make_tmp("vmp-export-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "s", NULL);
    g_autoptr(VmpJson) server = unix_server(path);

    g_assert_true(vmp_nbd_server_prepare(server, NULL));
    g_file_set_contents(path, "precious", -1, NULL);
    check_refused(server, VMP_ERROR_EXISTS);
    g_unlink(path);

    g_autoptr(GSocketListener) listener = g_socket_listener_new();
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);
    g_socket_listener_add_address(listener, address, G_SOCKET_TYPE_STREAM,
                                  G_SOCKET_PROTOCOL_DEFAULT, NULL, NULL, NULL);
    check_refused(server, VMP_ERROR_BUSY);
    vmp_nbd_server_clear(server);
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));

    /* Nobody serves there any more. */
    g_socket_listener_close(listener);
    g_assert_true(vmp_nbd_server_prepare(server, NULL));
    vmp_nbd_server_clear(server);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));

    vmp_json_add(server, "s:tls-dir", folder, NULL);
    check_refused(server, VMP_ERROR_NOT_FOUND);
    g_rmdir(folder);
}

/* ---- servers and exports ---- */

static void
test_somebody_elses_server(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpJson) server = unix_server("/nonexistent/s");
    g_autoptr(GError) error = NULL;

    qmp_peer_expect(peer, "nbd-server-start", NULL);
    qmp_peer_refuse(peer, "NBD server already running");
    VmpQmpClient *client = qmp_peer_connect(peer);
    g_assert_false(vmp_nbd_server_start(client, server, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_BUSY);
    /* And it is not stopped: nothing is sent. */
    g_assert_true(vmp_nbd_server_stop(client, server, NULL));
    vmp_qmp_client_unref(client);
    qmp_peer_finish(peer);
}

/* Gone is only what QEMU does not list any more. */
static void
test_removal_waits(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpJson) exports = one_export();
    g_autoptr(GError) error = NULL;
    const char *const present =
        "[{'id': 'x', 'type': 'nbd', 'node-name': 'n', 'shutting-down': true}]";

    qmp_peer_serve(peer, "block-export-del", "{'id': 'x', 'mode': 'hard'}", "{}");
    qmp_peer_serve(peer, "query-block-exports", "{}", present);
    qmp_peer_event(peer, "BLOCK_EXPORT_DELETED", "{'id': 'x'}");
    qmp_peer_serve(peer, "query-block-exports", "{}", "[]");
    VmpQmpClient *client = qmp_peer_connect(peer);
    g_assert_true(vmp_exports_remove(client, exports, &error));
    g_assert_no_error(error);
    vmp_qmp_client_unref(client);
    qmp_peer_finish(peer);
}

static void
test_exports_exist(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpJson) exports = one_export();
    gboolean exist = TRUE;

    qmp_peer_serve(peer, "block-export-add",
                   "{'type': 'nbd', 'id': 'x', 'node-name': 'n', 'name': 'vda', "
                   "'writable': false, 'bitmaps': [{'node': 'n', 'name': 'b'}]}",
                   "{}");
    qmp_peer_serve(peer, "query-block-exports", "{}", "[]");
    VmpQmpClient *client = qmp_peer_connect(peer);
    g_assert_true(vmp_exports_add(client, exports, NULL));
    g_assert_true(vmp_exports_exist(client, exports, &exist, NULL));
    g_assert_false(exist);
    vmp_qmp_client_unref(client);
    qmp_peer_finish(peer);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/storage/export/uri", test_uri);
    g_test_add_func("/storage/export/free-port", test_a_free_port);
    g_test_add_func("/storage/export/places-that-are-taken", test_places_that_are_taken);
    g_test_add_func("/storage/export/somebody-elses-server", test_somebody_elses_server);
    g_test_add_func("/storage/export/removal-waits", test_removal_waits);
    g_test_add_func("/storage/export/exports-exist", test_exports_exist);
    return g_test_run();
}
