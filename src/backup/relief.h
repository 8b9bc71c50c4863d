/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A guest that stands because a write of it found no room.
 *
 * QEMU stops it, and makes the write again when it goes on.  A backup can be the reason: a
 * full target, or scratch images that have taken the space which the guest's own images
 * needed.
 */

#include "qmp/client.h"

/* Does a domain that is on stand so? */
gboolean vmp_relief_is_needed(VmpQmpClient *client, gboolean *needed, GError **error);
/* Removes the @scratch images (of VmpNewImage), which nobody has open, and lets the guest go
 * on if it stands. */
gboolean vmp_relief_give(VmpQmpClient *client, GPtrArray *scratch, GError **error);
