/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/progress.h"

#include <glib-unix.h>
#include <string.h>
#include <unistd.h>

/* What @style writes for one report of two thirds, and then for the end of it. */
static char *
write_two(VmpProgressStyle style)
{
    int ends[2];
    char text[1024] = "";

    g_assert_true(g_unix_open_pipe(ends, FD_CLOEXEC, NULL));
    VmpProgress *progress = vmp_progress_new(ends[1], style);
    vmp_progress_report("copy \"vda\"", 2048, 3072, progress);
    vmp_progress_report("copy \"vda\"", 3072, 3072, progress);
    vmp_progress_report("copy \"vda\"", 3072, 3072, progress); /* nothing new */
    vmp_progress_free(progress);
    close(ends[1]);
    g_assert_cmpint(read(ends[0], text, sizeof text - 1), >, 0);
    close(ends[0]);
    return g_strdup(text);
}

static void
each_style_has_its_format(void)
{
    static const struct {
        VmpProgressStyle style;
        const char *text;
    } cases[] = {
        { VMP_PROGRESS_LINES, "copy \"vda\": 66%\ncopy \"vda\": 100%\n" },
        { VMP_PROGRESS_HUNDREDTHS, "66/100\n100/100\n" },
        { VMP_PROGRESS_BAR, "\rcopy \"vda\": 66%\033[K\rcopy \"vda\": 100%\033[K\r\033[K" },
        { VMP_PROGRESS_JSON,
          "{\"progress\":{\"what\":\"copy \\\"vda\\\"\",\"done\":2048,\"total\":3072}}\n"
          "{\"progress\":{\"what\":\"copy \\\"vda\\\"\",\"done\":3072,\"total\":3072}}\n" },
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = write_two(cases[i].style);
        g_assert_cmpstr(text, ==, cases[i].text);
    }
}

static void
many_reports_are_few_lines(void)
{
    int ends[2];
    char text[65536] = "";
    guint lines = 0;

    g_assert_true(g_unix_open_pipe(ends, FD_CLOEXEC, NULL));
    VmpProgress *progress = vmp_progress_new(ends[1], VMP_PROGRESS_HUNDREDTHS);
    gint64 start = g_get_monotonic_time();
    for (guint i = 0; i <= 100000; i++)
        vmp_progress_report("copy", i, 100000, progress);
    gint64 tenths = (g_get_monotonic_time() - start) * 10 / G_USEC_PER_SEC;
    vmp_progress_free(progress);
    close(ends[1]);
    g_assert_cmpint(read(ends[0], text, sizeof text - 1), >, 0);
    close(ends[0]);

    for (const char *p = text; (p = strchr(p, '\n')); p++)
        lines++;
    g_assert_cmpuint(lines, <=, (guint)tenths + 2);
    g_assert_true(g_str_has_prefix(text, "0/100\n"));
    g_assert_true(g_str_has_suffix(text, "\n100/100\n"));
}

static void
an_unknown_total_is_no_percentage(void)
{
    int ends[2];
    char text[256] = "";

    g_assert_true(g_unix_open_pipe(ends, FD_CLOEXEC, NULL));
    VmpProgress *hundredths = vmp_progress_new(ends[1], VMP_PROGRESS_HUNDREDTHS);
    VmpProgress *lines = vmp_progress_new(ends[1], VMP_PROGRESS_LINES);
    vmp_progress_report("save", 1536 * 1024, 0, hundredths);
    vmp_progress_report("save", 1536 * 1024, 0, lines);
    vmp_progress_free(hundredths);
    vmp_progress_free(lines);
    close(ends[1]);
    g_assert_cmpint(read(ends[0], text, sizeof text - 1), >, 0);
    close(ends[0]);
    g_assert_cmpstr(text, ==, "save: 1.500 MiB\n");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/progress/each-style-has-its-format", each_style_has_its_format);
    g_test_add_func("/cli/progress/many-reports-are-few-lines", many_reports_are_few_lines);
    g_test_add_func("/cli/progress/an-unknown-total-is-no-percentage",
                    an_unknown_total_is_no_percentage);
    return g_test_run();
}
