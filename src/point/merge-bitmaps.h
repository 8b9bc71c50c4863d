/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What becomes of the bitmaps of layers that are made one. */

#include "qmp/client.h"
#include "storage/block-graph.h"

/* Gives, in one transaction, the layer that is left of each of @merges (of VmpJson: MERGE, see
 * merge-job.h) the bitmaps of the others. */
gboolean vmp_merge_bitmaps_carry(const GPtrArray *merges, const VmpBlockGraph *graph,
                                 VmpQmpClient *client, GError **error);
