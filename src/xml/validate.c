/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/validate.h"

#include <libxml/relaxng.h>

#include "base/error.h"
#include "xml/reader.h"

#define SCHEMA_DIR "/usr/share/libvirt/schemas"

typedef xmlRelaxNG Schema;
typedef xmlRelaxNGParserCtxt SchemaReader;
typedef xmlRelaxNGValidCtxt SchemaRun;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Schema, xmlRelaxNGFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SchemaReader, xmlRelaxNGFreeParserCtxt)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SchemaRun, xmlRelaxNGFreeValidCtxt)

/* The deepest complaint comes first; the others are what follows from it. */
static void
keep_first(void *data, xmlErrorPtr complaint)
{
    char **first = data;

    if (!*first)
        *first = g_strdup_printf("line %d: %s", complaint->line,
                                 complaint->message ? complaint->message : "not valid");
}

static void
stay_silent(void *data G_GNUC_UNUSED, xmlErrorPtr complaint G_GNUC_UNUSED)
{
}

static Schema *
load_schema(const char *root, GError **error)
{
    g_autofree char *path = g_strdup_printf(SCHEMA_DIR "/%s.rng", root);
    if (!g_file_test(path, G_FILE_TEST_IS_REGULAR))
        return vmp_fail_null(error, VMP_ERROR_UNSUPPORTED,
                             "the schema '%s' is not there (package libvirt0)", path);

    g_autoptr(SchemaReader) reader = xmlRelaxNGNewParserCtxt(path);
    xmlRelaxNGSetParserStructuredErrors(reader, stay_silent, NULL);
    Schema *schema = xmlRelaxNGParse(reader);
    return schema ? schema
                  : vmp_fail_null(error, VMP_ERROR_UNSUPPORTED,
                                  "the schema '%s' cannot be read", path);
}

gboolean
vmp_xml_validate(const char *xml, gssize length, const char *root, GError **error)
{
    g_autoptr(VmpXmlDoc) doc = vmp_xml_parse(xml, length, root, root, error);
    g_autoptr(Schema) schema = doc ? load_schema(root, error) : NULL;
    g_autofree char *complaint = NULL;
    if (!schema)
        return FALSE;

    g_autoptr(SchemaRun) run = xmlRelaxNGNewValidCtxt(schema);
    xmlRelaxNGSetValidStructuredErrors(run, keep_first, &complaint);
    if (xmlRelaxNGValidateDoc(run, vmp_xml_root(doc)->doc) == 0)
        return TRUE;
    return vmp_fail(error, VMP_ERROR_INVALID, "<%s> is not valid by libvirt's schema: %s",
                    root, complaint ? g_strchomp(complaint) : "no reason is given");
}
