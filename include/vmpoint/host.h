/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpHost: the door to the library: a store and the domains it knows.
 */

#include <glib.h>

#include <vmpoint/operation.h>

G_BEGIN_DECLS

typedef struct _VmpHost VmpHost;

/* Opens the store in @state_dir, making both folders (0700) when missing.
 * @state_dir NULL: $VMPOINT_STATE_DIR, else /var/lib/vmpoint as root, else
 * $XDG_STATE_HOME/vmpoint.  @runtime_dir NULL: $VMPOINT_RUNTIME_DIR, else /run/vmpoint as
 * root, else $XDG_RUNTIME_DIR/vmpoint (sockets, locks, pid files); but a store keeps the one
 * that its first change was made with, as long as it is there. */
VMP_PUBLIC VmpHost *vmp_host_open(const char *state_dir, const char *runtime_dir,
                                  GError **error);
/* Domains go on; @host may be NULL. */
VMP_PUBLIC void vmp_host_close(VmpHost *host);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpHost, vmp_host_close)

/* Upper bound for each wait on QEMU and for a domain's lock, in ms; 0 = the defaults. */
VMP_PUBLIC void vmp_host_set_timeout(VmpHost *host, int timeout_ms);

/* Sees every QMP message, secrets masked. */
typedef void (*VmpTraceFunc)(const char *domain, gboolean sent, const char *text,
                             gpointer data);
/* @func NULL: nobody. */
VMP_PUBLIC void vmp_host_set_trace(VmpHost *host, VmpTraceFunc func, gpointer data);

/* Settles what interrupted commands left open for @domain (NULL = all): finishes or
 * undoes it.  Returns sentences that say what was done (array of char *); empty if there
 * was nothing.  Every changing call does the same for its domain first. */
VMP_PUBLIC GPtrArray *vmp_host_recover(VmpHost *host, const char *domain,
                                       VmpOperation *operation, GError **error);

G_END_DECLS
