/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The servers of network disks, asked before a QEMU is: that waits for one that keeps silent
 * while it opens a disk, for ever where a header names it, and then does not say whose disk it
 * was.
 */

#include "xml/domain.h"

/* @disk and all that it rests on.  IO, TIMED_OUT, with disk and server. */
gboolean vmp_servers_look_at_disk(const VmpDomainDisk *disk, GError **error);
gboolean vmp_servers_look(const VmpDomain *definition, GError **error);
