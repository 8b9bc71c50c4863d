/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/revert-request.h"
#include "test-point-fixture.h"

#define RUNNING VMP_SNAPSHOT_REVERT_RUNNING
#define PAUSED VMP_SNAPSHOT_REVERT_PAUSED
#define RESET VMP_SNAPSHOT_REVERT_RESET_NVRAM

static void
the_end_is_the_snapshots_unless_another_is_asked_for(void)
{
    static const struct {
        VmpLocation memory;
        VmpState then;
        VmpSnapshotRevertFlags flags;
        VmpState end;
    } rows[] = {
        { VMP_LOCATION_NO, VMP_STATE_SHUTOFF, 0, VMP_STATE_SHUTOFF },
        { VMP_LOCATION_NO, VMP_STATE_DISK_SNAPSHOT, 0, VMP_STATE_SHUTOFF },
        { VMP_LOCATION_NO, VMP_STATE_SHUTOFF, RUNNING, VMP_STATE_RUNNING },
        { VMP_LOCATION_NO, VMP_STATE_SHUTOFF, PAUSED, VMP_STATE_PAUSED },
        { VMP_LOCATION_INTERNAL, VMP_STATE_RUNNING, 0, VMP_STATE_RUNNING },
        { VMP_LOCATION_EXTERNAL, VMP_STATE_PAUSED, 0, VMP_STATE_PAUSED },
        { VMP_LOCATION_EXTERNAL, VMP_STATE_PAUSED, RUNNING, VMP_STATE_RUNNING },
        { VMP_LOCATION_INTERNAL, VMP_STATE_RUNNING, PAUSED, VMP_STATE_PAUSED },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        VmpSnapshot snapshot = { .memory = rows[i].memory, .state = rows[i].then };
        g_assert_cmpint(vmp_revert_choose_end(&snapshot, rows[i].flags), ==, rows[i].end);
    }
}

static void
what_cannot_be_asked_for_is_refused(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    static const struct {
        VmpLocation memory;
        VmpState then;
        VmpSnapshotRevertFlags flags;
        int code; /* 0 = may be */
    } rows[] = {
        { VMP_LOCATION_NO, VMP_STATE_SHUTOFF, 0, 0 },
        { VMP_LOCATION_NO, VMP_STATE_SHUTOFF, RUNNING | RESET, 0 },
        { VMP_LOCATION_NO, VMP_STATE_SHUTOFF, RUNNING | PAUSED, VMP_ERROR_INVALID },
        { VMP_LOCATION_EXTERNAL, VMP_STATE_RUNNING, RESET, VMP_ERROR_UNSUPPORTED },
        { VMP_LOCATION_INTERNAL, VMP_STATE_RUNNING, RESET, VMP_ERROR_UNSUPPORTED },
        { VMP_LOCATION_INTERNAL, VMP_STATE_PMSUSPENDED, 0, VMP_ERROR_UNSUPPORTED },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        VmpSnapshot snapshot = { .memory = rows[i].memory, .state = rows[i].then };
        g_autoptr(GError) error = NULL;
        gboolean may =
            vmp_revert_check_request(fixture->machine, &snapshot, rows[i].flags, &error);
        g_assert_cmpint(may, ==, rows[i].code == 0);
        g_assert_cmpint(error ? error->code : 0, ==, rows[i].code);
    }
}

static void
definitions_are_the_snapshots_with_the_present_name(Fixture *fixture,
                                                    gconstpointer data G_GNUC_UNUSED)
{
    g_autofree char *then = point_domain("/then/a.qcow2", "/then/b.qcow2", "");
    g_autofree char *text = g_strdup(then);
    g_autoptr(GError) error = NULL;
    const VmpDomain *present = vmp_machine_get_definition(fixture->machine, &error);
    g_assert_no_error(error);

    memcpy(strstr(text, "<name>d</name>"), "<name>e</name>", strlen("<name>e</name>"));
    VmpSnapshot snapshots[] = { { 0 }, { .domain_xml = text } };
    static const char *const paths[] = { "/i/a.qcow2", "/then/a.qcow2" };
    for (gsize i = 0; i < G_N_ELEMENTS(snapshots); i++) {
        g_autoptr(VmpDomain) definition = NULL, inactive = NULL;
        g_assert_true(vmp_revert_choose_definitions(fixture->machine, &snapshots[i], present,
                                                    &definition, &inactive, &error));
        g_assert_cmpstr(vmp_domain_get_name(definition), ==, "d");
        g_assert_cmpstr(vmp_domain_find_disk(definition, "vda")->source, ==, paths[i]);
        g_assert_cmpstr(vmp_domain_find_disk(inactive, "vda")->source, ==, paths[i]);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func(
        "/point/revert-request/the-end-is-the-snapshots-unless-another-is-asked-for",
        the_end_is_the_snapshots_unless_another_is_asked_for);
    g_test_add("/point/revert-request/what-cannot-be-asked-for-is-refused", Fixture, NULL,
               point_set_up, what_cannot_be_asked_for_is_refused, point_tear_down);
    g_test_add("/point/revert-request/definitions-are-the-snapshots-with-the-present-name",
               Fixture, NULL, point_set_up,
               definitions_are_the_snapshots_with_the_present_name, point_tear_down);
    return g_test_run();
}
