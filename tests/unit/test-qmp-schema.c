/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "qmp-peer.h"
#include "qmp/schema.h"

/* JSON with ' for ". */
static VmpJson *
parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *quoted = g_strdelimit(g_strdup(text), "'", '"');
    VmpJson *json = vmp_json_parse(quoted, -1, &error);

    g_assert_no_error(error);
    return json;
}

static const VmpQmpSchema *
qemu(void)
{
    return qmp_peer_load_schema("qemu-7.2");
}

static VmpQmpCommand *
make_command(const char *name, const char *arguments)
{
    return vmp_qmp_command_new(name, arguments ? parse(arguments) : NULL);
}

/* ---- asking ---- */

static void
test_commands_and_events(void)
{
    const VmpQmpSchema *daemon = qmp_peer_load_schema("storage-daemon-7.2");

    g_assert_true(vmp_qmp_schema_has_command(qemu(), "transaction"));
    g_assert_true(vmp_qmp_schema_has_command(daemon, "transaction"));
    g_assert_true(vmp_qmp_schema_has_command(qemu(), "snapshot-save"));
    g_assert_false(vmp_qmp_schema_has_command(daemon, "snapshot-save"));
    g_assert_false(vmp_qmp_schema_has_command(qemu(), "blockdev-replace"));
    g_assert_false(vmp_qmp_schema_has_command(qemu(), ""));

    g_assert_true(vmp_qmp_schema_has_event(qemu(), "JOB_STATUS_CHANGE"));
    g_assert_false(vmp_qmp_schema_has_event(qemu(), "NO_SUCH_EVENT"));

    /* Neither is the other, nor a type either. */
    g_assert_false(vmp_qmp_schema_has_command(qemu(), "JOB_STATUS_CHANGE"));
    g_assert_false(vmp_qmp_schema_has_event(qemu(), "transaction"));
    g_assert_false(vmp_qmp_schema_has_command(qemu(), "str"));
}

static void
test_paths(void)
{
    static const struct {
        const char *command, *path;
        gboolean has;
    } questions[] = {
        { "blockdev-backup", NULL, TRUE },
        { "blockdev-backup", "", TRUE },
        { "blockdev-backup", "x-perf", TRUE },
        { "blockdev-backup", "x-perf/use-copy-range", TRUE },
        { "blockdev-backup", "x-perf/use-magic", FALSE },
        { "blockdev-backup", "job-id/use-copy-range", FALSE },
        { "blockdev-backup", "sync/+incremental", TRUE },
        { "blockdev-backup", "sync/+sometimes", FALSE },
        { "blockdev-backup", "sync/+full/more", FALSE },
        { "blockdev-backup", "+full", FALSE },
        { "blockdev-add", "+copy-before-write", TRUE },
        { "blockdev-add", "+copy-before-write/on-cbw-error", TRUE },
        { "blockdev-add", "+copy-before-write/on-cbw-error/+break-snapshot", TRUE },
        { "blockdev-add", "+copy-before-write/node-name", TRUE },
        { "blockdev-add", "+copy-before-write/filename", FALSE },
        { "blockdev-add", "+snapshot-access", TRUE },
        { "blockdev-add", "+no-such-driver", FALSE },
        { "blockdev-add", "on-cbw-error", FALSE },
        { "blockdev-add", "+qcow2/file/+file/filename", TRUE }, /* through an alternate */
        { "blockdev-add", "+qcow2/backing/+nbd/server/+unix/path", TRUE },
        { "blockdev-add", "+qcow2/file/+file/filenome", FALSE },
        { "migrate-set-capabilities", "capabilities/capability/+background-snapshot", TRUE },
        { "migrate-set-capabilities", "capabilities/capability/+teleport", FALSE },
        { "transaction", "actions/type/+block-dirty-bitmap-merge", TRUE },
        { "transaction", "actions/+blockdev-backup/data/x-perf/max-chunk", TRUE },
        { "transaction", "actions/type/+blockdev-replace", FALSE },
        { "query-status", "anything", FALSE },
        { "no-such-command", NULL, FALSE },
        { "no-such-command", "anything", FALSE },
        { "transaction", "actions//type", FALSE },
        { "transaction", "/", FALSE },
        { "transaction", "+", FALSE },
    };

    for (guint i = 0; i < G_N_ELEMENTS(questions); i++) {
        g_test_message("%s %s", questions[i].command, questions[i].path);
        g_assert_cmpint(vmp_qmp_schema_has(qemu(), questions[i].command, questions[i].path),
                        ==, questions[i].has);
    }
}

static void
test_deprecated(void)
{
    g_assert_true(vmp_qmp_schema_is_deprecated(qemu(), "drive-backup", NULL));
    g_assert_true(vmp_qmp_schema_is_deprecated(qemu(), "drive-backup", "sync"));
    g_assert_true(vmp_qmp_schema_is_deprecated(qemu(), "block-commit", "top"));
    g_assert_true(
        vmp_qmp_schema_is_deprecated(qemu(), "transaction", "actions/+drive-backup"));
    g_assert_true(
        vmp_qmp_schema_is_deprecated(qemu(), "transaction", "actions/type/+drive-backup"));
    g_assert_false(vmp_qmp_schema_is_deprecated(qemu(), "block-commit", NULL));
    g_assert_false(vmp_qmp_schema_is_deprecated(qemu(), "block-commit", "top-node"));
    g_assert_false(vmp_qmp_schema_is_deprecated(qemu(), "block-commit", "no-such-member"));
    g_assert_false(vmp_qmp_schema_is_deprecated(qemu(), "no-such-command", NULL));
}

/* Before QEMU 6.2 an enum had only "values". */
static void
test_old_enums(void)
{
    g_autoptr(VmpJson) reply =
        parse("[{'name': 'c', 'meta-type': 'command', 'arg-type': '1', 'ret-type': '1'},"
              " {'name': '1', 'meta-type': 'object', 'members': [{'name': 'e', 'type': '2'}]},"
              " {'name': '2', 'meta-type': 'enum', 'values': ['on', 'off']}]");
    g_autoptr(VmpQmpSchema) schema = vmp_qmp_schema_new(reply, NULL);
    g_autoptr(VmpQmpCommand) good = make_command("c", "{'e': 'on'}");
    g_autoptr(VmpQmpCommand) bad = make_command("c", "{'e': 'auto'}");

    g_assert_true(vmp_qmp_schema_has(schema, "c", "e/+off"));
    g_assert_false(vmp_qmp_schema_has(schema, "c", "e/+auto"));
    g_assert_true(vmp_qmp_schema_check(schema, good, NULL));
    g_assert_false(vmp_qmp_schema_check(schema, bad, NULL));
}

/* ---- checking ---- */

static void
test_valid(void)
{
    static const struct {
        const char *command, *arguments;
    } commands[] = {
        { "query-status", NULL },
        { "query-status", "{}" },
        { "qom-set", "{'path': 'p', 'property': 'q', 'value': {'any': ['thing', null]}}" },
        { "qom-set", "{'path': 'p', 'property': 'q', 'value': null}" },
        { "device_add", "{'driver': 'virtio-blk', 'id': 'v', 'drive': 'n'}" },
        { "blockdev-add",
          "{'driver': 'qcow2', 'file': {'driver': 'file', 'filename': '/f'}}" },
        { "blockdev-add", "{'driver': 'qcow2', 'file': 'f', 'backing': null}" },
        { "blockdev-add",
          "{'filename': '/f', 'driver': 'file'}" }, /* the tag need not be first */
        { "migrate-set-parameters", "{'max-bandwidth': 7, 'tls-creds': null}" },
        { "block-latency-histogram-set", "{'id': 'd', 'boundaries': [10, 50]}" },
    };

    for (guint i = 0; i < G_N_ELEMENTS(commands); i++) {
        g_autoptr(VmpQmpCommand) command =
            make_command(commands[i].command, commands[i].arguments);
        g_autoptr(GError) error = NULL;

        vmp_qmp_schema_check(qemu(), command, &error);
        g_assert_no_error(error);
    }
}

static void
test_invalid(void)
{
    static const struct {
        const char *command, *arguments, *words;
    } commands[] = {
        { "no-such-command", NULL, "this QEMU has no command 'no-such-command'" },
        { "SHUTDOWN", NULL, "this QEMU has no command 'SHUTDOWN'" },
        { "query-status", "{'verbose': true}",
          "query-status: 'verbose' is unknown to this QEMU" },
        { "query-status", "[]", "query-status: arguments are no object" },
        { "blockdev-del", "{}", "blockdev-del: 'node-name' is missing" },
        { "blockdev-del", NULL, "blockdev-del: 'node-name' is missing" },
        { "blockdev-del", "{'node-name': 7}", "blockdev-del: node-name: of the wrong type" },
        { "blockdev-del", "{'node-name': null}",
          "blockdev-del: node-name: of the wrong type" },
        { "device_add", "{'driver': 7, 'id': 'v'}", "device_add: driver: of the wrong type" },
        { "block_resize", "{'node-name': 'n', 'size': 1.5}",
          "block_resize: size: of the wrong type" },
        { "blockdev-backup",
          "{'job-id': 'j', 'device': 'd', 'target': 't', 'sync': 'sometimes'}",
          "blockdev-backup: sync: 'sometimes' is unknown to this QEMU" },
        { "blockdev-add", "{'driver': 'qcow3', 'file': 'f'}",
          "blockdev-add: driver: 'qcow3' is unknown to this QEMU" },
        { "blockdev-add", "{'driver': 'qcow2'}", "blockdev-add: 'file' is missing" },
        { "blockdev-add", "{'driver': 'file', 'filename': '/f', 'file': 'f'}",
          "blockdev-add: 'file' is unknown to this QEMU" },
        { "blockdev-add", "{'file': 'f'}", "blockdev-add: 'file' is unknown to this QEMU" },
        { "blockdev-add", "{}", "blockdev-add: 'driver' is missing" },
        { "blockdev-add", "{'driver': 'qcow2', 'file': 7}",
          "blockdev-add: file: of a type that QEMU does not take here" },
        { "blockdev-add", "{'driver': 'qcow2', 'file': {'driver': 'file'}}",
          "blockdev-add: file: 'filename' is missing" },
        { "transaction",
          "{'actions': [{'type': 'abort', 'data': {}}, {'type': 'blockdev-snapshot', "
          "'data': {'node': 'n', 'overlay': false}}]}",
          "transaction: actions[1].data.overlay: of the wrong type" },
        { "transaction", "{'actions': [7]}", "transaction: actions[0]: of the wrong type" },
    };

    for (guint i = 0; i < G_N_ELEMENTS(commands); i++) {
        g_autoptr(VmpQmpCommand) command =
            make_command(commands[i].command, commands[i].arguments);
        g_autoptr(GError) error = NULL;

        g_assert_false(vmp_qmp_schema_check(qemu(), command, &error));
        g_assert_error(error, VMP_ERROR, VMP_ERROR_UNSUPPORTED);
        g_assert_cmpstr(error->message, ==, commands[i].words);
    }
}

static void
test_find_deprecated(void)
{
    static const struct {
        const char *command, *arguments, *where;
    } commands[] = {
        { "query-status", NULL, NULL },
        { "no-such-command", NULL, NULL },
        { "nbd-server-remove", "{'name': 'n'}", "nbd-server-remove" },
        { "block-commit", "{'device': 'd', 'top-node': 't'}", NULL },
        { "block-commit", "{'device': 'd', 'top': '/t'}", "block-commit: top" },
        { "transaction",
          "{'actions': [{'type': 'abort', 'data': {}}, {'type': 'drive-backup', "
          "'data': {'device': 'd', 'target': '/t', 'sync': 'full'}}]}",
          "transaction: actions[1].type" },
    };

    for (guint i = 0; i < G_N_ELEMENTS(commands); i++) {
        g_autoptr(VmpQmpCommand) command =
            make_command(commands[i].command, commands[i].arguments);
        g_autofree char *where = vmp_qmp_schema_find_deprecated(qemu(), command);

        g_assert_cmpstr(where, ==, commands[i].where);
    }
}

/* ---- schemas that lie ---- */

static void
test_no_schema(void)
{
    static const char *const replies[] = {
        "{}", "[7]", "[{'meta-type': 'object'}]", "[{'name': 'x'}]", "[{'name': 7}]", "[null]",
    };

    for (guint i = 0; i < G_N_ELEMENTS(replies); i++) {
        g_autoptr(VmpJson) reply = parse(replies[i]);
        g_autoptr(GError) error = NULL;

        g_assert_null(vmp_qmp_schema_new(reply, &error));
        g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
    }
    g_assert_null(vmp_qmp_schema_new(NULL, NULL));
}

/* Arrays of themselves, unions whose branch they are, alternates that offer themselves. */
static void
test_circles(void)
{
    g_autoptr(VmpJson) reply =
        parse("[{'name': 'c', 'meta-type': 'command', 'arg-type': 'o', 'ret-type': 'o'},"
              " {'name': 'o', 'meta-type': 'object', 'tag': 't', 'members':"
              "  [{'name': 't', 'type': 'e'}, {'name': 'a', 'type': '[a]', 'default': null},"
              "   {'name': 'l', 'type': 'l', 'default': null},"
              "   {'name': 'k', 'type': 'k', 'default': null},"
              "   {'name': 'm', 'type': 'nowhere', 'default': null}],"
              "  'variants': [{'case': 'x', 'type': 'o'}, {'case': 'y', 'type': 'nowhere'}]},"
              " {'name': 'e', 'meta-type': 'enum', 'values': ['x', 'y']},"
              " {'name': '[a]', 'meta-type': 'array', 'element-type': '[a]'},"
              " {'name': 'l', 'meta-type': 'alternate', 'members': [{'type': 'l'}]},"
              " {'name': 'k', 'meta-type': 'alternate', 'members': [{'type': '[k]'}]},"
              " {'name': '[k]', 'meta-type': 'array', 'element-type': 'k'},"
              " {'name': 'nothing', 'meta-type': 'command'}]");
    g_autoptr(VmpQmpSchema) schema = vmp_qmp_schema_new(reply, NULL);
    g_assert_nonnull(schema);
    static const struct {
        const char *arguments;
        gboolean valid;
    } commands[] = {
        { "{'t': 'x'}", TRUE },
        { "{'t': 'y'}", TRUE },
        { "{'t': 'x', 'a': [[[]]]}", TRUE },
        { "{'t': 'x', 'l': 1}", FALSE },
        { "{'t': 'x', 'k': [[[]]]}", TRUE },
        { "{'t': 'x', 'm': 1}", FALSE },
        { "{'t': 'x', 'z': 1}", FALSE },
    };

    for (guint i = 0; i < G_N_ELEMENTS(commands); i++) {
        g_autoptr(VmpQmpCommand) command = make_command("c", commands[i].arguments);
        g_assert_cmpint(vmp_qmp_schema_check(schema, command, NULL), ==, commands[i].valid);
    }
    g_assert_false(vmp_qmp_schema_has(schema, "c", "a/b/c"));
    g_assert_false(vmp_qmp_schema_has(schema, "c", "l/b/c"));
    g_assert_false(vmp_qmp_schema_has(schema, "c", "k/b/c"));
    g_assert_true(vmp_qmp_schema_has(schema, "c", "+x/+x/+x/+x/+x/+x/+x/+x/+x/+x/t"));
    g_assert_false(vmp_qmp_schema_has(schema, "nothing", "t"));

    g_autoptr(VmpQmpCommand) nothing = make_command("nothing", NULL);
    vmp_qmp_schema_check(schema, nothing, NULL);
}

static void
test_outlives_reply(void)
{
    VmpJson *reply = parse("[{'name': 'c', 'meta-type': 'command', 'arg-type': '0'},"
                           " {'name': '0', 'meta-type': 'object', 'members': []}]");
    VmpQmpSchema *schema = vmp_qmp_schema_new(reply, NULL);

    json_object_put(reply);
    g_autoptr(VmpQmpSchema) second = vmp_qmp_schema_ref(schema);
    vmp_qmp_schema_unref(schema);
    g_assert_true(vmp_qmp_schema_has_command(second, "c"));
}

#define TEST(name, func) g_test_add_func("/qmp/schema/" name, func)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST("commands-events-and-types-are-told-apart", test_commands_and_events);
    TEST("a-path-leads-through-arrays-unions-and-alternates", test_paths);
    TEST("what-is-deprecated-is-marked-so", test_deprecated);
    TEST("enums-of-old-schemas-are-understood", test_old_enums);
    TEST("what-qemu-takes-is-valid", test_valid);
    TEST("what-qemu-does-not-take-is-named-with-its-place", test_invalid);
    TEST("the-use-of-something-deprecated-is-found", test_find_deprecated);
    TEST("what-is-no-schema-is-invalid", test_no_schema);
    TEST("a-schema-that-goes-in-circles-does-no-harm", test_circles);
    TEST("a-schema-outlives-the-reply-it-was-made-of", test_outlives_reply);
    return g_test_run();
}
