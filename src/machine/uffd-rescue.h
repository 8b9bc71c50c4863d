/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Freeing a guest that a failed live save has left asleep.
 *
 * While QEMU saves RAM in the background, the guest's pages are protected against writing, and
 * whoever writes one sleeps until QEMU has saved it (userfaultfd).  When that save fails or is
 * cancelled, QEMU 7.2 says so and forgets the sleepers: the guest hangs for ever, and often
 * QEMU's main loop with it.
 *
 * The sleepers are woken from outside: through a duplicate of QEMU's own userfaultfd, the
 * protection of each range is lifted (which wakes them), then the range is let go.  Letting go
 * alone wakes nobody.
 */

#include <glib.h>

/* Does a thread of @pid sleep there at this moment?  It may be only waiting for its page. */
gboolean vmp_rescue_is_asleep(GPid pid);
/* Frees all of @pid; *ranges: how many were protected (0: there was nothing to free). Whatever
 * QEMU may still be saving is of no instant any more.  UNSUPPORTED where the kernel or our
 * rights do not allow it. */
gboolean vmp_rescue_wake(GPid pid, guint *ranges, GError **error);
