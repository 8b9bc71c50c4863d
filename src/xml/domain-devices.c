/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/domain-private.h"

#define MAX_FORWARDS 1024 /* ports of one domain: a range may stand for many */

static void
controller_free(VmpDomainController *controller)
{
    g_free(controller->type);
    g_free(controller->model);
    g_free(controller->pci_address);
    g_free(controller);
}

static void
interface_free(VmpDomainInterface *interface)
{
    g_free(interface->type);
    g_free(interface->mac);
    g_free(interface->model);
    g_free(interface->pci_address);
    g_clear_pointer(&interface->forwards, g_ptr_array_unref);
    g_free(interface);
}

static void
graphics_free(VmpDomainGraphics *graphics)
{
    g_free(graphics->type);
    g_free(graphics->listen);
    g_free(graphics->socket);
    g_free(graphics->passwd);
    g_free(graphics);
}

static gboolean
read_controller(VmpDomainView *view, const xmlNode *node, GError **error)
{
    VmpDomainController *controller = g_new0(VmpDomainController, 1);
    const xmlNode *target = vmp_xml_child(node, "target");

    g_ptr_array_add(view->controllers, controller);
    controller->chassis = controller->port = controller->bus_number = controller->start_port =
        -1;
    controller->type = vmp_xml_attribute(node, "type");
    if (!controller->type)
        return vmp_xml_fail(node, error, "type is missing");
    controller->model = vmp_xml_attribute(node, "model");
    return vmp_xml_attribute_uint_max(node, "index", G_MAXINT, &controller->index, error) &&
           vmp_xml_attribute_uint_max(node, "ports", G_MAXINT, &controller->ports, error) &&
           vmp_xml_attribute_uint_max(node, "vectors", G_MAXINT, &controller->vectors,
                                      error) &&
           vmp_xml_attribute_uint_max(vmp_xml_child(node, "driver"), "iothread", G_MAXINT,
                                      &controller->iothread, error) &&
           vmp_domain_read_int(target, "chassis", &controller->chassis, error)
           /* the same, of a conventional bridge */
           && vmp_domain_read_int(target, "chassisNr", &controller->chassis, error) &&
           vmp_domain_read_int(target, "port", &controller->port, error) &&
           vmp_domain_read_int(target, "busNr", &controller->bus_number, error) &&
           vmp_domain_read_int(vmp_xml_child(node, "master"), "startport",
                               &controller->start_port, error) &&
           vmp_domain_read_pci_address(node, &controller->pci_address,
                                       &controller->multifunction, error);
}

/* "tcp:127.0.0.1:2222-:22" for each port of the range. */
static gboolean
read_range(VmpDomainView *view, GPtrArray *forwards, const xmlNode *forward,
           const xmlNode *range, GError **error)
{
    g_autofree char *proto = vmp_xml_attribute(forward, "proto");
    g_autofree char *address = vmp_xml_attribute(forward, "address");
    guint start = 0, end = 0, to = 0;

    if (!vmp_xml_attribute_uint_max(range, "start", G_MAXUINT16, &start, error) ||
        !vmp_xml_attribute_uint_max(range, "end", G_MAXUINT16, &end, error) ||
        !vmp_xml_attribute_uint_max(range, "to", G_MAXUINT16, &to, error))
        return FALSE;
    if (start == 0)
        return vmp_xml_fail(range, error, "start is missing");
    end = end ? end : start;
    to = to ? to : start;
    if (end < start || to + (end - start) > G_MAXUINT16)
        return vmp_xml_fail(range, error, "no such range of ports");
    view->forwards += end - start + 1;
    if (view->forwards > MAX_FORWARDS)
        return vmp_xml_fail(range, error, "more than %d ports in all", MAX_FORWARDS);

    for (guint port = start; port <= end; port++)
        g_ptr_array_add(forwards,
                        g_strdup_printf("%s:%s:%u-:%u", proto, address ? address : "", port,
                                        to + (port - start)));
    return TRUE;
}

static gboolean
read_forward(VmpDomainView *view, GPtrArray *forwards, const xmlNode *node, GError **error)
{
    static const char *const protocols[] = { "tcp", "udp", NULL };
    g_autofree char *proto = vmp_xml_attribute(node, "proto");

    if (!proto || !g_strv_contains(protocols, proto))
        return vmp_xml_fail(node, error, "proto is neither 'tcp' nor 'udp'");
    for (xmlNode *range = vmp_xml_child(node, "range"); range;
         range = vmp_xml_next(range, "range"))
        if (!read_range(view, forwards, node, range, error))
            return FALSE;
    return TRUE;
}

static gboolean
is_mac(const char *text)
{
    for (guint i = 0; i < 17; i++)
        if (i % 3 == 2 ? text[i] != ':' : !g_ascii_isxdigit(text[i]))
            return FALSE;
    return text[17] == '\0';
}

static gboolean
read_interface(VmpDomainView *view, const xmlNode *node, GError **error)
{
    VmpDomainInterface *interface = g_new0(VmpDomainInterface, 1);
    const xmlNode *mac = vmp_xml_child(node, "mac");

    g_ptr_array_add(view->interfaces, interface);
    interface->type = vmp_xml_attribute(node, "type");
    if (!interface->type)
        return vmp_xml_fail(node, error, "type is missing");
    interface->mac = vmp_xml_attribute(mac, "address");
    if (interface->mac && !is_mac(interface->mac))
        return vmp_xml_fail_value(mac, "address", interface->mac, "is not a MAC address",
                                  error);
    interface->model = vmp_xml_attribute(vmp_xml_child(node, "model"), "type");

    for (xmlNode *forward = vmp_xml_child(node, "portForward"); forward;
         forward = vmp_xml_next(forward, "portForward")) {
        if (!interface->forwards)
            interface->forwards = g_ptr_array_new_with_free_func(g_free);
        if (!read_forward(view, interface->forwards, forward, error))
            return FALSE;
    }
    return vmp_domain_read_boot_order(node, &interface->boot_order, error) &&
           vmp_domain_read_pci_address(node, &interface->pci_address,
                                       &interface->multifunction, error);
}

static gboolean
read_graphics_port(VmpDomainGraphics *graphics, const xmlNode *node, GError **error)
{
    g_autofree char *port = vmp_xml_attribute(node, "port");
    guint value = 0;

    graphics->port = -1;
    graphics->autoport = !port || g_str_equal(port, "-1");
    if (!vmp_xml_attribute_yes_no(node, "autoport", &graphics->autoport, error))
        return FALSE;
    if (!port || g_str_equal(port, "-1"))
        return TRUE;
    if (!vmp_xml_attribute_uint_max(node, "port", G_MAXUINT16, &value, error))
        return FALSE;
    graphics->port = (int)value;
    return TRUE;
}

static gboolean
read_graphics(VmpDomainView *view, const xmlNode *node, GError **error)
{
    VmpDomainGraphics *graphics = g_new0(VmpDomainGraphics, 1);
    const xmlNode *listen = vmp_xml_child(node, "listen");

    g_ptr_array_add(view->graphics, graphics);
    graphics->type = vmp_xml_attribute(node, "type");
    if (!graphics->type)
        return vmp_xml_fail(node, error, "type is missing");
    graphics->passwd = vmp_xml_attribute(node, "passwd");
    graphics->listen = vmp_xml_attribute(listen, "address");
    if (!graphics->listen)
        graphics->listen = vmp_xml_attribute(node, "listen");
    return read_graphics_port(graphics, node, error) &&
           vmp_xml_attribute_path(node, "socket", &graphics->socket, error) &&
           vmp_xml_attribute_path(listen, "socket", &graphics->socket, error);
}

static gboolean
read_video(VmpDomainView *view, const xmlNode *node, G_GNUC_UNUSED GError **error)
{
    char *model = vmp_xml_attribute(vmp_xml_child(node, "model"), "type");

    g_ptr_array_add(view->videos, model ? model : g_strdup("vga"));
    return TRUE;
}

static gboolean
read_rng(VmpDomainView *view, const xmlNode *node, GError **error)
{
    const xmlNode *backend = vmp_xml_child(node, "backend");
    g_autofree char *path = vmp_xml_text(backend);

    if (!backend)
        return vmp_xml_fail(node, error, "<backend> is missing");
    g_strstrip(path);
    if (path[0] != '\0' && path[0] != '/')
        return vmp_xml_fail_value(backend, "path", path, "is not absolute", error);
    g_ptr_array_add(view->rngs, path[0] ? g_steal_pointer(&path) : g_strdup("/dev/urandom"));
    return TRUE;
}

static gboolean
read_input(VmpDomainView *view, const xmlNode *node, GError **error)
{
    g_autofree char *type = vmp_xml_attribute(node, "type");
    g_autofree char *bus = vmp_xml_attribute(node, "bus");

    if (!type)
        return vmp_xml_fail(node, error, "type is missing");
    if (!bus) /* libvirt's defaults for a PC */
        bus = g_strdup(g_str_equal(type, "tablet") ? "usb" : "ps2");
    g_ptr_array_add(view->inputs, g_strconcat(bus, ":", type, NULL));
    return TRUE;
}

static gboolean
read_memballoon(VmpDomainView *view, const xmlNode *node, GError **error)
{
    g_free(view->memballoon);
    view->memballoon = vmp_xml_attribute(node, "model");
    return view->memballoon || vmp_xml_fail(node, error, "model is missing");
}

static gboolean
read_watchdog(VmpDomainView *view, const xmlNode *node, GError **error)
{
    g_free(view->watchdog);
    g_free(view->watchdog_action);
    view->watchdog = vmp_xml_attribute(node, "model");
    view->watchdog_action = vmp_xml_attribute(node, "action");
    if (!view->watchdog_action)
        view->watchdog_action = g_strdup("reset");
    return view->watchdog || vmp_xml_fail(node, error, "model is missing");
}

void
vmp_domain_tpm_free(VmpDomainTpm *tpm)
{
    if (!tpm)
        return;
    g_free(tpm->model);
    g_free(tpm->backend);
    g_free(tpm);
}

static gboolean
read_tpm(VmpDomainView *view, const xmlNode *node, GError **error)
{
    const xmlNode *backend = vmp_xml_child(node, "backend");
    g_autofree char *type = vmp_xml_attribute(backend, "type");

    if (!type)
        return vmp_xml_fail(node, error, "<backend type=> is missing");
    /* A second one is unknown. */
    if (view->tpm)
        return TRUE;
    view->tpm = g_new0(VmpDomainTpm, 1);
    view->tpm->backend = g_steal_pointer(&type);
    view->tpm->model = vmp_xml_attribute(node, "model");
    if (!view->tpm->model) /* libvirt's default for a PC */
        view->tpm->model = g_strdup("tpm-tis");
    return vmp_xml_attribute_yes_no(backend, "persistent_state", &view->tpm->is_kept, error);
}

gboolean
vmp_domain_read_devices(VmpDomainView *view, const xmlNode *devices, GError **error)
{
    static const struct {
        const char *name;
        gboolean (*read)(VmpDomainView *view, const xmlNode *node, GError **error);
    } readers[] = {
        { "controller", read_controller },
        { "interface", read_interface },
        { "graphics", read_graphics },
        { "video", read_video },
        { "rng", read_rng },
        { "input", read_input },
        { "memballoon", read_memballoon },
        { "watchdog", read_watchdog },
        { "tpm", read_tpm },
    };

    view->controllers = g_ptr_array_new_with_free_func((GDestroyNotify)controller_free);
    view->interfaces = g_ptr_array_new_with_free_func((GDestroyNotify)interface_free);
    view->graphics = g_ptr_array_new_with_free_func((GDestroyNotify)graphics_free);
    view->videos = g_ptr_array_new_with_free_func(g_free);
    view->rngs = g_ptr_array_new_with_free_func(g_free);
    view->inputs = g_ptr_array_new_with_free_func(g_free);
    view->emulator = vmp_xml_text(vmp_xml_child(devices, "emulator"));

    for (xmlNode *node = vmp_xml_child(devices, NULL); node; node = vmp_xml_next(node, NULL))
        for (guint i = 0; i < G_N_ELEMENTS(readers); i++)
            if (vmp_xml_is(node, NULL, readers[i].name) && !readers[i].read(view, node, error))
                return FALSE;
    return TRUE;
}
