/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>
#include <vmpoint/error.h>

#define PIECE (64 * 1024)

static gboolean
fail_errno(GError **error, int errnum, const char *what, const char *path)
{
    int code = VMP_ERROR_IO;

    if (errnum == ENOENT || errnum == ENOTDIR)
        code = VMP_ERROR_NOT_FOUND;
    else if (errnum == EISDIR)
        code = VMP_ERROR_INVALID;
    g_set_error(error, VMP_ERROR, code, "cannot %s '%s': %s", what, path, g_strerror(errnum));
    return FALSE;
}

static gboolean
read_piece(int fd, const char *path, GByteArray *bytes, gboolean *end, GError **error)
{
    guint before = bytes->len;
    gssize got;

    g_byte_array_set_size(bytes, before + PIECE);
    do {
        got = read(fd, bytes->data + before, PIECE);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return fail_errno(error, errno, "read", path);

    g_byte_array_set_size(bytes, before + (guint)got);
    *end = got == 0;
    return TRUE;
}

static gboolean
read_all(int fd, const char *path, GByteArray *bytes, GError **error)
{
    for (gboolean end = FALSE; !end;) {
        if (!read_piece(fd, path, bytes, &end, error))
            return FALSE;
        if (bytes->len > VMP_INPUT_LIMIT) {
            g_set_error(error, VMP_ERROR, VMP_ERROR_INVALID,
                        "'%s' is longer than the %d MiB that a document may have", path,
                        VMP_INPUT_LIMIT / (1024 * 1024));
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
is_standard_input(const char *path)
{
    return g_str_equal(path, "-");
}

/* How a message calls it. */
static const char *
title_of(const char *path)
{
    return is_standard_input(path) ? "standard input" : path;
}

char *
vmp_input_read(const char *path, gsize *length, GError **error)
{
    gboolean is_stdin = is_standard_input(path);
    int fd = is_stdin ? STDIN_FILENO : g_open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY, 0);

    if (fd < 0) {
        fail_errno(error, errno, "open", path);
        return NULL;
    }
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    gboolean complete = read_all(fd, title_of(path), bytes, error);
    if (!is_stdin)
        g_close(fd, NULL);
    if (!complete)
        return NULL;

    *length = bytes->len;
    g_byte_array_append(bytes, (const guint8 *)"", 1);
    return (char *)g_byte_array_free(g_steal_pointer(&bytes), FALSE);
}

char *
vmp_input_read_text(const char *path, GError **error)
{
    gsize length = 0;
    g_autofree char *text = vmp_input_read(path, &length, error);

    if (text && strlen(text) < length) {
        g_set_error(error, VMP_ERROR, VMP_ERROR_INVALID,
                    "'%s' is not XML: it contains a NUL byte", title_of(path));
        return NULL;
    }
    return g_steal_pointer(&text);
}
