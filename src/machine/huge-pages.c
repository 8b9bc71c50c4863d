/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/huge-pages.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/file.h"

#ifndef MADV_COLLAPSE /* since glibc 2.37 */
#define MADV_COLLAPSE 25
#endif

#define SMAPS_MAX ((gsize)64 << 20)
#define SIZE_FILE "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"
/* How long it may take: on a busy host about as long as it takes to copy that much. */
#define TIME_US (2 * G_USEC_PER_SEC)
#define TIME_PER_GIB_US (4 * G_USEC_PER_SEC)

/* The bits of /proc/PID/pagemap: there, and nobody else's (as the page of zeroes is). */
#define PRESENT ((guint64)1 << 63)
#define EXCLUSIVE ((guint64)1 << 56)

typedef struct {
    guint64 start, end;
} Range;

static guint64
read_huge_size(void)
{
    g_autofree char *text = vmp_file_read(SIZE_FILE, 64, NULL, NULL);

    return text ? g_ascii_strtoull(text, NULL, 10) : 0;
}

/* Those for which huge pages were asked ("hg" in smaps); what is executable is code. */
static GArray *
list_ranges(GPid pid)
{
    GArray *ranges = g_array_new(FALSE, FALSE, sizeof(Range));
    g_autofree char *path = g_strdup_printf("/proc/%d/smaps", (int)pid);
    g_autofree char *text = vmp_file_read(path, SMAPS_MAX, NULL, NULL);
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
    Range range = { 0 };

    for (char **line = lines; *line; line++) {
        g_autofree char *flags = g_strconcat(*line, " ", NULL);
        unsigned long long start, end;
        if (sscanf(*line, "%llx-%llx ", &start, &end) == 2)
            range = (Range){ start, end };
        else if (g_str_has_prefix(*line, "VmFlags:") && strstr(flags, " hg ") &&
                 !strstr(flags, " ex "))
            g_array_append_val(ranges, range);
    }
    return ranges;
}

/* Are at least seven eighths of it in memory? */
static gboolean
is_full(int pagemap, guint64 start, guint64 size)
{
    const guint64 page = (guint64)sysconf(_SC_PAGESIZE);
    const gsize count = size / page;
    g_autofree guint64 *entries = g_new(guint64, count);
    gsize there = 0;

    if (pread(pagemap, entries, count * sizeof *entries,
              (off_t)(start / page * sizeof *entries)) != (gssize)(count * sizeof *entries))
        return FALSE;
    for (gsize i = 0; i < count; i++)
        there += (entries[i] & PRESENT) && (entries[i] & EXCLUSIVE);
    return there >= count - count / 8;
}

static void
gather_range(int process, int pagemap, const Range *range, guint64 size, gint64 deadline)
{
    guint64 first = (range->start + size - 1) / size * size;

    for (guint64 at = first; at + size <= range->end && g_get_monotonic_time() < deadline;
         at += size) {
        struct iovec chunk = { .iov_base = (void *)(guintptr)at, .iov_len = size };
        /* One that cannot be had does not speak for the next. */
        if (is_full(pagemap, at, size))
            (void)!process_madvise(process, &chunk, 1, MADV_COLLAPSE, 0);
    }
}

static gint64
time_for(const GArray *ranges)
{
    guint64 bytes = 0;

    for (guint i = 0; i < ranges->len; i++) {
        const Range *range = &g_array_index(ranges, Range, i);
        bytes += range->end - range->start;
    }
    return TIME_US + (gint64)(bytes >> 30) * TIME_PER_GIB_US;
}

void
vmp_huge_pages_gather(GPid pid)
{
    const guint64 size = read_huge_size();
    g_autofree char *path = g_strdup_printf("/proc/%d/pagemap", (int)pid);
    g_auto(VmpFd) process = pidfd_open(pid, 0);
    g_auto(VmpFd) pagemap = open(path, O_RDONLY | O_CLOEXEC);
    if (size == 0 || process < 0 || pagemap < 0)
        return;

    g_autoptr(GArray) ranges = list_ranges(pid);
    const gint64 deadline = g_get_monotonic_time() + time_for(ranges);
    for (guint i = 0; i < ranges->len; i++)
        gather_range(process, pagemap, &g_array_index(ranges, Range, i), size, deadline);
}
