/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The commands of the guest agent that vmpoint knows (QEMU's docs/interop/qemu-ga-ref). */

#include "qmp/command.h"

VmpQmpCommand *vmp_agent_guest_sync_delimited(gint64 number);
/* Returns "thawed" or "frozen". */
VmpQmpCommand *vmp_agent_guest_fsfreeze_status(void);
/* @mountpoints NULL or empty: all.  Returns how many were frozen. */
VmpQmpCommand *vmp_agent_guest_fsfreeze_freeze(const char *const *mountpoints);
/* Returns how many were thawed: 0 if none was frozen. */
VmpQmpCommand *vmp_agent_guest_fsfreeze_thaw(void);
/* @minimum: bytes of free space in a row that are worth it. */
VmpQmpCommand *vmp_agent_guest_fstrim(guint64 minimum);
/* Returns an array of {"name", "mountpoint", "type", "disk": [...]}. */
VmpQmpCommand *vmp_agent_guest_get_fsinfo(void);
