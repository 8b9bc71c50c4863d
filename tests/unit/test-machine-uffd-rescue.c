/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <glib.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "machine/uffd-rescue.h"

#define PAGE 4096
#define PAGES 4

/* As QEMU does it: its memory is protected, then somebody writes to it, and nobody looks at
 * the descriptor.  Writes one byte to @out before and one after. */
static _Noreturn void
sleep_for_ever(int out)
{
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP };
    char *memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    struct uffdio_range range = { .start = (guint64)(guintptr)memory, .len = PAGES * PAGE };
    struct uffdio_register all = { .range = range, .mode = UFFDIO_REGISTER_MODE_WP };
    struct uffdio_writeprotect protect = { .range = range,
                                           .mode = UFFDIO_WRITEPROTECT_MODE_WP };

    if (fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0 || ioctl(fd, UFFDIO_REGISTER, &all) < 0 ||
        ioctl(fd, UFFDIO_WRITEPROTECT, &protect) < 0)
        _exit(77);
    if (write(out, "a", 1) != 1)
        _exit(1);
    memory[PAGE] = 1;
    if (write(out, "b", 1) != 1)
        _exit(1);
    pause();
    _exit(0);
}

static gboolean
reads(int fd, char expected)
{
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    char got = 0;

    return poll(&ready, 1, 60000) == 1 && read(fd, &got, 1) == 1 && got == expected;
}

static void
who_sleeps_is_woken(void)
{
    g_autoptr(GError) error = NULL;
    guint ranges = 0;
    int ends[2];
    g_assert_cmpint(pipe(ends), ==, 0);

    pid_t child = fork();
    if (child == 0)
        sleep_for_ever(ends[1]);
    close(ends[1]);
    if (!reads(ends[0], 'a')) {
        waitpid(child, NULL, 0);
        close(ends[0]);
        g_test_skip("no userfaultfd with write protection here");
        return;
    }
    while (!vmp_rescue_is_asleep(child))
        g_thread_yield();

    g_assert_true(vmp_rescue_wake(child, &ranges, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(ranges, ==, 1);
    g_assert_true(reads(ends[0], 'b'));
    g_assert_false(vmp_rescue_is_asleep(child));

    /* There is nothing left to free. */
    g_assert_true(vmp_rescue_wake(child, &ranges, &error));
    g_assert_cmpuint(ranges, ==, 0);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ends[0]);
}

static void
who_does_not_is_left_alone(void)
{
    g_autoptr(GError) error = NULL;
    guint ranges = 7;

    g_assert_false(vmp_rescue_is_asleep(getpid()));
    g_assert_true(vmp_rescue_wake(getpid(), &ranges, &error));
    g_assert_cmpuint(ranges, ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/uffd-rescue/who_sleeps_is_woken", who_sleeps_is_woken);
    g_test_add_func("/uffd-rescue/who_does_not_is_left_alone", who_does_not_is_left_alone);
    return g_test_run();
}
