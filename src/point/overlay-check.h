/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is looked at before an overlay is made, or taken as somebody prepared it, so that
 * nothing has been touched when it cannot be.
 */

#include <vmpoint/snapshot-record.h>

#include "machine/machine.h"

/* @below: the image that the overlay of @disk will stand on.  The error names disk and path:
 *   EXISTS         there is a file already, or one of another domain's has that name
 *   NOT_FOUND, IO  the folder is not there, or nothing can be made in it
 * and of an export what overlay-export-check.h says,
 * and with @reuse:
 *   NOT_FOUND      there is no such image
 *   INVALID        its format, its size or its backing image are not those of an overlay here
 */
gboolean vmp_overlay_check(VmpMachine *machine, const VmpSnapshotDisk *disk,
                           const VmpBlockNode *below, gboolean reuse, GError **error);
