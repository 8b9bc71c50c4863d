/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Snapshots of one machine.  The machine is open (for CHANGE where something is changed) and
 * recovered; see include/vmpoint/snapshot.h for what each function promises.
 */

#include <vmpoint/snapshot.h>

#include "machine/machine.h"

char *vmp_point_create_snapshot(VmpMachine *machine, const char *xml,
                                VmpSnapshotCreateFlags flags, GError **error);
/* With a checkpoint of the same instant (@checkpoint_xml NULL: without).  *checkpoint_name
 * (optional; free with g_free()) is set on success. */
char *vmp_point_create_with_checkpoint(VmpMachine *machine, const char *xml,
                                       const char *checkpoint_xml,
                                       VmpSnapshotCreateFlags flags, char **checkpoint_name,
                                       GError **error);
gboolean vmp_point_revert(VmpMachine *machine, const char *name, VmpSnapshotRevertFlags flags,
                          const char *save_current, GError **error);
gboolean vmp_point_delete_snapshot(VmpMachine *machine, const char *name,
                                   VmpSnapshotDeleteFlags flags, GError **error);

/* Does a snapshot need @path as an image that it froze? */
gboolean vmp_point_is_frozen_image(VmpMachine *machine, const char *path, gboolean *frozen,
                                   GError **error);

GPtrArray *vmp_point_list_snapshots(VmpMachine *machine, const char *from,
                                    VmpSnapshotListFlags flags, GError **error);
VmpSnapshotInfo *vmp_point_get_snapshot_info(VmpMachine *machine, const char *name,
                                             GError **error);
char *vmp_point_get_snapshot_xml(VmpMachine *machine, const char *name,
                                 VmpSnapshotFormatFlags flags, GError **error);
gboolean vmp_point_set_current_snapshot(VmpMachine *machine, const char *name, GError **error);
char *vmp_point_edit_snapshot(VmpMachine *machine, const char *name, const char *xml,
                              VmpSnapshotEditFlags flags, GError **error);
