/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libxml2, loaded when the first document is read.
 *
 * It brings ICU and the C++ library along, and relocating those takes a third of the time
 * that a short command takes at all.  Most commands that only look never read a document.
 * So the library and the program are linked to these functions in place of libxml2's:
 * base/lazy.h.
 */

#include <libxml/parser.h>
#include <libxml/relaxng.h>
#include <libxml/tree.h>
#include <libxml/xpath.h>

/* The headers describe structures of this one and of no other. */
#if LIBXML_VERSION >= 21400
#define LAZY_LIBRARY "libxml2.so.16"
#else
#define LAZY_LIBRARY "libxml2.so.2"
#endif

#include "base/lazy.h"

/* ---- parser.h ---- */

PROCEDURE(xmlInitParser, (void), ())
FUNCTION(xmlParserCtxt *, xmlNewParserCtxt, (void), ())
PROCEDURE(xmlFreeParserCtxt, (xmlParserCtxt * context), (context))
FUNCTION(xmlDoc *, xmlCtxtReadMemory,
         (xmlParserCtxt * context, const char *text, int length, const char *url,
          const char *encoding, int options),
         (context, text, length, url, encoding, options))
FUNCTION(xmlDoc *, xmlReadMemory,
         (const char *text, int length, const char *url, const char *encoding, int options),
         (text, length, url, encoding, options))
FUNCTION(xmlError *, xmlCtxtGetLastError, (void *context), (context))

/* ---- tree.h ---- */

PROCEDURE(xmlFreeDoc, (xmlDoc * document), (document))
FUNCTION(xmlNode *, xmlDocGetRootElement, (const xmlDoc *document), (document))
FUNCTION(xmlNode *, xmlDocSetRootElement, (xmlDoc * document, xmlNode *root), (document, root))
FUNCTION(xmlNode *, xmlDocCopyNode, (xmlNode * node, xmlDoc *document, int recursive),
         (node, document, recursive))
FUNCTION(xmlDoc *, xmlNewDoc, (const xmlChar *version), (version))
FUNCTION(xmlNode *, xmlNewDocNode,
         (xmlDoc * document, xmlNs *space, const xmlChar *name, const xmlChar *content),
         (document, space, name, content))
FUNCTION(xmlNode *, xmlAddChild, (xmlNode * parent, xmlNode *child), (parent, child))
FUNCTION(xmlNode *, xmlFirstElementChild, (xmlNode * parent), (parent))
FUNCTION(xmlNode *, xmlNextElementSibling, (xmlNode * node), (node))
FUNCTION(xmlChar *, xmlNodeGetContent, (const xmlNode *node), (node))
FUNCTION(xmlAttr *, xmlHasProp, (const xmlNode *node, const xmlChar *name), (node, name))
FUNCTION(xmlChar *, xmlGetNoNsProp, (const xmlNode *node, const xmlChar *name), (node, name))
FUNCTION(xmlAttr *, xmlSetProp, (xmlNode * node, const xmlChar *name, const xmlChar *value),
         (node, name, value))
FUNCTION(xmlNs **, xmlGetNsList, (const xmlDoc *document, const xmlNode *node),
         (document, node))
FUNCTION(int, xmlNodeDump,
         (xmlBuffer * buffer, xmlDoc *document, xmlNode *node, int level, int format),
         (buffer, document, node, level, format))
FUNCTION(xmlBuffer *, xmlBufferCreate, (void), ())
PROCEDURE(xmlBufferFree, (xmlBuffer * buffer), (buffer))
FUNCTION(int, xmlBufferCat, (xmlBuffer * buffer, const xmlChar *text), (buffer, text))
FUNCTION(const xmlChar *, xmlBufferContent, (const xmlBuffer *buffer), (buffer))

/* ---- xmlstring.h ---- */

FUNCTION(int, xmlStrcmp, (const xmlChar *one, const xmlChar *other), (one, other))

/* A variable, to libxml2: who uses it may have had it changed. */
static void
free_by_library(void *memory)
{
    static xmlFreeFunc *real;
    xmlFreeFunc *known = g_atomic_pointer_get(&real);

    if (!known) {
        known = lazy_find("xmlFree");
        g_atomic_pointer_set(&real, known);
    }
    (*known)(memory);
}

xmlFreeFunc xmlFree = free_by_library;

/* ---- relaxng.h ---- */

FUNCTION(xmlRelaxNGParserCtxt *, xmlRelaxNGNewParserCtxt, (const char *url), (url))
PROCEDURE(xmlRelaxNGFreeParserCtxt, (xmlRelaxNGParserCtxt * context), (context))
PROCEDURE(xmlRelaxNGSetParserStructuredErrors,
          (xmlRelaxNGParserCtxt * context, xmlStructuredErrorFunc tell, void *data),
          (context, tell, data))
FUNCTION(xmlRelaxNG *, xmlRelaxNGParse, (xmlRelaxNGParserCtxt * context), (context))
PROCEDURE(xmlRelaxNGFree, (xmlRelaxNG * schema), (schema))
FUNCTION(xmlRelaxNGValidCtxt *, xmlRelaxNGNewValidCtxt, (xmlRelaxNG * schema), (schema))
PROCEDURE(xmlRelaxNGFreeValidCtxt, (xmlRelaxNGValidCtxt * context), (context))
PROCEDURE(xmlRelaxNGSetValidStructuredErrors,
          (xmlRelaxNGValidCtxt * context, xmlStructuredErrorFunc tell, void *data),
          (context, tell, data))
FUNCTION(int, xmlRelaxNGValidateDoc, (xmlRelaxNGValidCtxt * context, xmlDoc *document),
         (context, document))

/* ---- xpath.h ---- */

FUNCTION(xmlXPathContext *, xmlXPathNewContext, (xmlDoc * document), (document))
PROCEDURE(xmlXPathFreeContext, (xmlXPathContext * context), (context))
FUNCTION(xmlXPathObject *, xmlXPathEval, (const xmlChar *expression, xmlXPathContext *context),
         (expression, context))
PROCEDURE(xmlXPathFreeObject, (xmlXPathObject * object), (object))
