/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"

#define LAST_WORDS_MAX 2000
#define END_TIMEOUT_MS 10000

struct _VmpSpawn {
    VmpProcess process;
    char *program;
    gboolean detached;
    VmpFd go; /* socket: a byte sent here lets it run; closed without one it ends */
    VmpFd
        report; /* pipe: its pid, then an errno if it could not run; end of file if it could */
};

/* All that the child needs.  Made before the fork: a child of a program with threads may
 * call little more than system calls. */
typedef struct {
    const char *program;
    char *const *argv;
    char *const *environment;
    const int *fds;
    guint n_fds;
    gboolean detached;
    GPid parent;
    int log, go, report;
} Child;

/* ---- in the child: async-signal-safe functions only ---- */

static void
send_number(int fd, int number)
{
    if (write(fd, &number, sizeof number) != sizeof number)
        _exit(127);
}

static void
reset_signals(void)
{
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static gboolean
keep_only(const Child *child)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(child->log, STDOUT_FILENO) < 0 ||
        dup2(child->log, STDERR_FILENO) < 0)
        return FALSE;
    /* Whatever program uses us may have left anything open.  Where the kernel does not know
     * the call, what others opened without O_CLOEXEC stays open: untidy, not wrong. */
    close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    for (guint i = 0; i < child->n_fds; i++) {
        if (fcntl(child->fds[i], F_SETFD, 0) < 0)
            return FALSE;
    }
    return TRUE;
}

G_NORETURN static void
run_child(const Child *child)
{
    char go;

    send_number(child->report, getpid());
    if (TEMP_FAILURE_RETRY(read(child->go, &go, 1)) != 1)
        _exit(0);

    if (keep_only(child) && chdir("/") == 0) {
        reset_signals();
        execve(child->program, child->argv, child->environment);
    }
    send_number(child->report, errno);
    _exit(127);
}

G_NORETURN static void
begin_child(const Child *child)
{
    setsid();
    if (!child->detached) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != child->parent)
            _exit(0);
        run_child(child);
    }

    /* Forked once more, so that it is the child of init and never a zombie of ours. */
    GPid grandchild = fork();
    if (grandchild == 0)
        run_child(child);
    _exit(grandchild < 0 ? 127 : 0);
}

/* ---- in the parent ---- */

static gboolean
read_number(int fd, int *number)
{
    return TEMP_FAILURE_RETRY(read(fd, number, sizeof *number)) == sizeof *number;
}

/* A socket to the child, because writing to one need not raise SIGPIPE; a pipe back. */
static gboolean
make_channels(VmpSpawn *spawn, VmpFd *go, VmpFd *report, GError **error)
{
    int pair[2], pipe[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return vmp_fail_errno(error, errno, "cannot make a socket");
    spawn->go = pair[0];
    *go = pair[1];
    if (pipe2(pipe, O_CLOEXEC) < 0)
        return vmp_fail_errno(error, errno, "cannot make a pipe");
    spawn->report = pipe[0];
    *report = pipe[1];
    return TRUE;
}

static char **
make_environment(const char *const *added)
{
    char **environment = g_get_environ();

    for (guint i = 0; added && added[i]; i++) {
        g_auto(GStrv) parts = g_strsplit(added[i], "=", 2);
        environment = g_environ_setenv(environment, parts[0], parts[1] ? parts[1] : "", TRUE);
    }
    return environment;
}

static gboolean
meet_child(VmpSpawn *spawn, GPid forked, GError **error)
{
    int pid = 0;

    if (spawn->detached)
        TEMP_FAILURE_RETRY(waitpid(forked, NULL, 0));
    if (!read_number(spawn->report, &pid))
        return vmp_fail(error, VMP_ERROR_IO, "cannot start %s: no process could be made",
                        spawn->program);
    spawn->process = (VmpProcess){ pid, vmp_process_start_time(pid) };
    return TRUE;
}

VmpSpawn *
vmp_spawn_new(const VmpSpawnSpec *spec, GError **error)
{
    g_autoptr(VmpSpawn) spawn = g_new0(VmpSpawn, 1);
    *spawn = (VmpSpawn){ .detached = spec->detached, .go = -1, .report = -1 };

    spawn->program = g_find_program_in_path(spec->argv[0]);
    if (!spawn->program)
        return vmp_fail_null(error, VMP_ERROR_UNSUPPORTED, "there is no program '%s'",
                             spec->argv[0]);

    g_auto(VmpFd) go = -1, report = -1;
    if (!make_channels(spawn, &go, &report, error))
        return NULL;
    g_auto(VmpFd) log =
        open(spec->log_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
             0600);
    if (log < 0) {
        vmp_fail_errno(error, errno, "cannot make log '%s'", spec->log_path);
        return NULL;
    }

    g_auto(GStrv) environment = make_environment(spec->environment);
    Child child = {
        .program = spawn->program,
        .argv = (char *const *)spec->argv,
        .environment = environment,
        .fds = spec->fds,
        .n_fds = spec->n_fds,
        .detached = spec->detached,
        .parent = getpid(),
        .log = log,
        .go = go,
        .report = report,
    };
    GPid forked = fork();
    if (forked == 0) {
        /* Our end of its pipe must not keep it waiting when we are gone. */
        close(spawn->go);
        begin_child(&child);
    }
    if (forked < 0) {
        vmp_fail_errno(error, errno, "cannot start %s", spawn->program);
        return NULL;
    }
    vmp_fd_clear(&report);
    if (!meet_child(spawn, forked, error))
        return NULL;
    return g_steal_pointer(&spawn);
}

VmpProcess
vmp_spawn_get_process(const VmpSpawn *spawn)
{
    return spawn->process;
}

gboolean
vmp_process_reap(const VmpProcess *process, int timeout_ms, int *status)
{
    g_auto(VmpFd) fd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    struct pollfd wait = { .fd = fd, .events = POLLIN };
    int ended = 0;

    if (fd < 0 || TEMP_FAILURE_RETRY(poll(&wait, 1, timeout_ms)) <= 0)
        return FALSE;
    /* Somebody else in this program may have waited for all children; then we know less. */
    if (TEMP_FAILURE_RETRY(waitpid(process->pid, &ended, 0)) != process->pid)
        ended = 0;
    if (status)
        *status = WIFSIGNALED(ended) ? 128 + WTERMSIG(ended) : WEXITSTATUS(ended);
    return TRUE;
}

static void
await_end(const VmpSpawn *spawn)
{
    if (spawn->detached)
        vmp_process_wait_gone(spawn->process.pid, spawn->process.start_time, END_TIMEOUT_MS);
    else
        vmp_process_reap(&spawn->process, END_TIMEOUT_MS, NULL);
}

gboolean
vmp_spawn_go(VmpSpawn *spawn, GError **error)
{
    int errnum = 0;

    if (TEMP_FAILURE_RETRY(send(spawn->go, "g", 1, MSG_NOSIGNAL)) != 1)
        return vmp_fail_errno(error, errno, "cannot start %s", spawn->program);
    vmp_fd_clear(&spawn->go);
    if (!read_number(spawn->report, &errnum))
        return TRUE;
    await_end(spawn);
    return vmp_fail_errno(error, errnum, "cannot run %s", spawn->program);
}

void
vmp_spawn_free(VmpSpawn *spawn)
{
    if (!spawn)
        return;

    gboolean has_run = spawn->go < 0;
    vmp_fd_clear(&spawn->go);
    vmp_fd_clear(&spawn->report);
    if (!has_run && spawn->process.pid > 0)
        await_end(spawn);
    g_free(spawn->program);
    g_free(spawn);
}

char *
vmp_log_last_words(const char *path)
{
    g_auto(VmpFd) fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char text[LAST_WORDS_MAX + 1];
    off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    gssize length =
        end < 0 ? 0 : pread(fd, text, LAST_WORDS_MAX, MAX(end - (off_t)LAST_WORDS_MAX, 0));

    text[MAX(length, 0)] = '\0';
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    g_strstrip(valid);
    g_auto(GStrv) lines = g_strsplit(valid, "\n", -1);
    return g_strjoinv("; ", lines);
}
