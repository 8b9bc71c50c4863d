/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* freeze-guest {}   the step before a commit step: the guest's file systems are frozen
 * thaw-guest {}     the one after it
 *
 * Both work on the debt that machine/freeze.h keeps, not on the journal: a freeze that is not
 * ours leaves no debt, and whoever opens the domain next pays before it looks at any plan.
 */

#include "base/error.h"
#include "machine/freeze.h"
#include "point/steps.h"

static gboolean
freeze_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    return vmp_machine_freeze(change->machine, error);
}

static gboolean
thaw_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    return vmp_machine_pay_thaw(change->machine, error);
}

/* An agent that has fallen silent must not keep the rest from being undone: the debt stays. */
static gboolean
freeze_undo(const VmpStep *step, VmpChange *change, GError **error)
{
    vmp_machine_settle_freeze(change->machine);
    return TRUE;
}

static VmpProbe
thaw_probe(const VmpStep *step, VmpChange *change, GError **error)
{
    return vmp_machine_owes_thaw(change->machine) ? VMP_PROBE_NOT_DONE : VMP_PROBE_DONE;
}

static char *
freeze_describe(const VmpStep *step)
{
    return g_strdup("freeze the guest's file systems through its agent");
}

static char *
thaw_describe(const VmpStep *step)
{
    return g_strdup("thaw the guest's file systems");
}

const VmpStepKind vmp_step_freeze_guest = {
    .name = "freeze-guest",
    .apply = freeze_apply,
    .undo = freeze_undo,
    .describe = freeze_describe,
};

const VmpStepKind vmp_step_thaw_guest = {
    .name = "thaw-guest",
    .apply = thaw_apply,
    .probe = thaw_probe,
    .describe = thaw_describe,
};
