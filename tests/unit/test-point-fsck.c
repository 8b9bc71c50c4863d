/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Comparing and adopting are functions of a view: here views are made by hand. */

#include <glib.h>
#include <string.h>

#include "base/error.h"
#include "point/fsck.h"
#include "test-point-fixture.h"

static VmpImage *
add_image(VmpFsckView *view, const char *path, const char *backing)
{
    VmpFsckImage *entry = g_new0(VmpFsckImage, 1);
    g_autofree char *json = g_strdup_printf(
        "{\"filename\":\"%s\",\"format\":\"qcow2\",\"virtual-size\":65536%s%s%s%s%s}", path,
        backing ? ",\"backing-filename\":\"" : "", backing ? backing : "",
        backing ? "\",\"full-backing-filename\":\"" : "", backing ? backing : "",
        backing ? "\"" : "");
    g_autoptr(VmpJson) info = vmp_json_parse(json, -1, NULL);

    entry->image = vmp_image_from_json(info, NULL);
    g_assert_nonnull(entry->image);
    entry->modified = 7;
    g_hash_table_insert(view->images, g_strdup(path), entry);
    return entry->image;
}

static void
add_failure(VmpFsckView *view, const char *path, int code)
{
    VmpFsckImage *entry = g_new0(VmpFsckImage, 1);

    entry->failure = g_error_new(VMP_ERROR, code, "cannot read image '%s'", path);
    g_hash_table_insert(view->images, g_strdup(path), entry);
}

static VmpDomain *
domain_on(const char *vda, const char *vdb)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = point_domain(vda, vdb, "");
    VmpDomain *domain = vmp_domain_parse(xml, -1, &error);

    g_assert_no_error(error);
    return domain;
}

static VmpFsckView *
view_on(const char *vda, const char *vdb)
{
    VmpFsckView *view = vmp_fsck_view_new("d");

    view->present = domain_on(vda, vdb);
    return view;
}

/* An external snapshot that froze these images and made those overlays. */
static VmpFsckSnapshot *
add_snapshot(VmpFsckView *view, const char *name, const char *parent, const char *vda,
             const char *vdb, const char *overlay)
{
    VmpFsckSnapshot *entry = g_new0(VmpFsckSnapshot, 1);

    entry->snapshot = vmp_snapshot_new();
    entry->snapshot->name = g_strdup(name);
    entry->snapshot->parent = g_strdup(parent);
    for (int i = 0; i < 2; i++) {
        VmpSnapshotDisk *disk = vmp_snapshot_disk_new(i ? "vdb" : "vda");
        disk->location = VMP_LOCATION_EXTERNAL;
        disk->source = g_strdup_printf("/i/%s.%s", i ? "b" : "a", overlay);
        g_ptr_array_add(entry->snapshot->disks, disk);
    }
    entry->past = domain_on(vda, vdb);
    g_ptr_array_add(view->snapshots, entry);
    return entry;
}

/* A base and one snapshot's overlays on both disks. */
static VmpFsckView *
sound_view(void)
{
    VmpFsckView *view = view_on("/i/a.s1", "/i/b.s1");

    add_image(view, "/i/a.qcow2", NULL);
    add_image(view, "/i/b.qcow2", NULL);
    add_image(view, "/i/a.s1", "/i/a.qcow2");
    add_image(view, "/i/b.s1", "/i/b.qcow2");
    add_snapshot(view, "s1", NULL, "/i/a.qcow2", "/i/b.qcow2", "s1")->current = TRUE;
    return view;
}

/* "code:disk ..." in order. */
static void
assert_codes(const VmpFsckView *view, const char *expected)
{
    g_autoptr(GPtrArray) findings = vmp_fsck_compare(view);
    g_autoptr(GString) said = g_string_new(NULL);

    for (guint i = 0; i < findings->len; i++) {
        const VmpFinding *finding = g_ptr_array_index(findings, i);
        g_string_append_printf(said, "%s%s:%s", i ? " " : "", finding->code,
                               finding->disk ? finding->disk : "-");
    }
    g_assert_cmpstr(said->str, ==, expected);
}

static void
test_a_sound_tree_has_no_findings(void)
{
    g_autoptr(VmpFsckView) view = sound_view();

    assert_codes(view, "");
}

static void
test_a_missing_image_is_said_once(void)
{
    g_autoptr(VmpFsckView) view = sound_view();

    add_failure(view, "/i/a.qcow2", VMP_ERROR_NOT_FOUND);
    assert_codes(view, "image-missing:vda backing-lost:-");
    add_failure(view, "/i/a.qcow2", VMP_ERROR_DAMAGED);
    assert_codes(view, "image-unreadable:vda");
}

/* What the disk wrote to then: named, but not gone back to. */
static void
test_a_disk_that_a_snapshot_leaves_out_may_be_gone(void)
{
    g_autoptr(VmpFsckView) view = view_on("/i/a.qcow2", "/i/b.qcow2");
    VmpFsckSnapshot *entry = NULL;

    add_image(view, "/i/a.qcow2", NULL);
    add_image(view, "/i/b.qcow2", NULL);
    add_failure(view, "/i/gone.qcow2", VMP_ERROR_NOT_FOUND);
    entry = add_snapshot(view, "s1", NULL, "/i/a.qcow2", "/i/gone.qcow2", "s1");
    assert_codes(view, "image-missing:vdb");
    vmp_snapshot_find_disk(entry->snapshot, "vdb")->location = VMP_LOCATION_NO;
    assert_codes(view, "");
}

static void
test_a_lost_link_is_mended_only_where_the_store_knows(void)
{
    g_autoptr(VmpFsckView) view = sound_view();
    const char *format = NULL;

    add_image(view, "/i/a.s1", "/gone.qcow2");
    g_assert_cmpstr(vmp_fsck_true_backing(view, "/i/a.s1", &format), ==, "/i/a.qcow2");
    g_assert_cmpstr(format, ==, "qcow2");
    g_assert_null(vmp_fsck_true_backing(view, "/i/a.other", &format));
    assert_codes(view, "backing-lost:- tree-differs:vda");

    g_autoptr(GPtrArray) off = vmp_fsck_compare(view);
    g_assert_cmpint(((VmpFinding *)g_ptr_array_index(off, 0))->cure, ==, VMP_CURE_REPAIR);
    /* QEMU has it open: its header is not ours to write. */
    view->on = TRUE;
    g_autoptr(GPtrArray) on = vmp_fsck_compare(view);
    g_assert_cmpint(((VmpFinding *)g_ptr_array_index(on, 0))->cure, ==, VMP_CURE_NONE);
}

static void
test_a_tree_whose_images_stand_elsewhere_differs(void)
{
    g_autoptr(VmpFsckView) view = sound_view();

    add_image(view, "/i/other.qcow2", NULL);
    add_image(view, "/i/a.s1", "/i/other.qcow2");
    assert_codes(view, "tree-differs:vda");
    /* Unless somebody has asked for that. */
    g_hash_table_add(view->pulled, g_strdup("/i/a.s1"));
    assert_codes(view, "");
    g_hash_table_remove_all(view->pulled);
}

static void
test_a_loop_of_links_ends(void)
{
    g_autoptr(VmpFsckView) view = sound_view();

    add_image(view, "/i/a.qcow2", "/i/a.s1");
    g_assert_false(vmp_fsck_rests_on(view, "/i/a.s1", "/i/nowhere"));
    g_assert_true(vmp_fsck_rests_on(view, "/i/a.s1", "/i/a.qcow2"));
    assert_codes(view, "");
}

static void
test_what_qemu_has_open_is_compared_by_path(void)
{
    g_autoptr(VmpFsckView) view = sound_view();

    view->on = TRUE;
    view->active = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                         (GDestroyNotify)vmp_fsck_active_free);
    g_hash_table_insert(view->active, g_strdup("vda"),
                        vmp_fsck_active_new("/i/a.s1", "qcow2"));
    g_hash_table_insert(view->active, g_strdup("vdb"), vmp_fsck_active_new("/i/b.x", "qcow2"));
    assert_codes(view, "definition-differs:vdb");
}

static void
add_copy(VmpFsckView *view, const char *path, const char *role, const char *snapshot)
{
    VmpStoreFile *file = g_new0(VmpStoreFile, 1);

    file->path = g_strdup(path);
    file->role = g_strdup(role);
    file->point = g_strdup(snapshot);
    g_ptr_array_add(view->files, file);
}

/* Of a snapshot that is not known (any more) it is an orphan; what is no snapshot's is none.
 */
static void
test_a_copy_that_is_gone_or_damaged_is_told(void)
{
    g_autoptr(VmpFsckView) view = sound_view();

    add_copy(view, "/p/1.nvram", "nvram", "s1");
    add_copy(view, "/p/1.tpm", "tpm", "s1");
    add_copy(view, "/n/vm_VARS.fd", "nvram", NULL);
    assert_codes(view, "");
    g_hash_table_add(view->gone, g_strdup("/p/1.tpm"));
    g_hash_table_insert(view->damage, g_strdup("/p/1.nvram"), g_strdup("it is damaged"));
    assert_codes(view, "part-damaged:- part-missing:-");
    add_copy(view, "/p/2.tpm", "tpm", "forgotten");
    assert_codes(view, "part-damaged:- part-missing:- file-orphaned:-");
}

static void
test_files_that_others_rest_on_are_no_orphans(void)
{
    g_autoptr(VmpFsckView) view = sound_view();
    static const char *const paths[] = { "/i/a.s1", "/i/a.left", "/i/a.gone" };

    for (gsize i = 0; i < G_N_ELEMENTS(paths); i++) {
        VmpStoreFile *file = g_new0(VmpStoreFile, 1);
        file->path = g_strdup(paths[i]);
        file->role = g_strdup("overlay");
        g_ptr_array_add(view->files, file);
    }
    g_hash_table_add(view->gone, g_strdup("/i/a.gone"));
    assert_codes(view, "file-orphaned:- file-forgotten:-");
    g_hash_table_add(view->foreign, g_strdup("/i/a.left"));
    assert_codes(view, "file-forgotten:-");
}

/* ---- adopting ---- */

static void
assert_adopted(const VmpFsckView *view, const char *expected)
{
    g_auto(VmpFsckAdoption) adoption = { NULL };
    g_autoptr(GString) said = g_string_new(NULL);

    vmp_fsck_adopt(view, 9, &adoption);
    for (guint i = 0; i < adoption.snapshots->len; i++) {
        const VmpSnapshot *snapshot = g_ptr_array_index(adoption.snapshots, i);
        g_autoptr(GError) error = NULL;
        g_autoptr(VmpDomain) past = vmp_domain_parse(snapshot->domain_xml, -1, &error);
        g_assert_no_error(error);
        g_string_append_printf(said, "%s<%s(%s) ", snapshot->name,
                               snapshot->parent ? snapshot->parent : "-",
                               vmp_domain_find_disk(past, "vda")->source);
    }
    for (guint i = 0; i < adoption.checkpoints->len; i++) {
        const VmpCheckpoint *checkpoint = g_ptr_array_index(adoption.checkpoints, i);
        g_string_append_printf(said, "%s<%s[%u] ", checkpoint->name,
                               checkpoint->parent ? checkpoint->parent : "-",
                               checkpoint->disks->len);
    }
    g_assert_cmpstr(g_strchomp(said->str), ==, expected);
}

static void
test_layers_above_what_is_known_are_adopted_bottom_up(void)
{
    g_autoptr(VmpFsckView) view = view_on("/i/a.s3", "/i/b.s3");

    for (int i = 0; i < 2; i++) {
        const char *stem = i ? "/i/b" : "/i/a";
        g_autofree char *base = g_strconcat(stem, ".qcow2", NULL);
        g_autofree char *one = g_strconcat(stem, ".s1", NULL);
        g_autofree char *two = g_strconcat(stem, ".s2", NULL);
        g_autofree char *three = g_strconcat(stem, ".s3", NULL);
        add_image(view, base, NULL);
        add_image(view, one, base);
        add_image(view, two, one);
        add_image(view, three, two);
    }
    assert_adopted(view, "s1<-(/i/a.qcow2) s2<s1(/i/a.s1) s3<s2(/i/a.s2)");
    add_snapshot(view, "s1", NULL, "/i/a.qcow2", "/i/b.qcow2", "s1")->current = TRUE;
    assert_adopted(view, "s2<s1(/i/a.s1) s3<s2(/i/a.s2)");

    /* A layer that we made is no stranger's: its snapshot was deleted. */
    VmpStoreFile *file = g_new0(VmpStoreFile, 1);
    file->path = g_strdup("/i/a.s3");
    file->role = g_strdup("overlay");
    g_ptr_array_add(view->files, file);
    assert_adopted(view, "");
}

static void
test_layers_that_disks_do_not_share_are_not_guessed_at(void)
{
    g_autoptr(VmpFsckView) view = view_on("/i/a.s1", "/i/b.s2");

    add_image(view, "/i/a.qcow2", NULL);
    add_image(view, "/i/b.qcow2", NULL);
    add_image(view, "/i/a.s1", "/i/a.qcow2");
    add_image(view, "/i/b.s2", "/i/b.qcow2");
    assert_adopted(view, "");
}

static void
test_a_clone_of_a_template_is_not_adopted(void)
{
    g_autoptr(VmpFsckView) view = view_on("/i/a.qcow2", "/i/b.qcow2");

    add_image(view, "/t/template.qcow2", NULL);
    add_image(view, "/i/a.qcow2", "/t/template.qcow2");
    add_image(view, "/i/b.qcow2", "/t/template.qcow2");
    assert_adopted(view, "");
    assert_codes(view, "");
}

static VmpInternalSnapshot *
held(const char *tag, const char *id, gint64 date, guint64 memory)
{
    VmpInternalSnapshot *snapshot = g_new0(VmpInternalSnapshot, 1);

    snapshot->tag = g_strdup(tag);
    snapshot->id = g_strdup(id);
    snapshot->date = date;
    snapshot->vm_state_size = memory;
    return snapshot;
}

static void
test_internal_snapshots_are_adopted_by_their_dates(void)
{
    g_autoptr(VmpFsckView) view = view_on("/i/a.qcow2", "/i/b.qcow2");
    VmpImage *a = add_image(view, "/i/a.qcow2", NULL);
    VmpImage *b = add_image(view, "/i/b.qcow2", NULL);

    g_ptr_array_add(a->snapshots, held("later", "1", 20, 4096));
    g_ptr_array_add(a->snapshots, held("sooner", "2", 10, 0));
    g_ptr_array_add(a->snapshots, held("half", "3", 5, 0));
    g_ptr_array_add(b->snapshots, held("sooner", "1", 10, 0));
    g_ptr_array_add(b->snapshots, held("later", "2", 20, 0));
    assert_adopted(view, "sooner<-(/i/a.qcow2) later<sooner(/i/a.qcow2)");

    g_auto(VmpFsckAdoption) adoption = { NULL };
    vmp_fsck_adopt(view, 9, &adoption);
    const VmpSnapshot *later = g_ptr_array_index(adoption.snapshots, 1);
    g_assert_cmpint(later->state, ==, VMP_STATE_RUNNING);
    g_assert_cmpint(later->memory, ==, VMP_LOCATION_INTERNAL);
    g_assert_cmpint(later->creation_time, ==, 20);
}

static void
add_bitmap(VmpImage *image, const char *name, gboolean recording, gboolean inconsistent)
{
    VmpBitmap *bitmap = g_new0(VmpBitmap, 1);

    bitmap->name = g_strdup(name);
    bitmap->persistent = TRUE;
    bitmap->recording = recording;
    bitmap->inconsistent = inconsistent;
    g_ptr_array_add(image->bitmaps, bitmap);
}

static void
test_bitmaps_that_record_become_checkpoints(void)
{
    g_autoptr(VmpFsckView) view = view_on("/i/a.qcow2", "/i/b.qcow2");
    VmpImage *a = add_image(view, "/i/a.qcow2", NULL);
    VmpImage *b = add_image(view, "/i/b.qcow2", NULL);

    add_bitmap(a, "c1", TRUE, FALSE);
    add_bitmap(a, "frozen", FALSE, FALSE);
    add_bitmap(a, "broken", TRUE, TRUE);
    add_bitmap(a, "no name", TRUE, FALSE);
    add_bitmap(a, "c2", TRUE, FALSE);
    add_bitmap(b, "c2", TRUE, FALSE);
    assert_adopted(view, "c1<-[1] c2<c1[2]");
    assert_codes(view, "bitmap-unknown:vda bitmap-unknown:vda bitmap-unknown:vda "
                       "bitmap-unknown:vda bitmap-unknown:vda bitmap-unknown:vdb");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/point/fsck/" #name, test_##name)
    TEST(a_sound_tree_has_no_findings);
    TEST(a_missing_image_is_said_once);
    TEST(a_disk_that_a_snapshot_leaves_out_may_be_gone);
    TEST(a_lost_link_is_mended_only_where_the_store_knows);
    TEST(a_tree_whose_images_stand_elsewhere_differs);
    TEST(a_loop_of_links_ends);
    TEST(what_qemu_has_open_is_compared_by_path);
    TEST(a_copy_that_is_gone_or_damaged_is_told);
    TEST(files_that_others_rest_on_are_no_orphans);
    TEST(layers_above_what_is_known_are_adopted_bottom_up);
    TEST(layers_that_disks_do_not_share_are_not_guessed_at);
    TEST(a_clone_of_a_template_is_not_adopted);
    TEST(internal_snapshots_are_adopted_by_their_dates);
    TEST(bitmaps_that_record_become_checkpoints);
    return g_test_run();
}
