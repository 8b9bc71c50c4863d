/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libnbd, loaded when it is first needed: it brings TLS and XML along.
 * See base/lazy.h.
 */

#include <libnbd.h>

#define LAZY_LIBRARY "libnbd.so.0"

#include "base/lazy.h"

FUNCTION(struct nbd_handle *, nbd_create, (void), ())
PROCEDURE(nbd_close, (struct nbd_handle * nbd), (nbd))
FUNCTION(const char *, nbd_get_error, (void), ())
FUNCTION(int, nbd_get_errno, (void), ())
FUNCTION(int, nbd_connect_systemd_socket_activation, (struct nbd_handle * nbd, char **argv),
         (nbd, argv))
FUNCTION(int64_t, nbd_get_size, (struct nbd_handle * nbd), (nbd))
FUNCTION(int, nbd_pread,
         (struct nbd_handle * nbd, void *buffer, size_t length, uint64_t offset,
          uint32_t flags),
         (nbd, buffer, length, offset, flags))
FUNCTION(int, nbd_pwrite,
         (struct nbd_handle * nbd, const void *buffer, size_t length, uint64_t offset,
          uint32_t flags),
         (nbd, buffer, length, offset, flags))
FUNCTION(int, nbd_zero,
         (struct nbd_handle * nbd, uint64_t length, uint64_t offset, uint32_t flags),
         (nbd, length, offset, flags))
FUNCTION(int, nbd_flush, (struct nbd_handle * nbd, uint32_t flags), (nbd, flags))
FUNCTION(int, nbd_shutdown, (struct nbd_handle * nbd, uint32_t flags), (nbd, flags))
FUNCTION(int, nbd_set_tls_certificates, (struct nbd_handle * nbd, const char *dir), (nbd, dir))
FUNCTION(int, nbd_aio_connect_uri, (struct nbd_handle * nbd, const char *uri), (nbd, uri))
FUNCTION(int, nbd_aio_is_ready, (struct nbd_handle * nbd), (nbd))
FUNCTION(int, nbd_aio_is_dead, (struct nbd_handle * nbd), (nbd))
FUNCTION(int, nbd_aio_is_closed, (struct nbd_handle * nbd), (nbd))
FUNCTION(int, nbd_poll, (struct nbd_handle * nbd, int timeout), (nbd, timeout))
FUNCTION(int, nbd_is_read_only, (struct nbd_handle * nbd), (nbd))
FUNCTION(int, nbd_can_flush, (struct nbd_handle * nbd), (nbd))
FUNCTION(int64_t, nbd_aio_flush,
         (struct nbd_handle * nbd, nbd_completion_callback callback, uint32_t flags),
         (nbd, callback, flags))
FUNCTION(int64_t, nbd_aio_pread,
         (struct nbd_handle * nbd, void *buffer, size_t length, uint64_t offset,
          nbd_completion_callback callback, uint32_t flags),
         (nbd, buffer, length, offset, callback, flags))
FUNCTION(int64_t, nbd_aio_pwrite,
         (struct nbd_handle * nbd, const void *buffer, size_t length, uint64_t offset,
          nbd_completion_callback callback, uint32_t flags),
         (nbd, buffer, length, offset, callback, flags))
FUNCTION(int, nbd_aio_command_completed, (struct nbd_handle * nbd, uint64_t cookie),
         (nbd, cookie))
