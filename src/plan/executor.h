/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Carrying a plan out, and settling what an interrupted one left behind.
 *
 *   declare   the plan goes into the journal, durably
 *   apply     its steps; a failure before the commit step undoes them, last first
 *   settle    one store transaction writes the edits and closes the intent
 *
 * When the commit step gets no answer (monitor gone, timeout), it is probed: done means
 * forward, not done means undo; when even that cannot be told the intent stays open and the
 * next command for the domain asks again.
 *
 * A detached plan ends with the step before its commit step and stays in the journal; each
 * command that settles looks whether it has come to an end by itself (its commit step's probe
 * tells), and leaves it alone otherwise.
 */

#include "plan/plan.h"

/* Runs @plan on @change->machine.  In a dry run only the report is made
 * (vmp_operation_get_plan()) and nothing is touched. */
gboolean vmp_plan_execute(VmpPlan *plan, VmpChange *change, GError **error);

/* A plan of the machine's domain that goes on by itself, of that subject. */
typedef struct {
    VmpPlan *plan; /* NULL: there is none */
    gint64 intent;
} VmpDetached;

void vmp_detached_clear(VmpDetached *detached);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmpDetached, vmp_detached_clear)
gboolean vmp_plan_find_detached(VmpMachine *machine, const char *subject,
                                const VmpStepKind *const *kinds, VmpDetached *detached,
                                GError **error);
/* The same, told without knowing its steps. */
gboolean vmp_plan_has_detached(VmpMachine *machine, const char *subject, gboolean *has,
                               GError **error);
/* Carries it out or takes it back, as @wish says.  BUSY if it cannot come to its end yet. */
gboolean vmp_plan_end_detached(VmpMachine *machine, const VmpDetached *detached, VmpWish wish,
                               GError **error);
/* Nothing of it is to be done any more, and nothing taken back. */
gboolean vmp_plan_release_detached(VmpMachine *machine, const VmpDetached *detached,
                                   GError **error);
/* BUSY, with its name, if one goes on. */
gboolean vmp_plan_check_none_detached(VmpMachine *machine, GError **error);

/* Settles all open intents of the machine's domain; adds a sentence for each to @said (of
 * char *; or NULL).  @kinds: all step kinds of the library. */
gboolean vmp_plan_recover(VmpMachine *machine, const VmpStepKind *const *kinds,
                          GPtrArray *said, GError **error);
