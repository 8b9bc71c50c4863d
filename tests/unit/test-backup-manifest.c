/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/manifest.h"

#include <string.h>

#include "base/error.h"

#define SUM_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SUM_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static VmpManifest *
make(void)
{
    VmpManifest *manifest = vmp_manifest_new();

    manifest->name = g_strdup("20260131T235959Z");
    manifest->repository = g_strdup("id");
    manifest->domain = g_strdup("vm");
    manifest->uuid = g_strdup("uuid");
    manifest->time = 1234567890123;
    manifest->parent = g_strdup("20260130T235959Z");
    manifest->checkpoint = g_strdup("20260131T235959Z");
    manifest->state = g_strdup("running");
    manifest->nvram = g_strdup("nvram.fd");
    manifest->tpm = g_strdup("tpm2-00.permall");
    vmp_manifest_add_file(manifest, "vda.qcow2", 100, SUM_A);
    vmp_manifest_add_file(manifest, "vda.blocks", 10, SUM_B);
    vmp_manifest_add_file(manifest, "nvram.fd", 1, SUM_B);
    vmp_manifest_add_file(manifest, "tpm2-00.permall", 1, SUM_B);
    VmpManifestDisk *disk = vmp_manifest_add_disk(manifest, "vda");
    disk->image = g_strdup("vda.qcow2");
    disk->blocks = g_strdup("vda.blocks");
    disk->incremental = TRUE;
    disk->backing = g_strdup("../20260130T235959Z/vda.qcow2");
    disk->size = 1 << 30;
    disk->held = 65536;
    disk->view = g_strdup(SUM_B);
    return manifest;
}

static void
a_manifest_comes_back_as_it_was_written(void)
{
    g_autoptr(VmpManifest) manifest = make();
    g_autofree char *text = vmp_manifest_format(manifest);
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpManifest) again = vmp_manifest_parse(text, &error);

    g_assert_no_error(error);
    g_autofree char *same = vmp_manifest_format(again);
    g_assert_cmpstr(text, ==, same);
    g_assert_true(g_str_has_suffix(text, "}\n"));
    g_assert_cmpuint(vmp_manifest_get_size(again), ==, 112);
    g_assert_true(vmp_manifest_is_incremental(again));
    g_assert_cmpuint(vmp_manifest_find_disk(again, "vda")->size, ==, 1 << 30);
    g_assert_null(vmp_manifest_find_disk(again, "vdb"));
}

static void
the_sums_are_those_that_sha256sum_reads(void)
{
    g_autoptr(VmpManifest) manifest = make();
    g_autofree char *sums = vmp_manifest_format_sums(manifest, SUM_A);

    g_assert_cmpstr(sums, ==,
                    SUM_A "  vda.qcow2\n" SUM_B "  vda.blocks\n" SUM_B "  nvram.fd\n" SUM_B
                          "  tpm2-00.permall\n" SUM_A "  manifest.json\n");
}

/* One change of the text, and the code that it leads to. */
static void
a_manifest_that_cannot_be_is_refused(void)
{
    const struct {
        const char *old, *new;
        int code;
    } changes[] = {
        { "\"format\": 1", "\"format\": 2", VMP_ERROR_UNSUPPORTED },
        { "\"format\": 1", "\"format\": 0", VMP_ERROR_DAMAGED },
        { "{", "", VMP_ERROR_DAMAGED },
        { "\"point\"", "\"poin\"", VMP_ERROR_DAMAGED },
        { "\"20260131T235959Z\"", "\"../x\"", VMP_ERROR_DAMAGED },
        { "\"name\": \"vda.qcow2\"", "\"name\": \"../vda.qcow2\"", VMP_ERROR_DAMAGED },
        { "\"name\": \"vda.qcow2\"", "\"name\": \".qcow2\"", VMP_ERROR_DAMAGED },
        { "\"image\": \"vda.qcow2\"", "\"image\": \"other\"", VMP_ERROR_DAMAGED },
        { "../20260130T235959Z/vda.qcow2", "/etc/passwd", VMP_ERROR_DAMAGED },
        { "\"kind\": \"incremental\"", "\"kind\": \"full\"", VMP_ERROR_DAMAGED },
        { "\"kind\": \"incremental\"", "\"kind\": \"odd\"", VMP_ERROR_DAMAGED },
        { "\"tpm\": \"tpm2-00.permall\"", "\"tpm\": \"none\"", VMP_ERROR_DAMAGED },
        { "\"nvram\": \"nvram.fd\"", "\"nvram\": \"none.fd\"", VMP_ERROR_DAMAGED },
        { "aaaa", "AAAA", VMP_ERROR_DAMAGED },
        { "\"size\": 100", "\"size\": -1", VMP_ERROR_DAMAGED },
    };
    g_autoptr(VmpManifest) manifest = make();
    g_autofree char *text = vmp_manifest_format(manifest);

    for (guint i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_autoptr(GError) error = NULL;
        char *at = strstr(text, changes[i].old);
        g_assert_nonnull(at);
        g_autofree char *start = g_strndup(text, (gsize)(at - text));
        g_autofree char *changed =
            g_strconcat(start, changes[i].new, at + strlen(changes[i].old), NULL);
        g_assert_null(vmp_manifest_parse(changed, &error));
        g_assert_error(error, VMP_ERROR, changes[i].code);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/backup/manifest/round-trip", a_manifest_comes_back_as_it_was_written);
    g_test_add_func("/backup/manifest/sums", the_sums_are_those_that_sha256sum_reads);
    g_test_add_func("/backup/manifest/refused", a_manifest_that_cannot_be_is_refused);
    return g_test_run();
}
