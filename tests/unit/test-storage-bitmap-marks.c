/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "base/file.h"
#include "storage/bitmap-marks.h"

#define LENGTH 8192
#define DIRECTORY 4096
#define ENTRY 32
#define FLAGS 12
#define IN_USE 1

/* A file with two bitmaps, "a" and "b", of which only what says where they are is there. */
typedef struct {
    char *path;
    guint8 bytes[LENGTH];
} Image;

static void
put(Image *image, gsize at, guint32 number)
{
    number = GUINT32_TO_BE(number);
    memcpy(image->bytes + at, &number, sizeof number);
}

static void
write_image(const Image *image)
{
    g_assert_true(g_file_set_contents(image->path, (const char *)image->bytes, LENGTH, NULL));
}

static void
put_entry(Image *image, guint number, const char *name)
{
    gsize at = DIRECTORY + number * ENTRY;

    put(image, at + 4, 0x10000 * (number + 1));
    put(image, at + 8, 1);
    image->bytes[at + 19] = 1;
    image->bytes[at + 24] = (guint8)*name;
}

static void
set_up(Image *image, gconstpointer data G_GNUC_UNUSED)
{
    image->path = g_build_filename(g_get_tmp_dir(), "vmp-marks-XXXXXX", NULL);
    g_close(g_mkstemp(image->path), NULL);
    memcpy(image->bytes, "QFI\xfb", 4);
    put(image, 4, 3);
    put(image, 92, 1); /* the bitmaps are consistent */
    put(image, 100, 104);
    put(image, 104, 0x23852875);
    put(image, 108, 24);
    put(image, 112, 2);
    put(image, 124, 2 * ENTRY);
    put(image, 132, DIRECTORY);
    put_entry(image, 0, "a");
    put_entry(image, 1, "b");
    write_image(image);
}

static void
tear_down(Image *image, gconstpointer data G_GNUC_UNUSED)
{
    g_unlink(image->path);
    g_free(image->path);
}

static VmpBitmapMarks *
take_down(Image *image)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new();

    g_ptr_array_add(paths, image->path);
    g_ptr_array_add(paths, (gpointer) "/nonexistent");
    return vmp_bitmap_marks_new(paths);
}

static void
mark(Image *image, guint number)
{
    put(image, DIRECTORY + number * ENTRY + FLAGS, IN_USE);
}

static void
assert_file_is(const Image *image, const guint8 *expected)
{
    g_autofree char *found = NULL;
    gsize length = 0;

    g_assert_true(g_file_get_contents(image->path, &found, &length, NULL));
    g_assert_cmpmem(found, length, expected, LENGTH);
}

static void
new_marks_are_taken_back(Image *image, gconstpointer data G_GNUC_UNUSED)
{
    mark(image, 1); /* by a crash before */
    write_image(image);
    g_autoptr(VmpBitmapMarks) marks = take_down(image);
    g_autofree guint8 *before = g_memdup2(image->bytes, LENGTH);

    mark(image, 0);
    write_image(image);
    vmp_bitmap_marks_restore(marks);
    assert_file_is(image, before);
}

/* Each byte that is not a mark: then somebody has done more than open it. */
static void
a_list_that_has_changed_is_left_alone(Image *image, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(VmpBitmapMarks) marks = take_down(image);

    mark(image, 0);
    for (gsize at = 0; at < 2 * ENTRY; at++) {
        if (at == FLAGS + 3 || at == ENTRY + FLAGS + 3)
            continue;
        image->bytes[DIRECTORY + at] ^= 0x40;
        write_image(image);
        vmp_bitmap_marks_restore(marks);
        assert_file_is(image, image->bytes);
        image->bytes[DIRECTORY + at] ^= 0x40;
    }
}

static void
bitmaps_that_are_worth_nothing_are_left_alone(Image *image, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(VmpBitmapMarks) marks = take_down(image);

    mark(image, 0);
    put(image, 92, 0);
    write_image(image);
    vmp_bitmap_marks_restore(marks);
    assert_file_is(image, image->bytes);
}

static void
an_image_that_somebody_has_open_is_left_alone(Image *image, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(VmpBitmapMarks) marks = take_down(image);
    /* As QEMU does. */
    struct flock reads = {
        .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 1
    };

    mark(image, 0);
    write_image(image);
    g_auto(VmpFd) fd = open(image->path, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &reads), ==, 0);
    vmp_bitmap_marks_restore(marks);
    assert_file_is(image, image->bytes);
}

static void
rubbish_is_left_alone(Image *image, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GRand) chance = g_rand_new_with_seed(1);

    for (guint round = 0; round < 2000; round++) {
        for (gsize at = 96; at < 160; at++)
            image->bytes[at] = g_rand_int_range(chance, 0, 3) ? 0 : (guint8)g_rand_int(chance);
        put(image, 104, 0x23852875);
        put(image, 108, 24);
        write_image(image);
        g_autoptr(VmpBitmapMarks) marks = take_down(image);
        vmp_bitmap_marks_restore(marks);
        assert_file_is(image, image->bytes);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, func) \
    g_test_add("/storage/bitmap-marks/" name, Image, NULL, set_up, func, tear_down)
    ADD("new-marks-are-taken-back", new_marks_are_taken_back);
    ADD("a-list-that-has-changed-is-left-alone", a_list_that_has_changed_is_left_alone);
    ADD("bitmaps-that-are-worth-nothing-are-left-alone",
        bitmaps_that_are_worth_nothing_are_left_alone);
    ADD("an-image-that-somebody-has-open-is-left-alone",
        an_image_that_somebody_has_open_is_left_alone);
    ADD("rubbish-is-left-alone", rubbish_is_left_alone);
    return g_test_run();
}
