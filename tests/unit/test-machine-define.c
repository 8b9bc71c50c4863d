/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test-machine-fixture.h"

#define DOMAIN(name, uuid, memory)                                                \
    "<domain type='qemu'><name>" name "</name>" uuid "<memory unit='MiB'>" memory \
    "</memory><os><type>hvm</type></os></domain>"
#define UUID "<uuid>" FIXTURE_UUID "</uuid>"
#define OTHER "<uuid>7695eb01-f6a4-8304-79aa-97f2502e193f</uuid>"

static char *
define(const Fixture *fixture, const char *xml, GError **error)
{
    return vmp_machine_define(fixture->host, xml, -1, fixture->operation, error);
}

static void
a_definition_is_kept_byte_for_byte(Fixture *fixture, gconstpointer data)
{
    const char *xml = DOMAIN("vm", UUID, "64");
    g_autoptr(GError) error = NULL;
    (void)data;

    fixture_define(fixture, xml);
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_READ);
    g_autofree char *kept =
        vmp_domain_format(vmp_machine_get_inactive(machine, &error), VMP_DOMAIN_FORMAT_SECURE);
    g_assert_no_error(error);
    g_assert_cmpstr(kept, ==, xml);
    g_assert_true(vmp_machine_get_row(machine)->persistent);
    g_assert_cmpstr(vmp_machine_get_uuid(machine), ==, FIXTURE_UUID);
}

static void
a_uuid_is_made_up_and_written_down(Fixture *fixture, gconstpointer data)
{
    (void)data;
    fixture_define(fixture, DOMAIN("vm", "", "64"));
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_READ);
    const char *uuid = vmp_domain_get_uuid(vmp_machine_get_inactive(machine, NULL));

    g_assert_true(g_uuid_string_is_valid(uuid));
    g_assert_cmpstr(uuid, ==, vmp_machine_get_uuid(machine));
}

static void
the_same_domain_is_replaced(Fixture *fixture, gconstpointer data)
{
    (void)data;
    fixture_define(fixture, DOMAIN("vm", UUID, "64"));
    fixture_define(fixture, DOMAIN("vm", UUID, "128"));
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_READ);
    g_autoptr(GPtrArray) rows = vmp_store_list_domains(fixture->host->store, NULL);

    g_assert_cmpuint(rows->len, ==, 1);
    g_assert_cmpuint(vmp_domain_get_memory(vmp_machine_get_inactive(machine, NULL)), ==,
                     (guint64)128 << 20);
}

static void
a_name_or_a_uuid_that_is_taken_is_refused(Fixture *fixture, gconstpointer data)
{
    static const char *const others[] = {
        DOMAIN("vm", OTHER, "64"),
        DOMAIN("vm", "", "64"),
        DOMAIN("other", UUID, "64"),
    };
    (void)data;

    fixture_define(fixture, DOMAIN("vm", UUID, "64"));
    for (guint i = 0; i < G_N_ELEMENTS(others); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(define(fixture, others[i], &error));
        g_assert_error(error, VMP_ERROR, VMP_ERROR_EXISTS);
        g_assert_nonnull(strstr(error->message, "'vm'"));
    }
    g_autoptr(GPtrArray) rows = vmp_store_list_domains(fixture->host->store, NULL);
    g_assert_cmpuint(rows->len, ==, 1);
}

static void
names_that_would_be_trouble_in_files_are_refused(Fixture *fixture, gconstpointer data)
{
    g_autofree char *long_name = g_strnfill(256, 'n');
    const char *const names[] = { "a/b", ".hidden", "tab\there", "..", long_name };
    (void)data;

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *xml = g_strdup_printf(DOMAIN("%s", "", "64"), names[i]);
        g_assert_null(define(fixture, xml, &error));
        g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
    }
    g_autoptr(GError) error = NULL;
    g_autofree char *longest = g_strndup(long_name, 255);
    g_autofree char *xml = g_strdup_printf(DOMAIN("%s", "", "64"), longest);
    g_autofree char *name = define(fixture, xml, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(name, ==, longest);
}

static void
a_dry_run_checks_and_defines_nothing(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    (void)data;

    vmp_operation_set_dry_run(fixture->operation, TRUE);
    g_autofree char *name = define(fixture, DOMAIN("vm", UUID, "64"), &error);
    g_assert_no_error(error);
    g_assert_null(define(fixture, DOMAIN("a/b", UUID, "64"), &error));
    g_autoptr(GPtrArray) rows = vmp_store_list_domains(fixture->host->store, NULL);
    g_assert_cmpuint(rows->len, ==, 0);
}

/* ---- undefining ---- */

static gboolean
undefine(const Fixture *fixture, VmpUndefineFlags flags, GError **error)
{
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);

    return vmp_machine_undefine(machine, flags, error);
}

static gboolean
is_known(const Fixture *fixture)
{
    g_autoptr(VmpStoreDomain) row = vmp_store_find_domain(fixture->host->store, "vm", NULL);

    return row != NULL;
}

static void
add_point(const Fixture *fixture, VmpPointKind kind)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpStoreDomain) row = vmp_store_find_domain(fixture->host->store, "vm", NULL);
    VmpStorePoint point = {
        .domain = row->id,
        .kind = kind,
        .name = (char *)"p",
        .state = (char *)(kind == VMP_POINT_SNAPSHOT ? "shutoff" : NULL),
        .body = (char *)"<x/>",
    };

    g_assert_true(vmp_store_put_point(fixture->host->store, &point, &error));
    g_assert_no_error(error);
}

static void
an_undefined_domain_leaves_nothing(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    (void)data;

    fixture_define(fixture, DOMAIN("vm", UUID, "64"));
    g_assert_true(undefine(fixture, 0, &error));
    g_assert_no_error(error);
    g_assert_false(is_known(fixture));
    g_assert_false(fixture_exists(fixture, "run/" FIXTURE_UUID ".lock"));
}

static void
points_keep_an_inactive_domain_until_they_are_given_up(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    (void)data;

    fixture_define(fixture, DOMAIN("vm", UUID, "64"));
    add_point(fixture, VMP_POINT_SNAPSHOT);
    add_point(fixture, VMP_POINT_CHECKPOINT);

    g_assert_false(undefine(fixture, 0, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_BUSY);
    g_assert_nonnull(strstr(error->message, "1 snapshot;"));
    g_clear_error(&error);
    g_assert_false(undefine(fixture, VMP_UNDEFINE_SNAPSHOTS_METADATA, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_BUSY);
    g_assert_nonnull(strstr(error->message, "checkpoint"));
    g_clear_error(&error);
    g_assert_true(is_known(fixture));

    g_assert_true(undefine(
        fixture, VMP_UNDEFINE_SNAPSHOTS_METADATA | VMP_UNDEFINE_CHECKPOINTS_METADATA, &error));
    g_assert_no_error(error);
    g_assert_false(is_known(fixture));
}

static void
one_that_runs_becomes_transient_and_goes_with_its_process(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = fixture_xml(fixture, "well");
    (void)data;

    fixture_define(fixture, xml);
    {
        g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
        g_assert_true(vmp_machine_start(machine, 0, &error));
        g_assert_true(vmp_machine_undefine(machine, 0, &error));
        g_assert_no_error(error);
        g_assert_null(vmp_machine_get_inactive(machine, &error));
        g_assert_no_error(error);
        g_assert_nonnull(vmp_machine_get_active(machine, NULL));
    }
    {
        g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
        g_assert_true(vmp_machine_is_on(machine));
        g_assert_true(vmp_machine_destroy(machine, 0, &error));
        g_assert_no_error(error);
    }
    g_assert_false(is_known(fixture));
}

static void
a_transient_domain_with_points_is_remembered(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = fixture_xml(fixture, "well");
    (void)data;

    fixture_define(fixture, xml);
    add_point(fixture, VMP_POINT_CHECKPOINT);
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
    g_assert_true(vmp_machine_start(machine, 0, &error));
    g_assert_true(vmp_machine_undefine(machine, 0, &error));
    g_assert_true(vmp_machine_destroy(machine, 0, &error));
    g_assert_no_error(error);
    g_assert_true(is_known(fixture));
}

/* ---- firmware variables ---- */

static char *
uefi_xml(const Fixture *fixture)
{
    return g_strdup_printf(
        "<domain type='qemu'><name>vm</name>" UUID "<memory unit='MiB'>64</memory><os>"
        "<type>hvm</type><loader type='pflash' readonly='yes'>/code.fd</loader>"
        "<nvram>%s/vars.fd</nvram></os></domain>",
        fixture->dir);
}

static void
make_variables(const Fixture *fixture, gboolean by_us)
{
    g_autofree char *path = fixture_path(fixture, "vars.fd");
    g_autoptr(VmpStoreDomain) row = vmp_store_find_domain(fixture->host->store, "vm", NULL);
    VmpStoreFile file = { .path = path, .domain = row->id, .role = (char *)"nvram" };

    g_assert_true(g_file_set_contents(path, "x", -1, NULL));
    if (by_us)
        g_assert_true(vmp_store_put_file(fixture->host->store, &file, NULL));
}

static void
firmware_variables_go_or_stay_as_said(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = uefi_xml(fixture);
    (void)data;

    fixture_define(fixture, xml);
    make_variables(fixture, TRUE);
    g_assert_false(undefine(fixture, 0, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
    g_clear_error(&error);
    g_assert_false(undefine(fixture, VMP_UNDEFINE_NVRAM | VMP_UNDEFINE_KEEP_NVRAM, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
    g_clear_error(&error);
    g_assert_true(undefine(fixture, VMP_UNDEFINE_KEEP_NVRAM, &error));
    g_assert_true(fixture_exists(fixture, "vars.fd"));

    fixture_define(fixture, xml);
    make_variables(fixture, TRUE);
    g_assert_true(undefine(fixture, VMP_UNDEFINE_NVRAM, &error));
    g_assert_no_error(error);
    g_assert_false(fixture_exists(fixture, "vars.fd"));
}

static void
variables_that_somebody_else_made_are_kept_with_a_warning(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = uefi_xml(fixture);
    (void)data;

    fixture_define(fixture, xml);
    make_variables(fixture, FALSE);
    g_assert_true(undefine(fixture, VMP_UNDEFINE_NVRAM, &error));
    g_assert_no_error(error);
    g_assert_true(fixture_exists(fixture, "vars.fd"));
    g_assert_cmpuint(vmp_operation_get_warnings(fixture->operation)->len, ==, 1);
}

int
main(int argc, char **argv)
{
    fixture_init(&argc, &argv);
    FIXTURE_TEST("/machine/define/a-definition-is-kept-byte-for-byte",
                 a_definition_is_kept_byte_for_byte);
    FIXTURE_TEST("/machine/define/a-uuid-is-made-up-and-written-down",
                 a_uuid_is_made_up_and_written_down);
    FIXTURE_TEST("/machine/define/the-same-domain-is-replaced", the_same_domain_is_replaced);
    FIXTURE_TEST("/machine/define/a-name-or-a-uuid-that-is-taken-is-refused",
                 a_name_or_a_uuid_that_is_taken_is_refused);
    FIXTURE_TEST("/machine/define/names-that-would-be-trouble-in-files-are-refused",
                 names_that_would_be_trouble_in_files_are_refused);
    FIXTURE_TEST("/machine/define/a-dry-run-checks-and-defines-nothing",
                 a_dry_run_checks_and_defines_nothing);
    FIXTURE_TEST("/machine/undefine/it-leaves-nothing", an_undefined_domain_leaves_nothing);
    FIXTURE_TEST("/machine/undefine/points-keep-an-inactive-domain-until-they-are-given-up",
                 points_keep_an_inactive_domain_until_they_are_given_up);
    FIXTURE_TEST("/machine/undefine/one-that-runs-becomes-transient-and-goes-with-its-process",
                 one_that_runs_becomes_transient_and_goes_with_its_process);
    FIXTURE_TEST("/machine/undefine/a-transient-domain-with-points-is-remembered",
                 a_transient_domain_with_points_is_remembered);
    FIXTURE_TEST("/machine/undefine/firmware-variables-go-or-stay-as-said",
                 firmware_variables_go_or_stay_as_said);
    FIXTURE_TEST("/machine/undefine/variables-that-somebody-else-made-are-kept-with-a-warning",
                 variables_that_somebody_else_made_are_kept_with_a_warning);
    return g_test_run();
}
