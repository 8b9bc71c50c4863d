/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Another size for a disk; see include/vmpoint/block.h for the promises.
 *
 * Only the active image changes.  Those below keep the size that they froze with: a snapshot
 * brings it back.  A checkpoint whose bitmap began in the active image goes on when the disk
 * grows, for what is new reads as zeroes in it as in any backup of a smaller disk.  One that
 * began lower can not, because QEMU does not put bitmaps of different lengths together; and
 * none can when the disk was cut, for what is grown again later reads as zeroes without a bit.
 */

#include <vmpoint/block.h>

#include "machine/machine.h"

gboolean vmp_point_resize_disk(VmpMachine *machine, const char *disk, guint64 size,
                               VmpBlockResizeFlags flags, GError **error);
