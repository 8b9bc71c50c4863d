/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/describe.h"

#include <string.h>

#include "base/nbd-uri.h"
#include "qmp/commands.h"
#include "xml/markup.h"
#include "xml/nbd-source.h"

/* The flash of a PC: number 0 has the firmware, number 1 its variables. */
#define FLASH_ID "pflash"
#define FLASH_PATH "/machine/system.flash"

typedef struct {
    VmpQmpClient *client;
    const VmpBlockGraph *graph;
    VmpJson *devices;   /* target -> name of the device */
    GHashTable *counts; /* prefix -> how many targets have it */
    VmpMarkup markup;
} Description;

const char *
vmp_describe_device_name(const VmpBlockDevice *device)
{
    return device->qdev ? device->qdev : device->id;
}

static VmpJson *
ask(const Description *description, VmpQmpCommand *command /* taken */)
{
    g_autoptr(VmpQmpCommand) sent = command;

    return vmp_qmp_client_execute(description->client, sent, NULL, NULL);
}

/* A number inside a property that is an object; @fallback where QEMU has no such property. */
static gint64
ask_machine(const Description *description, const char *property, const char *member,
            gint64 fallback)
{
    g_autoptr(VmpJson) value = ask(description, vmp_qmp_qom_get("/machine", property));

    return vmp_json_get_int(value, member, fallback);
}

/* ---- images ---- */

static const VmpBlockNode *
image_of(const Description *description, const VmpBlockDevice *device)
{
    return device && device->node
               ? vmp_block_graph_active_image(description->graph, device->node)
               : NULL;
}

/* A disk that stands on a file without a format between them is raw. */
static const char *
format_of(const VmpBlockNode *image)
{
    gboolean is_protocol =
        g_str_equal(image->driver, "file") || g_str_equal(image->driver, "host_device");

    return is_protocol ? "raw" : image->driver;
}

static gboolean
is_transient(const VmpBlockNode *image)
{
    return image && !image->read_only && !vmp_nbd_uri_is(image->path) &&
           !g_file_test(image->path, G_FILE_TEST_EXISTS);
}

static void
add_image(VmpMarkup *markup, const VmpBlockNode *image)
{
    vmp_markup_open(markup, "driver");
    vmp_markup_attribute(markup, "name", "qemu");
    vmp_markup_attribute(markup, "type", format_of(image));
    vmp_markup_close(markup, "driver");
    vmp_markup_open(markup, "source");
    if (vmp_nbd_uri_is(image->path))
        vmp_nbd_source_write(markup, image->path);
    else
        vmp_markup_attribute(markup, "file", image->path);
    vmp_markup_close(markup, "source");
}

/* ---- firmware ---- */

static gboolean
is_flash(const VmpBlockDevice *device)
{
    return (device->id && g_str_has_prefix(device->id, FLASH_ID)) ||
           (device->qdev && g_str_has_prefix(device->qdev, FLASH_PATH));
}

static const VmpBlockNode *
find_flash(const Description *description, guint number)
{
    const GPtrArray *devices = vmp_block_graph_devices(description->graph);
    g_autofree char *id = g_strdup_printf(FLASH_ID "%u", number);
    g_autofree char *path = g_strdup_printf(FLASH_PATH "%u", number);

    for (guint i = 0; i < devices->len; i++) {
        const VmpBlockDevice *device = g_ptr_array_index(devices, i);
        if (g_strcmp0(device->id, id) == 0 || g_strcmp0(device->qdev, path) == 0)
            return image_of(description, device);
    }
    return NULL;
}

static void
add_os(Description *description)
{
    VmpMarkup *markup = &description->markup;
    const VmpBlockNode *code = find_flash(description, 0);
    const VmpBlockNode *variables = find_flash(description, 1);

    vmp_markup_open(markup, "os");
    vmp_markup_element(markup, "type", "hvm");
    if (code && code->path) {
        vmp_markup_open(markup, "loader");
        vmp_markup_attribute(markup, "readonly", code->read_only ? "yes" : "no");
        vmp_markup_attribute(markup, "type", "pflash");
        vmp_markup_attribute(markup, "format", format_of(code));
        vmp_markup_close_text(markup, "loader", code->path);
    }
    if (code && code->path && variables && variables->path) {
        vmp_markup_open(markup, "nvram");
        vmp_markup_attribute(markup, "format", format_of(variables));
        vmp_markup_close_text(markup, "nvram", variables->path);
    }
    vmp_markup_close(markup, "os");
}

/* ---- devices ---- */

static char *
device_type(const Description *description, const VmpBlockDevice *device)
{
    if (!device->qdev)
        return NULL;
    g_autofree char *path = device->qdev[0] == '/'
                                ? g_strdup(device->qdev)
                                : g_strconcat("/machine/peripheral/", device->qdev, NULL);
    g_autoptr(VmpJson) type = ask(description, vmp_qmp_qom_get(path, "type"));

    return g_strdup(json_object_is_type(type, json_type_string) ? json_object_get_string(type)
                                                                : NULL);
}

typedef struct {
    const char *type, *prefix, *bus, *device;
} DeviceKind;

static const DeviceKind *
find_kind(const char *type)
{
    /* By the first letters of QEMU's type; the last fits all. */
    static const DeviceKind kinds[] = {
        { "virtio-blk", "vd", "virtio", "disk" }, { "scsi-cd", "sd", "scsi", "cdrom" },
        { "scsi-", "sd", "scsi", "disk" },        { "usb-", "sd", "usb", "disk" },
        { "ide-cd", "hd", "ide", "cdrom" },       { "ide-", "hd", "ide", "disk" },
        { "floppy", "fd", "fdc", "floppy" },      { "", "vd", "virtio", "disk" },
    };
    const DeviceKind *kind = kinds;

    while (!g_str_has_prefix(type ? type : "", kind->type))
        kind++;
    return kind;
}

/* "vda", "vdb", ... "vdaa". */
static char *
make_target(const char *prefix, guint number)
{
    GString *letters = g_string_new(NULL);

    for (number++; number > 0; number = (number - 1) / 26)
        g_string_prepend_c(letters, (char)('a' + (number - 1) % 26));
    g_string_prepend(letters, prefix);
    return g_string_free(letters, FALSE);
}

static char *
next_target(Description *description, const char *prefix)
{
    guint number = GPOINTER_TO_UINT(g_hash_table_lookup(description->counts, prefix));

    g_hash_table_insert(description->counts, (char *)prefix, GUINT_TO_POINTER(number + 1));
    return make_target(prefix, number);
}

static void
add_disk(Description *description, const VmpBlockNode *image, const char *target,
         const DeviceKind *kind)
{
    VmpMarkup *markup = &description->markup;

    vmp_markup_open(markup, "disk");
    vmp_markup_attribute(markup, "type",
                         image && vmp_nbd_uri_is(image->path) ? "network" : "file");
    vmp_markup_attribute(markup, "device", kind->device);
    vmp_markup_attribute(markup, "snapshot", is_transient(image) ? "no" : NULL);
    if (image)
        add_image(markup, image);
    vmp_markup_open(markup, "target");
    vmp_markup_attribute(markup, "dev", target);
    vmp_markup_attribute(markup, "bus", kind->bus);
    vmp_markup_close(markup, "target");
    if (image && image->read_only)
        vmp_markup_verbatim(markup, "<readonly/>");
    if (is_transient(image))
        vmp_markup_verbatim(markup, "<transient/>");
    vmp_markup_close(markup, "disk");
}

static void
add_device(Description *description, const VmpBlockDevice *device)
{
    const VmpBlockNode *image = image_of(description, device);
    const char *name = vmp_describe_device_name(device);

    /* A disk without a file is nothing that could be named in a point in time. */
    if (!name || is_flash(device) || (device->node && !(image && image->path)))
        return;
    g_autofree char *type = device_type(description, device);
    const DeviceKind *kind = find_kind(type);
    if (!device->node && g_str_equal(kind->device, "disk"))
        return;

    g_autofree char *target = next_target(description, kind->prefix);
    json_object_object_add(description->devices, target, json_object_new_string(name));
    add_disk(description, image, target, kind);
}

/* So that whoever makes a point knows of what it will lack.  A QEMU that was built without
 * them does not know the question. */
static void
add_tpms(Description *description)
{
    g_autoptr(VmpJson) tpms = ask(description, vmp_qmp_query_tpm());
    VmpMarkup *markup = &description->markup;

    for (guint i = 0; i < vmp_json_length(tpms); i++) {
        VmpJson *tpm = vmp_json_at(tpms, i);
        const char *type = vmp_json_get_string(vmp_json_get_object(tpm, "options"), "type");

        vmp_markup_open(markup, "tpm");
        vmp_markup_attribute(markup, "model", vmp_json_get_string(tpm, "model"));
        vmp_markup_open(markup, "backend");
        vmp_markup_attribute(markup, "type", type ? type : "");
        vmp_markup_close(markup, "backend");
        vmp_markup_close(markup, "tpm");
    }
}

static void
add_devices(Description *description)
{
    const GPtrArray *devices = vmp_block_graph_devices(description->graph);

    vmp_markup_open(&description->markup, "devices");
    for (guint i = 0; i < devices->len; i++)
        add_device(description, g_ptr_array_index(devices, i));
    add_tpms(description);
    vmp_markup_close(&description->markup, "devices");
}

/* ---- all of it ---- */

VmpDomain *
vmp_describe_machine(VmpQmpClient *client, const VmpBlockGraph *graph, const char *name,
                     const char *uuid, VmpJson *devices, GError **error)
{
    g_autoptr(GHashTable) counts = g_hash_table_new(g_str_hash, g_str_equal);
    Description description = { client, graph, devices, counts, vmp_markup_begin() };
    VmpMarkup *markup = &description.markup;
    gint64 memory = ask_machine(&description, "memory", "size", 0);
    g_autofree char *kib = g_strdup_printf("%" G_GINT64_FORMAT, MAX(memory / 1024, 1));

    vmp_markup_open(markup, "domain");
    vmp_markup_attribute(markup, "type", "qemu");
    vmp_markup_element(markup, "name", name);
    vmp_markup_element(markup, "uuid", uuid);
    vmp_markup_open(markup, "memory");
    vmp_markup_attribute(markup, "unit", "KiB");
    vmp_markup_close_text(markup, "memory", kib);
    vmp_markup_element_int(markup, "vcpu",
                           MAX(ask_machine(&description, "smp", "cpus", 1), 1));
    add_os(&description);
    add_devices(&description);
    vmp_markup_close(markup, "domain");

    g_autofree char *xml = vmp_markup_finish(markup);
    return vmp_domain_parse(xml, -1, error);
}
