/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/edit.h"

#include "test-xml-fixture.h"

typedef struct {
    VmpXmlDoc *doc;
    VmpXmlEdit *edit;
    xmlNode *root;
} Fixture;

static const char document[] = "<?xml version='1.0'?>\n"
                               "<r>\n"
                               "  <a  x=\"1\" yy='2'\tz='3' />\n"
                               "  <b>old &amp; older<i/></b >\n"
                               "  <c/><d/>\n"
                               "</r>\n";

static void
set_up(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    fixture->doc = vmp_xml_parse(document, -1, "r", "test XML", &error);
    g_assert_no_error(error);
    fixture->edit = vmp_xml_edit_new(fixture->doc);
    fixture->root = vmp_xml_root(fixture->doc);
}

static void
tear_down(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    vmp_xml_edit_free(fixture->edit);
    vmp_xml_doc_free(fixture->doc);
}

/* The result is the root element with @old replaced by @new, and nothing else differs. */
static void
assert_result(Fixture *fixture, const char *old, const char *new)
{
    g_autofree char *root = vmp_xml_serialize(fixture->root);
    g_autofree char *expected = replace(root, old, new);
    g_autofree char *result = vmp_xml_edit_apply(fixture->edit);

    g_assert_cmpstr(result, ==, expected);
}

static void
test_nothing(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    assert_result(fixture, "", "");
}

static void
test_set_attribute(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    vmp_xml_edit_set_attribute(fixture->edit, vmp_xml_child(fixture->root, "a"), "yy",
                               "it's <2>");
    assert_result(fixture, "yy='2'", "yy='it&apos;s &lt;2&gt;'");
}

static void
test_append_attribute(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    vmp_xml_edit_set_attribute(fixture->edit, vmp_xml_child(fixture->root, "a"), "y", "new");
    assert_result(fixture, "z='3' />", "z='3' y='new' />");
}

static void
test_first_attribute(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    vmp_xml_edit_set_attribute(fixture->edit, vmp_xml_child(fixture->root, "c"), "n", "1");
    assert_result(fixture, "<c/>", "<c n='1'/>");
}

static void
test_rename_attribute(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    const xmlNode *a = vmp_xml_child(fixture->root, "a");

    vmp_xml_edit_rename_attribute(fixture->edit, a, "x", "w", "9");
    vmp_xml_edit_rename_attribute(fixture->edit, a, "absent", "w", "9");
    assert_result(fixture, "x=\"1\"", "w=\"9\"");
}

static void
test_remove_attribute(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    const xmlNode *a = vmp_xml_child(fixture->root, "a");

    vmp_xml_edit_remove_attribute(fixture->edit, a, "z");
    vmp_xml_edit_remove_attribute(fixture->edit, a, "absent");
    assert_result(fixture, "\tz='3'", "");
}

static void
test_set_text(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    vmp_xml_edit_set_text(fixture->edit, vmp_xml_child(fixture->root, "b"), "a<b");
    assert_result(fixture, "old &amp; older<i/>", "a&lt;b");
}

static void
test_set_text_of_empty(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    vmp_xml_edit_set_text(fixture->edit, vmp_xml_child(fixture->root, "c"), "t");
    assert_result(fixture, "<c/>", "<c>t</c>");
}

static void
test_rename(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    vmp_xml_edit_rename(fixture->edit, vmp_xml_child(fixture->root, "b"), "bee");
    assert_result(fixture, "<b>old &amp; older<i/></b >", "<bee>old &amp; older<i/></bee >");
}

static void
test_rename_empty(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    vmp_xml_edit_rename(fixture->edit, vmp_xml_child(fixture->root, "a"), "long");
    assert_result(fixture, "<a  x", "<long  x");
}

static void
test_remove(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    vmp_xml_edit_remove(fixture->edit, vmp_xml_child(fixture->root, "b"));
    assert_result(fixture, "\n  <b>old &amp; older<i/></b >", "");
}

static void
test_replace(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    vmp_xml_edit_replace(fixture->edit, vmp_xml_child(fixture->root, "d"), "<e>&lt;</e>");
    assert_result(fixture, "<d/>", "<e>&lt;</e>");
}

static void
test_insert(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    vmp_xml_edit_insert_before(fixture->edit, vmp_xml_child(fixture->root, "c"), "<one/>");
    vmp_xml_edit_insert_before(fixture->edit, vmp_xml_child(fixture->root, "c"), "<two/>");
    vmp_xml_edit_insert_after(fixture->edit, vmp_xml_child(fixture->root, "b"), "<three/>");
    assert_result(fixture, "</b >\n  <c/>", "</b >\n  <three/>\n  <one/>\n  <two/>\n  <c/>");
}

static void
test_insert_inside_a_line(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    vmp_xml_edit_insert_before(fixture->edit, vmp_xml_child(fixture->root, "d"), "<one/>");
    vmp_xml_edit_insert_after(fixture->edit, vmp_xml_child(fixture->root, "d"), "<two/>");
    assert_result(fixture, "<c/><d/>", "<c/><one/><d/><two/>");
}

static void
test_order(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    vmp_xml_edit_rename(fixture->edit, vmp_xml_child(fixture->root, "d"), "q");
    vmp_xml_edit_remove_attribute(fixture->edit, vmp_xml_child(fixture->root, "a"), "x");
    g_autofree char *result = vmp_xml_edit_apply(fixture->edit);

    g_assert_nonnull(strstr(result, "<a yy='2'"));
    g_assert_nonnull(strstr(result, "<c/><q/>"));
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*run)(Fixture *fixture, gconstpointer data);
    } tests[] = {
        { "/xml/edit/nothing-changes-nothing", test_nothing },
        { "/xml/edit/an-attribute-gets-another-value", test_set_attribute },
        { "/xml/edit/a-new-attribute-stands-last", test_append_attribute },
        { "/xml/edit/a-new-attribute-may-be-the-first", test_first_attribute },
        { "/xml/edit/an-attribute-is-renamed-and-keeps-its-quotes", test_rename_attribute },
        { "/xml/edit/an-attribute-goes-with-the-blanks-before-it", test_remove_attribute },
        { "/xml/edit/text-replaces-all-content", test_set_text },
        { "/xml/edit/an-empty-element-gets-text", test_set_text_of_empty },
        { "/xml/edit/both-tags-are-renamed", test_rename },
        { "/xml/edit/an-empty-element-is-renamed", test_rename_empty },
        { "/xml/edit/an-element-goes-with-the-blanks-before-it", test_remove },
        { "/xml/edit/an-element-is-replaced", test_replace },
        { "/xml/edit/insertions-get-lines-and-keep-their-order", test_insert },
        { "/xml/edit/insertions-inside-a-line-stay-there", test_insert_inside_a_line },
        { "/xml/edit/edits-may-come-in-any-order", test_order },
    };

    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].run, tear_down);
    return g_test_run();
}
