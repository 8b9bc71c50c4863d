/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/retention.h"

#include "base/error.h"

static void
retention_free(VmpRetention *retention)
{
    g_free(retention->why);
    g_free(retention);
}

/* The calendar's name of the period that @time is in; points with one name are of one period.
 */
static char *
period_of(gint64 time, const char *format, GTimeZone *zone)
{
    g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc(time / 1000);
    g_autoptr(GDateTime) local = utc ? g_date_time_to_timezone(utc, zone) : NULL;

    return local ? g_date_time_format(local, format) : g_strdup("");
}

static void
keep(VmpRetention *retention, const char *rule, const char *period)
{
    g_autofree char *before = retention->why;

    retention->why = before ? g_strdup_printf("%s, %s %s", before, rule, period)
                            : g_strdup_printf("%s %s", rule, period);
    retention->keep = TRUE;
}

/* The newest point of each of the @count newest periods. */
static void
apply_rule(GPtrArray *decisions, const GArray *times, GTimeZone *zone, guint count,
           const char *rule, const char *format)
{
    g_autofree char *last = NULL;

    for (guint i = times->len; i > 0 && count > 0; i--) {
        g_autofree char *period = period_of(g_array_index(times, gint64, i - 1), format, zone);
        if (g_strcmp0(period, last) == 0)
            continue;
        keep(g_ptr_array_index(decisions, i - 1), rule, period);
        g_free(last);
        last = g_steal_pointer(&period);
        count--;
    }
}

static void
apply_last(GPtrArray *decisions, guint count)
{
    for (guint i = decisions->len; i > 0 && count > 0; i--, count--)
        keep(g_ptr_array_index(decisions, i - 1), "last", "");
}

static void
apply_within(GPtrArray *decisions, const GArray *times, gint64 since)
{
    for (guint i = 0; i < times->len; i++)
        if (g_array_index(times, gint64, i) >= since)
            keep(g_ptr_array_index(decisions, i), "within", "");
}

GPtrArray *
vmp_retention_decide(const VmpRetentionPolicy *policy, gint64 since, const GArray *times,
                     GTimeZone *zone)
{
    GPtrArray *decisions = g_ptr_array_new_with_free_func((GDestroyNotify)retention_free);

    for (guint i = 0; i < times->len; i++)
        g_ptr_array_add(decisions, g_new0(VmpRetention, 1));
    apply_last(decisions, policy->last);
    if (since)
        apply_within(decisions, times, since);
    apply_rule(decisions, times, zone, policy->hourly, "hourly", "%Y-%m-%d %H:00 %z");
    apply_rule(decisions, times, zone, policy->daily, "daily", "%Y-%m-%d");
    apply_rule(decisions, times, zone, policy->weekly, "weekly", "%G-W%V");
    apply_rule(decisions, times, zone, policy->monthly, "monthly", "%Y-%m");
    apply_rule(decisions, times, zone, policy->yearly, "yearly", "%Y");
    for (guint i = 0; i < decisions->len; i++) {
        VmpRetention *retention = g_ptr_array_index(decisions, i);
        if (retention->keep)
            g_strchomp(retention->why);
        else
            retention->why = g_strdup("no rule keeps it");
    }
    return decisions;
}

gboolean
vmp_retention_is_empty(const VmpRetentionPolicy *policy)
{
    return !policy->last && !policy->hourly && !policy->daily && !policy->weekly &&
           !policy->monthly && !policy->yearly && !policy->within;
}

static GDateTime *
go_back(GDateTime *from, int count, char unit)
{
    switch (unit) {
    case 'h':
        return g_date_time_add_hours(from, -count);
    case 'd':
        return g_date_time_add_days(from, -count);
    case 'w':
        return g_date_time_add_weeks(from, -count);
    case 'm':
        return g_date_time_add_months(from, -count);
    case 'y':
        return g_date_time_add_years(from, -count);
    default:
        return NULL;
    }
}

gboolean
vmp_retention_parse_within(const char *text, gint64 now, GTimeZone *zone, gint64 *since,
                           GError **error)
{
    g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc(now / 1000);
    g_autoptr(GDateTime) at = g_date_time_to_timezone(utc, zone);
    const char *rest = text;

    while (at && *rest) {
        char *end = NULL;
        guint64 count = g_ascii_isdigit(*rest) ? g_ascii_strtoull(rest, &end, 10) : 0;
        GDateTime *before =
            end && *end && count <= 100000 ? go_back(at, (int)count, *end) : NULL;
        g_date_time_unref(g_steal_pointer(&at));
        at = before;
        rest = before ? end + 1 : rest;
    }
    if (!at || rest == text)
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "'%s' is no time like 36h, 7d, 2w, 6m, 1y or 1y6m", text);
    *since = g_date_time_to_unix(at) * 1000;
    return TRUE;
}
