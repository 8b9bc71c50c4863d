/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/domain-twin.h"

#include "base/error.h"
#include "xml/domain-private.h"
#include "xml/edit.h"

static void G_GNUC_PRINTF(2, 3) drop(GPtrArray *dropped, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(dropped, g_strdup_vprintf(format, args));
    va_end(args);
}

/* A pty for what a person would look at, and a place of its own for what a program talks to.
 */
static void
edit_chardev(VmpXmlEdit *edit, const xmlNode *node)
{
    g_autofree char *type = vmp_xml_attribute(node, "type");
    const xmlNode *source = vmp_xml_child(node, "source");
    const xmlNode *protocol = vmp_xml_child(node, "protocol");

    if (!source || g_strcmp0(type, "pty") == 0 || g_strcmp0(type, "null") == 0)
        return;
    if (!vmp_xml_is(node, NULL, "channel") || g_strcmp0(type, "unix") != 0)
        vmp_xml_edit_set_attribute(edit, node, "type", "pty");
    vmp_xml_edit_remove(edit, source);
    if (protocol)
        vmp_xml_edit_remove(edit, protocol);
}

/* A serial line may stand there as a console alone. */
static const xmlNode *
find_first_line(const xmlNode *devices)
{
    const xmlNode *serial = vmp_xml_child(devices, "serial");

    return serial ? serial : vmp_xml_child(devices, "console");
}

/* Its other children say what the guest sees. */
static void
edit_console(VmpXmlEdit *edit, const xmlNode *node, const char *path)
{
    const xmlNode *source = vmp_xml_child(node, "source");
    const xmlNode *protocol = vmp_xml_child(node, "protocol");
    const xmlNode *first = vmp_xml_child(node, NULL);
    g_autofree char *markup = g_markup_printf_escaped("<source path='%s'/>", path);

    if (!first) {
        g_autofree char *whole =
            g_strdup_printf("<%s type='file'>%s</%s>", (const char *)node->name, markup,
                            (const char *)node->name);
        vmp_xml_edit_replace(edit, node, whole);
        return;
    }
    vmp_xml_edit_set_attribute(edit, node, "type", "file");
    if (source)
        vmp_xml_edit_replace(edit, source, markup);
    else
        vmp_xml_edit_insert_before(edit, first, markup);
    if (protocol)
        vmp_xml_edit_remove(edit, protocol);
}

static gboolean
is_of_the_host(const xmlNode *node)
{
    static const char *const names[] = { "interface", "filesystem", "hostdev", "redirdev",
                                         "shmem" };

    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        if (vmp_xml_is(node, NULL, names[i]))
            return TRUE;
    return FALSE;
}

static void
edit_device(VmpXmlEdit *edit, const xmlNode *node)
{
    const xmlNode *mac =
        vmp_xml_is(node, NULL, "interface") ? vmp_xml_child(node, "mac") : NULL;

    if (mac)
        vmp_xml_edit_remove(edit, mac);
    for (const xmlNode *forward = mac || vmp_xml_is(node, NULL, "interface")
                                      ? vmp_xml_child(node, "portForward")
                                      : NULL;
         forward; forward = vmp_xml_next(forward, "portForward"))
        vmp_xml_edit_remove(edit, forward);
    if (vmp_xml_is(node, NULL, "graphics"))
        vmp_xml_edit_remove(edit, node);
    if (vmp_xml_is(node, NULL, "serial") || vmp_xml_is(node, NULL, "console") ||
        vmp_xml_is(node, NULL, "parallel") || vmp_xml_is(node, NULL, "channel"))
        edit_chardev(edit, node);
}

/* TRUE if the disk would be the first domain's own. */
static gboolean
is_foreign(const VmpDomain *domain, const char *target, const VmpTwin *twin)
{
    const VmpDomainDisk *disk = target ? vmp_domain_find_disk(domain, target) : NULL;

    return disk && disk->source && !disk->readonly &&
           !g_hash_table_contains(twin->disks, target);
}

static void
edit_devices(VmpXmlEdit *edit, const VmpDomain *domain, const xmlNode *devices,
             const VmpTwin *twin, GPtrArray *dropped)
{
    const xmlNode *line = twin->console ? find_first_line(devices) : NULL;

    for (const xmlNode *node = vmp_xml_child(devices, NULL); node;
         node = vmp_xml_next(node, NULL)) {
        g_autofree char *target = vmp_xml_is(node, NULL, "disk")
                                      ? vmp_xml_attribute(vmp_xml_child(node, "target"), "dev")
                                      : NULL;
        if (is_foreign(domain, target, twin)) {
            vmp_xml_edit_remove(edit, node);
            drop(dropped, "disk '%s' is not in the point and is left out", target);
        } else if (twin->isolated && is_of_the_host(node)) {
            vmp_xml_edit_remove(edit, node);
        } else if (node == line) {
            edit_console(edit, node, twin->console);
        } else {
            edit_device(edit, node);
        }
    }
}

static void
edit_rest(VmpXmlEdit *edit, const xmlNode *root, const VmpTwin *twin, GPtrArray *dropped)
{
    const xmlNode *nvram = vmp_xml_find(root, "os/nvram");

    for (const xmlNode *node = root->children; node; node = node->next)
        if (vmp_xml_is(node, VMP_QEMU_NAMESPACE, "commandline")) {
            vmp_xml_edit_remove(edit, node);
            drop(dropped, "the QEMU arguments of <qemu:commandline> are left out");
        }
    if (nvram && twin->nvram) {
        g_autofree char *text = vmp_xml_text_or_null(nvram);
        if (text)
            vmp_xml_edit_set_text(edit, nvram, twin->nvram);
    }
}

static VmpDomain *
edit_text(const VmpDomain *domain, const VmpTwin *twin, GPtrArray *dropped, GError **error)
{
    g_autoptr(VmpXmlDoc) doc = vmp_domain_read_document(domain->text, -1, domain->line, error);
    if (!doc)
        return NULL;

    g_autoptr(VmpXmlEdit) edit = vmp_xml_edit_new(doc);
    const xmlNode *root = vmp_xml_root(doc);
    const xmlNode *devices = vmp_xml_child(root, "devices");
    if (devices)
        edit_devices(edit, domain, devices, twin, dropped);
    edit_rest(edit, root, twin, dropped);
    g_autofree char *text = vmp_xml_edit_apply(edit);
    return vmp_domain_parse(text, -1, error);
}

VmpDomain *
vmp_domain_make_twin(const VmpDomain *domain, const VmpTwin *twin, GPtrArray *dropped,
                     GError **error)
{
    g_autoptr(VmpDomain) made = edit_text(domain, twin, dropped, error);
    GHashTableIter iter;
    gpointer target, path;

    if (!made || !vmp_domain_set_name(made, twin->name, error) ||
        !vmp_domain_set_uuid(made, twin->uuid, error))
        return NULL;
    g_hash_table_iter_init(&iter, twin->disks);
    while (g_hash_table_iter_next(&iter, &target, &path))
        if (!vmp_domain_set_disk_source(made, target, path, twin->format, error))
            return NULL;
    return g_steal_pointer(&made);
}
