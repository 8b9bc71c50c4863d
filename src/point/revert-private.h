/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The inside of a revert to an external snapshot, for the modules that plan it. */

#include "plan/plan.h"
#include "point/part.h"
#include "point/revert.h"
#include "storage/block-graph.h"
#include "xml/domain.h"

#include <vmpoint/snapshot-record.h>

/* How the revert gets to its end state (docs/design/revert.md has the table). */
typedef enum {
    VMP_REVERT_OFFLINE,     /* the domain is off; it may be started at the end */
    VMP_REVERT_IN_PROCESS,  /* active, and active at the end: disks are swapped in place */
    VMP_REVERT_NEW_PROCESS, /* active, active at the end, but another machine for the guest */
    VMP_REVERT_TO_OFF,      /* active now, off at the end */
    VMP_REVERT_RAM_IN_PROCESS, /* active: RAM and disks are swapped in place */
    VMP_REVERT_RAM_ELSEWHERE,  /* a new process with the RAM of that moment; active or off now
                                */
} VmpRevertWay;

typedef struct {
    VmpMachine *machine;
    VmpSnapshot *snapshot;
    VmpSnapshotRevertFlags flags;
    VmpDomain *definition; /* what the domain becomes, still with the images of the past */
    VmpDomain *inactive;   /* its persistent half; may be the same text */
    VmpState end;          /* SHUTOFF, RUNNING or PAUSED */
    VmpRevertWay way;
    GPtrArray *branches;  /* of VmpJson: see step-branch.c, "images" */
    GPtrArray *changed;   /* of char *: paths of images that should not have been written to */
    VmpBlockGraph *graph; /* of the running machine; NULL when off */
    VmpPartPast parts;    /* what is neither disk nor RAM */
} VmpRevert;

/* Does the process stay, and get other disks? */
gboolean vmp_revert_is_in_process(const VmpRevert *revert);

/* Plans a new layer on each image that the snapshot froze. */
gboolean vmp_revert_plan_branches(VmpRevert *revert, GError **error);
/* Plans that the running guest gets the new layers; with RAM, @definition is what
 * vmp_memory_put_definition() said. */
gboolean vmp_revert_plan_in_process(VmpPlan *plan, const VmpRevert *revert, gint64 definition,
                                    GError **error);
/* Puts the new layers into the revert's definitions, and all that the store is told at the end
 * into the plan. */
gboolean vmp_revert_plan_edits(VmpPlan *plan, VmpRevert *revert, const VmpDomain *present,
                               GError **error);
