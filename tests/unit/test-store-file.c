/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The ledger of files is a part of store.h. */

#include "test-store-fixture.h"

static void
put(VmpStore *store, const char *path, gint64 domain, const char *role, const char *point)
{
    VmpStoreFile file = { (char *)path, domain, (char *)role, (char *)point };

    assert_works(vmp_store_put_file(store, &file, error));
}

static void
test_back(Fixture *fixture, gconstpointer data)
{
    gint64 domain = add_domain(fixture->store, "d");

    put(fixture->store, "/a b", domain, "overlay", "s1");
    put(fixture->store, "/c", domain, "nvram", NULL);
    fixture_reopen(fixture);
    g_autoptr(VmpStoreFile) file = vmp_store_find_file(fixture->store, "/a b", NULL);
    g_assert_cmpstr(file->path, ==, "/a b");
    g_assert_cmpint(file->domain, ==, domain);
    g_assert_cmpstr(file->role, ==, "overlay");
    g_assert_cmpstr(file->point, ==, "s1");
    g_autoptr(VmpStoreFile) other = vmp_store_find_file(fixture->store, "/c", NULL);
    g_assert_null(other->point);
}

static void
test_not_ours(Fixture *fixture, gconstpointer data)
{
    assert_absent(vmp_store_find_file(fixture->store, "/etc/passwd", error));
}

static void
test_list(Fixture *fixture, gconstpointer data)
{
    gint64 domain = add_domain(fixture->store, "d"), other = add_domain(fixture->store, "e");

    put(fixture->store, "/b", domain, "overlay", NULL);
    put(fixture->store, "/a", domain, "memory", NULL);
    put(fixture->store, "/c", other, "memory", NULL);
    g_autoptr(GPtrArray) files = vmp_store_list_files(fixture->store, domain, NULL);
    g_assert_cmpuint(files->len, ==, 2);
    g_assert_cmpstr(((VmpStoreFile *)g_ptr_array_index(files, 0))->path, ==, "/a");
    g_assert_cmpstr(((VmpStoreFile *)g_ptr_array_index(files, 1))->path, ==, "/b");
    g_autoptr(GPtrArray) none = vmp_store_list_files(fixture->store, 99, NULL);
    g_assert_cmpuint(none->len, ==, 0);
}

static void
test_replace(Fixture *fixture, gconstpointer data)
{
    gint64 domain = add_domain(fixture->store, "d"), other = add_domain(fixture->store, "e");
    VmpStoreFile theirs = { (char *)"/a", other, (char *)"overlay", NULL };

    put(fixture->store, "/a", domain, "overlay", "s1");
    put(fixture->store, "/a", domain, "scratch", NULL);
    assert_fails(vmp_store_put_file(fixture->store, &theirs, error), VMP_ERROR_EXISTS);
    g_autoptr(VmpStoreFile) file = vmp_store_find_file(fixture->store, "/a", NULL);
    g_assert_cmpint(file->domain, ==, domain);
    g_assert_cmpstr(file->role, ==, "scratch");
    g_assert_null(file->point);
    g_assert_cmpint(count_rows(fixture->store, "files"), ==, 1);
}

static void
test_remove(Fixture *fixture, gconstpointer data)
{
    gint64 domain = add_domain(fixture->store, "d");

    put(fixture->store, "/a", domain, "overlay", NULL);
    put(fixture->store, "/b", domain, "overlay", NULL);
    assert_works(vmp_store_remove_file(fixture->store, "/a", error));
    assert_works(vmp_store_remove_file(fixture->store, "/a", error));
    assert_absent(vmp_store_find_file(fixture->store, "/a", error));
    g_assert_cmpint(count_rows(fixture->store, "files"), ==, 1);
}

static void
test_refused(Fixture *fixture, gconstpointer data)
{
    gint64 domain = add_domain(fixture->store, "d");
    VmpStoreFile relative = { (char *)"a", domain, (char *)"overlay", NULL };
    VmpStoreFile stray = { (char *)"/a", domain + 1, (char *)"overlay", NULL };
    VmpStoreFile useless = { (char *)"/a", domain, NULL, NULL };

    assert_fails(vmp_store_put_file(fixture->store, &relative, error), VMP_ERROR_INVALID);
    assert_fails(vmp_store_put_file(fixture->store, &stray, error), VMP_ERROR_NOT_FOUND);
    assert_fails(vmp_store_put_file(fixture->store, &useless, error), VMP_ERROR_INVALID);
    g_assert_cmpint(count_rows(fixture->store, "files"), ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    vmp_store_file_free(NULL);
    add_test("/store/file/every-field-comes-back", test_back);
    add_test("/store/file/one-that-vmpoint-did-not-make-is-no-error", test_not_ours);
    add_test("/store/file/are-listed-by-path", test_list);
    add_test("/store/file/is-replaced-but-not-taken-from-another-domain", test_replace);
    add_test("/store/file/removing-twice-is-no-error", test_remove);
    add_test("/store/file/what-makes-no-sense-is-refused", test_refused);
    return g_test_run();
}
