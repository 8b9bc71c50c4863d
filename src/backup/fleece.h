/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Fleecing: a disk as it was at one instant, read while the guest writes on.
 *
 *   device -> filter (copy-before-write) -> what the device had before
 *                   \-> scratch image: what the guest has overwritten since
 *   snapshot (snapshot-access) -> filter
 *
 * The guest comes first: when the scratch image does not take the old data, or not in time,
 * the guest's write goes on and the snapshot is broken for good.  Nobody is told of that but
 * who reads from it, with an error.
 *
 * Of each disk, in JSON:
 *   { "disk", "below": node, "filter": node, "snapshot": node, "target": node of the scratch
 *     image, "scratch": its path }
 */

#include "plan/step.h"

/* Seconds that a guest's write waits for the scratch image at most. */
#define VMP_FLEECE_PATIENCE_S 10

/* @below is the root of @disk now; UNSUPPORTED if its device cannot be given another root. */
VmpJson *vmp_fleece_plan(VmpMachine *machine, const VmpBlockGraph *graph, GHashTable *taken,
                         const char *disk, const char *target, const char *scratch,
                         GError **error);
/* Takes snapshots and filters out again: each device has what is below its filter by then.
 * What is not there (any more) is fine. */
gboolean vmp_fleece_remove(VmpChange *change, VmpJson *disks, GError **error);
/* A sentence if one of the snapshots is broken; NULL if none is, or with @error. */
char *vmp_fleece_find_break(VmpQmpClient *client, VmpJson *disks, GError **error);
/* A sentence if the guest stands because a write found no room where one of the scratch images
 * is, which has taken some of it; NULL if not, or with @error. */
char *vmp_fleece_find_want(VmpQmpClient *client, VmpJson *disks, GError **error);
/* Takes away what a look that was cut left in QEMU. */
gboolean vmp_fleece_clear_probe(VmpQmpClient *client, GError **error);

/* open-filters { "disks": as above }: the filters, which nothing uses yet */
extern const VmpStepKind vmp_step_open_filters;
/* insert-filters { the same }: below the devices, and the snapshots over them.  The instant is
 * when the guest goes on */
extern const VmpStepKind vmp_step_insert_filters;
