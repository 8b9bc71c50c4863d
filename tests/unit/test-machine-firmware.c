/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/firmware.h"
#include "test-machine-fixture.h"

#define DESCRIPTOR(interface, device, arch, machines, features)                            \
    "{\"interface-types\": [\"" interface "\"], \"mapping\": {\"device\": \"" device "\"," \
    "\"executable\": {\"filename\": \"/c\", \"format\": \"raw\"}},"                        \
    "\"targets\": [{\"architecture\": \"" arch "\", \"machines\": [" machines "]}],"       \
    "\"features\": [" features "]}"

static void
a_descriptor_fits_interface_machine_and_security(void)
{
    static const struct {
        const char *descriptor, *machine;
        gboolean is_secure, fits;
    } cases[] = {
        { DESCRIPTOR("uefi", "flash", "x86_64", "\"pc-q35-*\"", ""), "q35", FALSE, TRUE },
        { DESCRIPTOR("uefi", "flash", "x86_64", "\"pc-q35-*\"", ""), "pc-q35-6.1", FALSE,
          TRUE },
        { DESCRIPTOR("uefi", "flash", "x86_64", "\"pc-q35-*\"", ""), "pc", FALSE, FALSE },
        { DESCRIPTOR("uefi", "flash", "x86_64", "\"pc-q35-*\", \"pc-i440fx-*\"", ""), NULL,
          FALSE, TRUE },
        { DESCRIPTOR("uefi", "flash", "aarch64", "\"virt-*\"", ""), "q35", FALSE, FALSE },
        { DESCRIPTOR("bios", "flash", "x86_64", "\"pc-q35-*\"", ""), "q35", FALSE, FALSE },
        { DESCRIPTOR("uefi", "memory", "x86_64", "\"pc-q35-*\"", ""), "q35", FALSE, FALSE },
        { DESCRIPTOR("uefi", "flash", "x86_64", "\"pc-q35-*\"", "\"secure-boot\""), "q35",
          FALSE, FALSE },
        { DESCRIPTOR("uefi", "flash", "x86_64", "\"pc-q35-*\"", "\"secure-boot\""), "q35",
          TRUE, TRUE },
        { DESCRIPTOR("uefi", "flash", "x86_64", "\"pc-q35-*\"", ""), "q35", TRUE, FALSE },
        { "{}", "q35", FALSE, FALSE },
        { "[]", "q35", FALSE, FALSE },
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(VmpJson) descriptor = vmp_json_parse(cases[i].descriptor, -1, NULL);
        VmpDomainOs os = {
            .arch = (char *)"x86_64",
            .machine = (char *)cases[i].machine,
            .loader_secure = cases[i].is_secure,
        };

        g_test_message("%s", cases[i].descriptor);
        g_assert_nonnull(descriptor);
        g_assert_cmpint(vmp_firmware_fits(descriptor, &os), ==, cases[i].fits);
    }
}

/* ---- variables ---- */

static void
write_file(const Fixture *fixture, const char *name, const char *content)
{
    g_autofree char *path = fixture_path(fixture, name);

    g_assert_true(g_file_set_contents(path, content, -1, NULL));
}

static char *
read_file(const Fixture *fixture, const char *name)
{
    g_autofree char *path = fixture_path(fixture, name);
    char *content = NULL;

    g_assert_true(g_file_get_contents(path, &content, NULL, NULL));
    return content;
}

static char *
uefi_xml(const Fixture *fixture, const char *nvram)
{
    return g_strdup_printf(
        "<domain type='qemu'><name>vm</name><uuid>" FIXTURE_UUID "</uuid>"
        "<memory unit='MiB'>64</memory><os><type machine='q35'>hvm</type>"
        "<loader type='pflash' readonly='yes'>%s/code.fd</loader>%s</os></domain>",
        fixture->dir, nvram);
}

static gboolean
prepare(const Fixture *fixture, gboolean reset, VmpFirmware *firmware, GError **error)
{
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);

    return vmp_firmware_prepare(machine, vmp_machine_get_inactive(machine, NULL), reset,
                                firmware, error);
}

static void
variables_begin_as_a_copy_and_are_then_the_domains_own(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *nvram = g_strdup_printf(
        "<nvram template='%s/template.fd'>%s/sub/vars.fd</nvram>", fixture->dir, fixture->dir);
    g_autofree char *xml = uefi_xml(fixture, nvram);
    g_autofree char *path = fixture_path(fixture, "sub/vars.fd");
    struct stat info;
    (void)data;

    fixture_define(fixture, xml);
    write_file(fixture, "template.fd", "fresh");
    {
        g_auto(VmpFirmware) firmware = { 0 };
        g_assert_true(prepare(fixture, FALSE, &firmware, &error));
        g_assert_no_error(error);
        g_assert_cmpstr(firmware.nvram, ==, path);
        g_assert_cmpstr(firmware.nvram_format, ==, "raw");
    }
    g_autofree char *made = read_file(fixture, "sub/vars.fd");
    g_assert_cmpstr(made, ==, "fresh");
    g_assert_cmpint(stat(path, &info), ==, 0);
    g_assert_cmpuint(info.st_mode & 0777, ==, 0600);
    g_autoptr(VmpStoreFile) file = vmp_store_find_file(fixture->host->store, path, NULL);
    g_assert_nonnull(file);
    g_assert_cmpstr(file->role, ==, "nvram");

    write_file(fixture, "sub/vars.fd", "used");
    {
        g_auto(VmpFirmware) firmware = { 0 };
        g_assert_true(prepare(fixture, FALSE, &firmware, &error));
    }
    g_autofree char *kept = read_file(fixture, "sub/vars.fd");
    g_assert_cmpstr(kept, ==, "used");
    {
        g_auto(VmpFirmware) firmware = { 0 };
        g_assert_true(prepare(fixture, TRUE, &firmware, &error));
        g_assert_no_error(error);
    }
    g_autofree char *reset = read_file(fixture, "sub/vars.fd");
    g_assert_cmpstr(reset, ==, "fresh");
}

static void
without_a_path_they_are_in_the_state_folder(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *nvram =
        g_strdup_printf("<nvram template='%s/template.fd'/>", fixture->dir);
    g_autofree char *xml = uefi_xml(fixture, nvram);
    g_auto(VmpFirmware) firmware = { 0 };
    (void)data;

    fixture_define(fixture, xml);
    write_file(fixture, "template.fd", "fresh");
    g_assert_true(prepare(fixture, FALSE, &firmware, &error));
    g_assert_no_error(error);
    g_assert_true(fixture_exists(fixture, "state/nvram/vm_VARS.fd"));
    g_assert_true(g_str_has_suffix(firmware.nvram, "/state/nvram/vm_VARS.fd"));
}

static void
without_a_template_nothing_can_be_made(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *nvram = g_strdup_printf("<nvram>%s/vars.fd</nvram>", fixture->dir);
    g_autofree char *xml = uefi_xml(fixture, nvram);
    g_auto(VmpFirmware) firmware = { 0 };
    (void)data;

    fixture_define(fixture, xml);
    g_assert_false(prepare(fixture, FALSE, &firmware, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_UNSUPPORTED);
    g_assert_false(fixture_exists(fixture, "vars.fd"));
}

static void
a_machine_without_uefi_has_none(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = fixture_xml(fixture, "well");
    g_auto(VmpFirmware) firmware = { 0 };
    (void)data;

    fixture_define(fixture, xml);
    g_assert_true(prepare(fixture, FALSE, &firmware, &error));
    g_assert_no_error(error);
    g_assert_null(firmware.loader);
    g_assert_null(firmware.nvram);
}

int
main(int argc, char **argv)
{
    fixture_init(&argc, &argv);
    g_test_add_func("/machine/firmware/a-descriptor-fits-interface-machine-and-security",
                    a_descriptor_fits_interface_machine_and_security);
    FIXTURE_TEST("/machine/firmware/variables-begin-as-a-copy-and-are-then-the-domains-own",
                 variables_begin_as_a_copy_and_are_then_the_domains_own);
    FIXTURE_TEST("/machine/firmware/without-a-path-they-are-in-the-state-folder",
                 without_a_path_they_are_in_the_state_folder);
    FIXTURE_TEST("/machine/firmware/without-a-template-nothing-can-be-made",
                 without_a_template_nothing_can_be_made);
    FIXTURE_TEST("/machine/firmware/a-machine-without-uefi-has-none",
                 a_machine_without_uefi_has_none);
    return g_test_run();
}
