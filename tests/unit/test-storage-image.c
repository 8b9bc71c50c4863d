/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "test-storage-fixture.h"

#define KIB ((guint64)1 << 10)
#define MIB ((guint64)1 << 20)

/* ---- from JSON ---- */

static VmpImage *
from_text(const char *text)
{
    g_autoptr(VmpJson) json = vmp_json_parse(text, -1, NULL);
    g_autoptr(GError) error = NULL;
    VmpImage *image = vmp_image_from_json(json, &error);

    g_assert_no_error(error);
    return image;
}

static void
test_json_full(void)
{
    g_autoptr(VmpImage) image = from_text(
        "{'virtual-size': 67108864, 'filename': '/x/top.qcow2', 'cluster-size': 131072,"
        " 'format': 'qcow2', 'actual-size': 200704, 'encrypted': true,"
        " 'full-backing-filename': '/x/base.raw', 'backing-filename': 'base.raw',"
        " 'backing-filename-format': 'raw', 'dirty-flag': false,"
        " 'snapshots': [{'id': '1', 'name': 's1', 'vm-state-size': 4096, 'date-sec': 17,"
        "                'date-nsec': 5, 'vm-clock-sec': 0, 'vm-clock-nsec': 0}],"
        " 'format-specific': {'type': 'qcow2', 'data': {'compat': '1.1', 'lazy-refcounts': "
        "true,"
        "  'corrupt': true, 'extended-l2': true, 'refcount-bits': 16, 'bitmaps': ["
        "   {'flags': ['auto'], 'name': 'c1', 'granularity': 65536},"
        "   {'flags': ['in-use', 'auto'], 'name': 'c2', 'granularity': 4096},"
        "   {'flags': [], 'name': 'c3', 'granularity': 512}]}}}");

    g_assert_cmpstr(image->path, ==, "/x/top.qcow2");
    g_assert_cmpstr(image->format, ==, "qcow2");
    g_assert_cmpuint(image->virtual_size, ==, 64 * MIB);
    g_assert_cmpuint(image->actual_size, ==, 200704);
    g_assert_cmpuint(image->cluster_size, ==, 128 * KIB);
    g_assert_true(image->extended_l2 && image->lazy_refcounts && image->encrypted &&
                  image->corrupt);
    g_assert_cmpstr(image->compat, ==, "1.1");
    g_assert_cmpstr(image->backing_string, ==, "base.raw");
    g_assert_cmpstr(image->backing_path, ==, "/x/base.raw");
    g_assert_cmpstr(image->backing_format, ==, "raw");

    g_assert_cmpuint(image->bitmaps->len, ==, 3);
    const VmpBitmap *c1 = image->bitmaps->pdata[0];
    const VmpBitmap *c2 = image->bitmaps->pdata[1];
    const VmpBitmap *c3 = image->bitmaps->pdata[2];
    g_assert_cmpstr(c1->name, ==, "c1");
    g_assert_true(c1->recording && c1->persistent && !c1->inconsistent);
    g_assert_true(c2->inconsistent && c2->granularity == 4096);
    g_assert_true(!c3->recording && !c3->inconsistent);

    g_assert_cmpuint(image->snapshots->len, ==, 1);
    const VmpInternalSnapshot *snapshot = image->snapshots->pdata[0];
    g_assert_cmpstr(snapshot->tag, ==, "s1");
    g_assert_cmpstr(snapshot->id, ==, "1");
    g_assert_cmpuint(snapshot->vm_state_size, ==, 4096);
    g_assert_cmpint(snapshot->date, ==, 17);
}

static void
test_json_small(void)
{
    g_autoptr(VmpImage) image =
        from_text("{'filename': '/x/a.raw', 'format': 'raw', 'virtual-size': 512}");

    g_assert_cmpuint(image->cluster_size, ==, 0);
    g_assert_null(image->compat);
    g_assert_null(image->backing_string);
    g_assert_null(image->backing_path);
    g_assert_cmpuint(image->bitmaps->len, ==, 0);
    g_assert_cmpuint(image->snapshots->len, ==, 0);
}

static void
test_json_backing_names(void)
{
    static const struct {
        const char *full, *path;
    } table[] = {
        { "/x/b", "/x/b" },
        { "file:/x/b", "/x/b" },
        { "b", NULL },
        { "nbd:localhost:10809", NULL },
        { "nbd://host/b", "nbd://host:10809/b" },
        { "nbd+unix:///b?socket=/s", "nbd+unix:///b?socket=/s" },
        { "ssh://host/b", NULL },
        { "json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"/x/b\"}}",
          "/x/b" },
        { "json:{\"driver\":\"qcow2\",\"file.driver\":\"file\",\"file.filename\":\"/x/b\"}",
          "/x/b" },
        { "json:{\"driver\":\"file\",\"filename\":\"/x/b\"}", "/x/b" },
        { "json:{\"driver\":\"nbd\",\"host\":\"h\"}", NULL },
        { "json:{\"driver\":\"raw\",\"file\":{\"filename\":\"b\"}}", NULL },
        { "json:[1]", NULL },
        { "json:{", NULL },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(VmpJson) json = vmp_json_build("s:filename", "/x/t", "s:format", "qcow2",
                                                 "s:full-backing-filename", table[i].full,
                                                 "s:backing-filename", table[i].full, NULL);
        g_autoptr(VmpImage) image = vmp_image_from_json(json, NULL);

        g_test_message("%s", table[i].full);
        g_assert_cmpstr(image->backing_string, ==, table[i].full);
        g_assert_cmpstr(image->backing_path, ==, table[i].path);
    }
}

static void
test_json_refused(void)
{
    static const char *const texts[] = { "{}", "{'filename': '/x'}", "{'format': 'raw'}", "[]",
                                         "{'filename': 1, 'format': 'raw'}" };

    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(VmpJson) json = vmp_json_parse(texts[i], -1, NULL);
        g_autoptr(GError) error = NULL;

        g_assert_null(vmp_image_from_json(json, &error));
        g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
    }
}

/* ---- reading what qemu-img made ---- */

static void
assert_unreadable(const char *path, const char *format, VmpErrorCode code, const char *words)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpImage) image = vmp_image_read(path, format, NULL, &error);

    g_assert_null(image);
    g_assert_error(error, VMP_ERROR, (int)code);
    g_assert_nonnull(strstr(error->message, path));
    g_assert_nonnull(strstr(error->message, words));
}

static void
test_read(void)
{
    if (!have_qemu_img())
        return;
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *path = in_folder(folder, "image");
    g_autoptr(GError) error = NULL;

    QEMU_IMG("create -q -f qcow2 %s 10M", path);
    QEMU_IMG("bitmap --add %s c1", path);
    QEMU_IMG("snapshot -q -c s1 %s", path);
    g_autoptr(VmpImage) image = vmp_image_read(path, NULL, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(image->path, ==, path);
    g_assert_cmpstr(image->format, ==, "qcow2");
    g_assert_cmpuint(image->virtual_size, ==, 10 * MIB);
    g_assert_cmpstr(((VmpBitmap *)image->bitmaps->pdata[0])->name, ==, "c1");
    g_assert_cmpstr(((VmpInternalSnapshot *)image->snapshots->pdata[0])->tag, ==, "s1");
    g_assert_cmpint(((VmpInternalSnapshot *)image->snapshots->pdata[0])->date, >, 1600000000);

    /* What the domain says is the format, whatever the content looks like. */
    g_autoptr(VmpImage) raw = vmp_image_read(path, "raw", NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(raw->format, ==, "raw");
}

static void
test_read_unreadable(void)
{
    if (!have_qemu_img())
        return;
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *missing = in_folder(folder, "missing");
    g_autofree char *empty = in_folder(folder, "empty");
    g_autofree char *junk = in_folder(folder, "junk");
    g_autofree char *truncated = in_folder(folder, "truncated");
    g_autofree char *newer = in_folder(folder, "newer");
    g_autofree char *noise = g_strnfill(4096, 'z');

    write_file(empty, "", 0);
    write_file(junk, noise, 4096);
    QEMU_IMG("create -q -f qcow2 %s 10M", truncated);
    g_assert_cmpint(truncate(truncated, 100), ==, 0);
    QEMU_IMG("create -q -f qcow2 %s 10M", newer);
    g_auto(VmpFd) fd = open(newer, O_WRONLY | O_CLOEXEC);
    g_assert_cmpint(pwrite(fd, "\x09", 1, 7), ==, 1);

    assert_unreadable(missing, "qcow2", VMP_ERROR_NOT_FOUND, "No such file or directory");
    assert_unreadable(empty, "qcow2", VMP_ERROR_DAMAGED, "Image is not in qcow2 format");
    assert_unreadable(junk, "qcow2", VMP_ERROR_DAMAGED, "Image is not in qcow2 format");
    assert_unreadable(truncated, "qcow2", VMP_ERROR_DAMAGED, "header too short");
    assert_unreadable(newer, "qcow2", VMP_ERROR_UNSUPPORTED, "Unsupported qcow2 version 9");
    assert_unreadable(junk, "nosuch", VMP_ERROR_UNSUPPORTED, "Unknown driver 'nosuch'");
    assert_unreadable(folder, "raw", VMP_ERROR_INVALID, "regular file");
}

/* The words for one cause in the name of a file that has another. */
static void
test_read_misleading_name(void)
{
    if (!have_qemu_img())
        return;
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *path = in_folder(folder, "No such file or directory: corrupt");

    write_file(path, "", 0);
    assert_unreadable(path, "qcow2", VMP_ERROR_DAMAGED, "Image is not in qcow2 format");
}

static void
test_read_forbidden(void)
{
    if (!have_qemu_img())
        return;
    if (geteuid() == 0) {
        g_test_skip("root may read everything");
        return;
    }
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *path = in_folder(folder, "image");

    QEMU_IMG("create -q -f qcow2 %s 10M", path);
    g_assert_cmpint(chmod(path, 0), ==, 0);
    assert_unreadable(path, "qcow2", VMP_ERROR_IO, "Permission denied");
}

static void
test_read_without_tool(void)
{
    g_autofree char *path = g_strdup(g_getenv("PATH"));
    g_autoptr(GError) error = NULL;

    g_setenv("PATH", "/nowhere", TRUE);
    g_autoptr(VmpImage) image = vmp_image_read("/x", NULL, NULL, &error);
    g_setenv("PATH", path, TRUE);
    g_assert_null(image);
    g_assert_error(error, VMP_ERROR, VMP_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr(error->message, "qemu-img"));
}

/* Takes the lock that a QEMU which has the image open for writing has. */
static int
lock_as_qemu(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);

    /* Bytes 100 + n say that permission n is used, 200 + n that it is not shared; 1 = write.
     */
    for (off_t byte = 101; byte <= 201; byte += 100) {
        struct flock lock = {
            .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1
        };
        g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &lock), ==, 0);
    }
    return fd;
}

static void
test_locked(void)
{
    if (!have_qemu_img())
        return;
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *path = in_folder(folder, "image");
    g_autoptr(GError) error = NULL;

    QEMU_IMG("create -q -f qcow2 %s 10M", path);
    G_GNUC_UNUSED g_auto(VmpFd) fd = lock_as_qemu(path);
    g_autoptr(VmpImage) image = vmp_image_read(path, "qcow2", NULL, &error);
    g_assert_no_error(error);
    g_assert_nonnull(image);
    g_assert_false(vmp_image_set_backing(path, NULL, NULL, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_BUSY);
    g_assert_nonnull(strstr(error->message, "lock"));
}

/* ---- chains ---- */

static void
assert_chain(const char *path, const char *const *paths)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) chain = vmp_image_read_chain(path, "qcow2", NULL, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(chain->len, ==, g_strv_length((char **)paths));
    for (guint i = 0; i < chain->len; i++) {
        const VmpImage *image = g_ptr_array_index(chain, i);

        g_assert_cmpstr(image->path, ==, paths[i]);
        g_assert_cmpstr(image->backing_path, ==, paths[i + 1]);
    }
}

static void
assert_no_chain(const char *path, VmpErrorCode code, const char *words, const char *more)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(vmp_image_read_chain(path, "qcow2", NULL, &error));
    g_assert_error(error, VMP_ERROR, (int)code);
    g_assert_nonnull(strstr(error->message, path));
    g_assert_nonnull(strstr(error->message, words));
    g_assert_nonnull(strstr(error->message, more));
}

/* Absolute, relative and "json:" names, raw at the bottom. */
static void
test_chain(void)
{
    if (!have_qemu_img())
        return;
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *base = in_folder(folder, "base");
    g_autofree char *middle = in_folder(folder, "middle");
    g_autofree char *upper = in_folder(folder, "upper");
    g_autofree char *top = in_folder(folder, "top");
    const char *const paths[] = { top, upper, middle, base, NULL };

    QEMU_IMG("create -q -f raw %s 1M", base);
    QEMU_IMG("create -q -f qcow2 -u -b base -F raw %s 1M", middle);
    QEMU_IMG(
        "create -q -f qcow2 -u -b json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\","
        "\"filename\":\"%s\"}} -F qcow2 %s 1M",
        middle, upper);
    QEMU_IMG("create -q -f qcow2 -u -b %s -F qcow2 %s 1M", upper, top);
    assert_chain(top, paths);
}

static void
test_chain_missing(void)
{
    if (!have_qemu_img())
        return;
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *gone = in_folder(folder, "gone");
    g_autofree char *middle = in_folder(folder, "middle");
    g_autofree char *top = in_folder(folder, "top");

    QEMU_IMG("create -q -f qcow2 -u -b gone -F raw %s 1M", middle);
    QEMU_IMG("create -q -f qcow2 -u -b %s -F qcow2 %s 1M", middle, top);
    /* Both are named: what is missing, and whose header wants it. */
    assert_no_chain(top, VMP_ERROR_NOT_FOUND, gone, middle);
}

static void
test_chain_damaged(void)
{
    if (!have_qemu_img())
        return;
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *base = in_folder(folder, "base");
    g_autofree char *top = in_folder(folder, "top");

    write_file(base, "rubbish", -1);
    QEMU_IMG("create -q -f qcow2 -u -b %s -F qcow2 %s 1M", base, top);
    assert_no_chain(top, VMP_ERROR_DAMAGED, base, "not in qcow2 format");
}

static void
test_chain_loop(void)
{
    if (!have_qemu_img())
        return;
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *a = in_folder(folder, "a");
    g_autofree char *b = in_folder(folder, "b");
    g_autofree char *other_name_of_a = in_folder(folder, "c");
    g_autofree char *self = in_folder(folder, "self");

    QEMU_IMG("create -q -f qcow2 -u -b b -F qcow2 %s 1M", a);
    QEMU_IMG("create -q -f qcow2 -u -b %s -F qcow2 %s 1M", a, b);
    assert_no_chain(a, VMP_ERROR_DAMAGED, "loop", b);
    QEMU_IMG("create -q -f qcow2 -u -b self -F qcow2 %s 1M", self);
    assert_no_chain(self, VMP_ERROR_DAMAGED, "loop", self);
    /* Nobody sees it by the names. */
    g_assert_cmpint(link(a, other_name_of_a), ==, 0);
    QEMU_IMG("create -q -f qcow2 -u -b c -F qcow2 %s 1M", b);
    assert_no_chain(a, VMP_ERROR_DAMAGED, "loop", b);
}

static void
test_chain_remote(void)
{
    if (!have_qemu_img())
        return;
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *top = in_folder(folder, "top");

    QEMU_IMG("create -q -f qcow2 -u -b ssh://nowhere/x -F raw %s 1M", top);
    assert_no_chain(top, VMP_ERROR_UNSUPPORTED, "neither a local file", "ssh://nowhere/x");
}

/* No file is missing: nobody answers. */
static void
test_chain_without_its_server(void)
{
    if (!have_qemu_img())
        return;
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *top = in_folder(folder, "top");

    QEMU_IMG("create -q -f qcow2 -u -b nbd+unix:///x?socket=/nowhere -F raw %s 1M", top);
    assert_no_chain(top, VMP_ERROR_IO, "Failed to connect", "nbd+unix:///x");
}

/* ---- making ---- */

static void
test_create(void)
{
    if (!have_qemu_img())
        return;
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *base = in_folder(folder, "base");
    g_autofree char *top = in_folder(folder, "top");
    g_autoptr(GError) error = NULL;

    g_assert_true(vmp_image_create(
        &(VmpImageSpec){ .path = base, .format = "raw", .size = MIB }, NULL, &error));
    g_assert_no_error(error);
    /* The size of the backing image, and what else was asked for. */
    g_assert_true(vmp_image_create(&(VmpImageSpec){ .path = top,
                                                    .backing = base,
                                                    .backing_format = "raw",
                                                    .cluster_size = 128 * KIB,
                                                    .extended_l2 = TRUE },
                                   NULL, &error));
    g_assert_no_error(error);
    g_autoptr(VmpImage) image = vmp_image_read(top, "qcow2", NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(image->virtual_size, ==, MIB);
    g_assert_cmpuint(image->cluster_size, ==, 128 * KIB);
    g_assert_true(image->extended_l2);
    g_assert_cmpstr(image->backing_path, ==, base);
    g_assert_true(vmp_image_check(top, "qcow2", NULL, &error));
    g_assert_true(vmp_image_check(base, "raw", NULL, &error));
    g_assert_no_error(error);
}

static void
test_create_existing(void)
{
    if (!have_qemu_img())
        return;
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *path = in_folder(folder, "image");
    g_autofree char *content = NULL;
    g_autoptr(GError) error = NULL;
    const VmpImageSpec spec = { .path = path, .size = MIB };

    write_file(path, "precious", -1);
    g_assert_false(vmp_image_create(&spec, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_EXISTS);
    g_assert_nonnull(strstr(error->message, path));
    g_assert_true(g_file_get_contents(path, &content, NULL, NULL));
    g_assert_cmpstr(content, ==, "precious");

    g_clear_error(&error);
    write_file(path, "", 0);
    g_assert_true(vmp_image_create(&spec, NULL, &error));
    g_assert_no_error(error);
}

static void
test_create_failing(void)
{
    if (!have_qemu_img())
        return;
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *path = in_folder(folder, "image");
    const struct {
        VmpImageSpec spec;
        VmpErrorCode code;
    } table[] = {
        { { .path = path, .size = MIB, .cluster_size = 1000 }, VMP_ERROR_INVALID },
        { { .path = path, .size = MIB, .format = "nosuch" }, VMP_ERROR_UNSUPPORTED },
        { { .path = path, .backing = "/nowhere", .backing_format = "raw" },
          VMP_ERROR_NOT_FOUND },
        { { .path = "/nowhere/image", .size = MIB }, VMP_ERROR_NOT_FOUND },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(vmp_image_create(&table[i].spec, NULL, &error));
        g_assert_error(error, VMP_ERROR, (int)table[i].code);
        g_assert_cmpuint(count_files(folder), ==, 0);
    }
}

static void
test_convert(void)
{
    if (!have_qemu_img())
        return;
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *base = in_folder(folder, "base");
    g_autofree char *top = in_folder(folder, "top");
    g_autofree char *copy = in_folder(folder, "copy");
    g_autofree char *larger = in_folder(folder, "larger");
    g_autofree char *pattern = g_strnfill(MIB, 'p');
    g_autoptr(GError) error = NULL;

    write_file(base, pattern, (gssize)MIB);
    QEMU_IMG("create -q -f qcow2 -b %s -F raw %s", base, top);
    g_assert_true(
        vmp_image_convert(top, "qcow2", &(VmpImageSpec){ .path = copy }, NULL, &error));
    g_assert_no_error(error);
    QEMU_IMG("compare -q -f raw -F qcow2 %s %s", base, copy);
    g_autoptr(VmpImage) image = vmp_image_read(copy, "qcow2", NULL, &error);
    g_assert_null(image->backing_string);

    g_assert_true(vmp_image_convert(
        top, "qcow2", &(VmpImageSpec){ .path = larger, .format = "raw", .size = 2 * MIB },
        NULL, &error));
    g_assert_no_error(error);
    QEMU_IMG("compare -q -f raw -F raw %s %s", base, larger);
    g_autoptr(VmpImage) raw = vmp_image_read(larger, "raw", NULL, &error);
    g_assert_cmpuint(raw->virtual_size, ==, 2 * MIB);
}

static void
test_convert_failing(void)
{
    if (!have_qemu_img())
        return;
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *source = in_folder(folder, "source");
    g_autofree char *target = in_folder(folder, "target");
    g_autoptr(GError) error = NULL;

    g_assert_false(
        vmp_image_convert(source, "qcow2", &(VmpImageSpec){ .path = target }, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_NOT_FOUND);
    g_assert_nonnull(strstr(error->message, source));
    g_assert_cmpuint(count_files(folder), ==, 0);
}

static void
test_convert_cancelled(void)
{
    if (!have_qemu_img())
        return;
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *source = in_folder(folder, "source");
    g_autofree char *target = in_folder(folder, "target");
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    g_autoptr(GError) error = NULL;

    QEMU_IMG("create -q -f raw %s 1M", source);
    g_cancellable_cancel(cancellable);
    g_assert_false(vmp_image_convert(source, "raw", &(VmpImageSpec){ .path = target },
                                     cancellable, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INTERRUPTED);
    g_assert_cmpuint(count_files(folder), ==, 1);
}

/* ---- changing and checking ---- */

static void
test_set_backing(void)
{
    if (!have_qemu_img())
        return;
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *path = in_folder(folder, "image");
    g_autoptr(GError) error = NULL;

    QEMU_IMG("create -q -f qcow2 -u -b /old -F qcow2 %s 1M", path);
    g_assert_true(vmp_image_set_backing(path, "/new", "raw", NULL, &error));
    g_assert_no_error(error);
    g_autoptr(VmpImage) image = vmp_image_read(path, "qcow2", NULL, &error);
    g_assert_cmpstr(image->backing_string, ==, "/new");
    g_assert_cmpstr(image->backing_format, ==, "raw");

    g_assert_true(vmp_image_set_backing(path, NULL, NULL, NULL, &error));
    g_assert_no_error(error);
    g_autoptr(VmpImage) alone = vmp_image_read(path, "qcow2", NULL, &error);
    g_assert_null(alone->backing_string);
    g_assert_null(alone->backing_format);
}

/* base, middle and top, which stand on each other; the path of the top. */
static char *
make_chain(const TestFolder *folder)
{
    g_autofree char *base = in_folder(folder, "base");
    g_autofree char *middle = in_folder(folder, "middle");
    char *top = in_folder(folder, "top");

    QEMU_IMG("create -q -f qcow2 %s 1M", base);
    QEMU_IMG("create -q -f qcow2 -b %s -F qcow2 %s", base, middle);
    QEMU_IMG("create -q -f qcow2 -b %s -F qcow2 %s", middle, top);
    return top;
}

static void
test_commit(void)
{
    if (!have_qemu_img())
        return;
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *top = make_chain(folder);
    g_autofree char *base = in_folder(folder, "base");
    g_autoptr(GError) error = NULL;

    g_assert_true(vmp_image_commit(top, base, NULL, &error));
    g_assert_no_error(error);
    g_autoptr(VmpImage) image = vmp_image_read(top, "qcow2", NULL, &error);
    g_assert_true(g_str_has_suffix(image->backing_string, "/middle"));

    g_autofree char *stranger = in_folder(folder, "stranger");
    g_assert_false(vmp_image_commit(top, stranger, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_IO);
    g_assert_nonnull(strstr(error->message, stranger));
}

static void
test_rebase(void)
{
    if (!have_qemu_img())
        return;
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *top = make_chain(folder);
    g_autofree char *base = in_folder(folder, "base");
    g_autoptr(GError) error = NULL;

    g_assert_true(vmp_image_rebase(top, base, "qcow2", NULL, &error));
    g_assert_no_error(error);
    g_autoptr(VmpImage) image = vmp_image_read(top, "qcow2", NULL, &error);
    g_assert_cmpstr(image->backing_string, ==, base);
    g_assert_true(vmp_image_rebase(top, NULL, NULL, NULL, &error));
    g_assert_no_error(error);
    g_autoptr(VmpImage) alone = vmp_image_read(top, "qcow2", NULL, &error);
    g_assert_null(alone->backing_string);
}

static void
test_check_truncated(void)
{
    if (!have_qemu_img())
        return;
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *path = in_folder(folder, "image");
    g_autoptr(GError) error = NULL;

    QEMU_IMG("create -q -f qcow2 %s 10M", path);
    g_assert_cmpint(truncate(path, 70000), ==, 0);
    g_assert_false(vmp_image_check(path, "qcow2", NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_DAMAGED);
    g_assert_nonnull(strstr(error->message, path));
    g_assert_nonnull(strstr(error->message, "ERROR"));
}

static void
test_check_leaks(void)
{
    static const guint8 one[] = { 0, 1 };
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *path = in_folder(folder, "image");
    g_autoptr(GError) error = NULL;

    if (!have_qemu_img())
        return;
    QEMU_IMG("create -q -f qcow2 %s 10M", path);
    /* Cluster 9 is counted and nobody uses it. */
    g_auto(VmpFd) fd = open(path, O_WRONLY | O_CLOEXEC);
    g_assert_cmpint(pwrite(fd, one, sizeof one, (off_t)(2 * 64 * KIB + 9 * 2)), ==, 2);
    g_assert_true(vmp_image_check(path, "qcow2", NULL, &error));
    g_assert_no_error(error);
}

static void
test_check_missing(void)
{
    g_autoptr(GError) error = NULL;

    if (!have_qemu_img())
        return;
    g_assert_false(vmp_image_check("/nowhere", "qcow2", NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_NOT_FOUND);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, func) g_test_add_func("/storage/image/" name, func)
    ADD("all-that-qemu-img-says-is-read", test_json_full);
    ADD("what-it-does-not-say-is-absent", test_json_small);
    ADD("only-local-backing-images-have-a-path", test_json_backing_names);
    ADD("json-without-name-or-format-is-refused", test_json_refused);
    ADD("an-image-is-read", test_read);
    ADD("each-cause-has-its-code", test_read_unreadable);
    ADD("a-files-name-is-no-cause", test_read_misleading_name);
    ADD("no-permission-is-an-io-error", test_read_forbidden);
    ADD("a-missing-qemu-img-is-said", test_read_without_tool);
    ADD("an-image-in-use-is-read-and-not-changed", test_locked);
    ADD("a-chain-is-followed-by-all-kinds-of-names", test_chain);
    ADD("a-missing-backing-image-is-named-with-who-wants-it", test_chain_missing);
    ADD("a-damaged-backing-image-is-named", test_chain_damaged);
    ADD("a-loop-is-refused", test_chain_loop);
    ADD("a-remote-backing-image-is-refused", test_chain_remote);
    ADD("a-server-that-is-gone-is-no-missing-file", test_chain_without_its_server);
    ADD("an-image-is-made", test_create);
    ADD("an-existing-file-is-refused-and-stays", test_create_existing);
    ADD("a-failed-create-leaves-nothing", test_create_failing);
    ADD("a-copy-is-the-guests-view", test_convert);
    ADD("a-failed-copy-leaves-nothing", test_convert_failing);
    ADD("a-cancelled-copy-leaves-nothing", test_convert_cancelled);
    ADD("a-backing-image-is-changed-and-taken-away", test_set_backing);
    ADD("layers-are-merged-down", test_commit);
    ADD("what-is-below-is-pulled-up", test_rebase);
    ADD("a-truncated-image-is-damaged", test_check_truncated);
    ADD("leaked-space-is-no-damage", test_check_leaks);
    ADD("an-image-that-is-missing-is-not-found", test_check_missing);
    return g_test_run();
}
