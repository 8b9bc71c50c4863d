/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/process.h"

static void
a_tool_gives_its_output_and_its_exit_status(void)
{
    const char *const argv[] = { "sh", "-c", "echo out; echo err >&2; exit 3", NULL };
    g_auto(VmpToolResult) result = { 0 };
    g_autoptr(GError) error = NULL;

    g_assert_true(vmp_tool_run(argv, &result, NULL, &error));
    g_assert_cmpint(result.exit_status, ==, 3);
    g_assert_cmpstr(result.out, ==, "out\n");
    g_assert_cmpstr(result.err, ==, "err");
}

static void
a_failing_tool_is_an_error_in_its_own_words(void)
{
    const char *const argv[] = { "sh", "-c", "echo 'no such image' >&2; exit 1", NULL };
    g_autoptr(GError) error = NULL;

    g_assert_false(vmp_tool_check(argv, VMP_ERROR_DAMAGED, NULL, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_DAMAGED);
    g_assert_cmpstr(error->message, ==, "no such image");
}

static void
a_tool_that_is_not_installed_is_unsupported(void)
{
    const char *const argv[] = { "vmpoint-no-such-tool", NULL };
    g_auto(VmpToolResult) result = { 0 };
    g_autoptr(GError) error = NULL;

    g_assert_false(vmp_tool_run(argv, &result, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_UNSUPPORTED);
}

static void
cancelling_ends_the_tool(void)
{
    const char *const argv[] = { "sleep", "600", NULL };
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    g_auto(VmpToolResult) result = { 0 };
    g_autoptr(GError) error = NULL;

    g_cancellable_cancel(cancellable);
    g_assert_false(vmp_tool_run(argv, &result, cancellable, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INTERRUPTED);
}

static void
a_pid_is_the_same_process_only_with_its_start_time(void)
{
    pid_t child = fork();

    if (child == 0) {
        pause();
        _exit(0);
    }
    guint64 start = vmp_process_start_time(child);
    g_assert_cmpuint(start, >, 0);
    g_assert_true(vmp_process_is_alive(child, start));
    g_assert_false(vmp_process_is_alive(child, start + 1));
    g_assert_false(vmp_process_kill(child, start + 1, SIGKILL));
    g_assert_false(vmp_process_wait_gone(child, start, 0));

    g_assert_true(vmp_process_kill(child, start, SIGKILL));
    g_assert_true(vmp_process_wait_gone(child, start, 10000));
    g_assert_false(vmp_process_is_alive(child, start));
    waitpid(child, NULL, WNOHANG);
}

static void
there_is_no_process_of_pid_zero(void)
{
    g_assert_cmpuint(vmp_process_start_time(0), ==, 0);
    g_assert_false(vmp_process_is_alive(0, 0));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/process/a-tool-gives-its-output-and-its-exit-status",
                    a_tool_gives_its_output_and_its_exit_status);
    g_test_add_func("/base/process/a-failing-tool-is-an-error-in-its-own-words",
                    a_failing_tool_is_an_error_in_its_own_words);
    g_test_add_func("/base/process/a-tool-that-is-not-installed-is-unsupported",
                    a_tool_that_is_not_installed_is_unsupported);
    g_test_add_func("/base/process/cancelling-ends-the-tool", cancelling_ends_the_tool);
    g_test_add_func("/base/process/a-pid-is-the-same-process-only-with-its-start-time",
                    a_pid_is_the_same_process_only_with_its_start_time);
    g_test_add_func("/base/process/there-is-no-process-of-pid-zero",
                    there_is_no_process_of_pid_zero);
    return g_test_run();
}
