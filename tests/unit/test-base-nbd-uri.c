/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/nbd-uri.h"

#include "base/error.h"

typedef struct {
    const char *text;
    gboolean tls;
    const char *host, *port, *socket, *name;
    const char *written; /* NULL = as it was */
} Reading;

static const Reading readings[] = {
    { "nbd://host/disk", FALSE, "host", NULL, NULL, "disk", NULL },
    { "nbd://host:10810/", FALSE, "host", "10810", NULL, "", NULL },
    { "nbd://host", FALSE, "host", NULL, NULL, "", "nbd://host/" },
    { "nbds://[::1]:1/a/b%20c", TRUE, "::1", "1", NULL, "a/b c", NULL },
    { "nbd+unix:///disk?socket=/run/s", FALSE, NULL, NULL, "/run/s", "disk", NULL },
    { "nbds+unix:///?socket=/a%3Fb%26c", TRUE, NULL, NULL, "/a?b&c", "", NULL },
};

static void
test_a_uri_is_read_and_written(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(readings); i++) {
        const Reading *reading = &readings[i];
        g_autoptr(GError) error = NULL;
        g_autoptr(VmpNbdUri) uri = vmp_nbd_uri_parse(reading->text, &error);

        g_assert_no_error(error);
        g_assert_cmpint(uri->tls, ==, reading->tls);
        g_assert_cmpstr(uri->host, ==, reading->host);
        g_assert_cmpstr(uri->port, ==, reading->port);
        g_assert_cmpstr(uri->socket, ==, reading->socket);
        g_assert_cmpstr(uri->name, ==, reading->name);
        g_autofree char *text = vmp_nbd_uri_format(uri);
        g_assert_cmpstr(text, ==, reading->written ? reading->written : reading->text);
    }
}

static void
test_what_is_no_such_uri_is_refused(void)
{
    static const char *const texts[] = {
        "/a/file",
        "nbd",
        "nbd:///disk",
        "http://host/disk",
        "nbdx://host/",
        "nbd+tcp:/",
        "nbd+unix:///x",
        "nbd+unix:///x?socket=",
        "nbd+unix:///x?socket=relative",
        "nbd://h:x/",
    };

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(vmp_nbd_uri_parse(texts[i], &error));
        g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
    }
}

static void
test_one_place_has_one_spelling(void)
{
    static const struct {
        const char *text, *normal;
    } table[] = {
        { "nbd://host", "nbd://host:10809/" },
        { "nbd://host:1/a", "nbd://host:1/a" },
        { "nbd+unix:///a?socket=/s", "nbd+unix:///a?socket=/s" },
        { "/a/file", NULL },
        { "nbd:host:1", NULL },
        { "ssh://host/a", NULL },
    };

    g_assert_false(vmp_nbd_uri_is(NULL));
    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autofree char *normal = vmp_nbd_uri_normalize(table[i].text);

        g_assert_cmpstr(normal, ==, table[i].normal);
        g_assert_cmpint(vmp_nbd_uri_is(normal), ==, table[i].normal != NULL);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/nbd-uri/is-read-and-written", test_a_uri_is_read_and_written);
    g_test_add_func("/base/nbd-uri/others-are-refused", test_what_is_no_such_uri_is_refused);
    g_test_add_func("/base/nbd-uri/one-spelling", test_one_place_has_one_spelling);
    return g_test_run();
}
