/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Redefining one point: each check is a row, and a row that is refused leaves the store as it
 * was. */

#include "point/checkpoint.h"
#include "point/redefine.h"
#include "point/snapshot.h"
#include "test-point-fixture.h"

/* What a row says of its document: %D is the definition, %O one of another guest, %U one of
 * another domain. */
typedef struct {
    const char *name;
    const char *before; /* a document that is redefined first; or NULL */
    const char *xml;
    guint flags;
    int code;         /* 0 = it is taken */
    const char *says; /* in the error, or in the dump */
} Row;

#define SNAPSHOT(state, more)                     \
    "<domainsnapshot><name>s</name><state>" state \
    "</state><creationTime>5</creationTime>" more "</domainsnapshot>"
#define ROOT                                                                                 \
    "<domainsnapshot><name>r</name><state>shutoff</state><creationTime>1</creationTime>%D</" \
    "domainsnapshot>"
#define DISK_ONLY SNAPSHOT("disk-snapshot", "%D")

static const Row snapshots[] = {
    { "a-name-is-required", NULL,
      "<domainsnapshot><state>shutoff</state><creationTime>5</creationTime>%D</"
      "domainsnapshot>",
      0, VMP_ERROR_INVALID, "<name>" },
    { "a-creation-time-is-required", NULL,
      "<domainsnapshot><name>s</name><state>shutoff</state>%D</domainsnapshot>", 0,
      VMP_ERROR_INVALID, "<creationTime>" },
    { "a-state-is-required", NULL,
      "<domainsnapshot><name>s</name><creationTime>5</creationTime>%D</domainsnapshot>", 0,
      VMP_ERROR_INVALID, "<state>" },
    { "a-name-has-no-slash", NULL,
      "<domainsnapshot><name>a/b</name><state>shutoff</state><creationTime>5</"
      "creationTime>%D</domainsnapshot>",
      0, VMP_ERROR_INVALID, "a/b" },
    { "the-state-pmsuspended-is-refused", NULL, SNAPSHOT("pmsuspended", "%D"), 0,
      VMP_ERROR_UNSUPPORTED, "pmsuspended" },
    { "the-state-blocked-is-refused", NULL, SNAPSHOT("blocked", "%D"), 0,
      VMP_ERROR_UNSUPPORTED, "blocked" },
    { "the-state-nostate-is-refused", NULL, SNAPSHOT("nostate", "%D"), 0, VMP_ERROR_INVALID,
      "nostate" },
    { "a-parent-must-be-there", NULL, SNAPSHOT("shutoff", "<parent><name>r</name></parent>%D"),
      0, VMP_ERROR_INVALID, "'r'" },
    { "a-parent-that-is-there-is-taken", ROOT,
      SNAPSHOT("shutoff", "<parent><name>r</name></parent>%D"), 0, 0, "<name>r</name>" },
    { "a-parent-is-not-the-snapshot-itself", NULL,
      SNAPSHOT("shutoff", "<parent><name>s</name></parent>%D"), 0, VMP_ERROR_INVALID,
      "own parent" },
    { "the-domain-uuid-must-be-equal", NULL, SNAPSHOT("shutoff", "%U"), 0, VMP_ERROR_INVALID,
      "the document is of the domain" },
    { "disk-only-needs-the-state-disk-snapshot", NULL, SNAPSHOT("shutoff", "%D"),
      VMP_SNAPSHOT_CREATE_DISK_ONLY, VMP_ERROR_INVALID, "disk-snapshot" },
    { "the-state-disk-snapshot-does-not-need-disk-only", NULL, DISK_ONLY, 0, 0,
      "<state>disk-snapshot</state>" },
    { "a-known-name-may-not-switch-from-offline-to-online", SNAPSHOT("shutoff", "%D"),
      SNAPSHOT("running", "%D"), 0, VMP_ERROR_INVALID, "online and offline" },
    { "a-known-name-may-not-switch-from-disk-only-to-full", DISK_ONLY,
      SNAPSHOT("shutoff", "%D"), 0, VMP_ERROR_INVALID, "disk-only and full" },
    { "a-known-name-keeps-its-guest-abi", SNAPSHOT("shutoff", "%D"), SNAPSHOT("shutoff", "%O"),
      0, VMP_ERROR_INVALID, "another machine" },
    { "a-known-name-may-leave-the-domain-out", SNAPSHOT("shutoff", "%D"),
      SNAPSHOT("shutoff", "<description>new</description>"), 0, 0, "<domain type='qemu'>" },
    { "an-unknown-name-may-leave-the-domain-out-and-is-marked", NULL, SNAPSHOT("shutoff", ""),
      0, 0, "<name>s</name>" },
    { "a-disk-that-is-not-said-is-external-in-a-disk-only-one", NULL, DISK_ONLY, 0, 0,
      "<source file='/i/a.s'/>" },
    { "a-disk-that-is-not-said-is-internal-otherwise", NULL, SNAPSHOT("shutoff", "%D"), 0, 0,
      "<disk name='vdb' snapshot='internal'/>" },
    { "a-disk-that-the-domain-has-not-is-refused", NULL,
      SNAPSHOT("shutoff", "<disks><disk name='vdz'/></disks>%D"), 0, VMP_ERROR_NOT_FOUND,
      "vdz" },
    { "a-disk-is-listed-once", NULL,
      SNAPSHOT("shutoff", "<disks><disk name='vda'/><disk name='/i/a.qcow2'/></disks>%D"), 0,
      VMP_ERROR_INVALID, "twice" },
    { "memory-defaults-to-no-for-shutoff", NULL, SNAPSHOT("shutoff", "%D"), 0, 0,
      "<memory snapshot='no'/>" },
    { "memory-defaults-to-internal-otherwise", NULL, SNAPSHOT("running", "%D"), 0, 0,
      "<memory snapshot='internal'/>" },
    { "live-is-excluded", NULL, SNAPSHOT("shutoff", "%D"), VMP_SNAPSHOT_CREATE_LIVE,
      VMP_ERROR_INVALID, "live" },
    { "halt-is-excluded", NULL, SNAPSHOT("shutoff", "%D"), VMP_SNAPSHOT_CREATE_HALT,
      VMP_ERROR_INVALID, "halt" },
    { "no-metadata-is-excluded", NULL, SNAPSHOT("shutoff", "%D"),
      VMP_SNAPSHOT_CREATE_NO_METADATA, VMP_ERROR_INVALID, "no-metadata" },
};

#define CHECKPOINT(more)                                                       \
    "<domaincheckpoint><name>c</name><creationTime>5</creationTime>" more "</" \
    "domaincheckpoint>"
#define DISKS "<disks><disk name='vda' checkpoint='bitmap'/></disks>"

static const Row checkpoints[] = {
    { "a-name-is-required", NULL,
      "<domaincheckpoint><creationTime>5</creationTime>" DISKS "%D</domaincheckpoint>", 0,
      VMP_ERROR_INVALID, "<name>" },
    { "a-creation-time-is-required", NULL,
      "<domaincheckpoint><name>c</name>" DISKS "%D</domaincheckpoint>", 0, VMP_ERROR_INVALID,
      "<creationTime>" },
    { "a-domain-is-required-where-no-bitmap-proves-it", NULL, CHECKPOINT(DISKS), 0,
      VMP_ERROR_INVALID, "--no-domain" },
    { "the-uuid-must-be-equal", NULL, CHECKPOINT(DISKS "%U"), 0, VMP_ERROR_INVALID,
      "the document is of the domain" },
    { "a-parent-must-be-there", NULL, CHECKPOINT("<parent><name>r</name></parent>" DISKS "%D"),
      0, VMP_ERROR_INVALID, "'r'" },
    { "a-disk-is-one-of-the-domain", NULL, CHECKPOINT("<disks><disk name='vdz'/></disks>%D"),
      0, VMP_ERROR_INVALID, "vdz" },
    { "a-disk-is-listed-once", NULL,
      CHECKPOINT("<disks><disk name='vda'/><disk name='/i/a.qcow2'/></disks>%D"), 0,
      VMP_ERROR_INVALID, "twice" },
    { "a-bitmap-has-the-name-of-the-checkpoint-where-none-is-said", NULL,
      CHECKPOINT(DISKS "%D"), 0, 0, "bitmap='c'" },
    { "quiesce-is-excluded", NULL, CHECKPOINT(DISKS "%D"), VMP_CHECKPOINT_CREATE_QUIESCE,
      VMP_ERROR_INVALID, "quiesce" },
    { "extra-elements-fail-the-schema", NULL, CHECKPOINT("<state>shutoff</state>" DISKS "%D"),
      0, VMP_ERROR_INVALID, "state" },
};

/* @template with its definitions filled in. */
static char *
fill(const char *template)
{
    g_autofree char *own = point_domain("/i/a.qcow2", "/i/b.qcow2", "");
    g_autofree char *other =
        point_domain("/i/a.qcow2", "/i/b.qcow2",
                     "<tpm model='tpm-tis'><backend type='emulator'/></tpm>"
                     "<controller type='scsi' model='virtio-scsi'/>");
    GString *text = g_string_new(template);
    g_autoptr(GString) foreign = g_string_new(own);

    g_string_replace(foreign, "6695eb01", "7695eb01", 0);
    g_string_replace(text, "%D", own, 0);
    g_string_replace(text, "%O", other, 0);
    g_string_replace(text, "%U", foreign->str, 0);
    return g_string_free(text, FALSE);
}

typedef struct {
    const Row *row;
    VmpPointKind kind;
} Case;

static char *
redefine(Fixture *fixture, VmpPointKind kind, const char *template, guint flags,
         GError **error)
{
    g_autofree char *xml = fill(template);

    return kind == VMP_POINT_SNAPSHOT
               ? vmp_point_redefine_snapshot(fixture->machine, xml, flags, error)
               : vmp_point_redefine_checkpoint(fixture->machine, xml, flags, error);
}

static char *
dump(Fixture *fixture, VmpPointKind kind, const char *name)
{
    g_autoptr(GError) error = NULL;
    char *xml = kind == VMP_POINT_SNAPSHOT
                    ? vmp_point_get_snapshot_xml(fixture->machine, name,
                                                 VMP_SNAPSHOT_FORMAT_SECURE, &error)
                    : vmp_point_get_checkpoint_xml(fixture->machine, name,
                                                   VMP_CHECKPOINT_FORMAT_SECURE, &error);

    g_assert_no_error(error);
    return xml;
}

/* All documents there are. */
static char *
dump_all(Fixture *fixture, VmpPointKind kind)
{
    g_autoptr(GPtrArray) rows =
        vmp_store_list_points(vmp_machine_get_store(fixture->machine),
                              vmp_machine_get_row(fixture->machine)->id, kind, FALSE, NULL);
    GString *all = g_string_new(NULL);

    for (guint i = 0; i < rows->len; i++) {
        const VmpStorePoint *row = g_ptr_array_index(rows, i);
        g_autofree char *xml = dump(fixture, kind, row->name);
        g_string_append_printf(all, "%d %s", row->current, xml);
    }
    return g_string_free(all, FALSE);
}

static void
row_holds(Fixture *fixture, gconstpointer data)
{
    const Case *tried = data;
    const Row *row = tried->row;
    g_autoptr(GError) error = NULL;

    if (row->before) {
        g_autofree char *first = redefine(fixture, tried->kind, row->before, 0, &error);
        g_assert_no_error(error);
    }
    g_autofree char *before = dump_all(fixture, tried->kind);
    g_autofree char *name = redefine(fixture, tried->kind, row->xml, row->flags, &error);
    if (row->code) {
        g_assert_null(name);
        g_assert_error(error, VMP_ERROR, row->code);
        g_assert_nonnull(strstr(error->message, row->says));
        g_autofree char *after = dump_all(fixture, tried->kind);
        g_assert_cmpstr(before, ==, after);
        return;
    }
    g_assert_no_error(error);
    g_autofree char *xml = dump(fixture, tried->kind, name);
    g_assert_nonnull(strstr(xml, row->says));

    /* What was taken is dumped to what is taken, and dumped the same. */
    g_autofree char *again = redefine(fixture, tried->kind, xml, 0, &error);
    if (strstr(xml, "<domain type"))
        g_assert_no_error(error);
    g_autofree char *same = dump(fixture, tried->kind, name);
    g_assert_cmpstr(xml, ==, same);
}

/* ---- what a row cannot say ---- */

static const VmpStorePoint *
current_of(const GPtrArray *rows)
{
    for (guint i = 0; i < rows->len; i++)
        if (((VmpStorePoint *)g_ptr_array_index(rows, i))->current)
            return g_ptr_array_index(rows, i);
    return NULL;
}

static void
assert_current(Fixture *fixture, VmpPointKind kind, const char *name)
{
    g_autoptr(GPtrArray) rows =
        vmp_store_list_points(vmp_machine_get_store(fixture->machine),
                              vmp_machine_get_row(fixture->machine)->id, kind, FALSE, NULL);
    const VmpStorePoint *row = current_of(rows);

    g_assert_cmpstr(row ? row->name : NULL, ==, name);
}

static void
current_moves_only_when_it_is_asked_to(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autofree char *r =
        redefine(fixture, VMP_POINT_SNAPSHOT, ROOT, VMP_SNAPSHOT_CREATE_CURRENT, NULL);
    assert_current(fixture, VMP_POINT_SNAPSHOT, "r");
    g_autofree char *s = redefine(fixture, VMP_POINT_SNAPSHOT, DISK_ONLY, 0, NULL);
    assert_current(fixture, VMP_POINT_SNAPSHOT, "r");
    g_autofree char *moved =
        redefine(fixture, VMP_POINT_SNAPSHOT, DISK_ONLY, VMP_SNAPSHOT_CREATE_CURRENT, NULL);
    assert_current(fixture, VMP_POINT_SNAPSHOT, "s");
    g_autofree char *again = redefine(fixture, VMP_POINT_SNAPSHOT, DISK_ONLY, 0, NULL);
    assert_current(fixture, VMP_POINT_SNAPSHOT, "s");
}

static void
a_checkpoint_becomes_current_if_its_parent_is_or_none_is(Fixture *fixture,
                                                         gconstpointer data G_GNUC_UNUSED)
{
    static const char *const documents[] = {
        "<domaincheckpoint><name>a</name><creationTime>1</creationTime>" DISKS
        "%D</domaincheckpoint>",
        "<domaincheckpoint><name>b</name><parent><name>a</name></parent><creationTime>2</"
        "creationTime>" DISKS "%D</domaincheckpoint>",
        "<domaincheckpoint><name>c</name><parent><name>a</name></parent><creationTime>3</"
        "creationTime>" DISKS "%D</domaincheckpoint>",
    };
    static const char *const current[] = { "a", "b", "b" };

    for (guint i = 0; i < G_N_ELEMENTS(documents); i++) {
        g_autofree char *name = redefine(fixture, VMP_POINT_CHECKPOINT, documents[i], 0, NULL);
        g_assert_nonnull(name);
        assert_current(fixture, VMP_POINT_CHECKPOINT, current[i]);
    }
}

static void
a_cycle_is_refused_and_children_keep_their_link(Fixture *fixture,
                                                gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *r = redefine(fixture, VMP_POINT_SNAPSHOT, ROOT, 0, NULL);
    g_autofree char *s =
        redefine(fixture, VMP_POINT_SNAPSHOT,
                 SNAPSHOT("shutoff", "<parent><name>r</name></parent>%D"), 0, NULL);
    g_autofree char *cycle =
        redefine(fixture, VMP_POINT_SNAPSHOT,
                 "<domainsnapshot><name>r</name><state>shutoff</state><parent><name>s</name></"
                 "parent><creationTime>1</creationTime>%D</domainsnapshot>",
                 0, &error);

    g_assert_null(cycle);
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, "cycle"));
    g_autofree char *again = redefine(fixture, VMP_POINT_SNAPSHOT, ROOT, 0, NULL);
    g_assert_nonnull(again);
    g_autofree char *xml = dump(fixture, VMP_POINT_SNAPSHOT, "s");
    g_assert_nonnull(strstr(xml, "<name>r</name>"));
}

static void
what_a_backup_noted_of_a_checkpoint_is_kept(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    VmpStore *store = vmp_machine_get_store(fixture->machine);
    gint64 domain = vmp_machine_get_row(fixture->machine)->id;
    g_autofree char *name =
        redefine(fixture, VMP_POINT_CHECKPOINT, CHECKPOINT(DISKS "%D"), 0, NULL);
    g_autoptr(VmpStorePoint) row =
        vmp_store_find_point(store, domain, VMP_POINT_CHECKPOINT, "c", NULL);

    row->extra = g_strdup("{\"targets\":{}}");
    g_assert_true(vmp_store_put_point(store, row, NULL));
    g_autofree char *again =
        redefine(fixture, VMP_POINT_CHECKPOINT, CHECKPOINT(DISKS "%D"), 0, NULL);
    g_autoptr(VmpStorePoint) after =
        vmp_store_find_point(store, domain, VMP_POINT_CHECKPOINT, "c", NULL);
    g_assert_cmpstr(after->extra, ==, "{\"targets\":{}}");
}

#define ADD(path, func) \
    g_test_add("/point/redefine/" path, Fixture, NULL, point_set_up, func, point_tear_down)

static void
add_rows(const Row *rows, gsize length, VmpPointKind kind, const char *folder)
{
    for (gsize i = 0; i < length; i++) {
        g_autofree char *path =
            g_strconcat("/point/redefine/", folder, "/", rows[i].name, NULL);
        Case *tried = g_new0(Case, 1);

        *tried = (Case){ &rows[i], kind };
        g_test_add_vtable(path, sizeof(Fixture), tried,
                          (GTestFixtureFunc)(void (*)(void))point_set_up,
                          (GTestFixtureFunc)(void (*)(void))row_holds,
                          (GTestFixtureFunc)(void (*)(void))point_tear_down);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_rows(snapshots, G_N_ELEMENTS(snapshots), VMP_POINT_SNAPSHOT, "snapshot");
    add_rows(checkpoints, G_N_ELEMENTS(checkpoints), VMP_POINT_CHECKPOINT, "checkpoint");
    ADD("current-moves-only-when-it-is-asked-to", current_moves_only_when_it_is_asked_to);
    ADD("a-checkpoint-becomes-current-if-its-parent-is-or-none-is",
        a_checkpoint_becomes_current_if_its_parent_is_or_none_is);
    ADD("a-cycle-is-refused-and-children-keep-their-link",
        a_cycle_is_refused_and_children_keep_their_link);
    ADD("what-a-backup-noted-of-a-checkpoint-is-kept",
        what_a_backup_noted_of_a_checkpoint_is_kept);
    return g_test_run();
}
