/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/overlay.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "qmp-peer.h"
#include "storage/image.h"
#include "test-storage-fixture.h"

#define MIB ((guint64)1 << 20)

static VmpNewImage *
image_new(const TestFolder *folder, const char *name)
{
    VmpNewImage *image = g_new0(VmpNewImage, 1);

    image->path = in_folder(folder, name);
    image->size = 64 * MIB;
    image->node = g_strdup_printf("%s-1", name);
    return image;
}

static GPtrArray *images_new(const TestFolder *folder, const char *name,
                             ...) G_GNUC_NULL_TERMINATED;

static GPtrArray *
images_new(const TestFolder *folder, const char *name, ...)
{
    GPtrArray *images = g_ptr_array_new_with_free_func((GDestroyNotify)vmp_new_image_free);
    va_list names;

    va_start(names, name);
    for (; name; name = va_arg(names, const char *))
        g_ptr_array_add(images, image_new(folder, name));
    va_end(names);
    return images;
}

static void
assert_created(GPtrArray *images)
{
    g_autoptr(GError) error = NULL;
    gboolean created = vmp_new_images_create(images, NULL, &error);

    g_assert_no_error(error);
    g_assert_true(created);
}

static void
assert_not_created(GPtrArray *images, VmpErrorCode code, const char *words)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(vmp_new_images_create(images, NULL, &error));
    g_assert_error(error, VMP_ERROR, (int)code);
    g_assert_nonnull(strstr(error->message, words));
}

static void
assert_removed(GPtrArray *images)
{
    g_autoptr(GError) error = NULL;
    gboolean removed = vmp_new_images_remove(images, &error);

    g_assert_no_error(error);
    g_assert_true(removed);
}

/* ---- the value ---- */

static void
test_json(void)
{
    g_autoptr(VmpNewImage) image = g_new0(VmpNewImage, 1);
    image->path = g_strdup("/x/a.qcow2");
    image->format = g_strdup("qcow2");
    image->size = 5 * MIB;
    image->backing_path = g_strdup("/x/b.raw");
    image->backing_format = g_strdup("raw");
    image->cluster_size = 131072;
    image->extended_l2 = image->reuse = image->direct = image->unmap = image->block_device =
        TRUE;
    image->node = g_strdup("n");
    image->model = g_strdup("/x/b.raw");
    image->aio = g_strdup("native");
    image->detect_zeroes = g_strdup("unmap");
    image->mark = G_MAXUINT64;

    g_autoptr(VmpJson) json = vmp_new_image_to_json(image);
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpNewImage) copy = vmp_new_image_from_json(json, &error);
    g_assert_no_error(error);
    g_autoptr(VmpJson) again = vmp_new_image_to_json(copy);
    g_autofree char *text = vmp_json_to_text(json);
    g_autofree char *again_text = vmp_json_to_text(again);

    g_assert_cmpstr(text, ==, again_text);
    g_assert_cmphex(copy->mark, ==, G_MAXUINT64);
    g_assert_cmpuint(copy->cluster_size, ==, 131072);
    g_assert_cmpstr(copy->backing_path, ==, "/x/b.raw");
    g_assert_true(copy->extended_l2 && copy->reuse && copy->direct && copy->unmap &&
                  copy->block_device);
    /* Every member of the structure is in it. */
    g_assert_cmpint(json_object_object_length(json), ==, 16);
}

static void
test_json_refused(void)
{
    static const char *const texts[] = { "{}", "{'path': '/x'}", "{'mark': '1'}", "[]",
                                         "'x'" };

    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(VmpJson) json = vmp_json_parse(texts[i], -1, NULL);
        g_autoptr(GError) error = NULL;

        g_assert_null(vmp_new_image_from_json(json, &error));
        g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
    }
}

/* The mark that was journaled is the one that is made. */
static void
test_mark_is_journaled(void)
{
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autoptr(GPtrArray) images = images_new(folder, "a", NULL);
    g_autoptr(GPtrArray) copies =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_new_image_free);
    g_autoptr(VmpJson) json = vmp_new_image_to_json(g_ptr_array_index(images, 0));

    assert_created(images);
    g_ptr_array_add(copies, vmp_new_image_from_json(json, NULL));
    assert_removed(copies);
    g_assert_cmpuint(count_files(folder), ==, 0);
}

static void
test_marks_differ(void)
{
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autoptr(GPtrArray) images = images_new(folder, "a", "b", NULL);
    const VmpNewImage *a = g_ptr_array_index(images, 0);
    const VmpNewImage *b = g_ptr_array_index(images, 1);

    assert_created(images);
    g_assert_true(a->mark != 0 && b->mark != 0 && a->mark != b->mark);
}

/* ---- making ---- */

static void
test_create(void)
{
    if (!have_qemu_img())
        return;
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *base = in_folder(folder, "base");
    g_autoptr(GPtrArray) images =
        images_new(folder, "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", NULL);

    QEMU_IMG("create -q -f qcow2 -o cluster_size=128k,extended_l2=on %s 64M", base);
    for (guint i = 0; i < images->len; i++) {
        VmpNewImage *image = g_ptr_array_index(images, i);
        image->backing_path = g_strdup(base);
        image->backing_format = g_strdup("qcow2");
        image->cluster_size = 131072;
        image->extended_l2 = TRUE;
    }
    assert_created(images);
    for (guint i = 0; i < images->len; i++) {
        const VmpNewImage *image = g_ptr_array_index(images, i);
        g_autoptr(VmpImage) made = vmp_image_read(image->path, NULL, NULL, NULL);

        g_assert_cmpstr(made->format, ==, "qcow2");
        g_assert_cmpstr(made->compat, ==, "1.1");
        g_assert_cmpuint(made->virtual_size, ==, 64 * MIB);
        g_assert_cmpuint(made->cluster_size, ==, 131072);
        g_assert_true(made->extended_l2);
        g_assert_cmpstr(made->backing_string, ==, base);
        g_assert_cmpstr(made->backing_format, ==, "qcow2");
        QEMU_IMG("compare -q -f qcow2 -F qcow2 %s %s", base, image->path);
    }
    assert_removed(images);
    g_assert_cmpuint(count_files(folder), ==, 1);
}

static void
test_create_odd_size(void)
{
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autoptr(GPtrArray) images = images_new(folder, "a", NULL);
    VmpNewImage *image = g_ptr_array_index(images, 0);

    if (!have_qemu_img())
        return;
    /* A raw image below may end within a sector; the overlay must not be smaller. */
    image->size = MIB + 1;
    assert_created(images);
    g_autoptr(VmpImage) made = vmp_image_read(image->path, "qcow2", NULL, NULL);
    g_assert_cmpuint(made->virtual_size, ==, MIB + 512);
}

static void
test_create_raw(void)
{
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autoptr(GPtrArray) images = images_new(folder, "a", NULL);
    VmpNewImage *image = g_ptr_array_index(images, 0);
    struct stat info;

    image->format = g_strdup("raw");
    image->size = 3 * MIB + 512;
    assert_created(images);
    g_assert_cmpint(stat(image->path, &info), ==, 0);
    g_assert_cmpint(info.st_size, ==, 3 * MIB + 512);
    g_assert_cmpint(info.st_mode & 0777, ==, 0600);
    if (getxattr(image->path, "user.vmpoint.mark", NULL, 0) < 0 && errno == ENOTSUP) {
        g_test_skip("the file system has no extended attributes");
        return;
    }
    assert_removed(images);
    g_assert_cmpuint(count_files(folder), ==, 0);
}

/* Owner and mode follow the model, but others get nothing. */
static void
test_create_modes(void)
{
    static const struct {
        guint model, expected;
    } table[] = {
        { 0600, 0600 }, { 0660, 0660 }, { 0640, 0640 }, { 0644, 0640 },
        { 0666, 0660 }, { 0444, 0640 }, { 0777, 0660 },
    };
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *model = in_folder(folder, "model");
    const gboolean root = geteuid() == 0;

    write_file(model, "", 0);
    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(GPtrArray) images = images_new(folder, "a", NULL);
        VmpNewImage *image = g_ptr_array_index(images, 0);
        struct stat info;

        g_assert_cmpint(chmod(model, table[i].model), ==, 0);
        if (root)
            g_assert_cmpint(chown(model, 12345, 54321), ==, 0);
        image->model = g_strdup(model);
        assert_created(images);
        g_assert_cmpint(stat(image->path, &info), ==, 0);
        g_assert_cmpint(info.st_mode & 07777, ==, table[i].expected);
        g_assert_cmpint(info.st_uid, ==, root ? 12345 : geteuid());
        assert_removed(images);
    }
}

static void
test_create_missing_model(void)
{
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autoptr(GPtrArray) images = images_new(folder, "a", NULL);
    VmpNewImage *image = g_ptr_array_index(images, 0);

    image->model = in_folder(folder, "model");
    assert_not_created(images, VMP_ERROR_NOT_FOUND, image->model);
    g_assert_cmpuint(count_files(folder), ==, 0);
}

static void
test_create_in_empty_file(void)
{
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autoptr(GPtrArray) images = images_new(folder, "a", NULL);
    VmpNewImage *image = g_ptr_array_index(images, 0);
    struct stat info;

    write_file(image->path, "", 0);
    g_assert_cmpint(chmod(image->path, 0666), ==, 0);
    assert_created(images);
    g_assert_cmpint(stat(image->path, &info), ==, 0);
    g_assert_cmpint(info.st_size, >, 0);
    g_assert_cmpint(info.st_mode & 0777, ==, 0666); /* the caller's choice */
    assert_removed(images);
}

/* The second of three is there already: it stays, and the others are gone. */
static void
test_create_existing(void)
{
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autoptr(GPtrArray) images = images_new(folder, "a", "b", "c", NULL);
    const VmpNewImage *second = g_ptr_array_index(images, 1);
    g_autofree char *content = NULL;

    write_file(second->path, "precious", -1);
    assert_not_created(images, VMP_ERROR_EXISTS, second->path);
    g_assert_cmpuint(count_files(folder), ==, 1);
    /* Whoever undoes all three takes nothing away either. */
    assert_removed(images);
    g_assert_true(g_file_get_contents(second->path, &content, NULL, NULL));
    g_assert_cmpstr(content, ==, "precious");
}

static void
test_create_over_links(void)
{
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autofree char *target = in_folder(folder, "target");
    g_autoptr(GPtrArray) images = images_new(folder, "a", NULL);
    const VmpNewImage *image = g_ptr_array_index(images, 0);

    /* To nothing: O_EXCL keeps us from making a file elsewhere. */
    g_assert_cmpint(symlink(target, image->path), ==, 0);
    assert_not_created(images, VMP_ERROR_EXISTS, image->path);
    g_assert_false(g_file_test(target, G_FILE_TEST_EXISTS));
    /* To an empty file. */
    write_file(target, "", 0);
    assert_not_created(images, VMP_ERROR_EXISTS, image->path);
    assert_removed(images);
    g_assert_cmpuint(count_files(folder), ==, 2);
}

static void
test_create_refused(void)
{
    static const struct {
        const char *path, *format, *backing, *backing_format;
        guint64 size;
        VmpErrorCode code;
    } table[] = {
        { "a", NULL, NULL, NULL, MIB, VMP_ERROR_INVALID },
        { NULL, NULL, "base", "qcow2", MIB, VMP_ERROR_INVALID },
        { NULL, NULL, "/base", NULL, MIB, VMP_ERROR_INVALID },
        { NULL, "raw", "/base", "raw", MIB, VMP_ERROR_INVALID },
        { NULL, "vmdk", NULL, NULL, MIB, VMP_ERROR_UNSUPPORTED },
        { NULL, NULL, NULL, NULL, 0, VMP_ERROR_INVALID },
        { "/nowhere/at/all", NULL, NULL, NULL, MIB, VMP_ERROR_NOT_FOUND },
    };
    g_autoptr(TestFolder) folder = test_folder_new();

    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(GPtrArray) images = images_new(folder, "good", "bad", NULL);
        VmpNewImage *image = g_ptr_array_index(images, 1);

        if (table[i].path) {
            g_free(image->path);
            image->path = g_strdup(table[i].path);
        }
        image->format = g_strdup(table[i].format);
        image->backing_path = g_strdup(table[i].backing);
        image->backing_format = g_strdup(table[i].backing_format);
        image->size = table[i].size;
        g_test_message("case %zu", i);
        assert_not_created(images, table[i].code, image->path);
        g_assert_cmpuint(count_files(folder), ==, 0);
    }
}

static void
test_create_cancelled(void)
{
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autoptr(GPtrArray) images = images_new(folder, "a", NULL);
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    g_autoptr(GError) error = NULL;

    g_cancellable_cancel(cancellable);
    g_assert_false(vmp_new_images_create(images, cancellable, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INTERRUPTED);
    g_assert_cmpuint(count_files(folder), ==, 0);
}

/* The file system takes the header and no more; an empty file of the caller's is empty again.
 */
static void
test_create_no_space(void)
{
    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
        return;
    }
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autoptr(GPtrArray) images = images_new(folder, "a", "b", "c", NULL);
    const VmpNewImage *second = g_ptr_array_index(images, 1);
    const struct rlimit limit = { .rlim_cur = 100000, .rlim_max = 100000 };
    struct stat info;

    write_file(second->path, "", 0);
    signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
    assert_not_created(images, VMP_ERROR_IO, "cannot");
    g_assert_cmpuint(count_files(folder), ==, 1);
    g_assert_cmpint(stat(second->path, &info), ==, 0);
    g_assert_cmpint(info.st_size, ==, 0);
}

static void
test_create_fault(void)
{
    if (!g_test_subprocess()) {
        g_setenv("VMPOINT_FAULT", "fail@1", TRUE);
        g_test_trap_subprocess(NULL, 0, 0);
        g_unsetenv("VMPOINT_FAULT");
        g_test_trap_assert_passed();
        return;
    }
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autoptr(GPtrArray) images = images_new(folder, "a", "b", NULL);

    assert_not_created(images, VMP_ERROR_IO, "fault");
    g_assert_cmpuint(count_files(folder), ==, 0);
}

static void
test_create_reused(void)
{
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autoptr(GPtrArray) images = images_new(folder, "a", NULL);
    VmpNewImage *image = g_ptr_array_index(images, 0);
    g_autofree char *content = NULL;

    write_file(image->path, "prepared", -1);
    image->reuse = TRUE;
    assert_created(images);
    assert_removed(images);
    g_assert_true(g_file_get_contents(image->path, &content, NULL, NULL));
    g_assert_cmpstr(content, ==, "prepared");
}

static void
test_device_that_is_none(void)
{
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autoptr(GPtrArray) images = images_new(folder, "a", NULL);
    VmpNewImage *image = g_ptr_array_index(images, 0);

    image->block_device = TRUE;
    assert_not_created(images, VMP_ERROR_NOT_FOUND, image->path);
    write_file(image->path, "precious", -1);
    assert_not_created(images, VMP_ERROR_INVALID, "not a block device");
    assert_removed(images);
    g_assert_cmpuint(count_files(folder), ==, 1);
}

/* ---- removing ---- */

static void
test_remove_others(void)
{
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autoptr(GPtrArray) theirs = images_new(folder, "a", "b", NULL);
    g_autoptr(GPtrArray) ours = images_new(folder, "a", "b", NULL);

    /* Same names, made by another run. */
    ((VmpNewImage *)theirs->pdata[1])->format = g_strdup("raw");
    ((VmpNewImage *)ours->pdata[1])->format = g_strdup("raw");
    assert_created(theirs);
    assert_removed(ours);
    g_assert_cmpuint(count_files(folder), ==, 2);
}

/* Killed at any moment of making it: an empty file, or one with our mark. */
static void
test_remove_half_made(void)
{
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autoptr(GPtrArray) images = images_new(folder, "empty", "header", "never", NULL);
    const VmpNewImage *empty = g_ptr_array_index(images, 0);
    const VmpNewImage *header = g_ptr_array_index(images, 1);

    assert_created(images);
    g_assert_cmpint(truncate(empty->path, 0), ==, 0);
    g_assert_cmpint(truncate(header->path, 4096), ==, 0);
    g_assert_cmpint(unlink(((VmpNewImage *)images->pdata[2])->path), ==, 0);
    assert_removed(images);
    g_assert_cmpuint(count_files(folder), ==, 0);
    /* Undone already. */
    assert_removed(images);
}

static void
test_remove_goes_on(void)
{
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autoptr(GPtrArray) images = images_new(folder, "a", "b", NULL);
    VmpNewImage *first = g_ptr_array_index(images, 0);
    g_autoptr(GError) error = NULL;

    assert_created(images);
    assert_removed(images);
    assert_created(images);
    g_assert_cmpint(unlink(first->path), ==, 0);
    g_free(first->path);
    first->path = g_strdup("nbd+unix:///x?socket=/no/such/server"); /* cannot be cleared */
    first->network = TRUE;
    g_assert_false(vmp_new_images_remove(images, &error));
    g_assert_nonnull(error);
    g_assert_cmpuint(count_files(folder), ==, 0);
}

static void
test_remove_what_cannot_be_there(void)
{
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autoptr(GPtrArray) images = images_new(folder, "a", "b", NULL);
    VmpNewImage *first = g_ptr_array_index(images, 0);
    g_autofree char *long_name = g_strnfill(300, 'x');

    assert_created(images);
    g_assert_cmpint(unlink(first->path), ==, 0);
    g_free(first->path);
    first->path = in_folder(folder, long_name); /* no file can have it */
    assert_removed(images);
    g_assert_cmpuint(count_files(folder), ==, 0);
}

/* ---- in QEMU ---- */

static void
assert_command(GPtrArray *commands, guint index, const char *name, const char *arguments)
{
    VmpQmpCommand *command = g_ptr_array_index(commands, index);
    g_autofree char *text = vmp_json_to_text(vmp_qmp_command_get_arguments(command));

    g_assert_cmpstr(vmp_qmp_command_get_name(command), ==, name);
    g_assert_cmpstr(text, ==, arguments);
}

static void
test_commands(void)
{
    g_autoptr(GPtrArray) images = images_new("/x", "a", "b", NULL);
    VmpNewImage *second = g_ptr_array_index(images, 1);

    second->format = g_strdup("raw");
    second->block_device = second->direct = second->unmap = TRUE;
    second->aio = g_strdup("native");
    second->detect_zeroes = g_strdup("unmap");
    g_autoptr(GPtrArray) commands = vmp_new_images_commands(images);

    g_assert_cmpuint(commands->len, ==, 2);
    assert_command(commands, 0, "blockdev-add",
                   "{\"driver\":\"qcow2\",\"node-name\":\"a-1\",\"file\":"
                   "{\"driver\":\"file\",\"filename\":\"/x/a\"},\"backing\":null}");
    assert_command(commands, 1, "blockdev-add",
                   "{\"driver\":\"raw\",\"node-name\":\"b-1\",\"file\":"
                   "{\"driver\":\"host_device\",\"filename\":\"/x/b\","
                   "\"cache\":{\"direct\":true},\"aio\":\"native\",\"discard\":\"unmap\"},"
                   "\"cache\":{\"direct\":true},"
                   "\"discard\":\"unmap\",\"detect-zeroes\":\"unmap\"}");
}

/* A QEMU with the nodes of @images as far as they are in the bit mask @there; over nothing,
 * for how a node leads to its file is the block graph's affair. */
static void
answer_graph(QmpPeer *peer, GPtrArray *images, guint there)
{
    g_autoptr(VmpJson) nodes = json_object_new_array();
    g_autofree char *text = NULL;

    for (guint i = 0; i < images->len; i++) {
        const VmpNewImage *image = g_ptr_array_index(images, i);
        if (there & (1u << i))
            json_object_array_add(
                nodes, vmp_json_build("s:node-name", image->node, "s:drv", "file", "o:image",
                                      vmp_json_build("s:filename", image->path, NULL), NULL));
    }
    text = vmp_json_to_text(nodes);
    qmp_peer_answer(peer, "query-named-block-nodes", text);
    qmp_peer_answer(peer, "query-block", "[]");
    qmp_peer_expect(peer, "x-debug-query-block-graph", "{}");
    qmp_peer_refuse(peer, "not here");
}

static void
expect_del(QmpPeer *peer, const char *node)
{
    g_autofree char *arguments = g_strdup_printf("{'node-name': '%s'}", node);

    qmp_peer_serve(peer, "blockdev-del", arguments, "{}");
}

static void
test_create_and_open(void)
{
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autoptr(GPtrArray) images = images_new(folder, "a", "b", "c", NULL);
    g_autoptr(GError) error = NULL;
    QmpPeer *peer = qmp_peer_new();

    for (guint i = 0; i < 3; i++)
        qmp_peer_expect(peer, "blockdev-add", NULL);
    for (guint i = 0; i < 3; i++)
        qmp_peer_reply(peer, "{}");
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);

    g_assert_true(vmp_new_images_create_and_open(client, images, NULL, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(count_files(folder), ==, 3);
    g_clear_pointer(&client, vmp_qmp_client_unref);
    qmp_peer_finish(peer);
}

/* QEMU refuses the second of three: the nodes of the others go, and all the files. */
static void
test_open_refused(void)
{
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autoptr(GPtrArray) images = images_new(folder, "a", "b", "c", NULL);
    g_autoptr(GError) error = NULL;
    QmpPeer *peer = qmp_peer_new();

    for (guint i = 0; i < 3; i++) {
        qmp_peer_expect(peer, "blockdev-add", NULL);
        if (i == 1)
            qmp_peer_refuse(peer, "Node name too long");
        else
            qmp_peer_reply(peer, "{}");
    }
    answer_graph(peer, images, 0x5);
    expect_del(peer, "a-1");
    expect_del(peer, "c-1");
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);

    g_assert_false(vmp_new_images_create_and_open(client, images, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_REFUSED);
    g_assert_nonnull(strstr(error->message, "Node name too long"));
    g_assert_cmpuint(count_files(folder), ==, 0);
    g_clear_pointer(&client, vmp_qmp_client_unref);
    qmp_peer_finish(peer);
}

static void
test_open_death(void)
{
    g_autoptr(TestFolder) folder = test_folder_new();
    g_autoptr(GPtrArray) images = images_new(folder, "a", "b", NULL);
    g_autoptr(GError) error = NULL;
    QmpPeer *peer = qmp_peer_new();

    qmp_peer_serve(peer, "blockdev-add", NULL, "{}");
    qmp_peer_expect(peer, "blockdev-add", NULL);
    qmp_peer_hang_up(peer);
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);

    g_assert_false(vmp_new_images_create_and_open(client, images, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_DISCONNECTED);
    g_assert_cmpuint(count_files(folder), ==, 0);
    g_clear_pointer(&client, vmp_qmp_client_unref);
    qmp_peer_finish(peer);
}

/* A node of the same name over another file is somebody else's. */
static void
test_close_others(void)
{
    g_autoptr(GPtrArray) ours = images_new("/x", "a", "b", NULL);
    g_autoptr(GPtrArray) theirs = images_new("/y", "a", "b", NULL);
    g_autoptr(GError) error = NULL;
    QmpPeer *peer = qmp_peer_new();

    answer_graph(peer, theirs, 0x3);
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);

    g_assert_true(vmp_new_images_close(client, ours, NULL, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(qmp_peer_count(peer, "blockdev-del"), ==, 0);
    g_clear_pointer(&client, vmp_qmp_client_unref);
    qmp_peer_finish(peer);
}

static void
test_close_busy(void)
{
    g_autoptr(GPtrArray) images = images_new("/x", "a", NULL);
    g_autoptr(GError) error = NULL;
    QmpPeer *peer = qmp_peer_new();

    answer_graph(peer, images, 0x1);
    qmp_peer_expect(peer, "blockdev-del", NULL);
    qmp_peer_refuse(peer, "Node a-1 is in use");
    g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);

    g_assert_false(vmp_new_images_close(client, images, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_REFUSED);
    g_assert_nonnull(strstr(error->message, "Node a-1 is in use"));
    g_clear_pointer(&client, vmp_qmp_client_unref);
    qmp_peer_finish(peer);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, func) g_test_add_func("/storage/overlay/" name, func)
    ADD("json-has-all-of-an-image", test_json);
    ADD("json-without-path-or-mark-is-refused", test_json_refused);
    ADD("the-journaled-mark-is-the-one-that-is-made", test_mark_is_journaled);
    ADD("no-two-images-have-one-mark", test_marks_differ);
    ADD("overlays-are-what-was-asked-for", test_create);
    ADD("an-overlay-is-never-smaller-than-its-base", test_create_odd_size);
    ADD("a-raw-image-has-its-size", test_create_raw);
    ADD("a-file-takes-after-its-model-but-not-for-others", test_create_modes);
    ADD("a-missing-model-leaves-nothing", test_create_missing_model);
    ADD("an-empty-file-is-filled", test_create_in_empty_file);
    ADD("an-existing-file-is-refused-and-stays", test_create_existing);
    ADD("a-link-is-not-followed", test_create_over_links);
    ADD("what-cannot-be-made-leaves-nothing", test_create_refused);
    ADD("a-cancelled-create-makes-nothing", test_create_cancelled);
    ADD("no-space-leaves-nothing", test_create_no_space);
    ADD("a-fault-leaves-nothing", test_create_fault);
    ADD("a-prepared-file-is-left-as-it-is", test_create_reused);
    ADD("a-file-is-no-block-device", test_device_that_is_none);
    ADD("files-of-others-are-not-removed", test_remove_others);
    ADD("what-is-half-made-is-removed", test_remove_half_made);
    ADD("removing-goes-on-after-a-failure", test_remove_goes_on);
    ADD("removing-what-cannot-be-there-is-done", test_remove_what_cannot_be_there);
    ADD("commands-say-all-that-was-asked-for", test_commands);
    ADD("images-are-opened-in-one-burst", test_create_and_open);
    ADD("a-refusal-of-the-second-undoes-all-three", test_open_refused);
    ADD("a-qemu-that-dies-leaves-no-files", test_open_death);
    ADD("nodes-of-others-are-not-closed", test_close_others);
    ADD("a-node-in-use-is-said-in-qemus-words", test_close_busy);
    return g_test_run();
}
