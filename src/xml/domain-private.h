/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The typed view of a domain document, and who reads which part of it.
 *
 * Readers take the part's node and fill the view.  They fail on what libvirt refuses;
 * what they merely do not know is not theirs but domain-known.c's.
 */

#include "xml/domain.h"
#include "xml/reader.h"

#define VMP_QEMU_NAMESPACE "http://libvirt.org/schemas/domain/qemu/1.0"

typedef struct {
    char *type, *name, *uuid;
    guint64 memory, current_memory;
    guint vcpus, current_vcpus, iothreads;
    VmpDomainOs os;
    VmpDomainCpu cpu;
    char *clock_offset;
    GPtrArray *timers;
    GHashTable *features; /* char * -> 0 or 1 */
    char *on_poweroff, *on_reboot, *on_crash;
    gboolean has_genid;
    char *genid;
    int suspend_to_mem, suspend_to_disk;
    char *emulator;
    GPtrArray *disks, *controllers, *interfaces, *chardevs, *graphics;
    guint forwards;                    /* ports forwarded by all interfaces */
    GPtrArray *videos, *rngs, *inputs; /* of char * */
    char *memballoon, *watchdog, *watchdog_action;
    VmpDomainTpm *tpm;
    GPtrArray *qemu_args, *qemu_env;
    GPtrArray *unknown;
} VmpDomainView;

struct _VmpDomain {
    char *text; /* of the root element */
    guint line; /* where it began in the document that it came from */
    VmpDomainView *view;
    GPtrArray *past; /* views before edits: what was borrowed from them stays valid */
};

/* domain.c: the two halves of parsing. */
VmpXmlDoc *vmp_domain_read_document(const char *xml, gssize length, guint line,
                                    GError **error);
VmpDomainView *vmp_domain_read_view(const VmpXmlDoc *doc, GError **error);

/* domain-view.c */
VmpDomainView *vmp_domain_view_new(const VmpXmlDoc *doc, GError **error);
/* "C797A770A2CE4364B2A31C450AD69915" -> "c797a770-a2ce-4364-b2a3-1c450ad69915"; NULL if it
 * is no UUID.  Free with g_free(). */
char *vmp_domain_normal_uuid(const char *text);
/* The same from the text of @node, which may be NULL. */
gboolean vmp_domain_read_uuid(const xmlNode *node, char **uuid, GError **error);
gboolean vmp_domain_is_name(const char *name);
void vmp_domain_view_free(VmpDomainView *view);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpDomainView, vmp_domain_view_free)

/* domain-machine.c: memory, CPUs, firmware, clock, features. */
gboolean vmp_domain_read_machine(VmpDomainView *view, const xmlNode *root, GError **error);
void vmp_domain_clear_machine(VmpDomainView *view);

/* domain-disk.c: <disk>s; @devices may be NULL. */
gboolean vmp_domain_read_disks(VmpDomainView *view, const xmlNode *devices, GError **error);

/* domain-chardev.c: serial, parallel, console, channel. */
gboolean vmp_domain_read_chardevs(VmpDomainView *view, const xmlNode *devices, GError **error);

/* domain-devices.c: all other devices. */
gboolean vmp_domain_read_devices(VmpDomainView *view, const xmlNode *devices, GError **error);

void vmp_domain_tpm_free(VmpDomainTpm *tpm);

/* domain-known.c: fills view->unknown, and marks the disks that are in it. */
void vmp_domain_find_unknown(VmpDomainView *view, const xmlNode *root);

/* domain-address.c */
/* <boot order='N'/> of a device; each order may be given once. */
gboolean vmp_domain_read_boot_order(const xmlNode *device, guint *order, GError **error);
/* "0000:00:04.0" of the device's <address type='pci'>; NULL if it has none. */
gboolean vmp_domain_read_pci_address(const xmlNode *device, char **address,
                                     gboolean *multifunction, GError **error);
/* <address type='drive'>; the disk's bus is known already. */
gboolean vmp_domain_read_drive_address(const xmlNode *device, VmpDomainDisk *disk,
                                       GError **error);
/* An attribute that is a small number; @value stays if it is absent. */
gboolean vmp_domain_read_int(const xmlNode *node, const char *name, int *value,
                             GError **error);
