/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test-xml-fixture.h"
#include "xml/domain.h"

static VmpDomain *
parse(const char *xml)
{
    g_autoptr(GError) error = NULL;
    VmpDomain *domain = vmp_domain_parse(xml, -1, &error);

    g_assert_no_error(error);
    return domain;
}

static char *
unknown_of(const char *xml)
{
    g_autoptr(VmpDomain) domain = parse(xml);
    const GPtrArray *unknown = vmp_domain_get_unknown(domain);
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < unknown->len; i++)
        g_string_append_printf(text, "%s\n", (const char *)g_ptr_array_index(unknown, i));
    return g_string_free(text, FALSE);
}

static void
test_plain_domains(void)
{
    static const char *const files[] = { "domain-minimal.xml", "domain-q35-live.xml",
                                         "domain-pc.xml" };

    for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *xml = read_data(files[i]);
        g_autofree char *unknown = unknown_of(xml);

        g_assert_cmpstr(unknown, ==, "");
    }
}

static void
test_rich_domain(void)
{
    g_autofree char *xml = read_data("domain-unknown.xml");
    g_autofree char *expected = read_data("domain-unknown.txt");
    g_autofree char *unknown = unknown_of(xml);

    g_assert_cmpstr(unknown, ==, expected);
}

static void
test_disks_are_marked(void)
{
    g_autofree char *xml = read_data("domain-unknown.xml");
    g_autoptr(VmpDomain) domain = parse(xml);

    g_assert_true(vmp_domain_find_disk(domain, "vda")->unsupported);
    g_assert_true(vmp_domain_find_disk(domain, "vdb")->unsupported);
    g_assert_false(vmp_domain_find_disk(domain, "vdc")->unsupported);
}

typedef struct {
    const char *name, *xml, *unknown;
} Case;

#define DOMAIN(rest)                                                               \
    "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>" \
    "<name>n</name><memory>1024</memory><os><type>hvm</type></os>" rest "</domain>"
#define DEVICES(rest) DOMAIN("<devices>" rest "</devices>")

static const Case cases[] = {
    { "a-comment-and-metadata-are-nothing",
      DOMAIN("<!-- <hostdev/> --><metadata><x xmlns='urn:x'><hostdev/></x></metadata>"), "" },
    { "an-attribute-of-the-root",
      "<domain type='qemu' mood='x'><name>n</name><memory>1</memory>"
      "<os><type>hvm</type></os></domain>",
      "line 1: <domain mood='x'>\n" },
    { "an-element-of-another-namespace", DOMAIN("<x:a xmlns:x='urn:x'/>"),
      "line 1: <{urn:x}a>\n" },
    { "a-known-name-in-another-namespace", DEVICES("<disk xmlns='urn:x'/>"),
      "line 1: <{urn:x}disk>\n" },
    { "a-qemu-element-that-is-new", DOMAIN("<qemu:future/>"), "line 1: <qemu:future>\n" },
    { "an-attribute-with-a-namespace", DOMAIN("<vcpu qemu:x='1'>1</vcpu>"),
      "line 1: <vcpu x=''>\n" },
    { "a-second-of-what-there-is-one", DOMAIN("<clock/><clock/>"), "line 1: <clock>\n" },
    { "a-second-source-of-a-disk",
      DEVICES("<disk><source file='/a'/><source file='/b'/><target dev='vda'/></disk>"),
      "line 1: <source> in <disk>\n" },
    { "an-iothread-with-a-number-of-its-own",
      DOMAIN("<iothreads>2</iothreads><iothreadids><iothread id='2'/><iothread id='5'/>"
             "</iothreadids>"),
      "line 1: <iothread id='5'> in <iothreadids>\n" },
    { "video-memory-as-qemu-has-it-anyway",
      DEVICES("<video><model type='vga' vram='16384'/></video>"), "" },
    { "other-video-memory", DEVICES("<video><model type='vga' vram='65536'/></video>"),
      "line 1: <model vram='65536'> in <video>\n" },
    { "a-disk-bus-that-qemu-has-not-and-only-the-target-tells",
      DEVICES("<disk><source file='/a'/><target dev='xvda'/></disk>"),
      "line 1: <target dev='xvda'> in <disk>\n" },
    { "a-disk-bus-that-qemu-has-not",
      DEVICES("<disk><source file='/a'/><target dev='xvda' bus='xen'/></disk>"),
      "line 1: <target bus='xen'> in <disk>\n" },
    { "a-disk-type-is-worth-one-line",
      DEVICES("<disk type='nvme'><source type='pci' namespace='1'><address/></source>"
              "<target dev='vda'/></disk>"),
      "line 1: <disk type='nvme'>\n" },
    { "a-type-that-looks-like-a-row", DEVICES("<controller type='usb]' index='0'/>"),
      "line 1: <controller type='usb]'>\n" },
    { "a-multi-line-value-is-shown-safely", DOMAIN("<vcpu x='a&#10;b'>1</vcpu>"),
      "line 1: <vcpu x='a\\x0ab'>\n" },
};

static void
test_case(gconstpointer data)
{
    const Case *test = data;
    g_autofree char *unknown = unknown_of(test->xml);

    g_assert_cmpstr(unknown, ==, test->unknown);
}

static void
test_crowd(void)
{
    g_autofree char *crowd = repeat("<hostdev/>", 20000);
    g_autofree char *xml = replace(DEVICES("@"), "@", crowd);
    g_autoptr(VmpDomain) domain = parse(xml);

    g_assert_cmpuint(vmp_domain_get_unknown(domain)->len, ==, 1000);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xml/domain-known/nothing-is-unknown-in-plain-domains",
                    test_plain_domains);
    g_test_add_func("/xml/domain-known/everything-else-is-named-with-its-line",
                    test_rich_domain);
    g_test_add_func("/xml/domain-known/disks-are-marked", test_disks_are_marked);
    g_test_add_func("/xml/domain-known/a-crowd-is-cut", test_crowd);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/xml/domain-known/", cases[i].name, NULL);
        g_test_add_data_func(path, &cases[i], test_case);
    }
    return g_test_run();
}
