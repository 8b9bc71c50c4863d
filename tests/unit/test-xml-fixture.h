/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the tests of the xml layer share. */

#include <glib.h>
#include <string.h>

#include "base/error.h"

/* A file of tests/data/xml; free with g_free().  Not inline: gcc 12 then takes what
 * points into the result for a pointer to the local variable. */
G_NO_INLINE G_GNUC_UNUSED static char *
read_data(const char *name)
{
    const char *data = g_getenv("VMPOINT_TEST_DATA"); /* tests/data; meson sets it */
    g_assert_nonnull(data);
    g_autofree char *path = g_build_filename(data, "xml", name, NULL);
    g_autoptr(GError) error = NULL;
    char *text = NULL;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    return text;
}

/* @error is INVALID and its message has @part in it. */
static inline void
assert_invalid(const GError *error, const char *part)
{
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
    if (!strstr(error->message, part))
        g_error("'%s' is not in the message '%s'", part, error->message);
    g_assert_true(g_utf8_validate(error->message, -1, NULL));
    g_assert_cmpuint(strlen(error->message), <, 1000);
}

/* @text with the first @old replaced by @new; free with g_free(). */
static inline char *
replace(const char *text, const char *old, const char *new)
{
    const char *at = strstr(text, old);

    g_assert_nonnull(at);
    return g_strdup_printf("%.*s%s%s", (int)(at - text), text, new, at + strlen(old));
}

/* @count times @piece; free with g_free(). */
static inline char *
repeat(const char *piece, gsize count)
{
    gsize length = strlen(piece);
    char *text = g_malloc(length * count + 1);

    for (gsize i = 0; i < count; i++)
        memcpy(text + i * length, piece, length);
    text[length * count] = '\0';
    return text;
}
