/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* fsck: what the store says of a domain, held against its images and against QEMU. */

#include <vmpoint/host.h>

G_BEGIN_DECLS

typedef enum {
    /* Mend what can be mended without losing or guessing anything. */
    VMP_FSCK_REPAIR = 1 << 0,
    /* Make points of what the images hold and the store does not know. */
    VMP_FSCK_ADOPT = 1 << 1,
    /* Read more than headers: the structure of each image, the checksum of each RAM file. */
    VMP_FSCK_DATA = 1 << 2,
} VmpFsckFlags;

typedef enum {
    VMP_CURE_NONE,   /* only a person can say what is right */
    VMP_CURE_REPAIR, /* VMP_FSCK_REPAIR mends it */
    VMP_CURE_ADOPT,  /* VMP_FSCK_ADOPT takes it in */
} VmpCure;

/* One thing in which store, images and QEMU differ. */
typedef struct {
    char *code;    /* stable: "image-missing", "bitmap-unknown", ...; see the manual page */
    char *message; /* one sentence */
    char *disk;    /* target, or NULL */
    char *point;   /* name of the snapshot or checkpoint, or NULL */
    char *path;    /* of the file in question, or NULL */
    VmpCure cure;
    gboolean cured; /* it was, by this call */
} VmpFinding;

VMP_PUBLIC void vmp_finding_free(VmpFinding *finding);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpFinding, vmp_finding_free)

/* Compares what the store says of @domain with its images (missing, unreadable, resting on
 * others than they should, internal snapshots and bitmaps that nobody knows or that are gone,
 * RAM files, files that vmpoint made and nobody needs) and with the running QEMU.  Returns an
 * array of VmpFinding, empty when all is well; NULL with @error only if it could not look.
 *
 * Without REPAIR and ADOPT nothing is changed and no lock is taken.  With either, what is
 * found is mended in one plan: all of it or, with @error, nothing. */
VMP_PUBLIC GPtrArray *vmp_domain_fsck(VmpHost *host, const char *domain, VmpFsckFlags flags,
                                      VmpOperation *operation, GError **error);

/* Reads the whole store: VMP_ERROR_DAMAGED says what in it is not as it was written. */
VMP_PUBLIC gboolean vmp_host_verify(VmpHost *host, GError **error);

G_END_DECLS
