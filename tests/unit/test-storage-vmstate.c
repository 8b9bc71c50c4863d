/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/vmstate.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "test-storage-fixture.h"

#define CLUSTER ((guint64)65536)
#define MIB ((guint64)1 << 20)
#define OFFSET 4096

/* Lengths about the edges: of a cluster, of what one table covers (512 MiB), of a refcount
 * block. */
static const guint64 lengths[] = {
    1,         CLUSTER - 1, CLUSTER,       CLUSTER + 1,    3 * MIB + 7,
    508 * MIB, 512 * MIB,   513 * MIB - 5, 3072 * MIB + 1,
};

/* A sparse stream that differs at its begin, in the middle of the first cluster, and at its
 * end. */
static void
write_stream(const char *path, guint64 length)
{
    g_auto(VmpFd) fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const struct {
        guint64 at;
        char byte;
    } marks[] = { { 0, 'a' }, { CLUSTER / 2, 'b' }, { CLUSTER, 'c' }, { length - 1, 'z' } };

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, (off_t)(OFFSET + length)), ==, 0);
    for (gsize i = 0; i < G_N_ELEMENTS(marks); i++)
        if (marks[i].at < length)
            g_assert_cmpint(pwrite(fd, &marks[i].byte, 1, (off_t)(OFFSET + marks[i].at)), ==,
                            1);
}

/* The wrap in a file, for qemu-img; what it is laid over is said as QEMU is told it. */
static char *
wrap(const TestFolder *folder, const char *stream, guint64 length)
{
    g_autoptr(GError) error = NULL;
    g_auto(VmpFd) fd = open(stream, O_RDONLY | O_CLOEXEC);
    g_auto(VmpFd) made = vmp_vmstate_wrap(fd, OFFSET, length, &error);
    g_autofree char *path = in_folder(folder, "wrap");
    off_t size = lseek(made, 0, SEEK_END);
    g_autofree char *content = g_malloc((gsize)size);

    g_assert_no_error(error);
    g_assert_cmpint(pread(made, content, (size_t)size, 0), ==, size);
    write_file(path, content, size);
    return g_strdup_printf(
        "json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"%s\"},"
        "\"backing\":{\"driver\":\"raw\",\"offset\":4096,"
        "\"file\":{\"driver\":\"file\",\"filename\":\"%s\"}}}",
        path, stream);
}

/* Bytes as another program reads them: the RAM as if it were the disk's content, for which the
 * image's header gets the snapshot's tables. */
static void
let_ram_be_the_disk(const char *path)
{
    g_auto(VmpFd) fd = open(path, O_RDWR | O_CLOEXEC);
    guint64 snapshots = 0, l1 = 0;
    guint32 entries = 0;

    g_assert_cmpint(pread(fd, &snapshots, 8, 64), ==, 8);
    g_assert_cmpint(pread(fd, &l1, 8, (off_t)GUINT64_FROM_BE(snapshots)), ==, 8);
    g_assert_cmpint(pread(fd, &entries, 4, (off_t)GUINT64_FROM_BE(snapshots) + 8), ==, 4);

    const guint64 bytes = GUINT32_FROM_BE(entries) * 512 * MIB;
    const guint64 size = GUINT64_TO_BE(bytes);
    g_assert_cmpint(pwrite(fd, &size, 8, 24), ==, 8);
    g_assert_cmpint(pwrite(fd, &entries, 4, 36), ==, 4);
    g_assert_cmpint(pwrite(fd, &l1, 8, 40), ==, 8);
}

static void
test_qemu_img_finds_the_stream(void)
{
    if (!have_qemu_img())
        return;
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *stream = in_folder(folder, "stream");
    g_autofree char *flat = in_folder(folder, "flat");
    g_autofree char *ram = in_folder(folder, "ram");

    for (gsize i = 0; i < G_N_ELEMENTS(lengths); i++) {
        g_test_message("%" G_GUINT64_FORMAT, lengths[i]);
        write_stream(stream, lengths[i]);
        g_autofree char *outer = wrap(folder, stream, lengths[i]);

        QEMU_IMG("check -q %s", outer);
        QEMU_IMG("convert -O raw %s %s", outer, flat);
        QEMU_IMG("check -q -f qcow2 %s", flat);
        g_autofree char *info = qemu_img("info --output=json -f qcow2 %s", flat);
        g_autoptr(VmpJson) json = vmp_json_parse(info, -1, NULL);
        VmpJson *snapshot = vmp_json_at(vmp_json_get_array(json, "snapshots"), 0);
        g_assert_cmpstr(vmp_json_get_string(snapshot, "name"), ==, VMP_VMSTATE_TAG);
        g_assert_cmpint(vmp_json_get_int(snapshot, "vm-state-size", 0), ==,
                        (gint64)lengths[i]);

        let_ram_be_the_disk(flat);
        QEMU_IMG("convert -O raw --image-opts driver=raw,offset=%" G_GUINT64_FORMAT
                 ",file.driver=qcow2,file.file.driver=file,file.file.filename=%s %s",
                 512 * MIB, flat, ram);
        /* What is behind the end reads as zeroes on both sides. */
        QEMU_IMG(
            "compare -q --image-opts driver=raw,offset=4096,file.driver=file,file.filename=%s "
            "driver=raw,file.driver=file,file.filename=%s",
            stream, ram);
    }
}

static void
test_a_stream_that_is_too_short(void)
{
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *stream = in_folder(folder, "stream");
    g_autoptr(GError) error = NULL;

    write_stream(stream, 100);
    g_auto(VmpFd) fd = open(stream, O_RDONLY | O_CLOEXEC);
    g_assert_cmpint(vmp_vmstate_wrap(fd, OFFSET, 101, &error), ==, -1);
    g_assert_error(error, VMP_ERROR, VMP_ERROR_DAMAGED);
}

/* What is made does not grow with the stream but for its tables. */
static void
test_the_tables_of_a_large_stream_are_small(void)
{
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *stream = in_folder(folder, "stream");
    g_autoptr(GError) error = NULL;

    write_stream(stream, 65536 * MIB);
    g_auto(VmpFd) fd = open(stream, O_RDONLY | O_CLOEXEC);
    g_auto(VmpFd) made = vmp_vmstate_wrap(fd, OFFSET, 65536 * MIB, &error);
    g_assert_no_error(error);
    g_assert_cmpint(lseek(made, 0, SEEK_END), <, (off_t)(12 * MIB));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/storage/vmstate/qemu-img-finds-the-stream",
                    test_qemu_img_finds_the_stream);
    g_test_add_func("/storage/vmstate/too-short", test_a_stream_that_is_too_short);
    g_test_add_func("/storage/vmstate/large", test_the_tables_of_a_large_stream_are_small);
    return g_test_run();
}
