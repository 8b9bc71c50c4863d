/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpManifest: what a restore point says of itself: docs/design/repository.md has the format.
 */

#include <glib.h>

#define VMP_MANIFEST_FILE "manifest.json"
#define VMP_MANIFEST_SUMS "SHA256SUMS"

/* The newest format that is written and understood. */
#define VMP_MANIFEST_FORMAT 1

typedef struct {
    char *name;   /* in the point's folder */
    guint64 size; /* bytes */
    char *sha256;
} VmpManifestFile;

typedef struct {
    char *name;   /* target dev */
    char *image;  /* its file: qcow2 */
    char *blocks; /* file with the list of what the image holds */
    gboolean incremental;
    char *why_full; /* a full one where an increment was possible for others; or NULL */
    char *backing;  /* as in the image's header, relative; NULL for a full one */
    guint64 size;   /* of the disk, bytes */
    guint64 held;   /* bytes of the disk that the image itself holds */
    char *view;     /* digest of the whole disk as the guest saw it */
} VmpManifestDisk;

typedef struct {
    char *name;       /* of the point, and of its folder */
    char *repository; /* the repository's id */
    char *domain, *uuid;
    gint64 time;      /* epoch milliseconds: the instant it shows */
    char *parent;     /* point that increments stand on; NULL if all disks are full */
    char *checkpoint; /* from which the next increment counts; NULL if none was made */
    char *state;      /* of the domain: "running", "paused", "shutoff" */
    gboolean quiesced;
    char *nvram;      /* file with the firmware's variables; or NULL */
    char *tpm;        /* file with what the TPM remembers; or NULL */
    GPtrArray *files; /* of VmpManifestFile: all but the manifest and the sums */
    GPtrArray *disks; /* of VmpManifestDisk */
} VmpManifest;

VmpManifest *vmp_manifest_new(void);
void vmp_manifest_free(VmpManifest *manifest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpManifest, vmp_manifest_free)

void vmp_manifest_add_file(VmpManifest *manifest, const char *name, guint64 size,
                           const char *sha256);
VmpManifestDisk *vmp_manifest_add_disk(VmpManifest *manifest, const char *name);
/* NULL if there is none.  Borrowed. */
const VmpManifestFile *vmp_manifest_find_file(const VmpManifest *manifest, const char *name);
VmpManifestDisk *vmp_manifest_find_disk(const VmpManifest *manifest, const char *name);
/* All files together, bytes. */
guint64 vmp_manifest_get_size(const VmpManifest *manifest);
/* Is at least one disk told by changes alone? */
gboolean vmp_manifest_is_incremental(const VmpManifest *manifest);

/* Indented JSON; free with g_free(). */
char *vmp_manifest_format(const VmpManifest *manifest);
/* DAMAGED for what cannot be one, whoever wrote it: names lead out of no folder, and every
 * file that is named is listed.  UNSUPPORTED for a newer format. */
VmpManifest *vmp_manifest_parse(const char *text, GError **error);

/* The text of the file that sha256sum -c reads: all files, and the manifest itself with
 * @manifest_sha256. */
char *vmp_manifest_format_sums(const VmpManifest *manifest, const char *manifest_sha256);
