/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Checkpoints of one machine; see include/vmpoint/checkpoint.h for the promises. */

#include <vmpoint/checkpoint.h>

#include "plan/plan.h"
#include "storage/bitmap.h"

char *vmp_point_create_checkpoint(VmpMachine *machine, const char *xml, guint64 granularity,
                                  VmpCheckpointCreateFlags flags, GError **error);
gboolean vmp_point_delete_checkpoint(VmpMachine *machine, const char *name,
                                     VmpCheckpointDeleteFlags flags, GError **error);
/* @session (taken): one that is open, and ends with this; NULL = it opens its own. */
gboolean vmp_point_delete_checkpoint_on(VmpMachine *machine, VmpBlockSession *session,
                                        const char *name, VmpCheckpointDeleteFlags flags,
                                        GError **error);
GPtrArray *vmp_point_list_checkpoints(VmpMachine *machine, const char *from,
                                      VmpCheckpointListFlags flags, GError **error);
VmpCheckpointInfo *vmp_point_get_checkpoint_info(VmpMachine *machine, const char *name,
                                                 GError **error);
char *vmp_point_get_checkpoint_xml(VmpMachine *machine, const char *name,
                                   VmpCheckpointFormatFlags flags, GError **error);

/* Fills in ->disks of @infos (of VmpCheckpointInfo). */
gboolean vmp_point_judge_checkpoints(VmpMachine *machine, GPtrArray *infos, GError **error);

/* Takes bitmaps that are good for nothing out of the active images, and notes at their
 * checkpoints that they are lost: a plan of its own (nothing happens if there are none), or as
 * a cleanup and edits of @plan, whose own edits must come after. */
gboolean vmp_point_clear_checkpoints(VmpMachine *machine, GError **error);
gboolean vmp_point_plan_clearing(VmpPlan *plan, VmpMachine *machine, VmpBlockSession *session,
                                 const VmpBlockGraph *graph, GError **error);

/* For whoever makes a checkpoint as part of something larger (a backup): reads, fills in and
 * aligns the document; gives the bitmaps to start as
 * [ { "disk", "node", "name", "image", "size", "transient" } ]; adds the record to the edits,
 * which remembers from @bitmaps where each began (an overlay that is switched to in the same
 * transaction is that image).  */
VmpCheckpoint *vmp_point_prepare_checkpoint(VmpMachine *machine, const char *xml,
                                            GError **error);
VmpJson *vmp_point_checkpoint_bitmaps(VmpBlockSession *session, const VmpBlockGraph *graph,
                                      const VmpCheckpoint *checkpoint, GError **error);
gboolean vmp_point_checkpoint_edits(VmpMachine *machine, const VmpCheckpoint *checkpoint,
                                    VmpJson *bitmaps, VmpJson *edits, GError **error);

/* The bitmaps that together tell what was written to @disk, whose active image is @top, since
 * @checkpoint.  NOT_FOUND if the store knows no such checkpoint; INCONSISTENT if it does not
 * tell: the message names disk and checkpoint, and says why. */
VmpBitmapChain *vmp_point_checkpoint_chain(VmpMachine *machine, const VmpBlockGraph *graph,
                                           const VmpBlockNode *top, const char *disk,
                                           const char *checkpoint, GError **error);
