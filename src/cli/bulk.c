/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/bulk.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/input.h"
#include "cli/print.h"
#include "cli/session.h"

/* In so many bytes a root element begins, whatever comment stands in front of it. */
#define LOOK (64 * 1024)

void
vmp_document_clear(VmpDocument *document)
{
    if (document->fd > STDIN_FILENO)
        g_close(document->fd, NULL);
    document->fd = -1;
    g_clear_pointer(&document->title, g_free);
    if (document->seen)
        g_string_free(g_steal_pointer(&document->seen), TRUE);
}

gboolean
vmp_document_open(VmpDocument *document, const char *path, GError **error)
{
    gboolean is_stdin = g_str_equal(path, "-");

    *document = (VmpDocument){ .fd = STDIN_FILENO,
                               .title = g_strdup(is_stdin ? "standard input" : path),
                               .seen = g_string_new(NULL) };
    if (!is_stdin)
        document->fd = g_open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY, 0);
    if (document->fd >= 0)
        return TRUE;
    g_set_error(error, VMP_ERROR,
                errno == ENOENT || errno == ENOTDIR ? VMP_ERROR_NOT_FOUND : VMP_ERROR_IO,
                "cannot open '%s': %s", path, g_strerror(errno));
    return FALSE;
}

gssize
vmp_document_read(gpointer data, char *buffer, gsize size, GError **error)
{
    VmpDocument *document = data;
    gssize got;

    if (document->seen->len > 0) {
        gsize taken = MIN(size, document->seen->len);
        memcpy(buffer, document->seen->str, taken);
        g_string_erase(document->seen, 0, (gssize)taken);
        return (gssize)taken;
    }
    do {
        got = read(document->fd, buffer, size);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        g_set_error(error, VMP_ERROR, errno == EISDIR ? VMP_ERROR_INVALID : VMP_ERROR_IO,
                    "cannot read '%s': %s", document->title, g_strerror(errno));
    return got;
}

/* Behind blanks, the XML declaration and comments. */
static const char *
skip_prolog(const char *at)
{
    static const struct {
        const char *begin, *end;
    } passed[] = { { "\xef\xbb\xbf", "" }, { "<?", "?>" }, { "<!--", "-->" } };

    for (gsize i = 0; i < G_N_ELEMENTS(passed);) {
        while (g_ascii_isspace(*at))
            at++;
        if (!g_str_has_prefix(at, passed[i].begin)) {
            i++;
            continue;
        }
        at = strstr(at + strlen(passed[i].begin), passed[i].end);
        if (!at)
            return "";
        at += strlen(passed[i].end);
        i = 1;
    }
    return at;
}

gboolean
vmp_document_has_root(VmpDocument *document, const char *name)
{
    GString *seen = document->seen;
    gssize got = 1;

    while (seen->len < LOOK && got > 0) {
        char piece[4096];
        do {
            got = read(document->fd, piece, sizeof piece);
        } while (got < 0 && errno == EINTR);
        /* What goes wrong here goes wrong again when it is read. */
        g_string_append_len(seen, piece, MAX(got, 0));
    }
    const char *root = skip_prolog(seen->str);
    gsize length = strlen(name);

    return root[0] == '<' && strncmp(root + 1, name, length) == 0 &&
           (root[length + 1] == '\0' || strchr(" \t\r\n/>", root[length + 1]));
}

char *
vmp_document_read_text(VmpDocument *document, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *piece = g_malloc(LOOK);
    gssize got;

    while ((got = vmp_document_read(document, piece, LOOK, error)) > 0) {
        g_string_append_len(text, piece, got);
        if (text->len > VMP_INPUT_LIMIT) {
            g_set_error(error, VMP_ERROR, VMP_ERROR_INVALID,
                        "'%s' is longer than the %d MiB that a document may have",
                        document->title, VMP_INPUT_LIMIT / (1024 * 1024));
            return NULL;
        }
    }
    if (got < 0)
        return NULL;
    if (strlen(text->str) < text->len) {
        g_set_error(error, VMP_ERROR, VMP_ERROR_INVALID,
                    "'%s' is not XML: it contains a NUL byte", document->title);
        return NULL;
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

void
vmp_bulk_finish(VmpSession *session, const char *domain, const char *kind, gint64 count,
                const char *origin)
{
    json_object *result = vmp_result_new(domain, NULL);

    json_object_object_add(result, "count", json_object_new_int64(count));
    vmp_session_finish(session, result, "%" G_GINT64_FORMAT " domain %s%s created from '%s'",
                       count, kind, count == 1 ? "" : "s", origin);
}

static gboolean
write_out(gpointer data, const char *bytes, gsize length, GError **error)
{
    while (length > 0) {
        gssize written = write(STDOUT_FILENO, bytes, length);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            g_set_error(error, VMP_ERROR, VMP_ERROR_IO, "cannot write to standard output: %s",
                        g_strerror(errno));
            return FALSE;
        }
        bytes += written;
        length -= (gsize)written;
    }
    return TRUE;
}

static gboolean
collect(gpointer data, const char *bytes, gsize length, GError **error)
{
    g_string_append_len(data, bytes, (gssize)length);
    return TRUE;
}

gboolean
vmp_bulk_dump(VmpSession *session, const VmpArguments *arguments, VmpDumpFunc dump,
              GError **error)
{
    const char *domain = vmp_arguments_get(arguments, "domain");
    guint flags = vmp_arguments_get_bits(arguments);
    VmpHost *host = vmp_session_open(session, error);

    if (!host)
        return FALSE;
    if (!vmp_session_wants_json(session))
        return dump(host, domain, flags, write_out, NULL, error);

    g_autoptr(GString) xml = g_string_new(NULL);
    if (!dump(host, domain, flags, collect, xml, error))
        return FALSE;
    vmp_print_whole_xml(session, xml->str);
    return TRUE;
}
