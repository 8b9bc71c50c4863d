/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/process.h"

#define DEFAULT_TIMEOUT_MS 10000
#define HOLDER_MAX 4096

struct _VmpLock {
    VmpFd fd;
};

/* ---- who holds it ---- */

/* Program and command, without what follows: arguments may be long, or secret. */
static char *
own_command(void)
{
    gsize length = 0;
    g_autofree char *line = vmp_file_read("/proc/self/cmdline", 1 << 20, &length, NULL);

    if (!line || length == 0)
        return g_strdup("?");

    g_autofree char *program = g_path_get_basename(line);
    const char *second = line + strlen(line) + 1;
    gboolean has_second = second < line + length && *second != '\0' && *second != '-';
    g_autofree char *command =
        has_second ? g_strdup_printf("%s %.40s", program, second) : g_strdup(program);
    return g_utf8_make_valid(command, -1);
}

/* For error messages of others only, so that failing to write it does not matter. */
static void
write_holder(int fd)
{
    g_autofree char *command = own_command();
    g_autoptr(VmpJson) holder =
        vmp_json_build("i:pid", (gint64)getpid(), "i:since",
                       g_get_real_time() / G_USEC_PER_SEC, "s:command", command, NULL);
    g_autofree char *text = vmp_json_to_text(holder);

    if (ftruncate(fd, 0) == 0 && pwrite(fd, text, strlen(text), 0) < 0)
        return;
}

static char *
describe_holder(int fd)
{
    char text[HOLDER_MAX];
    gssize length = pread(fd, text, sizeof text, 0);
    g_autoptr(VmpJson) holder = length > 0 ? vmp_json_parse(text, length, NULL) : NULL;
    const char *command = vmp_json_get_string(holder, "command");

    if (!command)
        return g_strdup("another process");

    gint64 age = g_get_real_time() / G_USEC_PER_SEC - vmp_json_get_int(holder, "since", 0);
    return g_strdup_printf("'%s' (pid %" G_GINT64_FORMAT ", for %" G_GINT64_FORMAT " s)",
                           command, vmp_json_get_int(holder, "pid", 0), MAX(age, 0));
}

/* ---- taking it ---- */

static gboolean
try_lock(int fd)
{
    return TEMP_FAILURE_RETRY(flock(fd, LOCK_EX | LOCK_NB)) == 0;
}

/* A child that waits for the lock and ends when it has it.  The lock belongs to the open
 * file that both share, so it is ours from then on.  flock() itself knows no timeout, and a
 * signal to break it off would be the whole program's business. */
static GPid
start_waiter(int fd)
{
    GPid waiter = fork();

    if (waiter != 0)
        return waiter;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* Whoever waits for the end of one of our pipes must not wait for this child too. */
    if (fd > 0)
        close_range(0, (unsigned)fd - 1, 0);
    close_range((unsigned)fd + 1, ~0U, 0);
    while (flock(fd, LOCK_EX) < 0 && errno == EINTR)
        ;
    _exit(0);
}

/* TRUE if the waiter ended by itself; FALSE at the end of the time or when cancelled. */
static gboolean
await_waiter(GPid waiter, int timeout_ms, GCancellable *cancellable)
{
    g_auto(VmpFd) pidfd = (int)syscall(SYS_pidfd_open, waiter, 0);
    GPollFD cancel = { .fd = -1 };
    gboolean can_cancel = cancellable && g_cancellable_make_pollfd(cancellable, &cancel);
    struct pollfd wait[] = {
        { .fd = pidfd, .events = POLLIN },
        { .fd = can_cancel ? cancel.fd : -1, .events = POLLIN },
    };
    gint64 deadline = g_get_monotonic_time() + (gint64)timeout_ms * 1000;
    int ready;

    do {
        gint64 left = (deadline - g_get_monotonic_time() + 999) / 1000;
        ready = poll(wait, G_N_ELEMENTS(wait), (int)MAX(left, 0));
    } while (ready < 0 && errno == EINTR);

    if (can_cancel)
        g_cancellable_release_fd(cancellable);
    return ready > 0 && (wait[0].revents & POLLIN);
}

/* TRUE if @fd is locked now. */
static gboolean
wait_for_lock(int fd, int timeout_ms, GCancellable *cancellable)
{
    GPid waiter = start_waiter(fd);

    if (waiter < 0)
        return FALSE;
    gboolean ended = await_waiter(waiter, timeout_ms, cancellable);
    if (!ended)
        kill(waiter, SIGKILL);
    TEMP_FAILURE_RETRY(waitpid(waiter, NULL, 0));
    /* Asked of the kernel, not of the waiter: somebody may have killed it. */
    return ended && try_lock(fd);
}

/* Whoever undefines a domain removes its lock file: a lock on what was removed is none. */
static gboolean
is_current(int fd, const char *path)
{
    struct stat opened, present;

    return fstat(fd, &opened) == 0 && stat(path, &present) == 0 &&
           opened.st_dev == present.st_dev && opened.st_ino == present.st_ino;
}

static gboolean
fail_busy(int fd, const char *domain_name, GCancellable *cancellable, GError **error)
{
    if (g_cancellable_is_cancelled(cancellable))
        return vmp_fail(error, VMP_ERROR_INTERRUPTED,
                        "domain '%s': interrupted while waiting for its lock", domain_name);

    g_autofree char *holder = describe_holder(fd);
    return vmp_fail(error, VMP_ERROR_BUSY, "domain '%s' is being changed by %s", domain_name,
                    holder);
}

static char *
lock_path(const VmpHost *host, const char *uuid)
{
    return g_strdup_printf("%s/%s.lock", host->runtime_dir, uuid);
}

void
vmp_lock_remove(const VmpHost *host, const char *uuid)
{
    g_autofree char *path = lock_path(host, uuid);

    /* A file that stays is an empty file that stays. */
    unlink(path);
}

VmpLock *
vmp_lock_take(VmpHost *host, const char *uuid, const char *domain_name,
              GCancellable *cancellable, GError **error)
{
    if (!vmp_host_keep_runtime_dir(host, error))
        return NULL;

    g_autofree char *path = lock_path(host, uuid);
    gint64 deadline =
        g_get_monotonic_time() + (gint64)vmp_host_timeout(host, DEFAULT_TIMEOUT_MS) * 1000;

    for (;;) {
        g_auto(VmpFd) fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0) {
            vmp_fail_errno(error, errno, "cannot open lock '%s'", path);
            return NULL;
        }

        int left = (int)((deadline - g_get_monotonic_time()) / 1000);
        if (!try_lock(fd) && !wait_for_lock(fd, MAX(left, 0), cancellable)) {
            fail_busy(fd, domain_name, cancellable, error);
            return NULL;
        }
        if (!is_current(fd, path))
            continue;

        write_holder(fd);
        VmpLock *lock = g_new0(VmpLock, 1);
        lock->fd = fd;
        fd = -1;
        vmp_tool_lend_lock(lock->fd);
        return lock;
    }
}

void
vmp_lock_release(VmpLock *lock)
{
    if (!lock)
        return;
    /* Emptied while still held, so that nobody reads of a holder that has gone. */
    if (ftruncate(lock->fd, 0) < 0)
        g_debug("cannot empty a lock file: %s", g_strerror(errno));
    vmp_tool_take_back_lock(lock->fd);
    flock(lock->fd, LOCK_UN);
    vmp_fd_clear(&lock->fd);
    g_free(lock);
}
