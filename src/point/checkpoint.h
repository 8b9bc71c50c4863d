/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Checkpoints of one machine; see include/vmpoint/checkpoint.h for the promises. */

#include <vmpoint/checkpoint.h>

#include "plan/plan.h"
#include "storage/bitmap.h"

char *
vmp_point_create_checkpoint(VmpMachine *machine, const char *xml,
                            VmpCheckpointCreateFlags flags, GError **error);
gboolean
vmp_point_delete_checkpoint(VmpMachine *machine, const char *name,
                            VmpCheckpointDeleteFlags flags, GError **error);
GPtrArray *
vmp_point_list_checkpoints(VmpMachine *machine, const char *from, VmpCheckpointListFlags flags,
                           GError **error);
VmpCheckpointInfo *
vmp_point_get_checkpoint_info(VmpMachine *machine, const char *name, GError **error);
char *
vmp_point_get_checkpoint_xml(VmpMachine *machine, const char *name,
                             VmpCheckpointFormatFlags flags, GError **error);

/* For whoever makes a checkpoint as part of something larger (a backup): reads, fills in and
 * aligns the document; adds the record to the edits; gives the bitmaps to start as
 * [ { "disk", "node", "name" } ].  */
VmpCheckpoint *
vmp_point_prepare_checkpoint(VmpMachine *machine, const char *xml, GError **error);
VmpJson *
vmp_point_checkpoint_bitmaps(VmpBlockSession *session, const VmpBlockGraph *graph,
                             const VmpCheckpoint *checkpoint, GError **error);
gboolean
vmp_point_checkpoint_edits(VmpMachine *machine, const VmpCheckpoint *checkpoint, VmpJson *edits,
                           GError **error);

/* vmp_bitmap_chain_find() for a checkpoint that the store knows: that its bitmap is not there is
 * INCONSISTENT, and the message names disk and checkpoint. */
VmpBitmapChain *
vmp_point_checkpoint_chain(const VmpBlockGraph *graph, const VmpBlockNode *top, const char *disk,
                           const char *bitmap, const char *checkpoint, GError **error);
