/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "xml/validate.h"

static gboolean
skip_without_schemas(void)
{
    if (g_file_test("/usr/share/libvirt/schemas/domainsnapshot.rng", G_FILE_TEST_EXISTS))
        return FALSE;
    g_test_skip("libvirt's schemas are not installed (package libvirt0)");
    return TRUE;
}

static void
what_the_schema_has_is_valid(void)
{
    g_autoptr(GError) error = NULL;

    if (skip_without_schemas())
        return;
    g_assert_true(vmp_xml_validate("<domainsnapshot><name>s</name><disks><disk name='vda' "
                                   "snapshot='external'/></disks></domainsnapshot>",
                                   -1, "domainsnapshot", &error));
    g_assert_no_error(error);
}

static void
a_misspelt_element_is_refused_with_its_line(void)
{
    g_autoptr(GError) error = NULL;

    if (skip_without_schemas())
        return;
    g_assert_false(vmp_xml_validate("<domainsnapshot>\n<name>s</name>\n<descripton/>\n"
                                    "</domainsnapshot>",
                                    -1, "domainsnapshot", &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, "line "));
    g_assert_nonnull(strstr(error->message, "domainsnapshot"));
}

static void
a_schema_that_is_not_there_is_unsupported(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(vmp_xml_validate("<nosuch/>", -1, "nosuch", &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_UNSUPPORTED);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xml/validate/what-the-schema-has-is-valid",
                    what_the_schema_has_is_valid);
    g_test_add_func("/xml/validate/a-misspelt-element-is-refused-with-its-line",
                    a_misspelt_element_is_refused_with_its_line);
    g_test_add_func("/xml/validate/a-schema-that-is-not-there-is-unsupported",
                    a_schema_that_is_not_there_is_unsupported);
    return g_test_run();
}
