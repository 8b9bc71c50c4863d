/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"
#include "qmp-peer.h"
#include "qmp/commands.h"

/* Where a command is sent to. */
typedef enum {
    QEMU = 1,
    BOTH, /* ... and to the storage daemon, for a domain that is off */
} Server;

static void
assert_valid(const char *schema_name, const VmpQmpCommand *command)
{
    const VmpQmpSchema *schema = qmp_peer_load_schema(schema_name);
    g_autoptr(GError) error = NULL;
    g_autofree char *deprecated = vmp_qmp_schema_find_deprecated(schema, command);

    vmp_qmp_schema_check(schema, command, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(deprecated, ==, NULL);
}

/* @consumed is the command; @arguments is JSON with ' for ", or NULL if there are none. */
static void
check(Server server, VmpQmpCommand *consumed, const char *name, const char *arguments)
{
    g_autoptr(VmpQmpCommand) command = consumed;
    g_autofree char *quoted = arguments ? g_strdelimit(g_strdup(arguments), "'", '"') : NULL;
    g_autoptr(VmpJson) wanted = quoted ? vmp_json_parse(quoted, -1, NULL) : NULL;
    VmpJson *got = vmp_qmp_command_get_arguments(command);

    g_assert_cmpstr(vmp_qmp_command_get_name(command), ==, name);
    g_assert_true(!arguments || wanted);
    if (!json_object_equal(got, wanted))
        g_error("%s: %s instead of %s", name, json_object_to_json_string(got), quoted);
    assert_valid("qemu-7.2", command);
    if (server == BOTH)
        assert_valid("storage-daemon-7.2", command);
}

static void
test_value(void)
{
    g_autoptr(VmpQmpCommand) command = vmp_qmp_blockdev_del("n");
    g_autoptr(VmpQmpCommand) bare = vmp_qmp_cont();
    g_autoptr(VmpJson) json = vmp_qmp_command_to_json(command);
    g_autoptr(VmpJson) bare_json = vmp_qmp_command_to_json(bare);
    g_autofree char *text = vmp_json_to_text(json);
    g_autofree char *bare_text = vmp_json_to_text(bare_json);

    g_assert_cmpstr(text, ==,
                    "{\"execute\":\"blockdev-del\",\"arguments\":{\"node-name\":\"n\"}}");
    g_assert_cmpstr(bare_text, ==, "{\"execute\":\"cont\"}");

    /* The text outlives the command. */
    g_autoptr(VmpQmpCommand) second = vmp_qmp_command_ref(command);
    g_clear_pointer(&command, vmp_qmp_command_unref);
    g_assert_cmpstr(vmp_qmp_command_get_name(second), ==, "blockdev-del");
}

static void
test_queries(void)
{
    check(QEMU, vmp_qmp_query_status(), "query-status", NULL);
    check(QEMU, vmp_qmp_query_block(), "query-block", NULL);
    check(BOTH, vmp_qmp_query_named_block_nodes(), "query-named-block-nodes",
          "{'flat': true}");
    check(BOTH, vmp_qmp_query_block_graph(), "x-debug-query-block-graph", NULL);
    check(BOTH, vmp_qmp_query_jobs(), "query-jobs", NULL);
    check(BOTH, vmp_qmp_query_block_jobs(), "query-block-jobs", NULL);
    check(QEMU, vmp_qmp_query_migrate(), "query-migrate", NULL);
    check(QEMU, vmp_qmp_query_migrate_parameters(), "query-migrate-parameters", NULL);
    check(QEMU, vmp_qmp_migrate_cancel(), "migrate_cancel", NULL);
    check(BOTH, vmp_qmp_query_block_exports(), "query-block-exports", NULL);
    check(BOTH, vmp_qmp_query_qmp_schema(), "query-qmp-schema", NULL);
    check(QEMU, vmp_qmp_query_blockstats(), "query-blockstats", "{'query-nodes': true}");
    check(QEMU, vmp_qmp_query_name(), "query-name", NULL);
    check(QEMU, vmp_qmp_query_uuid(), "query-uuid", NULL);
    check(QEMU, vmp_qmp_query_tpm(), "query-tpm", NULL);
    check(BOTH, vmp_qmp_qom_get("/machine", "type"), "qom-get",
          "{'path': '/machine', 'property': 'type'}");
    check(BOTH, vmp_qmp_qom_list("/machine"), "qom-list", "{'path': '/machine'}");
}

static void
test_machine(void)
{
    check(QEMU, vmp_qmp_stop(), "stop", NULL);
    check(QEMU, vmp_qmp_cont(), "cont", NULL);
    check(QEMU, vmp_qmp_system_reset(), "system_reset", NULL);
    check(QEMU, vmp_qmp_system_powerdown(), "system_powerdown", NULL);
    check(BOTH, vmp_qmp_quit(), "quit", NULL);
    check(QEMU, vmp_qmp_qom_set("vd0", "drive", json_object_new_string("n")), "qom-set",
          "{'path': 'vd0', 'property': 'drive', 'value': 'n'}");
    check(QEMU, vmp_qmp_balloon(1048576), "balloon", "{'value': 1048576}");
    check(QEMU, vmp_qmp_set_action("pause", NULL), "set-action", "{'shutdown': 'pause'}");
    check(QEMU, vmp_qmp_set_action(NULL, "shutdown"), "set-action", "{'reboot': 'shutdown'}");
}

static void
test_nodes(void)
{
    check(BOTH, vmp_qmp_blockdev_add(vmp_qmp_options_storage("f", "/a", FALSE, FALSE)),
          "blockdev-add", "{'driver': 'file', 'node-name': 'f', 'filename': '/a'}");
    check(BOTH, vmp_qmp_blockdev_add(vmp_qmp_options_storage("f", "/dev/a", TRUE, TRUE)),
          "blockdev-add",
          "{'driver': 'host_device', 'node-name': 'f', 'filename': '/dev/a', 'read-only': "
          "true}");
    VmpNbdUri at_host = { .host = (char *)"h", .name = (char *)"x" };
    VmpJson *export = vmp_qmp_options_nbd(&at_host, NULL, 3);
    vmp_json_add(export, "s:node-name", "e", NULL);
    check(BOTH, vmp_qmp_blockdev_add(export), "blockdev-add",
          "{'driver': 'nbd', 'server': {'type': 'inet', 'host': 'h', 'port': '10809'}, "
          "'export': 'x', 'open-timeout': 3, 'node-name': 'e'}");
    VmpNbdUri at_socket = { .socket = (char *)"/s", .name = (char *)"" };
    export = vmp_qmp_options_nbd(&at_socket, "t", 3);
    check(BOTH, vmp_qmp_blockdev_add(export), "blockdev-add",
          "{'driver': 'nbd', 'server': {'type': 'unix', 'path': '/s'}, 'export': '', "
          "'tls-hostname': 'localhost', 'tls-creds': 't', 'open-timeout': 3}");
    export = vmp_qmp_options_nbd(&at_socket, NULL, 3);
    vmp_json_add(export, "s:node-name", "e", NULL);
    check(BOTH, vmp_qmp_blockdev_add(export), "blockdev-add",
          "{'driver': 'nbd', 'server': {'type': 'unix', 'path': '/s'}, 'export': '', "
          "'open-timeout': 3, 'node-name': 'e'}");
    check(BOTH, vmp_qmp_blockdev_add(vmp_qmp_options_format("n", "qcow2", "f", "", FALSE)),
          "blockdev-add",
          "{'driver': 'qcow2', 'node-name': 'n', 'file': 'f', 'backing': null}");
    check(BOTH, vmp_qmp_blockdev_add(vmp_qmp_options_format("n", "qcow2", "f", "b", FALSE)),
          "blockdev-add",
          "{'driver': 'qcow2', 'node-name': 'n', 'file': 'f', 'backing': 'b'}");
    check(BOTH, vmp_qmp_blockdev_add(vmp_qmp_options_format("n", "raw", "f", NULL, TRUE)),
          "blockdev-add",
          "{'driver': 'raw', 'node-name': 'n', 'file': 'f', 'read-only': true}");
    VmpJson *storage = vmp_qmp_options_storage(NULL, "/a", FALSE, FALSE);
    check(BOTH, vmp_qmp_blockdev_add(vmp_qmp_options_whole("n", "qcow2", storage, "", FALSE)),
          "blockdev-add",
          "{'driver': 'qcow2', 'node-name': 'n', 'file': {'driver': 'file', 'filename': '/a'},"
          " 'backing': null}");
    check(BOTH, vmp_qmp_blockdev_del("n"), "blockdev-del", "{'node-name': 'n'}");
    check(BOTH,
          vmp_qmp_blockdev_create("j", vmp_json_build("s:driver", "file", "s:filename", "/a",
                                                      "i:size", (gint64)0, NULL)),
          "blockdev-create",
          "{'job-id': 'j', 'options': {'driver': 'file', 'filename': '/a', 'size': 0}}");
    check(BOTH, vmp_qmp_blockdev_reopen(vmp_qmp_options_format("n", "qcow2", "f", "b", FALSE)),
          "blockdev-reopen",
          "{'options': [{'driver': 'qcow2', 'node-name': 'n', 'file': 'f', 'backing': 'b'}]}");
    VmpJson *options = vmp_qmp_options_format("n", "qcow2", "f", NULL, FALSE);
    VmpJson *below = vmp_qmp_options_unnamed("raw", "file", "/b", TRUE, NULL);
    vmp_json_add(options, "o:backing",
                 vmp_qmp_options_unnamed("qcow2", "file", "/a", FALSE, below), NULL);
    check(BOTH, vmp_qmp_blockdev_reopen(options), "blockdev-reopen",
          "{'options': [{'driver': 'qcow2', 'node-name': 'n', 'file': 'f', 'backing':"
          " {'driver': 'qcow2', 'read-only': false, 'file': {'driver': 'file', 'filename': "
          "'/a'},"
          "  'backing': {'driver': 'raw', 'read-only': true,"
          "   'file': {'driver': 'file', 'filename': '/b'}}}}]}");
    check(BOTH, vmp_qmp_change_backing_file("top", "n", "/base"), "change-backing-file",
          "{'device': 'top', 'image-node-name': 'n', 'backing-file': '/base'}");
    check(BOTH, vmp_qmp_block_resize("n", G_GUINT64_CONSTANT(5) << 40), "block_resize",
          "{'node-name': 'n', 'size': 5497558138880}");
}

static void
test_jobs(void)
{
    check(BOTH, vmp_qmp_job_dismiss("j"), "job-dismiss", "{'id': 'j'}");
    check(BOTH, vmp_qmp_job_finalize("j"), "job-finalize", "{'id': 'j'}");
    check(BOTH, vmp_qmp_job_complete("j"), "job-complete", "{'id': 'j'}");
    check(BOTH, vmp_qmp_job_cancel("j"), "job-cancel", "{'id': 'j'}");
    check(QEMU, vmp_qmp_yank_node("n"), "yank",
          "{'instances': [{'type': 'block-node', 'node-name': 'n'}]}");
    check(BOTH, vmp_qmp_job_resume("j"), "job-resume", "{'id': 'j'}");
    check(BOTH, vmp_qmp_block_job_end("j"), "block-job-cancel",
          "{'device': 'j', 'force': false}");
    check(BOTH, vmp_qmp_block_job_set_speed("j", 1048576), "block-job-set-speed",
          "{'device': 'j', 'speed': 1048576}");
}

static void
test_commit(void)
{
    check(BOTH, vmp_qmp_block_commit("j", "top", "mid", "base", "/base", 0), "block-commit",
          "{'job-id': 'j', 'device': 'top', 'top-node': 'mid', 'base-node': 'base', "
          "'backing-file': '/base', 'auto-finalize': false, 'auto-dismiss': false}");
    /* QEMU refuses a backing file where there is no layer above to write it to. */
    check(BOTH, vmp_qmp_block_commit("j", "top", NULL, "base", "/base", 0), "block-commit",
          "{'job-id': 'j', 'device': 'top', 'base-node': 'base', 'auto-finalize': false, "
          "'auto-dismiss': false}");
}

static void
test_stream(void)
{
    check(BOTH, vmp_qmp_block_stream("j", "n", "base", "/base", 0), "block-stream",
          "{'job-id': 'j', 'device': 'n', 'base-node': 'base', 'backing-file': '/base', "
          "'auto-finalize': false, 'auto-dismiss': false}");
    check(BOTH, vmp_qmp_block_stream("j", "n", NULL, NULL, 4096), "block-stream",
          "{'job-id': 'j', 'device': 'n', 'speed': 4096, 'auto-finalize': false, "
          "'auto-dismiss': false}");
    check(BOTH, vmp_qmp_block_stream("j", "n", NULL, "/base", 0), "block-stream",
          "{'job-id': 'j', 'device': 'n', 'auto-finalize': false, 'auto-dismiss': false}");
}

static void
test_backup(void)
{
    const VmpQmpBackup plain = { .job_id = "j", .node = "n", .target = "t", .sync = "full" };
    const VmpQmpBackup rich = {
        .job_id = "j",
        .node = "n",
        .target = "t",
        .sync = "bitmap",
        .bitmap = "b",
        .bitmap_mode = "never",
        .speed = 1000,
        .compress = TRUE,
        .use_copy_range = TRUE,
        .max_workers = 8,
        .max_chunk = 1048576,
        .auto_finalize = TRUE,
    };

    check(BOTH, vmp_qmp_blockdev_backup(&plain), "blockdev-backup",
          "{'job-id': 'j', 'device': 'n', 'target': 't', 'sync': 'full', "
          "'auto-finalize': false, 'auto-dismiss': false}");
    check(BOTH, vmp_qmp_blockdev_backup(&rich), "blockdev-backup",
          "{'job-id': 'j', 'device': 'n', 'target': 't', 'sync': 'bitmap', 'bitmap': 'b', "
          "'bitmap-mode': 'never', 'speed': 1000, 'compress': true, "
          "'x-perf': {'use-copy-range': true, 'max-workers': 8, 'max-chunk': 1048576}, "
          "'auto-finalize': true, 'auto-dismiss': false}");
}

static void
test_bitmaps(void)
{
    check(BOTH, vmp_qmp_bitmap_add("n", "b", TRUE, TRUE, 65536), "block-dirty-bitmap-add",
          "{'node': 'n', 'name': 'b', 'persistent': true, 'disabled': true, "
          "'granularity': 65536}");
    check(BOTH, vmp_qmp_bitmap_add("n", "b", FALSE, FALSE, 0), "block-dirty-bitmap-add",
          "{'node': 'n', 'name': 'b'}");
    check(BOTH, vmp_qmp_bitmap_remove("n", "b"), "block-dirty-bitmap-remove",
          "{'node': 'n', 'name': 'b'}");
}

static void
test_snapshots(void)
{
    static const char *const devices[] = { "d0", "d1", NULL };

    check(QEMU, vmp_qmp_snapshot_save("j", "s", "d0", devices), "snapshot-save",
          "{'job-id': 'j', 'tag': 's', 'vmstate': 'd0', 'devices': ['d0', 'd1']}");
    check(QEMU, vmp_qmp_snapshot_load("j", "s", "d0", devices), "snapshot-load",
          "{'job-id': 'j', 'tag': 's', 'vmstate': 'd0', 'devices': ['d0', 'd1']}");
    check(QEMU, vmp_qmp_snapshot_delete("j", "s", devices), "snapshot-delete",
          "{'job-id': 'j', 'tag': 's', 'devices': ['d0', 'd1']}");
}

static void
test_migration(void)
{
    check(QEMU, vmp_qmp_migrate("fd:f"), "migrate", "{'uri': 'fd:f'}");
    check(QEMU, vmp_qmp_migrate_incoming("fd:f"), "migrate-incoming", "{'uri': 'fd:f'}");
    check(QEMU, vmp_qmp_migrate_set_capability("background-snapshot", TRUE),
          "migrate-set-capabilities",
          "{'capabilities': [{'capability': 'background-snapshot', 'state': true}]}");
    check(QEMU, vmp_qmp_migrate_set_max_bandwidth(G_GUINT64_CONSTANT(1) << 40),
          "migrate-set-parameters", "{'max-bandwidth': 1099511627776}");
    check(QEMU, vmp_qmp_getfd("f"), "getfd", "{'fdname': 'f'}");
    check(QEMU, vmp_qmp_add_fd(), "add-fd", NULL);
    check(QEMU, vmp_qmp_remove_fd(3), "remove-fd", "{'fdset-id': 3}");
    check(QEMU, vmp_qmp_blockdev_add(vmp_qmp_options_vmstate("n", "/w", "/s", 4096)),
          "blockdev-add",
          "{'driver': 'qcow2', 'node-name': 'n', 'file': {'driver': 'qcow2', 'read-only': "
          "false, "
          "'file': {'driver': 'file', 'filename': '/w'}, 'backing': {'driver': 'raw', "
          "'read-only': "
          "true, 'file': {'driver': 'file', 'filename': '/s'}, 'offset': 4096}}}");
    check(QEMU, vmp_qmp_closefd("f"), "closefd", "{'fdname': 'f'}");
}

static void
test_nbd(void)
{
    g_autoptr(VmpJson) bitmaps = vmp_json_strv((const char *const[]){ "b", NULL });

    check(BOTH, vmp_qmp_nbd_server_start_unix("/s", NULL), "nbd-server-start",
          "{'addr': {'type': 'unix', 'data': {'path': '/s'}}, 'max-connections': 0}");
    check(BOTH, vmp_qmp_nbd_server_start_inet("h", "10809", "tls0"), "nbd-server-start",
          "{'addr': {'type': 'inet', 'data': {'host': 'h', 'port': '10809'}}, "
          "'tls-creds': 'tls0', 'max-connections': 0}");
    check(BOTH, vmp_qmp_nbd_server_stop(), "nbd-server-stop", NULL);
    check(BOTH, vmp_qmp_nbd_export_add("x", "n", "disk", FALSE, g_steal_pointer(&bitmaps)),
          "block-export-add",
          "{'type': 'nbd', 'id': 'x', 'node-name': 'n', 'name': 'disk', 'writable': false, "
          "'bitmaps': ['b']}");
    check(BOTH, vmp_qmp_nbd_export_add("x", "n", NULL, TRUE, NULL), "block-export-add",
          "{'type': 'nbd', 'id': 'x', 'node-name': 'n', 'writable': true}");
    check(BOTH, vmp_qmp_block_export_del("x"), "block-export-del",
          "{'id': 'x', 'mode': 'hard'}");
    check(BOTH, vmp_qmp_tls_server_add("t", "/pki"), "object-add",
          "{'qom-type': 'tls-creds-x509', 'id': 't', 'endpoint': 'server', 'dir': '/pki', "
          "'verify-peer': true}");
    check(BOTH, vmp_qmp_tls_client_add("t", "/pki"), "object-add",
          "{'qom-type': 'tls-creds-x509', 'id': 't', 'endpoint': 'client', 'dir': '/pki', "
          "'verify-peer': true}");
    check(BOTH, vmp_qmp_object_del("t"), "object-del", "{'id': 't'}");
    check(BOTH, vmp_qmp_blockdev_add(vmp_qmp_options_copy_before_write("f", "d", "s", 10)),
          "blockdev-add",
          "{'driver': 'copy-before-write', 'node-name': 'f', 'file': 'd', 'target': 's', "
          "'on-cbw-error': 'break-snapshot', 'cbw-timeout': 10}");
    check(BOTH, vmp_qmp_blockdev_add(vmp_qmp_options_snapshot_access("a", "f")),
          "blockdev-add", "{'driver': 'snapshot-access', 'node-name': 'a', 'file': 'f'}");
    check(QEMU, vmp_qmp_query_iothreads(), "query-iothreads", NULL);
    check(BOTH, vmp_qmp_blockdev_add(vmp_qmp_options_part("p", "a", 512)), "blockdev-add",
          "{'driver': 'raw', 'node-name': 'p', 'read-only': true, 'file': 'a', 'offset': 0, "
          "'size': 512}");
    check(BOTH, vmp_qmp_blockdev_add(vmp_qmp_options_null("z", 512)), "blockdev-add",
          "{'driver': 'null-co', 'node-name': 'z', 'size': 512}");
    const VmpQmpMirror mirror = { .job_id = "j",
                                  .node = "n",
                                  .target = "t",
                                  .speed = 5,
                                  .granularity = 4096,
                                  .buffer = 8192,
                                  .synchronous = TRUE };
    check(BOTH, vmp_qmp_mirror(&mirror), "blockdev-mirror",
          "{'job-id': 'j', 'device': 'n', 'target': 't', 'sync': 'full', 'speed': 5, "
          "'granularity': 4096, 'buf-size': 8192, 'copy-mode': 'write-blocking', "
          "'auto-finalize': false, 'auto-dismiss': false}");
    check(BOTH, vmp_qmp_blockdev_mirror("j", "p", "z"), "blockdev-mirror",
          "{'job-id': 'j', 'device': 'p', 'target': 'z', 'sync': 'full', "
          "'auto-finalize': true, 'auto-dismiss': false}");
}

static VmpJson *
parse(const char *text)
{
    g_autofree char *quoted = g_strdelimit(g_strdup(text), "'", '"');
    VmpJson *json = vmp_json_parse(quoted, -1, NULL);

    g_assert_nonnull(json);
    return json;
}

static void
test_read_status(void)
{
    g_autoptr(VmpJson) reply = parse("{'status': 'io-error', 'running': false}");
    g_autoptr(VmpJson) odd = parse("[]");
    gboolean running = TRUE;

    g_assert_cmpstr(vmp_qmp_read_status(reply, &running), ==, "io-error");
    g_assert_false(running);
    g_assert_cmpstr(vmp_qmp_read_status(reply, NULL), ==, "io-error");
    g_assert_null(vmp_qmp_read_status(odd, &running));
    g_assert_null(vmp_qmp_read_status(NULL, &running));
}

static void
test_read_job(void)
{
    g_autoptr(VmpJson) reply = parse(
        "[{'id': 'a', 'type': 'commit', 'status': 'running', 'current-progress': 5000000000,"
        " 'total-progress': 6000000000}, 7,"
        " {'id': 'b', 'type': 'backup', 'status': 'concluded', 'current-progress': 0,"
        " 'total-progress': 9, 'error': 'No space left on device'}]");
    VmpQmpJob job;

    g_assert_true(vmp_qmp_read_job(reply, "a", &job));
    g_assert_cmpstr(job.type, ==, "commit");
    g_assert_cmpstr(job.status, ==, "running");
    g_assert_cmpstr(job.error, ==, NULL);
    g_assert_cmpuint(job.current, ==, G_GUINT64_CONSTANT(5000000000));
    g_assert_cmpuint(job.total, ==, G_GUINT64_CONSTANT(6000000000));

    g_assert_true(vmp_qmp_read_job(reply, "b", &job));
    g_assert_cmpstr(job.id, ==, "b");
    g_assert_cmpstr(job.error, ==, "No space left on device");

    g_assert_false(vmp_qmp_read_job(reply, "c", &job));
    g_assert_false(vmp_qmp_read_job(NULL, "a", &job));
}

#define TEST(name, func) g_test_add_func("/qmp/commands/" name, func)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST("a-command-is-a-value", test_value);
    TEST("queries-are-what-qemu-takes", test_queries);
    TEST("the-machine-is-driven-as-qemu-takes-it", test_machine);
    TEST("nodes-are-described-as-qemu-takes-them", test_nodes);
    TEST("jobs-are-driven-by-id", test_jobs);
    TEST("a-commit-ends-only-when-told", test_commit);
    TEST("a-stream-ends-only-when-told", test_stream);
    TEST("a-backup-says-only-what-was-asked-for", test_backup);
    TEST("bitmaps-say-only-what-was-asked-for", test_bitmaps);
    TEST("internal-snapshots-name-their-devices", test_snapshots);
    TEST("migration-is-what-qemu-takes", test_migration);
    TEST("nbd-is-what-qemu-takes", test_nbd);
    TEST("a-status-is-read-whatever-comes", test_read_status);
    TEST("a-job-is-read-whatever-comes", test_read_job);
    return g_test_run();
}
