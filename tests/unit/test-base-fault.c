/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <signal.h>

#include "base/error.h"
#include "base/fault.h"

/* Passes three points in a child with that setting. */
static void
pass_three(const char *setting)
{
    if (g_test_subprocess()) {
        g_autoptr(GError) error = NULL;
        for (int i = 1; i <= 3; i++) {
            if (!vmp_fault("somewhere", &error)) {
                g_printerr("point %d: %s\n", i, error->message);
                break;
            }
            g_printerr("passed %d\n", i);
        }
        exit(0);
    }
    if (setting)
        g_setenv("VMPOINT_FAULT", setting, TRUE);
    else
        g_unsetenv("VMPOINT_FAULT");
    g_test_trap_subprocess(NULL, 0, 0);
    g_unsetenv("VMPOINT_FAULT");
}

static void
without_a_setting_all_points_are_passed(void)
{
    pass_three(NULL);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("*passed 3*");
}

static void
the_nth_point_fails(void)
{
    pass_three("fail@2");
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("*passed 1*point 2: fault injected at 'somewhere'*");
}

static void
the_nth_point_kills(void)
{
    pass_three("kill@2");
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr_unmatched("*passed 2*");
}

static void
points_are_counted(void)
{
    pass_three("count");
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("*fault points passed: 3*");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/fault/without-a-setting-all-points-are-passed",
                    without_a_setting_all_points_are_passed);
    g_test_add_func("/base/fault/the-nth-point-fails", the_nth_point_fails);
    g_test_add_func("/base/fault/the-nth-point-kills", the_nth_point_kills);
    g_test_add_func("/base/fault/points-are-counted", points_are_counted);
    return g_test_run();
}
