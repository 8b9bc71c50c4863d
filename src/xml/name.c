/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/name.h"

#include <string.h>

#include "base/error.h"

#define QUOTE_MAX 80 /* characters */

char *
vmp_name_quote(const char *text)
{
    GString *quoted = g_string_new("'");
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    const char *at = valid;

    for (guint n = 0; *at && n < QUOTE_MAX; n++, at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);

        if (g_unichar_iscntrl(c))
            g_string_append_printf(quoted, "\\x%02x", c);
        else
            g_string_append_unichar(quoted, c);
    }
    g_string_append(quoted, *at ? "...'" : "'");
    return g_string_free(quoted, FALSE);
}

static gboolean
check_length(const char *name, const char *kind, GError **error)
{
    gsize length = strlen(name);

    if (length == 0)
        return vmp_fail(error, VMP_ERROR_INVALID, "%s name is empty", kind);
    if (length <= VMP_NAME_MAX)
        return TRUE;

    g_autofree char *quoted = vmp_name_quote(name);
    return vmp_fail(error, VMP_ERROR_INVALID,
                    "%s name %s has %zu bytes, at most %d are allowed", kind, quoted, length,
                    VMP_NAME_MAX);
}

static gboolean
has_control(const char *name)
{
    for (; *name; name = g_utf8_next_char(name))
        if (g_unichar_iscntrl(g_utf8_get_char(name)))
            return TRUE;
    return FALSE;
}

gboolean
vmp_snapshot_name_check(const char *name, GError **error)
{
    if (!check_length(name, "snapshot", error))
        return FALSE;

    g_autofree char *quoted = vmp_name_quote(name);
    if (!g_utf8_validate(name, -1, NULL))
        return vmp_fail(error, VMP_ERROR_INVALID, "snapshot name %s is not UTF-8", quoted);
    if (name[0] == '.')
        return vmp_fail(error, VMP_ERROR_INVALID, "snapshot name %s begins with '.'", quoted);
    if (strchr(name, '/'))
        return vmp_fail(error, VMP_ERROR_INVALID, "snapshot name %s contains '/'", quoted);
    if (has_control(name))
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "snapshot name %s contains a control character", quoted);
    return TRUE;
}

static gboolean
is_checkpoint_character(char c)
{
    return g_ascii_isalnum(c) || c == '_' || c == '-' || c == '.';
}

gboolean
vmp_checkpoint_name_check(const char *name, GError **error)
{
    if (!check_length(name, "checkpoint", error))
        return FALSE;

    g_autofree char *quoted = vmp_name_quote(name);
    if (name[0] == '.')
        return vmp_fail(error, VMP_ERROR_INVALID, "checkpoint name %s begins with '.'",
                        quoted);
    for (const char *at = name; *at; at++)
        if (!is_checkpoint_character(*at))
            return vmp_fail(
                error, VMP_ERROR_INVALID,
                "checkpoint name %s may have letters, digits, '_', '-' and '.' only", quoted);
    return TRUE;
}
