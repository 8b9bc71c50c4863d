/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpDomain: what a <domain> document said.
 *
 * The text is kept as it was given, so that output has everything that input had, to
 * the byte; beside it stands a typed view of what vmpoint uses: launching, disks,
 * alignment of points.  What a snapshot changes is a disk's source:
 * vmp_domain_set_disk_source() changes that place in the text and reads it again, so
 * that text and view cannot differ.  What was borrowed before such a change stays
 * valid as long as the domain, and says what was so before.
 *
 * An element that is not in the view is listed by vmp_domain_get_unknown() when it
 * would change the machine that the guest sees, so that launching can refuse it
 * by name.  Nothing is dropped silently.
 */

#include <glib.h>
#include <vmpoint/types.h>

/* A <disk>.  Strings are NULL when the XML did not say. */
typedef struct {
    char *target; /* "vda": the disk's name everywhere in vmpoint */
    char *bus;    /* "virtio", "scsi", "sata", "ide", "usb", "fdc"; defaulted from target */
    char *device; /* "disk", "cdrom", "floppy", "lun" */
    VmpStorageType type;
    char *source; /* path of file/block, URI of NBD (base/nbd-uri.h: normalized, without
                   * TLS); NULL = no medium, or on some other network storage */
    char *remote; /* name= of a network source: "export", "pool/image"; or NULL */
    char *driver; /* image format: "qcow2", "raw"; "raw" when not said, as libvirt */
    char *cache, *io, *discard, *detect_zeroes, *error_policy, *rerror_policy;
    char *serial, *wwn, *vendor, *product;
    gboolean readonly, shareable, transient, removable;
    guint boot_order;                              /* 0 = none */
    guint iothread;                                /* 0 = none */
    guint queues;                                  /* 0 = not said */
    guint logical_block_size, physical_block_size; /* bytes; 0 = not said */
    VmpLocation snapshot; /* snapshot= attribute; UNSET = not said (but NO if readonly) */
    char *alias;
    int controller, address_bus, target_id, unit; /* <address type='drive'>; -1 = not said */
    int lun;                /* the same unit, when the bus is SCSI; else -1 */
    char *pci_address;      /* "0000:00:04.0" of <address type='pci'>; or NULL */
    gboolean multifunction; /* multifunction='on' of that address */
    gboolean unsupported;   /* encryption, reservations, ... : named by get_unknown() */
} VmpDomainDisk;

typedef struct {
    char *type;  /* "pci", "scsi", "ide", "sata", "virtio-serial", "usb", ... */
    char *model; /* "virtio-scsi", "pcie-root-port", ...; or NULL */
    guint index;
    guint ports, vectors, iothread; /* 0 = not said */
    int chassis, port;              /* of a PCI port, <target>; -1 = not said */
    int bus_number;                 /* of an expander bus, <target busNr>; -1 = not said */
    int start_port;                 /* of a USB companion, <master startport>; -1 = not said */
    char *pci_address;
    gboolean multifunction;
} VmpDomainController;

typedef struct {
    char *type;  /* "user" (others are refused at launch by name) */
    char *mac;   /* or NULL */
    char *model; /* "virtio", "e1000", ...; or NULL */
    guint boot_order;
    char *pci_address;
    gboolean multifunction;
    GPtrArray *forwards; /* of char *: "tcp:127.0.0.1:2222-:22", from <portForward>; or NULL */
} VmpDomainInterface;

/* <serial>, <console>, <channel>, <parallel> and the like. */
typedef struct {
    char *kind;      /* element name */
    char *type;      /* "unix", "pty", "file", "null", "tcp", "stdio" */
    char *path;      /* of unix, file */
    gboolean listen; /* mode='bind' */
    char *host, *service;
    gboolean append;   /* file */
    char *target_type; /* "isa-serial", "virtio", "serial", ... */
    char *target_name; /* "org.qemu.guest_agent.0" */
    int target_port;   /* -1 = not said */
} VmpDomainChardev;

typedef struct {
    char *type; /* "none", "vnc", ... */
    int port;   /* -1 = auto */
    gboolean autoport;
    char *listen; /* address; or NULL */
    char *socket; /* unix path; or NULL */
    char *passwd; /* a secret; or NULL */
} VmpDomainGraphics;

typedef struct {
    char *mode;  /* "custom", "host-model", "host-passthrough", "maximum"; or NULL */
    char *model; /* or NULL */
    guint sockets, dies, cores, threads; /* 0 = not said */
    GPtrArray *features;                 /* of char *: "+avx" / "-avx" */
} VmpDomainCpu;

typedef struct {
    char *arch, *machine;                       /* "x86_64", "q35"; machine may be NULL */
    char *firmware;                             /* firmware='efi'; or NULL */
    char *loader, *loader_type, *loader_format; /* type "pflash" or "rom" */
    gboolean loader_readonly, loader_secure;
    char *nvram, *nvram_template, *nvram_format;
    char *kernel, *initrd, *cmdline, *dtb;
    GPtrArray *boot; /* of char *: "hd", "cdrom", "network", "fd" in order */
    gboolean boot_menu;
} VmpDomainOs;

typedef struct {
    char *name; /* "rtc", "pit", "hpet", "kvmclock", ... */
    char *tickpolicy, *track;
    int present; /* -1 = not said */
} VmpDomainTimer;

typedef struct {
    char *model;      /* "tpm-tis", "tpm-crb"; others are refused at launch by name */
    char *backend;    /* "emulator"; others are refused at launch by name */
    gboolean is_kept; /* persistent_state='yes': its memory outlives the definition */
} VmpDomainTpm;

typedef struct _VmpDomain VmpDomain;

/* Free with vmp_domain_free().  The root may also be <inactiveDomain>.
 * VMP_ERROR_INVALID for what libvirt refuses too: no name, two disks with one target,
 * bad numbers, relative paths, ...; VMP_ERROR_UNSUPPORTED for a hypervisor or a kind of
 * guest that is not QEMU's. */
VmpDomain *vmp_domain_parse(const char *xml, gssize length, GError **error);
/* The same for a domain inside a larger document, where it begins at line @line. */
VmpDomain *vmp_domain_parse_part(const char *xml, guint line, GError **error);
VmpDomain *vmp_domain_copy(const VmpDomain *domain);
void vmp_domain_free(VmpDomain *domain);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpDomain, vmp_domain_free)

typedef enum {
    VMP_DOMAIN_FORMAT_SECURE = 1 << 0,        /* passwords shown; otherwise left out */
    VMP_DOMAIN_FORMAT_INACTIVE_ROOT = 1 << 1, /* root <inactiveDomain>, else <domain> */
} VmpDomainFormatFlags;

/* Lossless: the root element as it was parsed, byte for byte, without what stood around
 * it and without a newline at its end.  Free with g_free(). */
char *vmp_domain_format(const VmpDomain *domain, VmpDomainFormatFlags flags);
/* The text of a domain, or of an element of one, without what libvirt hides unless it is
 * asked for security information: a graphics passwd stays out as a whole, so do a
 * network source's cookies.  "" for what is no XML.  Free with g_free(). */
char *vmp_domain_mask(const char *xml);

/* Plain fields; borrowed, valid as long as @domain. */
const char *vmp_domain_get_type(const VmpDomain *domain); /* "qemu" or "kvm" */
const char *vmp_domain_get_name(const VmpDomain *domain);
/* Lower case with hyphens, whatever the XML has; NULL if not in the XML. */
const char *vmp_domain_get_uuid(const VmpDomain *domain);
guint64 vmp_domain_get_memory(const VmpDomain *domain);         /* bytes */
guint64 vmp_domain_get_current_memory(const VmpDomain *domain); /* bytes */
guint vmp_domain_get_vcpus(const VmpDomain *domain);            /* maximum */
guint vmp_domain_get_current_vcpus(const VmpDomain *domain);
guint vmp_domain_get_iothreads(const VmpDomain *domain);
const VmpDomainOs *vmp_domain_get_os(const VmpDomain *domain);
const VmpDomainCpu *vmp_domain_get_cpu(const VmpDomain *domain);
const char *vmp_domain_get_clock_offset(const VmpDomain *domain); /* "utc" when not said */
const GPtrArray *vmp_domain_get_timers(const VmpDomain *domain);  /* of VmpDomainTimer */
/* A <features> child: 1 on, 0 off ("state='off'"), -1 not said. */
int vmp_domain_get_feature(const VmpDomain *domain, const char *name);
/* "destroy", "restart", "preserve"; defaults as libvirt. */
const char *vmp_domain_get_on_poweroff(const VmpDomain *domain);
const char *vmp_domain_get_on_reboot(const VmpDomain *domain);
const char *vmp_domain_get_on_crash(const VmpDomain *domain);
const char *vmp_domain_get_emulator(const VmpDomain *domain);         /* or NULL */
const GPtrArray *vmp_domain_get_disks(const VmpDomain *domain);       /* VmpDomainDisk */
const GPtrArray *vmp_domain_get_controllers(const VmpDomain *domain); /* VmpDomainController */
const GPtrArray *vmp_domain_get_interfaces(const VmpDomain *domain);  /* VmpDomainInterface */
const GPtrArray *vmp_domain_get_chardevs(const VmpDomain *domain);    /* VmpDomainChardev */
const GPtrArray *vmp_domain_get_graphics(const VmpDomain *domain);    /* VmpDomainGraphics */
const GPtrArray *vmp_domain_get_videos(const VmpDomain *domain);      /* char * models */
const GPtrArray *vmp_domain_get_rngs(const VmpDomain *domain); /* char * backend paths */
/* "virtio", "none"; NULL if not said (libvirt then adds a virtio one). */
const char *vmp_domain_get_memballoon(const VmpDomain *domain);
const char *vmp_domain_get_watchdog(const VmpDomain *domain); /* model; NULL if none */
const char *vmp_domain_get_watchdog_action(const VmpDomain *domain);
/* NULL if there is none. */
const VmpDomainTpm *vmp_domain_get_tpm(const VmpDomain *domain);
const GPtrArray *vmp_domain_get_inputs(const VmpDomain *domain); /* char * "usb:tablet" */
gboolean vmp_domain_has_genid(const VmpDomain *domain);
/* The generation id; NULL if there is none or if one is to be made up. */
const char *vmp_domain_get_genid(const VmpDomain *domain);
/* <pm>: "suspend-to-mem", "suspend-to-disk": 1 yes, 0 no, -1 not said. */
int vmp_domain_get_pm(const VmpDomain *domain, const char *name);
/* Where devices are of which nothing else is in the view: the PCI address of the @nth
 * <@element> ("0000:00:04.0"; free with g_free()), or NULL if it has none. */
char *vmp_domain_get_pci_address(const VmpDomain *domain, const char *element, guint nth,
                                 gboolean *multifunction);
/* The same on a virtio-serial bus; FALSE if it has no such address. */
gboolean vmp_domain_get_serial_port(const VmpDomain *domain, const char *element, guint nth,
                                    guint *controller, guint *port);
/* Arguments and environment ("NAME=value") of <qemu:commandline>. */
const GPtrArray *vmp_domain_get_qemu_args(const VmpDomain *domain);
const GPtrArray *vmp_domain_get_qemu_env(const VmpDomain *domain);

/* Things that launching would have to honour and cannot: "line 12: <hostdev>". */
const GPtrArray *vmp_domain_get_unknown(const VmpDomain *domain);

/* The disk whose target is @name, or whose source path is @name; NULL if none or if
 * it fits more than one (contract: exactly one match).  Borrowed. */
const VmpDomainDisk *vmp_domain_find_disk(const VmpDomain *domain, const char *name);

/* Gives the disk @target the source @place (a file's path or a URI) of @format, in document
 * and view.  A recorded <backingStore> goes: it described what the old source stood on. */
gboolean vmp_domain_set_disk_source(VmpDomain *domain, const char *target, const char *place,
                                    const char *format, GError **error);
/* VMP_ERROR_INVALID if that cannot be a domain's UUID or name. */
gboolean vmp_domain_set_uuid(VmpDomain *domain, const char *uuid, GError **error);
gboolean vmp_domain_set_name(VmpDomain *domain, const char *name, GError **error);
