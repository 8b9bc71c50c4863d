/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Definitions and records after images have been merged: whoever named one that is gone names
 * the one that has taken it in.
 */

#include "point/standing.h"

/* Adds to @edits the domain's definitions.  @standing is decided. */
gboolean vmp_moved_edit_domain(VmpMachine *machine, const VmpStanding *standing,
                               VmpJson *edits, GError **error);
/* The same for its snapshots that stay.  One that has no children any more and remembers the
 * layers of a revert apart has them as its own layers now, as in libvirt. */
gboolean vmp_moved_edit_points(VmpMachine *machine, const VmpStanding *standing,
                               VmpJson *edits, GError **error);
