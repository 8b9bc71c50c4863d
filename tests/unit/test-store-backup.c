/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Backup jobs are a part of store.h. */

#include "test-store-fixture.h"

static gint64
put(VmpStore *store, gint64 domain, const char *state, gint64 ended)
{
    VmpStoreBackup backup = {
        .domain = domain, .state = (char *)state, .started = 1, .ended = ended
    };

    assert_works(vmp_store_put_backup(store, &backup, error));
    g_assert_cmpint(backup.id, >, 0);
    return backup.id;
}

/* 0 if there is none. */
static gint64
find(VmpStore *store, gint64 domain, const char *state)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpStoreBackup) backup = vmp_store_find_backup(store, domain, state, &error);

    g_assert_no_error(error);
    return backup ? backup->id : 0;
}

static void
test_back(Fixture *fixture, gconstpointer data)
{
    VmpStoreBackup backup = {
        .domain = add_domain(fixture->store, "d"),
        .state = (char *)"running",
        .started = 1700000000123,
        .body = (char *)"<domainbackup/>",
        .detail = (char *)"{}",
    };

    assert_works(vmp_store_put_backup(fixture->store, &backup, error));
    gint64 id = backup.id;
    backup.state = (char *)"failed";
    backup.ended = 1700000000456;
    backup.detail = (char *)"{\"error\":\"no space\"}";
    assert_works(vmp_store_put_backup(fixture->store, &backup, error));
    g_assert_cmpint(backup.id, ==, id);
    g_assert_cmpint(count_rows(fixture->store, "backups"), ==, 1);

    fixture_reopen(fixture);
    g_autoptr(VmpStoreBackup) found =
        vmp_store_find_backup(fixture->store, backup.domain, "failed", NULL);
    g_assert_cmpint(found->id, ==, id);
    g_assert_cmpint(found->domain, ==, backup.domain);
    g_assert_cmpstr(found->state, ==, "failed");
    g_assert_cmpint(found->started, ==, 1700000000123);
    g_assert_cmpint(found->ended, ==, 1700000000456);
    g_assert_cmpstr(found->body, ==, "<domainbackup/>");
    g_assert_cmpstr(found->detail, ==, "{\"error\":\"no space\"}");
}

static void
test_newest(Fixture *fixture, gconstpointer data)
{
    VmpStore *store = fixture->store;
    gint64 domain = add_domain(store, "d"), other = add_domain(store, "e");

    g_assert_cmpint(find(store, domain, NULL), ==, 0);
    g_assert_cmpint(find(store, domain, "running"), ==, 0);
    gint64 first = put(store, domain, "completed", 5);
    gint64 second = put(store, domain, "completed", 9);
    gint64 failed = put(store, domain, "failed", 12);
    gint64 running = put(store, domain, "running", 0);
    put(store, other, "completed", 99);

    g_assert_cmpint(find(store, domain, "completed"), ==, second);
    g_assert_cmpint(find(store, domain, "running"), ==, running);
    g_assert_cmpint(find(store, domain, NULL), ==, failed);
    g_assert_cmpint(find(store, domain, "cancelled"), ==, 0);

    assert_works(vmp_store_remove_backup(store, failed, error));
    assert_works(vmp_store_remove_backup(store, second, error));
    g_assert_cmpint(find(store, domain, NULL), ==, first);
    assert_fails(vmp_store_remove_backup(store, second, error), VMP_ERROR_NOT_FOUND);
}

static void
test_refused(Fixture *fixture, gconstpointer data)
{
    gint64 domain = add_domain(fixture->store, "d");
    VmpStoreBackup unknown = { .id = 7, .domain = domain, .state = (char *)"running" };
    VmpStoreBackup stray = { .domain = domain + 1, .state = (char *)"running" };
    VmpStoreBackup stateless = { .domain = domain };

    assert_fails(vmp_store_put_backup(fixture->store, &unknown, error), VMP_ERROR_NOT_FOUND);
    assert_fails(vmp_store_put_backup(fixture->store, &stray, error), VMP_ERROR_NOT_FOUND);
    assert_fails(vmp_store_put_backup(fixture->store, &stateless, error), VMP_ERROR_INVALID);
    g_assert_cmpint(count_rows(fixture->store, "backups"), ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    vmp_store_backup_free(NULL);
    add_test("/store/backup/every-field-comes-back", test_back);
    add_test("/store/backup/the-newest-of-a-state-is-found", test_newest);
    add_test("/store/backup/what-makes-no-sense-is-refused", test_refused);
    return g_test_run();
}
