/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the tests of storage/ share: recorded replies, a folder that goes away, qemu-img. */

#include <ftw.h>
#include <glib/gstdio.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/process.h"
#include "storage/block-graph.h"

/* ---- recorded replies, see tests/data/replies/record ---- */

static const char *const all_recordings[] = {
    "after-a-kill",  "blockdev-machine", "drive-machine",
    "filter-on-top", "running-commit",   "storage-daemon",
};

G_GNUC_UNUSED static VmpJson *
load_recording(const char *name)
{
    const char *data = g_getenv("VMPOINT_TEST_DATA");
    if (!data)
        g_error("VMPOINT_TEST_DATA has to say where tests/data is");

    g_autofree char *path = g_strdup_printf("%s/replies/%s.json", data, name);
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    VmpJson *json = vmp_json_parse(text, -1, &error);
    g_assert_no_error(error);
    return json;
}

G_GNUC_UNUSED static VmpBlockGraph *
graph_of(VmpJson *recording, gboolean with_edges)
{
    g_autoptr(GError) error = NULL;
    VmpBlockGraph *graph = vmp_block_graph_new(
        vmp_json_get(recording, "named-nodes"), vmp_json_get(recording, "block"),
        with_edges ? vmp_json_get(recording, "graph") : NULL, &error);

    g_assert_no_error(error);
    return graph;
}

G_GNUC_UNUSED static VmpBlockGraph *
load_graph(const char *name)
{
    g_autoptr(VmpJson) recording = load_recording(name);

    return graph_of(recording, TRUE);
}

/* The recorded object of the image node over @path. */
G_GNUC_UNUSED static VmpJson *
recorded_node(VmpJson *recording, const char *path)
{
    VmpJson *nodes = vmp_json_get(recording, "named-nodes");

    for (guint i = 0; i < vmp_json_length(nodes); i++) {
        VmpJson *node = vmp_json_at(nodes, i);
        if (g_strcmp0(vmp_json_get_string(node, "file"), path) == 0 &&
            g_strcmp0(vmp_json_get_string(node, "drv"), "qcow2") == 0)
            return node;
    }
    g_assert_not_reached();
}

/* ---- a folder of the test ---- */

static int
remove_entry(const char *path, const struct stat *info, int type, struct FTW *where)
{
    return remove(path);
}

typedef char TestFolder;
static inline void
test_folder_free(TestFolder *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    g_free(path);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TestFolder, test_folder_free)

G_GNUC_UNUSED static TestFolder *
test_folder_new(void)
{
    g_autoptr(GError) error = NULL;
    char *path = g_dir_make_tmp("vmpoint-test-XXXXXX", &error);

    g_assert_no_error(error);
    return path;
}

G_GNUC_UNUSED static char *
in_folder(const TestFolder *folder, const char *name)
{
    return g_build_filename(folder, name, NULL);
}

/* How many files are in it. */
G_GNUC_UNUSED static guint
count_files(const TestFolder *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    guint count = 0;

    while (g_dir_read_name(dir))
        count++;
    return count;
}

G_GNUC_UNUSED static void
write_file(const char *path, const char *content, gssize length)
{
    g_autoptr(GError) error = NULL;

    g_file_set_contents(path, content, length, &error);
    g_assert_no_error(error);
}

/* ---- qemu-img, who is the judge ---- */

/* FALSE and the test marked as skipped if there is no qemu-img. */
G_GNUC_UNUSED static gboolean
have_qemu_img(void)
{
    g_autofree char *path = g_find_program_in_path("qemu-img");

    if (!path)
        g_test_skip("qemu-img is not installed");
    return path != NULL;
}

/* Runs "qemu-img ARGUMENTS", words separated by spaces; the test fails if that fails.
 * What it printed is returned. */
G_GNUC_UNUSED G_GNUC_PRINTF(1, 2) static char *qemu_img(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *words = g_strdup_vprintf(format, args);
    va_end(args);
    g_autofree char *line = g_strdup_printf("qemu-img %s", words);
    g_auto(GStrv) argv = g_strsplit(line, " ", 0);
    g_autoptr(GError) error = NULL;
    char *out = NULL;

    vmp_tool_check((const char *const *)argv, VMP_ERROR_FAILED, &out, NULL, &error);
    g_assert_no_error(error);
    return out;
}

/* Runs it for its effect. */
#define QEMU_IMG(...)                                                \
    do {                                                             \
        G_GNUC_UNUSED g_autofree char *out_ = qemu_img(__VA_ARGS__); \
    } while (0)
