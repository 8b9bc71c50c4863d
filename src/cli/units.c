/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/units.h"

#include <string.h>
#include <time.h>
#include <vmpoint/error.h>

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

/* libvirt's words for units, whatever their case. */
static guint64
unit_of(const char *suffix, guint64 unit)
{
    static const char letters[] = "kmgtpe";

    if (*suffix == '\0')
        return unit;
    if (g_ascii_strcasecmp(suffix, "b") == 0 || g_ascii_strcasecmp(suffix, "byte") == 0 ||
        g_ascii_strcasecmp(suffix, "bytes") == 0)
        return 1;

    const char *letter = strchr(letters, g_ascii_tolower(*suffix));
    gboolean decimal = g_ascii_strcasecmp(suffix + 1, "b") == 0;
    if (!letter || (suffix[1] && !decimal && g_ascii_strcasecmp(suffix + 1, "ib") != 0))
        return 0;
    guint64 factor = 1;
    for (const char *at = letters; at <= letter; at++)
        factor *= decimal ? 1000 : 1024;
    return factor;
}

gboolean
vmp_parse_bytes(const char *text, guint64 unit, guint64 *bytes)
{
    char *end = NULL;
    guint64 number = g_ascii_strtoull(text, &end, 10);
    guint64 factor = g_ascii_isdigit(*text) ? unit_of(end, unit) : 0;

    return factor && g_uint64_checked_mul(bytes, number, factor);
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

gboolean
vmp_read_bandwidth(const char *text, guint64 *bandwidth, GError **error)
{
    guint64 mebibytes = 0;

    if (text && !g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64 >> 20, &mebibytes, NULL)) {
        g_set_error(error, VMP_ERROR, VMP_ERROR_INVALID,
                    "--bandwidth '%s' is no number of MiB/s", text);
        return FALSE;
    }
    *bandwidth = mebibytes << 20;
    return TRUE;
}
