/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"
#include "qmp-peer.h"
#include "qmp/commands.h"
#include "qmp/transaction.h"

static void
assert_valid(const VmpQmpCommand *command)
{
    static const char *const names[] = { "qemu-7.2", "storage-daemon-7.2" };

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        const VmpQmpSchema *schema = qmp_peer_load_schema(names[i]);
        g_autoptr(GError) error = NULL;
        g_autofree char *deprecated = vmp_qmp_schema_find_deprecated(schema, command);

        vmp_qmp_schema_check(schema, command, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(deprecated, ==, NULL);
    }
}

/* @actions is a JSON list with ' for ". */
static void
check(const VmpQmpTransaction *transaction, const char *actions)
{
    g_autoptr(VmpQmpCommand) command = vmp_qmp_transaction_to_command(transaction);
    g_autofree char *quoted = g_strdelimit(g_strdup(actions), "'", '"');
    g_autoptr(VmpJson) list = vmp_json_parse(quoted, -1, NULL);
    g_assert_nonnull(list);

    g_autoptr(VmpJson) wanted = vmp_json_build("o:actions", json_object_get(list), NULL);
    VmpJson *got = vmp_qmp_command_get_arguments(command);

    g_assert_cmpstr(vmp_qmp_command_get_name(command), ==, "transaction");
    if (!json_object_equal(got, wanted))
        g_error("%s instead of %s", json_object_to_json_string(got), quoted);
    g_assert_cmpuint(vmp_qmp_transaction_get_length(transaction), ==, vmp_json_length(list));
    assert_valid(command);
}

static void
test_empty(void)
{
    g_autoptr(VmpQmpTransaction) transaction = vmp_qmp_transaction_new();

    check(transaction, "[]");
}

static void
test_snapshots(void)
{
    g_autoptr(VmpQmpTransaction) transaction = vmp_qmp_transaction_new();

    vmp_qmp_transaction_snapshot(transaction, "d0", "o0");
    vmp_qmp_transaction_snapshot(transaction, "d1", "o1");
    check(transaction,
          "[{'type': 'blockdev-snapshot', 'data': {'node': 'd0', 'overlay': 'o0'}},"
          " {'type': 'blockdev-snapshot', 'data': {'node': 'd1', 'overlay': 'o1'}}]");
}

static void
test_bitmaps(void)
{
    g_autoptr(VmpQmpTransaction) transaction = vmp_qmp_transaction_new();

    vmp_qmp_transaction_bitmap_add(transaction, "n", "a", 0, 0);
    vmp_qmp_transaction_bitmap_add(transaction, "n", "b", VMP_BITMAP_PERSISTENT, 4096);
    vmp_qmp_transaction_bitmap_add(transaction, "n", "c",
                                   VMP_BITMAP_PERSISTENT | VMP_BITMAP_DISABLED, 0);
    vmp_qmp_transaction_bitmap_merge(transaction, "n", "c", "base", "old");
    vmp_qmp_transaction_bitmap_enable(transaction, "n", "c");
    vmp_qmp_transaction_bitmap_disable(transaction, "n", "a");
    vmp_qmp_transaction_bitmap_clear(transaction, "n", "b");
    vmp_qmp_transaction_bitmap_remove(transaction, "n", "b");
    check(transaction,
          "[{'type': 'block-dirty-bitmap-add', 'data': {'node': 'n', 'name': 'a'}},"
          " {'type': 'block-dirty-bitmap-add', 'data': {'node': 'n', 'name': 'b',"
          "  'persistent': true, 'granularity': 4096}},"
          " {'type': 'block-dirty-bitmap-add', 'data': {'node': 'n', 'name': 'c',"
          "  'persistent': true, 'disabled': true}},"
          " {'type': 'block-dirty-bitmap-merge', 'data': {'node': 'n', 'target': 'c',"
          "  'bitmaps': [{'node': 'base', 'name': 'old'}]}},"
          " {'type': 'block-dirty-bitmap-enable', 'data': {'node': 'n', 'name': 'c'}},"
          " {'type': 'block-dirty-bitmap-disable', 'data': {'node': 'n', 'name': 'a'}},"
          " {'type': 'block-dirty-bitmap-clear', 'data': {'node': 'n', 'name': 'b'}},"
          " {'type': 'block-dirty-bitmap-remove', 'data': {'node': 'n', 'name': 'b'}}]");
}

static void
test_backup(void)
{
    g_autoptr(VmpQmpTransaction) transaction = vmp_qmp_transaction_new();
    const VmpQmpBackup backup = {
        .job_id = "j", .node = "n", .target = "t", .sync = "incremental", .bitmap = "b"
    };

    vmp_qmp_transaction_backup(transaction, &backup);
    check(transaction,
          "[{'type': 'blockdev-backup', 'data': {'job-id': 'j', 'device': 'n', 'target': 't',"
          " 'sync': 'incremental', 'bitmap': 'b', 'auto-finalize': false,"
          " 'auto-dismiss': false}}]");
}

static void
test_never_grouped(void)
{
    g_autoptr(VmpQmpTransaction) transaction = vmp_qmp_transaction_new();
    g_autoptr(VmpQmpCommand) command = vmp_qmp_transaction_to_command(transaction);

    g_assert_null(vmp_json_get(vmp_qmp_command_get_arguments(command), "properties"));
}

static void
test_command_is_a_value(void)
{
    g_autoptr(VmpQmpTransaction) transaction = vmp_qmp_transaction_new();

    vmp_qmp_transaction_snapshot(transaction, "d0", "o0");
    g_autoptr(VmpQmpCommand) early = vmp_qmp_transaction_to_command(transaction);
    vmp_qmp_transaction_snapshot(transaction, "d1", "o1");
    g_autoptr(VmpQmpCommand) late = vmp_qmp_transaction_to_command(transaction);

    g_assert_cmpuint(
        vmp_json_length(vmp_json_get(vmp_qmp_command_get_arguments(early), "actions")), ==, 1);
    g_assert_cmpuint(
        vmp_json_length(vmp_json_get(vmp_qmp_command_get_arguments(late), "actions")), ==, 2);
}

static void
test_run(void)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(VmpQmpTransaction) transaction = vmp_qmp_transaction_new();
    g_autoptr(GError) error = NULL;

    /* The peer is asked for one command in all. */
    qmp_peer_expect(peer, "transaction", NULL);
    qmp_peer_refuse(peer, "no");
    g_assert_true(vmp_qmp_transaction_run(transaction, client, &error));
    g_assert_no_error(error);
    vmp_qmp_transaction_bitmap_remove(transaction, "n", "b");
    g_assert_false(vmp_qmp_transaction_run(transaction, client, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_REFUSED);
    qmp_peer_finish(peer);
}

#define TEST(name, func) g_test_add_func("/qmp/transaction/" name, func)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST("nothing-is-a-transaction", test_empty);
    TEST("overlays-cover-their-nodes-in-order", test_snapshots);
    TEST("bitmaps-are-changed-in-order", test_bitmaps);
    TEST("a-backup-starts-with-the-rest", test_backup);
    TEST("completion-is-never-grouped", test_never_grouped);
    TEST("a-command-does-not-grow-with-its-transaction", test_command_is_a_value);
    TEST("a-run-sends-what-there-is", test_run);
    return g_test_run();
}
