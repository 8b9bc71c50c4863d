/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test-xml-fixture.h"
#include "xml/domain.h"

static VmpDomain *
read_domain(const char *name)
{
    g_autofree char *xml = read_data(name);
    g_autoptr(GError) error = NULL;
    VmpDomain *domain = vmp_domain_parse(xml, -1, &error);

    g_assert_no_error(error);
    return domain;
}

static void
assert_address(const VmpDomain *domain, const char *element, guint nth, const char *expected,
               gboolean expected_multifunction)
{
    gboolean multifunction = !expected_multifunction;
    g_autofree char *address =
        vmp_domain_get_pci_address(domain, element, nth, &multifunction);

    g_assert_cmpstr(address, ==, expected);
    g_assert_cmpint(multifunction, ==, expected_multifunction);
}

static void
test_pci(void)
{
    g_autoptr(VmpDomain) domain = read_domain("domain-q35-live.xml");

    assert_address(domain, "video", 0, "0000:00:01.0", FALSE);
    assert_address(domain, "memballoon", 0, "0000:06:00.0", FALSE);
    assert_address(domain, "controller", 2, "0000:00:02.0", TRUE);
    assert_address(domain, "video", 1, NULL, FALSE);
    assert_address(domain, "watchdog", 0, NULL, FALSE);
    assert_address(domain, "input", 0, NULL, FALSE);
}

static void
test_serial_port(void)
{
    g_autoptr(VmpDomain) domain = read_domain("domain-q35-live.xml");
    guint controller = 9, port = 9;

    g_assert_true(vmp_domain_get_serial_port(domain, "channel", 0, &controller, &port));
    g_assert_cmpuint(controller, ==, 0);
    g_assert_cmpuint(port, ==, 1);
    g_assert_false(vmp_domain_get_serial_port(domain, "channel", 1, &controller, &port));
    g_assert_false(vmp_domain_get_serial_port(domain, "video", 0, &controller, &port));
}

static void
test_no_devices(void)
{
    g_autoptr(VmpDomain) domain = read_domain("domain-minimal.xml");
    guint controller = 0, port = 0;

    assert_address(domain, "video", 0, NULL, FALSE);
    g_assert_false(vmp_domain_get_serial_port(domain, "channel", 0, &controller, &port));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xml/domain-place/pci-addresses-by-element-and-number", test_pci);
    g_test_add_func("/xml/domain-place/ports-on-a-virtio-serial-bus", test_serial_port);
    g_test_add_func("/xml/domain-place/a-domain-without-devices-has-none", test_no_devices);
    return g_test_run();
}
