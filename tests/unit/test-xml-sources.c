/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "xml/domain.h"
#include "xml/sources.h"

#define HEAD   \
    "<domain " \
    "type='qemu'><name>d</name><memory>65536</memory><os><type>hvm</type></os><devices>"
#define DISK(name, source) \
    "<disk type='file'><source file='" source "'/><target dev='" name "'/></disk>"
#define TWO(a, b) \
    HEAD DISK("vda", a) "<controller type='scsi'/>" DISK("vdb", b) "</devices></domain>"

static const char base[] = TWO("/i/a", "/i/b");

/* Texts beside @base, and whether they differ in sources alone. */
static const struct {
    const char *name, *text;
    gboolean matches;
    const char *a, *b; /* new sources */
} cases[] = {
    { "the-same", base, TRUE, "/i/a", "/i/b" },
    { "one-source", TWO("/i/c", "/i/b"), TRUE, "/i/c", "/i/b" },
    { "the-other-source", TWO("/i/a", "/i/bb"), TRUE, "/i/a", "/i/bb" },
    { "both-sources", TWO("/x/a.s1", "/y"), TRUE, "/x/a.s1", "/y" },
    { "a-source-that-is-shorter", TWO("/i", "/i/b"), TRUE, "/i", "/i/b" },
    { "a-source-with-a-reference", TWO("/i/&amp;", "/i/b"), FALSE, NULL, NULL },
    { "a-source-that-ends-early", TWO("/i/a' startupPolicy='optional", "/i/b"), FALSE, NULL,
      NULL },
    { "a-source-with-a-line-end", TWO("/i/\n", "/i/b"), FALSE, NULL, NULL },
    { "another-target",
      HEAD DISK("vdc", "/i/a") "<controller type='scsi'/>" DISK("vdb",
                                                                "/i/b") "</devices></domain>",
      FALSE, NULL, NULL },
    { "something-between",
      HEAD DISK("vda", "/i/c") "<controller type='usb'/>" DISK("vdb",
                                                               "/i/d") "</devices></domain>",
      FALSE, NULL, NULL },
    { "a-disk-more",
      HEAD DISK("vda", "/i/a") DISK("vdc", "/i/c") "<controller type='scsi'/>" DISK(
          "vdb", "/i/b") "</devices></domain>",
      FALSE, NULL, NULL },
    { "a-disk-less", HEAD DISK("vda", "/i/a") "<controller type='scsi'/></devices></domain>",
      FALSE, NULL, NULL },
};

static gsize
common_first(const char *a, const char *b)
{
    gsize same = 0;

    while (a[same] && a[same] == b[same])
        same++;
    return same;
}

static gsize
common_last(const char *a, const char *b, gsize most)
{
    gsize same = 0, a_length = strlen(a), b_length = strlen(b);

    while (same < most && a[a_length - same - 1] == b[b_length - same - 1])
        same++;
    return same;
}

static void
is_told(gconstpointer data)
{
    gsize index = GPOINTER_TO_SIZE(data);
    const char *text = cases[index].text;
    g_autoptr(VmpDomainSources) sources = vmp_domain_sources_new(base, strlen(base));
    gsize most = MIN(strlen(base), strlen(text));
    gsize first = common_first(base, text);
    gsize last = common_last(base, text, most - first);

    /* However the cut was made: wherever less than possible is in common, too. */
    for (gsize less = 0; less <= MIN(first, 40); less += 5) {
        g_autoptr(GPtrArray) values =
            vmp_domain_sources_match(sources, first - less, last, text + first - less,
                                     strlen(text) - last - first + less);
        g_assert_cmpint(values != NULL, ==, cases[index].matches);
        if (!values)
            continue;
        g_autofree char *whole = vmp_domain_sources_fill(sources, values);
        g_autofree char *disks = vmp_domain_sources_fill_disks(sources, values);
        g_autoptr(VmpDomain) alone = vmp_domain_parse(disks, -1, NULL);

        g_assert_cmpstr(whole, ==, text);
        g_assert_cmpuint(vmp_domain_get_disks(alone)->len, ==, 2);
        g_assert_cmpstr(vmp_domain_find_disk(alone, "vda")->source, ==, cases[index].a);
        g_assert_cmpstr(vmp_domain_find_disk(alone, "vdb")->source, ==, cases[index].b);
    }
}

static void
ends_that_overlap_match_nothing(void)
{
    g_autoptr(VmpDomainSources) sources = vmp_domain_sources_new(base, strlen(base));

    g_assert_null(vmp_domain_sources_match(sources, strlen(base), 1, "", 0));
    g_assert_null(vmp_domain_sources_match(sources, G_MAXSIZE, 2, "", 0));
}

static void
what_is_no_domain_has_no_sources(void)
{
    g_assert_null(vmp_domain_sources_new("<domain/>", 9));
    g_assert_null(vmp_domain_sources_new("<!-- x --><domain/>", 19));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/xml/sources/tells-", cases[i].name, NULL);
        g_test_add_data_func(path, GSIZE_TO_POINTER(i), is_told);
    }
    g_test_add_func("/xml/sources/ends-that-overlap-match-nothing",
                    ends_that_overlap_match_nothing);
    g_test_add_func("/xml/sources/what-is-no-domain-has-no-sources",
                    what_is_no_domain_has_no_sources);
    return g_test_run();
}
