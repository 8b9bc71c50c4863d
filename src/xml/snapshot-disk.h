/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a command changes in a disk of a <domainsnapshot>. */

#include <vmpoint/snapshot-record.h>

/* The overlay is another image now: at @place, a file's path or the URI of an NBD export. */
void vmp_snapshot_disk_move(VmpSnapshotDisk *disk, const char *place, const char *format);
