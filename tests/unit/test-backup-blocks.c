/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gstdio.h>
#include <string.h>

#include "backup/blocks.h"
#include "base/error.h"

/* A list by a picture: a letter is a block with that content, '0' zeroes, '.' is not held. */
static GArray *
draw(const char *picture)
{
    GArray *blocks = vmp_blocks_new();

    for (guint64 i = 0; picture[i]; i++) {
        VmpBlock block = { i, 1, { { 0 } } };
        if (picture[i] == '.')
            continue;
        if (picture[i] == '0') {
            vmp_blocks_add_zeroes(blocks, i, 1);
            continue;
        }
        memset(block.digest.bytes, picture[i], VMP_DIGEST_SIZE);
        g_array_append_val(blocks, block);
    }
    return blocks;
}

static void
check(const GArray *blocks, const char *picture)
{
    g_autofree char *seen = g_strnfill(strlen(picture), '.');

    for (guint i = 0; i < blocks->len; i++) {
        const VmpBlock *block = &g_array_index(blocks, VmpBlock, i);
        for (guint64 at = block->first; at < block->first + block->count; at++)
            seen[at] = vmp_block_is_zero(block) ? '0' : (char)block->digest.bytes[0];
    }
    g_assert_cmpstr(seen, ==, picture);
}

static void
the_newest_layer_that_holds_a_block_tells_it(void)
{
    g_autoptr(GArray) top = draw("..x00.....0");
    g_autoptr(GArray) middle = draw("yy....y0000");
    g_autoptr(GArray) bottom = draw("aaaaaa.aa.a");
    GArray *layers[] = { top, middle, bottom };
    g_autoptr(GArray) all = vmp_blocks_compose(layers, 3, TRUE);
    g_autoptr(GArray) whole = vmp_blocks_compose(layers, 3, FALSE);
    g_autoptr(GArray) two = vmp_blocks_compose(layers, 2, TRUE);
    g_autoptr(GArray) none = vmp_blocks_compose(NULL, 0, TRUE);

    check(all, "yyx00ay0000");
    check(whole, "yyx..ay....");
    check(two, "yyx00.y0000");
    g_assert_cmpuint(none->len, ==, 0);
    /* Runs are runs again. */
    g_assert_cmpuint(two->len, ==, 6);
}

static void
the_view_is_the_same_however_the_points_are_cut(void)
{
    g_autoptr(GArray) top = draw("..x0.");
    g_autoptr(GArray) bottom = draw("aaaa.");
    GArray *layers[] = { top, bottom };
    g_autoptr(GArray) composed = vmp_blocks_compose(layers, 2, FALSE);
    g_autoptr(GArray) flat = draw("aax0.");
    g_autoptr(GArray) other = draw("aax.a");
    VmpDigest one, same, larger, different;

    vmp_blocks_view(composed, 5 * VMP_BLOCK_SIZE, &one);
    vmp_blocks_view(flat, 5 * VMP_BLOCK_SIZE, &same);
    vmp_blocks_view(flat, 6 * VMP_BLOCK_SIZE, &larger);
    vmp_blocks_view(other, 5 * VMP_BLOCK_SIZE, &different);
    g_assert_true(vmp_digest_equal(&one, &same));
    g_assert_false(vmp_digest_equal(&one, &larger));
    g_assert_false(vmp_digest_equal(&one, &different));
}

typedef struct {
    char *path;
    char *data;
    gsize length;
} File;

static void
file_set_up(File *file, gconstpointer unused)
{
    g_autofree char *dir = g_dir_make_tmp("vmp-blocks-XXXXXX", NULL);
    g_autoptr(GArray) blocks = draw("a.00b");
    g_autoptr(GArray) sums = g_array_new(FALSE, FALSE, sizeof(guint64));
    g_autoptr(GError) error = NULL;
    guint64 sum = 42;

    g_array_append_val(sums, sum);
    file->path = g_build_filename(dir, "list", NULL);
    g_assert_true(
        vmp_blocks_write(file->path, 4 * VMP_BLOCK_SIZE + 7, blocks, 4096, sums, &error));
    g_assert_true(g_file_get_contents(file->path, &file->data, &file->length, &error));
}

static void
file_tear_down(File *file, gconstpointer unused)
{
    g_autofree char *dir = g_path_get_dirname(file->path);

    g_unlink(file->path);
    g_rmdir(dir);
    g_free(file->path);
    g_free(file->data);
}

static void
a_file_gives_back_what_was_written_and_replaces_none(File *file, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpBlockFile) read = vmp_blocks_read(file->path, &error);
    g_autoptr(GArray) empty = vmp_blocks_new();

    g_assert_no_error(error);
    g_assert_cmpuint(read->size, ==, 4 * VMP_BLOCK_SIZE + 7);
    g_assert_cmpuint(read->piece, ==, 4096);
    g_assert_cmpuint(read->sums->len, ==, 1);
    g_assert_cmpuint(g_array_index(read->sums, guint64, 0), ==, 42);
    check(read->blocks, "a.00b");
    g_assert_false(vmp_blocks_write(file->path, 1, empty, 1, empty, &error));
    g_assert_true(vmp_error_is(error, VMP_ERROR_EXISTS));
}

static void
a_file_that_cannot_be_is_refused(File *file, gconstpointer unused)
{
    /* Where a byte is changed, and what that must lead to: the digests themselves are free. */
    const struct {
        gsize at;
        int code;
    } changes[] = { { 0, VMP_ERROR_DAMAGED },       { 11, VMP_ERROR_UNSUPPORTED },
                    { 14, VMP_ERROR_UNSUPPORTED },  { 31, VMP_ERROR_DAMAGED },
                    { 47, VMP_ERROR_DAMAGED },      { 48, VMP_ERROR_DAMAGED },
                    { 48 + 15, VMP_ERROR_DAMAGED }, { 48 + 2 * 48 + 7, VMP_ERROR_DAMAGED } };

    for (guint i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_autoptr(GError) error = NULL;
        file->data[changes[i].at] ^= 0x11;
        g_assert_true(g_file_set_contents(file->path, file->data, (gssize)file->length, NULL));
        file->data[changes[i].at] ^= 0x11;
        g_assert_null(vmp_blocks_read(file->path, &error));
        g_assert_error(error, VMP_ERROR, changes[i].code);
    }
    for (gsize length = 0; length < file->length; length++) {
        g_autoptr(GError) error = NULL;
        g_assert_true(g_file_set_contents(file->path, file->data, (gssize)length, NULL));
        g_assert_null(vmp_blocks_read(file->path, &error));
        g_assert_error(error, VMP_ERROR, VMP_ERROR_DAMAGED);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/backup/blocks/compose", the_newest_layer_that_holds_a_block_tells_it);
    g_test_add_func("/backup/blocks/view", the_view_is_the_same_however_the_points_are_cut);
    g_test_add("/backup/blocks/file", File, NULL, file_set_up,
               a_file_gives_back_what_was_written_and_replaces_none, file_tear_down);
    g_test_add("/backup/blocks/damage", File, NULL, file_set_up,
               a_file_that_cannot_be_is_refused, file_tear_down);
    return g_test_run();
}
