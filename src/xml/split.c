/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/split.h"

#include <string.h>

#include "base/error.h"
#include "xml/name.h"
#include "xml/scan.h"

#define PORTION ((gsize)64 * 1024)

struct _VmpXmlSplitter {
    VmpXmlReadFunc read;
    gpointer data;
    char *what;
    char *root;        /* its name as it is written; NULL until it was read */
    GByteArray *bytes; /* read and not yet let go */
    gsize begin;       /* of the piece in hand, in @bytes */
    guint line;        /* of @begin */
    guint64 total;
    gboolean at_end;    /* of the input */
    GError *failure;    /* why no more could be read; or NULL */
    gboolean is_closed; /* the root's end tag was seen */
};

VmpXmlSplitter *
vmp_xml_splitter_new(VmpXmlReadFunc read, gpointer data, const char *what)
{
    VmpXmlSplitter *splitter = g_new0(VmpXmlSplitter, 1);

    splitter->read = read;
    splitter->data = data;
    splitter->what = g_strdup(what);
    splitter->bytes = g_byte_array_new();
    splitter->line = 1;
    return splitter;
}

void
vmp_xml_splitter_free(VmpXmlSplitter *splitter)
{
    if (!splitter)
        return;
    g_free(splitter->what);
    g_free(splitter->root);
    g_clear_error(&splitter->failure);
    g_byte_array_unref(splitter->bytes);
    g_free(splitter);
}

/* ---- what is in hand; offsets count from @begin ---- */

static const char *
text_of(const VmpXmlSplitter *splitter)
{
    return (const char *)splitter->bytes->data + splitter->begin;
}

static gsize
available(const VmpXmlSplitter *splitter)
{
    return splitter->bytes->len - splitter->begin;
}

static gboolean
fail_at(const VmpXmlSplitter *splitter, gsize offset, GError **error, const char *why)
{
    guint line = splitter->line + vmp_xml_line_at(text_of(splitter), offset) - 1;

    return vmp_fail(error, VMP_ERROR_INVALID, "%s: line %u: %s", splitter->what, line, why);
}

static gboolean
read_portion(VmpXmlSplitter *splitter, GError **error)
{
    guint before = splitter->bytes->len;

    if (available(splitter) > VMP_XML_MAX_PIECE)
        return fail_at(splitter, 0, error, "an element is too long");
    if (splitter->total > VMP_XML_MAX_STREAM)
        return vmp_fail(error, VMP_ERROR_INVALID, "%s: more than %d MiB", splitter->what,
                        (int)(VMP_XML_MAX_STREAM >> 20));
    g_byte_array_set_size(splitter->bytes, before + (guint)PORTION);
    gssize got =
        splitter->read(splitter->data, (char *)splitter->bytes->data + before, PORTION, error);
    g_byte_array_set_size(splitter->bytes, before + (guint)MAX(got, 0));
    splitter->total += (guint64)MAX(got, 0);
    return got > 0;
}

/* Reads on.  FALSE, without @error at the end of the input. */
static gboolean
fill(VmpXmlSplitter *splitter, GError **error)
{
    if (!splitter->at_end && read_portion(splitter, &splitter->failure))
        return TRUE;
    splitter->at_end = TRUE;
    if (splitter->failure && error)
        *error = g_error_copy(splitter->failure);
    return FALSE;
}

/* Sees to it that there are @length bytes. */
static gboolean
demand(VmpXmlSplitter *splitter, gsize length, GError **error)
{
    g_autoptr(GError) failure = NULL;

    while (available(splitter) < length) {
        if (fill(splitter, &failure))
            continue;
        if (!failure)
            return fail_at(splitter, available(splitter), error,
                           "the document ends too early");
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    return TRUE;
}

static gboolean
starts_with(VmpXmlSplitter *splitter, gsize at, const char *text)
{
    gsize length = strlen(text);

    while (available(splitter) < at + length)
        if (!fill(splitter, NULL))
            return FALSE;
    return memcmp(text_of(splitter) + at, text, length) == 0;
}

/* Moves *@at behind the next @end from there on. */
static gboolean
skip_to(VmpXmlSplitter *splitter, gsize *at, const char *end, GError **error)
{
    gsize length = strlen(end);

    for (gsize from = *at;;) {
        const char *text = text_of(splitter);
        gsize size = available(splitter);
        const char *found = size > from ? memmem(text + from, size - from, end, length) : NULL;

        if (found) {
            *at = (gsize)(found - text) + length;
            return TRUE;
        }
        /* Its beginning may be there already. */
        from = MAX(from, size >= length ? size - length + 1 : 0);
        if (!demand(splitter, size + 1, error))
            return FALSE;
    }
}

/* Moves *@at behind the '>' of the tag that it is in. */
static gboolean
skip_tag(VmpXmlSplitter *splitter, gsize *at, GError **error)
{
    for (;;) {
        if (!demand(splitter, *at + 1, error))
            return FALSE;
        char c = text_of(splitter)[(*at)++];
        char quote[] = { c, '\0' };
        if (c == '>')
            return TRUE;
        if (c == '<')
            return fail_at(splitter, *at, error, "'<' in a tag");
        if ((c == '\'' || c == '"') && !skip_to(splitter, at, quote, error))
            return FALSE;
    }
}

/* Moves *@at, which stands on a '<', behind that markup. */
static gboolean
skip_markup(VmpXmlSplitter *splitter, gsize *at, int *deeper, GError **error)
{
    static const struct {
        const char *begin, *end;
    } closed[] = { { "<!--", "-->" }, { "<![CDATA[", "]]>" }, { "<?", "?>" } };

    *deeper = 0;
    for (guint i = 0; i < G_N_ELEMENTS(closed); i++)
        if (starts_with(splitter, *at, closed[i].begin)) {
            *at += strlen(closed[i].begin);
            return skip_to(splitter, at, closed[i].end, error);
        }
    if (starts_with(splitter, *at, "<!"))
        return fail_at(splitter, *at, error, "document types are not accepted");

    gboolean ends = starts_with(splitter, *at, "</");
    *at += 1;
    if (!skip_tag(splitter, at, error))
        return FALSE;
    gboolean is_empty = text_of(splitter)[*at - 2] == '/';
    *deeper = ends ? -1 : is_empty ? 0 : 1;
    return TRUE;
}

/* Lets go of the first @length bytes. */
static void
let_go(VmpXmlSplitter *splitter, gsize length)
{
    splitter->line += vmp_xml_line_at(text_of(splitter), length) - 1;
    splitter->begin += length;
    if (splitter->begin < PORTION)
        return;
    g_byte_array_remove_range(splitter->bytes, 0, (guint)splitter->begin);
    splitter->begin = 0;
}

/* Lets go of blanks.  FALSE with @error, or at the end of the input. */
static gboolean
skip_blanks(VmpXmlSplitter *splitter, GError **error)
{
    for (;;) {
        gsize blanks = 0;
        while (blanks < available(splitter) && strchr(" \t\r\n", text_of(splitter)[blanks]) &&
               text_of(splitter)[blanks] != '\0')
            blanks++;
        let_go(splitter, blanks);
        if (available(splitter) > 0)
            return TRUE;
        if (!fill(splitter, error))
            return FALSE;
    }
}

/* ---- the root ---- */

static gboolean
find_root(VmpXmlSplitter *splitter, gsize *start, gsize *end, GError **error)
{
    gsize at = 0;

    for (int deeper;; at = *end) {
        if (!skip_to(splitter, &at, "<", error))
            return FALSE;
        *start = *end = at - 1;
        gboolean is_other =
            starts_with(splitter, *start, "<!--") || starts_with(splitter, *start, "<?");
        if (!skip_markup(splitter, end, &deeper, error))
            return FALSE;
        if (!is_other)
            return TRUE;
    }
}

static char *
dup_name(const char *at, const char *end)
{
    return g_strndup(at, (gsize)(vmp_xml_skip_name(at, end) - at));
}

VmpXmlDoc *
vmp_xml_splitter_read_root(VmpXmlSplitter *splitter, GError **error)
{
    gsize start, end;

    if (!find_root(splitter, &start, &end, error))
        return NULL;
    const char *text = text_of(splitter);
    gboolean is_empty = text[end - 2] == '/';
    g_autofree char *alone = g_strdup_printf("%.*s/>", (int)(end - (is_empty ? 2 : 1)), text);
    g_autoptr(VmpXmlDoc) doc = vmp_xml_parse(alone, -1, NULL, splitter->what, error);
    if (!doc)
        return NULL;

    splitter->root = dup_name(text + start + 1, text + end);
    splitter->is_closed = is_empty;
    let_go(splitter, end);
    return g_steal_pointer(&doc);
}

/* ---- pieces ---- */

static gboolean
find_element(VmpXmlSplitter *splitter, gsize *end, GError **error)
{
    guint depth = 0;
    int deeper;

    for (*end = 0;; *end -= 1) {
        if (!skip_markup(splitter, end, &deeper, error))
            return FALSE;
        depth += (guint)deeper;
        if (depth == 0)
            return TRUE;
        if (depth > VMP_XML_MAX_DEPTH)
            return fail_at(splitter, *end, error, "elements are nested too deeply");
        if (!skip_to(splitter, end, "<", error))
            return FALSE;
    }
}

/* The root's end tag, which must be the last thing. */
static gboolean
close_root(VmpXmlSplitter *splitter, GError **error)
{
    gsize end = 2;

    if (!skip_to(splitter, &end, ">", error))
        return FALSE;
    g_autofree char *name = g_strndup(text_of(splitter) + 2, end - 3);
    if (strcmp(g_strchomp(name), splitter->root) != 0)
        return fail_at(splitter, 0, error, "an end tag that is not the root's");
    splitter->is_closed = TRUE;
    let_go(splitter, end);
    return TRUE;
}

static gboolean
check_nothing_follows(VmpXmlSplitter *splitter, GError **error)
{
    g_autoptr(GError) failure = NULL;

    if (skip_blanks(splitter, &failure))
        return fail_at(splitter, 0, error, "something follows the root element");
    if (!failure)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

gboolean
vmp_xml_splitter_next(VmpXmlSplitter *splitter, VmpXmlPiece *piece, GError **error)
{
    g_autoptr(GError) failure = NULL;

    *piece = (VmpXmlPiece){ 0 };
    if (splitter->is_closed)
        return check_nothing_follows(splitter, error);
    if (!skip_blanks(splitter, &failure) && failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    if (!demand(splitter, 2, error))
        return FALSE;
    if (starts_with(splitter, 0, "</"))
        return close_root(splitter, error) && check_nothing_follows(splitter, error);
    if (text_of(splitter)[0] != '<' || strchr("!?", text_of(splitter)[1]))
        return fail_at(splitter, 0, error,
                       "neither an element nor the end of the root element");

    gsize end;
    if (!find_element(splitter, &end, error))
        return FALSE;
    piece->line = splitter->line;
    piece->length = end;
    let_go(splitter, 0);
    piece->text = text_of(splitter);
    splitter->line += vmp_xml_line_at(piece->text, end) - 1;
    splitter->begin += end;
    return TRUE;
}

/* ---- an element of text ---- */

gboolean
vmp_xml_piece_is(const VmpXmlPiece *piece, const char *name)
{
    const char *at = piece->text + 1;
    gsize length = (gsize)(vmp_xml_skip_name(at, piece->text + piece->length) - at);

    return length == strlen(name) && memcmp(at, name, length) == 0;
}

static gboolean
is_character(gunichar c)
{
    return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c <= 0xd7ff) ||
           (c >= 0xe000 && c <= 0x10ffff && c != 0xfffe && c != 0xffff);
}

static gboolean
read_number(const char *digits, gunichar *c)
{
    guint64 value;
    gboolean hexadecimal = *digits == 'x';

    if (!g_ascii_string_to_unsigned(digits + hexadecimal, hexadecimal ? 16 : 10, 1, 0x10ffff,
                                    &value, NULL))
        return FALSE;
    *c = (gunichar)value;
    return is_character(*c);
}

/* @at stands behind a '&'.  Returns what stands behind the reference; NULL if it is none. */
static const char *
read_reference(const char *at, const char *end, gunichar *c)
{
    static const struct {
        const char *name;
        gunichar c;
    } entities[] = {
        { "lt", '<' }, { "gt", '>' }, { "amp", '&' }, { "quot", '"' }, { "apos", '\'' }
    };
    const char *semicolon = memchr(at, ';', MIN((gsize)(end - at), 12));
    g_autofree char *name = semicolon ? g_strndup(at, (gsize)(semicolon - at)) : NULL;

    if (name && name[0] == '#')
        return read_number(name + 1, c) ? semicolon + 1 : NULL;
    for (guint i = 0; name && i < G_N_ELEMENTS(entities); i++)
        if (strcmp(name, entities[i].name) == 0) {
            *c = entities[i].c;
            return semicolon + 1;
        }
    return NULL;
}

/* Returns where @text cannot be read, NULL if it could. */
static const char *
decode(const char *at, const char *end, GString *text)
{
    while (at < end) {
        const char *from = at;
        gunichar c = 0;

        while (at < end && ((guchar)*at >= 0x20 || *at == '\n' || *at == '\t') && *at != '&' &&
               *at != '<' && (guchar)*at != 0xef)
            at++;
        g_string_append_len(text, from, at - from);
        if (at == end)
            break;

        const char *next;
        if (*at == '&') {
            next = read_reference(at + 1, end, &c);
        } else if (*at == '\r') { /* line ends are one character, however they were written */
            next = at + 1 < end && at[1] == '\n' ? at + 2 : at + 1;
            c = '\n';
        } else {
            c = (guchar)*at == 0xef ? g_utf8_get_char(at) : 0;
            next = is_character(c) ? g_utf8_next_char(at) : NULL;
        }
        if (!next)
            return at;
        g_string_append_unichar(text, c);
        at = next;
    }
    return NULL;
}

static gboolean
fail_in_piece(const VmpXmlPiece *piece, const char *at, const char *what, const char *why,
              GError **error)
{
    guint line = piece->line + vmp_xml_line_at(piece->text, (gsize)(at - piece->text)) - 1;

    return vmp_fail(error, VMP_ERROR_INVALID, "%s: line %u: %s", what, line, why);
}

/* Decodes what stands between the tags. */
static char *
read_content(const VmpXmlPiece *piece, const char *from, const char *what, gsize *length,
             GError **error)
{
    const char *end = piece->text + piece->length;
    const char *to = memrchr(from, '<', (gsize)(end - from));
    const char *bad = NULL;

    /* skip_markup() has seen to it that a piece ends with an end tag. */
    g_autofree char *name = dup_name(to + 2, end);
    g_autofree char *tail =
        g_strndup(to + 2 + strlen(name), (gsize)(end - to) - 2 - strlen(name));
    if (strcmp(g_strstrip(tail), ">") != 0 || !vmp_xml_piece_is(piece, name)) {
        fail_in_piece(piece, to, what, "the end tag is not that of its element", error);
        return NULL;
    }
    if (!g_utf8_validate_len(from, (gsize)(to - from), &bad)) {
        fail_in_piece(piece, bad, what, *bad == '\0' ? "a NUL byte" : "not UTF-8", error);
        return NULL;
    }
    g_autoptr(GString) text = g_string_sized_new((gsize)(to - from));
    bad = decode(from, to, text);
    if (bad) {
        fail_in_piece(piece, bad, what, "neither a character nor a reference to one", error);
        return NULL;
    }
    *length = text->len;
    return g_string_free(g_steal_pointer(&text), FALSE);
}

VmpXmlDoc *
vmp_xml_piece_read_text(const VmpXmlPiece *piece, const char *what, char **text, gsize *length,
                        GError **error)
{
    const char *end = piece->text + piece->length;
    const char *at = vmp_xml_skip_name(piece->text + 1, end);
    VmpXmlAttributeSpan attribute;

    while (vmp_xml_scan_attribute(&at, end, &attribute))
        continue;
    if (!at) {
        fail_in_piece(piece, piece->text, what, "a start tag that is not well-formed", error);
        return NULL;
    }
    gboolean is_empty = *at == '/';
    g_autofree char *tag = g_strdup_printf("%.*s/>", (int)(at - piece->text), piece->text);
    g_autoptr(VmpXmlDoc) doc = vmp_xml_parse_part(tag, -1, piece->line, NULL, what, error);
    if (!doc)
        return NULL;

    *text = is_empty ? g_strdup("") : read_content(piece, at + 1, what, length, error);
    if (is_empty)
        *length = 0;
    return *text ? g_steal_pointer(&doc) : NULL;
}
