/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "machine/huge-pages.h"

#define HUGE_SIZE ((gsize)2 << 20)
#define COUNT 8

/* Eight huge pages' worth of memory: all of it in small pages (it was there before huge pages
 * were asked for) in the first half, one page in each of the second. */
static char *
make_memory(void)
{
    char *all = mmap(NULL, (COUNT + 1) * HUGE_SIZE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *memory = (char *)(((guintptr)all + HUGE_SIZE - 1) / HUGE_SIZE * HUGE_SIZE);

    g_assert_true(all != MAP_FAILED);
    madvise(memory, COUNT * HUGE_SIZE, MADV_NOHUGEPAGE);
    for (gsize i = 0; i < COUNT * HUGE_SIZE; i += 4096)
        if (i < COUNT / 2 * HUGE_SIZE || i % HUGE_SIZE == 0)
            memory[i] = (char)(i / 4096 % 251);
    madvise(memory, COUNT * HUGE_SIZE, MADV_HUGEPAGE);
    return memory;
}

static guint64
read_huge_kib(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/smaps_rollup", (int)pid);
    g_autofree char *text = vmp_file_read(path, 1 << 20, NULL, NULL);
    const char *line = text ? strstr(text, "AnonHugePages:") : NULL;

    return line ? g_ascii_strtoull(line + strlen("AnonHugePages:"), NULL, 10) : 0;
}

static gboolean
is_as_made(const char *memory)
{
    for (gsize i = 0; i < COUNT / 2 * HUGE_SIZE; i += 4096)
        if (memory[i] != (char)(i / 4096 % 251))
            return FALSE;
    return TRUE;
}

/* Says 'a' when its memory is made; told to, looks at it and ends. */
static _Noreturn void
have_memory(int in, int out)
{
    const char *memory = make_memory();
    char go = 0;

    if (write(out, "a", 1) != 1 || read(in, &go, 1) != 1)
        _exit(1);
    _exit(is_as_made(memory) ? 0 : 1);
}

/* KiB in huge pages of a process of its own, before and after. */
static void
gather_once(guint64 *before, guint64 *after)
{
    int to[2], from[2], status = 0;
    char ready = 0;
    g_assert_cmpint(pipe(to), ==, 0);
    g_assert_cmpint(pipe(from), ==, 0);

    pid_t child = fork();
    if (child == 0)
        have_memory(to[0], from[1]);
    g_assert_cmpint(read(from[0], &ready, 1), ==, 1);
    *before = read_huge_kib(child);
    vmp_huge_pages_gather(child);
    *after = read_huge_kib(child);
    g_assert_cmpint(write(to[1], "g", 1), ==, 1);
    waitpid(child, &status, 0);
    for (int i = 0; i < 2; i++) {
        close(to[i]);
        close(from[i]);
    }

    g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    g_assert_cmpuint(*after, >=, *before);
}

static void
what_is_there_is_put_together(void)
{
    const guint64 bound = COUNT / 2 * HUGE_SIZE / 1024;
    guint64 before = 0, after = 0;

    /* The kernel goes through all memory now and then by itself, and does not mind what is
     * hardly there; it does not come by each time. */
    for (int tries = 0; tries < 5; tries++) {
        gather_once(&before, &after);
        if (after <= before + bound)
            break;
    }

    /* What is hardly there is not made larger. */
    g_assert_cmpuint(after, <=, before + bound);
    /* The kernel may have no huge page left for one or the other. */
    if (after == before)
        g_test_skip(
            "this kernel puts no pages together (MADV_COLLAPSE), or we may not ask it to");
}

static void
who_is_gone_is_left_alone(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    vmp_huge_pages_gather(child);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/huge-pages/what-is-there-is-put-together",
                    what_is_there_is_put_together);
    g_test_add_func("/huge-pages/who-is-gone-is-left-alone", who_is_gone_is_left_alone);
    return g_test_run();
}
