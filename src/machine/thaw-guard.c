/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/thaw-guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

/* As texts, because after fork() nothing may be built any more.  The sync tells the answer to
 * our thaw from one that our creator did not live to read. */
#define SYNC "\xff{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":1}}\n"
#define THAW "{\"execute\":\"guest-fsfreeze-thaw\"}\n"
/* How long the agent may take to thaw. */
#define ANSWER_MS 60000

struct _VmpThawGuard {
    VmpFd control;
};

/* ---- in the guard: async-signal-safe calls only ---- */

typedef struct {
    int control, agent;
    const char *debt;
    int limit_ms;
} Post;

/* FALSE when somebody has to thaw; *alone: we are the last who can hear the answer. */
static gboolean
watch(const Post *post, gboolean *alone)
{
    struct pollfd waiting = { .fd = post->control, .events = POLLIN };
    char word;

    int ready = TEMP_FAILURE_RETRY(poll(&waiting, 1, post->limit_ms));
    if (ready <= 0)
        return FALSE;
    *alone = TRUE;
    return TEMP_FAILURE_RETRY(read(post->control, &word, 1)) == 1;
}

/* The second line after the delimiter.  The connection must live until then: QEMU forgets what
 * it has not read yet of one that is closed. */
static void
await_answer(const Post *post)
{
    struct pollfd waiting = { .fd = post->agent, .events = POLLIN };
    gboolean synced = FALSE;
    char byte;

    for (int lines = 0; lines < 2;) {
        if (TEMP_FAILURE_RETRY(poll(&waiting, 1, ANSWER_MS)) <= 0 ||
            TEMP_FAILURE_RETRY(read(post->agent, &byte, 1)) != 1)
            return;
        if (byte == '\xff') {
            synced = TRUE;
            lines = 0;
        }
        lines += synced && byte == '\n' ? 1 : 0;
    }
    unlink(post->debt);
}

static gboolean
say(const Post *post, const char *text)
{
    return TEMP_FAILURE_RETRY(write(post->agent, text, strlen(text))) == (ssize_t)strlen(text);
}

G_NORETURN static void
stand(const Post *post)
{
    gboolean alone = FALSE;

    /* The domain's lock and the store are among what we have inherited. */
    if (dup2(post->control, STDIN_FILENO) < 0 || dup2(post->agent, STDOUT_FILENO) < 0)
        _exit(127);
    close_range(STDERR_FILENO, ~0U, 0);
    signal(SIGTERM, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);

    Post here = { STDIN_FILENO, STDOUT_FILENO, post->debt, post->limit_ms };
    if (watch(&here, &alone))
        _exit(0);
    /* One who is still there listens to the agent, and need not be disturbed by a sync. */
    if (!alone)
        say(&here, THAW);
    else if (say(&here, SYNC THAW))
        await_answer(&here);
    _exit(0);
}

/* ---- in the parent ---- */

VmpThawGuard *
vmp_thaw_guard_new(int agent, const char *debt, int limit_ms, GError **error)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        vmp_fail_errno(error, errno, "cannot make a socket");
        return NULL;
    }
    g_auto(VmpFd) ours = pair[0], theirs = pair[1];
    const Post post = { theirs, agent, debt, limit_ms };

    pid_t child = fork();
    if (child == 0) {
        /* Once more, so that it is nobody's child and never a zombie of ours. */
        setsid();
        close(ours);
        pid_t guard = fork();
        if (guard == 0)
            stand(&post);
        _exit(guard < 0 ? 1 : 0);
    }
    int status = 0;
    if (child < 0 || TEMP_FAILURE_RETRY(waitpid(child, &status, 0)) != child || status != 0)
        return vmp_fail_null(error, VMP_ERROR_IO,
                             "cannot make a process that thaws the guest");

    VmpThawGuard *guard = g_new0(VmpThawGuard, 1);
    guard->control = ours;
    ours = -1;
    return guard;
}

void
vmp_thaw_guard_dismiss(VmpThawGuard *guard)
{
    char nothing;

    if (!guard)
        return;
    /* Its end is the end of file that we read; one that has gone already is fine too. */
    if (send(guard->control, "d", 1, MSG_NOSIGNAL) == 1)
        TEMP_FAILURE_RETRY(read(guard->control, &nothing, 1));
    vmp_thaw_guard_leave(guard);
}

void
vmp_thaw_guard_leave(VmpThawGuard *guard)
{
    if (!guard)
        return;
    vmp_fd_clear(&guard->control);
    g_free(guard);
}
