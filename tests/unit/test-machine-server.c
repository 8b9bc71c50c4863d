/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/server.h"

#include "machine/instance.h"
#include "test-machine-fixture.h"

/* The storage daemon of these tests is this program too: it is the first in PATH. */
static void
set_up(Fixture *fixture, gconstpointer data)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);

    fixture_set_up(fixture, data);
    g_autofree char *link = fixture_path(fixture, "qemu-storage-daemon");
    g_autofree char *xml = fixture_xml(fixture, "well");
    g_assert_cmpint(symlink(self, link), ==, 0);
    g_setenv("PATH", fixture->dir, TRUE);
    g_setenv("FAKE_QEMU", "well", TRUE);
    fixture_define(fixture, xml);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    g_unsetenv("FAKE_QEMU");
    fixture_tear_down(fixture, data);
}

static GPid
find(VmpMachine *machine)
{
    g_autoptr(GError) error = NULL;
    GPid pid = -1;

    g_assert_true(vmp_machine_find_server(machine, &pid, &error));
    g_assert_no_error(error);
    return pid;
}

static VmpInstance *
read_record(const Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    VmpInstance *server =
        vmp_instance_read(fixture->host, FIXTURE_UUID, VMP_INSTANCE_SERVER, &error);

    g_assert_no_error(error);
    return server;
}

/* As a command does that tells it everything. */
static GPid
serve(const Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
    g_autoptr(VmpQmpClient) client = NULL;

    g_assert_true(vmp_machine_start_server(machine, &client, &error));
    g_assert_no_error(error);
    g_assert_true(vmp_machine_note_server(machine, &error));
    g_assert_no_error(error);
    return find(machine);
}

static void
none_is_there_until_it_is_started(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
    (void)data;

    g_assert_cmpint(find(machine), ==, 0);
    g_assert_true(vmp_machine_check_no_server(machine, &error));
    g_assert_true(vmp_machine_end_server(machine, &error));
    g_assert_no_error(error);
    g_assert_false(vmp_machine_note_server(machine, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_DISCONNECTED);
}

static void
it_outlives_its_machine_and_its_monitor(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    GPid pid = serve(fixture);
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
    (void)data;

    g_assert_cmpint(pid, >, 0);
    g_assert_cmpint(find(machine), ==, pid);
    g_assert_false(vmp_machine_check_no_server(machine, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_BUSY);
    g_assert_nonnull(strstr(error->message, "domain vm: a pull backup"));
    g_clear_error(&error);
    g_assert_false(vmp_machine_is_on(machine));

    g_autoptr(VmpInstance) record = read_record(fixture);
    g_assert_true(vmp_machine_end_server(machine, &error));
    g_assert_no_error(error);
    g_assert_false(vmp_instance_is_alive(record));
    g_assert_false(fixture_exists(fixture, "run/" FIXTURE_UUID));
    g_assert_cmpint(find(machine), ==, 0);
}

static void
one_that_was_half_told_counts_as_gone(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
    g_autoptr(VmpQmpClient) client = NULL, next = NULL;
    (void)data;

    g_assert_true(vmp_machine_start_server(machine, &client, &error));
    g_assert_no_error(error);
    g_autoptr(VmpInstance) half = read_record(fixture);
    g_assert_true(vmp_instance_is_alive(half));
    g_assert_cmpint(find(machine), ==, 0);
    g_assert_true(vmp_machine_check_no_server(machine, &error));

    g_assert_true(vmp_machine_start_server(machine, &next, &error));
    g_assert_no_error(error);
    g_assert_false(vmp_instance_is_alive(half));
    g_assert_true(vmp_machine_end_server(machine, &error));
    g_assert_no_error(error);
}

static void
one_that_was_killed_leaves_a_record_that_can_be_taken_away(Fixture *fixture,
                                                           gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    GPid pid = serve(fixture);
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
    g_autoptr(VmpInstance) record = read_record(fixture);
    (void)data;

    g_assert_true(vmp_process_kill(pid, record->process.start_time, SIGKILL));
    g_assert_true(vmp_process_wait_gone(pid, record->process.start_time, 60000));
    g_assert_cmpint(find(machine), ==, 0);
    g_assert_true(vmp_machine_check_no_server(machine, &error));
    g_assert_true(fixture_exists(fixture, "run/" FIXTURE_UUID "/server"));
    g_assert_true(vmp_machine_end_server(machine, &error));
    g_assert_no_error(error);
    g_assert_false(fixture_exists(fixture, "run/" FIXTURE_UUID));
}

#define SERVER_TEST(path, function) \
    g_test_add(path, Fixture, NULL, set_up, function, tear_down)

int
main(int argc, char **argv)
{
    fixture_init(&argc, &argv);
    SERVER_TEST("/machine/server/none-is-there-until-it-is-started",
                none_is_there_until_it_is_started);
    SERVER_TEST("/machine/server/it-outlives-its-machine-and-its-monitor",
                it_outlives_its_machine_and_its_monitor);
    SERVER_TEST("/machine/server/one-that-was-half-told-counts-as-gone",
                one_that_was_half_told_counts_as_gone);
    SERVER_TEST("/machine/server/one-that-was-killed-leaves-a-record-that-can-be-taken-away",
                one_that_was_killed_leaves_a_record_that_can_be_taken_away);
    return g_test_run();
}
