/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/reader.h"

#include <libxml/parser.h>
#include <string.h>

#include "base/error.h"
#include "xml/name.h"
#include "xml/reader-private.h"

#define XINCLUDE_2001 "http://www.w3.org/2001/XInclude"
#define XINCLUDE_2003 "http://www.w3.org/2003/XInclude"
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

/* Not XML_PARSE_NOENT (would expand entities), not XML_PARSE_HUGE (would lift libxml2's
 * own limits on names and text), not XML_PARSE_DTDLOAD, not XML_PARSE_XINCLUDE. */
#define PARSE_OPTIONS (XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING)

typedef xmlParserCtxt ParserContext;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ParserContext, xmlFreeParserCtxt)

static gsize
length_of(const char *xml, gssize length)
{
    return length >= 0 ? (gsize)length : strnlen(xml, VMP_XML_MAX_SIZE + 1);
}

/* A declared encoding other than UTF-8 is a document that means something else than
 * its bytes say here. */
static gboolean
check_encoding(const char *xml, gsize length, GError **error)
{
    gboolean is_declared =
        length > 6 && memcmp(xml, "<?xml", 5) == 0 && g_ascii_isspace(xml[5]);
    const char *end = is_declared ? g_strstr_len(xml, (gssize)length, "?>") : NULL;
    const char *found = end ? g_strstr_len(xml, end - xml, "encoding") : NULL;

    if (!found)
        return TRUE;
    for (found += strlen("encoding"); found < end && strchr(" \t\r\n='\"", *found);)
        found++;
    if (end - found > 5 && g_ascii_strncasecmp(found, "UTF-8", 5) == 0 &&
        strchr("'\"", found[5]))
        return TRUE;
    return vmp_fail(error, VMP_ERROR_INVALID, "line 1: the encoding must be UTF-8");
}

static gboolean
check_bytes(const char *xml, gsize length, GError **error)
{
    const char *bad = NULL;

    if (length > VMP_XML_MAX_SIZE)
        return vmp_fail(error, VMP_ERROR_INVALID, "more than %zu MiB", VMP_XML_MAX_SIZE >> 20);
    if (g_utf8_validate_len(xml, length, &bad))
        return TRUE;
    return vmp_fail(error, VMP_ERROR_INVALID, "line %u: %s",
                    vmp_xml_line_at(xml, (gsize)(bad - xml)),
                    *bad == '\0' ? "a NUL byte" : "not UTF-8");
}

/* At most @max bytes of @text, and valid UTF-8 wherever that cuts.  Free with g_free(). */
static char *
cut(const char *text, gsize max)
{
    return g_utf8_make_valid(text, (gssize)MIN(strlen(text), max));
}

static gboolean
fail_from_libxml(const xmlParserCtxt *context, GError **error)
{
    const xmlError *cause = xmlCtxtGetLastError((void *)(guintptr)context);
    if (!cause || !cause->message)
        return vmp_fail(error, VMP_ERROR_INVALID, "not well-formed");

    g_autofree char *message = cut(cause->message, 200);
    return vmp_fail(error, VMP_ERROR_INVALID, "line %d: %s", cause->line, g_strstrip(message));
}

/* The next element in document order, or NULL behind the last one. */
static xmlNode *
next_in_document(xmlNode *node)
{
    xmlNode *next = xmlFirstElementChild(node);

    while (!next && node && node->type == XML_ELEMENT_NODE) {
        next = xmlNextElementSibling(node);
        node = node->parent;
    }
    return next;
}

static gboolean
is_xinclude(const xmlNode *node)
{
    const char *href = node->ns ? (const char *)node->ns->href : NULL;

    return href && (g_str_equal(href, XINCLUDE_2001) || g_str_equal(href, XINCLUDE_2003));
}

/* Ties each element to its span: scanner and parser saw the same elements in the same
 * order, or the document is not what either of them thought. */
static gboolean
tie_spans(VmpXmlDoc *doc, GError **error)
{
    guint index = 0;

    for (xmlNode *node = vmp_xml_root(doc); node; node = next_in_document(node)) {
        if (index == doc->spans->len)
            return vmp_fail(error, VMP_ERROR_INVALID, "not well-formed");
        node->_private = &g_array_index(doc->spans, VmpXmlSpan, index++);
        if (is_xinclude(node))
            return vmp_fail(error, VMP_ERROR_INVALID, "line %u: XInclude is not accepted",
                            vmp_xml_line(node));
    }
    if (index != doc->spans->len)
        return vmp_fail(error, VMP_ERROR_INVALID, "not well-formed");
    return TRUE;
}

static xmlDoc *
parse_tree(const char *text, gsize length, GError **error)
{
    static gsize once = 0;
    if (g_once_init_enter(&once)) {
        xmlInitParser();
        g_once_init_leave(&once, 1);
    }

    g_autoptr(ParserContext) context = xmlNewParserCtxt();
    xmlDoc *tree = xmlCtxtReadMemory(context, text, (int)length, NULL, "UTF-8", PARSE_OPTIONS);

    /* libxml2 lets undeclared prefixes pass, as part of the name. */
    if (tree && context->nsWellFormed)
        return tree;
    fail_from_libxml(context, error);
    xmlFreeDoc(tree);
    return NULL;
}

static gboolean
check_root(const VmpXmlDoc *doc, const char *name, GError **error)
{
    const xmlNode *root = vmp_xml_root(doc);

    if (!name || vmp_xml_is(root, NULL, name))
        return TRUE;

    g_autofree char *found = vmp_name_quote((const char *)root->name);
    return vmp_fail(error, VMP_ERROR_INVALID, "line %u: the root element is %s, not '%s'",
                    vmp_xml_line(root), found, name);
}

VmpXmlDoc *
vmp_xml_parse_part(const char *xml, gssize given_length, guint first_line, const char *root,
                   const char *what, GError **error)
{
    VMP_ERROR_CONTEXT(error, "%s", what);

    gsize length = length_of(xml, given_length);
    if (!check_bytes(xml, length, error))
        return NULL;
    if (length >= 3 && memcmp(xml, BYTE_ORDER_MARK, 3) == 0) {
        xml += 3;
        length -= 3;
    }

    if (!check_encoding(xml, length, error))
        return NULL;

    g_autoptr(VmpXmlDoc) doc = g_new0(VmpXmlDoc, 1);
    doc->spans = vmp_xml_scan(xml, length, error);
    if (!doc->spans)
        return NULL;

    doc->tree = parse_tree(xml, length, error);
    if (!doc->tree)
        return NULL;

    doc->tree->_private = doc;
    doc->text = g_strndup(xml, length);
    doc->length = length;
    doc->first_line = first_line;
    if (!tie_spans(doc, error) || !check_root(doc, root, error))
        return NULL;
    return g_steal_pointer(&doc);
}

VmpXmlDoc *
vmp_xml_parse(const char *xml, gssize length, const char *root, const char *what,
              GError **error)
{
    return vmp_xml_parse_part(xml, length, 1, root, what, error);
}

void
vmp_xml_doc_free(VmpXmlDoc *doc)
{
    if (!doc)
        return;
    xmlFreeDoc(doc->tree);
    g_clear_pointer(&doc->spans, g_array_unref);
    g_free(doc->text);
    g_free(doc);
}

xmlNode *
vmp_xml_root(const VmpXmlDoc *doc)
{
    return xmlDocGetRootElement(doc->tree);
}

gboolean
vmp_xml_is(const xmlNode *node, const char *href, const char *name)
{
    const char *own = node->ns ? (const char *)node->ns->href : NULL;

    return node->type == XML_ELEMENT_NODE && g_strcmp0(own, href) == 0 &&
           g_str_equal((const char *)node->name, name);
}

static xmlNode *
first_match(xmlNode *node, const char *name)
{
    for (; node; node = node->next)
        if (node->type == XML_ELEMENT_NODE && (!name || vmp_xml_is(node, NULL, name)))
            return node;
    return NULL;
}

xmlNode *
vmp_xml_child(const xmlNode *parent, const char *name)
{
    return parent ? first_match(parent->children, name) : NULL;
}

xmlNode *
vmp_xml_next(const xmlNode *node, const char *name)
{
    return first_match(node->next, name);
}

xmlNode *
vmp_xml_find(const xmlNode *parent, const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);
    xmlNode *node = NULL;

    for (guint i = 0; names[i]; i++) {
        node = vmp_xml_child(parent, names[i]);
        parent = node;
    }
    return node;
}

static char *
take(xmlChar *text)
{
    char *copy = g_strdup((const char *)text);

    xmlFree(text);
    return copy;
}

char *
vmp_xml_attribute(const xmlNode *node, const char *name)
{
    return node ? take(xmlGetNoNsProp(node, (const xmlChar *)name)) : NULL;
}

char *
vmp_xml_text(const xmlNode *node)
{
    return node ? take(xmlNodeGetContent(node)) : NULL;
}

char *
vmp_xml_text_or_null(const xmlNode *node)
{
    g_autofree char *text = vmp_xml_text(node);

    return text && text[0] != '\0' ? g_steal_pointer(&text) : NULL;
}

guint
vmp_xml_line(const xmlNode *node)
{
    return vmp_xml_span_of(node)->line + vmp_xml_doc_of(node)->first_line - 1;
}

gboolean
vmp_xml_parse_uint(const char *text, guint64 *value)
{
    /* g_ascii_string_to_unsigned() accepts no sign, no blanks and no overflow. */
    return g_ascii_isdigit(*text) &&
           g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, value, NULL);
}

gboolean
vmp_xml_attribute_uint(const xmlNode *node, const char *name, guint64 *value, GError **error)
{
    g_autofree char *text = vmp_xml_attribute(node, name);

    if (!text || vmp_xml_parse_uint(text, value))
        return TRUE;
    return vmp_xml_fail_value(node, name, text, "is not a number", error);
}

gboolean
vmp_xml_attribute_uint_max(const xmlNode *node, const char *name, guint max, guint *value,
                           GError **error)
{
    g_autofree char *text = vmp_xml_attribute(node, name);
    guint64 wide = 0;

    if (!text)
        return TRUE;
    if (!vmp_xml_attribute_uint(node, name, &wide, error))
        return FALSE;
    if (wide > max)
        return vmp_xml_fail_value(node, name, text, "is too large", error);
    *value = (guint)wide;
    return TRUE;
}

gboolean
vmp_xml_attribute_yes_no(const xmlNode *node, const char *name, gboolean *value,
                         GError **error)
{
    g_autofree char *text = vmp_xml_attribute(node, name);

    if (!text)
        return TRUE;
    if (!g_str_equal(text, "yes") && !g_str_equal(text, "no"))
        return vmp_xml_fail_value(node, name, text, "is neither 'yes' nor 'no'", error);
    *value = g_str_equal(text, "yes");
    return TRUE;
}

gboolean
vmp_xml_attribute_path(const xmlNode *node, const char *name, char **value, GError **error)
{
    g_autofree char *text = vmp_xml_attribute(node, name);

    if (!text)
        return TRUE;
    if (text[0] != '/')
        return vmp_xml_fail_value(node, name, text, "is not an absolute path", error);
    g_free(*value);
    *value = g_steal_pointer(&text);
    return TRUE;
}

/* libvirt's units: "k" and "KiB" are 1024, "KB" is 1000, and so on; case does not count. */
static gboolean
scale_of_unit(const char *unit, guint64 *scale)
{
    static const char letters[] = "kmgtpe";
    const char *letter = *unit ? strchr(letters, g_ascii_tolower(*unit)) : NULL;

    *scale = 1;
    if (g_ascii_strcasecmp(unit, "b") == 0 || g_ascii_strcasecmp(unit, "byte") == 0 ||
        g_ascii_strcasecmp(unit, "bytes") == 0)
        return TRUE;
    if (!letter)
        return FALSE;

    gboolean is_decimal = g_ascii_strcasecmp(unit + 1, "b") == 0;
    if (!is_decimal && unit[1] != '\0' && g_ascii_strcasecmp(unit + 1, "ib") != 0)
        return FALSE;
    for (const char *at = letters; at <= letter; at++)
        *scale *= is_decimal ? 1000 : 1024;
    return TRUE;
}

gboolean
vmp_xml_text_size(const xmlNode *node, const char *default_unit, guint64 *bytes,
                  GError **error)
{
    if (!node)
        return TRUE;

    g_autofree char *text = vmp_xml_text(node);
    g_autofree char *unit = vmp_xml_attribute(node, "unit");
    guint64 scale = 1;
    guint64 value = 0;

    if (unit && !scale_of_unit(unit, &scale))
        return vmp_xml_fail_value(node, "unit", unit, "is not a unit", error);
    if (!unit)
        scale_of_unit(default_unit, &scale);
    if (!vmp_xml_parse_uint(g_strstrip(text), &value) ||
        !g_uint64_checked_mul(bytes, value, scale)) {
        g_autofree char *quoted = vmp_name_quote(text);
        return vmp_xml_fail(node, error, "%s is not a size", quoted);
    }
    return TRUE;
}

gboolean
vmp_xml_fail(const xmlNode *node, GError **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *message = g_strdup_vprintf(format, args);
    va_end(args);

    g_autofree char *name = cut((const char *)node->name, 60);
    return vmp_fail(error, VMP_ERROR_INVALID, "line %u: <%s>: %s", vmp_xml_line(node), name,
                    message);
}

gboolean
vmp_xml_fail_value(const xmlNode *node, const char *name, const char *value, const char *why,
                   GError **error)
{
    g_autofree char *quoted = vmp_name_quote(value);

    return vmp_xml_fail(node, error, "%s=%s %s", name, quoted, why);
}

/* Declares anew what @node needs and only an ancestor declares. */
static char *
missing_declarations(const xmlNode *node)
{
    GString *text = g_string_new(NULL);
    xmlNs **inherited = node->parent ? xmlGetNsList(node->doc, node->parent) : NULL;

    for (guint i = 0; inherited && inherited[i]; i++) {
        const xmlNs *own = node->nsDef;

        while (own && xmlStrcmp(own->prefix, inherited[i]->prefix) != 0)
            own = own->next;
        if (own || !inherited[i]->prefix)
            continue;
        g_autofree char *href = g_markup_escape_text((const char *)inherited[i]->href, -1);
        g_string_append_printf(text, " xmlns:%s='%s'", (const char *)inherited[i]->prefix,
                               href);
    }
    xmlFree(inherited);
    return g_string_free(text, FALSE);
}

char *
vmp_xml_serialize(const xmlNode *node)
{
    const VmpXmlSpan *span = vmp_xml_span_of(node);
    const char *text = vmp_xml_doc_of(node)->text;
    const char *name_end = vmp_xml_skip_name(text + span->start + 1, text + span->tag_end);
    g_autofree char *declarations = missing_declarations(node);
    GString *copy = g_string_sized_new(span->end - span->start + strlen(declarations));

    g_string_append_len(copy, text + span->start, name_end - (text + span->start));
    g_string_append(copy, declarations);
    g_string_append_len(copy, name_end, (text + span->end) - name_end);
    return g_string_free(copy, FALSE);
}

char *
vmp_xml_serialize_children(const xmlNode *node, const char *separator)
{
    GString *text = NULL;

    for (xmlNode *child = vmp_xml_child(node, NULL); child;
         child = vmp_xml_next(child, NULL)) {
        g_autofree char *xml = vmp_xml_serialize(child);

        if (!text)
            text = g_string_new(NULL);
        else
            g_string_append(text, separator);
        g_string_append(text, xml);
    }
    return text ? g_string_free(text, FALSE) : NULL;
}
