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
 */

#include "plan/plan.h"

/* Runs @plan on @change->machine.  In a dry run only the report is made
 * (vmp_operation_get_plan()) and nothing is touched. */
gboolean vmp_plan_execute(VmpPlan *plan, VmpChange *change, GError **error);

/* Settles all open intents of the machine's domain; adds a sentence for each to @said (of
 * char *; or NULL).  @kinds: all step kinds of the library. */
gboolean vmp_plan_recover(VmpMachine *machine, const VmpStepKind *const *kinds,
                          GPtrArray *said, GError **error);
