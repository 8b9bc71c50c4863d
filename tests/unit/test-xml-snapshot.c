/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <vmpoint/snapshot-record.h>

#include "test-xml-fixture.h"
#include "xml/snapshot-disk.h"

#define CREATE VMP_SNAPSHOT_PARSE_CREATE
#define REDEFINE VMP_SNAPSHOT_PARSE_REDEFINE

#define SNAPSHOT(inner) "<domainsnapshot>" inner "</domainsnapshot>"
#define PAST(state) "<name>s</name><state>" state "</state><creationTime>5</creationTime>"
#define DISKS(inner) SNAPSHOT("<disks>" inner "</disks>")
#define DOMAIN                                                                           \
    "<domain type='kvm'><name>d</name><uuid>c797a770-a2ce-4364-b2a3-1c450ad69915</uuid>" \
    "<memory>1</memory><os><type>hvm</type></os></domain>"

static VmpSnapshot *
parse(const char *xml, VmpSnapshotParseFlags flags)
{
    g_autoptr(GError) error = NULL;
    VmpSnapshot *snapshot = vmp_snapshot_parse(xml, -1, flags, &error);

    g_assert_no_error(error);
    g_assert_nonnull(snapshot);
    return snapshot;
}

/* Documents in, documents out. */

typedef struct {
    const char *row; /* of the table of rules, in words */
    VmpSnapshotParseFlags flags;
    const char *xml;
    const char *output; /* without the <domainsnapshot> around it */
} Reading;

static const Reading readings[] = {
    { "name-is-optional-on-create", CREATE, SNAPSHOT(""), "" },
    { "an-empty-name-is-none", CREATE, SNAPSHOT("<name/>"), "" },
    { "an-empty-description-is-none", CREATE, SNAPSHOT("<name>n</name><description/>"),
      "  <name>n</name>\n" },
    { "name-may-be-any-text", CREATE, SNAPSHOT("<name>a/&lt;b&gt; c</name>"),
      "  <name>a/&lt;b&gt; c</name>\n" },
    { "state-is-ignored-on-create", CREATE, SNAPSHOT("<state>on-fire</state>"), "" },
    { "creation-time-is-ignored-on-create", CREATE,
      SNAPSHOT("<creationTime>soon</creationTime>"), "" },
    { "parent-is-ignored-on-create", CREATE, SNAPSHOT("<parent><name>p</name></parent>"), "" },
    { "domain-is-ignored-on-create", CREATE, SNAPSHOT("<domain type='nonsense'/>"), "" },
    { "inactive-domain-is-ignored-on-create", CREATE, SNAPSHOT("<inactiveDomain/>"), "" },
    { "cookie-is-ignored-on-create", CREATE, SNAPSHOT("<cookie><x/></cookie>"), "" },
    { "revert-disks-are-not-read-on-create", CREATE,
      SNAPSHOT("<revertDisks><disk/></revertDisks>"), "" },
    { "delete-in-progress-is-not-read-on-create", CREATE,
      DISKS("<disk name='vda'><snapshotDeleteInProgress/></disk>"),
      "  <disks>\n    <disk name='vda'/>\n  </disks>\n" },
    { "active-is-not-read-on-create", CREATE, SNAPSHOT("<active>1</active>"), "" },
    { "unknown-elements-are-ignored", CREATE,
      SNAPSHOT("<frob x='1'><name>no</name></frob><name>n</name>"), "  <name>n</name>\n" },

    { "every-state-word-but-nostate-is-read-on-redefine", REDEFINE,
      SNAPSHOT(PAST("pmsuspended")),
      "  <name>s</name>\n  <state>pmsuspended</state>\n  <creationTime>5</creationTime>\n"
      "  <memory snapshot='internal'/>\n" },
    { "memory-defaults-to-internal-on-redefine", REDEFINE, SNAPSHOT(PAST("paused")),
      "  <name>s</name>\n  <state>paused</state>\n  <creationTime>5</creationTime>\n"
      "  <memory snapshot='internal'/>\n" },
    { "memory-defaults-to-no-for-shutoff", REDEFINE, SNAPSHOT(PAST("shutoff")),
      "  <name>s</name>\n  <state>shutoff</state>\n  <creationTime>5</creationTime>\n"
      "  <memory snapshot='no'/>\n" },
    { "memory-defaults-to-no-for-disk-snapshot", REDEFINE, SNAPSHOT(PAST("disk-snapshot")),
      "  <name>s</name>\n  <state>disk-snapshot</state>\n  <creationTime>5</creationTime>\n"
      "  <memory snapshot='no'/>\n" },
    { "memory-has-no-default-on-create", CREATE, SNAPSHOT("<memory/>"), "" },
    { "creation-time-may-be-any-integer", REDEFINE,
      SNAPSHOT("<name>s</name><state>shutoff</state><creationTime> -7 </creationTime>"),
      "  <name>s</name>\n  <state>shutoff</state>\n  <creationTime>-7</creationTime>\n"
      "  <memory snapshot='no'/>\n" },
    { "creation-time-zero-is-a-time", REDEFINE,
      SNAPSHOT("<name>s</name><state>shutoff</state><creationTime>0</creationTime>"),
      "  <name>s</name>\n  <state>shutoff</state>\n  <creationTime>0</creationTime>\n"
      "  <memory snapshot='no'/>\n" },
    { "parent-is-read-on-redefine", REDEFINE,
      SNAPSHOT("<parent><name>p</name></parent>" PAST("shutoff")),
      "  <name>s</name>\n  <state>shutoff</state>\n  <parent>\n    <name>p</name>\n  "
      "</parent>\n"
      "  <creationTime>5</creationTime>\n  <memory snapshot='no'/>\n" },
    { "an-empty-parent-is-a-root", REDEFINE,
      SNAPSHOT("<parent><name/></parent>" PAST("shutoff")),
      "  <name>s</name>\n  <state>shutoff</state>\n  <creationTime>5</creationTime>\n"
      "  <memory snapshot='no'/>\n" },
    { "a-domain-of-a-uuid-alone-is-kept-as-that", REDEFINE,
      SNAPSHOT(
          PAST("shutoff") "<domain><uuid>C797A770A2CE4364B2A31C450AD69915</uuid></domain>"),
      "  <name>s</name>\n  <state>shutoff</state>\n  <creationTime>5</creationTime>\n"
      "  <memory snapshot='no'/>\n  <domain>\n"
      "    <uuid>c797a770-a2ce-4364-b2a3-1c450ad69915</uuid>\n  </domain>\n" },
    { "a-cookie-of-an-inactive-snapshot-is-dropped", REDEFINE,
      SNAPSHOT(PAST("shutoff") "<cookie><x/></cookie>"),
      "  <name>s</name>\n  <state>shutoff</state>\n  <creationTime>5</creationTime>\n"
      "  <memory snapshot='no'/>\n" },
    { "a-cookie-of-an-active-snapshot-is-kept-verbatim", REDEFINE,
      SNAPSHOT(PAST("running") "<cookie><cpu  a=\"1\"/></cookie>"),
      "  <name>s</name>\n  <state>running</state>\n  <creationTime>5</creationTime>\n"
      "  <memory snapshot='internal'/>\n  <cookie><cpu  a=\"1\"/></cookie>\n" },
    { "active-is-read-from-files-but-not-from-callers", REDEFINE,
      SNAPSHOT(PAST("shutoff") "<active>1</active>"),
      "  <name>s</name>\n  <state>shutoff</state>\n  <creationTime>5</creationTime>\n"
      "  <memory snapshot='no'/>\n" },

    { "a-memory-file-alone-implies-external", CREATE, SNAPSHOT("<memory file='/m'/>"),
      "  <memory snapshot='external' file='/m'/>\n" },
    { "memory-no", CREATE, SNAPSHOT("<memory snapshot='no'/>"),
      "  <memory snapshot='no'/>\n" },
    { "memory-internal", CREATE, SNAPSHOT("<memory snapshot='internal'/>"),
      "  <memory snapshot='internal'/>\n" },

    { "disk-name-may-be-a-path", CREATE, DISKS("<disk name='/images/a'/>"),
      "  <disks>\n    <disk name='/images/a'/>\n  </disks>\n" },
    { "disk-snapshot-words", CREATE,
      DISKS("<disk name='vda' snapshot='no'/><disk name='vdb' snapshot='internal'/>"
            "<disk name='vdc' snapshot='external'/><disk name='vdd' snapshot='manual'/>"),
      "  <disks>\n    <disk name='vda' snapshot='no'/>\n    <disk name='vdb' "
      "snapshot='internal'/>\n"
      "    <disk name='vdc' snapshot='external'/>\n    <disk name='vdd' snapshot='manual'/>\n"
      "  </disks>\n" },
    { "a-source-path-implies-external", CREATE,
      DISKS("<disk name='vda'><source file='/n'/></disk>"),
      "  <disks>\n    <disk name='vda' snapshot='external' type='file'>\n"
      "      <source file='/n'/>\n    </disk>\n  </disks>\n" },
    { "a-driver-type-implies-external", CREATE,
      DISKS("<disk name='vda'><driver type='qcow2'/></disk>"),
      "  <disks>\n    <disk name='vda' snapshot='external' type='file'>\n"
      "      <driver type='qcow2'/>\n    </disk>\n  </disks>\n" },
    { "a-block-device-has-its-path-in-dev", CREATE,
      DISKS(
          "<disk name='vda' type='block'><source dev='/dev/x'/><driver type='qcow2'/></disk>"),
      "  <disks>\n    <disk name='vda' snapshot='external' type='block'>\n"
      "      <driver type='qcow2'/>\n      <source dev='/dev/x'/>\n    </disk>\n  "
      "</disks>\n" },
    { "a-network-source-is-kept-verbatim", CREATE,
      DISKS("<disk name='vda' snapshot='external' type='network'>"
            "<source protocol=\"nbd\"><host name='h'/></source></disk>"),
      "  <disks>\n    <disk name='vda' snapshot='external' type='network'>\n"
      "      <source protocol=\"nbd\"><host name='h'/></source>\n    </disk>\n  </disks>\n" },
    { "nvme-is-for-later-checks-to-refuse", CREATE, DISKS("<disk name='vda' type='nvme'/>"),
      "  <disks>\n    <disk name='vda' type='nvme'/>\n  </disks>\n" },
    { "labels-of-a-source-are-kept", CREATE,
      DISKS("<disk name='vda'><source file='/n'><seclabel relabel='no'/><x/></source></disk>"),
      "  <disks>\n    <disk name='vda' snapshot='external' type='file'>\n"
      "      <source file='/n'>\n        <seclabel relabel='no'/>\n        <x/>\n"
      "      </source>\n    </disk>\n  </disks>\n" },
    { "metadata-cache-is-scaled-to-bytes", CREATE,
      DISKS("<disk name='vda'><driver type='qcow2'><metadata_cache><max_size unit='MiB'>2"
            "</max_size></metadata_cache></driver></disk>"),
      "  <disks>\n    <disk name='vda' snapshot='external' type='file'>\n"
      "      <driver type='qcow2'>\n        <metadata_cache>\n"
      "          <max_size unit='bytes'>2097152</max_size>\n        </metadata_cache>\n"
      "      </driver>\n    </disk>\n  </disks>\n" },
    { "metadata-cache-counts-bytes-without-a-unit", CREATE,
      DISKS("<disk name='vda'><driver type='qcow2'><metadata_cache><max_size>7"
            "</max_size></metadata_cache></driver></disk>"),
      "  <disks>\n    <disk name='vda' snapshot='external' type='file'>\n"
      "      <driver type='qcow2'>\n        <metadata_cache>\n"
      "          <max_size unit='bytes'>7</max_size>\n        </metadata_cache>\n"
      "      </driver>\n    </disk>\n  </disks>\n" },
    { "delete-in-progress-is-read-on-redefine", REDEFINE,
      SNAPSHOT(
          PAST("shutoff") "<disks><disk name='vda' snapshot='external'><source file='/n'/>"
                          "<snapshotDeleteInProgress/></disk></disks>"),
      "  <name>s</name>\n  <state>shutoff</state>\n  <creationTime>5</creationTime>\n"
      "  <memory snapshot='no'/>\n  <disks>\n"
      "    <disk name='vda' snapshot='external' type='file'>\n      <source file='/n'/>\n"
      "      <snapshotDeleteInProgress/>\n    </disk>\n  </disks>\n" },
    { "revert-disks-are-read-on-redefine", REDEFINE,
      SNAPSHOT(PAST("shutoff") "<revertDisks><disk name='vda'><source file='/r'/></disk>"
                               "</revertDisks>"),
      "  <name>s</name>\n  <state>shutoff</state>\n  <creationTime>5</creationTime>\n"
      "  <memory snapshot='no'/>\n  <revertDisks>\n"
      "    <disk name='vda' snapshot='external' type='file'>\n      <source file='/r'/>\n"
      "    </disk>\n  </revertDisks>\n" },
    { "an-empty-disk-list-is-none", CREATE, DISKS(""), "" },
};

static void
test_reading(gconstpointer data)
{
    const Reading *reading = data;
    g_autofree char *expected =
        reading->output[0] == '\0'
            ? g_strdup("<domainsnapshot/>\n")
            : g_strdup_printf("<domainsnapshot>\n%s</domainsnapshot>\n", reading->output);
    g_autoptr(VmpSnapshot) snapshot = parse(reading->xml, reading->flags);
    g_autofree char *text = vmp_snapshot_format(snapshot, VMP_SNAPSHOT_FORMAT_DEFAULT);
    g_assert_cmpstr(text, ==, expected);

    /* What was written is read to the same. */
    g_autoptr(VmpSnapshot) again = parse(text, reading->flags);
    g_autofree char *same = vmp_snapshot_format(again, VMP_SNAPSHOT_FORMAT_DEFAULT);
    g_assert_cmpstr(same, ==, text);
}

typedef struct {
    const char *row;
    VmpSnapshotParseFlags flags;
    const char *xml;
    const char *part;
} Refusal;

static const Refusal refusals[] = {
    { "another-document", CREATE, "<domain/>", "the root element is 'domain'" },
    { "name-is-required-on-redefine", REDEFINE,
      SNAPSHOT("<state>shutoff</state><creationTime>5</creationTime>"), "<name> is missing" },
    { "state-is-required-on-redefine", REDEFINE,
      SNAPSHOT("<name>s</name><creationTime>5</creationTime>"), "<state> is missing" },
    { "nostate-is-rejected", REDEFINE, SNAPSHOT("<name>s</name>\n<state>nostate</state>"),
      "line 2: <state>: 'nostate' is not a state" },
    { "unknown-states-are-rejected", REDEFINE, SNAPSHOT("<name>s</name><state>asleep</state>"),
      "'asleep' is not a state" },
    { "creation-time-is-required-on-redefine", REDEFINE,
      SNAPSHOT("<name>s</name><state>shutoff</state>"), "<creationTime> is missing" },
    { "creation-time-must-parse-as-integer", REDEFINE,
      SNAPSHOT("<name>s</name><state>shutoff</state><creationTime>1e3</creationTime>"),
      "'1e3' is not a number of seconds" },
    { "memory-manual-is-rejected", CREATE, SNAPSHOT("<memory snapshot='manual'/>"),
      "by hand" },
    { "memory-words", CREATE, SNAPSHOT("<memory snapshot='yes'/>"),
      "snapshot='yes' is not known" },
    { "external-memory-without-file-is-rejected", CREATE,
      SNAPSHOT("<memory snapshot='external'/>"), "requires file=" },
    { "a-memory-file-with-internal-is-rejected", CREATE,
      SNAPSHOT("<memory snapshot='internal' file='/m'/>"), "file='/m' requires an external" },
    { "a-memory-file-with-no-is-rejected", CREATE,
      SNAPSHOT("<memory snapshot='no' file='/m'/>"), "file='/m' requires an external" },
    { "a-relative-memory-file-is-rejected", CREATE, SNAPSHOT("\n<memory file='m'/>"),
      "line 2: <memory>: file='m' is not an absolute path" },
    { "a-disk-needs-a-name", CREATE, DISKS("<disk/>"), "<disk>: name is missing" },
    { "duplicate-disks-are-rejected", CREATE, DISKS("<disk name='vda'/>\n<disk name='vda'/>"),
      "line 2: <disk>: name='vda' is given twice" },
    { "disk-snapshot-words", CREATE, DISKS("<disk name='vda' snapshot='maybe'/>"),
      "snapshot='maybe' is not known" },
    { "dir-is-rejected", CREATE, DISKS("<disk name='vda' type='dir'/>"),
      "type='dir' cannot hold" },
    { "volume-is-rejected", CREATE, DISKS("<disk name='vda' type='volume'/>"),
      "type='volume'" },
    { "unknown-storage-is-rejected", CREATE, DISKS("<disk name='vda' type='tape'/>"),
      "type='tape' is not known" },
    { "a-relative-source-is-rejected", CREATE,
      DISKS("<disk name='vda'><source file='n'/></disk>"),
      "file='n' is not an absolute path" },
    { "a-source-with-internal-is-rejected", CREATE,
      DISKS("<disk name='vda' snapshot='internal'><source file='/n'/></disk>"),
      "only external snapshots have one" },
    { "a-source-with-no-is-rejected", CREATE,
      DISKS("<disk name='vda' snapshot='no'><source file='/n'/></disk>"), "only external" },
    { "a-source-with-manual-is-rejected", CREATE,
      DISKS("<disk name='vda' snapshot='manual'><source file='/n'/></disk>"),
      "only external" },
    { "raw-is-rejected-as-an-overlay", CREATE,
      DISKS("<disk name='vda'><driver type='raw'/></disk>"),
      "type='raw' is not a format that can have a backing file" },
    { "a-cache-size-is-a-number", CREATE,
      DISKS(
          "<disk name='vda'><driver><metadata_cache><max_size>big</max_size></metadata_cache>"
          "</driver></disk>"),
      "'big' is not a size" },
    { "an-embedded-domain-must-be-one", REDEFINE,
      SNAPSHOT(PAST("shutoff") "\n\n<domain type='kvm'>\n<name>d</name></domain>"),
      "line 3: <domain>: <memory> is missing" },
    { "an-embedded-inactive-domain-must-be-one", REDEFINE,
      SNAPSHOT(PAST("shutoff") "\n<inactiveDomain/>"),
      "line 2: <inactiveDomain>: type is missing" },
    { "a-uuid-alone-must-be-one", REDEFINE,
      SNAPSHOT(PAST("shutoff") "<domain><uuid>x</uuid></domain>"), "'x' is not a UUID" },
    { "active-is-0-or-1", REDEFINE | VMP_SNAPSHOT_PARSE_INTERNAL,
      SNAPSHOT(PAST("shutoff") "<active>yes</active>"), "'yes' is neither 0 nor 1" },
};

static void
test_refusal(gconstpointer data)
{
    const Refusal *refusal = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpSnapshot) snapshot =
        vmp_snapshot_parse(refusal->xml, -1, refusal->flags, &error);

    g_assert_null(snapshot);
    assert_invalid(error, refusal->part);
    g_assert_nonnull(strstr(error->message, "XML: line "));
}

static void
test_every_state(void)
{
    for (guint i = VMP_STATE_RUNNING; i <= VMP_STATE_DISK_SNAPSHOT; i++) {
        g_autofree char *xml = replace(SNAPSHOT(PAST("@")), "@", vmp_state_name((VmpState)i));
        g_autoptr(VmpSnapshot) snapshot = parse(xml, REDEFINE);

        g_assert_cmpuint(snapshot->state, ==, i);
        g_assert_cmpint(snapshot->active, ==, -1);
    }
}

/* Dump, redefine, dump. */

static void
test_whole_document(void)
{
    g_autofree char *xml = read_data("snapshot-full.xml");
    g_autoptr(VmpSnapshot) snapshot = parse(xml, REDEFINE);
    g_autofree char *text = vmp_snapshot_format(snapshot, VMP_SNAPSHOT_FORMAT_SECURE);

    g_assert_cmpstr(text, ==, xml);
    g_assert_cmpstr(snapshot->domain_uuid, ==, "c797a770-a2ce-4364-b2a3-1c450ad69915");
    g_assert_true(g_str_has_prefix(snapshot->inactive_domain_xml, "<inactiveDomain "));
    g_assert_cmpstr(snapshot->parent, ==, "before");
    g_assert_cmpuint(snapshot->disks->len, ==, 2);
    g_assert_cmpuint(snapshot->revert_disks->len, ==, 1);
}

static void
test_copy(void)
{
    g_autofree char *xml = read_data("snapshot-full.xml");
    g_autoptr(VmpSnapshot) snapshot = parse(xml, REDEFINE);
    g_autoptr(VmpSnapshot) copy = vmp_snapshot_copy(snapshot);
    g_clear_pointer(&snapshot, vmp_snapshot_free);
    g_autofree char *text = vmp_snapshot_format(copy, VMP_SNAPSHOT_FORMAT_SECURE);

    g_assert_cmpstr(text, ==, xml);
}

static void
test_secrets(void)
{
    g_autofree char *xml = read_data("snapshot-full.xml");
    g_autoptr(VmpSnapshot) snapshot = parse(xml, REDEFINE);
    g_autofree char *hidden = vmp_snapshot_format(snapshot, VMP_SNAPSHOT_FORMAT_DEFAULT);
    g_autofree char *once = replace(xml, " passwd='secret1'", "");
    g_autofree char *twice = replace(once, " passwd='secret2'", "");

    g_assert_cmpstr(hidden, ==, twice);

    g_autoptr(VmpSnapshot) again = parse(hidden, REDEFINE);
    g_autofree char *same = vmp_snapshot_format(again, VMP_SNAPSHOT_FORMAT_DEFAULT);
    g_assert_cmpstr(same, ==, hidden);
}

static void
test_secrets_of_a_source(void)
{
    g_autoptr(VmpSnapshot) snapshot =
        parse(DISKS("<disk name='vda' type='network'><source protocol='https' name='n'>\n"
                    "<cookies><cookie name='c'>secret</cookie></cookies></source></disk>"),
              CREATE);
    g_autofree char *hidden = vmp_snapshot_format(snapshot, VMP_SNAPSHOT_FORMAT_DEFAULT);
    g_autofree char *shown = vmp_snapshot_format(snapshot, VMP_SNAPSHOT_FORMAT_SECURE);

    g_assert_null(strstr(hidden, "secret"));
    g_assert_nonnull(strstr(hidden, "<source protocol='https' name='n'></source>"));
    g_assert_nonnull(strstr(shown, "secret"));
}

static void
test_a_network_overlay_has_a_place(void)
{
    static const struct {
        const char *source, *place;
    } table[] = {
        { "<source protocol='nbd' name='e'><host name='h'/></source>", "nbd://h:10809/e" },
        { "<source protocol='nbd' name='e'><host transport='unix' socket='/s'/></source>",
          "nbd+unix:///e?socket=/s" },
        { "<source protocol='nbd' name='e' tls='yes'><host name='h'/></source>", NULL },
        { "<source protocol='rbd' name='p/i'/>", NULL },
    };

    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autofree char *xml =
            replace(DISKS("<disk name='vda' type='network'>@</disk>"), "@", table[i].source);
        g_autoptr(VmpSnapshot) snapshot = parse(xml, CREATE);
        g_assert_cmpstr(
            ((const VmpSnapshotDisk *)g_ptr_array_index(snapshot->disks, 0))->source, ==,
            table[i].place);
        g_autofree char *dump = vmp_snapshot_format(snapshot, VMP_SNAPSHOT_FORMAT_DEFAULT);
        g_assert_nonnull(strstr(dump, table[i].source));
    }
}

/* Whatever its kind was; of the old <source> nothing is left. */
static void
test_an_overlay_moves(void)
{
    static const struct {
        const char *place, *disk;
    } table[] = {
        { "/new", "type='file'>\n      <driver type='qcow2'/>\n      <source file='/new'/>" },
        { "nbd://h:1/e",
          "type='network'>\n      <driver type='qcow2'/>\n"
          "      <source protocol='nbd' name='e'>\n        <host name='h' port='1'/>" },
    };

    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(VmpSnapshot) snapshot =
            parse(DISKS("<disk name='vda' type='network'><source protocol='nbd' name='old'>"
                        "<host name='h'/></source></disk><disk name='vdb' type='block'>"
                        "<source dev='/old'/></disk>"),
                  CREATE);
        vmp_snapshot_disk_move(g_ptr_array_index(snapshot->disks, 0), table[i].place, "qcow2");
        vmp_snapshot_disk_move(g_ptr_array_index(snapshot->disks, 1), table[i].place, "qcow2");
        g_autofree char *dump = vmp_snapshot_format(snapshot, VMP_SNAPSHOT_FORMAT_DEFAULT);
        const char *first = strstr(dump, table[i].disk);
        g_assert_nonnull(first);
        g_assert_nonnull(strstr(first + 1, table[i].disk));
        g_assert_null(strstr(dump, "old"));
    }
}

static void
test_embedded_verbatim(void)
{
    static const char *const files[] = { "domain-minimal.xml", "domain-q35-live.xml",
                                         "domain-unknown.xml" };

    for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *domain = read_data(files[i]);
        g_autofree char *xml = replace(SNAPSHOT(PAST("running") "@"), "@", g_strchomp(domain));
        g_autoptr(VmpSnapshot) snapshot = parse(xml, REDEFINE);
        g_assert_cmpstr(snapshot->domain_xml, ==, domain);

        g_autofree char *dump = vmp_snapshot_format(snapshot, VMP_SNAPSHOT_FORMAT_SECURE);
        g_autoptr(VmpSnapshot) redefined = parse(dump, REDEFINE);
        g_assert_cmpstr(redefined->domain_xml, ==, domain);
        g_autofree char *again = vmp_snapshot_format(redefined, VMP_SNAPSHOT_FORMAT_SECURE);
        g_assert_cmpstr(again, ==, dump);
    }
}

static void
test_inherited_prefix(void)
{
    g_autofree char *xml = g_strdup(
        "<domainsnapshot xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>" PAST(
            "shutoff") "<domain "
                       "type='kvm'><name>d</name><memory>1</memory><os><type>hvm</type></os>"
                       "<qemu:commandline><qemu:arg "
                       "value='-x'/></qemu:commandline></domain></domainsnapshot>");
    g_autoptr(VmpSnapshot) snapshot = parse(xml, REDEFINE);
    g_autofree char *dump = vmp_snapshot_format(snapshot, VMP_SNAPSHOT_FORMAT_DEFAULT);

    g_assert_nonnull(strstr(dump, "<domain xmlns:qemu='http"));
    g_autoptr(VmpSnapshot) redefined = parse(dump, REDEFINE);
    g_autofree char *again = vmp_snapshot_format(redefined, VMP_SNAPSHOT_FORMAT_DEFAULT);
    g_assert_cmpstr(again, ==, dump);
}

static void
test_no_domain(void)
{
    g_autofree char *xml = read_data("snapshot-full.xml");
    g_autoptr(VmpSnapshot) snapshot = parse(xml, REDEFINE);
    g_autofree char *text = vmp_snapshot_format(snapshot, VMP_SNAPSHOT_FORMAT_NO_DOMAIN);

    g_assert_null(strstr(text, "omain type="));
    g_assert_null(strstr(text, "uuid"));
    g_assert_nonnull(strstr(text, "<cookie>"));
    g_autoptr(VmpSnapshot) again = parse(text, REDEFINE);
    g_assert_null(again->domain_xml);
    g_assert_null(again->domain_uuid);
}

static void
test_internal_file(void)
{
    static const VmpSnapshotParseFlags flags = REDEFINE | VMP_SNAPSHOT_PARSE_INTERNAL;
    g_autoptr(VmpSnapshot) snapshot =
        parse(SNAPSHOT(PAST("shutoff") "<active>1</active>" DOMAIN), flags);
    g_autofree char *shown = vmp_snapshot_format(snapshot, VMP_SNAPSHOT_FORMAT_DEFAULT);
    g_autofree char *kept = vmp_snapshot_format(snapshot, VMP_SNAPSHOT_FORMAT_INTERNAL);

    g_assert_cmpint(snapshot->active, ==, 1);
    g_assert_null(strstr(shown, "<active>"));
    g_assert_true(
        g_str_has_suffix(kept, "</domain>\n  <active>1</active>\n</domainsnapshot>\n"));
}

static void
test_location(void)
{
    static const struct {
        VmpLocation memory, first, second, expected;
    } cases[] = {
        { VMP_LOCATION_NO, VMP_LOCATION_NO, VMP_LOCATION_NO, VMP_LOCATION_NO },
        { VMP_LOCATION_NO, VMP_LOCATION_MANUAL, VMP_LOCATION_NO, VMP_LOCATION_NO },
        { VMP_LOCATION_INTERNAL, VMP_LOCATION_NO, VMP_LOCATION_NO, VMP_LOCATION_INTERNAL },
        { VMP_LOCATION_NO, VMP_LOCATION_NO, VMP_LOCATION_INTERNAL, VMP_LOCATION_INTERNAL },
        { VMP_LOCATION_EXTERNAL, VMP_LOCATION_NO, VMP_LOCATION_NO, VMP_LOCATION_EXTERNAL },
        { VMP_LOCATION_INTERNAL, VMP_LOCATION_NO, VMP_LOCATION_EXTERNAL,
          VMP_LOCATION_EXTERNAL },
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(VmpSnapshot) snapshot = vmp_snapshot_new();
        VmpSnapshotDisk *first = vmp_snapshot_disk_new("vda");
        VmpSnapshotDisk *second = vmp_snapshot_disk_new("vdb");

        snapshot->memory = cases[i].memory;
        first->location = cases[i].first;
        second->location = cases[i].second;
        g_ptr_array_add(snapshot->disks, first);
        g_ptr_array_add(snapshot->disks, second);
        g_assert_cmpint(vmp_snapshot_get_location(snapshot), ==, cases[i].expected);
        g_assert_true(vmp_snapshot_find_disk(snapshot, "vdb") == second);
        g_assert_null(vmp_snapshot_find_disk(snapshot, "vd"));
    }
}

static void
test_long_names(void)
{
    g_autofree char *name = repeat("n", 10000);
    g_autofree char *xml =
        replace(SNAPSHOT("<name>@</name><disks><disk name='vda'/></disks>"), "@", name);
    g_autoptr(VmpSnapshot) snapshot = parse(xml, CREATE);
    g_autofree char *state = replace(SNAPSHOT("<name>s</name><state>@</state>"), "@", name);
    g_autoptr(GError) error = NULL;

    g_assert_cmpstr(snapshot->name, ==, name);
    g_assert_null(vmp_snapshot_parse(state, -1, REDEFINE, &error));
    assert_invalid(error, "is not a state");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    for (guint i = 0; i < G_N_ELEMENTS(readings); i++) {
        g_autofree char *path = g_strconcat("/xml/snapshot/reads/", readings[i].row, NULL);
        g_test_add_data_func(path, &readings[i], test_reading);
    }
    for (guint i = 0; i < G_N_ELEMENTS(refusals); i++) {
        g_autofree char *path = g_strconcat("/xml/snapshot/refuses/", refusals[i].row, NULL);
        g_test_add_data_func(path, &refusals[i], test_refusal);
    }
    g_test_add_func("/xml/snapshot/network-overlay-has-a-place",
                    test_a_network_overlay_has_a_place);
    g_test_add_func("/xml/snapshot/overlay-moves", test_an_overlay_moves);
    g_test_add_func("/xml/snapshot/every-state-is-read", test_every_state);
    g_test_add_func("/xml/snapshot/a-whole-document-comes-back-to-the-byte",
                    test_whole_document);
    g_test_add_func("/xml/snapshot/a-copy-is-the-same", test_copy);
    g_test_add_func("/xml/snapshot/passwords-are-left-out-unless-asked-for", test_secrets);
    g_test_add_func("/xml/snapshot/cookies-are-left-out-unless-asked-for",
                    test_secrets_of_a_source);
    g_test_add_func("/xml/snapshot/the-domain-is-kept-verbatim", test_embedded_verbatim);
    g_test_add_func("/xml/snapshot/a-prefix-from-outside-is-declared-again",
                    test_inherited_prefix);
    g_test_add_func("/xml/snapshot/without-domain-there-is-no-trace-of-it", test_no_domain);
    g_test_add_func("/xml/snapshot/active-is-for-files", test_internal_file);
    g_test_add_func("/xml/snapshot/external-wins-over-internal-over-no", test_location);
    g_test_add_func("/xml/snapshot/a-name-of-10000-bytes-is-only-long", test_long_names);
    return g_test_run();
}
