/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
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

G_NORETURN static void
run_tool_under_lock(const char *lock, const char *fifo)
{
    const char *const argv[] = { "cat", fifo, NULL };
    g_auto(VmpToolResult) result = { 0 };
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0 || flock(fd, LOCK_EX) < 0)
        _exit(1);
    vmp_tool_lend_lock(fd);
    vmp_tool_run(argv, &result, NULL, NULL);
    _exit(2);
}

static void
a_lock_that_was_lent_lasts_as_long_as_the_tool(void)
{
    g_autofree char *folder = g_dir_make_tmp("vmpoint-XXXXXX", NULL);
    g_autofree char *lock = g_build_filename(folder, "lock", NULL);
    g_autofree char *fifo = g_build_filename(folder, "fifo", NULL);
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);

    pid_t child = fork();
    if (child == 0)
        run_tool_under_lock(lock, fifo);
    /* Opens when the tool does. */
    int writer = open(fifo, O_WRONLY | O_CLOEXEC);
    g_assert_cmpint(writer, >=, 0);
    kill(child, SIGKILL);
    g_assert_cmpint(waitpid(child, NULL, 0), ==, child);

    int fd = open(lock, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(flock(fd, LOCK_EX | LOCK_NB), ==, -1);
    g_assert_cmpint(errno, ==, EWOULDBLOCK);
    close(writer);
    g_assert_cmpint(flock(fd, LOCK_EX), ==, 0);

    close(fd);
    unlink(fifo);
    unlink(lock);
    rmdir(folder);
}

static void
a_lock_that_was_taken_back_is_lent_to_nobody(void)
{
    const char *const argv[] = { "sh", "-c", "ls -l /proc/self/fd", NULL };
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("vmpoint-XXXXXX", &path, NULL);

    for (int lent = 1; lent >= 0; lent--) {
        g_autofree char *out = NULL;

        (lent ? vmp_tool_lend_lock : vmp_tool_take_back_lock)(fd);
        g_assert_true(vmp_tool_check(argv, VMP_ERROR_IO, &out, NULL, NULL));
        g_assert_cmpint(strstr(out, path) != NULL, ==, lent);
    }
    close(fd);
    unlink(path);
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
    g_test_add_func("/base/process/a-lock-that-was-lent-lasts-as-long-as-the-tool",
                    a_lock_that_was_lent_lasts_as_long_as_the_tool);
    g_test_add_func("/base/process/a-lock-that-was-taken-back-is-lent-to-nobody",
                    a_lock_that_was_taken_back_is_lent_to_nobody);
    g_test_add_func("/base/process/a-pid-is-the-same-process-only-with-its-start-time",
                    a_pid_is_the_same_process_only_with_its_start_time);
    g_test_add_func("/base/process/there-is-no-process-of-pid-zero",
                    there_is_no_process_of_pid_zero);
    return g_test_run();
}
