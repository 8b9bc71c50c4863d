/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>

#include "base/error.h"
#include "base/json.h"

static void
builds_what_it_is_told(void)
{
    g_autoptr(VmpJson) object =
        vmp_json_build("s:driver", "qcow2", "S:absent", NULL, "i:size", (gint64)G_MAXINT64,
                       "I:zero", (gint64)0, "b:on", TRUE, "B:off", FALSE, "n:backing",
                       "o:list", json_object_new_array(), NULL);
    g_autofree char *text = vmp_json_to_text(object);

    g_assert_cmpstr(text, ==,
                    "{\"driver\":\"qcow2\",\"size\":9223372036854775807,\"on\":true,"
                    "\"backing\":null,\"list\":[]}");
}

static void
getters_answer_absent_for_what_a_peer_made_up(void)
{
    g_autoptr(VmpJson) object =
        vmp_json_parse("{\"s\":1,\"i\":\"x\",\"b\":[],\"n\":null}", -1, NULL);

    g_assert_null(vmp_json_get_string(object, "s"));
    g_assert_null(vmp_json_get_string(object, "n"));
    g_assert_cmpint(vmp_json_get_int(object, "i", -7), ==, -7);
    g_assert_true(vmp_json_get_bool(object, "b", TRUE));
    g_assert_null(vmp_json_get_object(object, "b"));
    g_assert_null(vmp_json_get(NULL, "s"));
    g_assert_cmpuint(vmp_json_length(object), ==, 0);
    g_assert_null(vmp_json_at(object, 0));
}

static void
a_string_vector_comes_back_as_it_went_in(void)
{
    const char *const strings[] = { "a", "", "b c", NULL };
    g_autoptr(VmpJson) object = vmp_json_build("o:v", vmp_json_strv(strings), NULL);
    g_auto(GStrv) back = vmp_json_get_strv(object, "v");
    g_auto(GStrv) none = vmp_json_get_strv(object, "w");

    g_assert_true(g_strv_equal((const char *const *)back, strings));
    g_assert_cmpuint(g_strv_length(none), ==, 0);
}

static void
parses_whole_texts_only(void)
{
    static const struct {
        const char *text;
        gboolean good;
    } cases[] = {
        { "{}", TRUE },        { " [1, 2] \n", TRUE }, { "12", TRUE },
        { "\"x\"", TRUE },     { "", FALSE },          { "{", FALSE },
        { "{} x", FALSE },     { "{}{}", FALSE },      { "HTTP/1.1 200", FALSE },
        { "{\"a\":}", FALSE }, { "\"open", FALSE },
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(VmpJson) json = vmp_json_parse(cases[i].text, -1, &error);
        g_test_message("%s", cases[i].text);
        g_assert_cmpint(json != NULL, ==, cases[i].good);
        if (!cases[i].good)
            g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
    }
}

static void
refuses_what_is_nested_too_deep(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GError) error = NULL;

    for (int i = 0; i < 100000; i++)
        g_string_append_c(text, '[');
    g_assert_null(vmp_json_parse(text->str, -1, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/json/builds-what-it-is-told", builds_what_it_is_told);
    g_test_add_func("/base/json/getters-answer-absent-for-what-a-peer-made-up",
                    getters_answer_absent_for_what_a_peer_made_up);
    g_test_add_func("/base/json/a-string-vector-comes-back-as-it-went-in",
                    a_string_vector_comes_back_as_it_went_in);
    g_test_add_func("/base/json/parses-whole-texts-only", parses_whole_texts_only);
    g_test_add_func("/base/json/refuses-what-is-nested-too-deep",
                    refuses_what_is_nested_too_deep);
    return g_test_run();
}
