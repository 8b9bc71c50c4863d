/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which restore points a policy keeps: a pure function of their times.
 *
 * A rule "daily 7" keeps the newest point of each of the 7 newest days *that have one*: days
 * on which nothing was made do not count.  Days, weeks (ISO), months and years are those of
 * the time zone given.  A point is kept if any rule keeps it.
 */

#include <vmpoint/repository.h>

typedef struct {
    gboolean keep;
    char *why; /* rules that keep it, or that none does */
} VmpRetention;

/* One decision a point, in the order of @times (of gint64, epoch milliseconds, oldest first).
 * @since is what the rule "within" comes to; 0 = there is no such rule.  Free the array with
 * g_ptr_array_unref(). */
GPtrArray *vmp_retention_decide(const VmpRetentionPolicy *policy, gint64 since,
                                const GArray *times, GTimeZone *zone);

/* Would the policy keep anything at all? */
gboolean vmp_retention_is_empty(const VmpRetentionPolicy *policy);

/* "3h", "2d", "1w", "6m", "1y", or several of them in a row: hours, days, weeks, months and
 * years back from @now in @zone.  INVALID. */
gboolean vmp_retention_parse_within(const char *text, gint64 now, GTimeZone *zone,
                                    gint64 *since, GError **error);
