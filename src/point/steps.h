/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The steps that snapshots and checkpoints are made of.  Each kind says beside its
 * definition what its arguments are.
 */

#include "plan/step.h"

/* step-overlays.c: new layers on top of running (or opened) disks */
extern const VmpStepKind vmp_step_create_images;
extern const VmpStepKind vmp_step_switch_to_overlays; /* commit */

/* step-bitmaps.c */
extern const VmpStepKind vmp_step_start_bitmaps;  /* commit */
extern const VmpStepKind vmp_step_remove_bitmaps; /* commit */

/* step-branch.c: new layers on images of the past, for a revert */
extern const VmpStepKind vmp_step_create_branches;
extern const VmpStepKind vmp_step_open_branches;
extern const VmpStepKind vmp_step_pause;
extern const VmpStepKind vmp_step_swap_disks; /* commit */
extern const VmpStepKind vmp_step_reset;
extern const VmpStepKind vmp_step_resume;
extern const VmpStepKind vmp_step_close_nodes;
extern const VmpStepKind vmp_step_end_process; /* commit */

/* step-commit.c: merging a layer down */
extern const VmpStepKind vmp_step_start_commits;
extern const VmpStepKind vmp_step_finish_commits; /* commit */
