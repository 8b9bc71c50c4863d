/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/xpath.h"

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <libxml/xpath.h>
#include <string.h>
#include <vmpoint/error.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlXPathContext, xmlXPathFreeContext)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlXPathObject, xmlXPathFreeObject)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlBuffer, xmlBufferFree)

/* The message of a failure is ours; libxml2 would write its own to standard error. */
static void
keep_quiet(void *context, xmlErrorPtr failure)
{
    (void)context;
    (void)failure;
}

static char *
format_nodes(xmlDoc *document, const xmlNodeSet *nodes)
{
    g_autoptr(xmlBuffer) buffer = xmlBufferCreate();

    for (int i = 0; nodes && i < nodes->nodeNr; i++) {
        xmlNodeDump(buffer, document, nodes->nodeTab[i], 0, 1);
        xmlBufferCat(buffer, BAD_CAST "\n");
    }
    return g_strdup((const char *)xmlBufferContent(buffer));
}

/* An attribute among the nodes becomes one of @root, as with virsh: of several with one
 * name the last is left. */
static void
add_node(xmlNode *root, xmlNode *node)
{
    if (node->type == XML_ATTRIBUTE_NODE) {
        xmlChar *value = xmlNodeGetContent(node);
        xmlSetProp(root, node->name, value);
        xmlFree(value);
        return;
    }
    if (node->type == XML_DOCUMENT_NODE)
        node = xmlDocGetRootElement((xmlDoc *)node);
    xmlNode *copy = xmlDocCopyNode(node, root->doc, 1);
    if (copy)
        xmlAddChild(root, copy);
}

static char *
format_wrapped(const xmlNodeSet *nodes)
{
    g_autoptr(xmlDoc) document = xmlNewDoc(BAD_CAST "1.0");
    xmlNode *root = xmlNewDocNode(document, NULL, BAD_CAST "nodes", NULL);
    g_autoptr(xmlBuffer) buffer = xmlBufferCreate();

    xmlDocSetRootElement(document, root);
    for (int i = 0; nodes && i < nodes->nodeNr; i++)
        add_node(root, nodes->nodeTab[i]);
    xmlNodeDump(buffer, document, root, 0, 1);
    return g_strdup_printf("%s\n", (const char *)xmlBufferContent(buffer));
}

char *
vmp_xpath_select(const char *xml, const char *expression, gboolean wrap, GError **error)
{
    g_autoptr(xmlDoc) document = xmlReadMemory(xml, (int)strlen(xml), "output.xml", NULL,
                                               XML_PARSE_NONET | XML_PARSE_NOERROR |
                                                   XML_PARSE_NOWARNING | XML_PARSE_NOBLANKS);
    if (!document) {
        g_set_error(error, VMP_ERROR, VMP_ERROR_INCONSISTENT,
                    "what was to be searched is not XML");
        return NULL;
    }
    g_autoptr(xmlXPathContext) context = xmlXPathNewContext(document);
    context->error = keep_quiet;
    g_autoptr(xmlXPathObject) result = xmlXPathEval(BAD_CAST expression, context);
    if (!result || result->type != XPATH_NODESET) {
        g_set_error(error, VMP_ERROR, VMP_ERROR_INVALID,
                    "'%s' is no XPath expression for nodes", expression);
        return NULL;
    }
    return wrap ? format_wrapped(result->nodesetval)
                : format_nodes(document, result->nodesetval);
}
