/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What stands on what: a pure function of the view that fsck reads. */

#include <vmpoint/graph.h>

#include "point/fsck.h"

VmpGraph *vmp_graph_from_view(const VmpFsckView *view);
