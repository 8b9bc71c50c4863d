/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Layers of a disk become one because somebody says so, and not because a snapshot went; see
 * include/vmpoint/block.h for the promises.
 *
 * Which layers is said, so nothing is decided; but what a snapshot froze is not written to and
 * does not go, nor what other images or domains stand on.  Carried out, and recovered, as the
 * merges of a deletion are (step-merge.c).
 */

#include <vmpoint/block.h>

#include "machine/machine.h"

gboolean vmp_point_commit_disk(VmpMachine *machine, const char *disk,
                               const VmpBlockRange *range, VmpBlockCommitFlags flags,
                               GError **error);
gboolean vmp_point_pull_disk(VmpMachine *machine, const char *disk, const VmpBlockRange *range,
                             VmpBlockPullFlags flags, GError **error);
