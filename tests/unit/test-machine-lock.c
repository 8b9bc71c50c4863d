/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/lock.h"

#include <sys/wait.h>

#include "test-machine-fixture.h"

/* Another process that holds the lock until its pipe is closed, or it is killed. */
typedef struct {
    pid_t pid;
    int go;
} Holder;

static Holder
start_holder(const Fixture *fixture)
{
    int ready[2], go[2];
    char byte;

    g_assert_cmpint(pipe(ready), ==, 0);
    g_assert_cmpint(pipe(go), ==, 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(go[1]);
        VmpLock *lock = vmp_lock_take(fixture->host, "u", "vm", NULL, NULL);
        if (!lock || write(ready[1], "r", 1) != 1 || read(go[0], &byte, 1) < 0)
            _exit(1);
        vmp_lock_release(lock);
        _exit(0);
    }
    close(ready[1]);
    close(go[0]);
    g_assert_cmpint(read(ready[0], &byte, 1), ==, 1);
    close(ready[0]);
    return (Holder){ pid, go[1] };
}

static void
end_holder(Holder *holder)
{
    int status;

    close(holder->go);
    g_assert_cmpint(waitpid(holder->pid, &status, 0), ==, holder->pid);
}

static void
who_waits_too_long_is_told_who_holds_it(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    Holder holder = start_holder(fixture);
    g_autofree char *pid = g_strdup_printf("pid %d", (int)holder.pid);
    (void)data;

    vmp_host_set_timeout(fixture->host, 50);
    g_assert_null(vmp_lock_take(fixture->host, "u", "vm", NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_BUSY);
    g_assert_nonnull(strstr(error->message, pid));
    g_assert_nonnull(strstr(error->message, "'vm'"));
    g_assert_nonnull(strstr(error->message, "test-machine-lock"));
    end_holder(&holder);
}

/* What is to happen as soon as somebody waits for the lock. */
typedef struct {
    char *inode; /* of the lock's file, as /proc/locks has it: ":1234 " */
    Holder *holder;
    int signal; /* to the holder; 0 = its pipe is closed */
    GCancellable *cancellable;
    const VmpHost *removes; /* takes the lock's file away first; or NULL */
} Later;

/* The kernel says who waits: "1: -> FLOCK ADVISORY WRITE 77 08:01:1234 0 EOF". */
static gboolean
somebody_waits(const char *inode)
{
    g_autofree char *locks = NULL;
    g_assert_true(g_file_get_contents("/proc/locks", &locks, NULL, NULL));
    g_auto(GStrv) lines = g_strsplit(locks, "\n", -1);

    for (guint i = 0; lines[i]; i++) {
        if (strstr(lines[i], "-> FLOCK") && strstr(lines[i], inode))
            return TRUE;
    }
    return FALSE;
}

static gpointer
act(gpointer data)
{
    Later *later = data;

    while (!somebody_waits(later->inode))
        g_usleep(1000);
    if (later->removes)
        vmp_lock_remove(later->removes, "u");
    if (later->cancellable)
        g_cancellable_cancel(later->cancellable);
    else if (later->signal)
        kill(later->holder->pid, later->signal);
    else
        close(later->holder->go);
    return NULL;
}

static GThread *
start_later(const Fixture *fixture, Later *later)
{
    g_autofree char *path = fixture_path(fixture, "run/u.lock");
    struct stat info;

    g_assert_cmpint(stat(path, &info), ==, 0);
    later->inode = g_strdup_printf(":%llu ", (unsigned long long)info.st_ino);
    return g_thread_new("later", act, later);
}

static void
finish_later(Later *later, GThread *thread)
{
    g_thread_join(thread);
    g_free(later->inode);
}

static void
who_waits_has_it_when_the_holder_is_done(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    Holder holder = start_holder(fixture);
    Later later = { .holder = &holder };
    GThread *thread = start_later(fixture, &later);
    (void)data;

    g_autoptr(VmpLock) lock = vmp_lock_take(fixture->host, "u", "vm", NULL, &error);
    g_assert_no_error(error);
    g_assert_nonnull(lock);
    finish_later(&later, thread);
    g_assert_cmpint(waitpid(holder.pid, NULL, 0), ==, holder.pid);
    /* Nothing is left of the process that waited for us. */
    g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1);
    g_assert_cmpint(errno, ==, ECHILD);
}

static void
a_lock_ends_with_its_process(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    Holder holder = start_holder(fixture);
    Later later = { .holder = &holder, .signal = SIGKILL };
    GThread *thread = start_later(fixture, &later);
    (void)data;

    g_autoptr(VmpLock) lock = vmp_lock_take(fixture->host, "u", "vm", NULL, &error);
    g_assert_no_error(error);
    finish_later(&later, thread);
    end_holder(&holder);
}

static void
waiting_can_be_cancelled(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    Holder holder = start_holder(fixture);
    Later later = { .cancellable = cancellable };
    GThread *thread = start_later(fixture, &later);
    (void)data;

    g_assert_null(vmp_lock_take(fixture->host, "u", "vm", cancellable, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INTERRUPTED);
    finish_later(&later, thread);
    end_holder(&holder);
}

static void
one_process_cannot_take_it_twice(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpLock) lock = vmp_lock_take(fixture->host, "u", "vm", NULL, &error);
    (void)data;

    g_assert_no_error(error);
    vmp_host_set_timeout(fixture->host, 20);
    g_assert_null(vmp_lock_take(fixture->host, "u", "vm", NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_BUSY);

    g_autoptr(VmpLock) other = vmp_lock_take(fixture->host, "v", "other", NULL, NULL);
    g_assert_nonnull(other);
}

/* Who waits for the lock of a domain that goes must not end up with a lock on nothing. */
static void
a_lock_whose_file_was_removed_is_taken_anew(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    Holder holder = start_holder(fixture);
    Later later = { .holder = &holder, .removes = fixture->host };
    GThread *thread = start_later(fixture, &later);
    (void)data;

    g_autoptr(VmpLock) lock = vmp_lock_take(fixture->host, "u", "vm", NULL, &error);
    g_assert_no_error(error);
    finish_later(&later, thread);
    g_assert_cmpint(waitpid(holder.pid, NULL, 0), ==, holder.pid);

    g_assert_true(fixture_exists(fixture, "run/u.lock"));
    vmp_host_set_timeout(fixture->host, 20);
    g_assert_null(vmp_lock_take(fixture->host, "u", "vm", NULL, NULL));
}

int
main(int argc, char **argv)
{
    fixture_init(&argc, &argv);
    FIXTURE_TEST("/machine/lock/who-waits-too-long-is-told-who-holds-it",
                 who_waits_too_long_is_told_who_holds_it);
    FIXTURE_TEST("/machine/lock/who-waits-has-it-when-the-holder-is-done",
                 who_waits_has_it_when_the_holder_is_done);
    FIXTURE_TEST("/machine/lock/a-lock-ends-with-its-process", a_lock_ends_with_its_process);
    FIXTURE_TEST("/machine/lock/waiting-can-be-cancelled", waiting_can_be_cancelled);
    FIXTURE_TEST("/machine/lock/one-process-cannot-take-it-twice",
                 one_process_cannot_take_it_twice);
    FIXTURE_TEST("/machine/lock/a-lock-whose-file-was-removed-is-taken-anew",
                 a_lock_whose_file_was_removed_is_taken_anew);
    return g_test_run();
}
