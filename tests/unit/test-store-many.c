/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Ten thousand points of a domain whose definition is 1 MiB long.  The size of the store is
 * asserted; how long it took is printed. */

#include <string.h>

#include "test-store-fixture.h"

#define POINTS 10000
#define LENGTH (1 << 20)

/* Lines as of a domain with many devices: each differs from all others. */
static GString *
make_definition(void)
{
    GString *text = g_string_sized_new(LENGTH + 256);
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);

    g_string_append(text, "<domain type='kvm'>\n  <name>many</name>\n  <devices>\n");
    for (int i = 0; text->len < LENGTH - 256; i++)
        g_string_append_printf(
            text,
            "    <interface type='network'><mac address='52:54:00:%02x:%02x:%02x'/>"
            "<source network='net%d'/><alias name='net%d'/></interface>\n",
            g_rand_int_range(rand, 0, 256), g_rand_int_range(rand, 0, 256),
            g_rand_int_range(rand, 0, 256), g_rand_int_range(rand, 0, 1000), i);
    g_string_append(text, "  </devices>\n</domain>\n");
    return text;
}

/* As an external snapshot does: one disk has a new source. */
static char *
definition_number(const GString *text, int number)
{
    gsize place = (gsize)(strchr(text->str + text->len / 3, '\n') + 1 - text->str);
    char line[128];
    gsize length = (gsize)g_snprintf(
        line, sizeof line,
        "    <disk type='file'><source file='/images/vda.snap%d'/></disk>\n", number);
    char *xml = g_malloc(text->len + length + 1);

    memcpy(xml, text->str, place);
    memcpy(xml + place, line, length);
    memcpy(xml + place + length, text->str + place, text->len + 1 - place);
    return xml;
}

/* Microseconds spent in the store; what the caller needs to make a text is not counted. */
static gint64 put_definition_time, put_point_time;

static gint64
put_one(VmpStore *store, gint64 domain, const GString *text, int number, gint64 like)
{
    g_autofree char *name = g_strdup_printf("snap%d", number);
    g_autofree char *parent = number > 0 ? g_strdup_printf("snap%d", number - 1) : NULL;
    g_autofree char *xml = definition_number(text, number);
    g_autofree char *body = g_strdup_printf(
        "<domainsnapshot>\n  <name>%s</name>\n  <state>running</state>\n"
        "  <memory snapshot='external' file='/images/many.%s.mem'/>\n"
        "  <disks>\n    <disk name='vda' snapshot='external' type='file'>\n"
        "      <driver type='qcow2'/>\n      <source file='/images/vda.snap%d'/>\n"
        "    </disk>\n  </disks>\n</domainsnapshot>\n",
        name, name, number);
    VmpStorePoint point = point_of(domain, name, parent);

    point.creation_time = 1700000000 + number;
    point.state = (char *)"running";
    point.body = body;
    point.current = TRUE;
    point.extra = (char *)"{\"nodes\":{\"vda\":\"vmpoint-vda-1\"}}";
    gint64 start = g_get_monotonic_time();
    point.definition = put_definition(store, xml, like);
    gint64 between = g_get_monotonic_time();
    assert_works(vmp_store_put_point(store, &point, error));
    put_definition_time += between - start;
    put_point_time += g_get_monotonic_time() - between;
    return point.definition;
}

static void
report(const char *what, gint64 microseconds, int times)
{
    g_test_message("%s: %.3f ms", what, (double)microseconds / 1000.0 / times);
}

static gint64
size_of(const char *path)
{
    GStatBuf status;

    return g_stat(path, &status) == 0 ? status.st_size : 0;
}

static void
fill(VmpStore *store, gint64 domain, const GString *text)
{
    gint64 like = put_one(store, domain, text, 0, 0);
    report("put the first definition", put_definition_time, 1);
    report("put the first point", put_point_time, 1);

    put_definition_time = put_point_time = 0;
    VmpStoreTransaction transaction;
    assert_works(vmp_store_begin(store, &transaction, error));
    for (int i = 1; i < POINTS; i++)
        like = put_one(store, domain, text, i, like);
    gint64 start = g_get_monotonic_time();
    assert_works(vmp_store_commit(&transaction, error));
    report("put each of 9999 definitions, in one transaction", put_definition_time,
           POINTS - 1);
    report("put each of their points", put_point_time, POINTS - 1);
    report("commit them", g_get_monotonic_time() - start, 1);

    put_definition_time = put_point_time = 0;
    put_one(store, domain, text, POINTS, like);
    report("put definition 10001", put_definition_time, 1);
    report("put point 10001", put_point_time, 1);
}

static void
check_lists(VmpStore *store, gint64 domain)
{
    for (int with_body = 0; with_body < 2; with_body++) {
        gint64 start = g_get_monotonic_time();
        g_autoptr(GPtrArray) points =
            vmp_store_list_points(store, domain, VMP_POINT_SNAPSHOT, with_body, NULL);
        report(with_body ? "list all points with bodies" : "list all points",
               g_get_monotonic_time() - start, 1);
        g_assert_cmpint(points->len, ==, POINTS + 1);
    }

    gint64 start = g_get_monotonic_time();
    for (int i = 0; i < 100; i++) {
        g_autofree char *name = g_strdup_printf("snap%d", i * 97);
        g_autoptr(VmpStorePoint) point =
            vmp_store_find_point(store, domain, VMP_POINT_SNAPSHOT, name, NULL);
        g_assert_nonnull(point);
        g_assert_cmpint(point->children, ==, 1);
    }
    report("find a point by name", g_get_monotonic_time() - start, 100);
}

static void
check_size(Fixture *fixture)
{
    g_autofree char *log = g_strconcat(fixture->path, "-wal", NULL);
    gint64 size = size_of(fixture->path) + size_of(log);

    g_test_message("store and log: %.1f MiB", (double)size / (1 << 20));
    g_assert_cmpint(size, <, 40 << 20);
}

static void
check_definitions(Fixture *fixture, gint64 domain, const GString *text)
{
    gint64 spent = 0;
    int count = 0;

    for (int i = 0; i <= POINTS; i += 1111, count++) {
        g_autofree char *expected = definition_number(text, i);
        g_autofree char *name = g_strdup_printf("snap%d", i);
        g_autoptr(VmpStorePoint) point =
            vmp_store_find_point(fixture->store, domain, VMP_POINT_SNAPSHOT, name, NULL);
        gsize length;
        fixture_reopen(fixture); /* nothing is remembered */
        gint64 start = g_get_monotonic_time();
        g_autofree char *got =
            vmp_store_get_definition(fixture->store, point->definition, &length, NULL);
        spent += g_get_monotonic_time() - start;
        g_assert_cmpmem(got, length, expected, strlen(expected));
    }
    report("read a definition, the store freshly opened", spent, count);
}

static void
test_many(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GString) text = make_definition();
    gint64 domain = add_domain(fixture->store, "many");
    fill(fixture->store, domain, text);

    gint64 start = g_get_monotonic_time();
    fixture_reopen(fixture);
    report("close and open", g_get_monotonic_time() - start, 1);
    check_lists(fixture->store, domain);
    check_size(fixture);
    check_definitions(fixture, domain, text);

    start = g_get_monotonic_time();
    assert_works(
        vmp_store_remove_point(fixture->store, domain, VMP_POINT_SNAPSHOT, "snap5000", error));
    report("remove a point", g_get_monotonic_time() - start, 1);
    start = g_get_monotonic_time();
    g_assert_cmpint(vmp_store_collect_definitions(fixture->store, NULL), ==, 1);
    report("collect definitions", g_get_monotonic_time() - start, 1);
    if (g_test_perf()) {
        start = g_get_monotonic_time();
        assert_works(vmp_store_verify(fixture->store, error));
        report("verify", g_get_monotonic_time() - start, 1);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_test("/store/many/ten-thousand-points-take-less-than-40-MiB", test_many);
    return g_test_run();
}
