/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpCheckpoint: what a <domaincheckpoint> document says. */

#include <vmpoint/types.h>

G_BEGIN_DECLS

typedef struct {
    char *name;          /* target dev (after alignment) or path as written */
    gboolean bitmap_set; /* checkpoint= was written */
    gboolean wanted;     /* checkpoint="bitmap" (TRUE) or "no"; TRUE when not said */
    char *bitmap;        /* bitmap name; NULL = the checkpoint's own name */
    gint64 size;         /* bytes dirty since; -1 = not asked for */
} VmpCheckpointDisk;

/* A wanted disk of which nothing else is said. */
VMP_PUBLIC VmpCheckpointDisk *vmp_checkpoint_disk_new(const char *name);
VMP_PUBLIC void vmp_checkpoint_disk_free(VmpCheckpointDisk *disk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpCheckpointDisk, vmp_checkpoint_disk_free)

typedef struct {
    char *name;
    char *description;    /* or NULL */
    char *parent;         /* NULL for a root */
    gint64 creation_time; /* epoch seconds; -1 = not known yet */
    GPtrArray *disks;     /* of VmpCheckpointDisk; NULL = no <disks> given */
    char *domain_xml;     /* complete <domain>, verbatim; or NULL */
    char *domain_uuid;    /* from <domain>; or NULL */
} VmpCheckpoint;

/* Without a name, a time or <disks>. */
VMP_PUBLIC VmpCheckpoint *vmp_checkpoint_new(void);
/* A deep copy. */
VMP_PUBLIC VmpCheckpoint *vmp_checkpoint_copy(const VmpCheckpoint *checkpoint);
VMP_PUBLIC void vmp_checkpoint_free(VmpCheckpoint *checkpoint);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpCheckpoint, vmp_checkpoint_free)

/* The disk entry named @name (exact), or NULL.  Borrowed. */
VMP_PUBLIC VmpCheckpointDisk *vmp_checkpoint_find_disk(const VmpCheckpoint *checkpoint,
                                                       const char *name);

typedef enum {
    VMP_CHECKPOINT_PARSE_CREATE = 0,        /* these are ignored */
    VMP_CHECKPOINT_PARSE_REDEFINE = 1 << 0, /* creationTime, parent, domain are read */
} VmpCheckpointParseFlags;

/* VMP_ERROR_INVALID with line number and element for what libvirt's parser refuses.  @length:
 * bytes, or -1. */
VMP_PUBLIC VmpCheckpoint *vmp_checkpoint_parse(const char *xml, gssize length,
                                               VmpCheckpointParseFlags flags, GError **error);

typedef enum {
    VMP_CHECKPOINT_FORMAT_DEFAULT = 0,        /* secrets in the domain masked */
    VMP_CHECKPOINT_FORMAT_SECURE = 1 << 0,    /* secrets shown */
    VMP_CHECKPOINT_FORMAT_NO_DOMAIN = 1 << 1, /* without <domain> */
    VMP_CHECKPOINT_FORMAT_SIZE = 1 << 2,      /* disk@size where it is known */
} VmpCheckpointFormatFlags;

/* The document in libvirt's order of elements and indentation; ends with a newline.  Free with
 * g_free(). */
VMP_PUBLIC char *vmp_checkpoint_format(const VmpCheckpoint *checkpoint,
                                       VmpCheckpointFormatFlags flags);

G_END_DECLS
