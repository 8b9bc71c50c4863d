/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/uffd-rescue.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

#define SMAPS_MAX ((gsize)64 << 20)
#define LINK "anon_inode:[userfaultfd]"

/* ---- who sleeps ---- */

static gboolean
sleeps(const char *task)
{
    g_autofree char *path = g_build_filename(task, "wchan", NULL);
    g_autofree char *place = vmp_file_read(path, 256, NULL, NULL);

    return place && strstr(place, "userfault") != NULL;
}

gboolean
vmp_rescue_is_asleep(GPid pid)
{
    g_autofree char *folder = g_strdup_printf("/proc/%d/task", (int)pid);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);

    for (const char *name = dir ? g_dir_read_name(dir) : NULL; name;
         name = g_dir_read_name(dir)) {
        g_autofree char *task = g_build_filename(folder, name, NULL);
        if (sleeps(task))
            return TRUE;
    }
    return FALSE;
}

/* ---- waking ---- */

/* Numbers of its userfaultfds, of int. */
static GArray *
list_descriptors(GPid pid, GError **error)
{
    GArray *numbers = g_array_new(FALSE, FALSE, sizeof(int));
    g_autofree char *folder = g_strdup_printf("/proc/%d/fd", (int)pid);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);

    if (!dir) {
        vmp_fail(error, VMP_ERROR_UNSUPPORTED, "cannot look into process %d", (int)pid);
        g_array_unref(numbers);
        return NULL;
    }
    for (const char *name = g_dir_read_name(dir); name; name = g_dir_read_name(dir)) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        char target[64] = "";
        if (readlink(path, target, sizeof target - 1) > 0 && g_str_equal(target, LINK)) {
            int number = atoi(name);
            g_array_append_val(numbers, number);
        }
    }
    return numbers;
}

/* The ranges that are protected ("uw" in smaps), of struct uffdio_range. */
static GArray *
list_ranges(GPid pid, GError **error)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/smaps", (int)pid);
    g_autofree char *text = vmp_file_read(path, SMAPS_MAX, NULL, error);
    if (!text)
        return NULL;

    GArray *ranges = g_array_new(FALSE, FALSE, sizeof(struct uffdio_range));
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    unsigned long long first = 0, end = 0;
    for (char **line = lines; *line; line++) {
        g_autofree char *flags = g_strconcat(*line, " ", NULL);
        unsigned long long from, to;
        if (sscanf(*line, "%llx-%llx ", &from, &to) == 2) {
            first = from;
            end = to;
        } else if (g_str_has_prefix(*line, "VmFlags:") && strstr(flags, " uw ")) {
            struct uffdio_range range = { .start = first, .len = end - first };
            g_array_append_val(ranges, range);
        }
    }
    return ranges;
}

/* Several userfaultfds may be there; a range belongs to one, and the others refuse it. */
static gboolean
free_range(int fd, const struct uffdio_range *range)
{
    struct uffdio_writeprotect lift = { .range = *range, .mode = 0 };
    struct uffdio_range gone = *range;

    if (ioctl(fd, UFFDIO_WRITEPROTECT, &lift) < 0)
        return FALSE;
    ioctl(fd, UFFDIO_UNREGISTER, &gone);
    return TRUE;
}

static guint
free_ranges(int process, const GArray *numbers, const GArray *ranges, int *errnum)
{
    guint freed = 0;

    for (guint i = 0; i < numbers->len; i++) {
        g_auto(VmpFd) fd = pidfd_getfd(process, g_array_index(numbers, int, i), 0);
        if (fd < 0)
            *errnum = errno;
        for (guint j = 0; fd >= 0 && j < ranges->len; j++)
            freed += free_range(fd, &g_array_index(ranges, struct uffdio_range, j));
    }
    return freed;
}

gboolean
vmp_rescue_wake(GPid pid, guint *ranges, GError **error)
{
    g_auto(VmpFd) process = pidfd_open(pid, 0);
    g_autoptr(GArray) numbers = list_descriptors(pid, error);
    g_autoptr(GArray) protected = numbers ? list_ranges(pid, error) : NULL;
    int errnum = 0;

    if (!protected)
        return FALSE;
    if (process < 0)
        return vmp_fail_errno(error, errno, "cannot take hold of process %d", (int)pid);
    *ranges = free_ranges(process, numbers, protected, &errnum);
    if (*ranges > 0 || protected->len == 0)
        return TRUE;
    return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                    "the sleeping threads of process %d cannot be woken: %s", (int)pid,
                    g_strerror(errnum ? errnum : EINVAL));
}
