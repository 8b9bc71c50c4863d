/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/fault.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

typedef enum {
    FAULT_UNREAD,
    FAULT_NONE,
    FAULT_KILL,
    FAULT_FAIL,
    FAULT_STOP,
    FAULT_COUNT,
} FaultMode;

static FaultMode mode = FAULT_UNREAD;
static guint64 wanted;
static guint64 passed;

static void
print_count(void)
{
    g_printerr("fault points passed: %" G_GUINT64_FORMAT "\n", passed);
}

static FaultMode
read_mode(void)
{
    const char *value = g_getenv("VMPOINT_FAULT");

    if (!value)
        return FAULT_NONE;
    if (strcmp(value, "count") == 0) {
        atexit(print_count);
        return FAULT_COUNT;
    }
    if (g_str_has_prefix(value, "kill@") || g_str_has_prefix(value, "fail@") ||
        g_str_has_prefix(value, "stop@")) {
        wanted = g_ascii_strtoull(value + 5, NULL, 10);
        return value[0] == 'k' ? FAULT_KILL : value[0] == 's' ? FAULT_STOP : FAULT_FAIL;
    }
    return FAULT_NONE;
}

gboolean
vmp_fault(const char *where, GError **error)
{
    if (mode == FAULT_UNREAD)
        mode = read_mode();
    if (mode == FAULT_NONE)
        return TRUE;

    passed++;
    if (mode == FAULT_COUNT || passed != wanted)
        return TRUE;
    if (mode == FAULT_KILL)
        raise(SIGKILL);
    if (mode == FAULT_STOP)
        return raise(SIGSTOP) == 0;
    return vmp_fail(error, VMP_ERROR_IO, "fault injected at '%s'", where);
}
