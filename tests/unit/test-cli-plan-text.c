/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/plan-text.h"

static const char plan[] =
    "{\"operation\":\"snapshot-revert\",\"domain\":\"vm\",\"subject\":\"s1\","
    "\"risks\":[{\"code\":\"new-process\",\"message\":\"QEMU is "
    "replaced\",\"overridable\":true},"
    "{\"code\":\"job\",\"message\":\"a job runs\",\"overridable\":false}],"
    "\"steps\":[{\"kind\":\"create-overlays\",\"describe\":\"create "
    "/d/a.s1\",\"commit\":false,"
    "\"commands\":[]},{\"kind\":\"switch\",\"describe\":\"switch all disks\",\"commit\":true,"
    "\"commands\":[{\"execute\":\"stop\"},{\"execute\":\"cont\"}]}],\"space\":1610612736}";

static void
a_plan_lists_steps_space_and_risks(void)
{
    g_autofree char *text = vmp_plan_to_text(plan);

    g_assert_cmpstr(text, ==,
                    "Plan of snapshot-revert for domain 'vm', 's1':\n"
                    "  1. create /d/a.s1\n"
                    "  2. switch all disks (the point of no return)\n"
                    "       { \"execute\": \"stop\" }\n"
                    "       { \"execute\": \"cont\" }\n"
                    "Space needed: 1.500 GiB\n"
                    "Risks:\n"
                    "  new-process: QEMU is replaced (--force accepts it)\n"
                    "  job: a job runs (--force does not help)\n");
}

static void
no_plan_is_nothing_to_do(void)
{
    g_autofree char *none = vmp_plan_to_text(NULL);
    g_autofree char *empty = vmp_plan_to_text(
        "{\"operation\":\"start\",\"domain\":\"vm\",\"subject\":null,\"steps\":[]}");

    g_assert_cmpstr(none, ==, "There is nothing to do.\n");
    g_assert_cmpstr(empty, ==, "Plan of start for domain 'vm':\nThere is nothing to do.\n");
}

static void
risks_can_be_had_alone(void)
{
    json_object *risks = vmp_plan_get_risks(plan);

    g_assert_cmpuint(json_object_array_length(risks), ==, 2);
    json_object_put(risks);
    g_assert_null(vmp_plan_get_risks(NULL));
    g_assert_null(vmp_plan_get_risks("{}"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/plan-text/a-plan-lists-steps-space-and-risks",
                    a_plan_lists_steps_space_and_risks);
    g_test_add_func("/cli/plan-text/no-plan-is-nothing-to-do", no_plan_is_nothing_to_do);
    g_test_add_func("/cli/plan-text/risks-can-be-had-alone", risks_can_be_had_alone);
    return g_test_run();
}
