/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A document in the user's editor: $VISUAL, else $EDITOR, else vi.
 *
 * It is a file that nobody else can read, for it may hold passwords, and is taken away
 * afterwards.
 */

#include <glib.h>

/* What the user has made of @text; free with g_free().  VMP_ERROR_FAILED if the editor could
 * not be run or says that it failed. */
char *vmp_editor_edit(const char *text, GError **error);

/* Edits @text and hands the result to @use; when that fails, and there is somebody to ask,
 * asks whether to edit what was written again.  *changed is FALSE if the user left it as it
 * was, and
 * @use was not called. */
typedef gboolean (*VmpEditorFunc)(const char *edited, gpointer data, GError **error);
gboolean vmp_editor_apply(const char *text, VmpEditorFunc use, gpointer data,
                          gboolean *changed, GError **error);
