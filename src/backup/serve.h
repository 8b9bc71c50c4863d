/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Serving a domain that is off: its disks stand still, so what is served is the images
 * themselves, by a process of their own (machine/server.h) that opens them read-only.  There
 * is nothing to keep and no scratch image.
 *
 * Of each disk, in JSON:
 *   { "disk", "node": that is served, with no bitmaps but the temporary one,
 *     "open": [ { "node", "storage": node below it, "driver", "path", "device": bool } ],
 *             from the active image down to the last one whose bitmap is needed,
 *     "bitmap", "granularity", "checkpoint", "layers"  as of start-backup (step-backup.c) }
 */

#include "plan/step.h"
#include "storage/bitmap.h"

/* @chain: the bitmaps that say what changed; NULL = all of the disk is served, without one.
 * The caller adds what an increment has beside "layers". */
VmpJson *vmp_serve_plan(const VmpBlockGraph *graph, const char *disk,
                        const VmpBlockNode *source, const VmpBitmapChain *chain,
                        GError **error);

/* serve-disks { "disks": as above, "server", "exports": see storage/export.h } */
extern const VmpStepKind vmp_step_serve_disks; /* commit of a pull backup of one that is off */
