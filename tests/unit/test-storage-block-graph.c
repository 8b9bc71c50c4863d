/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/block-graph.h"

#include "qmp-peer.h"
#include "test-storage-fixture.h"

#define BASE "/tmp/vmp/base.qcow2"
#define MIDDLE "/tmp/vmp/middle.qcow2"
#define TOP "/tmp/vmp/top.qcow2"
#define EXT "/tmp/vmp/ext.qcow2"
#define OLD "/tmp/vmp/old.qcow2"
#define RAW "/tmp/vmp/disk.raw"
#define SCRATCH "/tmp/vmp/scratch.qcow2"

#define MIB ((guint64)1 << 20)

static const VmpBlockNode *
at_path(const VmpBlockGraph *graph, const char *path)
{
    const VmpBlockNode *node = vmp_block_graph_node_of_path(graph, path);

    g_assert_nonnull(node);
    return node;
}

/* ---- nodes ---- */

static void
test_nodes(void)
{
    static const struct {
        const char *recording, *path, *driver, *backing;
        guint64 cluster_size;
        guint bitmaps;
        gboolean read_only, extended_l2, can_persist;
    } table[] = {
        { "blockdev-machine", TOP, "qcow2", MIDDLE, 65536, 3, FALSE, FALSE, TRUE },
        { "blockdev-machine", MIDDLE, "qcow2", BASE, 65536, 2, TRUE, FALSE, TRUE },
        { "blockdev-machine", BASE, "qcow2", NULL, 65536, 1, TRUE, FALSE, TRUE },
        { "blockdev-machine", EXT, "qcow2", NULL, 131072, 0, FALSE, TRUE, TRUE },
        { "blockdev-machine", OLD, "qcow2", NULL, 65536, 0, FALSE, FALSE, FALSE },
        { "blockdev-machine", RAW, "raw", NULL, 0, 0, FALSE, FALSE, FALSE },
        { "drive-machine", TOP, "qcow2", MIDDLE, 65536, 3, FALSE, FALSE, TRUE },
        { "drive-machine", MIDDLE, "qcow2", BASE, 65536, 2, TRUE, FALSE, TRUE },
        { "drive-machine", EXT, "qcow2", NULL, 131072, 0, FALSE, TRUE, TRUE },
        { "drive-machine", RAW, "raw", NULL, 0, 0, FALSE, FALSE, FALSE },
        { "storage-daemon", TOP, "qcow2", MIDDLE, 65536, 3, FALSE, FALSE, TRUE },
        { "storage-daemon", BASE, "qcow2", NULL, 65536, 1, TRUE, FALSE, TRUE },
        { "filter-on-top", TOP, "qcow2", MIDDLE, 65536, 4, FALSE, FALSE, TRUE },
        { "filter-on-top", SCRATCH, "qcow2", NULL, 65536, 0, FALSE, FALSE, TRUE },
        { "running-commit", BASE, "qcow2", NULL, 65536, 1, FALSE, FALSE, TRUE },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(VmpBlockGraph) graph = load_graph(table[i].recording);
        const VmpBlockNode *node = at_path(graph, table[i].path);
        const VmpBlockNode *backing = vmp_block_graph_backing(graph, node);
        const VmpBlockNode *file = vmp_block_graph_node(graph, node->file);

        g_test_message("%s in %s", table[i].path, table[i].recording);
        g_assert_cmpstr(node->path, ==, table[i].path);
        g_assert_cmpstr(node->driver, ==, table[i].driver);
        g_assert_cmpuint(node->size, ==, 64 * MIB);
        g_assert_cmpuint(node->cluster_size, ==, table[i].cluster_size);
        g_assert_cmpuint(node->bitmaps->len, ==, table[i].bitmaps);
        g_assert_cmpint(node->read_only, ==, table[i].read_only);
        g_assert_cmpint(node->extended_l2, ==, table[i].extended_l2);
        g_assert_cmpint(node->can_persist_bitmaps, ==, table[i].can_persist);
        g_assert_true(node->has_parent || g_str_equal(table[i].recording, "storage-daemon"));
        g_assert_cmpstr(backing ? backing->path : NULL, ==, table[i].backing);
        g_assert_cmpstr(node->backing_string, ==, table[i].backing);
        g_assert_cmpstr(node->backing_format, ==, table[i].backing ? "qcow2" : NULL);
        g_assert_nonnull(file);
        g_assert_cmpstr(file->driver, ==, "file");
        g_assert_cmpstr(file->path, ==, table[i].path);
        g_assert_true(file->has_parent);
        g_assert_true(vmp_block_graph_node(graph, node->name) == node);
    }
}

static void
test_unknown_names(void)
{
    g_autoptr(VmpBlockGraph) graph = load_graph("blockdev-machine");

    g_assert_null(vmp_block_graph_node(graph, "nope"));
    g_assert_null(vmp_block_graph_node(graph, NULL));
    g_assert_null(vmp_block_graph_node_of_path(graph, "/tmp/vmp/nope"));
    g_assert_null(vmp_block_graph_device(graph, "vdx"));
    g_assert_null(vmp_block_graph_device(graph, "vd"));
    g_assert_null(vmp_block_graph_device(graph, ""));
    g_assert_null(vmp_block_graph_active_image(graph, "nope"));
}

static void
test_path_spellings(void)
{
    g_autoptr(VmpBlockGraph) graph = load_graph("blockdev-machine");

    g_assert_true(at_path(graph, "/tmp/vmp/../vmp/./top.qcow2") ==
                  vmp_block_graph_node(graph, "top"));
}

static void
test_unused_nodes(void)
{
    g_autoptr(VmpBlockGraph) graph = load_graph("storage-daemon");

    g_assert_cmpuint(vmp_block_graph_devices(graph)->len, ==, 0);
    g_assert_false(vmp_block_graph_node(graph, "disk0")->has_parent);
    g_assert_true(vmp_block_graph_node(graph, "disk0-file")->has_parent);
}

/* ---- devices ---- */

static void
test_devices(void)
{
    static const struct {
        const char *recording, *id, *path;
    } table[] = {
        { "blockdev-machine", "vda", TOP },
        { "blockdev-machine", "/machine/peripheral/vda/virtio-backend", TOP },
        { "blockdev-machine", "vdb", EXT },
        { "blockdev-machine", "sda", OLD },
        { "blockdev-machine", "hda", RAW },
        { "drive-machine", "drive-virtio0", TOP },
        { "drive-machine", "drive1", EXT },
        { "drive-machine", "/machine/peripheral-anon/device[0]/virtio-backend", EXT },
        /* A device's id and another drive's: the device has it. */
        { "drive-machine", "virtio0", TOP },
        { "filter-on-top", "vda", TOP },
        { "running-commit", "vda", TOP },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(VmpBlockGraph) graph = load_graph(table[i].recording);
        const VmpBlockDevice *device = vmp_block_graph_device(graph, table[i].id);

        g_test_message("%s in %s", table[i].id, table[i].recording);
        g_assert_nonnull(device);
        g_assert_cmpstr(device->io_status, ==, "ok");
        g_assert_cmpstr(vmp_block_graph_active_image(graph, device->node)->path, ==,
                        table[i].path);
    }
}

static void
test_empty_drive(void)
{
    static const char *const recordings[] = { "blockdev-machine", "drive-machine" };

    for (gsize i = 0; i < G_N_ELEMENTS(recordings); i++) {
        g_autoptr(VmpBlockGraph) graph = load_graph(recordings[i]);
        const VmpBlockDevice *device = vmp_block_graph_device(graph, "cd0");

        g_assert_nonnull(device);
        g_assert_true(device->removable);
        g_assert_null(device->node);
        g_assert_null(vmp_block_graph_active_image(graph, device->node));
    }
}

/* ---- filters ---- */

static void
test_filters(void)
{
    g_autoptr(VmpBlockGraph) graph = load_graph("filter-on-top");
    const VmpBlockDevice *device = vmp_block_graph_device(graph, "vda");

    g_assert_cmpstr(device->node, ==, "cbw");
    g_assert_cmpstr(vmp_block_graph_active_image(graph, "cbw")->name, ==, "top");
    g_assert_cmpstr(vmp_block_graph_active_image(graph, "then")->name, ==, "top");
    g_assert_cmpstr(vmp_block_graph_node_of_path(graph, TOP)->name, ==, "top");
    g_assert_cmpstr(vmp_block_graph_node(graph, "cbw")->path, ==, TOP);
    g_assert_true(vmp_block_graph_node(graph, "scratch")->has_parent);
}

static void
test_commit_filter(void)
{
    g_autoptr(VmpBlockGraph) graph = load_graph("running-commit");
    const VmpBlockNode *top = vmp_block_graph_node(graph, "top");
    const VmpBlockNode *filter = vmp_block_graph_node(graph, top->backing);
    const VmpBlockNode *middle = vmp_block_graph_backing(graph, top);

    g_assert_cmpstr(filter->driver, ==, "commit_top");
    g_assert_cmpstr(middle->driver, ==, "qcow2");
    g_assert_cmpstr(middle->path, ==, MIDDLE);
    g_assert_cmpstr(vmp_block_graph_backing(graph, middle)->path, ==, BASE);
}

/* ---- bitmaps ---- */

static void
test_bitmaps(void)
{
    g_autoptr(VmpBlockGraph) graph = load_graph("filter-on-top");
    const VmpBlockNode *top = vmp_block_graph_node(graph, "top");
    const VmpBitmap *cp1 = vmp_block_node_bitmap(top, "cp1");
    const VmpBitmap *cp2 = vmp_block_node_bitmap(top, "cp2");
    const VmpBitmap *frozen = vmp_block_node_bitmap(top, "frozen");
    const VmpBitmap *transient = vmp_block_node_bitmap(top, "volatile");

    g_assert_true(cp1->recording && cp1->persistent && !cp1->inconsistent && !cp1->busy);
    g_assert_cmpuint(cp1->granularity, ==, 65536);
    g_assert_cmpuint(cp2->granularity, ==, 4096);
    g_assert_true(!frozen->recording && frozen->persistent);
    g_assert_true(transient->recording && !transient->persistent);
    g_assert_null(vmp_block_node_bitmap(top, "nope"));
    /* The filter has bitmaps of its own, which have no name. */
    g_assert_cmpuint(vmp_block_graph_node(graph, "cbw")->bitmaps->len, ==, 0);
}

static void
test_bitmaps_after_a_kill(void)
{
    g_autoptr(VmpBlockGraph) graph = load_graph("after-a-kill");
    const VmpBitmap *lost = vmp_block_node_bitmap(vmp_block_graph_node(graph, "disk0"), "cp1");
    const VmpBitmap *kept = vmp_block_node_bitmap(at_path(graph, MIDDLE), "cp1");

    g_assert_true(lost->inconsistent && !lost->recording);
    g_assert_true(!kept->inconsistent && kept->recording);
}

static void
test_who_can_keep_bitmaps(void)
{
    static const struct {
        const char *path, *reason;
    } table[] = {
        { TOP, NULL },        { EXT, NULL },           { OLD, "0.10" },
        { RAW, "not qcow2" }, { MIDDLE, "read-only" },
    };
    g_autoptr(VmpBlockGraph) graph = load_graph("blockdev-machine");

    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(GError) error = NULL;
        gboolean can =
            vmp_block_node_check_can_persist_bitmap(at_path(graph, table[i].path), &error);

        g_assert_cmpint(can, ==, !table[i].reason);
        if (can)
            continue;
        g_assert_error(error, VMP_ERROR, VMP_ERROR_UNSUPPORTED);
        g_assert_nonnull(strstr(error->message, table[i].reason));
        g_assert_nonnull(strstr(error->message, table[i].path));
    }
}

/* ---- without the graph query ---- */

/* Guessed or told, the images below each device are the same. */
static void
compare_chains(const VmpBlockGraph *told, const VmpBlockGraph *guessed, const char *top)
{
    const VmpBlockNode *a = vmp_block_graph_active_image(told, top);
    const VmpBlockNode *b = vmp_block_graph_active_image(guessed, top);

    while (a && b) {
        g_assert_cmpstr(a->name, ==, b->name);
        g_assert_cmpstr(a->path, ==, b->path);
        g_assert_cmpstr(a->file, ==, b->file);
        a = vmp_block_graph_backing(told, a);
        b = vmp_block_graph_backing(guessed, b);
    }
    g_assert_true(!a && !b);
}

static void
test_guessed_edges(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(all_recordings); i++) {
        g_autoptr(VmpJson) recording = load_recording(all_recordings[i]);
        g_autoptr(VmpBlockGraph) told = graph_of(recording, TRUE);
        g_autoptr(VmpBlockGraph) guessed = graph_of(recording, FALSE);
        const GPtrArray *nodes = vmp_block_graph_nodes(told);

        g_test_message("%s", all_recordings[i]);
        for (guint j = 0; j < nodes->len; j++)
            compare_chains(told, guessed, ((VmpBlockNode *)g_ptr_array_index(nodes, j))->name);
    }
}

/* Two disks over one base have a node of their own each for it. */
static void
test_guessed_shared_base(void)
{
    g_autoptr(VmpJson) nodes = vmp_json_parse(
        "[{'node-name':'b1','drv':'qcow2','image':{'filename':'/b'}},"
        " {'node-name':'b2','drv':'qcow2','image':{'filename':'/b'}},"
        " {'node-name':'x','drv':'qcow2',"
        "  'image':{'filename':'/x','full-backing-filename':'/b'}},"
        " {'node-name':'y','drv':'qcow2','backing_file':'/b','image':{'filename':'/y'}}]",
        -1, NULL);
    g_autoptr(VmpBlockGraph) graph = vmp_block_graph_new(nodes, NULL, NULL, NULL);

    g_assert_cmpstr(vmp_block_graph_node(graph, "x")->backing, ==, "b1");
    g_assert_cmpstr(vmp_block_graph_node(graph, "y")->backing, ==, "b2");
}

/* ---- made-up answers ---- */

static void
test_odd_names(void)
{
    static const struct {
        const char *driver, *filename, *path;
    } table[] = {
        { "file", "/a", "/a" },
        { "host_device", "/dev/vg/a", "/dev/vg/a" },
        { "file", "file:a:b", "a:b" },
        { "file", "json:{\"driver\":\"file\"}", NULL },
        { "file", "/dev/fdset/3", NULL },
        { "nbd", "nbd://host/a", "nbd://host:10809/a" },
        { "nbd", "nbd+unix:///a?socket=/s", "nbd+unix:///a?socket=/s" },
        { "nbd", "json:{\"driver\":\"nbd\"}", NULL },
        { "ssh", "ssh://host/a", NULL },
        { "null-co", "null-co://", NULL },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(VmpJson) nodes = json_object_new_array();
        json_object_array_add(
            nodes,
            vmp_json_build("s:node-name", "n", "s:drv", table[i].driver, "o:image",
                           vmp_json_build("s:filename", table[i].filename, NULL), NULL));
        g_autoptr(VmpBlockGraph) graph = vmp_block_graph_new(nodes, NULL, NULL, NULL);

        g_assert_cmpstr(vmp_block_graph_node(graph, "n")->path, ==, table[i].path);
        g_assert_cmpstr(vmp_block_graph_node(graph, "n")->filename, ==, table[i].filename);
    }
}

static char *
resolve_below(gconstpointer folder, const char *relative)
{
    return g_str_has_prefix(relative, "disks/") ? g_canonicalize_filename(relative, folder)
                                                : NULL;
}

static void
test_relative_paths(void)
{
    g_autoptr(VmpJson) nodes =
        vmp_json_parse("[{'node-name':'n','drv':'raw','image':{'filename':'disks/a.img'}},"
                       " {'node-name':'f','drv':'file','image':{'filename':'disks/a.img'}}]",
                       -1, NULL);
    g_autoptr(VmpBlockGraph) graph = vmp_block_graph_new(nodes, NULL, NULL, NULL);

    g_assert_cmpstr(vmp_block_graph_node(graph, "n")->path, ==, "disks/a.img");
    g_assert_null(vmp_block_graph_resolve(graph, resolve_below, "/home/me"));
    g_assert_cmpstr(vmp_block_graph_node(graph, "n")->path, ==, "/home/me/disks/a.img");
    g_assert_cmpstr(vmp_block_graph_node(graph, "f")->path, ==, "/home/me/disks/a.img");
    g_assert_cmpstr(vmp_block_graph_node_of_path(graph, "/home/me/disks/a.img")->name, ==,
                    "n");

    g_autoptr(VmpJson) lost =
        vmp_json_parse("[{'node-name':'n','drv':'raw','image':{'filename':'a.img'}},"
                       " {'node-name':'f','drv':'file','image':{'filename':'a.img'}}]",
                       -1, NULL);
    g_autoptr(VmpBlockGraph) other = vmp_block_graph_new(lost, NULL, NULL, NULL);
    g_assert_cmpstr(vmp_block_graph_resolve(other, resolve_below, "/home/me"), ==, "a.img");
}

/* The disk is attached without a format on top of the file. */
static void
test_protocol_alone(void)
{
    g_autoptr(VmpJson) nodes = vmp_json_parse(
        "[{'node-name':'f','drv':'host_device','image':{'filename':'/dev/x'}}]", -1, NULL);
    g_autoptr(VmpBlockGraph) graph = vmp_block_graph_new(nodes, NULL, NULL, NULL);

    g_assert_cmpstr(at_path(graph, "/dev/x")->name, ==, "f");
}

static void
test_refused_answers(void)
{
    static const char *const answers[] = {
        "[{'drv':'raw','image':{}}]",
        "[{'node-name':'n','image':{}}]",
        "[{'node-name':'n','drv':'raw'}]",
        "['n']",
    };

    for (gsize i = 0; i < G_N_ELEMENTS(answers); i++) {
        g_autoptr(VmpJson) nodes = vmp_json_parse(answers[i], -1, NULL);
        g_autoptr(GError) error = NULL;

        g_assert_null(vmp_block_graph_new(nodes, NULL, NULL, &error));
        g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
    }
}

/* ---- new names ---- */

static void
test_new_names(void)
{
    static const struct {
        const char *stem, *name;
    } table[] = {
        { "vda", "vda-1" },
        { "vda", "vda-2" },
        { "#block123", "n-block123-1" },
        { "0day", "n0day-1" },
        { "a b/c\xc3\xa4", "a-b-c---1" },
        { "a-name-that-is-longer-than-qemu-takes", "a-name-that-is-longer-than-qe-1" },
        { "a-name-that-is-longer-than-qemu-takes", "a-name-that-is-longer-than-qe-2" },
        { "", "n-1" },
    };
    g_autoptr(VmpBlockGraph) graph = load_graph("blockdev-machine");
    g_autoptr(GHashTable) taken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autofree char *name = vmp_block_graph_new_name(graph, table[i].stem, taken);

        g_assert_cmpstr(name, ==, table[i].name);
        g_assert_cmpuint(strlen(name), <=, 31);
        g_assert_true(g_hash_table_contains(taken, name));
    }
}

static void
test_new_names_avoid_what_is_there(void)
{
    g_autoptr(VmpJson) nodes =
        vmp_json_parse("[{'node-name':'vda-1','drv':'raw','image':{}}]", -1, NULL);
    g_autoptr(VmpJson) devices = vmp_json_parse("[{'device':'vda-2'}]", -1, NULL);
    g_autoptr(VmpBlockGraph) graph = vmp_block_graph_new(nodes, devices, NULL, NULL);
    g_autofree char *name = vmp_block_graph_new_name(graph, "vda", NULL);

    g_assert_cmpstr(name, ==, "vda-3");
}

/* ---- over QMP ---- */

static char *
recorded_reply(VmpJson *recording, const char *key)
{
    return vmp_json_to_text(vmp_json_get(recording, key));
}

static void
test_read_at_once(void)
{
    g_autoptr(VmpJson) recording = load_recording("blockdev-machine");
    g_autofree char *nodes = recorded_reply(recording, "named-nodes");
    g_autofree char *devices = recorded_reply(recording, "block");
    g_autofree char *edges = recorded_reply(recording, "graph");
    g_autoptr(GError) error = NULL;
    QmpPeer *peer = qmp_peer_new();

    /* No answer before all three have come. */
    qmp_peer_expect(peer, "query-named-block-nodes", "{'flat': true}");
    qmp_peer_expect(peer, "query-block", "{}");
    qmp_peer_expect(peer, "x-debug-query-block-graph", "{}");
    qmp_peer_reply(peer, nodes);
    qmp_peer_reply(peer, devices);
    qmp_peer_reply(peer, edges);

    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(VmpBlockGraph) graph = vmp_block_graph_read(client, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(vmp_block_graph_device(graph, "vda")->node, ==, "top");
    g_assert_cmpstr(vmp_block_graph_node(graph, "top")->backing, ==, "middle");
    g_clear_pointer(&client, vmp_qmp_client_unref);
    qmp_peer_finish(peer);
}

static void
test_read_without_graph_query(void)
{
    g_autoptr(VmpJson) recording = load_recording("drive-machine");
    g_autofree char *nodes = recorded_reply(recording, "named-nodes");
    g_autofree char *devices = recorded_reply(recording, "block");
    g_autoptr(GError) error = NULL;
    QmpPeer *peer = qmp_peer_new();

    qmp_peer_answer(peer, "query-named-block-nodes", nodes);
    qmp_peer_answer(peer, "query-block", devices);
    qmp_peer_expect(peer, "x-debug-query-block-graph", "{}");
    qmp_peer_refuse(peer, "The command x-debug-query-block-graph has not been found");

    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_autoptr(VmpBlockGraph) graph = vmp_block_graph_read(client, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(vmp_block_graph_backing(graph, at_path(graph, TOP))->path, ==, MIDDLE);
    g_clear_pointer(&client, vmp_qmp_client_unref);
    qmp_peer_finish(peer);
}

static void
test_read_from_the_dead(void)
{
    g_autoptr(GError) error = NULL;
    QmpPeer *peer = qmp_peer_new();

    qmp_peer_expect(peer, "query-named-block-nodes", NULL);
    qmp_peer_hang_up(peer);

    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
    g_assert_null(vmp_block_graph_read(client, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_DISCONNECTED);
    g_clear_pointer(&client, vmp_qmp_client_unref);
    qmp_peer_finish(peer);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, func) g_test_add_func("/storage/block-graph/" name, func)
    ADD("nodes-of-real-machines-are-read", test_nodes);
    ADD("what-is-not-there-is-not-found", test_unknown_names);
    ADD("a-path-may-be-spelled-otherwise", test_path_spellings);
    ADD("a-storage-daemon-has-nodes-and-no-devices", test_unused_nodes);
    ADD("a-device-is-found-by-id-by-path-and-by-drive", test_devices);
    ADD("an-empty-drive-has-no-node", test_empty_drive);
    ADD("filters-are-looked-through", test_filters);
    ADD("the-filter-of-a-running-commit-is-no-image", test_commit_filter);
    ADD("bitmaps-without-a-name-are-left-out", test_bitmaps);
    ADD("a-kill-makes-bitmaps-inconsistent", test_bitmaps_after_a_kill);
    ADD("who-can-keep-bitmaps-and-why-not", test_who_can_keep_bitmaps);
    ADD("guessed-edges-are-those-that-qemu-tells", test_guessed_edges);
    ADD("a-base-of-two-disks-is-guessed-once-each", test_guessed_shared_base);
    ADD("only-local-files-have-a-path", test_odd_names);
    ADD("relative-paths-wait-for-the-working-folder", test_relative_paths);
    ADD("a-disk-without-a-format-is-its-file", test_protocol_alone);
    ADD("nodes-without-name-driver-or-image-are-refused", test_refused_answers);
    ADD("new-names-are-well-formed-and-short", test_new_names);
    ADD("new-names-avoid-nodes-and-drives", test_new_names_avoid_what_is_there);
    ADD("three-queries-go-out-at-once", test_read_at_once);
    ADD("a-qemu-without-the-graph-query-is-read-all-the-same", test_read_without_graph_query);
    ADD("a-dead-qemu-has-no-graph", test_read_from_the_dead);
    return g_test_run();
}
