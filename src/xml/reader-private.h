/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What reader.c and edit.c share: the tie between a parsed element and its bytes. */

#include "xml/reader.h"
#include "xml/scan.h"

struct _VmpXmlDoc {
    char *text;
    gsize length;
    guint first_line;
    GArray *spans; /* of VmpXmlSpan; an element's is its _private */
    xmlDoc *tree;  /* its _private is this structure */
};

static inline const VmpXmlDoc *
vmp_xml_doc_of(const xmlNode *node)
{
    return node->doc->_private;
}

static inline const VmpXmlSpan *
vmp_xml_span_of(const xmlNode *node)
{
    return node->_private;
}
