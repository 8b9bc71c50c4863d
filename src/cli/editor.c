/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/editor.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <vmpoint/error.h>

#include "cli/input.h"

static const char *
choose_editor(void)
{
    const char *visual = g_getenv("VISUAL"), *editor = g_getenv("EDITOR");

    if (visual && visual[0])
        return visual;
    return editor && editor[0] ? editor : "vi";
}

/* By a shell, for the variable may hold options; the path is an argument and nothing a shell
 * would read. */
static gboolean
run_editor(const char *path, GError **error)
{
    g_autofree char *script = g_strconcat(choose_editor(), " \"$1\"", NULL);
    const char *const argv[] = { "sh", "-c", script, "sh", path, NULL };
    g_autoptr(GError) failure = NULL;
    int status = 0;

    if (g_spawn_sync(NULL, (char **)argv, NULL,
                     G_SPAWN_SEARCH_PATH | G_SPAWN_CHILD_INHERITS_STDIN, NULL, NULL, NULL,
                     NULL, &status, &failure) &&
        g_spawn_check_wait_status(status, &failure))
        return TRUE;
    g_set_error(error, VMP_ERROR, VMP_ERROR_FAILED, "editor '%s': %s", choose_editor(),
                failure->message);
    return FALSE;
}

/* A file with @text, open to nobody else; its path.  Free with g_free(). */
static char *
make_file(const char *text, GError **error)
{
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "vmpoint-XXXXXX.xml", NULL);
    g_autoptr(GError) failure = NULL;
    int fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0 ||
        !g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, &failure)) {
        g_set_error(error, VMP_ERROR, VMP_ERROR_IO, "cannot write '%s' for the editor", path);
        if (fd >= 0) {
            g_close(fd, NULL);
            g_unlink(path);
        }
        return NULL;
    }
    g_close(fd, NULL);
    return g_steal_pointer(&path);
}

char *
vmp_editor_edit(const char *text, GError **error)
{
    g_autofree char *path = make_file(text, error);
    if (!path)
        return NULL;

    /* Many editors replace the file rather than write into it. */
    char *edited = run_editor(path, error) ? vmp_input_read_text(path, error) : NULL;
    g_unlink(path);
    return edited;
}

static gboolean
asks_for_another_try(const GError *failure)
{
    char answer[16] = "";

    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return FALSE;
    fprintf(stderr, "error: %s\nFailed. Try again? [y,n]: ", failure->message);
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

gboolean
vmp_editor_apply(const char *text, VmpEditorFunc use, gpointer data, gboolean *changed,
                 GError **error)
{
    g_autofree char *current = g_strdup(text);

    while (TRUE) {
        g_autoptr(GError) failure = NULL;
        g_autofree char *edited = vmp_editor_edit(current, error);

        if (!edited)
            return FALSE;
        *changed = strcmp(edited, text) != 0;
        if (!*changed || use(edited, data, &failure))
            return TRUE;
        if (!asks_for_another_try(failure)) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return FALSE;
        }
        g_free(current);
        current = g_steal_pointer(&edited);
    }
}
