/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <gio/gio.h>
#include <string.h>

#include "base/error.h"

static gboolean
inner(GError **error)
{
    return vmp_fail(error, VMP_ERROR_REFUSED, "QEMU says no");
}

static gboolean
outer(const char *name, GError **error)
{
    VMP_ERROR_CONTEXT(error, "disk '%s'", name);
    return inner(error);
}

static gboolean
succeeds(GError **error)
{
    VMP_ERROR_CONTEXT(error, "never seen");
    return TRUE;
}

static void
a_context_prefixes_what_leaves_its_function(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(outer("vda", &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_REFUSED);
    g_assert_cmpstr(error->message, ==, "disk 'vda': QEMU says no");
}

static gboolean
outermost(const char *disk, GError **error)
{
    VMP_ERROR_CONTEXT(error, "disk '%s'", disk);

    return outer(disk, error);
}

static void
a_context_that_is_there_already_is_not_said_again(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(outermost("vda", &error));
    g_assert_cmpstr(error->message, ==, "disk 'vda': QEMU says no");
}

static void
a_context_leaves_success_and_a_null_error_alone(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(succeeds(&error));
    g_assert_no_error(error);
    g_assert_false(outer("vda", NULL));
}

static void
errno_gives_a_code_that_says_what_to_do_next(void)
{
    static const struct {
        int errnum;
        int code;
    } cases[] = {
        { ENOENT, VMP_ERROR_NOT_FOUND },    { EEXIST, VMP_ERROR_EXISTS },
        { ENOSPC, VMP_ERROR_IO },           { EIO, VMP_ERROR_IO },
        { EACCES, VMP_ERROR_IO },           { EROFS, VMP_ERROR_IO },
        { ETIMEDOUT, VMP_ERROR_TIMED_OUT },
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(vmp_fail_errno(&error, cases[i].errnum, "cannot make '%s'", "/x"));
        g_assert_error(error, VMP_ERROR, cases[i].code);
        g_assert_true(g_str_has_prefix(error->message, "cannot make '/x': "));
        g_assert_nonnull(strstr(error->message, g_strerror(cases[i].errnum)));
    }
}

static void
an_adopted_error_keeps_its_text(void)
{
    g_autoptr(GError) error = g_error_new_literal(G_IO_ERROR, G_IO_ERROR_CANCELLED, "stopped");

    vmp_error_adopt(&error);
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INTERRUPTED);
    g_assert_cmpstr(error->message, ==, "stopped");
}

static void
every_code_has_a_name_of_its_own(void)
{
    static const int codes[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 130 };
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < G_N_ELEMENTS(codes); i++)
        g_assert_true(g_hash_table_add(names, (gpointer)vmp_error_code_name(codes[i])));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/error/a-context-prefixes-what-leaves-its-function",
                    a_context_prefixes_what_leaves_its_function);
    g_test_add_func("/base/error/a-context-that-is-there-already-is-not-said-again",
                    a_context_that_is_there_already_is_not_said_again);
    g_test_add_func("/base/error/a-context-leaves-success-and-a-null-error-alone",
                    a_context_leaves_success_and_a_null_error_alone);
    g_test_add_func("/base/error/errno-gives-a-code-that-says-what-to-do-next",
                    errno_gives_a_code_that_says_what_to_do_next);
    g_test_add_func("/base/error/an-adopted-error-keeps-its-text",
                    an_adopted_error_keeps_its_text);
    g_test_add_func("/base/error/every-code-has-a-name-of-its-own",
                    every_code_has_a_name_of_its_own);
    return g_test_run();
}
