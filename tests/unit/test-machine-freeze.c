/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/freeze.h"

#include "agent-peer.h"
#include "qmp-peer.h"
#include "test-machine-fixture.h"

#define NUMBER(n) "{\"return\": " #n "}\n"
#define REFUSAL(words) "{\"error\": {\"class\": \"GenericError\", \"desc\": \"" words "\"}}\n"

/* ---- an attached machine, whose agent and monitor are the test's ---- */

typedef struct {
    QmpPeer *qemu;
    AgentPeer *agent;
    VmpMachine *machine;
} Guest;

static VmpMachine *
open_machine(const Fixture *fixture)
{
    return fixture_open(fixture, VMP_MACHINE_CHANGE);
}

static Guest
guest_new(const Fixture *fixture)
{
    Guest guest = { qmp_peer_new(), agent_peer_new(), NULL };
    g_autoptr(GError) error = NULL;

    qmp_peer_answer(guest.qemu, "query-uuid", "{'UUID': '" FIXTURE_UUID "'}");
    qmp_peer_answer(guest.qemu, "query-block", "[]");
    qmp_peer_answer(guest.qemu, "query-named-block-nodes", "[]");
    qmp_peer_answer(guest.qemu, "x-debug-query-block-graph", "{'nodes': [], 'edges': []}");
    qmp_peer_answer(guest.qemu, "query-status",
                    "{'running': true, 'singlestep': false, 'status': 'running'}");
    g_autofree char *xml = fixture_xml(fixture, "well");
    g_assert_true(vmp_machine_attach(fixture->host, "vm", qmp_peer_get_path(guest.qemu),
                                     agent_peer_get_path(guest.agent), xml, fixture->operation,
                                     &error));
    g_assert_no_error(error);
    agent_peer_answer(guest.agent, "guest-fsfreeze-status", "{\"return\": \"thawed\"}\n");
    agent_peer_answer(guest.agent, "guest-fsfreeze-freeze", NUMBER(2));
    agent_peer_answer(guest.agent, "guest-fsfreeze-thaw", NUMBER(2));
    guest.machine = open_machine(fixture);
    return guest;
}

static void
guest_finish(Guest *guest)
{
    vmp_machine_free(guest->machine);
    agent_peer_finish(guest->agent);
    qmp_peer_finish(guest->qemu);
}

static guint
warnings(const Fixture *fixture)
{
    return vmp_operation_get_warnings(fixture->operation)->len;
}

/* ---- around something ---- */

static void
a_freeze_is_owed_until_it_is_paid(Fixture *fixture, gconstpointer data)
{
    Guest guest = guest_new(fixture);
    g_autoptr(GError) error = NULL;

    g_assert_false(vmp_machine_owes_thaw(guest.machine));
    g_assert_true(vmp_machine_freeze(guest.machine, &error));
    g_assert_no_error(error);
    g_assert_true(vmp_machine_owes_thaw(guest.machine));
    g_assert_true(vmp_machine_pay_thaw(guest.machine, &error));
    g_assert_no_error(error);
    g_assert_false(vmp_machine_owes_thaw(guest.machine));
    /* Nothing is owed: the agent is left alone. */
    g_assert_true(vmp_machine_pay_thaw(guest.machine, &error));
    g_assert_cmpuint(agent_peer_count(guest.agent, "guest-fsfreeze-thaw"), ==, 1);
    g_assert_cmpuint(warnings(fixture), ==, 0);
    guest_finish(&guest);
}

static void
somebody_elses_freeze_is_left_alone(Fixture *fixture, gconstpointer data)
{
    Guest guest = guest_new(fixture);
    g_autoptr(GError) error = NULL;

    agent_peer_answer(guest.agent, "guest-fsfreeze-status", "{\"return\": \"frozen\"}\n");
    g_assert_false(vmp_machine_freeze(guest.machine, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_BUSY);
    g_assert_false(vmp_machine_owes_thaw(guest.machine));
    vmp_machine_settle_freeze(guest.machine);
    g_assert_cmpuint(agent_peer_count(guest.agent, "guest-fsfreeze-thaw"), ==, 0);
    guest_finish(&guest);
}

static void
an_agent_that_refuses_to_freeze_is_owed_nothing(Fixture *fixture, gconstpointer data)
{
    Guest guest = guest_new(fixture);
    g_autoptr(GError) error = NULL;

    agent_peer_answer(guest.agent, "guest-fsfreeze-freeze", REFUSAL("disk on fire"));
    g_assert_false(vmp_machine_freeze(guest.machine, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_REFUSED);
    g_assert_nonnull(strstr(error->message, "disk on fire"));
    g_assert_false(vmp_machine_owes_thaw(guest.machine));
    vmp_machine_free(g_steal_pointer(&guest.machine));
    g_assert_cmpuint(agent_peer_count(guest.agent, "guest-fsfreeze-thaw"), ==, 0);
    guest_finish(&guest);
}

static void
a_freeze_without_an_answer_is_owed_and_thawed(Fixture *fixture, gconstpointer data)
{
    Guest guest = guest_new(fixture);
    g_autoptr(GError) error = NULL;

    vmp_host_set_timeout(fixture->host, 300);
    agent_peer_answer(guest.agent, "guest-fsfreeze-freeze", NULL);
    g_assert_false(vmp_machine_freeze(guest.machine, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_TIMED_OUT);
    g_assert_true(vmp_machine_owes_thaw(guest.machine));
    vmp_host_set_timeout(fixture->host, 60000);
    vmp_machine_settle_freeze(guest.machine);
    g_assert_false(vmp_machine_owes_thaw(guest.machine));
    g_assert_cmpuint(agent_peer_count(guest.agent, "guest-fsfreeze-thaw"), ==, 1);
    guest_finish(&guest);
}

static void
a_guest_that_thawed_by_itself_is_warned_of(Fixture *fixture, gconstpointer data)
{
    Guest guest = guest_new(fixture);
    g_autoptr(GError) error = NULL;

    agent_peer_answer(guest.agent, "guest-fsfreeze-thaw", NUMBER(0));
    g_assert_true(vmp_machine_freeze(guest.machine, &error));
    g_assert_true(vmp_machine_pay_thaw(guest.machine, &error));
    g_assert_cmpuint(warnings(fixture), ==, 1);
    guest_finish(&guest);
}

/* ---- when we are gone ---- */

static void
wait_until_paid(const Fixture *fixture)
{
    g_autofree char *path = g_strdup_printf("%s/run/" FIXTURE_UUID ".frozen", fixture->dir);

    for (int i = 0; i < 6000 && g_file_test(path, G_FILE_TEST_EXISTS); i++)
        g_usleep(10000);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void
letting_go_leaves_the_thaw_to_the_guard(Fixture *fixture, gconstpointer data)
{
    Guest guest = guest_new(fixture);
    g_autoptr(GError) error = NULL;

    g_assert_true(vmp_machine_freeze(guest.machine, &error));
    vmp_machine_free(g_steal_pointer(&guest.machine));
    wait_until_paid(fixture);
    g_assert_cmpuint(agent_peer_count(guest.agent, "guest-fsfreeze-thaw"), ==, 1);
    guest_finish(&guest);
}

static void
leave_a_debt(const Fixture *fixture)
{
    g_autofree char *path = g_strdup_printf("%s/run/" FIXTURE_UUID ".frozen", fixture->dir);

    g_assert_true(g_file_set_contents(path, "", 0, NULL));
}

static void
who_opens_the_domain_next_pays(Fixture *fixture, gconstpointer data)
{
    Guest guest = guest_new(fixture);

    vmp_machine_free(g_steal_pointer(&guest.machine));
    leave_a_debt(fixture);
    guest.machine = open_machine(fixture);
    g_assert_false(vmp_machine_owes_thaw(guest.machine));
    g_assert_cmpuint(agent_peer_count(guest.agent, "guest-fsfreeze-thaw"), ==, 1);
    guest_finish(&guest);
}

static void
a_debt_that_cannot_be_paid_is_a_warning_and_stays(Fixture *fixture, gconstpointer data)
{
    Guest guest = guest_new(fixture);

    vmp_machine_free(g_steal_pointer(&guest.machine));
    leave_a_debt(fixture);
    vmp_host_set_timeout(fixture->host, 300);
    agent_peer_answer(guest.agent, "guest-sync-delimited", NULL);
    guest.machine = open_machine(fixture);
    g_assert_true(vmp_machine_owes_thaw(guest.machine));
    g_assert_cmpuint(warnings(fixture), ==, 1);
    guest_finish(&guest);
}

/* ---- because somebody asked ---- */

static void
a_guest_that_does_not_run_is_not_asked(Fixture *fixture, gconstpointer data)
{
    Guest guest = guest_new(fixture);
    g_autoptr(GError) error = NULL;

    qmp_peer_answer(guest.qemu, "query-status",
                    "{'running': false, 'singlestep': false, 'status': 'paused'}");
    g_assert_cmpint(vmp_machine_freeze_filesystems(guest.machine, NULL, &error), ==, -1);
    g_assert_error(error, VMP_ERROR, VMP_ERROR_FAILED);
    g_assert_nonnull(strstr(error->message, "not running"));
    guest_finish(&guest);
}

static void
some_or_all_are_frozen_and_all_are_thawed(Fixture *fixture, gconstpointer data)
{
    Guest guest = guest_new(fixture);
    const char *const some[] = { "/home", NULL };
    g_autoptr(GError) error = NULL;

    agent_peer_answer(guest.agent, "guest-fsfreeze-freeze-list", NUMBER(1));
    agent_peer_answer(guest.agent, "guest-fstrim", "{\"return\": {\"paths\": []}}\n");
    agent_peer_answer(guest.agent, "guest-get-fsinfo", "{\"return\": []}\n");
    g_assert_cmpint(vmp_machine_freeze_filesystems(guest.machine, some, &error), ==, 1);
    g_assert_cmpint(vmp_machine_freeze_filesystems(guest.machine, NULL, &error), ==, 2);
    g_assert_false(vmp_machine_owes_thaw(guest.machine));
    g_assert_cmpint(vmp_machine_thaw_filesystems(guest.machine, &error), ==, 2);
    g_assert_true(vmp_machine_trim_filesystems(guest.machine, 4096, &error));
    g_autoptr(VmpJson) list = vmp_machine_query_filesystems(guest.machine, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(vmp_json_length(list), ==, 0);
    guest_finish(&guest);
}

static void
a_strange_answer_is_no_number(Fixture *fixture, gconstpointer data)
{
    Guest guest = guest_new(fixture);
    g_autoptr(GError) error = NULL;

    agent_peer_answer(guest.agent, "guest-fsfreeze-freeze", "{\"return\": \"many\"}\n");
    g_assert_cmpint(vmp_machine_freeze_filesystems(guest.machine, NULL, &error), ==, -1);
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
    guest_finish(&guest);
}

int
main(int argc, char **argv)
{
    fixture_init(&argc, &argv);
    FIXTURE_TEST("/machine/freeze/a-freeze-is-owed-until-it-is-paid",
                 a_freeze_is_owed_until_it_is_paid);
    FIXTURE_TEST("/machine/freeze/somebody-elses-freeze-is-left-alone",
                 somebody_elses_freeze_is_left_alone);
    FIXTURE_TEST("/machine/freeze/an-agent-that-refuses-to-freeze-is-owed-nothing",
                 an_agent_that_refuses_to_freeze_is_owed_nothing);
    FIXTURE_TEST("/machine/freeze/a-freeze-without-an-answer-is-owed-and-thawed",
                 a_freeze_without_an_answer_is_owed_and_thawed);
    FIXTURE_TEST("/machine/freeze/a-guest-that-thawed-by-itself-is-warned-of",
                 a_guest_that_thawed_by_itself_is_warned_of);
    FIXTURE_TEST("/machine/freeze/letting-go-leaves-the-thaw-to-the-guard",
                 letting_go_leaves_the_thaw_to_the_guard);
    FIXTURE_TEST("/machine/freeze/who-opens-the-domain-next-pays",
                 who_opens_the_domain_next_pays);
    FIXTURE_TEST("/machine/freeze/a-debt-that-cannot-be-paid-is-a-warning-and-stays",
                 a_debt_that_cannot_be_paid_is_a_warning_and_stays);
    FIXTURE_TEST("/machine/freeze/a-guest-that-does-not-run-is-not-asked",
                 a_guest_that_does_not_run_is_not_asked);
    FIXTURE_TEST("/machine/freeze/some-or-all-are-frozen-and-all-are-thawed",
                 some_or_all_are_frozen_and_all_are_thawed);
    FIXTURE_TEST("/machine/freeze/a-strange-answer-is-no-number",
                 a_strange_answer_is_no_number);
    return g_test_run();
}
