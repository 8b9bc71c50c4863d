/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The merges that a forest was decided to need, as steps: in the QEMU that has the disks, or
 * in a storage daemon.
 */

#include "plan/plan.h"
#include "point/forest.h"

/* How far carrying the plan out goes: to its end, or no further than that the jobs are there,
 * or that they are ready to end. */
typedef enum {
    VMP_MERGE_TO_END,
    VMP_MERGE_UNTIL_STARTED,
    VMP_MERGE_UNTIL_READY,
} VmpMergeUntil;

/* Of a plan with start-merges and finish-merges, for one of a running domain: the jobs go on
 * by themselves. */
void vmp_merge_detach(VmpPlan *plan, VmpMergeUntil until);

/* Does its disk change over to another image at the end? */
gboolean vmp_merges_pivot(const VmpPlan *plan);

/* @points (of names) and @forget (edits) are what a merge that is given up after it began
 * has already cost: see step-merge.c. */
gboolean vmp_merge_plan(VmpPlan *plan, VmpChange *change, const VmpForest *forest,
                        VmpJson *points, VmpJson *forget, GError **error);
