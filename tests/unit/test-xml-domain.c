/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/domain.h"

#include "test-xml-fixture.h"

static VmpDomain *
parse(const char *xml)
{
    g_autoptr(GError) error = NULL;
    VmpDomain *domain = vmp_domain_parse(xml, -1, &error);

    g_assert_no_error(error);
    g_assert_nonnull(domain);
    return domain;
}

static VmpDomain *
parse_file(const char *name)
{
    g_autofree char *xml = read_data(name);

    return parse(xml);
}

/* A small domain with @top among its children and @devices in <devices>. */
static char *
domain_with(const char *top, const char *devices)
{
    return g_strdup_printf("<domain type='qemu'>\n<name>n</name>\n<memory>1024</memory>\n"
                           "<os><type>hvm</type></os>\n%s\n<devices>%s</devices>\n</domain>",
                           top, devices);
}

static const VmpDomainDisk *
disk_at(const VmpDomain *domain, guint index)
{
    g_assert_cmpuint(vmp_domain_get_disks(domain)->len, >, index);
    return g_ptr_array_index(vmp_domain_get_disks(domain), index);
}

/* Refusals. */

typedef struct {
    const char *name, *top, *devices, *part;
} Refusal;

#define DISK(target) "<disk><source file='/a'/><target dev='" target "'/></disk>"

static const Refusal refusals[] = {
    { "two-disks-with-one-target", "", DISK("vda") "\n" DISK("vda"),
      "line 7: <disk>: target='vda' is given twice" },
    { "a-disk-without-a-target", "", "<disk><source file='/a'/></disk>", "<target dev=...>" },
    { "a-disk-whose-bus-cannot-be-told", "", DISK("qda"), "dev='qda' does not tell a bus" },
    { "a-disk-without-a-source", "", "<disk><target dev='vda'/></disk>",
      "target='vda' has no source" },
    { "a-network-disk-without-a-source", "", "<disk type='network'><target dev='vda'/></disk>",
      "target='vda' has no source" },
    { "a-disk-of-an-unknown-type", "", "<disk type='tape'><target dev='vda'/></disk>",
      "type='tape' is not known" },
    { "a-disk-of-type-none", "", "<disk type='none'><target dev='vda'/></disk>",
      "type='none'" },
    { "an-unknown-disk-device", "", "<disk device='tape'><target dev='vda'/></disk>",
      "device='tape' is not known" },
    { "a-relative-source", "", "<disk><source file='a.img'/><target dev='vda'/></disk>",
      "file='a.img' is not an absolute path" },
    { "a-relative-block-device", "",
      "<disk type='block'><source dev='sda'/><target dev='vda'/></disk>",
      "dev='sda' is not an absolute path" },
    { "an-unknown-snapshot-default", "",
      "<disk snapshot='maybe'><source file='/a'/><target dev='vda'/></disk>",
      "snapshot='maybe'" },
    { "a-boot-order-of-zero", "",
      "<disk><source file='/a'/><target dev='vda'/><boot order='0'/></disk>", "above zero" },
    { "a-boot-order-given-twice", "",
      "<disk><source file='/a'/><target dev='vda'/><boot order='1'/></disk>"
      "<interface type='user'><boot order='1'/></interface>",
      "boot order 1 is given twice" },
    { "both-kinds-of-boot-order", "",
      "<disk><source file='/a'/><target dev='vda'/><boot order='1'/></disk>", NULL },
    { "queues-that-are-no-number", "",
      "<disk><driver queues='many'/><source file='/a'/><target dev='vda'/></disk>",
      "queues='many' is not a number" },
    { "a-drive-address-that-is-no-number", "",
      "<disk><source file='/a'/><target dev='sda'/><address type='drive' unit='x'/></disk>",
      "unit='x' is not a number" },
    { "a-pci-slot-that-cannot-be", "",
      "<controller type='usb'><address type='pci' slot='0x20'/></controller>",
      "no such PCI address" },
    { "a-negative-number-of-cpus", "<vcpu>-1</vcpu>", "", "'-1' is not a number" },
    { "no-cpus", "<vcpu>0</vcpu>", "", "without CPUs" },
    { "more-current-cpus-than-cpus", "<vcpu current='3'>2</vcpu>", "",
      "current='3' is too large" },
    { "a-topology-for-another-number-of-cpus",
      "<vcpu>4</vcpu><cpu><topology sockets='1' cores='2' threads='1'/></cpu>", "",
      "is for 2 CPUs, <vcpu> says 4" },
    { "an-unknown-cpu-mode", "<cpu mode='best'/>", "", "mode='best' is not known" },
    { "a-cpu-feature-without-a-name", "<cpu><feature policy='require'/></cpu>", "",
      "<feature>: name is missing" },
    { "an-unknown-feature-policy", "<cpu><feature policy='x' name='y'/></cpu>", "",
      "policy='x'" },
    { "more-current-memory-than-memory", "<currentMemory>2048</currentMemory>", "",
      "more than <memory>" },
    { "an-unknown-clock-offset", "<clock offset='moon'/>", "", "offset='moon' is not known" },
    { "a-timer-without-a-name", "<clock><timer present='no'/></clock>", "",
      "name is missing" },
    { "an-unknown-action", "<on_crash>burn</on_crash>", "", "'burn' is not known" },
    { "a-feature-state-that-is-none", "<features><smm state='maybe'/></features>", "",
      "state='maybe' is not known" },
    { "a-broken-uuid", "<uuid>c797a770-a2ce-4364-b2a3</uuid>", "", "is not a UUID" },
    { "a-broken-genid", "<genid>x</genid>", "", "<genid>: 'x' is not a UUID" },
    { "a-broken-mac-address", "",
      "<interface type='user'><mac address='52:54:00:12:34'/></interface>",
      "is not a MAC address" },
    { "a-port-range-that-is-none", "",
      "<interface type='user'><portForward proto='tcp'><range start='90' "
      "end='80'/></portForward>"
      "</interface>",
      "no such range of ports" },
    { "more-forwarded-ports-than-anybody-needs", "",
      "<interface type='user'><portForward proto='tcp'><range start='1' end='65535'/>"
      "</portForward></interface>",
      "more than 1024 ports" },
    { "a-forward-without-a-protocol", "", "<interface type='user'><portForward/></interface>",
      "proto is neither" },
    { "an-interface-without-a-type", "", "<interface/>", "<interface>: type is missing" },
    { "a-controller-without-a-type", "", "<controller index='0'/>", "type is missing" },
    { "a-file-channel-without-a-path", "", "<serial type='file'/>", "<source path=...>" },
    { "a-tcp-channel-without-a-port", "", "<serial type='tcp'><source host='h'/></serial>",
      "<source host=... service=...>" },
    { "a-relative-socket", "", "<serial type='unix'><source path='s'/></serial>",
      "path='s' is not an absolute path" },
    { "a-memballoon-without-a-model", "", "<memballoon/>", "model is missing" },
    { "a-tpm-without-a-backend", "", "<tpm model='tpm-tis'/>", "<backend type=> is missing" },
    { "a-rng-without-a-backend", "", "<rng model='virtio'/>", "<backend> is missing" },
    { "a-graphics-port-too-large", "", "<graphics type='vnc' port='70000'/>", "is too large" },
};

static void
test_refusal(gconstpointer data)
{
    const Refusal *refusal = data;
    g_autofree char *xml = domain_with(refusal->top, refusal->devices);
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpDomain) domain = vmp_domain_parse(xml, -1, &error);

    if (!refusal->part) { /* legal by itself: refused beside <os><boot> */
        g_assert_no_error(error);
        g_autofree char *both = replace(xml, "<os>", "<os><boot dev='hd'/>");
        g_autoptr(VmpDomain) other = vmp_domain_parse(both, -1, &error);
        g_assert_null(other);
        assert_invalid(error, "exclude each other");
        return;
    }
    g_assert_null(domain);
    assert_invalid(error, refusal->part);
    g_assert_nonnull(strstr(error->message, "domain XML: line "));
}

static const Refusal whole[] = {
    { "another-document", "<domainsnapshot/>", NULL, "is 'domainsnapshot', not 'domain'" },
    { "a-domain-without-a-type", "<domain><name>a</name></domain>", NULL, "type is missing" },
    { "a-domain-without-a-name", "<domain type='kvm'><memory>1</memory></domain>", NULL,
      "<name> is missing" },
    { "an-empty-name", "<domain type='kvm'><name/></domain>", NULL,
      "cannot be a domain's name" },
    { "a-name-with-a-slash", "<domain type='kvm'><name>a/b</name></domain>", NULL,
      "'a/b' cannot" },
    { "a-name-that-is-a-folder", "<domain type='kvm'><name>..</name></domain>", NULL, "'..'" },
    { "a-domain-without-memory",
      "<domain type='kvm'><name>a</name><os><type>hvm</type></os></domain>", NULL,
      "<memory>" },
    { "a-domain-without-an-os", "<domain type='kvm'><name>a</name><memory>1</memory></domain>",
      NULL, "<os><type>" },
};

static void
test_whole(gconstpointer data)
{
    const Refusal *refusal = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpDomain) domain = vmp_domain_parse(refusal->top, -1, &error);

    g_assert_null(domain);
    assert_invalid(error, refusal->part);
}

static void
test_other_hypervisors(void)
{
    static const char *const documents[] = {
        "<domain type='xen'><name>a</name></domain>",
        "<domain "
        "type='kvm'><name>a</name><memory>1</memory><os><type>exe</type></os></domain>",
    };

    for (guint i = 0; i < G_N_ELEMENTS(documents); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(VmpDomain) domain = vmp_domain_parse(documents[i], -1, &error);

        g_assert_null(domain);
        g_assert_error(error, VMP_ERROR, VMP_ERROR_UNSUPPORTED);
        g_assert_nonnull(strstr(error->message, "line 1"));
    }
}

static void
test_long_name(void)
{
    g_autofree char *name = repeat("n", 10000);
    g_autofree char *xml = domain_with("", "");
    g_autofree char *named = replace(xml, "<name>n<", "<name>LONG<");
    g_autofree char *with = replace(named, "LONG", name);
    g_autoptr(VmpDomain) domain = parse(with);
    g_autoptr(GError) error = NULL;

    g_assert_cmpstr(vmp_domain_get_name(domain), ==, name);
    g_assert_false(vmp_domain_set_disk_source(domain, name, "/a", "raw", &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_NOT_FOUND);
}

/* The view. */

static void
test_minimal(void)
{
    g_autoptr(VmpDomain) domain = parse_file("domain-minimal.xml");
    const VmpDomainCpu *cpu = vmp_domain_get_cpu(domain);

    g_assert_cmpstr(vmp_domain_get_type(domain), ==, "qemu");
    g_assert_cmpstr(vmp_domain_get_name(domain), ==, "small");
    g_assert_null(vmp_domain_get_uuid(domain));
    g_assert_cmpuint(vmp_domain_get_memory(domain), ==, 64 << 20);
    g_assert_cmpuint(vmp_domain_get_current_memory(domain), ==, 64 << 20);
    g_assert_cmpuint(vmp_domain_get_vcpus(domain), ==, 1);
    g_assert_cmpuint(vmp_domain_get_current_vcpus(domain), ==, 1);
    g_assert_cmpuint(vmp_domain_get_iothreads(domain), ==, 0);
    g_assert_cmpstr(vmp_domain_get_os(domain)->arch, ==, "x86_64");
    g_assert_null(vmp_domain_get_os(domain)->machine);
    g_assert_null(cpu->mode);
    g_assert_null(cpu->model);
    g_assert_cmpuint(cpu->sockets, ==, 0);
    g_assert_cmpstr(vmp_domain_get_clock_offset(domain), ==, "utc");
    g_assert_cmpstr(vmp_domain_get_on_poweroff(domain), ==, "destroy");
    g_assert_cmpstr(vmp_domain_get_on_reboot(domain), ==, "restart");
    g_assert_cmpstr(vmp_domain_get_on_crash(domain), ==, "destroy");
    g_assert_null(vmp_domain_get_emulator(domain));
    g_assert_null(vmp_domain_get_memballoon(domain));
    g_assert_null(vmp_domain_get_watchdog(domain));
    g_assert_cmpint(vmp_domain_get_feature(domain, "acpi"), ==, -1);
    g_assert_cmpint(vmp_domain_get_pm(domain, "suspend-to-mem"), ==, -1);
    g_assert_false(vmp_domain_has_genid(domain));
    g_assert_cmpuint(vmp_domain_get_disks(domain)->len, ==, 0);
    g_assert_cmpuint(vmp_domain_get_unknown(domain)->len, ==, 0);
}

static void
test_machine(void)
{
    g_autoptr(VmpDomain) domain = parse_file("domain-q35-live.xml");
    const VmpDomainOs *os = vmp_domain_get_os(domain);
    const VmpDomainCpu *cpu = vmp_domain_get_cpu(domain);
    const VmpDomainTimer *hpet = g_ptr_array_index(vmp_domain_get_timers(domain), 2);

    g_assert_cmpstr(vmp_domain_get_type(domain), ==, "kvm");
    g_assert_cmpstr(vmp_domain_get_uuid(domain), ==, "c797a770-a2ce-4364-b2a3-1c450ad69915");
    g_assert_cmpuint(vmp_domain_get_memory(domain), ==, (guint64)2 << 30);
    g_assert_cmpuint(vmp_domain_get_current_memory(domain), ==, 1 << 30);
    g_assert_cmpuint(vmp_domain_get_vcpus(domain), ==, 4);
    g_assert_cmpuint(vmp_domain_get_current_vcpus(domain), ==, 2);
    g_assert_cmpuint(vmp_domain_get_iothreads(domain), ==, 1);
    g_assert_cmpstr(os->machine, ==, "pc-q35-7.2");
    g_assert_cmpstr(os->loader, ==, "/usr/share/OVMF/OVMF_CODE_4M.fd");
    g_assert_cmpstr(os->loader_type, ==, "pflash");
    g_assert_true(os->loader_readonly);
    g_assert_false(os->loader_secure);
    g_assert_cmpstr(os->nvram, ==, "/var/lib/libvirt/qemu/nvram/debian12_VARS.fd");
    g_assert_cmpstr(os->nvram_template, ==, "/usr/share/OVMF/OVMF_VARS_4M.fd");
    g_assert_cmpstr(cpu->mode, ==, "custom");
    g_assert_cmpstr(cpu->model, ==, "Skylake-Client-IBRS");
    g_assert_cmpuint(cpu->sockets, ==, 1);
    g_assert_cmpuint(cpu->dies, ==, 1);
    g_assert_cmpuint(cpu->cores, ==, 2);
    g_assert_cmpuint(cpu->threads, ==, 2);
    g_assert_cmpuint(cpu->features->len, ==, 3);
    g_assert_cmpstr(g_ptr_array_index(cpu->features, 0), ==, "+ss");
    g_assert_cmpstr(g_ptr_array_index(cpu->features, 1), ==, "-hle");
    g_assert_cmpuint(vmp_domain_get_timers(domain)->len, ==, 3);
    g_assert_cmpstr(hpet->name, ==, "hpet");
    g_assert_cmpint(hpet->present, ==, 0);
    g_assert_cmpint(vmp_domain_get_feature(domain, "acpi"), ==, 1);
    g_assert_cmpint(vmp_domain_get_feature(domain, "vmport"), ==, 0);
    g_assert_cmpint(vmp_domain_get_feature(domain, "pae"), ==, -1);
    g_assert_cmpint(vmp_domain_get_pm(domain, "suspend-to-mem"), ==, 0);
    g_assert_cmpint(vmp_domain_get_pm(domain, "suspend-to-disk"), ==, 0);
    g_assert_cmpstr(vmp_domain_get_emulator(domain), ==, "/usr/bin/qemu-system-x86_64");
}

static void
test_disks(void)
{
    g_autoptr(VmpDomain) domain = parse_file("domain-q35-live.xml");
    const VmpDomainDisk *vda = disk_at(domain, 0);
    const VmpDomainDisk *sda = disk_at(domain, 1);
    const VmpDomainDisk *sdb = disk_at(domain, 2);

    g_assert_cmpuint(vmp_domain_get_disks(domain)->len, ==, 3);
    g_assert_cmpstr(vda->target, ==, "vda");
    g_assert_cmpstr(vda->bus, ==, "virtio");
    g_assert_cmpstr(vda->device, ==, "disk");
    g_assert_cmpint(vda->type, ==, VMP_STORAGE_FILE);
    g_assert_cmpstr(vda->source, ==, "/var/lib/libvirt/images/debian12.snap1");
    g_assert_cmpstr(vda->driver, ==, "qcow2");
    g_assert_cmpstr(vda->cache, ==, "none");
    g_assert_cmpstr(vda->io, ==, "native");
    g_assert_cmpstr(vda->discard, ==, "unmap");
    g_assert_cmpstr(vda->serial, ==, "root-disk");
    g_assert_cmpuint(vda->boot_order, ==, 1);
    g_assert_cmpuint(vda->iothread, ==, 1);
    g_assert_cmpstr(vda->alias, ==, "virtio-disk0");
    g_assert_cmpstr(vda->pci_address, ==, "0000:04:00.0");
    g_assert_cmpint(vda->controller, ==, -1);
    g_assert_cmpint(vda->snapshot, ==, VMP_LOCATION_UNSET);
    g_assert_false(vda->readonly);
    g_assert_false(vda->unsupported);

    g_assert_cmpint(sda->type, ==, VMP_STORAGE_BLOCK);
    g_assert_cmpstr(sda->source, ==, "/dev/vg/data");
    g_assert_cmpstr(sda->driver, ==, "raw");
    g_assert_true(sda->shareable);
    g_assert_cmpstr(sda->wwn, ==, "5000c50015ea71ad");
    g_assert_cmpint(sda->controller, ==, 0);
    g_assert_cmpint(sda->target_id, ==, 1);
    g_assert_cmpint(sda->unit, ==, 5);
    g_assert_cmpint(sda->lun, ==, 5);

    g_assert_cmpint(sdb->type, ==, VMP_STORAGE_NONE);
    g_assert_null(sdb->source);
    g_assert_cmpstr(sdb->driver, ==, "raw");
    g_assert_true(sdb->readonly);
    g_assert_cmpint(sdb->snapshot, ==, VMP_LOCATION_NO);
    g_assert_cmpint(sdb->lun, ==, -1);
}

static void
test_disk_defaults(void)
{
    static const struct {
        const char *target, *bus;
    } cases[] = { { "vda", "virtio" }, { "sda", "scsi" }, { "hda", "ide" }, { "fda", "fdc" } };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *disk = replace(DISK("@"), "@", cases[i].target);
        g_autofree char *xml = domain_with("", disk);
        g_autoptr(VmpDomain) domain = parse(xml);

        g_assert_cmpstr(disk_at(domain, 0)->bus, ==, cases[i].bus);
        g_assert_cmpstr(disk_at(domain, 0)->driver, ==, "raw");
        g_assert_cmpstr(disk_at(domain, 0)->device, ==, "disk");
    }
}

static void
test_disk_flags(void)
{
    g_autofree char *xml = domain_with(
        "",
        "<disk snapshot='manual'><source file='/a'/><target dev='vda' removable='on'/>"
        "<readonly/><transient/><vendor>v</vendor><product>p</product></disk>"
        "<disk device='cdrom'><source file=''/><target dev='hdc'/></disk>"
        "<disk device='lun' type='block'><source dev='/dev/sg0'/><target dev='sda'/></disk>"
        "<disk type='network'><source protocol='rbd' name='p/i'/><target dev='vdb'/></disk>");
    g_autoptr(VmpDomain) domain = parse(xml);

    g_assert_true(disk_at(domain, 0)->readonly);
    g_assert_true(disk_at(domain, 0)->transient);
    g_assert_true(disk_at(domain, 0)->removable);
    g_assert_cmpstr(disk_at(domain, 0)->vendor, ==, "v");
    g_assert_cmpstr(disk_at(domain, 0)->product, ==, "p");
    g_assert_cmpint(disk_at(domain, 0)->snapshot, ==, VMP_LOCATION_MANUAL);
    g_assert_cmpint(disk_at(domain, 1)->type, ==, VMP_STORAGE_NONE);
    g_assert_cmpstr(disk_at(domain, 2)->device, ==, "lun");
    g_assert_cmpint(disk_at(domain, 3)->type, ==, VMP_STORAGE_NETWORK);
    g_assert_null(disk_at(domain, 3)->source);
    g_assert_cmpstr(disk_at(domain, 3)->remote, ==, "p/i");
    g_assert_true(disk_at(domain, 3)->unsupported);
    g_assert_false(disk_at(domain, 2)->unsupported);
}

static void
test_network_sources(void)
{
    static const struct {
        const char *source, *uri;
        gboolean unsupported;
    } table[] = {
        { "<source protocol='nbd' name='e'><host name='h' port='1'/></source>", "nbd://h:1/e",
          FALSE },
        { "<source protocol='nbd'><host name='h'/></source>", "nbd://h:10809/", FALSE },
        { "<source protocol='nbd' name='a b' tls='no' index='1'><host transport='unix' "
          "socket='/s'/></source>",
          "nbd+unix:///a%20b?socket=/s", FALSE },
        { "<source protocol='nbd' name='e' tls='yes'><host name='h'/></source>", NULL, TRUE },
        { "<source protocol='nbd' name='e'/>", NULL, FALSE },
        { "<source protocol='rbd' name='p/i'><host name='h'/></source>", NULL, TRUE },
        { "<source protocol='nbd' name='e'><host name='h'/><reconnect delay='1'/></source>",
          "nbd://h:10809/e", TRUE },
    };

    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autofree char *disk = g_strdup_printf(
            "<disk type='network'>%s<target dev='vda'/></disk>", table[i].source);
        g_autofree char *xml = domain_with("", disk);
        g_autoptr(VmpDomain) domain = parse(xml);

        g_test_message("%s", table[i].source);
        g_assert_cmpint(disk_at(domain, 0)->type, ==, VMP_STORAGE_NETWORK);
        g_assert_cmpstr(disk_at(domain, 0)->source, ==, table[i].uri);
        g_assert_cmpint(disk_at(domain, 0)->unsupported, ==, table[i].unsupported);
    }
}

static void
test_devices(void)
{
    g_autoptr(VmpDomain) domain = parse_file("domain-q35-live.xml");
    const VmpDomainController *port = g_ptr_array_index(vmp_domain_get_controllers(domain), 2);
    const VmpDomainController *usb = g_ptr_array_index(vmp_domain_get_controllers(domain), 0);
    const VmpDomainInterface *net = g_ptr_array_index(vmp_domain_get_interfaces(domain), 0);
    const VmpDomainGraphics *vnc = g_ptr_array_index(vmp_domain_get_graphics(domain), 0);

    g_assert_cmpuint(vmp_domain_get_controllers(domain)->len, ==, 7);
    g_assert_cmpstr(port->type, ==, "pci");
    g_assert_cmpstr(port->model, ==, "pcie-root-port");
    g_assert_cmpuint(port->index, ==, 1);
    g_assert_cmpint(port->chassis, ==, 1);
    g_assert_cmpint(port->port, ==, 0x10);
    g_assert_cmpstr(port->pci_address, ==, "0000:00:02.0");
    g_assert_true(port->multifunction);
    g_assert_cmpuint(usb->ports, ==, 15);
    g_assert_cmpint(usb->chassis, ==, -1);
    g_assert_cmpstr(net->type, ==, "user");
    g_assert_cmpstr(net->mac, ==, "52:54:00:12:34:56");
    g_assert_cmpstr(net->model, ==, "virtio");
    g_assert_null(net->forwards);
    g_assert_cmpstr(vnc->type, ==, "vnc");
    g_assert_cmpint(vnc->port, ==, 5900);
    g_assert_true(vnc->autoport);
    g_assert_cmpstr(vnc->listen, ==, "127.0.0.1");
    g_assert_cmpstr(vnc->passwd, ==, "se\"cret");
    g_assert_cmpstr(g_ptr_array_index(vmp_domain_get_videos(domain), 0), ==, "virtio");
    g_assert_cmpstr(g_ptr_array_index(vmp_domain_get_rngs(domain), 0), ==, "/dev/urandom");
    g_assert_cmpstr(vmp_domain_get_memballoon(domain), ==, "virtio");
    g_assert_cmpuint(vmp_domain_get_inputs(domain)->len, ==, 3);
    g_assert_cmpstr(g_ptr_array_index(vmp_domain_get_inputs(domain), 0), ==, "usb:tablet");
    g_assert_cmpstr(g_ptr_array_index(vmp_domain_get_inputs(domain), 1), ==, "ps2:mouse");
    g_assert_cmpuint(vmp_domain_get_qemu_args(domain)->len, ==, 2);
    g_assert_cmpstr(g_ptr_array_index(vmp_domain_get_qemu_args(domain), 0), ==, "-global");
    g_assert_cmpstr(g_ptr_array_index(vmp_domain_get_qemu_env(domain), 0), ==,
                    "TMPDIR=/var/tmp");
}

static void
test_chardevs(void)
{
    g_autoptr(VmpDomain) live = parse_file("domain-q35-live.xml");
    const VmpDomainChardev *agent = g_ptr_array_index(vmp_domain_get_chardevs(live), 2);

    g_assert_cmpuint(vmp_domain_get_chardevs(live)->len, ==, 3);
    g_assert_cmpstr(agent->kind, ==, "channel");
    g_assert_cmpstr(agent->type, ==, "unix");
    g_assert_true(agent->listen);
    g_assert_cmpstr(agent->target_type, ==, "virtio");
    g_assert_cmpstr(agent->target_name, ==, "org.qemu.guest_agent.0");

    g_autoptr(VmpDomain) pc = parse_file("domain-pc.xml");
    const GPtrArray *chardevs = vmp_domain_get_chardevs(pc);
    const VmpDomainChardev *tcp = g_ptr_array_index(chardevs, 1);
    const VmpDomainChardev *file = g_ptr_array_index(chardevs, 2);
    const VmpDomainChardev *channel = g_ptr_array_index(chardevs, 4);

    g_assert_cmpuint(chardevs->len, ==, 5);
    g_assert_false(tcp->listen);
    g_assert_cmpstr(tcp->host, ==, "127.0.0.1");
    g_assert_cmpstr(tcp->service, ==, "4555");
    g_assert_cmpint(tcp->target_port, ==, 1);
    g_assert_cmpstr(file->kind, ==, "parallel");
    g_assert_cmpstr(file->path, ==, "/tmp/printed");
    g_assert_true(file->append);
    g_assert_true(channel->listen);
    g_assert_null(channel->path);
    g_assert_cmpint(channel->target_port, ==, -1);
}

static void
test_old_pc(void)
{
    g_autoptr(VmpDomain) domain = parse_file("domain-pc.xml");
    const VmpDomainOs *os = vmp_domain_get_os(domain);
    const VmpDomainDisk *hda = disk_at(domain, 0);
    const VmpDomainInterface *net = g_ptr_array_index(vmp_domain_get_interfaces(domain), 0);
    const VmpDomainController *companion =
        g_ptr_array_index(vmp_domain_get_controllers(domain), 1);
    const VmpDomainGraphics *vnc = g_ptr_array_index(vmp_domain_get_graphics(domain), 0);

    g_assert_cmpstr(vmp_domain_get_uuid(domain), ==, "c797a770-a2ce-4364-b2a3-1c450ad69915");
    g_assert_cmpstr(vmp_domain_get_genid(domain), ==, "e9392370-2917-565e-692b-d057f46512d6");
    g_assert_true(vmp_domain_has_genid(domain));
    g_assert_cmpstr(os->kernel, ==, "/boot/vmlinuz");
    g_assert_cmpstr(os->cmdline, ==, "console=ttyS0 root=/dev/vda");
    g_assert_true(os->boot_menu);
    g_assert_cmpuint(os->boot->len, ==, 2);
    g_assert_cmpstr(g_ptr_array_index(os->boot, 0), ==, "cdrom");
    g_assert_cmpstr(vmp_domain_get_on_crash(domain), ==, "preserve");
    g_assert_cmpstr(hda->source, ==, "/images/a & b.qcow2");
    g_assert_cmpint(hda->snapshot, ==, VMP_LOCATION_EXTERNAL);
    g_assert_cmpuint(hda->queues, ==, 4);
    g_assert_cmpuint(hda->physical_block_size, ==, 4096);
    g_assert_cmpint(hda->address_bus, ==, 1);
    g_assert_cmpint(hda->unit, ==, 1);
    g_assert_cmpstr(disk_at(domain, 1)->bus, ==, "fdc");
    g_assert_cmpint(companion->start_port, ==, 0);
    g_assert_cmpuint(net->forwards->len, ==, 4);
    g_assert_cmpstr(g_ptr_array_index(net->forwards, 0), ==, "tcp:127.0.0.1:2222-:22");
    g_assert_cmpstr(g_ptr_array_index(net->forwards, 2), ==, "tcp:127.0.0.1:8081-:81");
    g_assert_cmpstr(g_ptr_array_index(net->forwards, 3), ==, "udp::53-:53");
    g_assert_cmpstr(vnc->socket, ==, "/run/vnc.sock");
    g_assert_true(vnc->autoport);
    g_assert_cmpstr(vmp_domain_get_watchdog(domain), ==, "i6300esb");
    g_assert_cmpstr(vmp_domain_get_watchdog_action(domain), ==, "reset");
    g_assert_cmpstr(vmp_domain_get_memballoon(domain), ==, "none");
}

static void
test_find_disk(void)
{
    g_autofree char *xml =
        domain_with("", "<disk><source file='/a'/><target dev='vda'/></disk>"
                        "<disk><source file='/b'/><target dev='vdb'/></disk>"
                        "<disk><source file='/b'/><target dev='vdc'/></disk>"
                        "<disk device='cdrom'><target dev='sda'/></disk>");
    g_autoptr(VmpDomain) domain = parse(xml);

    g_assert_true(vmp_domain_find_disk(domain, "vda") == disk_at(domain, 0));
    g_assert_true(vmp_domain_find_disk(domain, "/a") == disk_at(domain, 0));
    g_assert_true(vmp_domain_find_disk(domain, "sda") == disk_at(domain, 3));
    g_assert_null(vmp_domain_find_disk(domain, "/b"));
    g_assert_null(vmp_domain_find_disk(domain, "vdx"));
    g_assert_null(vmp_domain_find_disk(domain, ""));
}

/* Text in, text out. */

static const char *const files[] = { "domain-minimal.xml", "domain-q35-live.xml",
                                     "domain-pc.xml", "domain-unknown.xml" };

static void
test_identity(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *xml = read_data(files[i]);
        g_autoptr(VmpDomain) domain = parse(xml);
        g_autofree char *text = vmp_domain_format(domain, VMP_DOMAIN_FORMAT_SECURE);
        g_autofree char *line = g_strconcat(text, "\n", NULL);

        g_assert_true(g_str_has_prefix(text, "<domain "));
        g_assert_true(g_str_has_suffix(xml, line));
    }
}

static void
test_copy(void)
{
    g_autoptr(VmpDomain) domain = parse_file("domain-q35-live.xml");
    g_autoptr(VmpDomain) copy = vmp_domain_copy(domain);
    g_autofree char *one = vmp_domain_format(domain, VMP_DOMAIN_FORMAT_SECURE);
    g_autofree char *two = vmp_domain_format(copy, VMP_DOMAIN_FORMAT_SECURE);

    g_assert_cmpstr(one, ==, two);
    g_assert_cmpstr(vmp_domain_get_name(copy), ==, "debian12");
}

static void
test_secrets(void)
{
    g_autofree char *xml = read_data("domain-q35-live.xml");
    g_autoptr(VmpDomain) domain = parse(xml);
    g_autofree char *shown = vmp_domain_format(domain, VMP_DOMAIN_FORMAT_SECURE);
    g_autofree char *hidden = vmp_domain_format(domain, 0);
    g_autofree char *expected = replace(shown, " passwd='se&quot;cret'", "");
    g_autofree char *masked = vmp_domain_mask(xml);

    g_assert_cmpstr(hidden, ==, expected);
    g_assert_cmpstr(masked, ==, expected);
}

static void
test_cookies(void)
{
    g_autofree char *xml = domain_with(
        "", "<disk type='network' device='cdrom'><source protocol='https' name='x'>\n"
            "<cookies><cookie name='session'>secret</cookie></cookies></source>"
            "<target dev='sda' bus='sata'/></disk>"
            "<graphics type='spice' passwd='secret'/>");
    g_autoptr(VmpDomain) domain = parse(xml);
    g_autofree char *hidden = vmp_domain_format(domain, 0);
    g_autofree char *nothing = vmp_domain_mask("not XML, secret");

    g_assert_null(strstr(hidden, "secret"));
    g_assert_nonnull(strstr(hidden, "<source protocol='https' name='x'></source>"));
    g_assert_cmpstr(nothing, ==, "");
}

static void
test_secrets_in_odd_places(void)
{
    static const char *const places[] = {
        "<graphics\n passwd = \"se&#99;ret\" type='vnc'/>",
        "<disk type='network'><source protocol='http'/><backingStore type='network'><source>"
        "<cookies><cookie><cookies>secret</cookies></cookie></cookies></source></backingStore>"
        "<target dev='vda'/></disk>",
        "</devices><devices><graphics type='spice' passwd='secret'/>",
    };

    for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *xml = domain_with("", places[i]);
        g_autoptr(VmpDomain) domain = parse(xml);
        g_autofree char *hidden = vmp_domain_format(domain, 0);

        g_assert_null(strstr(hidden, "secret"));
        g_assert_null(strstr(hidden, "passwd"));
    }
}

static void
test_root_name(void)
{
    g_autoptr(VmpDomain) domain = parse_file("domain-pc.xml");
    g_autofree char *text = vmp_domain_format(domain, VMP_DOMAIN_FORMAT_SECURE);
    g_autofree char *inactive =
        vmp_domain_format(domain, VMP_DOMAIN_FORMAT_SECURE | VMP_DOMAIN_FORMAT_INACTIVE_ROOT);

    g_assert_true(g_str_has_prefix(inactive, "<inactiveDomain type='qemu'>\n"));
    g_assert_true(g_str_has_suffix(inactive, "</inactiveDomain>"));

    g_autoptr(VmpDomain) again = parse(inactive);
    g_autofree char *back = vmp_domain_format(again, VMP_DOMAIN_FORMAT_SECURE);
    g_assert_cmpstr(back, ==, text);
}

static void
test_lines_of_a_part(void)
{
    g_autofree char *xml = domain_with("", "<frob/>");
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpDomain) domain = vmp_domain_parse_part(xml, 100, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(g_ptr_array_index(vmp_domain_get_unknown(domain), 0), ==,
                    "line 105: <frob>");
    g_assert_true(vmp_domain_set_name(domain, "other", &error));
    g_assert_cmpstr(g_ptr_array_index(vmp_domain_get_unknown(domain), 0), ==,
                    "line 105: <frob>");
}

/* Edits. */

typedef struct {
    const char *name, *before, *after;
} SourceEdit;

static const SourceEdit source_edits[] = {
    { "a-file",
      "<disk type='file'>\n<driver name='qemu' type=\"raw\"/>\n<source file=\"/a\"/>\n"
      "<target dev='vda'/>\n</disk>",
      "<disk type='file'>\n<driver name='qemu' type=\"qcow2\"/>\n<source "
      "file=\"/n&apos;w\"/>\n"
      "<target dev='vda'/>\n</disk>" },
    { "a-block-device",
      "<disk type='block'><driver type='raw' cache='none'/>"
      "<source dev='/dev/x' index='1'/><target dev='vda'/></disk>",
      "<disk type='file'><driver type='qcow2' cache='none'/>"
      "<source file='/n&apos;w' index='1'/><target dev='vda'/></disk>" },
    { "a-disk-without-a-driver",
      "<disk>\n  <source file='/a'/>\n  <target dev='vda'/>\n</disk>",
      "<disk>\n  <driver name='qemu' type='qcow2'/>\n  <source file='/n&apos;w'/>\n"
      "  <target dev='vda'/>\n</disk>" },
    { "a-driver-without-a-type",
      "<disk><driver name='qemu'/><source file='/a'/>"
      "<target dev='vda'/></disk>",
      "<disk><driver name='qemu' type='qcow2'/><source file='/n&apos;w'/>"
      "<target dev='vda'/></disk>" },
    { "an-empty-drive", "<disk device='cdrom'>\n  <target dev='vda'/>\n</disk>",
      "<disk device='cdrom'>\n  <driver name='qemu' type='qcow2'/>\n  <source "
      "file='/n&apos;w'/>\n"
      "  <target dev='vda'/>\n</disk>" },
    { "an-empty-drive-with-a-source",
      "<disk device='cdrom'><driver type='raw'/>"
      "<source startupPolicy='optional'/><target dev='vda'/></disk>",
      "<disk device='cdrom'><driver type='qcow2'/>"
      "<source startupPolicy='optional' file='/n&apos;w'/><target dev='vda'/></disk>" },
    { "a-network-disk",
      "<disk type='network'><driver type='raw'/><source protocol='nbd'>"
      "<host name='h'/></source><target dev='vda'/></disk>",
      "<disk type='file'><driver type='qcow2'/><source file='/n&apos;w'/>"
      "<target dev='vda'/></disk>" },
    { "a-backing-store",
      "<disk><driver type='qcow2'/><source file='/a'><seclabel model='dac' "
      "relabel='no'/></source>\n  <backingStore type='file'><source file='/z'/>"
      "<backingStore/></backingStore>\n  <target dev='vda'/></disk>",
      "<disk><driver type='qcow2'/><source file='/n&apos;w'><seclabel model='dac' "
      "relabel='no'/></source>\n  <target dev='vda'/></disk>" },
};

static void
test_source_edit(gconstpointer data)
{
    const SourceEdit *edit = data;
    g_autofree char *before = domain_with("<!-- kept -->", edit->before);
    g_autofree char *after = domain_with("<!-- kept -->", edit->after);
    g_autoptr(VmpDomain) domain = parse(before);
    g_autoptr(GError) error = NULL;

    g_assert_true(vmp_domain_set_disk_source(domain, "vda", "/n'w", "qcow2", &error));
    g_assert_no_error(error);
    g_autofree char *text = vmp_domain_format(domain, VMP_DOMAIN_FORMAT_SECURE);
    g_assert_cmpstr(text, ==, after);
    g_assert_cmpstr(disk_at(domain, 0)->source, ==, "/n'w");
    g_assert_cmpstr(disk_at(domain, 0)->driver, ==, "qcow2");
    g_assert_cmpint(disk_at(domain, 0)->type, ==, VMP_STORAGE_FILE);
}

/* A file's overlay is merged into the export below it: the disk is what it was. */
static void
test_source_edit_to_an_export(void)
{
    g_autofree char *file = domain_with("", "<disk type='file'><driver type='qcow2'/><source "
                                            "file='/a'/><target dev='vda'/></disk>");
    g_autofree char *network = domain_with(
        "", "<disk type='network'><driver type='raw'/><source protocol='nbd' name='e'>\n"
            "  <host name='h' port='10809'/>\n</source><target dev='vda'/></disk>");
    g_autoptr(VmpDomain) domain = parse(file);
    g_autoptr(GError) error = NULL;

    g_assert_true(vmp_domain_set_disk_source(domain, "vda", "nbd://h:10809/e", "raw", &error));
    g_assert_no_error(error);
    g_autofree char *text = vmp_domain_format(domain, VMP_DOMAIN_FORMAT_SECURE);
    g_assert_cmpstr(text, ==, network);
    g_assert_cmpstr(disk_at(domain, 0)->source, ==, "nbd://h:10809/e");
    g_assert_cmpint(disk_at(domain, 0)->type, ==, VMP_STORAGE_NETWORK);
    g_assert_false(disk_at(domain, 0)->unsupported);
    g_assert_true(vmp_domain_set_disk_source(domain, "vda", "/a", "qcow2", &error));
    g_autofree char *back = vmp_domain_format(domain, VMP_DOMAIN_FORMAT_SECURE);
    g_assert_cmpstr(back, ==, file);
}

static void
test_refused_edits(void)
{
    g_autofree char *xml = domain_with("", DISK("vda"));
    g_autoptr(VmpDomain) domain = parse(xml);
    g_autoptr(GError) error = NULL;

    g_assert_false(vmp_domain_set_disk_source(domain, "vda", "relative", "qcow2", &error));
    assert_invalid(error, "is not an absolute path");
    g_clear_error(&error);
    g_assert_false(vmp_domain_set_disk_source(domain, "vda", "/a\x01", "qcow2", &error));
    assert_invalid(error, "XML cannot hold the path '/a\\x01'");
    g_clear_error(&error);
    g_assert_false(vmp_domain_set_name(domain, "a\x01", &error));
    assert_invalid(error, "'a\\x01' cannot be");
    g_clear_error(&error);
    g_assert_false(vmp_domain_set_disk_source(domain, "vdz", "/x", "qcow2", &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_false(vmp_domain_set_name(domain, "a/b", &error));
    assert_invalid(error, "'a/b' cannot be");
    g_clear_error(&error);
    g_assert_false(vmp_domain_set_uuid(domain, "1234", &error));
    assert_invalid(error, "'1234' is not a UUID");

    g_autofree char *text = vmp_domain_format(domain, VMP_DOMAIN_FORMAT_SECURE);
    g_assert_cmpstr(text, ==, xml);
    g_assert_cmpstr(disk_at(domain, 0)->source, ==, "/a");
}

static void
test_borrowed_stays(void)
{
    g_autofree char *xml = domain_with("", DISK("vda") DISK("vdb"));
    g_autoptr(VmpDomain) domain = parse(xml);
    const GPtrArray *disks = vmp_domain_get_disks(domain);
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        g_autofree char *path = g_strdup_printf("/new-%s", disk->target);

        g_assert_true(vmp_domain_set_disk_source(domain, disk->target, path, "qcow2", &error));
        g_assert_cmpstr(disk->source, ==, "/a");
    }
    g_assert_cmpstr(disk_at(domain, 0)->source, ==, "/new-vda");
    g_assert_cmpstr(disk_at(domain, 1)->source, ==, "/new-vdb");
}

static void
test_identity_edits(void)
{
    g_autofree char *xml = domain_with("", "");
    g_autoptr(VmpDomain) domain = parse(xml);
    g_autoptr(GError) error = NULL;

    g_assert_true(vmp_domain_set_name(domain, "R&D", &error));
    g_assert_true(vmp_domain_set_uuid(domain, "C797A770A2CE4364B2A31C450AD69915", &error));
    g_assert_true(vmp_domain_set_uuid(domain, "00000000-0000-0000-0000-000000000001", &error));
    g_assert_no_error(error);
    g_assert_cmpstr(vmp_domain_get_name(domain), ==, "R&D");
    g_assert_cmpstr(vmp_domain_get_uuid(domain), ==, "00000000-0000-0000-0000-000000000001");

    g_autofree char *expected =
        replace(xml, "<name>n</name>",
                "<name>R&amp;D</name>\n<uuid>00000000-0000-0000-0000-000000000001</uuid>");
    g_autofree char *text = vmp_domain_format(domain, VMP_DOMAIN_FORMAT_SECURE);
    g_assert_cmpstr(text, ==, expected);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    for (guint i = 0; i < G_N_ELEMENTS(refusals); i++) {
        g_autofree char *path = g_strconcat("/xml/domain/refuses/", refusals[i].name, NULL);
        g_test_add_data_func(path, &refusals[i], test_refusal);
    }
    for (guint i = 0; i < G_N_ELEMENTS(whole); i++) {
        g_autofree char *path = g_strconcat("/xml/domain/refuses/", whole[i].name, NULL);
        g_test_add_data_func(path, &whole[i], test_whole);
    }
    for (guint i = 0; i < G_N_ELEMENTS(source_edits); i++) {
        g_autofree char *path =
            g_strconcat("/xml/domain/sets-the-source-of/", source_edits[i].name, NULL);
        g_test_add_data_func(path, &source_edits[i], test_source_edit);
    }
    g_test_add_func("/xml/domain/other-hypervisors-are-unsupported", test_other_hypervisors);
    g_test_add_func("/xml/domain/a-name-of-10000-bytes-is-only-long", test_long_name);
    g_test_add_func("/xml/domain/view/defaults-of-a-minimal-domain", test_minimal);
    g_test_add_func("/xml/domain/view/machine-of-a-running-q35-guest", test_machine);
    g_test_add_func("/xml/domain/view/disks-of-a-running-q35-guest", test_disks);
    g_test_add_func("/xml/domain/view/bus-follows-from-the-target", test_disk_defaults);
    g_test_add_func("/xml/domain/view/flags-of-disks", test_disk_flags);
    g_test_add_func("/xml/domain/view/network-sources", test_network_sources);
    g_test_add_func("/xml/domain/edit/to-an-export-and-back", test_source_edit_to_an_export);
    g_test_add_func("/xml/domain/view/devices-of-a-running-q35-guest", test_devices);
    g_test_add_func("/xml/domain/view/character-devices", test_chardevs);
    g_test_add_func("/xml/domain/view/an-older-pc", test_old_pc);
    g_test_add_func("/xml/domain/view/a-disk-is-found-by-target-or-source-if-only-one-fits",
                    test_find_disk);
    g_test_add_func("/xml/domain/text/an-unchanged-domain-comes-back-to-the-byte",
                    test_identity);
    g_test_add_func("/xml/domain/text/a-copy-is-the-same", test_copy);
    g_test_add_func("/xml/domain/text/a-password-is-left-out-unless-asked-for", test_secrets);
    g_test_add_func("/xml/domain/text/cookies-are-left-out-unless-asked-for", test_cookies);
    g_test_add_func("/xml/domain/text/secrets-hide-wherever-they-stand",
                    test_secrets_in_odd_places);
    g_test_add_func("/xml/domain/text/the-root-may-be-inactive-domain", test_root_name);
    g_test_add_func("/xml/domain/text/lines-of-a-part-count-from-its-place",
                    test_lines_of_a_part);
    g_test_add_func("/xml/domain/edits/a-refused-edit-changes-nothing", test_refused_edits);
    g_test_add_func("/xml/domain/edits/what-was-borrowed-stays-valid", test_borrowed_stays);
    g_test_add_func("/xml/domain/edits/name-and-uuid", test_identity_edits);
    return g_test_run();
}
