/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/mark.h"

#include "store/edit.h"
#include "test-point-fixture.h"

#define BODY(name)                                                                         \
    "<domaincheckpoint><name>" name "</name><creationTime>5</creationTime><disks>"         \
    "<disk name='vda' checkpoint='bitmap' bitmap='c1'/><disk name='vdb' checkpoint='no'/>" \
    "</disks></domaincheckpoint>"

static void
put(const Fixture *fixture, const char *name, const char *body, const char *image)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpJson) bitmaps = json_object_new_array();
    g_autoptr(VmpStorePoint) row = g_new0(VmpStorePoint, 1);

    row->domain = vmp_machine_get_row(fixture->machine)->id;
    row->kind = VMP_POINT_CHECKPOINT;
    row->name = g_strdup(name);
    row->body = g_strdup(body);
    row->extra = g_strdup("{\"targets\":{\"vda\":\"/b\"}}");
    json_object_array_add(bitmaps, vmp_json_build("s:disk", "vda", "S:image", image, "i:size",
                                                  (gint64)1 << 20, NULL));
    vmp_marks_note_began(row, bitmaps);
    g_assert_true(vmp_store_put_point(vmp_machine_get_store(fixture->machine), row, &error));
    g_assert_no_error(error);
}

static VmpStorePoint *
find(const Fixture *fixture, const char *name)
{
    g_autoptr(GError) error = NULL;
    VmpStorePoint *row = vmp_store_find_point(vmp_machine_get_store(fixture->machine),
                                              vmp_machine_get_row(fixture->machine)->id,
                                              VMP_POINT_CHECKPOINT, name, &error);

    g_assert_no_error(error);
    return row;
}

/* The one mark that the test's checkpoints have. */
static GPtrArray *
marks_of(const Fixture *fixture, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpStorePoint) row = find(fixture, name);
    GPtrArray *marks = vmp_marks_of_row(row, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(marks->len, ==, 1);
    return marks;
}

static void
test_remembers(Fixture *fixture, gconstpointer data)
{
    put(fixture, "c1", BODY("c1"), "/i/a.qcow2");
    g_autoptr(GPtrArray) marks = marks_of(fixture, "c1");
    const VmpMark *mark = vmp_marks_find(marks, "vda");

    g_assert_null(vmp_marks_find(marks, "vdb"));
    g_assert_cmpstr(mark->bitmap, ==, "c1");
    g_assert_cmpstr(mark->image, ==, "/i/a.qcow2");
    g_assert_cmpuint(mark->size, ==, 1 << 20);
    g_assert_null(mark->lost);
}

static void
test_without_a_path(Fixture *fixture, gconstpointer data)
{
    put(fixture, "c1", BODY("c1"), NULL);
    g_autoptr(GPtrArray) marks = marks_of(fixture, "c1");
    const VmpMark *mark = vmp_marks_find(marks, "vda");

    g_assert_null(mark->image);
    g_assert_cmpuint(mark->size, ==, 0);
}

/* vda as @bitmap says, on an image that has none. */
static guint
check(const VmpMark *mark, const VmpBitmap *bitmap, GError **error)
{
    g_autoptr(GPtrArray) some = g_ptr_array_new();
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    if (bitmap)
        g_ptr_array_add(some, (gpointer)bitmap);
    const VmpBitmapLayer layers[] = { { "/i/a.qcow2", 1 << 20, some },
                                      { "/i/base.qcow2", 1 << 20, none } };

    return vmp_mark_check_layers(mark, layers, G_N_ELEMENTS(layers), error);
}

static void
test_lost(Fixture *fixture, gconstpointer data)
{
    const VmpBitmap good = { .name = (char *)"c1", .recording = TRUE };
    g_autoptr(GError) missing = NULL;
    g_autoptr(GError) lost = NULL;
    g_autoptr(GError) error = NULL;

    put(fixture, "c1", BODY("c1"), "/i/a.qcow2");
    g_autoptr(GPtrArray) before = marks_of(fixture, "c1");
    g_assert_cmpuint(check(before->pdata[0], &good, &error), ==, 1);
    g_assert_no_error(error);
    g_assert_cmpuint(check(before->pdata[0], NULL, &missing), ==, 0);
    g_assert_error(missing, VMP_ERROR, VMP_ERROR_INCONSISTENT);

    g_autoptr(VmpStorePoint) row = find(fixture, "c1");
    vmp_marks_note_lost(row, "vda", "it was killed");
    g_assert_true(vmp_store_put_point(vmp_machine_get_store(fixture->machine), row, NULL));
    g_autoptr(GPtrArray) after = marks_of(fixture, "c1");
    g_assert_cmpuint(check(after->pdata[0], NULL, &lost), ==, 0);
    g_assert_error(lost, VMP_ERROR, VMP_ERROR_INCONSISTENT);
    g_assert_cmpstr(lost->message, ==, "it was killed");
    /* What is there again counts. */
    g_assert_cmpuint(check(after->pdata[0], &good, &error), ==, 1);
    g_assert_nonnull(strstr(row->extra, "targets"));
}

static void
test_moves(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpJson) edits = json_object_new_array();

    g_autoptr(GHashTable) moves = g_hash_table_new(g_str_hash, g_str_equal);

    g_hash_table_insert(moves, (char *)"/i/a.s1", (char *)"/i/a.qcow2");
    put(fixture, "c1", BODY("c1"), "/i/a.qcow2");
    put(fixture, "c2", BODY("c2"), "/i/a.s1");
    g_assert_true(vmp_marks_move(fixture->machine, moves, edits, &error));
    g_assert_cmpuint(vmp_json_length(edits), ==, 1);
    g_assert_true(
        vmp_store_apply_edits(vmp_machine_get_store(fixture->machine), edits, &error));
    g_assert_no_error(error);
    g_autoptr(GPtrArray) marks = marks_of(fixture, "c2");
    g_assert_cmpstr(((const VmpMark *)marks->pdata[0])->image, ==, "/i/a.qcow2");
    g_assert_cmpuint(((const VmpMark *)marks->pdata[0])->size, ==, 1 << 20);
}

static void
resize(const Fixture *fixture, const char *image, guint64 size, gboolean cut, guint changed)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpJson) edits = json_object_new_array();

    g_assert_true(vmp_marks_resize(fixture->machine, "vda", image, size, cut, edits, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(vmp_json_length(edits), ==, changed);
    g_assert_true(
        vmp_store_apply_edits(vmp_machine_get_store(fixture->machine), edits, &error));
    g_assert_no_error(error);
}

static guint64
size_of(const Fixture *fixture, const char *name)
{
    g_autoptr(GPtrArray) marks = marks_of(fixture, name);

    return ((const VmpMark *)marks->pdata[0])->size;
}

static void
test_resized(Fixture *fixture, gconstpointer data)
{
    const VmpBitmap good = { .name = (char *)"c1", .recording = TRUE };
    g_autoptr(GError) lost = NULL;

    put(fixture, "c1", BODY("c1"), "/i/a.qcow2");
    put(fixture, "c2", BODY("c2"), "/i/a.s1");
    resize(fixture, "/i/a.s1", 2 << 20, FALSE, 1);
    g_assert_cmpuint(size_of(fixture, "c1"), ==, 1 << 20);
    g_assert_cmpuint(size_of(fixture, "c2"), ==, 2 << 20);

    /* One that was cut is not good again when the disk has its old size. */
    resize(fixture, "/i/a.s1", 1 << 19, TRUE, 2);
    resize(fixture, "/i/a.s1", 1 << 20, FALSE, 0);
    g_autoptr(GPtrArray) marks = marks_of(fixture, "c1");
    g_assert_cmpuint(check(marks->pdata[0], &good, &lost), ==, 0);
    g_assert_error(lost, VMP_ERROR, VMP_ERROR_INCONSISTENT);
    g_assert_cmpstr(lost->message, ==, "the disk was made smaller since");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, func) \
    g_test_add("/point/mark/" name, Fixture, NULL, point_set_up, func, point_tear_down)
    ADD("a-mark-remembers-where-it-began", test_remembers);
    ADD("a-disk-without-a-path-is-believed-as-it-is", test_without_a_path);
    ADD("a-lost-bitmap-says-why-until-it-is-back", test_lost);
    ADD("a-merged-layer-takes-the-beginning-along", test_moves);
    ADD("a-disk-that-grows-goes-on-and-one-that-is-cut-does-not", test_resized);
    return g_test_run();
}
