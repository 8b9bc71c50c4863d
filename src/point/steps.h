/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The steps that snapshots and checkpoints are made of.  Each kind says beside its
 * definition what its arguments are.
 */

#include "plan/step.h"
#include "qmp/transaction.h"

/* step-overlays.c: new layers on top of running (or opened) disks */
extern const VmpStepKind vmp_step_create_images;
extern const VmpStepKind vmp_step_switch_to_overlays; /* commit */

/* step-bitmaps.c */
/* Adds to @transaction that the bitmap { "node", "name", "transient", "granularity" } begins.
 */
void vmp_step_start_bitmap(VmpQmpTransaction *transaction, VmpJson *bitmap);
/* The node that has the bitmap { "node", "name", "image" } now, or NULL. */
const VmpBlockNode *vmp_step_find_holder(VmpJson *bitmap, const VmpBlockGraph *graph);
extern const VmpStepKind vmp_step_start_bitmaps;  /* commit */
extern const VmpStepKind vmp_step_remove_bitmaps; /* commit */

/* step-freeze.c: around a commit step, the guest's file systems at rest */
extern const VmpStepKind vmp_step_freeze_guest;
extern const VmpStepKind vmp_step_thaw_guest;

/* step-branch.c: new layers on images of the past, for a revert */
extern const VmpStepKind vmp_step_create_branches;
extern const VmpStepKind vmp_step_open_branches;
extern const VmpStepKind vmp_step_pause;
extern const VmpStepKind vmp_step_swap_disks; /* commit */
extern const VmpStepKind vmp_step_reset;
extern const VmpStepKind vmp_step_resume;
extern const VmpStepKind vmp_step_close_nodes;
extern const VmpStepKind vmp_step_end_process; /* commit */

/* step-save.c: the state that is left is made a snapshot first */
extern const VmpStepKind vmp_step_save_and_revert; /* commit */

/* step-internal.c */
extern const VmpStepKind vmp_step_save_internal;   /* commit */
extern const VmpStepKind vmp_step_delete_internal; /* commit */

/* step-load.c: taking internal snapshots back */
extern const VmpStepKind vmp_step_start_stopped;
extern const VmpStepKind vmp_step_load_internal;  /* commit */
extern const VmpStepKind vmp_step_apply_internal; /* commit */

/* step-load-memory.c: RAM from a file into the process that runs */
extern const VmpStepKind vmp_step_open_memory;
extern const VmpStepKind vmp_step_load_memory; /* commit */

/* step-memory.c: RAM to a file */
extern const VmpStepKind vmp_step_create_memory_file;
extern const VmpStepKind vmp_step_stop_for_memory;
extern const VmpStepKind vmp_step_save_memory;
extern const VmpStepKind vmp_step_wake;
extern const VmpStepKind vmp_step_seal_memory;

/* step-save-live.c: the same while the guest runs */
extern const VmpStepKind vmp_step_set_background;
extern const VmpStepKind vmp_step_save_live;

/* step-spare.c: RAM from a file into a second process */
extern const VmpStepKind vmp_step_load_spare;
extern const VmpStepKind vmp_step_switch_to_spare; /* commit */

/* step-backing.c: headers of images that nobody has open */
extern const VmpStepKind vmp_step_set_backing;
extern const VmpStepKind vmp_step_move_backings;

/* step-resize.c */
extern const VmpStepKind vmp_step_resize_disk; /* commit */

/* step-part.c: what is neither disk nor RAM */
extern const VmpStepKind vmp_step_copy_past;
extern const VmpStepKind vmp_step_keep_parts;
extern const VmpStepKind vmp_step_drop_parts;
extern const VmpStepKind vmp_step_seal_parts;
extern const VmpStepKind vmp_step_clone_parts;
extern const VmpStepKind vmp_step_stage_parts;
extern const VmpStepKind vmp_step_check_parts;
extern const VmpStepKind vmp_step_put_parts; /* commit where there is no other */

/* step-layers.c: images of branches that are not the present */
extern const VmpStepKind vmp_step_open_layers;
extern const VmpStepKind vmp_step_shut_layers;

/* step-merge.c: layers become one */
extern const VmpStepKind vmp_step_start_merges;
extern const VmpStepKind vmp_step_finish_merges; /* commit */
