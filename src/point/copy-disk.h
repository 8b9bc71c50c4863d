/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A copy of a running disk, in another image; see include/vmpoint/block.h for the promises.
 *
 * The job is QEMU's mirror.  When the disk is to go on with the copy, its end is that of an
 * active commit: writes are held back, the bitmaps are carried over, the device gets the
 * other image (step-merge.c).  Else it is cancelled once all is copied, which leaves the copy
 * as the disk was at that moment.
 */

#include <vmpoint/block.h>

#include "plan/executor.h"

/* As vmp_block_copy_disk(). */
gboolean vmp_point_copy_disk(VmpMachine *machine, const char *disk, const VmpBlockCopy *copy,
                             VmpBlockCopyFlags flags, GError **error);

/* Ends the copy @detached, which is ready: it is the disk of that moment. */
gboolean vmp_point_keep_copy(VmpMachine *machine, const VmpDetached *detached, GError **error);

/* Brings the job of the copy @merge (see merge-job.h) to its end once it is ready, and closes
 * the copy; @images of VmpNewImage. */
gboolean vmp_step_copy_end(VmpJson *merge, VmpJson *images, VmpChange *change, GError **error);

/* copy-once { "merges": [ one of way "copy", see merge-job.h ], "images": [ VmpNewImage ] }
 */
extern const VmpStepKind vmp_step_copy_once; /* commit */
