/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A map of a document's elements: where each stands in the text.
 *
 * The map is made in one pass over the text, before the XML parser sees it.  That
 * pass refuses what could make a parser work without bound (document types, deep
 * nesting, crowds of attributes or namespaces), and it remembers what a parser
 * forgets: the exact bytes of each element, and line numbers above 65535.
 *
 * It knows XML's lexical shape only.  For a well-formed document the map is exact; of
 * a document that is not, it may say anything, and the XML parser has to refuse it.
 */

#include <glib.h>

#define VMP_XML_MAX_MARKUP 1000000 /* elements, attributes, comments, ... together */
#define VMP_XML_MAX_ATTRIBUTES 512 /* of one element */
#define VMP_XML_MAX_NAMESPACES 64  /* in scope at one place */

/* Offsets are into the scanned text. */
typedef struct {
    guint32 start;   /* of the '<' of the start tag */
    guint32 tag_end; /* behind the '>' of the start tag */
    guint32 end;     /* behind the '>' of the end tag; = tag_end of <a/> */
    guint32 line;    /* of start, counted from 1 */
} VmpXmlSpan;

/* The spans of all elements in document order, or NULL and VMP_ERROR_INVALID.
 * @length must not exceed VMP_XML_MAX_SIZE.  Free with g_array_unref(). */
GArray *vmp_xml_scan(const char *text, gsize length, GError **error);

/* The number of the line of @text at @offset, counted from 1. */
guint vmp_xml_line_at(const char *text, gsize offset);

/* One attribute inside a start tag. */
typedef struct {
    const char *name; /* not terminated */
    gsize name_length;
    const char *value; /* without the quotes, as it stands there; not terminated */
    gsize value_length;
} VmpXmlAttributeSpan;

/* Finds the next attribute of a start tag.  *@at stands behind the element's name or
 * behind the previous attribute, and is moved.  FALSE at the end of the tag, where
 * *@at is left on '>' or "/>", or if the tag is malformed: then *@at becomes NULL. */
gboolean vmp_xml_scan_attribute(const char **at, const char *end,
                                VmpXmlAttributeSpan *attribute);

/* Behind the name that begins at @at. */
const char *vmp_xml_skip_name(const char *at, const char *end);
