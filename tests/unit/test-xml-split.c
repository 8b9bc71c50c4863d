/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "xml/split.h"

typedef struct {
    const char *text;
    gsize at, portion;
    gboolean fails; /* at its end */
} Input;

static gssize
read_input(gpointer data, char *buffer, gsize size, GError **error)
{
    Input *input = data;
    gsize taken = MIN(MIN(size, input->portion), strlen(input->text) - input->at);

    if (taken == 0 && input->fails) {
        vmp_fail(error, VMP_ERROR_IO, "the disk is on fire");
        return -1;
    }
    memcpy(buffer, input->text + input->at, taken);
    input->at += taken;
    return (gssize)taken;
}

/* "3:<a/>|4:<b/>": lines and pieces. */
static char *
split(const char *text, gsize portion, gboolean fails, GError **error)
{
    Input input = { text, 0, portion, fails };
    g_autoptr(VmpXmlSplitter) splitter = vmp_xml_splitter_new(read_input, &input, "it");
    g_autoptr(VmpXmlDoc) root = vmp_xml_splitter_read_root(splitter, error);
    g_autoptr(GString) pieces = g_string_new(NULL);
    VmpXmlPiece piece = { .text = "" };

    while (root && piece.text) {
        if (!vmp_xml_splitter_next(splitter, &piece, error))
            return NULL;
        if (piece.text)
            g_string_append_printf(pieces, "%u:%.*s|", piece.line, (int)piece.length,
                                   piece.text);
    }
    return root ? g_string_free(g_steal_pointer(&pieces), FALSE) : NULL;
}

static void
each_element_of_the_root_is_a_piece_byte_for_byte(void)
{
    static const char text[] = "<?xml version='1.0'?>\n<!-- <x> --><r a='>'>\n <a  b = "
                               "'>'>\n<!-- </a> --><![CDATA[</a>]]>"
                               "<?p </a>?><a/></a>\n\n<b/></r >\n";

    for (gsize portion = 1; portion < 64; portion++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *pieces = split(text, portion, FALSE, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(
            pieces, ==,
            "3:<a  b = '>'>\n<!-- </a> --><![CDATA[</a>]]><?p </a>?><a/></a>|6:<b/>|");
    }
}

static void
a_root_without_content_has_no_pieces(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *pieces = split("<r/>", 1, FALSE, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(pieces, ==, "");
}

static void
what_could_not_be_read_is_said(void)
{
    static const char *const texts[] = { "", "<r>", "<r><a", "<r/>" };

    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(split(texts[i], 2, TRUE, &error));
        g_assert_error(error, VMP_ERROR, VMP_ERROR_IO);
    }
}

static void
a_text_is_decoded_as_xml_has_it(void)
{
    static const char text[] = "<t id='1'>&lt;&#xE9;&#13;\r\n\r&apos;\xef\xbf\xbd</t>";
    VmpXmlPiece piece = { text, strlen(text), 7 };
    g_autoptr(GError) error = NULL;
    g_autofree char *decoded = NULL;
    gsize length;
    g_autoptr(VmpXmlDoc) tag =
        vmp_xml_piece_read_text(&piece, "it", &decoded, &length, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(decoded, ==, "<\xc3\xa9\r\n\n'\xef\xbf\xbd");
    g_assert_cmpuint(length, ==, strlen(decoded));
    g_assert_cmpuint(vmp_xml_line(vmp_xml_root(tag)), ==, 7);
}

static void
what_is_no_text_is_refused_with_its_line(void)
{
    static const char *const texts[] = {
        "<t>\n&x;</t>",          "<t>\n&#xD800;</t>", "<t>\n&lt</t>", "<t>\n\x01</t>",
        "<t>\n\xef\xbf\xbf</t>", "<t>\n\xff</t>",     "<t>\n</s>"
    };

    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        VmpXmlPiece piece = { texts[i], strlen(texts[i]), 1 };
        g_autoptr(GError) error = NULL;
        g_autofree char *decoded = NULL;
        gsize length;

        g_assert_null(vmp_xml_piece_read_text(&piece, "it", &decoded, &length, &error));
        g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
        g_assert_nonnull(strstr(error->message, "line 2"));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xml/split/each-element-of-the-root-is-a-piece-byte-for-byte",
                    each_element_of_the_root_is_a_piece_byte_for_byte);
    g_test_add_func("/xml/split/a-root-without-content-has-no-pieces",
                    a_root_without_content_has_no_pieces);
    g_test_add_func("/xml/split/what-could-not-be-read-is-said",
                    what_could_not_be_read_is_said);
    g_test_add_func("/xml/split/a-text-is-decoded-as-xml-has-it",
                    a_text_is_decoded_as_xml_has_it);
    g_test_add_func("/xml/split/what-is-no-text-is-refused-with-its-line",
                    what_is_no_text_is_refused_with_its_line);
    return g_test_run();
}
