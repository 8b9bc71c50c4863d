/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/session.h"

#include "machine/instance.h"
#include "test-machine-fixture.h"

/* The storage daemon of these tests is this program too: it is the first in PATH. */
static void
set_up(Fixture *fixture, gconstpointer data)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);

    fixture_set_up(fixture, data);
    g_autofree char *link = fixture_path(fixture, "qemu-storage-daemon");
    g_autofree char *seen = fixture_path(fixture, "seen");
    g_assert_cmpint(symlink(self, link), ==, 0);
    g_setenv("PATH", fixture->dir, TRUE);
    g_setenv("FAKE_QEMU", "well", TRUE);
    g_setenv("FAKE_SEEN", seen, TRUE);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    static const char *const variables[] = { "FAKE_QEMU",   "FAKE_SEEN",   "FAKE_REFUSE",
                                             "FAKE_WORDS",  "FAKE_STATUS", "FAKE_LAST_WORDS",
                                             "FAKE_REPLIES" };

    for (guint i = 0; i < G_N_ELEMENTS(variables); i++)
        g_unsetenv(variables[i]);
    fixture_tear_down(fixture, data);
}

#define DISKS                                                                               \
    "<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='unsafe'/>"     \
    "<source file='/i/a'/><target dev='vda' bus='virtio'/></disk>"                          \
    "<disk type='block' device='disk'><driver name='qemu' type='raw'/><source dev='/i/b'/>" \
    "<target dev='vdb' bus='virtio'/><readonly/></disk>"                                    \
    "<disk type='file' device='cdrom'><source file='/i/c'/><target dev='sdc' bus='sata'/>"  \
    "</disk><disk type='file' device='cdrom'><target dev='sdd' bus='sata'/></disk>"

static void
define_disks(const Fixture *fixture)
{
    fixture_define(fixture,
                   "<domain type='qemu'><name>vm</name><uuid>" FIXTURE_UUID "</uuid>"
                   "<memory unit='MiB'>64</memory><os><type>hvm</type></os><devices>" DISKS
                   "</devices></domain>");
}

static char *
read_seen(const Fixture *fixture)
{
    g_autofree char *path = fixture_path(fixture, "seen");
    char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

static void
check_no_daemon(const Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpInstance) daemon =
        vmp_instance_read(fixture->host, FIXTURE_UUID, VMP_INSTANCE_DAEMON, &error);

    g_assert_no_error(error);
    g_assert_null(daemon);
    g_assert_false(fixture_exists(fixture, "run/" FIXTURE_UUID));
}

/* Not listening: a client that waits when the daemon enters its main loop may be accepted
 * before there is a monitor to greet it. */
static void
check_is_connected(const VmpInstance *daemon)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", (int)daemon->process.pid);
    g_autofree char *line = NULL;
    gsize length = 0;

    g_assert_true(g_file_get_contents(path, &line, &length, NULL));
    g_assert_nonnull(memmem(line, length, "socket,id=monitor,fd=", 21));
    g_assert_null(memmem(line, length, "server=on", 9));
}

/* ---- opening ---- */

static void
a_domain_that_is_off_has_its_disks_in_a_daemon(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    (void)data;

    define_disks(fixture);
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
    g_autoptr(VmpBlockSession) session = vmp_block_session_open(machine, &error);
    g_assert_no_error(error);
    g_assert_true(vmp_block_session_is_offline(session));
    g_assert_true(vmp_block_session_get_machine(session) == machine);
    g_autoptr(VmpInstance) daemon =
        vmp_instance_read(fixture->host, FIXTURE_UUID, VMP_INSTANCE_DAEMON, NULL);
    g_assert_true(vmp_instance_is_alive(daemon));
    check_is_connected(daemon);

    g_autofree char *seen = read_seen(fixture);
    g_auto(GStrv) parts = g_strsplit(seen, "\n", -1);
    g_assert_nonnull(strstr(seen, "\"vda-storage\",\"filename\":\"/i/a\""));
    g_assert_nonnull(strstr(seen, "\"driver\":\"host_device\",\"node-name\":\"vdb-storage\""));
    g_assert_nonnull(strstr(seen, "\"sdc-format\""));
    g_assert_null(strstr(seen, "sdd"));
    /* What is written offline is to be durable, whatever a guest may lose. */
    g_assert_null(strstr(seen, "no-flush"));
    for (guint i = 0; parts[i]; i++) {
        if (strstr(parts[i], "\"node-name\":\"vda-format\""))
            g_assert_null(strstr(parts[i], "read-only"));
        if (strstr(parts[i], "\"node-name\":\"vdb-format\""))
            g_assert_nonnull(strstr(parts[i], "\"read-only\":true"));
    }

    g_assert_true(vmp_block_session_close(session, &error));
    g_assert_no_error(error);
    g_assert_false(vmp_instance_is_alive(daemon));
    check_no_daemon(fixture);
}

static void
a_domain_that_runs_is_served_by_its_qemu(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = fixture_xml(fixture, "well");
    (void)data;

    fixture_define(fixture, xml);
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
    g_assert_true(vmp_machine_start(machine, 0, &error));
    g_assert_no_error(error);
    g_autoptr(VmpBlockSession) session = vmp_block_session_open(machine, &error);
    g_assert_no_error(error);
    g_assert_false(vmp_block_session_is_offline(session));
    g_assert_true(vmp_block_session_get_client(session) ==
                  vmp_machine_get_monitor(machine, NULL));
    g_assert_true(vmp_block_session_close(session, &error));
    g_assert_true(vmp_machine_is_on(machine));
    g_assert_true(vmp_machine_destroy(machine, 0, &error));
}

static void
an_image_that_cannot_be_opened_is_named(Fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *refused, *words;
        VmpErrorCode code;
    } cases[] = {
        { "vda-format\"", "Failed to get \"write\" lock", VMP_ERROR_BUSY },
        { "vda-storage\",", "Could not open '/i/a': No such file or directory",
          VMP_ERROR_NOT_FOUND },
        { "vda-format\"", "Image is not in qcow2 format", VMP_ERROR_DAMAGED },
        { "vda-format\"", "Something else", VMP_ERROR_REFUSED },
    };
    (void)data;

    define_disks(fixture);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
        g_setenv("FAKE_REFUSE", cases[i].refused, TRUE);
        g_setenv("FAKE_WORDS", cases[i].words, TRUE);
        g_assert_null(vmp_block_session_open(machine, &error));
        g_assert_error(error, VMP_ERROR, (int)cases[i].code);
        g_assert_nonnull(strstr(error->message, "domain vm: disk vda ('/i/a')"));
        g_assert_nonnull(strstr(error->message, cases[i].words));
        check_no_daemon(fixture);
    }
}

static void
a_disc_that_is_gone_keeps_nobody_from_the_disks(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    (void)data;

    define_disks(fixture);
    g_setenv("FAKE_REFUSE", "sdc-storage", TRUE);
    g_setenv("FAKE_WORDS", "Could not open '/i/c': No such file or directory", TRUE);
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
    g_autoptr(VmpBlockSession) session = vmp_block_session_open(machine, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(vmp_operation_get_notes(fixture->operation)->len, ==, 1);
}

static void
without_a_storage_daemon_it_is_unsupported(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *link = fixture_path(fixture, "qemu-storage-daemon");
    (void)data;

    define_disks(fixture);
    g_assert_cmpint(g_unlink(link), ==, 0);
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
    g_assert_null(vmp_block_session_open(machine, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr(error->message, "qemu-storage-daemon"));
}

/* ---- closing ---- */

static void
a_daemon_that_did_not_store_all_is_an_error_of_closing(Fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *status, *words;
    } cases[] = {
        { "0", "Lost persistent bitmaps during inactivation of node 'vda-format'" },
        { "1", "a failure" },
    };
    (void)data;

    define_disks(fixture);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
        g_setenv("FAKE_STATUS", cases[i].status, TRUE);
        g_setenv("FAKE_LAST_WORDS", cases[i].words, TRUE);
        g_autoptr(VmpBlockSession) session = vmp_block_session_open(machine, &error);
        g_assert_no_error(error);
        g_assert_false(vmp_block_session_close(session, &error));
        g_assert_error(error, VMP_ERROR, VMP_ERROR_INCONSISTENT);
        g_assert_nonnull(strstr(error->message, cases[i].words));
        check_no_daemon(fixture);
    }
}

static void
a_session_that_is_only_freed_warns_of_what_went_wrong(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VmpMachine) machine = NULL;
    (void)data;

    define_disks(fixture);
    g_setenv("FAKE_STATUS", "1", TRUE);
    machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
    vmp_block_session_free(vmp_block_session_open(machine, NULL));
    g_assert_cmpuint(vmp_operation_get_warnings(fixture->operation)->len, ==, 1);
    check_no_daemon(fixture);
}

static void
the_daemon_of_a_vmpoint_that_was_killed_ends_with_it(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    int report[2];
    char byte;
    (void)data;

    define_disks(fixture);
    g_assert_cmpint(pipe(report), ==, 0);
    pid_t child = fork();
    if (child == 0) {
        g_autoptr(VmpHost) host =
            vmp_host_open(fixture->host->state_dir, fixture->host->runtime_dir, NULL);
        VmpMachine *machine = vmp_machine_open(host, "vm", VMP_MACHINE_CHANGE, NULL, NULL);
        if (!vmp_block_session_open(machine, NULL) || write(report[1], "r", 1) != 1)
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    g_assert_cmpint(read(report[0], &byte, 1), ==, 1);
    g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
    {
        g_autoptr(VmpInstance) daemon =
            vmp_instance_read(fixture->host, FIXTURE_UUID, VMP_INSTANCE_DAEMON, NULL);
        g_assert_nonnull(daemon);
        g_assert_true(
            vmp_process_wait_gone(daemon->process.pid, daemon->process.start_time, 20000));
    }
    /* What it left is taken away by the next. */
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
    g_autoptr(VmpBlockSession) session = vmp_block_session_open(machine, &error);
    g_assert_no_error(error);
    g_assert_true(vmp_block_session_close(session, &error));
    check_no_daemon(fixture);
    close(report[0]);
    close(report[1]);
}

/* ---- roots ---- */

/* Name of the @depth-th image below "disk0". */
static char *
name_below(VmpJson *recording, guint depth)
{
    g_autoptr(VmpBlockGraph) graph = vmp_block_graph_new(
        vmp_json_get(recording, "named-nodes"), vmp_json_get(recording, "block"),
        vmp_json_get(recording, "graph"), NULL);
    const VmpBlockNode *node = vmp_block_graph_node(graph, "disk0");

    while (depth-- > 0)
        node = vmp_block_graph_backing(graph, node);
    g_assert_nonnull(node);
    return g_strdup(node->name);
}

/* The recorded daemon, in which the session opened the image @depth below "disk0". */
static void
write_replies(const Fixture *fixture, guint depth)
{
    g_autofree char *path = g_build_filename(g_getenv("VMPOINT_TEST_DATA"), "replies",
                                             "storage-daemon.json", NULL);
    g_autofree char *to = fixture_path(fixture, "replies");
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_autoptr(VmpJson) recording = vmp_json_parse(text, -1, NULL);
    g_autoptr(VmpJson) replies = vmp_json_build(
        "o:query-block", json_object_get(vmp_json_get(recording, "block")),
        "o:query-named-block-nodes", json_object_get(vmp_json_get(recording, "named-nodes")),
        "o:x-debug-query-block-graph", json_object_get(vmp_json_get(recording, "graph")),
        NULL);
    g_autofree char *made = vmp_json_to_text(replies);
    g_autofree char *opened = name_below(recording, depth);
    g_autofree char *quoted = g_strdup_printf("\"%s\"", opened);
    g_auto(GStrv) parts = g_strsplit(made, quoted, -1);
    g_autofree char *renamed = g_strjoinv("\"vda-format\"", parts);

    g_assert_cmpuint(g_strv_length(parts), >, 1);
    g_assert_true(g_file_set_contents(to, renamed, -1, NULL));
    g_setenv("FAKE_REPLIES", to, TRUE);
}

static void
the_root_is_what_stands_highest_on_the_disks_node(Fixture *fixture, gconstpointer data)
{
    (void)data;

    define_disks(fixture);
    for (guint depth = 0; depth < 3; depth++) {
        const char *root = depth == 0 ? "vda-format" : "disk0";
        g_autoptr(GError) error = NULL;

        write_replies(fixture, depth);
        g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
        g_autoptr(VmpBlockSession) session = vmp_block_session_open(machine, &error);
        g_assert_no_error(error);
        g_autoptr(VmpBlockGraph) graph = vmp_block_session_read_graph(session, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(vmp_block_session_root(session, graph, "vda", &error), ==, root);
        g_assert_no_error(error);
        g_assert_cmpstr(vmp_block_session_image(session, graph, "vda", &error)->name, ==,
                        root);
        g_assert_null(vmp_block_session_root(session, graph, "sdd", &error));
        g_assert_error(error, VMP_ERROR, VMP_ERROR_NOT_FOUND);
    }
}

#define SESSION_TEST(path, function) \
    g_test_add(path, Fixture, NULL, set_up, function, tear_down)

int
main(int argc, char **argv)
{
    fixture_init(&argc, &argv);
    SESSION_TEST("/machine/session/a-domain-that-is-off-has-its-disks-in-a-daemon",
                 a_domain_that_is_off_has_its_disks_in_a_daemon);
    SESSION_TEST("/machine/session/a-domain-that-runs-is-served-by-its-qemu",
                 a_domain_that_runs_is_served_by_its_qemu);
    SESSION_TEST("/machine/session/an-image-that-cannot-be-opened-is-named",
                 an_image_that_cannot_be_opened_is_named);
    SESSION_TEST("/machine/session/a-disc-that-is-gone-keeps-nobody-from-the-disks",
                 a_disc_that_is_gone_keeps_nobody_from_the_disks);
    SESSION_TEST("/machine/session/without-a-storage-daemon-it-is-unsupported",
                 without_a_storage_daemon_it_is_unsupported);
    SESSION_TEST("/machine/session/a-daemon-that-did-not-store-all-is-an-error-of-closing",
                 a_daemon_that_did_not_store_all_is_an_error_of_closing);
    SESSION_TEST("/machine/session/one-that-is-only-freed-warns-of-what-went-wrong",
                 a_session_that_is_only_freed_warns_of_what_went_wrong);
    SESSION_TEST("/machine/session/the-daemon-of-a-vmpoint-that-was-killed-ends-with-it",
                 the_daemon_of_a_vmpoint_that_was_killed_ends_with_it);
    SESSION_TEST("/machine/session/the-root-is-what-stands-highest-on-the-disks-node",
                 the_root_is_what_stands_highest_on_the_disks_node);
    return g_test_run();
}
