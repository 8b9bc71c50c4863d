/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The RAM of a running guest, to a file and back. */

#include "plan/plan.h"
#include "point/part.h"
#include "storage/block-graph.h"

#include <vmpoint/snapshot-record.h>

/* What must be so before the RAM is saved to @path. */
gboolean vmp_memory_check(VmpMachine *machine, const char *path, GError **error);
/* Steps that come before the disks switch: the guest is stopped, its RAM in the file; @live:
 * or ready to be saved while it runs.  @graph: the present one.  BUSY: a pull backup is
 * served, and beneath it QEMU saves only the RAM of a guest that runs. */
gboolean vmp_memory_plan_save(VmpPlan *plan, VmpMachine *machine, const VmpBlockGraph *graph,
                              const char *path, gboolean live, GError **error);
/* Those that come after the commit step: the guest is as it was, the file complete. */
void vmp_memory_plan_seal(VmpPlan *plan);

/* Is @path complete and undamaged, and what was saved there?  Reads all of it. */
gboolean vmp_memory_check_file(VmpMachine *machine, const char *path, GError **error);
/* The same, and can the guest of that moment be prepared beside what runs now? */
gboolean vmp_memory_check_load(VmpMachine *machine, const VmpDomain *definition,
                               const char *path, GError **error);
/* What steps name the definition by; 0 on failure.  Planning is begun. */
gint64 vmp_memory_put_definition(VmpMachine *machine, const VmpDomain *definition,
                                 GError **error);
/* Steps that put a process with the RAM of @path in the place of the present one, if there is
 * one; @parts are laid ready and take their places. */
void vmp_memory_plan_load(VmpPlan *plan, gint64 definition, const char *path,
                          const VmpPartPast *parts, gboolean resume);
/* For steps: prepares a spare with the RAM of @file (@nvram, @tpm: see machine/spare.h); none
 * is left on failure. */
gboolean vmp_memory_load_spare(VmpChange *change, const VmpDomain *definition,
                               const char *file, const char *nvram, const char *tpm,
                               GError **error);
