/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpPast: images with an internal snapshot that the disks do not write to any more.
 *
 * Layers stand on such an image, or it is in a branch that was left; what it has now is needed
 * as it is, so it is not taken back.  It is copied with all that is in it (a file system that
 * can share the blocks does), and the copy is taken back, beside the present.
 */

#include "plan/plan.h"
#include "point/internal-disks.h"
#include "point/swaps.h"
#include "xml/domain.h"

#include <vmpoint/snapshot-record.h>

typedef struct {
    char *tag;
    VmpJson *images; /* see step-past.c */
} VmpPast;

void vmp_past_clear(VmpPast *past);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmpPast, vmp_past_clear)

/* Looks which disks of @snapshot, that @definition is of, are not what they write to now.
 * Those of @disks become what they will be: their copies. */
gboolean vmp_past_look(VmpMachine *machine, const VmpSnapshot *snapshot,
                       const VmpDomain *definition, GPtrArray *disks, VmpPast *past,
                       GError **error);
gboolean vmp_past_is_empty(const VmpPast *past);
/* Is the past of the disk @target in a copy? */
gboolean vmp_past_has(const VmpPast *past, const char *target);

/* First: the copies are made, and taken back; with RAM they have the snapshot, too. */
void vmp_past_plan_copies(VmpPlan *plan, const VmpPast *past, gboolean with_ram);
/* The devices of the guest that runs get them; @disks as in vmp_past_look(). */
gboolean vmp_past_add_swaps(const VmpPast *past, GPtrArray *disks, VmpSwaps *swaps,
                            GError **error);
/* For steps: see DISKS in step-internal.c. */
VmpJson *vmp_past_to_json(const VmpPast *past, const GPtrArray *disks);
/* Last: the RAM is loaded, and the snapshot is in the image that it was in. */
void vmp_past_plan_tidy(VmpPlan *plan, const VmpPast *past, const GPtrArray *disks);
/* Puts them into @domain. */
gboolean vmp_past_set_sources(const VmpPast *past, VmpDomain *domain, GError **error);
/* They are ours; what the disks wrote to until now goes, unless a snapshot has it. */
gboolean vmp_past_plan_edits(VmpPlan *plan, const VmpPast *past, VmpMachine *machine,
                             GError **error);
