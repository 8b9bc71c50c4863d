/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpSnapshot: what a <domainsnapshot> document says.
 *
 * A record knows nothing of files or of QEMU.  Which elements are read, ignored
 * or demanded follows libvirt: creating needs little, redefining needs the
 * complete document of an earlier dump.
 */

#include <vmpoint/types.h>

G_BEGIN_DECLS

typedef struct {
    char *name;           /* as written: target dev or path; after alignment the target dev */
    VmpLocation location; /* UNSET until aligned */
    VmpStorageType type;  /* of the overlay; FILE unless said */
    char *source;         /* overlay's path, or the URI of its NBD export; NULL until given or
                           * generated, and of other network storage */
    char *driver;         /* overlay format; NULL = qcow2 */
    guint64 metadata_cache_size; /* bytes; 0 = not said */
    char *source_xml; /* <source> of a network overlay, verbatim: the document's word for it.
                       * NULL if it is none, or was not read from a document */
    char *source_extra_xml; /* what else <source> of a file or device has, verbatim; or NULL */
    gboolean delete_in_progress; /* <snapshotDeleteInProgress/> */
} VmpSnapshotDisk;

/* Of which nothing else is said. */
VMP_PUBLIC VmpSnapshotDisk *vmp_snapshot_disk_new(const char *name);
VMP_PUBLIC void vmp_snapshot_disk_free(VmpSnapshotDisk *disk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpSnapshotDisk, vmp_snapshot_disk_free)

typedef struct {
    char *name;              /* NULL until given or generated */
    char *description;       /* or NULL */
    VmpState state;          /* valid after capture or redefine */
    char *parent;            /* NULL for a root */
    gint64 creation_time;    /* epoch seconds; valid after capture or redefine */
    VmpLocation memory;      /* UNSET until aligned */
    char *memory_file;       /* absolute; only with memory EXTERNAL */
    GPtrArray *disks;        /* of VmpSnapshotDisk; never NULL */
    GPtrArray *revert_disks; /* of VmpSnapshotDisk: live overlays made by a revert; or NULL */
    char *domain_xml;        /* complete <domain> of that moment, verbatim; or NULL */
    char *inactive_domain_xml; /* <inactiveDomain>, verbatim with that root name; or NULL */
    char *domain_uuid;         /* from <domain>; valid also when only the uuid was there */
    char *cookie_xml;          /* <cookie>, verbatim; or NULL */
    int active;                /* <active> of libvirt's on-disk files: 0 or 1; -1 = not said */
} VmpSnapshot;

/* Without a name or disks. */
VMP_PUBLIC VmpSnapshot *vmp_snapshot_new(void);
/* A deep copy. */
VMP_PUBLIC VmpSnapshot *vmp_snapshot_copy(const VmpSnapshot *snapshot);
VMP_PUBLIC void vmp_snapshot_free(VmpSnapshot *snapshot);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpSnapshot, vmp_snapshot_free)

/* The disk entry named @name (exact), or NULL.  Borrowed. */
VMP_PUBLIC VmpSnapshotDisk *vmp_snapshot_find_disk(const VmpSnapshot *snapshot,
                                                   const char *name);
/* EXTERNAL if the memory or at least one disk is external, else INTERNAL if any
 * part is internal, else NO (libvirt's rule for list filters). */
VMP_PUBLIC VmpLocation vmp_snapshot_get_location(const VmpSnapshot *snapshot);

typedef enum {
    VMP_SNAPSHOT_PARSE_CREATE = 0,        /* output-only fields are ignored */
    VMP_SNAPSHOT_PARSE_REDEFINE = 1 << 0, /* they are read, name/state/creationTime demanded */
    VMP_SNAPSHOT_PARSE_INTERNAL = 1 << 1, /* what libvirt keeps on disk: <active> too */
} VmpSnapshotParseFlags;

/* VMP_ERROR_INVALID with line number and element for what libvirt's parser refuses. */
VMP_PUBLIC VmpSnapshot *vmp_snapshot_parse(const char *xml, gssize length,
                                           VmpSnapshotParseFlags flags, GError **error);

typedef enum {
    VMP_SNAPSHOT_FORMAT_DEFAULT = 0,        /* secrets in the domain masked */
    VMP_SNAPSHOT_FORMAT_SECURE = 1 << 0,    /* secrets shown */
    VMP_SNAPSHOT_FORMAT_NO_DOMAIN = 1 << 1, /* without <domain>: not fit for redefine */
    VMP_SNAPSHOT_FORMAT_INTERNAL = 1 << 2,  /* with <active> */
} VmpSnapshotFormatFlags;

/* The document in libvirt's order of elements and indentation; ends with a newline. */
VMP_PUBLIC char *vmp_snapshot_format(const VmpSnapshot *snapshot,
                                     VmpSnapshotFormatFlags flags);

G_END_DECLS
