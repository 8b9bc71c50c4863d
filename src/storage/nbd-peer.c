/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/nbd-peer.h"

#include <errno.h>
#include <libnbd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

#define LOOK_PATIENCE_S 10
/* A server may have much to write out. */
#define FLUSH_PATIENCE_S 120
#define HEAD_BYTES ((gsize)64 << 10)
/* What is written at once: a cluster. */
#define WRITE_CHUNK ((gsize)64 << 10)

typedef struct {
    struct nbd_handle *nbd;
    gint64 cookie; /* of the command that is waited for */
} Peer;

static void
peer_clear(Peer *peer)
{
    g_clear_pointer(&peer->nbd, nbd_close);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Peer, peer_clear)

static gboolean
fail(GError **error)
{
    return vmp_fail(error, VMP_ERROR_IO, "%s", nbd_get_error());
}

/* 1 if so, 0 if not yet, -1 if it has failed. */
typedef int (*IsDone)(Peer *peer);

static gboolean
wait_until(Peer *peer, IsDone is_done, int patience_s, GError **error)
{
    gint64 end = g_get_monotonic_time() + patience_s * G_TIME_SPAN_SECOND;

    for (;;) {
        int done = is_done(peer);
        gint64 left = (end - g_get_monotonic_time()) / 1000;
        if (done != 0)
            return done > 0 || fail(error);
        if (left <= 0)
            return vmp_fail(error, VMP_ERROR_TIMED_OUT, "no answer within %d seconds",
                            patience_s);
        if (nbd_poll(peer->nbd, (int)left) < 0)
            return fail(error);
    }
}

static int
is_connected(Peer *peer)
{
    if (nbd_aio_is_ready(peer->nbd) > 0)
        return 1;
    /* The error was that of the call that saw it die. */
    return nbd_aio_is_dead(peer->nbd) > 0 || nbd_aio_is_closed(peer->nbd) > 0 ? -1 : 0;
}

static gboolean
connect_to(Peer *peer, const char *uri, const char *tls_dir, GError **error)
{
    peer->nbd = nbd_create();
    if (!peer->nbd || (tls_dir && nbd_set_tls_certificates(peer->nbd, tls_dir) < 0) ||
        nbd_aio_connect_uri(peer->nbd, uri) < 0)
        return fail(error);
    return wait_until(peer, is_connected, LOOK_PATIENCE_S, error);
}

gboolean
vmp_nbd_peer_look(const char *uri, const char *tls_dir, VmpNbdExport *found, GError **error)
{
    VMP_ERROR_CONTEXT(error, "cannot use '%s'", uri);
    g_auto(Peer) peer = { 0 };

    if (!connect_to(&peer, uri, tls_dir, error))
        return FALSE;
    gint64 size = nbd_get_size(peer.nbd);
    int read_only = nbd_is_read_only(peer.nbd);
    if (size < 0 || read_only < 0)
        return fail(error);
    *found = (VmpNbdExport){ (guint64)size, read_only > 0 };
    return TRUE;
}

static int
is_answered(Peer *peer)
{
    return nbd_aio_command_completed(peer->nbd, (guint64)peer->cookie);
}

/* Waits for the command that got @cookie. */
static gboolean
wait_for(Peer *peer, gint64 cookie, int patience_s, GError **error)
{
    peer->cookie = cookie;
    return cookie < 0 ? fail(error) : wait_until(peer, is_answered, patience_s, error);
}

static gboolean
flush(Peer *peer, GError **error)
{
    return nbd_can_flush(peer->nbd) == 0 ||
           wait_for(peer, nbd_aio_flush(peer->nbd, NBD_NULL_COMPLETION, 0), FLUSH_PATIENCE_S,
                    error);
}

gboolean
vmp_nbd_peer_read(const char *uri, void *bytes, gsize length, guint64 offset, GError **error)
{
    VMP_ERROR_CONTEXT(error, "cannot read from '%s'", uri);
    g_auto(Peer) peer = { 0 };

    return connect_to(&peer, uri, NULL, error) &&
           wait_for(&peer,
                    nbd_aio_pread(peer.nbd, bytes, length, offset, NBD_NULL_COMPLETION, 0),
                    LOOK_PATIENCE_S, error);
}

int
vmp_nbd_peer_open_head(const char *uri, GError **error)
{
    VMP_ERROR_CONTEXT(error, "cannot read from '%s'", uri);
    g_autofree guint8 *head = g_malloc(HEAD_BYTES);
    g_auto(Peer) peer = { 0 };

    if (!connect_to(&peer, uri, NULL, error))
        return -1;
    const gint64 size = nbd_get_size(peer.nbd);
    const gsize length = MIN((gsize)MAX(size, 0), HEAD_BYTES);
    if (length > 0 &&
        !wait_for(&peer, nbd_aio_pread(peer.nbd, head, length, 0, NBD_NULL_COMPLETION, 0),
                  LOOK_PATIENCE_S, error))
        return -1;

    g_auto(VmpFd) fd = memfd_create("vmpoint-head", MFD_CLOEXEC);
    if (fd < 0 || TEMP_FAILURE_RETRY(pwrite(fd, head, length, 0)) != (gssize)length) {
        vmp_fail_errno(error, errno, "cannot make a file in memory");
        return -1;
    }
    return g_steal_fd(&fd);
}

gboolean
vmp_nbd_peer_write(const char *uri, const void *bytes, gsize length, guint64 offset,
                   gboolean backwards, GError **error)
{
    VMP_ERROR_CONTEXT(error, "cannot write to '%s'", uri);
    g_auto(Peer) peer = { 0 };
    const gsize chunks = (length + WRITE_CHUNK - 1) / WRITE_CHUNK;

    if (!connect_to(&peer, uri, NULL, error))
        return FALSE;
    for (gsize i = 0; i < chunks; i++) {
        const gsize at = (backwards ? chunks - 1 - i : i) * WRITE_CHUNK;
        gint64 cookie =
            nbd_aio_pwrite(peer.nbd, (const guint8 *)bytes + at, MIN(WRITE_CHUNK, length - at),
                           offset + at, NBD_NULL_COMPLETION, 0);
        if (!wait_for(&peer, cookie, LOOK_PATIENCE_S, error))
            return FALSE;
    }
    return flush(&peer, error);
}

gboolean
vmp_nbd_peer_flush(const char *uri, const char *tls_dir, GError **error)
{
    VMP_ERROR_CONTEXT(error, "cannot have '%s' written out", uri);
    g_auto(Peer) peer = { 0 };

    return connect_to(&peer, uri, tls_dir, error) && flush(&peer, error);
}
