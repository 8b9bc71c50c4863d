/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/domain-private.h"

static void
chardev_free(VmpDomainChardev *chardev)
{
    g_free(chardev->kind);
    g_free(chardev->type);
    g_free(chardev->path);
    g_free(chardev->host);
    g_free(chardev->service);
    g_free(chardev->target_type);
    g_free(chardev->target_name);
    g_free(chardev);
}

static gboolean
is_on(const xmlNode *node, const char *name)
{
    g_autofree char *text = vmp_xml_attribute(node, name);

    return g_strcmp0(text, "on") == 0;
}

static gboolean
read_source(VmpDomainChardev *chardev, const xmlNode *node, GError **error)
{
    static const char *const modes[] = { "bind", "connect", NULL };
    const xmlNode *source = vmp_xml_child(node, "source");
    g_autofree char *mode = vmp_xml_attribute(source, "mode");

    if (mode && !g_strv_contains(modes, mode))
        return vmp_xml_fail_value(source, "mode", mode, "is not known", error);

    /* A channel without a path is one that the launcher listens at, as with libvirt. */
    chardev->listen =
        mode ? g_str_equal(mode, "bind") : !source && g_str_equal(chardev->kind, "channel");
    chardev->host = vmp_xml_attribute(source, "host");
    chardev->service = vmp_xml_attribute(source, "service");
    chardev->append = is_on(source, "append");
    return vmp_xml_attribute_path(source, "path", &chardev->path, error);
}

static gboolean
check_source(const VmpDomainChardev *chardev, const xmlNode *node, GError **error)
{
    if (g_str_equal(chardev->type, "file") && !chardev->path)
        return vmp_xml_fail(node, error, "<source path=...> is missing");
    if (g_str_equal(chardev->type, "unix") && !chardev->path && !chardev->listen)
        return vmp_xml_fail(node, error, "<source path=...> is missing");
    if (g_str_equal(chardev->type, "tcp") && (!chardev->host || !chardev->service))
        return vmp_xml_fail(node, error, "<source host=... service=...> is missing");
    return TRUE;
}

static gboolean
read_target(VmpDomainChardev *chardev, const xmlNode *node, GError **error)
{
    const xmlNode *target = vmp_xml_child(node, "target");

    chardev->target_type = vmp_xml_attribute(target, "type");
    chardev->target_name = vmp_xml_attribute(target, "name");
    chardev->target_port = -1;
    return vmp_domain_read_int(target, "port", &chardev->target_port, error);
}

static gboolean
read_chardev(VmpDomainChardev *chardev, const xmlNode *node, GError **error)
{
    chardev->kind = g_strdup((const char *)node->name);
    chardev->type = vmp_xml_attribute(node, "type");
    if (!chardev->type)
        chardev->type = g_strdup("pty"); /* libvirt's default */
    return read_source(chardev, node, error) && check_source(chardev, node, error) &&
           read_target(chardev, node, error);
}

gboolean
vmp_domain_read_chardevs(VmpDomainView *view, const xmlNode *devices, GError **error)
{
    static const char *const kinds[] = { "serial", "parallel", "console", "channel", NULL };

    view->chardevs = g_ptr_array_new_with_free_func((GDestroyNotify)chardev_free);
    for (xmlNode *node = vmp_xml_child(devices, NULL); node; node = vmp_xml_next(node, NULL)) {
        if (node->ns || !g_strv_contains(kinds, (const char *)node->name))
            continue;
        VmpDomainChardev *chardev = g_new0(VmpDomainChardev, 1);

        g_ptr_array_add(view->chardevs, chardev);
        if (!read_chardev(chardev, node, error))
            return FALSE;
    }
    return TRUE;
}
