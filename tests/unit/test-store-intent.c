/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/intent.h"

#include "store/edit.h"
#include "test-store-fixture.h"

static VmpIntent *
declare(VmpStore *store, gint64 domain, const char *subject)
{
    g_autoptr(GError) error = NULL;
    VmpIntent *intent =
        vmp_store_declare(store, domain, "snapshot-create", subject, "{\"steps\":[]}", &error);

    g_assert_no_error(error);
    g_assert_nonnull(intent);
    return intent;
}

static guint
count_intents(VmpStore *store, gint64 domain)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) intents = vmp_store_list_intents(store, domain, &error);

    g_assert_no_error(error);
    return intents->len;
}

static void
assert_same(const VmpIntent *a, const VmpIntent *b)
{
    g_assert_cmpint(a->id, ==, b->id);
    g_assert_cmpint(a->domain, ==, b->domain);
    g_assert_cmpstr(a->kind, ==, b->kind);
    g_assert_cmpstr(a->subject, ==, b->subject);
    g_assert_cmpint(a->created, ==, b->created);
    g_assert_cmpstr(a->plan, ==, b->plan);
    g_assert_cmpint(a->past_commit, ==, b->past_commit);
}

static void
test_declare(Fixture *fixture, gconstpointer data)
{
    gint64 domain = add_domain(fixture->store, "d");
    gint64 before = g_get_real_time() / 1000;
    g_autoptr(VmpIntent) intent = declare(fixture->store, domain, "s1");

    g_assert_cmpint(intent->id, >, 0);
    g_assert_cmpint(intent->domain, ==, domain);
    g_assert_cmpstr(intent->kind, ==, "snapshot-create");
    g_assert_cmpstr(intent->subject, ==, "s1");
    g_assert_cmpint(intent->created, >=, before);
    g_assert_cmpstr(intent->plan, ==, "{\"steps\":[]}");
    g_assert_false(intent->past_commit);

    /* Another process sees it before anything is said to anybody else. */
    VmpStore *other = open_store(fixture->dir);
    g_autoptr(GPtrArray) intents = vmp_store_list_intents(other, domain, NULL);
    g_assert_cmpuint(intents->len, ==, 1);
    assert_same(g_ptr_array_index(intents, 0), intent);
    vmp_store_close(other);
}

static void
test_stays_open(Fixture *fixture, gconstpointer data)
{
    gint64 domain = add_domain(fixture->store, "d");

    vmp_intent_free(declare(fixture->store, domain, "s1"));
    vmp_intent_free(NULL);
    fixture_reopen(fixture);
    g_assert_cmpuint(count_intents(fixture->store, domain), ==, 1);
}

static void
test_list(Fixture *fixture, gconstpointer data)
{
    gint64 domain = add_domain(fixture->store, "d"), other = add_domain(fixture->store, "e");
    g_autoptr(VmpIntent) a = declare(fixture->store, domain, "a");
    g_autoptr(VmpIntent) b = declare(fixture->store, other, "b");
    g_autoptr(VmpIntent) c = declare(fixture->store, domain, NULL);
    g_autoptr(VmpIntent) nobodys = declare(fixture->store, 0, "n");

    g_autoptr(GPtrArray) some = vmp_store_list_intents(fixture->store, domain, NULL);
    g_assert_cmpuint(some->len, ==, 2);
    assert_same(g_ptr_array_index(some, 0), a);
    assert_same(g_ptr_array_index(some, 1), c);
    g_autoptr(GPtrArray) all = vmp_store_list_intents(fixture->store, 0, NULL);
    g_assert_cmpuint(all->len, ==, 4);
    assert_same(g_ptr_array_index(all, 1), b);
    assert_same(g_ptr_array_index(all, 3), nobodys);
}

static void
test_refused(Fixture *fixture, gconstpointer data)
{
    assert_fails(vmp_store_declare(fixture->store, 9, "k", "s", "{}", error),
                 VMP_ERROR_NOT_FOUND);
    assert_fails(vmp_store_declare(fixture->store, 0, "k", "s", NULL, error),
                 VMP_ERROR_INVALID);
    assert_fails(vmp_store_declare(fixture->store, 0, NULL, "s", "{}", error),
                 VMP_ERROR_INVALID);
    g_assert_cmpuint(count_intents(fixture->store, 0), ==, 0);
}

static void
test_past_commit(Fixture *fixture, gconstpointer data)
{
    gint64 domain = add_domain(fixture->store, "d");
    g_autoptr(VmpIntent) intent = declare(fixture->store, domain, "a");
    g_autoptr(VmpIntent) other = declare(fixture->store, domain, "b");

    assert_works(vmp_store_mark_past_commit(fixture->store, intent, error));
    assert_works(vmp_store_mark_past_commit(fixture->store, intent, error));
    g_assert_true(intent->past_commit);
    fixture_reopen(fixture);
    g_autoptr(GPtrArray) intents = vmp_store_list_intents(fixture->store, domain, NULL);
    assert_same(g_ptr_array_index(intents, 0), intent);
    assert_same(g_ptr_array_index(intents, 1), other);
}

static void
test_mark_dropped(Fixture *fixture, gconstpointer data)
{
    gint64 domain = add_domain(fixture->store, "d");
    g_autoptr(VmpIntent) intent = declare(fixture->store, domain, "a");

    assert_works(vmp_store_drop_intent(fixture->store, intent, error));
    assert_fails(vmp_store_mark_past_commit(fixture->store, intent, error),
                 VMP_ERROR_NOT_FOUND);
    g_assert_false(intent->past_commit);
}

static void
test_mark_in_transaction(Fixture *fixture, gconstpointer data)
{
    gint64 domain = add_domain(fixture->store, "d");
    g_autoptr(VmpIntent) intent = declare(fixture->store, domain, "a");
    VmpStoreTransaction transaction;

    assert_works(vmp_store_begin(fixture->store, &transaction, error));
    assert_works(vmp_store_mark_past_commit(fixture->store, intent, error));
    assert_works(vmp_store_commit(&transaction, error));
    g_autoptr(GPtrArray) intents = vmp_store_list_intents(fixture->store, domain, NULL);
    assert_same(g_ptr_array_index(intents, 0), intent);
}

static void
test_settle(Fixture *fixture, gconstpointer data)
{
    gint64 domain = add_domain(fixture->store, "d");
    g_autoptr(VmpIntent) intent = declare(fixture->store, domain, "s1");
    g_autoptr(VmpJson) edits = json_object_new_array();
    VmpStorePoint point = point_of(domain, "s1", NULL);

    vmp_store_edit_put_point(edits, &point);
    assert_works(vmp_store_settle(fixture->store, intent, edits, error));
    g_assert_cmpuint(count_intents(fixture->store, domain), ==, 0);
    g_assert_cmpint(count_rows(fixture->store, "points"), ==, 1);

    /* Whoever comes second neither settles nor writes. */
    assert_works(
        vmp_store_remove_point(fixture->store, domain, VMP_POINT_SNAPSHOT, "s1", error));
    assert_fails(vmp_store_settle(fixture->store, intent, edits, error), VMP_ERROR_NOT_FOUND);
    g_assert_cmpint(count_rows(fixture->store, "points"), ==, 0);
}

static void
test_settle_without_edits(Fixture *fixture, gconstpointer data)
{
    gint64 domain = add_domain(fixture->store, "d");
    g_autoptr(VmpIntent) intent = declare(fixture->store, domain, "s1");

    assert_works(vmp_store_settle(fixture->store, intent, NULL, error));
    g_assert_cmpuint(count_intents(fixture->store, domain), ==, 0);
}

static void
test_settle_fails(Fixture *fixture, gconstpointer data)
{
    gint64 domain = add_domain(fixture->store, "d");
    g_autoptr(VmpIntent) intent = declare(fixture->store, domain, "s1");
    g_autoptr(VmpJson) edits = json_object_new_array();
    VmpStorePoint good = point_of(domain, "s1", NULL), bad = point_of(domain, "s3", "s2");

    vmp_store_edit_put_point(edits, &good);
    vmp_store_edit_put_point(edits, &bad);
    assert_fails(vmp_store_settle(fixture->store, intent, edits, error), VMP_ERROR_NOT_FOUND);
    g_assert_cmpuint(count_intents(fixture->store, domain), ==, 1);
    g_assert_cmpint(count_rows(fixture->store, "points"), ==, 0);
}

static void
test_settle_removes_domain(Fixture *fixture, gconstpointer data)
{
    gint64 domain = add_domain(fixture->store, "d");
    g_autoptr(VmpIntent) intent = declare(fixture->store, domain, "d");
    g_autoptr(VmpJson) edits = json_object_new_array();

    vmp_store_edit_remove_domain(edits, domain);
    assert_works(vmp_store_settle(fixture->store, intent, edits, error));
    g_assert_cmpuint(count_intents(fixture->store, 0), ==, 0);
    g_assert_cmpint(count_rows(fixture->store, "domains"), ==, 0);
}

static void
test_drop(Fixture *fixture, gconstpointer data)
{
    gint64 domain = add_domain(fixture->store, "d");
    g_autoptr(VmpIntent) intent = declare(fixture->store, domain, "s1");
    g_autoptr(VmpIntent) other = declare(fixture->store, domain, "s2");

    assert_works(vmp_store_drop_intent(fixture->store, intent, error));
    assert_fails(vmp_store_drop_intent(fixture->store, intent, error), VMP_ERROR_NOT_FOUND);
    g_autoptr(GPtrArray) intents = vmp_store_list_intents(fixture->store, domain, NULL);
    g_assert_cmpuint(intents->len, ==, 1);
    assert_same(g_ptr_array_index(intents, 0), other);
}

static void
test_keeps_definitions(Fixture *fixture, gconstpointer data)
{
    VmpStore *store = fixture->store;
    gint64 domain = add_domain(store, "d");
    gint64 definition = put_definition(store, "<domain/>", 0);
    g_autoptr(VmpIntent) intent = declare(store, domain, "s1");
    g_autoptr(VmpJson) edits = json_object_new_array();
    VmpStorePoint point = point_of(domain, "s1", NULL);

    /* Named by a plan only, of which the store knows nothing. */
    g_assert_cmpint(vmp_store_collect_definitions(store, NULL), ==, 0);
    point.definition = definition;
    vmp_store_edit_put_point(edits, &point);
    assert_works(vmp_store_settle(store, intent, edits, error));
    g_assert_cmpint(vmp_store_collect_definitions(store, NULL), ==, 0);
    assert_works(vmp_store_remove_point(store, domain, VMP_POINT_SNAPSHOT, "s1", error));
    g_assert_cmpint(vmp_store_collect_definitions(store, NULL), ==, 1);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_test("/store/intent/is-seen-by-others-once-declared", test_declare);
    add_test("/store/intent/stays-open-when-freed", test_stays_open);
    add_test("/store/intent/are-listed-oldest-first", test_list);
    add_test("/store/intent/what-makes-no-sense-is-refused", test_refused);
    add_test("/store/intent/remembers-to-be-past-its-commit", test_past_commit);
    add_test("/store/intent/cannot-be-marked-once-dropped", test_mark_dropped);
    add_test("/store/intent/can-be-marked-in-a-transaction", test_mark_in_transaction);
    add_test("/store/intent/is-settled-once", test_settle);
    add_test("/store/intent/can-be-settled-without-an-edit", test_settle_without_edits);
    add_test("/store/intent/stays-open-when-an-edit-fails", test_settle_fails);
    add_test("/store/intent/can-remove-its-own-domain", test_settle_removes_domain);
    add_test("/store/intent/is-dropped-once", test_drop);
    add_test("/store/intent/keeps-definitions-from-being-collected", test_keeps_definitions);
    return g_test_run();
}
