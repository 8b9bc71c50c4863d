/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/export.h"

#include <errno.h>
#include <gio/gunixsocketaddress.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/nbd-uri.h"
#include "qmp/commands.h"
#include "storage/tls.h"

#define TLS_ID "vmp-tls"

/* A connection to an address of this host is there at once, or nobody listens. */
#define CONNECT_TIMEOUT_S 2

/* How long an export may take to let its clients go: it waits for what they read. */
#define REMOVE_TIMEOUT_MS 30000

/* ---- the address ---- */

static gboolean
is_unix(VmpJson *server)
{
    return g_strcmp0(vmp_json_get_string(server, "transport"), "unix") == 0;
}

static GSocketConnectable *
get_address(VmpJson *server)
{
    if (is_unix(server))
        return G_SOCKET_CONNECTABLE(
            g_unix_socket_address_new(vmp_json_get_string(server, "socket")));
    const char *port = vmp_json_get_string(server, "port");
    return g_network_address_new(vmp_json_get_string(server, "host"),
                                 (guint16)g_ascii_strtoull(port, NULL, 10));
}

/* An NBD server greets whoever connects.  A process that is just ending may still take the
 * connection, and then hangs up; one that keeps silent is something else that listens there.
 */
static gboolean
answers(VmpJson *server)
{
    g_autoptr(GSocketClient) client = g_socket_client_new();
    g_autoptr(GSocketConnectable) address = get_address(server);
    g_autoptr(GError) failure = NULL;
    char greeting[8];

    g_socket_client_set_enable_proxy(client, FALSE);
    g_socket_client_set_timeout(client, CONNECT_TIMEOUT_S);
    g_autoptr(GSocketConnection) connection =
        g_socket_client_connect(client, address, NULL, NULL);
    if (!connection)
        return FALSE;
    gssize got = g_input_stream_read(g_io_stream_get_input_stream(G_IO_STREAM(connection)),
                                     greeting, sizeof greeting, NULL, &failure);
    return got > 0 || g_error_matches(failure, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
}

static GInetAddress *
resolve(const char *host, GError **error)
{
    g_autoptr(GResolver) resolver = g_resolver_get_default();
    g_autoptr(GError) failure = NULL;
    GList *found = g_resolver_lookup_by_name(resolver, host, NULL, &failure);

    if (!found)
        return vmp_fail_null(error, VMP_ERROR_INVALID, "'%s' is no address of this host: %s",
                             host, failure->message);
    GInetAddress *address = g_object_ref(found->data);
    g_resolver_free_addresses(found);
    return address;
}

/* A port that is free now.  Should another take it before QEMU does, QEMU says so. */
static gboolean
choose_port(VmpJson *server, GError **error)
{
    g_autoptr(GInetAddress) host = resolve(vmp_json_get_string(server, "host"), error);
    if (!host)
        return FALSE;

    g_autoptr(GSocketAddress) any = g_inet_socket_address_new(host, 0);
    g_autoptr(GError) failure = NULL;
    g_autoptr(GSocket) socket =
        g_socket_new(g_inet_address_get_family(host), G_SOCKET_TYPE_STREAM,
                     G_SOCKET_PROTOCOL_TCP, &failure);
    g_autoptr(GSocketAddress) bound = NULL;
    if (socket && g_socket_bind(socket, any, FALSE, &failure))
        bound = g_socket_get_local_address(socket, &failure);
    if (!bound)
        return vmp_fail(error, VMP_ERROR_INVALID, "there is no free port at '%s': %s",
                        vmp_json_get_string(server, "host"), failure->message);

    g_autofree char *port = g_strdup_printf(
        "%u", (guint)g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(bound)));
    vmp_json_add(server, "s:port", port, NULL);
    return TRUE;
}

/* QEMU unlinks whatever stands where it is to listen. */
static gboolean
check_place(const char *path, GError **error)
{
    struct stat info;

    if (lstat(path, &info) == 0 && !S_ISSOCK(info.st_mode))
        return vmp_fail(error, VMP_ERROR_EXISTS, "'%s' exists and is not a socket", path);
    return TRUE;
}

gboolean
vmp_nbd_server_prepare(VmpJson *server, GError **error)
{
    VMP_ERROR_CONTEXT(error, "cannot serve the backup");

    const char *tls_dir = vmp_json_get_string(server, "tls-dir");

    if (tls_dir && !vmp_tls_check_server(tls_dir, error))
        return FALSE;
    if (is_unix(server) && !check_place(vmp_json_get_string(server, "socket"), error))
        return FALSE;
    if (!is_unix(server) && !vmp_json_get_string(server, "port"))
        return choose_port(server, error);
    if (!answers(server))
        return TRUE;
    g_autofree char *uri = vmp_nbd_server_uri(server, "");
    return vmp_fail(error, VMP_ERROR_BUSY, "somebody listens at %s already", uri);
}

char *
vmp_nbd_server_uri(VmpJson *server, const char *name)
{
    const VmpNbdUri uri = {
        .tls = vmp_json_get_string(server, "tls-dir") != NULL,
        .host = (char *)vmp_json_get_string(server, "host"),
        .port = (char *)vmp_json_get_string(server, "port"),
        .socket = is_unix(server) ? (char *)vmp_json_get_string(server, "socket") : NULL,
        .name = (char *)name,
    };

    return vmp_nbd_uri_format(&uri);
}

/* ---- the server ---- */

void
vmp_nbd_server_commands(VmpJson *server, GPtrArray *commands)
{
    const char *tls_dir = vmp_json_get_string(server, "tls-dir");
    const char *tls = tls_dir ? TLS_ID : NULL;

    if (tls)
        g_ptr_array_add(commands, vmp_qmp_tls_server_add(TLS_ID, tls_dir));
    if (is_unix(server))
        g_ptr_array_add(commands, vmp_qmp_nbd_server_start_unix(
                                      vmp_json_get_string(server, "socket"), tls));
    else
        g_ptr_array_add(
            commands, vmp_qmp_nbd_server_start_inet(vmp_json_get_string(server, "host"),
                                                    vmp_json_get_string(server, "port"), tls));
}

static GPtrArray *
new_commands(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)vmp_qmp_command_unref);
}

gboolean
vmp_nbd_server_start(VmpQmpClient *client, VmpJson *server, GError **error)
{
    g_autoptr(GPtrArray) commands = new_commands();
    VMP_ERROR_CONTEXT(error, "cannot serve the backup");

    vmp_nbd_server_commands(server, commands);
    for (guint i = 0; i < commands->len; i++) {
        g_autoptr(GError) failure = NULL;
        g_autoptr(VmpJson) reply =
            vmp_qmp_client_execute(client, g_ptr_array_index(commands, i), NULL, &failure);
        if (reply)
            continue;
        /* Before it looks at the address. */
        if (strstr(failure->message, "already running"))
            return vmp_fail(error, VMP_ERROR_BUSY,
                            "QEMU has one NBD server, and somebody else uses it");
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    return TRUE;
}

gboolean
vmp_nbd_server_stop(VmpQmpClient *client, VmpJson *server, GError **error)
{
    if (answers(server) &&
        !vmp_qmp_client_execute_removal(client, vmp_qmp_nbd_server_stop(), error))
        return FALSE;
    if (vmp_json_get_string(server, "tls-dir") &&
        !vmp_qmp_client_execute_removal(client, vmp_qmp_object_del(TLS_ID), error))
        return FALSE;
    vmp_nbd_server_clear(server);
    return TRUE;
}

void
vmp_nbd_server_clear(VmpJson *server)
{
    const char *path = vmp_json_get_string(server, "socket");
    struct stat info;

    if (path && lstat(path, &info) == 0 && S_ISSOCK(info.st_mode) && !answers(server))
        unlink(path);
}

/* ---- exports ---- */

void
vmp_exports_commands(VmpJson *exports, GPtrArray *commands)
{
    for (guint i = 0; i < vmp_json_length(exports); i++) {
        VmpJson *export = vmp_json_at(exports, i);
        const char *node = vmp_json_get_string(export, "node");
        const char *bitmap = vmp_json_get_string(export, "bitmap");
        VmpJson *bitmaps = bitmap ? json_object_new_array() : NULL;

        if (bitmap)
            json_object_array_add(bitmaps,
                                  vmp_json_build("s:node", node, "s:name", bitmap, NULL));
        g_ptr_array_add(commands, vmp_qmp_nbd_export_add(
                                      vmp_json_get_string(export, "id"), node,
                                      vmp_json_get_string(export, "name"), FALSE, bitmaps));
    }
}

gboolean
vmp_exports_add(VmpQmpClient *client, VmpJson *exports, GError **error)
{
    g_autoptr(GPtrArray) commands = new_commands();

    vmp_exports_commands(exports, commands);
    return vmp_qmp_client_execute_all(client, commands, NULL, NULL, error);
}

static guint
count_present(VmpJson *reply, VmpJson *exports)
{
    guint present = 0;

    for (guint i = 0; i < vmp_json_length(exports); i++) {
        const char *id = vmp_json_get_string(vmp_json_at(exports, i), "id");
        for (guint j = 0; j < vmp_json_length(reply); j++)
            present += g_strcmp0(vmp_json_get_string(vmp_json_at(reply, j), "id"), id) == 0;
    }
    return present;
}

static gboolean
query_present(VmpQmpClient *client, VmpJson *exports, guint *present, GError **error)
{
    g_autoptr(VmpQmpCommand) command = vmp_qmp_query_block_exports();
    g_autoptr(VmpJson) reply = vmp_qmp_client_execute(client, command, NULL, error);

    *present = count_present(reply, exports);
    return reply != NULL;
}

gboolean
vmp_exports_exist(VmpQmpClient *client, VmpJson *exports, gboolean *exist, GError **error)
{
    guint present = 0;

    if (!query_present(client, exports, &present, error))
        return FALSE;
    *exist = present == vmp_json_length(exports);
    return TRUE;
}

/* ---- removing them ---- */

/* What the events have said since somebody began to wait. */
typedef struct {
    guint subscription;
    guint deleted;
    guint wanted;
    VmpQmpClient *client;
} Removal;

static void
removal_clear(Removal *removal)
{
    if (removal->subscription)
        vmp_qmp_client_unsubscribe(removal->client, removal->subscription);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Removal, removal_clear)

static void
on_deleted(VmpQmpClient *client, const char *event, VmpJson *data, gint64 timestamp_us,
           gpointer user_data)
{
    ((Removal *)user_data)->deleted++;
}

static gboolean
is_news(gpointer data)
{
    return ((Removal *)data)->deleted > 0;
}

gboolean
vmp_exports_remove(VmpQmpClient *client, VmpJson *exports, GError **error)
{
    g_auto(Removal) removal = { .client = client };
    guint present = 0;

    removal.subscription =
        vmp_qmp_client_subscribe(client, "BLOCK_EXPORT_DELETED", on_deleted, &removal);
    for (guint i = 0; i < vmp_json_length(exports); i++) {
        const char *id = vmp_json_get_string(vmp_json_at(exports, i), "id");
        if (!vmp_qmp_client_execute_removal(client, vmp_qmp_block_export_del(id), error))
            return FALSE;
    }
    for (;;) {
        removal.deleted = 0;
        if (!query_present(client, exports, &present, error))
            return FALSE;
        if (present == 0)
            return TRUE;
        if (!vmp_qmp_client_wait(client, is_news, &removal, REMOVE_TIMEOUT_MS, NULL, error))
            return FALSE;
    }
}
