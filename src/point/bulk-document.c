/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A bulk document, read as a stream. */

#include "base/error.h"
#include "point/bulk-read.h"
#include "point/bulk-views.h"
#include "point/bulk.h"
#include "point/record.h"
#include "xml/edit.h"
#include "xml/split.h"
#include "xml/strict.h"

#define WHAT "bulk XML"

typedef struct {
    VmpPointKind kind;
    VmpXmlSplitter *splitter;
    VmpBulkRead *bulk;
    VmpBulkViews *views;
    char *current; /* or NULL */
} Document;

static void
document_clear(Document *document)
{
    g_clear_pointer(&document->views, vmp_bulk_views_free);
    g_clear_pointer(&document->bulk, vmp_bulk_read_free);
    g_clear_pointer(&document->splitter, vmp_xml_splitter_free);
    g_free(document->current);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Document, document_clear)

static gboolean
check_root(const xmlNode *root, VmpPointKind kind, VmpMachine *machine, GError **error)
{
    g_autofree char *uuid = vmp_xml_attribute(root, "uuid");

    if (!vmp_xml_is(root, NULL, vmp_bulk_root_name(kind)))
        return vmp_xml_fail(root, error, "the root element is not <%s>",
                            vmp_bulk_root_name(kind));
    return vmp_xml_closed(root, "domain uuid current", "", error) &&
           vmp_record_check_uuid(machine, uuid, error);
}

static gboolean
read_root(Document *document, VmpMachine *machine, GError **error)
{
    g_autoptr(VmpXmlDoc) doc = vmp_xml_splitter_read_root(document->splitter, error);

    if (!doc)
        return FALSE;
    document->current = vmp_xml_attribute(vmp_xml_root(doc), "current");
    g_autoptr(GError) failure = NULL;
    if (check_root(vmp_xml_root(doc), document->kind, machine, &failure))
        return TRUE;
    g_propagate_prefixed_error(error, g_steal_pointer(&failure), WHAT ": ");
    return FALSE;
}

/* An element that only refers to a definition: it goes out of the document, and its definition
 * is looked up. */
static gboolean
resolve(Document *document, const xmlNode *root, const char *name, VmpXmlEdit *edit,
        gint64 *id, GError **error)
{
    const xmlNode *node = vmp_xml_child(root, name);
    g_autofree char *ref = vmp_xml_attribute(node, "ref");
    guint64 number = 0;

    if (!ref)
        return TRUE;
    if (vmp_xml_next(node, name))
        return vmp_xml_fail(root, error, "<%s> is there twice", name);
    if (!vmp_xml_closed(node, "ref", "", error) ||
        !vmp_xml_attribute_uint(node, "ref", &number, error))
        return FALSE;
    *id = vmp_bulk_views_use(document->views, number, name[0] == 'i', error);
    vmp_xml_edit_remove(edit, node);
    return *id != 0;
}

static gboolean
take_point(Document *document, const VmpXmlPiece *piece, GError **error)
{
    VmpBulkDomains domains = { 0 };
    g_autoptr(VmpXmlDoc) doc =
        vmp_xml_parse_part(piece->text, (gssize)piece->length, piece->line,
                           vmp_bulk_point_name(document->kind), WHAT, error);
    if (!doc)
        return FALSE;

    VMP_ERROR_CONTEXT(error, WHAT ": the <%s> in line %u", vmp_bulk_point_name(document->kind),
                      piece->line);
    g_autoptr(VmpXmlEdit) edit = vmp_xml_edit_new(doc);
    if (!resolve(document, vmp_xml_root(doc), "domain", edit, &domains.domain, error) ||
        !resolve(document, vmp_xml_root(doc), "inactiveDomain", edit, &domains.inactive,
                 error) ||
        !vmp_bulk_views_check_used(document->views, error))
        return FALSE;
    if (domains.domain != 0) {
        domains.view = vmp_bulk_views_get(document->views, domains.domain, error);
        if (!domains.view)
            return FALSE;
    }
    g_autofree char *xml = vmp_xml_edit_apply(edit);
    return vmp_bulk_read_put(document->bulk, xml, &domains, error);
}

static gboolean
take_piece(Document *document, const VmpXmlPiece *piece, GError **error)
{
    if (vmp_xml_piece_is(piece, "definition"))
        return vmp_bulk_views_take(document->views, piece, error);
    if (vmp_xml_piece_is(piece, "masked"))
        return vmp_fail(error, VMP_ERROR_INVALID,
                        WHAT ": line %u: the document was dumped without its passwords; "
                             "--security-info makes one that can be taken back",
                        piece->line);
    return take_point(document, piece, error);
}

gint64
vmp_bulk_read(VmpMachine *machine, VmpPointKind kind, guint flags, VmpReadFunc read,
              gpointer data, GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));
    g_auto(Document) document = { .kind = kind,
                                  .splitter = vmp_xml_splitter_new(read, data, WHAT),
                                  .views = vmp_bulk_views_new(machine, WHAT) };
    VmpXmlPiece piece;

    if (!read_root(&document, machine, error))
        return -1;
    document.bulk = vmp_bulk_read_new(machine, kind, flags, error);
    if (!document.bulk)
        return -1;
    do {
        if (!vmp_xml_splitter_next(document.splitter, &piece, error) ||
            (piece.text && !take_piece(&document, &piece, error)))
            return -1;
    } while (piece.text);
    return vmp_bulk_views_check_used(document.views, error)
               ? vmp_bulk_read_finish(document.bulk, document.current, error)
               : -1;
}
