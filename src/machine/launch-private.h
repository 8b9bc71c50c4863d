/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the modules that build the command line share.
 *
 *   launch-machine.c   machine type, firmware, CPU, memory, clock, boot
 *   launch-bus.c       PCI addresses, controllers
 *   launch-disk.c      disks and their block nodes
 *   launch-device.c    all other devices
 */

#include "base/json.h"
#include "machine/args.h"
#include "machine/launch.h"

typedef struct {
    const VmpDomain *domain;
    const VmpLaunchHost *host;
    VmpArgs *args;
    gboolean is_q35;
    GHashTable *pci_used;  /* "0000:00:04.0" -> what is there; both char * */
    GHashTable *pci_multi; /* "0000:00:04": slots with more than function 0 */
    guint next_boot[4];    /* by VmpBootKind: order for the first such device; 0 = none */
    guint64 serial_ports; /* ports of the first virtio-serial bus that are taken, a bit each */
} VmpLaunch;

typedef enum {
    VMP_BOOT_DISK,
    VMP_BOOT_CDROM,
    VMP_BOOT_NETWORK,
    VMP_BOOT_FLOPPY,
} VmpBootKind;

/* "UNSUPPORTED: domain asks for ...". */
#define VMP_LAUNCH_REFUSE(error, ...) vmp_fail((error), VMP_ERROR_UNSUPPORTED, __VA_ARGS__)

/* launch-machine.c */
gboolean vmp_launch_add_machine(VmpLaunch *launch, GError **error);
/* Adds @key ("bootindex"): @order of the device itself, or what <os> says for its kind.
 * FALSE if it is not booted from. */
gboolean vmp_launch_add_boot_index(VmpLaunch *launch, VmpOption *option, const char *key,
                                   VmpBootKind kind, guint order);

/* launch-bus.c */
/* Takes all addresses that the definition gives. */
gboolean vmp_launch_reserve_addresses(VmpLaunch *launch, GError **error);
/* Adds bus and addr: the definition's, or the next free one when @address is NULL. */
gboolean vmp_launch_add_pci(VmpLaunch *launch, VmpOption *option, const char *address,
                            gboolean multifunction, GError **error);
/* Those of the definition, and those that its devices need. */
gboolean vmp_launch_add_controllers(VmpLaunch *launch, GError **error);
/* Is there such a controller in the definition?  NULL if not. */
const VmpDomainController *vmp_launch_find_controller(const VmpDomain *domain,
                                                      const char *type, guint index);
/* "virtio-scsi-pci" or the like for a SCSI controller; NULL if there is no such model. */
const char *vmp_launch_scsi_device(const VmpDomain *domain, guint index);

/* launch-disk.c */
gboolean vmp_launch_add_disks(VmpLaunch *launch, GError **error);
/* Where a disk is on its bus: the definition's address, or libvirt's default for its target.
 */
typedef struct {
    guint controller, bus, target, unit;
} VmpDiskPlace;
VmpDiskPlace vmp_launch_disk_place(const VmpDomainDisk *disk);
/* The options of the disk's two block nodes; also for a storage daemon. */
VmpJson *vmp_launch_disk_storage(const VmpDomainDisk *disk);
VmpJson *vmp_launch_disk_format(const VmpDomainDisk *disk);
gboolean vmp_launch_disk_is_read_only(const VmpDomainDisk *disk);

/* launch-device.c */
gboolean vmp_launch_add_devices(VmpLaunch *launch, GError **error);
/* Is anything on the bus of that type ("usb", "virtio-serial")? */
gboolean vmp_launch_needs_usb(const VmpDomain *domain);
gboolean vmp_launch_needs_virtio_serial(const VmpDomain *domain);
