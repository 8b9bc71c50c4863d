/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/domain-private.h"

/* Addresses of devices of which the view says nothing more; read from the text when asked
 * for, because only a launch asks. */

static const xmlNode *
find_device(const VmpXmlDoc *doc, const char *element, guint nth)
{
    xmlNode *node = vmp_xml_find(vmp_xml_root(doc), "devices");

    node = node ? vmp_xml_child(node, element) : NULL;
    while (node && nth-- > 0)
        node = vmp_xml_next(node, element);
    return node;
}

char *
vmp_domain_get_pci_address(const VmpDomain *domain, const char *element, guint nth,
                           gboolean *multifunction)
{
    g_autoptr(VmpXmlDoc) doc = vmp_xml_parse(domain->text, -1, NULL, "domain XML", NULL);
    const xmlNode *device = doc ? find_device(doc, element, nth) : NULL;
    char *address = NULL;

    *multifunction = FALSE;
    if (device)
        vmp_domain_read_pci_address(device, &address, multifunction, NULL);
    return address;
}

gboolean
vmp_domain_get_serial_port(const VmpDomain *domain, const char *element, guint nth,
                           guint *controller, guint *port)
{
    g_autoptr(VmpXmlDoc) doc = vmp_xml_parse(domain->text, -1, NULL, "domain XML", NULL);
    const xmlNode *device = doc ? find_device(doc, element, nth) : NULL;
    const xmlNode *address = device ? vmp_xml_child(device, "address") : NULL;
    g_autofree char *type = address ? vmp_xml_attribute(address, "type") : NULL;
    int found_controller = 0, found_port = -1;

    if (g_strcmp0(type, "virtio-serial") != 0 ||
        !vmp_domain_read_int(address, "controller", &found_controller, NULL) ||
        !vmp_domain_read_int(address, "port", &found_port, NULL) || found_port < 0)
        return FALSE;
    *controller = (guint)found_controller;
    *port = (guint)found_port;
    return TRUE;
}
