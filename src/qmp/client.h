/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpQmpClient: one conversation with one QEMU (or qemu-storage-daemon).
 *
 * A state machine on a GMainContext.  Replies are matched by id, so commands may
 * overlap; events are delivered in the order in which QEMU sent them, and before
 * the replies that QEMU sent after them.  A peer that stalls (a command has no answer
 * within its timeout), dies or lies (not JSON, a reply to nothing, a message beyond
 * the size limit) makes the client DEAD: that is final, and completes every pending
 * command exactly once.  What the peer sent before it died still counts.
 *
 * Two kinds of failure are kept apart, because recovery needs to know:
 *   VMP_ERROR_REFUSED       QEMU answered "error": the command did not happen
 *   VMP_ERROR_DISCONNECTED, VMP_ERROR_TIMED_OUT, VMP_ERROR_INTERRUPTED
 *                           no answer: it may have happened
 *
 * A timeout is thus a verdict on QEMU.  To merely stop waiting, cancel: the client
 * lives on and swallows the answer that comes late.
 *
 * A synchronous call iterates the client's context until its own answer is there; it
 * must be made from the thread that owns the context.  Other sources of that context
 * are dispatched meanwhile, and so are this client's events: hold no state across a
 * call that a callback of yours may change.  Callbacks may call synchronously too;
 * later events then reach all subscribers, the calling one included, before that call
 * returns.  A reply belongs to whoever asked for it, however deep the calls nest.
 * Any callback may drop the last reference.
 *
 * A monitor outlives its clients: an answer to a command of an earlier client may
 * arrive here.  Ids are unique to each client, and foreign ones are ignored.
 */

#include <gio/gio.h>

#include "base/json.h"
#include "qmp/command.h"

/* CONNECTING -> GREETING -> NEGOTIATING -> READY -> DEAD, and DEAD from anywhere. */
typedef enum {
    VMP_QMP_CONNECTING,  /* socket not connected yet */
    VMP_QMP_GREETING,    /* connected, waiting for the greeting */
    VMP_QMP_NEGOTIATING, /* qmp_capabilities sent */
    VMP_QMP_READY,
    VMP_QMP_DEAD,
} VmpQmpState;

/* The state machine as a table, for its test: may @to follow @from? */
gboolean vmp_qmp_state_may_follow(VmpQmpState from, VmpQmpState to);

typedef struct _VmpQmpClient VmpQmpClient;

/* @timestamp_us: QEMU's own clock, microseconds since the epoch.  @data borrowed, or NULL. */
typedef void (*VmpQmpEventFunc)(VmpQmpClient *client, const char *event, VmpJson *data,
                                gint64 timestamp_us, gpointer user_data);
/* Sees every message; @sent says which way.  For -v; secrets already masked. */
typedef void (*VmpQmpTraceFunc)(gboolean sent, const char *text, gpointer user_data);

/* Connects to the unix socket @path, waits for the greeting and negotiates, all
 * within @timeout_ms (<= 0: no limit).  Uses the thread-default main context.
 *   VMP_ERROR_DISCONNECTED  nobody listens there, or it hung up
 *   VMP_ERROR_BUSY          it accepted and sent no greeting in time: another client holds it
 *   VMP_ERROR_INVALID       it speaks, but not QMP
 *   VMP_ERROR_TIMED_OUT     it greeted and then did not negotiate in time
 * Nothing in the context is dispatched meanwhile. */
VmpQmpClient *vmp_qmp_client_connect(const char *path, int timeout_ms,
                                     GCancellable *cancellable, GError **error);
/* The same on a connected socket; takes @fd. */
VmpQmpClient *vmp_qmp_client_from_fd(int fd, int timeout_ms, GCancellable *cancellable,
                                     GError **error);

VmpQmpClient *vmp_qmp_client_ref(VmpQmpClient *client);
/* The last unref closes the socket and completes what is pending with DISCONNECTED;
 * their callbacks, at once or later, must not touch the client any more. */
void vmp_qmp_client_unref(VmpQmpClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpQmpClient, vmp_qmp_client_unref)

VmpQmpState vmp_qmp_client_get_state(VmpQmpClient *client);
/* Version triple from the greeting, for messages only: capabilities come from the schema. */
const char *vmp_qmp_client_get_version(VmpQmpClient *client);
/* The process that made the monitor's socket listen: QEMU, unless it was given the socket.
 * 0 if it cannot be told. */
GPid vmp_qmp_client_get_peer(VmpQmpClient *client);
/* Name used in error messages ("domain vm1"); copied. */
void vmp_qmp_client_set_label(VmpQmpClient *client, const char *label);
void vmp_qmp_client_set_trace(VmpQmpClient *client, VmpQmpTraceFunc func, gpointer data);

/* Subscribes to events named @event (NULL = all) from the next one on; returns an id for
 * unsubscribe, never 0. */
guint vmp_qmp_client_subscribe(VmpQmpClient *client, const char *event, VmpQmpEventFunc func,
                               gpointer data);
void vmp_qmp_client_unsubscribe(VmpQmpClient *client, guint id);

/* Sends @command; @fd (-1 = none) goes along over the socket and stays the caller's.
 * @timeout_ms <= 0: wait for ever.  Cancelling stops waiting, not QEMU; what is cancelled
 * beforehand is not sent.  @callback is never called from within this call; its source
 * object is NULL. */
void vmp_qmp_client_execute_async(VmpQmpClient *client, VmpQmpCommand *command, int fd,
                                  int timeout_ms, GCancellable *cancellable,
                                  GAsyncReadyCallback callback, gpointer data);
/* The "return" member; a new reference.  NULL with @error on failure (a null that QEMU
 * returns comes as an empty object).  @client may be gone already. */
VmpJson *vmp_qmp_client_execute_finish(VmpQmpClient *client, GAsyncResult *result,
                                       GError **error);

/* The synchronous pair in one; the client's default timeout applies. */
VmpJson *vmp_qmp_client_execute(VmpQmpClient *client, VmpQmpCommand *command,
                                GCancellable *cancellable, GError **error);
VmpJson *vmp_qmp_client_execute_fd(VmpQmpClient *client, VmpQmpCommand *command, int fd,
                                   GCancellable *cancellable, GError **error);
/* Sends all of @commands at once and waits for all answers (pipelining).  On success
 * @replies (optional) has as many elements, in order.  If one or more are refused, the
 * first refusal is the error, after all answers have come; one without an answer outranks
 * refusals. */
gboolean vmp_qmp_client_execute_all(VmpQmpClient *client, GPtrArray *commands,
                                    GPtrArray **replies, GCancellable *cancellable,
                                    GError **error);
/* Runs @command (taken), which takes something out of QEMU: a refusal means that it has gone
 * already, and is success. */
gboolean vmp_qmp_client_execute_removal(VmpQmpClient *client, VmpQmpCommand *command,
                                        GError **error);
/* Runs @command (taken), of whose reply only matters that it comes.  @client NULL: FALSE, and
 * whoever got none has set @error. */
gboolean vmp_qmp_client_run(VmpQmpClient *client, VmpQmpCommand *command,
                            GCancellable *cancellable, GError **error);
/* Default for synchronous calls; 0 = for ever.  Initially 60,000 ms. */
void vmp_qmp_client_set_timeout(VmpQmpClient *client, int timeout_ms);
int vmp_qmp_client_get_timeout(VmpQmpClient *client);

/* Another default while it is in scope. */
typedef struct {
    VmpQmpClient *client; /* a reference */
    int usual_ms;
} VmpQmpTimeout;

VmpQmpTimeout vmp_qmp_timeout_begin(VmpQmpClient *client, int timeout_ms);
void vmp_qmp_timeout_end(VmpQmpTimeout *timeout);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmpQmpTimeout, vmp_qmp_timeout_end)

/* Iterates the context until @done returns TRUE (checked after each event, reply or
 * wake-up), the client is DEAD, @timeout_ms (<= 0: none) passes or it is cancelled.  Running
 * out of time here says nothing about QEMU: the client stays READY. */
typedef gboolean (*VmpQmpDoneFunc)(gpointer data);
gboolean vmp_qmp_client_wait(VmpQmpClient *client, VmpQmpDoneFunc done, gpointer data,
                             int timeout_ms, GCancellable *cancellable, GError **error);
