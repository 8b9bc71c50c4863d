/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/units.h"

#include <string.h>
#include <time.h>

char *
vmp_format_bytes(guint64 bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double value = (double)bytes;
    guint unit = 0;

    while (value >= 1024 && unit + 1 < G_N_ELEMENTS(units)) {
        value /= 1024;
        unit++;
    }
    /* No locale is ever set: the decimal point is a point. */
    return g_strdup_printf("%.3f %s", value, units[unit]);
}

char *
vmp_format_time(gint64 seconds)
{
    time_t when = (time_t)seconds;
    struct tm local;
    char text[sizeof "-2147483648-12-31 23:59:59 +0000"];

    if (!localtime_r(&when, &local) ||
        !strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %z", &local))
        return g_strdup_printf("@%" G_GINT64_FORMAT, seconds);
    return g_strdup(text);
}

const char *
vmp_state_text(VmpState state)
{
    switch (state) {
    case VMP_STATE_NOSTATE:
        return "no state";
    case VMP_STATE_BLOCKED:
        return "idle";
    case VMP_STATE_SHUTDOWN:
        return "in shutdown";
    case VMP_STATE_SHUTOFF:
        return "shut off";
    case VMP_STATE_RUNNING:
    case VMP_STATE_PAUSED:
    case VMP_STATE_CRASHED:
    case VMP_STATE_PMSUSPENDED:
    case VMP_STATE_DISK_SNAPSHOT:
        return vmp_state_name(state);
    }
    return "no state";
}

const char *
vmp_format_boolean(gboolean value)
{
    return value ? "yes" : "no";
}

int
vmp_compare_names(const char *a, const char *b)
{
    int order = g_ascii_strcasecmp(a, b);

    return order != 0 ? order : strcmp(a, b);
}
