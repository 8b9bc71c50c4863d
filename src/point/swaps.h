/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpSwaps: the devices of a running guest get other images, and the process stays.
 *
 * For steps: nodes are opened beside those that run, each device gets its new one, and what
 * nobody uses any more is closed.
 */

#include "machine/machine.h"
#include "storage/block-graph.h"
#include "xml/domain.h"

typedef struct {
    VmpMachine *machine;         /* borrowed, as are the next two */
    const VmpBlockGraph *graph;  /* of the process */
    const VmpDomain *definition; /* what the domain becomes */
    VmpJson *opens;              /* "nodes" of open-branches: see step-branch.c */
    VmpJson *swaps;              /* "disks" of swap-disks */
    VmpJson *closes;             /* "nodes" of close-nodes */
    GHashTable *taken;           /* node names given out */
} VmpSwaps;

void vmp_swaps_init(VmpSwaps *swaps, VmpMachine *machine, const VmpBlockGraph *graph,
                    const VmpDomain *definition);
void vmp_swaps_clear(VmpSwaps *swaps);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmpSwaps, vmp_swaps_clear)

/* @branch: { "disk", "path" of the new qcow2 image, "backing": path of what it stands on, or
 * absent }. */
gboolean vmp_swaps_add(VmpSwaps *swaps, VmpJson *branch, GError **error);
