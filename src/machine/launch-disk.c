/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "machine/launch-private.h"
#include "qmp/commands.h"

/* Node names are at most 31 bytes long. */
#define TARGET_MAX 20

/* ---- where it is ---- */

/* "sda" 0, "sdz" 25, "sdaa" 26. */
static guint
target_number(const char *target)
{
    guint number = 0;

    for (const char *letter = target + MIN(strlen(target), 2); g_ascii_islower(*letter);
         letter++)
        number = number * 26 + (guint)(*letter - 'a') + 1;
    return number ? number - 1 : 0;
}

static VmpDiskPlace
default_place(const VmpDomainDisk *disk)
{
    guint number = target_number(disk->target);

    if (g_str_equal(disk->bus, "scsi")) {
        /* Fifteen a controller; 7 is the controller's own. */
        guint unit = number % 15;
        return (VmpDiskPlace){ number / 15, 0, 0, unit >= 7 ? unit + 1 : unit };
    }
    if (g_str_equal(disk->bus, "sata"))
        return (VmpDiskPlace){ number / 6, 0, 0, number % 6 };
    if (g_str_equal(disk->bus, "ide"))
        return (VmpDiskPlace){ number / 4, number % 4 / 2, 0, number % 2 };
    if (g_str_equal(disk->bus, "fdc"))
        return (VmpDiskPlace){ number / 2, 0, 0, number % 2 };
    return (VmpDiskPlace){ 0, 0, 0, number };
}

VmpDiskPlace
vmp_launch_disk_place(const VmpDomainDisk *disk)
{
    if (disk->controller < 0 && disk->address_bus < 0 && disk->target_id < 0 && disk->unit < 0)
        return default_place(disk);
    return (VmpDiskPlace){
        .controller = (guint)MAX(disk->controller, 0),
        .bus = (guint)MAX(disk->address_bus, 0),
        .target = (guint)MAX(disk->target_id, 0),
        .unit = (guint)MAX(disk->unit, 0),
    };
}

/* ---- block nodes ---- */

/* libvirt's cache modes: does the host's cache stand between, are flushes obeyed, and does
 * the device tell the guest that it caches writes? */
static const struct {
    const char *name;
    gboolean direct, no_flush, write_cache;
} cache_modes[] = {
    { "none", TRUE, FALSE, TRUE },           { "writeback", FALSE, FALSE, TRUE },
    { "writethrough", FALSE, FALSE, FALSE }, { "directsync", TRUE, FALSE, FALSE },
    { "unsafe", FALSE, TRUE, TRUE },
};

static int
find_cache_mode(const VmpDomainDisk *disk)
{
    for (guint i = 0; disk->cache && i < G_N_ELEMENTS(cache_modes); i++) {
        if (g_str_equal(cache_modes[i].name, disk->cache))
            return (int)i;
    }
    return -1;
}

static void
add_cache(VmpJson *options, const VmpDomainDisk *disk)
{
    int mode = find_cache_mode(disk);

    if (mode >= 0)
        vmp_json_add(options, "o:cache",
                     vmp_json_build("b:direct", cache_modes[mode].direct, "b:no-flush",
                                    cache_modes[mode].no_flush, NULL),
                     NULL);
}

static const char *
said(const char *value)
{
    return g_strcmp0(value, "default") == 0 ? NULL : value;
}

gboolean
vmp_launch_disk_is_read_only(const VmpDomainDisk *disk)
{
    return disk->readonly || g_strcmp0(disk->device, "cdrom") == 0;
}

VmpJson *
vmp_launch_disk_storage(const VmpDomainDisk *disk)
{
    g_autofree char *node = g_strconcat(disk->target, "-storage", NULL);
    VmpJson *options =
        vmp_qmp_options_storage(node, disk->source, disk->type == VMP_STORAGE_BLOCK, FALSE);

    /* The format above it decides; as soon as it is only read from, so is the file. */
    vmp_json_add(options, "b:auto-read-only", TRUE, "s:discard", "unmap", "S:aio",
                 said(disk->io), NULL);
    add_cache(options, disk);
    return options;
}

VmpJson *
vmp_launch_disk_format(const VmpDomainDisk *disk)
{
    g_autofree char *node = g_strconcat(disk->target, "-format", NULL);
    g_autofree char *storage = g_strconcat(disk->target, "-storage", NULL);
    VmpJson *options = vmp_qmp_options_format(node, disk->driver, storage, NULL,
                                              vmp_launch_disk_is_read_only(disk));

    vmp_json_add(options, "S:discard", said(disk->discard), "S:detect-zeroes",
                 said(disk->detect_zeroes), NULL);
    add_cache(options, disk);
    return options;
}

static void
add_nodes(VmpLaunch *launch, const VmpDomainDisk *disk)
{
    g_autoptr(VmpJson) storage = vmp_launch_disk_storage(disk);
    g_autoptr(VmpJson) format = vmp_launch_disk_format(disk);
    g_autofree char *storage_text = vmp_json_to_text(storage);
    g_autofree char *format_text = vmp_json_to_text(format);

    vmp_args_add_host(launch->args, "-blockdev", storage_text);
    vmp_args_add_host(launch->args, "-blockdev", format_text);
}

/* ---- what cannot be given ---- */

static gboolean
check_network(const VmpDomainDisk *disk, GError **error)
{
    if (disk->type != VMP_STORAGE_NETWORK)
        return TRUE;
    if (!disk->source)
        return VMP_LAUNCH_REFUSE(
            error, "disk %s: of network storage vmpoint knows NBD without TLS", disk->target);
    if (g_str_equal(disk->device, "lun"))
        return VMP_LAUNCH_REFUSE(error, "disk %s: an NBD export is no LUN", disk->target);
    if (said(disk->io))
        return VMP_LAUNCH_REFUSE(error, "disk %s: io='%s' is of files, and NBD has none",
                                 disk->target, disk->io);
    return TRUE;
}

static gboolean
check_source(const VmpDomainDisk *disk, GError **error)
{
    if (!check_network(disk, error))
        return FALSE;
    if (disk->type != VMP_STORAGE_FILE && disk->type != VMP_STORAGE_BLOCK &&
        disk->type != VMP_STORAGE_NETWORK && disk->type != VMP_STORAGE_NONE)
        return VMP_LAUNCH_REFUSE(error, "disk %s: <disk type='%s'> is not known to vmpoint",
                                 disk->target, vmp_storage_type_name(disk->type));
    if (disk->transient)
        return VMP_LAUNCH_REFUSE(error, "disk %s: <transient> is not known to vmpoint",
                                 disk->target);
    if (strlen(disk->target) > TARGET_MAX)
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "disk %s: the target's name is too long for "
                        "QEMU",
                        disk->target);
    if (disk->cache && find_cache_mode(disk) < 0 && said(disk->cache))
        return vmp_fail(error, VMP_ERROR_INVALID, "disk %s: there is no cache mode '%s'",
                        disk->target, disk->cache);
    return TRUE;
}

/* What only some buses have must not be forgotten on the others. */
static gboolean
check_bus(const VmpDomainDisk *disk, GError **error)
{
    const char *bus = disk->bus;
    gboolean is_virtio = g_str_equal(bus, "virtio"), is_scsi = g_str_equal(bus, "scsi");
    gboolean is_usb = g_str_equal(bus, "usb"), is_floppy = g_str_equal(bus, "fdc");
    const struct {
        const char *what;
        gboolean is_asked, is_given;
    } properties[] = {
        { "iothread=", disk->iothread > 0, is_virtio },
        { "queues=", disk->queues > 0, is_virtio },
        { "<vendor>", disk->vendor != NULL, is_scsi },
        { "<product>", disk->product != NULL, is_scsi },
        { "<wwn>", disk->wwn != NULL, !is_virtio && !is_usb && !is_floppy },
        { "<serial>", disk->serial != NULL, !is_floppy },
        { "removable=", disk->removable, is_scsi || is_usb },
        { "error_policy=", said(disk->error_policy) != NULL, !is_floppy },
        { "rerror_policy=", said(disk->rerror_policy) != NULL, !is_floppy },
    };

    for (guint i = 0; i < G_N_ELEMENTS(properties); i++) {
        if (properties[i].is_asked && !properties[i].is_given)
            return VMP_LAUNCH_REFUSE(error, "disk %s: %s is not known on the %s bus",
                                     disk->target, properties[i].what, bus);
    }
    return TRUE;
}

/* ---- devices ---- */

static void
add_error_policy(VmpOption *option, const VmpDomainDisk *disk)
{
    const char *on_write = said(disk->error_policy);
    const char *on_read = said(disk->rerror_policy);

    if (g_strcmp0(on_write, "enospace") == 0)
        on_write = "enospc";
    /* As in libvirt one word serves for both, as far as reads know it. */
    if (!on_read && g_strcmp0(on_write, "enospc") != 0)
        on_read = on_write;
    vmp_option_host_text(option, "werror", on_write);
    vmp_option_host_text(option, "rerror", on_read);
}

static VmpBootKind
boot_kind(const VmpDomainDisk *disk)
{
    return g_str_equal(disk->device, "cdrom") ? VMP_BOOT_CDROM : VMP_BOOT_DISK;
}

/* What all kinds of disk devices know. */
static void
add_common(VmpLaunch *launch, VmpOption *option, const VmpDomainDisk *disk)
{
    int cache = find_cache_mode(disk);
    gboolean is_floppy = g_str_equal(disk->device, "floppy");

    if (disk->source)
        vmp_option_host(option, "drive", "%s-format", disk->target);
    vmp_option_host(option, "id", "%s", vmp_launch_disk_id(disk));
    if (!is_floppy)
        vmp_launch_add_boot_index(launch, option, "bootindex", boot_kind(disk),
                                  disk->boot_order);
    vmp_option_guest_uint(option, "logical_block_size", disk->logical_block_size);
    vmp_option_guest_uint(option, "physical_block_size", disk->physical_block_size);
    if (disk->shareable)
        vmp_option_host(option, "share-rw", "on");
    if (cache >= 0 && !is_floppy)
        vmp_option_guest(option, "write-cache", "%s",
                         cache_modes[cache].write_cache ? "on" : "off");
    add_error_policy(option, disk);
}

static gboolean
add_virtio(VmpLaunch *launch, const VmpDomainDisk *disk, GError **error)
{
    if (!g_str_equal(disk->device, "disk"))
        return VMP_LAUNCH_REFUSE(error, "disk %s: a virtio disk cannot be a %s", disk->target,
                                 disk->device);

    VmpOption *option = vmp_option_new("-device", "virtio-blk-pci");
    if (!vmp_launch_add_pci(launch, option, disk->pci_address, disk->multifunction, error)) {
        vmp_args_take(launch->args, option);
        return FALSE;
    }
    if (disk->iothread > 0)
        vmp_option_host(option, "iothread", "iothread%u", disk->iothread);
    vmp_option_guest_uint(option, "num-queues", disk->queues);
    vmp_option_guest_text(option, "serial", disk->serial);
    add_common(launch, option, disk);
    vmp_args_take(launch->args, option);
    return TRUE;
}

static void
add_scsi_identity(VmpOption *option, const VmpDomainDisk *disk)
{
    vmp_option_guest_text(option, "serial", disk->serial);
    vmp_option_guest_text(option, "vendor", disk->vendor);
    vmp_option_guest_text(option, "product", disk->product);
    if (disk->wwn)
        vmp_option_guest(option, "wwn", "%s%s", g_str_has_prefix(disk->wwn, "0x") ? "" : "0x",
                         disk->wwn);
    if (disk->removable)
        vmp_option_guest(option, "removable", "on");
}

static const char *
scsi_device(const VmpDomainDisk *disk)
{
    if (g_str_equal(disk->device, "cdrom"))
        return "scsi-cd";
    return g_str_equal(disk->device, "lun") ? "scsi-block" : "scsi-hd";
}

static gboolean
add_scsi(VmpLaunch *launch, const VmpDomainDisk *disk, GError **error)
{
    VmpDiskPlace place = vmp_launch_disk_place(disk);
    const char *controller = vmp_launch_scsi_device(launch->domain, place.controller);
    gboolean is_lsi = g_strcmp0(controller, "lsi") == 0;

    if (g_str_equal(disk->device, "floppy") || (is_lsi && place.target > 0))
        return VMP_LAUNCH_REFUSE(
            error, "disk %s: there is no such place on its SCSI controller", disk->target);

    VmpOption *option = vmp_option_new("-device", scsi_device(disk));
    vmp_option_guest(option, "bus", "scsi%u.0", place.controller);
    vmp_option_guest(option, "channel", "%u", is_lsi ? 0 : place.bus);
    vmp_option_guest(option, "scsi-id", "%u", is_lsi ? place.unit : place.target);
    vmp_option_guest(option, "lun", "%u", is_lsi ? 0 : place.unit);
    add_scsi_identity(option, disk);
    add_common(launch, option, disk);
    vmp_args_take(launch->args, option);
    return TRUE;
}

static gboolean
add_ide(VmpLaunch *launch, const VmpDomainDisk *disk, GError **error)
{
    VmpDiskPlace place = vmp_launch_disk_place(disk);
    gboolean is_sata = g_str_equal(disk->bus, "sata");
    gboolean is_built_in = is_sata == launch->is_q35 && place.controller == 0;

    if (!is_sata && !is_built_in)
        return VMP_LAUNCH_REFUSE(error, "disk %s: %s has no such IDE controller", disk->target,
                                 launch->is_q35 ? "q35" : "pc");
    if (!g_str_equal(disk->device, "disk") && !g_str_equal(disk->device, "cdrom"))
        return VMP_LAUNCH_REFUSE(error, "disk %s: a %s cannot be on the %s bus", disk->target,
                                 disk->device, disk->bus);

    gboolean is_cdrom = g_str_equal(disk->device, "cdrom");
    VmpOption *option = vmp_option_new("-device", is_cdrom ? "ide-cd" : "ide-hd");
    if (!is_sata) {
        vmp_option_guest(option, "bus", "ide.%u", place.bus);
        vmp_option_guest(option, "unit", "%u", place.unit);
    } else if (is_built_in) {
        vmp_option_guest(option, "bus", "ide.%u", place.unit);
    } else {
        vmp_option_guest(option, "bus", "sata%u.%u", place.controller, place.unit);
    }
    vmp_option_guest_text(option, "serial", disk->serial);
    if (disk->wwn)
        vmp_option_guest(option, "wwn", "%s%s", g_str_has_prefix(disk->wwn, "0x") ? "" : "0x",
                         disk->wwn);
    add_common(launch, option, disk);
    vmp_args_take(launch->args, option);
    return TRUE;
}

static gboolean
add_usb(VmpLaunch *launch, const VmpDomainDisk *disk, GError **error)
{
    if (!g_str_equal(disk->device, "disk"))
        return VMP_LAUNCH_REFUSE(error, "disk %s: a USB disk cannot be a %s", disk->target,
                                 disk->device);

    VmpOption *option = vmp_option_new("-device", "usb-storage");
    vmp_option_guest(option, "bus", "usb.0");
    vmp_option_guest_text(option, "serial", disk->serial);
    vmp_option_guest(option, "removable", disk->removable ? "on" : "off");
    add_common(launch, option, disk);
    vmp_args_take(launch->args, option);
    return TRUE;
}

static gboolean
add_floppy(VmpLaunch *launch, const VmpDomainDisk *disk, GError **error)
{
    VmpDiskPlace place = vmp_launch_disk_place(disk);

    if (!g_str_equal(disk->device, "floppy"))
        return VMP_LAUNCH_REFUSE(error, "disk %s: a %s cannot be on a floppy controller",
                                 disk->target, disk->device);
    VmpOption *option = vmp_option_new("-device", "floppy");
    vmp_option_guest(option, "unit", "%u", place.unit);
    add_common(launch, option, disk);
    vmp_args_take(launch->args, option);

    /* It is the controller that is booted from. */
    VmpOption *boot = vmp_option_new("-global", "");
    if (vmp_launch_add_boot_index(launch, boot,
                                  place.unit ? "isa-fdc.bootindexB" : "isa-fdc.bootindexA",
                                  VMP_BOOT_FLOPPY, disk->boot_order))
        vmp_args_take_host(launch->args, boot);
    else
        vmp_option_drop(boot);
    return TRUE;
}

static gboolean
add_disk(VmpLaunch *launch, const VmpDomainDisk *disk, GError **error)
{
    static const struct {
        const char *bus;
        gboolean (*add)(VmpLaunch *launch, const VmpDomainDisk *disk, GError **error);
    } buses[] = {
        { "virtio", add_virtio }, { "scsi", add_scsi }, { "sata", add_ide },
        { "ide", add_ide },       { "usb", add_usb },   { "fdc", add_floppy },
    };

    if (!check_source(disk, error) || !check_bus(disk, error))
        return FALSE;
    if (disk->source)
        add_nodes(launch, disk);
    for (guint i = 0; i < G_N_ELEMENTS(buses); i++) {
        if (g_str_equal(disk->bus, buses[i].bus))
            return buses[i].add(launch, disk, error);
    }
    return VMP_LAUNCH_REFUSE(error, "disk %s: bus '%s' is not known to vmpoint", disk->target,
                             disk->bus);
}

gboolean
vmp_launch_add_disks(VmpLaunch *launch, GError **error)
{
    const GPtrArray *disks = vmp_domain_get_disks(launch->domain);

    for (guint i = 0; i < disks->len; i++) {
        if (!add_disk(launch, g_ptr_array_index(disks, i), error))
            return FALSE;
    }
    return TRUE;
}
