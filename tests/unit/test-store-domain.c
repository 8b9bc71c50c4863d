/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Domains are a part of store.h. */

#include <string.h>

#include "store/intent.h"
#include "test-store-fixture.h"

#define UUID "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"

static void
assert_same(const VmpStoreDomain *a, const VmpStoreDomain *b)
{
    g_assert_cmpint(a->id, ==, b->id);
    g_assert_cmpstr(a->name, ==, b->name);
    g_assert_cmpstr(a->uuid, ==, b->uuid);
    g_assert_cmpint(a->persistent, ==, b->persistent);
    g_assert_cmpint(a->inactive, ==, b->inactive);
    g_assert_cmpint(a->active, ==, b->active);
    g_assert_cmpstr(a->qmp_path, ==, b->qmp_path);
    g_assert_cmpstr(a->agent_path, ==, b->agent_path);
    g_assert_cmpstr(a->extra, ==, b->extra);
}

static VmpStoreDomain
full_domain(VmpStore *store)
{
    return (VmpStoreDomain){
        .name = (char *)"web server \"1\"",
        .uuid = (char *)UUID,
        .persistent = TRUE,
        .inactive = put_definition(store, "<domain>inactive</domain>", 0),
        .active = put_definition(store, "<domain>active</domain>", 0),
        .qmp_path = (char *)"/run/q.sock",
        .agent_path = (char *)"/run/a.sock",
        .extra = (char *)"{\"pid\":1}",
    };
}

static void
test_every_field(Fixture *fixture, gconstpointer data)
{
    VmpStoreDomain domain = full_domain(fixture->store);

    assert_works(vmp_store_put_domain(fixture->store, &domain, error));
    fixture_reopen(fixture);
    g_autoptr(VmpStoreDomain) found = vmp_store_find_domain(fixture->store, domain.name, NULL);
    assert_same(found, &domain);
}

static void
test_empty_fields(Fixture *fixture, gconstpointer data)
{
    VmpStoreDomain a = { .name = (char *)"a" }, b = { .name = (char *)"b" };

    assert_works(vmp_store_put_domain(fixture->store, &a, error));
    assert_works(vmp_store_put_domain(fixture->store, &b, error));
    g_autoptr(VmpStoreDomain) found = vmp_store_find_domain(fixture->store, "b", NULL);
    assert_same(found, &b);
}

static void
test_replace(Fixture *fixture, gconstpointer data)
{
    VmpStoreDomain domain = full_domain(fixture->store);

    assert_works(vmp_store_put_domain(fixture->store, &domain, error));
    VmpStoreDomain changed = { .id = domain.id,
                               .name = (char *)"renamed",
                               .uuid = domain.uuid };
    assert_works(vmp_store_put_domain(fixture->store, &changed, error));
    g_autoptr(VmpStoreDomain) found = vmp_store_find_domain(fixture->store, UUID, NULL);
    assert_same(found, &changed);
    g_assert_cmpint(count_rows(fixture->store, "domains"), ==, 1);
    assert_fails(vmp_store_find_domain(fixture->store, domain.name, error),
                 VMP_ERROR_NOT_FOUND);
}

static void
test_find(Fixture *fixture, gconstpointer data)
{
    VmpStoreDomain domain = { .name = (char *)"d", .uuid = (char *)UUID };
    g_autofree char *upper = g_ascii_strup(UUID, -1);

    VmpStoreDomain posing = { .name = (char *)UUID };
    assert_works(vmp_store_put_domain(fixture->store, &posing, error));
    domain.uuid = upper; /* kept in lower case */
    assert_works(vmp_store_put_domain(fixture->store, &domain, error));

    const char *const names[] = { "d", UUID, upper };
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(VmpStoreDomain) found =
            vmp_store_find_domain(fixture->store, names[i], NULL);
        g_assert_nonnull(found);
        g_assert_cmpint(found->id, ==, domain.id);
        g_assert_cmpstr(found->uuid, ==, UUID);
    }

    g_autoptr(GError) failure = NULL;
    g_assert_null(
        vmp_store_find_domain(fixture->store, "D", &failure)); /* names have a case */
    g_assert_error(failure, VMP_ERROR, VMP_ERROR_NOT_FOUND);
    g_assert_nonnull(strstr(failure->message, "'D'"));
}

static void
test_list(Fixture *fixture, gconstpointer data)
{
    static const char *const names[] = { "b", "a", "C", "\xc3\xa4" };
    static const char *const sorted[] = { "C", "a", "b", "\xc3\xa4" };

    g_autoptr(GPtrArray) none = vmp_store_list_domains(fixture->store, NULL);
    g_assert_cmpuint(none->len, ==, 0);
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
        add_domain(fixture->store, names[i]);
    g_autoptr(GPtrArray) domains = vmp_store_list_domains(fixture->store, NULL);
    g_assert_cmpuint(domains->len, ==, G_N_ELEMENTS(sorted));
    for (gsize i = 0; i < G_N_ELEMENTS(sorted); i++) {
        VmpStoreDomain *domain = g_ptr_array_index(domains, i);
        g_assert_cmpstr(domain->name, ==, sorted[i]);
    }
}

static void
test_taken(Fixture *fixture, gconstpointer data)
{
    VmpStoreDomain a = { .name = (char *)"a", .uuid = (char *)UUID };
    VmpStoreDomain same_name = { .name = (char *)"a" };
    VmpStoreDomain same_uuid = { .name = (char *)"b", .uuid = (char *)UUID };
    VmpStoreDomain c = { .name = (char *)"c" };

    assert_works(vmp_store_put_domain(fixture->store, &a, error));
    assert_works(vmp_store_put_domain(fixture->store, &c, error));
    assert_fails(vmp_store_put_domain(fixture->store, &same_name, error), VMP_ERROR_EXISTS);
    assert_fails(vmp_store_put_domain(fixture->store, &same_uuid, error), VMP_ERROR_EXISTS);
    g_assert_cmpint(same_name.id, ==, 0);
    c.name = (char *)"a";
    assert_fails(vmp_store_put_domain(fixture->store, &c, error), VMP_ERROR_EXISTS);
    g_assert_cmpint(count_rows(fixture->store, "domains"), ==, 2);
}

static void
test_refused(Fixture *fixture, gconstpointer data)
{
    VmpStoreDomain unknown = { .id = 7, .name = (char *)"a" };
    VmpStoreDomain nameless = { .name = NULL };
    VmpStoreDomain dangling = { .name = (char *)"a", .active = 9 };

    assert_fails(vmp_store_put_domain(fixture->store, &unknown, error), VMP_ERROR_NOT_FOUND);
    assert_fails(vmp_store_put_domain(fixture->store, &nameless, error), VMP_ERROR_INVALID);
    assert_fails(vmp_store_put_domain(fixture->store, &dangling, error), VMP_ERROR_NOT_FOUND);
    g_assert_cmpint(count_rows(fixture->store, "domains"), ==, 0);
}

static void
add_everything(VmpStore *store, gint64 domain)
{
    g_autofree char *path = g_strdup_printf("/images/%d", (int)domain);
    VmpStoreFile file = { .path = path, .domain = domain, .role = (char *)"overlay" };
    VmpStoreBackup backup = { .domain = domain, .state = (char *)"running" };
    VmpStorePoint point = point_of(domain, "child", "root");

    add_point(store, domain, "root", NULL);
    point.body = (char *)"<domainsnapshot/>";
    point.definition = put_definition(store, "<domain/>", 0);
    assert_works(vmp_store_put_point(store, &point, error));
    point.kind = VMP_POINT_CHECKPOINT;
    point.parent = NULL;
    assert_works(vmp_store_put_point(store, &point, error));
    assert_works(vmp_store_put_file(store, &file, error));
    assert_works(vmp_store_put_backup(store, &backup, error));
}

static void
test_remove(Fixture *fixture, gconstpointer data)
{
    VmpStore *store = fixture->store;
    gint64 gone = add_domain(store, "gone"), kept = add_domain(store, "kept");
    static const char *const tables[] = { "points", "point_bodies", "files", "backups" };
    gint64 before[G_N_ELEMENTS(tables)];

    add_everything(store, kept);
    for (gsize i = 0; i < G_N_ELEMENTS(tables); i++)
        before[i] = count_rows(store, tables[i]);
    add_everything(store, gone);

    assert_works(vmp_store_remove_domain(store, gone, error));
    for (gsize i = 0; i < G_N_ELEMENTS(tables); i++)
        g_assert_cmpint(count_rows(store, tables[i]), ==, before[i]);
    assert_fails(vmp_store_find_domain(store, "gone", error), VMP_ERROR_NOT_FOUND);
    assert_fails(vmp_store_remove_domain(store, gone, error), VMP_ERROR_NOT_FOUND);
    assert_works(vmp_store_verify(store, error));
    g_assert_cmpint(add_domain(store, "gone"), >, kept); /* an id is never used again */
}

static void
test_remove_with_intent(Fixture *fixture, gconstpointer data)
{
    gint64 domain = add_domain(fixture->store, "d");
    g_autoptr(VmpIntent) intent =
        vmp_store_declare(fixture->store, domain, "backup-begin", "b", "{}", NULL);

    assert_fails(vmp_store_remove_domain(fixture->store, domain, error), VMP_ERROR_BUSY);
    assert_works(vmp_store_drop_intent(fixture->store, intent, error));
    assert_works(vmp_store_remove_domain(fixture->store, domain, error));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    vmp_store_domain_free(NULL);
    add_test("/store/domain/every-field-comes-back", test_every_field);
    add_test("/store/domain/fields-may-be-empty", test_empty_fields);
    add_test("/store/domain/is-replaced-by-id", test_replace);
    add_test("/store/domain/is-found-by-name-and-by-uuid", test_find);
    add_test("/store/domain/are-listed-by-name", test_list);
    add_test("/store/domain/name-and-uuid-belong-to-one", test_taken);
    add_test("/store/domain/what-makes-no-sense-is-refused", test_refused);
    add_test("/store/domain/goes-with-all-that-is-its-own", test_remove);
    add_test("/store/domain/stays-while-it-has-an-open-intent", test_remove_with_intent);
    return g_test_run();
}
