/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/launch.h"

#include <string.h>

#include "base/error.h"

/* ---- command lines ----
 *
 * tests/data/launch/NAME.xml makes NAME.args, a word a line.  All of them have been started
 * with QEMU 7.2 (kvm.xml as TCG).  VMPOINT_TEST_REGENERATE=1 writes them anew: read the diff.
 */

static char *
data_path(const char *name, const char *suffix)
{
    g_autofree char *file = g_strconcat(name, suffix, NULL);

    return g_build_filename(g_getenv("VMPOINT_TEST_DATA"), "launch", file, NULL);
}

static VmpDomain *
read_domain(const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = data_path(name, ".xml");
    g_autofree char *xml = NULL;

    g_assert_true(g_file_get_contents(path, &xml, NULL, NULL));
    VmpDomain *domain = vmp_domain_parse(xml, -1, &error);
    g_assert_no_error(error);
    return domain;
}

/* What a start would give, with descriptors in place of real ones. */
static char **
make_command(const VmpDomain *domain)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GHashTable) sockets = g_hash_table_new(g_str_hash, g_str_equal);
    const char *nvram = vmp_domain_get_os(domain)->nvram;
    VmpLaunchHost host = {
        .prefix = "/run/vm/1.",
        .agent_path = "/run/vm/1.agent",
        .password_path = "/run/vm/1.password",
        .monitor_fd = 3,
        .query_fd = 4,
        .tpm_fd = 9,
        .loader_path = "/usr/share/OVMF/OVMF_CODE_4M.fd",
        .loader_format = "raw",
        .nvram_path = nvram ? nvram : "/var/lib/vmpoint/nvram/vm_VARS.fd",
        .nvram_format = "raw",
        .sockets = sockets,
    };
    g_autoptr(GPtrArray) paths = vmp_launch_socket_paths(domain, &host);

    for (guint i = 0; i < paths->len; i++)
        g_hash_table_insert(sockets, g_ptr_array_index(paths, i), GINT_TO_POINTER(5 + (int)i));
    char **argv = vmp_launch_command(domain, &host, &error);
    g_assert_no_error(error);
    return argv;
}

static void
the_command_line_is_the_one_that_was_tried(gconstpointer data)
{
    const char *name = data;
    g_autoptr(VmpDomain) domain = read_domain(name);
    g_auto(GStrv) argv = make_command(domain);
    g_autofree char *joined = g_strjoinv("\n", argv);
    g_autofree char *made = g_strconcat(joined, "\n", NULL);
    g_autofree char *path = data_path(name, ".args");
    g_autofree char *expected = NULL;

    if (g_getenv("VMPOINT_TEST_REGENERATE"))
        g_assert_true(g_file_set_contents(path, made, -1, NULL));
    g_assert_true(g_file_get_contents(path, &expected, NULL, NULL));
    g_assert_cmpstr(made, ==, expected);
}

static gboolean
has_word(char **argv, const char *word)
{
    return g_strv_contains((const char *const *)argv, word);
}

static void
what_is_added_for_ram_that_comes_later(void)
{
    g_autoptr(VmpDomain) domain = read_domain("plain");
    VmpLaunchHost host = { .monitor_fd = -1, .query_fd = -1, .incoming = TRUE };
    g_auto(GStrv) argv = vmp_launch_command(domain, &host, NULL);

    g_assert_true(has_word(argv, "-incoming"));
    g_assert_true(has_word(argv, "defer"));
    g_assert_false(has_word(argv, "-mon"));
}

static void
a_new_generation_id_is_not_the_definitions(void)
{
    g_autoptr(VmpDomain) domain = read_domain("q35");
    VmpLaunchHost host = { .monitor_fd = -1, .query_fd = -1, .new_genid = TRUE };
    g_auto(GStrv) argv = vmp_launch_command(domain, &host, NULL);

    g_assert_true(has_word(argv, "vmgenid,guid=auto,id=vmgenid0"));
}

static void
an_interface_without_an_address_always_has_the_same(void)
{
    g_autoptr(VmpDomain) domain = read_domain("pc");
    VmpLaunchHost host = { .monitor_fd = -1, .query_fd = -1 };
    g_auto(GStrv) once = vmp_launch_command(domain, &host, NULL);
    g_auto(GStrv) again = vmp_launch_command(domain, &host, NULL);
    g_autofree char *text = g_strjoinv(" ", once);

    g_assert_true(g_strv_equal((const char *const *)once, (const char *const *)again));
    g_assert_nonnull(strstr(text, "id=net1,mac=52:54:00:"));
}

/* ---- refusals ---- */

#define HEAD                                                                             \
    "<domain type='%s'><name>vm</name><uuid>6695eb01-f6a4-8304-79aa-97f2502e193f</uuid>" \
    "<memory>65536</memory><vcpu>%s</vcpu>"
#define OS "<os><type arch='x86_64' machine='%s'>hvm</type></os>"

static VmpDomain *
make_domain(const char *machine, const char *parts, const char *devices)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = g_strdup_printf(HEAD OS "%s<devices>%s</devices></domain>", "qemu",
                                           "1", machine, parts, devices);
    VmpDomain *domain = vmp_domain_parse(xml, -1, &error);

    g_assert_no_error(error);
    return domain;
}

#define DISK(target, bus, more)                                        \
    "<disk type='file' device='disk'><driver name='qemu' type='raw'/>" \
    "<source file='/d'/><target dev='" target "' bus='" bus "'/>" more "</disk>"

#define EXPORT(driver, source)                                                        \
    "<disk type='network'><driver name='qemu' type='raw' " driver "/><source " source \
    "><host name='h'/></source><target dev='vda' bus='virtio'/></disk>"

typedef struct {
    const char *machine, *parts, *devices;
    VmpErrorCode code;
    const char *named; /* what the message must name */
} Refusal;

static const Refusal refusals[] = {
    { "q35", "", "<hostdev mode='subsystem' type='usb'/>", VMP_ERROR_UNSUPPORTED, "hostdev" },
    { "q35", "<on_poweroff>restart</on_poweroff>", "", VMP_ERROR_UNSUPPORTED, "on_poweroff" },
    { "q35", "<on_reboot>preserve</on_reboot>", "", VMP_ERROR_UNSUPPORTED, "on_reboot" },
    { "q35", "<cpu mode='host-passthrough'/>", "", VMP_ERROR_UNSUPPORTED, "host-passthrough" },
    { "q35", "<clock offset='utc'><timer name='tsc'/></clock>", "", VMP_ERROR_UNSUPPORTED,
      "'tsc'" },
    { "q35", "", DISK("hda", "ide", ""), VMP_ERROR_UNSUPPORTED, "disk hda" },
    { "q35", "", DISK("vda", "virtio", "<wwn>5000c50015ea71ad</wwn>"), VMP_ERROR_UNSUPPORTED,
      "<wwn>" },
    { "q35", "", DISK("sda", "sata", "<vendor>A</vendor>"), VMP_ERROR_UNSUPPORTED,
      "<vendor>" },
    { "q35", "", DISK("vda", "virtio", "<transient/>"), VMP_ERROR_UNSUPPORTED, "transient" },
    { "q35", "", EXPORT("", "protocol='rbd' name='p/i'"), VMP_ERROR_UNSUPPORTED, "'rbd'" },
    { "q35", "", EXPORT("", "protocol='nbd' tls='yes'"), VMP_ERROR_UNSUPPORTED, "tls='yes'" },
    { "q35", "", EXPORT("io='native'", "protocol='nbd'"), VMP_ERROR_UNSUPPORTED,
      "disk vda: io='native'" },
    { "q35", "",
      "<disk type='network'><source protocol='nbd' name='x'/><target dev='vda'/></disk>",
      VMP_ERROR_UNSUPPORTED, "disk vda" },
    { "q35", "",
      "<disk type='file' device='disk'><driver name='qemu' type='raw' cache='sometimes'/>"
      "<source file='/d'/><target dev='vda' bus='virtio'/></disk>",
      VMP_ERROR_INVALID, "'sometimes'" },
    { "q35", "",
      "<disk type='file' device='disk'><driver name='qemu' type='raw' queues='2'/>"
      "<source file='/d'/><target dev='sda' bus='sata'/></disk>",
      VMP_ERROR_UNSUPPORTED, "queues" },
    { "q35", "", "<disk type='file' device='cdrom'><target dev='vda' bus='virtio'/></disk>",
      VMP_ERROR_UNSUPPORTED, "cdrom" },
    { "q35", "", "<controller type='scsi' index='0' model='buslogic'/>", VMP_ERROR_UNSUPPORTED,
      "buslogic" },
    { "pc", "", "<controller type='ide' index='1'/>", VMP_ERROR_UNSUPPORTED, "ide" },
    { "q35", "",
      "<controller type='virtio-serial' index='0'><address type='pci' bus='0' slot='5'/>"
      "</controller><interface type='user'><address type='pci' bus='0' slot='5'/></interface>",
      VMP_ERROR_INVALID, "0000:00:05.0" },
    { "q35", "", "<interface type='user'><model type='made-up'/></interface>",
      VMP_ERROR_UNSUPPORTED, "made-up" },
    { "q35", "", "<serial type='stdio'/>", VMP_ERROR_UNSUPPORTED, "stdio" },
    { "q35", "", "<graphics type='vnc' port='80' autoport='no'/>", VMP_ERROR_INVALID, "80" },
    { "q35", "", "<graphics type='vnc'/><graphics type='vnc'/>", VMP_ERROR_UNSUPPORTED,
      "graphics" },
    { "q35",
      "<c:commandline xmlns:c='http://libvirt.org/schemas/domain/qemu/1.0'>"
      "<c:arg value='--daemonize'/></c:commandline>",
      "", VMP_ERROR_UNSUPPORTED, "daemonize" },
    { "q35", "", "<watchdog model='diag288'/>", VMP_ERROR_UNSUPPORTED, "diag288" },
};

static void
what_cannot_be_given_is_refused_by_name(void)
{
    VmpLaunchHost host = { .monitor_fd = -1, .query_fd = -1 };

    for (guint i = 0; i < G_N_ELEMENTS(refusals); i++) {
        const Refusal *refusal = &refusals[i];
        g_autoptr(GError) error = NULL;
        g_autoptr(VmpDomain) domain =
            make_domain(refusal->machine, refusal->parts, refusal->devices);
        g_auto(GStrv) argv = vmp_launch_command(domain, &host, &error);

        g_test_message("%s%s", refusal->parts, refusal->devices);
        g_assert_null(argv);
        g_assert_error(error, VMP_ERROR, (int)refusal->code);
        g_test_message("%s", error->message);
        g_assert_nonnull(strstr(error->message, refusal->named));
    }
}

static void
more_devices_than_slots_are_refused(void)
{
    g_autoptr(GString) devices = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    VmpLaunchHost host = { .monitor_fd = -1, .query_fd = -1 };

    for (guint i = 0; i < 40; i++)
        g_string_append(devices, "<interface type='user'/>");
    g_autoptr(VmpDomain) domain = make_domain("q35", "", devices->str);
    g_assert_null(vmp_launch_command(domain, &host, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr(error->message, "slots"));
}

/* ---- the guest's half ---- */

typedef struct {
    const char *what, *from, *to; /* a change of tests/data/launch/<name>.xml */
    gboolean is_same;
} Change;

static const Change q35_changes[] = {
    { "another image", "/images/a.qcow2", "/images/a.snap1", TRUE },
    { "another host port", "40222", "40333", TRUE },
    { "another path of a channel", "/images/agent", "/images/qga", TRUE },
    { "another emulator", "/usr/bin/qemu", "/opt/bin/qemu", TRUE },
    { "another VNC port", "5999", "5998", TRUE },
    { "another boot order", "order='2'", "order='4'", TRUE },
    { "another source of randomness", "/dev/urandom", "/dev/random", TRUE },
    { "another name", "<name>q35<", "<name>q36<", TRUE },
    { "more memory", "262144", "524288", FALSE },
    { "fewer CPUs", "current='2'", "current='1'", FALSE },
    { "another topology", "sockets='2' dies='1' cores='2'", "sockets='1' dies='1' cores='4'",
      FALSE },
    { "another machine type", "pc-q35-7.2", "pc-q35-7.1", FALSE },
    { "another CPU", "<cpu mode='maximum'>", "<cpu><model>Nehalem</model>", FALSE },
    { "another MAC address", "52:54:00:12:34:56", "52:54:00:12:34:57", FALSE },
    { "another PCI address", "bus='0x00' slot='0x04'", "bus='0x00' slot='0x07'", FALSE },
    { "another place on the SCSI bus", "target='1' unit='5'", "target='1' unit='6'", FALSE },
    { "another port of a channel", "bus='0' port='3'", "bus='0' port='4'", FALSE },
    { "another uuid", "c797a770", "d797a770", FALSE },
    { "no ACPI", "<acpi/>", "", FALSE },
    { "SMM", "<smm state='off'/>", "<smm state='on'/>", FALSE },
    { "another wwn", "71ad", "71ae", FALSE },
    { "another model of a card", "<model type='virtio'/>\n      <portForward",
      "<model type='e1000'/>\n      <portForward", FALSE },
    { "no watchdog", "<watchdog model='itco' action='pause'/>", "", FALSE },
    { "no generation id", "<genid>e9392370-2917-565e-692b-d057f46512d6</genid>", "", FALSE },
    { "another generation id", "e9392370-2917", "e9392371-2917", TRUE },
    { "another model of the TPM", "tpm-crb", "tpm-tis", FALSE },
    { "no balloon", "memballoon model='virtio'", "memballoon model='none'", FALSE },
};

static char *
change_text(const char *text, const Change *change)
{
    g_auto(GStrv) parts = g_strsplit(text, change->from, 2);

    if (g_strv_length(parts) != 2)
        g_error("'%s' is not in the definition", change->from);
    return g_strconcat(parts[0], change->to, parts[1], NULL);
}

static void
only_what_the_guest_sees_makes_another_machine(void)
{
    g_autoptr(VmpDomain) domain = read_domain("q35");
    g_autofree char *path = data_path("q35", ".xml");
    g_autofree char *xml = NULL;

    g_assert_true(g_file_get_contents(path, &xml, NULL, NULL));
    for (guint i = 0; i < G_N_ELEMENTS(q35_changes); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *changed = change_text(xml, &q35_changes[i]);
        g_autoptr(VmpDomain) other = vmp_domain_parse(changed, -1, &error);
        g_autofree char *difference = NULL;

        g_test_message("%s", q35_changes[i].what);
        g_assert_no_error(error);
        gboolean is_same = vmp_launch_same_abi(domain, other, &difference);
        g_assert_cmpint(is_same, ==, q35_changes[i].is_same);
        g_assert_true(is_same == !difference);
        if (difference)
            g_test_message("  %s", difference);
    }
}

static void
every_definition_is_the_same_machine_as_itself(gconstpointer data)
{
    g_autoptr(VmpDomain) domain = read_domain(data);
    g_autoptr(VmpDomain) copy = vmp_domain_copy(domain);
    g_autofree char *difference = NULL;

    g_assert_true(vmp_launch_same_abi(domain, copy, &difference));
    g_assert_null(difference);
}

static void
the_order_of_devices_with_addresses_says_nothing(void)
{
#define NIC(slot, mac)                                                      \
    "<interface type='user'><mac address='" mac "'/><model type='virtio'/>" \
    "<address type='pci' bus='0' slot='" slot "'/></interface>"
#define RNG                                                              \
    "<rng model='virtio'><backend model='random'>/dev/urandom</backend>" \
    "<address type='pci' bus='0' slot='9'/></rng>"
    g_autoptr(VmpDomain) a =
        make_domain("q35", "", NIC("3", "52:54:00:00:00:01") RNG DISK("vda", "virtio", ""));
    g_autoptr(VmpDomain) b =
        make_domain("q35", "", DISK("vda", "virtio", "") RNG NIC("3", "52:54:00:00:00:01"));

    g_assert_true(vmp_launch_same_abi(a, b, NULL));
}

static void
arguments_for_the_host_alone_make_no_other_machine(void)
{
    static const struct {
        const char *from, *to;
        gboolean is_same;
    } changes[] = {
        { "unix:/images/spy", "unix:/images/spy2", TRUE },
        { "null,id=debug", "file,path=/x,id=debug", TRUE },
        { "iobase=0x402", "iobase=0x403", FALSE },
    };
    g_autoptr(VmpDomain) domain = read_domain("commandline");
    g_autofree char *path = data_path("commandline", ".xml");
    g_autofree char *xml = NULL;

    g_assert_true(g_file_get_contents(path, &xml, NULL, NULL));
    for (guint i = 0; i < G_N_ELEMENTS(changes); i++) {
        Change change = { "", changes[i].from, changes[i].to, changes[i].is_same };
        g_autofree char *changed = change_text(xml, &change);
        g_autoptr(VmpDomain) other = vmp_domain_parse(changed, -1, NULL);
        g_assert_cmpint(vmp_launch_same_abi(domain, other, NULL), ==, changes[i].is_same);
    }
}

/* An attached machine may have anything. */
static void
a_machine_that_cannot_be_launched_is_the_same_with_other_images(void)
{
#define STRANGE "<hostdev mode='subsystem' type='usb'/>"
    g_autoptr(VmpDomain) a = make_domain("q35", "", STRANGE DISK("vda", "virtio", ""));
    g_autoptr(VmpDomain) b = make_domain("q35", "", STRANGE DISK("vda", "virtio", ""));
    g_autoptr(VmpDomain) c = make_domain("q35", "", STRANGE DISK("vdb", "virtio", ""));
    g_autofree char *difference = NULL;

    g_assert_true(vmp_domain_set_disk_source(b, "vda", "/other", "qcow2", NULL));
    g_assert_true(vmp_launch_same_abi(a, b, NULL));
    g_assert_false(vmp_launch_same_abi(a, c, &difference));
    g_assert_nonnull(strstr(difference, "hostdev"));
}

int
main(int argc, char **argv)
{
    static const char *const names[] = { "plain",       "pc",          "q35",
                                         "disks",       "uefi",        "kvm",
                                         "uefi-chosen", "commandline", "network" };

    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *command = g_strconcat(
            "/machine/launch/the-command-line-is-the-one-that-was-tried/", names[i], NULL);
        g_autofree char *same = g_strconcat(
            "/machine/launch/every-definition-is-the-same-machine-as-itself/", names[i], NULL);
        g_test_add_data_func(command, names[i], the_command_line_is_the_one_that_was_tried);
        g_test_add_data_func(same, names[i], every_definition_is_the_same_machine_as_itself);
    }
    g_test_add_func("/machine/launch/what-is-added-for-ram-that-comes-later",
                    what_is_added_for_ram_that_comes_later);
    g_test_add_func("/machine/launch/a-new-generation-id-is-not-the-definitions",
                    a_new_generation_id_is_not_the_definitions);
    g_test_add_func("/machine/launch/an-interface-without-an-address-always-has-the-same",
                    an_interface_without_an_address_always_has_the_same);
    g_test_add_func("/machine/launch/what-cannot-be-given-is-refused-by-name",
                    what_cannot_be_given_is_refused_by_name);
    g_test_add_func("/machine/launch/more-devices-than-slots-are-refused",
                    more_devices_than_slots_are_refused);
    g_test_add_func("/machine/launch/only-what-the-guest-sees-makes-another-machine",
                    only_what_the_guest_sees_makes_another_machine);
    g_test_add_func("/machine/launch/the-order-of-devices-with-addresses-says-nothing",
                    the_order_of_devices_with_addresses_says_nothing);
    g_test_add_func("/machine/launch/arguments-for-the-host-alone-make-no-other-machine",
                    arguments_for_the_host_alone_make_no_other_machine);
    g_test_add_func(
        "/machine/launch/a-machine-that-cannot-be-launched-is-the-same-with-other-images",
        a_machine_that_cannot_be_launched_is_the_same_with_other_images);
    return g_test_run();
}
