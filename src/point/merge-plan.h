/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The merges that a forest was decided to need, as steps: in the QEMU that has the disks, or
 * in a storage daemon.
 */

#include "plan/plan.h"
#include "point/forest.h"

/* @points (of names) and @forget (edits) are what a merge that is given up after it began
 * has already cost: see step-merge.c. */
gboolean vmp_merge_plan(VmpPlan *plan, VmpChange *change, const VmpForest *forest,
                        VmpJson *points, VmpJson *forget, GError **error);
