/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* All points in one document: what is dumped is taken back, what is damaged is not, and what
 * is not taken leaves everything as it was. */

#include <fcntl.h>
#include <unistd.h>

#include "point/bulk.h"
#include "point/checkpoint.h"
#include "point/redefine.h"
#include "point/snapshot.h"
#include "test-point-fixture.h"

/* ---- streams in memory ---- */

typedef struct {
    const char *text;
    gsize length, at;
    gsize portion; /* so much at once */
} Input;

static gssize
read_input(gpointer data, char *buffer, gsize size, GError **error G_GNUC_UNUSED)
{
    Input *input = data;
    gsize taken = MIN(MIN(size, input->portion), input->length - input->at);

    memcpy(buffer, input->text + input->at, taken);
    input->at += taken;
    return (gssize)taken;
}

static gboolean
write_output(gpointer data, const char *bytes, gsize length, GError **error G_GNUC_UNUSED)
{
    g_string_append_len(data, bytes, (gssize)length);
    return TRUE;
}

static char *
dump(Fixture *fixture, VmpPointKind kind, gboolean secure)
{
    g_autoptr(GError) error = NULL;
    GString *text = g_string_new(NULL);

    g_assert_true(vmp_bulk_write(fixture->machine, kind, secure, write_output, text, &error));
    g_assert_no_error(error);
    return g_string_free(text, FALSE);
}

static gint64
take(Fixture *fixture, VmpPointKind kind, const char *text, gsize portion, GError **error)
{
    Input input = { text, strlen(text), 0, portion };

    return vmp_bulk_read(fixture->machine, kind, 0, read_input, &input, error);
}

/* The store as its users see it: every single dump. */
static char *
look(Fixture *fixture, VmpPointKind kind)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) rows =
        vmp_store_list_points(vmp_machine_get_store(fixture->machine),
                              vmp_machine_get_row(fixture->machine)->id, kind, FALSE, &error);
    GString *all = g_string_new(NULL);

    g_assert_no_error(error);
    for (guint i = 0; i < rows->len; i++) {
        const VmpStorePoint *row = g_ptr_array_index(rows, i);
        g_autofree char *xml =
            kind == VMP_POINT_SNAPSHOT
                ? vmp_point_get_snapshot_xml(fixture->machine, row->name,
                                             VMP_SNAPSHOT_FORMAT_SECURE, &error)
                : vmp_point_get_checkpoint_xml(fixture->machine, row->name,
                                               VMP_CHECKPOINT_FORMAT_SECURE, &error);
        g_assert_no_error(error);
        g_string_append_printf(all, "%d %s", row->current, xml);
    }
    return g_string_free(all, FALSE);
}

static void
forget_all(Fixture *fixture, VmpPointKind kind)
{
    VmpStore *store = vmp_machine_get_store(fixture->machine);
    gint64 domain = vmp_machine_get_row(fixture->machine)->id;
    g_autoptr(GPtrArray) rows = vmp_store_list_points(store, domain, kind, FALSE, NULL);

    for (guint i = 0; i < rows->len; i++)
        g_assert_true(vmp_store_remove_point(
            store, domain, kind, ((VmpStorePoint *)g_ptr_array_index(rows, i))->name, NULL));
    g_assert_cmpint(vmp_store_collect_definitions(store, NULL), >=, 0);
}

/* ---- making points ---- */

static void
redefine(Fixture *fixture, VmpPointKind kind, const char *xml, guint flags)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *name =
        kind == VMP_POINT_SNAPSHOT
            ? vmp_point_redefine_snapshot(fixture->machine, xml, flags, &error)
            : vmp_point_redefine_checkpoint(fixture->machine, xml, flags, &error);

    g_assert_no_error(error);
}

/* Text that an escape or a cut could hurt. */
static const char *const awkward[] = {
    "",
    "plain",
    "&lt;&amp;&gt; '\"",
    "\xc3\xa9\xe2\x82\xac\xf0\x9f\x92\xbe",
    "line\nline",
    "&#13;\n&#13;",
    "]]&gt;",
    "\t ",
};

static char *
random_definition(GRand *random, guint number)
{
    static const char *const more[] = {
        "",
        "    <graphics type='vnc' passwd='se&quot;cret'/>\n",
        "    <!-- \xc3\xa9 &amp; ' -->\n",
        "    <disk type='file'><source file='/c&apos;d'/><target dev='vdc'/></disk>\n",
    };
    g_autofree char *vda = g_strdup_printf("/i/a%s.s%u", number % 3 ? "" : "\xc3\xa9", number);
    g_autofree char *vdb = g_strdup_printf("/i/b.s%u", g_rand_boolean(random) ? number : 0);

    return point_domain(vda, vdb, more[g_rand_int_range(random, 0, G_N_ELEMENTS(more))]);
}

static char *
random_point(GRand *random, VmpPointKind kind, guint number)
{
    const char *root = vmp_bulk_point_name(kind);
    g_autofree char *domain = random_definition(random, g_rand_boolean(random) ? number : 7);
    g_autoptr(GString) inactive = g_string_new(g_rand_boolean(random) ? domain : "");
    GString *xml = g_string_new(NULL);

    g_string_append_printf(xml, "<%s><name>p%u</name><description>%s</description>", root,
                           number,
                           awkward[g_rand_int_range(random, 0, G_N_ELEMENTS(awkward))]);
    if (kind == VMP_POINT_SNAPSHOT)
        g_string_append(xml,
                        g_rand_boolean(random)
                            ? "<state>running</state><memory snapshot='external' file='/m'/>"
                            : "<state>disk-snapshot</state>");
    if (number > 0 && g_rand_int_range(random, 0, 5) > 0)
        g_string_append_printf(xml, "<parent><name>p%d</name></parent>",
                               g_rand_int_range(random, 0, (gint32)number));
    g_string_append_printf(xml, "<creationTime>%d</creationTime>",
                           g_rand_int_range(random, 0, 100));
    if (kind == VMP_POINT_CHECKPOINT)
        g_string_append(xml,
                        "<disks><disk name='vda'/><disk name='vdb' checkpoint='no'/></disks>");
    g_string_append(xml, domain);
    if (kind == VMP_POINT_SNAPSHOT && inactive->len > 0) {
        g_string_replace(inactive, "<domain ", "<inactiveDomain ", 1);
        g_string_replace(inactive, "</domain>", "</inactiveDomain>", 1);
        g_string_append(xml, inactive->str);
    }
    g_string_append_printf(xml, "</%s>", root);
    return g_string_free(xml, FALSE);
}

static void
make_tree(Fixture *fixture, GRand *random, VmpPointKind kind, guint count)
{
    for (guint i = 0; i < count; i++) {
        g_autofree char *xml = random_point(random, kind, i);
        guint flags = kind == VMP_POINT_SNAPSHOT && g_rand_boolean(random)
                          ? VMP_SNAPSHOT_CREATE_CURRENT
                          : 0;
        redefine(fixture, kind, xml, flags);
    }
}

static const VmpPointKind kinds[] = { VMP_POINT_SNAPSHOT, VMP_POINT_CHECKPOINT };

/* ---- properties; GLib prints the seed, and takes it with --seed ---- */

static void
what_is_dumped_forgotten_and_taken_back_is_the_same(Fixture *fixture,
                                                    gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(g_test_rand_int_range(0, G_MAXINT32));

    for (guint round = 0; round < 20; round++) {
        VmpPointKind kind = kinds[round % 2];
        g_autoptr(GError) error = NULL;

        make_tree(fixture, random, kind, 1 + round * 2);
        g_autofree char *before = look(fixture, kind);
        g_autofree char *text = dump(fixture, kind, TRUE);
        forget_all(fixture, kind);
        gsize portion = round % 3 ? G_MAXSIZE : 1 + round;
        gint64 count = take(fixture, kind, text, portion, &error);
        g_assert_no_error(error);
        g_assert_cmpint(count, ==, 1 + round * 2);
        g_autofree char *after = look(fixture, kind);
        g_autofree char *again = dump(fixture, kind, TRUE);
        g_assert_cmpstr(before, ==, after);
        g_assert_cmpstr(text, ==, again);

        /* Over the same, too. */
        g_assert_cmpint(take(fixture, kind, text, G_MAXSIZE, &error), ==, count);
        g_assert_no_error(error);
        g_autofree char *over = dump(fixture, kind, TRUE);
        g_assert_cmpstr(text, ==, over);
        forget_all(fixture, kind);
    }
}

static void
damage_is_refused_or_harmless(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(g_test_rand_int_range(0, G_MAXINT32));
    guint refused = 0;

    make_tree(fixture, random, VMP_POINT_SNAPSHOT, 6);
    g_autofree char *text = dump(fixture, VMP_POINT_SNAPSHOT, TRUE);
    gsize length = strlen(text);
    g_autofree char *before = look(fixture, VMP_POINT_SNAPSHOT);

    for (guint i = 0; i < 300; i++) {
        g_autofree char *damaged = g_strdup(text);
        g_autoptr(GError) error = NULL;

        damaged[g_rand_int_range(random, 0, (gint32)length)] ^=
            (char)(1 << g_rand_int_range(random, 0, 7));
        if (take(fixture, VMP_POINT_SNAPSHOT, damaged, G_MAXSIZE, &error) < 0) {
            g_assert_nonnull(error);
            g_assert_true(g_utf8_validate(error->message, -1, NULL));
            g_autofree char *after = look(fixture, VMP_POINT_SNAPSHOT);
            g_assert_cmpstr(before, ==, after);
            refused++;
            continue;
        }
        g_free(before);
        before = look(fixture, VMP_POINT_SNAPSHOT);
    }
    g_assert_cmpuint(refused, >, 0);
    g_autoptr(GError) error = NULL;
    g_assert_true(vmp_store_verify(vmp_machine_get_store(fixture->machine), &error));
}

static void
a_document_that_is_cut_off_anywhere_is_refused(Fixture *fixture,
                                               gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(g_test_rand_int_range(0, G_MAXINT32));

    make_tree(fixture, random, VMP_POINT_SNAPSHOT, 3);
    g_autofree char *text = dump(fixture, VMP_POINT_SNAPSHOT, TRUE);
    forget_all(fixture, VMP_POINT_SNAPSHOT);
    g_strchomp(text);
    for (gsize length = 0; length < strlen(text); length += 1 + length % 7) {
        g_autofree char *cut = g_strndup(text, length);
        g_autoptr(GError) error = NULL;

        g_assert_cmpint(take(fixture, VMP_POINT_SNAPSHOT, cut, G_MAXSIZE, &error), ==, -1);
        g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
    }
    g_autofree char *nothing = look(fixture, VMP_POINT_SNAPSHOT);
    g_assert_cmpstr(nothing, ==, "");
}

/* ---- what is written ---- */

static guint
count_of(const char *text, const char *word)
{
    guint count = 0;

    for (; (text = strstr(text, word)); text++)
        count++;
    return count;
}

static void
a_definition_is_written_once_and_then_only_what_differs(Fixture *fixture,
                                                        gconstpointer data G_GNUC_UNUSED)
{
    for (guint i = 0; i < 4; i++) {
        g_autofree char *image = g_strdup_printf("/i/a.s%u", i / 2);
        g_autofree char *domain = point_domain(image, "/i/b.qcow2", "");
        g_autofree char *xml =
            g_strdup_printf("<domainsnapshot><name>s%u</name><state>shutoff</state>"
                            "<creationTime>%u</creationTime>%s</domainsnapshot>",
                            i, i, domain);
        redefine(fixture, VMP_POINT_SNAPSHOT, xml, 0);
    }
    g_autofree char *text = dump(fixture, VMP_POINT_SNAPSHOT, TRUE);
    g_assert_cmpuint(count_of(text, "<definition "), ==, 2);
    g_assert_cmpuint(count_of(text, "&lt;name&gt;d"), ==, 1);
    g_assert_cmpuint(count_of(text, "<domain ref='1'/>"), ==, 2);
    g_assert_cmpuint(count_of(text, "<domain ref='2'/>"), ==, 2);
    g_assert_nonnull(strstr(text, "'>1</definition>"));
}

static void
a_dump_without_secrets_says_so_and_is_not_taken_back(Fixture *fixture,
                                                     gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < 3; i++) {
        g_autofree char *image = g_strdup_printf("/i/a.s%u", i);
        g_autofree char *domain =
            point_domain(image, "/i/b.qcow2", "<graphics type='vnc' passwd='hush'/>");
        g_autofree char *xml =
            g_strdup_printf("<domainsnapshot><name>s%u</name><state>shutoff</state>"
                            "<creationTime>%u</creationTime>%s</domainsnapshot>",
                            i, i, domain);
        redefine(fixture, VMP_POINT_SNAPSHOT, xml, 0);
    }
    g_autofree char *before = look(fixture, VMP_POINT_SNAPSHOT);
    g_autofree char *masked = dump(fixture, VMP_POINT_SNAPSHOT, FALSE);
    g_assert_null(strstr(masked, "hush"));
    g_assert_cmpuint(count_of(masked, "like='1'"), ==, 2);
    g_assert_cmpint(take(fixture, VMP_POINT_SNAPSHOT, masked, G_MAXSIZE, &error), ==, -1);
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, "--security-info"));
    g_autofree char *after = look(fixture, VMP_POINT_SNAPSHOT);
    g_assert_cmpstr(before, ==, after);
    g_autofree char *whole = dump(fixture, VMP_POINT_SNAPSHOT, TRUE);
    g_assert_nonnull(strstr(whole, "hush"));
}

/* ---- hostile documents ---- */

#define DOMAIN                                                                                \
    "&lt;domain "                                                                             \
    "type='qemu'>&lt;name>d&lt;/name>&lt;memory>65536&lt;/memory>&lt;os>&lt;type>hvm&lt;/"    \
    "type>&lt;/os>"                                                                           \
    "&lt;devices>&lt;disk type='file'>&lt;driver type='qcow2'/>&lt;source file='/\xc3\xa9'/>" \
    "&lt;target dev='vda'/>&lt;/disk>&lt;/devices>&lt;/domain>"
#define ONE "<definition id='1'>" DOMAIN "</definition>"
#define POINT(name, ref, more)                                                             \
    "<domainsnapshot><name>" name                                                          \
    "</name><state>shutoff</state><creationTime>1</creationTime>" more "<domain ref='" ref \
    "'/></domainsnapshot>"
#define ALL(content) "<domainsnapshots>" content "</domainsnapshots>"

static const struct {
    const char *name, *text, *says;
} hostile[] = {
    { "a-reference-to-nothing", ALL(POINT("a", "1", "")), "ref='1'" },
    { "a-reference-that-is-no-number", ALL(ONE POINT("a", "x", "")), "ref" },
    { "a-huge-reference", ALL(ONE POINT("a", "18446744073709551615", "")),
      "18446744073709551615" },
    { "a-number-out-of-order",
      ALL("<definition id='2'>" DOMAIN "</definition>" POINT("a", "2", "")), "id='2'" },
    { "a-number-that-is-there-twice", ALL(ONE POINT("a", "1", "") ONE), "id='1'" },
    { "a-definition-like-itself",
      ALL("<definition id='1' like='1' first='0' last='0'>x</definition>"), "like='1'" },
    { "a-definition-like-a-later-one",
      ALL("<definition id='1' like='2' first='0' last='0'>x</definition>"), "like='2'" },
    { "ends-that-overlap",
      ALL(ONE POINT("a", "1", "") "<definition id='2' like='1' first='200' last='200'/>"),
      "more than there is" },
    { "ends-that-are-huge",
      ALL(ONE POINT("a", "1",
                    "") "<definition id='2' like='1' first='18446744073709551615' last='2'/>"),
      "more than there is" },
    { "ends-that-are-negative",
      ALL(ONE POINT("a", "1", "") "<definition id='2' like='1' first='-1' last='2'/>"),
      "first" },
    { "an-end-without-the-other",
      ALL(ONE POINT("a", "1", "") "<definition id='2' like='1' first='1'/>"), "last" },
    { "ends-that-make-no-domain",
      ALL(ONE POINT("a", "1", "") "<definition id='2' like='1' first='9' last='9'/>"),
      "line 1" },
    { "a-middle-that-ends-its-value",
      ALL(ONE POINT(
          "a", "1",
          "") "<definition id='2' like='1' first='150' last='70'>'&gt;</definition>"),
      "line 1" },
    { "a-definition-that-nobody-uses",
      ALL(ONE POINT("a", "1", "") "<definition id='2'>" DOMAIN "</definition>"), "not used" },
    { "a-definition-that-is-no-domain", ALL("<definition id='1'>&lt;x/></definition>"),
      "line 1" },
    { "a-domain-where-an-inactive-one-belongs",
      ALL(ONE "<domainsnapshot><name>a</name><state>shutoff</state>"
              "<creationTime>1</creationTime><inactiveDomain ref='1'/></domainsnapshot>"),
      "inactiveDomain" },
    { "a-name-that-is-there-twice", ALL(ONE POINT("a", "1", "") POINT("a", "1", "")),
      "twice" },
    { "a-child-before-its-parent",
      ALL(ONE POINT("b", "1", "<parent><name>a</name></parent>") POINT("a", "1", "")),
      "parents come first" },
    { "a-cycle",
      ALL(ONE POINT("a", "1", "<parent><name>b</name></parent>")
              POINT("b", "1", "<parent><name>a</name></parent>")),
      "parents come first" },
    { "its-own-parent", ALL(ONE POINT("a", "1", "<parent><name>a</name></parent>")),
      "own parent" },
    { "another-domain", "<domainsnapshots uuid='7695eb01-f6a4-8304-79aa-97f2502e193f'/>",
      "the document is of the domain" },
    { "a-current-one-that-is-not-there", "<domainsnapshots current='x'/>", "'x'" },
    { "another-root", "<domaincheckpoints/>", "root" },
    { "an-unknown-attribute", "<domainsnapshots x='y'/>", "x" },
    { "text-between", ALL("text"), "line 1" },
    { "a-comment-between", ALL("<!-- x -->"), "line 1" },
    { "another-element", ALL("<other/>"), "other" },
    { "something-behind", ALL("") "<x/>", "follows" },
    { "another-end", "<domainsnapshots></domaincheckpoints>", "end tag" },
    { "a-document-type", "<!DOCTYPE x><domainsnapshots/>", "document type" },
    { "a-bomb-of-entities",
      "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b "
      "'&a;&a;&a;'>]><domainsnapshots>&b;</domainsnapshots>",
      "document type" },
    { "an-entity-of-its-own", ALL("<definition id='1'>&x;</definition>"), "reference" },
    { "a-character-that-is-none", ALL("<definition id='1'>&#0;</definition>"), "reference" },
    { "another-encoding", "<?xml version='1.0' encoding='latin1'?><domainsnapshots/>",
      "UTF-8" },
    { "bytes-that-are-no-text", ALL("<definition id='1'>\xff</definition>"), "UTF-8" },
    { "markup-in-a-definition", ALL("<definition id='1'><a/></definition>"), "" },
    { "nothing", "", "ends too early" },
};

static void
is_refused(Fixture *fixture, gconstpointer data)
{
    gsize index = GPOINTER_TO_SIZE(data);

    for (gsize portion = 1; portion <= 64; portion *= 64) {
        g_autoptr(GError) error = NULL;
        g_assert_cmpint(
            take(fixture, VMP_POINT_SNAPSHOT, hostile[index].text, portion, &error), ==, -1);
        g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
        if (!strstr(error->message, hostile[index].says))
            g_error("'%s' is not in: %s", hostile[index].says, error->message);
        g_autofree char *nothing = look(fixture, VMP_POINT_SNAPSHOT);
        g_assert_cmpstr(nothing, ==, "");
    }
}

static void
nesting_without_end_is_refused(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GString) text = g_string_new("<domainsnapshots>");
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < 100000; i++)
        g_string_append(text, "<a>");
    g_assert_cmpint(take(fixture, VMP_POINT_SNAPSHOT, text->str, G_MAXSIZE, &error), ==, -1);
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, "nested too deeply"));
}

/* ---- folders ---- */

static void
write_file(Fixture *fixture, const char *name, const char *text)
{
    g_autofree char *dir = g_build_filename(fixture->dir, "points", NULL);
    g_autofree char *path = g_build_filename(dir, name, NULL);

    g_mkdir(dir, 0700);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static gint64
take_folder(Fixture *fixture, GError **error)
{
    g_autofree char *dir = g_build_filename(fixture->dir, "points", NULL);

    return vmp_bulk_read_folder(fixture->machine, VMP_POINT_SNAPSHOT, 0, dir, error);
}

static void
libvirts_folder_is_taken_in_any_order(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    static const char *const names[] = { "c", "b", "a" }; /* each the child of the next */
    g_autofree char *domain = point_domain("/i/a.qcow2", "/i/b.qcow2", "");
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *file = g_strdup_printf("%u.xml", i);
        g_autofree char *text = g_strdup_printf(
            "<!--\nWARNING: THIS IS AN AUTO-GENERATED FILE. CHANGES TO IT ARE LIKELY TO "
            "BE\n-->\n"
            "<domainsnapshot><name>%s</name><state>shutoff</state>%s%s%s<creationTime>1</"
            "creationTime>%s<active>%d</active></domainsnapshot>\n",
            names[i], i < 2 ? "<parent><name>" : "", i < 2 ? names[i + 1] : "",
            i < 2 ? "</name></parent>" : "", domain, i == 1);
        write_file(fixture, file, text);
    }
    write_file(fixture, "notes.txt", "not one of them");
    g_assert_cmpint(take_folder(fixture, &error), ==, 3);
    g_assert_no_error(error);
    g_autoptr(VmpStorePoint) current = vmp_store_find_current_point(
        vmp_machine_get_store(fixture->machine), vmp_machine_get_row(fixture->machine)->id,
        VMP_POINT_SNAPSHOT, NULL);
    g_assert_cmpstr(current->name, ==, "b");
    g_assert_cmpstr(current->parent, ==, "a");
}

static void
one_bad_file_in_a_folder_is_named_and_none_is_taken(Fixture *fixture,
                                                    gconstpointer data G_GNUC_UNUSED)
{
    g_autofree char *domain = point_domain("/i/a.qcow2", "/i/b.qcow2", "");
    g_autofree char *good =
        g_strdup_printf("<domainsnapshot><name>a</name><state>shutoff</state><creationTime>1</"
                        "creationTime>%s</domainsnapshot>",
                        domain);
    g_autofree char *orphan = g_strdup_printf(
        "<domainsnapshot><name>b</name><parent><name>z</name></parent><state>shutoff</"
        "state><creationTime>1</creationTime>%s</domainsnapshot>",
        domain);
    const char *const bad[] = { orphan, good, "<domainsnapshot>", "<domain/>" };

    write_file(fixture, "1.xml", good);
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        write_file(fixture, "2.xml", bad[i]);
        g_assert_cmpint(take_folder(fixture, &error), ==, -1);
        g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
        g_assert_nonnull(strstr(error->message, "2.xml"));
        g_autofree char *nothing = look(fixture, VMP_POINT_SNAPSHOT);
        g_assert_cmpstr(nothing, ==, "");
    }
}

#define ADD(path, func) \
    g_test_add("/point/bulk/" path, Fixture, NULL, point_set_up, func, point_tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("what-is-dumped-forgotten-and-taken-back-is-the-same",
        what_is_dumped_forgotten_and_taken_back_is_the_same);
    ADD("damage-is-refused-or-harmless", damage_is_refused_or_harmless);
    ADD("a-document-that-is-cut-off-anywhere-is-refused",
        a_document_that_is_cut_off_anywhere_is_refused);
    ADD("a-definition-is-written-once-and-then-only-what-differs",
        a_definition_is_written_once_and_then_only_what_differs);
    ADD("a-dump-without-secrets-says-so-and-is-not-taken-back",
        a_dump_without_secrets_says_so_and_is_not_taken_back);
    for (gsize i = 0; i < G_N_ELEMENTS(hostile); i++) {
        g_autofree char *path = g_strconcat("/point/bulk/refuses/", hostile[i].name, NULL);
        g_test_add(path, Fixture, GSIZE_TO_POINTER(i), point_set_up, is_refused,
                   point_tear_down);
    }
    ADD("nesting-without-end-is-refused", nesting_without_end_is_refused);
    ADD("libvirts-folder-is-taken-in-any-order", libvirts_folder_is_taken_in_any_order);
    ADD("one-bad-file-in-a-folder-is-named-and-none-is-taken",
        one_bad_file_in_a_folder_is_named_and_none_is_taken);
    return g_test_run();
}
