/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/file.h"
#include "machine/instance.h"
#include "machine/list.h"
#include "machine/spare.h"
#include "test-machine-fixture.h"

static void
define(const Fixture *fixture, const char *behaviour)
{
    g_autofree char *xml = fixture_xml(fixture, behaviour);

    fixture_define(fixture, xml);
}

static void
start(const Fixture *fixture, VmpStartFlags flags)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);

    g_assert_true(vmp_machine_start(machine, flags, &error));
    g_assert_no_error(error);
    g_assert_true(vmp_machine_is_on(machine));
}

static void
destroy(const Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);

    g_assert_true(vmp_machine_destroy(machine, 0, &error));
    g_assert_no_error(error);
}

static void
check_state(const Fixture *fixture, VmpState expected, const char *expected_reason)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_READ);
    VmpState state;
    const char *reason;

    g_assert_true(vmp_machine_query_state(machine, &state, &reason, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(vmp_state_name(state), ==, vmp_state_name(expected));
    g_assert_cmpstr(reason, ==, expected_reason);
}

static VmpProcess
process_of(const Fixture *fixture, VmpInstanceRole role)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpInstance) instance =
        vmp_instance_read(fixture->host, FIXTURE_UUID, role, &error);

    g_assert_no_error(error);
    g_assert_nonnull(instance);
    return instance->process;
}

static gboolean
is_alive(VmpProcess process)
{
    return vmp_process_is_alive(process.pid, process.start_time);
}

/* Neither console nor a file of the runtime folder but the lock. */
static void
check_nothing_left(const Fixture *fixture)
{
    g_autofree char *runtime = fixture_path(fixture, "run");
    g_autoptr(GDir) here = g_dir_open(fixture->dir, 0, NULL),
                    run = g_dir_open(runtime, 0, NULL);

    for (const char *name = g_dir_read_name(here); name; name = g_dir_read_name(here)) {
        if (!g_str_equal(name, "state") && !g_str_equal(name, "run"))
            g_error("'%s' is left", name);
    }
    for (const char *name = g_dir_read_name(run); name; name = g_dir_read_name(run)) {
        if (!g_str_equal(name, FIXTURE_UUID ".lock"))
            g_error("'%s' is left", name);
    }
}

/* ---- from start to end ---- */

static void
a_life_from_start_to_end(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    (void)data;

    define(fixture, "well");
    check_state(fixture, VMP_STATE_SHUTOFF, "unknown");
    start(fixture, 0);
    check_state(fixture, VMP_STATE_RUNNING, "booted");
    g_assert_true(fixture_exists(fixture, "console"));
    VmpProcess process = process_of(fixture, VMP_INSTANCE_MACHINE);
    g_assert_true(is_alive(process));

    {
        g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
        g_assert_false(vmp_machine_start(machine, 0, &error));
        g_assert_error(error, VMP_ERROR, VMP_ERROR_FAILED);
        g_clear_error(&error);
        g_assert_false(vmp_machine_resume(machine, &error));
        g_assert_error(error, VMP_ERROR, VMP_ERROR_FAILED);
        g_clear_error(&error);
        g_assert_true(vmp_machine_suspend(machine, &error));
        g_assert_true(vmp_machine_suspend(machine, &error));
    }
    check_state(fixture, VMP_STATE_PAUSED, "user");
    {
        g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
        g_assert_true(vmp_machine_resume(machine, &error));
        g_assert_no_error(error);
    }
    check_state(fixture, VMP_STATE_RUNNING, "unpaused");

    destroy(fixture);
    check_state(fixture, VMP_STATE_SHUTOFF, "destroyed");
    g_assert_false(is_alive(process));
    check_nothing_left(fixture);
}

static void
started_paused_it_waits_to_be_resumed(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    (void)data;

    define(fixture, "well");
    start(fixture, VMP_START_PAUSED);
    check_state(fixture, VMP_STATE_PAUSED, "user");
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
    g_assert_true(vmp_machine_resume(machine, &error));
    g_assert_true(vmp_machine_destroy(machine, 0, &error));
}

static void
what_is_off_can_only_be_started(Fixture *fixture, gconstpointer data)
{
    static gboolean (*const commands[])(VmpMachine *, GError **) = {
        vmp_machine_suspend,
        vmp_machine_resume,
        vmp_machine_shutdown,
        vmp_machine_reset,
    };
    (void)data;

    define(fixture, "well");
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
    for (guint i = 0; i < G_N_ELEMENTS(commands); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(commands[i](machine, &error));
        g_assert_error(error, VMP_ERROR, VMP_ERROR_FAILED);
    }
    g_autoptr(GError) error = NULL;
    g_assert_false(vmp_machine_destroy(machine, 0, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_FAILED);
    g_assert_null(vmp_machine_get_active(machine, NULL));
    g_assert_nonnull(vmp_machine_get_definition(machine, NULL));
}

static void
looking_does_not_wait_for_changing(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    (void)data;

    define(fixture, "well");
    start(fixture, 0);
    g_autoptr(VmpMachine) changing = fixture_open(fixture, VMP_MACHINE_CHANGE);
    g_assert_nonnull(vmp_machine_get_monitor(changing, &error));
    check_state(fixture, VMP_STATE_RUNNING, "booted");
    g_assert_true(vmp_machine_destroy(changing, 0, &error));
}

/* ---- starts that fail ---- */

static void
what_qemu_says_before_it_goes_is_the_error(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    (void)data;

    define(fixture, "refuse");
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
    g_assert_false(vmp_machine_start(machine, 0, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_BUSY);
    g_assert_cmpstr(error->message, ==,
                    "domain vm: QEMU did not start: fake: first line; "
                    "fake: Failed to get \"write\" lock");
    g_assert_false(vmp_machine_is_on(machine));
    check_nothing_left(fixture);
    check_state(fixture, VMP_STATE_SHUTOFF, "unknown");
}

static void
a_qemu_that_does_not_greet_is_ended(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    (void)data;

    define(fixture, "mute");
    vmp_host_set_timeout(fixture->host, 200);
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
    g_assert_false(vmp_machine_start(machine, 0, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_TIMED_OUT);
    check_nothing_left(fixture);
}

static void
a_start_can_be_cancelled(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    (void)data;

    define(fixture, "mute");
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
    vmp_operation_set_cancellable(fixture->operation, cancellable);
    g_cancellable_cancel(cancellable);
    g_assert_false(vmp_machine_start(machine, 0, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INTERRUPTED);
    check_nothing_left(fixture);
}

static void
an_emulator_that_is_not_there_is_unsupported(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = fixture_xml(fixture, "well");
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_auto(GStrv) parts = g_strsplit(xml, self, 2);
    g_autofree char *other = g_strjoinv("/no/such/qemu", parts);
    (void)data;

    fixture_define(fixture, other);
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
    g_assert_false(vmp_machine_start(machine, 0, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_UNSUPPORTED);
    check_nothing_left(fixture);
}

/* ---- ends that nobody asked for ---- */

static void
a_guest_that_powers_off_leaves_in_order(Fixture *fixture, gconstpointer data)
{
    (void)data;
    define(fixture, "well");
    start(fixture, 0);
    VmpProcess process = process_of(fixture, VMP_INSTANCE_MACHINE);

    g_assert_true(vmp_process_kill(process.pid, process.start_time, SIGTERM));
    g_assert_true(vmp_process_wait_gone(process.pid, process.start_time, 20000));
    check_state(fixture, VMP_STATE_SHUTOFF, "shutdown");
    /* Seen, but not yet noted: looking changes nothing. */
    g_assert_true(fixture_exists(fixture, "console"));

    vmp_machine_free(fixture_open(fixture, VMP_MACHINE_CHANGE));
    check_nothing_left(fixture);
    check_state(fixture, VMP_STATE_SHUTOFF, "shutdown");
}

static void
a_qemu_that_was_killed_has_crashed(Fixture *fixture, gconstpointer data)
{
    (void)data;
    define(fixture, "well");
    start(fixture, 0);
    VmpProcess process = process_of(fixture, VMP_INSTANCE_MACHINE);

    g_assert_true(vmp_process_kill(process.pid, process.start_time, SIGKILL));
    g_assert_true(vmp_process_wait_gone(process.pid, process.start_time, 20000));
    check_state(fixture, VMP_STATE_SHUTOFF, "crashed");
    vmp_machine_free(fixture_open(fixture, VMP_MACHINE_CHANGE));
    check_nothing_left(fixture);
    check_state(fixture, VMP_STATE_SHUTOFF, "crashed");
    start(fixture, 0);
    destroy(fixture);
}

static void
one_that_does_not_end_is_killed_with_a_warning(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    (void)data;

    if (!g_test_slow()) {
        g_test_skip("takes fifteen seconds of patience; run with -m slow");
        return;
    }
    define(fixture, "stubborn");
    start(fixture, 0);
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
    g_assert_true(vmp_machine_destroy(machine, 0, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(vmp_operation_get_warnings(fixture->operation)->len, ==, 1);
    check_nothing_left(fixture);
}

/* ---- vmpoint killed on the way ---- */

/* Runs "start", "destroy" or "switch" in a process that dies at the @nth fault point; FALSE
 * if it passed fewer.  A program of its own, because fault points are read once. */
static gboolean
die_at(const Fixture *fixture, guint nth, const char *what)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        g_autofree char *fault = g_strdup_printf("kill@%u", nth);
        g_setenv("VMPOINT_FAULT", fault, TRUE);
        execl("/proc/self/exe", "test-machine-life", "--do", what, fixture->dir, NULL);
        _exit(1);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    if (WIFSIGNALED(status))
        g_assert_cmpint(WTERMSIG(status), ==, SIGKILL);
    else
        g_assert_cmpint(WEXITSTATUS(status), ==, 0);
    return WIFSIGNALED(status);
}

static VmpDomain *make_other(const Fixture *fixture, const char *behaviour);

/* What that process does; its exit status. */
static int
do_one(const char *what, char *dir)
{
    Fixture fixture = { .dir = dir };
    g_autofree char *state = fixture_path(&fixture, "state");
    g_autofree char *runtime = fixture_path(&fixture, "run");
    g_autoptr(VmpHost) host = vmp_host_open(state, runtime, NULL);
    g_autoptr(VmpMachine) machine =
        vmp_machine_open(host, "vm", VMP_MACHINE_CHANGE, NULL, NULL);

    if (strcmp(what, "start") == 0)
        return !vmp_machine_start(machine, 0, NULL);
    if (strcmp(what, "destroy") == 0)
        return !vmp_machine_destroy(machine, 0, NULL);
    g_autoptr(VmpDomain) other = make_other(&fixture, "well");
    return !vmp_machine_prepare_spare(machine, other, FALSE, NULL, NULL, NULL) ||
           !vmp_machine_switch_to_spare(machine, "from snapshot", NULL);
}

static void
a_start_that_was_cut_off_ends_off_or_on(Fixture *fixture, gconstpointer data)
{
    guint nth = 1, times_on = 0;
    (void)data;

    define(fixture, "well");
    for (; die_at(fixture, nth, "start"); nth++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);

        if (vmp_machine_is_on(machine)) {
            /* Not one that waits for ever for the word to run. */
            check_state(fixture, VMP_STATE_RUNNING, "booted");
            times_on++;
            g_assert_true(vmp_machine_destroy(machine, 0, &error));
            g_assert_no_error(error);
        }
        check_nothing_left(fixture);
    }
    /* The last run was not killed. */
    g_assert_cmpuint(nth, >, 4);
    g_assert_cmpuint(times_on, ==, 2);
    destroy(fixture);
}

static void
an_end_that_was_cut_off_is_an_end(Fixture *fixture, gconstpointer data)
{
    guint nth = 1;
    gboolean was_cut;
    (void)data;

    define(fixture, "well");
    do {
        start(fixture, 0);
        was_cut = die_at(fixture, nth++, "destroy");
        vmp_machine_free(fixture_open(fixture, VMP_MACHINE_CHANGE));
        check_nothing_left(fixture);
    } while (was_cut);
    g_assert_cmpuint(nth, >, 2);
}

/* ---- a spare ---- */

/* As the definition, but with more CPUs: which of the two runs can be seen. */
static VmpDomain *
make_other(const Fixture *fixture, const char *behaviour)
{
    g_autofree char *xml = fixture_xml(fixture, behaviour);
    g_auto(GStrv) parts = g_strsplit(xml, "<vcpu>1<", 2);
    g_autofree char *other = g_strjoinv("<vcpu>2<", parts);

    return vmp_domain_parse(other, -1, NULL);
}

static guint
running_cpus(const Fixture *fixture)
{
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_READ);
    const VmpDomain *definition = vmp_machine_get_active(machine, NULL);

    return definition ? vmp_domain_get_vcpus(definition) : 0;
}

static guint64
inode_of_console(const Fixture *fixture)
{
    g_autofree char *path = fixture_path(fixture, "console");
    struct stat info;

    g_assert_cmpint(stat(path, &info), ==, 0);
    return info.st_ino;
}

static void
a_spare_that_is_dropped_was_never_there(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpDomain) other = make_other(fixture, "well");
    (void)data;

    define(fixture, "well");
    start(fixture, 0);
    guint64 console = inode_of_console(fixture);
    {
        g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
        g_assert_true(vmp_machine_prepare_spare(machine, other, FALSE, NULL, NULL, &error));
        g_assert_no_error(error);
        g_assert_nonnull(vmp_machine_get_spare_monitor(machine));
        g_assert_true(is_alive(process_of(fixture, VMP_INSTANCE_SPARE)));
        g_assert_cmpuint(inode_of_console(fixture), ==, console);
    }
    g_assert_cmpuint(inode_of_console(fixture), ==, console);
    g_assert_cmpuint(running_cpus(fixture), ==, 1);
    check_state(fixture, VMP_STATE_RUNNING, "booted");
    destroy(fixture);
    check_nothing_left(fixture);
}

static void
a_spare_that_is_switched_to_is_the_machine(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpDomain) other = make_other(fixture, "well");
    (void)data;

    define(fixture, "well");
    start(fixture, 0);
    VmpProcess before = process_of(fixture, VMP_INSTANCE_MACHINE);
    guint64 console = inode_of_console(fixture);
    {
        g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
        g_assert_true(vmp_machine_prepare_spare(machine, other, FALSE, NULL, NULL, &error));
        g_assert_true(vmp_machine_switch_to_spare(machine, "from snapshot", &error));
        g_assert_no_error(error);
        g_assert_false(is_alive(before));
        g_assert_true(vmp_machine_resume(machine, &error));
        g_assert_no_error(error);
    }
    g_assert_cmpuint(inode_of_console(fixture), !=, console);
    g_assert_cmpuint(running_cpus(fixture), ==, 2);
    check_state(fixture, VMP_STATE_RUNNING, "unpaused");
    destroy(fixture);
    check_nothing_left(fixture);
}

static void
a_spare_that_does_not_start_changes_nothing(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpDomain) other = make_other(fixture, "refuse");
    (void)data;

    define(fixture, "well");
    start(fixture, 0);
    {
        g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
        g_assert_false(vmp_machine_prepare_spare(machine, other, FALSE, NULL, NULL, &error));
        g_assert_error(error, VMP_ERROR, VMP_ERROR_BUSY);
    }
    check_state(fixture, VMP_STATE_RUNNING, "booted");
    g_assert_true(fixture_exists(fixture, "console"));
    destroy(fixture);
    check_nothing_left(fixture);
}

static void
a_switch_that_was_cut_off_ends_before_or_after(Fixture *fixture, gconstpointer data)
{
    guint nth = 1, before = 0, after = 0;
    gboolean was_cut;
    (void)data;

    define(fixture, "well");
    do {
        start(fixture, 0);
        was_cut = die_at(fixture, nth++, "switch");
        vmp_machine_free(fixture_open(fixture, VMP_MACHINE_CHANGE));

        g_autoptr(GError) error = NULL;
        g_autoptr(VmpInstance) spare =
            vmp_instance_read(fixture->host, FIXTURE_UUID, VMP_INSTANCE_SPARE, &error);
        g_assert_null(spare);
        g_assert_no_error(error);
        guint cpus = running_cpus(fixture);
        g_assert_true(cpus == 1 || cpus == 2);
        before += cpus == 1;
        after += cpus == 2;
        destroy(fixture);
        check_nothing_left(fixture);
    } while (was_cut);
    g_assert_cmpuint(before, >, 0);
    g_assert_cmpuint(after, >, 1);
}

static void
what_can_be_had_once_only_rules_a_spare_out(Fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *devices, *why;
    } cases[] = {
        { "<serial type='pty'/>", NULL },
        { "<graphics type='vnc'/>", NULL },
        { "<graphics type='vnc' port='5901' autoport='no'/>", "<graphics type='vnc'>" },
        { "<serial type='tcp'><source mode='bind' host='::' service='4'/></serial>",
          "<serial type='tcp'>" },
        { "<interface type='user'/>", NULL },
        { "<interface type='user'><portForward proto='tcp'><range start='22'/></portForward>"
          "</interface>",
          "<portForward>" },
    };
    (void)data;

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *xml = g_strdup_printf(
            "<domain "
            "type='qemu'><name>vm</name><memory>65536</memory><os><type>hvm</type></os>"
            "<devices>%s</devices></domain>",
            cases[i].devices);
        g_autoptr(GError) error = NULL;
        g_autoptr(VmpDomain) domain = vmp_domain_parse(xml, -1, &error);
        g_autofree char *why = NULL;

        g_assert_no_error(error);
        g_assert_cmpint(vmp_spare_is_possible(domain, &why), ==, cases[i].why == NULL);
        g_assert_cmpstr(why, ==, cases[i].why);
    }
}

/* ---- listing ---- */

static void
the_list_has_every_domain_with_its_state(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    (void)data;

    define(fixture, "well");
    g_autofree char *other = vmp_machine_define(
        fixture->host,
        "<domain type='qemu'><name>other</name><memory unit='MiB'>1</memory><vcpu>3</vcpu>"
        "<os><type>hvm</type></os></domain>",
        -1, NULL, &error);
    g_assert_no_error(error);
    start(fixture, 0);

    g_autoptr(GPtrArray) all = vmp_machine_list(fixture->host, 0, &error);
    g_autoptr(GPtrArray) active = vmp_machine_list(fixture->host, VMP_LIST_ACTIVE, &error);
    g_autoptr(GPtrArray) inactive =
        vmp_machine_list(fixture->host, VMP_LIST_INACTIVE | VMP_LIST_DETAILS, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(all->len, ==, 2);
    g_assert_cmpuint(active->len, ==, 1);
    g_assert_cmpuint(inactive->len, ==, 1);

    const VmpDomainInfo *info = g_ptr_array_index(inactive, 0);
    g_assert_cmpstr(info->name, ==, "other");
    g_assert_cmpint(info->state, ==, VMP_STATE_SHUTOFF);
    g_assert_cmpuint(info->vcpus, ==, 3);
    g_assert_cmpuint(info->max_memory, ==, 1 << 20);
    info = g_ptr_array_index(active, 0);
    g_assert_cmpstr(info->name, ==, "vm");
    g_assert_cmpint(info->state, ==, VMP_STATE_RUNNING);
    g_assert_cmpint(info->pid, ==, process_of(fixture, VMP_INSTANCE_MACHINE).pid);
    g_assert_true(info->persistent);
    destroy(fixture);
}

/* The signal takes effect when each of the threads has seen it, and that is not at once. */
static void
stop(VmpProcess process)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", process.pid);
    char state = 0;

    g_assert_true(vmp_process_kill(process.pid, process.start_time, SIGSTOP));
    while (state != 'T') {
        g_autofree char *stat = vmp_file_read(path, 4096, NULL, NULL);
        g_assert_nonnull(stat);
        state = strrchr(stat, ')')[2];
        g_thread_yield();
    }
}

static void
one_that_hangs_is_listed_without_a_state_and_keeps_nobody_waiting(Fixture *fixture,
                                                                  gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    (void)data;

    define(fixture, "well");
    start(fixture, 0);
    VmpProcess process = process_of(fixture, VMP_INSTANCE_MACHINE);
    stop(process);

    gint64 begin = g_get_monotonic_time();
    g_autoptr(GPtrArray) all = vmp_machine_list(fixture->host, 0, &error);
    gint64 took = g_get_monotonic_time() - begin;
    g_assert_true(vmp_process_kill(process.pid, process.start_time, SIGCONT));

    g_assert_cmpuint(all->len, ==, 1);
    g_assert_cmpint(((VmpDomainInfo *)g_ptr_array_index(all, 0))->state, ==,
                    VMP_STATE_NOSTATE);
    g_assert_cmpint(took, <, 5 * G_USEC_PER_SEC);
    destroy(fixture);
}

int
main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--do") == 0)
        return do_one(argv[2], argv[3]);
    fixture_init(&argc, &argv);
    FIXTURE_TEST("/machine/life/a-life-from-start-to-end", a_life_from_start_to_end);
    FIXTURE_TEST("/machine/life/started-paused-it-waits-to-be-resumed",
                 started_paused_it_waits_to_be_resumed);
    FIXTURE_TEST("/machine/life/what-is-off-can-only-be-started",
                 what_is_off_can_only_be_started);
    FIXTURE_TEST("/machine/life/looking-does-not-wait-for-changing",
                 looking_does_not_wait_for_changing);
    FIXTURE_TEST("/machine/life/what-qemu-says-before-it-goes-is-the-error",
                 what_qemu_says_before_it_goes_is_the_error);
    FIXTURE_TEST("/machine/life/a-qemu-that-does-not-greet-is-ended",
                 a_qemu_that_does_not_greet_is_ended);
    FIXTURE_TEST("/machine/life/a-start-can-be-cancelled", a_start_can_be_cancelled);
    FIXTURE_TEST("/machine/life/an-emulator-that-is-not-there-is-unsupported",
                 an_emulator_that_is_not_there_is_unsupported);
    FIXTURE_TEST("/machine/life/a-guest-that-powers-off-leaves-in-order",
                 a_guest_that_powers_off_leaves_in_order);
    FIXTURE_TEST("/machine/life/a-qemu-that-was-killed-has-crashed",
                 a_qemu_that_was_killed_has_crashed);
    FIXTURE_TEST("/machine/life/one-that-does-not-end-is-killed-with-a-warning",
                 one_that_does_not_end_is_killed_with_a_warning);
    FIXTURE_TEST("/machine/life/a-start-that-was-cut-off-ends-off-or-on",
                 a_start_that_was_cut_off_ends_off_or_on);
    FIXTURE_TEST("/machine/life/an-end-that-was-cut-off-is-an-end",
                 an_end_that_was_cut_off_is_an_end);
    FIXTURE_TEST("/machine/spare/one-that-is-dropped-was-never-there",
                 a_spare_that_is_dropped_was_never_there);
    FIXTURE_TEST("/machine/spare/one-that-is-switched-to-is-the-machine",
                 a_spare_that_is_switched_to_is_the_machine);
    FIXTURE_TEST("/machine/spare/one-that-does-not-start-changes-nothing",
                 a_spare_that_does_not_start_changes_nothing);
    FIXTURE_TEST("/machine/spare/a-switch-that-was-cut-off-ends-before-or-after",
                 a_switch_that_was_cut_off_ends_before_or_after);
    FIXTURE_TEST("/machine/spare/what-can-be-had-once-only-rules-it-out",
                 what_can_be_had_once_only_rules_a_spare_out);
    FIXTURE_TEST("/machine/list/every-domain-with-its-state",
                 the_list_has_every_domain_with_its_state);
    FIXTURE_TEST("/machine/list/one-that-hangs-keeps-nobody-waiting",
                 one_that_hangs_is_listed_without_a_state_and_keeps_nobody_waiting);
    return g_test_run();
}
