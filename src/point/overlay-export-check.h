/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is looked at before an overlay comes into somebody's NBD export.
 *
 * A qcow2 image in an export cannot outgrow it: when it is full, the guest's disk is.  So one
 * that we make gets an export that has room for all of it.
 */

#include <vmpoint/snapshot-record.h>

#include "machine/machine.h"

/* @below: the image that the overlay of @disk will stand on.  The error names disk and export:
 *   IO         nobody is there, or has that export; it is read-only
 *   TIMED_OUT  nothing is said
 * and without @reuse:
 *   IO         it is too small
 *   EXISTS     there is something in it, or a disk or a snapshot of a domain is there
 */
gboolean vmp_overlay_check_export(VmpMachine *machine, const VmpSnapshotDisk *disk,
                                  const VmpBlockNode *below, gboolean reuse, GError **error);
