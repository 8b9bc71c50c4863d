/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/scan.h"

#include <string.h>

#include "base/error.h"
#include "xml/reader.h"

typedef struct {
    guint span;       /* index of its span */
    guint namespaces; /* declared by it */
} Open;

typedef struct {
    const char *text;
    const char *end;
    const char *at;
    const char *counted; /* newlines up to here are in line */
    guint line;
    guint depth;
    guint namespaces; /* in scope */
    guint markup;
    Open open[VMP_XML_MAX_DEPTH];
    GArray *spans;
} Scan;

guint
vmp_xml_line_at(const char *text, gsize offset)
{
    guint line = 1;

    for (const char *at = text; (at = memchr(at, '\n', offset - (gsize)(at - text))); at++)
        line++;
    return line;
}

static guint
line_here(Scan *scan)
{
    while (scan->counted < scan->at) {
        const char *newline = memchr(scan->counted, '\n', (gsize)(scan->at - scan->counted));

        if (!newline) {
            scan->counted = scan->at;
            break;
        }
        scan->line++;
        scan->counted = newline + 1;
    }
    return scan->line;
}

static gboolean
refuse(Scan *scan, const char *reason, GError **error)
{
    return vmp_fail(error, VMP_ERROR_INVALID, "line %u: %s", line_here(scan), reason);
}

static gboolean
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *
skip_blanks(const char *at, const char *end)
{
    while (at < end && is_blank(*at))
        at++;
    return at;
}

const char *
vmp_xml_skip_name(const char *at, const char *end)
{
    while (at < end && !is_blank(*at) && !strchr("=/><'\"", *at))
        at++;
    return at;
}

gboolean
vmp_xml_scan_attribute(const char **at, const char *end, VmpXmlAttributeSpan *attribute)
{
    const char *name = skip_blanks(*at, end);

    *at = name;
    if (name < end && (*name == '>' || *name == '/'))
        return FALSE;

    const char *name_end = vmp_xml_skip_name(name, end);
    const char *equals = skip_blanks(name_end, end);
    const char *quote = equals < end ? skip_blanks(equals + 1, end) : end;

    *at = NULL;
    if (name_end == name || quote >= end || *equals != '=' ||
        (*quote != '\'' && *quote != '"'))
        return FALSE;

    const char *close = memchr(quote + 1, *quote, (gsize)(end - quote - 1));
    if (!close)
        return FALSE;

    *attribute = (VmpXmlAttributeSpan){
        .name = name,
        .name_length = (gsize)(name_end - name),
        .value = quote + 1,
        .value_length = (gsize)(close - quote - 1),
    };
    *at = close + 1;
    return TRUE;
}

static gboolean
starts_with(const Scan *scan, const char *prefix)
{
    gsize length = strlen(prefix);

    return (gsize)(scan->end - scan->at) >= length && memcmp(scan->at, prefix, length) == 0;
}

static gboolean
skip_past(Scan *scan, const char *opener, const char *closer, GError **error)
{
    const char *from = scan->at + strlen(opener);
    const char *found = g_strstr_len(from, scan->end - from, closer);

    if (!found)
        return refuse(scan, "markup is not closed", error);
    scan->at = found + strlen(closer);
    return TRUE;
}

static gboolean
is_namespace(const VmpXmlAttributeSpan *attribute)
{
    return attribute->name_length >= 5 && memcmp(attribute->name, "xmlns", 5) == 0;
}

/* Moves to the '>' or "/>" of a start tag; counts what stands in it. */
static gboolean
scan_attributes(Scan *scan, guint *namespaces, GError **error)
{
    VmpXmlAttributeSpan attribute;
    const char *at = vmp_xml_skip_name(scan->at + 1, scan->end);
    guint count = 0;

    while (vmp_xml_scan_attribute(&at, scan->end, &attribute)) {
        if (++count > VMP_XML_MAX_ATTRIBUTES)
            return refuse(scan, "too many attributes in one element", error);
        *namespaces += is_namespace(&attribute);
    }
    if (!at || at == scan->end)
        return refuse(scan, "malformed tag", error);

    scan->markup += count;
    scan->at = at;
    return TRUE;
}

static gboolean
scan_start_tag(Scan *scan, GError **error)
{
    VmpXmlSpan span = { .start = (guint32)(scan->at - scan->text), .line = line_here(scan) };
    guint namespaces = 0;

    if (scan->depth == VMP_XML_MAX_DEPTH)
        return refuse(scan, "elements are nested too deeply", error);
    if (!scan_attributes(scan, &namespaces, error))
        return FALSE;
    if (scan->namespaces + namespaces > VMP_XML_MAX_NAMESPACES)
        return refuse(scan, "too many namespaces", error);

    gboolean is_empty = *scan->at == '/';
    scan->at += is_empty ? 2 : 1;
    if (scan->at > scan->end || scan->at[-1] != '>') {
        scan->at = scan->text + span.start;
        return refuse(scan, "malformed tag", error);
    }

    span.tag_end = span.end = (guint32)(scan->at - scan->text);
    if (!is_empty) {
        scan->open[scan->depth++] = (Open){ scan->spans->len, namespaces };
        scan->namespaces += namespaces;
    }
    g_array_append_val(scan->spans, span);
    return TRUE;
}

static gboolean
scan_end_tag(Scan *scan, GError **error)
{
    if (scan->depth == 0)
        return refuse(scan, "end tag without a start tag", error);
    if (!skip_past(scan, "</", ">", error))
        return FALSE;

    Open open = scan->open[--scan->depth];
    g_array_index(scan->spans, VmpXmlSpan, open.span).end = (guint32)(scan->at - scan->text);
    scan->namespaces -= open.namespaces;
    return TRUE;
}

static gboolean
scan_markup(Scan *scan, GError **error)
{
    if (++scan->markup > VMP_XML_MAX_MARKUP)
        return refuse(scan, "too many elements and attributes", error);

    if (starts_with(scan, "</"))
        return scan_end_tag(scan, error);
    if (starts_with(scan, "<!--"))
        return skip_past(scan, "<!--", "-->", error);
    if (starts_with(scan, "<![CDATA["))
        return skip_past(scan, "<![CDATA[", "]]>", error);
    if (starts_with(scan, "<?"))
        return skip_past(scan, "<?", "?>", error);
    if (starts_with(scan, "<!"))
        return refuse(scan, "a document type (DOCTYPE, entities) is not accepted", error);
    return scan_start_tag(scan, error);
}

GArray *
vmp_xml_scan(const char *text, gsize length, GError **error)
{
    g_autoptr(GArray) spans = g_array_new(FALSE, FALSE, sizeof(VmpXmlSpan));
    Scan scan = {
        .text = text,
        .end = text + length,
        .at = text,
        .counted = text,
        .line = 1,
        .spans = spans,
    };

    while ((scan.at = memchr(scan.at, '<', (gsize)(scan.end - scan.at))))
        if (!scan_markup(&scan, error))
            return NULL;
    return g_steal_pointer(&spans);
}
