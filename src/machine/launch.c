/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/launch.h"

#include <string.h>

#include "base/error.h"
#include "machine/launch-private.h"

static void
launch_clear(VmpLaunch *launch)
{
    g_clear_pointer(&launch->args, vmp_args_free);
    g_clear_pointer(&launch->pci_used, g_hash_table_unref);
    g_clear_pointer(&launch->pci_multi, g_hash_table_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmpLaunch, launch_clear)

/* ---- what vmpoint adds for itself ---- */

static void
add_monitor(VmpLaunch *launch, const char *id, int fd)
{
    if (fd < 0)
        return;

    g_autofree char *chardev_id = g_strconcat("char", id, NULL);
    VmpOption *chardev = vmp_option_new("-chardev", "socket");
    vmp_option_host(chardev, "id", "%s", chardev_id);
    vmp_option_host(chardev, "fd", "%d", fd);
    vmp_option_host(chardev, "server", "on");
    vmp_option_host(chardev, "wait", "off");
    vmp_args_take_host(launch->args, chardev);

    VmpOption *monitor = vmp_option_new("-mon", "");
    vmp_option_host(monitor, "chardev", "%s", chardev_id);
    vmp_option_host(monitor, "id", "%s", id);
    vmp_option_host(monitor, "mode", "control");
    vmp_args_take_host(launch->args, monitor);
}

static void
add_frame(VmpLaunch *launch)
{
    VmpArgs *args = launch->args;
    const char *emulator = vmp_domain_get_emulator(launch->domain);
    VmpOption *name = vmp_option_new("-name", "");

    vmp_args_add_host(args, emulator ? emulator : "qemu-system-x86_64", NULL);
    vmp_option_host(name, "guest", "%s", vmp_domain_get_name(launch->domain));
    vmp_args_take_host(args, name);
    /* Stopped, so that all is checked and written down before the guest runs. */
    vmp_args_add_host(args, "-S", NULL);
    vmp_args_add_host(args, "-no-user-config", NULL);
    vmp_args_add_host(args, "-nodefaults", NULL);
    add_monitor(launch, "monitor", launch->host->monitor_fd);
    add_monitor(launch, "query", launch->host->query_fd);
}

static void
add_end(VmpLaunch *launch)
{
    const GPtrArray *given = vmp_domain_get_qemu_args(launch->domain);

    if (launch->host->incoming)
        vmp_args_add_host(launch->args, "-incoming", "defer");
    vmp_args_add_host(
        launch->args, "-sandbox",
        "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
    for (guint i = 0; given && i < given->len; i++)
        vmp_args_add_host(launch->args, g_ptr_array_index(given, i), NULL);
}

/* ---- <qemu:commandline> and the guest ---- */

/* What these bring is for the host alone; anything else may be a device. */
static gboolean
is_host_option(const char *flag)
{
    static const char *const host_options[] = {
        "-qmp",        "-qmp-pretty", "-monitor",     "-mon",      "-chardev", "-trace",
        "-D",          "-d",          "-msg",         "-sandbox",  "-name",    "-pidfile",
        "-gdb",        "-s",          "-netdev",      "-blockdev", "-object",  "-add-fd",
        "-overcommit", "-L",          "-vnc",         "-tpmdev",   "-display", "-spice",
        "-k",          "-action",     "-no-shutdown", "-runas",    "-chroot",
    };

    for (guint i = 0; i < G_N_ELEMENTS(host_options); i++) {
        if (g_str_equal(flag, host_options[i]))
            return TRUE;
    }
    return FALSE;
}

static void
add_guest_commandline(VmpLaunch *launch)
{
    const GPtrArray *given = vmp_domain_get_qemu_args(launch->domain);

    for (guint i = 0; given && i < given->len; i++) {
        const char *flag = g_ptr_array_index(given, i);
        const char *next = i + 1 < given->len ? g_ptr_array_index(given, i + 1) : NULL;
        const char *value = next && next[0] != '-' ? next : NULL;
        /* --device is -device. */
        const char *single = g_str_has_prefix(flag, "--") ? flag + 1 : flag;

        if (!is_host_option(single))
            g_ptr_array_add(launch->args->guest,
                            value ? g_strconcat(single, " ", value, NULL) : g_strdup(single));
        if (value)
            i++;
    }
}

/* ---- the whole ---- */

static gboolean
check_known(const VmpDomain *domain, GError **error)
{
    const GPtrArray *unknown = vmp_domain_get_unknown(domain);

    if (!unknown || unknown->len == 0)
        return TRUE;

    g_autoptr(GString) names = g_string_new(NULL);
    for (guint i = 0; i < unknown->len; i++)
        g_string_append_printf(names, "%s%s", i ? "; " : "",
                               (const char *)g_ptr_array_index(unknown, i));
    return VMP_LAUNCH_REFUSE(error,
                             "cannot be started by vmpoint: its definition has what "
                             "vmpoint cannot give: %s",
                             names->str);
}

/* A QEMU that goes into the background by itself is none that we started. */
static gboolean
check_commandline(const VmpDomain *domain, GError **error)
{
    const GPtrArray *given = vmp_domain_get_qemu_args(domain);

    for (guint i = 0; given && i < given->len; i++) {
        const char *flag = g_ptr_array_index(given, i);
        if (g_str_has_suffix(flag, "-daemonize"))
            return VMP_LAUNCH_REFUSE(error, "<qemu:arg value='%s'> cannot be given by vmpoint",
                                     flag);
    }
    return TRUE;
}

static gboolean
build(VmpLaunch *launch, GError **error)
{
    const VmpDomainOs *os = vmp_domain_get_os(launch->domain);
    const char *machine = os->machine ? os->machine : "pc";

    launch->is_q35 = g_str_equal(machine, "q35") || g_str_has_prefix(machine, "pc-q35-");
    launch->args = vmp_args_new();
    launch->pci_used = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    launch->pci_multi = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    if (!check_known(launch->domain, error) || !check_commandline(launch->domain, error) ||
        !vmp_launch_reserve_addresses(launch, error))
        return FALSE;
    add_frame(launch);
    if (!vmp_launch_add_machine(launch, error) || !vmp_launch_add_controllers(launch, error) ||
        !vmp_launch_add_disks(launch, error) || !vmp_launch_add_devices(launch, error))
        return FALSE;
    add_end(launch);
    add_guest_commandline(launch);
    return TRUE;
}

static char **
copy_words(const GPtrArray *words)
{
    char **copy = g_new0(char *, words->len + 1);

    for (guint i = 0; i < words->len; i++)
        copy[i] = g_strdup(g_ptr_array_index(words, i));
    return copy;
}

char **
vmp_launch_command(const VmpDomain *domain, const VmpLaunchHost *host, GError **error)
{
    g_auto(VmpLaunch) launch = { .domain = domain, .host = host };

    return build(&launch, error) ? copy_words(launch.args->whole) : NULL;
}

/* ---- the guest's half ---- */

static int
compare_words(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

char **
vmp_launch_guest_abi(const VmpDomain *domain, GError **error)
{
    VmpLaunchHost host = { .monitor_fd = -1, .query_fd = -1 };
    g_auto(VmpLaunch) launch = { .domain = domain, .host = &host };

    if (!build(&launch, error))
        return NULL;
    /* Devices have addresses, so that their order says nothing. */
    g_ptr_array_sort(launch.args->guest, compare_words);
    return copy_words(launch.args->guest);
}

/* The first words that only one of two sorted lists has; NULL where there is none. */
static void
find_difference(char **a, char **b, const char **only_a, const char **only_b)
{
    *only_a = *only_b = NULL;
    while (*a || *b) {
        int order = !*a ? 1 : !*b ? -1 : strcmp(*a, *b);

        if (order < 0 && !*only_a)
            *only_a = *a;
        if (order > 0 && !*only_b)
            *only_b = *b;
        a += order <= 0;
        b += order >= 0;
    }
}

/* @domain's text with the same image in every disk. */
static char *
text_without_images(const VmpDomain *domain)
{
    g_autoptr(VmpDomain) copy = vmp_domain_copy(domain);
    const GPtrArray *disks = vmp_domain_get_disks(domain);

    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        if (disk->source && !vmp_domain_set_disk_source(copy, disk->target, "/", "raw", NULL))
            return NULL;
    }
    return vmp_domain_format(copy, VMP_DOMAIN_FORMAT_SECURE);
}

/* For definitions that vmpoint cannot launch, of attached machines say: they are the same if
 * nothing but images differs. */
static gboolean
same_text(const VmpDomain *a, const VmpDomain *b)
{
    g_autofree char *text_a = text_without_images(a);
    g_autofree char *text_b = text_without_images(b);

    return text_a && g_strcmp0(text_a, text_b) == 0;
}

gboolean
vmp_launch_same_abi(const VmpDomain *a, const VmpDomain *b, char **difference)
{
    g_autoptr(GError) failure = NULL;
    g_auto(GStrv) words_a = vmp_launch_guest_abi(a, &failure);
    g_auto(GStrv) words_b = words_a ? vmp_launch_guest_abi(b, &failure) : NULL;
    const char *only_a = NULL, *only_b = NULL;

    if (words_a && words_b)
        find_difference(words_a, words_b, &only_a, &only_b);
    if (words_b ? !only_a && !only_b : same_text(a, b))
        return TRUE;

    if (difference && failure)
        *difference = g_strdup_printf("they cannot be compared: %s", failure->message);
    else if (difference && only_a && only_b)
        *difference = g_strdup_printf("'%s' against '%s'", only_a, only_b);
    else if (difference)
        *difference = g_strdup_printf("only one of them has '%s'", only_a ? only_a : only_b);
    return FALSE;
}

const char *
vmp_launch_disk_id(const VmpDomainDisk *disk)
{
    return disk->target;
}
