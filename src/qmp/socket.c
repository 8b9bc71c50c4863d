/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/error.h"
#include "base/file.h"

/* connect() cannot be woken by a GCancellable: it is asked this often. */
#define CONNECT_SLICE_US (50 * G_TIME_SPAN_MILLISECOND)

gint64
vmp_qmp_deadline_after(int timeout_ms)
{
    if (timeout_ms <= 0)
        return G_MAXINT64;
    return g_get_monotonic_time() + (gint64)timeout_ms * G_TIME_SPAN_MILLISECOND;
}

/* Fills @address.  A path that does not fit is reached through a descriptor of the
 * socket's inode, which the caller closes after connect(). */
static gboolean
make_address(const char *path, struct sockaddr_un *address, VmpFd *inode, GError **error)
{
    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };

    if (strlen(path) < sizeof(address->sun_path)) {
        strcpy(address->sun_path, path);
        return TRUE;
    }
    *inode = open(path, O_PATH | O_CLOEXEC);
    if (*inode < 0)
        return vmp_fail(error, VMP_ERROR_DISCONNECTED, "nobody listens there: %s",
                        g_strerror(errno));
    g_snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d", *inode);
    return TRUE;
}

/* A full backlog wakes a blocking connect() as soon as there is room, which a
 * non-blocking one could only poll for.  So it blocks, a slice at a time. */
static gboolean
connect_before(int fd, const struct sockaddr_un *address, gint64 deadline,
               GCancellable *cancellable, GError **error)
{
    while (!g_cancellable_is_cancelled(cancellable)) {
        const gint64 left = deadline - g_get_monotonic_time();
        const gint64 slice = CLAMP(left, 1, CONNECT_SLICE_US);
        const struct timeval patience = { .tv_usec = (suseconds_t)slice };

        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
            return TRUE;

        switch (errno) {
        case EINTR:
            break;
        case EAGAIN:
            if (left <= slice)
                return vmp_fail(error, VMP_ERROR_BUSY, "others are waiting there already");
            break;
        case ENOENT:
        case ENOTDIR:
        case ENOTSOCK:
        case ECONNREFUSED:
            return vmp_fail(error, VMP_ERROR_DISCONNECTED, "nobody listens there: %s",
                            g_strerror(errno));
        default:
            return vmp_fail_errno(error, errno, "cannot connect");
        }
    }
    return vmp_fail(error, VMP_ERROR_INTERRUPTED, "cancelled while connecting");
}

int
vmp_qmp_socket_connect(const char *path, gint64 deadline, GCancellable *cancellable,
                       GError **error)
{
    struct sockaddr_un address;
    g_auto(VmpFd) inode = -1;

    if (!make_address(path, &address, &inode, error))
        return -1;

    g_auto(VmpFd) fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        vmp_fail_errno(error, errno, "cannot make a socket");
        return -1;
    }
    return connect_before(fd, &address, deadline, cancellable, error) ? g_steal_fd(&fd) : -1;
}

static gboolean
poll_before(GPollFD *fds, guint n_fds, gint64 deadline, GCancellable *cancellable,
            GError **error)
{
    while (!g_cancellable_is_cancelled(cancellable)) {
        const gint64 left_us = deadline - g_get_monotonic_time();
        const gint64 left_ms = CLAMP(left_us / G_TIME_SPAN_MILLISECOND + 1, 0, G_MAXINT);

        if (left_us <= 0)
            return vmp_fail(error, VMP_ERROR_TIMED_OUT, "no answer in time");
        if (g_poll(fds, n_fds, deadline == G_MAXINT64 ? -1 : (gint)left_ms) > 0 &&
            fds[0].revents != 0)
            return TRUE;
    }
    return vmp_fail(error, VMP_ERROR_INTERRUPTED, "cancelled while connecting");
}

gboolean
vmp_qmp_socket_wait(int socket, GIOCondition events, gint64 deadline,
                    GCancellable *cancellable, GError **error)
{
    GPollFD fds[2] = { { .fd = socket, .events = (gushort)events } };
    const gboolean can_cancel = g_cancellable_make_pollfd(cancellable, &fds[1]);
    const gboolean ready = poll_before(fds, can_cancel ? 2 : 1, deadline, cancellable, error);

    if (can_cancel)
        g_cancellable_release_fd(cancellable);
    return ready;
}
