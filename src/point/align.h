/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Alignment: from what little a document says to exactly one entry a disk.
 *
 * Pure functions of record, definition and request: libvirt's defaults and refusals.
 */

#include <vmpoint/backup-record.h>
#include <vmpoint/checkpoint-record.h>
#include <vmpoint/snapshot.h>

#include "xml/domain.h"

/* Fills @snapshot->memory and @snapshot->disks (one entry a disk, in the domain's order).
 * @active: the domain runs.  VMP_ERROR_INVALID for what the document must not say,
 * VMP_ERROR_UNSUPPORTED for combinations that libvirt refuses too. */
gboolean vmp_align_snapshot(VmpSnapshot *snapshot, const VmpDomain *domain, gboolean active,
                            VmpSnapshotCreateFlags flags, GError **error);

/* The same for a document that is redefined, against its own domain: what it does not say is
 * external for a disk-only state or when any part is external, else internal.  Images are not
 * looked at. */
gboolean vmp_align_redefined(VmpSnapshot *snapshot, const VmpDomain *domain, GError **error);
/* Its memory alone, where there is no domain to align disks to. */
gboolean vmp_align_redefined_memory(VmpSnapshot *snapshot, GError **error);

/* "<source minus extension>.<snapshot>"; free with g_free(). */
char *vmp_align_overlay_path(const char *source, const char *snapshot);

/* Fills @checkpoint->disks. */
gboolean vmp_align_checkpoint(VmpCheckpoint *checkpoint, const VmpDomain *domain,
                              GError **error);

/* Fills @backup->disks: those that take part, with mode, checkpoint, format, target.
 * @suffix is appended to generated target names. */
gboolean vmp_align_backup(VmpBackup *backup, const VmpDomain *domain, const char *suffix,
                          GError **error);
