/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The one door through which XML from outside comes in, and helpers to walk it.
 *
 * Strict: no network, no external entities, no entity expansion, no DTD, no
 * XInclude, UTF-8 without NUL bytes, at most VMP_XML_MAX_SIZE bytes and
 * VMP_XML_MAX_DEPTH levels.  What is refused is refused with VMP_ERROR_INVALID,
 * a line number, and the cause, before memory grows with it.
 *
 * A document is never changed.  Whoever wants to change one edits its text
 * (xml/edit.h) and reads the result.
 */

#include <glib.h>
#include <libxml/tree.h>

#define VMP_XML_MAX_SIZE ((gsize)64 * 1024 * 1024)
#define VMP_XML_MAX_DEPTH 256

/* A parsed document together with its text. */
typedef struct _VmpXmlDoc VmpXmlDoc;

/* Parses @xml (@length bytes, or -1 for NUL-terminated); @what names it in errors
 * ("domain XML").  The document must have the root element @root unless NULL.
 * Free with vmp_xml_doc_free(). */
VmpXmlDoc *vmp_xml_parse(const char *xml, gssize length, const char *root, const char *what,
                         GError **error);

/* The same for a part of a larger text that began at line @first_line there: lines are
 * counted from it. */
VmpXmlDoc *vmp_xml_parse_part(const char *xml, gssize length, guint first_line,
                              const char *root, const char *what, GError **error);

void vmp_xml_doc_free(VmpXmlDoc *doc);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpXmlDoc, vmp_xml_doc_free)

/* The root element. */
xmlNode *vmp_xml_root(const VmpXmlDoc *doc);

/* First child element named @name, or NULL; @name NULL means any element.  A name
 * never fits an element of a namespace. */
xmlNode *vmp_xml_child(const xmlNode *parent, const char *name);
/* Next sibling element of the same kind. */
xmlNode *vmp_xml_next(const xmlNode *node, const char *name);
/* Walks slash separated child names ("os/kernel"); NULL if one is absent. */
xmlNode *vmp_xml_find(const xmlNode *parent, const char *path);
/* TRUE if @node is an element @name of the namespace @href (NULL: of none). */
gboolean vmp_xml_is(const xmlNode *node, const char *href, const char *name);

/* Attribute value; NULL if absent.  Free with g_free(). */
char *vmp_xml_attribute(const xmlNode *node, const char *name);
/* Whole text of an element; NULL if @node is NULL.  Free with g_free(). */
char *vmp_xml_text(const xmlNode *node);
/* The same, but NULL for an element without text, as libvirt takes those. */
char *vmp_xml_text_or_null(const xmlNode *node);
/* Line of the element's start tag, counted from 1. */
guint vmp_xml_line(const xmlNode *node);

/* Value parsers.  Each fails with VMP_ERROR_INVALID naming line, element and value;
 * an absent attribute leaves @value as it is and succeeds. */
gboolean vmp_xml_attribute_uint(const xmlNode *node, const char *name, guint64 *value,
                                GError **error);
/* The same for a value that must not exceed @max. */
gboolean vmp_xml_attribute_uint_max(const xmlNode *node, const char *name, guint max,
                                    guint *value, GError **error);
gboolean vmp_xml_attribute_yes_no(const xmlNode *node, const char *name, gboolean *value,
                                  GError **error);
/* An absolute path. */
gboolean vmp_xml_attribute_path(const xmlNode *node, const char *name, char **value,
                                GError **error);
/* Decimal digits and nothing else; FALSE without an error. */
gboolean vmp_xml_parse_uint(const char *text, guint64 *value);

/* The text of @node as a size in bytes, scaled by its unit= attribute as libvirt does;
 * @unit is assumed where there is none ("KiB").  @node NULL succeeds. */
gboolean vmp_xml_text_size(const xmlNode *node, const char *unit, guint64 *bytes,
                           GError **error);

/* VMP_ERROR_INVALID: "line N: <element>: ...". */
gboolean vmp_xml_fail(const xmlNode *node, GError **error, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
/* VMP_ERROR_INVALID: "line N: <element>: name='VALUE' ..."; says why the value is wrong. */
gboolean vmp_xml_fail_value(const xmlNode *node, const char *name, const char *value,
                            const char *why, GError **error);

/* @node and all below it, byte for byte as it stands in its document; a prefix that an
 * ancestor declared is declared again in its start tag.  Free with g_free(). */
char *vmp_xml_serialize(const xmlNode *node);
/* The elements in @node, each byte for byte, with @separator between; NULL if there are
 * none.  Free with g_free(). */
char *vmp_xml_serialize_children(const xmlNode *node, const char *separator);
