/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "machine/launch-private.h"
#include "qmp/commands.h"

static gboolean
is_kvm(const VmpLaunch *launch)
{
    return g_str_equal(vmp_domain_get_type(launch->domain), "kvm");
}

static const VmpDomainTimer *
find_timer(const VmpLaunch *launch, const char *name)
{
    const GPtrArray *timers = vmp_domain_get_timers(launch->domain);

    for (guint i = 0; timers && i < timers->len; i++) {
        const VmpDomainTimer *timer = g_ptr_array_index(timers, i);
        if (g_strcmp0(timer->name, name) == 0)
            return timer;
    }
    return NULL;
}

static gboolean
add_accelerator(VmpLaunch *launch, GError **error)
{
    const char *type = vmp_domain_get_type(launch->domain);

    if (!g_str_equal(type, "qemu") && !g_str_equal(type, "kvm"))
        return VMP_LAUNCH_REFUSE(error, "<domain type='%s'>: vmpoint runs 'qemu' and 'kvm'",
                                 type);
    vmp_args_add_guest(launch->args, "-accel", is_kvm(launch) ? "kvm" : "tcg");
    return TRUE;
}

/* ---- firmware ---- */

static void
add_flash(VmpLaunch *launch, const char *node, const char *format, const char *path,
          gboolean read_only)
{
    g_autofree char *storage = g_strconcat(node, "-storage", NULL);
    g_autofree char *top = g_strconcat(node, "-format", NULL);
    g_autoptr(VmpJson) file = vmp_qmp_options_storage(storage, path, FALSE, FALSE);
    vmp_json_add(file, "b:auto-read-only", TRUE, "s:discard", "unmap", NULL);
    g_autoptr(VmpJson) image =
        vmp_qmp_options_format(top, format ? format : "raw", storage, NULL, read_only);
    g_autofree char *file_text = vmp_json_to_text(file);
    g_autofree char *image_text = vmp_json_to_text(image);

    vmp_args_add_host(launch->args, "-blockdev", file_text);
    vmp_args_add_host(launch->args, "-blockdev", image_text);
}

static gboolean
add_firmware(VmpLaunch *launch, VmpOption *machine, GError **error)
{
    const VmpDomainOs *os = vmp_domain_get_os(launch->domain);
    const VmpLaunchHost *host = launch->host;
    const char *loader = os->loader ? os->loader : host->loader_path;
    const char *nvram = host->nvram_path ? host->nvram_path : os->nvram;
    gboolean is_flash = os->firmware || g_strcmp0(os->loader_type, "pflash") == 0;

    if (os->firmware && g_str_equal(os->firmware, "bios"))
        return TRUE;
    if (os->firmware && !g_str_equal(os->firmware, "efi"))
        return VMP_LAUNCH_REFUSE(error, "<os firmware='%s'>: vmpoint knows 'efi' and 'bios'",
                                 os->firmware);
    if (!is_flash) {
        if (os->loader)
            vmp_args_add_host(launch->args, "-bios", os->loader);
        return TRUE;
    }

    if (loader)
        add_flash(launch, "pflash0",
                  os->loader_format ? os->loader_format : host->loader_format, loader, TRUE);
    vmp_option_guest(machine, "pflash0", "pflash0-format");
    if (nvram || os->firmware) {
        if (nvram)
            add_flash(launch, "pflash1",
                      os->nvram_format ? os->nvram_format : host->nvram_format, nvram, FALSE);
        vmp_option_guest(machine, "pflash1", "pflash1-format");
    }
    return TRUE;
}

/* ---- machine type and features ---- */

static void
add_switch(VmpOption *option, const char *key, int state)
{
    if (state >= 0)
        vmp_option_guest(option, key, "%s", state ? "on" : "off");
}

static gboolean
add_machine_type(VmpLaunch *launch, GError **error)
{
    const VmpDomain *domain = launch->domain;
    const VmpDomainOs *os = vmp_domain_get_os(domain);
    const VmpDomainTimer *hpet = find_timer(launch, "hpet");
    VmpOption *machine = vmp_option_new("-machine", os->machine ? os->machine : "pc");

    vmp_option_guest(machine, "usb", "off");
    vmp_option_host(machine, "dump-guest-core", "off");
    /* As in libvirt a machine has ACPI only when it is asked for. */
    if (vmp_domain_get_feature(domain, "acpi") != 1)
        vmp_option_guest(machine, "acpi", "off");
    add_switch(machine, "smm", vmp_domain_get_feature(domain, "smm"));
    add_switch(machine, "vmport", vmp_domain_get_feature(domain, "vmport"));
    if (hpet && hpet->present >= 0)
        add_switch(machine, "hpet", hpet->present);
    gboolean is_given = add_firmware(launch, machine, error);
    vmp_args_take(launch->args, machine);
    if (os->loader_secure)
        vmp_args_add_guest(launch->args, "-global",
                           "driver=cfi.pflash01,property=secure,value=on");
    return is_given;
}

/* ---- CPU and memory ---- */

static const char *
cpu_model(const VmpLaunch *launch, GError **error)
{
    const VmpDomainCpu *cpu = vmp_domain_get_cpu(launch->domain);

    if (!cpu->mode || g_str_equal(cpu->mode, "custom"))
        return cpu->model ? cpu->model : "qemu64";
    if (g_str_equal(cpu->mode, "maximum"))
        return "max";
    if (g_str_equal(cpu->mode, "host-passthrough")) {
        if (is_kvm(launch))
            return "host";
        VMP_LAUNCH_REFUSE(error, "<cpu mode='host-passthrough'> needs <domain type='kvm'>");
        return NULL;
    }
    /* Without a model of the host's own name the host is the nearest to itself. */
    if (g_str_equal(cpu->mode, "host-model"))
        return is_kvm(launch) ? "host" : "max";
    VMP_LAUNCH_REFUSE(error, "<cpu mode='%s'>: no such mode", cpu->mode);
    return NULL;
}

static gboolean
add_cpu(VmpLaunch *launch, GError **error)
{
    const VmpDomainCpu *cpu = vmp_domain_get_cpu(launch->domain);
    const VmpDomainTimer *kvmclock = find_timer(launch, "kvmclock");
    const char *model = cpu_model(launch, error);
    if (!model)
        return FALSE;

    VmpOption *option = vmp_option_new("-cpu", model);
    if (kvmclock && kvmclock->present >= 0)
        add_switch(option, "kvmclock", kvmclock->present);
    add_switch(option, "pmu", vmp_domain_get_feature(launch->domain, "pmu"));
    for (guint i = 0; cpu->features && i < cpu->features->len; i++) {
        const char *feature = g_ptr_array_index(cpu->features, i);
        add_switch(option, feature + 1, feature[0] == '+');
    }
    vmp_args_take(launch->args, option);
    return TRUE;
}

static void
add_smp(VmpLaunch *launch)
{
    const VmpDomainCpu *cpu = vmp_domain_get_cpu(launch->domain);
    guint maximum = vmp_domain_get_vcpus(launch->domain);
    guint current = vmp_domain_get_current_vcpus(launch->domain);
    gboolean has_topology = cpu->sockets || cpu->dies || cpu->cores || cpu->threads;
    /* Without a topology each CPU is a socket, in libvirt; QEMU has changed its mind. */
    guint sockets = has_topology ? MAX(cpu->sockets, 1) : maximum;
    guint dies = MAX(cpu->dies, 1), cores = MAX(cpu->cores, 1), threads = MAX(cpu->threads, 1);

    g_autofree char *count = g_strdup_printf("%u", current);
    VmpOption *smp = vmp_option_new("-smp", count);
    if (current != maximum)
        vmp_option_guest(smp, "maxcpus", "%u", maximum);
    vmp_option_guest(smp, "sockets", "%u", sockets);
    if (dies > 1)
        vmp_option_guest(smp, "dies", "%u", dies);
    vmp_option_guest(smp, "cores", "%u", cores);
    vmp_option_guest(smp, "threads", "%u", threads);
    vmp_args_take(launch->args, smp);
}

static void
add_memory(VmpLaunch *launch)
{
    VmpOption *memory = vmp_option_new("-m", "");

    vmp_option_guest(memory, "size", "%" G_GUINT64_FORMAT "k",
                     vmp_domain_get_memory(launch->domain) / 1024);
    vmp_args_take(launch->args, memory);
}

static void
add_identity(VmpLaunch *launch)
{
    const char *uuid = vmp_domain_get_uuid(launch->domain);

    if (uuid)
        vmp_args_add_guest(launch->args, "-uuid", uuid);
    if (vmp_domain_has_genid(launch->domain)) {
        const char *genid = vmp_domain_get_genid(launch->domain);
        VmpOption *device = vmp_option_new("-device", "vmgenid");
        vmp_option_host(device, "guid", "%s",
                        genid && !launch->host->new_genid ? genid : "auto");
        vmp_option_host(device, "id", "vmgenid0");
        vmp_args_take(launch->args, device);
    }
}

/* ---- clock ---- */

static gboolean
check_timers(const VmpLaunch *launch, GError **error)
{
    static const char *const known[] = { "rtc", "pit", "hpet", "kvmclock" };
    const GPtrArray *timers = vmp_domain_get_timers(launch->domain);

    for (guint i = 0; timers && i < timers->len; i++) {
        const VmpDomainTimer *timer = g_ptr_array_index(timers, i);
        gboolean is_known = FALSE;
        for (guint k = 0; k < G_N_ELEMENTS(known); k++)
            is_known |= g_strcmp0(timer->name, known[k]) == 0;
        /* One that is to be absent, and that we never make, is fine. */
        if (!is_known && timer->present != 0)
            return VMP_LAUNCH_REFUSE(error, "<timer name='%s'> is not known to vmpoint",
                                     timer->name);
    }
    return TRUE;
}

static gboolean
add_rtc(VmpLaunch *launch, GError **error)
{
    const char *offset = vmp_domain_get_clock_offset(launch->domain);
    const VmpDomainTimer *rtc = find_timer(launch, "rtc");

    if (!g_str_equal(offset, "utc") && !g_str_equal(offset, "localtime"))
        return VMP_LAUNCH_REFUSE(error,
                                 "<clock offset='%s'>: vmpoint knows 'utc' and "
                                 "'localtime'",
                                 offset);

    VmpOption *option = vmp_option_new("-rtc", "");
    vmp_option_host(option, "base", "%s", offset);
    if (rtc && g_strcmp0(rtc->track, "guest") == 0)
        vmp_option_host(option, "clock", "vm");
    else if (rtc && g_strcmp0(rtc->track, "wall") == 0)
        vmp_option_host(option, "clock", "host");
    if (rtc && g_strcmp0(rtc->tickpolicy, "catchup") == 0)
        vmp_option_host(option, "driftfix", "slew");
    vmp_args_take_host(launch->args, option);
    return TRUE;
}

static gboolean
add_clock(VmpLaunch *launch, GError **error)
{
    const VmpDomainTimer *pit = find_timer(launch, "pit");

    if (!check_timers(launch, error) || !add_rtc(launch, error))
        return FALSE;
    /* The policy is the kernel's PIT's; TCG's own has none. */
    if (pit && is_kvm(launch) &&
        (g_strcmp0(pit->tickpolicy, "delay") == 0 ||
         g_strcmp0(pit->tickpolicy, "discard") == 0)) {
        g_autofree char *policy =
            g_strconcat("kvm-pit.lost_tick_policy=", pit->tickpolicy, NULL);
        vmp_args_add_host(launch->args, "-global", policy);
    }
    return TRUE;
}

/* ---- power ---- */

static gboolean
add_actions(VmpLaunch *launch, GError **error)
{
    const char *poweroff = vmp_domain_get_on_poweroff(launch->domain);
    const char *reboot = vmp_domain_get_on_reboot(launch->domain);
    const char *crash = vmp_domain_get_on_crash(launch->domain);

    if (g_str_equal(poweroff, "preserve"))
        vmp_args_add_host(launch->args, "-action", "shutdown=pause");
    else if (!g_str_equal(poweroff, "destroy"))
        return VMP_LAUNCH_REFUSE(error,
                                 "<on_poweroff>%s</on_poweroff>: QEMU knows 'destroy' "
                                 "and 'preserve'",
                                 poweroff);
    if (g_str_equal(reboot, "destroy"))
        vmp_args_add_host(launch->args, "-action", "reboot=shutdown");
    else if (!g_str_equal(reboot, "restart"))
        return VMP_LAUNCH_REFUSE(error,
                                 "<on_reboot>%s</on_reboot>: QEMU knows 'restart' and "
                                 "'destroy'",
                                 reboot);
    /* Other words would act on a panic device, which vmpoint does not give. */
    if (g_str_equal(crash, "preserve"))
        vmp_args_add_host(launch->args, "-action", "panic=pause");
    return TRUE;
}

static void
add_sleep_states(VmpLaunch *launch)
{
    /* What has no ACPI has no such states, and no device to say so. */
    if (vmp_domain_get_feature(launch->domain, "acpi") != 1)
        return;
    const char *driver = launch->is_q35 ? "ICH9-LPC" : "PIIX4_PM";
    static const struct {
        const char *element, *property;
    } states[] = {
        { "suspend-to-mem", "disable_s3" },
        { "suspend-to-disk", "disable_s4" },
    };

    for (guint i = 0; i < G_N_ELEMENTS(states); i++) {
        int wanted = vmp_domain_get_pm(launch->domain, states[i].element);
        if (wanted < 0)
            continue;
        g_autofree char *global =
            g_strdup_printf("%s.%s=%d", driver, states[i].property, !wanted);
        vmp_args_add_guest(launch->args, "-global", global);
    }
}

/* ---- boot ---- */

static void
assign_boot_orders(VmpLaunch *launch)
{
    const GPtrArray *boot = vmp_domain_get_os(launch->domain)->boot;
    static const char *const names[] = {
        [VMP_BOOT_DISK] = "hd",
        [VMP_BOOT_CDROM] = "cdrom",
        [VMP_BOOT_NETWORK] = "network",
        [VMP_BOOT_FLOPPY] = "fd",
    };

    for (guint i = 0; boot && i < boot->len; i++) {
        for (guint kind = 0; kind < G_N_ELEMENTS(names); kind++) {
            if (g_str_equal(g_ptr_array_index(boot, i), names[kind]))
                launch->next_boot[kind] = i + 1;
        }
    }
}

gboolean
vmp_launch_add_boot_index(VmpLaunch *launch, VmpOption *option, const char *key,
                          VmpBootKind kind, guint order)
{
    guint index = order ? order : launch->next_boot[kind];

    if (index > 0)
        vmp_option_host(option, key, "%u", index);
    /* Of a kind only the first is booted from. */
    if (!order)
        launch->next_boot[kind] = 0;
    return index > 0;
}

static void
add_boot(VmpLaunch *launch)
{
    const VmpDomainOs *os = vmp_domain_get_os(launch->domain);
    VmpOption *boot = vmp_option_new("-boot", "");

    assign_boot_orders(launch);
    if (os->boot_menu)
        vmp_option_host(boot, "menu", "on");
    vmp_option_host(boot, "strict", "on");
    vmp_args_take_host(launch->args, boot);

    if (!os->kernel)
        return;
    vmp_args_add_host(launch->args, "-kernel", os->kernel);
    if (os->initrd)
        vmp_args_add_host(launch->args, "-initrd", os->initrd);
    if (os->cmdline)
        vmp_args_add_guest(launch->args, "-append", os->cmdline);
    if (os->dtb)
        vmp_args_add_host(launch->args, "-dtb", os->dtb);
}

static gboolean
check_architecture(const VmpLaunch *launch, GError **error)
{
    const char *arch = vmp_domain_get_os(launch->domain)->arch;

    if (!arch || g_str_equal(arch, "x86_64") || g_str_equal(arch, "i686"))
        return TRUE;
    return VMP_LAUNCH_REFUSE(error, "<type arch='%s'>: vmpoint starts x86 machines only",
                             arch);
}

gboolean
vmp_launch_add_machine(VmpLaunch *launch, GError **error)
{
    if (!check_architecture(launch, error) || !add_accelerator(launch, error) ||
        !add_machine_type(launch, error) || !add_cpu(launch, error))
        return FALSE;
    add_memory(launch);
    add_smp(launch);
    add_identity(launch);
    if (!add_clock(launch, error) || !add_actions(launch, error))
        return FALSE;
    if (vmp_domain_get_feature(launch->domain, "vmcoreinfo") == 1)
        vmp_args_add_guest(launch->args, "-device", "vmcoreinfo");
    add_sleep_states(launch);
    add_boot(launch);
    return TRUE;
}
