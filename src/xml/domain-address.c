/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/domain-private.h"

gboolean
vmp_domain_read_int(const xmlNode *node, const char *name, int *value, GError **error)
{
    g_autofree char *text = vmp_xml_attribute(node, name);
    guint64 number = 0;

    if (!text)
        return TRUE;

    /* As C reads it, which is how libvirt does: 0x1f, 037 and 31 are the same. */
    gboolean is_hex = g_ascii_strncasecmp(text, "0x", 2) == 0;
    guint base = is_hex ? 16 : text[0] == '0' ? 8 : 10;
    const char *digits = is_hex ? text + 2 : text;
    if (!g_ascii_isxdigit(*digits) ||
        !g_ascii_string_to_unsigned(digits, base, 0, G_MAXINT, &number, NULL))
        return vmp_xml_fail_value(node, name, text, "is not a number", error);
    *value = (int)number;
    return TRUE;
}

static xmlNode *
find_address(const xmlNode *device, const char *wanted)
{
    xmlNode *address = vmp_xml_child(device, "address");
    g_autofree char *type = vmp_xml_attribute(address, "type");

    return g_strcmp0(type, wanted) == 0 ? address : NULL;
}

gboolean
vmp_domain_read_pci_address(const xmlNode *device, char **address, gboolean *multifunction,
                            GError **error)
{
    const xmlNode *node = find_address(device, "pci");
    int domain = 0, bus = -1, slot = -1, function = 0;

    if (!node)
        return TRUE;
    if (!vmp_domain_read_int(node, "domain", &domain, error) ||
        !vmp_domain_read_int(node, "bus", &bus, error) ||
        !vmp_domain_read_int(node, "slot", &slot, error) ||
        !vmp_domain_read_int(node, "function", &function, error))
        return FALSE;
    if (domain > 0xffff || bus > 0xff || slot > 0x1f || function > 7)
        return vmp_xml_fail(node, error, "no such PCI address");

    g_autofree char *multi = vmp_xml_attribute(node, "multifunction");
    *multifunction = g_strcmp0(multi, "on") == 0;

    /* An address without numbers asks for any. */
    if (bus >= 0 || slot >= 0)
        *address = g_strdup_printf("%04x:%02x:%02x.%x", (guint)domain, (guint)MAX(bus, 0),
                                   (guint)MAX(slot, 0), (guint)function);
    return TRUE;
}

gboolean
vmp_domain_read_drive_address(const xmlNode *device, VmpDomainDisk *disk, GError **error)
{
    const xmlNode *node = find_address(device, "drive");

    if (!vmp_domain_read_int(node, "controller", &disk->controller, error) ||
        !vmp_domain_read_int(node, "bus", &disk->address_bus, error) ||
        !vmp_domain_read_int(node, "target", &disk->target_id, error) ||
        !vmp_domain_read_int(node, "unit", &disk->unit, error))
        return FALSE;
    if (g_str_equal(disk->bus, "scsi"))
        disk->lun = disk->unit;
    return TRUE;
}

gboolean
vmp_domain_read_boot_order(const xmlNode *device, guint *order, GError **error)
{
    const xmlNode *boot = vmp_xml_child(device, "boot");

    if (!vmp_xml_attribute_uint_max(boot, "order", G_MAXINT, order, error))
        return FALSE;
    if (boot && *order == 0)
        return vmp_xml_fail(boot, error, "order must be a number above zero");
    return TRUE;
}
