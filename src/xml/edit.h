/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Changes to a document's text that leave every other byte as it was.
 *
 * Changes are collected against the parsed document and applied at once; they must not
 * overlap.  The result is text: whoever needs it parsed reads it again, so that no
 * edit can make what the reader would refuse.
 */

#include "xml/reader.h"

typedef struct _VmpXmlEdit VmpXmlEdit;

/* @doc is borrowed until the edit is freed.  Free with vmp_xml_edit_free(). */
VmpXmlEdit *vmp_xml_edit_new(const VmpXmlDoc *doc);
void vmp_xml_edit_free(VmpXmlEdit *edit);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpXmlEdit, vmp_xml_edit_free)

/* The attribute gets the value, in the quotes that it has; it is appended if absent. */
void vmp_xml_edit_set_attribute(VmpXmlEdit *edit, const xmlNode *node, const char *name,
                                const char *value);
/* The attribute @name, if it is there, becomes @new_name with the value @value. */
void vmp_xml_edit_rename_attribute(VmpXmlEdit *edit, const xmlNode *node, const char *name,
                                   const char *new_name, const char *value);
/* The attribute and the blanks in front of it go, if it is there. */
void vmp_xml_edit_remove_attribute(VmpXmlEdit *edit, const xmlNode *node, const char *name);
/* All of the element's content becomes @text. */
void vmp_xml_edit_set_text(VmpXmlEdit *edit, const xmlNode *node, const char *text);
void vmp_xml_edit_rename(VmpXmlEdit *edit, const xmlNode *node, const char *name);
/* The element and the blanks in front of it go. */
void vmp_xml_edit_remove(VmpXmlEdit *edit, const xmlNode *node);
void vmp_xml_edit_replace(VmpXmlEdit *edit, const xmlNode *node, const char *markup);
/* @markup goes in front of @node, on a line of its own if @node begins one. */
void vmp_xml_edit_insert_before(VmpXmlEdit *edit, const xmlNode *node, const char *markup);
/* @markup goes behind @node, on a line of its own if @node begins one. */
void vmp_xml_edit_insert_after(VmpXmlEdit *edit, const xmlNode *node, const char *markup);

/* The edited text of the root element, without what surrounds it.  Free with g_free(). */
char *vmp_xml_edit_apply(VmpXmlEdit *edit);
