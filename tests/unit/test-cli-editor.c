/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/editor.h"

#include <glib/gstdio.h>
#include <string.h>
#include <vmpoint/error.h>

static void
choose(const char *visual, const char *editor)
{
    if (visual)
        g_setenv("VISUAL", visual, TRUE);
    else
        g_unsetenv("VISUAL");
    g_setenv("EDITOR", editor, TRUE);
}

static void
the_editor_is_the_users_and_may_have_options(void)
{
    g_autoptr(GError) error = NULL;

    choose(NULL, "sed -i s/one/two/");
    g_autofree char *edited = vmp_editor_edit("one\n", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(edited, ==, "two\n");

    choose("sed -i s/one/three/", "false");
    g_autofree char *other = vmp_editor_edit("one\n", &error);
    g_assert_cmpstr(other, ==, "three\n");
}

static void
an_editor_that_fails_is_an_error(void)
{
    static const char *const editors[] = { "false", "/nonexistent/editor", "exit 3; :" };

    for (guint i = 0; i < G_N_ELEMENTS(editors); i++) {
        g_autoptr(GError) error = NULL;
        choose(NULL, editors[i]);
        g_assert_null(vmp_editor_edit("one\n", &error));
        g_assert_error(error, VMP_ERROR, VMP_ERROR_FAILED);
    }
}

typedef struct {
    char *seen;
    gboolean accept;
} Use;

static gboolean
use(const char *edited, gpointer data, GError **error)
{
    Use *use = data;

    g_free(use->seen);
    use->seen = g_strdup(edited);
    if (!use->accept)
        g_set_error(error, VMP_ERROR, VMP_ERROR_INVALID, "not like this");
    return use->accept;
}

static void
what_is_left_as_it_was_is_not_used(void)
{
    Use unused = { NULL, TRUE };
    gboolean changed = TRUE;
    g_autoptr(GError) error = NULL;

    choose(NULL, "true");
    g_assert_true(vmp_editor_apply("one\n", use, &unused, &changed, &error));
    g_assert_false(changed);
    g_assert_null(unused.seen);
}

/* Nobody is at a terminal here, so nobody is asked for another try. */
static void
what_was_made_of_it_is_used_and_may_be_refused(void)
{
    Use used = { NULL, TRUE };
    gboolean changed = FALSE;
    g_autoptr(GError) error = NULL;

    choose(NULL, "sed -i s/one/two/");
    g_assert_true(vmp_editor_apply("one\n", use, &used, &changed, &error));
    g_assert_true(changed);
    g_assert_cmpstr(used.seen, ==, "two\n");
    used.accept = FALSE;
    g_assert_false(vmp_editor_apply("one\n", use, &used, &changed, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
    g_free(used.seen);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/editor/the-editor-is-the-users-and-may-have-options",
                    the_editor_is_the_users_and_may_have_options);
    g_test_add_func("/cli/editor/an-editor-that-fails-is-an-error",
                    an_editor_that_fails_is_an_error);
    g_test_add_func("/cli/editor/what-is-left-as-it-was-is-not-used",
                    what_is_left_as_it_was_is_not_used);
    g_test_add_func("/cli/editor/what-was-made-of-it-is-used-and-may-be-refused",
                    what_was_made_of_it_is_used_and_may_be_refused);
    return g_test_run();
}
