/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Domains: defining, running and looking at them.
 *
 * Wherever a function takes a domain, its name or its uuid will do.
 */

#include <vmpoint/host.h>
#include <vmpoint/types.h>

G_BEGIN_DECLS

typedef struct {
    char *name, *uuid;
    VmpState state;                  /* SHUTOFF when nothing runs */
    gint64 pid;                      /* of QEMU; 0 when off (or unknown: attached) */
    gboolean persistent;             /* has a definition of its own */
    gboolean attached;               /* somebody else started that QEMU */
    guint64 max_memory, used_memory; /* bytes; in lists only with VMP_LIST_DETAILS */
    guint vcpus;                     /* the same */
    guint snapshots, checkpoints;    /* how many */
    char *os_type;                   /* "hvm" */
} VmpDomainInfo;

VMP_PUBLIC void vmp_domain_info_free(VmpDomainInfo *info);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpDomainInfo, vmp_domain_info_free)

typedef enum {
    VMP_LIST_ACTIVE = 1 << 0,   /* running or paused */
    VMP_LIST_INACTIVE = 1 << 1, /* neither bit: all */
    VMP_LIST_DETAILS = 1 << 2,  /* memory and vcpus too: each definition is read for it */
} VmpListFlags;

/* Array of VmpDomainInfo, sorted by name.  A QEMU that does not answer within a second
 * is listed with state NOSTATE rather than waited for. */
VMP_PUBLIC GPtrArray *vmp_domain_list(VmpHost *host, VmpListFlags flags, GError **error);
/* With memory and vcpus. */
VMP_PUBLIC VmpDomainInfo *vmp_domain_get_info(VmpHost *host, const char *domain,
                                              GError **error);

/* Takes the definition of a domain into the store, or replaces it.  Returns its name (free
 * with g_free()).  A uuid is made up when the XML has none. */
VMP_PUBLIC char *vmp_domain_define(VmpHost *host, const char *xml, gssize length,
                                   VmpOperation *operation, GError **error);

typedef enum {
    VMP_UNDEFINE_SNAPSHOTS_METADATA = 1 << 0,
    VMP_UNDEFINE_CHECKPOINTS_METADATA = 1 << 1,
    VMP_UNDEFINE_NVRAM = 1 << 2,
    VMP_UNDEFINE_KEEP_NVRAM = 1 << 3,
    VMP_UNDEFINE_TPM = 1 << 4, /* neither this nor the next: as persistent_state= says */
    VMP_UNDEFINE_KEEP_TPM = 1 << 5,
} VmpUndefineFlags;

/* Refused (VMP_ERROR_BUSY) for an inactive domain with points, without the flags. */
VMP_PUBLIC gboolean vmp_domain_undefine(VmpHost *host, const char *domain,
                                        VmpUndefineFlags flags, VmpOperation *operation,
                                        GError **error);

/* Adopts a QEMU that somebody else started.  @agent_path and @xml may be NULL: without XML
 * the domain is described from QMP (name, uuid, disks). */
VMP_PUBLIC gboolean vmp_domain_attach(VmpHost *host, const char *name, const char *qmp_path,
                                      const char *agent_path, const char *xml,
                                      VmpOperation *operation, GError **error);
/* Lets go of an attached QEMU, which goes on; VMP_ERROR_INVALID for a domain that vmpoint
 * runs. One without a definition and without points is then forgotten. */
VMP_PUBLIC gboolean vmp_domain_detach(VmpHost *host, const char *domain,
                                      VmpOperation *operation, GError **error);

typedef enum {
    VMP_START_PAUSED = 1 << 0,      /* the guest does not run yet */
    VMP_START_RESET_NVRAM = 1 << 1, /* with fresh firmware variables */
} VmpStartFlags;

/* Starts QEMU with the persistent definition and lets the guest run.  VMP_ERROR_REFUSED has
 * QEMU's own words. */
VMP_PUBLIC gboolean vmp_domain_start(VmpHost *host, const char *domain, VmpStartFlags flags,
                                     VmpOperation *operation, GError **error);
/* Presses the power button and returns; the guest decides when. */
VMP_PUBLIC gboolean vmp_domain_shutdown(VmpHost *host, const char *domain,
                                        VmpOperation *operation, GError **error);

typedef enum {
    VMP_DESTROY_GRACEFUL = 1 << 0, /* never SIGKILL: fail instead */
} VmpDestroyFlags;

/* Ends QEMU: by `quit`, so that bitmaps are stored; by SIGKILL when it does not answer. */
VMP_PUBLIC gboolean vmp_domain_destroy(VmpHost *host, const char *domain,
                                       VmpDestroyFlags flags, VmpOperation *operation,
                                       GError **error);
/* Stops the guest's CPUs, lets them go on, or resets the machine. */
VMP_PUBLIC gboolean vmp_domain_suspend(VmpHost *host, const char *domain,
                                       VmpOperation *operation, GError **error);
VMP_PUBLIC gboolean vmp_domain_resume(VmpHost *host, const char *domain,
                                      VmpOperation *operation, GError **error);
VMP_PUBLIC gboolean vmp_domain_reset(VmpHost *host, const char *domain,
                                     VmpOperation *operation, GError **error);
/* @reason (optional) is a word of libvirt's ("booted", "user", "from snapshot", "unknown");
 * static. */
VMP_PUBLIC gboolean vmp_domain_get_state(VmpHost *host, const char *domain, VmpState *state,
                                         const char **reason, GError **error);

typedef enum {
    VMP_XML_SECURE = 1 << 0,   /* passwords shown */
    VMP_XML_INACTIVE = 1 << 1, /* the persistent config, also of a running domain */
} VmpXmlFlags;

/* The definition of what runs, else the persistent one; free with g_free(). */
VMP_PUBLIC char *vmp_domain_get_xml(VmpHost *host, const char *domain, VmpXmlFlags flags,
                                    GError **error);

typedef struct {
    char *target; /* "vda" */
    char *type;   /* "file", "block", "network" */
    char *device; /* "disk", "cdrom", ... */
    char *source; /* active image; of "network" the name there; NULL when empty */
    char *format;
    guint64 capacity, allocation, physical; /* bytes; 0 when not asked for or unknown */
    guint depth;                            /* images in the chain; 0 when not asked for */
    char *uri; /* of "network": where it is, if that is NBD; or NULL */
} VmpDomainBlock;

VMP_PUBLIC void vmp_domain_block_free(VmpDomainBlock *block);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpDomainBlock, vmp_domain_block_free)

/* Array of VmpDomainBlock in the order of the XML.  With @sizes the images are asked. */
VMP_PUBLIC GPtrArray *vmp_domain_list_blocks(VmpHost *host, const char *domain,
                                             gboolean inactive, gboolean sizes,
                                             GError **error);

G_END_DECLS
