/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/reader.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include "test-xml-fixture.h"
#include "xml/scan.h"

static glong
peak_memory_kib(void)
{
    struct rusage usage;

    g_assert_cmpint(getrusage(RUSAGE_SELF, &usage), ==, 0);
    return usage.ru_maxrss;
}

static void
assert_refused(const char *xml, gssize length, const char *part)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpXmlDoc) doc = vmp_xml_parse(xml, length, NULL, "test XML", &error);

    g_assert_null(doc);
    assert_invalid(error, part);
    g_assert_true(g_str_has_prefix(error->message, "test XML: "));
}

static VmpXmlDoc *
parse(const char *xml)
{
    g_autoptr(GError) error = NULL;
    VmpXmlDoc *doc = vmp_xml_parse(xml, -1, NULL, "test XML", &error);

    g_assert_no_error(error);
    g_assert_nonnull(doc);
    return doc;
}

typedef struct {
    const char *name, *xml, *part;
} Refusal;

static const Refusal refusals[] = {
    { "an-entity-bomb",
      "<?xml version='1.0'?>\n<!DOCTYPE a [<!ENTITY b 'bbbbbbbb'><!ENTITY c "
      "'&b;&b;&b;&b;&b;'>\n"
      "<!ENTITY d '&c;&c;&c;&c;'>]><a>&d;</a>",
      "line 2: a document type" },
    { "an-external-entity", "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
      "line 1: a document type" },
    { "a-parameter-entity",
      "<!DOCTYPE a [<!ENTITY % x SYSTEM 'http://localhost/x.dtd'>%x;]><a/>", "document type" },
    { "a-doctype-alone", "\n\n<!DOCTYPE a><a/>", "line 3: a document type" },
    { "a-doctype-in-lower-case", "<!doctype a><a/>", "document type" },
    { "an-element-declaration-inside", "<a>\n<!ELEMENT b ANY></a>",
      "line 2: a document type" },
    { "an-undeclared-entity", "<a>\n&x;</a>", "line 2: Entity 'x' not defined" },
    { "an-undeclared-prefix", "<a>\n<qemu:commandline/></a>",
      "line 2: Namespace prefix qemu" },
    { "xinclude",
      "<a>\n<i:include xmlns:i='http://www.w3.org/2001/XInclude' href='/etc/passwd'/></a>",
      "line 2: XInclude" },
    { "another-encoding", "<?xml version='1.0' encoding='ISO-8859-1'?><a/>",
      "line 1: the encoding must be UTF-8" },
    { "utf-7", "<?xml version='1.0' encoding='UTF-7'?><a/>", "encoding must be UTF-8" },
    { "bad-utf-8", "<a>\n\xff</a>", "line 2: not UTF-8" },
    { "an-overlong-sequence", "<a>\xc0\xbc</a>", "line 1: not UTF-8" },
    { "a-surrogate", "<a>\xed\xa0\x80</a>", "not UTF-8" },
    { "a-control-character", "<a>\n\x01</a>", "line 2: " },
    { "a-reference-to-nul", "<a>&#0;</a>", "line 1: " },
    { "nothing", "", "" },
    { "blanks", " \n ", "" },
    { "prose", "hello", "line 1: " },
    { "json", "{\"a\": 1}", "line 1: " },
    { "an-open-element", "<a>\n<b>\n</a>", "line 3: " },
    { "an-end-without-a-start", "</a>", "line 1: end tag without" },
    { "an-open-comment", "<a>\n<!-- ", "line 2: markup is not closed" },
    { "an-open-cdata", "<a><![CDATA[x", "markup is not closed" },
    { "an-open-instruction", "<a><?x ", "markup is not closed" },
    { "an-open-tag", "<a b='1'", "malformed tag" },
    { "an-open-value", "<a b='1>", "malformed tag" },
    { "a-value-without-quotes", "<a b=1/>", "malformed tag" },
    { "two-roots", "<a/>\n<b/>", "line 2: " },
    { "an-attribute-given-twice", "<a b='1' b='2'/>", "line 1: " },
    { "a-wrong-end-tag", "<a>\n<b>\n</c></a>", "line 3: " },
    { "a-bracket-in-a-value", "<a b='<c/>'/>", "line 1: " },
};

static void
test_refusal(gconstpointer data)
{
    const Refusal *refusal = data;

    assert_refused(refusal->xml, -1, refusal->part);
}

static void
test_nul_byte(void)
{
    assert_refused("<a>\n\0</a>", 9, "line 2: a NUL byte");
}

static void
test_utf16(void)
{
    assert_refused("\xff\xfe<\0a\0/\0>\0", 10, "line 1: not UTF-8");
    assert_refused("<\0a\0/\0>\0", 8, "line 1: a NUL byte");
}

static void
test_one_gibibyte(void)
{
    const gsize size = (gsize)1 << 30;
    char *huge =
        mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    glong before = peak_memory_kib();

    g_assert_true(huge != MAP_FAILED);
    assert_refused(huge, (gssize)size, "more than 64 MiB");
    g_assert_cmpint(peak_memory_kib() - before, <, 16 * 1024);
    munmap(huge, size);
}

static void
test_too_large_without_length(void)
{
    g_autofree char *blanks = repeat(" ", VMP_XML_MAX_SIZE + 10);

    assert_refused(blanks, -1, "more than 64 MiB");
}

static void
test_deep_nesting(void)
{
    g_autofree char *opening = repeat("<a>\n", 100000);
    glong before = peak_memory_kib();

    assert_refused(opening, -1, "line 257: elements are nested too deeply");
    g_assert_cmpint(peak_memory_kib() - before, <, 16 * 1024);
}

static void
test_allowed_nesting(void)
{
    g_autofree char *opening = repeat("<a>", VMP_XML_MAX_DEPTH);
    g_autofree char *closing = repeat("</a>", VMP_XML_MAX_DEPTH);
    g_autofree char *xml = g_strconcat(opening, closing, NULL);
    g_autoptr(VmpXmlDoc) doc = parse(xml);
    g_autofree char *text = vmp_xml_serialize(vmp_xml_root(doc));

    g_assert_cmpstr(text, ==, xml);
}

static void
test_crowd_of_elements(void)
{
    g_autofree char *elements = repeat("<a/>", VMP_XML_MAX_MARKUP + 1);
    g_autofree char *xml = g_strconcat("<r>", elements, "</r>", NULL);
    glong before = peak_memory_kib();

    assert_refused(xml, -1, "too many elements and attributes");
    g_assert_cmpint(peak_memory_kib() - before, <, 128 * 1024);
}

static char *
element_with_attributes(guint count, const char *prefix)
{
    GString *xml = g_string_new("<a");

    for (guint i = 0; i < count; i++)
        g_string_append_printf(xml, " %s%u='x'", prefix, i);
    g_string_append(xml, "/>");
    return g_string_free(xml, FALSE);
}

static void
test_crowd_of_attributes(void)
{
    g_autofree char *fits = element_with_attributes(VMP_XML_MAX_ATTRIBUTES, "b");
    g_autofree char *many = element_with_attributes(VMP_XML_MAX_ATTRIBUTES + 1, "b");
    g_autoptr(VmpXmlDoc) doc = parse(fits);

    g_assert_nonnull(doc);
    assert_refused(many, -1, "too many attributes in one element");
}

static void
test_crowd_of_namespaces(void)
{
    g_autofree char *fits = element_with_attributes(VMP_XML_MAX_NAMESPACES, "xmlns:n");
    g_autofree char *many = element_with_attributes(VMP_XML_MAX_NAMESPACES + 1, "xmlns:n");
    g_autofree char *siblings = repeat("<b xmlns:x='y'/><b xmlns:x='y'></b>", 1000);
    g_autofree char *in_turn = g_strconcat("<a>", siblings, "</a>", NULL);
    g_autoptr(VmpXmlDoc) doc = parse(fits);
    g_autoptr(VmpXmlDoc) other = parse(in_turn);

    g_assert_nonnull(doc);
    g_assert_nonnull(other);
    assert_refused(many, -1, "too many namespaces");
}

static void
test_large_text(void)
{
    g_autofree char *text = repeat("0123456789abcdef", 1 << 16);
    g_autofree char *xml = g_strconcat("<a><b>", text, "</b></a>", NULL);
    g_autoptr(VmpXmlDoc) doc = parse(xml);
    g_autofree char *read = vmp_xml_text(vmp_xml_child(vmp_xml_root(doc), "b"));

    g_assert_cmpuint(strlen(read), ==, 1 << 20);
    g_assert_true(g_str_equal(read, text));
}

static void
test_long_name(void)
{
    g_autofree char *name = repeat("n", 10000);
    g_autofree char *xml = g_strdup_printf("<%s a='x'/>", name);
    g_autoptr(VmpXmlDoc) doc = parse(xml);
    g_autoptr(GError) error = NULL;
    guint64 value = 0;

    g_assert_false(vmp_xml_attribute_uint(vmp_xml_root(doc), "a", &value, &error));
    assert_invalid(error, "a='x' is not a number");
    assert_refused("<a></aaaaaaaaaaaaaaaaaaaaaaaaa>", -1, "line 1: ");
}

static void
test_lines_beyond_65535(void)
{
    g_autofree char *newlines = repeat("\n", 100000);
    g_autofree char *xml = g_strconcat("<a>", newlines, "<b x='-1'/>\n<c/></a>", NULL);
    g_autoptr(VmpXmlDoc) doc = parse(xml);
    g_autoptr(GError) error = NULL;
    guint64 value = 7;

    g_assert_cmpuint(vmp_xml_line(vmp_xml_child(vmp_xml_root(doc), "c")), ==, 100002);
    g_assert_false(
        vmp_xml_attribute_uint(vmp_xml_child(vmp_xml_root(doc), "b"), "x", &value, &error));
    assert_invalid(error, "line 100001: <b>: x='-1' is not a number");
    g_assert_cmpuint(value, ==, 7);
}

static void
test_lines_of_a_part(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpXmlDoc) doc =
        vmp_xml_parse_part("<a>\n<b/></a>", -1, 40, "a", "test XML", &error);

    g_assert_no_error(error);
    g_assert_cmpuint(vmp_xml_line(vmp_xml_child(vmp_xml_root(doc), "b")), ==, 41);
}

static void
test_byte_order_mark(void)
{
    g_autoptr(VmpXmlDoc) doc =
        parse("\xef\xbb\xbf<?xml version='1.0' encoding='utf-8'?><a> x</a>");
    g_autofree char *text = vmp_xml_serialize(vmp_xml_root(doc));

    g_assert_cmpstr(text, ==, "<a> x</a>");
}

static void
test_length_is_obeyed(void)
{
    const char bytes[] = { '<', 'a', '/', '>', 'j', 'u', 'n', 'k' };
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpXmlDoc) doc = vmp_xml_parse(bytes, 4, "a", "test XML", &error);

    g_assert_no_error(error);
    g_assert_nonnull(doc);
}

static void
test_root(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpXmlDoc) doc = vmp_xml_parse("\n<b/>", -1, "a", "test XML", &error);

    g_assert_null(doc);
    assert_invalid(error, "test XML: line 2: the root element is 'b', not 'a'");

    g_clear_error(&error);
    g_autoptr(VmpXmlDoc) other =
        vmp_xml_parse("<a xmlns='urn:x'/>", -1, "a", "test XML", &error);
    g_assert_null(other);
    assert_invalid(error, "the root element is");
}

static void
test_walk(void)
{
    g_autoptr(VmpXmlDoc) doc = parse(
        "<a>t<x/>u<b n='1'/><!-- b --><q:b xmlns:q='urn:q'/><b n='2'><c>deep</c></b></a>");
    const xmlNode *root = vmp_xml_root(doc);
    const xmlNode *first = vmp_xml_child(root, "b");
    const xmlNode *second = vmp_xml_next(first, "b");
    g_autofree char *deep = vmp_xml_text(vmp_xml_find(second, "c"));
    g_autofree char *n = vmp_xml_attribute(second, "n");

    g_assert_cmpstr(n, ==, "2");
    g_assert_null(vmp_xml_next(second, "b"));
    g_assert_cmpstr(deep, ==, "deep");
    g_assert_cmpstr((const char *)vmp_xml_child(root, NULL)->name, ==, "x");
    g_assert_true(vmp_xml_is(vmp_xml_next(first, NULL), "urn:q", "b"));
    g_assert_null(vmp_xml_find(root, "b/none"));
    g_assert_null(vmp_xml_find(root, "none/c"));
    g_assert_null(vmp_xml_text(NULL));
    g_assert_null(vmp_xml_attribute(root, "absent"));
}

static void
test_text(void)
{
    g_autoptr(VmpXmlDoc) doc =
        parse("<a><b>&lt;&amp;&#x41;<![CDATA[<raw>]]></b><c/><d> </d></a>");
    const xmlNode *root = vmp_xml_root(doc);
    g_autofree char *b = vmp_xml_text(vmp_xml_child(root, "b"));
    g_autofree char *c = vmp_xml_text(vmp_xml_child(root, "c"));
    g_autofree char *d = vmp_xml_text_or_null(vmp_xml_child(root, "d"));

    g_assert_cmpstr(b, ==, "<&A<raw>");
    g_assert_cmpstr(c, ==, "");
    g_assert_cmpstr(d, ==, " ");
    g_assert_null(vmp_xml_text_or_null(vmp_xml_child(root, "c")));
}

static void
test_numbers(void)
{
    static const struct {
        const char *text;
        gboolean ok;
        guint64 value;
    } cases[] = {
        { "0", TRUE, 0 },    { "18446744073709551615", TRUE, G_MAXUINT64 },
        { "007", TRUE, 7 },  { "18446744073709551616", FALSE, 0 },
        { "", FALSE, 0 },    { "-1", FALSE, 0 },
        { "+1", FALSE, 0 },  { " 1", FALSE, 0 },
        { "1 ", FALSE, 0 },  { "0x10", FALSE, 0 },
        { "1e3", FALSE, 0 }, { "\xd9\xa1", FALSE, 0 },
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        guint64 value = 0;

        g_assert_cmpint(vmp_xml_parse_uint(cases[i].text, &value), ==, cases[i].ok);
        if (cases[i].ok)
            g_assert_cmpuint(value, ==, cases[i].value);
    }
}

static void
test_attribute_values(void)
{
    g_autoptr(VmpXmlDoc) doc = parse("<a n='65536' y='yes' x='true' p='rel/path' q='/abs'/>");
    const xmlNode *root = vmp_xml_root(doc);
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    gboolean flag = FALSE;
    guint number = 3;

    g_assert_true(vmp_xml_attribute_uint_max(root, "n", 65536, &number, &error));
    g_assert_cmpuint(number, ==, 65536);
    g_assert_true(vmp_xml_attribute_uint_max(root, "absent", 1, &number, &error));
    g_assert_cmpuint(number, ==, 65536);
    g_assert_true(vmp_xml_attribute_yes_no(root, "y", &flag, &error));
    g_assert_true(flag);
    g_assert_true(vmp_xml_attribute_path(root, "q", &path, &error));
    g_assert_cmpstr(path, ==, "/abs");

    g_assert_false(vmp_xml_attribute_uint_max(root, "n", 65535, &number, &error));
    assert_invalid(error, "line 1: <a>: n='65536' is too large");
    g_clear_error(&error);
    g_assert_false(vmp_xml_attribute_yes_no(root, "x", &flag, &error));
    assert_invalid(error, "x='true' is neither 'yes' nor 'no'");
    g_clear_error(&error);
    g_assert_false(vmp_xml_attribute_path(root, "p", &path, &error));
    assert_invalid(error, "p='rel/path' is not an absolute path");
    g_assert_cmpstr(path, ==, "/abs");
}

static void
test_sizes(void)
{
    static const struct {
        const char *xml;
        gboolean ok;
        guint64 bytes;
    } cases[] = {
        { "<m>2</m>", TRUE, 2048 },
        { "<m unit='b'>2</m>", TRUE, 2 },
        { "<m unit='bytes'>2</m>", TRUE, 2 },
        { "<m unit='KB'>2</m>", TRUE, 2000 },
        { "<m unit='k'>2</m>", TRUE, 2048 },
        { "<m unit='KiB'>2</m>", TRUE, 2048 },
        { "<m unit='M'> 2 </m>", TRUE, 2 << 20 },
        { "<m unit='mib'>2</m>", TRUE, 2 << 20 },
        { "<m unit='GiB'>1</m>", TRUE, 1 << 30 },
        { "<m unit='TB'>1</m>", TRUE, G_GUINT64_CONSTANT(1000000000000) },
        { "<m unit='EiB'>15</m>", TRUE, G_GUINT64_CONSTANT(15) << 60 },
        { "<m unit='EiB'>16</m>", FALSE, 0 },
        { "<m unit='furlong'>1</m>", FALSE, 0 },
        { "<m unit=''>1</m>", FALSE, 0 },
        { "<m unit='Kib'>1</m>", TRUE, 1024 },
        { "<m unit='Kx'>1</m>", FALSE, 0 },
        { "<m>-1</m>", FALSE, 0 },
        { "<m>1.5</m>", FALSE, 0 },
        { "<m/>", FALSE, 0 },
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(VmpXmlDoc) doc = parse(cases[i].xml);
        g_autoptr(GError) error = NULL;
        guint64 bytes = 0;

        g_test_message("%s", cases[i].xml);
        g_assert_cmpint(vmp_xml_text_size(vmp_xml_root(doc), "KiB", &bytes, &error), ==,
                        cases[i].ok);
        if (cases[i].ok)
            g_assert_cmpuint(bytes, ==, cases[i].bytes);
        else
            assert_invalid(error, "line 1: <m>: ");
    }
}

static void
test_serialize(void)
{
    const char *inner = "<b  x=\"1\"\n y='2' >&#x41;<!-- c --><c/><![CDATA[>]]>\t</b >";
    g_autofree char *xml =
        g_strconcat("<?xml version='1.0'?><a>text ", inner, " more</a>\n", NULL);
    g_autoptr(VmpXmlDoc) doc = parse(xml);
    g_autofree char *text = vmp_xml_serialize(vmp_xml_child(vmp_xml_root(doc), "b"));

    g_assert_cmpstr(text, ==, inner);
}

static void
test_serialize_inherited_prefix(void)
{
    g_autoptr(VmpXmlDoc) doc = parse(
        "<a xmlns:p='urn:p' xmlns:q='urn:&amp;q'><b xmlns:q='urn:other' n='1'><p:c/></b></a>");
    g_autofree char *text = vmp_xml_serialize(vmp_xml_child(vmp_xml_root(doc), "b"));

    g_assert_cmpstr(text, ==, "<b xmlns:p='urn:p' xmlns:q='urn:other' n='1'><p:c/></b>");
    g_autoptr(VmpXmlDoc) again = parse(text);
    g_autofree char *same = vmp_xml_serialize(vmp_xml_root(again));
    g_assert_cmpstr(same, ==, text);
}

static void
test_serialize_children(void)
{
    g_autoptr(VmpXmlDoc) doc = parse("<a>\n <b/>x<!-- --><c>\n</c></a>");
    g_autofree char *text = vmp_xml_serialize_children(vmp_xml_root(doc), "|");

    g_assert_cmpstr(text, ==, "<b/>|<c>\n</c>");
    g_assert_null(vmp_xml_serialize_children(vmp_xml_child(vmp_xml_root(doc), "b"), "|"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    for (guint i = 0; i < G_N_ELEMENTS(refusals); i++) {
        g_autofree char *path = g_strconcat("/xml/reader/refuses/", refusals[i].name, NULL);
        g_test_add_data_func(path, &refusals[i], test_refusal);
    }
    g_test_add_func("/xml/reader/refuses/a-nul-byte", test_nul_byte);
    g_test_add_func("/xml/reader/refuses/utf-16", test_utf16);
    g_test_add_func("/xml/reader/refuses/one-gibibyte-without-reading-it", test_one_gibibyte);
    g_test_add_func("/xml/reader/refuses/a-large-string-of-unknown-length",
                    test_too_large_without_length);
    g_test_add_func("/xml/reader/refuses/100000-levels-in-little-memory", test_deep_nesting);
    g_test_add_func("/xml/reader/accepts/256-levels", test_allowed_nesting);
    g_test_add_func("/xml/reader/refuses/a-crowd-of-elements", test_crowd_of_elements);
    g_test_add_func("/xml/reader/refuses/a-crowd-of-attributes", test_crowd_of_attributes);
    g_test_add_func("/xml/reader/refuses/a-crowd-of-namespaces", test_crowd_of_namespaces);
    g_test_add_func("/xml/reader/accepts/a-text-of-one-mebibyte", test_large_text);
    g_test_add_func("/xml/reader/accepts/a-long-name-and-cuts-it-in-errors", test_long_name);
    g_test_add_func("/xml/reader/counts-lines-beyond-65535", test_lines_beyond_65535);
    g_test_add_func("/xml/reader/counts-the-lines-of-a-part-from-its-place",
                    test_lines_of_a_part);
    g_test_add_func("/xml/reader/accepts/a-byte-order-mark", test_byte_order_mark);
    g_test_add_func("/xml/reader/reads-no-further-than-the-length", test_length_is_obeyed);
    g_test_add_func("/xml/reader/refuses/another-root", test_root);
    g_test_add_func("/xml/reader/walks-elements-and-passes-over-the-rest", test_walk);
    g_test_add_func("/xml/reader/gives-text-with-references-resolved", test_text);
    g_test_add_func("/xml/reader/numbers-are-digits-only", test_numbers);
    g_test_add_func("/xml/reader/attribute-values-name-line-and-element",
                    test_attribute_values);
    g_test_add_func("/xml/reader/sizes-have-libvirts-units", test_sizes);
    g_test_add_func("/xml/reader/serializes-byte-for-byte", test_serialize);
    g_test_add_func("/xml/reader/serializes-with-inherited-prefixes",
                    test_serialize_inherited_prefix);
    g_test_add_func("/xml/reader/serializes-children", test_serialize_children);
    return g_test_run();
}
