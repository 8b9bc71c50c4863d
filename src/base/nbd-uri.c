/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/nbd-uri.h"

#include <string.h>

#include "base/error.h"

void
vmp_nbd_uri_free(VmpNbdUri *uri)
{
    if (!uri)
        return;
    g_free(uri->host);
    g_free(uri->port);
    g_free(uri->socket);
    g_free(uri->name);
    g_free(uri);
}

/* nbd, nbds, nbd+unix, nbds+unix. */
static gboolean
read_scheme(const char *scheme, gboolean *tls, gboolean *is_unix)
{
    if (!g_str_has_prefix(scheme, "nbd"))
        return FALSE;
    const char *rest = scheme + strlen("nbd");
    *tls = *rest == 's';
    rest += *tls;
    *is_unix = g_str_equal(rest, "+unix");
    return *is_unix || *rest == '\0';
}

static char *
read_socket(const char *query, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(GHashTable) words =
        query ? g_uri_parse_params(query, -1, "&", G_URI_PARAMS_NONE, &failure) : NULL;
    const char *socket = words ? g_hash_table_lookup(words, "socket") : NULL;

    if (!socket || !g_path_is_absolute(socket))
        return vmp_fail_null(error, VMP_ERROR_INVALID,
                             "it does not name its socket (?socket=, an absolute path)");
    return g_strdup(socket);
}

static gboolean
read_place(VmpNbdUri *uri, GUri *parts, gboolean is_unix, GError **error)
{
    const char *host = g_uri_get_host(parts);

    if (is_unix) {
        uri->socket = read_socket(g_uri_get_query(parts), error);
        return uri->socket != NULL;
    }
    if (!host || !*host)
        return vmp_fail(error, VMP_ERROR_INVALID, "it does not name a host");
    uri->host = g_strdup(host);
    if (g_uri_get_port(parts) > 0)
        uri->port = g_strdup_printf("%d", g_uri_get_port(parts));
    return TRUE;
}

VmpNbdUri *
vmp_nbd_uri_parse(const char *text, GError **error)
{
    VMP_ERROR_CONTEXT(error, "'%s' is no NBD URI", text);
    g_autoptr(GError) failure = NULL;
    g_autoptr(GUri) parts = g_uri_parse(text, G_URI_FLAGS_ENCODED_QUERY, &failure);
    gboolean tls = FALSE, is_unix = FALSE;

    if (!parts)
        return vmp_fail_null(error, VMP_ERROR_INVALID, "%s", failure->message);
    if (!read_scheme(g_uri_get_scheme(parts), &tls, &is_unix))
        return vmp_fail_null(error, VMP_ERROR_INVALID,
                             "it does not begin with nbd: or nbd+unix:");

    g_autoptr(VmpNbdUri) uri = g_new0(VmpNbdUri, 1);
    const char *path = g_uri_get_path(parts);
    uri->tls = tls;
    uri->name = g_strdup(*path == '/' ? path + 1 : path);
    return read_place(uri, parts, is_unix, error) ? g_steal_pointer(&uri) : NULL;
}

char *
vmp_nbd_uri_format(const VmpNbdUri *uri)
{
    const char *scheme = uri->tls ? "nbds" : "nbd";
    g_autofree char *name = g_uri_escape_string(uri->name, "/", TRUE);

    if (uri->socket) {
        g_autofree char *socket = g_uri_escape_string(uri->socket, "/", TRUE);
        return g_strdup_printf("%s+unix:///%s?socket=%s", scheme, name, socket);
    }
    gboolean is_v6 = strchr(uri->host, ':') != NULL;
    return g_strdup_printf("%s://%s%s%s%s%s/%s", scheme, is_v6 ? "[" : "", uri->host,
                           is_v6 ? "]" : "", uri->port ? ":" : "", uri->port ? uri->port : "",
                           name);
}

gboolean
vmp_nbd_uri_is(const char *place)
{
    g_autofree char *scheme = place ? g_uri_parse_scheme(place) : NULL;
    gboolean tls, is_unix;

    return scheme && read_scheme(scheme, &tls, &is_unix);
}

char *
vmp_nbd_uri_normalize(const char *text)
{
    g_autoptr(VmpNbdUri) uri = vmp_nbd_uri_is(text) ? vmp_nbd_uri_parse(text, NULL) : NULL;

    if (!uri)
        return NULL;
    if (!uri->socket && !uri->port)
        uri->port = g_strdup(VMP_NBD_PORT);
    return vmp_nbd_uri_format(uri);
}
