/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/nbd-source.h"

#include <gio/gio.h>
#include <string.h>

#include "base/nbd-uri.h"
#include "xml/strict.h"

gboolean
vmp_nbd_source_is_host(const char *name)
{
    return name[0] != '\0' &&
           (g_hostname_is_ip_address(name) ||
            strspn(name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS ".-") == strlen(name));
}

static gboolean
read_host(VmpNbdUri *uri, const xmlNode *host, GError **error)
{
    g_autofree char *transport = vmp_xml_attribute(host, "transport");
    guint port = 0;

    if (!vmp_xml_attribute_in(host, "transport", "tcp unix", error))
        return FALSE;
    if (g_strcmp0(transport, "unix") == 0) {
        if (!vmp_xml_closed(host, "transport socket", "", error) ||
            !vmp_xml_attribute_path(host, "socket", &uri->socket, error))
            return FALSE;
        return uri->socket || vmp_xml_fail(host, error, "transport='unix' requires socket=");
    }
    if (!vmp_xml_closed(host, "transport name port", "", error) ||
        !vmp_xml_attribute_uint_max(host, "port", G_MAXUINT16, &port, error))
        return FALSE;
    uri->host = vmp_xml_attribute(host, "name");
    uri->port = port > 0 ? g_strdup_printf("%u", port) : NULL;
    if (!uri->host)
        return vmp_xml_fail(host, error, "name= is missing");
    return vmp_nbd_source_is_host(uri->host) ||
           vmp_xml_fail_value(host, "name", uri->host, "is neither a host name nor an address",
                              error);
}

static gboolean
read_export(VmpNbdUri *uri, const xmlNode *source, GError **error)
{
    if (!vmp_xml_attribute_in(source, "protocol", "nbd", error) ||
        !vmp_xml_attribute_yes_no(source, "tls", &uri->tls, error))
        return FALSE;
    if (!xmlHasProp(source, (const xmlChar *)"protocol"))
        return vmp_xml_fail(source, error, "protocol='nbd' is missing");
    if (!vmp_xml_child(source, "host"))
        return vmp_xml_fail(source, error, "<host> is missing");
    uri->name = vmp_xml_attribute(source, "name");
    if (!uri->name)
        uri->name = g_strdup("");
    return read_host(uri, vmp_xml_child(source, "host"), error);
}

char *
vmp_nbd_source_read(const xmlNode *source, GError **error)
{
    g_autoptr(VmpNbdUri) uri = g_new0(VmpNbdUri, 1);

    return read_export(uri, source, error) ? vmp_nbd_uri_format(uri) : NULL;
}

/* With TLS it needs credentials that a place does not say: no place of ours, as any other
 * protocol is none. */
static gboolean
is_plain(const xmlNode *source)
{
    g_autofree char *protocol = vmp_xml_attribute(source, "protocol");
    g_autofree char *tls = vmp_xml_attribute(source, "tls");

    return g_strcmp0(protocol, "nbd") == 0 && g_strcmp0(tls, "yes") != 0 &&
           vmp_xml_child(source, "host");
}

gboolean
vmp_nbd_source_read_place(const xmlNode *source, char **place, GError **error)
{
    *place = NULL;
    if (!is_plain(source))
        return TRUE;

    g_autofree char *uri = vmp_nbd_source_read(source, error);
    *place = uri ? vmp_nbd_uri_normalize(uri) : NULL;
    return uri != NULL;
}

void
vmp_nbd_source_write(VmpMarkup *markup, const char *text)
{
    g_autoptr(VmpNbdUri) uri = vmp_nbd_uri_parse(text, NULL);

    if (!uri)
        return; /* of a record that was not parsed but filled */
    vmp_markup_attribute(markup, "protocol", "nbd");
    vmp_markup_attribute(markup, "name", uri->name);
    vmp_markup_attribute(markup, "tls", uri->tls ? "yes" : NULL);
    vmp_markup_open(markup, "host");
    vmp_markup_attribute(markup, "transport", uri->socket ? "unix" : NULL);
    vmp_markup_attribute(markup, "socket", uri->socket);
    vmp_markup_attribute(markup, "name", uri->host);
    vmp_markup_attribute(markup, "port", uri->port);
    vmp_markup_close(markup, "host");
}
