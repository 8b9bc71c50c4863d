/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* QmpPeer: a QEMU that says what the test tells it to.
 *
 * It listens on a unix socket of its own and follows a script on a thread of its
 * own, so that the code under test may block as it does in earnest:
 *
 *     QmpPeer *peer = qmp_peer_new();
 *     qmp_peer_expect(peer, "blockdev-add", "{'driver': 'null-co', 'node-name': 'n'}");
 *     qmp_peer_reply(peer, "{}");
 *     qmp_peer_expect(peer, "blockdev-del", NULL);
 *     qmp_peer_refuse(peer, "Node 'n' is busy");
 *
 *     g_autoptr(VmpQmpClient) client = qmp_peer_connect(peer);
 *     ... what is tested ...
 *     g_clear_pointer(&client, vmp_qmp_client_unref);
 *     qmp_peer_finish(peer);
 *
 * Steps may be added at any time, also while the script runs; they are taken in
 * order.  A step that expects a command waits for it; all others happen at once.
 * Beside the script there are standing answers (qmp_peer_answer()), given whenever
 * the script expects something else or nothing: for queries whose order and number
 * are no concern of the test.
 *
 * The test fails, and the peer hangs up, when a command comes that neither the script
 * nor a standing answer provides for, when its arguments differ, and when it is not
 * valid by the recorded schema or uses what that marks as deprecated: what a real QEMU
 * would not take is not taken here.  It fails too if the script is not at its end when
 * qmp_peer_finish() is called.
 *
 * When the client hangs up the peer accepts the next one and goes on with the script.
 * JSON in arguments may be written with ' for ", as in Python.
 */

#include "qmp/client.h"
#include "qmp/schema.h"

typedef struct _QmpPeer QmpPeer;

/* Greets like QEMU 7.2 and negotiates by itself. */
QmpPeer *qmp_peer_new(void);
/* Does nothing but accept: greeting and negotiation are the script's. */
QmpPeer *qmp_peer_new_raw(void);
/* Ends the thread, fails the test if the script is not at its end or something was
 * wrong, and frees the peer. */
void qmp_peer_finish(QmpPeer *peer);

const char *qmp_peer_get_path(QmpPeer *peer);
/* A client that is READY and labelled "domain vm1"; fails the test otherwise. */
VmpQmpClient *qmp_peer_connect(QmpPeer *peer);

/* Checks commands against tests/data/schema/<name>.json from here on; initially
 * "qemu-7.2". */
void qmp_peer_use_schema(QmpPeer *peer, const char *name);
/* That schema, loaded once a process; borrowed. */
const VmpQmpSchema *qmp_peer_load_schema(const char *name);

/* ---- the script ---- */

/* @arguments: NULL = whatever they are; else equal as JSON, "{}" standing for none. */
void qmp_peer_expect(QmpPeer *peer, const char *command, const char *arguments);
/* The same without the check against the schema. */
void qmp_peer_expect_invalid(QmpPeer *peer, const char *command, const char *arguments);

/* Answers the oldest command that has no answer. */
void qmp_peer_reply(QmpPeer *peer, const char *value);
void qmp_peer_refuse(QmpPeer *peer, const char *words);
/* Answers the oldest unanswered @command, so that answers can come in any order. */
void qmp_peer_reply_to(QmpPeer *peer, const char *command, const char *value);

/* @data may be NULL.  Timestamps are 1000 s, 1001 s, ... */
void qmp_peer_event(QmpPeer *peer, const char *event, const char *data);
/* Sends @bytes (@length -1: up to the NUL) as they are. */
void qmp_peer_raw(QmpPeer *peer, const char *bytes, gssize length);
/* From here on everything goes out in pieces of @size bytes; 0 = as usual. */
void qmp_peer_drip(QmpPeer *peer, gsize size);
void qmp_peer_hang_up(QmpPeer *peer);

/* Stops here, reading nothing, until qmp_peer_release(). */
void qmp_peer_hold(QmpPeer *peer);
/* Lets the peer pass a hold; waits until it has come there. */
void qmp_peer_release(QmpPeer *peer);
/* Waits until the peer has come to a hold. */
void qmp_peer_await_hold(QmpPeer *peer);

/* expect() and reply() in one. */
void qmp_peer_serve(QmpPeer *peer, const char *command, const char *arguments,
                    const char *value);

/* ---- beside the script ---- */

/* Replies @value to @command as often as it comes; a later call replaces @value. */
void qmp_peer_answer(QmpPeer *peer, const char *command, const char *value);
/* Asks @func for the value; it is called on the peer's thread, @arguments may be NULL. */
typedef VmpJson *(*QmpPeerFunc)(VmpJson *arguments, gpointer data);
void qmp_peer_answer_with(QmpPeer *peer, const char *command, QmpPeerFunc func, gpointer data);

/* ---- what was seen ---- */

/* How often @command came (NULL: any, but for qmp_capabilities). */
guint qmp_peer_count(QmpPeer *peer, const char *command);
/* The @nth command that came, {"execute": ..., "arguments": ..., "id": ...}; a new
 * reference, NULL if there were not so many. */
VmpJson *qmp_peer_get_command(QmpPeer *peer, guint nth);
/* The oldest descriptor that came along and was not taken yet; -1 if there is none. */
int qmp_peer_take_fd(QmpPeer *peer);
