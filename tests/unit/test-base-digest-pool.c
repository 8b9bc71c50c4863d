/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gstdio.h>

#include "base/digest-pool.h"
#include "base/error.h"

#define FILES 9

/* Each of other contents and length. */
static char *
make_file(const char *folder, guint number)
{
    g_autofree char *name = g_strdup_printf("file-%u", number);
    g_autofree char *content = g_strnfill(number * 70000, (char)('a' + number));
    char *path = g_build_filename(folder, name, NULL);

    g_assert_true(g_file_set_contents(path, content, -1, NULL));
    return path;
}

static void
assert_same_as_alone(const VmpFileDigest *found, const char *path, gsize piece)
{
    g_autoptr(GArray) sums = g_array_new(FALSE, FALSE, sizeof(guint64));
    VmpDigest digest;
    guint64 size = 0;

    g_assert_true(vmp_digest_file(path, piece, sums, &digest, &size, NULL, NULL));
    g_assert_true(vmp_digest_equal(&found->digest, &digest));
    g_assert_cmpuint(found->size, ==, size);
    g_assert_cmpmem(found->sums->data, found->sums->len * sizeof(guint64), sums->data,
                    sums->len * sizeof(guint64));
}

static void
many_files_have_the_digests_they_have_alone(void)
{
    g_autofree char *folder = g_dir_make_tmp("vmp-pool-XXXXXX", NULL);
    g_autoptr(VmpDigestPool) pool = vmp_digest_pool_new();
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < FILES; i++) {
        g_ptr_array_add(paths, make_file(folder, i));
        vmp_digest_pool_add(pool, g_ptr_array_index(paths, i), 65536);
    }
    /* In an order of one's own, and twice. */
    for (guint i = 2 * FILES; i > 0; i--) {
        const char *path = g_ptr_array_index(paths, (i - 1) % FILES);
        const VmpFileDigest *found = vmp_digest_pool_wait(pool, path, NULL, NULL);
        g_assert_nonnull(found);
        assert_same_as_alone(found, path, 65536);
    }
    for (guint i = 0; i < FILES; i++)
        g_unlink(g_ptr_array_index(paths, i));
    g_rmdir(folder);
}

static void
a_file_that_cannot_be_read_fails_alone(void)
{
    g_autofree char *folder = g_dir_make_tmp("vmp-pool-XXXXXX", NULL);
    g_autofree char *path = make_file(folder, 1);
    g_autofree char *gone = g_build_filename(folder, "gone", NULL);
    g_autoptr(VmpDigestPool) pool = vmp_digest_pool_new();
    g_autoptr(GError) error = NULL;

    vmp_digest_pool_add(pool, gone, 4096);
    vmp_digest_pool_add(pool, path, 4096);
    g_assert_null(vmp_digest_pool_wait(pool, gone, NULL, &error));
    g_assert_true(vmp_error_is(error, VMP_ERROR_NOT_FOUND));
    g_assert_nonnull(vmp_digest_pool_wait(pool, path, NULL, NULL));
    g_unlink(path);
    g_rmdir(folder);
}

/* A file without end: neither waiting nor freeing waits for it. */
static void
who_is_interrupted_does_not_wait(void)
{
    g_autoptr(VmpDigestPool) pool = vmp_digest_pool_new();
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    g_autoptr(GError) error = NULL;

    vmp_digest_pool_add(pool, "/dev/zero", 65536);
    g_cancellable_cancel(cancellable);
    g_assert_null(vmp_digest_pool_wait(pool, "/dev/zero", cancellable, &error));
    g_assert_true(vmp_error_is(error, VMP_ERROR_INTERRUPTED));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/digest-pool/many", many_files_have_the_digests_they_have_alone);
    g_test_add_func("/digest-pool/unreadable", a_file_that_cannot_be_read_fails_alone);
    g_test_add_func("/digest-pool/interrupted", who_is_interrupted_does_not_wait);
    return g_test_run();
}
