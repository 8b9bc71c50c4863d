/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "machine/launch-private.h"

/* ---- PCI addresses ----
 *
 * Every PCI device gets an explicit address: the definition's, or the first slot of
 * the root bus that is free.  So the order of the devices in the XML matters only
 * where it gives no addresses, and there it always gives the same ones. */

typedef struct {
    guint bus, slot, function;
} PciAddress;

static gboolean
parse_address(const char *text, PciAddress *address)
{
    guint domain;

    return sscanf(text, "%x:%x:%x.%x", &domain, &address->bus, &address->slot,
                  &address->function) == 4 &&
           domain == 0;
}

static char *
slot_key(const PciAddress *address)
{
    return g_strdup_printf("%02x:%02x", address->bus, address->slot);
}

static gboolean
reserve(VmpLaunch *launch, const char *text, const char *what, GError **error)
{
    PciAddress address;

    if (!text)
        return TRUE;
    if (!parse_address(text, &address))
        return VMP_LAUNCH_REFUSE(error, "%s: PCI address %s is in a domain other than 0", what,
                                 text);
    const char *other = g_hash_table_lookup(launch->pci_used, text);
    if (other)
        return vmp_fail(error, VMP_ERROR_INVALID, "%s and %s have the same PCI address %s",
                        other, what, text);
    g_hash_table_insert(launch->pci_used, g_strdup(text), g_strdup(what));
    /* A slot with other functions is one of which the first says so. */
    if (address.function > 0)
        g_hash_table_add(launch->pci_multi, slot_key(&address));
    return TRUE;
}

static gboolean
reserve_controllers(VmpLaunch *launch, GError **error)
{
    const GPtrArray *controllers = vmp_domain_get_controllers(launch->domain);

    for (guint i = 0; i < controllers->len; i++) {
        const VmpDomainController *controller = g_ptr_array_index(controllers, i);
        g_autofree char *what =
            g_strdup_printf("controller %s %u", controller->type, controller->index);
        if (!reserve(launch, controller->pci_address, what, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
reserve_built_in(VmpLaunch *launch, GError **error)
{
    /* What the chipset brings.  A definition that libvirt has completed names some of
     * these too: the built-in controllers, which are not made a second time. */
    static const char *const q35[] = { "0000:00:00.0", "0000:00:1f.0", "0000:00:1f.2",
                                       "0000:00:1f.3" };
    static const char *const pc[] = { "0000:00:00.0", "0000:00:01.0", "0000:00:01.1",
                                      "0000:00:01.3" };
    const char *const *known = launch->is_q35 ? q35 : pc;

    for (guint i = 0; i < G_N_ELEMENTS(q35); i++) {
        if (!g_hash_table_contains(launch->pci_used, known[i]) &&
            !reserve(launch, known[i], "the chipset", error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
reserve_others(VmpLaunch *launch, GError **error)
{
    const VmpDomain *domain = launch->domain;
    const struct {
        const char *element;
        guint count;
    } others[] = {
        { "video", vmp_domain_get_videos(domain)->len },
        { "input", vmp_domain_get_inputs(domain)->len },
        { "rng", vmp_domain_get_rngs(domain)->len },
        { "memballoon", vmp_domain_get_memballoon(domain) ? 1 : 0 },
        { "watchdog", vmp_domain_get_watchdog(domain) ? 1 : 0 },
    };

    for (guint i = 0; i < G_N_ELEMENTS(others); i++) {
        for (guint nth = 0; nth < others[i].count; nth++) {
            gboolean multifunction;
            g_autofree char *address =
                vmp_domain_get_pci_address(domain, others[i].element, nth, &multifunction);
            g_autofree char *what = g_strdup_printf("%s %u", others[i].element, nth);
            if (!reserve(launch, address, what, error))
                return FALSE;
        }
    }
    return TRUE;
}

gboolean
vmp_launch_reserve_addresses(VmpLaunch *launch, GError **error)
{
    const GPtrArray *disks = vmp_domain_get_disks(launch->domain);
    const GPtrArray *interfaces = vmp_domain_get_interfaces(launch->domain);

    if (!reserve_controllers(launch, error) || !reserve_built_in(launch, error))
        return FALSE;
    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        g_autofree char *what = g_strdup_printf("disk %s", disk->target);
        if (!reserve(launch, disk->pci_address, what, error))
            return FALSE;
    }
    for (guint i = 0; i < interfaces->len; i++) {
        const VmpDomainInterface *interface = g_ptr_array_index(interfaces, i);
        g_autofree char *what = g_strdup_printf("interface %u", i);
        if (!reserve(launch, interface->pci_address, what, error))
            return FALSE;
    }
    return reserve_others(launch, error);
}

static gboolean
slot_is_free(const VmpLaunch *launch, guint slot)
{
    for (guint function = 0; function < 8; function++) {
        g_autofree char *text = g_strdup_printf("0000:00:%02x.%x", slot, function);
        if (g_hash_table_contains(launch->pci_used, text))
            return FALSE;
    }
    return TRUE;
}

static gboolean
find_free(VmpLaunch *launch, PciAddress *address, GError **error)
{
    for (guint slot = 1; slot < 32; slot++) {
        if (!slot_is_free(launch, slot))
            continue;
        g_autofree char *text = g_strdup_printf("0000:00:%02x.0", slot);
        *address = (PciAddress){ 0, slot, 0 };
        return reserve(launch, text, "a device", error);
    }
    return VMP_LAUNCH_REFUSE(error, "there are more devices than PCI slots on the root bus: "
                                    "give them addresses on other buses");
}

gboolean
vmp_launch_add_pci(VmpLaunch *launch, VmpOption *option, const char *text,
                   gboolean multifunction, GError **error)
{
    PciAddress address = { 0 };

    if (text ? !parse_address(text, &address) : !find_free(launch, &address, error))
        return FALSE;

    if (address.bus == 0)
        vmp_option_guest(option, "bus", "%s", launch->is_q35 ? "pcie.0" : "pci.0");
    else
        vmp_option_guest(option, "bus", "pci.%u", address.bus);
    g_autofree char *key = slot_key(&address);
    if (address.function == 0 &&
        (multifunction || g_hash_table_contains(launch->pci_multi, key)))
        vmp_option_guest(option, "multifunction", "on");
    if (address.function > 0)
        vmp_option_guest(option, "addr", "0x%x.0x%x", address.slot, address.function);
    else
        vmp_option_guest(option, "addr", "0x%x", address.slot);
    return TRUE;
}

/* ---- controllers ---- */

const VmpDomainController *
vmp_launch_find_controller(const VmpDomain *domain, const char *type, guint index)
{
    const GPtrArray *controllers = vmp_domain_get_controllers(domain);

    for (guint i = 0; i < controllers->len; i++) {
        const VmpDomainController *controller = g_ptr_array_index(controllers, i);
        if (g_str_equal(controller->type, type) && controller->index == index)
            return controller;
    }
    return NULL;
}

/* libvirt's model names and QEMU's. */
typedef struct {
    const char *type, *model, *device;
} ControllerModel;

static const ControllerModel controller_models[] = {
    { "pci", "pcie-root-port", "pcie-root-port" },
    { "pci", "pci-bridge", "pci-bridge" },
    { "pci", "pcie-to-pci-bridge", "pcie-pci-bridge" },
    { "pci", "dmi-to-pci-bridge", "i82801b11-bridge" },
    { "pci", "pcie-switch-upstream-port", "x3130-upstream" },
    { "pci", "pcie-switch-downstream-port", "xio3130-downstream" },
    { "scsi", "virtio-scsi", "virtio-scsi-pci" },
    { "scsi", "virtio-transitional", "virtio-scsi-pci-transitional" },
    { "scsi", "virtio-non-transitional", "virtio-scsi-pci-non-transitional" },
    { "scsi", "lsilogic", "lsi" },
    /* libvirt's choice on x86. */
    { "scsi", "auto", "lsi" },
    { "scsi", NULL, "lsi" },
    { "sata", NULL, "ich9-ahci" },
    { "fdc", NULL, "isa-fdc" },
    { "usb", "qemu-xhci", "qemu-xhci" },
    { "usb", "nec-xhci", "nec-usb-xhci" },
    { "usb", "piix3-uhci", "piix3-usb-uhci" },
    { "usb", "piix4-uhci", "piix4-usb-uhci" },
    { "usb", "ehci", "usb-ehci" },
    { "usb", "ich9-ehci1", "ich9-usb-ehci1" },
    { "usb", "ich9-uhci1", "ich9-usb-uhci1" },
    { "usb", "ich9-uhci2", "ich9-usb-uhci2" },
    { "usb", "ich9-uhci3", "ich9-usb-uhci3" },
    { "usb", NULL, "qemu-xhci" },
    { "virtio-serial", "virtio-transitional", "virtio-serial-pci-transitional" },
    { "virtio-serial", "virtio-non-transitional", "virtio-serial-pci-non-transitional" },
    { "virtio-serial", "virtio", "virtio-serial-pci" },
    { "virtio-serial", NULL, "virtio-serial-pci" },
};

static const char *
device_of(const char *type, const char *model)
{
    for (guint i = 0; i < G_N_ELEMENTS(controller_models); i++) {
        const ControllerModel *known = &controller_models[i];
        if (g_str_equal(known->type, type) && g_strcmp0(known->model, model) == 0)
            return known->device;
    }
    return NULL;
}

const char *
vmp_launch_scsi_device(const VmpDomain *domain, guint index)
{
    const VmpDomainController *controller = vmp_launch_find_controller(domain, "scsi", index);

    return device_of("scsi", controller ? controller->model : NULL);
}

/* Those that the machine type brings by itself. */
static gboolean
is_built_in(const VmpLaunch *launch, const VmpDomainController *controller)
{
    const char *type = controller->type;

    if (g_str_equal(type, "pci"))
        return controller->index == 0;
    if (g_str_equal(type, "fdc"))
        return !launch->is_q35;
    if (g_str_equal(type, "ide"))
        return !launch->is_q35 && controller->index == 0;
    if (g_str_equal(type, "sata"))
        return launch->is_q35 && controller->index == 0;
    return g_str_equal(type, "usb") && g_strcmp0(controller->model, "none") == 0;
}

static char *
controller_id(const VmpDomainController *controller)
{
    if (g_str_equal(controller->type, "pci"))
        return g_strdup_printf("pci.%u", controller->index);
    /* QEMU calls the first USB bus after this id: "usb.0". */
    if (g_str_equal(controller->type, "usb") && controller->index == 0)
        return g_strdup("usb");
    return g_strdup_printf("%s%u", controller->type, controller->index);
}

static void
add_port_numbers(VmpOption *option, const VmpDomainController *controller, const char *device)
{
    PciAddress address = { 0 };

    if (g_str_equal(device, "pci-bridge")) {
        vmp_option_guest(option, "chassis_nr", "%d",
                         controller->chassis >= 0 ? controller->chassis
                                                  : (int)controller->index);
        return;
    }
    if (!g_str_equal(device, "pcie-root-port") && !g_str_equal(device, "xio3130-downstream"))
        return;
    /* Without numbers libvirt's own choice when it completes a definition. */
    if (controller->pci_address)
        parse_address(controller->pci_address, &address);
    guint port =
        controller->port >= 0 ? (guint)controller->port : address.slot << 3 | address.function;
    vmp_option_guest(option, "port", "0x%x", port);
    vmp_option_guest(option, "chassis", "%d",
                     controller->chassis >= 0 ? controller->chassis : (int)controller->index);
}

/* The companions of an EHCI controller share its bus. */
static void
add_usb_properties(VmpOption *option, const VmpDomainController *controller, const char *id)
{
    const char *model = controller->model ? controller->model : "";

    if (g_str_has_prefix(model, "ich9-uhci")) {
        vmp_option_host(option, "masterbus", "%s.0", id);
        vmp_option_guest(option, "firstport", "%d", MAX(controller->start_port, 0));
        return;
    }
    vmp_option_host(option, "id", "%s", id);
    if (controller->ports > 0) {
        vmp_option_guest(option, "p2", "%u", controller->ports);
        vmp_option_guest(option, "p3", "%u", controller->ports);
    }
}

static void
add_controller_properties(VmpOption *option, const VmpDomainController *controller,
                          const char *device)
{
    g_autofree char *id = controller_id(controller);

    if (g_str_equal(controller->type, "usb")) {
        add_usb_properties(option, controller, id);
        return;
    }
    vmp_option_host(option, "id", "%s", id);
    add_port_numbers(option, controller, device);
    if (g_str_equal(controller->type, "virtio-serial")) {
        vmp_option_guest_uint(option, "max_ports", controller->ports);
        vmp_option_guest_uint(option, "vectors", controller->vectors);
    }
    if (controller->iothread > 0)
        vmp_option_host(option, "iothread", "iothread%u", controller->iothread);
}

static gboolean
add_controller(VmpLaunch *launch, const VmpDomainController *controller, GError **error)
{
    const char *model = g_str_equal(controller->type, "sata") ? NULL : controller->model;
    const char *device = device_of(controller->type, model);

    if (is_built_in(launch, controller))
        return TRUE;
    if (!device)
        return VMP_LAUNCH_REFUSE(error,
                                 "<controller type='%s' model='%s'> on %s is not known to "
                                 "vmpoint",
                                 controller->type, controller->model ? controller->model : "",
                                 launch->is_q35 ? "q35" : "pc");

    VmpOption *option = vmp_option_new("-device", device);
    add_controller_properties(option, controller, device);
    gboolean has_place = g_str_equal(device, "isa-fdc") ||
                         vmp_launch_add_pci(launch, option, controller->pci_address,
                                            controller->multifunction, error);
    vmp_args_take(launch->args, option);
    return has_place;
}

static gboolean
add_given(VmpLaunch *launch, gboolean pci, GError **error)
{
    const GPtrArray *controllers = vmp_domain_get_controllers(launch->domain);

    for (guint i = 0; i < controllers->len; i++) {
        const VmpDomainController *controller = g_ptr_array_index(controllers, i);
        if (g_str_equal(controller->type, "pci") == pci &&
            !add_controller(launch, controller, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
add_missing(VmpLaunch *launch, const char *type, guint index, GError **error)
{
    VmpDomainController controller = {
        .type = (char *)type,
        .index = index,
        .chassis = -1,
        .port = -1,
        .bus_number = -1,
        .start_port = -1,
    };

    if (vmp_launch_find_controller(launch->domain, type, index))
        return TRUE;
    return add_controller(launch, &controller, error);
}

/* Controllers 0 to that of the last disk on such a bus. */
static gboolean
add_missing_for_disks(VmpLaunch *launch, const char *type, GError **error)
{
    const GPtrArray *disks = vmp_domain_get_disks(launch->domain);
    int last = -1;

    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        VmpDiskPlace place = vmp_launch_disk_place(disk);
        if (g_str_equal(disk->bus, type))
            last = MAX(last, (int)place.controller);
    }
    for (int index = 0; index <= last; index++) {
        if (!add_missing(launch, type, (guint)index, error))
            return FALSE;
    }
    return TRUE;
}

/* As libvirt does when it completes a definition, but only what something sits on. */
static gboolean
add_implied(VmpLaunch *launch, GError **error)
{
    if (!add_missing_for_disks(launch, "scsi", error) ||
        !add_missing_for_disks(launch, "sata", error) ||
        !add_missing_for_disks(launch, "fdc", error))
        return FALSE;
    if (vmp_launch_needs_usb(launch->domain) && !add_missing(launch, "usb", 0, error))
        return FALSE;
    return !vmp_launch_needs_virtio_serial(launch->domain) ||
           add_missing(launch, "virtio-serial", 0, error);
}

gboolean
vmp_launch_add_controllers(VmpLaunch *launch, GError **error)
{
    guint iothreads = vmp_domain_get_iothreads(launch->domain);

    for (guint i = 1; i <= iothreads; i++) {
        VmpOption *object = vmp_option_new("-object", "iothread");
        vmp_option_host(object, "id", "iothread%u", i);
        vmp_args_take_host(launch->args, object);
    }
    /* Buses before what is on them. */
    return add_given(launch, TRUE, error) && add_given(launch, FALSE, error) &&
           add_implied(launch, error);
}
