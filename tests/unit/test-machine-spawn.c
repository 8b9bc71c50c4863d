/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/spawn.h"

#include <sys/wait.h>

#include "test-machine-fixture.h"

static VmpSpawn *
spawn_shell(const Fixture *fixture, const char *script, gboolean detached)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *log = fixture_path(fixture, "log");
    const char *const argv[] = { "sh", "-c", script, "sh", fixture->dir, NULL };
    VmpSpawnSpec spec = { .argv = argv, .log_path = log, .detached = detached };
    VmpSpawn *spawn = vmp_spawn_new(&spec, &error);

    g_assert_no_error(error);
    return spawn;
}

static void
run_to_its_end(VmpSpawn *spawn)
{
    g_autoptr(GError) error = NULL;
    VmpProcess process = vmp_spawn_get_process(spawn);

    g_assert_true(vmp_spawn_go(spawn, &error));
    g_assert_no_error(error);
    g_assert_true(vmp_process_wait_gone(process.pid, process.start_time, 20000));
}

static char *
read_log(const Fixture *fixture)
{
    g_autofree char *log = fixture_path(fixture, "log");
    char *text = NULL;

    g_assert_true(g_file_get_contents(log, &text, NULL, NULL));
    return text;
}

static void
a_process_that_is_let_go_of_has_run_nothing(Fixture *fixture, gconstpointer data)
{
    VmpSpawn *spawn = spawn_shell(fixture, "touch $1/ran", TRUE);
    VmpProcess process = vmp_spawn_get_process(spawn);
    (void)data;

    g_assert_true(vmp_process_is_alive(process.pid, process.start_time));
    vmp_spawn_free(spawn);
    g_assert_false(vmp_process_is_alive(process.pid, process.start_time));
    g_assert_false(fixture_exists(fixture, "ran"));
}

/* As when we are killed between writing the record and letting it run. */
static void
a_process_whose_maker_dies_has_run_nothing(Fixture *fixture, gconstpointer data)
{
    int report[2];
    VmpProcess process;
    (void)data;

    g_assert_cmpint(pipe(report), ==, 0);
    pid_t maker = fork();
    if (maker == 0) {
        process = vmp_spawn_get_process(spawn_shell(fixture, "touch $1/ran", TRUE));
        if (write(report[1], &process, sizeof process) != sizeof process)
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    g_assert_cmpint(read(report[0], &process, sizeof process), ==, sizeof process);
    g_assert_cmpint(waitpid(maker, NULL, 0), ==, maker);
    g_assert_true(vmp_process_wait_gone(process.pid, process.start_time, 20000));
    g_assert_false(fixture_exists(fixture, "ran"));
    close(report[0]);
    close(report[1]);
}

static void
a_detached_process_is_nobodys_child_in_a_session_of_its_own(Fixture *fixture,
                                                            gconstpointer data)
{
    g_autoptr(VmpSpawn) spawn = spawn_shell(fixture, "cat /proc/$$/stat", TRUE);
    pid_t pid = vmp_spawn_get_process(spawn).pid;
    int parent, group, session;
    (void)data;

    g_assert_cmpint(waitpid(pid, NULL, WNOHANG), ==, -1);
    g_assert_cmpint(errno, ==, ECHILD);
    run_to_its_end(spawn);

    g_autofree char *stat = read_log(fixture);
    g_assert_cmpint(sscanf(strrchr(stat, ')') + 2, "%*c %d %d %d", &parent, &group, &session),
                    ==, 3);
    g_assert_cmpint(parent, !=, getpid());
    g_assert_cmpint(session, !=, getsid(0));
    g_assert_cmpint(group, !=, getpgid(0));
}

static void
a_child_is_waited_for_with_its_exit_status(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VmpSpawn) spawn = spawn_shell(fixture, "exit 7", FALSE);
    VmpProcess process = vmp_spawn_get_process(spawn);
    int status = -1;
    (void)data;

    g_assert_true(vmp_spawn_go(spawn, NULL));
    g_assert_true(vmp_process_reap(&process, 20000, &status));
    g_assert_cmpint(status, ==, 7);
    g_assert_cmpint(waitpid(process.pid, NULL, WNOHANG), ==, -1);
}

static void
a_child_gets_sigterm_when_its_parent_dies(Fixture *fixture, gconstpointer data)
{
    int report[2];
    VmpProcess process;
    (void)data;

    g_assert_cmpint(pipe(report), ==, 0);
    pid_t parent = fork();
    if (parent == 0) {
        VmpSpawn *spawn = spawn_shell(
            fixture, "trap 'touch $1/asked; exit' TERM; echo up; while :; do sleep 0.1; done",
            FALSE);
        process = vmp_spawn_get_process(spawn);
        if (!vmp_spawn_go(spawn, NULL))
            _exit(1);
        for (;;) {
            g_autofree char *log = read_log(fixture);
            if (g_str_has_prefix(log, "up"))
                break;
            g_usleep(1000);
        }
        if (write(report[1], &process, sizeof process) != sizeof process)
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    g_assert_cmpint(read(report[0], &process, sizeof process), ==, sizeof process);
    g_assert_cmpint(waitpid(parent, NULL, 0), ==, parent);
    g_assert_true(vmp_process_wait_gone(process.pid, process.start_time, 20000));
    g_assert_true(fixture_exists(fixture, "asked"));
    close(report[0]);
    close(report[1]);
}

static void
only_the_descriptors_named_are_inherited(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *log = fixture_path(fixture, "log");
    int named = open("/dev/null", O_RDONLY | O_CLOEXEC), other = open("/dev/zero", O_RDONLY);
    const char *const argv[] = { "sh", "-c", "ls -l /proc/$$/fd", NULL };
    VmpSpawnSpec spec = {
        .argv = argv,
        .log_path = log,
        .detached = TRUE,
        .fds = &named,
        .n_fds = 1,
    };
    g_autoptr(VmpSpawn) spawn = vmp_spawn_new(&spec, &error);
    g_autofree char *expected = g_strdup_printf(" %d -> /dev/null", named);
    (void)data;

    g_assert_no_error(error);
    run_to_its_end(spawn);
    g_autofree char *text = read_log(fixture);
    g_assert_nonnull(strstr(text, expected));
    g_assert_null(strstr(text, "/dev/zero"));
    close(named);
    close(other);
}

static void
it_has_our_environment_and_what_is_added(Fixture *fixture, gconstpointer data)
{
    g_autofree char *log = fixture_path(fixture, "log");
    const char *const argv[] = { "sh", "-c", "echo $OURS $ADDED", NULL };
    const char *const environment[] = { "ADDED=a=b", NULL };
    VmpSpawnSpec spec = {
        .argv = argv,
        .environment = environment,
        .log_path = log,
        .detached = TRUE,
    };
    (void)data;

    g_setenv("OURS", "here", TRUE);
    g_autoptr(VmpSpawn) spawn = vmp_spawn_new(&spec, NULL);
    run_to_its_end(spawn);
    g_autofree char *text = read_log(fixture);
    g_assert_cmpstr(text, ==, "here a=b\n");
}

static void
a_program_that_is_not_there_is_unsupported(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *log = fixture_path(fixture, "log");
    const char *const argv[] = { "/no/such/program", NULL };
    VmpSpawnSpec spec = { .argv = argv, .log_path = log, .detached = TRUE };
    (void)data;

    g_assert_null(vmp_spawn_new(&spec, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_UNSUPPORTED);
}

static void
a_program_that_cannot_be_run_is_an_error_of_going(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *log = fixture_path(fixture, "log");
    g_autofree char *program = fixture_path(fixture, "program");
    const char *const argv[] = { program, NULL };
    VmpSpawnSpec spec = { .argv = argv, .log_path = log, .detached = TRUE };
    (void)data;

    g_assert_true(g_file_set_contents(program, "no program", -1, NULL));
    g_assert_cmpint(g_chmod(program, 0700), ==, 0);
    g_autoptr(VmpSpawn) spawn = vmp_spawn_new(&spec, &error);
    g_assert_no_error(error);
    g_assert_false(vmp_spawn_go(spawn, &error));
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(error->message, program));
}

static void
last_words_are_one_line_of_valid_text(Fixture *fixture, gconstpointer data)
{
    g_autofree char *log = fixture_path(fixture, "log");
    g_autofree char *none = vmp_log_last_words(log);
    g_autofree char *many = g_strnfill(100000, 'x');
    (void)data;

    g_assert_cmpstr(none, ==, "");
    g_assert_true(g_file_set_contents(log, "one\ntwo \xff\n", -1, NULL));
    g_autofree char *words = vmp_log_last_words(log);
    g_assert_cmpstr(words, ==, "one; two \xef\xbf\xbd");

    g_assert_true(g_file_set_contents(log, many, -1, NULL));
    g_autofree char *last = vmp_log_last_words(log);
    g_assert_cmpuint(strlen(last), ==, 2000);
}

int
main(int argc, char **argv)
{
    fixture_init(&argc, &argv);
    FIXTURE_TEST("/machine/spawn/a-process-that-is-let-go-of-has-run-nothing",
                 a_process_that_is_let_go_of_has_run_nothing);
    FIXTURE_TEST("/machine/spawn/a-process-whose-maker-dies-has-run-nothing",
                 a_process_whose_maker_dies_has_run_nothing);
    FIXTURE_TEST("/machine/spawn/a-detached-process-is-nobodys-child-in-a-session-of-its-own",
                 a_detached_process_is_nobodys_child_in_a_session_of_its_own);
    FIXTURE_TEST("/machine/spawn/a-child-is-waited-for-with-its-exit-status",
                 a_child_is_waited_for_with_its_exit_status);
    FIXTURE_TEST("/machine/spawn/a-child-gets-sigterm-when-its-parent-dies",
                 a_child_gets_sigterm_when_its_parent_dies);
    FIXTURE_TEST("/machine/spawn/only-the-descriptors-named-are-inherited",
                 only_the_descriptors_named_are_inherited);
    FIXTURE_TEST("/machine/spawn/it-has-our-environment-and-what-is-added",
                 it_has_our_environment_and_what_is_added);
    FIXTURE_TEST("/machine/spawn/a-program-that-is-not-there-is-unsupported",
                 a_program_that_is_not_there_is_unsupported);
    FIXTURE_TEST("/machine/spawn/a-program-that-cannot-be-run-is-an-error-of-going",
                 a_program_that_cannot_be_run_is_an_error_of_going);
    FIXTURE_TEST("/machine/spawn/last-words-are-one-line-of-valid-text",
                 last_words_are_one_line_of_valid_text);
    return g_test_run();
}
