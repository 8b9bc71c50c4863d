/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "storage/ram-file.h"

#define MARK 0x1234567890abcdefULL
#define STREAM_OFFSET 4096

typedef struct {
    char *dir, *path;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    fixture->dir = g_dir_make_tmp("vmp-ram-XXXXXX", NULL);
    g_assert_nonnull(fixture->dir);
    fixture->path = g_build_filename(fixture->dir, "x.ram", NULL);
}

static void
tear_down(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_unlink(fixture->path);
    g_assert_cmpint(g_rmdir(fixture->dir), ==, 0);
    g_free(fixture->path);
    g_free(fixture->dir);
}

/* As QEMU does it: where the descriptor stands. */
static void
write_stream(int fd, const char *stream)
{
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, stream, strlen(stream)), ==, (gssize)strlen(stream));
}

static void
make(const Fixture *fixture, const char *stream, gboolean sealed)
{
    g_autoptr(GError) error = NULL;
    g_auto(VmpFd) fd = vmp_ram_file_create(fixture->path, MARK, 0, &error);

    g_assert_no_error(error);
    write_stream(fd, stream);
    g_assert_true(vmp_ram_file_note_length(fixture->path, &error));
    g_assert_true(!sealed || vmp_ram_file_seal(fixture->path, &error));
    g_assert_no_error(error);
}

static void
assert_damaged(const Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_auto(VmpFd) fd = vmp_ram_file_open(fixture->path, &error);

    g_assert_error(error, VMP_ERROR, VMP_ERROR_DAMAGED);
    g_assert_cmpint(fd, <, 0);
    g_assert_nonnull(strstr(error->message, fixture->path));
}

static void
a_sealed_file_opens_at_its_stream(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;
    char stream[16] = "";

    make(fixture, "the RAM", TRUE);
    g_assert_true(vmp_ram_file_is_complete(fixture->path));
    g_auto(VmpFd) fd = vmp_ram_file_open(fixture->path, &error);
    g_assert_no_error(error);
    g_assert_cmpint(read(fd, stream, sizeof stream), ==, 7);
    g_assert_cmpstr(stream, ==, "the RAM");
    g_autofree char *hash = vmp_ram_file_read_hash(fixture->path);
    g_assert_cmpuint(strlen(hash), ==, 32);
    g_assert_true(vmp_ram_file_seal(fixture->path, &error)); /* once more changes nothing */
    g_autofree char *again = vmp_ram_file_read_hash(fixture->path);
    g_assert_cmpstr(hash, ==, again);
}

/* Whoever has checked it need not read it again; that it was cut since is seen all the same.
 */
static void
one_that_was_checked_opens_by_its_header(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;

    make(fixture, "the RAM", TRUE);
    g_auto(VmpFd) fd = vmp_ram_file_open_checked(fixture->path, &error);
    g_assert_no_error(error);
    g_assert_cmpint(lseek(fd, 0, SEEK_CUR), ==, STREAM_OFFSET);

    g_assert_cmpint(truncate(fixture->path, STREAM_OFFSET + 6), ==, 0);
    g_assert_cmpint(vmp_ram_file_open_checked(fixture->path, &error), ==, -1);
    g_assert_error(error, VMP_ERROR, VMP_ERROR_DAMAGED);
}

static void
one_that_was_not_sealed_does_not_open(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    make(fixture, "the RAM", FALSE);
    g_assert_true(vmp_ram_file_is_begun(fixture->path));
    g_assert_false(vmp_ram_file_is_complete(fixture->path));
    assert_damaged(fixture);
}

/* Each byte that means something, and some of the stream. */
static void
every_damage_is_seen(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    static const int places[] = {
        0, 7, 8, 13, 16, 24, 32, 47, STREAM_OFFSET, STREAM_OFFSET + 6
    };

    make(fixture, "the RAM", TRUE);
    for (gsize i = 0; i < G_N_ELEMENTS(places); i++) {
        g_auto(VmpFd) fd = open(fixture->path, O_RDWR | O_CLOEXEC);
        char byte;

        g_assert_cmpint(pread(fd, &byte, 1, places[i]), ==, 1);
        byte ^= 1;
        g_assert_cmpint(pwrite(fd, &byte, 1, places[i]), ==, 1);
        assert_damaged(fixture);
        byte ^= 1;
        g_assert_cmpint(pwrite(fd, &byte, 1, places[i]), ==, 1);
    }

    g_assert_cmpint(truncate(fixture->path, STREAM_OFFSET + 6), ==, 0);
    assert_damaged(fixture);
}

static void
one_that_lost_its_end_is_not_sealed(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;

    make(fixture, "the RAM", FALSE);
    g_assert_cmpint(truncate(fixture->path, STREAM_OFFSET + 3), ==, 0);
    g_assert_false(vmp_ram_file_seal(fixture->path, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_DAMAGED);
}

static void
what_was_set_aside_is_given_back(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    const guint64 reserve = 1 << 20;
    g_autoptr(GError) error = NULL;
    struct stat before, after;
    g_auto(VmpFd) fd = vmp_ram_file_create(fixture->path, MARK, reserve, &error);

    if (vmp_error_is(error, VMP_ERROR_UNSUPPORTED)) {
        g_test_skip("the file system cannot set space aside");
        return;
    }
    g_assert_no_error(error);
    g_assert_false(vmp_ram_file_is_begun(fixture->path)); /* the size is what was written */
    write_stream(fd, "the RAM");
    g_assert_cmpint(fstat(fd, &before), ==, 0);
    g_assert_cmpuint((guint64)before.st_blocks * 512, >=, reserve);
    g_assert_true(vmp_ram_file_note_length(fixture->path, &error));
    g_assert_cmpint(fstat(fd, &after), ==, 0);
    g_assert_cmpuint((guint64)after.st_blocks * 512, <, reserve);
    g_assert_cmpint(after.st_size, ==, STREAM_OFFSET + 7);
}

static void
nobody_elses_file_is_touched(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;

    make(fixture, "the RAM", TRUE);
    g_assert_cmpint(vmp_ram_file_create(fixture->path, MARK, 0, &error), <, 0);
    g_assert_error(error, VMP_ERROR, VMP_ERROR_EXISTS);
    g_clear_error(&error);

    g_assert_true(vmp_ram_file_remove(fixture->path, MARK + 1, &error));
    g_assert_true(g_file_test(fixture->path, G_FILE_TEST_EXISTS));
    g_assert_true(vmp_ram_file_remove(fixture->path, MARK, &error));
    g_assert_false(g_file_test(fixture->path, G_FILE_TEST_EXISTS));
    g_assert_true(vmp_ram_file_remove(fixture->path, MARK, &error)); /* gone already is fine */
    g_assert_no_error(error);
}

#define ADD(path, func) g_test_add(path, Fixture, NULL, set_up, func, tear_down)

static void
what_is_spoilt_never_becomes_complete(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;

    make(fixture, "half the RAM", FALSE);
    g_assert_true(vmp_ram_file_spoil(fixture->path, &error));
    g_assert_false(vmp_ram_file_seal(fixture->path, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_DAMAGED);
    g_assert_false(vmp_ram_file_is_complete(fixture->path));
    g_assert_true(vmp_ram_file_is_begun(fixture->path));
    assert_damaged(fixture);
    g_unlink(fixture->path);

    make(fixture, "the RAM", TRUE);
    g_clear_error(&error);
    g_assert_true(vmp_ram_file_spoil(fixture->path, &error));
    g_assert_true(vmp_ram_file_is_complete(fixture->path));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/storage/ram-file/a-sealed-file-opens-at-its-stream",
        a_sealed_file_opens_at_its_stream);
    ADD("/storage/ram-file/one-that-was-checked-opens-by-its-header",
        one_that_was_checked_opens_by_its_header);
    ADD("/storage/ram-file/one-that-was-not-sealed-does-not-open",
        one_that_was_not_sealed_does_not_open);
    ADD("/storage/ram-file/every-damage-is-seen", every_damage_is_seen);
    ADD("/storage/ram-file/one-that-lost-its-end-is-not-sealed",
        one_that_lost_its_end_is_not_sealed);
    ADD("/storage/ram-file/what-was-set-aside-is-given-back",
        what_was_set_aside_is_given_back);
    ADD("/storage/ram-file/nobody-elses-file-is-touched", nobody_elses_file_is_touched);
    ADD("/storage/ram-file/what-is-spoilt-never-becomes-complete",
        what_is_spoilt_never_becomes_complete);
    return g_test_run();
}
