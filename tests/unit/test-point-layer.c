/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "point/layer.h"

typedef struct {
    const char *name;
    VmpDomainDisk disk;
    gboolean direct; /* of the node that is replaced */
    VmpLayerOptions wanted;
} Case;

static const Case cases[] = {
    { "what-is-not-said-is-left-to-qemu", { 0 }, FALSE, { 0 } },
    { "default-is-not-said",
      { .io = (char *)"default",
        .discard = (char *)"default",
        .detect_zeroes = (char *)"default" },
      FALSE,
      { 0 } },
    { "past-the-cache-if-the-replaced-one-is",
      { .cache = (char *)"none", .io = (char *)"native" },
      TRUE,
      { .direct = TRUE, .aio = "native" } },
    { "native-io-goes-past-the-cache-only",
      { .cache = (char *)"none", .io = (char *)"native" },
      FALSE,
      { 0 } },
    { "threads-go-with-anything", { .io = (char *)"threads" }, FALSE, { .aio = "threads" } },
    { "discards-and-zeroes",
      { .discard = (char *)"unmap", .detect_zeroes = (char *)"unmap" },
      FALSE,
      { .unmap = TRUE, .detect_zeroes = "unmap" } },
    { "discards-that-are-ignored", { .discard = (char *)"ignore" }, FALSE, { 0 } },
};

static void
test_options(gconstpointer data)
{
    const Case *test = data;
    VmpBlockNode replaced = { .direct = test->direct };
    VmpLayerOptions got = vmp_layer_options_of(&test->disk, &replaced);

    g_assert_cmpint(got.direct, ==, test->wanted.direct);
    g_assert_cmpint(got.unmap, ==, test->wanted.unmap);
    g_assert_cmpstr(got.aio, ==, test->wanted.aio);
    g_assert_cmpstr(got.detect_zeroes, ==, test->wanted.detect_zeroes);
}

static void
test_unknown_disk(void)
{
    VmpBlockNode replaced = { .direct = TRUE };
    VmpLayerOptions got = vmp_layer_options_of(NULL, &replaced);

    g_assert_true(got.direct);
    g_assert_false(got.unmap);
}

static void
test_format(void)
{
    VmpBlockNode node = { .driver = (char *)"qcow2" };

    g_assert_cmpstr(vmp_layer_format_of(&node), ==, "qcow2");
    node.driver = (char *)"file";
    g_assert_cmpstr(vmp_layer_format_of(&node), ==, "raw");
    node.driver = (char *)"host_device";
    g_assert_cmpstr(vmp_layer_format_of(&node), ==, "raw");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strdup_printf("/point/layer/%s", cases[i].name);
        g_test_add_data_func(path, &cases[i], test_options);
    }
    g_test_add_func("/point/layer/of-a-disk-that-the-definition-has-not", test_unknown_disk);
    g_test_add_func("/point/layer/a-file-without-a-format-is-raw", test_format);
    return g_test_run();
}
