/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpWritable: images below the active ones that are opened writable for one step, and
 * read-only again after it.
 *
 * QEMU keeps what is below the active image read-only, and takes neither a bitmap nor an
 * internal snapshot out of such a one.  It cannot reopen what it has opened by itself either,
 * for a backing image that nobody named: those ("below", from "node" down) are opened once
 * more under a name, and put in the place of the nameless ones, for good.
 *
 * What is to be opened stands in the step's arguments:
 *
 *   "reopen": [ { "node", "path", "file", "backing", "driver", "read-only", "touched",
 *                 "direct", "unmap", "detect-zeroes",
 *                 "below": [ { "name", "driver", "storage", "path", "under", "direct",
 *                              "touched" } ] } ]
 *
 * Whoever recovers leaves alone what is not the same node any more: it was opened by a process
 * that has ended, and ended with it.
 */

#include "plan/plan.h"
#include "storage/block-graph.h"
#include "xml/domain.h"

/* ---- planning ---- */

typedef struct _VmpWritable VmpWritable;

/* Both are borrowed and have to outlive it; @graph NULL: nothing can be added. */
VmpWritable *vmp_writable_new(const VmpBlockGraph *graph, const VmpDomain *definition);
void vmp_writable_free(VmpWritable *writable);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpWritable, vmp_writable_free)

/* @node is in the chain of the disk @target, whose active image is @top.  Returns the name
 * that it has once it is open, borrowed; UNSUPPORTED if QEMU has nothing to reopen it by. */
const char *vmp_writable_add(VmpWritable *writable, const VmpBlockNode *top,
                             const VmpBlockNode *node, const char *target, GError **error);
/* For a step's "reopen". */
VmpJson *vmp_writable_to_json(const VmpWritable *writable);

/* Adds the step after which they are read-only again. */
void vmp_writable_plan_closing(const VmpWritable *writable, VmpPlan *plan);

/* close-writable { "reopen" } */
extern const VmpStepKind vmp_step_close_writable;

/* ---- in the step that needs them ---- */

void vmp_writable_add_opening(VmpJson *reopen, GPtrArray *commands);
gboolean vmp_writable_open(VmpJson *reopen, VmpChange *change, GError **error);
/* What a cut attempt left: layers that got a name and no place would keep their images from
 * being written to, and what is still writable keeps others from opening it. */
gboolean vmp_writable_undo(VmpJson *reopen, VmpChange *change, GError **error);
