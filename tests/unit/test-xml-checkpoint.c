/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <vmpoint/checkpoint-record.h>

#include "test-xml-fixture.h"
#include "test-xml-schema.h"

#define CREATE VMP_CHECKPOINT_PARSE_CREATE
#define REDEFINE VMP_CHECKPOINT_PARSE_REDEFINE

#define CHECKPOINT(inner) "<domaincheckpoint>" inner "</domaincheckpoint>"
#define PAST "<name>c</name><creationTime>5</creationTime>"
#define PAST_OUT "  <name>c</name>\n"
#define TIME_OUT "  <creationTime>5</creationTime>\n"
#define DISKS(inner) CHECKPOINT("<disks>" inner "</disks>")
#define DISKS_OUT(inner) "  <disks>\n" inner "  </disks>\n"
#define DOMAIN                                                                           \
    "<domain type='kvm'><name>d</name><uuid>c797a770-a2ce-4364-b2a3-1c450ad69915</uuid>" \
    "<memory>1</memory><os><type>hvm</type></os></domain>"

static VmpCheckpoint *
parse(const char *xml, VmpCheckpointParseFlags flags)
{
    g_autoptr(GError) error = NULL;
    VmpCheckpoint *checkpoint = vmp_checkpoint_parse(xml, -1, flags, &error);

    g_assert_no_error(error);
    g_assert_nonnull(checkpoint);
    return checkpoint;
}

typedef struct {
    const char *row;
    VmpCheckpointParseFlags flags;
    const char *xml;
    const char *output;
} Reading;

static const Reading readings[] = {
    { "name-is-optional-on-create", CREATE, CHECKPOINT(""), "" },
    { "name-follows-the-pattern", CREATE, CHECKPOINT("<name>-_A.9</name>"),
      "  <name>-_A.9</name>\n" },
    { "description-is-any-text", CREATE, CHECKPOINT("<description>a\n&lt;b&gt;</description>"),
      "  <description>a\n&lt;b&gt;</description>\n" },
    { "creation-time-is-ignored-on-create", CREATE,
      CHECKPOINT("<creationTime>5</creationTime>"), "" },
    { "parent-is-ignored-on-create", CREATE, CHECKPOINT("<parent><name>p</name></parent>"),
      "" },
    { "domain-is-ignored-on-create", CREATE, CHECKPOINT(DOMAIN), "" },
    { "creation-time-zero-is-a-time", REDEFINE,
      CHECKPOINT("<name>c</name><creationTime>0</creationTime>"),
      "  <name>c</name>\n  <creationTime>0</creationTime>\n" },
    { "the-largest-creation-time", REDEFINE,
      CHECKPOINT("<name>c</name><creationTime>9223372036854775807</creationTime>"),
      "  <name>c</name>\n  <creationTime>9223372036854775807</creationTime>\n" },
    { "parent-is-read-on-redefine", REDEFINE,
      CHECKPOINT(PAST "<parent><name>p</name></parent>"),
      PAST_OUT "  <parent>\n    <name>p</name>\n  </parent>\n" TIME_OUT },
    { "domain-is-optional-on-redefine", REDEFINE, CHECKPOINT(PAST), PAST_OUT TIME_OUT },
    { "domain-is-read-on-redefine", REDEFINE, CHECKPOINT(PAST DOMAIN),
      PAST_OUT TIME_OUT "  " DOMAIN "\n" },
    { "elements-come-in-any-order", REDEFINE,
      CHECKPOINT(DOMAIN "<disks><disk name='vda'/></disks><creationTime>5</creationTime>"
                        "<parent><name>p</name></parent><!-- c --><name>c</name>"),
      PAST_OUT "  <parent>\n    <name>p</name>\n  </parent>\n" TIME_OUT DISKS_OUT(
          "    <disk name='vda'/>\n") "  " DOMAIN "\n" },
    { "a-listed-disk-is-wanted", CREATE, DISKS("<disk name='vda'/>"),
      DISKS_OUT("    <disk name='vda'/>\n") },
    { "disk-name-may-be-a-path", CREATE, DISKS("<disk name='/images/a b'/>"),
      DISKS_OUT("    <disk name='/images/a b'/>\n") },
    { "checkpoint-no", CREATE, DISKS("<disk name='vda' checkpoint='no'/>"),
      DISKS_OUT("    <disk name='vda' checkpoint='no'/>\n") },
    { "checkpoint-bitmap-with-a-name", CREATE,
      DISKS("<disk name='vda' checkpoint='bitmap' bitmap='x y'/>"),
      DISKS_OUT("    <disk name='vda' checkpoint='bitmap' bitmap='x y'/>\n") },
    { "size-is-ignored-on-input", REDEFINE,
      CHECKPOINT(PAST "<disks><disk name='vda' checkpoint='bitmap' size='65536'/></disks>"),
      PAST_OUT TIME_OUT DISKS_OUT("    <disk name='vda' checkpoint='bitmap'/>\n") },
};

static void
test_reading(gconstpointer data)
{
    const Reading *reading = data;
    g_autofree char *expected =
        reading->output[0] == '\0'
            ? g_strdup("<domaincheckpoint/>\n")
            : g_strdup_printf("<domaincheckpoint>\n%s</domaincheckpoint>\n", reading->output);
    g_autoptr(VmpCheckpoint) checkpoint = parse(reading->xml, reading->flags);
    g_autofree char *text = vmp_checkpoint_format(checkpoint, VMP_CHECKPOINT_FORMAT_SIZE);
    g_assert_cmpstr(text, ==, expected);

    g_autoptr(VmpCheckpoint) again = parse(text, reading->flags);
    g_autofree char *same = vmp_checkpoint_format(again, VMP_CHECKPOINT_FORMAT_SIZE);
    g_assert_cmpstr(same, ==, text);
}

typedef struct {
    const char *row;
    VmpCheckpointParseFlags flags;
    const char *xml;
    const char *part;
} Refusal;

static const Refusal refusals[] = {
    { "another-document", CREATE, "<domainsnapshot/>", "the root element is" },
    { "unknown-elements", CREATE, CHECKPOINT("\n<frob/>"),
      "line 2: <frob>: is not allowed in <domaincheckpoint>" },
    { "state", REDEFINE, CHECKPOINT(PAST "<state>running</state>"),
      "<state>: is not allowed" },
    { "active", REDEFINE, CHECKPOINT(PAST "<active>1</active>"), "<active>: is not allowed" },
    { "memory", CREATE, CHECKPOINT("<memory snapshot='no'/>"), "<memory>: is not allowed" },
    { "attributes-of-the-root", CREATE, "<domaincheckpoint mode='x'/>", "attribute 'mode'" },
    { "text-between-elements", CREATE, CHECKPOINT("text"), "text is not allowed here" },
    { "a-name-given-twice", CREATE, CHECKPOINT("<name>a</name><name>b</name>"),
      "is given twice" },
    { "an-empty-name", CREATE, CHECKPOINT("<name/>"), "name is empty" },
    { "a-name-with-a-blank", CREATE, CHECKPOINT("<name>a b</name>"), "letters, digits" },
    { "a-name-with-a-colon", CREATE, CHECKPOINT("<name>a:b</name>"), "letters, digits" },
    { "a-name-with-a-slash", CREATE, CHECKPOINT("<name>a/b</name>"), "letters, digits" },
    { "a-name-with-a-leading-dot", CREATE, CHECKPOINT("<name>.a</name>"), "begins with '.'" },
    { "a-name-with-elements", CREATE, CHECKPOINT("<name>a<b/></name>"),
      "<b>: is not allowed" },
    { "name-is-required-on-redefine", REDEFINE, CHECKPOINT("<creationTime>5</creationTime>"),
      "<name> is missing" },
    { "creation-time-is-required-on-redefine", REDEFINE, CHECKPOINT("<name>c</name>"),
      "<creationTime> is missing" },
    { "a-negative-creation-time", CREATE, CHECKPOINT("<creationTime>-5</creationTime>"),
      "'-5' is not a number of seconds" },
    { "a-creation-time-too-large", CREATE,
      CHECKPOINT("<creationTime>9223372036854775808</creationTime>"),
      "is not a number of seconds" },
    { "a-parent-without-a-name", CREATE, CHECKPOINT("<parent/>"),
      "<parent>: <name> is missing" },
    { "a-parent-with-more-than-a-name", CREATE,
      CHECKPOINT("<parent><name>p</name><uuid/></parent>"),
      "<uuid>: is not allowed in <parent>" },
    { "a-parent-with-a-bad-name", CREATE, CHECKPOINT("<parent><name>a b</name></parent>"),
      "letters, digits" },
    { "an-empty-disk-list", CREATE, CHECKPOINT("<disks/>"), "an empty list" },
    { "something-else-in-the-disk-list", CREATE, DISKS("<disk name='vda'/><disc/>"),
      "<disc>: is not allowed in <disks>" },
    { "a-disk-without-a-name", CREATE, DISKS("<disk/>"), "<disk>: name is missing" },
    { "a-disk-name-that-is-neither", CREATE, DISKS("<disk name='disk1'/>"),
      "name='disk1' is neither a disk target nor an absolute path" },
    { "a-relative-disk-path", CREATE, DISKS("<disk name='images/a'/>"), "is neither" },
    { "a-disk-given-twice", CREATE, DISKS("<disk name='vda'/>\n<disk name='vda'/>"),
      "line 2: <disk>: name='vda' is given twice" },
    { "other-checkpoint-words", CREATE, DISKS("<disk name='vda' checkpoint='yes'/>"),
      "checkpoint='yes' is not one of: no bitmap" },
    { "no-with-a-bitmap", CREATE, DISKS("<disk name='vda' checkpoint='no' bitmap='x'/>"),
      "allows neither" },
    { "no-with-a-size", CREATE, DISKS("<disk name='vda' checkpoint='no' size='1'/>"),
      "allows neither" },
    { "a-size-that-is-no-number", CREATE, DISKS("<disk name='vda' size='big'/>"),
      "size='big' is not a number" },
    { "attributes-of-other-documents", CREATE, DISKS("<disk name='vda' snapshot='no'/>"),
      "attribute 'snapshot'" },
    { "elements-in-a-disk", CREATE, DISKS("<disk name='vda'><source file='/a'/></disk>"),
      "<source>: is not allowed in <disk>" },
    { "a-domain-of-a-uuid-alone", REDEFINE,
      CHECKPOINT(PAST "<domain><uuid>c797a770-a2ce-4364-b2a3-1c450ad69915</uuid></domain>"),
      "must be a complete domain" },
    { "a-domain-that-is-none-even-on-create", CREATE,
      CHECKPOINT("\n<domain type='kvm'><name>d</name></domain>"),
      "line 2: <domain>: <memory>" },
    { "an-inactive-domain", REDEFINE, CHECKPOINT(PAST "<inactiveDomain/>"), "is not allowed" },
};

static void
test_refusal(gconstpointer data)
{
    const Refusal *refusal = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpCheckpoint) checkpoint =
        vmp_checkpoint_parse(refusal->xml, -1, refusal->flags, &error);

    g_assert_null(checkpoint);
    assert_invalid(error, refusal->part);
    g_assert_nonnull(strstr(error->message, "XML: line "));
}

static void
test_disks(void)
{
    g_autoptr(VmpCheckpoint) none = parse(CHECKPOINT(""), CREATE);
    g_autoptr(VmpCheckpoint) some =
        parse(DISKS("<disk name='vda'/><disk name='vdb' checkpoint='no'/>"
                    "<disk name='vdc' checkpoint='bitmap' bitmap='b'/>"),
              CREATE);
    const VmpCheckpointDisk *vda = vmp_checkpoint_find_disk(some, "vda");
    const VmpCheckpointDisk *vdb = vmp_checkpoint_find_disk(some, "vdb");
    const VmpCheckpointDisk *vdc = vmp_checkpoint_find_disk(some, "vdc");

    g_assert_null(none->disks);
    g_assert_null(vmp_checkpoint_find_disk(none, "vda"));
    g_assert_null(vmp_checkpoint_find_disk(some, "vd"));
    g_assert_cmpint(none->creation_time, ==, -1);
    g_assert_true(vda->wanted);
    g_assert_false(vda->bitmap_set);
    g_assert_null(vda->bitmap);
    g_assert_cmpint(vda->size, ==, -1);
    g_assert_false(vdb->wanted);
    g_assert_true(vdb->bitmap_set);
    g_assert_true(vdc->wanted);
    g_assert_cmpstr(vdc->bitmap, ==, "b");
}

static void
test_size(void)
{
    g_autoptr(VmpCheckpoint) checkpoint = parse(DISKS("<disk name='vda'/>"), CREATE);

    vmp_checkpoint_find_disk(checkpoint, "vda")->size = 65536;
    g_autofree char *with = vmp_checkpoint_format(checkpoint, VMP_CHECKPOINT_FORMAT_SIZE);
    g_autofree char *without =
        vmp_checkpoint_format(checkpoint, VMP_CHECKPOINT_FORMAT_DEFAULT);
    g_assert_nonnull(strstr(with, "<disk name='vda' size='65536'/>"));
    g_assert_nonnull(strstr(without, "<disk name='vda'/>"));
}

static void
test_whole_document(void)
{
    g_autofree char *xml = read_data("checkpoint-full.xml");
    g_autoptr(VmpCheckpoint) checkpoint = parse(xml, REDEFINE);
    g_autoptr(VmpCheckpoint) copy = vmp_checkpoint_copy(checkpoint);
    g_clear_pointer(&checkpoint, vmp_checkpoint_free);
    g_autofree char *text = vmp_checkpoint_format(copy, VMP_CHECKPOINT_FORMAT_SECURE);
    g_autofree char *hidden = vmp_checkpoint_format(copy, VMP_CHECKPOINT_FORMAT_DEFAULT);
    g_autofree char *masked = replace(xml, " passwd='secret'", "");
    g_autofree char *bare = vmp_checkpoint_format(copy, VMP_CHECKPOINT_FORMAT_NO_DOMAIN);

    g_assert_cmpstr(text, ==, xml);
    g_assert_cmpstr(hidden, ==, masked);
    g_assert_cmpstr(copy->domain_uuid, ==, "c797a770-a2ce-4364-b2a3-1c450ad69915");
    g_assert_null(strstr(bare, "<domain "));
}

static void
test_long_names(void)
{
    g_autofree char *name = repeat("n", 10000);
    g_autofree char *xml = replace(CHECKPOINT("<name>@</name>"), "@", name);
    g_autofree char *disk = replace(DISKS("<disk name='/@'/>"), "@", name);
    g_autoptr(GError) error = NULL;

    g_assert_null(vmp_checkpoint_parse(xml, -1, CREATE, &error));
    assert_invalid(error, "has 10000 bytes, at most 255 are allowed");
    g_autoptr(VmpCheckpoint) checkpoint = parse(disk, CREATE);
    g_assert_cmpuint(checkpoint->disks->len, ==, 1);
}

static char *
format(const char *xml)
{
    g_autoptr(VmpCheckpoint) checkpoint = parse(xml, CREATE);

    return vmp_checkpoint_format(checkpoint, VMP_CHECKPOINT_FORMAT_DEFAULT);
}

/* Rows that are newer than the schema, and rows that the schema would let pass. */
static const char *const newer[] = { NULL };
static const char *const ours[] = { "name-is-required-on-redefine",
                                    "creation-time-is-required-on-redefine",
                                    "a-creation-time-too-large",
                                    "a-disk-given-twice",
                                    "a-domain-that-is-none-even-on-create",
                                    NULL };

/* What we read the schema accepts, before and after; what we refuse it refuses. */
static void
test_schema_agrees(void)
{
    g_autoptr(GPtrArray) accepted = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) refused = g_ptr_array_new_with_free_func(g_free);

    if (!have_schema("domaincheckpoint.rng"))
        return;
    for (guint i = 0; i < G_N_ELEMENTS(readings); i++) {
        GPtrArray *judged = g_strv_contains(newer, readings[i].row) ? refused : accepted;
        g_ptr_array_add(judged, g_strdup(readings[i].xml));
        g_ptr_array_add(judged, format(readings[i].xml));
    }
    for (guint i = 0; i < G_N_ELEMENTS(refusals); i++) {
        GPtrArray *judged = g_strv_contains(ours, refusals[i].row) ? accepted : refused;
        g_ptr_array_add(judged, g_strdup(refusals[i].xml));
    }
    assert_schema_judges("domaincheckpoint.rng", accepted, TRUE);
    assert_schema_judges("domaincheckpoint.rng", refused, FALSE);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    for (guint i = 0; i < G_N_ELEMENTS(readings); i++) {
        g_autofree char *path = g_strconcat("/xml/checkpoint/reads/", readings[i].row, NULL);
        g_test_add_data_func(path, &readings[i], test_reading);
    }
    for (guint i = 0; i < G_N_ELEMENTS(refusals); i++) {
        g_autofree char *path = g_strconcat("/xml/checkpoint/refuses/", refusals[i].row, NULL);
        g_test_add_data_func(path, &refusals[i], test_refusal);
    }
    g_test_add_func("/xml/checkpoint/what-is-not-said-is-told-from-what-is", test_disks);
    g_test_add_func("/xml/checkpoint/size-is-written-only-when-asked-for", test_size);
    g_test_add_func("/xml/checkpoint/a-whole-document-comes-back-to-the-byte",
                    test_whole_document);
    g_test_add_func("/xml/checkpoint/the-schema-agrees", test_schema_agrees);
    g_test_add_func("/xml/checkpoint/a-name-of-10000-bytes-is-refused-cleanly",
                    test_long_names);
    return g_test_run();
}
