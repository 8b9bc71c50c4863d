/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/interrupt.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <unistd.h>

static int pipe_ends[2] = { -1, -1 };

static volatile sig_atomic_t time_is_up;

static void
tell(int signal_number)
{
    int saved = errno;
    gssize ignored = write(pipe_ends[1], "", 1);

    if (signal_number == SIGALRM)
        time_is_up = 1;
    (void)ignored;
    errno = saved;
}

static gpointer
wait_and_cancel(gpointer data)
{
    GCancellable *cancellable = data;
    char byte;
    gssize got;

    do {
        got = read(pipe_ends[0], &byte, 1);
    } while (got < 0 && errno == EINTR);
    if (got == 1)
        g_cancellable_cancel(cancellable);
    return NULL;
}

static void catch (int signal_number)
{
    struct sigaction action = { .sa_handler = tell,
                                .sa_flags = (int)SA_RESETHAND | SA_RESTART };
    struct sigaction present;

    /* What our parent ignores (nohup, a shell's background job) stays ignored. */
    if (sigaction(signal_number, NULL, &present) == 0 && present.sa_handler == SIG_IGN)
        return;
    sigemptyset(&action.sa_mask);
    sigaction(signal_number, &action, NULL);
}

GCancellable *
vmp_interrupt_watch(void)
{
    static GCancellable *cancellable;

    if (cancellable)
        return cancellable;
    cancellable = g_cancellable_new();

    /* Without a pipe the signals keep their default, and recovery does the rest. */
    if (!g_unix_open_pipe(pipe_ends, FD_CLOEXEC, NULL))
        return cancellable;
    g_thread_unref(g_thread_new("interrupt", wait_and_cancel, cancellable));
    catch (SIGINT);
    catch (SIGTERM);
    catch (SIGHUP);
    return cancellable;
}

void
vmp_interrupt_after(guint seconds)
{
    vmp_interrupt_watch();
    catch (SIGALRM);
    alarm(seconds);
}

gboolean
vmp_interrupt_has_come(void)
{
    return time_is_up;
}
