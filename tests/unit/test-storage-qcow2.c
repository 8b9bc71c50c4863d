/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/qcow2.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "test-storage-fixture.h"

#define KIB ((guint64)1 << 10)
#define MIB ((guint64)1 << 20)
#define GIB ((guint64)1 << 30)
#define TIB ((guint64)1 << 40)

static int
open_new(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void
write_image(const char *path, const VmpQcow2 *image)
{
    g_auto(VmpFd) fd = open_new(path);
    g_autoptr(GError) error = NULL;
    gboolean written = vmp_qcow2_write(fd, image, &error);

    g_assert_no_error(error);
    g_assert_true(written);
}

/* What qemu-img says about an image, without what must differ. */
static char *
description(const char *path)
{
    g_autofree char *text = qemu_img("info --output=json %s", path);
    g_autoptr(VmpJson) info = vmp_json_parse(text, -1, NULL);

    json_object_object_del(info, "filename");
    json_object_object_del(info, "actual-size");
    return vmp_json_to_text(info);
}

/* ---- images that qemu-img likes ---- */

static const struct {
    const char *name;
    guint64 size, cluster_size;
    gboolean extended_l2;
    gboolean slow; /* for qemu-img: it is only asked to check ours */
} shapes[] = {
    { "usual", 512 * MIB, 0, FALSE },
    { "one-sector", 512, 0, FALSE },
    { "odd-size", 3 * GIB + 512, 0, FALSE },
    { "huge", 64 * TIB, 0, FALSE },
    { "extended-l2", 10 * GIB, 128 * KIB, TRUE },
    { "extended-l2-smallest", 10 * GIB, 16 * KIB, TRUE },
    { "small-clusters", 64 * MIB, 4 * KIB, FALSE },
    /* The tables need more refcount blocks than one, and more than one table cluster. */
    { "smallest-clusters", 4 * GIB, 512, FALSE },
    { "smallest-clusters-largest-disk", 128 * GIB, 512, FALSE, TRUE },
    { "largest-clusters", 10 * GIB, 2 * MIB, FALSE },
};

static void
test_as_qemu_img(void)
{
    if (!have_qemu_img())
        return;
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *ours = in_folder(folder, "ours");
    g_autofree char *theirs = in_folder(folder, "theirs");

    for (gsize i = 0; i < G_N_ELEMENTS(shapes); i++) {
        g_test_message("%s", shapes[i].name);
        write_image(ours, &(VmpQcow2){ .size = shapes[i].size,
                                       .cluster_size = shapes[i].cluster_size,
                                       .extended_l2 = shapes[i].extended_l2 });
        /* Exit 0 only without errors and leaks. */
        QEMU_IMG("check -q -f qcow2 %s", ours);
        if (shapes[i].slow)
            continue;
        QEMU_IMG("create -q -f qcow2 -o cluster_size=%" G_GUINT64_FORMAT
                 " -o extended_l2=%s %s %" G_GUINT64_FORMAT,
                 shapes[i].cluster_size ? shapes[i].cluster_size : 65536,
                 shapes[i].extended_l2 ? "on" : "off", theirs, shapes[i].size);

        g_autofree char *our_description = description(ours);
        g_autofree char *their_description = description(theirs);
        g_assert_cmpstr(our_description, ==, their_description);
    }
}

/* A pattern in the base shows through, and what is written covers it. */
static void
test_overlay(void)
{
    if (!have_qemu_img())
        return;
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *base = in_folder(folder, "base with 'odd', characters: json");
    g_autofree char *overlay = in_folder(folder, "overlay");
    g_autofree char *flat = in_folder(folder, "flat");
    g_autofree char *pattern = g_strnfill(MIB, 'x');

    write_file(base, pattern, (gssize)MIB);
    write_image(overlay,
                &(VmpQcow2){ .size = 2 * MIB, .backing = base, .backing_format = "raw" });
    QEMU_IMG("check -q -f qcow2 %s", overlay);
    QEMU_IMG("convert -f qcow2 -O raw %s %s", overlay, flat);

    g_autofree char *content = NULL;
    gsize length = 0;
    g_assert_true(g_file_get_contents(flat, &content, &length, NULL));
    g_assert_cmpuint(length, ==, 2 * MIB);
    g_assert_cmpmem(content, MIB, pattern, MIB);
    for (gsize i = MIB; i < length; i++)
        g_assert_cmpint(content[i], ==, 0);

    g_autofree char *info = qemu_img("info --output=json %s", overlay);
    g_autoptr(VmpJson) json = vmp_json_parse(info, -1, NULL);
    g_assert_cmpstr(vmp_json_get_string(json, "backing-filename"), ==, base);
    g_assert_cmpstr(vmp_json_get_string(json, "backing-filename-format"), ==, "raw");
}

/* Data laid where the tables say is where QEMU sees it, and nothing else is. */
static void
test_with_data(void)
{
    if (!have_qemu_img())
        return;
    /* The ends of the disk, and both sides of where one L2 table ends and another begins. */
    static const guint64 clusters[] = { 0, 1, 8190, 8191, 8192, 16384, 40959 };
    const VmpQcow2 image = { .size = 40960 * 64 * KIB - 512,
                             .clusters = clusters,
                             .n_clusters = G_N_ELEMENTS(clusters) };
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *path = in_folder(folder, "image");
    g_autoptr(GError) error = NULL;
    guint64 offset = 0;

    write_image(path, &image);
    g_assert_true(vmp_qcow2_get_data_offset(&image, &offset, &error));
    {
        g_auto(VmpFd) fd = open(path, O_RDWR | O_CLOEXEC);
        for (gsize i = 0; i < G_N_ELEMENTS(clusters); i++) {
            g_autofree char *data = g_strnfill(64 * KIB, (char)('a' + i));
            g_assert_true(
                vmp_file_write_at(fd, data, 64 * KIB, offset + i * 64 * KIB, &error));
        }
    }
    QEMU_IMG("check -q -f qcow2 %s", path);
    g_autofree char *text = qemu_img("map --output=json -f qcow2 %s", path);
    g_autoptr(VmpJson) map = vmp_json_parse(text, -1, NULL);
    guint64 data = 0;
    for (guint i = 0; i < vmp_json_length(map); i++)
        if (vmp_json_get_bool(vmp_json_at(map, i), "data", FALSE))
            data += (guint64)vmp_json_get_int(vmp_json_at(map, i), "length", 0);
    g_assert_cmpuint(data, ==, G_N_ELEMENTS(clusters) * 64 * KIB - 512);
    for (gsize i = 0; i < G_N_ELEMENTS(clusters); i++) {
        g_autofree char *command = g_strdup_printf(
            "read -q -P %d %" G_GUINT64_FORMAT " %d", 'a' + (int)i, clusters[i] * 64 * KIB,
            i + 1 < G_N_ELEMENTS(clusters) ? 65536 : 65024);
        const char *const argv[] = { "qemu-io", "-r", "-c", command, path, NULL };
        g_assert_true(vmp_tool_check(argv, VMP_ERROR_IO, NULL, NULL, &error));
    }
}

/* All of an image written full: what it allocates must not meet its tables. */
static void
test_filled(void)
{
    if (!have_qemu_img())
        return;
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *source = in_folder(folder, "source");
    g_autofree char *image = in_folder(folder, "image");
    g_autofree guint8 *noise = g_malloc(4 * MIB);

    for (gsize i = 0; i < 4 * MIB; i++)
        noise[i] = (guint8)g_test_rand_int_range(1, 255);
    write_file(source, (const char *)noise, 4 * MIB);
    for (guint64 cluster_size = 512; cluster_size <= 2 * MIB; cluster_size *= 16) {
        write_image(image, &(VmpQcow2){ .size = 4 * MIB, .cluster_size = cluster_size });
        QEMU_IMG("convert -n -f raw -O qcow2 %s %s", source, image);
        QEMU_IMG("check -q -f qcow2 %s", image);
        QEMU_IMG("compare -q -f raw -F qcow2 %s %s", source, image);
    }
}

/* ---- what the format cannot hold ---- */

static void
test_impossible(void)
{
    g_autofree char *long_name = g_strnfill(1024, 'n');
    g_autofree char *too_long_for_cluster = g_strnfill(400, 'n');
    const VmpQcow2 table[] = {
        { .size = 0 },
        { .size = 1000 },
        { .size = MIB, .cluster_size = 256 },
        { .size = MIB, .cluster_size = 4 * MIB },
        { .size = MIB, .cluster_size = 65537 },
        { .size = MIB, .cluster_size = 8 * KIB, .extended_l2 = TRUE },
        { .size = 128 * GIB + 512, .cluster_size = 512 },
        { .size = G_MAXUINT64 - 511 },
        { .size = MIB, .backing = long_name, .backing_format = "raw" },
        { .size = MIB, .cluster_size = 512, .backing = too_long_for_cluster },
    };
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *path = in_folder(folder, "image");

    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        g_auto(VmpFd) fd = open_new(path);
        g_autoptr(GError) error = NULL;
        struct stat info;

        g_test_message("case %zu", i);
        g_assert_false(vmp_qcow2_write(fd, &table[i], &error));
        g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
        g_assert_cmpint(fstat(fd, &info), ==, 0);
        g_assert_cmpint(info.st_size, ==, 0);
    }
}

static void
test_longest_name(void)
{
    if (!have_qemu_img())
        return;
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *path = in_folder(folder, "image");
    g_autofree char *name = g_strnfill(1023, 'n');

    *name = '/';
    write_image(path, &(VmpQcow2){ .size = MIB,
                                   .cluster_size = 2 * KIB,
                                   .backing = name,
                                   .backing_format = "raw" });
    g_autofree char *text = qemu_img("info --output=json %s", path);
    g_autoptr(VmpJson) info = vmp_json_parse(text, -1, NULL);
    g_assert_cmpstr(vmp_json_get_string(info, "backing-filename"), ==, name);
}

static void
test_read_only_file(void)
{
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *path = in_folder(folder, "image");
    g_autoptr(GError) error = NULL;

    write_file(path, "", 0);
    g_auto(VmpFd) fd = open(path, O_RDONLY | O_CLOEXEC);
    g_assert_false(vmp_qcow2_write(fd, &(VmpQcow2){ .size = MIB }, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_IO);
}

/* ---- the mark ---- */

static guint64
mark_of(const char *path)
{
    g_auto(VmpFd) fd = open(path, O_RDONLY | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    return vmp_qcow2_read_mark(fd);
}

static void
test_mark(void)
{
    static const guint64 mark = G_GUINT64_CONSTANT(0xfedcba9876543210);
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *path = in_folder(folder, "image");

    write_image(path, &(VmpQcow2){ .size = MIB, .mark = mark });
    g_assert_cmphex(mark_of(path), ==, mark);
    write_image(
        path,
        &(VmpQcow2){ .size = MIB, .backing = "/b", .backing_format = "qcow2", .mark = mark });
    g_assert_cmphex(mark_of(path), ==, mark);
    write_image(path, &(VmpQcow2){ .size = MIB });
    g_assert_cmphex(mark_of(path), ==, 0);
}

/* QEMU writes the header anew for each of these. */
static void
test_mark_stays(void)
{
    if (!have_qemu_img())
        return;
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *path = in_folder(folder, "image");

    write_image(path, &(VmpQcow2){ .size = MIB, .mark = 7 });
    QEMU_IMG("bitmap --add %s c1", path);
    QEMU_IMG("snapshot -q -c s1 %s", path);
    QEMU_IMG("check -q -f qcow2 %s", path);
    QEMU_IMG("rebase -q -u -f qcow2 -b /nowhere -F raw %s", path);
    g_assert_cmphex(mark_of(path), ==, 7);
}

/* ---- the name of the backing image ---- */

static char *
backing_of(const char *path)
{
    g_auto(VmpFd) fd = open(path, O_RDONLY | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    return vmp_qcow2_read_backing(fd);
}

static void
assert_backing(const char *path, const char *expected)
{
    g_autofree char *backing = backing_of(path);

    g_assert_cmpstr(backing, ==, expected);
}

static void
test_backing(void)
{
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *path = in_folder(folder, "image");

    write_image(path, &(VmpQcow2){ .size = MIB });
    assert_backing(path, NULL);
    write_image(path,
                &(VmpQcow2){ .size = MIB, .backing = "nbd://h:1/e", .backing_format = "raw" });
    assert_backing(path, "nbd://h:1/e");
    if (have_qemu_img()) {
        QEMU_IMG("create -q -f qcow2 -o compat=0.10 -u -b relative -F raw %s 1M", path);
        assert_backing(path, "relative");
    }
    write_file(path, "QFI\xfb", 4);
    assert_backing(path, NULL);
}

/* ---- the head ---- */

static gboolean
read_head(const char *path, VmpQcow2Head *head)
{
    g_auto(VmpFd) fd = open(path, O_RDONLY | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    return vmp_qcow2_read_head(fd, head);
}

static void
test_head(void)
{
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *path = in_folder(folder, "image");
    g_auto(VmpQcow2Head) alone = { 0 };
    g_auto(VmpQcow2Head) overlay = { 0 };
    g_auto(VmpQcow2Head) none = { 0 };

    write_image(path, &(VmpQcow2){ .size = 3 * MIB });
    g_assert_true(read_head(path, &alone));
    g_assert_cmpuint(alone.size, ==, 3 * MIB);
    g_assert_null(alone.backing);
    g_assert_null(alone.backing_format);
    write_image(
        path,
        &(VmpQcow2){ .size = MIB, .backing = "../p/vda.qcow2", .backing_format = "qcow2" });
    g_assert_true(read_head(path, &overlay));
    g_assert_cmpstr(overlay.backing, ==, "../p/vda.qcow2");
    g_assert_cmpstr(overlay.backing_format, ==, "qcow2");
    write_file(path, "QFI\xfb", 4);
    g_assert_false(read_head(path, &none));
    if (!have_qemu_img())
        return;
    /* Only QEMU can tell: an old version, and data in a file of its own. */
    QEMU_IMG("create -q -f qcow2 -o compat=0.10 %s 1M", path);
    g_assert_false(read_head(path, &none));
    QEMU_IMG("create -q -f qcow2 -o data_file=%s.data %s 1M", path, path);
    g_assert_false(read_head(path, &none));
}

static void
test_no_mark(void)
{
    static const char magic[] = "QFI\xfb";
    g_auto(VmpFd) fd = memfd_create("image", MFD_CLOEXEC);
    char header[512] = "";

    g_assert_cmphex(vmp_qcow2_read_mark(fd), ==, 0);
    g_assert_cmpint(pwrite(fd, header, sizeof header, 0), ==, sizeof header);
    g_assert_cmphex(vmp_qcow2_read_mark(fd), ==, 0);

    memcpy(header, magic, 4);
    header[7] = 2; /* an old version has no extensions */
    g_assert_cmpint(pwrite(fd, header, sizeof header, 0), ==, sizeof header);
    g_assert_cmphex(vmp_qcow2_read_mark(fd), ==, 0);
}

/* qemu-img counts the same, or less where a small image needs fewer refcounts than it thinks.
 */
static void
test_measure(void)
{
    static const struct {
        guint64 size, cluster_size;
        gboolean extended_l2;
    } table[] = {
        { 32 * MIB, 0, FALSE },       { 512, 0, FALSE },
        { 100 * GIB, 0, FALSE },      { 3 * TIB, 0, FALSE },
        { 10 * GIB, 4 * KIB, FALSE }, { 10 * GIB, 2 * MIB, FALSE },
        { 10 * GIB, 64 * KIB, TRUE },
    };

    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        const VmpQcow2 image = { .size = table[i].size,
                                 .cluster_size = table[i].cluster_size,
                                 .extended_l2 = table[i].extended_l2 };
        g_autofree char *text =
            qemu_img("measure --output=json -O qcow2 -o cluster_size=%" G_GUINT64_FORMAT
                     ",extended_l2=%s --size %" G_GUINT64_FORMAT,
                     table[i].cluster_size ? table[i].cluster_size : 64 * KIB,
                     table[i].extended_l2 ? "on" : "off", table[i].size);
        g_autoptr(VmpJson) said = vmp_json_parse(text, -1, NULL);
        guint64 most = (guint64)vmp_json_get_int(said, "fully-allocated", 0), ours = 0;

        g_test_message("%s", text);
        g_assert_true(vmp_qcow2_measure(&image, 0, 0, &ours, NULL));
        g_assert_cmpuint(ours, >=, most);
        g_assert_cmpuint(ours - most, <=,
                         2 * (table[i].cluster_size ? table[i].cluster_size : 64 * KIB));
    }
}

/* A directory, and a table and the bits for each of three. */
static void
test_measure_bitmaps(void)
{
    const VmpQcow2 image = { .size = 8 * GIB };
    guint64 none = 0, three = 0;

    g_assert_true(vmp_qcow2_measure(&image, 0, 0, &none, NULL));
    g_assert_true(vmp_qcow2_measure(&image, 3, 64 * KIB, &three, NULL));
    g_assert_cmpuint(three - none, ==, (1 + 3 * 2) * 64 * KIB);
}

/* Extensions of any length, beginning anywhere, without an end. */
static void
test_rubbish(void)
{
    g_auto(VmpFd) fd = memfd_create("image", MFD_CLOEXEC);
    guint8 header[512] = { 'Q', 'F', 'I', 0xfb, 0, 0, 0, 3 };

    for (guint round = 0; round < 10000; round++) {
        for (guint at = 100; at < sizeof header; at++)
            header[at] = g_test_rand_int_range(0, 4) ? 0 : (guint8)g_test_rand_int();
        g_assert_cmpint(pwrite(fd, header, sizeof header, 0), ==, sizeof header);
        /* It ends, and ASan has nothing to say; a mark by chance is one in 2^32. */
        g_assert_cmphex(vmp_qcow2_read_mark(fd), ==, 0);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, func) g_test_add_func("/storage/qcow2/" name, func)
    ADD("images-are-as-qemu-img-makes-them", test_as_qemu_img);
    ADD("the-base-shows-through-an-overlay", test_overlay);
    ADD("data-is-where-the-tables-say", test_with_data);
    ADD("an-image-written-full-is-sound", test_filled);
    ADD("what-the-format-cannot-hold-is-refused", test_impossible);
    ADD("the-longest-name-fits", test_longest_name);
    ADD("a-write-that-fails-is-an-error", test_read_only_file);
    ADD("the-mark-is-read-back", test_mark);
    ADD("the-mark-survives-what-qemu-does-to-the-header", test_mark_stays);
    ADD("a-file-without-a-mark-has-none", test_no_mark);
    ADD("the-name-of-a-backing-image-is-read", test_backing);
    ADD("a-full-image-is-as-large-as-qemu-img-says", test_measure);
    ADD("bitmaps-take-room", test_measure_bitmaps);
    ADD("the-head-of-an-image-that-was-closed-is-read", test_head);
    ADD("rubbish-has-no-mark", test_rubbish);
    return g_test_run();
}
