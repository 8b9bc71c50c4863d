/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The parts of a machine's state that are neither disk nor RAM: the firmware's variables
 * ("nvram") and what an emulated TPM remembers ("tpm").
 *
 * They belong to every snapshot.  Each is one file; a snapshot has a copy of it
 * (storage/state-file.h) from the instant of its disks.  The ledger of files says which copies
 * are a snapshot's: their role is the part's name.  The TPM's file is alone in a folder that
 * its process has open (machine/tpm.h), so there the folder as a whole is what changes places.
 *
 * While the guest stands still nothing writes to these files, and QEMU has flushed its own, so
 * a plain copy is exact whatever the format.  A `blockdev-backup` of the variables in the
 * transaction of the disks needs no pause, but the TPM has no such thing, and a job that dies
 * with its QEMU would leave a snapshot without the part.
 */

#include <vmpoint/snapshot-record.h>

#include "plan/plan.h"

#define VMP_PART_NVRAM "nvram"
#define VMP_PART_TPM "tpm"

typedef enum {
    VMP_PARTS_STOPPED = 1 << 0, /* the plan has stopped the guest */
    VMP_PARTS_IN_RAM = 1 << 1,  /* the snapshot's RAM has them, too */
    VMP_PARTS_NOT_NVRAM =
        1 << 2, /* the variables are somebody else's: in an image, made anew */
    VMP_PARTS_FORGOTTEN = 1 << 3, /* nobody will remember the snapshot: say what it lacks */
} VmpPartFlags;

/* ---- making a snapshot ---- */

/* Steps that come right before the commit step, in which the disks switch: they stop the guest
 * (unless the plan has done so) and copy its parts.  What has no part gets no steps.
 * A part that cannot be had is a warning. */
gboolean vmp_part_plan_keep(VmpPlan *plan, VmpMachine *machine, const char *snapshot,
                            VmpPartFlags flags, GError **error);
/* Steps that come right after it: the guest is as it was, the copies are durable. */
void vmp_part_plan_seal(VmpPlan *plan);
/* For a probe of that commit step when nothing else can tell: are all of its "parts" kept, and
 * undamaged? */
gboolean vmp_part_are_kept(VmpJson *parts);

/* Is that file of the ledger a snapshot's copy of a part? */
gboolean vmp_part_is_copy(const VmpStoreFile *file);
/* Those that @snapshot has copies of; free with g_strfreev(). */
char **vmp_part_names(VmpMachine *machine, const char *snapshot, GError **error);

/* Another snapshot @clone has copies of its own of all that @snapshot has.  What was left
 * under that name goes. */
gboolean vmp_part_plan_clone(VmpPlan *plan, VmpMachine *machine, const char *snapshot,
                             const char *clone, GError **error);

/* ---- deleting one ---- */

/* The copies of @snapshot go when all is settled. */
gboolean vmp_part_plan_retire(VmpPlan *plan, VmpMachine *machine, const char *snapshot,
                              GError **error);

/* ---- reverting to one ---- */

typedef struct {
    VmpJson *files;  /* see step-part.c, "stage-parts"; empty = nothing to put back */
    gboolean differ; /* one of them is not what the machine has now */
} VmpPartPast;

void vmp_part_past_clear(VmpPartPast *past);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmpPartPast, vmp_part_past_clear)

/* Reads the copies of @snapshot (DAMAGED).  @definition: what the domain becomes.  A part that
 * the machine has and the snapshot has not stays what it is, with a warning unless the
 * snapshot's RAM has it. */
gboolean vmp_part_look(VmpMachine *machine, const VmpDomain *definition, const char *snapshot,
                       VmpPartFlags flags, VmpPartPast *past, GError **error);
/* The same where no snapshot has the past: the parts are in files @nvram and @tpm, which are
 * copied first; the copies go when all is settled.  A part that the machine has and for which
 * there is none (NULL) stays what it is, with a warning. */
void vmp_part_plan_import(VmpPlan *plan, VmpMachine *machine, const VmpDomain *definition,
                          const char *nvram, const char *tpm, VmpPartPast *past);
/* First: the past is laid ready beside the present. */
void vmp_part_plan_stage(VmpPlan *plan, const VmpPartPast *past);
/* Where the process stays because nothing differs: it is looked at again once the guest stands
 * still. */
void vmp_part_plan_check(VmpPlan *plan, const VmpPartPast *past);
/* It takes the present's place; comes when no process of the present has the files any more.
 * A plan without a commit step gets its commit step so. */
void vmp_part_plan_put(VmpPlan *plan, const VmpPartPast *past);
/* Where @part is laid ready for a process that starts meanwhile; NULL if it is not.
 * Borrowed. */
const char *vmp_part_staged_path(const VmpPartPast *past, const char *part);
/* Of one of the files of a past: the file with its content; free with g_free(). */
char *vmp_part_content_path(VmpJson *file);
/* Is it what its copy keeps? */
gboolean vmp_part_is_as_kept(VmpJson *file, gboolean *same, GError **error);
/* Where loading RAM into the process that runs has its TPM write its file anew, though the
 * rest may fail to load: a step that copies what is there now, once the guest stands still.
 * Returns its "parts", for vmp_part_put_back(); they go by vmp_part_plan_drop().  NULL: there
 * is nothing to guard. */
VmpJson *vmp_part_plan_guard(VmpPlan *plan, VmpMachine *machine, const VmpDomain *definition);
void vmp_part_plan_drop(VmpPlan *plan, VmpJson *parts);
/* All of @parts are what they were when they were copied; no process has them. */
gboolean vmp_part_put_back(VmpJson *parts, GError **error);
/* Puts all of them in their places at once, from their copies; no process has them. */
gboolean vmp_part_put_now(VmpJson *files, GError **error);
