/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/strict.h"

#include "test-xml-fixture.h"

typedef struct {
    const char *name, *xml, *refusal;
} Case;

/* Against: attributes "id name", children "one many*". */
static const Case cases[] = {
    { "nothing", "<a/>", NULL },
    { "all", "<a id='1' name='2'>\n <one/> <many/><many/><!-- c --><?p i?></a>", NULL },
    { "another-attribute", "<a nam='x'/>", "attribute 'nam' is not allowed here" },
    { "an-attribute-of-a-namespace", "<a xmlns:q='urn:q' q:id='1'/>", "attribute 'id'" },
    { "another-child", "<a>\n<two/></a>", "line 2: <two>: is not allowed in <a>" },
    { "a-child-of-a-namespace", "<a><one xmlns='urn:q'/></a>", "<one>: is not allowed" },
    { "a-child-twice", "<a><one/>\n<one/></a>", "line 2: <one>: is given twice" },
    { "text", "<a>t<one/></a>", "text is not allowed here" },
    { "cdata", "<a><![CDATA[t]]></a>", "text is not allowed here" },
};

static gboolean
closed(const char *xml, const char *children, GError **error)
{
    g_autoptr(VmpXmlDoc) doc = vmp_xml_parse(xml, -1, "a", "test XML", NULL);

    g_assert_nonnull(doc);
    return vmp_xml_closed(vmp_xml_root(doc), "id name", children, error);
}

static void
test_closed(gconstpointer data)
{
    const Case *test = data;
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(closed(test->xml, "one many*", &error), ==, !test->refusal);
    if (test->refusal)
        assert_invalid(error, test->refusal);
}

static void
test_text_only(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(closed("<a> text <![CDATA[more]]></a>", NULL, &error));
    g_assert_false(closed("<a>text<one/></a>", NULL, &error));
    assert_invalid(error, "<one>: is not allowed in <a>");
}

static void
test_words(void)
{
    g_autoptr(VmpXmlDoc) doc = vmp_xml_parse("<a x='qcow'/>", -1, "a", "test XML", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_true(vmp_xml_attribute_in(vmp_xml_root(doc), "x", VMP_IMAGE_FORMATS, &error));
    g_assert_true(vmp_xml_attribute_in(vmp_xml_root(doc), "absent", "one", &error));
    g_assert_false(vmp_xml_attribute_in(vmp_xml_root(doc), "x", "qcow2 raw", &error));
    assert_invalid(error, "x='qcow' is not one of: qcow2 raw");
    g_assert_false(vmp_xml_is_word_of("", "a b"));
    g_assert_false(vmp_xml_is_word_of("a b", "a b"));
}

static void
test_disk_targets(void)
{
    static const char *const good[] = { "vda",   "sdaa", "hdc", "fda",
                                        "xvda1", "ubd0", "vd_", "ioemu:hda" };
    static const char *const bad[] = { "",     "vd",  "/dev/vda", "vd-a",      "nvme0",
                                       "vda ", "VDA", "ioemu:",   "vd\xc3\xa9" };

    for (guint i = 0; i < G_N_ELEMENTS(good); i++)
        g_assert_true(vmp_xml_is_disk_target(good[i]));
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(vmp_xml_is_disk_target(bad[i]));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/xml/strict/closed/", cases[i].name, NULL);
        g_test_add_data_func(path, &cases[i], test_closed);
    }
    g_test_add_func("/xml/strict/an-element-of-text-has-no-children", test_text_only);
    g_test_add_func("/xml/strict/words-fit-whole", test_words);
    g_test_add_func("/xml/strict/disk-targets-follow-the-schema", test_disk_targets);
    return g_test_run();
}
