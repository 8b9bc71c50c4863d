/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/xpath.h"

#include <vmpoint/error.h>

static const char document[] = "<domain type='kvm'>\n"
                               "  <name>vm</name>\n"
                               "  <devices>\n"
                               "    <disk type='file'>\n"
                               "      <target dev='vda'/>\n"
                               "    </disk>\n"
                               "    <disk type='block'>\n"
                               "      <target dev='vdb'/>\n"
                               "    </disk>\n"
                               "  </devices>\n"
                               "</domain>\n";

static void
assert_selects(const char *expression, gboolean wrap, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = vmp_xpath_select(document, expression, wrap, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(text, ==, expected);
}

static void
each_node_stands_for_itself(void)
{
    assert_selects("//target", FALSE, "<target dev=\"vda\"/>\n<target dev=\"vdb\"/>\n");
    assert_selects("//disk[1]", FALSE,
                   "<disk type=\"file\">\n  <target dev=\"vda\"/>\n</disk>\n");
    assert_selects("//name/text()", FALSE, "vm\n");
    assert_selects("//target/@dev", FALSE, " dev=\"vda\"\n dev=\"vdb\"\n");
    assert_selects("//interface", FALSE, "");
}

static void
wrapped_nodes_have_one_root(void)
{
    assert_selects("//target", TRUE,
                   "<nodes>\n  <target dev=\"vda\"/>\n  <target dev=\"vdb\"/>\n</nodes>\n");
    assert_selects("//interface", TRUE, "<nodes/>\n");
    assert_selects("//@type|//target[@dev='vdb']", TRUE,
                   "<nodes type=\"block\">\n  <target dev=\"vdb\"/>\n</nodes>\n");
}

static void
what_selects_no_nodes_is_refused(void)
{
    static const char *const expressions[] = { "//[", "count(//disk)", "'text'", "",
                                               "nope:x" };

    for (guint i = 0; i < G_N_ELEMENTS(expressions); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(vmp_xpath_select(document, expressions[i], FALSE, &error));
        g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
    }
}

static void
what_is_not_xml_is_not_searched(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(vmp_xpath_select("<a", "//a", FALSE, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INCONSISTENT);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/xpath/each-node-stands-for-itself", each_node_stands_for_itself);
    g_test_add_func("/cli/xpath/wrapped-nodes-have-one-root", wrapped_nodes_have_one_root);
    g_test_add_func("/cli/xpath/what-selects-no-nodes-is-refused",
                    what_selects_no_nodes_is_refused);
    g_test_add_func("/cli/xpath/what-is-not-xml-is-not-searched",
                    what_is_not_xml_is_not_searched);
    return g_test_run();
}
