/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/nbd-uri.h"
#include "xml/domain-private.h"
#include "xml/nbd-source.h"

static void
disk_free(VmpDomainDisk *disk)
{
    char *owned[] = { disk->target,       disk->bus,           disk->device,
                      disk->source,       disk->driver,        disk->cache,
                      disk->io,           disk->discard,       disk->detect_zeroes,
                      disk->error_policy, disk->rerror_policy, disk->serial,
                      disk->wwn,          disk->vendor,        disk->product,
                      disk->alias,        disk->pci_address,   disk->remote };

    for (guint i = 0; i < G_N_ELEMENTS(owned); i++)
        g_free(owned[i]);
    g_free(disk);
}

static gboolean
is_removable_medium(const VmpDomainDisk *disk)
{
    return g_str_equal(disk->device, "cdrom") || g_str_equal(disk->device, "floppy");
}

static gboolean
fail_no_source(const VmpDomainDisk *disk, const xmlNode *node, GError **error)
{
    return vmp_xml_fail_value(node, "target", disk->target, "has no source", error);
}

/* libvirt's guess from the name of the target. */
static const char *
bus_of_target(const char *target)
{
    static const struct {
        const char *prefix, *bus;
    } buses[] = { { "fd", "fdc" },    { "hd", "ide" },  { "sd", "scsi" },
                  { "vd", "virtio" }, { "xvd", "xen" }, { "ubd", "uml" } };

    for (guint i = 0; i < G_N_ELEMENTS(buses); i++)
        if (g_str_has_prefix(target, buses[i].prefix))
            return buses[i].bus;
    return NULL;
}

static gboolean
read_kind(VmpDomainDisk *disk, const xmlNode *node, GError **error)
{
    static const char *const devices[] = { "disk", "cdrom", "floppy", "lun", NULL };
    g_autofree char *type = vmp_xml_attribute(node, "type");

    disk->type = VMP_STORAGE_FILE;
    if (type && !vmp_storage_type_from_name(type, &disk->type))
        return vmp_xml_fail_value(node, "type", type, "is not known", error);

    disk->device = vmp_xml_attribute(node, "device");
    if (!disk->device)
        disk->device = g_strdup("disk");
    if (!g_strv_contains(devices, disk->device))
        return vmp_xml_fail_value(node, "device", disk->device, "is not known", error);
    return TRUE;
}

static gboolean
read_target(VmpDomainDisk *disk, const xmlNode *node, GError **error)
{
    const xmlNode *target = vmp_xml_child(node, "target");
    g_autofree char *removable = vmp_xml_attribute(target, "removable");

    disk->target = vmp_xml_attribute(target, "dev");
    if (!disk->target || disk->target[0] == '\0')
        return vmp_xml_fail(node, error, "<target dev=...> is missing");
    disk->bus = vmp_xml_attribute(target, "bus");
    if (!disk->bus)
        disk->bus = g_strdup(bus_of_target(disk->target));
    if (!disk->bus)
        return vmp_xml_fail_value(target, "dev", disk->target, "does not tell a bus", error);
    disk->removable = g_strcmp0(removable, "on") == 0;
    return TRUE;
}

static gboolean
read_network_source(VmpDomainDisk *disk, const xmlNode *source, GError **error)
{
    disk->remote = vmp_xml_attribute(source, "name");
    return vmp_nbd_source_read_place(source, &disk->source, error);
}

static gboolean
read_source(VmpDomainDisk *disk, const xmlNode *node, GError **error)
{
    const xmlNode *source = vmp_xml_child(node, "source");
    const char *attribute = disk->type == VMP_STORAGE_FILE    ? "file"
                            : disk->type == VMP_STORAGE_BLOCK ? "dev"
                                                              : NULL;

    if (attribute) {
        g_autofree char *path = vmp_xml_attribute(source, attribute);

        /* An empty path is a drive without a medium, as libvirt has it. */
        if (path && path[0] != '\0' &&
            !vmp_xml_attribute_path(source, attribute, &disk->source, error))
            return FALSE;
        if (!disk->source && !is_removable_medium(disk))
            return fail_no_source(disk, node, error);
        if (!disk->source)
            disk->type = VMP_STORAGE_NONE;
    } else if (!source && !is_removable_medium(disk)) {
        return fail_no_source(disk, node, error);
    } else if (disk->type == VMP_STORAGE_NETWORK) {
        return read_network_source(disk, source, error);
    }
    return TRUE;
}

static gboolean
read_driver(VmpDomainDisk *disk, const xmlNode *node, GError **error)
{
    const xmlNode *driver = vmp_xml_child(node, "driver");

    disk->driver = vmp_xml_attribute(driver, "type");
    if (!disk->driver)
        disk->driver = g_strdup("raw");
    disk->cache = vmp_xml_attribute(driver, "cache");
    disk->io = vmp_xml_attribute(driver, "io");
    disk->discard = vmp_xml_attribute(driver, "discard");
    disk->detect_zeroes = vmp_xml_attribute(driver, "detect_zeroes");
    disk->error_policy = vmp_xml_attribute(driver, "error_policy");
    disk->rerror_policy = vmp_xml_attribute(driver, "rerror_policy");
    return vmp_xml_attribute_uint_max(driver, "iothread", G_MAXINT, &disk->iothread, error) &&
           vmp_xml_attribute_uint_max(driver, "queues", G_MAXUINT16, &disk->queues, error);
}

static gboolean
read_identity(VmpDomainDisk *disk, const xmlNode *node, GError **error)
{
    const xmlNode *blockio = vmp_xml_child(node, "blockio");

    disk->serial = vmp_xml_text(vmp_xml_child(node, "serial"));
    disk->wwn = vmp_xml_text(vmp_xml_child(node, "wwn"));
    disk->vendor = vmp_xml_text(vmp_xml_child(node, "vendor"));
    disk->product = vmp_xml_text(vmp_xml_child(node, "product"));
    disk->alias = vmp_xml_attribute(vmp_xml_child(node, "alias"), "name");
    return vmp_xml_attribute_uint_max(blockio, "logical_block_size", G_MAXINT,
                                      &disk->logical_block_size, error) &&
           vmp_xml_attribute_uint_max(blockio, "physical_block_size", G_MAXINT,
                                      &disk->physical_block_size, error);
}

static gboolean
read_snapshot_default(VmpDomainDisk *disk, const xmlNode *node, GError **error)
{
    g_autofree char *snapshot = vmp_xml_attribute(node, "snapshot");

    if (snapshot && !vmp_location_from_name(snapshot, &disk->snapshot))
        return vmp_xml_fail_value(node, "snapshot", snapshot, "is not known", error);

    /* A medium that cannot be written needs no snapshot. */
    if (!snapshot && disk->readonly)
        disk->snapshot = VMP_LOCATION_NO;
    return TRUE;
}

static gboolean
read_disk(VmpDomainDisk *disk, const xmlNode *node, GError **error)
{
    disk->controller = disk->address_bus = disk->target_id = disk->unit = disk->lun = -1;
    if (!read_kind(disk, node, error) || !read_target(disk, node, error) ||
        !read_source(disk, node, error) || !read_driver(disk, node, error) ||
        !read_identity(disk, node, error))
        return FALSE;

    disk->readonly = vmp_xml_child(node, "readonly") || g_str_equal(disk->device, "cdrom");
    disk->shareable = vmp_xml_child(node, "shareable") != NULL;
    disk->transient = vmp_xml_child(node, "transient") != NULL;
    return read_snapshot_default(disk, node, error) &&
           vmp_domain_read_boot_order(node, &disk->boot_order, error) &&
           vmp_domain_read_drive_address(node, disk, error) &&
           vmp_domain_read_pci_address(node, &disk->pci_address, &disk->multifunction, error);
}

gboolean
vmp_domain_read_disks(VmpDomainView *view, const xmlNode *devices, GError **error)
{
    g_autoptr(GHashTable) targets = g_hash_table_new(g_str_hash, g_str_equal);

    view->disks = g_ptr_array_new_with_free_func((GDestroyNotify)disk_free);
    for (xmlNode *node = vmp_xml_child(devices, "disk"); node;
         node = vmp_xml_next(node, "disk")) {
        VmpDomainDisk *disk = g_new0(VmpDomainDisk, 1);

        g_ptr_array_add(view->disks, disk);
        if (!read_disk(disk, node, error))
            return FALSE;
        if (!g_hash_table_add(targets, disk->target))
            return vmp_xml_fail_value(node, "target", disk->target, "is given twice", error);
    }
    return TRUE;
}
