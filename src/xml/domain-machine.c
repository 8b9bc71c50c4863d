/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"
#include "xml/domain-private.h"
#include "xml/name.h"

#define MAX_VCPUS 4096

static void
timer_free(VmpDomainTimer *timer)
{
    g_free(timer->name);
    g_free(timer->tickpolicy);
    g_free(timer->track);
    g_free(timer);
}

/* A word from a list; *value stays NULL if the attribute is absent. */
static gboolean
read_word(const xmlNode *node, const char *name, const char *const *words, char **value,
          GError **error)
{
    g_autofree char *text = vmp_xml_attribute(node, name);

    if (text && !g_strv_contains(words, text))
        return vmp_xml_fail_value(node, name, text, "is not known", error);
    *value = g_steal_pointer(&text);
    return TRUE;
}

/* <vcpu>, <iothreads>: a number as text. */
static gboolean
read_count(const xmlNode *node, guint max, guint *count, GError **error)
{
    g_autofree char *text = vmp_xml_text(node);
    guint64 value = 0;

    if (!text)
        return TRUE;
    if (!vmp_xml_parse_uint(g_strstrip(text), &value) || value > max) {
        g_autofree char *quoted = vmp_name_quote(text);
        return vmp_xml_fail(node, error, "%s is not a number from 0 to %u", quoted, max);
    }
    *count = (guint)value;
    return TRUE;
}

static gboolean
read_memory(VmpDomainView *view, const xmlNode *root, GError **error)
{
    const xmlNode *memory = vmp_xml_child(root, "memory");
    const xmlNode *current = vmp_xml_child(root, "currentMemory");

    if (!vmp_xml_text_size(memory, "KiB", &view->memory, error))
        return FALSE;
    if (view->memory == 0)
        return vmp_xml_fail(root, error, "<memory> is missing or zero");

    view->current_memory = view->memory;
    if (!vmp_xml_text_size(current, "KiB", &view->current_memory, error))
        return FALSE;
    if (view->current_memory > view->memory)
        return vmp_xml_fail(current, error, "more than <memory>");
    if (view->current_memory == 0)
        view->current_memory = view->memory;
    return TRUE;
}

static gboolean
read_vcpus(VmpDomainView *view, const xmlNode *root, GError **error)
{
    const xmlNode *vcpu = vmp_xml_child(root, "vcpu");

    view->vcpus = 1;
    if (!read_count(vcpu, MAX_VCPUS, &view->vcpus, error))
        return FALSE;
    if (view->vcpus == 0)
        return vmp_xml_fail(vcpu, error, "a machine without CPUs");

    view->current_vcpus = view->vcpus;
    if (!vmp_xml_attribute_uint_max(vcpu, "current", view->vcpus, &view->current_vcpus, error))
        return FALSE;
    if (view->current_vcpus == 0)
        return vmp_xml_fail(vcpu, error, "current='0': a machine without CPUs");
    return read_count(vmp_xml_child(root, "iothreads"), MAX_VCPUS, &view->iothreads, error);
}

static gboolean
read_loader(VmpDomainOs *os, const xmlNode *node, GError **error)
{
    static const char *const types[] = { "rom", "pflash", NULL };
    const xmlNode *loader = vmp_xml_child(node, "loader");
    const xmlNode *nvram = vmp_xml_child(node, "nvram");
    const xmlNode *source = vmp_xml_child(nvram, "source");

    if (!read_word(loader, "type", types, &os->loader_type, error) ||
        !vmp_xml_attribute_yes_no(loader, "readonly", &os->loader_readonly, error) ||
        !vmp_xml_attribute_yes_no(loader, "secure", &os->loader_secure, error))
        return FALSE;
    os->loader = vmp_xml_text(loader);
    os->loader_format = vmp_xml_attribute(loader, "format");
    if (os->loader && os->loader[0] == '\0')
        g_clear_pointer(&os->loader, g_free);
    if (os->loader && os->loader[0] != '/')
        return vmp_xml_fail(loader, error, "the path is not absolute");
    if (os->loader && !os->loader_type)
        os->loader_type = g_strdup("rom");

    os->nvram = source ? vmp_xml_attribute(source, "file") : vmp_xml_text(nvram);
    if (os->nvram && g_strstrip(os->nvram)[0] == '\0')
        g_clear_pointer(&os->nvram, g_free);
    if (os->nvram && os->nvram[0] != '/')
        return vmp_xml_fail(nvram, error, "the path is not absolute");
    os->nvram_template = vmp_xml_attribute(nvram, "template");
    os->nvram_format = vmp_xml_attribute(nvram, "format");
    return TRUE;
}

static gboolean
read_boot(VmpDomainOs *os, const xmlNode *node, GError **error)
{
    static const char *const devices[] = { "hd", "cdrom", "network", "fd", NULL };

    os->boot = g_ptr_array_new_with_free_func(g_free);
    for (xmlNode *boot = vmp_xml_child(node, "boot"); boot;
         boot = vmp_xml_next(boot, "boot")) {
        char *device = NULL;

        if (!read_word(boot, "dev", devices, &device, error))
            return FALSE;
        if (!device)
            return vmp_xml_fail(boot, error, "dev is missing");
        g_ptr_array_add(os->boot, device);
    }
    return vmp_xml_attribute_yes_no(vmp_xml_child(node, "bootmenu"), "enable", &os->boot_menu,
                                    error);
}

static gboolean
read_os(VmpDomainView *view, const xmlNode *root, GError **error)
{
    VmpDomainOs *os = &view->os;
    const xmlNode *node = vmp_xml_child(root, "os");
    const xmlNode *type = vmp_xml_child(node, "type");
    g_autofree char *kind = vmp_xml_text(type);

    if (!kind)
        return vmp_xml_fail(root, error, "<os><type> is missing");
    if (!g_str_equal(g_strstrip(kind), "hvm")) {
        g_autofree char *quoted = vmp_name_quote(kind);
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED, "line %u: <type>: %s guests, only 'hvm'",
                        vmp_xml_line(type), quoted);
    }

    os->arch = vmp_xml_attribute(type, "arch");
    if (!os->arch)
        os->arch = g_strdup("x86_64");
    os->machine = vmp_xml_attribute(type, "machine");
    os->firmware = vmp_xml_attribute(node, "firmware");
    os->kernel = vmp_xml_text(vmp_xml_child(node, "kernel"));
    os->initrd = vmp_xml_text(vmp_xml_child(node, "initrd"));
    os->cmdline = vmp_xml_text(vmp_xml_child(node, "cmdline"));
    os->dtb = vmp_xml_text(vmp_xml_child(node, "dtb"));
    return read_loader(os, node, error) && read_boot(os, node, error);
}

static gboolean
read_topology(VmpDomainView *view, const xmlNode *node, GError **error)
{
    VmpDomainCpu *cpu = &view->cpu;
    guint clusters = 1;

    if (!node)
        return TRUE;
    cpu->dies = 1;
    if (!vmp_xml_attribute_uint_max(node, "sockets", MAX_VCPUS, &cpu->sockets, error) ||
        !vmp_xml_attribute_uint_max(node, "dies", MAX_VCPUS, &cpu->dies, error) ||
        !vmp_xml_attribute_uint_max(node, "clusters", MAX_VCPUS, &clusters, error) ||
        !vmp_xml_attribute_uint_max(node, "cores", MAX_VCPUS, &cpu->cores, error) ||
        !vmp_xml_attribute_uint_max(node, "threads", MAX_VCPUS, &cpu->threads, error))
        return FALSE;

    guint64 all = (guint64)cpu->sockets * cpu->dies * clusters * cpu->cores * cpu->threads;
    if (all != view->vcpus)
        return vmp_xml_fail(node, error, "is for %" G_GUINT64_FORMAT " CPUs, <vcpu> says %u",
                            all, view->vcpus);
    return TRUE;
}

static gboolean
read_cpu_features(VmpDomainCpu *cpu, const xmlNode *node, GError **error)
{
    static const char *const policies[] = { "force",   "require", "optional",
                                            "disable", "forbid",  NULL };

    cpu->features = g_ptr_array_new_with_free_func(g_free);
    for (xmlNode *feature = vmp_xml_child(node, "feature"); feature;
         feature = vmp_xml_next(feature, "feature")) {
        g_autofree char *name = vmp_xml_attribute(feature, "name");
        g_autofree char *policy = NULL;

        if (!name || name[0] == '\0')
            return vmp_xml_fail(feature, error, "name is missing");
        if (!read_word(feature, "policy", policies, &policy, error))
            return FALSE;

        /* "optional" is what the host can do: domain-known.c names it. */
        if (!policy || g_str_equal(policy, "require") || g_str_equal(policy, "force"))
            g_ptr_array_add(cpu->features, g_strconcat("+", name, NULL));
        else if (!g_str_equal(policy, "optional"))
            g_ptr_array_add(cpu->features, g_strconcat("-", name, NULL));
    }
    return TRUE;
}

static gboolean
read_cpu(VmpDomainView *view, const xmlNode *root, GError **error)
{
    static const char *const modes[] = { "custom", "host-model", "host-passthrough", "maximum",
                                         NULL };
    VmpDomainCpu *cpu = &view->cpu;
    const xmlNode *node = vmp_xml_child(root, "cpu");

    if (!read_word(node, "mode", modes, &cpu->mode, error))
        return FALSE;
    cpu->model = vmp_xml_text(vmp_xml_child(node, "model"));
    if (cpu->model && g_strstrip(cpu->model)[0] == '\0')
        g_clear_pointer(&cpu->model, g_free);
    if (cpu->model && !cpu->mode)
        cpu->mode = g_strdup("custom");
    return read_topology(view, vmp_xml_child(node, "topology"), error) &&
           read_cpu_features(cpu, node, error);
}

static gboolean
read_clock(VmpDomainView *view, const xmlNode *root, GError **error)
{
    static const char *const offsets[] = { "utc",      "localtime", "variable",
                                           "timezone", "absolute",  NULL };
    const xmlNode *clock = vmp_xml_child(root, "clock");

    view->timers = g_ptr_array_new_with_free_func((GDestroyNotify)timer_free);
    if (!read_word(clock, "offset", offsets, &view->clock_offset, error))
        return FALSE;
    if (!view->clock_offset)
        view->clock_offset = g_strdup("utc");

    for (xmlNode *node = vmp_xml_child(clock, "timer"); node;
         node = vmp_xml_next(node, "timer")) {
        VmpDomainTimer *timer = g_new0(VmpDomainTimer, 1);

        g_ptr_array_add(view->timers, timer);
        timer->name = vmp_xml_attribute(node, "name");
        if (!timer->name)
            return vmp_xml_fail(node, error, "name is missing");
        timer->tickpolicy = vmp_xml_attribute(node, "tickpolicy");
        timer->track = vmp_xml_attribute(node, "track");
        timer->present = -1;
        if (!vmp_xml_attribute_yes_no(node, "present", &timer->present, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
read_features(VmpDomainView *view, const xmlNode *root, GError **error)
{
    static const char *const states[] = { "on", "off", NULL };
    const xmlNode *features = vmp_xml_child(root, "features");

    view->features = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (xmlNode *node = vmp_xml_child(features, NULL); node;
         node = vmp_xml_next(node, NULL)) {
        g_autofree char *state = NULL;

        if (!read_word(node, "state", states, &state, error))
            return FALSE;
        g_hash_table_replace(view->features, g_strdup((const char *)node->name),
                             GINT_TO_POINTER(g_strcmp0(state, "off") != 0));
    }
    return TRUE;
}

/* Empty is as good as absent. */
static gboolean
read_action(const xmlNode *root, const char *name, const char *fallback, char **action,
            GError **error)
{
    static const char *const actions[] = {
        "destroy",          "restart",          "preserve", "rename-restart",
        "coredump-destroy", "coredump-restart", NULL
    };
    const xmlNode *node = vmp_xml_child(root, name);
    g_autofree char *text = vmp_xml_text(node);

    if (text && !g_strv_contains(actions, g_strstrip(text))) {
        g_autofree char *quoted = vmp_name_quote(text);
        return vmp_xml_fail(node, error, "%s is not known", quoted);
    }
    *action = text ? g_steal_pointer(&text) : g_strdup(fallback);
    return TRUE;
}

static gboolean
read_pm(VmpDomainView *view, const xmlNode *root, GError **error)
{
    const xmlNode *pm = vmp_xml_child(root, "pm");

    view->suspend_to_mem = view->suspend_to_disk = -1;
    return vmp_xml_attribute_yes_no(vmp_xml_child(pm, "suspend-to-mem"), "enabled",
                                    &view->suspend_to_mem, error) &&
           vmp_xml_attribute_yes_no(vmp_xml_child(pm, "suspend-to-disk"), "enabled",
                                    &view->suspend_to_disk, error);
}

static gboolean
read_life(VmpDomainView *view, const xmlNode *root, GError **error)
{
    /* libvirt's defaults. */
    return read_action(root, "on_poweroff", "destroy", &view->on_poweroff, error) &&
           read_action(root, "on_reboot", "restart", &view->on_reboot, error) &&
           read_action(root, "on_crash", "destroy", &view->on_crash, error);
}

gboolean
vmp_domain_read_machine(VmpDomainView *view, const xmlNode *root, GError **error)
{
    return read_memory(view, root, error) && read_vcpus(view, root, error) &&
           read_os(view, root, error) && read_cpu(view, root, error) &&
           read_clock(view, root, error) && read_features(view, root, error) &&
           read_life(view, root, error) && read_pm(view, root, error);
}

void
vmp_domain_clear_machine(VmpDomainView *view)
{
    VmpDomainOs *os = &view->os;
    char *owned[] = {
        os->arch,          os->machine,       os->firmware,    os->loader,
        os->loader_type,   os->loader_format, os->nvram,       os->nvram_template,
        os->nvram_format,  os->kernel,        os->initrd,      os->cmdline,
        os->dtb,           view->cpu.mode,    view->cpu.model, view->clock_offset,
        view->on_poweroff, view->on_reboot,   view->on_crash
    };

    for (guint i = 0; i < G_N_ELEMENTS(owned); i++)
        g_free(owned[i]);
    g_clear_pointer(&os->boot, g_ptr_array_unref);
    g_clear_pointer(&view->cpu.features, g_ptr_array_unref);
    g_clear_pointer(&view->timers, g_ptr_array_unref);
    g_clear_pointer(&view->features, g_hash_table_unref);
}
