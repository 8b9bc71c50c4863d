/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* GIO, loaded when something can be cancelled, or a socket or process is made the GLib way.
 *
 * It brings GObject, libmount, libblkid, libselinux and others along, half of all that is to
 * be loaded and relocated before main(); and a list asks its monitors without it (qmp/ask.h).
 * See base/lazy.h.
 *
 * Nobody can have cancelled what does not exist: that is answered here, for it is asked
 * everywhere.
 */

#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>

#define LAZY_LIBRARY "libgio-2.0.so.0"

#include "base/lazy.h"

/* Macros around the functions of the same names. */
#undef g_object_ref
#undef g_task_set_name
#undef g_task_set_source_tag

/* ---- GObject, which comes with it ---- */

FUNCTION(gpointer, g_object_ref, (gpointer object), (object))
PROCEDURE(g_object_unref, (gpointer object), (object))
FUNCTION(GTypeInstance *, g_type_check_instance_cast, (GTypeInstance * instance, GType type),
         (instance, type))

/* ---- cancelling ---- */

FUNCTION(GCancellable *, g_cancellable_new, (void), ())
PROCEDURE(g_cancellable_cancel, (GCancellable * cancellable), (cancellable))
FUNCTION(GSource *, g_cancellable_source_new, (GCancellable * cancellable), (cancellable))

gboolean
g_cancellable_is_cancelled(GCancellable *cancellable)
{
    return cancellable && REAL(g_cancellable_is_cancelled)(cancellable);
}

gboolean
g_cancellable_make_pollfd(GCancellable *cancellable, GPollFD *pollfd)
{
    return cancellable && REAL(g_cancellable_make_pollfd)(cancellable, pollfd);
}

void
g_cancellable_release_fd(GCancellable *cancellable)
{
    if (cancellable)
        REAL(g_cancellable_release_fd)(cancellable);
}

FUNCTION(GQuark, g_io_error_quark, (void), ())

/* ---- tasks ---- */

FUNCTION(gboolean, g_async_result_is_tagged, (GAsyncResult * result, gpointer tag),
         (result, tag))
FUNCTION(GType, g_task_get_type, (void), ())
FUNCTION(GTask *, g_task_new,
         (gpointer source, GCancellable *cancellable, GAsyncReadyCallback callback,
          gpointer data),
         (source, cancellable, callback, data))
FUNCTION(const gchar *, g_task_get_name, (GTask * task), (task))
PROCEDURE(g_task_set_name, (GTask * task, const gchar *name), (task, name))
PROCEDURE(g_task_set_source_tag, (GTask * task, gpointer tag), (task, tag))
PROCEDURE(g_task_set_check_cancellable, (GTask * task, gboolean check), (task, check))
PROCEDURE(g_task_return_error, (GTask * task, GError *error), (task, error))
PROCEDURE(g_task_return_pointer, (GTask * task, gpointer result, GDestroyNotify destroy),
          (task, result, destroy))
FUNCTION(gpointer, g_task_propagate_pointer, (GTask * task, GError **error), (task, error))

/* ---- sockets ---- */

FUNCTION(GType, g_inet_socket_address_get_type, (void), ())
FUNCTION(GSocketAddress *, g_inet_socket_address_new, (GInetAddress * address, guint16 port),
         (address, port))
FUNCTION(guint16, g_inet_socket_address_get_port, (GInetSocketAddress * address), (address))
FUNCTION(GSocketFamily, g_inet_address_get_family, (GInetAddress * address), (address))
FUNCTION(GSocketAddress *, g_unix_socket_address_new, (const gchar *path), (path))
FUNCTION(GSocketConnectable *, g_network_address_new, (const gchar *name, guint16 port),
         (name, port))
FUNCTION(GType, g_socket_connectable_get_type, (void), ())
FUNCTION(GResolver *, g_resolver_get_default, (void), ())
FUNCTION(GList *, g_resolver_lookup_by_name,
         (GResolver * resolver, const gchar *name, GCancellable *cancellable, GError **error),
         (resolver, name, cancellable, error))
PROCEDURE(g_resolver_free_addresses, (GList * addresses), (addresses))
FUNCTION(GSocket *, g_socket_new,
         (GSocketFamily family, GSocketType type, GSocketProtocol protocol, GError **error),
         (family, type, protocol, error))
FUNCTION(gboolean, g_socket_bind,
         (GSocket * socket, GSocketAddress *address, gboolean reuse, GError **error),
         (socket, address, reuse, error))
FUNCTION(GSocketAddress *, g_socket_get_local_address, (GSocket * socket, GError **error),
         (socket, error))
FUNCTION(GSocketClient *, g_socket_client_new, (void), ())
PROCEDURE(g_socket_client_set_enable_proxy, (GSocketClient * client, gboolean enable),
          (client, enable))
PROCEDURE(g_socket_client_set_timeout, (GSocketClient * client, guint timeout),
          (client, timeout))
FUNCTION(GSocketConnection *, g_socket_client_connect,
         (GSocketClient * client, GSocketConnectable *to, GCancellable *cancellable,
          GError **error),
         (client, to, cancellable, error))
FUNCTION(GType, g_io_stream_get_type, (void), ())
FUNCTION(GInputStream *, g_io_stream_get_input_stream, (GIOStream * stream), (stream))
FUNCTION(gssize, g_input_stream_read,
         (GInputStream * stream, void *buffer, gsize count, GCancellable *cancellable,
          GError **error),
         (stream, buffer, count, cancellable, error))
