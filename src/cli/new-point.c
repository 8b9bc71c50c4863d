/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/new-point.h"

#include "cli/bulk.h"
#include "cli/print.h"
#include "cli/session.h"

/* @origin: where the document came from, or NULL if it is ours. */
static gboolean
create(const VmpNewPointKind *kind, VmpSession *session, const VmpArguments *arguments,
       const char *xml, const char *origin, GError **error)
{
    json_object *result = NULL;
    g_autofree char *name = kind->create(session, arguments, xml, &result, error);

    if (!name)
        return FALSE;
    if (origin)
        vmp_session_finish(session, result, "Domain %s %s created from '%s'", kind->kind, name,
                           origin);
    else
        vmp_session_finish(session, result, "Domain %s %s created", kind->kind, name);
    return TRUE;
}

static gboolean
redefine_all(const VmpNewPointKind *kind, VmpSession *session, const VmpArguments *arguments,
             VmpDocument *document, GError **error)
{
    const char *domain = vmp_arguments_get(arguments, "domain");
    VmpHost *host = vmp_session_open(session, error);
    gint64 count = host ? kind->redefine_all(host, domain, vmp_arguments_get_bits(arguments),
                                             vmp_document_read, document,
                                             vmp_session_get_operation(session), error)
                        : -1;

    if (count >= 0)
        vmp_bulk_finish(session, domain, kind->kind, count, document->title);
    return count >= 0;
}

static gboolean
redefine_folder(const VmpNewPointKind *kind, VmpSession *session,
                const VmpArguments *arguments, GError **error)
{
    const char *domain = vmp_arguments_get(arguments, "domain");
    const char *folder = vmp_arguments_get(arguments, "from-dir");
    VmpHost *host = vmp_session_open(session, error);
    gint64 count =
        host ? kind->redefine_folder(host, domain, vmp_arguments_get_bits(arguments), folder,
                                     vmp_session_get_operation(session), error)
             : -1;

    if (count >= 0)
        vmp_bulk_finish(session, domain, kind->kind, count, folder);
    return count >= 0;
}

gboolean
vmp_new_point_create(const VmpNewPointKind *kind, VmpSession *session,
                     const VmpArguments *arguments, GError **error)
{
    const char *file = vmp_arguments_get(arguments, "xmlfile");
    g_auto(VmpDocument) document = { .fd = -1 };

    if (vmp_arguments_has(arguments, "from-dir"))
        return redefine_folder(kind, session, arguments, error);
    if (!file)
        return create(kind, session, arguments, NULL, NULL, error);
    if (!vmp_document_open(&document, file, error))
        return FALSE;
    if (vmp_arguments_has(arguments, "redefine") &&
        vmp_document_has_root(&document, kind->root))
        return redefine_all(kind, session, arguments, &document, error);
    g_autofree char *xml = vmp_document_read_text(&document, error);
    return xml && create(kind, session, arguments, xml, file, error);
}

gboolean
vmp_new_point_create_as(const VmpNewPointKind *kind, VmpSession *session,
                        const VmpArguments *arguments, const VmpPointSpec *spec,
                        GError **error)
{
    g_autofree char *xml = kind->format(spec, error);

    if (!xml)
        return FALSE;
    if (vmp_arguments_has(arguments, "print-xml")) {
        vmp_print_new_xml(session, xml);
        return TRUE;
    }
    return create(kind, session, arguments, xml, NULL, error);
}
