/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/domain.h"

#include "base/error.h"
#include "xml/domain-private.h"
#include "xml/edit.h"
#include "xml/name.h"

VmpXmlDoc *
vmp_domain_read_document(const char *xml, gssize length, guint line, GError **error)
{
    g_autoptr(VmpXmlDoc) doc =
        vmp_xml_parse_part(xml, length, line, NULL, "domain XML", error);
    if (!doc)
        return NULL;

    const xmlNode *root = vmp_xml_root(doc);
    if (vmp_xml_is(root, NULL, "domain") || vmp_xml_is(root, NULL, "inactiveDomain"))
        return g_steal_pointer(&doc);

    g_autofree char *found = vmp_name_quote((const char *)root->name);
    return vmp_fail_null(error, VMP_ERROR_INVALID,
                         "domain XML: line %u: the root element is %s, not 'domain'",
                         vmp_xml_line(root), found);
}

VmpDomainView *
vmp_domain_read_view(const VmpXmlDoc *doc, GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain XML");

    return vmp_domain_view_new(doc, error);
}

static VmpDomain *
parse(const char *xml, gssize length, guint first_line, GError **error)
{
    g_autoptr(VmpXmlDoc) doc = vmp_domain_read_document(xml, length, first_line, error);
    g_autoptr(VmpDomainView) view = doc ? vmp_domain_read_view(doc, error) : NULL;
    if (!view)
        return NULL;

    VmpDomain *domain = g_new0(VmpDomain, 1);
    domain->text = vmp_xml_serialize(vmp_xml_root(doc));
    domain->line = vmp_xml_line(vmp_xml_root(doc));
    domain->view = g_steal_pointer(&view);
    domain->past = g_ptr_array_new_with_free_func((GDestroyNotify)vmp_domain_view_free);
    return domain;
}

VmpDomain *
vmp_domain_parse(const char *xml, gssize length, GError **error)
{
    return parse(xml, length, 1, error);
}

VmpDomain *
vmp_domain_parse_part(const char *xml, guint line, GError **error)
{
    return parse(xml, -1, line, error);
}

VmpDomain *
vmp_domain_copy(const VmpDomain *domain)
{
    VmpDomain *copy = parse(domain->text, -1, domain->line, NULL);

    g_assert(copy); /* it was read from the same text before */
    return copy;
}

void
vmp_domain_free(VmpDomain *domain)
{
    if (!domain)
        return;
    g_free(domain->text);
    vmp_domain_view_free(domain->view);
    g_ptr_array_unref(domain->past);
    g_free(domain);
}

/* What libvirt shows only when it is asked for security information.  Wherever it stands:
 * a list of devices may be given twice, and sources have sources in them. */
static void
remove_secrets(VmpXmlEdit *edit, const xmlNode *node)
{
    if (vmp_xml_is(node, NULL, "cookies")) {
        vmp_xml_edit_remove(edit, node);
        return;
    }
    if (vmp_xml_is(node, NULL, "graphics"))
        vmp_xml_edit_remove_attribute(edit, node, "passwd");
    for (xmlNode *child = vmp_xml_child(node, NULL); child; child = vmp_xml_next(child, NULL))
        remove_secrets(edit, child);
}

char *
vmp_domain_mask(const char *xml)
{
    g_autoptr(VmpXmlDoc) doc = vmp_xml_parse(xml, -1, NULL, "domain XML", NULL);
    if (!doc)
        return g_strdup("");

    g_autoptr(VmpXmlEdit) edit = vmp_xml_edit_new(doc);
    remove_secrets(edit, vmp_xml_root(doc));
    return vmp_xml_edit_apply(edit);
}

char *
vmp_domain_format(const VmpDomain *domain, VmpDomainFormatFlags flags)
{
    const char *root = flags & VMP_DOMAIN_FORMAT_INACTIVE_ROOT ? "inactiveDomain" : "domain";
    gboolean has_root = g_str_has_prefix(domain->text + 1, root);

    if (has_root && flags & VMP_DOMAIN_FORMAT_SECURE)
        return g_strdup(domain->text);

    g_autoptr(VmpXmlDoc) doc = vmp_xml_parse(domain->text, -1, NULL, "domain XML", NULL);
    g_autoptr(VmpXmlEdit) edit = vmp_xml_edit_new(doc);

    if (!has_root)
        vmp_xml_edit_rename(edit, vmp_xml_root(doc), root);
    if (!(flags & VMP_DOMAIN_FORMAT_SECURE))
        remove_secrets(edit, vmp_xml_root(doc));
    return vmp_xml_edit_apply(edit);
}

const VmpDomainDisk *
vmp_domain_find_disk(const VmpDomain *domain, const char *name)
{
    const VmpDomainDisk *found = NULL;

    for (guint i = 0; i < domain->view->disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(domain->view->disks, i);

        if (!g_str_equal(disk->target, name) && g_strcmp0(disk->source, name) != 0)
            continue;
        if (found)
            return NULL;
        found = disk;
    }
    return found;
}

#define GETTER(type, name, value)                       \
    type vmp_domain_get_##name(const VmpDomain *domain) \
    {                                                   \
        const VmpDomainView *view = domain->view;       \
        return value;                                   \
    }

GETTER(const char *, type, view->type)
GETTER(const char *, name, view->name)
GETTER(const char *, uuid, view->uuid)
GETTER(guint64, memory, view->memory)
GETTER(guint64, current_memory, view->current_memory)
GETTER(guint, vcpus, view->vcpus)
GETTER(guint, current_vcpus, view->current_vcpus)
GETTER(guint, iothreads, view->iothreads)
GETTER(const VmpDomainOs *, os, &view->os)
GETTER(const VmpDomainCpu *, cpu, &view->cpu)
GETTER(const char *, clock_offset, view->clock_offset)
GETTER(const GPtrArray *, timers, view->timers)
GETTER(const char *, on_poweroff, view->on_poweroff)
GETTER(const char *, on_reboot, view->on_reboot)
GETTER(const char *, on_crash, view->on_crash)
GETTER(const char *, emulator, view->emulator)
GETTER(const GPtrArray *, disks, view->disks)
GETTER(const GPtrArray *, controllers, view->controllers)
GETTER(const GPtrArray *, interfaces, view->interfaces)
GETTER(const GPtrArray *, chardevs, view->chardevs)
GETTER(const GPtrArray *, graphics, view->graphics)
GETTER(const GPtrArray *, videos, view->videos)
GETTER(const GPtrArray *, rngs, view->rngs)
GETTER(const char *, memballoon, view->memballoon)
GETTER(const char *, watchdog, view->watchdog)
GETTER(const char *, watchdog_action, view->watchdog_action)
GETTER(const VmpDomainTpm *, tpm, view->tpm)
GETTER(const GPtrArray *, inputs, view->inputs)
GETTER(const char *, genid, view->genid)
GETTER(const GPtrArray *, qemu_args, view->qemu_args)
GETTER(const GPtrArray *, qemu_env, view->qemu_env)
GETTER(const GPtrArray *, unknown, view->unknown)

gboolean
vmp_domain_has_genid(const VmpDomain *domain)
{
    return domain->view->has_genid;
}

int
vmp_domain_get_feature(const VmpDomain *domain, const char *name)
{
    void *state = NULL;

    return g_hash_table_lookup_extended(domain->view->features, name, NULL, &state)
               ? GPOINTER_TO_INT(state)
               : -1;
}

int
vmp_domain_get_pm(const VmpDomain *domain, const char *name)
{
    return g_str_equal(name, "suspend-to-mem")    ? domain->view->suspend_to_mem
           : g_str_equal(name, "suspend-to-disk") ? domain->view->suspend_to_disk
                                                  : -1;
}
