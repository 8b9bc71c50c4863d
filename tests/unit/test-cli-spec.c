/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/spec.h"

#include <vmpoint/error.h>

static char *
snapshot(const char *memory, const char *const *disks, GError **error)
{
    VmpPointSpec spec = { .memory = memory, .disks = disks };

    return vmp_spec_format_snapshot(&spec, error);
}

/* @memory: what the document says of it, without indentation. */
static void
assert_memory(const char *spec, const char *memory)
{
    static const char *const none[] = { NULL };
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = snapshot(spec, none, &error);
    g_autofree char *expected =
        g_strdup_printf("<domainsnapshot>\n  %s\n</domainsnapshot>\n", memory);

    g_assert_no_error(error);
    g_assert_cmpstr(xml, ==, expected);
}

static void
assert_disk(const char *spec, const char *disk)
{
    const char *const disks[] = { spec, NULL };
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = snapshot(NULL, disks, &error);
    g_autofree char *expected = g_strdup_printf(
        "<domainsnapshot>\n  <disks>\n%s  </disks>\n</domainsnapshot>\n", disk);

    g_assert_no_error(error);
    g_assert_cmpstr(xml, ==, expected);
}

static void
memory_is_a_file_and_a_kind(void)
{
    assert_memory("/m", "<memory file='/m'/>");
    assert_memory("file=/m", "<memory file='/m'/>");
    assert_memory("/m,snapshot=external", "<memory snapshot='external' file='/m'/>");
    assert_memory("snapshot=no", "<memory snapshot='no'/>");
    assert_memory("snapshot=internal,file=/m", "<memory snapshot='internal' file='/m'/>");
    assert_memory("/a,,b", "<memory file='/a,b'/>");
    assert_memory("/a=b", "<memory file='/a=b'/>");
    assert_memory("/a,,,snapshot=no", "<memory snapshot='no' file='/a,'/>");
}

static void
a_disk_has_what_was_said_of_it(void)
{
    assert_disk("vda", "    <disk name='vda'/>\n");
    assert_disk("vd,,a", "    <disk name='vd,a'/>\n");
    assert_disk("vda,snapshot=no", "    <disk name='vda' snapshot='no'/>\n");
    assert_disk("vda,stype=block", "    <disk name='vda' type='block'/>\n");
    assert_disk("vda,file=/x,stype=file,driver=raw", "    <disk name='vda' type='file'>\n"
                                                     "      <driver type='raw'/>\n"
                                                     "      <source file='/x'/>\n"
                                                     "    </disk>\n");
    assert_disk("vda,snapshot=external,file=/path/to,,new,stype=block",
                "    <disk name='vda' snapshot='external' type='block'>\n"
                "      <source dev='/path/to,new'/>\n"
                "    </disk>\n");
}

static void
text_survives_being_xml(void)
{
    static const char *const disks[] = { "a'b\"c\n<d>", NULL };
    VmpPointSpec spec = { .name = "n<a>&'", .description = "two\nlines\r\"", .disks = disks };
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = vmp_spec_format_snapshot(&spec, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(xml, ==,
                    "<domainsnapshot>\n"
                    "  <name>n&lt;a&gt;&amp;&apos;</name>\n"
                    "  <description>two\nlines&#13;&quot;</description>\n"
                    "  <disks>\n"
                    "    <disk name='a&apos;b&quot;c&#10;&lt;d&gt;'/>\n"
                    "  </disks>\n"
                    "</domainsnapshot>\n");
}

static void
a_checkpoint_has_bitmaps(void)
{
    static const char *const disks[] = { "vda,checkpoint=bitmap,bitmap=m,,n", "vdb", NULL };
    VmpPointSpec spec = { .name = "c", .disks = disks };
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = vmp_spec_format_checkpoint(&spec, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(xml, ==,
                    "<domaincheckpoint>\n"
                    "  <name>c</name>\n"
                    "  <disks>\n"
                    "    <disk name='vda' checkpoint='bitmap' bitmap='m,n'/>\n"
                    "    <disk name='vdb'/>\n"
                    "  </disks>\n"
                    "</domaincheckpoint>\n");
}

static void
what_does_not_parse_is_refused(void)
{
    static const char *const none[] = { NULL };
    static const char *const memories[] = {
        "", "a,b", "a,b=c", "file=a,file=b", "a,snapshot=x,c", "snapshot=no,", "a,"
    };
    static const char *const specs[] = { "",
                                         ",file=/x",
                                         "vda,",
                                         "vda,frob=1",
                                         "vda,driver",
                                         "vda,driver=a,driver=b",
                                         "vda,stype=network",
                                         "vda,bitmap=m" };

    for (guint i = 0; i < G_N_ELEMENTS(memories); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(snapshot(memories[i], none, &error));
        g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
    }
    for (guint i = 0; i < G_N_ELEMENTS(specs); i++) {
        const char *const disks[] = { "vdb", specs[i], NULL };
        g_autoptr(GError) error = NULL;
        g_assert_null(snapshot(NULL, disks, &error));
        g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/spec/memory-is-a-file-and-a-kind", memory_is_a_file_and_a_kind);
    g_test_add_func("/cli/spec/a-disk-has-what-was-said-of-it",
                    a_disk_has_what_was_said_of_it);
    g_test_add_func("/cli/spec/text-survives-being-xml", text_survives_being_xml);
    g_test_add_func("/cli/spec/a-checkpoint-has-bitmaps", a_checkpoint_has_bitmaps);
    g_test_add_func("/cli/spec/what-does-not-parse-is-refused",
                    what_does_not_parse_is_refused);
    return g_test_run();
}
