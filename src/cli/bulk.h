/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* All points of a domain in one document: what snapshot-* and checkpoint-* have in common. */

#include <vmpoint/vmpoint.h>

#include "cli/parser.h"

/* A document that is read as a stream, some of which was looked at before. */
typedef struct {
    int fd;
    char *title;   /* how a message calls it */
    GString *seen; /* looked at, and not yet read */
} VmpDocument;

void vmp_document_clear(VmpDocument *document);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmpDocument, vmp_document_clear)

/* Opens @path, "-" being standard input. */
gboolean vmp_document_open(VmpDocument *document, const char *path, GError **error);
/* Is its root element called @name?  FALSE, too, if that cannot be told. */
gboolean vmp_document_has_root(VmpDocument *document, const char *name);
/* The rest of it, which must be text of at most VMP_INPUT_LIMIT bytes. */
char *vmp_document_read_text(VmpDocument *document, GError **error);
/* A VmpReadFunc for a VmpDocument. */
gssize vmp_document_read(gpointer data, char *buffer, gsize size, GError **error);

/* The end of `KIND-create --redefine` of many: @count of them. */
void vmp_bulk_finish(VmpSession *session, const char *domain, const char *kind, gint64 count,
                     const char *origin);

typedef gboolean (*VmpDumpFunc)(VmpHost *host, const char *domain, guint flags,
                                VmpWriteFunc write, gpointer data, GError **error);
/* `KIND-dumpxml --all`.  A document can be long: as text it is printed while it is made,
 * the one case of output by a command that may still fail.  It then lacks its end. */
gboolean vmp_bulk_dump(VmpSession *session, const VmpArguments *arguments, VmpDumpFunc dump,
                       GError **error);
