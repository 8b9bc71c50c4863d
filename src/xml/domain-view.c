/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "xml/domain-private.h"
#include "xml/markup.h"
#include "xml/name.h"

void
vmp_domain_view_free(VmpDomainView *view)
{
    if (!view)
        return;

    GPtrArray *arrays[] = { view->disks,    view->controllers, view->interfaces,
                            view->chardevs, view->graphics,    view->videos,
                            view->rngs,     view->inputs,      view->qemu_args,
                            view->qemu_env, view->unknown };
    for (guint i = 0; i < G_N_ELEMENTS(arrays); i++)
        if (arrays[i])
            g_ptr_array_unref(arrays[i]);

    char *owned[] = {
        view->type,     view->name,       view->uuid,     view->genid,
        view->emulator, view->memballoon, view->watchdog, view->watchdog_action
    };
    for (guint i = 0; i < G_N_ELEMENTS(owned); i++)
        g_free(owned[i]);
    vmp_domain_tpm_free(view->tpm);
    vmp_domain_clear_machine(view);
    g_free(view);
}

char *
vmp_domain_normal_uuid(const char *text)
{
    g_autoptr(GString) uuid = g_string_new(NULL);

    for (const char *at = text; *at; at++) {
        if (*at == '-')
            continue;
        if (!g_ascii_isxdigit(*at) || uuid->len == 36)
            return NULL;
        if (uuid->len == 8 || uuid->len == 13 || uuid->len == 18 || uuid->len == 23)
            g_string_append_c(uuid, '-');
        g_string_append_c(uuid, g_ascii_tolower(*at));
    }
    return uuid->len == 36 ? g_string_free(g_steal_pointer(&uuid), FALSE) : NULL;
}

gboolean
vmp_domain_read_uuid(const xmlNode *node, char **uuid, GError **error)
{
    g_autofree char *text = vmp_xml_text(node);

    if (!text)
        return TRUE;
    *uuid = vmp_domain_normal_uuid(g_strstrip(text));
    if (*uuid)
        return TRUE;
    g_autofree char *quoted = vmp_name_quote(text);
    return vmp_xml_fail(node, error, "%s is not a UUID", quoted);
}

gboolean
vmp_domain_is_name(const char *name)
{
    return name[0] != '\0' && !strpbrk(name, "/\n") && vmp_markup_can_hold(name) &&
           !g_str_equal(name, ".") && !g_str_equal(name, "..");
}

static gboolean
read_identity(VmpDomainView *view, const xmlNode *root, GError **error)
{
    const xmlNode *name = vmp_xml_child(root, "name");
    const xmlNode *genid = vmp_xml_child(root, "genid");

    view->type = vmp_xml_attribute(root, "type");
    if (!view->type)
        return vmp_xml_fail(root, error, "type is missing");
    if (!g_str_equal(view->type, "qemu") && !g_str_equal(view->type, "kvm")) {
        g_autofree char *quoted = vmp_name_quote(view->type);
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "line %u: <domain>: type=%s, only 'qemu' and 'kvm'",
                        vmp_xml_line(root), quoted);
    }

    view->name = vmp_xml_text(name);
    if (!view->name)
        return vmp_xml_fail(root, error, "<name> is missing");
    if (!vmp_domain_is_name(view->name)) {
        g_autofree char *quoted = vmp_name_quote(view->name);
        return vmp_xml_fail(name, error, "%s cannot be a domain's name", quoted);
    }

    view->has_genid = genid != NULL;
    g_autofree char *id = vmp_xml_text(genid);
    if (id && g_strstrip(id)[0] != '\0' && !vmp_domain_read_uuid(genid, &view->genid, error))
        return FALSE;
    return vmp_domain_read_uuid(vmp_xml_child(root, "uuid"), &view->uuid, error);
}

static void
read_qemu_commandline(VmpDomainView *view, const xmlNode *root)
{
    view->qemu_args = g_ptr_array_new_with_free_func(g_free);
    view->qemu_env = g_ptr_array_new_with_free_func(g_free);

    xmlNode *line = vmp_xml_child(root, NULL);
    while (line && !vmp_xml_is(line, VMP_QEMU_NAMESPACE, "commandline"))
        line = vmp_xml_next(line, NULL);

    for (xmlNode *node = vmp_xml_child(line, NULL); node; node = vmp_xml_next(node, NULL)) {
        g_autofree char *name = vmp_xml_attribute(node, "name");
        g_autofree char *value = vmp_xml_attribute(node, "value");

        if (vmp_xml_is(node, VMP_QEMU_NAMESPACE, "arg") && value)
            g_ptr_array_add(view->qemu_args, g_steal_pointer(&value));
        else if (vmp_xml_is(node, VMP_QEMU_NAMESPACE, "env") && name)
            g_ptr_array_add(view->qemu_env,
                            g_strdup_printf("%s=%s", name, value ? value : ""));
    }
}

/* An order belongs to one device, and the two ways to say it exclude each other. */
static gboolean
check_boot_orders(const VmpDomainView *view, const xmlNode *root, GError **error)
{
    const xmlNode *devices = vmp_xml_child(root, "devices");
    g_autoptr(GHashTable) orders = g_hash_table_new(NULL, NULL);

    for (xmlNode *node = vmp_xml_child(devices, NULL); node; node = vmp_xml_next(node, NULL)) {
        guint order = 0;

        if (!vmp_domain_read_boot_order(node, &order, error))
            return FALSE;
        if (order == 0)
            continue;
        if (view->os.boot->len > 0)
            return vmp_xml_fail(node, error, "<boot order> and <os><boot> exclude each other");
        if (!g_hash_table_add(orders, GUINT_TO_POINTER(order)))
            return vmp_xml_fail(node, error, "boot order %u is given twice", order);
    }
    return TRUE;
}

/* libvirt takes the ids for the number where the number is not said. */
static void
count_iothreads(VmpDomainView *view, const xmlNode *root)
{
    const xmlNode *ids = vmp_xml_child(root, "iothreadids");
    guint count = 0;

    for (xmlNode *node = vmp_xml_child(ids, "iothread"); node;
         node = vmp_xml_next(node, "iothread"))
        count++;
    view->iothreads = MAX(view->iothreads, count);
}

VmpDomainView *
vmp_domain_view_new(const VmpXmlDoc *doc, GError **error)
{
    g_autoptr(VmpDomainView) view = g_new0(VmpDomainView, 1);
    const xmlNode *root = vmp_xml_root(doc);
    const xmlNode *devices = vmp_xml_child(root, "devices");

    if (!read_identity(view, root, error) || !vmp_domain_read_machine(view, root, error) ||
        !vmp_domain_read_disks(view, devices, error) ||
        !vmp_domain_read_chardevs(view, devices, error) ||
        !vmp_domain_read_devices(view, devices, error) ||
        !check_boot_orders(view, root, error))
        return NULL;
    count_iothreads(view, root);
    read_qemu_commandline(view, root);
    vmp_domain_find_unknown(view, root);
    return g_steal_pointer(&view);
}
