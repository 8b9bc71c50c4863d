/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp/mask.h"

/* Test JSON has ' for ". */
static VmpJson *
parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *quoted = g_strdelimit(g_strdup(text), "'", '"');
    VmpJson *json = vmp_json_parse(quoted, -1, &error);

    g_assert_no_error(error);
    return json;
}

static void
assert_masked(const char *message, const char *expected)
{
    g_autoptr(VmpJson) json = parse(message);
    g_autoptr(VmpJson) wanted = parse(expected);
    g_autofree char *before = vmp_json_to_text(json);
    g_autofree char *masked = vmp_qmp_masked_text(json);
    g_autofree char *after = vmp_json_to_text(json);
    g_autofree char *wanted_text = vmp_json_to_text(wanted);

    g_assert_cmpstr(masked, ==, wanted_text);
    g_assert_cmpstr(before, ==, after);
}

static void
test_passwords(void)
{
    assert_masked("{'execute': 'set_password', 'arguments': {'protocol': 'vnc', "
                  "'password': 'hunter2'}, 'id': 'x'}",
                  "{'execute': 'set_password', 'arguments': {'protocol': 'vnc', "
                  "'password': '***'}, 'id': 'x'}");
    assert_masked("{'return': [{'passphrase': 'a'}, {'cookie': 'b'}, {'secret': 'c'}]}",
                  "{'return': [{'passphrase': '***'}, {'cookie': '***'}, {'secret': '***'}]}");
}

static void
test_secret_objects(void)
{
    assert_masked("{'execute': 'object-add', 'arguments': {'qom-type': 'secret', 'id': 's', "
                  "'data': 'hunter2', 'format': 'raw'}}",
                  "{'execute': 'object-add', 'arguments': {'qom-type': 'secret', 'id': 's', "
                  "'data': '***', 'format': 'raw'}}");
    assert_masked("{'data': 'hunter2', 'qom-type': 'secret_keyring'}",
                  "{'data': '***', 'qom-type': 'secret_keyring'}");
    assert_masked("{'qom-type': 'secret', 'props': {'data': 'hunter2'}}",
                  "{'qom-type': 'secret', 'props': {'data': '***'}}");
}

static void
test_nothing_else(void)
{
    static const char *const open[] = {
        "{'event': 'STOP', 'data': {'data': 'd'}, 'timestamp': {'seconds': 1}}",
        "{'type': 'blockdev-snapshot', 'data': {'node': 'n', 'overlay': 'o'}}",
        "{'qom-type': 'tls-creds-x509', 'data': 'd', 'dir': '/d'}",
        "{'key-secret': 's0', 'password-secret': 's1', 'encrypt': {'key-secret': 's2'}}",
        "{'qom-type': 'secret', 'file': '/f', 'data': null}",
        "{'password': true, 'list': [1, 2.5, null, 'password', {}], 'path': '/a/b'}",
        "[]",
    };

    for (guint i = 0; i < G_N_ELEMENTS(open); i++)
        assert_masked(open[i], open[i]);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qmp/mask/passwords-are-hidden-anywhere", test_passwords);
    g_test_add_func("/qmp/mask/data-of-secret-objects-is-hidden", test_secret_objects);
    g_test_add_func("/qmp/mask/nothing-else-is-changed", test_nothing_else);
    return g_test_run();
}
