/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/scan.h"

#include "test-xml-fixture.h"

static GArray *
scan(const char *text)
{
    g_autoptr(GError) error = NULL;
    GArray *spans = vmp_xml_scan(text, strlen(text), &error);

    g_assert_no_error(error);
    return spans;
}

static void
assert_span(const char *text, const GArray *spans, guint index, const char *start_tag,
            const char *element, guint line)
{
    const VmpXmlSpan *span = &g_array_index(spans, VmpXmlSpan, index);
    g_autofree char *tag = g_strndup(text + span->start, span->tag_end - span->start);
    g_autofree char *whole = g_strndup(text + span->start, span->end - span->start);

    g_assert_cmpstr(tag, ==, start_tag);
    g_assert_cmpstr(whole, ==, element);
    g_assert_cmpuint(span->line, ==, line);
}

static void
test_spans(void)
{
    const char *text =
        "<?xml version='1.0'?>\n<a>\n <b/>\n<c\n x='1'>t</c >\n</a>\n<!-- end -->";
    g_autoptr(GArray) spans = scan(text);

    g_assert_cmpuint(spans->len, ==, 3);
    assert_span(text, spans, 0, "<a>", "<a>\n <b/>\n<c\n x='1'>t</c >\n</a>", 2);
    assert_span(text, spans, 1, "<b/>", "<b/>", 3);
    assert_span(text, spans, 2, "<c\n x='1'>", "<c\n x='1'>t</c >", 4);
}

static void
test_what_looks_like_tags(void)
{
    const char *text = "<a b='/>' c=\"'>\"><!-- <x> --><![CDATA[<y></a>]]><?z <w>?></a>";
    g_autoptr(GArray) spans = scan(text);

    g_assert_cmpuint(spans->len, ==, 1);
    assert_span(text, spans, 0, "<a b='/>' c=\"'>\">", text, 1);
}

static void
test_attributes(void)
{
    const char *tag = " one='1'\n two = \"t'wo\" three=''/>";
    const char *at = tag;
    const char *end = tag + strlen(tag);
    const char *const expected[][2] = { { "one", "1" }, { "two", "t'wo" }, { "three", "" } };
    VmpXmlAttributeSpan attribute;

    for (guint i = 0; i < G_N_ELEMENTS(expected); i++) {
        g_assert_true(vmp_xml_scan_attribute(&at, end, &attribute));
        g_autofree char *name = g_strndup(attribute.name, attribute.name_length);
        g_autofree char *value = g_strndup(attribute.value, attribute.value_length);
        g_assert_cmpstr(name, ==, expected[i][0]);
        g_assert_cmpstr(value, ==, expected[i][1]);
    }
    g_assert_false(vmp_xml_scan_attribute(&at, end, &attribute));
    g_assert_cmpstr(at, ==, "/>");
}

static void
test_malformed_attributes(void)
{
    static const char *const tags[] = {
        " a", " a=", " a=1>", " a='1", " ='1'>", " \"a\"='1'>"
    };

    for (guint i = 0; i < G_N_ELEMENTS(tags); i++) {
        const char *at = tags[i];
        VmpXmlAttributeSpan attribute;

        g_assert_false(vmp_xml_scan_attribute(&at, tags[i] + strlen(tags[i]), &attribute));
        g_assert_null(at);
    }
}

/* Every cut of a document is an allocation of exactly that size, so that a sanitizer
 * sees the first byte read behind it. */
static void
test_every_cut(void)
{
    const char *text = "<?p i?><a b='1' c = \"2\"><!-- c --><d/><![CDATA[ e ]]></a >";

    for (gsize length = 0; length <= strlen(text); length++) {
        g_autofree char *part = g_memdup2(text, length);
        g_autoptr(GArray) spans = vmp_xml_scan(part ? part : "", length, NULL);

        if (length == strlen(text))
            g_assert_cmpuint(spans->len, ==, 2);
    }
}

static void
test_line_at(void)
{
    g_assert_cmpuint(vmp_xml_line_at("a\nb\nc", 0), ==, 1);
    g_assert_cmpuint(vmp_xml_line_at("a\nb\nc", 1), ==, 1);
    g_assert_cmpuint(vmp_xml_line_at("a\nb\nc", 2), ==, 2);
    g_assert_cmpuint(vmp_xml_line_at("a\nb\nc", 5), ==, 3);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xml/scan/gives-the-bytes-and-line-of-each-element", test_spans);
    g_test_add_func("/xml/scan/passes-over-what-only-looks-like-a-tag",
                    test_what_looks_like_tags);
    g_test_add_func("/xml/scan/walks-the-attributes-of-a-tag", test_attributes);
    g_test_add_func("/xml/scan/stops-at-malformed-attributes", test_malformed_attributes);
    g_test_add_func("/xml/scan/stays-inside-a-text-cut-anywhere", test_every_cut);
    g_test_add_func("/xml/scan/counts-lines", test_line_at);
    return g_test_run();
}
