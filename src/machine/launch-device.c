/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "machine/launch-private.h"

#define AGENT_CHANNEL "org.qemu.guest_agent.0"
#define VNC_FIRST_PORT 5900
#define SERIAL_PORTS 64 /* more than a virtio-serial bus has */

/* A PCI device of which the definition may say where it is. */
static gboolean
add_pci_device(VmpLaunch *launch, VmpOption *option, const char *element, guint nth,
               GError **error)
{
    gboolean multifunction = FALSE;
    g_autofree char *address =
        vmp_domain_get_pci_address(launch->domain, element, nth, &multifunction);
    gboolean has_place = vmp_launch_add_pci(launch, option, address, multifunction, error);

    vmp_args_take(launch->args, option);
    return has_place;
}

/* ---- network ---- */

/* A domain whose interface has no address gets one that follows from its uuid: always the
 * same, and most likely nobody else's. */
static char *
make_mac(const VmpDomain *domain, guint index)
{
    const char *uuid = vmp_domain_get_uuid(domain);
    g_autofree char *seed = g_strdup_printf("%s/%u", uuid ? uuid : "", index);
    g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, seed, -1);

    return g_strdup_printf("52:54:00:%.2s:%.2s:%.2s", hash, hash + 2, hash + 4);
}

static const char *
network_device(const char *model)
{
    static const struct {
        const char *model, *device;
    } models[] = {
        { "virtio", "virtio-net-pci" },
        { "virtio-transitional", "virtio-net-pci-transitional" },
        { "virtio-non-transitional", "virtio-net-pci-non-transitional" },
        { "e1000", "e1000" },
        { "e1000e", "e1000e" },
        { "rtl8139", "rtl8139" },
        { "ne2k_pci", "ne2k_pci" },
        { "pcnet", "pcnet" },
        { "vmxnet3", "vmxnet3" },
    };

    /* libvirt's choice on x86. */
    if (!model)
        return "rtl8139";
    for (guint i = 0; i < G_N_ELEMENTS(models); i++) {
        if (g_str_equal(models[i].model, model))
            return models[i].device;
    }
    return NULL;
}

static void
add_netdev(VmpLaunch *launch, const VmpDomainInterface *interface, guint index)
{
    VmpOption *netdev = vmp_option_new("-netdev", "user");

    vmp_option_host(netdev, "id", "hostnet%u", index);
    for (guint i = 0; interface->forwards && i < interface->forwards->len; i++)
        vmp_option_host(netdev, "hostfwd", "%s",
                        (const char *)g_ptr_array_index(interface->forwards, i));
    vmp_args_take_host(launch->args, netdev);
}

static gboolean
add_interface(VmpLaunch *launch, const VmpDomainInterface *interface, guint index,
              GError **error)
{
    const char *device = network_device(interface->model);

    if (!g_str_equal(interface->type, "user"))
        return VMP_LAUNCH_REFUSE(error, "<interface type='%s'> is not known to vmpoint",
                                 interface->type);
    if (!device)
        return VMP_LAUNCH_REFUSE(error, "interface model '%s' is not known to vmpoint",
                                 interface->model);

    add_netdev(launch, interface, index);
    VmpOption *option = vmp_option_new("-device", device);
    vmp_option_host(option, "netdev", "hostnet%u", index);
    vmp_option_host(option, "id", "net%u", index);
    g_autofree char *made = interface->mac ? NULL : make_mac(launch->domain, index);
    vmp_option_guest(option, "mac", "%s", made ? made : interface->mac);
    vmp_launch_add_boot_index(launch, option, "bootindex", VMP_BOOT_NETWORK,
                              interface->boot_order);
    gboolean has_place = vmp_launch_add_pci(launch, option, interface->pci_address,
                                            interface->multifunction, error);
    vmp_args_take(launch->args, option);
    return has_place;
}

static gboolean
add_interfaces(VmpLaunch *launch, GError **error)
{
    const GPtrArray *interfaces = vmp_domain_get_interfaces(launch->domain);

    for (guint i = 0; i < interfaces->len; i++) {
        if (!add_interface(launch, g_ptr_array_index(interfaces, i), i, error))
            return FALSE;
    }
    return TRUE;
}

/* ---- character devices ---- */

static gboolean
is_listening_unix(const VmpDomainChardev *chardev)
{
    /* A channel that names no path is ours to place, and then QEMU listens. */
    return g_strcmp0(chardev->type, "unix") == 0 && (chardev->listen || !chardev->path);
}

/* Free with g_free(); NULL if there is nowhere to put it. */
static char *
socket_path(const VmpDomainChardev *chardev, const VmpLaunchHost *host)
{
    if (chardev->path)
        return g_strdup(chardev->path);
    if (g_strcmp0(chardev->target_name, AGENT_CHANNEL) == 0)
        return g_strdup(host->agent_path);
    if (!host->prefix || !chardev->target_name || strchr(chardev->target_name, '/'))
        return NULL;
    return g_strconcat(host->prefix, chardev->target_name, NULL);
}

static gboolean
is_console_of_serial(const VmpDomain *domain, const VmpDomainChardev *chardev)
{
    const GPtrArray *chardevs = vmp_domain_get_chardevs(domain);

    if (!g_str_equal(chardev->kind, "console") ||
        (chardev->target_type && !g_str_equal(chardev->target_type, "serial")))
        return FALSE;
    /* libvirt writes the first serial port down a second time, as the console. */
    for (guint i = 0; i < chardevs->len; i++) {
        const VmpDomainChardev *other = g_ptr_array_index(chardevs, i);
        if (g_str_equal(other->kind, "serial"))
            return TRUE;
    }
    return FALSE;
}

GPtrArray *
vmp_launch_socket_paths(const VmpDomain *domain, const VmpLaunchHost *host)
{
    const GPtrArray *chardevs = vmp_domain_get_chardevs(domain);
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < chardevs->len; i++) {
        const VmpDomainChardev *chardev = g_ptr_array_index(chardevs, i);
        if (!is_listening_unix(chardev) || is_console_of_serial(domain, chardev))
            continue;
        char *path = socket_path(chardev, host);
        if (path)
            g_ptr_array_add(paths, path);
    }
    return paths;
}

static VmpOption *
make_unix(const VmpLaunch *launch, const VmpDomainChardev *chardev)
{
    VmpOption *option = vmp_option_new("-chardev", "socket");
    g_autofree char *path = socket_path(chardev, launch->host);
    gpointer fd = NULL;

    if (path && launch->host->sockets &&
        g_hash_table_lookup_extended(launch->host->sockets, path, NULL, &fd))
        vmp_option_host(option, "fd", "%d", GPOINTER_TO_INT(fd));
    else
        vmp_option_host_text(option, "path", path);
    if (is_listening_unix(chardev)) {
        vmp_option_host(option, "server", "on");
        vmp_option_host(option, "wait", "off");
    }
    return option;
}

static VmpOption *
make_tcp(const VmpDomainChardev *chardev)
{
    VmpOption *option = vmp_option_new("-chardev", "socket");

    vmp_option_host(option, "host", "%s", chardev->host ? chardev->host : "127.0.0.1");
    vmp_option_host_text(option, "port", chardev->service);
    if (chardev->listen) {
        vmp_option_host(option, "server", "on");
        vmp_option_host(option, "wait", "off");
    }
    return option;
}

static VmpOption *
make_file(const VmpDomainChardev *chardev)
{
    VmpOption *option = vmp_option_new("-chardev", "file");

    vmp_option_host_text(option, "path", chardev->path);
    vmp_option_host(option, "append", "%s", chardev->append ? "on" : "off");
    return option;
}

static gboolean
add_chardev(VmpLaunch *launch, const VmpDomainChardev *chardev, const char *id, GError **error)
{
    VmpOption *option = NULL;

    if (g_strcmp0(chardev->type, "unix") == 0)
        option = make_unix(launch, chardev);
    else if (g_strcmp0(chardev->type, "tcp") == 0)
        option = make_tcp(chardev);
    else if (g_strcmp0(chardev->type, "file") == 0)
        option = make_file(chardev);
    else if (g_strcmp0(chardev->type, "pty") == 0)
        option = vmp_option_new("-chardev", "pty");
    else if (g_strcmp0(chardev->type, "null") == 0)
        option = vmp_option_new("-chardev", "null");
    else
        return VMP_LAUNCH_REFUSE(error, "<%s type='%s'> is not known to vmpoint",
                                 chardev->kind, chardev->type ? chardev->type : "");

    vmp_option_host(option, "id", "char%s", id);
    vmp_args_take_host(launch->args, option);
    return TRUE;
}

static void
add_isa_port(VmpLaunch *launch, const char *device, const char *id, int port, guint number)
{
    VmpOption *option = vmp_option_new("-device", device);

    vmp_option_host(option, "chardev", "char%s", id);
    vmp_option_host(option, "id", "%s", id);
    vmp_option_guest(option, "index", "%u", port >= 0 ? (guint)port : number);
    vmp_args_take(launch->args, option);
}

/* Ports that the definition gives are nobody else's. */
static void
reserve_serial_ports(VmpLaunch *launch)
{
    static const char *const kinds[] = { "console", "channel" };

    /* Port 0 is for a console, in libvirt as in the guest's driver. */
    launch->serial_ports = 1;
    for (guint k = 0; k < G_N_ELEMENTS(kinds); k++) {
        guint count = vmp_domain_get_chardevs(launch->domain)->len;
        for (guint nth = 0; nth < count; nth++) {
            guint controller = 0, port = 0;
            if (vmp_domain_get_serial_port(launch->domain, kinds[k], nth, &controller,
                                           &port) &&
                controller == 0 && port < SERIAL_PORTS)
                launch->serial_ports |= (guint64)1 << port;
        }
    }
}

/* QEMU refuses ports beyond the bus's last. */
static guint
take_serial_port(VmpLaunch *launch)
{
    guint port = 0;

    while (port < SERIAL_PORTS && (launch->serial_ports & (guint64)1 << port))
        port++;
    if (port < SERIAL_PORTS)
        launch->serial_ports |= (guint64)1 << port;
    return port;
}

static void
add_virtio_port(VmpLaunch *launch, const VmpDomainChardev *chardev, const char *id, guint nth)
{
    gboolean is_console = g_str_equal(chardev->kind, "console");
    VmpOption *option =
        vmp_option_new("-device", is_console ? "virtconsole" : "virtserialport");
    guint controller = 0, port = 0;

    if (!vmp_domain_get_serial_port(launch->domain, chardev->kind, nth, &controller, &port))
        port = take_serial_port(launch);
    vmp_option_guest(option, "bus", "virtio-serial%u.0", controller);
    vmp_option_guest(option, "nr", "%u", port);
    vmp_option_host(option, "chardev", "char%s", id);
    vmp_option_host(option, "id", "%s", id);
    vmp_option_guest_text(option, "name", chardev->target_name);
    vmp_args_take(launch->args, option);
}

static gboolean
add_character_device(VmpLaunch *launch, const VmpDomainChardev *chardev, guint nth,
                     GError **error)
{
    g_autofree char *id = g_strdup_printf("%s%u", chardev->kind, nth);
    gboolean is_virtio = g_strcmp0(chardev->target_type, "virtio") == 0;

    if (is_console_of_serial(launch->domain, chardev))
        return TRUE;
    if (g_str_equal(chardev->kind, "channel") && !is_virtio)
        return VMP_LAUNCH_REFUSE(error,
                                 "<channel> with target type '%s' is not known to vmpoint",
                                 chardev->target_type ? chardev->target_type : "");
    if (!add_chardev(launch, chardev, id, error))
        return FALSE;

    if (is_virtio)
        add_virtio_port(launch, chardev, id, nth);
    else if (g_str_equal(chardev->kind, "parallel"))
        add_isa_port(launch, "isa-parallel", id, chardev->target_port, nth);
    else
        add_isa_port(launch, "isa-serial", id, chardev->target_port, nth);
    return TRUE;
}

static gboolean
add_chardevs(VmpLaunch *launch, GError **error)
{
    static const char *const kinds[] = { "serial", "parallel", "console", "channel" };
    const GPtrArray *chardevs = vmp_domain_get_chardevs(launch->domain);

    if (vmp_launch_needs_virtio_serial(launch->domain))
        reserve_serial_ports(launch);
    for (guint k = 0; k < G_N_ELEMENTS(kinds); k++) {
        guint nth = 0;

        for (guint i = 0; i < chardevs->len; i++) {
            const VmpDomainChardev *chardev = g_ptr_array_index(chardevs, i);
            if (g_str_equal(chardev->kind, kinds[k]) &&
                !add_character_device(launch, chardev, nth++, error))
                return FALSE;
        }
    }
    return TRUE;
}

gboolean
vmp_launch_needs_virtio_serial(const VmpDomain *domain)
{
    const GPtrArray *chardevs = vmp_domain_get_chardevs(domain);

    for (guint i = 0; i < chardevs->len; i++) {
        const VmpDomainChardev *chardev = g_ptr_array_index(chardevs, i);
        if (g_strcmp0(chardev->target_type, "virtio") == 0)
            return TRUE;
    }
    return FALSE;
}

/* ---- screen and input ---- */

/* In a file: everybody may read a command line. */
static void
add_vnc_password(VmpLaunch *launch, VmpOption *option)
{
    VmpOption *secret = vmp_option_new("-object", "secret");

    vmp_option_host(secret, "id", "vnc-password");
    vmp_option_host(secret, "file", "%s",
                    launch->host->password_path ? launch->host->password_path : "");
    vmp_args_take_host(launch->args, secret);
    vmp_option_host(option, "password-secret", "vnc-password");
}

static gboolean
add_vnc(VmpLaunch *launch, const VmpDomainGraphics *graphics, GError **error)
{
    g_autofree char *place = NULL;

    if (!graphics->socket && !graphics->autoport && graphics->port < VNC_FIRST_PORT)
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "<graphics port='%d'>: VNC's ports begin at %d", graphics->port,
                        VNC_FIRST_PORT);

    if (graphics->socket)
        place = g_strconcat("unix:", graphics->socket, NULL);
    else
        place = g_strdup_printf("%s:%d", graphics->listen ? graphics->listen : "127.0.0.1",
                                graphics->autoport ? 0 : graphics->port - VNC_FIRST_PORT);
    VmpOption *option = vmp_option_new("-vnc", place);
    if (graphics->autoport && !graphics->socket)
        vmp_option_host(option, "to", "99");
    if (graphics->passwd)
        add_vnc_password(launch, option);
    vmp_args_take_host(launch->args, option);
    return TRUE;
}

static gboolean
add_graphics(VmpLaunch *launch, GError **error)
{
    const GPtrArray *graphics = vmp_domain_get_graphics(launch->domain);

    if (graphics->len == 0)
        vmp_args_add_host(launch->args, "-display", "none");
    if (graphics->len > 1)
        return VMP_LAUNCH_REFUSE(error, "more than one <graphics> is not known to vmpoint");
    for (guint i = 0; i < graphics->len; i++) {
        const VmpDomainGraphics *screen = g_ptr_array_index(graphics, i);
        if (!g_str_equal(screen->type, "vnc"))
            return VMP_LAUNCH_REFUSE(error, "<graphics type='%s'> is not known to vmpoint",
                                     screen->type);
        if (!add_vnc(launch, screen, error))
            return FALSE;
    }
    return TRUE;
}

/* The first screen is the one that the firmware writes to. */
static const char *
video_device(const char *model, gboolean is_first)
{
    static const struct {
        const char *model, *first, *further;
    } models[] = {
        { "vga", "VGA", NULL },
        { "cirrus", "cirrus-vga", NULL },
        { "bochs", "bochs-display", "bochs-display" },
        { "qxl", "qxl-vga", "qxl" },
        { "virtio", "virtio-vga", "virtio-gpu-pci" },
    };

    for (guint i = 0; i < G_N_ELEMENTS(models); i++) {
        if (g_str_equal(models[i].model, model))
            return is_first ? models[i].first : models[i].further;
    }
    return NULL;
}

static gboolean
add_video(VmpLaunch *launch, const char *model, guint nth, GError **error)
{
    const char *device = video_device(model, nth == 0);

    if (g_str_equal(model, "none"))
        return TRUE;
    if (g_str_equal(model, "ramfb")) {
        vmp_args_add_guest(launch->args, "-device", "ramfb");
        return TRUE;
    }
    if (!device)
        return VMP_LAUNCH_REFUSE(error, "video model '%s' is not known to vmpoint%s", model,
                                 nth > 0 ? " as a further screen" : "");

    VmpOption *option = vmp_option_new("-device", device);
    vmp_option_host(option, "id", "video%u", nth);
    return add_pci_device(launch, option, "video", nth, error);
}

static gboolean
add_videos(VmpLaunch *launch, GError **error)
{
    const GPtrArray *videos = vmp_domain_get_videos(launch->domain);

    for (guint i = 0; i < videos->len; i++) {
        if (!add_video(launch, g_ptr_array_index(videos, i), i, error))
            return FALSE;
    }
    /* As libvirt: whoever has a screen has a card. */
    return videos->len > 0 || vmp_domain_get_graphics(launch->domain)->len == 0 ||
           add_video(launch, "vga", 0, error);
}

gboolean
vmp_launch_needs_usb(const VmpDomain *domain)
{
    const GPtrArray *inputs = vmp_domain_get_inputs(domain);
    const GPtrArray *disks = vmp_domain_get_disks(domain);

    for (guint i = 0; i < inputs->len; i++) {
        if (g_str_has_prefix(g_ptr_array_index(inputs, i), "usb:"))
            return TRUE;
    }
    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        if (g_str_equal(disk->bus, "usb"))
            return TRUE;
    }
    return FALSE;
}

static gboolean
add_input(VmpLaunch *launch, const char *input, guint nth, GError **error)
{
    static const struct {
        const char *input, *device;
    } devices[] = {
        { "usb:tablet", "usb-tablet" },         { "usb:mouse", "usb-mouse" },
        { "usb:keyboard", "usb-kbd" },          { "virtio:tablet", "virtio-tablet-pci" },
        { "virtio:mouse", "virtio-mouse-pci" }, { "virtio:keyboard", "virtio-keyboard-pci" },
    };

    /* Every PC has those. */
    if (g_str_has_prefix(input, "ps2:"))
        return TRUE;
    for (guint i = 0; i < G_N_ELEMENTS(devices); i++) {
        if (!g_str_equal(devices[i].input, input))
            continue;
        VmpOption *option = vmp_option_new("-device", devices[i].device);
        vmp_option_host(option, "id", "input%u", nth);
        if (g_str_has_prefix(input, "virtio:"))
            return add_pci_device(launch, option, "input", nth, error);
        vmp_option_guest(option, "bus", "usb.0");
        vmp_args_take(launch->args, option);
        return TRUE;
    }
    return VMP_LAUNCH_REFUSE(error, "<input> '%s' is not known to vmpoint", input);
}

static gboolean
add_inputs(VmpLaunch *launch, GError **error)
{
    const GPtrArray *inputs = vmp_domain_get_inputs(launch->domain);

    for (guint i = 0; i < inputs->len; i++) {
        if (!add_input(launch, g_ptr_array_index(inputs, i), i, error))
            return FALSE;
    }
    return TRUE;
}

/* ---- the rest ---- */

static gboolean
add_rngs(VmpLaunch *launch, GError **error)
{
    const GPtrArray *rngs = vmp_domain_get_rngs(launch->domain);

    for (guint i = 0; i < rngs->len; i++) {
        VmpOption *object = vmp_option_new("-object", "rng-random");
        vmp_option_host(object, "id", "objrng%u", i);
        vmp_option_host(object, "filename", "%s", (const char *)g_ptr_array_index(rngs, i));
        vmp_args_take_host(launch->args, object);

        VmpOption *device = vmp_option_new("-device", "virtio-rng-pci");
        vmp_option_host(device, "rng", "objrng%u", i);
        vmp_option_host(device, "id", "rng%u", i);
        if (!add_pci_device(launch, device, "rng", i, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
add_balloon(VmpLaunch *launch, GError **error)
{
    const char *model = vmp_domain_get_memballoon(launch->domain);

    if (g_strcmp0(model, "none") == 0)
        return TRUE;
    if (model && !g_str_equal(model, "virtio"))
        return VMP_LAUNCH_REFUSE(error, "<memballoon model='%s'> is not known to vmpoint",
                                 model);
    VmpOption *option = vmp_option_new("-device", "virtio-balloon-pci");
    vmp_option_host(option, "id", "balloon0");
    return add_pci_device(launch, option, "memballoon", 0, error);
}

static const char *
watchdog_action(const char *action)
{
    /* QEMU cannot dump by itself; it waits, so that somebody can. */
    return g_str_equal(action, "dump") ? "pause" : action;
}

static gboolean
add_watchdog(VmpLaunch *launch, GError **error)
{
    const char *model = vmp_domain_get_watchdog(launch->domain);

    if (!model)
        return TRUE;
    g_autofree char *action = g_strconcat(
        "watchdog=", watchdog_action(vmp_domain_get_watchdog_action(launch->domain)), NULL);
    vmp_args_add_host(launch->args, "-action", action);
    if (g_str_equal(model, "itco") && launch->is_q35) {
        vmp_args_add_guest(launch->args, "-global", "ICH9-LPC.noreboot=off");
        return TRUE;
    }

    VmpOption *option = vmp_option_new("-device", model);
    vmp_option_host(option, "id", "watchdog0");
    if (g_str_equal(model, "i6300esb"))
        return add_pci_device(launch, option, "watchdog", 0, error);
    vmp_args_take(launch->args, option);
    if (g_str_equal(model, "ib700"))
        return TRUE;
    return VMP_LAUNCH_REFUSE(error, "<watchdog model='%s'> is not known to vmpoint", model);
}

/* QEMU has the device, another process what it remembers: see machine/tpm.h. */
static void
add_tpm(VmpLaunch *launch)
{
    const VmpDomainTpm *tpm = vmp_domain_get_tpm(launch->domain);
    if (!tpm)
        return;

    if (launch->host->tpm_fd > 0) {
        VmpOption *chardev = vmp_option_new("-chardev", "socket");
        vmp_option_host(chardev, "id", "chartpm0");
        vmp_option_host(chardev, "fd", "%d", launch->host->tpm_fd);
        vmp_args_take_host(launch->args, chardev);
    }
    VmpOption *backend = vmp_option_new("-tpmdev", "emulator");
    vmp_option_host(backend, "id", "tpm-tpm0");
    vmp_option_host(backend, "chardev", "chartpm0");
    vmp_args_take_host(launch->args, backend);

    VmpOption *device = vmp_option_new("-device", tpm->model);
    vmp_option_host(device, "tpmdev", "tpm-tpm0");
    vmp_option_host(device, "id", "tpm0");
    vmp_args_take(launch->args, device);
}

gboolean
vmp_launch_add_devices(VmpLaunch *launch, GError **error)
{
    add_tpm(launch);
    return add_interfaces(launch, error) && add_chardevs(launch, error) &&
           add_graphics(launch, error) && add_videos(launch, error) &&
           add_inputs(launch, error) && add_rngs(launch, error) &&
           add_balloon(launch, error) && add_watchdog(launch, error);
}
