/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The folder of a point that is being made: what is entered is sealed (read-only, synced), and
 * stands in its manifest.
 */

#include "backup/blocks.h"
#include "backup/manifest.h"
#include "base/digest-pool.h"

/* A piece of a file, in which damage is found. */
#define VMP_POINT_PIECE (1024 * 1024)

/* A file that is in the folder. */
gboolean vmp_point_folder_enter(const char *folder, VmpManifest *manifest, const char *name,
                                GError **error);
/* One that is made of @text. */
gboolean vmp_point_folder_enter_text(const char *folder, VmpManifest *manifest,
                                     const char *name, const char *text, GError **error);
/* @disk's image, which is in the folder, its digest in pieces of VMP_POINT_PIECE, and the list
 * of the @blocks it holds. */
gboolean vmp_point_folder_enter_image(const char *folder, VmpManifest *manifest,
                                      VmpManifestDisk *disk, const GArray *blocks,
                                      const VmpFileDigest *digest, GError **error);
/* The manifest and the sums: the folder is complete. */
gboolean vmp_point_folder_close(const char *folder, const VmpManifest *manifest,
                                GError **error);
