/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/image-name.h"

#include "base/error.h"
#include "test-storage-fixture.h"

static void
test_places(void)
{
    static const struct {
        const char *name, *place;
    } table[] = {
        { "/a", "/a" },
        { "file:/a", "/a" },
        { "a", NULL },
        { "nbd://h/e", "nbd://h:10809/e" },
        { "nbd+unix:///e?socket=/s", "nbd+unix:///e?socket=/s" },
        { "json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"/a\"}}",
          "/a" },
        { "rbd:pool/image", NULL },
    };

    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autofree char *place = vmp_image_place_of_name(table[i].name);
        g_assert_cmpstr(place, ==, table[i].place);
    }
}

static void
test_headers(void)
{
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *base = in_folder(folder, "base");
    g_autofree char *layer = in_folder(folder, "layer");
    g_autofree char *format = NULL;

    g_free(qemu_img("create -q -f qcow2 %s 1M", base));
    g_free(qemu_img("create -q -f qcow2 -b base -F qcow2 %s", layer));
    g_autofree char *below = vmp_image_peek_backing(layer, &format, NULL);
    g_assert_cmpstr(below, ==, base);
    g_assert_cmpstr(format, ==, "qcow2");
    g_assert_null(vmp_image_peek_backing(base, NULL, NULL));
    g_assert_null(vmp_image_peek_backing("/nowhere", NULL, NULL));
}

/* The server is nobody: a chain that reaches it says so, and who names it. */
static void
test_servers(void)
{
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *layer = in_folder(folder, "layer");
    g_autofree char *top = in_folder(folder, "top");
    g_autofree char *uri = g_strdup_printf("nbd+unix:///e?socket=%s/nobody", folder);
    g_autoptr(GError) error = NULL;

    g_free(qemu_img("create -q -f qcow2 -u -b %s -F raw %s 1M", uri, layer));
    g_free(qemu_img("create -q -f qcow2 -u -b %s -F qcow2 %s 1M", layer, top));
    g_assert_false(vmp_image_look_at_servers(top, "qcow2", &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_IO);
    g_assert_nonnull(strstr(error->message, uri));
    g_assert_nonnull(strstr(error->message, layer));
    g_clear_error(&error);

    g_assert_false(vmp_image_look_at_servers(uri, "raw", &error));
    g_clear_error(&error);
    /* A guest may write a header to its disk, and leads nobody anywhere. */
    g_assert_true(vmp_image_look_at_servers(top, "raw", &error));
    g_assert_no_error(error);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/storage/image-name/places", test_places);
    g_test_add_func("/storage/image-name/a-header-names-what-is-below", test_headers);
    g_test_add_func("/storage/image-name/servers-that-a-chain-reaches", test_servers);
    return g_test_run();
}
