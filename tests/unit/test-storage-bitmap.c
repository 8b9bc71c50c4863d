/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/bitmap.h"

#include "test-storage-fixture.h"

#define BASE "/tmp/vmp/base.qcow2"
#define MIDDLE "/tmp/vmp/middle.qcow2"
#define TOP "/tmp/vmp/top.qcow2"

static VmpBitmapChain *
find_in(const VmpBlockGraph *graph, const char *name, GError **error)
{
    return vmp_bitmap_chain_find(graph, vmp_block_graph_node_of_path(graph, TOP), name, NULL,
                                 error);
}

static void
assert_paths(const VmpBitmapChain *chain, const char *const *paths)
{
    g_assert_nonnull(chain);
    g_assert_cmpuint(chain->nodes->len, ==, g_strv_length((char **)paths));
    for (guint i = 0; i < chain->nodes->len; i++) {
        const VmpBlockNode *node = g_ptr_array_index(chain->nodes, i);
        g_assert_cmpstr(node->path, ==, paths[i]);
    }
}

static void
test_whole_chain(void)
{
    static const char *const recordings[] = { "blockdev-machine", "drive-machine",
                                              "storage-daemon", "filter-on-top",
                                              "running-commit" };
    static const char *const all[] = { TOP, MIDDLE, BASE, NULL };

    for (gsize i = 0; i < G_N_ELEMENTS(recordings); i++) {
        g_autoptr(VmpBlockGraph) graph = load_graph(recordings[i]);
        g_autoptr(GError) error = NULL;
        g_autoptr(VmpBitmapChain) chain = find_in(graph, "cp1", &error);

        g_assert_no_error(error);
        assert_paths(chain, all);
        g_assert_cmpuint(chain->granularity, ==, 65536);
    }
}

static void
test_younger_than_the_base(void)
{
    static const char *const two[] = { TOP, MIDDLE, NULL };
    g_autoptr(VmpBlockGraph) graph = load_graph("blockdev-machine");
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpBitmapChain) chain = find_in(graph, "cp2", &error);

    g_assert_no_error(error);
    assert_paths(chain, two);
    g_assert_cmpuint(chain->granularity, ==, 4096);
}

static void
test_transient(void)
{
    static const char *const one[] = { TOP, NULL };
    g_autoptr(VmpBlockGraph) graph = load_graph("filter-on-top");
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpBitmapChain) chain = find_in(graph, "volatile", &error);

    g_assert_no_error(error);
    assert_paths(chain, one);
}

static void
test_unknown(void)
{
    g_autoptr(VmpBlockGraph) graph = load_graph("blockdev-machine");
    g_autoptr(GError) error = NULL;

    g_assert_null(find_in(graph, "nope", &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_NOT_FOUND);
    g_assert_nonnull(strstr(error->message, "nope"));
}

static void
assert_inconsistent(const VmpBlockGraph *graph, const char *name, const char *path,
                    const char *reason)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(find_in(graph, name, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INCONSISTENT);
    g_assert_nonnull(strstr(error->message, name));
    g_assert_nonnull(strstr(error->message, path));
    g_assert_nonnull(strstr(error->message, reason));
}

static void
test_disabled(void)
{
    g_autoptr(VmpBlockGraph) graph = load_graph("blockdev-machine");

    assert_inconsistent(graph, "frozen", TOP, "disabled");
}

static void
test_after_a_kill(void)
{
    g_autoptr(VmpBlockGraph) graph = load_graph("after-a-kill");

    assert_inconsistent(graph, "cp1", TOP, "inconsistent");
}

/* The recording without @name in the image @path. */
static VmpBlockGraph *
graph_without(const char *name, const char *path)
{
    g_autoptr(VmpJson) recording = load_recording("blockdev-machine");
    VmpJson *bitmaps = vmp_json_get_array(recorded_node(recording, path), "dirty-bitmaps");

    for (guint i = 0; i < vmp_json_length(bitmaps); i++)
        if (g_strcmp0(vmp_json_get_string(vmp_json_at(bitmaps, i), "name"), name) == 0) {
            json_object_array_del_idx(bitmaps, i, 1);
            return graph_of(recording, TRUE);
        }
    g_assert_not_reached();
}

static void
test_gap(void)
{
    g_autoptr(VmpBlockGraph) graph = graph_without("cp1", MIDDLE);

    assert_inconsistent(graph, "cp1", MIDDLE, "missing");
    assert_inconsistent(graph, "cp1", BASE, "missing");
}

static void
test_only_below(void)
{
    g_autoptr(VmpBlockGraph) graph = graph_without("cp1", TOP);

    assert_inconsistent(graph, "cp1", TOP, "missing");
}

static void
test_other_size(void)
{
    g_autoptr(VmpJson) recording = load_recording("blockdev-machine");
    VmpJson *image = vmp_json_get_object(recorded_node(recording, MIDDLE), "image");
    vmp_json_add(image, "i:virtual-size", (gint64)1 << 20, NULL);
    g_autoptr(VmpBlockGraph) graph = graph_of(recording, TRUE);

    assert_inconsistent(graph, "cp1", MIDDLE, "covers 1048576 bytes");
}

/* ---- where it began ---- */

static VmpBitmapChain *
find_since(const VmpBlockGraph *graph, const char *image, guint64 size, GError **error)
{
    const VmpBitmapOrigin origin = { image, size };

    return vmp_bitmap_chain_find(graph, vmp_block_graph_node_of_path(graph, TOP), "cp1",
                                 &origin, error);
}

static void
assert_lost(const VmpBlockGraph *graph, const char *image, guint64 size, const char *reason)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(find_since(graph, image, size, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INCONSISTENT);
    g_assert_nonnull(strstr(error->message, reason));
}

static void
test_reaches_where_it_began(void)
{
    static const char *const all[] = { TOP, MIDDLE, BASE, NULL };
    static const char *const two[] = { TOP, MIDDLE, NULL };
    g_autoptr(VmpBlockGraph) graph = load_graph("blockdev-machine");
    guint64 size = vmp_block_graph_node_of_path(graph, TOP)->size;
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpBitmapChain) whole = find_since(graph, BASE, size, &error);
    /* A bitmap of that name deeper down is of another time. */
    g_autoptr(VmpBitmapChain) part = find_since(graph, MIDDLE, size, &error);

    g_assert_no_error(error);
    assert_paths(whole, all);
    assert_paths(part, two);
}

static void
test_lost_where_it_began(void)
{
    g_autoptr(VmpBlockGraph) without = graph_without("cp1", BASE);
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpBitmapChain) part = find_since(without, MIDDLE, 0, &error);

    g_assert_no_error(error);
    g_assert_nonnull(part);
    assert_lost(without, BASE, 0, "missing in image '" BASE "'");
    assert_lost(without, "/tmp/vmp/gone.qcow2", 0, "'/tmp/vmp/gone.qcow2'");
}

static void
test_resized_since(void)
{
    g_autoptr(VmpBlockGraph) graph = load_graph("blockdev-machine");
    guint64 size = vmp_block_graph_node_of_path(graph, TOP)->size;

    assert_lost(graph, BASE, size + 512, "bytes then");
    assert_lost(graph, NULL, size - 512, "bytes then");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, func) g_test_add_func("/storage/bitmap/" name, func)
    ADD("a-bitmap-reaches-down-to-the-base", test_whole_chain);
    ADD("a-bitmap-ends-where-it-began", test_younger_than_the_base);
    ADD("a-transient-bitmap-is-good-as-long-as-it-lives", test_transient);
    ADD("an-unknown-bitmap-is-not-found", test_unknown);
    ADD("a-disabled-bitmap-is-refused", test_disabled);
    ADD("a-bitmap-that-was-killed-is-refused", test_after_a_kill);
    ADD("a-gap-is-refused", test_gap);
    ADD("a-bitmap-only-below-is-refused", test_only_below);
    ADD("a-bitmap-of-another-size-is-refused", test_other_size);
    ADD("a-bitmap-reaches-down-to-where-it-began", test_reaches_where_it_began);
    ADD("a-bitmap-that-is-missing-where-it-began-is-refused", test_lost_where_it_began);
    ADD("a-bitmap-of-a-disk-that-was-resized-is-refused", test_resized_since);
    return g_test_run();
}
