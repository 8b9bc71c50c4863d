/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The guest's file systems, through its agent; and that a freeze of ours never stays.
 *
 * A freeze around something that we do is a debt: <runtime dir>/<uuid>.frozen is written
 * before the agent is asked to freeze, and goes when it has thawed.  While it is there a
 * thaw guard stands by (machine/thaw-guard.h); and whoever opens the domain for a change
 * pays first.  A freeze that somebody else made is nobody's debt: it is neither taken for
 * ours nor thawed.
 */

#include "base/json.h"
#include "machine/machine.h"

/* ---- around something that we do ---- */

/* Can a freeze be had now?  Connects to the agent, which stays connected.  FAILED if the guest
 * does not run, BUSY if its file systems are frozen already, UNSUPPORTED without a channel,
 * TIMED_OUT without an agent. */
gboolean vmp_machine_check_can_freeze(VmpMachine *machine, GError **error);
/* Freezes all; after a failure nothing is frozen, or a debt is left. */
gboolean vmp_machine_freeze(VmpMachine *machine, GError **error);
gboolean vmp_machine_owes_thaw(VmpMachine *machine);
/* Pays; without a debt nothing happens.  If the guest did not stay frozen all the time, the
 * operation gets a warning. */
gboolean vmp_machine_pay_thaw(VmpMachine *machine, GError **error);
/* The same for a debt of an earlier process: what cannot be paid now stays, and becomes a
 * warning. */
void vmp_machine_settle_freeze(VmpMachine *machine);
/* The same, but one that stands is left alone: it may do so for a plan that was cut, and
 * cannot answer before that is settled. */
void vmp_machine_settle_running_freeze(VmpMachine *machine);

/* ---- because somebody asked for it ---- */

/* How many were frozen; -1 on failure.  @mountpoints NULL or empty: all. */
int vmp_machine_freeze_filesystems(VmpMachine *machine, const char *const *mountpoints,
                                   GError **error);
int vmp_machine_thaw_filesystems(VmpMachine *machine, GError **error);
gboolean vmp_machine_trim_filesystems(VmpMachine *machine, guint64 minimum, GError **error);
/* The agent's array; a new reference. */
VmpJson *vmp_machine_query_filesystems(VmpMachine *machine, GError **error);

/* Lets go of the agent; a freeze of ours is then thawed by its guard. */
void vmp_machine_leave_agent(VmpMachine *machine);
