/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/edit.h"

#include <string.h>

#include "test-store-fixture.h"

/* As the journal has it: written out as text, and read again. */
static void
apply(VmpStore *store, VmpJson *edits)
{
    g_autofree char *text = vmp_json_to_text(edits);
    g_autoptr(VmpJson) read = vmp_json_parse(text, -1, NULL);

    assert_works(vmp_store_apply_edits(store, read, error));
}

static void
test_domain(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VmpJson) edits = json_object_new_array();
    VmpStoreDomain domain = {
        .name = (char *)"d \"quoted\" \xc3\xa4",
        .uuid = (char *)"0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
        .persistent = TRUE,
        .inactive = put_definition(fixture->store, "<domain>1</domain>", 0),
        .active = put_definition(fixture->store, "<domain>2</domain>", 0),
        .qmp_path = (char *)"/q",
        .agent_path = (char *)"/a",
        .extra = (char *)"{\"pid\":1}",
    };

    vmp_store_edit_put_domain(edits, &domain);
    apply(fixture->store, edits);
    g_autoptr(VmpStoreDomain) found = vmp_store_find_domain(fixture->store, domain.name, NULL);
    g_assert_nonnull(found);
    g_assert_cmpstr(found->uuid, ==, domain.uuid);
    g_assert_true(found->persistent);
    g_assert_cmpint(found->inactive, ==, domain.inactive);
    g_assert_cmpint(found->active, ==, domain.active);
    g_assert_cmpstr(found->qmp_path, ==, "/q");
    g_assert_cmpstr(found->agent_path, ==, "/a");
    g_assert_cmpstr(found->extra, ==, "{\"pid\":1}");

    g_autoptr(VmpJson) more = json_object_new_array();
    VmpStoreDomain changed = { .id = found->id, .name = (char *)"e" };
    vmp_store_edit_put_domain(more, &changed);
    apply(fixture->store, more);
    g_autoptr(VmpStoreDomain) renamed = vmp_store_find_domain(fixture->store, "e", NULL);
    g_assert_cmpint(renamed->id, ==, found->id);
    g_assert_false(renamed->persistent);
    g_assert_null(renamed->uuid);
    g_assert_cmpint(renamed->active, ==, 0);

    g_autoptr(VmpJson) last = json_object_new_array();
    vmp_store_edit_remove_domain(last, found->id);
    apply(fixture->store, last);
    g_assert_cmpint(count_rows(fixture->store, "domains"), ==, 0);
}

static void
test_point(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VmpJson) edits = json_object_new_array();
    gint64 domain = add_domain(fixture->store, "d");
    VmpStorePoint root = point_of(domain, "root", NULL);
    VmpStorePoint point = {
        .domain = domain,
        .kind = VMP_POINT_CHECKPOINT,
        .name = (char *)"c1",
        .parent = (char *)"root",
        .creation_time = G_MAXINT64 / 2,
        .state = (char *)"running",
        .location = 2,
        .current = TRUE,
        .body = (char *)"<domaincheckpoint>\n\t&amp;</domaincheckpoint>\n",
        .definition = put_definition(fixture->store, "<domain>1</domain>", 0),
        .inactive_definition = put_definition(fixture->store, "<domain>2</domain>", 0),
        .extra = (char *)"{\"a\":[1,2]}",
    };

    root.kind = VMP_POINT_CHECKPOINT;
    vmp_store_edit_put_point(edits, &root);
    vmp_store_edit_put_point(edits, &point);
    apply(fixture->store, edits);
    g_autoptr(VmpStorePoint) found =
        vmp_store_find_point(fixture->store, domain, VMP_POINT_CHECKPOINT, "c1", NULL);
    g_assert_nonnull(found);
    g_assert_cmpstr(found->parent, ==, "root");
    g_assert_cmpint(found->creation_time, ==, G_MAXINT64 / 2);
    g_assert_cmpstr(found->state, ==, "running");
    g_assert_cmpint(found->location, ==, 2);
    g_assert_true(found->current);
    g_assert_cmpstr(found->body, ==, point.body);
    g_assert_cmpint(found->definition, ==, point.definition);
    g_assert_cmpint(found->inactive_definition, ==, point.inactive_definition);
    g_assert_cmpstr(found->extra, ==, point.extra);

    g_autoptr(VmpJson) more = json_object_new_array();
    vmp_store_edit_set_current(more, domain, VMP_POINT_CHECKPOINT, "root");
    vmp_store_edit_remove_point(more, domain, VMP_POINT_CHECKPOINT, "c1");
    apply(fixture->store, more);
    g_autoptr(VmpStorePoint) current =
        vmp_store_find_current_point(fixture->store, domain, VMP_POINT_CHECKPOINT, NULL);
    g_assert_cmpstr(current->name, ==, "root");
    g_assert_cmpuint(current->children, ==, 0);

    g_autoptr(VmpJson) renaming = json_object_new_array();
    vmp_store_edit_rename_point(renaming, domain, VMP_POINT_CHECKPOINT, "root", "trunk");
    apply(fixture->store, renaming);
    g_assert_null(
        vmp_store_find_point(fixture->store, domain, VMP_POINT_CHECKPOINT, "root", NULL));
    g_autoptr(VmpStorePoint) renamed =
        vmp_store_find_point(fixture->store, domain, VMP_POINT_CHECKPOINT, "trunk", NULL);
    g_assert_true(renamed->current);

    g_autoptr(VmpJson) last = json_object_new_array();
    vmp_store_edit_set_current(last, domain, VMP_POINT_CHECKPOINT, NULL);
    apply(fixture->store, last);
    assert_absent(
        vmp_store_find_current_point(fixture->store, domain, VMP_POINT_CHECKPOINT, error));
}

static void
test_file(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VmpJson) edits = json_object_new_array();
    gint64 domain = add_domain(fixture->store, "d");
    VmpStoreFile file = { (char *)"/a", domain, (char *)"overlay", (char *)"s1" };
    VmpStoreFile other = { (char *)"/b", domain, (char *)"nvram", NULL };

    vmp_store_edit_put_file(edits, &file);
    vmp_store_edit_put_file(edits, &other);
    vmp_store_edit_remove_file(edits, "/b");
    vmp_store_edit_remove_file(edits, "/c");
    apply(fixture->store, edits);
    g_autoptr(VmpStoreFile) found = vmp_store_find_file(fixture->store, "/a", NULL);
    g_assert_cmpint(found->domain, ==, domain);
    g_assert_cmpstr(found->role, ==, "overlay");
    g_assert_cmpstr(found->point, ==, "s1");
    g_assert_cmpint(count_rows(fixture->store, "files"), ==, 1);
}

static void
test_backup(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VmpJson) edits = json_object_new_array();
    gint64 domain = add_domain(fixture->store, "d");
    VmpStoreBackup backup = { .domain = domain,
                              .state = (char *)"running",
                              .started = 5,
                              .body = (char *)"<domainbackup/>",
                              .detail = (char *)"{}" };

    vmp_store_edit_put_backup(edits, &backup);
    apply(fixture->store, edits);
    g_autoptr(VmpStoreBackup) running =
        vmp_store_find_backup(fixture->store, domain, "running", NULL);
    g_assert_cmpint(running->started, ==, 5);
    g_assert_cmpstr(running->body, ==, "<domainbackup/>");
    g_assert_cmpstr(running->detail, ==, "{}");

    g_autoptr(VmpJson) more = json_object_new_array();
    VmpStoreBackup ended = { .id = running->id,
                             .domain = domain,
                             .state = (char *)"completed",
                             .started = 5,
                             .ended = 6 };
    vmp_store_edit_put_backup(more, &ended);
    apply(fixture->store, more);
    g_autoptr(VmpStoreBackup) found =
        vmp_store_find_backup(fixture->store, domain, NULL, NULL);
    g_assert_cmpint(found->id, ==, running->id);
    g_assert_cmpint(found->ended, ==, 6);
    g_assert_null(found->body);
}

static void
test_fact(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VmpJson) edits = json_object_new_array();

    vmp_store_edit_put_fact(edits, "a", "1");
    vmp_store_edit_put_fact(edits, "b", "2");
    vmp_store_edit_put_fact(edits, "a", NULL);
    apply(fixture->store, edits);
    g_autofree char *gone = vmp_store_get_fact(fixture->store, "a", NULL);
    g_autofree char *there = vmp_store_get_fact(fixture->store, "b", NULL);
    g_assert_null(gone);
    g_assert_cmpstr(there, ==, "2");
}

static void
test_none(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VmpJson) empty = json_object_new_array();

    assert_works(vmp_store_apply_edits(fixture->store, empty, error));
    assert_works(vmp_store_apply_edits(fixture->store, NULL, error));
}

static void
test_all_or_none(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VmpJson) edits = json_object_new_array();
    gint64 domain = add_domain(fixture->store, "d");
    VmpStorePoint point = point_of(domain, "a", NULL);

    vmp_store_edit_put_point(edits, &point);
    vmp_store_edit_remove_point(edits, domain, VMP_POINT_SNAPSHOT, "nobody");
    assert_fails(vmp_store_apply_edits(fixture->store, edits, error), VMP_ERROR_NOT_FOUND);
    g_assert_cmpint(count_rows(fixture->store, "points"), ==, 0);

    /* Nor may they spoil what the caller did before in his own transaction. */
    VmpStoreTransaction transaction;
    assert_works(vmp_store_begin(fixture->store, &transaction, error));
    add_point(fixture->store, domain, "b", NULL);
    assert_fails(vmp_store_apply_edits(fixture->store, edits, error), VMP_ERROR_NOT_FOUND);
    assert_works(vmp_store_commit(&transaction, error));
    g_assert_cmpint(count_rows(fixture->store, "points"), ==, 1);
}

static void
test_nonsense(Fixture *fixture, gconstpointer data)
{
    static const char *const texts[] = {
        "[1]",
        "[null]",
        "[{}]",
        "[{\"edit\":\"format-disk\"}]",
        "[{\"edit\":\"put-domain\"}]",
        "[{\"edit\":\"put-point\",\"name\":\"a\"}]",
        "[{\"edit\":\"put-point\",\"kind\":\"snapshot\"}]",
        "[{\"edit\":\"put-point\",\"kind\":\"point\",\"name\":\"a\"}]",
        "[{\"edit\":\"remove-point\",\"kind\":\"snapshot\"}]",
        "[{\"edit\":\"set-current\"}]",
        "[{\"edit\":\"put-file\",\"path\":\"/a\"}]",
        "[{\"edit\":\"put-file\",\"path\":5,\"role\":\"overlay\"}]",
        "[{\"edit\":\"remove-file\"}]",
        "[{\"edit\":\"put-backup\"}]",
        "[{\"edit\":\"put-fact\"}]",
    };

    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(VmpJson) edits = vmp_json_parse(texts[i], -1, NULL);
        g_assert_nonnull(edits);
        assert_fails(vmp_store_apply_edits(fixture->store, edits, error), VMP_ERROR_INVALID);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_test("/store/edit/a-domain-is-put-changed-and-removed", test_domain);
    add_test("/store/edit/a-point-is-put-marked-and-removed", test_point);
    add_test("/store/edit/a-file-is-put-and-removed", test_file);
    add_test("/store/edit/a-backup-is-put-and-ended", test_backup);
    add_test("/store/edit/a-fact-is-put-and-removed", test_fact);
    add_test("/store/edit/no-edit-is-no-error", test_none);
    add_test("/store/edit/all-are-applied-or-none", test_all_or_none);
    add_test("/store/edit/nonsense-is-refused", test_nonsense);
    return g_test_run();
}
