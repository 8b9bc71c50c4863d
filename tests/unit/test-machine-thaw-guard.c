/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/thaw-guard.h"

#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LONG_MS 60000

/* An agent's channel, of which the test has the other end, and a debt. */
typedef struct {
    int agent, guest;
    char *debt;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    int pair[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
    fixture->agent = pair[0];
    fixture->guest = pair[1];
    fixture->debt = g_strdup("/tmp/thaw-guard-XXXXXX");
    close(g_mkstemp(fixture->debt));
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    close(fixture->guest);
    g_unlink(fixture->debt);
    g_free(fixture->debt);
}

static VmpThawGuard *
make_guard(Fixture *fixture, int limit_ms)
{
    g_autoptr(GError) error = NULL;
    VmpThawGuard *guard = vmp_thaw_guard_new(fixture->agent, fixture->debt, limit_ms, &error);

    g_assert_no_error(error);
    /* From here on the guard alone has it. */
    close(fixture->agent);
    return guard;
}

/* All that comes until the guard hangs up, or until @text has come. */
static char *
hear(Fixture *fixture, const char *text)
{
    GString *heard = g_string_new(NULL);
    char bytes[256];
    gssize length;

    while (!(text && strstr(heard->str, text)) &&
           (length = read(fixture->guest, bytes, sizeof bytes)) > 0)
        g_string_append_len(heard, bytes, length);
    return g_string_free(heard, FALSE);
}

static void
answer(Fixture *fixture, const char *text)
{
    g_assert_cmpint(write(fixture->guest, text, strlen(text)), ==, strlen(text));
}

static void
one_that_is_dismissed_has_said_nothing(Fixture *fixture, gconstpointer data)
{
    vmp_thaw_guard_dismiss(make_guard(fixture, LONG_MS));

    /* It has let go already. */
    struct pollfd closed = { .fd = fixture->guest, .events = POLLIN };
    g_assert_cmpint(poll(&closed, 1, 0), ==, 1);
    g_autofree char *heard = hear(fixture, NULL);
    g_assert_cmpstr(heard, ==, "");
    g_assert_true(g_file_test(fixture->debt, G_FILE_TEST_EXISTS));
}

static void
one_that_is_left_thaws_and_pays_the_debt(Fixture *fixture, gconstpointer data)
{
    vmp_thaw_guard_leave(make_guard(fixture, LONG_MS));

    g_autofree char *heard = hear(fixture, "thaw\"}\n");
    g_assert_nonnull(strstr(heard, "\xff{\"execute\":\"guest-sync-delimited\""));
    g_assert_nonnull(strstr(heard, "guest-fsfreeze-thaw"));
    g_assert_true(g_file_test(fixture->debt, G_FILE_TEST_EXISTS));
    answer(fixture, "{\"return\": 2}\n\xff{\"return\": 1}\n{\"return\": 2}\n");
    G_GNUC_UNUSED g_autofree char *rest = hear(fixture, NULL);
    g_assert_false(g_file_test(fixture->debt, G_FILE_TEST_EXISTS));
}

static void
the_answer_to_the_freeze_does_not_pay_it(Fixture *fixture, gconstpointer data)
{
    vmp_thaw_guard_leave(make_guard(fixture, LONG_MS));

    G_GNUC_UNUSED g_autofree char *heard = hear(fixture, "thaw\"}\n");
    answer(fixture, "{\"return\": 2}\n{\"return\": 2}\n\xff{\"return\": 1}\n");
    shutdown(fixture->guest, SHUT_WR);
    G_GNUC_UNUSED g_autofree char *rest = hear(fixture, NULL);
    g_assert_true(g_file_test(fixture->debt, G_FILE_TEST_EXISTS));
}

static void
no_guest_stays_frozen_beyond_the_limit(Fixture *fixture, gconstpointer data)
{
    VmpThawGuard *guard = make_guard(fixture, 10);

    g_autofree char *heard = hear(fixture, NULL);
    g_assert_cmpstr(heard, ==, "{\"execute\":\"guest-fsfreeze-thaw\"}\n");
    g_assert_true(g_file_test(fixture->debt, G_FILE_TEST_EXISTS));
    vmp_thaw_guard_dismiss(guard);
}

#define GUARD_TEST(path, function) g_test_add(path, Fixture, NULL, set_up, function, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    GUARD_TEST("/machine/thaw-guard/one-that-is-dismissed-has-said-nothing",
               one_that_is_dismissed_has_said_nothing);
    GUARD_TEST("/machine/thaw-guard/one-that-is-left-thaws-and-pays-the-debt",
               one_that_is_left_thaws_and_pays_the_debt);
    GUARD_TEST("/machine/thaw-guard/the-answer-to-the-freeze-does-not-pay-it",
               the_answer_to_the_freeze_does_not_pay_it);
    GUARD_TEST("/machine/thaw-guard/no-guest-stays-frozen-beyond-the-limit",
               no_guest_stays_frozen_beyond_the_limit);
    return g_test_run();
}
