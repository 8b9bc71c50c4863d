/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/markup.h"

#include "test-xml-fixture.h"
#include "xml/reader.h"

static void
test_layout(void)
{
    VmpMarkup markup = vmp_markup_begin();

    vmp_markup_open(&markup, "a");
    vmp_markup_attribute(&markup, "x", "1");
    vmp_markup_attribute(&markup, "absent", NULL);
    vmp_markup_attribute_int(&markup, "n", -5);
    vmp_markup_element(&markup, "t", "text");
    vmp_markup_element(&markup, "absent", NULL);
    vmp_markup_element(&markup, "empty", "");
    vmp_markup_open(&markup, "b");
    vmp_markup_verbatim(&markup, "<v>\nas it is</v>");
    vmp_markup_verbatim(&markup, NULL);
    vmp_markup_close(&markup, "b");
    vmp_markup_open(&markup, "c");
    vmp_markup_close(&markup, "c");
    vmp_markup_element_int(&markup, "i", 42);
    vmp_markup_close(&markup, "a");
    g_autofree char *text = vmp_markup_finish(&markup);

    g_assert_cmpstr(text, ==,
                    "<a x='1' n='-5'>\n"
                    "  <t>text</t>\n"
                    "  <empty></empty>\n"
                    "  <b>\n"
                    "    <v>\nas it is</v>\n"
                    "  </b>\n"
                    "  <c/>\n"
                    "  <i>42</i>\n"
                    "</a>\n");
}

static void
test_escape(void)
{
    g_autofree char *text = vmp_markup_escape_text("<a> & 'b' \"c\"\t\n\r");
    g_autofree char *value = vmp_markup_escape_attribute("<a> & 'b' \"c\"\t\n\r");

    g_assert_cmpstr(text, ==, "&lt;a&gt; &amp; &apos;b&apos; &quot;c&quot;\t\n&#13;");
    g_assert_cmpstr(value, ==, "&lt;a&gt; &amp; &apos;b&apos; &quot;c&quot;&#9;&#10;&#13;");
}

static void
test_what_xml_cannot_hold(void)
{
    g_autofree char *text = vmp_markup_escape_text("a\x01\x08\x1f\xef\xbf\xbe"
                                                   "b\x7f\xc2\x80");
    g_autofree char *broken = vmp_markup_escape_text("a\xff");

    g_assert_cmpstr(text, ==, "ab\x7f\xc2\x80");
    g_assert_true(g_utf8_validate(broken, -1, NULL));
    g_assert_false(vmp_markup_can_hold("a\x01"));
    g_assert_false(vmp_markup_can_hold("\xef\xbf\xbe"));
    g_assert_false(vmp_markup_can_hold("a\xff"));
    g_assert_true(vmp_markup_can_hold("a\t\n\r <&'\">\xf0\x9f\x90\xa7"));
}

static void
test_every_character_comes_back(void)
{
    for (gunichar c = 1; c < 0x11000; c++) {
        if (!g_unichar_validate(c))
            continue;
        char raw[8] = { 0 };
        g_unichar_to_utf8(c, raw);
        g_autofree char *value = vmp_markup_escape_attribute(raw);
        g_autofree char *text = vmp_markup_escape_text(raw);
        g_autofree char *xml = g_strdup_printf("<a v='%s'>%s</a>", value, text);
        g_autoptr(GError) error = NULL;
        g_autoptr(VmpXmlDoc) doc = vmp_xml_parse(xml, -1, "a", "test XML", &error);
        g_assert_no_error(error);

        g_autofree char *value_read = vmp_xml_attribute(vmp_xml_root(doc), "v");
        g_autofree char *text_read = vmp_xml_text(vmp_xml_root(doc));
        g_assert_cmpstr(value_read, ==, *value ? raw : "");
        g_assert_cmpstr(text_read, ==, *text ? raw : "");
        if (c > 0x1000)
            c += 0xf; /* the planes behind are all alike */
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xml/markup/is-laid-out-as-libvirt-does", test_layout);
    g_test_add_func("/xml/markup/escapes-as-libvirt-does", test_escape);
    g_test_add_func("/xml/markup/leaves-out-what-xml-cannot-hold", test_what_xml_cannot_hold);
    g_test_add_func("/xml/markup/every-character-comes-back", test_every_character_comes_back);
    return g_test_run();
}
