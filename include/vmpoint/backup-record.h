/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpBackup: what a <domainbackup> document says. */

#include <vmpoint/types.h>

G_BEGIN_DECLS

typedef enum {
    VMP_BACKUP_MODE_PUSH,
    VMP_BACKUP_MODE_PULL,
} VmpBackupMode;

typedef enum {
    VMP_BACKUP_DISK_UNSET, /* backupmode not written: derived */
    VMP_BACKUP_DISK_FULL,
    VMP_BACKUP_DISK_INCREMENTAL,
} VmpBackupDiskMode;

typedef struct {
    char *name;             /* target dev */
    gboolean wanted;        /* backup="yes" */
    VmpBackupDiskMode mode; /* UNSET until aligned */
    char *incremental;      /* checkpoint; NULL until aligned unless written */
    VmpStorageType type;    /* of target or scratch: FILE, BLOCK, of a target also NETWORK;
                             * NONE = not said */
    char *target;           /* path of push target or pull scratch, or the NBD URI of a NETWORK
                             * target; NULL = generate */
    char *driver;           /* format of the target; NULL = qcow2, of a NETWORK one raw */
    char *export_name;      /* pull; NULL = target dev */
    char *export_bitmap;    /* pull; NULL = "backup-<dev>" */
    char *extra_xml;        /* seclabel, encryption of the target, verbatim; or NULL */
    int index;              /* output only; 0 = none */
} VmpBackupDisk;

/* A wanted disk of which nothing else is said. */
VMP_PUBLIC VmpBackupDisk *vmp_backup_disk_new(const char *name);
VMP_PUBLIC void vmp_backup_disk_free(VmpBackupDisk *disk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpBackupDisk, vmp_backup_disk_free)

typedef struct {
    char *transport; /* "tcp", "unix" or "fd" */
    char *name;      /* tcp host; or NULL */
    int port;        /* tcp; 0 = not said */
    char *socket;    /* unix, absolute; or NULL */
    char *fdgroup;   /* fd; or NULL */
    gboolean tls;
} VmpBackupServer;

VMP_PUBLIC void vmp_backup_server_free(VmpBackupServer *server);

typedef struct {
    VmpBackupMode mode;
    char *incremental;       /* checkpoint; or NULL = full */
    VmpBackupServer *server; /* pull only; or NULL */
    GPtrArray *disks;        /* of VmpBackupDisk; NULL = no <disks> given */
} VmpBackup;

/* A push backup without <disks>. */
VMP_PUBLIC VmpBackup *vmp_backup_new(void);
/* A deep copy. */
VMP_PUBLIC VmpBackup *vmp_backup_copy(const VmpBackup *backup);
VMP_PUBLIC void vmp_backup_free(VmpBackup *backup);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpBackup, vmp_backup_free)

/* The disk entry named @name (exact), or NULL.  Borrowed. */
VMP_PUBLIC VmpBackupDisk *vmp_backup_find_disk(const VmpBackup *backup, const char *name);

/* What a caller may ask for, by the rules of libvirt's schema: VMP_ERROR_INVALID with line
 * number and element for all else. */
VMP_PUBLIC VmpBackup *vmp_backup_parse(const char *xml, gssize length, GError **error);
/* What vmp_backup_format() wrote of a backup that runs, disk@index included. */
VMP_PUBLIC VmpBackup *vmp_backup_parse_status(const char *xml, gssize length, GError **error);
/* The document in libvirt's order of elements and indentation; ends with a newline. */
VMP_PUBLIC char *vmp_backup_format(const VmpBackup *backup);

G_END_DECLS
