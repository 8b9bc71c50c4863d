/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changes to a domain: each edits the text, reads the result, and takes both or none. */

#include "base/error.h"
#include "base/nbd-uri.h"
#include "xml/domain-private.h"
#include "xml/edit.h"
#include "xml/markup.h"
#include "xml/name.h"
#include "xml/nbd-source.h"

static gboolean
adopt_text(VmpDomain *domain, const char *text, GError **error)
{
    g_autoptr(VmpXmlDoc) doc = vmp_domain_read_document(text, -1, domain->line, error);
    g_autoptr(VmpDomainView) view = doc ? vmp_domain_read_view(doc, error) : NULL;
    if (!view)
        return FALSE;

    g_ptr_array_add(domain->past, domain->view);
    domain->view = g_steal_pointer(&view);
    g_free(domain->text);
    domain->text = g_strdup(text);
    return TRUE;
}

static xmlNode *
find_disk_node(const VmpXmlDoc *doc, const char *target)
{
    xmlNode *node = vmp_xml_find(vmp_xml_root(doc), "devices/disk");

    for (; node; node = vmp_xml_next(node, "disk")) {
        g_autofree char *dev = vmp_xml_attribute(vmp_xml_child(node, "target"), "dev");

        if (g_strcmp0(dev, target) == 0)
            return node;
    }
    return NULL;
}

/* "<source protocol='nbd' ...><host .../></source>" */
static char *
network_source(const char *uri)
{
    VmpMarkup markup = vmp_markup_begin();

    vmp_markup_open(&markup, "source");
    vmp_nbd_source_write(&markup, uri);
    vmp_markup_close(&markup, "source");
    return g_strchomp(vmp_markup_finish(&markup));
}

static void
edit_network_source(VmpXmlEdit *edit, const xmlNode *disk, const char *uri)
{
    const xmlNode *source = vmp_xml_child(disk, "source");
    g_autofree char *fresh = network_source(uri);

    vmp_xml_edit_set_attribute(edit, disk, "type", "network");
    if (source)
        vmp_xml_edit_replace(edit, source, fresh);
    else
        vmp_xml_edit_insert_before(edit, vmp_xml_child(disk, "target"), fresh);
}

static void
edit_source(VmpXmlEdit *edit, const xmlNode *disk, const char *path)
{
    const xmlNode *source = vmp_xml_child(disk, "source");
    g_autofree char *type = vmp_xml_attribute(disk, "type");
    g_autofree char *file = vmp_xml_attribute(source, "file");
    g_autofree char *device = vmp_xml_attribute(source, "dev");
    g_autofree char *escaped = vmp_markup_escape_attribute(path);
    g_autofree char *fresh = g_strdup_printf("<source file='%s'/>", escaped);

    if (type && !g_str_equal(type, "file"))
        vmp_xml_edit_set_attribute(edit, disk, "type", "file");
    if (!source)
        vmp_xml_edit_insert_before(edit, vmp_xml_child(disk, "target"), fresh);
    else if (device && !file)
        vmp_xml_edit_rename_attribute(edit, source, "dev", "file", path);
    else if (file || !type || g_str_equal(type, "file"))
        vmp_xml_edit_set_attribute(edit, source, "file", path);
    else
        vmp_xml_edit_replace(edit, source, fresh);
}

static void
edit_driver(VmpXmlEdit *edit, const xmlNode *disk, const char *format)
{
    const xmlNode *driver = vmp_xml_child(disk, "driver");
    const xmlNode *source = vmp_xml_child(disk, "source");
    g_autofree char *escaped = vmp_markup_escape_attribute(format);
    g_autofree char *fresh = g_strdup_printf("<driver name='qemu' type='%s'/>", escaped);

    if (driver)
        vmp_xml_edit_set_attribute(edit, driver, "type", format);
    else
        vmp_xml_edit_insert_before(edit, source ? source : vmp_xml_child(disk, "target"),
                                   fresh);
}

gboolean
vmp_domain_set_disk_source(VmpDomain *domain, const char *target, const char *place,
                           const char *format, GError **error)
{
    if (!vmp_markup_can_hold(place)) {
        g_autofree char *quoted = vmp_name_quote(place);
        return vmp_fail(error, VMP_ERROR_INVALID, "XML cannot hold the path %s", quoted);
    }

    g_autoptr(VmpXmlDoc) doc = vmp_domain_read_document(domain->text, -1, domain->line, error);
    if (!doc)
        return FALSE;

    const xmlNode *disk = find_disk_node(doc, target);
    if (!disk) {
        g_autofree char *name = vmp_name_quote(domain->view->name);
        g_autofree char *quoted = vmp_name_quote(target);
        return vmp_fail(error, VMP_ERROR_NOT_FOUND, "domain %s has no disk %s", name, quoted);
    }

    g_autoptr(VmpXmlEdit) edit = vmp_xml_edit_new(doc);
    edit_driver(edit, disk, format);
    if (vmp_nbd_uri_is(place))
        edit_network_source(edit, disk, place);
    else
        edit_source(edit, disk, place);
    const xmlNode *backing = vmp_xml_child(disk, "backingStore");
    if (backing)
        vmp_xml_edit_remove(edit, backing);

    g_autofree char *text = vmp_xml_edit_apply(edit);
    return adopt_text(domain, text, error);
}

/* Sets a child of the root that stands behind <name> when it is new. */
static gboolean
set_child_text(VmpDomain *domain, const char *name, const char *value, GError **error)
{
    g_autoptr(VmpXmlDoc) doc = vmp_domain_read_document(domain->text, -1, domain->line, error);
    if (!doc)
        return FALSE;

    g_autoptr(VmpXmlEdit) edit = vmp_xml_edit_new(doc);
    const xmlNode *node = vmp_xml_child(vmp_xml_root(doc), name);
    if (node) {
        vmp_xml_edit_set_text(edit, node, value);
    } else {
        g_autofree char *markup = g_strdup_printf("<%s>%s</%s>", name, value, name);
        vmp_xml_edit_insert_after(edit, vmp_xml_child(vmp_xml_root(doc), "name"), markup);
    }

    g_autofree char *text = vmp_xml_edit_apply(edit);
    return adopt_text(domain, text, error);
}

gboolean
vmp_domain_set_uuid(VmpDomain *domain, const char *uuid, GError **error)
{
    g_autofree char *normal = vmp_domain_normal_uuid(uuid);

    if (!normal) {
        g_autofree char *quoted = vmp_name_quote(uuid);
        return vmp_fail(error, VMP_ERROR_INVALID, "%s is not a UUID", quoted);
    }
    return set_child_text(domain, "uuid", normal, error);
}

gboolean
vmp_domain_set_name(VmpDomain *domain, const char *name, GError **error)
{
    g_autofree char *quoted = vmp_name_quote(name);

    if (!vmp_domain_is_name(name))
        return vmp_fail(error, VMP_ERROR_INVALID, "%s cannot be a domain's name", quoted);
    return set_child_text(domain, "name", name, error);
}
