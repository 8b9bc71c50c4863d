/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/domain-twin.h"

#include <string.h>

#include "base/error.h"

static const char first[] =
    "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
    "  <name>vm</name>\n"
    "  <uuid>c797a770-a2ce-4364-b2a3-1c450ad69915</uuid>\n"
    "  <memory unit='MiB'>64</memory>\n"
    "  <os><type arch='x86_64'>hvm</type><nvram>/old/vars.fd</nvram></os>\n"
    "  <devices>\n"
    "    <disk type='file' device='disk'><driver name='qemu' type='raw'/><source "
    "file='/old/a'/>"
    "<target dev='vda' bus='virtio'/></disk>\n"
    "    <disk type='file' device='disk'><source file='/old/b'/><target dev='vdb' "
    "bus='virtio'/>"
    "</disk>\n"
    "    <disk type='file' device='cdrom'><source file='/iso'/><target dev='sda' bus='sata'/>"
    "<readonly/></disk>\n"
    "    <interface type='user'><mac address='52:54:00:00:00:01'/></interface>\n"
    "    <serial type='unix'><source mode='bind' path='/old/console'/></serial>\n"
    "    <channel type='unix'><source mode='bind' path='/old/agent'/>"
    "<target type='virtio' name='org.qemu.guest_agent.0'/></channel>\n"
    "    <graphics type='vnc' port='5901' passwd='secret'/>\n"
    "  </devices>\n"
    "  <qemu:commandline><qemu:arg value='-chardev'/></qemu:commandline>\n"
    "</domain>";

static void
a_twin_has_nothing_that_only_one_of_two_can_have(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpDomain) domain = vmp_domain_parse(first, -1, &error);
    g_autoptr(GHashTable) disks = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) dropped = g_ptr_array_new_with_free_func(g_free);
    const char *const gone[] = {
        "/old/", "52:54", "5901", "secret", "commandline", "c797a770"
    };
    g_assert_no_error(error);

    g_hash_table_insert(disks, (gpointer) "vda", (gpointer) "/new/a");
    const VmpTwin twin = { "twin", "11111111-2222-4333-8444-555555555555", "/new/vars.fd",
                           disks, "qcow2" };
    g_autoptr(VmpDomain) made = vmp_domain_make_twin(domain, &twin, dropped, &error);
    g_assert_no_error(error);
    g_autofree char *text = vmp_domain_format(made, VMP_DOMAIN_FORMAT_SECURE);
    for (guint i = 0; i < G_N_ELEMENTS(gone); i++)
        g_assert_null(strstr(text, gone[i]));

    g_assert_cmpstr(vmp_domain_get_name(made), ==, "twin");
    g_assert_cmpstr(vmp_domain_get_uuid(made), ==, twin.uuid);
    g_assert_cmpstr(vmp_domain_get_os(made)->nvram, ==, "/new/vars.fd");
    g_assert_cmpstr(vmp_domain_find_disk(made, "vda")->source, ==, "/new/a");
    g_assert_cmpstr(vmp_domain_find_disk(made, "vda")->driver, ==, "qcow2");
    g_assert_null(vmp_domain_find_disk(made, "vdb"));
    g_assert_cmpstr(vmp_domain_find_disk(made, "sda")->source, ==, "/iso");
    g_assert_cmpuint(vmp_domain_get_interfaces(made)->len, ==, 1);
    g_assert_cmpuint(dropped->len, ==, 2);
    /* The first one is as it was. */
    g_assert_cmpstr(vmp_domain_find_disk(domain, "vdb")->source, ==, "/old/b");
}

static void
an_isolated_one_has_no_network_and_talks_to_a_file(void)
{
    static const char *const lines[] = {
        "<serial type='unix'><source mode='bind' path='/old/console'/><target "
        "type='isa-serial' "
        "port='0'/></serial>",
        "<serial type='pty'><target port='0'/></serial>",
        "<serial type='pty'/>",
        "<console type='pty'><target type='serial' port='0'/></console>",
    };

    for (guint i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *xml = g_strdup_printf(
            "<domain "
            "type='qemu'><name>vm</name><memory>65536</memory><os><type>hvm</type></os>"
            "<devices><interface type='user'/><filesystem type='mount'><source dir='/srv'/>"
            "<target dir='t'/></filesystem>%s<serial type='tcp'><source mode='bind' host='h' "
            "service='1'/><target port='1'/></serial></devices></domain>",
            lines[i]);
        g_autoptr(VmpDomain) domain = vmp_domain_parse(xml, -1, &error);
        g_autoptr(GHashTable) disks = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(GPtrArray) dropped = g_ptr_array_new_with_free_func(g_free);
        const VmpTwin twin = { .name = "twin",
                               .uuid = "11111111-2222-4333-8444-555555555555",
                               .disks = disks,
                               .isolated = TRUE,
                               .console = "/new/<console>" };
        g_assert_no_error(error);
        g_autoptr(VmpDomain) made = vmp_domain_make_twin(domain, &twin, dropped, &error);
        g_assert_no_error(error);

        g_autofree char *text = vmp_domain_format(made, VMP_DOMAIN_FORMAT_SECURE);
        g_assert_null(strstr(text, "interface"));
        g_assert_null(strstr(text, "filesystem"));
        g_assert_null(strstr(text, "/old/"));
        guint files = 0;
        for (guint j = 0; j < vmp_domain_get_chardevs(made)->len; j++) {
            const VmpDomainChardev *chardev =
                g_ptr_array_index(vmp_domain_get_chardevs(made), j);
            if (!g_str_equal(chardev->type, "file"))
                continue;
            g_assert_cmpstr(chardev->path, ==, "/new/<console>");
            files++;
        }
        g_assert_cmpuint(files, ==, 1);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xml/domain-twin/twin", a_twin_has_nothing_that_only_one_of_two_can_have);
    g_test_add_func("/xml/domain-twin/isolated",
                    an_isolated_one_has_no_network_and_talks_to_a_file);
    return g_test_run();
}
