/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/units.h"

#include <time.h>

static void
bytes_get_the_largest_unit_that_fits(void)
{
    static const struct {
        guint64 bytes;
        const char *text;
    } cases[] = {
        { 0, "0.000 B" },
        { 1023, "1023.000 B" },
        { 1024, "1.000 KiB" },
        { 1536 * 1024, "1.500 MiB" },
        { 1099506450432, "1023.995 GiB" },
        { 1099511627776, "1.000 TiB" },
        { G_MAXUINT64, "16.000 EiB" },
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = vmp_format_bytes(cases[i].bytes);
        g_assert_cmpstr(text, ==, cases[i].text);
    }
}

static void
times_are_local(void)
{
    static const struct {
        const char *zone;
        gint64 seconds;
        const char *text;
    } cases[] = {
        { "UTC0", 0, "1970-01-01 00:00:00 +0000" },
        { "UTC0", 1272917631, "2010-05-03 20:13:51 +0000" },
        { "CET-1", 1272917631, "2010-05-03 21:13:51 +0100" },
        { "NST3:30", 0, "1969-12-31 20:30:00 -0330" },
        { "UTC0", -1, "1969-12-31 23:59:59 +0000" },
        { "UTC0", G_MAXINT64, "@9223372036854775807" },
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_setenv("TZ", cases[i].zone, TRUE);
        tzset();
        g_autofree char *text = vmp_format_time(cases[i].seconds);
        g_assert_cmpstr(text, ==, cases[i].text);
    }
}

static void
each_state_has_virshs_words(void)
{
    static const char *const words[] = {
        [VMP_STATE_NOSTATE] = "no state",     [VMP_STATE_RUNNING] = "running",
        [VMP_STATE_BLOCKED] = "idle",         [VMP_STATE_PAUSED] = "paused",
        [VMP_STATE_SHUTDOWN] = "in shutdown", [VMP_STATE_SHUTOFF] = "shut off",
        [VMP_STATE_CRASHED] = "crashed",      [VMP_STATE_PMSUSPENDED] = "pmsuspended",
    };

    for (guint i = 0; i < G_N_ELEMENTS(words); i++)
        g_assert_cmpstr(vmp_state_text((VmpState)i), ==, words[i]);
}

static void
sizes_are_read_as_virsh_reads_them(void)
{
    static const struct {
        const char *text;
        guint64 bytes;
    } good[] = {
        { "3", 3072 },
        { "3G", 3221225472 },
        { "512MiB", 536870912 },
        { "10MB", 10000000 },
        { "100b", 100 },
        { "7bytes", 7 },
        { "1kib", 1024 },
        { "2T", 2199023255552 },
        { "15e", G_GUINT64_CONSTANT(17293822569102704640) },
    };
    static const char *const bad[] = { "",    "x",   "-1",
                                       "3Gx", "3 G", "G",
                                       "16E", "3zb", "99999999999999999999" };
    guint64 bytes = 0;

    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        g_assert_true(vmp_parse_bytes(good[i].text, 1024, &bytes));
        g_assert_cmpuint(bytes, ==, good[i].bytes);
    }
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(vmp_parse_bytes(bad[i], 1024, &bytes));
}

static void
names_sort_without_regard_to_case(void)
{
    g_assert_cmpint(vmp_compare_names("a", "B"), <, 0);
    g_assert_cmpint(vmp_compare_names("b", "A"), >, 0);
    g_assert_cmpint(vmp_compare_names("a", "a"), ==, 0);
    /* Different names are never equal: the order has to be one. */
    g_assert_cmpint(vmp_compare_names("A", "a"), <, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/units/bytes-get-the-largest-unit-that-fits",
                    bytes_get_the_largest_unit_that_fits);
    g_test_add_func("/cli/units/sizes-are-read-as-virsh-reads-them",
                    sizes_are_read_as_virsh_reads_them);
    g_test_add_func("/cli/units/times-are-local", times_are_local);
    g_test_add_func("/cli/units/each-state-has-virshs-words", each_state_has_virshs_words);
    g_test_add_func("/cli/units/names-sort-without-regard-to-case",
                    names_sort_without_regard_to_case);
    return g_test_run();
}
