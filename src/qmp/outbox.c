/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp/outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/file.h"

typedef struct {
    char *text;
    gsize length;
    gsize sent;
    VmpFd fd; /* -1 once it is sent, or if there is none */
} Parcel;

struct _VmpQmpOutbox {
    GQueue parcels;
};

static void
parcel_free(Parcel *parcel)
{
    vmp_fd_clear(&parcel->fd);
    g_free(parcel->text);
    g_free(parcel);
}

VmpQmpOutbox *
vmp_qmp_outbox_new(void)
{
    return g_new0(VmpQmpOutbox, 1);
}

void
vmp_qmp_outbox_clear(VmpQmpOutbox *outbox)
{
    g_queue_clear_full(&outbox->parcels, (GDestroyNotify)parcel_free);
}

void
vmp_qmp_outbox_free(VmpQmpOutbox *outbox)
{
    vmp_qmp_outbox_clear(outbox);
    g_free(outbox);
}

gboolean
vmp_qmp_outbox_is_empty(const VmpQmpOutbox *outbox)
{
    return outbox->parcels.length == 0;
}

gboolean
vmp_qmp_outbox_add(VmpQmpOutbox *outbox, const char *text, gsize length, int fd,
                   GError **error)
{
    int copy = -1;

    if (fd >= 0 && (copy = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0)
        return vmp_fail_errno(error, errno, "cannot pass file descriptor %d", fd);

    Parcel *parcel = g_new0(Parcel, 1);
    parcel->text = g_memdup2(text, length);
    parcel->length = length;
    parcel->fd = copy;
    g_queue_push_tail(&outbox->parcels, parcel);
    return TRUE;
}

/* As send(2), and passes the parcel's descriptor if it has one. */
static gssize
send_some(const Parcel *parcel, int socket)
{
    struct iovec bytes = { parcel->text + parcel->sent, parcel->length - parcel->sent };
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1 };

    if (parcel->fd >= 0) {
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        memcpy(CMSG_DATA(&control.header), &parcel->fd, sizeof(int));
        message.msg_control = &control;
        message.msg_controllen = sizeof(control.space);
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

gboolean
vmp_qmp_outbox_flush(VmpQmpOutbox *outbox, int socket, GError **error)
{
    while (outbox->parcels.length > 0) {
        Parcel *parcel = g_queue_peek_head(&outbox->parcels);
        const gssize sent = send_some(parcel, socket);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN)
            return TRUE;
        if (sent < 0)
            return vmp_fail(error, VMP_ERROR_DISCONNECTED, "cannot send: %s",
                            g_strerror(errno));

        vmp_fd_clear(&parcel->fd);
        parcel->sent += (gsize)sent;
        if (parcel->sent == parcel->length)
            parcel_free(g_queue_pop_head(&outbox->parcels));
    }
    return TRUE;
}
