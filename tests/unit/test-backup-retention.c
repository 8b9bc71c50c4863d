/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/retention.h"

#include <string.h>

#include "base/error.h"

/* Points at these local times, by what is kept of them: one letter a point. */
static char *
decide(const VmpRetentionPolicy *policy, const char *zone_name, const char *const *times)
{
    g_autoptr(GTimeZone) zone = g_time_zone_new_identifier(zone_name);
    g_autoptr(GArray) instants = g_array_new(FALSE, FALSE, sizeof(gint64));
    GString *kept = g_string_new(NULL);

    g_assert_nonnull(zone);
    for (guint i = 0; times[i]; i++) {
        g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(times[i], zone);
        g_assert_nonnull(time);
        gint64 instant = g_date_time_to_unix(time) * 1000;
        g_array_append_val(instants, instant);
    }
    g_autoptr(GPtrArray) decisions = vmp_retention_decide(policy, 0, instants, zone);
    g_assert_cmpuint(decisions->len, ==, instants->len);
    for (guint i = 0; i < decisions->len; i++) {
        const VmpRetention *retention = g_ptr_array_index(decisions, i);
        g_assert_nonnull(retention->why);
        g_string_append_c(kept, retention->keep ? 'k' : '.');
    }
    return g_string_free(kept, FALSE);
}

static void
check(const VmpRetentionPolicy *policy, const char *zone, const char *const *times,
      const char *expected)
{
    g_autofree char *kept = decide(policy, zone, times);

    g_assert_cmpstr(kept, ==, expected);
}

static void
a_rule_keeps_the_newest_of_each_period_that_has_one(void)
{
    const char *const times[] = { "2026-01-01T01:00:00", "2026-01-01T23:00:00",
                                  "2026-01-02T01:00:00", "2026-01-09T01:00:00",
                                  "2026-01-09T02:00:00", NULL };

    check(&(VmpRetentionPolicy){ .daily = 1 }, "UTC", times, "....k");
    check(&(VmpRetentionPolicy){ .daily = 2 }, "UTC", times, "..k.k");
    check(&(VmpRetentionPolicy){ .daily = 9 }, "UTC", times, ".kk.k");
    check(&(VmpRetentionPolicy){ .hourly = 2 }, "UTC", times, "...kk");
    check(&(VmpRetentionPolicy){ .last = 1, .daily = 1 }, "UTC", times, "....k");
    check(&(VmpRetentionPolicy){ .last = 3 }, "UTC", times, "..kkk");
    check(&(VmpRetentionPolicy){ .last = 99 }, "UTC", times, "kkkkk");
    check(&(VmpRetentionPolicy){ .monthly = 5 }, "UTC", times, "....k");
    check(&(VmpRetentionPolicy){ 0 }, "UTC", times, ".....");
    check(&(VmpRetentionPolicy){ .last = 1 }, "UTC", (const char *const[]){ NULL }, "");
}

static void
weeks_are_those_of_iso_8601_and_years_those_of_the_calendar(void)
{
    /* The last days of 2026 are in week 53, which goes on into January. */
    const char *const times[] = { "2026-12-27T12:00:00", "2026-12-28T12:00:00",
                                  "2026-12-31T12:00:00", "2027-01-03T12:00:00",
                                  "2027-01-04T12:00:00", NULL };

    check(&(VmpRetentionPolicy){ .weekly = 3 }, "UTC", times, "k..kk");
    check(&(VmpRetentionPolicy){ .yearly = 2 }, "UTC", times, "..k.k");
    check(&(VmpRetentionPolicy){ .monthly = 2 }, "UTC", times, "..k.k");
}

static void
days_are_those_of_the_zone_whatever_the_clock_does(void)
{
    /* One instant after the other, all of one day in Berlin, on which an hour was skipped. */
    const char *const spring[] = { "2026-03-28T23:30:00Z", "2026-03-29T00:30:00Z",
                                   "2026-03-29T01:30:00Z", "2026-03-29T21:30:00Z",
                                   "2026-03-29T22:30:00Z", NULL };
    /* 02:30 twice: two different hours of one day. */
    const char *const autumn[] = { "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z",
                                   "2026-10-25T22:59:00Z", "2026-10-25T23:30:00Z", NULL };

    check(&(VmpRetentionPolicy){ .daily = 9 }, "Europe/Berlin", spring, "...kk");
    check(&(VmpRetentionPolicy){ .daily = 9 }, "UTC", spring, "k...k");
    check(&(VmpRetentionPolicy){ .hourly = 9 }, "Europe/Berlin", autumn, "kkkk");
    check(&(VmpRetentionPolicy){ .daily = 9 }, "Europe/Berlin", autumn, "..kk");
    check(&(VmpRetentionPolicy){ .daily = 1 }, "Europe/Berlin", autumn, "...k");
}

static void
all_within_a_time_are_kept(void)
{
    g_autoptr(GTimeZone) zone = g_time_zone_new_utc();
    const gint64 now = G_GINT64_CONSTANT(1774915200000); /* 2026-03-31T00:00:00Z */
    const struct {
        const char *text;
        gint64 seconds;
    } times[] = { { "36h", 36 * 3600 }, { "7d", 7 * 86400 },   { "2w", 14 * 86400 },
                  { "1m", 31 * 86400 }, { "1y", 365 * 86400 }, { "1d12h", 36 * 3600 } };
    const char *const bad[] = { "", "d", "7", "7x", "-1d", "1d ", "d7", "99999999999999d" };
    gint64 since = 0;

    for (guint i = 0; i < G_N_ELEMENTS(times); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_true(vmp_retention_parse_within(times[i].text, now, zone, &since, &error));
        /* A month before the 31st of March is the last of February. */
        gint64 expected = g_str_equal(times[i].text, "1m") ? 31 * 86400 : times[i].seconds;
        g_assert_cmpint((now - since) / 1000, ==, expected);
    }
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(vmp_retention_parse_within(bad[i], now, zone, &since, &error));
        g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
    }

    g_autoptr(GArray) instants = g_array_new(FALSE, FALSE, sizeof(gint64));
    for (gint64 i = 1; i <= 4; i++)
        g_array_append_val(instants, i);
    g_autoptr(GPtrArray) decisions =
        vmp_retention_decide(&(VmpRetentionPolicy){ .within = "x" }, 3, instants, zone);
    for (guint i = 0; i < 4; i++)
        g_assert_cmpint(((VmpRetention *)g_ptr_array_index(decisions, i))->keep, ==, i >= 2);
}

static void
more_rules_never_keep_less(void)
{
    g_autoptr(GTimeZone) zone = g_time_zone_new_utc();

    for (guint round = 0; round < 200; round++) {
        g_autoptr(GArray) instants = g_array_new(FALSE, FALSE, sizeof(gint64));
        gint64 at = G_GINT64_CONSTANT(1700000000000);
        for (guint i = 0; i < 40; i++) {
            at += (gint64)g_test_rand_int_range(1, 5 * 86400) * 1000;
            g_array_append_val(instants, at);
        }
        VmpRetentionPolicy less = { .daily = (guint)g_test_rand_int_range(0, 9),
                                    .weekly = (guint)g_test_rand_int_range(0, 9) };
        VmpRetentionPolicy more = less;
        more.daily++;
        more.monthly = 3;
        g_autoptr(GPtrArray) few = vmp_retention_decide(&less, 0, instants, zone);
        g_autoptr(GPtrArray) many = vmp_retention_decide(&more, 0, instants, zone);
        guint days = 0;
        for (guint i = 0; i < few->len; i++) {
            const VmpRetention *one = g_ptr_array_index(few, i);
            const VmpRetention *other = g_ptr_array_index(many, i);
            g_assert_true(!one->keep || other->keep);
            days += strstr(one->why, "daily") != NULL;
        }
        g_assert_cmpuint(days, ==, less.daily);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/backup/retention/periods",
                    a_rule_keeps_the_newest_of_each_period_that_has_one);
    g_test_add_func("/backup/retention/calendar",
                    weeks_are_those_of_iso_8601_and_years_those_of_the_calendar);
    g_test_add_func("/backup/retention/zone",
                    days_are_those_of_the_zone_whatever_the_clock_does);
    g_test_add_func("/backup/retention/within", all_within_a_time_are_kept);
    g_test_add_func("/backup/retention/monotone", more_rules_never_keep_less);
    return g_test_run();
}
