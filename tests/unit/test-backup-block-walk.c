/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* On real images: skipped where QEMU's tools are not installed. */

#include "backup/block-walk.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "storage/image.h"
#include "storage/qcow2.h"

#define SIZE (2 * 1024 * 1024 + 512)

typedef struct {
    char *dir, *source, *copy;
    VmpOperation *operation;
    GArray *blocks;
    VmpBlockTarget target;
    const char *format;
} Laying;

static void
qemu_io(const char *path, const char *format, const char *command)
{
    g_autoptr(GError) error = NULL;
    const char *const argv[] = { "qemu-io", "-f", format, "-c", command, path, NULL };

    vmp_tool_check(argv, VMP_ERROR_IO, NULL, NULL, &error);
    g_assert_no_error(error);
}

static void
set_up(Laying *laying, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;
    guint64 size = 0;

    laying->dir = g_dir_make_tmp("vmp-laying-XXXXXX", NULL);
    laying->source = g_build_filename(laying->dir, "source", NULL);
    laying->copy = g_build_filename(laying->dir, "copy", NULL);
    laying->operation = vmp_operation_new();
    const VmpImageSpec spec = { .path = laying->source, .size = SIZE };
    g_assert_true(vmp_image_create(&spec, NULL, &error));
    qemu_io(laying->source, "qcow2", "write -q -P 1 64k 128k");
    qemu_io(laying->source, "qcow2", "write -q -P 2 1M 64k");
    qemu_io(laying->source, "qcow2", "write -q -P 3 2M 512");
    laying->blocks = vmp_block_scan(laying->source, "look", laying->operation, &size, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(size, ==, SIZE);
    g_assert_cmpuint(laying->blocks->len, ==, 4);
    laying->target.fd = open(laying->copy, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

static void
tear_down(Laying *laying, gconstpointer unused)
{
    close(laying->target.fd);
    g_array_unref(laying->blocks);
    vmp_operation_free(laying->operation);
    g_unlink(laying->source);
    g_unlink(laying->copy);
    g_rmdir(laying->dir);
    g_free(laying->source);
    g_free(laying->copy);
    g_free(laying->dir);
}

static void
make_target(Laying *laying, gboolean packed)
{
    g_autoptr(GError) error = NULL;
    guint64 clusters[4];
    const VmpQcow2 image = { .size = SIZE, .clusters = clusters, .n_clusters = 4 };

    for (guint i = 0; i < 4; i++)
        clusters[i] = g_array_index(laying->blocks, VmpBlock, i).first;
    laying->target.packed = packed;
    laying->format = packed ? "qcow2" : "raw";
    g_assert_true(packed ? vmp_qcow2_write(laying->target.fd, &image, &error) &&
                               vmp_qcow2_get_data_offset(&image, &laying->target.start, &error)
                         : ftruncate(laying->target.fd, SIZE) == 0);
}

static gboolean
lay(Laying *laying, GError **error)
{
    return vmp_block_lay(laying->source, SIZE, laying->blocks, &laying->target, "copy",
                         laying->operation, error);
}

static gboolean
check(Laying *laying, GError **error)
{
    return vmp_block_check_laid(laying->copy, laying->format, SIZE, laying->blocks,
                                &laying->target, NULL, error);
}

static void
what_was_laid_is_the_disk(Laying *laying, gconstpointer packed)
{
    g_autoptr(GError) error = NULL;
    const char *compare[] = { "qemu-img", "compare", "-q",           "-f",         "qcow2",
                              "-F",       NULL,      laying->source, laying->copy, NULL };

    make_target(laying, packed != NULL);
    compare[6] = laying->format;
    g_assert_true(lay(laying, &error));
    g_assert_true(check(laying, &error));
    g_assert_true(vmp_tool_check(compare, VMP_ERROR_IO, NULL, NULL, &error));
}

static void
a_source_that_is_not_the_list_is_not_laid(Laying *laying, gconstpointer packed)
{
    g_autoptr(GError) error = NULL;

    qemu_io(laying->source, "qcow2", "write -q -P 4 131k 512");
    make_target(laying, packed != NULL);
    g_assert_false(lay(laying, &error));
    g_assert_true(vmp_error_is(error, VMP_ERROR_DAMAGED));
    g_assert_nonnull(strstr(error->message, "at byte 131072"));
}

/* Each changes the copy after its blocks were compared. */
static void
what_became_of_the_copy_is_seen(Laying *laying, gconstpointer packed)
{
    static const struct {
        const char *command, *byte;
    } damages[] = {
        { "write -q -P 5 512k 512", "at byte 524288" },  /* where nothing belongs */
        { "write -q -z 1M 64k", "at byte 1048576" },     /* a block that is zeroes now */
        { "write -q -z -u 128k 64k", "at byte 131072" }, /* or has no place any more */
        { "write -q -P 2 0 64k", "at byte 0" },          /* or which is there twice */
        { "truncate 3M", "3145728 bytes" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(damages); i++) {
        g_autoptr(GError) error = NULL;
        g_test_message("%s", damages[i].command);
        g_assert_true(ftruncate(laying->target.fd, 0) == 0);
        make_target(laying, packed != NULL);
        g_assert_true(lay(laying, &error));
        qemu_io(laying->copy, laying->format, damages[i].command);
        g_assert_false(check(laying, &error));
        g_assert_true(vmp_error_is(error, VMP_ERROR_DAMAGED));
        g_assert_nonnull(strstr(error->message, damages[i].byte));
    }
}

/* Two blocks whose places were exchanged. */
static void
a_table_that_leads_elsewhere_is_seen(Laying *laying, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;

    make_target(laying, TRUE);
    g_assert_true(lay(laying, &error));
    laying->target.start += VMP_BLOCK_SIZE;
    g_assert_false(check(laying, &error));
    g_assert_nonnull(strstr(error->message, "at byte 65536"));
}

int
main(int argc, char **argv)
{
    g_autofree char *tool = g_find_program_in_path("qemu-io");

    g_test_init(&argc, &argv, NULL);
    if (!tool) {
        g_print("1..0 # SKIP qemu-io is not installed\n");
        return 0;
    }
#define ADD(name, packed, func) \
    g_test_add("/backup/block-walk/" name, Laying, packed, set_up, func, tear_down)
    ADD("laid/image", "packed", what_was_laid_is_the_disk);
    ADD("laid/raw", NULL, what_was_laid_is_the_disk);
    ADD("wrong-source/image", "packed", a_source_that_is_not_the_list_is_not_laid);
    ADD("wrong-source/raw", NULL, a_source_that_is_not_the_list_is_not_laid);
    ADD("wrong-copy/image", "packed", what_became_of_the_copy_is_seen);
    ADD("wrong-table", NULL, a_table_that_leads_elsewhere_is_seen);
    return g_test_run();
}
