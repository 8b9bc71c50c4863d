/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The lock of a domain: who holds it alone may change the domain.
 *
 * An flock() on <runtime dir>/<uuid>.lock: it ends with its process and with the tools that
 * this has begun, so there are no stale locks.  The file names its holder for error messages
 * only.
 */

#include "machine/host.h"

typedef struct _VmpLock VmpLock;

/* Waits at most the host's timeout (default 10 s), then VMP_ERROR_BUSY naming pid, age and
 * command of the holder. */
VmpLock *vmp_lock_take(VmpHost *host, const char *uuid, const char *domain_name,
                       GCancellable *cancellable, GError **error);
/* Takes the lock's file away, when the domain is no more; the caller holds the lock. */
void vmp_lock_remove(const VmpHost *host, const char *uuid);
void vmp_lock_release(VmpLock *lock);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpLock, vmp_lock_release)
