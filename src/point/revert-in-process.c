/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The process stays: each device of the running guest gets its new layer. */

#include "base/error.h"
#include "point/revert-private.h"
#include "point/steps.h"
#include "point/swaps.h"

/* The image through which QEMU finds the RAM. */
#define MEMORY_NODE "vmp-memory"

/* The commit step: from there on the guest is that of the past. */
static void
plan_swaps(VmpPlan *plan, const VmpRevert *revert, VmpJson *swaps, VmpJson *guarded,
           gint64 definition)
{
    VmpJson *layers = json_object_new_array();

    if (revert->way == VMP_REVERT_IN_PROCESS) {
        vmp_plan_add_commit(plan, &vmp_step_swap_disks,
                            vmp_json_build("o:disks", swaps, NULL));
        vmp_plan_add(plan, &vmp_step_reset, NULL);
        json_object_put(layers);
        return;
    }
    for (guint i = 0; i < revert->branches->len; i++)
        json_object_array_add(layers, json_object_new_string(vmp_json_get_string(
                                          g_ptr_array_index(revert->branches, i), "path")));
    vmp_plan_add(plan, &vmp_step_swap_disks, vmp_json_build("o:disks", swaps, NULL));
    vmp_plan_add_commit(plan, &vmp_step_load_memory,
                        vmp_json_build("s:file", revert->snapshot->memory_file, "s:node",
                                       MEMORY_NODE, "i:definition", definition, "o:layers",
                                       layers, "O:parts", json_object_get(guarded), NULL));
    /* Once it was begun the RAM of before is lost. */
    plan->mark_commit = TRUE;
}

gboolean
vmp_revert_plan_in_process(VmpPlan *plan, const VmpRevert *revert, gint64 definition,
                           GError **error)
{
    g_auto(VmpSwaps) swaps = { NULL };
    g_autoptr(VmpJson) guarded = NULL;
    VmpState state = VMP_STATE_NOSTATE;

    vmp_swaps_init(&swaps, revert->machine, revert->graph, revert->definition);
    for (guint i = 0; i < revert->branches->len; i++)
        if (!vmp_swaps_add(&swaps, g_ptr_array_index(revert->branches, i), error))
            return FALSE;
    if (!vmp_machine_query_state(revert->machine, &state, NULL, error))
        return FALSE;

    vmp_plan_add(plan, &vmp_step_open_branches,
                 vmp_json_build("o:nodes", json_object_get(swaps.opens), NULL));
    if (revert->way == VMP_REVERT_RAM_IN_PROCESS) {
        vmp_plan_add(plan, &vmp_step_open_memory,
                     vmp_json_build("s:file", revert->snapshot->memory_file, "s:node",
                                    MEMORY_NODE, NULL));
        json_object_array_add(swaps.closes, json_object_new_string(MEMORY_NODE));
    }
    vmp_plan_add(plan, &vmp_step_pause,
                 vmp_json_build("b:was-running", state == VMP_STATE_RUNNING, NULL));
    /* RAM has the firmware's variables and the TPM's memory, too. */
    if (revert->way == VMP_REVERT_IN_PROCESS)
        vmp_part_plan_check(plan, &revert->parts);
    else
        guarded = vmp_part_plan_guard(plan, revert->machine, revert->definition);
    plan_swaps(plan, revert, json_object_get(swaps.swaps), guarded, definition);
    if (revert->end == VMP_STATE_RUNNING)
        vmp_plan_add(plan, &vmp_step_resume, NULL);
    vmp_plan_add_cleanup(plan, &vmp_step_close_nodes,
                         vmp_json_build("o:nodes", json_object_get(swaps.closes), NULL));
    vmp_part_plan_drop(plan, guarded);
    return TRUE;
}
