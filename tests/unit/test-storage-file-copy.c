/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "storage/file-copy.h"

#define HOLE ((off_t)40 << 20)

typedef struct {
    char *dir, *from, *to;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    fixture->dir = g_dir_make_tmp("vmp-copy-XXXXXX", NULL);
    g_assert_nonnull(fixture->dir);
    fixture->from = g_build_filename(fixture->dir, "from", NULL);
    fixture->to = g_build_filename(fixture->dir, "to", NULL);
}

static void
tear_down(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_unlink(fixture->from);
    g_unlink(fixture->to);
    g_assert_cmpint(g_rmdir(fixture->dir), ==, 0);
    g_free(fixture->from);
    g_free(fixture->to);
    g_free(fixture->dir);
}

/* Data, a hole, data over more than one piece, a hole at the end. */
static void
make_sparse(const Fixture *fixture)
{
    g_auto(VmpFd) fd = open(fixture->from, O_CREAT | O_WRONLY, 0600);
    g_autofree char *data = g_malloc(1 << 20);

    for (guint i = 0; i < 1 << 20; i++)
        data[i] = (char)(i * 7 + i / 251);
    g_assert_true(vmp_file_write_at(fd, data, 4096, 0, NULL));
    for (guint i = 0; i < 20; i++) {
        data[0] = (char)i;
        g_assert_true(vmp_file_write_at(fd, data, 1 << 20, (guint64)HOLE + (i << 20), NULL));
    }
    g_assert_cmpint(ftruncate(fd, 2 * HOLE), ==, 0);
}

static gboolean
copy(const Fixture *fixture, GCancellable *cancellable, GError **error)
{
    g_auto(VmpFd) fd = open(fixture->to, O_CREAT | O_TRUNC | O_RDWR, 0600);

    return vmp_file_copy(fixture->from, fd, cancellable, error);
}

static void
assert_same(const Fixture *fixture)
{
    g_autofree char *from = NULL;
    g_autofree char *to = NULL;
    gsize from_length = 0, to_length = 0;

    g_assert_true(g_file_get_contents(fixture->from, &from, &from_length, NULL));
    g_assert_true(g_file_get_contents(fixture->to, &to, &to_length, NULL));
    g_assert_cmpmem(from, from_length, to, to_length);
}

static void
it_is_the_same_and_as_sparse(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;
    struct stat info;

    make_sparse(fixture);
    g_assert_true(copy(fixture, NULL, &error));
    g_assert_no_error(error);
    assert_same(fixture);
    g_assert_cmpint(stat(fixture->to, &info), ==, 0);
    g_assert_cmpint(info.st_blocks * 512, <, HOLE);
}

static void
one_that_is_empty_or_a_hole_too(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    for (off_t size = 0; size <= HOLE; size += HOLE) {
        g_autoptr(GError) error = NULL;
        g_assert_true(g_file_set_contents(fixture->from, "", 0, NULL));
        g_assert_cmpint(truncate(fixture->from, size), ==, 0);
        g_assert_true(copy(fixture, NULL, &error));
        assert_same(fixture);
    }
}

static void
one_that_is_not_there_is_an_error(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(copy(fixture, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_NOT_FOUND);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add("/file-copy/" #name, Fixture, NULL, set_up, name, tear_down)
    ADD(it_is_the_same_and_as_sparse);
    ADD(one_that_is_empty_or_a_hole_too);
    ADD(one_that_is_not_there_is_an_error);
    return g_test_run();
}
