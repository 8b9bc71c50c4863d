/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpXmlSplitter: a long document as a stream of the elements in its root, each of them
 * the very bytes that it has there.
 *
 * The splitter knows only enough of XML to find where an element ends.  Each piece, and the
 * root's start tag with what stands in front of it, is then read through the one strict door
 * (xml/reader.h), which refuses what is not one whole element: so a document that was split
 * without an error was well-formed.  Between the pieces stand blanks and nothing else.
 *
 * Memory is bounded by the longest piece, not by the document.
 */

#include "xml/reader.h"

#define VMP_XML_MAX_STREAM ((guint64)1 << 30)
#define VMP_XML_MAX_PIECE (2 * VMP_XML_MAX_SIZE)

/* Returns how many bytes were read, 0 at the end, -1 with @error. */
typedef gssize (*VmpXmlReadFunc)(gpointer data, char *buffer, gsize size, GError **error);

typedef struct _VmpXmlSplitter VmpXmlSplitter;

/* @what names the document in errors. */
VmpXmlSplitter *vmp_xml_splitter_new(VmpXmlReadFunc read, gpointer data, const char *what);
void vmp_xml_splitter_free(VmpXmlSplitter *splitter);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpXmlSplitter, vmp_xml_splitter_free)

/* The root element without its content; call it first.  Free with vmp_xml_doc_free(). */
VmpXmlDoc *vmp_xml_splitter_read_root(VmpXmlSplitter *splitter, GError **error);

typedef struct {
    const char *text; /* valid until the next call; NULL: the document has ended well */
    gsize length;
    guint line; /* of its first byte in the document */
} VmpXmlPiece;

/* The next element of the root, or the end. */
gboolean vmp_xml_splitter_next(VmpXmlSplitter *splitter, VmpXmlPiece *piece, GError **error);

/* Does the piece's element have that name? */
gboolean vmp_xml_piece_is(const VmpXmlPiece *piece, const char *name);
/* An element with text and no markup in it: its start tag as a document of its own, and the
 * text (free with g_free()).  For texts longer than libxml2 takes. */
VmpXmlDoc *vmp_xml_piece_read_text(const VmpXmlPiece *piece, const char *what, char **text,
                                   gsize *length, GError **error);
